"""Records of the Windows event log in one shape, whoever wrote them down.

Read are: the log's own XML, its translations into JSON (elements as objects with `#attributes`, `@Name` or `#text`),
records of Elastic's agents (`winlog`), of PowerShell's Get-WinEvent (whose fields are only in the English message),
and flat records (NXLog, Log Analytics SecurityEvent). What an event means is `windows_security`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from wardship.model.errors import DataError
from wardship.sources import _microsoft as ms
from wardship.sources._microsoft import Row

_MAX_XML = 500_000  # characters of one event
_SUCCESS, _FAILURE = 0x20000000000000, 0x10000000000000  # bits of Keywords: audit success, audit failure
_LONGEST_LABEL = 60
_TARGET_SECTIONS = (
    "new logon",
    "target",
    "account for which",
    "account whose",
    "account information",
    "new account",
    "account that",
    "computer account",
    "group",
    "deleted group",
    "new group",
    "user",
)
_LABELS = {  # of the English message, outside the sections about accounts
    "logon type": "LogonType",
    "source network address": "IpAddress",
    "client address": "IpAddress",
    "network address": "IpAddress",
    "workstation name": "WorkstationName",
    "source workstation": "WorkstationName",
    "status": "Status",
    "sub status": "SubStatus",
    "failure code": "Status",
    "result code": "Status",
    "error code": "Status",
    "service name": "ServiceName",
    "service id": "ServiceSid",
    "ticket encryption type": "TicketEncryptionType",
    "ticket options": "TicketOptions",
    "pre-authentication type": "PreAuthType",
    "authentication package": "AuthenticationPackageName",
    "logon account": "TargetUserName",
    "properties": "Properties",
    "access mask": "AccessMask",
    "object name": "ObjectName",
    "object type": "ObjectType",
    "target server name": "TargetServerName",
    "privileges": "PrivilegeList",
    "task name": "TaskName",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsEvent:
    """One record: its number, where it was written, and the fields of its data."""

    id: str
    at: datetime
    provider: str
    channel: str | None
    computer: str | None
    record: str | None
    succeeded: bool | None  # audit success or failure; None: it says neither
    user_sid: str | None  # of the process that wrote it
    data: Row


def is_event(record: Mapping[str, Any]) -> bool:
    """Whether it looks like a record of the event log, by shape."""
    row = Row(record)
    message = record.get("message")
    if isinstance(record.get("winlog"), dict) or (isinstance(message, str) and message.lstrip().startswith("<Event")):
        return True
    if any("EventID" in outer.child("System") for outer in (row, row.child("Event"))):
        return True
    if "Id" in row and "ProviderName" in row:
        return "LogName" in row or "RecordId" in row
    return "EventID" in row and any(name in row for name in ("Channel", "SourceName", "Computer", "Hostname"))


def read(record: Mapping[str, Any]) -> WindowsEvent:
    """The record in one shape. Raises DataError for one without a number or a time, or XML that cannot be read."""
    if isinstance(winlog := record.get("winlog"), dict):
        return _of_winlog(Row(winlog), record)
    message = record.get("message")
    if isinstance(message, str) and message.lstrip().startswith("<Event"):
        record = _of_xml(message)
    row = Row(record)
    event = Row(ms.object_of(row.value("Event"))) if "Event" in row else row
    if "System" in event:
        return _of_elements(event)
    return _of_flat(row)


def _of_winlog(log: Row, record: Mapping[str, Any]) -> WindowsEvent:
    event = Row(ms.object_of(record.get("event")))
    data = {**log.child("user_data").raw, **log.child("event_data").raw}
    keywords = log.value("keywords")
    said = event.lower("outcome") or log.lower("outcome")
    user = log.child("user")
    fields = Row(data)
    number = log.text("event_id") or event.text("code")
    return WindowsEvent(
        id=_number(number),
        # Sysmon says when it happened; the log, when it was written; the agent's own time is that of sending.
        at=ms.needed_instant(
            fields.value("UtcTime"), log.value("time_created"), event.value("created"), record.get("@timestamp")
        ),
        provider=log.text("provider_name") or event.text("provider") or "Windows",
        channel=log.text("channel"),
        computer=log.text("computer_name"),
        record=log.text("record_id"),
        succeeded={"success": True, "failure": False}.get(said or "", _by_keywords(keywords)),
        user_sid=user.text("identifier"),
        data=fields,
    )


def _of_elements(event: Row) -> WindowsEvent:
    """`System` and `EventData` or `UserData`, as XML has them or as a translation into JSON does."""
    system = event.child("System")
    data = _data(event.value("EventData")) or _user_data(event.value("UserData"))
    provider = _attribute(system.value("Provider"), "Name")
    fields = Row(data)
    return WindowsEvent(
        id=_number(_content(system.value("EventID"))),
        at=ms.needed_instant(fields.value("UtcTime"), _attribute(system.value("TimeCreated"), "SystemTime")),
        provider=provider or "Windows",
        channel=_content(system.value("Channel")),
        computer=_content(system.value("Computer")),
        record=_content(system.value("EventRecordID")),
        succeeded=_by_keywords(_content(system.value("Keywords"))),
        user_sid=_attribute(system.value("Security"), "UserID"),
        data=fields,
    )


def _of_flat(row: Row) -> WindowsEvent:
    """Fields and data side by side; of Get-WinEvent the data is read from the message."""
    told = _of_message(row.text("Message")) if "ProviderName" in row and "SubjectUserName" not in row else {}
    fields = Row({**told, **row.raw})
    if row.value("EventData") is not None:
        fields = Row({**row.raw, **_data(row.value("EventData"))})
    kind = row.lower("EventType", "KeywordsDisplayNames", "Keywords")
    names = row.value("KeywordsDisplayNames")
    return WindowsEvent(
        id=_number(row.text("EventID", "Id", "event_id")),
        at=ms.needed_instant(
            row.value("UtcTime"),
            row.value("TimeCreated"),
            row.value("EventTime"),
            row.value("TimeGenerated"),
            row.value("SystemTime", "@timestamp"),
        ),
        provider=row.text("ProviderName", "SourceName", "EventSourceName", "Provider") or "Windows",
        channel=row.text("Channel", "LogName"),
        computer=row.text("Computer", "Hostname", "MachineName", "host"),
        record=row.text("RecordNumber", "RecordId", "EventRecordId"),
        succeeded=_by_keywords(names if names is not None else kind),
        user_sid=row.text("UserId") if (row.text("UserId") or "").startswith("S-1-") else None,
        data=fields,
    )


def _number(text: str | None) -> str:
    if text is None or not text.isdecimal() or len(text) > 10:
        raise DataError("a Windows event without a number")
    return text


def _by_keywords(value: Any) -> bool | None:
    """Success or failure of an audit, from the bits of the keywords, their words, or the word of a collector."""
    if isinstance(value, list):
        value = " ".join(text for item in value if (text := ms.text_of(item)))
    text = (ms.text_of(value) or "").lower()
    if text.startswith("0x") or text.lstrip("-").isdecimal():
        try:
            bits = int(text, 0)
        except ValueError:
            return None
        return True if bits & _SUCCESS else False if bits & _FAILURE else None
    if "failure" in text:
        return False
    return True if "success" in text else None


def _content(value: Any) -> str | None:
    """The text of an element: itself, or its `#text`."""
    if isinstance(value, dict):
        return Row(value).text("#text", "text", "_", "value")
    return ms.text_of(value)


def _attribute(value: Any, name: str) -> str | None:
    """An attribute of an element, under `#attributes`, with a mark before its name, or plain."""
    row = Row(ms.object_of(value))
    return row.child("#attributes", "attributes", "$").text(name) or row.text(name)


def _data(value: Any) -> dict[str, Any]:
    """Names and values of EventData: an object of them, or a list of elements with a Name each."""
    outer = ms.object_of(value)
    inner = next((outer[name] for name in ("Data", "data") if isinstance(outer.get(name), list | dict)), None)
    if inner is None:
        return {name: item for name, item in outer.items() if not str(name).startswith("#")}
    found: dict[str, Any] = {}
    for number, item in enumerate(ms.objects_of(inner)[:300], start=1):
        found[_attribute(item, "Name") or f"param{number}"] = _content(item)
    if not found and isinstance(inner, list):
        found = {f"param{number}": item for number, item in enumerate(inner[:300], start=1)}
    return found


def _user_data(value: Any) -> dict[str, Any]:
    """UserData holds one element of the provider's own, with the fields in it."""
    for inner in ms.object_of(value).values():
        if isinstance(inner, dict):
            return {name: _content(item) for name, item in inner.items()}
    return {}


def _of_xml(text: str) -> dict[str, Any]:
    """The log's own XML as elements. A document type is refused: it could define entities that grow without end."""
    if len(text) > _MAX_XML or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("XML that is too large, or declares entities")
    try:
        root = ET.fromstring(text.strip())  # noqa: S314 - no document type gets here, so nothing expands
    except (ET.ParseError, ValueError, RecursionError):
        raise DataError("XML that cannot be read") from None
    return {"System": _element(root, "System", 0), "EventData": _element(root, "EventData", 0), **_under(root)}


def _under(root: ET.Element) -> dict[str, Any]:
    found = _element(root, "UserData", 0)
    return {"UserData": found} if found else {}


def _element(parent: ET.Element, name: str, depth: int) -> dict[str, Any]:
    found = next((child for child in parent if _local(child) == name), None)
    return _children(found, depth) if found is not None else {}


def _children(element: ET.Element, depth: int) -> dict[str, Any]:
    """Child elements by name; those that stand more than once as a list; attributes under `#attributes`."""
    found: dict[str, Any] = {}
    for child in list(element)[:500]:
        value: dict[str, Any] = _children(child, depth + 1) if len(child) and depth < 3 else {"#text": child.text or ""}
        if child.attrib:
            value["#attributes"] = dict(child.attrib)
        name = _local(child)
        if name in found:
            before = found[name]
            found[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            found[name] = value
    if "Data" in found and isinstance(found["Data"], dict):
        found["Data"] = [found["Data"]]
    return found


def _local(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _of_message(text: str | None) -> dict[str, str]:
    """The fields in an event's English message: sections with labels, `Subject:` and under it `Account Name:`."""
    found: dict[str, str] = {}
    side = ""
    for line in (text or "")[:20_000].splitlines():
        label, colon, value = (part.strip() for part in line.partition(":"))
        label = label.lower()
        if not colon or len(label) > _LONGEST_LABEL:
            continue
        if not line[0].isspace():
            if not value:
                side = "Subject" if label == "subject" else "Target" if label.startswith(_TARGET_SECTIONS) else ""
                side = "Member" if label == "member" else side
        elif name := {"security id": "Sid", "account name": "UserName", "account domain": "DomainName"}.get(label):
            name = "UserSid" if name == "Sid" and side in ("Subject", "Target") else name
            found.setdefault(f"{side or 'Target'}{name}", value)
        elif label == "group name":
            found.setdefault("TargetUserName", value)
        elif name := _LABELS.get(label):
            found.setdefault(name, value)
    return found
