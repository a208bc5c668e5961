"""The policy file: what it names, the rest by default, and errors that name the line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import jsonschema_rs
import pytest

from wardship.model.errors import ConfigError
from wardship.model.policy import Policy
from wardship.sdk.policy_file import load_policy, policy_schema


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_not_named_keeps_its_default(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, "inactive_days: 60\nmax_age_days:\n  critical: 14\n"))
    assert (policy.inactive_days, policy.max_age_days["critical"], policy.max_age_days["high"]) == (60, 14, 90)
    assert load_policy(write(tmp_path, "# nothing\n")) == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inactive: 60", "line 1, inactive: no such threshold"),
        ("new_days: 1\ninactive_days: soon", "line 2, inactive_days: .*not a whole number"),
        ("inactive_days: -1", "out of range"),
        ("inactive_days: true", "not a whole number"),
        ("max_age_days: 30", "line 1, max_age_days: 30 does not fit"),
        ("max_age_days:\n  huge: 3", "max_age_days: names"),
        ("max_age_days:\n  low: 900", "hard_max_age_days only 365"),
        ("drop_guard_percent: 101", "more than 100"),
        ("- 1", "a policy is a mapping"),
    ],
)
def test_a_bad_policy_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_policy(write(tmp_path, text))
    assert caught.value.advice


def test_the_schema_knows_every_threshold() -> None:
    schema = policy_schema()
    assert set(schema["properties"]) == {threshold.name for threshold in fields(Policy)}
    checker = jsonschema_rs.validator_for(schema)
    assert checker.is_valid({"inactive_days": 60, "max_age_days": {"critical": 14}})
    assert not checker.is_valid({"inactive": 60})
