"""XLSX: the stored values of one sheet. Formulas are never evaluated, macros and links never touched.

A workbook is an archive of XML: it is refused before unpacking when it would unpack to too much.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from wardship.connectors.file.formats.delimited import header_of
from wardship.connectors.file.formats.row import (
    MAX_COLUMNS,
    MAX_ROW_CHARS,
    Row,
    SourceOptions,
    require_file,
    unreadable,
)
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

_MAX_BYTES = 128 * 1024 * 1024
_MAX_UNPACKED = 512 * 1024 * 1024
_MAX_PART = 256 * 1024 * 1024
_MAX_RATIO = 200  # real sheets reach 20 to 60
_SMALL = 16 * 1024 * 1024  # what unpacks to less may be packed as tightly as it likes
_MAX_PARTS = 5_000
_MAX_ROWS = 1_048_576  # Excel's own


def rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """The rows below the header. Raises ConfigError without the optional part, NotVisible for what is no workbook."""
    require_file(path, max_bytes=_MAX_BYTES)
    try:
        openpyxl = importlib.import_module("openpyxl")
        importlib.import_module("defusedxml")  # openpyxl then refuses entities
    except ImportError:
        raise ConfigError(
            _("reading XLSX needs an optional part"),
            advice=_("install the optional part: pip install 'wardship[xlsx]'"),
        ) from None
    _refuse_bombs(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except Exception as broken:  # noqa: BLE001 - a broken workbook trips it anywhere; none may stop the scan
        raise _no_workbook(path, broken) from None
    try:
        if options.sheet is not None and options.sheet not in book.sheetnames:
            names = ", ".join(book.sheetnames[:20])
            raise unreadable(
                path,
                _("there is no sheet %(name)r") % {"name": options.sheet},
                _("its sheets: %(names)s") % {"names": names},
            )
        if not book.worksheets:
            raise unreadable(path, _("no sheet in it"), _("save it again as XLSX"))
        sheet = book[options.sheet] if options.sheet is not None else book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its own size is not believed
        yield from _data(path, sheet, options)
    finally:
        book.close()


def _data(path: Path, sheet: Any, options: SourceOptions) -> Iterator[Row]:
    header = options.columns
    number = 0
    source = sheet.iter_rows(values_only=True)
    while number < _MAX_ROWS:
        number += 1
        try:
            values = next(source, None)
        except Exception as broken:  # noqa: BLE001 - as above
            if not header:
                raise _no_workbook(path, broken) from None
            yield Row(where=f"line {number}", problem="the sheet breaks off here: the rest cannot be read")
            return
        if values is None:
            return
        if not header:
            if number >= options.header and any(value is not None for value in values):
                header = header_of(_trimmed(values))
                if len(header) > MAX_COLUMNS:
                    raise unreadable(path, _("over %(n)d columns") % {"n": MAX_COLUMNS}, _("check the header's line"))
            continue
        if any(value not in (None, "") for value in values):
            yield _row(f"line {number}", values, header)


def _row(where: str, values: tuple[Any, ...], header: tuple[str, ...]) -> Row:
    values = _trimmed(values)
    if len(values) > len(header):
        return Row(where=where, problem="more cells than the header has columns")
    texts = [_text(value) for value in values]
    if sum(map(len, texts)) > MAX_ROW_CHARS:
        return Row(where=where, problem=f"a row of over {MAX_ROW_CHARS} characters")
    texts += [""] * (len(header) - len(texts))
    return Row(where=where, cells=dict(zip(header, texts, strict=True)))


def _trimmed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    end = len(values)
    while end and values[end - 1] in (None, ""):
        end -= 1
    return values[:end]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


def _refuse_bombs(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as broken:
        raise _no_workbook(path, broken) from None
    unpacked = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    if (
        len(parts) > _MAX_PARTS
        or unpacked > _MAX_UNPACKED
        or max((part.file_size for part in parts), default=0) > _MAX_PART
        or (unpacked > _SMALL and unpacked > _MAX_RATIO * max(packed, path.stat().st_size))
    ):
        raise unreadable(
            path, _("it unpacks to %(n)d bytes: refused") % {"n": unpacked}, _("save the one sheet as CSV")
        )


def _no_workbook(path: Path, broken: Exception) -> Exception:
    return unreadable(
        path, _("not a readable workbook (%(kind)s)") % {"kind": type(broken).__name__}, _("save it again as XLSX")
    )
