"""The contract of the fact tables keeps its promises to rules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from wardship.model.facts import FACTS, Snapshot


def test_types_are_those_that_every_engine_has() -> None:
    kinds = {kind for columns in FACTS.values() for kind in columns.values()}
    assert kinds <= {"VARCHAR", "TIMESTAMP", "DATE", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE"}


def test_instants_dates_and_flags_are_named_as_what_they_are() -> None:
    for columns in FACTS.values():
        for name, kind in columns.items():
            assert (kind == "TIMESTAMP") == name.endswith(("_at", "_since")), name
            assert (kind == "DATE") == name.endswith("_on"), name


def test_a_snapshot_knows_its_files() -> None:
    snapshot = Snapshot(
        id="x", folder=Path("/f"), as_of=datetime(2026, 1, 1, tzinfo=UTC), scan_seq=1, facts_version=1, tables={}
    )
    assert snapshot.file("identity") == Path("/f/identity.parquet")
