"""Many files of a day become one, sorted by identity and time: less to open, a third smaller, one actor in one place.

The new file is written and synced beside the old ones; one transaction then puts it in their place. Killed before it,
the new file is an orphan; killed after it, the old ones are: `telemetry.sweep` deletes either, later. Days that
are still filling are compacted too; whether that is worth it is decided by the number of files.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from wardship.ingest.telemetry.staging import configured, describe, write_parquet
from wardship.model.activity import ACTIVITY
from wardship.store import telemetry
from wardship.store.engine import literal
from wardship.store.telemetry import LiveFile
from wardship.store.work_folder import work_folder
from wardship.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a run did: days made one file, files that went, bytes before and after."""

    days: int = 0
    files: int = 0
    before_bytes: int = 0
    after_bytes: int = 0


def compact(ws: Workspace, *, least_files: int = 2, check: Callable[[], None] | None = None) -> Compacted:
    """Compacts every (source, day) of at least `least_files` files. `check` is called before each and may raise.

    What is imported meanwhile is left for the next run. Raises Unavailable when there is no room.
    """
    done = Compacted()
    live = telemetry.live_files(ws.db)
    with (
        work_folder(ws.tmp) as folder,
        duckdb.connect(config=configured(folder, ws.settings.telemetry.memory_mb)) as db,
    ):
        for _day, group in itertools.groupby(live, key=lambda one: (one.source, one.day)):
            files = list(group)
            if len(files) < least_files or (len(files) == 1 and files[0].compacted):
                continue
            if check is not None:
                check()
            with telemetry.writing(ws.activity):  # no sweep takes the new file for one that nobody wants
                after = _compact_day(ws, db, files)
            if after is not None:
                done = Compacted(
                    days=done.days + 1,
                    files=done.files + len(files),
                    before_bytes=done.before_bytes + sum(one.size_bytes for one in files),
                    after_bytes=done.after_bytes + after,
                )
    return done


def retain(ws: Workspace, *, actor: str) -> int:
    """Takes out the events that are older than the settings keep; returns how many."""
    return telemetry.retire(ws.db, actor, before=oldest_day(ws))


def oldest_day(ws: Workspace) -> date:
    """The first day whose events the settings keep."""
    return (ws.db.clock() - timedelta(days=ws.settings.telemetry.keep_days)).date()


def _compact_day(ws: Workspace, db: duckdb.DuckDBPyConnection, files: list[LiveFile]) -> int | None:
    """Size in bytes of the file that holds all of `files` now; None: somebody else changed the day meanwhile."""
    source, day = files[0].source, files[0].day
    path = telemetry.new_path(source, day)
    columns = ", ".join(ACTIVITY)
    listed = ", ".join(literal(str(ws.activity / one.path)) for one in files)
    rows = (
        f"SELECT {columns} FROM read_parquet([{listed}], union_by_name = true)"  # noqa: S608 - files of ours
        " ORDER BY actor_authority, actor_id, time, uid"
    )
    written = write_parquet(db, rows, ws.activity / path)
    if written != sum(one.rows for one in files):
        raise AssertionError(f"compaction of {source} {day} would lose or double events")
    new = describe(
        ws.activity,
        path,
        source=source,
        day=day,
        rows=written,
        first=min(one.first_at for one in files),
        last=max(one.last_at for one in files),
        batches=sorted({batch for one in files for batch in one.batches}),
    )
    try:
        telemetry.swap(ws.db, files, new)
    except telemetry.Stale:
        (ws.activity / path).unlink(missing_ok=True)
        return None
    return new.size_bytes
