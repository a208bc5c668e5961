"""Files that a mapping describes: the columns that it names, row by row, and nothing else of them.

Here a secret ends: a column that is mapped as one becomes its keyed fingerprint before an item exists, so that no
page, quarantine or log ever holds it. Columns that are not mapped are dropped at the same place.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from wardship.connectors.file.dates import instant_in_name, instant_of
from wardship.connectors.file.formats import TABULAR, Format, Row, column_names, is_row, open_rows
from wardship.connectors.file.formats.row import is_broken, stamp_of
from wardship.connectors.file.mapping import FileMapping
from wardship.connectors.file.records import records_of, system_of
from wardship.connectors.file.sections import SECTIONS
from wardship.connectors.file.values import MAX_VALUES, fold
from wardship.model.errors import ConnectorError, DataError, NotVisible
from wardship.model.scan import Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection, Drift, Record
from wardship.sdk.i18n import _

SYSTEM_ITEM = {"system": True}
_LEAST_SECRET = 8  # shorter ones are too many people's secret for a fingerprint to say anything
_COVERED = frozenset("*xX.-#•●_ ")


class MappedFiles:
    """The files of one mapping, as one scope."""

    def __init__(
        self, mapping: FileMapping, declared_in: Path, paths: Sequence[Path], connection: Connection, drift: Drift
    ) -> None:
        self.mapping, self.paths = mapping, paths
        self._declared_in = declared_in
        self._once = uuid.uuid4().hex[:16]
        self._connection, self._drift = connection, drift
        self.columns_seen: dict[str, None] = {}  # in the order of the files; of nested ones the outer keys

    @property
    def as_of(self) -> datetime | None:
        """The oldest of the dates that the files' names or first rows hold; None where one holds none."""
        dates = [self._date_of(path) for path in self.paths]
        known = [when for when in dates if when is not None]
        return min(known) if known and len(known) == len(dates) else None

    def scopes(self) -> Iterable[Scope]:
        return [Scope(connector="file", authority=self.mapping.authority, kind=self.mapping.name)]

    def rows(self, scope: Scope) -> Iterator[Any]:
        del scope
        if self.mapping.source.format is not Format.POSTGRESQL and not self.paths:
            raise NotVisible(
                _("there is no file to read"),
                system="file",
                advice=_("set path to a file, or a pattern that fits some"),
            )
        yield SYSTEM_ITEM
        several = len(self.paths) > 1
        for path in self.paths or (None,):
            picker: _Picker | None = None
            for row in self._open(path):
                where = f"{path.name}, {row.where}" if several and path is not None else row.where
                if row.problem is not None:
                    yield {"where": where, "problem": row.problem}
                    continue
                if row.short and self.mapping.secret_columns:  # the secret may stand in a column that is kept
                    yield {"where": where, "problem": "fewer cells than the header has columns"}
                    continue
                if picker is None:
                    self.columns_seen.update(dict.fromkeys(list(row.cells)[:2_000]))
                    picker = _Picker(self.mapping, row, self._connection, self._drift)
                yield {"where": where, **picker.item(row.cells)}
            if picker is None:
                self._check_header(path)

    def _check_header(self, path: Path | None) -> None:
        """Raises NotVisible for a file without rows that is not even an empty list: a failed export says nothing."""
        names = column_names(path, self.mapping.source)
        if names is None or path is None:
            return
        if not names:
            raise NotVisible(
                _("%(path)s: empty, without even the names of columns") % {"path": path},
                system="file",
                advice=_("export it again; a list of nothing still has its header"),
            )
        _Picker(self.mapping, Row(where="header", cells=dict.fromkeys(names)), self._connection, self._drift)

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        del scope
        if item == SYSTEM_ITEM:
            return [system_of(self.mapping)]
        if not isinstance(item, dict):
            raise DataError("not a row")
        where = str(item.get("where"))[:200]
        if item.get("problem") is not None:
            raise DataError(f"{where}: {str(item['problem'])[:300]}")
        cells, prints = _checked(item.get("cells"), where), item.get("prints") or {}
        if not isinstance(prints, dict) or not all(isinstance(one, str) for one in prints.values()):
            raise DataError(f"{where}: not a row")
        try:
            return records_of(self.mapping, cells, prints, self._drift)
        except DataError as wrong:
            raise DataError(f"{where}: {wrong.message}") from None

    def complete(self, scope: Scope) -> bool:
        del scope
        return self.mapping.complete

    def unmapped(self) -> list[str]:
        """Columns seen so far that the mapping does not name, not even a part of them."""
        named = {fold(name.partition(".")[0]) for name in self.mapping.columns | self.mapping.secret_columns}
        named |= {fold(name) for name in self.mapping.columns | self.mapping.secret_columns}
        return [name for name in self.columns_seen if fold(name) not in named]

    def authorities(self) -> Iterable[str]:
        return [self.mapping.authority]

    def stamp(self) -> str:
        if self.mapping.source.format is Format.POSTGRESQL:
            return self._once  # the rows of a query have no order to take them up again by
        return stamp_of([*self.paths, self._declared_in])

    def _open(self, path: Path | None) -> Iterator[Row]:
        live = self.mapping.source.format is Format.POSTGRESQL
        return open_rows(path, self.mapping.source, url=self._connection.secret("url") if live else None)

    def _date_of(self, path: Path) -> datetime | None:
        form, column = self.mapping.as_of_name, self.mapping.as_of_column
        if form is not None:
            return instant_in_name(path.name, form, None)
        if column is None:
            return None
        try:
            first = next((row for row in self._open(path) if row.problem is None), None)
            text = first and _found(first.cells, _resolved(column.names[0], first.cells, self.mapping.source.format))
            return instant_of(text.strip(), column.dates, column.zone) if isinstance(text, str) else None
        except (ConnectorError, DataError, ValueError):
            return None


class _Picker:
    """Takes the mapped columns out of rows; which cell a name means is settled once, by the first row."""

    def __init__(self, mapping: FileMapping, first: Row, connection: Connection, drift: Drift) -> None:
        form = mapping.source.format
        self._name, self._drift = mapping.name, drift
        self._fingerprint = connection.fingerprint
        self._texts = {name: _resolved(name, first.cells, form) for name in mapping.columns}
        self._secrets = {name: _resolved(name, first.cells, form) for name in mapping.secret_columns}
        if form in TABULAR:
            _require_columns(mapping, first.cells, {**self._texts, **self._secrets}, drift)

    def item(self, cells: Mapping[str, object]) -> dict[str, Any]:
        try:
            prints = {name: self._print(self._pick(cells, column)) for name, column in self._secrets.items()}
            return {
                "cells": {name: self._pick(cells, column) for name, column in self._texts.items()},
                "prints": {name: found for name, found in prints.items() if found is not None},
            }
        except DataError as wrong:
            return {"problem": wrong.message}

    def _pick(self, cells: Mapping[str, object], column: str) -> str | list[str] | None:
        """The texts of a cell. An object where a value is expected is nothing, and counted as drift."""
        found = _found(cells, column)
        if isinstance(found, Mapping):
            self._drift.unexpected_shape(f"file.{self._name}.{column}"[:120], "object")
            return None
        return _plain(found, column)

    def _print(self, cell: str | list[str] | None) -> str | None:
        """The keyed fingerprint; None for an empty cell, one that is covered up, or one too short to be told apart."""
        text = (cell if isinstance(cell, str) else "".join(cell or ())).strip()
        if len(text) < _LEAST_SECRET or set(text) <= _COVERED or "***" in text:
            return None
        return self._fingerprint(Secret(text))


def _resolved(name: str, cells: Mapping[str, object], form: Format) -> str:
    """The column of the file that `name` means: as it is written, else in another spelling of case and blanks."""
    if form is Format.LDIF:
        return name.lower()
    if name in cells or form not in TABULAR:
        return name
    return next((column for column in cells if fold(column) == fold(name)), name)


def _require_columns(
    mapping: FileMapping, cells: Mapping[str, object], resolved: Mapping[str, str], drift: Drift
) -> None:
    """Raises NotVisible when a column is missing without which nothing can be made; others count as drift."""
    missing = {name for name, column in resolved.items() if column not in cells}
    for entry in mapping.entries:
        needed = {name for group in SECTIONS[entry.section].needs for name in group}
        lost = {condition.column for condition in entry.when} & missing
        for field, expression in entry.expressions():
            if field in needed and expression.names and set(expression.names) <= missing:
                lost |= set(expression.names)
        if lost:
            raise NotVisible(
                _("there is no column %(name)s") % {"name": ", ".join(repr(name[:80]) for name in sorted(lost))},
                system="file",
                advice=_("the file seems to have no header: name its columns in the mapping (source: columns)")
                if is_row(cells)
                else _("the file's columns: %(names)s; a constant is written as {value: ...}")
                % {"names": ", ".join(repr(name[:60]) for name in list(cells)[:40])},
            )
    for name in sorted(missing):
        drift.unexpected_shape(f"file.{mapping.name}.columns", f"no column {name[:48]!r}")


def _found(cells: Mapping[str, object], column: str) -> object:
    """What stands there. A name with dots leads into nested objects, and through lists of them."""
    if column in cells:
        return cells[column]
    found: object = cells
    for key in column.split("."):
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list):
            found = [inner.get(key) for inner in found if isinstance(inner, Mapping)]
        else:
            return None
    return found


def _plain(value: object, column: str) -> str | list[str] | None:
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            if len(value) > MAX_VALUES:
                raise DataError(f"column {column[:80]!r}: {len(value)} values")
            texts = [_plain(one, column) for one in value if one is not None]
            return [text for one in texts for text in ([one] if isinstance(one, str) else one or ())]
    raise DataError(f"column {column[:80]!r} holds an object, not a value")


def _checked(cells: Any, where: str) -> dict[str, str | list[str] | None]:
    if not isinstance(cells, dict):
        raise DataError(f"{where}: no cells")
    for name, value in cells.items():
        texts = value if isinstance(value, list) else [] if value is None else [value]
        for text in texts:
            if not isinstance(text, str):
                raise DataError(f"{where}: column {str(name)[:80]!r} holds no text")
            if is_broken(text):
                raise DataError(f"{where}: column {str(name)[:80]!r}: unreadable characters")
    return cells
