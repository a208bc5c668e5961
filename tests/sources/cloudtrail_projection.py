"""CloudTrail's SQL and its Python side by side over the same records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb

from wardship.model.activity import FIELDS
from wardship.sdk.connector import DriftLog
from wardship.sources import aws_cloudtrail


def projected(folder: Path, records: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of PROJECTION, one a record."""
    lines = folder / "raw.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in aws_cloudtrail.RAW.items())
    with duckdb.connect() as db:
        db.execute(
            "CREATE VIEW raw AS SELECT row_number() OVER () - 1 AS position, * FROM read_json("
            f"'{lines}', format='newline_delimited', ignore_errors=true, columns={{{columns}}})"
        )
        found = db.execute(f"SELECT * FROM ({aws_cloudtrail.PROJECTION}) ORDER BY position")
        names = [one[0] for one in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def differences(rows: Sequence[dict[str, Any]], records: Sequence[Any]) -> list[tuple[int, str, Any, Any]]:
    """(position, column, by SQL, by Python) where a readable row is not what `parse` says."""
    assert [row["position"] for row in rows] == list(range(len(records)))
    found: list[tuple[int, str, Any, Any]] = []
    for row, record in zip(rows, records, strict=True):
        if not row["readable"]:
            continue
        [activity] = aws_cloudtrail.parse(record, DriftLog())
        for name in FIELDS:
            said, expected = row[name], getattr(activity, name)
            if name == "time":
                said = said.replace(tzinfo=UTC)
            elif name == "detail":
                said, expected = json.loads(said), dict(expected)
            elif expected is not None and name in ("actor_kind", "outcome"):
                expected = expected.value
            if said != expected:
                found.append((row["position"], name, said, expected))
    return found
