"""The state of use (`wardship.model.baseline.STATE`) on disk: Parquet files, and a manifest of those that count.

    manifest.json                   the current generation: its files, and up to which batch of events they go
    actor_network-000012-...        written by generation 12, never changed afterwards

A reader takes the manifest once and reads the files that it names; no reader waits for a writer. A writer makes files
beside them, syncs them, and puts a new manifest in the place of the old: killed at any moment, it leaves the one or
the other. Files that no longer count stay for GRACE, for whoever still reads them.

A table in APPENDED gets a small file each time, and FOLD files of one size are folded into one of the next: what a day
costs does not depend on how many came before. The other tables hold each key once and are written anew each time: they
are as large as an estate has habits, not as it has days.

What the rows say, and how they are made and merged, is given as SQL (`analysis.baseline`). Batches are numbered in the
order of their publication, so one number says which are in. Nothing is subtracted when events are retired: what was
seen stays seen, until `advance(..., afresh=True)` makes everything again from the events that are left.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wardship.model.activity import ACTIVITY
from wardship.model.baseline import APPENDED, STATE
from wardship.model.errors import Conflict, Unavailable
from wardship.sdk.i18n import _
from wardship.store import leases, telemetry
from wardship.store.db import Database
from wardship.store.disk import sync
from wardship.store.engine import Engine, Row, Table, duckdb_select, first_line, in_dialect, literal
from wardship.store.work_folder import work_folder

GRACE = timedelta(hours=1)
FOLD = 8
MOST_ROWS = 4_000_000
"""Events that are counted in one go: what bounds memory, whatever there is to catch up with."""

_DAY_ROWS = 1_000
_MANIFEST = "manifest.json"
_LEASE = "usage-state"
_FILE = re.compile(r"[a-z_]+-(\d{6,})(?:-[0-9a-f]{8})?(?:-\d+)?\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFile:
    """One Parquet file of a table. `level` n: it was folded n times, or is as large as if it had been."""

    name: str
    rows: int
    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The state at one moment. `number` 0: there is none yet, and every table is empty.

    `batch` is the last batch of events in it, added at `batch_at`; `made_at` when the generation was written.
    `leaving` are files of former generations, and since when they do not count.
    """

    folder: Path
    number: int = 0
    batch: int = 0
    batch_at: datetime | None = None
    made_at: datetime | None = None
    files: Mapping[str, Sequence[StateFile]] = field(default_factory=dict)
    leaving: Mapping[str, datetime] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """A table of STATE, to be handed to an engine."""
        paths = [self.folder / one.name for one in self.files.get(name, ())]
        return Table(name=name, columns=STATE[name], files=paths)

    def tables(self) -> list[Table]:
        """All tables of STATE."""
        return [self.table(name) for name in STATE]

    def rows(self, name: str) -> int:
        """Rows that a table has in all its files."""
        return sum(one.rows for one in self.files.get(name, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How the state is made, as SQL in DuckDB's dialect.

    `delta(table, where)`: rows of a table from the events (table `activity`) that `where` leaves; `merge(table, rows)`:
    `rows`, which is SQL, with each key once.

    `elsewhere`: gives another engine that counts the events of a table (docs/adr/0036); None: DuckDB, here. What is
    counted there is small, and merged here.
    """

    delta: Callable[[str, str], str]
    merge: Callable[[str, str], str]
    elsewhere: Callable[[Table], Engine] | None = None


def current(folder: Path) -> Generation:
    """The generation that counts. One of other columns than today's is as none: it must be made afresh."""
    try:
        told = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Generation(folder=folder)
    leaving = {name: datetime.fromisoformat(at) for name, at in told["leaving"].items()}
    files = {
        table: tuple(StateFile(name=name, rows=rows, level=level) for name, rows, level in files)
        for table, files in told["files"].items()
    }
    number, made_at = int(told["number"]), datetime.fromisoformat(told["made_at"])
    if told["layout"] != _layout():
        old = {one.name: made_at for table in files.values() for one in table}
        return Generation(folder=folder, number=number, made_at=made_at, leaving={**leaving, **old})
    return Generation(
        folder=folder,
        number=number,
        batch=told["batch"],
        batch_at=datetime.fromisoformat(told["batch_at"]) if told["batch_at"] else None,
        made_at=made_at,
        files=files,
        leaving=leaving,
    )


def advance(
    db: Database,
    lake: Path,
    folder: Path,
    making: Making,
    *,
    afresh: bool = False,
    until: int | None = None,
    memory_mb: int = 1024,
    spill: Path,
) -> Generation:
    """Brings the state up to batch `until` (None: the newest), and returns what counts then.

    `lake` is the folder of the telemetry files; in `spill` is a folder of its own for what `memory_mb` cannot hold.
    `afresh`: from nothing, as it also happens where the database is older than the state (it was restored from a
    backup). Raises Conflict when another process is at it.
    """
    with _alone(db) as hold:
        before = current(folder)
        batches = telemetry.live_batches(db)
        wanted = [one for one in batches if until is None or one.id <= until]
        last = wanted[-1].id if wanted else 0
        if afresh or not _continues(before, batches):
            before = Generation(folder=folder, number=before.number, leaving=_gone(before, {}, db.clock()))
        elif last <= before.batch:
            return before
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with work_folder(spill) as work, _Duck(memory_mb, work / "spill") as duck:
            made = _Maker(before, making, duck, work)
            new = telemetry.live_files(db, batches_after=before.batch)
            for group in _groups([one for one in new if one.batches[0] <= last]):
                hold()
                events = Table(name="activity", columns=ACTIVITY, files=[lake / one.path for one in group])
                mixed = any(one.batches[0] <= before.batch or one.batches[-1] > last for one in group)
                where = f"batch > {before.batch} AND batch <= {last}" if mixed else "TRUE"
                made.add(events, where, hold)
        files = {table: tuple(files) for table, files in made.files.items()}
        after = Generation(
            folder=folder,
            number=before.number + 1,
            batch=last,
            batch_at=wanted[-1].added_at if wanted else None,
            made_at=db.clock(),
            files=files,
            leaving=_gone(before, files, db.clock()),
        )
        with _written():
            hold(lambda: _write_manifest(after))
        _sweep(after)
        return after


def derive(
    shown: Sequence[Table], made: Mapping[str, tuple[Mapping[str, str], str]], folder: Path, *, memory_mb: int = 1024
) -> list[Table]:
    """Tables made of tables: name -> (columns, SQL in DuckDB's dialect), each written to `folder` as Parquet.

    A later one may ask an earlier one. What `memory_mb` cannot hold is put into the folder meanwhile.
    """
    derived: list[Table] = []
    with _Duck(memory_mb, folder / "spill") as duck:
        for table in shown:
            duck.run(f'CREATE TEMP VIEW "{table.name}" AS {duckdb_select(table)}')
        for name, (columns, sql) in made.items():
            path = folder / f"{name}.parquet"
            duck.run(f"COPY ({sql}) TO {literal(str(path))} (FORMAT parquet)")
            derived.append(Table(name=name, columns=columns, files=(path,)))
            duck.run(f'CREATE TEMP VIEW "{name}" AS {duckdb_select(derived[-1])}')
    return derived


# ---------------------------------------------------------------- one writer


Hold = Callable[..., None]


@contextlib.contextmanager
def _alone(db: Database) -> Iterator[Hold]:
    """The lease on the state. Gives `hold(act)`: proves that it is still ours, and does `act` before anybody else can
    take it."""
    with db.bookkeep() as conn:
        lease = leases.take(conn, _LEASE, leases.new_holder(), db.clock())
    if lease is None:
        raise Conflict(
            _("another process is bringing the state of use up to date"),
            advice=_("let it end, or run this again in a minute"),
        )

    def hold(act: Callable[[], None] | None = None) -> None:
        with db.bookkeep() as conn:
            leases.hold(conn, lease, db.clock())
            if act is not None:
                act()

    try:
        yield hold
    finally:
        with db.bookkeep() as conn:
            leases.release(conn, lease, db.clock())


def _continues(state: Generation, batches: Sequence[telemetry.Batch]) -> bool:
    """Whether the database knows the state's last batch: one from an older backup numbers others the same."""
    return state.batch == 0 or any(one.id == state.batch and one.added_at == state.batch_at for one in batches)


def _groups(files: Sequence[telemetry.LiveFile]) -> Iterator[list[telemetry.LiveFile]]:
    """The files in portions of at most MOST_ROWS events, or of one file."""
    group: list[telemetry.LiveFile] = []
    for one in files:
        if group and sum(each.rows for each in group) + one.rows > MOST_ROWS:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


# ---------------------------------------------------------------- making files


class _Duck(contextlib.AbstractContextManager["_Duck"]):
    """DuckDB with bounded memory; what it cannot hold goes to `spill`, which is gone afterwards."""

    def __init__(self, memory_mb: int, spill: Path) -> None:
        import duckdb

        self._spill = spill
        self._error = duckdb.Error
        self._db = duckdb.connect(
            config={
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": str(spill),
                "threads": "2",
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )

    def __exit__(self, *_exc: object) -> None:
        self._db.close()
        shutil.rmtree(self._spill, ignore_errors=True)

    def run(self, sql: str) -> int:
        """Runs one statement; the number of rows that it wrote, 0 for one that writes none."""
        try:
            done = self._db.execute(sql).fetchone()
        except self._error as error:
            raise Unavailable(
                _("DuckDB: %(error)s") % {"error": first_line(error)},
                system="duckdb",
                operation="count",
                advice=_("make room on the disk of the workspace; what was known before still counts"),
            ) from None
        return int(done[0]) if done else 0


class _Maker:
    """Makes the files of the next generation, step by step. `files` are those that count after what was added.

    No two writers give a file the same name: one that sleeps past its lease and goes on writes nothing over what
    another has published meanwhile.
    """

    def __init__(self, before: Generation, making: Making, duck: _Duck, work: Path) -> None:
        self._folder = before.folder
        self._work = work
        self._number = before.number + 1
        self._writer = uuid.uuid4().hex[:8]
        self._made = 0
        self._making = making
        self._duck = duck
        self.files: dict[str, list[StateFile]] = {table: list(before.files.get(table, ())) for table in STATE}

    def add(self, events: Table, where: str, hold: Hold) -> None:
        """Counts the chosen events into every table."""
        if self._making.elsewhere is None:
            self._duck.run(f"CREATE OR REPLACE TEMP VIEW activity AS {duckdb_select(events)}")
            for table in STATE:
                self._add(table, self._making.delta(table, where))
                hold()
            return
        with self._making.elsewhere(events) as engine:
            for table in STATE:
                rows = engine.query(in_dialect(self._making.delta(table, where), engine.dialect), {})
                self._add(table, _spooled(rows, table, self._work / "fetched.jsonl"))
                hold()

    def _add(self, table: str, delta: str) -> None:
        if table in APPENDED:
            self._append(table, self._write(table, delta, level=0))
            self._fold(table)
        else:
            rows = f"{delta} UNION ALL {self._rows(table, self.files[table])}" if self.files[table] else delta
            self._replace(table, self.files[table], self._write(table, self._making.merge(table, rows), level=0))

    def _fold(self, table: str) -> None:
        """FOLD files of one level become one of the next, and those perhaps again."""
        level = 0
        while level <= max((one.level for one in self.files[table]), default=-1):
            same = [one for one in self.files[table] if one.level == level]
            if len(same) >= FOLD:
                folded = self._write(table, self._making.merge(table, self._rows(table, same)), level=level + 1)
                self._replace(table, same, folded)
            level += 1

    def _append(self, table: str, made: StateFile) -> None:
        if made.rows:
            self.files[table].append(made)
        else:
            (self._folder / made.name).unlink()

    def _replace(self, table: str, old: Sequence[StateFile], made: StateFile) -> None:
        """Puts `made` in the place of `old`; what this writer had made itself goes at once."""
        for one in old:
            if _generation_of(one.name) == self._number:
                (self._folder / one.name).unlink()
        self.files[table] = [one for one in self.files[table] if one not in old]
        self._append(table, made)

    def _write(self, table: str, rows: str, *, level: int) -> StateFile:
        """The rows, sorted by whom they are of, as a synced file at its place."""
        self._made += 1
        path = self._folder / f"{table}-{self._number:06}-{self._writer}-{self._made}.parquet"
        order = "source, day" if table == "log_day" else "authority, actor_id"
        written = self._duck.run(
            f"COPY (SELECT * FROM ({rows}) AS made ORDER BY {order}) TO {literal(str(path))}"  # noqa: S608 - our own
            " (FORMAT parquet, COMPRESSION zstd)"
        )
        with _written():
            path.chmod(0o600)
            sync(path)
        return StateFile(name=path.name, rows=written, level=max(level, _level(written)))

    def _rows(self, table: str, files: Sequence[StateFile]) -> str:
        paths = [self._folder / one.name for one in files]
        return duckdb_select(Table(name=table, columns=STATE[table], files=paths))


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """What the disk refuses, as ours."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            _("the state of use could not be written: %(reason)s") % {"reason": error.strerror},
            system="state",
            operation="write",
            advice=_("make room on the disk of the workspace; what was known before still counts"),
        ) from None


def _level(rows: int) -> int:
    """That of a file as large as one folded so often: what a rebuild makes is not folded with the days after it."""
    return max(0, int(math.log(max(rows, 1) / _DAY_ROWS, FOLD)))


def _spooled(rows: Iterator[Row], table: str, path: Path) -> str:
    """SELECT of rows that another engine counted, kept in the file `path` meanwhile."""
    names = list(STATE[table])
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(dict(zip(names, row, strict=True)), default=str) + "\n")
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in STATE[table].items())
    source = f"read_json({literal(str(path))}, format = 'newline_delimited', columns = {{{columns}}})"
    return f"SELECT {', '.join(names)} FROM {source}"  # noqa: S608 - our names and path


def _generation_of(name: str) -> int:
    found = _FILE.fullmatch(name)
    return int(found[1]) if found else 0


def _gone(before: Generation, files: Mapping[str, Sequence[StateFile]], at: datetime) -> dict[str, datetime]:
    """What no longer counts once `files` do, and since when; without what did not for GRACE."""
    kept = {one.name for table in files.values() for one in table}
    old = {one.name: at for table in before.files.values() for one in table if one.name not in kept}
    return {**old, **{name: since for name, since in before.leaving.items() if at - since < GRACE}}


def _write_manifest(made: Generation) -> None:
    told: dict[str, Any] = {
        "layout": _layout(),
        "number": made.number,
        "batch": made.batch,
        "batch_at": made.batch_at.isoformat() if made.batch_at else None,
        "made_at": made.made_at.isoformat() if made.made_at else None,
        "files": {table: [[one.name, one.rows, one.level] for one in files] for table, files in made.files.items()},
        "leaving": {name: at.isoformat() for name, at in made.leaving.items()},
    }
    beside = made.folder / f".{_MANIFEST}"
    beside.write_text(json.dumps(told, indent=1), encoding="utf-8")
    beside.chmod(0o600)
    sync(beside)
    sync(made.folder)  # the files that it names
    beside.replace(made.folder / _MANIFEST)
    sync(made.folder)


def _sweep(made: Generation) -> None:
    """Deletes what has not counted for GRACE, and what killed writers left: files of generations that came to nothing.

    Only under the lease: nobody else writes files meanwhile.
    """
    kept = {one.name for table in made.files.values() for one in table}
    for path in made.folder.glob("*.parquet"):
        if path.name not in kept and path.name not in made.leaving:
            path.unlink(missing_ok=True)


def _layout() -> str:
    """What the columns of the tables are."""
    return json.dumps(STATE, separators=(",", ":"), sort_keys=True, default=dict)
