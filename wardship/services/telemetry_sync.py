"""Reads the logs of connected systems through their own interfaces: what came since the last time.

A connection's connector names the sources that read with it; a source without such a connector has settings of its own
and is connected by its own name (`wardship connect add okta.system_log ...`). Each stream of a log has a clock of its
own. What is read twice is dropped by ingest, so every reading goes back by as long as the vendor may be late.
"""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from wardship.ingest.telemetry import open_staging
from wardship.ingest.telemetry.batch import Batch, Published
from wardship.ingest.telemetry.records import as_raw
from wardship.ingest.telemetry.staging import Staging
from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectorError,
    Error,
    MissingScope,
    SkippableError,
)
from wardship.model.scan import Problem
from wardship.sdk import registry
from wardship.sdk.connector import Connection
from wardship.sdk.i18n import _, format_number
from wardship.sdk.source import LiveLog, LiveSource, Stream
from wardship.store import telemetry
from wardship.store.db import Database, Write
from wardship.store.telemetry import Window
from wardship.store.telemetry_tables import telemetry_cursor
from wardship.store.workspace import Workspace

FIRST_DAYS = 90
"""How far back the first reading goes, unless it is told otherwise or the vendor keeps less."""

UNTOLD_DELAY_HOURS = 1.0
"""How late events may be where the vendor does not say. What comes later than that is lost to the next reading, but a
verdict asks for no day newer than the day before yesterday."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOutcome:
    """How reading one stream went. `problem` None: it was read to `until`. `stream` "": nothing of the log was."""

    connection: str
    source: str
    stream: str
    since: datetime | None = None
    until: datetime | None = None
    events: int = 0
    duplicates: int = 0
    skipped: int = 0
    quarantined: int = 0
    api_calls: int = 0
    problem: str | None = None
    missing: str | None = None  # the vendor's name of the permission that is lacking
    advice: str = ""


def live_sources(connector: str) -> list[LiveSource]:
    """The sources that read with a connection of `connector`, by name; it may be the source's own name."""
    found = []
    for name in registry.source_names():
        source = registry.source(name)
        if isinstance(source, LiveSource) and connector == (source.MANIFEST.connector or source.MANIFEST.name):
            found.append(source)
    return found


def sync(
    ws: Workspace,
    connections: Sequence[Connection],
    actor: str,
    *,
    only: str | None = None,
    since: datetime | None = None,
) -> Iterator[StreamOutcome]:
    """Reads every stream of every log of the connections, one after the other; yields how each went.

    `only`: that source alone. `since`: read again from there instead of from where the last reading ended. A log that
    refuses is an outcome and the others go on. Raises ConfigError where none of the connections has such a log, and
    Unavailable when there is no room.
    """
    chosen = [
        (connection, source)
        for connection in connections
        for source in live_sources(connection.connector)
        if only is None or source.MANIFEST.name == only
    ]
    if not chosen:
        raise ConfigError(
            _("none of these connections has a log that can be read live"),
            advice=_("read files with `wardship telemetry import`, or add a connection with `wardship connect add`"),
        )
    with open_staging(ws) as place:
        for connection, source in chosen:
            yield from _Log(ws, place, connection, source, actor).read(since)


@dataclass(frozen=True, slots=True)
class _Log:
    """One log of one connection."""

    ws: Workspace
    place: Staging
    connection: Connection
    source: LiveSource
    actor: str

    @property
    def name(self) -> str:
        return self.source.MANIFEST.name

    def read(self, since: datetime | None) -> Iterator[StreamOutcome]:
        """Every stream. A refused credential ends it; what one stream lacks does not end the others."""
        known = StreamOutcome(connection=self.connection.name, source=self.name, stream="")
        with contextlib.ExitStack() as stack:
            try:
                log: LiveLog = self.source.live(self.connection)
                close = getattr(log, "close", None)
                if close is not None:
                    stack.callback(close)
                streams = list(log.streams())
            except (ConfigError, ConnectorError) as error:
                yield _with_error(known, error)
                return
            for stream in streams:
                until = self.connection.clock()
                start = since or self._start(stream.name, until)
                outcome, refused = self._read_stream(
                    log, stream, replace(known, stream=stream.name, since=start, until=until)
                )
                yield outcome
                if isinstance(refused, AuthenticationFailed):
                    return

    @property
    def _delay(self) -> timedelta:
        told = self.source.MANIFEST.delay_hours
        return timedelta(hours=UNTOLD_DELAY_HOURS if told is None else told)

    def _start(self, stream: str, now: datetime) -> datetime:
        """From where to read: the cursor, less what may have come late since."""
        oldest = now - timedelta(days=min(FIRST_DAYS, self.source.MANIFEST.retention_days or FIRST_DAYS))
        cursor = read_until(self.ws.db, self.connection.name, self.name, stream)
        return oldest if cursor is None else max(cursor - self._delay, oldest)

    def _read_stream(
        self, log: LiveLog, stream: Stream, known: StreamOutcome
    ) -> tuple[StreamOutcome, ConnectorError | None]:
        """Reads [known.since, known.until). What came before an error is published too: it is true."""
        reading, calls = uuid.uuid4().hex, log.stats.api_calls
        name = f"{self.connection.name}/{stream.name}"
        made = telemetry.register(self.ws.db, self.name, [(name, reading, 0)])[reading].id
        batch = Batch(self.ws, self.place, self.name, self.source, self.actor)
        batch.begin(made, 0)
        published: list[Published] = []
        problems: list[Problem] = []
        refused: ConnectorError | None = None
        position = 0
        outcome = known
        try:
            for page in log.fetch(stream, _told(known.since), _told(known.until)):
                problems += page.problems
                for item in page.items:
                    batch.take(made, position, as_raw(item))
                    position += 1
                    if batch.full:
                        published.append(batch.publish())
                self.connection.progress(
                    _("%(name)s: %(source)s, %(records)s records")
                    % {"name": name, "source": self.name, "records": format_number(position)}
                )
        except ConnectorError as error:
            refused = error
            outcome = _with_error(known, error)
        else:
            if problems:
                outcome = replace(
                    known, problem=_said(problems), missing=problems[0].permission, advice=self._advice(known, problems)
                )
        batch.end(made, problem=outcome.problem)
        read_on = refused is None and not _may_pass(problems)
        published.append(batch.publish(also=partial(self._remember, stream, outcome, refused, read_on)))
        return (
            replace(
                outcome,
                events=sum(one.events for one in published),
                duplicates=sum(one.duplicates for one in published),
                skipped=sum(one.skipped for one in published),
                quarantined=sum(one.quarantined for one in published),
                api_calls=log.stats.api_calls - calls,
            ),
            refused,
        )

    def _advice(self, known: StreamOutcome, problems: Sequence[Problem]) -> str:
        if _may_pass(problems):
            return _("allow what is missing; the next reading asks for it again")
        return _(
            "the next reading goes on behind it; once it can be read: "
            "`wardship telemetry sync %(name)s --source %(source)s --since %(day)s`"
        ) % {"name": self.connection.name, "source": self.name, "day": _told(known.since).date().isoformat()}

    def _remember(
        self, stream: Stream, outcome: StreamOutcome, refused: ConnectorError | None, read_on: bool, write: Write
    ) -> None:
        """How far the stream was read (`read_on`: the next reading begins there), and what is now known to be complete.

        The newest hours are not, for events of them may still arrive, nor what is older than the vendor keeps whole.
        A failure that passes says nothing of the log.
        """
        since, until = _told(outcome.since), _told(outcome.until)
        if read_on:
            _move_cursor(write, outcome)
        if outcome.problem is None:
            whole = stream.whole_days or self.source.MANIFEST.retention_days or FIRST_DAYS
            since = since if math.isinf(whole) else max(since, until - timedelta(days=whole))
            until = max(since, until - self._delay)
        elif refused is not None and not isinstance(refused, SkippableError):
            return
        window = Window(
            source=self.name,
            authority=stream.authority,
            stream=stream.name,
            start_at=since,
            end_at=until,
            complete=outcome.problem is None,
            problem=outcome.missing or outcome.problem,
            said_by=telemetry.LIVE,
        )
        telemetry.declare(write, window)


def read_until(db: Database, connection: str, source: str, stream: str) -> datetime | None:
    """How far the stream was read; None: never."""
    key = telemetry_cursor.c
    query = sa.select(key.until_at).where(key.connection == connection, key.source == source, key.stream == stream)
    with db.read() as conn:
        found: datetime | None = conn.scalar(query)
        return found


def _move_cursor(write: Write, outcome: StreamOutcome) -> None:
    key = {"connection": outcome.connection, "source": outcome.source, "stream": outcome.stream}
    where = sa.and_(*(telemetry_cursor.c[name] == value for name, value in key.items()))
    moved = write.conn.execute(sa.update(telemetry_cursor).where(where).values(until_at=outcome.until))
    if not moved.rowcount:
        write.conn.execute(sa.insert(telemetry_cursor).values(**key, until_at=outcome.until))


def _may_pass(problems: Sequence[Problem]) -> bool:
    """Whether a part that could not be read may be readable the next time. What is broken or archived stays so: to ask
    for it with every reading, and for all that came since, would help nobody."""
    return any(one.reason == "missing_permission" for one in problems)


def _said(problems: Sequence[Problem]) -> str:
    first, more = problems[0].detail, len(problems) - 1
    return _("%(first)s (and %(more)s more)") % {"first": first, "more": format_number(more)} if more else first


def _told(at: datetime | None) -> datetime:
    assert at is not None  # noqa: S101 - a stream's outcome has both; narrows for the type checker
    return at


def _with_error(outcome: StreamOutcome, error: Error) -> StreamOutcome:
    missing = error.scope if isinstance(error, MissingScope) else None
    return replace(outcome, problem=error.message, missing=missing, advice=error.advice)
