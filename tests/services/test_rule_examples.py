"""A rule file is tested by its own examples, and every way it can be wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardship.sdk.rule import BUILT_IN
from wardship.services.rule_examples import problems_of


def bent(folder: Path, old: str, new: str) -> Path:
    text = (BUILT_IN / "owner_left.yaml").read_text("utf-8")
    assert old in text
    path = folder / "owner_left.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_good_rule_has_no_problem() -> None:
    assert problems_of(BUILT_IN / "owner_left.yaml") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("i.owner_active = FALSE", "i.owner_active = TRUE", "fires 0 .*: 0 findings instead of 1"),
        ("i.owner_active = FALSE", "1 = 1", "passes 0 .*: it fired on identity_0"),
        ("owner_name: Ana}]", "owner_name: Bob}]", "nearest is id_a: owner_name is 'Ana' instead of 'Bob'"),
        ("owner_active: false, owner_claims: 1", "owner_active: maybe", "a row does not fit its table"),
        ("severity: high", "severity: huge", "line 5, severity"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, old: str, new: str, problem: str) -> None:
    import re

    problems = problems_of(bent(tmp_path, old, new))
    assert any(re.search(problem, told) for told in problems), problems
