"""Files: legacy systems, gateways, suppliers and other tools, read from what they export (ADR 0023).

`mapping` says in YAML what a file's columns mean, `values` reads cells by it and `records` makes records of them;
`formats` turns bytes into rows; `export` and `exports` read known exports of other tools without a mapping; `reader`
is the connector over both; `guide` proposes a mapping for a file that nobody described yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wardship.connectors.file.manifest import MANIFEST

if TYPE_CHECKING:
    from wardship.connectors.file.guide import Draft
    from wardship.connectors.file.mapping import FileMapping
    from wardship.connectors.file.reader import FileReader
    from wardship.sdk.connector import Connection

__all__ = ["MANIFEST", "connect", "import_files", "load_mapping", "look", "shipped_mappings"]


def connect(connection: Connection) -> FileReader:
    """Reads the files of a connection's `path`. Raises ConfigError for settings that cannot be used."""
    from wardship.connectors.file.reader import connected

    return connected(connection)


def import_files(paths: Sequence[Path], connection: Connection) -> FileReader:
    """Reads files once. Raises ConfigError for a file that is neither mapped nor recognised. []: only to parse."""
    from wardship.connectors.file.reader import imported

    return imported(paths, connection)


def look(path: Path) -> Draft:
    """What a file holds and the mapping that is proposed for it. Raises ConfigError, NotVisible."""
    from wardship.connectors.file import guide

    return guide.look(path)


def load_mapping(name: str) -> FileMapping:
    """The mapping in a file, or the shipped one of that name. Raises ConfigError with file, line and field."""
    from wardship.connectors.file import mapping

    return mapping.load_mapping(mapping.find_mapping(name))


def shipped_mappings() -> list[FileMapping]:
    """The ready-made mappings."""
    from wardship.connectors.file import mapping

    return [mapping.load_mapping(path) for path in mapping.shipped()]
