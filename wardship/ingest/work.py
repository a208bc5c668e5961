"""What the steps of one scan share: the database, the connector, the thresholds, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from wardship.model.scan import Scope
from wardship.sdk.connector import CallStats, Connector, FileImport
from wardship.store.db import Database
from wardship.store.scans import Reading, Scan

Reader = Connector | FileImport
"""What is read: a live system, or files of its own export, which answer no point reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPolicy:
    """Thresholds of reading and publishing; the two of the drop guard are the workspace's (`model.policy`)."""

    drop_guard_percent: int = 20
    """A complete reading that newly misses more than this share of a scope's rows waits for a person."""
    drop_guard_minimum: int = 10
    """The guard looks only at families of a scope with at least this many rows; 0 = at all."""
    point_reads: int = 50
    """Missing objects of one scope that the system is asked for by id, at most."""
    max_restarts: int = 3
    """How often a scope begins again in one scan because its page token expired."""
    resume_within: timedelta = timedelta(hours=24)
    """An unfinished scan older than this is given up and a new one begins."""
    scope_deadline: timedelta | None = None
    scan_deadline: timedelta | None = None
    """Reading stops here and the rest is PARTIAL; None = no limit. Counted from this run, not from the scan's start."""
    chunk_rows: int = 2_000
    """Rows that one transaction writes, at most; between two, other writers get in (ADR 0013)."""

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_rows <= 5_000:
            raise ValueError("chunk_rows must be 1 to 5,000: a longer transaction keeps people waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a scan is: scope `number` of `scopes`, in `phase` reading, publishing or done."""

    scope: Scope
    number: int
    scopes: int
    phase: str
    pages: int
    items: int


def silent(_progress: Progress) -> None:
    """The progress of nobody watching."""


@dataclass(slots=True, kw_only=True)
class Work:
    """One run of `run_scan` or of a replay. `reader` None: nothing is read, only published and settled."""

    db: Database
    reader: Reader | None
    scan: Scan
    actor: str
    policy: ScanPolicy
    tell: Callable[[Progress], None] = silent
    number: int = 0
    scopes: Sequence[Scope] = field(default_factory=tuple)
    _counted: tuple[int, int] = (0, 0)

    @property
    def source(self) -> Reader:
        """The reader, where there must be one."""
        if self.reader is None:
            raise AssertionError("nothing can be read in this run")
        return self.reader

    def count_calls(self, reading: Reading) -> None:
        """Adds to the reading what the connector has spent since the last call."""
        stats: CallStats | None = getattr(self.reader, "stats", None)
        if stats is not None:
            calls, throttles = self._counted
            reading.api_calls += stats.api_calls - calls
            reading.throttles += stats.throttles - throttles
            self._counted = (stats.api_calls, stats.throttles)

    def progress(self, reading: Reading, phase: str) -> None:
        self.tell(
            Progress(
                scope=reading.scope,
                number=self.number,
                scopes=len(self.scopes),
                phase=phase,
                pages=reading.pages,
                items=reading.items,
            )
        )
