"""One batch: what was read of some inputs of one source, until it is published together.

Rows are spooled as lines of JSON, staged in DuckDB, stamped, and published in one transaction with how far each input
was read. Whoever published meanwhile is noticed there: duplicates are looked for again, and an input that somebody
else has read on is left out, to be looked at anew.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from wardship.ingest.quarantine import bad_item
from wardship.ingest.telemetry.canonical import content_of, dump
from wardship.ingest.telemetry.plain import Broken
from wardship.ingest.telemetry.records import NoRecord, Raw, as_raw, is_object, loads, no_record
from wardship.ingest.telemetry.staging import Segment, Staging, no_room
from wardship.model.activity import Activity
from wardship.model.errors import DataError, Error
from wardship.sdk.connector import DriftLog
from wardship.sdk.source import Source
from wardship.store import telemetry
from wardship.store.db import Write
from wardship.store.telemetry import NewFile, Publication, Step, Unreadable
from wardship.store.workspace import Workspace

MAX_EVENTS = 250_000
MAX_TEXT_BYTES = 256 * 1024 * 1024
SPOOL_BYTES = 64 * 1024 * 1024
"""Lines of raw JSON that are handed to DuckDB at once: in a small file that is written over again and again, they do
not leave the cache."""
FUTURE = timedelta(days=2)
"""An event later than this is a damaged one: clocks that are wrong are wrong by less."""
MAX_REASONS = 1_000
"""So many of an input are told apart; a reason may hold a number of the record's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What one publication did. `reasons`: why records cannot be read, and how many; `left`: inputs that another
    process has read on meanwhile."""

    events: int = 0
    duplicates: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    left: Sequence[int] = ()

    @property
    def quarantined(self) -> int:
        return self.reasons.total()

    def plus(self, other: Published) -> Published:
        return Published(
            events=self.events + other.events,
            duplicates=self.duplicates + other.duplicates,
            skipped=self.skipped + other.skipped,
            reasons=self.reasons + other.reasons,
            left=(*self.left, *other.left),
        )


@dataclass(slots=True)
class _Part:
    """What the batch has of one input: records [start, position)."""

    start: int
    position: int
    events: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of those that were refused
    replayed: int | None = None  # not None: these are records of before, nothing is read on
    state: str = "reading"
    problem: str | None = None


class Batch:
    """Collects, then publishes; used again afterwards. `source` None: made-up events, which nothing is parsed for."""

    def __init__(self, ws: Workspace, staging: Staging, name: str, source: Source | None, actor: str) -> None:
        self.source_name = name
        self.source = source
        self.drift = DriftLog()
        self.events = 0
        self.text_bytes = 0
        self._ws = ws
        self._staging = staging
        self._actor = actor
        self._latest = ws.db.clock() + FUTURE
        self._parts: dict[int, _Part] = {}
        self._rows: BinaryIO | None = None
        self._bad: BinaryIO | None = None
        self._raw: BinaryIO | None = None
        self._segments: list[Segment] = []
        self._again: dict[int, Callable[[], Iterable[Raw]]] = {}

    @property
    def full(self) -> bool:
        return self.events >= MAX_EVENTS or self.text_bytes >= MAX_TEXT_BYTES

    @property
    def empty(self) -> bool:
        return not self._parts

    @property
    def problems(self) -> Mapping[int, str]:
        """The inputs that cannot be read to their end, and why."""
        return {name: part.problem for name, part in self._parts.items() if part.problem}

    @property
    def unfinished(self) -> Sequence[int]:
        """The inputs of which more is to come."""
        return [name for name, part in self._parts.items() if part.state == "reading"]

    def begin(self, name: int, start: int) -> None:
        """From here on records of input `name` come; those before number `start` are published already."""
        self._parts.setdefault(name, _Part(start=start, position=start))

    def take(self, name: int, position: int, raw: Raw) -> None:
        """Raw record number `position` of an input, through the source's `parse`."""
        assert self.source is not None  # noqa: S101 - made-up events have no raw records
        if isinstance(raw, NoRecord):
            self.refuse(name, position, raw.text, DataError(raw.reason))
            return
        try:
            self.add(name, position, raw, list(self.source.parse(raw, self.drift)))
        except Exception as error:
            if isinstance(error, Error) and not isinstance(error, DataError):
                raise  # no room: it is not the record's fault
            self.refuse(name, position, raw, error)

    def spool(
        self, name: int, position: int, lines: bytes | bytearray, count: int, again: Callable[[], Iterable[Raw]] | None
    ) -> None:
        """Records [position, position + count) of an input as lines of JSON, for the source's PROJECTION. Those that
        are published already are wanted too: equal ones without an id are told apart by how many came before.

        `again`: they were made by `split`, and this reads the whole input exactly should one not be JSON.
        """
        self._raw = self._raw or (self._staging.folder / "raw.jsonl").open("w+b")
        first = self._segments[-1].first_line + self._segments[-1].lines if self._segments else 0
        try:
            self._raw.write(lines)
            self._raw.write(b"\n")
        except OSError as error:
            raise no_room(error.strerror or "") from None
        self._segments.append(Segment(first_line=first, lines=count, input=name, position=position))
        if again is not None:
            self._again[name] = again
        self.events += count
        self.text_bytes += len(lines)
        part = self._parts[name]
        part.position = max(part.position, position + count)
        part.events += max(0, position + count - max(position, part.start))
        if self._raw.tell() >= SPOOL_BYTES:
            self._project(self._raw)

    def add(self, name: int, position: int, record: Any, activities: Sequence[Activity]) -> None:
        """What record number `position` of an input said. Raises DataError for a time that no log can have."""
        rows = [self._row(name, position, record, part, one) for part, one in enumerate(_named_apart(activities))]
        known = self._parts[name]
        if position < known.start and all(one.uid is not None for one in activities):
            return
        self._write_rows(b"".join(rows))
        self.events += len(rows)
        if position >= known.start:
            known.position = position + 1
            known.events += len(rows)
            known.skipped += not rows

    def _row(self, name: int, position: int, record: Any, part: int, activity: Activity) -> bytes:
        if activity.time > self._latest:
            raise DataError("the event's time is in the future")
        if activity.time.utcoffset():
            activity = replace(activity, time=activity.time.astimezone(UTC))
        content = content_of(record) if activity.uid is None else None
        return row_line(activity, name=name, position=position, part=part, content=content)

    def add_row(self, name: int, position: int, columns: Mapping[str, Any]) -> None:
        """A made-up event: columns of ACTIVITY. For tests and generators."""
        known = self._parts[name]
        content = None if columns.get("uid") else content_of({key: str(value) for key, value in columns.items()})
        self._write_rows(row_line(columns, name=name, position=position, part=0, content=content))
        self.events += 1
        known.position = position + 1
        known.events += 1

    def refuse(self, name: int, position: int, record: Any, error: Exception) -> None:
        """Record number `position` could not be read: it is kept, redacted, with the reason."""
        known = self._parts[name]
        kept = bad_item(record, error)
        line = {
            "input": name,
            "position": position,
            "occurrence": 0,
            "reason": kept.reason,
            "content": content_of(record),
            "record": kept.item,
        }
        self._write_bad(line)
        if position >= known.start:
            known.position = position + 1
            told = kept.reason in known.reasons or len(known.reasons) < MAX_REASONS
            known.reasons[kept.reason if told else "other reasons"] += 1

    def end(self, name: int, *, problem: str | None = None) -> None:
        """Nothing more comes of that input; `problem`: it could not be read to its end."""
        known = self._parts[name]
        known.state, known.problem = ("broken", problem) if problem else ("done", None)

    def replay(self, name: int, position: int, activities: Sequence[Activity]) -> None:
        """Record number `position`, which was in quarantine, says this after all; every activity has its id."""
        rows = [self._row(name, position, None, part, one) for part, one in enumerate(_named_apart(activities))]
        self._write_rows(b"".join(rows))
        part = self._parts.setdefault(name, _Part(start=0, position=0, state="replayed"))
        part.replayed = (part.replayed or 0) + 1
        part.events += len(rows)
        part.skipped += not rows

    def keep(self, bad: Mapping[str, Any]) -> None:
        """A record of the quarantine (columns of BAD) that stays there."""
        self._write_bad(bad)

    def _write_bad(self, line: Mapping[str, Any]) -> None:
        self._bad = self._bad or (self._staging.folder / "bad.jsonl").open("wb")
        written = orjson.dumps(line) + b"\n"
        self.text_bytes += len(written)
        try:
            self._bad.write(written)
        except OSError as error:
            raise no_room(error.strerror or "") from None

    def _write_rows(self, lines: bytes) -> None:
        if self._rows is None:
            self._rows = (self._staging.folder / "rows.jsonl").open("wb")
        try:
            self._rows.write(lines)
        except OSError as error:
            raise no_room(error.strerror or "") from None

    # ------------------------------------------------------------ publishing

    def publish(self, *, also: Callable[[Write], None] | None = None, instead: Sequence[Unreadable] = ()) -> Published:
        """Publishes what was collected, and begins anew. Inputs that are not at their end go on from there.

        `instead`: the files of quarantined records, of one source, that were replayed into this batch.

        Raises Unavailable when there is no room; nothing is published then.
        """
        if self.empty:
            return Published()
        staging = self._staging
        try:
            self._load()
            if not instead:  # what is replayed was numbered before
                staging.number({name: part.start for name, part in self._parts.items()})
            staging.stamp_addresses()
            staging.mask_secrets()
            staging.drop_repeated()
            with telemetry.writing(self._ws.activity):
                done = self._try_until_published(also, instead)
        finally:
            staging.clear()
            self._forget_spool()
            self.events = self.text_bytes = 0
        self._parts = {
            name: _Part(start=part.position, position=part.position)
            for name, part in self._parts.items()
            if part.state == "reading" and name not in done.left
        }
        return done

    def _load(self) -> None:
        if self._raw is not None:
            self._project(self._raw)
        for spool in (self._rows, self._bad):
            if spool is not None:
                self._close(spool)
        if self._rows is not None:
            self._staging.load_parsed(self._staging.folder / "rows.jsonl")
        if self._bad is not None:
            self._staging.load_bad(self._staging.folder / "bad.jsonl")

    def _close(self, spool: BinaryIO) -> None:
        try:
            spool.close()
        except OSError as error:
            raise no_room(error.strerror or "") from None

    def _project(self, spool: BinaryIO) -> None:
        """The PROJECTION over what was spooled; what it leaves goes through `parse`. The spool begins anew."""
        if not self._segments:
            return
        source: Any = self.source
        try:
            spool.truncate()
            spool.flush()
        except OSError as error:
            raise no_room(error.strerror or "") from None
        lines = self._staging.folder / "raw.jsonl"
        waiting = self._staging.load_projected(lines, source.RAW, source.PROJECTION, self._segments, self._latest)
        exactly = {
            name
            for name, _position, line in self._lines_of(lines, [one for one in waiting if one[0] in self._again])
            if not is_object(line)
        }
        for name, position, line in self._lines_of(lines, [one for one in waiting if one[0] not in exactly]):
            part = self._parts[name]
            try:
                raw = as_raw(loads(line))
            except DataError as error:
                raw = no_record(line, error.message)
            part.events -= position >= part.start
            reached = part.position
            self.take(name, position, raw)
            part.position = reached
        for name in exactly:
            self._read_exactly(name)
        self._segments, self._again = [], {}
        spool.seek(0)

    def _lines_of(self, path: Path, waiting: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
        """(input, position, line) of the records (input, position), in the order of the file."""
        firsts = {one.input: one for one in reversed(self._segments)}
        wanted: dict[int, tuple[int, int]] = {}
        for name, position in waiting:
            segment = firsts[name]
            if not segment.position <= position < segment.position + segment.lines:
                segment = next(
                    one
                    for one in self._segments
                    if one.input == name and one.position <= position < one.position + one.lines
                )
                firsts[name] = segment
            wanted[segment.first_line + position - segment.position] = (name, position)
        if not wanted:
            return
        last = max(wanted)
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                if number in wanted:
                    yield (*wanted[number], line)
                if number == last:
                    return

    def _read_exactly(self, name: int) -> None:
        """Reads an input whose lines were not what they seemed; it lies in this batch as a whole."""
        part = self._parts[name]
        self._staging.drop_part(name, 0)
        self._parts[name] = _Part(start=part.start, position=part.start, state=part.state, problem=part.problem)
        try:
            for position, raw in enumerate(self._again[name]()):
                self.take(name, position, raw)
        except Broken as error:
            self.end(name, problem=error.message)

    def _forget_spool(self) -> None:
        for spool in (self._rows, self._bad, self._raw):
            if spool is not None:
                with contextlib.suppress(OSError):  # what could not be written was told before
                    spool.close()
        self._rows = self._bad = self._raw = None
        self._segments, self._again = [], {}

    def _try_until_published(self, also: Callable[[Write], None] | None, instead: Sequence[Unreadable]) -> Published:
        left: set[int] = set()
        while True:
            try:
                return self._publish_once(left, also, instead)
            except telemetry.Stale as stale:
                if stale.inputs:
                    left |= set(stale.inputs)
                    self._staging.drop_inputs(stale.inputs)

    def _publish_once(
        self, left: set[int], also: Callable[[Write], None] | None, instead: Sequence[Unreadable]
    ) -> Published:
        staging = self._staging
        live = telemetry.live_files(self._ws.db, sources=[self.source_name], days=staging.days())
        staging.drop_published(live)
        tally = staging.tally()
        steps = []
        for name, part in self._parts.items():
            if name in left:
                continue
            held = tally.get(name)
            events = held.events if held else 0
            steps.append(
                Step(
                    input=name,
                    start=part.start if part.replayed is None else None,
                    position=part.position,
                    events=events,
                    duplicates=part.events - events,
                    skipped=part.skipped,
                    quarantined=part.reasons.total(),
                    replayed=part.replayed or 0,
                    first_at=held.first_at if held else None,
                    last_at=held.last_at if held else None,
                    state=part.state,
                    problem=part.problem,
                )
            )
        if not steps:
            return Published(left=sorted(left))
        files: list[NewFile] = []
        written: list[str] = []
        try:
            number = telemetry.next_batch(self._ws.db)
            for one in staging.write_days(self.source_name, number):
                written.append(one.path)
                files.append(one)
            kept_as = instead[0].source if instead else self.source_name
            bad = staging.write_bad(kept_as)
        except Exception:
            self._remove(written)
            raise
        made = Publication(
            source=self.source_name,
            batch=number,
            files=files,
            steps=steps,
            seen=frozenset(one.id for one in live),
            unreadable=[Unreadable(path=bad[0], source=kept_as, records=bad[1])] if bad else (),
            replayed=[one.id for one in instead],
        )
        try:
            telemetry.publish(self._ws.db, self._actor, made, also=also)
        except telemetry.Stale:
            # Only here is it certain that nothing was committed; what another failure leaves is swept later.
            self._remove([*written, *(bad[:1] if bad else ())])
            raise
        return Published(
            events=sum(step.events for step in steps),
            duplicates=sum(step.duplicates for step in steps),
            skipped=sum(step.skipped for step in steps),
            reasons=sum((part.reasons for name, part in self._parts.items() if name not in left), Counter()),
            left=sorted(left),
        )

    def _remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            (self._ws.activity / path).unlink(missing_ok=True)


def row_line(
    columns: Activity | Mapping[str, Any], *, name: int, position: int, part: int, content: str | None
) -> bytes:
    """One staged row, as `Staging.load_parsed` reads it."""
    return dump({"a": columns, "i": name, "p": position, "k": part, "c": content}) + b"\n"


def _named_apart(activities: Iterable[Activity]) -> list[Activity]:
    """Activities of one record have different ids: the second with the same has "#1" behind it, and so on."""
    found: list[Activity] = []
    names: set[str] = set()
    for part, one in enumerate(activities):
        apart = one if one.uid is None or one.uid not in names else replace(one, uid=f"{one.uid}#{part}")
        if apart.uid is not None:
            names.add(apart.uid)
        found.append(apart)
    return found
