"""One judging in a process of its own that is killed with SIGKILL at a transaction's edge.

`killed.py WORKSPACE N WHAT`: N counts the edges (before and after each commit) until the kill; 0 = none. WHAT is
`facts` (rules ask them), `events` (detections ask them) or `both`. Prints "done" when it was not killed, and the edges
that it passed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import sqlalchemy as sa

from tests.conftest import NOW
from wardship.services import evaluate, telemetry_refresh
from wardship.store.workspace import Workspace


def main(folder: str, edge: int, what: str) -> None:
    left = [edge]

    def maybe_kill() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    commit = sa.engine.default.DefaultDialect.do_commit

    def do_commit(self: sa.engine.default.DefaultDialect, connection: object) -> None:
        maybe_kill()
        commit(self, connection)  # type: ignore[arg-type]  # the pool's own type: it is only passed on
        maybe_kill()

    with Workspace.open(Path(folder), clock=lambda: NOW) as ws:
        # A kill must go in on both sides of the commit itself, and no event of SQLAlchemy comes after it.
        sa.engine.default.DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # this process only
        if what in ("events", "both"):
            telemetry_refresh.refresh(ws, actor="test", facts=what == "both")
        else:
            evaluate.CHUNK = 2  # findings of one rule take several transactions
            evaluate.evaluate(ws, actor="test", scan_seq=1)
    print("done", edge - left[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
