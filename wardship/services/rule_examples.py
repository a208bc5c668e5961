"""Runs the examples of a rule: their rows become facts, an engine is asked, the answer is held against `expect`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from wardship.model.errors import Error
from wardship.model.facts import Snapshot
from wardship.model.policy import Policy
from wardship.sdk.i18n import _
from wardship.sdk.rule import EXAMPLE_AS_OF, Example, Rule, example_rows, load_rule
from wardship.store.engine import DuckDbEngine, Engine
from wardship.store.facts import write_rows

OpenEngine = Callable[[Snapshot], AbstractContextManager[Engine]]


def problems_of(path: Path, engine: OpenEngine = DuckDbEngine) -> list[str]:
    """What is wrong with a rule file: why it cannot be loaded, or which of its examples it judges wrongly."""
    try:
        rule = load_rule(path)
    except Error as error:
        return [f"{error.message}; {error.advice}" if error.advice else error.message]
    with tempfile.TemporaryDirectory() as folder:
        return run_examples(rule, Path(folder), engine)


def run_examples(rule: Rule, folder: Path, engine: OpenEngine) -> list[str]:
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
                reason = _("a row does not fit its table: %(error)s") % {"error": str(error).splitlines()[0]}
                wrong.append(f"{where}: {reason}")
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
    subjects = ", ".join(sorted(str(row["subject_uid"]) for row in found)) or _("nothing")
    if kind == "passes":
        return _("it fired on %(subjects)s") % {"subjects": subjects} if found else None
    expected = example.expect or [{}]
    if len(found) != len(expected):
        return _("%(n)d findings instead of %(expected)d; it fired on %(subjects)s") % {
            "n": len(found),
            "expected": len(expected),
            "subjects": subjects,
        }
    for wanted in expected:
        if not any(not _missed(wanted, row) for row in found):
            return _nearest(wanted, found)
    return None


def _missed(wanted: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """The columns in which `row` is not as wanted."""
    return [name for name, value in wanted.items() if row.get(name) != value]


def _nearest(wanted: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """Which row comes closest to the one that is wanted, and in which columns it differs."""
    nearest = min(found, key=lambda row: len(_missed(wanted, row)))
    differing = "; ".join(
        _("%(column)s is %(found)s instead of %(wanted)s")
        % {"column": name, "found": repr(nearest.get(name)), "wanted": repr(wanted[name])}
        for name in _missed(wanted, nearest)
    )
    return _("no row is as expected; nearest is %(subject)s: %(differing)s") % {
        "subject": nearest["subject_uid"],
        "differing": differing,
    }
