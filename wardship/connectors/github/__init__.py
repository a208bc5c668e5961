"""GitHub: Apps, personal access tokens, deploy keys, webhooks, runners, CI secrets and who uses them."""

from __future__ import annotations

from wardship.connectors.github.manifest import MANIFEST
from wardship.connectors.github.reader import GitHubConnector
from wardship.sdk.connector import Connection

__all__ = ["MANIFEST", "connect"]


def connect(connection: Connection) -> GitHubConnector:
    """A reader of the connection's organisation. Raises ConfigError; nothing is asked of the network yet."""
    return GitHubConnector(connection)
