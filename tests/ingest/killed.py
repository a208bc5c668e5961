"""One scan in a process of its own that is killed with SIGKILL at a transaction's edge: `killed.py URL STATE N`.

N counts the edges (before and after each commit) until the kill; 0 = none. STATE is a JSON file with the provider's
objects. Prints "done" when the scan was not killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from tests.ingest.provider import Provider, thing
from wardship.ingest.scan import ScanPolicy, run_scan
from wardship.store.db import Database


def provider_of(state: Path) -> Provider:
    provider = Provider(page_size=2)
    for account, names in json.loads(state.read_text(encoding="utf-8")).items():
        provider.put(provider.scope(account), *(thing(name, owners=("bob",)) for name in names))
    return provider


def main(url: str, state: str, edge: int) -> None:
    left = [edge]

    def maybe_kill() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    db = Database(url, clock=lambda: datetime.now(UTC))
    commit = sa.engine.default.DefaultDialect.do_commit

    def do_commit(self: sa.engine.default.DefaultDialect, connection: object) -> None:
        maybe_kill()
        commit(self, connection)  # type: ignore[arg-type]  # the pool's own type: it is only passed on
        maybe_kill()

    sa.engine.default.DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]  # this process only
    report = run_scan(
        db,
        provider_of(Path(state)).connector(),
        connection_name="sim",
        actor="test",
        policy=ScanPolicy(chunk_rows=5, point_reads=0),
    )
    print("done", report.status, report.resumed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
