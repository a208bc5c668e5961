"""HashiCorp Vault and OpenBao: who may open it, with what, until when, and what lies in it (no values)."""

from __future__ import annotations

from wardship.connectors.vault.manifest import MANIFEST
from wardship.connectors.vault.reader import VaultConnector
from wardship.connectors.vault.session import token_works
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection

__all__ = ["ACTIVE_CALL", "MANIFEST", "connect", "still_active"]

ACTIVE_CALL = "auth/token/lookup-self"


def connect(connection: Connection) -> VaultConnector:
    """A reader of the connection's server. Raises ConfigError; nothing is asked of the network yet."""
    return VaultConnector(connection)


def still_active(connection: Connection, detector: str, value: Secret, public_id: str | None) -> bool | None:
    """Whether a found token opens this very server, by one look-up of itself; None: no Vault token, or no answer.

    A token does not say which server made it: False means that this one does not take it.
    """
    del public_id
    return token_works(connection, value) if "vault" in detector.lower() else None
