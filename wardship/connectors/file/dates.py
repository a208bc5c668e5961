"""Instants and days as spreadsheets, directories and databases write them, by forms that the mapping declares.

A form is written as people say it: "dd/mm/yyyy", "yyyy-mm-dd hh:mm:ss", "mm/dd/yyyy hh:mm". Numbers have names:
"epoch" and "epoch_ms" (seconds, milliseconds since 1970), "filetime" (Active Directory: 100 ns since 1601), "excel"
(days since 1899-12-30). "generalized" is LDAP's 20260131120000Z. ISO 8601 is always understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NUMBER_FORMS = ("epoch", "epoch_ms", "filetime", "excel")
NAMED_FORMS = ("iso", "generalized", *NUMBER_FORMS)
_TOKEN = re.compile(r"yyyy|yy|mm|dd|hh|ss")
_PARTS = {"yyyy": "(?P<year>[0-9]{4})", "dd": "(?P<day>[0-9]{1,2})", "hh": "(?P<hour>[0-9]{1,2})",
          "ss": "(?P<second>[0-9]{1,2})"}  # fmt: skip
_GENERALIZED = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?(Z|[+-]\d{4})?", re.ASCII)
_NEVER_FILETIME = 9_223_372_036_854_775_807
_NUMBER = re.compile(r"-?\d{1,20}(?:[.,]\d{1,10})?", re.ASCII)
_EPOCH, _FILETIME, _EXCEL = (datetime(year, month, day, tzinfo=UTC) for year, month, day in
                             ((1970, 1, 1), (1601, 1, 1), (1899, 12, 30)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class DateForm:
    """One declared form. `pattern` None: a named one."""

    name: str
    pattern: re.Pattern[str] | None


def date_form(text: str) -> DateForm | None:
    """The form that `text` describes, or None when it describes none (day, month and year must be there)."""
    if text in NAMED_FORMS:
        return DateForm(text, None)
    low = text.strip().lower()
    if len(low) > 40:
        return None
    pattern, at, seen = "", 0, []
    for token in _TOKEN.finditer(low):
        between = low[at : token.start()]
        if any(char.isalnum() and char != "t" for char in between):
            return None
        pattern += re.escape(between)
        name = token[0]
        if name == "mm":
            name = "minute" if "hh" in seen else "month"
            pattern += f"(?P<{name}>[0-9]{{1,2}})"
        elif name in _PARTS:
            pattern += _PARTS[name]
        else:
            return None  # a year of two digits cannot be known
        if name in seen:
            return None
        seen.append(name)
        at = token.end()
    if not {"yyyy", "month", "dd"} <= set(seen) or any(char.isalnum() for char in low[at:]):
        return None
    return DateForm(low, re.compile(pattern + re.escape(low[at:]), re.ASCII))


def time_zone(name: str) -> ZoneInfo | None:
    """The zone of that name ("Europe/Madrid"), or None: not known to this machine."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def instant_of(text: str, forms: tuple[DateForm, ...], zone: ZoneInfo | None) -> datetime | None:
    """The instant in UTC. A text without a zone is in `zone` (None: UTC), a day is its midnight.

    None: a number that its form says to be no instant (0 and the largest, in a FILETIME). Raises ValueError.
    """
    for form in forms:
        if form.name == "iso":
            continue
        if form.pattern is not None:
            found = form.pattern.fullmatch(text)
            if found:
                told = {part: int(digits) for part, digits in found.groupdict().items()}
                day = date(told["year"], told["month"], told["day"])
                moment = time(told.get("hour", 0), told.get("minute", 0), told.get("second", 0))
                return _utc(datetime.combine(day, moment), zone)
        elif form.name == "generalized":
            stamped = _GENERALIZED.fullmatch(text)
            if stamped:
                return _generalized(stamped, zone)
        elif _NUMBER.fullmatch(text):
            return _from_number(form.name, text.replace(",", "."), zone)
    if not re.match(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError("no date of a declared form")
    return _utc(datetime.fromisoformat(text), zone)


def day_of(text: str, forms: tuple[DateForm, ...]) -> date | None:
    """The calendar day that is written, wherever it is day. Raises ValueError."""
    found = instant_of(text, forms, None)
    return found.date() if found else None


def instant_in_name(name: str, form: DateForm, zone: ZoneInfo | None) -> datetime | None:
    """The first text of `form` inside a file's name, or None."""
    found = form.pattern.search(name) if form.pattern else None
    try:
        return instant_of(found[0], (form,), zone) if found else None
    except ValueError:
        return None


def _utc(value: datetime, zone: ZoneInfo | None) -> datetime:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=zone or UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("a date out of range") from None


def _generalized(found: re.Match[str], zone: ZoneInfo | None) -> datetime:
    *parts, offset = found.groups()
    value = datetime(*(int(part or 0) for part in parts))  # type: ignore[arg-type]  # noqa: DTZ001 - six parts; its zone follows
    if offset == "Z":
        return value.replace(tzinfo=UTC)
    if offset:
        shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
        value = value - shift if offset[0] == "+" else value + shift
        return value.replace(tzinfo=UTC)
    return _utc(value, zone)


def _from_number(form: str, text: str, zone: ZoneInfo | None) -> datetime | None:
    number = float(text)
    try:
        if form == "filetime":
            ticks = int(text.partition(".")[0])
            return None if ticks in (0, _NEVER_FILETIME) else _FILETIME + timedelta(microseconds=ticks // 10)
        if form == "excel":
            return _utc((_EXCEL + timedelta(seconds=round(number * 86_400))).replace(tzinfo=None), zone)
        return _EPOCH + timedelta(seconds=number / (1000 if form == "epoch_ms" else 1))
    except OverflowError:
        raise ValueError("a date out of range") from None
