"""Bytes into rows: one module for each format, all streaming, each unreadable row an item of its own.

`open_rows` is the only way in. A format knows nothing of mappings, identities or secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wardship.connectors.file.formats.row import TABULAR, Format, Row, SourceOptions, guess_format, is_row

if TYPE_CHECKING:
    from wardship.model.secret import Secret

__all__ = ["TABULAR", "Format", "Row", "SourceOptions", "column_names", "guess_format", "is_row", "open_rows"]


def open_rows(path: Path | None, options: SourceOptions, *, url: Secret | None = None) -> Iterator[Row]:
    """The rows of one file, or of the database at `url`. Raises NotVisible when it cannot be read as a whole."""
    if options.format is Format.POSTGRESQL:
        from wardship.connectors.file.formats import sql

        return sql.postgresql_rows(url, options)
    assert path is not None  # noqa: S101 - only a database has no file
    match options.format:
        case Format.CSV | Format.TSV:
            from wardship.connectors.file.formats import delimited

            return delimited.rows(path, options)
        case Format.JSON:
            from wardship.connectors.file.formats import json_text

            return json_text.rows(path, options)
        case Format.JSONL:
            from wardship.connectors.file.formats import json_text

            return json_text.line_rows(path, options)
        case Format.YAML:
            from wardship.connectors.file.formats import yaml_text

            return yaml_text.rows(path, options)
        case Format.XLSX:
            from wardship.connectors.file.formats import sheet

            return sheet.rows(path, options)
        case Format.LDIF:
            from wardship.connectors.file.formats import ldif

            return ldif.rows(path, options)
        case Format.SQLITE:
            from wardship.connectors.file.formats import sql

            return sql.sqlite_rows(path, options)


def column_names(path: Path | None, options: SourceOptions) -> tuple[str, ...] | None:
    """The names of the columns of a file that may have no rows; () without a header, None where that is no question."""
    if path is None or options.format not in (Format.CSV, Format.TSV):
        return None
    from wardship.connectors.file.formats import delimited

    return delimited.names(path, options)
