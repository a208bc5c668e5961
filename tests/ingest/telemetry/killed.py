"""Work on a lake in a process of its own: `killed.py FOLDER URL WHAT EDGE [FILE...]`, killed with SIGKILL at an edge.

Edges are before and after each commit, sync, rename and deletion; EDGE is the number of the one that kills, 0 none.
WHAT is `import` (batches of a few records), `compact` or `full` (an import that may write no file beyond 20 kB).
Prints "done" and the edges passed.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.conftest import NOW
from tests.ingest.telemetry.tiny import Tiny
from wardship.config import Settings
from wardship.ingest.telemetry import batch, compaction
from wardship.ingest.telemetry.importer import import_paths
from wardship.model.errors import Unavailable
from wardship.store import telemetry
from wardship.store.db import Database
from wardship.store.workspace import Workspace


class Edges:
    """Counts the edges and kills at the chosen one."""

    def __init__(self, last: int) -> None:
        self.passed = 0
        self._last = last

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            self.passes()
            done = call(*args, **kwargs)
            self.passes()
            return done

        return called

    def passes(self) -> None:
        self.passed += 1
        if self.passed == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, url: str, what: str, edge: int, files: list[Path]) -> None:
    later = timedelta(hours=2) if what == "compact" else timedelta(0)
    db = Database(url, clock=lambda: NOW + later)
    ws = Workspace(folder, Settings(), db)
    batch.MAX_EVENTS = 40
    edges = Edges(edge)
    for name in ("fsync", "replace", "unlink", "rename"):
        setattr(os, name, edges.around(getattr(os, name)))
    dialect = sa.engine.default.DefaultDialect
    dialect.do_commit = edges.around(dialect.do_commit)  # type: ignore[method-assign]  # this process only
    if what == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            import_paths(ws, files, Tiny(), actor="test")
        except Unavailable as error:
            print("no room:", error.message)
        return
    if what == "import":
        import_paths(ws, files, Tiny(), actor="test")
    else:
        compaction.compact(ws)
        telemetry.sweep(db, ws.activity)
    print("done", edges.passed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), [Path(one) for one in sys.argv[5:]])
