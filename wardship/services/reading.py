"""Reads a fact snapshot with SQL, row by row: what every list, page and export is made from.

Lists read snapshots, never the live tables, so that a figure on a screen can be counted again later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from wardship.model.facts import FACTS, Snapshot

_CHUNK_ROWS = 2_000


class Facts:
    """One open snapshot; close it (it is a context manager). Instants come back aware, in UTC."""

    def __init__(self, snapshot: Snapshot | None, *, rule_folders: Sequence[Path] = ()) -> None:
        """None: nothing has been scanned yet, and every table is empty. `rule_folders` name findings of own rules."""
        import duckdb

        self.snapshot = snapshot
        self.rule_folders = tuple(rule_folders)
        self._db = duckdb.connect(config={"threads": "2", "autoinstall_known_extensions": "false"})
        for table, columns in FACTS.items():
            if snapshot is None or not snapshot.file(table).exists():  # written before there was such a table
                empty = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items())
                self._db.execute(f'CREATE VIEW "{table}" AS SELECT * FROM (SELECT {empty}) WHERE FALSE')  # noqa: S608 - our own names
            else:
                path = str(snapshot.file(table)).replace("'", "''")
                self._db.execute(f"CREATE VIEW \"{table}\" AS SELECT * FROM read_parquet('{path}')")  # noqa: S608 - our own path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._db.close()

    @property
    def snapshot_id(self) -> str:
        """The id of the snapshot, or "" before the first scan."""
        return self.snapshot.id if self.snapshot else ""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The rows of a query, streamed; several queries may be open at once."""
        cursor = self._db.cursor()
        cursor.execute(sql, [_naive(value) for value in parameters])
        names = [column[0] for column in cursor.description or ()]
        while chunk := cursor.fetchmany(_CHUNK_ROWS):
            for row in chunk:
                yield {name: _aware(value) for name, value in zip(names, row, strict=True)}

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """The first row of a query that always has one."""
        return next(self.rows(sql, parameters))


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
