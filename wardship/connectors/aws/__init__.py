"""Amazon Web Services: who and what may act in an account, read through botocore, and access keys changed.

`manifest` says what is needed and what AWS cannot tell; `read` asks, `iam`, `report` and `services` make records of
the answers; `policy` judges what a statement can do; `files` reads exports; `keys` is the acting protocol;
`active` tries a key that was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wardship.connectors.aws.manifest import MANIFEST

if TYPE_CHECKING:
    from wardship.connectors.aws.session import Api
    from wardship.model.secret import Secret
    from wardship.sdk.connector import Actor, CallStats, Connection, Connector, FileImport

__all__ = ["ACTIVE_CALL", "MANIFEST", "act", "calls", "connect", "import_files", "still_active"]

ACTIVE_CALL = "sts:GetCallerIdentity"


def connect(connection: Connection) -> Connector:
    """Reads the accounts of a connection. Raises ConfigError for settings that cannot be used."""
    from wardship.connectors.aws.read import AwsConnector

    return AwsConnector(connection)


def calls(connection: Connection, stats: CallStats) -> Api:
    """The connection's own calls, as its `role_arn` where that is set: for the sources that read AWS's logs."""
    from wardship.connectors.aws.manifest import settings_of
    from wardship.connectors.aws.session import signed_in

    return signed_in(connection, settings_of(connection).role_arn, stats)


def act(connection: Connection) -> Actor:
    """Changes the access keys of IAM users."""
    from wardship.connectors.aws.keys import AccessKeyActor

    return AccessKeyActor(connection)


def still_active(connection: Connection, _detector: str, value: Secret, public_id: str | None) -> bool | None:
    """Whether a found access key still works, asked by one call; only for accounts of this connection."""
    from wardship.connectors.aws import active

    return active.still_active(connection, value, public_id)


def import_files(paths: Sequence[Path], connection: Connection) -> FileImport:
    """Reads exports: account authorization details (JSON) and credential reports (CSV). Raises DataError."""
    from wardship.connectors.aws.files import AwsFiles

    return AwsFiles(paths, connection)
