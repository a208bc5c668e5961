"""Activities made up by hand, as the Parquet files that every engine reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from wardship.model.activity import ACTIVITY
from wardship.store.engine import Table

DEFAULTS: Mapping[str, Any] = {
    "source": "aws.cloudtrail",
    "class_uid": 6003,
    "actor_authority": "aws:111111111111",
    "actor_id": "AIDA1",
    "actor_kind": "user",
    "service": "s3.amazonaws.com",
    "operation": "GetObject",
    "mutating": False,
    "account": "111111111111",
    "outcome": "success",
    "detail": "{}",
    "input": 1,
    "position": 0,
    "batch": 1,
}


def write_activities(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """`rows` (columns of ACTIVITY; `time` as ISO text, what is left out from DEFAULTS) as one Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.with_suffix(".jsonl")
    with lines.open("w", encoding="utf-8") as out:
        for number, row in enumerate(rows):
            out.write(json.dumps({**DEFAULTS, "uid": f"e{number}", **row}) + "\n")
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in ACTIVITY.items())
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT * FROM read_json(?, format='newline_delimited', columns={{{columns}}}))"
            " TO ? (FORMAT parquet, COMPRESSION zstd)",
            [str(lines), str(path)],
        )
    lines.unlink()
    return path


def activity_table(*files: Path) -> Table:
    """The table `activity` over these files, for an engine."""
    return Table(name="activity", columns=ACTIVITY, files=files)
