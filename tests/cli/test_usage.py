"""usage, baseline."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import lake
from tests.cli.conftest import Command
from wardship.services import telemetry_refresh
from wardship.store.workspace import Workspace

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace where one actor works at three o'clock each night, one began yesterday, and a batch waits."""
    path = tmp_path_factory.mktemp("cli-usage") / "ws"
    with Workspace.create(path, clock=lambda: TODAY) as ws:
        nights = [(TODAY - timedelta(days=day)).strftime("%Y-%m-%dT03:00:00") for day in range(1, 61)]
        network = {"src_network": "198.51.100.0/24", "src_country": "ES", "user_agent": "aws-cli/2.1"}
        hostile = {"actor_id": "AIDA2", "actor_name": "new\x1b[31m", "session": "\x1b]0;x\x07"}
        lake.publish(ws.db, ws.activity, [{"time": night, "actor_name": "nightly", **network} for night in nights])
        lake.publish(ws.db, ws.activity, [{"time": nights[0], **hostile}])
        telemetry_refresh.learn(ws, actor="test")
        lake.publish(ws.db, ws.activity, [{"time": nights[0], "actor_id": "AIDA3"}])
    return path


def test_use_is_told_with_times_and_places(run: Command, folder: Path) -> None:
    ran = run("usage", "AIDA1", "-w", folder)
    assert ran.code == 0
    assert "Used 60 times (0 failed)" in ran.out
    assert "s3.amazonaws.com GetObject" in ran.out
    assert "198.51.100.0/24 ES" in ran.out
    assert "The inventory does not know it." in ran.out
    assert "not counted yet: 1" in ran.err


def test_every_format_has_all_rows(run: Command, folder: Path, tmp_path: Path) -> None:
    rows = json.loads(run("usage", "AIDA1", "-w", folder, "-o", "json").out)
    assert {row["aspect"] for row in rows} == {"credential", "action", "network", "agent"}
    assert {row["authority"] for row in rows} == {"aws:111111111111"}
    assert len(run("usage", "AIDA1", "-w", folder, "--by", "day", "-o", "csv").out.splitlines()) == 61
    for suffix in ("xlsx", "parquet", "jsonl"):
        assert run("usage", "AIDA1", "-w", folder, "--out", tmp_path / f"u.{suffix}").code == 0


def test_unused_permissions_are_not_evaluated_yet(run: Command, folder: Path) -> None:
    assert "not evaluated yet" in run("usage", "AIDA1", "--unused", "-w", folder).out


def test_nothing_found_says_where_to_look(run: Command, folder: Path) -> None:
    ran = run("usage", "nobody", "-w", folder)
    assert ran.code == 2
    assert "wardship inventory --text" in ran.err


def test_the_baseline_is_drawn(run: Command, folder: Path) -> None:
    out = run("baseline", "show", "nightly", "-w", folder).out
    assert "Known well enough" in out
    assert "60 active days" in out
    assert "every day" in out
    week = [line for line in out.splitlines() if line.strip().startswith(("Mon", "Sun"))]
    assert all(line[7:][3] in "▓█" for line in week)
    assert {line[7:][12] for line in week} == {"·"}
    (days,) = [line.strip() for line in out.splitlines() if "█" * 20 in line]
    assert (len(days), days.count("█"), days.count("·")) == (90, 60, 30)


def test_a_cold_start_is_said_and_names_are_made_safe(run: Command, folder: Path) -> None:
    out = run("baseline", "show", "AIDA2", "-w", folder).out
    assert "Cold start" in out
    assert "\x1b" not in out + run("usage", "AIDA2", "-w", folder).out


def test_the_baseline_as_rows(run: Command, folder: Path) -> None:
    (row,) = json.loads(run("baseline", "show", "AIDA1", "-w", folder, "-o", "json").out)
    assert (row["mature"], row["rhythm"], len(row["hours"])) == (True, "daily", 168)


def test_counting_again_says_how_much(run: Command, folder: Path) -> None:
    assert "61 actor-days" in run("baseline", "rebuild", "-w", folder).out
