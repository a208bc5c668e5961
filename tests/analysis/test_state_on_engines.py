"""The same SQL makes the same state of use wherever the events lie: DuckDB, a Spark cluster, ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from tests.activities import activity_table, write_activities
from wardship.analysis import baseline
from wardship.model.baseline import STATE
from wardship.sim.abuse import estate
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.engine import DuckDbEngine, Engine, SparkEngine, Table, in_dialect

pytestmark = pytest.mark.servers
Rows = list[str]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A week of an estate in two files that the workers of the cluster may read."""
    folder = tmp_path_factory.mktemp("events")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    made = estate(seed=3, identities=60, days=7, first_day=date(2026, 9, 28), abused=18)
    rows = [
        {
            **{name: getattr(one, name) for name in type(one).__slots__ if name != "detail"},
            "time": one.time.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "class_uid": int(one.class_uid),
            "actor_kind": one.actor_kind.value,
            "outcome": one.outcome.value,
            "source": "aws.cloudtrail",
            "src_network": str(one.src_ip).rpartition(".")[0],
            "src_country": "ES",
        }
        for day in made.all_days()
        for one in made.events(day)
    ]
    odd = [
        {
            "time": "2026-10-01T00:00:00",
            "actor_authority": None,
            "actor_id": None,
            "actor_name": "Íñigo 'x\\y",
            "operation": "A",
        },
        {
            "time": "2026-10-01T00:00:00",
            "actor_authority": None,
            "actor_id": None,
            "actor_name": None,
            "outcome": "unknown",
        },
        {
            "time": "2026-10-01T23:59:59.999999",
            "session": "i-0abc123 job 77",
            "user_agent": "[curl/8.1 (x)]",
            "mutating": None,
        },
        {
            "time": "2026-12-31T23:00:00",
            "resource_id": "arn:aws:s3:::bucket/key/1",
            "credential_id": "ASIA0000000000000000",
        },
    ]
    half = len(rows) // 2
    return activity_table(
        write_activities(folder / "one.parquet", rows[:half]),
        write_activities(folder / "two.parquet", [*rows[half:], *odd]),
    )


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
