"""alerts, and export of what they rest on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import lake
from tests.cli.conftest import Command
from tests.services.detecting import detection
from wardship.model.policy import Policy
from wardship.services import detect, usage
from wardship.store.workspace import Workspace

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LATER = f"{TODAY + timedelta(days=10):%Y-%m-%d}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with one open alert about a hostile name."""
    path = tmp_path / "ws"
    with Workspace.create(path, clock=lambda: TODAY) as ws:
        one = detection(path / "detections", "reads_things", "e.service = 'made-up'", weight=60)
        at = (TODAY - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%S")
        lake.publish(ws.db, ws.activity, [{"time": at, "service": "made-up", "actor_name": "robot\x1b[31m"}])
        with detect.alone(ws.db) as lease:
            detect.judge(ws, [1], actor="test", lease=lease, detections=[one], policy=Policy())
        usage.refresh(ws)
    return path


def uid_of(run: Command, folder: Path, *words: str) -> str:
    (row,) = json.loads(run("alerts", "list", "-w", folder, "-o", "json", *words).out)
    return str(row["uid"])


def test_an_alert_is_listed_shown_expected_and_opened_again(run: Command, folder: Path) -> None:
    uid = uid_of(run, folder)
    shown = run("alerts", "show", uid, "-w", folder)
    assert shown.code == 0
    assert "did reads_things in made-up" in shown.out
    assert "\x1b[31m" not in shown.out
    ran = run("alerts", "expected", uid, "--until", LATER, "--reason", "trip", "-w", folder)
    assert (ran.code, LATER in ran.out) == (0, True)
    assert run("alerts", "list", "-w", folder).out.startswith("No alert.")
    assert uid_of(run, folder, "--all") == uid
    assert run("alerts", "unexpected", uid, "--reason", "over", "-w", folder).code == 0
    assert run("alerts", "reopen", uid, "--reason", "over", "-w", folder).code == 2
    assert run("alerts", "close", uid, "--reason", "seen", "-w", folder).code == 0
    assert f"wardship alerts reopen {uid}" in run("alerts", "show", uid, "-w", folder).out
    assert run("alerts", "reopen", uid, "--reason", "the wrong one", "-w", folder).code == 0
    assert uid_of(run, folder) == uid
    assert run("alerts", "close", uid, "--reason", "seen", "-w", folder).code == 0
    assert run("alerts", "list", "-w", folder).out.startswith("No alert.")
    (signal,) = json.loads(run("alerts", "list", "--signals", "-w", folder, "-o", "json").out)
    assert signal["evidence"] == ["1#0"]


def test_a_narrow_terminal_shows_who_it_is_about(run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    head, _line, row, *_rest = run("alerts", "list", "-w", folder).out.splitlines()
    assert "Who" in head
    assert "robot" in row


def test_a_decision_needs_an_end_and_a_reason(run: Command, folder: Path) -> None:
    uid = uid_of(run, folder)
    assert run("alerts", "expected", uid, "--reason", "trip", "-w", folder).code == 2
    assert run("alerts", "close", uid, "-w", folder).code == 2
    far = run("alerts", "expected", uid, "--until", "2099-01-01", "--reason", "trip", "-w", folder)
    assert far.code == 2
    assert "days away" in far.err


def test_alerts_of_one_actor_are_found_by_what_the_log_calls_it(run: Command, folder: Path) -> None:
    assert uid_of(run, folder, "--identity", "AIDA1").startswith("al_")
    assert run("alerts", "list", "--identity", "nobody-at-all", "-w", folder).code == 2


def test_changes_are_announced_and_removed(run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = f"{TODAY:%Y-%m-%d}"
    added = run("alerts", "change-window", "add", "--from", start, "--until", LATER, "--reason", "r12", "-w", folder)
    assert added.code == 0
    (row,) = json.loads(run("alerts", "change-window", "list", "-w", folder, "-o", "json").out)
    assert (row["scope"], row["reason"]) == ("*", "r12")
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("alerts", "change-window", "list", "-w", folder).out
    assert f"{start} 00:00 UTC" in shown, "a change has hours"
    assert f"{LATER} 00:00 UTC" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert run("alerts", "change-window", "remove", row["uid"], "-w", folder).code == 0
    assert run("alerts", "change-window", "list", "-w", folder).out.startswith("No change")
    assert run("alerts", "provisioner", "list", "-w", folder).out.startswith("No provisioning tool")


def test_changes_that_are_over_are_listed_when_asked_for(run: Command, folder: Path) -> None:
    old = [f"{TODAY - timedelta(days=days):%Y-%m-%d}" for days in (3, 2)]
    run("alerts", "change-window", "add", "--from", old[0], "--until", old[1], "--reason", "r11", "-w", folder)
    assert run("alerts", "change-window", "list", "-w", folder).out.startswith("No change is announced.")
    (row,) = json.loads(run("alerts", "change-window", "list", "--all", "-w", folder, "-o", "json").out)
    assert row["reason"] == "r11"


def test_alerts_and_events_are_exported_and_that_is_on_record(run: Command, folder: Path) -> None:
    for thing in ("alerts", "signals", "activity"):
        ran = run("export", thing, "-w", folder, "-o", "jsonl")
        assert ran.code == 0
        assert len(ran.out.splitlines()) == 1
    assert run("audit", "log", "-w", folder, "-o", "json").out.count("list.exported") == 3
