"""Every detection gives the same answers on ClickHouse: its first example that fires, and the first that passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardship.model.policy import Policy
from wardship.sdk.detection import TABLES, example_tables, load_detections
from wardship.sdk.rule import EXAMPLE_AS_OF
from wardship.store.clickhouse import ClickHouseEngine
from wardship.store.rows import write_tables


def test_every_detection_asks_clickhouse_the_same(tmp_path: Path) -> None:
    pytest.importorskip("chdb", reason="not checked: ClickHouse's engine is not installed")
    wrong = []
    for one in load_detections():
        query = one.compiled
        for kind, example in (("fires", one.fires[0]), ("passes", one.passes[0])):
            columns = {name: TABLES[name] for name in sorted(query.tables)}
            tables = write_tables(tmp_path / f"{one.id}-{kind}", columns, example_tables(example))
            with ClickHouseEngine(tables) as engine:
                said = query.arguments(Policy().parameters(EXAMPLE_AS_OF))
                found = len(list(engine.query(query.sql("clickhouse"), said)))
            if found != (len(example.expect or [{}]) if kind == "fires" else 0):
                wrong.append(f"{one.id} {kind}: {found} hits")
    assert wrong == []
