"""What could not be understood is kept, redacted, until it can: quarantine and replay.

An item is kept as canonical JSON with its secrets masked and its size capped. The same bad item is one row, however
often it comes. `replay_quarantine` parses the kept items again, after the connector has learnt their shape.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from wardship.ingest.publish import publish
from wardship.ingest.record import row_of
from wardship.ingest.work import Reader, ScanPolicy, Work
from wardship.model.errors import DataError, Error
from wardship.model.scan import Scope
from wardship.sdk.redact import MASK, MAX_CHARS, redact
from wardship.store import leases, scans
from wardship.store.db import Database
from wardship.store.scans import BadItem

MAX_ITEM_CHARS = 64 * 1024
_MAX_DEPTH = 60
_MAX_REASON_CHARS = 300
Rows = list[tuple[str, dict[str, Any]]]


def parse_item(reader: Reader, scope: Scope, item: Any) -> Rows | BadItem:
    """The rows of one raw item; or, when it cannot be understood, what is kept of it. An item is taken whole or not."""
    try:
        return [row_of(record) for record in reader.parse(scope, item)]
    except Exception as error:  # noqa: BLE001 - whatever a parser trips over costs one item, never the scan
        return bad_item(item, error)


def bad_item(item: Any, error: Exception) -> BadItem:
    """What is kept of an unreadable item."""
    text = json.dumps(_plain(item, "", 0), sort_keys=True, separators=(",", ":"))  # ASCII: any database stores it
    digest = hashlib.sha256(text.encode()).hexdigest()
    if len(text) > MAX_ITEM_CHARS:
        text = json.dumps({"$cut": len(text), "head": text[:1000]})
    return BadItem(digest=digest, item=text, reason=_reason(error))


def restore_item(text: str) -> Any:
    """The raw item from its kept text. Raises DataError when it was cut."""

    def revive(value: dict[str, Any]) -> Any:
        if "$cut" in value:
            raise DataError("the item was too large to keep")
        if value.keys() == {"$instant"}:
            return datetime.fromisoformat(value["$instant"])
        if value.keys() == {"$date"}:
            return date.fromisoformat(value["$date"])
        if value.keys() == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        return value

    return json.loads(text, object_hook=revive)


def _plain(value: Any, key: str, depth: int) -> Any:
    """`value` as JSON can hold it, secrets masked. Every other type becomes its name."""
    if depth > _MAX_DEPTH:
        return {"$deep": True}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return redact(str(value), key=key) if len(value) <= MAX_CHARS else {"$cut": len(value)}
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else {"$int_bits": value.bit_length()}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, Mapping):
        return {redact(str(name)[:1000]): _plain(item, str(name), depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, key, depth + 1) for item in value]
    if isinstance(value, datetime):
        return {"$instant": (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, bytes):
        return {"$bytes_hidden": len(value)}
    return {"$type": type(value).__name__}


def _reason(error: Exception) -> str:
    """Why, without the item's data: our own errors hold none; of others only class and place are told."""
    if isinstance(error, Error):
        return (
            f"{type(error).__name__}: {redact(error.message)}".encode("ascii", "backslashreplace")
            .decode()[:_MAX_REASON_CHARS]
            .replace("\0", "\\x00")
        )
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{place}"


# ------------------------------------------------------------------ replay


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What became of the kept items. `busy` are scopes that are being scanned: replay them later."""

    replayed: int = 0
    still_bad: int = 0
    busy: tuple[str, ...] = ()


def replay_quarantine(
    db: Database, reader: Reader, *, connection_name: str, actor: str, policy: ScanPolicy | None = None
) -> ReplayReport:
    """Parses the quarantined items of a connection again and publishes what is now understood.

    It is published as what its scan saw then: whatever a later scan knows better stays. Masked text is no data: an
    item that would bring it into a row stays in quarantine until the system is read again.
    """
    policy = policy or ScanPolicy()
    holder = leases.new_holder()
    replayed = still_bad = 0
    busy: list[str] = []
    with db.read() as conn:
        waiting = scans.quarantined(conn, connection_name)
    groups: dict[tuple[str, str], list[scans.Quarantined]] = defaultdict(list)
    for row in waiting:
        groups[row.scan_id, row.scope_key].append(row)
    for (scan_id, scope_key), rows in sorted(groups.items()):
        with db.bookkeep() as conn:
            lease = leases.take(conn, f"scope:{scope_key}", holder, db.clock())
            scan, reading = scans.get(conn, scan_id), scans.reading_of(conn, scan_id, scope_key)
        if lease is None or reading.phase in scans.OPEN_PHASES:
            busy.append(scope_key)
        else:
            work = Work(db=db, reader=reader, scan=scan, actor=actor, policy=policy)
            for start in range(0, len(rows), policy.chunk_rows):
                understood, refused = _parse_again(reader, reading.scope, rows[start : start + policy.chunk_rows])
                still_bad += refused
                replayed += len(understood)
                with db.bookkeep() as conn:
                    leases.hold(conn, lease, db.clock())
                    scans.stage(conn, reading, _by_family(understood))
                    scans.mark_replayed(conn, [row.id for row, _rows in understood], db.clock())
                    reading.phase = "publishing"
                    scans.save(conn, reading)
            publish(work, reading, lease)
            with db.write(actor) as write:
                leases.hold(write.conn, lease, write.at)
                reading.phase = "published"
                scans.save(write.conn, reading)
                write.audit("quarantine.replayed", scope_key, {"scan": scan_id, "items": len(rows)})
        if lease is not None:
            with db.bookkeep() as conn:
                leases.release(conn, lease, db.clock())
    return ReplayReport(replayed=replayed, still_bad=still_bad, busy=tuple(busy))


def _parse_again(
    reader: Reader, scope: Scope, kept: list[scans.Quarantined]
) -> tuple[list[tuple[scans.Quarantined, Rows]], int]:
    understood: list[tuple[scans.Quarantined, Rows]] = []
    for row in kept:
        try:
            parsed = parse_item(reader, scope, restore_item(row.item))
        except (DataError, ValueError):
            continue
        if not isinstance(parsed, BadItem) and not any(_masked(values) for _family, values in parsed):
            understood.append((row, parsed))
    return understood, len(kept) - len(understood)


def _masked(values: Mapping[str, Any]) -> bool:
    return any(isinstance(value, str) and MASK in value for value in values.values())


def _by_family(understood: list[tuple[scans.Quarantined, Rows]]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _row, parsed in understood:
        for family, values in parsed:
            rows[family].append(values)
    return rows
