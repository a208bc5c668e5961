"""Kill -9, a full disk, two at once: no event is lost, none is there twice, and what is listed is there."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ROOT
from tests.ingest.telemetry.tiny import Tiny, record, uids, write
from wardship.ingest.telemetry import batch, compaction, staging
from wardship.ingest.telemetry.importer import import_paths
from wardship.model.errors import Unavailable
from wardship.store import telemetry
from wardship.store.db import Database
from wardship.store.telemetry import LiveFile, NewFile
from wardship.store.workspace import Workspace

ALL = sorted(f"e{n}" for n in range(150))


def logs(folder: Path) -> list[Path]:
    """Three files that overlap: 150 events in 190 records, some unreadable."""
    spans = (range(80), range(60, 120), range(100, 150))
    return [
        write(folder / f"{n}.jsonl", [*(record(i) for i in span), record(900 + n, at="soon")])
        for n, span in enumerate(spans)
    ]


def start(ws: Workspace, what: str, edge: int, files: list[Path]) -> subprocess.Popen[str]:
    url = ws.db.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ingest.telemetry.killed", str(ws.path), url, what, str(edge), *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str | None:
    """What it said; None when it was killed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), err
    return out if process.returncode == 0 else None


def assert_sound(ws: Workspace) -> None:
    """What is listed is there, byte by byte; no event is there twice; the counts are those of the files."""
    live = telemetry.live_files(ws.db)
    for one in live:
        assert hashlib.sha256((ws.activity / one.path).read_bytes()).hexdigest() == one.digest
    found = uids(ws)
    assert len(found) == len(set(found)) == sum(one.rows for one in live)
    assert sum(one.events for one in telemetry.inputs(ws.db)) == len(found)
    batches = [one.id for one in telemetry.live_batches(ws.db)]
    assert batches == list(range(1, len(batches) + 1))


def assert_complete(ws: Workspace) -> None:
    assert_sound(ws)
    assert uids(ws) == ALL
    assert {one.state for one in telemetry.inputs(ws.db)} == {"done"}
    assert sum(one.records for one in telemetry.quarantined(ws.db)) == 3
    assert list((ws.tmp).glob("telemetry-*")) == []


def test_an_import_that_was_killed_is_ended_by_the_next(each_ws: Workspace, tmp_path: Path) -> None:
    files = logs(tmp_path / "logs")
    assert finish(start(each_ws, "import", 25, files)) is None
    assert_sound(each_ws)
    assert finish(start(each_ws, "import", 0, files)) is not None
    assert_complete(each_ws)


def test_a_compaction_that_was_killed_changes_no_event(ws: Workspace, tmp_path: Path) -> None:
    import_paths(ws, logs(tmp_path / "logs"), Tiny(), actor="test")
    import_paths(ws, [write(tmp_path / "late.jsonl", [record(150)])], Tiny(), actor="test")
    before = uids(ws)
    assert finish(start(ws, "compact", 6, [])) is None
    assert_sound(ws)
    assert finish(start(ws, "compact", 0, [])) is not None
    assert_sound(ws)
    assert uids(ws) == before == sorted([*ALL, "e150"])
    assert len(telemetry.live_files(ws.db)) == 2


def test_a_compaction_that_slept_for_hours_loses_no_event(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that was closed between the new file and its place in the manifest; then somebody else sweeps first."""
    import_paths(ws, logs(tmp_path / "logs"), Tiny(), actor="test")
    import_paths(ws, [write(tmp_path / "late.jsonl", [record(150)])], Tiny(), actor="test")
    before, swap, sweeps = uids(ws), telemetry.swap, []

    def slept(db: Database, old: Sequence[LiveFile], new: NewFile) -> None:
        os.utime(ws.activity / new.path, (0, 0))
        sweeps.append(threading.Thread(target=telemetry.sweep, args=(db, ws.activity)))
        sweeps[-1].start()
        sweeps[-1].join(0.5)
        swap(db, old, new)

    monkeypatch.setattr(telemetry, "swap", slept)
    compaction.compact(ws)
    for one in sweeps:
        one.join()
    assert sweeps
    assert_sound(ws)
    assert uids(ws) == before


def test_a_commit_whose_answer_is_lost_doubles_nothing(
    each_ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database wrote it, and the connection broke before it could say so; at each commit once."""
    files, commit, left = logs(tmp_path / "logs"), sa.engine.default.DefaultDialect.do_commit, [0]

    def lost(self: sa.engine.default.DefaultDialect, connection: Any) -> None:
        commit(self, connection)
        left[0] -= 1
        if left[0] == 0:
            raise self.dbapi.OperationalError("server closed the connection unexpectedly")  # type: ignore[union-attr]  # a driver is loaded

    monkeypatch.setattr(sa.engine.default.DefaultDialect, "do_commit", lost)
    monkeypatch.setattr(batch, "MAX_EVENTS", 40)
    for edge in range(1, 40):
        left[0] = edge
        try:
            import_paths(each_ws, files, Tiny(), actor="test")
        except Unavailable:
            assert_sound(each_ws)
        else:
            assert edge > 3
            break
    assert_complete(each_ws)


def test_a_disk_that_fails_to_sync_publishes_nothing(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(_path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(staging, "sync", sync)
    with pytest.raises(Unavailable):
        import_paths(ws, logs(tmp_path / "logs"), Tiny(), actor="test")
    monkeypatch.undo()
    assert uids(ws) == []
    import_paths(ws, logs(tmp_path / "logs"), Tiny(), actor="test")
    assert_complete(ws)


def test_every_new_name_is_on_the_disk_before_a_file_is_listed(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of the folders above it: a power cut must not take a day with its folder."""
    synced: set[str] = set()
    fsync = os.fsync

    def seen(handle: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    import_paths(ws, logs(tmp_path / "logs"), Tiny(), actor="test")
    for one in telemetry.live_files(ws.db):
        above = (ws.activity / one.path).parents
        assert {str(folder) for folder in above[: above.index(ws.activity) + 1]} <= synced


def test_two_imports_at_once_double_and_lose_nothing(each_ws: Workspace, tmp_path: Path) -> None:
    files = logs(tmp_path / "logs")
    both = [start(each_ws, "import", 0, some) for some in (files, files[::-1])]
    assert all(finish(one) is not None for one in both)
    assert_complete(each_ws)


@pytest.mark.chaos
def test_an_import_beside_a_compaction_loses_nothing(each_ws: Workspace, tmp_path: Path) -> None:
    files = logs(tmp_path / "logs")
    assert finish(start(each_ws, "import", 0, files[:2])) is not None
    both = [start(each_ws, "compact", 0, []), start(each_ws, "import", 0, files)]
    assert all(finish(one) is not None for one in both)
    assert_complete(each_ws)


def test_a_full_disk_is_said_and_nothing_is_half_published(ws: Workspace, tmp_path: Path) -> None:
    files = logs(tmp_path / "logs")
    # The database is not on the disk that is full: what cannot be written is the spool.
    big = write(tmp_path / "big.jsonl", [record(n, extra="x" * 900) for n in range(150)])
    said = finish(start(ws, "full", 0, [big]))
    assert said is not None
    assert said.startswith("no room:")
    assert uids(ws) == []
    assert list(ws.activity.rglob("*.parquet")) == []
    assert finish(start(ws, "import", 0, files)) is not None
    assert uids(ws) == ALL


def test_a_lake_without_room_is_said_and_room_is_all_it_takes(ws: Workspace, tmp_path: Path) -> None:
    """A disk that is really full, and only that of the lake."""
    ws.activity.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    log = write(tmp_path / "big.jsonl", [record(n, extra=rng.randbytes(400).hex()) for n in range(3_000)])
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(ws.activity)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        with pytest.raises(Unavailable):
            import_paths(ws, [log], Tiny(), actor="test")
        assert uids(ws) == []
        assert list(ws.activity.rglob("*.p*")) == []
        subprocess.run(["mount", "-o", "remount,size=64m", str(ws.activity)], check=True)
        import_paths(ws, [log], Tiny(), actor="test")
        assert uids(ws) == sorted(f"e{n}" for n in range(3_000))
    finally:
        subprocess.run(["umount", str(ws.activity)], check=True)


@pytest.mark.chaos
@pytest.mark.parametrize("what", ["import", "compact"])
def test_killed_at_every_edge(each_ws: Workspace, tmp_path: Path, what: str) -> None:
    """One edge after the other; each time the run after it goes on from there."""
    files = logs(tmp_path / "logs")
    if what == "compact":
        assert finish(start(each_ws, "import", 0, files)) is not None
    for edge in range(1, 400):
        said = finish(start(each_ws, what, edge, files if what == "import" else []))
        assert_sound(each_ws)
        if said is not None:
            print(f"{what}: done at edge {edge}")
            break
    assert finish(start(each_ws, "import", 0, files)) is not None
    assert_complete(each_ws)


@pytest.mark.chaos
def test_killed_at_random_times(each_ws: Workspace, tmp_path: Path) -> None:
    files, rng, kills = logs(tmp_path / "logs"), random.Random(11), 0
    for _ in range(40):
        process = start(each_ws, rng.choice(("import", "import", "compact")), 0, files)
        time.sleep(rng.uniform(0.6, 2.2))
        process.kill()
        kills += finish(process) is None
        assert_sound(each_ws)
    assert finish(start(each_ws, "import", 0, files)) is not None
    assert kills > 3
    assert_complete(each_ws)


@pytest.mark.chaos
def test_many_imports_at_once(each_ws: Workspace, tmp_path: Path) -> None:
    files, rng = logs(tmp_path / "logs"), random.Random(3)
    running = [start(each_ws, "import", 0, rng.sample(files, 3)) for _ in range(5)]
    running.append(start(each_ws, "compact", 0, []))
    assert all(finish(one) is not None for one in running)
    assert_complete(each_ws)
