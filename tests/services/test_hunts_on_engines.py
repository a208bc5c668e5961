"""Every hunt gives the same answer wherever the events lie: DuckDB, a Spark cluster, ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from tests.analysis import estate_events
from wardship.analysis import baseline
from wardship.model.baseline import STATE
from wardship.model.facts import FACTS
from wardship.model.policy import Policy
from wardship.sdk.hunt import Hunt, load_hunts
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.engine import DuckDbEngine, Engine, SparkEngine, Table, duckdb_select

pytestmark = pytest.mark.servers
Answers = list[str]
HUNTS = load_hunts()
NOW = datetime(2026, 11, 1, tzinfo=UTC)
VALUES = {**Policy().parameters(NOW), "since": datetime(2026, 9, 1)}
IDENTITY = {  # every actor of the estate is in the inventory
    "uid": "'id_' || actor_id", "authority": "actor_authority", "native_id": "actor_id", "name": "actor_name",
    "kind": "CASE WHEN actor_kind = 'role' THEN 'workload_role' WHEN actor_kind = 'application' THEN 'oauth_app' ELSE"
    " 'access_key_holder' END", "presence": "'present'", "standing": "'own'",
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    folder = tmp_path_factory.mktemp("tables")
    activity = estate_events.events(folder)
    made = {name: Table(name=name, columns=columns) for name, columns in {**FACTS, **STATE}.items()}
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW activity AS {duckdb_select(activity)}")
        actors = (
            "(SELECT DISTINCT actor_authority, actor_id, actor_name, actor_kind FROM activity WHERE actor_id <> '')"
        )
        rows = {table: baseline.merge(table, baseline.delta(table)) for table in STATE}
        rows["identity"] = _facts("identity", IDENTITY, actors)
        alias = {"authority": "actor_authority", "native_id": "actor_id", "identity_uid": "'id_' || actor_id"}
        rows["identity_alias"] = _facts("identity_alias", alias, actors)
        for name, sql in rows.items():
            path = folder / f"{name}.parquet"
            db.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
            path.chmod(0o644)
            made[name] = Table(name=name, columns=made[name].columns, files=(path,))
    return [activity, *made.values()]


def _facts(table: str, known: dict[str, str], rows: str) -> str:
    columns = ", ".join(f'CAST({known.get(name, "NULL")} AS {kind}) AS "{name}"' for name, kind in FACTS[table].items())
    return f"SELECT {columns} FROM {rows}"


@pytest.fixture(scope="module", params=["spark", "clickhouse"])
def engine(request: pytest.FixtureRequest, tables: list[Table]) -> Iterator[Any]:
    opened: Any = (
        ClickHouseEngine(tables)
        if request.param == "clickhouse"
        else SparkEngine(tables, request.getfixturevalue("spark_url"))
    )
    with opened as running:
        yield running


@pytest.fixture(scope="module")
def expected(tables: list[Table]) -> Iterator[Callable[[Hunt], Answers]]:
    with DuckDbEngine(tables) as here:
        yield lambda hunt: _answers(here, hunt)


def _answers(engine: Engine, hunt: Hunt) -> Answers:
    sql = hunt.compiled.sql(engine.dialect)
    return sorted(_plain(row) for row in engine.query(sql, hunt.compiled.arguments(VALUES)))


def _plain(row: tuple[Any, ...]) -> str:
    """Numbers as numbers: engines differ in the type of a sum."""
    return repr(tuple(round(float(one), 6) if isinstance(one, (int, float)) else one for one in row))


@pytest.mark.parametrize("hunt", HUNTS, ids=lambda one: one.id)
def test_a_hunt_is_the_same_on_every_engine(hunt: Hunt, engine: Any, expected: Callable[[Hunt], Answers]) -> None:
    assert _answers(engine, hunt) == expected(hunt)


def test_some_hunts_find_something_here(expected: Callable[[Hunt], Answers]) -> None:
    assert sum(bool(expected(hunt)) for hunt in HUNTS) >= 3
