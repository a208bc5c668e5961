"""`wardship demo`: the whole product over a made-up organisation, from nothing to findings and the overview page.

No peer does the same, and no limit is set: these are plain figures. The simulators answer in the same process,
so their work is in them. Size l (about 30,000 identities) only with --large.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path

from bench import harness

INCOMPLETE = 3  # something could not be read: planned in the story


def run() -> None:
    sizes, rows, identities, spent = "sml" if harness.large() else "sm", [], [], []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            workspace = Path(folder) / "demo"
            cost = harness.python(
                "wardship", "demo", "--size", size, "--workspace", str(workspace), allowed=[INCOMPLETE]
            )
            with contextlib.closing(sqlite3.connect(workspace / "state.db")) as db:
                found = db.execute("select count(*) from finding_current").fetchone()[0]
                merged = db.execute("select count(distinct identity_uid) from resolution").fetchone()[0]
        identities.append(merged)
        spent.append(cost.cpu_s)
        rows.append([size, merged, found, cost.wall_s, cost.cpu_s, round(cost.peak_mb)])
    harness.table(["size", "identities", "findings", "wall s", "CPU s", "peak MB"], rows)
    each = 1000 * (spent[-1] - spent[0]) / (identities[-1] - identities[0])
    print(f"each further identity: {each:.2f} CPU ms; the rest is there whatever the size")
