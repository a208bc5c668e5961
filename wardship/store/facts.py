"""Fact snapshots: the current tables joined into the fact tables of `wardship.model.facts`, kept as Parquet.

How it runs: one consistent read of the database streams each table as CSV (the database itself formats it) into a
private folder; DuckDB loads it, joins it (`facts_sql/`), and writes sorted Parquet; the folder is renamed to the
snapshot's id. A process killed at any moment leaves a complete snapshot or none.

What the columns say, where that takes a decision:
- **Merged identities.** `resolution` names the row that represents an identity. A column is the first value that is
  known, asked of the representing row, then of the other parts by rank. It is present while any part is.
- **Use.** An identity is *used* if any source says so of it, of a part or of a credential of its. It is *never* used
  only if that is a complete answer: some source says never, none says that it does not know, and either a source
  speaks of the identity itself or every credential that could be used has an answer. Everything else is *unknown*.
  `use_read_at` is the instant up to which use is known: that of the oldest answer, NULL while they are not complete.
- **Owners.** A claim resolves to a person or team by the exact id the system gave, or by the exact e-mail address in
  lower case; never by name. An attested claim past its date has lapsed. What is rejected counts for nothing.
- **Suppliers** match by exact id or domain, never by name.
- **Secrets.** What has the same keyed fingerprint is one secret, wherever it was seen. An exposure is a credential
  whose fingerprint or public id (AKIA..., a key pair's SHA256, a thumbprint) it has exactly; never by name. `secret`
  holds the steps after a leak: *vaulted* when a secrets manager holds the value, or a person linked its replacement
  (unknown while no manager was read with fingerprints);
  *consumers_moved* when no place that something runs with holds it and the old credential is gone, disabled, or known
  not to be used since; *source_removed* when no newest state holds it; *history_purged* when no reading finds it.
- **Audit logs** answer about use as any other source does, joined by exact ids. "Not used" needs every day of the
  needed time (but for the few the policy forgives) with every part of the log that could show it: by events, or by
  a complete reading (docs/adr/0038). The needed time is the policy's, or longer where a business period of the
  identity's process last took place before it (docs/use-verdicts.md).

Not here: what is good or bad about any of it (rules), and where snapshots are kept (services).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.access import CredentialType, Tier
from wardship.model.baseline import MOST_ACTIONS, STATE
from wardship.model.errors import ConfigError, DataError
from wardship.model.exposure import CONSUMER_PLACES
from wardship.model.facts import FACTS, FACTS_VERSION, Snapshot
from wardship.sdk import registry
from wardship.sdk.i18n import _
from wardship.sdk.source import DEFAULT_PARTS, SourceManifest, parts_of
from wardship.store import tables, telemetry_tables
from wardship.store.columns import Instant
from wardship.store.db import Database
from wardship.store.disk import sync
from wardship.store.engine import Table, duckdb_select, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STATIC_CREDENTIALS = (
    CredentialType.ACCESS_KEY,
    CredentialType.CLIENT_SECRET,
    CredentialType.CONSOLE_PASSWORD,
    CredentialType.PASSWORD,
    CredentialType.API_KEY,
    CredentialType.TOKEN,
    CredentialType.SSH_KEY,
)
"""Credentials that whoever copies them can use: what `static_credentials` counts."""

_MEMORY_LIMIT = "1GB"
_LONGEST_ROW_BYTES = 64 * 1024 * 1024
_SOURCES: Mapping[str, sa.Table] = {
    **{f"raw_{family}": table for family, table in tables.CURRENT.items()},
    "raw_usage": tables.usage,
    "raw_resolution": tables.resolution,
    "raw_scope": tables.scope,
    "raw_secret_link": tables.secret_link,
    "raw_secret_check": tables.secret_check,
    "raw_guard_run": tables.guard_run,
    "raw_telemetry_window": telemetry_tables.telemetry_window,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The last whole occurrence of a business period. `process`: it concerns identities of this one; None: all."""

    name: str
    process: str | None
    start_on: date
    end_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """What audit logs bring into the facts. `state`: the tables of `wardship.model.baseline` that there are."""

    state: Sequence[Table] = ()
    periods: Sequence[Period] = ()
    environments: Mapping[str, str] = field(default_factory=dict)  # of declared networks, by their names
    inactive_days: int = 90
    hole_days: int = 3


def write_snapshot(
    db: Database,
    folder: Path,
    *,
    as_of: datetime,
    scan_seq: int,
    logs: Logs | None = None,
    memory_limit: str = _MEMORY_LIMIT,
) -> Snapshot:
    """Writes the facts as they stand now to `folder`/<id> and registers the snapshot as the newest.

    `logs`: what is known from audit logs; None: nothing.
    `as_of` decides which attestations have lapsed. Writing the same facts again gives the same snapshot. Takes a
    lock on `folder`: a second writer waits. Peak memory is about `memory_limit`, whatever the number of rows.
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of has no time zone")
    with _alone(folder):
        building = folder / f".building-{uuid.uuid4().hex}"
        building.mkdir(mode=0o700)
        try:
            with db.read() as conn:
                _export(conn, building)
            hashes = _join(building, as_of, logs or Logs(), memory_limit)
            snapshot = Snapshot(
                id=_snapshot_id(hashes),
                folder=folder / _snapshot_id(hashes),
                as_of=as_of.astimezone(UTC),
                scan_seq=scan_seq,
                facts_version=FACTS_VERSION,
                tables=hashes,
            )
            if not snapshot.folder.exists():
                _write_manifest(building, snapshot)
                building.rename(snapshot.folder)
                sync(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        _register(db, snapshot)
    return snapshot


def write_rows(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]], *, as_of: datetime) -> Snapshot:
    """Facts made up by hand, such as a rule's examples, as an unregistered snapshot without an id. For few rows."""
    import duckdb

    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        for table, columns in FACTS.items():
            typed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            db.execute(f'CREATE TABLE "{table}" ({typed})')
            marks = ", ".join("?" for _ in columns)
            for row in rows.get(table, ()):
                db.execute(f'INSERT INTO "{table}" VALUES ({marks})', [row.get(name) for name in columns])  # noqa: S608 - our names
            db.execute(f'COPY "{table}" TO {literal(str(folder / f"{table}.parquet"))} (FORMAT parquet)')
    return Snapshot(id="", folder=folder, as_of=as_of, scan_seq=0, facts_version=FACTS_VERSION, tables={})


def open_snapshot(folder: Path, snapshot_id: str) -> Snapshot:
    """The snapshot of that id. Raises ConfigError when it is not there (never written, or retention removed it)."""
    if len(snapshot_id) != 64 or not set(snapshot_id) <= set("0123456789abcdef"):
        raise ConfigError(
            _("%(snapshot_id)r is not a snapshot id") % {"snapshot_id": snapshot_id[:80]},
            advice=_("a snapshot id has 64 hexadecimal digits"),
        )
    try:
        told = json.loads((folder / snapshot_id / "manifest.json").read_text())
    except FileNotFoundError:
        raise ConfigError(
            _("snapshot %(snapshot_id)s is not in this workspace") % {"snapshot_id": snapshot_id},
            advice=_("it was removed by retention, or belongs to another workspace; `wardship scan` writes a new one"),
        ) from None
    return Snapshot(
        id=snapshot_id,
        folder=folder / snapshot_id,
        as_of=datetime.fromisoformat(told["as_of"]),
        scan_seq=told["scan_seq"],
        facts_version=told["facts_version"],
        tables={name: (rows, digest) for name, (rows, digest) in told["tables"].items()},
    )


def latest_snapshot(db: Database, folder: Path) -> Snapshot | None:
    """The snapshot that was registered last, or None before the first scan."""
    with db.read() as conn:
        newest = conn.scalar(sa.select(tables.snapshot.c.id).order_by(tables.snapshot.c.seq.desc()).limit(1))
    return None if newest is None else open_snapshot(folder, newest)


def snapshot_at(db: Database, folder: Path, at: datetime) -> Snapshot | None:
    """The snapshot that was the newest at the instant `at`: what was known then. None: nothing was yet."""
    with db.read() as conn:
        found = conn.scalar(
            sa.select(tables.snapshot.c.id)
            .where(tables.snapshot.c.created_at <= at)
            .order_by(tables.snapshot.c.seq.desc())
            .limit(1)
        )
    return None if found is None else open_snapshot(folder, found)


def verify_snapshot(snapshot: Snapshot) -> None:
    """Recomputes every hash from the Parquet files. Raises DataError naming the table that was changed."""
    import duckdb

    with duckdb.connect(config={"threads": "2"}) as db:
        for table in FACTS:
            if not snapshot.file(table).exists():
                raise DataError(_("snapshot %(id)s: %(table)s is missing") % {"id": snapshot.id, "table": table})
            source = f"read_parquet({literal(str(snapshot.file(table)))})"
            try:
                found = _digest(db, table, source)
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise DataError(
                    _("snapshot %(id)s: %(table)s cannot be read: %(reason)s")
                    % {"id": snapshot.id, "table": table, "reason": reason}
                ) from None
            if found != snapshot.tables.get(table):
                raise DataError(
                    _("snapshot %(id)s: %(table)s is not what was written") % {"id": snapshot.id, "table": table}
                )
    if _snapshot_id(snapshot.tables) != snapshot.id:
        raise DataError(_("snapshot %(id)s: the manifest is not what was written") % {"id": snapshot.id})


def remove_old_snapshots(db: Database, folder: Path, *, keep: int) -> list[str]:
    """Removes all but the newest `keep` snapshots and those that a finding which is not closed refers to.

    Returns the ids removed. Also clears what killed writers left.
    """
    if keep < 1:
        raise ConfigError(_("retention of %(keep)s snapshots") % {"keep": keep}, advice=_("keep at least 1"))
    register, finding = tables.snapshot, tables.finding
    with _alone(folder), db.bookkeep() as conn:
        newest = set(conn.scalars(sa.select(register.c.id).order_by(register.c.seq.desc()).limit(keep)))
        in_use = set(conn.scalars(sa.select(finding.c.snapshot_id).where(finding.c.state != "closed").distinct()))
        known = set(conn.scalars(sa.select(register.c.id)))
        on_disk = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
        old = sorted((known | on_disk) - newest - in_use)
        for name in old:
            conn.execute(register.delete().where(register.c.id == name))
            shutil.rmtree(folder / name, ignore_errors=True)
    return old


# ---------------------------------------------------------------- out of the database


def _export(conn: Connection, folder: Path) -> None:
    """Every source table as CSV: every value quoted, NULL an empty field, instants naive UTC."""
    sqlite = conn.dialect.name == "sqlite"
    if not sqlite:  # one view of the database for all tables
        conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    for name, table in _SOURCES.items():
        with (folder / f"{name}.csv").open("wb") as out:
            if sqlite:
                _export_sqlite(conn, table, out.write)
            else:
                _export_postgresql(conn, table, out.write)


def _export_sqlite(conn: Connection, table: sa.Table, write: Callable[[bytes], object]) -> None:
    fields = [
        f"""coalesce('"' || replace("{column.name}", '"', '""') || '"', '')"""
        if isinstance(column.type, sa.Text)
        else f"""coalesce("{column.name}", '')"""
        for column in table.columns
    ]
    line = " || ',' || ".join(fields) + " || char(10)"
    cursor = conn.exec_driver_sql(f'select {line} from "{table.name}"').cursor  # noqa: S608 - our names
    assert cursor is not None  # noqa: S101 - a select has one
    while rows := cursor.fetchmany(5_000):
        write("".join(row[0] for row in rows).encode())


def _export_postgresql(conn: Connection, table: sa.Table, write: Callable[[bytes], object]) -> None:
    fields = [
        f""""{column.name}" at time zone 'UTC'""" if isinstance(column.type, Instant) else f'"{column.name}"'
        for column in table.columns
    ]
    texts = ", ".join(f'"{column.name}"' for column in table.columns if isinstance(column.type, sa.Text))
    columns = ", ".join(f'{field} as "{column.name}"' for field, column in zip(fields, table.columns, strict=True))
    copy = f'copy (select {columns} from "{table.name}") to stdout with (format csv, force_quote ({texts}))'  # noqa: S608 - our names
    driver: Any = conn.connection.driver_connection  # psycopg's: COPY is not in the common interface
    with driver.cursor() as cursor, cursor.copy(copy) as rows:
        for chunk in rows:
            write(bytes(chunk))


# ---------------------------------------------------------------- joined, sorted, written, hashed


def _join(folder: Path, as_of: datetime, logs: Logs, memory_limit: str) -> dict[str, tuple[int, str]]:
    import duckdb

    spill = folder / "spill"
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill),
        "threads": "2",
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    hashes = {}
    with duckdb.connect(str(folder / "work.duckdb"), config=config) as db:
        for name, table in _SOURCES.items():
            _load(db, folder / f"{name}.csv", name, table)
        db.execute("CREATE TABLE as_of AS SELECT CAST(? AS DATE) AS today", [as_of.astimezone(UTC).date()])
        db.execute("CREATE TABLE static_type AS SELECT unnest(?) AS type", [[str(kind) for kind in STATIC_CREDENTIALS]])
        db.execute(
            "CREATE TABLE tier_order AS SELECT unnest(?) AS tier, unnest(range(len(?))) AS place",
            [[str(tier) for tier in Tier]] * 2,
        )
        db.execute("CREATE TABLE consumer_place AS SELECT unnest(?) AS place", [[str(one) for one in CONSUMER_PLACES]])
        _load_logs(db, logs)
        for part in sorted(Path(__file__).with_name("facts_sql").glob("*.sql")):
            db.execute(part.read_text(encoding="utf-8"))
        for fact, columns in FACTS.items():
            typed = ", ".join(f'CAST("{column}" AS {kind}) AS "{column}"' for column, kind in columns.items())
            key, path = next(iter(columns)), folder / f"{fact}.parquet"
            db.execute(
                f'COPY (SELECT {typed} FROM "fact_{fact}" ORDER BY "{key}") TO {literal(str(path))}'  # noqa: S608 - our names
                " (FORMAT parquet, COMPRESSION zstd)"
            )
            path.chmod(0o600)
            sync(path)
            hashes[fact] = _digest(db, fact, f"read_parquet({literal(str(path))})")
    for leftover in (*folder.glob("work.duckdb*"), *folder.glob("*.csv")):
        leftover.unlink()
    shutil.rmtree(spill, ignore_errors=True)
    return hashes


def _load_logs(db: DuckDBPyConnection, logs: Logs) -> None:
    given = {table.name: table for table in logs.state}
    for name, columns in STATE.items():
        table = given.get(name) or Table(name=name, columns=columns, files=())
        db.execute(f"CREATE VIEW state_{name} AS {duckdb_select(table)}")
    db.execute(
        "CREATE TABLE use_term AS SELECT ? AS inactive_days, ? AS hole_days, ? AS most_actions",
        [logs.inactive_days, logs.hole_days, MOST_ACTIONS],
    )
    db.execute("CREATE TABLE period (name VARCHAR, process VARCHAR, start_day DATE, end_day DATE)")
    for one in logs.periods:
        db.execute("INSERT INTO period VALUES (?, ?, ?, ?)", [one.name, one.process, one.start_on, one.end_on])
    db.execute("CREATE TABLE network (name VARCHAR, environment VARCHAR)")
    for name, environment in logs.environments.items():
        db.execute("INSERT INTO network VALUES (?, ?)", [name, environment])
    db.execute("CREATE TABLE log_source (source VARCHAR, system VARCHAR, logs_reads BOOLEAN, regional BOOLEAN)")
    db.execute(
        "CREATE TABLE log_part (source VARCHAR, part VARCHAR, always BOOLEAN, shown BOOLEAN, live BOOLEAN,"
        " not_for VARCHAR[])"
    )
    told = db.execute("SELECT source FROM state_log_day UNION SELECT source FROM raw_telemetry_window ORDER BY 1")
    for (name,) in told.fetchall():
        manifest = _told_of(name)
        system = name.partition(".")[0] if manifest is None else manifest.connector or name.partition(".")[0]
        logs_reads, regional = (None, False) if manifest is None else (manifest.logs_reads, manifest.regional)
        db.execute("INSERT INTO log_source VALUES (?, ?, ?, ?)", [name, system, logs_reads, regional])
        for part in DEFAULT_PARTS if manifest is None else parts_of(manifest):
            kinds = [str(kind) for kind in part.not_for]
            row = [name, part.name, part.always, part.shown, part.live, kinds]
            db.execute("INSERT INTO log_part VALUES (?, ?, ?, ?, ?, ?)", row)


def _told_of(name: str) -> SourceManifest | None:
    """What a telemetry source says of itself. None: a declared log whose file is no longer there; its events stay."""
    try:
        return registry.source(name).MANIFEST
    except ConfigError:
        return None


def _load(db: DuckDBPyConnection, path: Path, name: str, table: sa.Table) -> None:
    columns = ", ".join(f"{literal(column.name)}: '{_duckdb_type(column.type)}'" for column in table.columns)
    db.execute(
        f"CREATE TABLE {name} AS SELECT * FROM read_csv({literal(str(path))}, columns = {{{columns}}}, "  # noqa: S608 - as above
        "auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', "
        f"nullstr = '', allow_quoted_nulls = false, parallel = false, max_line_size = {_LONGEST_ROW_BYTES})"
    )
    path.unlink()


def _duckdb_type(kind: sa.types.TypeEngine[object]) -> str:
    for ours, theirs in (
        (Instant, "TIMESTAMP"),
        (sa.Boolean, "BOOLEAN"),
        (sa.Date, "DATE"),
        (sa.Float, "DOUBLE"),
        (sa.Integer, "BIGINT"),
        (sa.Text, "VARCHAR"),
    ):
        if isinstance(kind, ours):
            return theirs
    raise AssertionError(f"a column of {kind!r} has no type in the facts")


def _digest(db: DuckDBPyConnection, table: str, source: str) -> tuple[int, str]:
    """(rows, SHA-256) of a fact table, whatever the order of its rows.

    A row is the concatenation of its columns in the order of FACTS: `-` for NULL, else `<characters>:<text>`; instants
    as 2026-11-22T08:00:00.000000, floats with six digits. The table's hash is over the sorted hex hashes of its rows.
    """
    parts = []
    for column, kind in FACTS[table].items():
        text = f'CAST("{column}" AS VARCHAR)'
        if kind == "TIMESTAMP":
            text = f"strftime(\"{column}\", '%Y-%m-%dT%H:%M:%S.%f')"
        elif kind == "DOUBLE":
            text = f"printf('%.6f', \"{column}\")"
        parts.append(f"coalesce(length({text}) || ':' || {text}, '-')")
    rows = db.execute(f"SELECT sha256({' || '.join(parts)}) FROM {source} ORDER BY 1")  # noqa: S608 - as above
    digest, count = hashlib.sha256(), 0
    while chunk := rows.fetchmany(10_000):
        count += len(chunk)
        digest.update("".join(row[0] for row in chunk).encode())
    return count, digest.hexdigest()


def _snapshot_id(hashes: Mapping[str, tuple[int, str]]) -> str:
    content = {"facts_version": FACTS_VERSION, "tables": hashes}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _write_manifest(folder: Path, snapshot: Snapshot) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(
        json.dumps(
            {
                "id": snapshot.id,
                "as_of": snapshot.as_of.isoformat(),
                "scan_seq": snapshot.scan_seq,
                "facts_version": snapshot.facts_version,
                "tables": snapshot.tables,
            },
            indent=1,
        )
    )
    sync(manifest)
    sync(folder)


def _register(db: Database, snapshot: Snapshot) -> None:
    """Makes it the newest. Facts that come back after others were true keep their id and become the newest again."""
    table = tables.snapshot
    with db.bookkeep() as conn:
        newest = conn.execute(sa.select(table.c.id, table.c.seq).order_by(table.c.seq.desc()).limit(1)).first()
        if newest is not None and newest.id == snapshot.id:
            return
        conn.execute(table.delete().where(table.c.id == snapshot.id))
        conn.execute(
            table.insert().values(
                id=snapshot.id,
                seq=newest.seq + 1 if newest else 1,
                scan_seq=snapshot.scan_seq,
                facts_version=snapshot.facts_version,
                created_at=snapshot.as_of,
                rows=json.dumps(snapshot.tables, sort_keys=True),
            )
        )


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which the kernel frees when its holder dies; clears what dead writers left."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob(".building-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
