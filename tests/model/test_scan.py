"""What a refusal becomes in Coverage: the permission is named where the system names it, and guessed nowhere else."""

from __future__ import annotations

from wardship.model.errors import MissingScope, NotVisible
from wardship.model.scan import Problem


def test_a_missing_permission_is_named_as_the_system_names_it() -> None:
    refused = MissingScope("may not list keys", scope="iam:ListAccessKeys", system="aws")
    assert Problem.of(refused, "arn:x", needs="something else") == Problem(
        reason="missing_permission", detail="may not list keys", permission="iam:ListAccessKeys", subject="arn:x"
    )


def test_what_is_hidden_names_only_the_permission_that_the_connector_gives() -> None:
    hidden = NotVisible("not found")
    assert Problem.of(hidden) == Problem(reason="not_visible", detail="not found")
    assert Problem.of(hidden, needs="actions:read").permission == "actions:read"
