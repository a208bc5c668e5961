"""Writes the rows of any list as JSON, JSON lines, CSV, Parquet or XLSX, in bounded memory.

The same rows go to every format; what is shown on a terminal is the caller's affair (`wardship.cli.render`).
Values stay as they are in the database, except where a format would make them act: a cell that a
spreadsheet would take for a formula is defused.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

Row = Mapping[str, Any]

_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠|%")
_DUCKDB_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "instant": "TIMESTAMP",
    "date": "DATE",
}
_XLSX_MAX_ROWS = 1_048_575  # the format's own limit, less the header
_XLSX_MAX_CHARS = 32_767


class Format(StrEnum):
    """The file formats of every list. A screen table is not among them: it is no file."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"

    @property
    def is_text(self) -> bool:
        """True: it may go to a terminal or a pipe. False: it needs a file."""
        return self not in (Format.PARQUET, Format.XLSX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `name` is the same in every format; `label` (an English message id) heads it on a screen."""

    name: str
    label: str
    type: str = "text"  # text, integer, number, boolean, instant, date, or json (written as text outside JSON)
    screen: bool = True  # False: in the files only, a terminal is too narrow
    tail: bool = False  # True: its end tells most (a path), so a terminal cuts its beginning
    whole: bool = False  # True: a terminal never cuts it: half of it would be wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Rows with their columns and where they come from. `rows` may be read once."""

    name: str  # "identities": the sheet's name and the thing's name in `export`
    columns: Sequence[Column]
    rows: Iterable[Row]
    about: Mapping[str, str] = field(default_factory=dict)  # who, when, filter, snapshot: the sheet "About"


def write(listing: Listing, form: Format, target: Path) -> int:
    """Writes the listing to `target` and returns the number of rows.

    The file appears whole or not at all: it is written beside the target and moved there.
    """
    target = Path(target)
    if not target.parent.is_dir():
        raise ConfigError(
            _("the folder %(path)s does not exist") % {"path": target.parent},
            advice=_("make the folder first, or name another file"),
        )
    beside = target.with_name(f".{target.name}.part")
    try:
        if form is Format.PARQUET:
            count = _write_parquet(listing, beside)
        elif form is Format.XLSX:
            count = _write_xlsx(listing, beside)
        else:
            with beside.open("w", encoding="utf-8", newline="") as stream:
                count = write_text(listing, form, stream)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return count


def write_text(listing: Listing, form: Format, stream: IO[str]) -> int:
    """Writes a text format to an open stream, row by row, and returns the number of rows."""
    if form is Format.JSON:
        return _write_json(listing, stream)
    if form is Format.JSONL:
        return _write_jsonl(listing, stream)
    if form is Format.CSV:
        return _write_csv(listing, stream)
    raise ConfigError(
        _("%(format)s is not a text format") % {"format": form.value}, advice=_("name a file with --out FILE")
    )


def defuse(text: str) -> str:
    """`text` as a spreadsheet will not run it: a leading apostrophe where it would begin a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) or text.lstrip()[:1] in _FORMULA_STARTS[:4] else text


def _plain(value: Any) -> Any:
    """The value as JSON has it: instants and dates in ISO 8601, everything else as it is."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _plain_row(columns: Sequence[Column], row: Row) -> dict[str, Any]:
    return {column.name: _plain(row.get(column.name)) for column in columns}


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _utf8(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _write_json(listing: Listing, stream: IO[str]) -> int:
    count = 0
    stream.write("[")
    for row in listing.rows:
        stream.write(",\n " if count else "\n ")
        stream.write(_utf8(_dump(_plain_row(listing.columns, row))))
        count += 1
    stream.write("\n]\n" if count else "]\n")
    return count


def _write_jsonl(listing: Listing, stream: IO[str]) -> int:
    count = 0
    for row in listing.rows:
        stream.write(_utf8(_dump(_plain_row(listing.columns, row))) + "\n")
        count += 1
    return count


def _cell(value: Any) -> str | int | float | None:
    """The value as one cell holds it: structures as JSON text, booleans as words."""
    value = _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (int, float)):
        return value
    return _utf8(value) if isinstance(value, str) else _utf8(_dump(value))


def _write_csv(listing: Listing, stream: IO[str]) -> int:
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([column.name for column in listing.columns])
    count = 0
    for row in listing.rows:
        cells = (_cell(row.get(column.name)) for column in listing.columns)
        writer.writerow([defuse(cell.replace("\0", "")) if isinstance(cell, str) else cell for cell in cells])
        count += 1
    return count


def _write_parquet(listing: Listing, target: Path) -> int:
    """Through CSV: DuckDB reads that two hundred times faster than single inserts (ADR 0007)."""
    import duckdb

    from wardship.store.engine import literal

    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.csv"
        count = 0
        with rows.open("w", encoding="utf-8", newline="") as stream:
            for row in listing.rows:
                cells = [_cell(row.get(column.name)) for column in listing.columns]
                stream.write(",".join("" if cell is None else _quoted(str(cell)) for cell in cells) + "\n")
                count += 1
        columns = ", ".join(
            f"'{column.name}': '{_DUCKDB_TYPES.get(column.type, 'VARCHAR')}'" for column in listing.columns
        )
        with duckdb.connect() as conn:
            conn.execute(
                f"COPY (SELECT * FROM read_csv(?, header=false, columns={{{columns}}},"  # noqa: S608 - our own names
                " nullstr='', allow_quoted_nulls=false,"
                " quote='\"', escape='\"', auto_detect=false, max_line_size=100000000))"
                f" TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)",
                [str(rows)],
            )
    return count


def _quoted(text: str) -> str:
    """One value of the intermediate CSV: always quoted, so that only an empty field means "not known"."""
    return '"' + text.replace("\0", "").replace('"', '""') + '"'


def _write_xlsx(listing: Listing, target: Path) -> int:
    import xlsxwriter

    book = xlsxwriter.Workbook(str(target), {"constant_memory": True, "strings_to_formulas": False})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    sheet = book.add_worksheet(listing.name[:31])
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(listing.columns):
        sheet.write_string(0, place, column.name, bold)
        sheet.set_column(place, place, 24)
    count = 0
    for row in listing.rows:
        if count >= _XLSX_MAX_ROWS:
            book.close()
            raise ConfigError(
                _("an XLSX sheet holds at most %(n)d rows") % {"n": _XLSX_MAX_ROWS},
                advice=_("filter the list, or use --output csv or parquet"),
            )
        count += 1
        for place, column in enumerate(listing.columns):
            cell = _cell(row.get(column.name))
            if isinstance(cell, str):
                sheet.write_string(count, place, _sheet_text(defuse(cell)))
            elif cell is not None:
                sheet.write_number(count, place, cell)
    sheet.autofilter(0, 0, max(count, 1), len(listing.columns) - 1)
    about = book.add_worksheet("About")
    about.set_column(0, 0, 24)
    about.set_column(1, 1, 80)
    for line, (key, value) in enumerate({**listing.about, "rows": str(count)}.items()):
        about.write_string(line, 0, key, bold)
        about.write_string(line, 1, _sheet_text(defuse(value)))
    book.close()
    return count


def _sheet_text(text: str) -> str:
    """`text` as an XLSX cell can hold it: characters that XML forbids become U+FFFD, and it ends at the limit."""
    allowed = "".join(char if char >= " " or char in "\t\n\r" else "�" for char in text)
    return allowed.replace("\ufffe", "�").replace("\uffff", "�")[:_XLSX_MAX_CHARS]


def counted(rows: Iterable[Row], limit: int | None) -> Iterator[Row]:
    """The first `limit` rows; all of them when it is None."""
    for place, row in enumerate(rows):
        if limit is not None and place >= limit:
            return
        yield row
