"""The tables that detections ask, made ready for an engine: the new events joined with who did them, the state as it
was before, the facts, and what people announced.

Everything lies in a folder of its own that goes with the process. Memory is what the settings allow; events are
streamed from file to file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from wardship.analysis import baseline, event
from wardship.ingest.telemetry import addresses
from wardship.model.activity import ACTIVITY
from wardship.model.alert import ChangeWindow
from wardship.model.baseline import BASELINE, PEER_ACTION, SCORE
from wardship.model.errors import Unavailable
from wardship.model.facts import FACTS
from wardship.sdk.action_class import ACTION_CLASS, action_classes
from wardship.sdk.detection import EVENT, OTHERS
from wardship.sdk.i18n import _
from wardship.store import state, telemetry
from wardship.store.engine import Table, duckdb_select, first_line, tables_of
from wardship.store.facts import latest_snapshot
from wardship.store.rows import write_tables
from wardship.store.work_folder import work_folder
from wardship.store.workspace import Workspace


@contextlib.contextmanager
def made(
    ws: Workspace,
    batches: Sequence[int],
    *,
    since: datetime,
    changes: Sequence[ChangeWindow],
    declared: Mapping[str, str],
) -> Iterator[list[Table]]:
    """The tables of `wardship.sdk.detection.TABLES`, about the events of these batches from `since` on, while the
    context lasts.

    `declared`: subject -> tool, of those that people declared to be provisioning tools. Raises Unavailable.
    """
    with work_folder(ws.tmp) as folder:
        known = [*_facts(ws), *state.current(ws.activity / "state").tables()]
        announced = write_tables(
            folder,
            {"change_window": OTHERS["change_window"], "own_network": OTHERS["own_network"]},
            {"change_window": [_window(one) for one in changes], "own_network": _networks(ws)},
        )
        wanted = set(batches)
        files = [one for one in telemetry.live_files(ws.db, batches_after=min(batches, default=0) - 1)
                 if wanted.intersection(one.batches)]  # fmt: skip
        lake = Table(name="activity", columns=ACTIVITY, files=[ws.activity / one.path for one in files])
        with _duckdb(ws, [lake, *known, *announced], folder) as db:
            operations = db.execute(event.OPERATIONS.format(chosen=event.chosen(batches, since))).fetchall()
            classes = list(action_classes().rows(operations))
            (action,) = write_tables(folder, {"action": ACTION_CLASS}, {"action": classes})
            db.execute(f"CREATE VIEW action AS {duckdb_select(action)}")
            events = _written(db, folder, "event", EVENT, event.events(batches, since))
            db.execute(f"CREATE VIEW event AS {duckdb_select(events)}")
            made = [events, action, *_baselines(db, folder), _provisioners(db, folder, declared)]
        yield [*made, *known, *announced]


def _facts(ws: Workspace) -> list[Table]:
    snapshot = latest_snapshot(ws.db, ws.facts)
    if snapshot is None:
        return [Table(name=name, columns=columns, files=()) for name, columns in FACTS.items()]
    return list(tables_of(snapshot))


def _networks(ws: Workspace) -> list[dict[str, Any]]:
    named = ws.settings.telemetry.networks
    return addresses.declared_networks(ws.path / named) if named else []


def _window(one: ChangeWindow) -> dict[str, Any]:
    return {"start_at": _naive(one.start_at), "end_at": _naive(one.end_at), "scope": one.scope, "reason": one.reason}


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


@contextlib.contextmanager
def _duckdb(ws: Workspace, tables: Sequence[Table], spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with these tables as views. Its errors become ours."""
    config: dict[str, Any] = {
        "memory_limit": f"{ws.settings.telemetry.memory_mb}MB",
        "temp_directory": str(spill),
        "threads": "2",
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    try:
        with duckdb.connect(config=config) as db:
            for table in tables:
                db.execute(f'CREATE VIEW "{table.name}" AS {duckdb_select(table)}')
            yield db
    except duckdb.Error as error:
        raise Unavailable(
            _("DuckDB: %(error)s") % {"error": first_line(error)}, system="duckdb", operation="events"
        ) from None


def _written(db: duckdb.DuckDBPyConnection, folder: Path, name: str, columns: Mapping[str, str], select: str) -> Table:
    path = folder / f"{name}.parquet"
    quoted = str(path).replace("'", "''")
    db.execute(f"COPY ({select}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)")
    return Table(name=name, columns=columns, files=(path,))


def _baselines(db: duckdb.DuckDBPyConnection, folder: Path) -> list[Table]:
    """What was usual when the newest day of the events began, and how each actor's days compare with it. Hours are told
    of who acts: no detection asks for anybody else's."""
    found = db.execute("SELECT max(time) FROM event").fetchone()
    as_of = found[0].replace(tzinfo=UTC) if found and found[0] else datetime(2000, 1, 1, tzinfo=UTC)
    made = []
    for name, columns, select in (
        ("actor_baseline", BASELINE, baseline.actor_baseline(as_of, hours_of="event")),
        ("peer_action", PEER_ACTION, baseline.peer_action(as_of)),
        ("actor_score", SCORE, baseline.score("event")),
    ):
        made.append(_written(db, folder, name, columns, select))
        db.execute(f'CREATE VIEW "{name}" AS {duckdb_select(made[-1])}')
    return made


def _provisioners(db: duckdb.DuckDBPyConnection, folder: Path, declared: Mapping[str, str]) -> Table:
    """Those that the state shows, and those that people named; of both, what people said."""
    db.execute("CREATE TEMP TABLE said (subject VARCHAR, tool VARCHAR)")
    if declared:
        db.executemany("INSERT INTO said VALUES (?, ?)", [list(one) for one in declared.items()])
    return _written(
        db,
        folder,
        "provisioner",
        OTHERS["provisioner"],
        "WITH actors AS (SELECT DISTINCT authority, actor_id, identity_uid FROM event)"  # noqa: S608 - our own text
        " SELECT a.authority, a.actor_id, a.identity_uid, coalesce(s.tool, r.tool) AS tool,"
        " CASE WHEN s.tool IS NULL THEN 'recognised' ELSE 'declared' END AS how"
        " FROM actors AS a"
        f" LEFT JOIN ({event.provisioners()}) AS r ON r.authority = a.authority AND r.actor_id = a.actor_id"
        " LEFT JOIN said AS s ON s.subject IN (a.identity_uid, a.authority || ' ' || a.actor_id)"
        " WHERE coalesce(s.tool, r.tool) IS NOT NULL",
    )
