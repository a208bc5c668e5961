"""Runs the examples of a rule: writes their rows as a snapshot of facts and asks an engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from wardship.model.facts import FACTS, FACTS_VERSION, Snapshot
from wardship.model.policy import Policy
from wardship.sdk.rule import EXAMPLE_AS_OF, Example, Rule, example_rows
from wardship.store.engine import Engine


def write_facts(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> Snapshot:
    """A snapshot of exactly these rows; it has no id, for it is not one of a workspace."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        for table, columns in FACTS.items():
            typed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            db.execute(f'CREATE TABLE "{table}" ({typed})')
            marks = ", ".join("?" for _ in columns)
            for row in rows.get(table, ()):
                db.execute(f'INSERT INTO "{table}" VALUES ({marks})', [row.get(name) for name in columns])
            db.execute(f"COPY \"{table}\" TO '{folder}/{table}.parquet' (FORMAT parquet)")
    return Snapshot(id="", folder=folder, as_of=EXAMPLE_AS_OF, scan_seq=1, facts_version=FACTS_VERSION, tables={})


def failures(rule: Rule, folder: Path, engine: Callable[[Snapshot], Any]) -> list[str]:
    """What the rule says wrongly of its own examples; nothing when all is well."""
    wrong = []
    for kind, examples in (("fires", rule.fires), ("passes", rule.passes)):
        for number, example in enumerate(examples):
            snapshot = write_facts(folder / f"{rule.id}-{kind}-{number}", example_rows(example))
            with engine(snapshot) as asked:
                found = ask(rule, asked)
            if problem := _compare(kind, example, found):
                wrong.append(f"{rule.id} {kind} {number} ({example.why}): {problem}")
    return wrong


def ask(rule: Rule, engine: Engine, policy: Policy | None = None) -> list[dict[str, Any]]:
    arguments = rule.compiled.arguments((policy or Policy()).parameters(EXAMPLE_AS_OF))
    rows = engine.query(rule.compiled.sql(engine.dialect), arguments)
    found = [dict(zip(rule.compiled.columns, row, strict=True)) for row in rows]
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def _compare(kind: str, example: Example, found: list[dict[str, Any]]) -> str | None:
    if kind == "passes":
        return f"fired on {[row['subject_uid'] for row in found]}" if found else None
    expected = example.expect or [{}]
    if len(found) != len(expected):
        return f"{len(found)} findings instead of {len(expected)}: {found}"
    for wanted in expected:
        if not any(all(row.get(name) == value for name, value in wanted.items()) for row in found):
            return f"no finding is {wanted}: {found}"
    return None
