"""Audit records of a Samba domain controller: JSON objects named by their `type`, with Windows' numbers in them.

Samba numbers logons, passwords and memberships as Windows does, and changes of the directory not at all: those get the
number under which Windows logs the same, as far as the record tells it. They stand in Samba's log file between the
lines of whatever else it says.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.sdk.connector import Drift
from wardship.sources import _microsoft as ms
from wardship.sources._microsoft import Row
from wardship.sources._windows_accounts import account
from wardship.sources._windows_codes import ACTIONS, KEPT_ATTRIBUTES, Meaning

SERVICE = "Samba"
_KINDS = ("Authentication", "passwordChange", "dsdbChange", "groupChange")
_REPEATING = ("Authorization", "KDC Authorization", "dsdbTransaction", "replicatedUpdate")
_HEADING = re.compile(r"\s*\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?, {0,3}\d{1,2}[,\]]")
_BELOW_A_HEADING = re.compile(r" {2}\s*[^\s{<]")
_ENDPOINT = re.compile(r"ipv[46]:(.{1,100}):\d{1,5}")
_INTERACTIVE = frozenset({"2", "7", "10", "11"})
_SYSTEM = "S-1-5-18"
_BOOKKEEPING = frozenset({"lastlogon", "lastlogontimestamp", "logoncount", "badpwdcount", "badpasswordtime"})
_COMPUTERS = frozenset({"computer", "msds-groupmanagedserviceaccount", "msds-managedserviceaccount"})
_PRIMARY_GROUP = "PrimaryGroup"  # the action that Samba gives no number
_DISABLED = 0x2  # bit of userAccountControl
_MAX_VALUE = 300  # characters of a value that is kept


def is_event(record: Mapping[str, Any]) -> bool:
    kind = record.get("type")
    return isinstance(kind, str) and kind in (*_KINDS, *_REPEATING) and isinstance(record.get(kind), dict)


def is_heading(record: Mapping[str, Any]) -> bool:
    """Whether it is a line that begins a message in Samba's log file: when, how important, and which part says it."""
    message = record.get("message")
    return isinstance(message, str) and _HEADING.match(message) is not None


def is_text(record: Mapping[str, Any]) -> bool:
    """Whether it is a line of Samba's log file that is no audit record: a heading, or a text below one, indented."""
    message = record.get("message")
    if len(record) != 1 or not isinstance(message, str):
        return False
    return bool(_HEADING.match(message) or _BELOW_A_HEADING.match(message))


def parse(record: Mapping[str, Any], drift: Drift) -> Iterable[Activity]:
    """One record; none for what repeats another, or keeps the directory's books. Raises DataError.

    Repeated is what a logon allowed, the end of a transaction, what came from another controller (which logged it
    itself), and of a new account that it is a member of itself. Books are the times and counts of logons.
    """
    kind = str(record["type"])
    if kind in _REPEATING:
        return []
    row = Row(ms.object_of(record[kind]))
    at = ms.needed_instant(record.get("timestamp"))
    if kind == "Authentication":
        return [_logon(row, at)]
    if kind == "groupChange":
        # Without a member: a group was deleted while it had some. Samba logs that once more, with the group's name.
        member = row.text("user")
        return [] if member in (None, row.text("group")) else [_change(kind, row, at, drift)]
    if kind == "dsdbChange" and row.text("userSid") == _SYSTEM and _is_bookkeeping(row.child("attributes")):
        return []
    return [_change(kind, row, at, drift)]


def _is_bookkeeping(attributes: Row) -> bool:
    return bool(attributes.raw) and all(str(name).lower() in _BOOKKEEPING for name in attributes.raw)


def _logon(row: Row, at: datetime) -> Activity:
    status = row.text("status")
    name = row.text("becameAccount", "mappedAccount", "clientAccount")
    domain = row.text("becameDomain", "mappedDomain", "clientDomain") or (name or "").partition("@")[2] or None
    authority, ident, shown, kind = _who(row.text("becameSid"), name, domain)
    logon, session = row.text("logonType"), row.text("logonId")
    return Activity(
        time=at,
        class_uid=ActivityClass.AUTHENTICATION,
        service=SERVICE,
        operation=row.text("eventId") or ("4624" if status == "NT_STATUS_OK" else "4625"),
        actor_authority=authority,
        actor_id=ident,
        actor_name=shown,
        actor_kind=kind,
        session=None if session == "0" else session,
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


def _change(kind: str, row: Row, at: datetime, drift: Drift) -> Activity:
    status = row.text("status")
    action = row.text("action", "operation") or kind
    authority, ident, shown, actor_kind = _who(row.text("userSid"), None, None)
    attributes = row.child("attributes")
    number = row.text("eventId")
    if number is None and kind == "passwordChange":
        number = {"Change": "4723", "Reset": "4724"}.get(action)
    if number is None and kind == "dsdbChange":
        number = _directory_number(action, attributes)
    if number is None and action != _PRIMARY_GROUP:
        drift.unknown_value(f"samba.{kind}.action", action)
    meaning = ACTIONS.get(number or "", Meaning(action.lower(), _CLASSES[kind], mutating=True))
    return Activity(
        time=at,
        class_uid=meaning.cls,
        service=SERVICE,
        operation=number or action,
        actor_authority=authority,
        actor_id=ident,
        actor_name=shown,
        actor_kind=actor_kind,
        session=row.text("sessionId"),
        mutating=True,
        resource_type=_RESOURCES.get(meaning.cls, "directory_object"),
        resource_id=row.text("group", "dn"),
        resource_name=row.text("group", "dn"),
        src_ip=_address(row.text("remoteAddress")),
        outcome=_outcome(status),
        outcome_code=status,
        detail=small(
            {
                "action": meaning.action,
                "member": row.text("user"),
                "changed": ms.words(str(name) for name in attributes.raw),
                "values": ms.words(_kept(attributes)),
                "as_system": row.flag("performedAsSystem"),
            }
        ),
    )


_CLASSES = {
    "passwordChange": ActivityClass.ACCOUNT_CHANGE,
    "groupChange": ActivityClass.GROUP_MANAGEMENT,
    "dsdbChange": ActivityClass.ENTITY_MANAGEMENT,
}
_RESOURCES = {ActivityClass.ACCOUNT_CHANGE: "account", ActivityClass.GROUP_MANAGEMENT: "group"}


def _directory_number(action: str, attributes: Row) -> str | None:
    """Windows' number for a change of an object: the one for accounts where what was written says so, else 5136 to
    5141. An account that is disabled already, and gets other flags, counts as disabled again; that one was enabled
    cannot be told from other changes of the flags."""
    if action == "Add":
        classes = {value.lower() for value in _values(attributes, "objectClass")}
        return "4741" if classes & _COMPUTERS else "4720" if "user" in classes else "5137"
    if action == "Modify":
        if locked := list(_values(attributes, "lockoutTime")):
            return "4767" if locked[-1] == "0" else "4740"
        flags = [
            int(value) for value in _values(attributes, "userAccountControl") if re.fullmatch(r"-?\d{1,10}", value)
        ]
        return "4725" if flags and flags[-1] & _DISABLED else "5136"
    return "5141" if action == "Delete" else None


def _kept(attributes: Row) -> Iterator[str]:
    """The new values of the few attributes that say what an account may do; of others nothing is kept."""
    for name in attributes.raw:
        if str(name).lower() in KEPT_ATTRIBUTES:
            yield from (f"{name}={value}"[:_MAX_VALUE] for value in _values(attributes, str(name)))


def _values(attributes: Row, name: str) -> Iterator[str]:
    """What was written into an attribute, in order; without what is not text."""
    for action in attributes.child(name).children("actions"):
        for item in action.children("values"):
            value = item.text("value")
            if value is not None and item.flag("base64"):  # of text that has letters beyond ASCII, too
                try:
                    value = ms.text_of(base64.b64decode(value, validate=True).decode("utf-8"))
                except ValueError:
                    continue
            if value is not None:
                yield value


def _who(sid: str | None, name: str | None, domain: str | None) -> tuple[str | None, str | None, str | None, ActorKind]:
    """(authority, id, name, kind). Of the accounts that every machine has, the record does not say which it is."""
    authority, ident, shown, kind = account(sid, name, domain, None)
    return (authority, ident, shown, kind) if (authority or "").startswith("ad:") else (None, None, shown, kind)


def _outcome(status: str | None) -> Outcome:
    if status is None:
        return Outcome.UNKNOWN
    return Outcome.SUCCESS if status in ("NT_STATUS_OK", "Success") else Outcome.FAILURE


def _address(text: str | None) -> str | None:
    """Of `ipv4:10.1.2.3:445` or `ipv6:::1:389`; a local socket is no address."""
    match = _ENDPOINT.fullmatch(text or "")
    return match[1] if match else None
