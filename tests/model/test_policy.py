"""Thresholds become the parameters of rules; a due date counts from the opening."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from wardship.model.errors import ConfigError
from wardship.model.finding import Severity
from wardship.model.policy import PARAMETERS, Policy


def test_every_threshold_is_a_parameter_with_its_unit() -> None:
    values = Policy(inactive_days=60).parameters(datetime(2026, 6, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert values["as_of"] == datetime(2026, 6, 1)
    assert (values["inactive_days"], values["max_age_critical_days"], values["due_low_days"]) == (60, 30, 180)
    assert set(values) == PARAMETERS


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Policy().parameters(datetime(2026, 6, 1))


@pytest.mark.parametrize(
    ("severity", "due"), [(Severity.CRITICAL, date(2026, 6, 8)), (Severity.LOW, date(2026, 11, 28))]
)
def test_due_by_severity(severity: Severity, due: date) -> None:
    assert Policy().due_on(severity, datetime(2026, 6, 1, 23, tzinfo=UTC)) == due


@pytest.mark.parametrize(
    "bad",
    [
        {"inactive_days": -1},
        {"inactive_days": 1.5},
        {"inactive_days": True},
        {"due_days": {"critical": 1}},
        {"expiry_warning_days": {"high": 20, "medium": 7, "low": 14, "info": 30}},
        {"expiry_warning_days": {"critical": 1, "high": 1, "medium": 7, "low": 14, "info": 30}},
        {"sure_percent": 101},
        {"hard_max_age_days": 100},
        {"drop_guard_percent": 101},
    ],
)
def test_nonsense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="policy"):
        Policy(**bad)  # type: ignore[arg-type] # the point of the test
