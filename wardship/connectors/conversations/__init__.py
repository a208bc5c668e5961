"""Chat, ticket and wiki exports (Slack, Jira, Confluence), scanned for secrets that people wrote to each other.

`archive` opens a folder or a ZIP without trusting it, `markup` turns XML and HTML into text; `slack`, `jira` and
`confluence` tell the messages of one export each; `reader` scans them and groups what it finds by place (ADR 0024).
No text of a message leaves this package: what is found becomes a keyed fingerprint before an item exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardship.connectors.conversations.manifest import MANIFEST

if TYPE_CHECKING:
    from wardship.connectors.conversations.reader import ConversationReader
    from wardship.model.secret import Secret
    from wardship.sdk.connector import Connection

__all__ = ["MANIFEST", "connect", "import_files", "read_value"]


def connect(connection: Connection) -> ConversationReader:
    """Reads the export at the connection's `path`. Raises ConfigError for settings that cannot be used."""
    from wardship.connectors.conversations import reader

    return reader.connected(connection)


def import_files(paths: Sequence[Path], connection: Connection) -> ConversationReader:
    """Reads exports once. Raises ConfigError for one that is not known. []: only to parse."""
    from wardship.connectors.conversations import reader

    return reader.imported(paths, connection)


def read_value(connection: Connection, exposure: Mapping[str, Any]) -> Secret | None:
    """The value at the place of an exposure; None when the export no longer holds it."""
    from wardship.connectors.conversations import reader

    return reader.read_value(connection, exposure)
