"""Does a found access key still work? One call of GetCallerIdentity, and only for accounts of this connection."""

from __future__ import annotations

import base64
import binascii

from wardship.connectors.aws.session import Api
from wardship.model.errors import AuthenticationFailed, MissingScope, NotVisible
from wardship.model.secret import Secret
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.i18n import _

_ACCOUNT_BITS = 40


def account_of(key_id: str) -> str | None:
    """The number of the account that an access key id holds: bits 7 to 46 of its first six bytes, in base32.

    None: no such id. Ids made before 2019 hold something else, so a number alone proves nothing.
    """
    try:
        packed = base64.b32decode(key_id[4:])
    except (binascii.Error, ValueError):
        return None
    if len(key_id) != 20 or len(packed) != 10:
        return None
    return f"{(int.from_bytes(packed[:6], 'big') >> 7) & ((1 << _ACCOUNT_BITS) - 1):012d}"


def still_active(connection: Connection, value: Secret, public_id: str | None) -> bool | None:
    """Whether AWS lets the key in. None: not a key with its id. Raises NotVisible for a key of a foreign account.

    The call needs no permission, changes nothing, and stands in the trail of the key's own account.
    """
    from wardship.connectors.aws.read import AwsConnector

    account = account_of(public_id or "")
    if public_id is None or account is None:
        return None
    if account not in {scope.authority.removeprefix("aws:") for scope in AwsConnector(connection).scopes()}:
        raise NotVisible(
            _("the key belongs to account %(account)s, which this connection does not read") % {"account": account},
            system="aws",
            operation="sts.GetCallerIdentity",
            advice=_("other people's systems are not asked"),
        )
    try:
        Api(connection, CallStats()).with_key(public_id, value).call("sts", "GetCallerIdentity")
    except AuthenticationFailed:
        return False
    except MissingScope:
        return True  # known, and denied by a policy: it works
    return True
