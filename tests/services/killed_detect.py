"""One refresh in a process of its own that is killed with SIGKILL at a transaction's edge: `killed_detect.py FOLDER N`.

N counts the edges (before and after each commit) until the kill; 0 = none. Prints "done" when it was not killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import sqlalchemy as sa

from tests.conftest import NOW
from wardship.services import telemetry_refresh
from wardship.store.workspace import Workspace


def main(folder: str, edge: int) -> None:
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
        sa.engine.default.DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # where the kill goes in
        telemetry_refresh.refresh(ws, actor="test", facts=False)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
