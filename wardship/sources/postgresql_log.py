"""PostgreSQL's server log (stderr, csvlog, jsonlog): who connected, who was refused, and what kind of statements ran.

Which database cluster it is the log does not say: the importer does (`postgresql:` and its system identifier, as the
connector names it). Whatever is about the server itself and about nobody is skipped, and so are the lines that only go
on with the line before them (DETAIL, HINT, STATEMENT, LOCATION). Statements are told by their kind; their text is not
kept. The prefix of stderr lines is the operator's; of it a time, `user@database` and an address with a port are
understood wherever they stand.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.i18n import N_
from wardship.sdk.log_mapping.instants import form_of, instant
from wardship.sdk.source import KEPT_BY_ITS_OWNER, UNNAMED, LogPart, SourceManifest
from wardship.sources._record import compact, identifier, line_of, text
from wardship.sources._sql import statement

MANIFEST = SourceManifest(
    name="postgresql.log",
    title="PostgreSQL server log",
    forms=(N_("text lines (stderr, csvlog) or JSON lines (jsonlog) of the server's log"),),
    connector="postgresql",
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=None,
    parts=(
        # log_statement may be set for each role and database: no event tells
        LogPart(name="reads", events="NOT mutating", shown=False),
        LogPart(name="writes", events="mutating", shown=False),
    ),
    blind_spots=(
        BlindSpot(
            id="postgresql.log_connections",
            text=N_("Connections are in the log only with log_connections, ends with log_disconnections."),
        ),
        BlindSpot(
            id="postgresql.log_statements",
            text=N_("Statements are in the log only with log_statement or pgAudit."),
        ),
        BlindSpot(
            id="postgresql.log_address",
            text=N_("Text lines tell the address only where log_line_prefix has it; jsonlog always does."),
        ),
    ),
    evidence=Evidence.REAL_PRODUCT,
    links=("https://www.postgresql.org/docs/current/runtime-config-logging.html",),
)

_COLUMNS = (  # of csvlog; later versions append to them
    "timestamp", "user", "dbname", "pid", "connection_from", "session_id", "line_num", "ps", "session_start", "vxid",
    "txid", "error_severity", "state_code", "message", "detail", "hint", "internal_query", "internal_position",
    "context", "statement", "cursor_position", "location", "application_name", "backend_type", "leader_pid", "query_id",
)  # fmt: skip
_FORM = form_of("yyyy-mm-dd hh:mm:ss zone")
_EVENTS = frozenset(("LOG", "ERROR", "FATAL", "PANIC", "WARNING"))
_CONTINUED = frozenset(("DETAIL", "HINT", "CONTEXT", "STATEMENT", "LOCATION", "QUERY", "BACKTRACE"))
_LINE = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? (?:[A-Za-z]{1,5}|[+-]\d\d(?::?\d\d)?))(.{0,500}?)"
    r"\b(LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?|DETAIL|HINT|CONTEXT|STATEMENT|LOCATION|QUERY|BACKTRACE)"
    r":  ?",
    re.ASCII | re.DOTALL,
)
_STATE = re.compile(r"([0-9A-Z]{5}): ", re.ASCII)
_USER = re.compile(r"([^\s@:\[\]]{1,63})@([^\s@:\[\]]{1,63})")
_PEERS = (  # of IPv4 first: what stands before it may look like the beginning of an IPv6 address
    re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})\(\d{1,5}\)"),
    re.compile(r"\b([0-9a-fA-F:.]{2,45})\(\d{1,5}\)"),
)
_PID = re.compile(r"\[(\d{1,10})(?:-\d{1,10})?\]")
_NAMED = re.compile(r"\b(user|database|application_name|host)=([^\s,]{1,200})")
_REFUSED = re.compile(
    r'authentication failed for user "(?P<a>[^"]{1,200})"|role "(?P<b>[^"]{1,200})" (?:does not exist|is not permitted)'
    r'|no pg_hba\.conf entry for (?:replication connection from )?host "(?P<ip>[^"]{1,60})", user "(?P<c>[^"]{1,200})"'
    r'|too many connections for role "(?P<d>[^"]{1,200})"'
)
_SQL = re.compile(
    r"(?:duration: [\d.]{1,20} ms  )?(?:statement|execute [^:]{1,200}|parse [^:]{1,200}|bind [^:]{1,200}): "
)
_LOGIN_STATES = ("28", "53300", "57P03", "3D000")  # not authorised, too many, starting up, no such database


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry of the log, whatever its form. Empty texts are None."""

    time: str
    severity: str
    message: str
    user: str | None = None
    database: str | None = None
    host: str | None = None
    session: str | None = None
    line: str | None = None
    tag: str | None = None  # of the command that ran
    state: str | None = None
    application: str | None = None


def claims(record: dict[str, Any]) -> bool:
    """A jsonlog entry, or a line that begins as one of PostgreSQL's."""
    if {"timestamp", "error_severity", "pid"} <= set(record):
        return True
    line = line_of(record)
    if line is not None:
        return _LINE.match(line) is not None or _csv_row(line) is not None
    return _of_cells(record.get("row")) is not None


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """A connection, a refusal, an end, a statement or an error of somebody's; else nothing."""
    line = line_of(record)
    if line is not None and line.startswith("\t"):
        return ()  # an entry of several lines goes on
    entry = _entry(record)
    if entry.severity in _CONTINUED:
        return ()
    if entry.severity not in _EVENTS:
        if not re.fullmatch(r"NOTICE|INFO|DEBUG\d?", entry.severity):
            drift.unknown_value("postgresql.severity", entry.severity)
        return ()
    found = _told(entry)
    return () if found is None else (found,)


def _told(entry: _Entry) -> Activity | None:
    message = entry.message
    named = dict(_NAMED.findall(message[:2_000]))
    if message.startswith(("connection authorized:", "replication connection authorized:")):
        return _activity(entry, "connection authorized", ActivityClass.AUTHENTICATION, Outcome.SUCCESS, named)
    if message.startswith("disconnection:"):
        return _activity(entry, "disconnection", ActivityClass.AUTHENTICATION, Outcome.SUCCESS, named)
    if entry.severity in ("FATAL", "ERROR") and (refused := _REFUSED.search(message[:2_000])):
        user = refused["a"] or refused["b"] or refused["c"] or refused["d"]
        told = {"user": user, "host": refused["ip"] or ""}
        return _activity(entry, "authentication failed", ActivityClass.AUTHENTICATION, Outcome.FAILURE, told)
    if message.startswith("AUDIT: "):
        return _of_pgaudit(entry)
    if sql := _SQL.match(message):
        kind = statement(message[sql.end() :])
        return _activity(entry, kind.kind, kind.class_uid, Outcome.SUCCESS, {}, mutating=kind.mutating)
    if entry.user is None or entry.severity in ("LOG", "WARNING"):
        return None
    if (entry.state or "").startswith(_LOGIN_STATES) or message.startswith("the database system is"):
        return _activity(entry, "connection refused", ActivityClass.AUTHENTICATION, Outcome.FAILURE, {})
    operation = entry.tag if entry.tag and entry.tag.isupper() else "statement"
    return _activity(entry, operation, ActivityClass.DATASTORE_ACTIVITY, Outcome.FAILURE, {})


def _of_pgaudit(entry: _Entry) -> Activity | None:
    """AUDIT: type, statement id, part, class, command, object type, object, statement, parameters."""
    cells = _cells(entry.message.removeprefix("AUDIT: "))
    if cells is None or len(cells) < 7:
        return None
    kind = statement(cells[4])
    return _activity(
        entry, cells[4] or cells[3], kind.class_uid, Outcome.SUCCESS, {}, mutating=cells[3] not in ("READ", "MISC"),
        resource=(cells[5].lower() or None, cells[6] or None),
    )  # fmt: skip


def _activity(
    entry: _Entry,
    operation: str,
    class_uid: ActivityClass,
    outcome: Outcome,
    named: Mapping[str, str],
    *,
    mutating: bool | None = False,
    resource: tuple[str | None, str | None] = (None, None),
) -> Activity:
    user = identifier({"user": named.get("user") or entry.user}, "user")
    database = named.get("database") or entry.database
    kind, name = resource
    login = class_uid is ActivityClass.AUTHENTICATION
    return Activity(
        uid=f"{entry.session}/{entry.line}" if entry.session and entry.line else None,
        time=_time(entry.time),
        service="postgresql",
        operation=operation,
        class_uid=class_uid,
        actor_authority=f"postgresql{UNNAMED}" if user else None,
        actor_id=user,
        actor_name=user,
        session=entry.session,
        credential_type=CredentialType.PASSWORD.value
        if login and "password authentication" in entry.message[:200]
        else None,
        mutating=mutating,
        resource_type=kind or ("database" if database else None),
        resource_id=f"{database}/{name}" if database and name else database,
        resource_name=name,
        src_ip=named.get("host") or entry.host,
        user_agent=named.get("application_name") or entry.application,
        outcome=outcome,
        outcome_code=entry.state if outcome is Outcome.FAILURE else None,
        detail=compact({"database": database}),
    )


def _time(said: str) -> datetime:
    try:
        return instant(said, (_FORM,) if _FORM else (), UTC, None)
    except ValueError as error:
        raise DataError(str(error)) from None


# ------------------------------------------------------------------ the three forms


def _entry(record: dict[str, Any]) -> _Entry:
    if "error_severity" in record:
        return _of_columns(record)
    if (columns := _of_cells(record.get("row"))) is not None:
        return _of_columns(columns)
    line = line_of(record)
    if line is None:
        raise DataError("no line of a PostgreSQL log")
    row = _csv_row(line)
    if row is not None:
        return _of_columns(row)
    found = _LINE.match(line)
    if found is None:
        raise DataError("no line of a PostgreSQL log, or the middle of an entry of several lines")
    prefix, message = found[2], line[found.end() :]
    state = _STATE.match(message)
    user, pid = _USER.search(prefix), _PID.search(prefix)
    peer = next((one for pattern in _PEERS if (one := pattern.search(prefix))), None)
    known = user if user and user[1] != "[unknown]" else None
    return _Entry(
        time=found[1],
        severity=found[3],
        message=message[state.end() :] if state else message,
        user=known[1] if known else None,
        database=known[2] if known else None,
        host=peer[1] if peer else None,
        session=pid[1] if pid else None,
        state=state[1] if state else None,
    )


def _csv_row(line: str) -> dict[str, Any] | None:
    """The columns of a csvlog line; None: it is none."""
    if not re.match(r"\d{4}-\d\d-\d\d [\d:.]{8,15} [A-Za-z+\-\d:]{1,6},", line, re.ASCII):
        return None
    cells = _cells(line)
    return None if cells is None or len(cells) < 14 else dict(zip(_COLUMNS, cells, strict=False))


def _of_cells(cells: Any) -> dict[str, Any] | None:
    """The columns of a row that was read of a csvlog file; None: it is of something else."""
    if not isinstance(cells, list) or len(cells) < 14:
        return None
    severity, state = cells[11:13]
    if not isinstance(severity, str) or not isinstance(state, str) or not state.isalnum():
        return None
    severities = _EVENTS | _CONTINUED | {"NOTICE", "INFO", "DEBUG"}
    return dict(zip(_COLUMNS, cells, strict=False)) if severity.rstrip("12345") in severities else None


def _cells(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line]), None)
    except csv.Error:
        return None


def _of_columns(row: Mapping[str, Any]) -> _Entry:
    peer = text(row, "connection_from")
    time, severity = text(row, "timestamp"), text(row, "error_severity")
    if time is None or severity is None:
        raise DataError("an entry of a PostgreSQL log without time or severity")
    return _Entry(
        time=time,
        severity=severity,
        message=text(row, "message") or "",
        user=text(row, "user"),
        database=text(row, "dbname"),
        host=text(row, "remote_host") or (peer.rpartition(":")[0] if peer else None),
        session=text(row, "session_id") or text(row, "pid"),
        line=text(row, "line_num"),
        tag=text(row, "ps"),
        state=text(row, "state_code"),
        application=text(row, "application_name"),
    )
