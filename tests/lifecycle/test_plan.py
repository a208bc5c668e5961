"""Plans that could cut a consumer off are refused, and a hash binds what was approved."""

from __future__ import annotations

import pytest

from wardship.lifecycle.plan import RotationPlan, hash_of
from wardship.model.errors import ConfigError

GOOD = {
    "connection": "c",
    "target": "t",
    "store": "s",
    "requester": "ana",
    "ttl_s": 60,
    "grace_s": 90,
    "soak_s": 60,
}


def test_a_plan_survives_its_json_and_its_hash_is_of_that_text() -> None:
    plan = RotationPlan(**GOOD)
    assert RotationPlan.from_json(plan.to_json()) == plan
    assert plan.hash == hash_of(plan.to_json())
    assert RotationPlan(**{**GOOD, "soak_s": 61}).hash != plan.hash


@pytest.mark.parametrize(
    "wrong",
    [
        {"grace_s": 59},  # shorter than what consumers keep
        {"use_lag_s": 31},  # a use could still be untold when grace ends
        {"soak_s": 0},
        {"ttl_s": -1},
        {"successes": 0},
        {"spacing_s": 0},
        {"max_attempts": 0},
        {"test_deadline_s": 15},  # three tries, five seconds apart, do not fit
    ],
)
def test_figures_that_could_break_a_consumer_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RotationPlan(**{**GOOD, **wrong})
