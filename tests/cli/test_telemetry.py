"""telemetry: files are imported, tried, counted, replayed and compacted, and every outcome has its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import lake
from tests.cli.conftest import Command
from tests.conftest import NOW
from wardship.store import telemetry_tables
from wardship.store.workspace import Workspace


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two CloudTrail events and one that is damaged."""
    event = {
        "eventVersion": "1.09",
        "eventTime": "2026-11-01T10:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "192.0.2.7",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "accountId": "111111111111"},
        "recipientAccountId": "111111111111",
    }
    records = [{**event, "eventID": "1"}, {**event, "eventID": "2"}, {**event, "eventID": "3", "eventTime": "soon"}]
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"Records": records}), encoding="utf-8")
    return path


def test_an_import_says_what_it_did_and_status_what_there_is(run: Command, log: Path) -> None:
    done = run("telemetry", "import", "auto", log, "-w", "w")
    assert done.code == 3
    assert "2 new events" in done.out
    assert "  1 records could not be read: " in done.err
    assert "replay" in done.err
    (row,) = json.loads(run("telemetry", "status", "-w", "w", "-o", "json").out)
    assert (row["source"], row["events"], row["quarantined"], row["days"]) == ("aws.cloudtrail", 2, 1, 1)
    (file,) = json.loads(run("telemetry", "status", "--files", "-w", "w", "-o", "json").out)
    assert (file["name"], file["state"], file["records"]) == (str(log), "done", 3)
    assert run("telemetry", "replay", "--input", file["id"], "-w", "w").code == 3
    assert run("telemetry", "replay", "--input", 99, "-w", "w").code == 2
    again = run("telemetry", "import", "aws.cloudtrail", log, "-w", "w")
    assert again.code == 0
    assert "1 were imported before" in again.out


def test_a_dry_run_needs_no_workspace_and_keeps_nothing(run: Command, log: Path, tmp_path: Path) -> None:
    done = run("telemetry", "import", "aws.cloudtrail", log, "--dry-run")
    assert done.code == 3
    assert "2 events" in done.out
    assert "1 records could not be read" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"log.json"}


def test_what_is_complete_is_said_in_full_or_not_at_all(run: Command, log: Path) -> None:
    words = ("--authority", "aws:111111111111", "--complete-from", "2026-11-01")
    assert run("telemetry", "import", "aws.cloudtrail", log, *words, "-w", "w").code == 2
    done = run("telemetry", "import", "aws.cloudtrail", log, *words, "--complete-to", "2026-11-02", "-w", "w")
    assert done.code == 3
    assert run("telemetry", "import", "auto", log, *words, "--complete-to", "2026-11-02", "-w", "w").code == 2


def test_what_was_read_is_declared_whole_afterwards_and_that_is_taken_back(run: Command, log: Path) -> None:
    said = ("telemetry", "declare", "aws.cloudtrail", "--authority", "aws:111111111111", "--part", "data", "-w", "w")
    span = ("--complete-from", "2026-11-01", "--complete-to", "2026-11-02")
    run("init", "-w", "w")
    unread = run(*said, *span)
    assert unread.code == 2
    assert "nothing of aws.cloudtrail was read for that time" in unread.err
    run("telemetry", "import", "aws.cloudtrail", log, "-w", "w")
    assert "Declarations recorded: 1" in run(*said, *span).out
    assert [(one.stream, one.complete) for one in windows()] == [("data", True)]
    assert run(*said, *span, "--withdraw").code == 2
    assert run(*said).code == 2
    assert run(*said, "--part", "no such", *span).code == 2
    assert "Declarations taken back: 1" in run(*said, "--withdraw").out
    assert windows() == []
    nothing = run(*said, "--withdraw")
    assert nothing.code == 2
    assert "nothing was declared" in nothing.err
    actions = [row["action"] for row in json.loads(run("audit", "log", "-w", "w", "-o", "json").out)]
    assert {"telemetry.declared", "telemetry.withdrawn"} <= set(actions)


def windows() -> list[sa.Row[Any]]:
    with Workspace.open(Path("w"), clock=lambda: NOW) as ws, ws.db.read() as conn:
        return list(conn.execute(sa.select(telemetry_tables.telemetry_window)))


def test_unknown_files_and_sources_are_said(run: Command, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"hello": 1}')
    done = run("telemetry", "import", "auto", tmp_path / "x.json", "-w", "w")
    assert done.code == 3
    assert "no log that is known" in done.err
    assert run("telemetry", "import", "no.such", tmp_path / "x.json", "-w", "w").code == 2
    assert run("telemetry", "import", "auto", tmp_path / "absent", "-w", "w").code == 2


def test_who_acts_in_a_log_that_does_not_say_whose_it_is_joins_nothing_and_reconcile_says_so(
    run: Command, tmp_path: Path
) -> None:
    entry = {
        "timestamp": "2026-11-01 10:00:00 UTC",
        "user": "app",
        "dbname": "shop",
        "pid": 9,
        "error_severity": "LOG",
        "message": "connection authorized: user=app database=shop",
    }
    (tmp_path / "one.json").write_text(json.dumps(entry), encoding="utf-8")
    (tmp_path / "two.json").write_text(json.dumps({**entry, "user": "batch"}), encoding="utf-8")
    assert (
        run(
            "telemetry", "import", "postgresql.log", tmp_path / "two.json", "--authority", "postgresql:7", "-w", "w"
        ).code
        == 0
    )
    known = run("telemetry", "reconcile", "-w", "w", "-o", "json")
    assert [one["authority"] for one in json.loads(known.out)] == ["postgresql:7"]
    assert "--authority" not in known.err
    assert run("telemetry", "import", "postgresql.log", tmp_path / "one.json", "-w", "w").code == 0
    told = run("telemetry", "reconcile", "-w", "w", "-o", "json")
    assert [one["authority"] for one in json.loads(told.out)] == ["postgresql:7", "postgresql:?"]
    assert "1 of them" in told.err
    assert "--authority SYSTEM" in told.err
    assert "--authority" not in run("telemetry", "reconcile", "--never-seen", "-w", "w").err


def test_empty_files_and_folders_are_not_taken_for_a_log_in_which_nothing_happened(
    run: Command, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    done = run("telemetry", "import", "auto", tmp_path / "logs", "-w", "w")
    assert (done.code, "There is no file. Next: " in done.err) == (0, True)
    (tmp_path / "logs" / "a.json").touch()
    for words in (("-w", "w"), ("--dry-run",)):
        done = run("telemetry", "import", "auto", tmp_path / "logs", *words)
        assert (done.code, "a.json is empty" in done.err, "There is no file" in done.err) == (0, True, False)


def test_lists_and_upkeep(run: Command, log: Path) -> None:
    assert "aws.cloudtrail" in run("telemetry", "sources").out
    assert run("init", "-w", "w").code == 0
    assert "No log was read" in run("telemetry", "status", "-w", "w").out
    run("telemetry", "import", "auto", log, "-w", "w")
    assert run("telemetry", "compact", "-w", "w").code == 0


def test_an_import_says_which_events_are_too_old_for_an_alert_and_which_will_not_stay(run: Command, log: Path) -> None:
    """Whoever tries old logs first would wait in vain for alerts, and lose the events in the first night."""
    log.write_text(log.read_text("utf-8").replace("2026-11-01", "2020-11-01"), encoding="utf-8")
    done = run("telemetry", "import", "auto", log, "-w", "w")
    assert "2 events are too old for an alert" in done.err
    assert "2 events are older than 400 days" in done.err
    assert "telemetry.keep_days" in done.err


def test_the_workspace_below_a_folder_is_no_log(run: Command, log: Path, tmp_path: Path) -> None:
    """`import auto .` makes its workspace right there: its keys must not be read, nor kept as unreadable records."""
    for _again in range(2):
        done = run("telemetry", "import", "auto", tmp_path, "-w", tmp_path / "wardship-workspace")
        assert "no log that is known" not in done.err
    done = run("telemetry", "import", "aws.cloudtrail", tmp_path, "-w", tmp_path / "wardship-workspace")
    files = json.loads(run("telemetry", "status", "--files", "-w", tmp_path / "wardship-workspace", "-o", "json").out)
    assert [one["name"] for one in files] == [str(log)]


def test_lists_of_an_empty_inventory_lead_on(run: Command, log: Path) -> None:
    run("telemetry", "import", "auto", log, "-w", "w")
    for words in (("telemetry", "coverage"), ("unused", "--verdict", "all"), ("unused",)):
        assert "wardship scan" in run(*words, "-w", "w").out


def publish_uncounted(folder: Path) -> None:
    with Workspace.open(folder, clock=lambda: NOW) as ws:
        lake.publish(ws.db, ws.activity, [{"time": "2026-11-20T03:00:00", "uid": "one"}])


def test_without_a_log_nobody_is_said_to_be_in_the_inventory(run: Command) -> None:
    run("init", "-w", "w")
    assert run("telemetry", "reconcile", "-w", "w").out.startswith("No log was counted yet")
    publish_uncounted(Path("w"))
    assert run("telemetry", "reconcile", "-w", "w").out.startswith("Events that were imported and not counted yet: 1")


def test_a_mistyped_log_is_told_the_nearest(run: Command, log: Path) -> None:
    done = run("telemetry", "import", "aws.cloudtral", log, "--dry-run")
    assert done.code == 2
    assert "aws.cloudtrail" in done.err
    assert len(done.err) < 200


def test_records_of_a_mapping_file_do_not_keep_others_from_being_replayed(
    run: Command, log: Path, tmp_path: Path
) -> None:
    mapping = tmp_path / "gate.yaml"
    mapping.write_text(
        "wardship_log: 1\nname: shop-gate\nmatch: {field: gate, in: [front]}\nauthority: 'gate:one'\n"
        "fields: {time: at, operation: kind}\n",
        encoding="utf-8",
    )
    (tmp_path / "gate.jsonl").write_text('{"gate": "front", "kind": "open", "at": "soon"}\n', encoding="utf-8")
    assert run("telemetry", "import", mapping, tmp_path / "gate.jsonl", "-w", "w").code == 3
    assert run("telemetry", "import", "auto", log, "-w", "w").code == 3
    done = run("telemetry", "replay", "-w", "w")
    assert done.code == 3
    assert "2 still cannot" in done.out
    assert "shop-gate" in done.err
    assert "--source" in done.err
    assert "shop-gate" not in run("telemetry", "replay", "--source", mapping, "-w", "w").err
