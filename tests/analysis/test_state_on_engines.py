"""The same SQL makes the same state of use wherever the events lie: DuckDB, a Spark cluster, ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.activities import write_activities
from tests.analysis import estate_events
from wardship.analysis import baseline
from wardship.model.baseline import STATE
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.engine import DuckDbEngine, Engine, SparkEngine, Table, in_dialect

pytestmark = pytest.mark.servers
Rows = list[str]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Table:
    made = estate_events.events(tmp_path_factory.mktemp("events"))
    signed_in = {
        "time": "2026-11-02T08:00:00", "source": "entra.signin", "account": "t", "actor_authority": "entra:t",
        "actor_id": "u-1", "actor_kind": "user", "detail": '{"app_id": "a-1"}',
    }  # fmt: skip
    more = write_activities(tmp_path_factory.mktemp("sign-ins") / "one.parquet", [signed_in])
    return replace(made, files=[*made.files, more])


@pytest.fixture(params=["spark", "clickhouse"])
def engine(request: pytest.FixtureRequest, events: Table) -> Iterator[Any]:
    opened: Any = (
        ClickHouseEngine([events])
        if request.param == "clickhouse"
        else SparkEngine([events], request.getfixturevalue("spark_url"))
    )
    with opened as running:
        yield running


@pytest.fixture(scope="module")
def expected(events: Table) -> Callable[[str], Rows]:
    def ask(sql: str) -> Rows:
        with DuckDbEngine([events]) as here:
            return _rows(here, sql)

    return ask


def _rows(engine: Engine, sql: str) -> Rows:
    return sorted(map(repr, engine.query(in_dialect(sql, engine.dialect), {})))


@pytest.mark.parametrize("table", STATE)
def test_a_delta_is_the_same_on_every_engine(table: str, engine: Any, expected: Callable[[str], Rows]) -> None:
    sql = baseline.delta(table)
    assert _rows(engine, sql) == expected(sql)
    assert expected(sql)


@pytest.mark.parametrize("table", STATE)
def test_merging_is_the_same_on_every_engine(table: str, engine: Any, expected: Callable[[str], Rows]) -> None:
    twice = baseline.merge(table, f"{baseline.delta(table)} UNION ALL {baseline.delta(table)}", most=4)
    assert _rows(engine, twice) == expected(twice)


def test_every_event_is_there_once_on_every_engine(engine: Any, expected: Callable[[str], Rows]) -> None:
    sql = "SELECT count(*) AS n, count(DISTINCT uid) AS uids, min(time) AS first_at, max(time) AS last_at FROM activity"
    assert _rows(engine, sql) == expected(sql)
