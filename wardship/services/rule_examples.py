"""Runs the examples of a rule: their rows become facts, an engine is asked, the answer is held against `expect`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from wardship.model.errors import Error
from wardship.model.facts import Snapshot
from wardship.model.policy import Policy
from wardship.sdk.rule import EXAMPLE_AS_OF, Example, Rule, example_rows, load_rule
from wardship.store.engine import DuckDbEngine, Engine
from wardship.store.facts import write_rows


def problems_of(path: Path) -> list[str]:
    """What is wrong with a rule file: why it cannot be loaded, or which of its examples it judges wrongly."""
    try:
        rule = load_rule(path)
    except Error as error:
        return [f"{error.message}; {error.advice}" if error.advice else error.message]
    with tempfile.TemporaryDirectory() as folder:
        return run_examples(rule, Path(folder), DuckDbEngine)


def run_examples(rule: Rule, folder: Path, engine: Callable[[Snapshot], AbstractContextManager[Engine]]) -> list[str]:
    """What `rule` says wrongly of its own examples; nothing when all is well. The facts are written below `folder`."""
    wrong = []
    for kind, examples in (("fires", rule.fires), ("passes", rule.passes)):
        for number, example in enumerate(examples):
            where = f"{kind} {number} ({example.why})"
            try:
                snapshot = write_rows(folder / f"{rule.id}-{kind}-{number}", example_rows(example), as_of=EXAMPLE_AS_OF)
                with engine(snapshot) as asked:
                    found = ask(rule, asked)
            except duckdb.Error as error:
                wrong.append(f"{where}: a row does not fit its table: {str(error).splitlines()[0]}")
                continue
            except Error as error:
                wrong.append(f"{where}: {error.message}")
                continue
            if problem := _compare(kind, example, found):
                wrong.append(f"{where}: {problem}")
    return wrong


def ask(rule: Rule, engine: Engine) -> list[dict[str, Any]]:
    """The rule's answer about the engine's facts at the instant of the examples, under the default policy."""
    arguments = rule.compiled.arguments(Policy().parameters(EXAMPLE_AS_OF))
    rows = engine.query(rule.compiled.sql(engine.dialect), arguments)
    return [dict(zip(rule.compiled.columns, row, strict=True)) for row in rows]


def _compare(kind: str, example: Example, found: list[dict[str, Any]]) -> str | None:
    if kind == "passes":
        return f"it fired on {', '.join(sorted(str(row['subject_uid']) for row in found))}" if found else None
    expected = example.expect or [{}]
    if len(found) != len(expected):
        return f"{len(found)} findings instead of {len(expected)}"
    for wanted in expected:
        if not any(all(row.get(name) == value for name, value in wanted.items()) for row in found):
            return f"no finding is {wanted}; found: {found}"
    return None
