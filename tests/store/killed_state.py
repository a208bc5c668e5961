"""One advance of the state of use in a process of its own, killed with SIGKILL: `killed_state.py WORKSPACE N`.

N counts the edges until the kill; 0 = none: before and after each commit, each sync of a file, and the moment when the
manifest takes the place of the old one. Prints "done" and how many edges there were when it was not killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import sqlalchemy as sa

from tests.conftest import NOW
from wardship.services import usage
from wardship.store import state
from wardship.store.workspace import Workspace


def main(folder: str, edge: int) -> None:
    passed = [0]

    def maybe_kill() -> None:
        passed[0] += 1
        if passed[0] == edge:
            os.kill(os.getpid(), signal.SIGKILL)

    commit, sync, replace = sa.engine.default.DefaultDialect.do_commit, state.sync, Path.replace

    def do_commit(self: sa.engine.default.DefaultDialect, connection: object) -> None:
        maybe_kill()
        commit(self, connection)  # type: ignore[arg-type]  # the pool's own type: it is only passed on
        maybe_kill()

    def do_sync(path: Path) -> None:
        maybe_kill()
        sync(path)

    def do_replace(self: Path, target: Path) -> Path:
        maybe_kill()
        done = replace(self, target)
        maybe_kill()
        return done

    with Workspace.open(Path(folder), clock=lambda: NOW) as ws:
        sa.engine.default.DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # where the kill goes in
        state.sync = do_sync
        Path.replace = do_replace  # type: ignore[assignment,method-assign]  # as above
        usage.refresh(ws)
    print("done", passed[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
