"""Texts of a log taken apart: line patterns, words, pairs, CEF and LEEF. Each is linear in the length of the text.

A line pattern is a template read backwards: "{user+} from {ip} port {_}". A name takes what stands before the next
literal, `{name+}` up to the last such literal (where what is named may itself hold the literal: a hostile user name),
`{name#}` is digits only, `{_}` is thrown away. There is no regular expression that a mapping could make slow.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_LINE = 65_536
MAX_PAIRS = 500
_HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})([+#]?)\}")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*+)"|\[([^\]]*+)\]|(\S++)')
_KEY = re.compile(r"(?:^|(?<=\s))([A-Za-z0-9_.\-\[\]]{1,64})=")
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r"}
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class LinePattern:
    """`start`, then for each name the literal that ends it ("" only at the end), and its mark: "+", "#" or ""."""

    start: str
    holes: tuple[tuple[str, str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _literal, _mark in self.holes if name != "_")

    def read(self, text: str) -> dict[str, str] | None:
        """What the names stand for, without blanks around; None: the text is not of this pattern."""
        if len(text) > MAX_LINE or not text.startswith(self.start):
            return None
        at, before, found = len(self.start), self.start, {}
        for name, literal, mark in self.holes:
            if before.endswith(" "):
                while at < len(text) and text[at] == " ":
                    at += 1
            end = len(text) if not literal else text.rfind(literal, at) if mark == "+" else text.find(literal, at)
            if end < 0 or (mark == "#" and not text[at:end].isdecimal()):
                return None
            if name != "_":
                found[name] = text[at:end].strip()
            at, before = end + len(literal), literal
        return found if at == len(text) else None


def line_pattern(text: str) -> LinePattern | None:
    """The pattern that `text` describes; None: it has no names, two without anything between, or one name twice."""
    found = list(_HOLE.finditer(text))
    names = [one[1] for one in found if one[1] != "_"]
    if not names or len(set(names)) != len(names):
        return None
    holes = []
    for number, one in enumerate(found):
        following = found[number + 1].start() if number + 1 < len(found) else len(text)
        literal = text[one.end() : following]
        if not literal and number + 1 < len(found):
            return None
        holes.append((one[1], literal, one[2]))
    return LinePattern(text[: found[0].start()], tuple(holes))


def words(text: str, names: Sequence[str]) -> dict[str, str]:
    """Words between blanks, "quoted" or [bracketed] ones whole, named in order.

    `-` is an empty one; what is called `_` is thrown away.
    """
    told: dict[str, str] = {}
    for name, one in zip(names, _WORD.finditer(text[:MAX_LINE]), strict=False):
        word = next(group for group in one.groups() if group is not None)
        if name != "_" and word != "-":
            told[name] = word
    return told


def row(text: str, names: Sequence[str], between: str) -> dict[str, str] | None:
    """One line of CSV, its cells named in order; `_` is thrown away. None: the line cannot be read."""
    try:
        cells = next(csv.reader([text[:MAX_LINE]], delimiter=between[0]), [])
    except csv.Error:
        return None
    return {name: cell for name, cell in zip(names, cells, strict=False) if name != "_"}


def pairs(text: str, between: str, equals: str) -> dict[str, str]:
    """`name=value` pairs; what has no `equals` goes on the value before it."""
    told: dict[str, str] = {}
    name = ""
    for piece in text[:MAX_LINE].split(between)[:MAX_PAIRS]:
        key, found, value = piece.partition(equals)
        if found:
            name = key.strip()
            told.setdefault(name, value.strip().strip('"'))
        elif name:
            told[name] = f"{told[name]}{between}{piece}"
    return told


def cef(text: str) -> dict[str, object] | None:
    """A Common Event Format record, with whatever stands before it; None: it is none.

    `extension` by key; `labelled`: the custom fields by the label that the record gives them ("cs1Label=Folder").
    """
    start = text.find("CEF:")
    parts = _BAR.split(text[start : start + MAX_LINE], maxsplit=7) if start >= 0 else []
    if len(parts) != 8:
        return None
    names = ("version", "vendor", "product", "product_version", "event_class_id", "name", "severity")
    told: dict[str, object] = {name: _plain(part.strip()) for name, part in zip(names, parts, strict=False)}
    extension = _extension(parts[7])
    told["extension"] = extension
    told["labelled"] = {
        label: extension[key.removesuffix("Label")]
        for key, label in extension.items()
        if key.endswith("Label") and key.removesuffix("Label") in extension
    }
    return told


def leef(text: str) -> dict[str, object] | None:
    """A Log Event Extended Format record of version 1 or 2; None: it is none."""
    start = text.find("LEEF:")
    if start < 0:
        return None
    version, _bar, rest = text[start + 5 : start + MAX_LINE].partition("|")
    parts = rest.split("|", 5 if version.startswith("2") else 4)
    if len(parts) < 5:
        return None
    delimiter = "\t"
    if version.startswith("2"):
        said = parts[4]
        code = said.lower().removeprefix("0x").removeprefix("x")
        if len(said) == 1:
            delimiter = said
        elif re.fullmatch(r"[0-9a-f]{1,4}", code):
            delimiter = chr(int(code, 16))
    names = ("vendor", "product", "product_version", "event_id")
    told: dict[str, object] = dict(zip(names, parts, strict=False))
    told["version"] = version
    told["extension"] = pairs(parts[-1], delimiter, "=")
    return told


def _extension(text: str) -> dict[str, str]:
    """Values may hold blanks: one ends where the next key begins."""
    keys = list(_KEY.finditer(text))[:MAX_PAIRS]
    ends = [*(one.start() for one in keys[1:]), len(text)]
    return {one[1]: _plain(text[one.end() : end].strip()) for one, end in zip(keys, ends, strict=False)}


def _plain(text: str) -> str:
    return _UNESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
