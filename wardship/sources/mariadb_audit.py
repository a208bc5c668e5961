"""Audit logs of MariaDB and MySQL: the server_audit plugin's lines, MySQL Enterprise Audit's JSON and XML.

Which server it is the logs do not say: the importer does (`mysql:` and a name of it). Accounts are told by their user
name. The text of a statement is not kept, only its kind.
"""

from __future__ import annotations

import csv
import ipaddress
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from wardship.model.activity import Activity, ActivityClass, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.i18n import N_
from wardship.sdk.log_mapping.instants import form_of, instant
from wardship.sdk.source import KEPT_BY_ITS_OWNER, UNNAMED, LogPart, SourceManifest
from wardship.sources._record import child, compact, identifier, line_of, number, text
from wardship.sources._sql import statement

MANIFEST = SourceManifest(
    name="mariadb.audit",
    title="MariaDB and MySQL audit",
    forms=(
        N_("text lines of MariaDB's server_audit plugin"),
        N_("JSON or XML of MySQL Enterprise Audit (audit_log_format JSON or NEW)"),
    ),
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=None,
    parts=(
        # server_audit_incl_users and the kinds of events choose whose statements are in it: no event tells
        LogPart(name="reads", events="NOT mutating", shown=False),
        LogPart(name="writes", events="mutating", shown=False),
    ),
    blind_spots=(
        BlindSpot(
            id="mariadb.audit_zone",
            text=N_("The lines of server_audit name no time zone: they are read as UTC."),
        ),
        BlindSpot(
            id="mariadb.audit_events",
            text=N_("Only the classes of events that server_audit_events or the audit filter lets through are in it."),
        ),
    ),
    evidence=Evidence.DOCUMENTATION,
    links=(
        "https://mariadb.com/docs/server/reference/plugins/mariadb-audit-plugin/mariadb-audit-plugin-log-format",
        "https://dev.mysql.com/doc/refman/8.4/en/audit-log-file-formats.html",
    ),
)

_FORMS = tuple(
    form for said in ("yyyymmdd hh:mm:ss", "yyyy-mm-ddthh:mm:ss zone", "yyyy-mm-dd hh:mm:ss") if (form := form_of(said))
)
_CONNECTIONS = frozenset(("connect", "disconnect", "failed_connect", "quit", "change_user", "pre_authenticate"))
_TABLES = {"READ": False, "WRITE": True, "CREATE": True, "ALTER": True, "RENAME": True, "DROP": True}
_QUERIES = frozenset(("QUERY", "QUERY_DDL", "QUERY_DML", "QUERY_DML_NO_SELECT", "QUERY_DCL"))
_DECODER = json.JSONDecoder()


def claims(record: dict[str, Any]) -> bool:
    """A line of server_audit, or a record of MySQL Enterprise Audit."""
    embedded = _json_in(line_of(record))
    return (
        _is_enterprise(record if embedded is None else embedded)
        or "AUDIT_RECORD" in record
        or _is_xml(record)
        or _line(record) is not None
    )


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """A connection, its end, a refusal, a statement or an access to a table; nothing of the plugin's own events."""
    if _is_enterprise(record):
        return (_of_enterprise(record),)
    if isinstance(record.get("AUDIT_RECORD"), dict):
        return (_of_xml(record["AUDIT_RECORD"]),)
    if _is_xml(record):
        return (_of_xml(record),)
    embedded = _json_in(line_of(record))
    if embedded is not None and _is_enterprise(embedded):
        return (_of_enterprise(embedded),)
    cells = _line(record)
    if cells is None:
        raise DataError("no record of a MariaDB or MySQL audit log")
    return (_of_line(cells, drift),)


# ------------------------------------------------------------------ MariaDB server_audit


def _line(record: dict[str, Any]) -> list[str] | None:
    """time, server, user, host, connection, query, operation, database, object, result; the object may hold commas."""
    line = line_of(record)
    if line is None or not line[:8].isdecimal():
        return None
    try:
        cells = next(csv.reader([line], quotechar="'", escapechar="\\", doublequote=False), [])
    except csv.Error:
        return None
    return cells if len(cells) >= 10 and cells[4].isdecimal() else None


def _of_line(cells: list[str], drift: Drift) -> Activity:
    time, server, user, host, connection, query, operation, database = cells[:8]
    told = ",".join(cells[8:-1])
    result = cells[-1].strip()
    mutating: bool | None
    if operation.lower() in _CONNECTIONS:
        class_uid, mutating, name = ActivityClass.AUTHENTICATION, False, operation
    elif operation in _QUERIES:
        kind = statement(told)
        return _activity(
            time=time, operation=kind.kind, class_uid=kind.class_uid, user=user, host=host, session=connection,
            server=server, database=database or None, status=result, mutating=kind.mutating, detail={"query": query},
        )  # fmt: skip
    else:
        if operation not in _TABLES:
            drift.unknown_value("mariadb.operation", operation)
        class_uid, mutating, name = ActivityClass.DATASTORE_ACTIVITY, _TABLES.get(operation), operation
    return _activity(
        time=time, operation=name, class_uid=class_uid, user=user, host=host, session=connection, server=server,
        database=database or None, table=told or None, status=result or "0", mutating=mutating, detail={},
    )  # fmt: skip


# ------------------------------------------------------------------ MySQL Enterprise Audit


def _is_enterprise(record: Mapping[str, Any]) -> bool:
    return {"timestamp", "class", "event"} <= set(record) and "connection_id" in record


def _of_enterprise(record: dict[str, Any]) -> Activity:
    event, kind = text(record, "event"), text(record, "class")
    if event is None:
        raise DataError("an audit record without an event")
    data = next((child(record, key) for key in record if key.endswith("_data") and isinstance(record[key], dict)), {})
    command = text(data, "sql_command")
    told = statement(command.replace("_", " ")) if command else None
    connection = kind == "connection"
    status = number(data, "status")
    return _activity(
        time=text(record, "timestamp") or "",
        operation=(command if command and command != "error" else None) or text(data, "command") or event,
        class_uid=ActivityClass.AUTHENTICATION
        if connection
        else told.class_uid
        if told
        else ActivityClass.DATASTORE_ACTIVITY
        if kind == "table_access"
        else ActivityClass.APPLICATION_LIFECYCLE,
        user=text(record, "account.user") or text(record, "login.user"),
        host=text(record, "login.ip") or text(record, "account.host"),
        session=text(record, "connection_id"),
        database=text(data, "db"),
        table=text(data, "table"),
        status=None if status is None else str(status),
        mutating=False if connection or event == "read" else told.mutating if told else None,
        agent=text(data, "connection_attributes.program_name", "connection_attributes._client_name"),
        detail={"action": event, "class": kind, "os_user": text(record, "login.os")},
    )


def _is_xml(record: Mapping[str, Any]) -> bool:
    return {"TIMESTAMP", "NAME"} <= set(record) and ("RECORD_ID" in record or "CONNECTION_ID" in record)


def _of_xml(record: dict[str, Any]) -> Activity:
    name = text(record, "NAME")
    if name is None:
        raise DataError("an audit record without a name")
    command = text(record, "COMMAND_CLASS")
    told = statement(command.replace("_", " ")) if command else None
    connection = name.lower() in _CONNECTIONS
    user = text(record, "USER")
    return _activity(
        time=text(record, "TIMESTAMP") or "",
        uid=text(record, "RECORD_ID"),
        operation=name if connection or not command or command == "error" else command,
        class_uid=ActivityClass.AUTHENTICATION
        if connection
        else told.class_uid
        if told and user
        else ActivityClass.APPLICATION_LIFECYCLE,
        user=user.partition("[")[0].strip() if user else None,
        host=text(record, "IP", "HOST"),
        session=text(record, "CONNECTION_ID"),
        server=text(record, "SERVER_ID"),
        database=text(record, "DB"),
        table=text(record, "TABLE"),
        status=text(record, "STATUS", "STATUS_CODE"),
        mutating=False if connection else told.mutating if told else None,
        detail={"action": name, "os_user": text(record, "OS_LOGIN")},
    )


def _json_in(line: str | None) -> dict[str, Any] | None:
    """An element of the file's array, which ends in a comma."""
    if line is None or not line.lstrip().startswith("{"):
        return None
    try:
        value, _end = _DECODER.raw_decode(line.lstrip())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# ------------------------------------------------------------------ what they have in common


def _activity(
    *,
    time: str,
    operation: str,
    class_uid: ActivityClass,
    user: str | None,
    host: str | None,
    session: str | None,
    status: str | None,
    mutating: bool | None,
    detail: Mapping[str, Any],
    uid: str | None = None,
    server: str | None = None,
    database: str | None = None,
    table: str | None = None,
    agent: str | None = None,
) -> Activity:
    actor = identifier({"user": user}, "user")
    resource = f"{database}/{table}" if database and table else database or table
    return Activity(
        uid=uid,
        time=_time(time),
        service="mysql",
        operation=operation or "statement",
        class_uid=class_uid,
        actor_authority=f"mysql{UNNAMED}" if actor else None,
        actor_id=actor,
        actor_name=actor,
        session=session,
        mutating=mutating,
        resource_type=("table" if table else "database") if resource else None,
        resource_id=resource,
        account=server,
        src_ip=host if _is_address(host) else None,
        user_agent=agent,
        outcome=Outcome.UNKNOWN if status is None else Outcome.SUCCESS if status == "0" else Outcome.FAILURE,
        outcome_code=status if status not in (None, "0") else None,
        detail=compact({**detail, "host": None if _is_address(host) else host}),
    )


def _time(said: str) -> datetime:
    try:
        return instant(said, _FORMS, UTC, None)
    except ValueError as error:
        raise DataError(str(error)) from None


def _is_address(said: str | None) -> bool:
    try:
        ipaddress.ip_address(said or "")
    except ValueError:
        return False
    return True
