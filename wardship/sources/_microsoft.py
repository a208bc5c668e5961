"""What the logs of Microsoft have in common: one field under many spellings, values as text, tenants, applications.

The same event reaches us as an answer of Microsoft Graph (`appId`), as an export of diagnostic settings
(`properties.appId`), as a row of Log Analytics (`AppId`, objects as JSON text) and as a download of the portal
("Application ID "). `Row` reads all of them: names are compared without case and punctuation. Which words an event
has, and what they mean, is each source's own.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from wardship.model.activity import ActorKind
from wardship.model.errors import DataError
from wardship.model.identity import MAX_ID_CHARS
from wardship.sdk.fields import clean
from wardship.sdk.redact import without_queries
from wardship.sdk.source import UNNAMED
from wardship.sources._record import instant_of

ENTRA_SERVICE = "Microsoft.aadiam"
MAX_ITEMS = 50  # of a list that goes into `detail`
_MAX_JSON = 1_000_000  # characters of a JSON text inside a record that are still read
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TENANT_PATH = re.compile(r"/tenants/([0-9a-f-]{36})(?:/|$)")
_ADDRESS_PORT = re.compile(r"\[([^\]]{1,100})\](?::\d{1,5})?|(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
_BEGIN = re.compile(r"[^\s,\]}]")  # of the next object, past what a cut may have left
_DECODER = json.JSONDecoder()
_NOTHING = frozenset({"", "-", "none", "null", "n/a", "not available"})
_LONGEST_NOTHING = max(len(word) for word in _NOTHING)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@lru_cache(maxsize=4096)
def _folded(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


class Row:
    """One object of a log, its fields found by folded names: `row.text("appId", "applicationId")` takes the first
    that has a value. Reading never raises: what has another shape is not known."""

    __slots__ = ("_values", "raw")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self._values: dict[str, Any] = {}
        for name, value in raw.items():
            if value is not None and value != "":
                self._values.setdefault(_folded(str(name)[:200]), value)

    def value(self, *names: str) -> Any:
        """The first of these fields that is there; None when there is none."""
        for name in names:
            if (found := self._values.get(_folded(name))) is not None:
                return found
        return None

    def text(self, *names: str) -> str | None:
        """The first of these fields that holds text or a number; words for "nothing" count as absent."""
        for name in names:
            value = self._values.get(_folded(name))
            if value is not None and (found := text_of(value)) is not None:
                return found
        return None

    def lower(self, *names: str) -> str | None:
        found = self.text(*names)
        return found.lower() if found else None

    def flag(self, *names: str) -> bool | None:
        return flag_of(self.value(*names))

    def child(self, *names: str) -> Row:
        """The first of these fields that holds an object, or the JSON text of one; an empty one where none does."""
        return Row(next((found for name in names if (found := object_of(self._values.get(_folded(name))))), {}))

    def children(self, *names: str) -> list[Row]:
        """The objects of the first of these fields that holds a list of them, or its JSON text; [] where none does."""
        lists = (objects_of(self._values.get(_folded(name))) for name in names)
        return [Row(item) for item in next((found for found in lists if found), [])]

    def __contains__(self, name: str) -> bool:
        return _folded(name) in self._values


def text_of(value: Any) -> str | None:
    """Text without what databases refuse, addresses in it without their queries; a number as text; None for anything
    else and for words for nothing."""
    if isinstance(value, str):
        found = without_queries(clean(value.strip()))
        return None if len(found) <= _LONGEST_NOTHING and found.lower() in _NOTHING else found
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return None


def flag_of(value: Any) -> bool | None:
    """True, false, or a word or number for one of them; None for the rest."""
    if isinstance(value, bool):
        return value
    found = text_of(value)
    return _FLAGS.get(found.lower()) if found else None


def json_of(text: str) -> Any:
    """The value of a JSON text; None where it is none."""
    if len(text) > _MAX_JSON or text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def json_text(value: Any) -> str:
    """The value as JSON, its keys in order; "" for one that is nested too deep to be said."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    except RecursionError:
        return ""


def object_of(value: Any) -> Mapping[str, Any]:
    """An object, or what the JSON text of one says; {} for anything else."""
    if isinstance(value, str):
        value = json_of(value)
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, or of its JSON text; an object alone is a list of one."""
    if isinstance(value, str):
        value = json_of(value)
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def events(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The events of a raw record: itself, or those that a log shipper put as text into `event.original` or `message`.

    A batch that was cut at the wrong place holds several objects one after the other: all of them are read.
    """
    event = record.get("event")
    for text in (event.get("original") if isinstance(event, dict) else None, record.get("message")):
        if isinstance(text, str) and text.lstrip()[:1] in ("{", "["):
            found = _objects_in(text[:_MAX_JSON])
            if found:
                return found
    return [record]


def unwrapped(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first of its `events`."""
    return events(record)[0]


def _objects_in(text: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    at = 0
    while begin := _BEGIN.search(text, at):
        try:
            value, at = _DECODER.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            break
        found += objects_of(value)
    return found


def instant(value: Any) -> datetime | None:
    """When it says, in UTC (`_record.instant_of`). None: there is none. Raises DataError for what is there and is no
    time."""
    text = text_of(value)
    if text is None:
        return None
    if (at := instant_of(text)) is None:
        raise DataError("a time that cannot be read")
    return at


def needed_instant(*values: Any) -> datetime:
    """The first of these times that is there. Raises DataError when none is, or it cannot be read."""
    for value in values:
        if (at := instant(value)) is not None:
            return at
    raise DataError("an event without a time")


def address(value: Any) -> str | None:
    """An address without its port and brackets; whether it is a valid one is for ingest to say."""
    text = text_of(value)
    if text is None:
        return None
    match = _ADDRESS_PORT.fullmatch(text)
    found = (match[1] or match[2]) if match else text
    return found.removeprefix("::ffff:") if "." in found else found


def guid(value: Any) -> str | None:
    """A GUID in lower case, without braces; None for anything else, and for the one of zeros."""
    text = (text_of(value) or "").strip("{}").lower()
    return text if _GUID.fullmatch(text) and text.strip("0-") else None


def tenant_of(row: Row, *names: str) -> str | None:
    """The tenant whose log it is: in the first of these fields that holds one, or in the path of `resourceId`."""
    for name in names:
        if found := guid(row.value(name)):
            return found
    match = _TENANT_PATH.search((row.text("resourceId") or "").lower())
    return guid(match[1]) if match else None


def opened(record: Mapping[str, Any], *more: str) -> tuple[Row, Row, str | None]:
    """(what carries the event, the event, its tenant): the first two are one where nothing is wrapped around it.

    `more`: fields of the event that tell the tenant where no other does. In Log Analytics TenantId is the workspace's.
    """
    envelope = Row(unwrapped(record))
    inner = object_of(envelope.value("properties"))
    row = Row(inner) if inner else envelope
    named = ("AADTenantId",) if "TimeGenerated" in envelope else ("tenantId", "AADTenantId")
    return envelope, row, tenant_of(envelope, *named) or tenant_of(row, *named, *more)


def actor_id(value: str | None) -> str | None:
    """An id short enough to be one."""
    return value if value and len(value) <= MAX_ID_CHARS else None


def application(tenant: str | None, app_id: Any, object_id: Any = None) -> tuple[str | None, str | None]:
    """(authority, id) of an application in a tenant, in the inventory's words: by its application id, which joins the
    application and its service principal, else by the service principal's own id. (None, None): not to be told.

    Where a log does not tell its tenant the importer may (`sdk.source.UNNAMED`).
    """
    directory = _directory(tenant)
    if found := guid(app_id):
        return f"{directory}:appid", found
    if found := guid(object_id):
        return directory, found
    return None, None


def person(tenant: str | None, object_id: Any, user_name: str | None = None) -> tuple[str | None, str | None]:
    """(authority, id) of a user: the object id, else the user name under an authority of its own."""
    directory = _directory(tenant)
    if found := guid(object_id):
        return directory, found
    if name := actor_id(user_name.lower() if user_name else None):
        return f"{directory}:upn", name
    return None, None


def _directory(tenant: str | None) -> str:
    return f"entra:{tenant}" if tenant else f"entra{UNNAMED}"


@cache
def _microsoft() -> tuple[frozenset[str], frozenset[str]]:
    table = tomllib.loads(files("wardship").joinpath("data/entra_tenants.toml").read_text("utf-8"))
    return frozenset(table["microsoft"]), frozenset(table["resource"])


def application_kind(app_id: Any, owner_tenant: Any = None) -> ActorKind:
    """PROVIDER_SERVICE for an application of Microsoft's own, as far as the log or our list can tell."""
    tenants, apps = _microsoft()
    own = guid(owner_tenant) in tenants or guid(app_id) in apps
    return ActorKind.PROVIDER_SERVICE if own else ActorKind.APPLICATION


def words(values: Iterable[Any]) -> list[str]:
    """Texts without doubles, in order and cut, at most MAX_ITEMS: what a list in `detail` may hold."""
    found = dict.fromkeys(text[:500] for value in values if (text := text_of(value)))
    return list(found)[:MAX_ITEMS]


def mail_domains(values: Iterable[Any]) -> list[str]:
    """The domains of the mail addresses in these texts, lower case: who is written to stays private, where it goes
    does not."""
    found = (part for value in values for part in re.findall(r"@([\w.-]{1,255})", text_of(value) or ""))
    return words(part.lower().strip(".") for part in found)
