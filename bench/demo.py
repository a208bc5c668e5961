"""`wardship demo`: the whole product over a made-up organisation, from nothing to findings and the overview page; and
what people ask most afterwards, each as a process of its own.

No peer does the same, and no limit is set: these are plain figures. The simulators answer in the same process,
so their work is in them. Size l (about 30,000 identities) only with --large.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench import harness

INCOMPLETE = 3  # something could not be read: planned in the story
ASKED_OF = "m"
ASKED = (
    ("findings",),
    ("inventory",),
    ("unused",),
    ("alerts", "list"),
    ("telemetry", "status"),
    ("explain", "svc-nightly-export"),
    ("lookup", "svc-nightly-export"),
)


def run() -> None:
    sizes, rows, identities, spent, asked = "sml" if harness.large() else "sm", [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        env = harness.keeping_bytecode(Path(folder))
        _make(Path(folder) / "first", "s", env)  # it makes the bytecode
        for size in sizes:
            workspace = Path(folder) / size
            cost = _make(workspace, size, env)
            with contextlib.closing(sqlite3.connect(workspace / "state.db")) as db:
                found = db.execute("select count(*) from finding_current").fetchone()[0]
                merged = db.execute("select count(distinct identity_uid) from resolution").fetchone()[0]
            if size == ASKED_OF:
                asked = _ask(workspace, env)
            identities.append(merged)
            spent.append(cost.cpu_s)
            rows.append([size, merged, found, cost.wall_s, cost.cpu_s, round(cost.peak_mb)])
    harness.table(["size", "identities", "findings", "wall s", "CPU s", "peak MB"], rows)
    each = 1000 * (spent[-1] - spent[0]) / (identities[-1] - identities[0])
    print(f"each further identity: {each:.2f} CPU ms; the rest is there whatever the size")
    harness.table([f"asked of size {ASKED_OF}", "CPU s", "wall s", "peak MB"], asked)


def _make(workspace: Path, size: str, env: Mapping[str, str]) -> harness.Cost:
    return harness.python(
        "wardship", "demo", "--size", size, "--workspace", str(workspace), env=env, allowed=[INCOMPLETE]
    )


def _ask(workspace: Path, env: Mapping[str, str]) -> list[list[object]]:
    """The medians of seven runs, after one that makes the bytecode."""
    rows: list[list[object]] = []
    for words in ASKED:
        ask = partial(harness.python, "wardship", *words, "--workspace", str(workspace), env=env)
        ask()
        cost = harness.median(ask, 7)
        rows.append([" ".join(words), cost.cpu_s, cost.wall_s, round(cost.peak_mb)])
    return rows
