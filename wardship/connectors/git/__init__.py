"""Git: secrets in the newest state and the whole history of local and remote repositories (ADR 0022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wardship.connectors.git.manifest import MANIFEST
from wardship.connectors.git.reader import GitConnector, read_value
from wardship.sdk.connector import Connection

__all__ = ["MANIFEST", "connect", "import_files", "read_value"]


def connect(connection: Connection) -> GitConnector:
    """A reader of the connection's repositories. Raises ConfigError; nothing is fetched yet."""
    return GitConnector(connection)


def import_files(paths: Sequence[Path], connection: Connection) -> GitConnector:
    """Git bundles and folders that hold repositories, read once. Raises ConfigError for what is neither."""
    named = {**connection.settings, "repositories": "\n".join(str(path) for path in paths)}
    return GitConnector(replace(connection, settings=named))
