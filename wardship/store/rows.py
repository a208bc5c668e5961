"""Small tables made of rows in memory, as Parquet files that an engine reads: examples, and what people declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardship.store.engine import Table, literal


def write_tables(
    folder: Path, columns: Mapping[str, Mapping[str, str]], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[Table]:
    """A table for each name in `columns` (name and DuckDB type of each column), with its `rows`; for few rows.

    A column that a row does not name is NULL; a table without rows has no file. Raises duckdb.Error for a value that
    does not fit its column.
    """
    import duckdb

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with duckdb.connect() as db:
        for name, kinds in columns.items():
            files: Iterable[Path] = ()
            if given := rows.get(name):
                typed = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
                db.execute(f'CREATE TABLE "{name}" ({typed})')
                db.executemany(
                    f'INSERT INTO "{name}" VALUES ({", ".join("?" for _ in kinds)})',  # noqa: S608 - our names
                    [[row.get(column) for column in kinds] for row in given],
                )
                path = folder / f"{name}.parquet"
                db.execute(f'COPY "{name}" TO {literal(str(path))} (FORMAT parquet)')
                files = (path,)
            made.append(Table(name=name, columns=kinds, files=tuple(files)))
    return made
