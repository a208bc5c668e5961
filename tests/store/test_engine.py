"""Engines answer about one snapshot and nothing else: a query that got past the check still reaches no file."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wardship.model.errors import Unavailable
from wardship.model.facts import FACTS, Snapshot
from wardship.sdk.fact_query import compile_query
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.engine import DuckDbEngine, Hindered, PostgresEngine, read_table
from wardship.store.facts import write_rows

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
ROWS: dict[str, list[dict[str, Any]]] = {
    "identity": [
        {
            "uid": "id_1",
            "name": 'q"x\n,é',
            "created_at": datetime(2026, 5, 1, 12),
            "attributes": '{"a":{"b":"c"},"n":true}',
        },
        {"uid": "id_2", "name": "50% off", "created_at": None, "attributes": "{}"},
    ]
}


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return write_rows(tmp_path / "facts", ROWS, as_of=AS_OF)


@pytest.fixture(params=["duckdb", "postgres", pytest.param("clickhouse", marks=pytest.mark.servers)])
def engine(request: pytest.FixtureRequest, snapshot: Snapshot) -> Any:
    if request.param == "duckdb":
        opened: Any = DuckDbEngine(snapshot)
    elif request.param == "clickhouse":
        opened = ClickHouseEngine(snapshot)
    else:
        opened = PostgresEngine(snapshot, request.getfixturevalue("postgres_url"))
    with opened as running:
        yield running


def ask(engine: Any, text: str) -> list[tuple[Any, ...]]:
    query = compile_query(text)
    values = query.arguments({"as_of": AS_OF.replace(tzinfo=None), "inactive_days": 90})
    return sorted(engine.query(query.sql(engine.dialect), values), key=repr)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT i.uid FROM identity AS i WHERE i.name = 'q\"x\n,é'", [("id_1",)]),
        ("SELECT i.uid FROM identity AS i WHERE i.name LIKE '%% off'", [("id_2",)]),
        ("SELECT i.uid FROM identity AS i WHERE i.name LIKE '50%'", [("id_2",)]),
        ("SELECT i.attributes ->> '$.a.b' AS x FROM identity AS i", [("c",), (None,)]),
        ("SELECT i.attributes ->> '$.n' AS x FROM identity AS i", [("true",), (None,)]),
        ("SELECT date_diff('day', i.created_at, :as_of) AS d FROM identity AS i", [(31,), (None,)]),
        ("SELECT i.uid FROM identity AS i WHERE i.created_at < :as_of", [("id_1",)]),
        ("SELECT count(*) AS n, :inactive_days AS days FROM identity", [(2, 90)]),
        ("SELECT c.uid FROM credential AS c", []),
        ("SELECT i.created_at FROM identity AS i WHERE i.uid = 'id_1'", [(datetime(2026, 5, 1, 12),)]),
    ],
)
def test_engines_give_the_same_answer(engine: Any, text: str, rows: list[tuple[Any, ...]]) -> None:
    assert ask(engine, text) == sorted(rows, key=repr)


def test_postgresql_can_only_read(snapshot: Snapshot, postgres_url: str) -> None:
    with PostgresEngine(snapshot, postgres_url) as engine:
        assert list(engine.query("SELECT current_setting('transaction_read_only')", {})) == [("on",)]
        with pytest.raises(Unavailable, match="syntax"):
            list(engine.query("CREATE TABLE x AS SELECT 1", {}))


def test_postgresql_takes_text_that_it_cannot_hold(tmp_path: Path, postgres_url: str) -> None:
    rows = {"identity": [{"uid": "id_1", "name": "a\0b", "attributes": '{"x":"\\u0000\\ud800"}'}]}
    with PostgresEngine(write_rows(tmp_path, rows, as_of=AS_OF), postgres_url) as engine:
        assert ask(engine, "SELECT i.name, i.attributes ->> '$.x' AS x FROM identity AS i") == [("a�b", "��")]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_parquet('{other}')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "COPY (SELECT 1 AS uid) TO '{folder}/identity.parquet' (FORMAT parquet)",
        "ATTACH '{folder}/x.db'",
        "EXPORT DATABASE '{folder}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
    ],
)
def test_duckdb_reaches_no_file_but_the_snapshot_s(snapshot: Snapshot, tmp_path: Path, sql: str) -> None:
    other = write_rows(tmp_path / "other", {}, as_of=AS_OF)
    before = snapshot.file("identity").read_bytes()
    with DuckDbEngine(snapshot) as engine:
        with pytest.raises(Unavailable):
            list(engine.query(sql.format(folder=snapshot.folder, other=other.file("identity")), {}))
        assert list(engine.query("SELECT count(*) FROM identity", {})) == [(2,)]
    assert snapshot.file("identity").read_bytes() == before
    assert sorted(path.name for path in snapshot.folder.iterdir()) == sorted(f"{table}.parquet" for table in FACTS)


def test_a_query_that_takes_too_long_is_stopped(snapshot: Snapshot) -> None:
    with DuckDbEngine(snapshot, timeout_s=0.3) as engine, pytest.raises(Unavailable, match=r"(?i)interrupt"):
        list(engine.query("SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range + b.range = 7", {}))


def test_a_query_that_needs_too_much_memory_is_stopped(snapshot: Snapshot) -> None:
    with DuckDbEngine(snapshot, memory_limit="64MB") as engine, pytest.raises(Unavailable, match=r"(?i)memory"):
        list(engine.query("SELECT list(range) FROM range(50000000) GROUP BY range % 2", {}))


def test_a_full_disk_is_not_the_question_s_fault(snapshot: Snapshot, tmp_path: Path) -> None:
    spill = tmp_path / "small"
    spill.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(spill)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        with DuckDbEngine(snapshot, memory_limit="64MB", spill=spill) as engine, pytest.raises(Hindered):
            list(engine.query("SELECT md5(range::VARCHAR) AS m FROM range(3000000) ORDER BY m", {}))
    finally:
        subprocess.run(["umount", str(spill)], check=True)


def test_what_a_log_says_is_not_taken_for_a_full_disk(snapshot: Snapshot) -> None:
    with DuckDbEngine(snapshot) as engine, pytest.raises(Unavailable) as told:
        list(engine.query("SELECT CAST('failed to offload' AS INT)", {}))
    assert not isinstance(told.value, Hindered)


def test_a_table_is_read_as_it_stands(snapshot: Snapshot) -> None:
    assert [row[0] for row in read_table(snapshot.file("identity"))] == ["id_1", "id_2"]
