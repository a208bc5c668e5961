"""What could not be read, tried again: after an update, or as records of another source.

A record was kept redacted. What it says now is published only when no masked text is in it: what a secret was taken out
of is not what the log said. A record that is understood leaves the quarantine in the transaction that publishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wardship.ingest.quarantine import restore_item
from wardship.ingest.telemetry import open_staging
from wardship.ingest.telemetry.batch import Batch
from wardship.ingest.telemetry.canonical import dump
from wardship.ingest.telemetry.staging import read_bad
from wardship.model.activity import FIELDS, Activity
from wardship.model.errors import ConfigError, DataError
from wardship.sdk import registry
from wardship.sdk.connector import DriftLog
from wardship.sdk.redact import MASK
from wardship.sdk.source import Source
from wardship.store import telemetry
from wardship.store.telemetry import Unreadable
from wardship.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the records tried: understood now, their events, those that were known, and what is still bad.
    `unknown` are the sources that are not found by their name, such as a mapping file's: their records are left."""

    read: int = 0
    events: int = 0
    duplicates: int = 0
    left: int = 0
    unknown: frozenset[str] = frozenset()


def replay(
    ws: Workspace,
    *,
    actor: str,
    input: int | None = None,  # noqa: A002 - telemetry_input.id
    source: Source | None = None,
    find: Callable[[str], Source] = registry.source,
) -> Replayed:
    """Parses the quarantined records again: all, or those of one `input`; as the source that they were taken for, or
    as `source`. Raises Conflict when another process does the same."""
    told = Replayed()
    for kept in telemetry.quarantined(ws.db):
        try:
            chosen = source or find(kept.source)
        except ConfigError:  # one log that is not known here does not keep the others from being tried
            left = sum(input in (None, row["input"]) for row in read_bad(ws.activity / kept.path))
            told = replace(told, left=told.left + left, unknown=told.unknown | ({kept.source} if left else set()))
            continue
        done = _replay_file(ws, kept, chosen, input, actor)
        told = Replayed(
            read=told.read + done.read,
            events=told.events + done.events,
            duplicates=told.duplicates + done.duplicates,
            left=told.left + done.left,
            unknown=told.unknown,
        )
    return told


def _replay_file(ws: Workspace, kept: Unreadable, source: Source, chosen: int | None, actor: str) -> Replayed:
    with open_staging(ws) as place:
        batch = Batch(ws, place, source.MANIFEST.name, source, actor)
        read = left = 0
        for row in read_bad(ws.activity / kept.path):
            wanted = chosen in (None, row["input"])
            if wanted and _replay_record(batch, source, row):
                read += 1
            else:
                batch.keep(row)
                left += wanted
        if not read:
            return Replayed(left=left)
        done = batch.publish(instead=[kept])
        return Replayed(read=read, events=done.events, duplicates=done.duplicates, left=left)


def _replay_record(batch: Batch, source: Source, row: Mapping[str, Any]) -> bool:
    """Whether the record is understood now; then its events are in the batch."""
    try:
        record = restore_item(row["record"])
        found = list(source.parse(record, DriftLog())) if isinstance(record, dict) else None
    except Exception:  # noqa: BLE001 - whatever a parser trips over, the record stays where it is
        return False
    if found is None or any(map(_masked, found)):
        return False
    try:
        batch.replay(row["input"], row["position"], _identified(found, f"{row['content']}:{row['occurrence']}"))
    except DataError:  # its time is in the future
        return False
    return True


def _identified(activities: Sequence[Activity], name: str) -> list[Activity]:
    """Those of a log without ids get the ids that they would have had."""
    return [
        replace(one, uid=f"{name}#{part}" if part else name) if one.uid is None else one
        for part, one in enumerate(activities)
    ]


def _masked(one: Activity) -> bool:
    values = (getattr(one, name) for name in FIELDS)
    return any(
        MASK in (value if isinstance(value, str) else dump(value).decode()) for value in values if value is not None
    )
