"""A worker in a process of its own, for tests that send it signals. usage: child_worker URL FOLDER LEASE_S

Its handler makes FOLDER/started, waits for FOLDER/go and then writes one audit entry under its lease.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardship.jobs.worker import JobContext, Worker
from wardship.model.errors import Conflict
from wardship.store.db import Database


def main(url: str, folder: Path, lease_s: float) -> None:
    def handle(_args: Mapping[str, Any], context: JobContext) -> None:
        (folder / "started").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        try:
            with context.write("child") as writing:
                writing.audit("job.result", f"job:{context.job.id}", {"by": "child"})
        except Conflict:
            (folder / "lost").touch()
            raise

    worker = Worker(Database(url, clock=lambda: datetime.now(UTC)), {"test": handle}, lease_s=lease_s, poll_s=0.05)
    try:
        worker.run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
