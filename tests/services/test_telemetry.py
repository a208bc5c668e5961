"""What whoever imports says to be complete; retention; what memory an import takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import NOW, ROOT
from wardship.ingest.telemetry import publish_activities
from wardship.model.errors import ConfigError
from wardship.services import telemetry as service
from wardship.store import telemetry
from wardship.store.workspace import Workspace

SPAN = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))


def test_a_window_counts_once_every_file_was_read(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a.json", tmp_path / "b.json"
    event = {
        "eventVersion": "1",
        "eventTime": "2026-11-01T10:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "eu-west-1",
        "eventID": "1",
        "userIdentity": {"type": "AWSService"},
    }
    whole.write_text(json.dumps({"Records": [event]}))
    cut.write_text(json.dumps({"Records": [{**event, "eventID": "2"}]})[:-9])
    window = service.windows_of("aws.cloudtrail", "aws:1", *SPAN, actor="me")
    with Workspace.create(tmp_path / "w", clock=lambda: NOW) as ws:
        service.load(ws, [whole, cut], "aws.cloudtrail", actor="me", windows=window)
        assert telemetry.windows(ws.db) == []
        service.load(ws, [whole], "aws.cloudtrail", actor="me", windows=window)
        assert telemetry.windows(ws.db) == window


def test_files_without_an_event_are_not_taken_as_a_complete_log(tmp_path: Path) -> None:
    empty, wrong = tmp_path / "empty.json", tmp_path / "readme.txt"
    empty.touch()
    wrong.write_text("no log at all")
    window = service.windows_of("aws.cloudtrail", "aws:1", *SPAN, actor="me")
    with Workspace.create(tmp_path / "w", clock=lambda: NOW) as ws:
        for path in (empty, wrong, tmp_path / "w"):
            service.load(ws, [path], "aws.cloudtrail", actor="me", windows=window)
        assert telemetry.windows(ws.db) == []


def test_a_part_of_a_log_is_declared_by_its_name() -> None:
    data, writes = service.windows_of("aws.cloudtrail", "aws:1", *SPAN, parts=["data", "management-writes"], actor="me")
    assert (data.stream, writes.stream) == ("data", "management-writes")
    with pytest.raises(ConfigError) as told:
        service.windows_of("aws.cloudtrail", "aws:1", *SPAN, parts=["servicePrincipal"], actor="me")
    assert "management-reads" in told.value.advice
    with pytest.raises(ConfigError):
        service.windows_of("aws.cloudtrail", None, None, None, parts=["data"], actor="me")


def test_half_a_word_is_refused() -> None:
    assert service.windows_of("aws.cloudtrail", None, None, None, actor="me") == ()
    for words in (("aws:1", SPAN[0], None), ("aws:1", SPAN[1], SPAN[0]), ("one", *SPAN)):
        with pytest.raises(ConfigError):
            service.windows_of("aws.cloudtrail", *words, actor="me")


def test_what_is_too_old_goes_with_the_nightly_work(tmp_path: Path) -> None:
    old, new = "2025-01-01T00:00:00Z", "2026-11-20T00:00:00Z"
    with Workspace.create(tmp_path / "w", clock=lambda: NOW) as ws:
        publish_activities(
            ws, "made.up", [{"uid": at, "time": at, "service": "s", "operation": "o"} for at in (old, new)]
        )
        _done, retired, _swept = service.compact(ws, actor="worker")
        assert retired == 1
        (row,) = service.status_rows(ws.db)
        assert (row["events"], row["days"]) == (1, 1)


PEAK = """
import sys
from pathlib import Path
from tests.conftest import NOW
from wardship.services import telemetry
from wardship.store.workspace import Workspace
with Workspace.create(Path(sys.argv[1]), clock=lambda: NOW) as ws:
    telemetry.load(ws, [Path(sys.argv[2])], "aws.cloudtrail", actor="me")
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.chaos
def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """Ten times and a hundred times the events: the same peak, within a third."""
    from bench.cloudtrail_files import write

    peaks = []
    for events in (300_000, 3_000_000):
        folder = tmp_path / str(events)
        write(folder, events)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path / f"w{events}"), str(folder)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]))
    print("peak kB:", peaks)
    assert peaks[1] < peaks[0] * 4 / 3
