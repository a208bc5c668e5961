"""Our tables of GitHub's permissions and scopes: complete beside GitHub's own list, and strong where it hurts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wardship.connectors.github import facts
from wardship.model.access import Tier


@pytest.fixture(scope="module")
def described(shared: Path) -> dict[str, Any]:
    """GitHub's own list: each permission of an App with its levels."""
    description = json.loads((shared / "contracts" / "github.json").read_text(encoding="utf-8"))
    return dict(description["components"]["schemas"]["app-permissions"]["properties"])


def test_every_permission_that_github_describes_has_a_tier(described: dict[str, Any]) -> None:
    pairs = [(name, level) for name, about in described.items() for level in about["enum"]]
    assert len(pairs) > 80
    assert [pair for pair in pairs if not facts.known_permission(*pair)] == []
    assert [pair for pair in pairs if facts.permission_tier(*pair) is Tier.UNKNOWN] == []


@pytest.mark.parametrize(
    ("name", "level", "tier"),
    [
        ("workflows", "write", Tier.CONTROL_PLANE),  # changes the pipeline that reads the secrets
        ("secrets", "write", Tier.CONTROL_PLANE),
        ("members", "write", Tier.CONTROL_PLANE),
        ("organization_administration", "read", Tier.READ),
        ("contents", "write", Tier.WRITE),
        ("contents", "read", Tier.SENSITIVE_READ),
        ("metadata", "read", Tier.READ),
        ("something_new", "write", Tier.WRITE),  # it is that at least
        ("something_new", "read", Tier.UNKNOWN),
        ("contents", "own", Tier.UNKNOWN),
    ],
)
def test_a_permission_is_as_strong_as_what_it_changes_or_shows(name: str, level: str, tier: Tier) -> None:
    assert facts.permission_tier(name, level) is tier


@pytest.mark.parametrize(
    ("scope", "tier"),
    [("repo", Tier.CONTROL_PLANE), ("admin:org", Tier.CONTROL_PLANE), ("gist", Tier.WRITE), ("read:org", Tier.READ)],
)
def test_a_scope_is_as_strong_as_what_it_reaches(scope: str, tier: Tier) -> None:
    assert facts.scope_tier(scope) is tier


def test_a_scope_that_is_not_known_is_not_judged() -> None:
    assert facts.scope_tier("repo:everything") is None
