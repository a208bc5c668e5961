"""Microsoft Entra ID and Microsoft 365: applications, service principals, consents, credentials, owners, use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wardship.connectors.entra.actor import EntraActor
from wardship.connectors.entra.manifest import MANIFEST
from wardship.connectors.entra.offline import GraphFiles
from wardship.connectors.entra.reader import EntraConnector
from wardship.connectors.entra.session import Session
from wardship.sdk.connector import CallStats, Connection

__all__ = ["MANIFEST", "act", "connect", "import_files", "session"]


def connect(connection: Connection) -> EntraConnector:
    """A reader of the connection's tenant. Raises ConfigError; nothing is asked of the network yet."""
    return EntraConnector(connection)


def act(connection: Connection) -> EntraActor:
    """An actor on client secrets of the tenant's applications. Raises ConfigError."""
    return EntraActor(connection)


def import_files(paths: Sequence[Path], connection: Connection) -> GraphFiles:
    """Saved answers of Microsoft Graph. Raises ConfigError for a file that cannot be read."""
    return GraphFiles(paths, connection)


def session(connection: Connection, stats: CallStats) -> Session:
    """The clients of the connection's tenant, for the sources that read its logs. Raises ConfigError."""
    return Session(connection, stats)
