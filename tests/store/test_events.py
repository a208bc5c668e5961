"""One setting chooses who answers questions about events, over our files or over tables that are there already."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.activities import activity_table, write_activities
from wardship.ingest.telemetry import publish_activities
from wardship.model.activity import ACTIVITY
from wardship.model.baseline import STATE
from wardship.model.errors import ConfigError, Unavailable
from wardship.services import usage
from wardship.store.engine import DuckDbEngine
from wardship.store.events import open_engine
from wardship.store.workspace import SETTINGS_FILE, Workspace

Clock = Callable[[], datetime]


def workspace(folder: Path, clock: Clock, settings: str) -> Workspace:
    Workspace.create(folder, clock=clock).close()
    with (folder / SETTINGS_FILE).open("a", encoding="utf-8") as out:
        out.write(f"telemetry: {settings}\n")
    return Workspace.open(folder, clock=clock)


def rows(ws: Workspace, path: Path) -> list[tuple[object, ...]]:
    table = activity_table(write_activities(path, [{"time": "2026-11-01T00:00:00", "operation": "A"}] * 3))
    with open_engine(ws, [table]) as engine:
        return list(engine.query("SELECT count(*) AS n, min(operation) AS o FROM activity", {}))


def test_duckdb_answers_where_nothing_is_said(tmp_path: Path, clock: Clock) -> None:
    with workspace(tmp_path / "w", clock, "{}") as ws:
        assert rows(ws, tmp_path / "a.parquet") == [(3, "A")]


def test_settings_that_do_not_fit_are_refused(tmp_path: Path, clock: Clock) -> None:
    with workspace(tmp_path / "one", clock, "{engine: spark}") as ws, pytest.raises(ConfigError, match="spark"):
        rows(ws, tmp_path / "a.parquet")
    with workspace(tmp_path / "two", clock, "{tables: none.sql}") as ws, pytest.raises(ConfigError, match=r"none\.sql"):
        rows(ws, tmp_path / "a.parquet")
    with workspace(tmp_path / "three", clock, "{tables: t.sql}") as ws:
        (ws.path / "t.sql").write_text("SELECT 1")
        with pytest.raises(ConfigError, match="DuckDB"):
            rows(ws, tmp_path / "a.parquet")


def _there_already(table: str) -> str:
    """SQL that gives the columns of `activity` from a table with another product's names."""
    named = {"operation": "event_name", "time": "event_time"}
    return "SELECT " + ", ".join(f"{named.get(name, 'NULL')} AS {name}" for name in ACTIVITY) + f" FROM {table}\n;\n"


@pytest.mark.servers
def test_clickhouse_asks_tables_that_it_has(tmp_path: Path, clock: Clock) -> None:
    with workspace(tmp_path / "w", clock, "{engine: clickhouse}") as ws:
        assert rows(ws, tmp_path / "a.parquet") == [(3, "A")]
    with workspace(tmp_path / "x", clock, "{engine: clickhouse, tables: t.sql}") as ws:
        theirs = "(SELECT 'B' AS event_name, now() AS event_time FROM numbers(7))"
        (ws.path / "t.sql").write_text(_there_already(theirs))
        assert rows(ws, tmp_path / "a.parquet") == [(7, "B")]


@pytest.mark.servers
def test_spark_asks_tables_that_it_has(tmp_path: Path, clock: Clock, spark_url: str) -> None:
    with workspace(tmp_path / "x", clock, f"{{engine: spark, url: '{spark_url}', tables: t.sql}}") as ws:
        theirs = "(SELECT 'B' AS event_name, now() AS event_time FROM range(7))"
        (ws.path / "t.sql").write_text(_there_already(theirs))
        assert rows(ws, tmp_path / "a.parquet") == [(7, "B")]
        (ws.path / "t.sql").write_text(_there_already("no_such_table"))
        with pytest.raises(Unavailable, match="no_such_table") as refused:
            rows(ws, tmp_path / "a.parquet")
        assert "telemetry.url" in (refused.value.advice or "")


@pytest.mark.servers
def test_the_state_of_use_is_counted_by_the_chosen_engine(tmp_path: Path, clock: Clock) -> None:
    rows = [
        {
            "time": f"2026-11-{1 + n // 40:02}T{n % 24:02}:00:00",
            "operation": f"Op{n % 7}",
            "user_agent": "aws-cli/2.1",
            "actor_authority": "aws:1",
            "actor_id": f"AIDA{n % 5}",
        }
        for n in range(400)
    ]
    told = {}
    for engine in ("duckdb", "clickhouse"):
        with workspace(tmp_path / engine, clock, f"{{engine: {engine}}}") as ws:
            publish_activities(ws, "aws.cloudtrail", [{"service": "s3", **row} for row in rows[:250]])
            usage.refresh(ws)
            publish_activities(ws, "aws.cloudtrail", [{"service": "s3", **row} for row in rows[250:]])
            with DuckDbEngine(usage.refresh(ws).tables()) as here:
                told[engine] = {name: sorted(map(repr, here.query(f'SELECT * FROM "{name}"', {}))) for name in STATE}
    assert told["clickhouse"] == told["duckdb"]
    assert len(told["duckdb"]["actor_action"]) == 35
