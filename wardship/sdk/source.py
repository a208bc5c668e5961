"""The interface of a telemetry source: what one kind of audit log says, as activities.

A source module has these names, and nothing else is called:

    MANIFEST: SourceManifest                 what it is, its files, and what it cannot tell
    claims(record) -> bool                   this raw record is of this log: cheap, by shape; for `--source auto`
    parse(record, drift) -> Iterable[Activity]
                                             what one raw record says; none: not an event of interest (counted as
                                             skipped). Raises DataError: quarantined. No network, no state.
    PROJECTION: str, RAW: Mapping[str, str]  may be absent: the same as `parse`, set-based (see below)
    live(connection) -> LiveLog              may be absent: the system's own API

A raw record is a JSON object; of CSV a row, of XML an element (its children as an object), of plain text
{"message": line}. A source says nothing about good or bad. Names and texts in a record are hostile.

`PROJECTION` is for logs of millions of events a day: one SELECT in DuckDB's dialect over the table `raw`, giving the
columns of ACTIVITY without those of STAMPED, and `readable BOOLEAN`: FALSE sends that record to `parse`, which has the
last word on it (the other columns of such a row mean nothing; FALSE too for a record that `parse` skips). A test holds
both equal, row by row. `raw` has a row for each raw record: the columns that `RAW` declares (name -> DuckDB type, as
`columns` of `read_json` takes them; a value that does not fit its type is NULL), and `position BIGINT`, which the
SELECT hands on untouched. Keep what RAW declares to what is asked: what is not declared is never decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from wardship.model.activity import Activity
from wardship.model.identity import IdentityKind
from wardship.model.scan import RawPage
from wardship.sdk.connector import BlindSpot, CallStats, Connection, Drift, Evidence, Permission, Setting

UNNAMED = ":?"
"""In an authority: what a log cannot tell ("postgresql:?", "vault:?/team"): which database, gateway, server it is."""


def named(authority: str | None, given: str | None) -> str | None:
    """`authority` with `given` (what the user says at the import) where the log could not tell; else as it is.

    What follows the UNNAMED, a namespace, stays. An actor whose authority stays UNNAMED is counted and shown, and
    joins nothing in the inventory.
    """
    if not given or not authority or UNNAMED not in authority:
        return authority
    return given + authority.partition(UNNAMED)[2]


KEPT_BY_ITS_OWNER = math.inf
"""As `retention_days`: no vendor deletes it. It lies with whoever wrote it, for as long as they keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A part of a log that may be missing while the rest is there: a category, a kind of events that is switched on
    or off by itself. "Not used" needs every part that would show a use (docs/adr/0038).

    `events` is a condition in SQL over columns of ACTIVITY that every engine knows: which events are of this part. The
    first part that fits has the event; one that fits none is of no part.
    """

    name: str  # "servicePrincipal"; a live stream of the same name reads this part
    events: str
    always: bool = False  # the vendor writes it unasked: a complete reading holds it even where it shows no event of it
    shown: bool = True  # an event of it proves that the day's others are there too; False: only somebody's word does
    live: bool = True  # live readings hold it
    not_for: Sequence[IdentityKind] = ()  # identities that it cannot show


DEFAULT_PARTS = (
    LogPart(name="reads", events="NOT mutating", shown=False),
    LogPart(name="writes", events="mutating", shown=False),
)
"""Of a log without parts of its own that may or may not hold reads (`logs_reads` None). It may be of one bucket or one
gateway of the system that it names: only somebody's word makes it the log of all use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceManifest:
    """A source in declarations; its docs page and the log-coverage map are made from it."""

    name: str  # "aws.cloudtrail": module `aws_cloudtrail`
    title: str  # "AWS CloudTrail"
    forms: Sequence[str]  # the files it takes, each an English message id (gettext)
    records: Sequence[str] = ()  # keys under which a JSON document holds its list of records: ("Records",)
    connector: str | None = None  # the connector whose connections `live` takes, and whose ids actors have
    settings: Sequence[Setting] = ()  # of a connection of its own, where there is no such connector
    permissions: Sequence[Permission] = ()  # what `live` needs
    delay_hours: float | None = None  # how late an event may still arrive, as the vendor says; None: it does not say
    retention_days: float | None = None  # how long the vendor keeps it; None: not known; see KEPT_BY_ITS_OWNER
    logs_reads: bool | None = None  # reads are in it without asking; None: not known, or as it is switched on
    parts: Sequence[LogPart] = ()  # see `parts_of`
    regional: bool = False  # written region by region, and no event tells which regions there are: files cover none by
    # themselves. Of live streams those named ACCOUNT/REGION, as the log's own folders are, tell all that there are.
    blind_spots: Sequence[BlindSpot] = ()
    evidence: Evidence
    contracts: Sequence[str] = ()
    links: Sequence[str] = ()


WHOLE = LogPart(name="", events="TRUE", always=True)
"""The only part of a log that always holds every use."""


def parts_of(manifest: SourceManifest) -> Sequence[LogPart]:
    """What must be there of a log before it may say "not used". Empty: it never may."""
    if manifest.logs_reads is False:
        return ()
    if manifest.parts:
        return manifest.parts
    return (WHOLE,) if manifest.logs_reads else DEFAULT_PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One part of a live log with a clock of its own: a region, a category, an organisation."""

    name: str  # "us-east-1", "servicePrincipal": stable, it keys the cursor
    authority: str  # whose events they are: "aws:123456789012", "entra:<tenant>"
    whole_days: float | None = None  # how far back nothing of it is missing; None: the manifest's retention_days


class Source(Protocol):
    """A source module or a declared log, as the registry gives it."""

    @property
    def MANIFEST(self) -> SourceManifest: ...  # noqa: N802 - a module's constant; read-only, as a frozen class has it

    def claims(self, record: dict[str, Any]) -> bool: ...

    def parse(self, record: dict[str, Any], drift: Drift) -> Iterable[Activity]: ...


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source that also reads the system's own interface."""

    def live(self, connection: Connection) -> LiveLog: ...


class LiveLog(Protocol):
    """Reads one log through the vendor's API. Ingest keeps the cursor and drops what it has seen."""

    stats: CallStats

    def streams(self) -> Iterable[Stream]:
        """What there is to read; cheap. Raises AuthenticationFailed, ConfigError."""

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        """The records of [since, until) as the vendor gives them, in any order; each is one for `parse`.

        Raises MissingScope or NotVisible (a licence that is missing is one), RetryableError after its own retries.
        """
