"""What every format gives and takes: a row, the options of a source, the limits, and one way to open text.

All limits are ours: no export that a person could check by hand comes near them.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from wardship.model.errors import NotVisible
from wardship.sdk.i18n import _
from wardship.sdk.redact import redact_text

MAX_ROW_CHARS = 1_048_576
MAX_COLUMNS = 2_000
MAX_DEPTH = 32
_SAMPLE_BYTES = 1024 * 1024
_VALUE = re.compile(  # a date, a long number, an e-mail address, a UUID: no name of a column
    r"\d{4}-\d\d-\d\d\b.*|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\b.*|-?\d{5,}|[^@\s]+@[^@\s]+\.[^@\s]+"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


class Format(StrEnum):
    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    XLSX = "xlsx"
    LDIF = "ldif"
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


TABULAR = frozenset({Format.CSV, Format.TSV, Format.XLSX, Format.SQLITE, Format.POSTGRESQL})
"""Formats whose rows all have the same columns."""

_SUFFIXES = {
    ".csv": Format.CSV, ".txt": Format.CSV, ".tsv": Format.TSV, ".tab": Format.TSV, ".json": Format.JSON,
    ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".yaml": Format.YAML, ".yml": Format.YAML, ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX, ".ldif": Format.LDIF, ".ldf": Format.LDIF, ".db": Format.SQLITE, ".sqlite": Format.SQLITE,
    ".sqlite3": Format.SQLITE,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How the bytes are to be read. None: found out from the file itself."""

    format: Format
    encoding: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    header: int = 1  # the line, from 1, that names the columns; what stands above it is skipped
    columns: tuple[str, ...] = ()  # names of the columns where the file has no header
    sheet: str | None = None  # None: the first
    records: tuple[str, ...] = ()  # the keys that lead to the list of records
    query: str | None = None
    timeout_s: int = 60  # of the query


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as the file has it. Cells are texts, or what JSON nests; a `problem` says why there are none."""

    where: str  # "line 12", "record 3"
    cells: Mapping[str, object] = field(default_factory=dict)
    problem: str | None = None
    short: bool = False  # it has fewer cells than the header: a cell may hold what belongs into another


def is_row(names: Iterable[str]) -> bool:
    """Whether what stands where the names of columns are expected seems to be a row: a file without a header.

    Its cells may be secrets, so they are not told as names are.
    """
    return any(_VALUE.fullmatch(name.strip()) or redact_text(name) != name for name in names)


def guess_format(path: Path) -> Format | None:
    """By the suffix alone; None: not one that we know."""
    return _SUFFIXES.get(path.suffix.lower())


def unreadable(path: Path, what: object, advice: str = "") -> NotVisible:
    """The error for a file that cannot be read as a whole."""
    return NotVisible(_("%(path)s: %(what)s") % {"path": path, "what": what}, system="file", advice=advice)


def require_file(path: Path, *, max_bytes: int | None = None) -> None:
    """Raises NotVisible unless `path` is a regular file of at most `max_bytes`: a pipe or a device never ends."""
    try:
        if not path.is_file():
            raise unreadable(path, _("no such file"), _("check the path"))
        if max_bytes is not None and path.stat().st_size > max_bytes:
            raise unreadable(path, _("over %(max_bytes)s bytes") % {"max_bytes": max_bytes}, _("split it"))
    except OSError as failed:
        raise unreadable(path, failed.strerror, _("check the path and its permissions")) from None


def stamp_of(paths: Iterable[Path]) -> str:
    """A short digest over names, sizes and times of change; a file that is not there counts as such."""
    parts = []
    for path in sorted(set(paths)):
        try:
            status = path.stat()
            parts.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            parts.append(f"{path}\0-")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@contextlib.contextmanager
def open_text(path: Path, encoding: str | None) -> Iterator[TextIO]:
    """The file as text with its line ends. What does not fit the encoding comes as lone surrogates, row by row."""
    require_file(path)
    try:
        with path.open("rb") as raw:
            sample = raw.read(_SAMPLE_BYTES)
        known = codecs.lookup(encoding or _encoding_of(sample)).name
        if known == "utf-8":
            known = "utf-8-sig"  # a mark of byte order is no text, declared or not
        with path.open(encoding=known, errors="surrogateescape", newline="") as stream:
            yield stream
    except OSError as failed:
        raise unreadable(path, failed.strerror, _("check the path and its permissions")) from None
    except UnicodeError as broken:  # UTF-16 that ends half-way has no surrogates to escape with
        raise unreadable(
            path, _("not readable as %(encoding)s") % {"encoding": encoding or "text"}, _("give its encoding")
        ) from broken


def _encoding_of(sample: bytes) -> str:
    """By the mark of byte order; else UTF-16 by its NULs; else UTF-8 unless more than half of it is not."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = sample[:4096:2].count(0), sample[1:4096:2].count(0)
    if len(sample) >= 4 and max(even, odd) > min(len(sample), 4096) // 4 and min(even, odd) == 0:
        return "utf-16-be" if even else "utf-16-le"
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    broken = text.count("\ufffd")
    fitting = sum(1 for char in text if char > "\x7f") - broken if broken else 0
    return "cp1252" if broken > fitting else "utf-8"  # cp1252: what Excel writes in Western Europe when not told


def is_broken(text: str) -> bool:
    """Whether bytes of it did not fit the encoding."""
    return any("\ud800" <= char <= "\udfff" or char == "\ufffd" for char in text) if not text.isascii() else False


class Lines:
    """The lines of a text, none longer than a row may be: a longer one comes empty and sets `cut`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.number = 0
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_ROW_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_ROW_CHARS and not line.endswith(("\n", "\r")):
            self.cut = True
            while line and not line.endswith(("\n", "\r")):
                line = self._stream.readline(MAX_ROW_CHARS)
            return "\n"
        return line

    def take_cut(self) -> bool:
        """Whether a line was too long since this was last asked."""
        cut, self.cut = self.cut, False
        return cut
