"""What was accepted: a file of entries with a reason and an end date, and comments beside the line itself.

An entry names a place by a fingerprint that does not give the value away (ADR 0020):

    PLACE  24 hex digits: SHA-256 of the path and of the text around the value, without the value
    CHECK   2 hex digits: 8 bits of SHA-256 of the value

So an entry survives moved lines, is void when another value is put in the same place (255 times of 256), and tells
nobody more than 8 bits of the value, however much they compute and in however many places it was accepted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

FILE = ".wardship-baseline.yaml"
MAX_DAYS = 365
WARN_DAYS = 30
_AROUND_BYTES = 120  # of the value's own line: a long line is not void because its far end changed
_FINGERPRINT = re.compile(r"[0-9a-f]{24}-[0-9a-f]{2}")
_NEAR_BYTES = 2_000
_COMMENT_SIGNS = b" \t#/*;<!->%'\"({"
_ALLOW = re.compile(
    rb"wardship:[ \t]*allow\b(?:[ \t]+until[ \t]+(\d{4}-\d{2}-\d{2}))?(?:[ \t]+because[ \t]+(\S[^\r\n]*))?",
    re.IGNORECASE,
)
_HEAD = """\
# What `wardship hook` accepts: each entry with a reason and an end date of at most 365 days (docs/blocking-secrets.md).
# yaml-language-server: $schema=https://raw.githubusercontent.com/wardship/wardship/main/docs/schema/baseline.schema.json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One accepted place. `expires` is its last day; the day after, it blocks again."""

    detector: str
    path: str
    fingerprint: str
    reason: str
    expires: date
    added_by: str
    added_on: date

    def holds(self, today: date) -> bool:
        return today <= self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The entries of one file by fingerprint; an empty one accepts nothing."""

    entries: Sequence[Entry] = ()

    def find(self, fingerprint: str) -> Entry | None:
        """The entry of that place and value with the latest end, expired or not."""
        fitting = [entry for entry in self.entries if entry.fingerprint == fingerprint]
        return max(fitting, key=lambda entry: entry.expires, default=None)

    def ending(self, today: date) -> list[Entry]:
        """The entries that have ended or end within 30 days, the first to end first."""
        soon = today + timedelta(days=WARN_DAYS)
        return sorted((entry for entry in self.entries if entry.expires <= soon), key=lambda entry: entry.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A comment beside the line. `problem` says why it does not count; None: it does, until `expires`."""

    expires: date | None
    reason: str
    problem: str | None


def places(path: bytes, data: bytes, spans: Sequence[tuple[int, int]]) -> list[str]:
    """PLACE of each value of a text; `spans` are all that were found there, by position. No value takes part."""
    ends = [end for _start, end in spans]
    found = []
    for begin, end in _lines(data, spans):
        around, at = [], begin
        for number in range(bisect_right(ends, begin), len(spans)):
            start, stop = spans[number]
            if start >= end:
                break
            around += [data[at:start], b"\0"]
            at = max(at, stop)
        around.append(data[at:end])
        text = b" ".join(b"".join(around).split())
        found.append(hashlib.sha256(b"wardship place 1\0" + path + b"\0" + text).hexdigest()[:24])
    return found


def _lines(data: bytes, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The lines that each value stands in, cut to what is near it."""
    for start, end in spans:
        near = max(0, start - _AROUND_BYTES)
        far = min(len(data), end + _AROUND_BYTES)
        broken = data.find(b"\n", end, far)
        yield max(data.rfind(b"\n", near, start) + 1, near), far if broken < 0 else broken


def fingerprint(place: str, value: bytes) -> str:
    """PLACE-CHECK."""
    return f"{place}-{hashlib.sha256(b'wardship check 1' + bytes(1) + value).hexdigest()[:2]}"


def parse(text: str, name: str = FILE) -> Baseline:
    """The entries of a file's text. Raises ConfigError that names file, line and field."""
    from wardship.sdk.yaml_file import read_yaml

    told = read_yaml(text, name)
    data = told.data
    if data is None:
        return Baseline()
    if not isinstance(data, dict):
        raise told.error(
            (), _("a baseline is a mapping with `version` and `entries`"), _("see docs/blocking-secrets.md")
        )
    for key in data:
        if key not in ("version", "entries"):
            raise told.error((key,), _("no such field"), _("fields: %(names)s") % {"names": "version, entries"})
    if data.get("version") != 1:
        raise told.error(("version",), _("must be 1"), _("write `version: 1`"))
    listed = data.get("entries") or []
    if not isinstance(listed, list):
        raise told.error(("entries",), _("must be a list"), _("write one `- detector: ...` for each entry"))
    entries = []
    for number, one in enumerate(listed):
        problem = _problem(one)
        if problem:
            field, message = problem
            raise told.error(
                ("entries", number, *([field] if field else [])),
                message,
                _("fields of an entry: %(names)s") % {"names": ", ".join(_FIELDS)},
            )
        entries.append(Entry(**one))
    return Baseline(entries=tuple(entries))


def load(path: Path) -> Baseline:
    """The entries of a file; empty where there is none."""
    if not path.is_file():
        return Baseline()
    try:
        return parse(path.read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise ConfigError(
            _("%(file)s: byte %(n)d is not UTF-8") % {"file": path.name, "n": error.start},
            advice=_("save the file as UTF-8"),
        ) from None


def save(path: Path, entries: Iterable[Entry]) -> None:
    """Writes the file whole, by path and detector. JSON strings are YAML strings."""
    lines = [_HEAD, "version: 1\n"]
    ordered = sorted(entries, key=lambda entry: (entry.path, entry.detector, entry.fingerprint))
    lines.append("entries:\n" if ordered else "entries: []\n")
    for entry in ordered:
        for number, name in enumerate(_FIELDS):
            value = getattr(entry, name)
            told = value.isoformat() if isinstance(value, date) else json.dumps(value)
            lines.append(f"{'  - ' if number == 0 else '    '}{name}: {told}\n")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text("".join(lines), encoding="utf-8")
    beside.replace(path)


def added(baseline: Baseline, new: Iterable[Entry]) -> list[Entry]:
    """The entries with the new ones; a new entry takes the place of the one with its fingerprint."""
    return list({entry.fingerprint: entry for entry in (*baseline.entries, *new)}.values())


def check_end(expires: date, today: date) -> None:
    """Raises ConfigError when an entry made today must not end at `expires`."""
    if not today <= expires <= today + timedelta(days=MAX_DAYS):
        raise ConfigError(
            _("the end date %(date)s is not within the next %(n)d days") % {"date": expires, "n": MAX_DAYS},
            advice=_("accept it for at most a year; it is asked again then"),
        )


def allowance(data: bytes, start: int, end: int, today: date) -> Allowance | None:
    """The comment that allows the value at `start`:`end`, on its lines or the one before; None: there is none."""
    near, far = max(0, start - _NEAR_BYTES), min(len(data), end + _NEAR_BYTES)
    first = max(data.rfind(b"\n", near, start) + 1, near)
    before = max(data.rfind(b"\n", near, max(first - 1, near)) + 1, near)
    after = data.find(b"\n", end, far)
    own = data[first:start] + data[end : far if after < 0 else after]
    line_before = data[before:first].lstrip(_COMMENT_SIGNS)  # a comment behind other code speaks of that code
    told = _ALLOW.search(own) or _ALLOW.match(line_before)
    if told is None:
        return None
    reason = (told[2] or b"").decode(errors="replace").strip()
    try:
        expires = date.fromisoformat(told[1].decode()) if told[1] else None
    except ValueError:
        expires = None
    problem = None
    if expires is None or not reason:
        problem = _("a comment `wardship: allow` needs an end date and a reason: until YYYY-MM-DD because ...")
    elif expires < today:
        problem = _("the comment that allowed it ended on %(date)s") % {"date": expires}
    elif expires > today + timedelta(days=MAX_DAYS):
        problem = _("the comment that allows it ends later than in %(n)d days") % {"n": MAX_DAYS}
    return Allowance(expires=expires, reason=reason, problem=problem)


_FIELDS = tuple(field.name for field in fields(Entry))


def _problem(one: Any) -> tuple[str, str] | None:
    """The field that is wrong, and why; None: it is an entry."""
    if not isinstance(one, dict):
        return "", _("an entry is a mapping")
    for name in one:
        if name not in _FIELDS:
            return name, _("no such field")
    for name in _FIELDS:
        if name not in one:
            return "", _("%(field)s is missing") % {"field": name}
        value = one[name]
        if name in ("expires", "added_on"):
            if type(value) is not date:
                return name, _("must be a date: YYYY-MM-DD")
        elif not isinstance(value, str) or not value.strip():
            return name, _("must be a text that says something")
    if not _FINGERPRINT.fullmatch(one["fingerprint"]):
        return "fingerprint", _("must be 24 and 2 hex digits, as `wardship hook baseline add` writes it")
    if (one["expires"] - one["added_on"]).days > MAX_DAYS:
        return "expires", _("later than %(n)d days after added_on") % {"n": MAX_DAYS}
    return None


def schema() -> Mapping[str, Any]:
    """JSON Schema of a baseline file. What it cannot say, the program checks: at most 365 days between the dates."""
    text = {"type": "string", "minLength": 1, "pattern": "\\S"}
    day = {"type": "string", "format": "date"}
    about: dict[str, Mapping[str, Any]] = {
        "detector": {**text, "description": "What found it, for people; the fingerprint decides."},
        "path": {**text, "description": "The file, for people; it is part of the fingerprint."},
        "fingerprint": {"type": "string", "pattern": f"^{_FINGERPRINT.pattern}$"},
        "reason": {**text, "description": "Why it may stay: who will read this next year?"},
        "expires": {**day, "description": "Last day; at most 365 days after added_on."},
        "added_by": text,
        "added_on": day,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardship baseline of accepted secrets",
        "type": "object",
        "additionalProperties": False,
        "required": ["version"],
        "properties": {
            "version": {"const": 1},
            "entries": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": list(_FIELDS),
                    "properties": about,
                },
            },
        },
    }
