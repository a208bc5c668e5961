"""JSON and JSON lines, record by record: a file of any size costs the memory of one record.

A record that is no JSON costs itself only, as long as its brackets are balanced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from wardship.connectors.file.formats.row import (
    MAX_ROW_CHARS,
    Lines,
    Row,
    SourceOptions,
    is_broken,
    open_text,
    unreadable,
)
from wardship.sdk.i18n import _

_CHUNK = 65_536
_SPACE = re.compile(r"[ \t\r\n]*+")
_PART = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},]|[^"\[\]{},]++', re.DOTALL)


class _BrokenError(Exception):
    """What stands here is no JSON."""


def _refuse(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse)


def rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """The records of the list at `options.records`; a single object there is one record."""
    with open_text(path, options.encoding) as stream:
        window = _Window(stream)
        try:
            for key in options.records:
                _enter(window, key)
            opening = window.peek()
        except _BrokenError as broken:
            raise unreadable(
                path, broken, _("check `records` in the mapping: the keys that lead to the list of records")
            ) from None
        if opening == "[":
            window.pos += 1
            yield from _elements(window)
        elif opening:
            yield _one(window, "record 1")


def line_rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """One record a line; blank lines are passed over."""
    with open_text(path, options.encoding) as stream:
        lines = Lines(stream)
        for line in lines:
            where = f"line {lines.number}"
            if lines.take_cut():
                yield Row(where=where, problem=f"a line of over {MAX_ROW_CHARS} characters")
            elif line.strip():
                yield _one(_Window.over(line), where, whole=True)


def scalars(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Those members of the outermost object that are no list and no object, up to the last one that is asked for."""
    found: dict[str, Any] = {}
    with open_text(path, None) as stream:
        window = _Window(stream)
        if window.peek() != "{":
            return found
        try:
            for name in _members(window):
                if name in names and window.peek() not in ("{", "["):
                    found[name] = window.value()
                    if len(found) == len(names):
                        break
                else:
                    window.skip()
        except _BrokenError:
            return found
    return found


def inner_rows(path: Path, options: SourceOptions, inner: str) -> Iterator[tuple[dict[str, Any], Row]]:
    """The records of the list `inner` inside each record of the list, with what stands before it in that record.

    Other lists and objects of the record are passed over, whatever their size. Nothing where there is no such list.
    """
    with open_text(path, options.encoding) as stream:
        window = _Window(stream)
        try:
            for key in options.records:
                _enter(window, key)
        except _BrokenError:
            return
        if window.peek() != "[":
            return
        window.pos += 1
        while window.peek() == "{":
            outer: dict[str, Any] = {}
            try:
                yield from ((outer, row) for row in _inside(window, inner, outer))
            except _BrokenError:
                break
            window.pos += window.peek() == ","
        if window.peek() != "]":
            yield {}, Row(where=".".join(options.records), problem="the list breaks off here: the rest cannot be read")


def _inside(window: _Window, inner: str, outer: dict[str, Any]) -> Iterator[Row]:
    """The records of the list `inner` of the object that begins here; its plain members go to `outer`."""
    for name in _members(window):
        sign = window.peek()
        if name == inner and sign == "[":
            window.pos += 1
            yield from _elements(window)
            window.pos += window.peek() == "]"
        elif sign in ("[", "{"):
            window.skip()
        else:
            outer[name] = window.value()


def _members(window: _Window) -> Iterator[str]:
    """The names of the object that begins here; whoever asks must read or skip the value of each. Ends behind it."""
    window.pos += 1
    while window.peek() == '"':
        name = window.value()
        if window.peek() != ":":
            raise _BrokenError("no object")
        window.pos += 1
        yield str(name)
        window.forget()
        if window.peek() == ",":
            window.pos += 1
    if window.peek() != "}":
        raise _BrokenError("an object that breaks off")
    window.pos += 1


def _elements(window: _Window) -> Iterator[Row]:
    number = 0
    while True:
        number += 1
        where = f"record {number}"
        sign = window.peek()
        if sign == "]":
            return
        if sign == "," and number > 1:
            window.pos += 1
        elif number > 1 or not sign:
            yield Row(where=where, problem="the list breaks off here: the rest cannot be read")
            return
        if number > 1 and window.peek() in ("]", ""):
            yield Row(where=where, problem="the list breaks off here: the rest cannot be read")
            return
        yield _one(window, where)
        window.forget()


def _one(window: _Window, where: str, *, whole: bool = False) -> Row:
    try:
        value = window.value()
    except _BrokenError as broken:
        window.skip()
        return Row(where=where, problem=str(broken))
    if whole and window.peek():
        return Row(where=where, problem="more than one value")
    if not isinstance(value, dict):
        return Row(where=where, problem="not an object")
    if is_broken(json.dumps(value, ensure_ascii=False)):
        return Row(where=where, problem="bytes that do not fit the encoding of the file")
    return Row(where=where, cells=value)


def _enter(window: _Window, key: str) -> None:
    """Moves to the value of `key` in the object that begins here."""
    if window.peek() != "{":
        raise _BrokenError(_("there is no object with the key %(key)r") % {"key": key})
    window.pos += 1
    while window.peek() == '"':
        name = window.value()
        if window.peek() != ":":
            break
        window.pos += 1
        if name == key:
            return
        window.skip()
        window.forget()
        if window.peek() != ",":
            break
        window.pos += 1
    raise _BrokenError(_("there is no key %(key)r") % {"key": key})


class _Window:
    """The part of the text that is looked at. It grows while a value needs it and forgets what was read."""

    def __init__(self, stream: TextIO | None, text: str = "") -> None:
        self._stream = stream
        self.text, self.pos = text, 0
        self.ended = stream is None

    @classmethod
    def over(cls, text: str) -> _Window:
        return cls(None, text)

    def _grow(self) -> bool:
        more = self._stream.read(_CHUNK) if self._stream is not None else ""
        self.ended = not more
        self.text += more
        return bool(more)

    def forget(self) -> None:
        if self.pos > _CHUNK:
            self.text, self.pos = self.text[self.pos :], 0

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            found = _SPACE.match(self.text, self.pos)
            assert found is not None  # noqa: S101 - it matches nothing as well
            self.pos = found.end()
            if self.pos < len(self.text):
                return self.text[self.pos]
            self.text, self.pos = "", 0
            if not self._grow():
                return ""

    def value(self) -> Any:
        """The value that begins here. Raises _BrokenError and stays where it is."""
        self.peek()
        while True:
            try:
                value, end = _decoder.raw_decode(self.text, self.pos)
            except RecursionError:
                raise _BrokenError("nested too deeply") from None
            except ValueError:
                long = len(self.text) - self.pos > MAX_ROW_CHARS
                if long or not self._grow():
                    problem = f"no JSON within {MAX_ROW_CHARS} characters" if long else "not JSON"
                    raise _BrokenError(problem) from None
                continue
            if end == len(self.text) and self._grow():
                continue  # a number may go on
            if end - self.pos > MAX_ROW_CHARS:
                raise _BrokenError(f"a record of over {MAX_ROW_CHARS} characters")
            self.pos = end
            return value

    def skip(self) -> None:
        """Passes over one value, JSON or not, by its brackets: up to the comma or bracket that ends it."""
        self.peek()
        depth = 0
        while True:
            found = _PART.match(self.text, self.pos)
            cut = found is None or found.end() == len(self.text)
            if cut and not self.ended and len(self.text) - self.pos <= 2 * MAX_ROW_CHARS:
                self.forget()
                self._grow()
                continue
            if found is None:  # a quotation mark that is never closed
                self.pos += 1
                if self.pos >= len(self.text):
                    return
                continue
            part = found[0]
            if depth == 0 and part in (",", "]", "}"):
                return
            depth += (part in ("[", "{")) - (part in ("]", "}"))
            self.pos = found.end()
            if (depth == 0 and part in ("]", "}")) or self.pos >= len(self.text):
                return
            if self.pos > 4 * _CHUNK:
                self.forget()
