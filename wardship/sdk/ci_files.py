"""What a CI file depends on: the secrets, variables, cloud identities and vault paths that a pipeline names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["secret", "variable", "aws_role", "azure_client", "gcp_service_account", "vault_path", "oidc"]

_SECRET = re.compile(r"\bsecrets\.(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One thing that a pipeline names. Ids and names only, never a value.

    `name` is None where the file does not say which: an expression, `secrets: inherit`, all of them at once.
    """

    kind: Kind
    name: str | None
    line: int  # 1-based
    job: str | None = None
    environment: str | None = None  # as written; an expression stays an expression
    tenant: str | None = None  # the Entra tenant of an azure_client
    via: str | None = None  # the action or keyword that takes it: "aws-actions/configure-aws-credentials"


def workflow_references(text: str, *, path: str = "") -> list[Reference]:
    """What the CI file `text` names, by line. Never raises for what the text is."""
    return [
        Reference(kind="secret", name=match[1].upper(), line=text.count("\n", 0, match.start()) + 1)
        for match in _SECRET.finditer(text)
    ]


def oidc_subjects(text: str, *, repository: str, path: str = "") -> list[str]:
    """The OIDC subjects that a GitHub workflow with `id-token: write` can present, as far as they are literal."""
    return []


def workflow_triggers(text: str) -> frozenset[str]:
    """The events that start a GitHub workflow: "push", "pull_request_target"."""
    return frozenset()
