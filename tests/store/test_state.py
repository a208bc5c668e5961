"""The state of use on disk: always one whole generation, up to date with the events, whatever happens to its writer."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import lake
from tests.conftest import NOW, ROOT
from wardship.analysis import baseline
from wardship.model.baseline import STATE
from wardship.model.errors import Conflict, Unavailable
from wardship.services import usage
from wardship.store import leases, state, telemetry
from wardship.store.db import Database
from wardship.store.engine import DuckDbEngine
from wardship.store.state import Generation
from wardship.store.workspace import Workspace


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ws(tmp_path: Path, clock: Clock) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "ws", clock=clock) as made:
        yield made


def day(number: int, events: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Events of the `number`th day of November, each with an id of its own."""
    return [
        {"time": f"2026-11-{number:02}T{hour:02}:00:00", "uid": f"{number}/{hour}", "src_network": f"10.{hour}.0.0/24",
         "session": f"job-{number}", "user_agent": "aws-cli/2.1", "resource_id": "bucket/key", **more}
        for hour in range(events)
    ]  # fmt: skip


def publish(ws: Workspace, *days: list[dict[str, Any]]) -> int:
    return lake.publish(ws.db, ws.activity, [row for rows in days for row in rows])


def said(known: Generation) -> dict[str, list[tuple[Any, ...]]]:
    """What a generation says: every table, each key once."""
    with DuckDbEngine(known.tables()) as engine:
        return {
            name: sorted(engine.query(baseline.merge(name, f"SELECT * FROM {name}"), {}), key=repr) for name in STATE
        }


def test_before_the_first_event_every_table_is_empty(ws: Workspace) -> None:
    known = usage.refresh(ws)
    assert (known.number, known.batch) == (0, 0)
    assert not any(said(known).values())


def test_days_and_late_days_add_up_to_what_one_count_gives(ws: Workspace) -> None:
    for number in (1, 2, 5, 3, 4):  # the third and fourth come late
        publish(ws, day(number, events=number))
        usage.refresh(ws)
    publish(ws, day(2, events=2, actor_id="AIDA2"), day(6))
    added = usage.refresh(ws)
    assert (added.number, added.batch) == (6, 6)
    assert said(added) == said(usage.rebuild(ws))
    assert sum(row[list(STATE["log_day"]).index("events")] for row in said(added)["log_day"]) == 20


def test_a_refresh_without_new_events_changes_nothing(ws: Workspace) -> None:
    publish(ws, day(1))
    first = usage.refresh(ws)
    assert usage.refresh(ws) == first
    assert usage.current(ws) == first


def test_only_batches_up_to_the_asked_one_are_counted(ws: Workspace) -> None:
    publish(ws, day(1))
    publish(ws, day(1, actor_id="AIDA2"))
    assert usage.waiting(ws, usage.current(ws)) == 6
    known = usage.refresh(ws, until=1)
    assert {row[1] for row in said(known)["actor_day"]} == {"AIDA1"}
    assert usage.waiting(ws, known) == 3
    assert usage.rebuild(ws, until=1).batch == 1


def test_a_day_leaves_the_days_before_alone(ws: Workspace) -> None:
    names: set[str] = set()
    for number in range(1, 12):
        publish(ws, day(number))
        known = usage.refresh(ws)
        files = {one.name for one in known.files["actor_day"]}
        assert len(files) <= state.FOLD
        folded = any(one.level for one in known.files["actor_day"])
        assert folded or names <= files
        names = files
    assert [one.level for one in known.files["actor_day"]].count(1) == 1
    assert known.rows("actor_day") == 11
    assert said(known) == said(usage.rebuild(ws))


def test_what_a_rebuild_made_is_not_folded_with_the_days_after_it(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_DAY_ROWS", 2)
    publish(ws, *(day(number) for number in range(1, 21)))
    (large,) = usage.refresh(ws).files["actor_day"]
    assert large.level == 1
    for number in range(21, 29):
        publish(ws, day(number))
        known = usage.refresh(ws)
    assert [one.level for one in known.files["actor_day"]] == [1, 1]
    assert large in known.files["actor_day"]
    assert said(known) == said(usage.rebuild(ws))


def test_compaction_changes_nothing(ws: Workspace) -> None:
    for actor in ("AIDA1", "AIDA2"):
        publish(ws, day(1, actor_id=actor))
    known = usage.refresh(ws, until=1)
    old = telemetry.live_files(ws.db)
    path = telemetry.new_path("aws.cloudtrail", old[0].day)
    import duckdb

    files = [str(ws.activity / one.path) for one in old]
    duckdb.execute(f"COPY (SELECT * FROM read_parquet({files})) TO '{ws.activity / path}' (FORMAT parquet)")
    whole = telemetry.NewFile(
        path=path, source=old[0].source, day=old[0].day, rows=6, size_bytes=1, digest="d", first_at=old[0].first_at,
        last_at=old[0].last_at, batches=[1, 2],
    )  # fmt: skip
    telemetry.swap(ws.db, old, whole)
    assert usage.refresh(ws, until=1) == known
    both = usage.refresh(ws)
    assert {row[1]: row[6] for row in said(both)["actor_day"]} == {"AIDA1": 3, "AIDA2": 3}
    assert said(both) == said(usage.rebuild(ws))


def test_what_is_retired_stays_remembered_until_it_is_counted_again(ws: Workspace) -> None:
    publish(ws, day(1), day(2))
    known = usage.refresh(ws)
    telemetry.retire(ws.db, "test", before=datetime(2026, 11, 2).date())
    assert usage.refresh(ws) == known
    assert [row[3].day for row in said(usage.rebuild(ws))["actor_day"]] == [2]


def test_a_reader_keeps_its_generation_for_an_hour(ws: Workspace, clock: Clock) -> None:
    publish(ws, day(1))
    old = usage.refresh(ws)
    before = said(old)
    publish(ws, day(2))
    usage.refresh(ws)
    assert said(old) == before
    clock.now += state.GRACE + timedelta(minutes=1)
    publish(ws, day(3))
    usage.refresh(ws)
    assert not old.table("actor_action").files[0].exists()
    known = usage.current(ws)
    kept = {one.name for files in known.files.values() for one in files} | set(known.leaving)
    assert {path.name for path in (ws.activity / "state").glob("*.parquet")} == kept


def test_the_lakes_own_sweep_leaves_the_state_alone(ws: Workspace) -> None:
    publish(ws, day(1))
    known = usage.refresh(ws)
    for path in (ws.activity / "state").iterdir():
        os.utime(path, (0, 0))
    telemetry.sweep(ws.db, ws.activity)
    assert usage.current(ws) == known
    assert any(said(known).values())


def test_two_writers_do_not_work_at_once(ws: Workspace, clock: Clock) -> None:
    publish(ws, day(1))
    with ws.db.bookkeep() as conn:
        lease = leases.take(conn, state._LEASE, "another/1/x", clock())
    assert lease is not None
    with pytest.raises(Conflict, match="another process"):
        usage.refresh(ws)
    assert usage.current(ws).number == 0  # readers do not wait
    with ws.db.bookkeep() as conn:
        leases.release(conn, lease, clock())
    assert usage.refresh(ws).number == 1


def test_a_writer_that_lost_its_lease_publishes_nothing(ws: Workspace, clock: Clock) -> None:
    publish(ws, day(1))
    real = baseline.delta

    def slow(table: str, where: str) -> str:
        clock.now += leases.TTL  # it sleeps past its lease, and another takes it
        with ws.db.bookkeep() as conn:
            leases.take(conn, state._LEASE, "another/1/x", clock())
        return real(table, where=where)

    making = state.Making(delta=slow, merge=baseline.merge)
    with pytest.raises(Conflict, match="taken over"):
        state.advance(ws.db, ws.activity, ws.activity / "state", making, spill=ws.tmp)
    assert usage.current(ws).number == 0


def test_a_writer_that_slept_writes_nothing_over_what_another_published(ws: Workspace, clock: Clock) -> None:
    publish(ws, day(1))
    asked: list[str] = []

    def slow(table: str, where: str) -> str:
        asked.append(table)
        if len(asked) == 2:  # it sleeps past its lease; another begins at the same generation, and ends
            clock.now += leases.TTL
            with ws.db.bookkeep() as conn:
                leases.take(conn, state._LEASE, "another/1/x", clock())
            clock.now += leases.TTL
            publish(ws, day(2))
            usage.refresh(ws)
        return baseline.delta(table, where=where)

    making = state.Making(delta=slow, merge=baseline.merge)
    with pytest.raises(Conflict, match="taken over"):
        state.advance(ws.db, ws.activity, ws.activity / "state", making, spill=ws.tmp)
    known = usage.current(ws)
    assert known.batch == 2
    assert said(known) == said(usage.rebuild(ws))


def test_a_database_older_than_the_state_makes_it_anew(ws: Workspace, clock: Clock) -> None:
    publish(ws, day(1))
    with sqlite3.connect(ws.path / "state.db") as db:
        db.execute("VACUUM INTO ?", [str(ws.path / "backup.db")])
    publish(ws, day(2))
    usage.refresh(ws)
    ws.db.close()
    for side in ("state.db", "state.db-wal", "state.db-shm"):
        (ws.path / side).unlink(missing_ok=True)
    shutil.move(ws.path / "backup.db", ws.path / "state.db")
    with Workspace.open(ws.path, clock=clock) as restored:
        clock.now += timedelta(minutes=5)
        publish(restored, day(3))  # numbered as the lost one was
        assert [row[3].day for row in said(usage.refresh(restored))["actor_day"]] == [1, 3]


def test_a_database_without_any_events_empties_the_state(ws: Workspace, clock: Clock, tmp_path: Path) -> None:
    publish(ws, day(1))
    usage.refresh(ws)
    with Workspace.create(tmp_path / "new", clock=clock) as new:
        shutil.copytree(ws.activity / "state", new.activity / "state")
        assert not any(said(usage.refresh(new)).values())
        assert usage.current(new).batch == 0
        assert usage.refresh(new).number == 2  # once is enough


def test_other_columns_make_it_anew(ws: Workspace) -> None:
    publish(ws, day(1))
    first = usage.refresh(ws)
    manifest = ws.activity / "state" / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**told, "layout": "of another version"}))
    assert not usage.current(ws).files
    again = usage.refresh(ws)
    assert again.number == 2
    assert said(again) == said(first)


def test_any_amount_is_counted_in_portions(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(ws, *(day(number) for number in range(1, 29)))
    whole = said(usage.refresh(ws))
    monkeypatch.setattr(state, "MOST_ROWS", 4)
    portioned = usage.rebuild(ws)
    assert said(portioned) == whole
    files = {path.name for path in (ws.activity / "state").glob(f"*-{portioned.number:06}-*.parquet")}
    assert files == {one.name for table in portioned.files.values() for one in table}  # nothing in between is left


def test_a_full_disk_leaves_what_was_known(ws: Workspace) -> None:
    publish(ws, day(1))
    known = usage.refresh(ws)
    publish(ws, day(2))

    def full(_table: str, _where: str) -> str:
        return "SELECT error('No space left on device') FROM activity"

    making = state.Making(delta=full, merge=baseline.merge)
    with pytest.raises(Unavailable) as told:
        state.advance(ws.db, ws.activity, ws.activity / "state", making, spill=ws.tmp)
    assert "make room" in str(told.value.advice)
    assert usage.current(ws) == known
    assert usage.refresh(ws).number == 2


@pytest.mark.parametrize("failing", [".parquet", "manifest.json"])
def test_a_disk_that_fails_to_sync_leaves_what_was_known(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    publish(ws, day(1))
    known = usage.refresh(ws)
    publish(ws, day(2))
    sync = state.sync

    def broken(path: Path) -> None:
        if path.name.endswith(failing):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(path)

    monkeypatch.setattr(state, "sync", broken)
    with pytest.raises(Unavailable, match="could not be written"):
        usage.refresh(ws)
    monkeypatch.undo()
    assert usage.current(ws) == known
    assert usage.refresh(ws).batch == 2


def test_the_lease_is_the_same_on_both_databases(database: Database, tmp_path: Path) -> None:
    making = state.Making(delta=lambda table, where: baseline.delta(table, where=where), merge=baseline.merge)
    lake.publish(database, tmp_path / "lake", day(1))
    known = state.advance(database, tmp_path / "lake", tmp_path / "lake" / "state", making, spill=tmp_path)
    assert known.batch == 1
    with database.read() as conn:
        assert conn.scalar(sa.text("select count(*) from lease where name = 'usage-state'")) == 1


# ------------------------------------------------------------------ killed


def _run(folder: Path, edge: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.store.killed_state", str(folder), str(edge)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def _killed(ws: Workspace, clock: Clock, tmp_path: Path, every: int) -> None:
    publish(ws, day(1), day(2))
    before = said(usage.refresh(ws))
    publish(ws, day(2, actor_id="AIDA2"), day(3))
    ws.db.close()
    shutil.copytree(ws.path, tmp_path / "whole")
    counted = _run(tmp_path / "whole", 0)
    assert counted.stdout.startswith("done"), counted.stderr
    edges = int(counted.stdout.split()[1])
    with Workspace.open(tmp_path / "whole", clock=clock) as whole:
        after = said(usage.current(whole))
    assert after != before
    seen = set()
    for edge in sorted({*range(1, edges + 1, every), edges}):
        shutil.copytree(ws.path, tmp_path / "killed")
        assert _run(tmp_path / "killed", edge).returncode == -9
        with Workspace.open(tmp_path / "killed", clock=clock) as left:
            known = said(usage.current(left))
            assert known in (before, after), f"edge {edge} left something else"
            seen.add(known == after)
            assert said(usage.refresh(left)) == after, f"edge {edge}: the next refresh did not mend it"
        shutil.rmtree(tmp_path / "killed")
    assert seen == {True, False}


def test_killed_it_leaves_the_old_generation_or_the_new(ws: Workspace, clock: Clock, tmp_path: Path) -> None:
    _killed(ws, clock, tmp_path, every=9)


@pytest.mark.chaos
def test_killed_at_every_edge(ws: Workspace, clock: Clock, tmp_path: Path) -> None:
    _killed(ws, clock, tmp_path, every=1)
