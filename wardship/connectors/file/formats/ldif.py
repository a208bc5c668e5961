"""LDIF (RFC 2849): the entries of a directory. Values that name a URL are never fetched; changes are not entries."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator
from pathlib import Path

from wardship.connectors.file.formats.row import MAX_ROW_CHARS, Lines, Row, SourceOptions, is_broken, open_text

_MAX_VALUES = 50_000  # of one entry: a group's members


def rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """One Row for each entry; names of attributes in lower case, values as lists where there are several."""
    with open_text(path, options.encoding) as stream:
        lines = Lines(stream)
        block: list[str] = []
        begin, size, problem = 1, 0, None
        for line in lines:
            text = line.rstrip("\r\n")
            if lines.take_cut():
                problem = f"a line of over {MAX_ROW_CHARS} characters"
            elif text == "":
                if block or problem:
                    yield from _entry(begin, block, problem)
                block, size, problem = [], 0, None
                continue
            if not block and problem is None:
                begin = lines.number
            size += len(text)
            if size > 16 * MAX_ROW_CHARS or len(block) > _MAX_VALUES * 4:
                problem, block = "an entry larger than any entry", []
            elif text[:1] == " " and block:
                block[-1] += text[1:]
            else:
                block.append(text)
        if block or problem:
            yield from _entry(begin, block, problem)


def _entry(begin: int, block: list[str], problem: str | None) -> Iterator[Row]:
    where = f"line {begin}"
    stated = [line for line in block if not line.startswith("#")]
    if not problem and (not stated or [line.partition(":")[0] for line in stated] == ["version"]):
        return
    values: dict[str, list[str]] = {}
    for line in stated if not problem else ():
        name, colon, rest = line.partition(":")
        attribute = name.partition(";")[0].strip().lower()
        if not colon or not attribute:
            problem = "a line that is no attribute"
        elif attribute == "changetype" and rest.strip().lower() != "add":
            problem = "a change, not an entry"
        elif rest.startswith("<"):
            problem = "a value that names a URL is not fetched"
        elif attribute not in ("changetype", "version"):
            try:
                values.setdefault(attribute, []).append(_value(attribute, rest))
            except (ValueError, binascii.Error):
                problem = "a value that is not base64"
        if problem:
            break
    if problem is None and "dn" not in values:
        problem = "an entry without a dn"
    if problem is None and any(is_broken(value) for several in values.values() for value in several):
        problem = "bytes that do not fit the encoding of the file"
    if problem is None:
        cells = {name: several if len(several) > 1 else several[0] for name, several in values.items()}
        yield Row(where=where, cells=cells)
    else:
        yield Row(where=where, problem=problem)


def _value(attribute: str, rest: str) -> str:
    if not rest.startswith(":"):
        return rest.lstrip(" ")
    coded = rest[1:].strip()
    raw = base64.b64decode(coded, validate=True)
    if attribute in ("objectguid", "msexchmailboxguid") and len(raw) == 16:
        return str(uuid.UUID(bytes_le=raw))
    if attribute == "objectsid" and len(raw) >= 8 and len(raw) == 8 + 4 * raw[1]:
        parts = [int.from_bytes(raw[at : at + 4], "little") for at in range(8, len(raw), 4)]
        return "-".join(["S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return coded  # bytes that are no text stay base64
