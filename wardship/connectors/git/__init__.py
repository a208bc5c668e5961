"""Git: secrets in the newest state and the whole history of local and remote repositories (ADR 0022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardship.connectors.git.manifest import MANIFEST
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection

if TYPE_CHECKING:  # each process that searches files imports this package: the reader would double its start
    from wardship.connectors.git.reader import GitConnector

__all__ = ["MANIFEST", "connect", "import_files", "read_value"]


def connect(connection: Connection) -> GitConnector:
    """A reader of the connection's repositories. Raises ConfigError; nothing is fetched yet."""
    from wardship.connectors.git.reader import GitConnector

    return GitConnector(connection)


def import_files(paths: Sequence[Path], connection: Connection) -> GitConnector:
    """Git bundles and folders that hold repositories, read once. Raises ConfigError for what is neither."""
    from wardship.connectors.git.reader import GitConnector

    return GitConnector(connection, paths=paths)


def read_value(connection: Connection, exposure: Mapping[str, Any]) -> Secret | None:
    """The value at the place of an exposure (its columns), read from the mirror; None: it is not there."""
    from wardship.connectors.git import reader

    return reader.read_value(connection, exposure)
