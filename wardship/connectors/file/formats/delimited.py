"""CSV and TSV, as spreadsheets in any country write them."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from wardship.connectors.file.formats.row import (
    MAX_COLUMNS,
    MAX_ROW_CHARS,
    Format,
    Lines,
    Row,
    SourceOptions,
    is_broken,
    open_text,
    unreadable,
)
from wardship.sdk.i18n import _

_DELIMITERS = ",;\t|"
_MAX_CELL_CHARS = 131_072


def rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """One Row for each line that is not blank; a quoted cell may go over several lines."""
    with _begun(path, options) as (reader, lines, header):
        yield from _data(reader, lines, header)


def names(path: Path, options: SourceOptions) -> tuple[str, ...]:
    """The names of the columns; () for a file without a header."""
    with _begun(path, options) as (_reader, _lines, header):
        return header


@contextlib.contextmanager
def _begun(path: Path, options: SourceOptions) -> Iterator[tuple[Iterator[list[str]], Lines, tuple[str, ...]]]:
    """What stands below the header, its lines, and the header."""
    with open_text(path, options.encoding) as stream:
        lines = Lines(stream)
        above = itertools.islice(lines, 0 if options.columns else max(options.header - 1, 0))
        for _line in above:
            pass
        first = next(lines, "")
        told = None
        if first[:4].lower() == "sep=":  # Excel's own first line
            told, first = first[4:5], next(lines, "")
        tabs = "\t" if options.format is Format.TSV else None
        delimiter = options.delimiter or tabs or told or delimiter_of(first)
        reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, quotechar=options.quote)
        try:
            header = options.columns or header_of(next(reader, []))
        except csv.Error as broken:
            raise unreadable(path, broken, _("say in the mapping which line holds the header")) from None
        if len(header) > MAX_COLUMNS:
            raise unreadable(path, _("over %(n)d columns") % {"n": MAX_COLUMNS}, _("check the delimiter"))
        yield reader, lines, header


def _data(reader: Iterator[list[str]], lines: Lines, header: Sequence[str]) -> Iterator[Row]:
    lines.take_cut()
    while True:
        where = f"line {lines.number + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as broken:  # the reader goes on with the next line
            yield Row(where=f"{where} to {lines.number}", problem=str(broken)[:200])
            continue
        if lines.take_cut():
            yield Row(where=where, problem=f"a line of over {MAX_ROW_CHARS} characters")
        elif any(len(cell) > _MAX_CELL_CHARS for cell in cells):  # csv's own limit is the process's: others raise it
            yield Row(where=f"{where} to {lines.number}", problem=f"field larger than field limit ({_MAX_CELL_CHARS})")
        elif any(cell.strip() for cell in cells):
            yield _row(where, cells, header)


def _row(where: str, cells: list[str], header: Sequence[str]) -> Row:
    if any(cell.strip() for cell in cells[len(header) :]):
        return Row(where=where, problem="more cells than the header has columns")
    if any(is_broken(cell) for cell in cells):
        return Row(where=where, problem="bytes that do not fit the encoding of the file")
    named = dict(itertools.zip_longest(header, cells[: len(header)], fillvalue=""))
    return Row(where=where, cells=named, short=len(cells) < len(header))


def delimiter_of(line: str) -> str:
    """The most frequent of comma, semicolon, tab and bar outside quotes; comma where there is none."""
    outside = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


def header_of(cells: Sequence[object]) -> tuple[str, ...]:
    """Names of columns, each once: an empty one is called by its place, a second one gets a number."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for place, cell in enumerate(cells, start=1):
        name = " ".join(str(cell if cell is not None else "").split()) or f"column {place}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)
