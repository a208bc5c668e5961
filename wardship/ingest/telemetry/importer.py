"""Files to events. Whatever happens, each record is published once: killed anywhere, the next run goes on.

A file that was imported before is known by its digest and passed over. Of a new one, records are read into batches; a
batch is published together with how far each of its files was read, so that the next run knows where to go on. A file
that cannot be read to its end is published up to there and stays "broken"; mended, it is another file, and what it has
in common with the broken one are duplicates.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from wardship.ingest.quarantine import bad_item
from wardship.ingest.telemetry import open_staging
from wardship.ingest.telemetry.batch import Batch, Published
from wardship.ingest.telemetry.blocks import blocks
from wardship.ingest.telemetry.files import LogFile, digest_of, log_files
from wardship.ingest.telemetry.plain import Broken
from wardship.ingest.telemetry.records import NoRecord, Raw, Records, unfold
from wardship.ingest.telemetry.staging import Staging
from wardship.model.activity import Activity
from wardship.sdk import registry
from wardship.sdk.connector import DriftLog
from wardship.sdk.source import Source
from wardship.store import telemetry
from wardship.store.telemetry import Input, Window
from wardship.store.workspace import Workspace

AUTO = "auto"
_AT_ONCE = 200  # files that are looked at before they are read
_TELL_BYTES = 4 * 1024 * 1024  # of a file, read between two words on how far it is
_SAMPLE = 30  # records that tell the source of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """How far an import is, for whoever watches."""

    done_bytes: int
    total_bytes: int
    files: int
    events: int


Watch = Callable[[Advance], None]


@dataclass(slots=True, kw_only=True)
class Imported:
    """What an import did. `reasons`: why records could not be read, and how many; `broken`: (file, why it could not be
    read to its end); `unknown`: no source knows them."""

    files: int = 0
    known: int = 0  # files that were imported before
    events: int = 0
    duplicates: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)  # files without a byte
    sources: Counter[str] = field(default_factory=Counter)  # files of each
    drift: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def quarantined(self) -> int:
        return self.reasons.total()

    @property
    def complete(self) -> bool:
        return not (self.reasons or self.broken or self.unknown)

    @property
    def whole(self) -> bool:
        """Whether there was a log at all, and all of it was read: only then may somebody say that it is complete."""
        return bool(self.events or self.duplicates or self.known) and not (self.broken or self.unknown)

    def count(self, done: Published) -> None:
        self.events += done.events
        self.duplicates += done.duplicates
        self.skipped += done.skipped
        self.reasons += done.reasons


def import_paths(
    ws: Workspace,
    paths: Sequence[Path],
    source: str | Source = AUTO,
    *,
    actor: str,
    stdin: BinaryIO | None = None,
    watch: Watch | None = None,
) -> Imported:
    """Imports files and folders of one source, or of the one that each file's records tell (AUTO).

    Raises ConfigError for a path or a source that is not there, Unavailable when there is no room: what was published
    until then stays, and the next import goes on.
    """
    sources = _sources(source)
    with open_staging(ws) as place:
        files, unreadable = log_files(paths, stdin or sys.stdin.buffer, place.folder)
        work = _Import(ws, place, sources, actor)
        work.told.broken += unreadable
        work.told.empty += [one.name for one in files if not one.size_bytes]
        work.watch(watch, total_bytes=sum(one.size_bytes for one in files))
        for first in range(0, len(files), _AT_ONCE):
            work.read(files[first : first + _AT_ONCE])
        work.finish()
        return work.told


def declare(ws: Workspace, window: Window, *, actor: str) -> None:
    """Records somebody's word that a log is complete in a window."""
    with ws.db.write(actor) as write:
        telemetry.declare(write, window)
        write.audit(
            "telemetry.declared",
            f"telemetry:{window.source}",
            {
                "authority": window.authority,
                "part": window.stream,
                "from": window.start_at.isoformat(),
                "to": window.end_at.isoformat(),
            },
        )


def claimed_by(file: Path, name: str, sources: Sequence[Source], *, likely: Source | None = None) -> Source | None:
    """The source that most of the first records of a file are of; None: nobody knows them. `likely`: that of the file
    before, which is asked first."""
    values = _sample(Records(file, name))
    samples: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    best: tuple[int, Source] | None = None
    for one in [likely, *sources] if likely is not None else sources:
        keys = tuple(one.MANIFEST.records)
        if keys not in samples:
            unfolded = [record for value in values for record in unfold(value, keys)] if values else []
            samples[keys] = [record for record in unfolded[:_SAMPLE] if not isinstance(record, NoRecord)] or _sample(
                Records(file, name, keys)
            )  # a document too large to be read at once
        claims = sum(1 for record in samples[keys] if one.claims(record))
        if claims and claims == len(samples[keys]) and one is likely:
            return one
        if claims and (best is None or claims > best[0]):
            best = claims, one
    return best[1] if best else None


def _sample(records: Records) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        for raw in itertools.islice(records, 4 * _SAMPLE):
            if not isinstance(raw, NoRecord):
                found.append(raw)
            if len(found) == _SAMPLE:
                break
    except Broken:
        pass  # what came before it tells
    return found


def _sources(source: str | Source) -> list[Source]:
    if not isinstance(source, str):
        return [source]
    if source == AUTO:
        return [registry.source(name) for name in registry.source_names()]
    return [registry.source(source)]


@dataclass(slots=True, kw_only=True)
class Tried:
    """What an import of these files would find. `reasons`: why records cannot be read, and how many."""

    files: int = 0
    events: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)  # files without a byte
    sources: Counter[str] = field(default_factory=Counter)
    drift: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def complete(self) -> bool:
        return not (self.reasons or self.broken or self.unknown)

    def count(self, found: Sequence[Activity]) -> None:
        self.events += len(found)
        self.skipped += not found
        for one in found:
            self.first_at = min(self.first_at or one.time, one.time)
            self.last_at = max(self.last_at or one.time, one.time)


def try_paths(
    paths: Sequence[Path],
    source: str | Source = AUTO,
    *,
    folder: Path,
    stdin: BinaryIO | None = None,
    watch: Watch | None = None,
) -> Tried:
    """Parses files as an import would, and keeps nothing. `folder` is for a copy of standard input."""
    sources = _sources(source)
    files, unreadable = log_files(paths, stdin or sys.stdin.buffer, folder)
    told, drift = Tried(broken=unreadable, empty=[one.name for one in files if not one.size_bytes]), DriftLog()
    total, done, within = sum(one.size_bytes for one in files), 0, 0

    def is_at(read_bytes: int) -> None:
        nonlocal within
        within = read_bytes

    for file in files:
        chosen = sources[0] if len(sources) == 1 else claimed_by(file.path, file.name, sources)
        if chosen is None:
            told.unknown += [file.name] if file.size_bytes else []
            continue
        told.files += 1
        told.sources[chosen.MANIFEST.name] += 1
        try:
            for number, raw in enumerate(Records(file.path, file.name, chosen.MANIFEST.records, watch=is_at)):
                if watch is not None and number % 1_000 == 0:
                    watch(Advance(done_bytes=done + within, total_bytes=total, files=told.files, events=told.events))
                _try(told, chosen, raw, drift)
        except Broken as error:
            told.broken.append((file.name, error.message))
        done, within = done + file.size_bytes, 0
    told.drift.update(drift.counts)
    return told


def _try(told: Tried, source: Source, raw: Raw, drift: DriftLog) -> None:
    if isinstance(raw, NoRecord):
        told.reasons[raw.reason] += 1
        return
    try:
        found = list(source.parse(raw, drift))
    except Exception as error:  # noqa: BLE001 - as an import: whatever a parser trips over costs one record
        told.reasons[bad_item(None, error).reason] += 1
    else:
        told.count(found)


class _Import:
    """One run over files: a batch at a time, of one source at a time."""

    def __init__(self, ws: Workspace, place: Staging, sources: Sequence[Source], actor: str) -> None:
        self.told = Imported()
        self._ws = ws
        self._place = place
        self._sources = sources
        self._actor = actor
        self._done = self._total = self._within = 0  # bytes: of files that are done, of all, of the file at hand
        self._watch: Watch | None = None
        self._batch: Batch | None = None
        self._likely: Source | None = None  # of the file before
        self._reading: dict[int, _Reading] = {}  # inputs of the batch
        self._again: list[_Reading] = []  # those that another process has read on meanwhile

    def watch(self, watch: Watch | None, *, total_bytes: int) -> None:
        self._watch, self._total = watch, total_bytes

    def read(self, files: Sequence[LogFile]) -> None:
        """Reads some files, those of one source behind each other."""
        looked: dict[str, list[tuple[LogFile, str]]] = {}
        by_name: dict[str, Source] = {}
        digests: dict[str, LogFile] = {}
        for file in files:
            try:
                digests.setdefault(digest_of(file), file)
            except OSError as error:
                self.told.broken.append((file.name, error.strerror or ""))
        done = {one.digest: one for one in telemetry.inputs_of(self._ws.db, list(digests)) if one.state == "done"}
        for digest, file in digests.items():
            source = self._source_of(file, done.get(digest))
            if source is not None:
                by_name[source.MANIFEST.name] = source
                looked.setdefault(source.MANIFEST.name, []).append((file, digest))
        for name, some in sorted(looked.items()):
            self._read_source(by_name[name], some)

    def _source_of(self, file: LogFile, done: Input | None) -> Source | None:
        """The source of a file that is to be read; None: it was read, or nobody knows it."""
        if done is not None and (len(self._sources) > 1 or done.source == self._sources[0].MANIFEST.name):
            self.told.known += 1
            self._advance(file.size_bytes)
            return None
        if len(self._sources) == 1:
            return self._sources[0]
        source = self._likely = claimed_by(file.path, file.name, self._sources, likely=self._likely)
        if source is None:
            self._advance(file.size_bytes)
            if file.size_bytes:
                self.told.unknown.append(file.name)
        return source

    def _read_source(self, source: Source, files: Sequence[tuple[LogFile, str]]) -> None:
        name = source.MANIFEST.name
        if self._batch is None or self._batch.source_name != name:
            self._publish()
            self._batch = Batch(self._ws, self._place, name, source, self._actor)
        known = telemetry.register(self._ws.db, name, [(file.name, digest, file.size_bytes) for file, digest in files])
        for file, digest in files:
            if known[digest].state == "done" or known[digest].id in self._reading:  # it is in this batch
                self.told.known += 1
            else:
                self.told.files += 1
                self.told.sources[name] += 1
                self._read_file(self._batch, _Reading(file=file, digest=digest, source=source), known[digest])
            self._advance(file.size_bytes)

    def _read_file(self, batch: Batch, reading: _Reading, made: Input) -> None:
        batch.begin(made.id, made.position)
        self._reading[made.id] = reading
        problem = None
        try:
            if hasattr(reading.source, "PROJECTION"):
                whole = self._spool(batch, reading, made)
            else:
                whole = self._parse(batch, reading, made)
        except Broken as error:
            problem = error.message
            whole = True
        if whole:
            batch.end(made.id, problem=problem)
        if batch.full:
            self._publish()

    def _parse(self, batch: Batch, reading: _Reading, made: Input) -> bool:
        """Record by record. False: another process has read on; it is looked at again later."""
        for position, raw in enumerate(reading.records(self._is_at)):
            batch.take(made.id, position, raw)
            if batch.full and made.id in self._publish():
                return False
        return True

    def _spool(self, batch: Batch, reading: _Reading, made: Input) -> bool:
        """Block by block, for the source's PROJECTION. False as `_parse`."""
        position = 0
        keys = reading.source.MANIFEST.records
        for block in blocks(reading.file.path, reading.file.name, keys, watch=self._is_at):
            if isinstance(block, NoRecord):
                batch.take(made.id, position, block)
                position += 1
            else:
                batch.spool(made.id, position, block.lines, block.count, reading.records if block.split else None)
                position += block.count
            if batch.full and made.id in self._publish():
                return False
        return True

    def finish(self) -> None:
        """Publishes the rest, and what another process was quicker with."""
        self._publish()
        while self._again:
            for reading in self._again[:]:
                self._again.remove(reading)
                name, file = reading.source.MANIFEST.name, reading.file
                made = telemetry.register(self._ws.db, name, [(file.name, reading.digest, file.size_bytes)])
                if made[reading.digest].state != "done":
                    batch = self._batch = Batch(self._ws, self._place, name, reading.source, self._actor)
                    self._read_file(batch, reading, made[reading.digest])
                    self._publish()

    def _publish(self) -> set[int]:
        """Publishes the batch; returns the inputs that another process has read on."""
        if self._batch is None:
            return set()
        batch = self._batch
        problems = dict(batch.problems)
        done = batch.publish()
        self.told.count(done)
        self.told.drift.update(batch.drift.counts)
        batch.drift.counts.clear()
        left = set(done.left)
        for name, problem in problems.items():
            if name not in left:
                self.told.broken.append((self._reading[name].file.name, problem))
        self._again += [self._reading[name] for name in sorted(left)]
        self._reading = {name: one for name, one in self._reading.items() if name in batch.unfinished}
        self._tell()
        return left

    def _is_at(self, read_bytes: int) -> None:
        """So much of the file at hand was read."""
        if read_bytes - self._within >= _TELL_BYTES:
            self._within = read_bytes
            self._tell()

    def _advance(self, read_bytes: int) -> None:
        """A file of so many bytes is done."""
        self._done += read_bytes
        self._within = 0
        self._tell()

    def _tell(self) -> None:
        if self._watch is not None:
            batch = self._batch
            self._watch(
                Advance(
                    done_bytes=self._done + self._within,
                    total_bytes=self._total,
                    files=self.told.files + self.told.known,
                    events=self.told.events + (batch.events if batch is not None else 0),
                )
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A file that is being read as of a source."""

    file: LogFile
    digest: str
    source: Source

    def records(self, watch: Callable[[int], None] | None = None) -> Records:
        return Records(self.file.path, self.file.name, self.source.MANIFEST.records, watch=watch)
