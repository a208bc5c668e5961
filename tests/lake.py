"""A telemetry lake made by hand: batches of activities published as an import would."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tests.activities import DEFAULTS, write_activities
from wardship.store import telemetry
from wardship.store.db import Database


def publish(db: Database, lake: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Publishes activities of one source (columns of ACTIVITY, `time` as ISO text) as a batch; returns its number."""
    batch = telemetry.next_batch(db)
    by_day: dict[tuple[str, date], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        whole = {**DEFAULTS, **row, "batch": batch}
        by_day[whole["source"], date.fromisoformat(whole["time"][:10])].append(whole)
    files = []
    for (source, day), of_day in sorted(by_day.items()):
        path = telemetry.new_path(source, day)
        written = write_activities(lake / path, of_day).read_bytes()
        times = sorted(datetime.fromisoformat(row["time"]).replace(tzinfo=UTC) for row in of_day)
        files.append(
            telemetry.NewFile(
                path=path, source=source, day=day, rows=len(of_day), size_bytes=len(written),
                digest=hashlib.sha256(written).hexdigest(), first_at=times[0], last_at=times[-1], batches=[batch],
            )
        )  # fmt: skip
    (source,) = {one.source for one in files}  # a batch is of one source
    seen = frozenset(one.id for one in telemetry.live_files(db, sources=[source]))
    made = telemetry.Publication(source=source, batch=batch, files=files, steps=[], seen=seen)
    telemetry.publish(db, "test", made)
    return batch
