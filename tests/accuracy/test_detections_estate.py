"""What all detections together find in a small made-up estate with labelled abuse, and how often they cry for nothing.

A small run of `bench.detections`, whose full size and seed stand in docs/verified.md. The seed here is one that nobody
publishes. Floors only rise.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bench import detections
from wardship.sim.abuse import Kind, estate

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))["detections"]["estate"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> detections.Result:
    made = estate(seed=7, identities=250, days=45, first_day=detections.FIRST_DAY, abused=36)
    return detections.live_through(made, tmp_path_factory.mktemp("estate"))


def test_abuse_is_found(result: detections.Result) -> None:
    print(result.figures())
    assert sum(result.all_of.values()) >= FLOORS["abused"]
    assert result.all_of.keys() == set(Kind), "of each kind there is one"
    assert result.recall >= FLOORS["recall"]


def test_ordinary_days_make_few_alerts(result: detections.Result) -> None:
    """Storms of provisioning tools, renumbered networks, failing jobs, new identities and month ends are among them."""
    print(result.false_titles)
    assert result.identity_days >= FLOORS["identity_days"]
    assert result.false_per_thousand <= FLOORS["false_per_1000_at_most"]
