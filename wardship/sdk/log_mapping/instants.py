"""Times as logs write them, by forms that a mapping declares.

A form is written as people say it: "yyyy-mm-dd hh:mm:ss", "dd/mon/yyyy:hh:mm:ss zone", "m/d/yyyy, h:mm:ss am" with
one-digit parts allowed everywhere. Digits after the seconds need not be declared. Numbers have names: "epoch",
"epoch_ms", "epoch_us", "epoch_ns". ISO 8601 is always understood. A form without a year ("mon dd hh:mm:ss", as syslog
writes) takes it from the moment that the log was written, which the importer gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

NUMBERS = {"epoch": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}
ZONES = {  # PostgreSQL's default set of abbreviations, in hours: the one that says which of two meanings counts
    "Z": 0, "UTC": 0, "GMT": 0, "UCT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MET": 1, "CEST": 2, "MEST": 2,
    "EET": 2, "EEST": 3, "MSK": 3, "SGT": 8, "HKT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12,
    "NZDT": 13, "HST": -10, "AKST": -9, "AKDT": -8, "PST": -8, "PDT": -7, "MST": -7, "MDT": -6, "CST": -6, "CDT": -5,
    "EST": -5, "EDT": -4, "AST": -4, "ADT": -3,
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TOKEN = re.compile(r"yyyy|mon|mm|dd|hh|ss|am|zone|m|d|h")
_PATTERNS = {
    "year": r"([0-9]{4})", "name": r"([A-Za-z]{3})", "month": r"([0-9]{1,2})", "day": r"([0-9]{1,2})",
    "hour": r"([0-9]{1,2})", "minute": r"([0-9]{1,2})", "second": r"([0-9]{1,2}(?:[.,][0-9]{1,9})?)",
    "am": r"([AaPp][Mm])", "zone": r"([A-Z]{1,5}|[+-][0-9]{2}(?::?[0-9]{2})?)",
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,9})?")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Form:
    """One declared form. `pattern` None: a number with a name; else its groups are `parts`, in order."""

    name: str
    pattern: re.Pattern[str] | None
    parts: tuple[str, ...] = ()


def form_of(text: str) -> Form | None:
    """The form that `text` describes; None when it describes no time (month, day, hour and minute must be there)."""
    if text in NUMBERS:
        return Form(text, None)
    low = text.strip().lower()
    if not low or len(low) > 40:
        return None
    pattern, at, parts = "", 0, []
    for token in _TOKEN.finditer(low):
        between = low[at : token.start()]
        if any(char.isalnum() and char != "t" for char in between):
            return None
        part = {"yyyy": "year", "mon": "name", "d": "day", "h": "hour", "ss": "second"}.get(token[0])
        part = part or {"dd": "day", "hh": "hour", "am": "am", "zone": "zone"}.get(token[0])
        part = part or ("minute" if "hour" in parts else "month")
        if part in parts:
            return None
        pattern += "".join(r"\s+" if char == " " else re.escape(char) for char in between) + _PATTERNS[part]
        parts.append(part)
        at = token.end()
    if low[at:] or not {"day", "hour", "minute"} <= set(parts) or {"month", "name"}.isdisjoint(parts):
        return None
    return Form(low, re.compile(pattern, re.ASCII | re.IGNORECASE), tuple(parts))


def instant(text: str, forms: tuple[Form, ...], zone: tzinfo, as_of: datetime | None) -> datetime:
    """The instant in UTC. `zone` of a text that names none; `as_of`: when the log was written. Raises ValueError."""
    text = text.strip()
    for form in forms:
        if form.pattern is None:
            if _NUMBER.fullmatch(text):
                return _number(text, NUMBERS[form.name])
        elif found := form.pattern.fullmatch(text):
            return _parts(dict(zip(form.parts, found.groups(), strict=True)), zone, as_of)
    try:
        read = datetime.fromisoformat(text) if _ISO.match(text) else None
    except ValueError:
        read = None  # its message would repeat the text
    if read is None:
        raise ValueError("no time of a declared form")
    return _utc(read, zone)


def _number(text: str, per_second: int) -> datetime:
    whole, _dot, rest = text.partition(".")
    micros = int(whole) * 1_000_000 // per_second + (int(float(f"0.{rest}") * 1_000_000 / per_second) if rest else 0)
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise ValueError("a time out of range") from None


def _parts(told: dict[str, str], zone: tzinfo, as_of: datetime | None) -> datetime:
    month = _MONTHS.index(told["name"].lower()) + 1 if "name" in told else int(told["month"])
    hour = int(told["hour"])
    if "am" in told:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of a clock of twelve")
        hour = hour % 12 + (12 if told["am"].lower() == "pm" else 0)
    seconds, _dot, rest = told.get("second", "0").replace(",", ".").partition(".")
    micros = int(rest[:6].ljust(6, "0")) if rest else 0
    said = zone_of(told["zone"]) if "zone" in told else zone
    if "year" in told:
        years = [int(told["year"])]
    elif as_of is None:
        raise ValueError("a time without a year, and when the log was written is not known")
    else:
        years = [as_of.year + 1, as_of.year, as_of.year - 1]
    for year in years:
        try:
            value = _utc(datetime(year, month, int(told["day"]), hour, int(told["minute"]), int(seconds), micros,
                                  tzinfo=said), said)  # fmt: skip
        except ValueError:
            if year == years[-1]:
                raise
            continue  # 29 February, in the wrong year
        # A log is not written before its events; a day for clocks and zones that differ.
        if as_of is None or "year" in told or value <= as_of + timedelta(days=1):
            return value
    raise ValueError("no time of a declared form")


def zone_of(text: str) -> tzinfo:
    """The zone of "UTC", "CEST", "+02", "+0200" or "+02:00". Raises ValueError for an abbreviation we do not know."""
    if text[0] in "+-":
        digits = text[1:].replace(":", "")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
        return timezone(shift if text[0] == "+" else -shift)
    if text.upper() not in ZONES:
        raise ValueError(f"time zone {text[:5]} is not known")
    return timezone(timedelta(hours=ZONES[text.upper()]))


def _utc(value: datetime, zone: tzinfo) -> datetime:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError("a time out of range") from None
