"""Reads a fact snapshot with SQL, row by row: what every list, page and export is made from.

Lists read snapshots, never the live tables, so that a figure on a screen can be counted again later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from wardship.model.errors import DataError
from wardship.model.facts import FACTS, Snapshot
from wardship.sdk.i18n import _
from wardship.store.engine import Table, duckdb_select, literal

_CHUNK_ROWS = 2_000
_NAME = re.compile(r"\w+")


class Facts:
    """One open snapshot; close it (it is a context manager). Instants come back aware, in UTC."""

    def __init__(self, snapshot: Snapshot | None, *, rule_folders: Sequence[Path] = ()) -> None:
        """None: nothing has been scanned yet, and every table is empty. `rule_folders` name findings of own rules."""
        import duckdb

        self.snapshot = snapshot
        self.rule_folders = tuple(rule_folders)
        self._db = duckdb.connect(config={"threads": "2", "autoinstall_known_extensions": "false"})
        self._shown: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._db.close()

    @property
    def snapshot_id(self) -> str:
        """The id of the snapshot, or "" before the first scan."""
        return self.snapshot.id if self.snapshot else ""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The rows of a query, streamed; several queries may be open at once.

        Raises DataError when a table of the snapshot that is asked for is lost.
        """
        for table in FACTS.keys() & set(_NAME.findall(sql)) - self._shown:
            self._show(table)
        cursor = self._db.cursor()
        cursor.execute(sql, [_naive(value) for value in parameters])
        names = [column[0] for column in cursor.description or ()]
        while chunk := cursor.fetchmany(_CHUNK_ROWS):
            for row in chunk:
                yield {name: _aware(value) for name, value in zip(names, row, strict=True)}

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """The first row of a query that always has one."""
        return next(self.rows(sql, parameters))

    def _show(self, table: str) -> None:
        """Makes the table known to DuckDB, which reads its file then: on first use, since most lists ask for few."""
        snapshot = self.snapshot
        if snapshot is None or (snapshot.tables and table not in snapshot.tables):  # older than the table
            rows = duckdb_select(Table(name=table, columns=FACTS[table]))
        elif not snapshot.file(table).exists():
            raise DataError(
                _("snapshot %(id)s: %(table)s is missing") % {"id": snapshot.id, "table": table},
                advice=_("`wardship scan` writes a new one"),
            )
        else:
            rows = f"SELECT * FROM read_parquet({literal(str(snapshot.file(table)))})"  # noqa: S608 - our own path
        self._db.execute(f'CREATE VIEW "{table}" AS {rows}')
        self._shown.add(table)


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
