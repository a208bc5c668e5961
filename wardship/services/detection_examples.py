"""Runs the examples of a detection: their rows become tables, an engine is asked, the answer is held to `expect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from wardship.model.errors import Error
from wardship.model.policy import Policy
from wardship.sdk.detection import TABLES, Detection, example_tables
from wardship.sdk.i18n import _
from wardship.sdk.rule import EXAMPLE_AS_OF, Example
from wardship.store.engine import DuckDbEngine
from wardship.store.rows import write_tables


def run_examples(detection: Detection, folder: Path) -> list[str]:
    """What `detection` says wrongly of its own examples; nothing when all is well. Tables are written in `folder`."""
    wrong = []
    for kind, examples in (("fires", detection.fires), ("passes", detection.passes)):
        for number, example in enumerate(examples):
            where = f"{kind} {number} ({example.why})"
            try:
                found = hits(detection, example, folder / f"{detection.id}-{kind}-{number}")
            except duckdb.Error as error:
                reason = _("a row does not fit its table: %(error)s") % {"error": str(error).splitlines()[0]}
                wrong.append(f"{where}: {reason}")
            except Error as error:
                wrong.append(f"{where}: {error.message}")
            else:
                if problem := _compare(kind, example, found):
                    wrong.append(f"{where}: {problem}")
    return wrong


def hits(detection: Detection, example: Example, folder: Path) -> list[dict[str, Any]]:
    """The rows of the detection's answer about an example, under the default policy."""
    query = detection.compiled
    columns = {name: TABLES[name] for name in sorted(query.tables)}
    tables = write_tables(folder, columns, example_tables(example))
    with DuckDbEngine(tables) as engine:
        rows = engine.query(query.sql(), query.arguments(Policy().parameters(EXAMPLE_AS_OF)))
        return [dict(zip(query.columns, row, strict=True)) for row in rows]


def _compare(kind: str, example: Example, found: list[dict[str, Any]]) -> str | None:
    said = ", ".join(sorted(f"{row['actor_id']} ({row['fold']})" for row in found)) or _("nothing")
    expected = [] if kind == "passes" else example.expect or [{}]
    if len(found) != len(expected):
        return _("%(n)d hits instead of %(expected)d: %(said)s") % {
            "n": len(found),
            "expected": len(expected),
            "said": said,
        }
    for wanted in expected:
        if all(_differences(wanted, row) for row in found):
            nearest = min(found, key=lambda row: len(_differences(wanted, row)))
            return "; ".join(
                _("%(column)s is %(found)s instead of %(wanted)s")
                % {"column": name, "found": repr(nearest.get(name)), "wanted": repr(wanted[name])}
                for name in _differences(wanted, nearest)
            )
    return None


def _differences(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    return [name for name, value in wanted.items() if row.get(name) != value]
