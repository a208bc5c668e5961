"""Reading one raw record of an audit log without trusting it: a field may be absent, odd or hostile, never fatal.

Fields are named by dotted paths from the top of the record ("actor.id"). What cannot be read is None or empty; only a
time that is missing makes the whole record unreadable (`instant`), for an event of no time cannot be placed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from wardship.model.activity import MAX_DETAIL_CHARS, small
from wardship.model.errors import DataError
from wardship.model.identity import MAX_ID_CHARS
from wardship.sdk.fields import clean
from wardship.sdk.redact import redact_text, without_queries

MAX_LIST = 20
"""Entries of a list that go into `detail`: a policy of a thousand members is told by its first ones and their count."""

_MAX_LINE = 100_000  # characters; a statement may be of any length
_MAX_DEPTH, _MAX_KEY = 4, 100  # of what is nested in `detail`

ENVELOPE_TIMES = ("p_event_time", "TimeGenerated", "TimeGenerated [UTC]")
"""When a SIEM (Panther, Log Analytics) says that the event was, for copies that lost the vendor's own field."""

_PACKED = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,6}))?")  # Salesforce: 20230101055317.461
_AMERICAN = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4}),? (\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?: ?([AP])M)?(?: \+00:00| Z)?"
)
_JSON_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_EPOCH_S = 253_402_300_799  # the end of the year 9999


def at(record: Any, path: str) -> Any:
    """What stands at the path; None where there is nothing."""
    if "." not in path:
        return record.get(path) if isinstance(record, dict) else None
    for name in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(name)
    return record


def text(record: Any, *paths: str) -> str | None:
    """The first of the paths that holds text (or a whole number, as text), as `words_of` reads it."""
    for path in paths:
        found = words_of(at(record, path))
        if found:
            return found
    return None


def line_of(record: dict[str, Any]) -> str | None:
    """A line of a text file, as the reader of files hands it on, without what databases refuse; None: it is none."""
    line = record.get("message")
    if not isinstance(line, str):
        return None
    kept = line[:_MAX_LINE].replace("\x00", "")
    return kept if kept.isascii() else kept.encode("utf-8", "replace").decode()


def sentence(record: Any, path: str, limit: int) -> str | None:
    """Text that a program or a person made up freely, which may say anything: its secrets masked, then cut."""
    found = text(record, path)
    return redact_text(found)[:limit] if found else None


def words_of(value: Any) -> str | None:
    """A value as text without what databases refuse, addresses in it without their queries; None: lists, objects,
    flags and fractions are no text."""
    if isinstance(value, str):
        return without_queries(clean(value)).strip() or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**127:
        return str(value)
    return None


def identifier(record: Any, *paths: str) -> str | None:
    """As `text`, of a length that an id may have; a longer one is not known."""
    found = text(record, *paths)
    return found if found and len(found) <= MAX_ID_CHARS else None


def flag(record: Any, path: str) -> bool | None:
    """True or false, also as the words that CSV and SIEM copies write."""
    value = at(record, path)
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def number(record: Any, path: str) -> int | None:
    """A whole number, also as text."""
    value = at(record, path)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def child(record: Any, path: str) -> dict[str, Any]:
    """The object at the path, or an empty one."""
    value = at(record, path)
    return value if isinstance(value, dict) else {}


def children(record: Any, path: str) -> list[dict[str, Any]]:
    """The objects of the list at the path; a single object counts as a list of one."""
    value = at(record, path)
    if isinstance(value, dict):
        return [value]
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def texts(record: Any, path: str, limit: int = MAX_LIST) -> list[str]:
    """The texts of the list at the path (a text alone is a list of one), each once, at most `limit`."""
    value = at(record, path)
    entries = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(found[:500] for entry in entries if (found := words_of(entry))))[:limit]


def instant(record: Any, *paths: str) -> datetime:
    """The first of the paths (then ENVELOPE_TIMES) that holds a time. Raises DataError where none does."""
    for path in (*paths, *ENVELOPE_TIMES):
        found = instant_of(at(record, path))
        if found is not None:
            return found
    raise DataError("the event's time is missing or cannot be read")


def instant_of(value: Any) -> datetime | None:
    """A time as audit logs write it, or None: ISO 8601, (milli-, micro-)seconds since 1970, Salesforce's packed digits,
    the American form of Log Analytics, the portal and PowerShell, `/Date(ms)/` of older JSON of Microsoft's. One
    without a zone is UTC: neither these logs nor their SIEM copies have another."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _of_epoch(value)
    if not isinstance(value, str) or len(value) > 64:
        return None
    given = value.strip()
    if packed := _PACKED.fullmatch(given):
        return _of_parts(packed.groups())
    if american := _AMERICAN.fullmatch(given):
        month, day, year, hour, minute, second, fraction, half = american.groups()
        hours = int(hour) % 12 + (12 if half == "P" else 0) if half else int(hour)
        return _of_parts((year, month, day, str(hours), minute, second, fraction))
    if dated := _JSON_DATE.fullmatch(given):
        return _shifted(int(dated[1]) / 1000)
    if re.fullmatch(r"\d{9,17}(\.\d{1,9})?", given):
        return _of_epoch(float(given))
    return _of_iso(given)


def _of_epoch(value: float) -> datetime | None:
    if not 0 < value < 1e22:  # nor NaN, nor infinite
        return None
    while value > _LAST_EPOCH_S / 2:  # milliseconds or finer: no log is of the year 5000
        value /= 1000
    return _shifted(value)


def _shifted(seconds: float) -> datetime | None:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _of_parts(parts: Iterable[str | None]) -> datetime | None:
    *whole, fraction = parts
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in whole)
        return datetime(year, month, day, hour, minute, second, int((fraction or "0")[:6].ljust(6, "0")), tzinfo=UTC)
    except ValueError:
        return None


def _of_iso(given: str) -> datetime | None:
    cut = re.sub(r" (\d{8,9})$", "", given)  # "2024-12-17 00:00:00000000" loses its dot in a SIEM
    cut = re.sub(r"(:\d\d)\d{6,9}$", r"\1", cut)
    try:
        read = datetime.fromisoformat(cut)
    except ValueError:
        return None
    if read.tzinfo is None:
        return read.replace(tzinfo=UTC)
    try:
        return read.astimezone(UTC)
    except OverflowError:
        return None


def compact(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `detail` may hold of `values` (`model.activity.small`), lists and the texts in them cut as well."""
    return small({name: _cut(value) for name, value in values.items() if value is not None})


def _cut(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return without_queries(clean(value[:MAX_DETAIL_CHARS]))
    if isinstance(value, list | dict) and depth == _MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [_cut(entry, depth + 1) for entry in value[:MAX_LIST]]
    if isinstance(value, dict):
        kept = itertools.islice(value.items(), MAX_LIST)
        return {clean(str(name)[:_MAX_KEY]): _cut(entry, depth + 1) for name, entry in kept}
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def browser(user_agent: str | None) -> bool | None:
    """Whether a person sat at a browser, as far as a user agent tells: True or not known."""
    return True if user_agent and user_agent.startswith(("Mozilla/", "Opera/")) else None


def host_of(url: str | None) -> str | None:
    """The host of an address. The rest of one may hold a token, and is not kept."""
    found = re.match(r"[a-z][a-z0-9+.-]{0,20}://(?:[^/?#@]{0,512}@)?([A-Za-z0-9.-]{1,253})", url or "")
    return found[1].lower() if found else None


def respelled(value: Any, names: Mapping[str, str], depth: int = 6) -> Any:
    """`value` with its keys written as the vendor does. `names`: key in lower case -> the vendor's spelling.

    For copies of a SIEM that lost the case. Deeper than `depth` nothing is touched.
    """
    if depth == 0:
        return value
    if isinstance(value, dict):
        return {
            names.get(key.lower(), key): respelled(entry, names, depth - 1)
            for key, entry in value.items()
            if isinstance(key, str)
        }
    return [respelled(entry, names, depth - 1) for entry in value] if isinstance(value, list) else value
