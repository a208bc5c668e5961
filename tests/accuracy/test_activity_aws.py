"""How well CloudTrail events of others are read, and that our two ways to read them say the same.

Labelled events (elastic-events), events recorded in known attacks (attack-logs: stratus, OTRF), and those of another
product's detection tests (panther-rule-tests).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.activity_sets import hold, labelled_lines, members, raw_record, score
from tests.sources.cloudtrail_projection import differences, projected
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import aws_cloudtrail

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))["activity"][
    "aws.cloudtrail"
]
NO_TIME = {"p_event_time": "2026-01-01 00:00:00"}  # a test of a rule often leaves the time out


def labelled(shared: Path) -> list[tuple[str, Any, dict[str, Any] | None]]:
    content = members(shared / "data" / "elastic-events" / "events.tar.zst")["aws.cloudtrail.jsonl"]
    return list(labelled_lines(content))


def recorded(shared: Path) -> Iterator[dict[str, Any]]:
    for name, content in members(shared / "data" / "attack-logs" / "logs.tar.zst").items():
        if name.startswith("stratus/"):
            yield from json.loads(content)["cloudtrail"]
        elif name.startswith("otrf/ec2_") and name.endswith(".json"):
            yield from (json.loads(line) for line in content.decode("utf-8").splitlines())


def of_rules(shared: Path) -> Iterator[dict[str, Any]]:
    """Events of tests that a rule must raise on; not those of configuration, or without an operation."""
    files = members(shared / "data" / "panther-rule-tests" / "tests.tar.zst")
    for line in files["tests.jsonl"].decode("utf-8").splitlines():
        test = json.loads(line)
        if test["expected"] and aws_cloudtrail.claims(test["log"]):
            yield {**NO_TIME, **test["log"]}


def test_labelled_events_are_read_as_another_product_reads_them(shared: Path) -> None:
    found = score(aws_cloudtrail.parse, labelled(shared))
    print(found, found.misses)
    hold(found, FLOORS)


@pytest.mark.parametrize("events", [recorded, of_rules])
def test_events_of_attacks_are_read(events: Any, shared: Path) -> None:
    records = list(events(shared))
    read = sum(_reads(one) for one in records)
    print(f"{events.__name__}: {read} of {len(records)}")
    assert len(records) >= FLOORS[f"events_{events.__name__}"]
    assert read / len(records) >= FLOORS["parsed"]


def test_the_fast_way_agrees_on_every_event(shared: Path, tmp_path: Path) -> None:
    records = [raw_record(given) for _id, given, _label in labelled(shared)]
    records += [*recorded(shared), *of_rules(shared)]
    rows = projected(tmp_path, records)
    print(f"{sum(row['readable'] for row in rows)} of {len(rows)} are read by SQL")
    assert differences(rows, records) == []
    assert sum(row["readable"] for row in rows) >= FLOORS["by_sql"] * len(rows)


def _reads(record: dict[str, Any]) -> bool:
    try:
        [activity] = aws_cloudtrail.parse(record, DriftLog())
    except DataError:
        return False
    return activity.operation == record.get("eventName", record.get("eventname"))
