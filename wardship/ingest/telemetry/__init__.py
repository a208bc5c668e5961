"""From audit logs to published events: what is read, dropped as a duplicate, written as Parquet, and made true at once.

    records     files of any of the known forms -> raw records
    batch       raw records of one source -> one publication
    staging     the batch in DuckDB: ids, addresses, duplicates, Parquet by day
    importer    files -> batches; killed anywhere, the next run goes on
    replay      what could not be read, tried again
    compaction  many files of a day -> one, sorted by identity; retention

The manifest (`wardship.store.telemetry`) says what is true; what sources are is said in `wardship.sdk.source`. Reading
files needs neither a database nor settings: their packages take longer to load than a small log takes to read.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome

if TYPE_CHECKING:
    from wardship.ingest.telemetry.batch import Published
    from wardship.ingest.telemetry.staging import Staging
    from wardship.store.workspace import Workspace

_DEFAULTS: Mapping[str, Any] = {
    "class_uid": int(ActivityClass.API_ACTIVITY),
    "actor_kind": ActorKind.UNKNOWN.value,
    "outcome": Outcome.UNKNOWN.value,
    "detail": "{}",
}


@contextlib.contextmanager
def open_staging(ws: Workspace) -> Iterator[Staging]:
    """A place where batches are made, with the workspace's settings."""
    from wardship.ingest.telemetry.addresses import Addresses
    from wardship.ingest.telemetry.staging import Staging
    from wardship.store.work_folder import work_folder

    settings = ws.settings.telemetry
    with (
        work_folder(ws.tmp) as folder,
        Addresses(settings, ws.path) as addresses,
        Staging(folder, ws.activity, memory_mb=settings.memory_mb, addresses=addresses) as made,
    ):
        yield made


def publish_activities(
    ws: Workspace,
    source: str,
    activities: Iterable[Activity | Mapping[str, Any]],
    *,
    name: str = "made up",
    actor: str = "made up",
) -> Published:
    """Publishes events that no log said: those of generators and tests. They are stamped and compared as any other.

    A mapping has columns of ACTIVITY: `time` (UTC: ISO text or an aware instant), `service` and `operation` at least;
    `detail` as a mapping or JSON text; src_network, src_asn and src_country where the settings do not give them.
    """
    from wardship.ingest.telemetry.batch import Batch, Published
    from wardship.store import telemetry

    digest = uuid.uuid4().hex
    made = telemetry.register(ws.db, source, [(name, digest, 0)])[digest]
    total = Published()
    with open_staging(ws) as place:
        batch = Batch(ws, place, source, None, actor)
        batch.begin(made.id, 0)
        for position, one in enumerate(activities):
            if isinstance(one, Activity):
                batch.add(made.id, position, {"uid": one.uid, "position": position}, [one])
            else:
                batch.add_row(made.id, position, _plain(one))
            if batch.full:
                total = total.plus(batch.publish())
        batch.end(made.id)
        return total.plus(batch.publish())


def _plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    row = {**_DEFAULTS, **columns}
    if isinstance(row["time"], datetime):
        row["time"] = row["time"].astimezone(UTC)
    return row
