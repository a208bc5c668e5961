"""Audit records of a Samba domain controller: JSON objects named by their `type`, with Windows' numbers in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.sdk.connector import Drift
from wardship.sources import _microsoft as ms
from wardship.sources._microsoft import Row

SERVICE = "Samba"
_KINDS = ("Authentication", "passwordChange", "dsdbChange", "groupChange")
_REPEATING = ("Authorization", "KDC Authorization", "dsdbTransaction", "replicatedUpdate")
_HEADING = re.compile(r"\s*\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d")
_ENDPOINT = re.compile(r"(?:ipv[46]|unix):(.{0,100}?)(?::\d{1,5})?")
_DIRECTORY = {"Add": "5137", "Modify": "5136", "Delete": "5141"}  # Windows' numbers for changes of an object
_INTERACTIVE = frozenset({"2", "7", "10", "11"})
_KEPT_ATTRIBUTES = frozenset({"serviceprincipalname", "msds-allowedtodelegateto", "useraccountcontrol"})


def is_event(record: Mapping[str, Any]) -> bool:
    kind = record.get("type")
    return isinstance(kind, str) and kind in (*_KINDS, *_REPEATING) and isinstance(record.get(kind), dict)


def is_heading(record: Mapping[str, Any]) -> bool:
    """Whether it is the line that Samba's log file writes above each record: when, and from where in its source."""
    message = record.get("message")
    return isinstance(message, str) and _HEADING.match(message) is not None


def parse(record: Mapping[str, Any], drift: Drift) -> Iterable[Activity]:
    """One record; none for those that repeat another: what a logon allowed, the end of a transaction, what came from
    another controller, which logged it itself. Raises DataError."""
    kind = str(record["type"])
    if kind in _REPEATING:
        return []
    row = Row(ms.object_of(record[kind]))
    at = ms.needed_instant(record.get("timestamp"))
    if kind == "Authentication":
        return [_logon(row, at)]
    return [_change(kind, row, at, drift)]


def _logon(row: Row, at: Any) -> Activity:
    status = row.text("status")
    name = row.text("becameAccount", "mappedAccount", "clientAccount")
    domain = row.text("becameDomain", "mappedDomain", "clientDomain")
    actor, kind = _account(row.text("becameSid"), name, domain)
    logon = row.text("logonType")
    return Activity(
        time=at,
        class_uid=ActivityClass.AUTHENTICATION,
        service=SERVICE,
        operation=row.text("eventId") or ("4624" if status == "NT_STATUS_OK" else "4625"),
        actor_authority=actor[0],
        actor_id=actor[1],
        actor_name=f"{domain}\\{name}" if domain and name else name,
        actor_kind=kind,
        session=row.text("logonId"),
        mutating=False,
        interactive=None if logon is None else logon in _INTERACTIVE,
        resource_type="service",
        resource_name=row.text("serviceDescription"),
        account=(domain or "").lower() or None,
        src_ip=_address(row.text("remoteAddress")),
        outcome=_outcome(status),
        outcome_code=status,
        detail=small(
            {
                "action": "logged-on" if status == "NT_STATUS_OK" else "logon-failed",
                "logon_type": logon,
                "package": row.text("authDescription"),
                "password_type": row.text("passwordType"),
                "workstation": row.text("workstation"),
                "service_name": row.text("serviceDescription"),
            }
        ),
    )


def _change(kind: str, row: Row, at: Any, drift: Drift) -> Activity:
    status = row.text("status")
    action = row.text("action", "operation") or kind
    actor, actor_kind = _account(row.text("userSid"), None, None)
    number = row.text("eventId")
    if number is None and kind == "passwordChange":
        number = {"Change": "4723", "Reset": "4724"}.get(action)
        if number is None:
            drift.unknown_value("samba.passwordChange.action", action)
    attributes = row.child("attributes")
    return Activity(
        time=at,
        class_uid={
            "passwordChange": ActivityClass.ACCOUNT_CHANGE,
            "groupChange": ActivityClass.GROUP_MANAGEMENT,
        }.get(kind, ActivityClass.ENTITY_MANAGEMENT),
        service=SERVICE,
        operation=number or (_DIRECTORY.get(action, "5136") if kind == "dsdbChange" else kind),
        actor_authority=actor[0],
        actor_id=actor[1],
        actor_kind=actor_kind,
        session=row.text("sessionId"),
        mutating=True,
        resource_type="group" if kind == "groupChange" else "directory_object",
        resource_id=row.text("group") if kind == "groupChange" else row.text("dn"),
        resource_name=row.text("group", "dn"),
        src_ip=_address(row.text("remoteAddress")),
        outcome=_outcome(status),
        outcome_code=status,
        detail=small(
            {
                "action": action.lower(),
                "member": row.text("user"),
                "changed": ms.words(str(name) for name in attributes.raw),
                "values": _values(attributes),
                "as_system": row.flag("performedAsSystem"),
            }
        ),
    )


def _values(attributes: Row) -> list[str]:
    """The new values of the few attributes that say what an account may do; of others nothing is kept."""
    found: list[str | None] = []
    for name, value in attributes.raw.items():
        if str(name).lower() in _KEPT_ATTRIBUTES:
            for action in Row(ms.object_of(value)).children("actions"):
                found += [f"{name}={item.text('value')}" for item in action.children("values")]
    return ms.words(found)


def _account(sid: str | None, name: str | None, domain: str | None) -> tuple[tuple[str | None, str | None], ActorKind]:
    if sid and sid.startswith("S-1-5-21-"):
        kind = ActorKind.MACHINE if (name or "").endswith("$") else ActorKind.USER
        return ("ad:sid", sid[:200]), kind
    if sid == "S-1-5-7":
        return (None, None), ActorKind.ANONYMOUS
    if name and ms.actor_id(name):
        kind = ActorKind.MACHINE if name.endswith("$") else ActorKind.USER
        return (f"ad:name:{(domain or '').lower()[:200]}", name.lower()), kind
    return (None, None), ActorKind.MACHINE if sid == "S-1-5-18" else ActorKind.UNKNOWN


def _outcome(status: str | None) -> Outcome:
    if status is None:
        return Outcome.UNKNOWN
    return Outcome.SUCCESS if status in ("NT_STATUS_OK", "Success") else Outcome.FAILURE


def _address(text: str | None) -> str | None:
    """`ipv4:10.1.2.3:445`; a local socket is no address."""
    match = _ENDPOINT.fullmatch(text or "")
    return match[1] or None if match and not (text or "").startswith("unix") else None
