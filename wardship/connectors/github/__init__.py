"""GitHub: Apps, personal access tokens, deploy keys, webhooks, runners, CI secrets and who uses them."""

from __future__ import annotations

from wardship.connectors.github.manifest import MANIFEST
from wardship.connectors.github.reader import GitHubConnector
from wardship.connectors.github.session import Session
from wardship.sdk.connector import CallStats, Connection

__all__ = ["MANIFEST", "connect", "session"]


def connect(connection: Connection) -> GitHubConnector:
    """A reader of the connection's organisation. Raises ConfigError; nothing is asked of the network yet."""
    return GitHubConnector(connection)


def session(connection: Connection, stats: CallStats) -> Session:
    """The clients of the connection, for a source that reads this organisation's logs. Raises ConfigError."""
    return Session(connection, stats)
