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
    from wardship.connectors.file.reader import FileReader
    from wardship.sdk.connector import Connection

__all__ = ["MANIFEST", "connect", "import_files"]


def connect(connection: Connection) -> FileReader:
    """Reads the files of a connection's `path`. Raises ConfigError for settings that cannot be used."""
    from wardship.connectors.file.reader import connected

    return connected(connection)


def import_files(paths: Sequence[Path], connection: Connection) -> FileReader:
    """Reads files once. Raises ConfigError for a file that is neither mapped nor recognised. []: only to parse."""
    from wardship.connectors.file.reader import imported

    return imported(paths, connection)
