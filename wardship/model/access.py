"""What an identity holds and may do: credentials, grants, and what is known of their use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from wardship.model.errors import DataError
from wardship.model.identity import check_aware, check_key, uid_of


class CredentialType(StrEnum):
    """What a credential is. `UNKNOWN` keeps the vendor's word in `attributes["raw_type"]`."""

    ACCESS_KEY = "access_key"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - a type, not a secret
    CERTIFICATE = "certificate"
    FEDERATION = "federation"  # a trust: somebody else's token is accepted
    CONSOLE_PASSWORD = "console_password"  # noqa: S105 - a type
    PASSWORD = "password"  # noqa: S105 - a type
    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105 - a type
    SSH_KEY = "ssh_key"
    STORED_SECRET = "stored_secret"  # noqa: S105 - an entry of a secrets manager: metadata only
    CI_SECRET = "ci_secret"  # noqa: S105 - an entry of a CI system's secrets: metadata only
    SIGNING_SECRET = "signing_secret"  # noqa: S105 - shared with a webhook's receiver
    IDENTITY_PROVIDER = "identity_provider"  # an OIDC or SAML provider that a system trusts
    UNKNOWN = "unknown"


class Tier(StrEnum):
    """How much a grant can do, worst first."""

    CONTROL_PLANE = "control_plane"  # can change who may do what, or become somebody else
    WRITE = "write"
    SENSITIVE_READ = "sensitive_read"
    READ = "read"
    UNKNOWN = "unknown"


class UseState(StrEnum):
    """What is known of use. UNKNOWN is not NEVER: nobody looked, or nobody can tell."""

    USED = "used"
    NEVER = "never"  # the source says: not once since it began to count
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key, token, secret, certificate, password or trust. Never its value.

    `identity` is (authority, native id) of the holder; None for what no identity holds by itself
    (an entry of a secrets manager, a trusted identity provider).
    """

    authority: str
    native_id: str
    type: CredentialType
    identity: tuple[str, str] | None = None
    name: str | None = None
    public_id: str | None = None  # the part that is no secret: AKIA..., keyId
    fingerprint: str | None = None  # keyed, per workspace; or the certificate's own thumbprint
    enabled: bool | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    no_expiry: bool | None = None  # True: the system says that it never expires; None: not known
    last_rotated_at: datetime | None = None
    next_rotation_at: datetime | None = None
    stored_in: str | None = None
    revocation: str | None = None  # how it is revoked, in the vendor's words
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.authority, self.native_id)
        if self.identity is not None:
            check_key(*self.identity)
        check_aware(
            created_at=self.created_at,
            expires_at=self.expires_at,
            last_rotated_at=self.last_rotated_at,
            next_rotation_at=self.next_rotation_at,
        )

    @property
    def uid(self) -> str:
        return uid_of("credential", self.authority, self.native_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """identity x permission x resource: what one identity was given.

    `permission` is the vendor's own expression ("Mail.Read", "s3:GetObject,s3:PutObject",
    "NotAction iam:*"). `tenant_wide` True: it reaches every person's or every resource's data of the
    system. A grant has no id of its own at most vendors: its key is what it says.
    """

    authority: str
    identity: tuple[str, str]
    permission: str
    resource: str | None = None  # None: the system does not narrow it
    effect: str = "allow"  # "allow" or "deny"
    condition: str | None = None  # canonical JSON text of the vendor's condition
    via: str | None = None  # the policy, role or group that gives it; None: given directly
    tier: Tier = Tier.UNKNOWN
    tenant_wide: bool | None = None
    granted_by: str | None = None  # what the system calls whoever gave it
    granted_by_id: str | None = None  # the native id of that person
    granted_at: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(*self.identity)
        check_key(self.authority, "grant")
        if not self.permission:
            raise DataError("a grant without a permission")
        if self.effect not in ("allow", "deny"):
            raise DataError(f"effect {self.effect!r}: neither allow nor deny")
        check_aware(granted_at=self.granted_at)

    @property
    def uid(self) -> str:
        key = "\0".join(
            (
                *self.identity,
                self.permission,
                self.resource or "",
                self.effect,
                self.condition or "",
                self.via or "",
            )
        )
        return uid_of("grant", self.authority, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one source says about the use of one identity or credential.

    `subject` is (family, authority, native id) with family "identity" or "credential". `since` is the
    start of what the source can see (tracking period), None when it does not say. Volatile: it is kept as
    the newest answer a source gave, not as versions (snapshots keep the history).
    """

    subject: tuple[str, str, str]
    source: str  # "aws.credential_report", "graph.servicePrincipalSignInActivities"
    state: UseState
    last_used_at: datetime | None = None
    since: datetime | None = None
    detail: str | None = None  # "s3, eu-west-1"

    def __post_init__(self) -> None:
        check_key(self.subject[1], self.subject[2])
        if self.subject[0] not in ("identity", "credential"):
            raise DataError(f"usage of a {self.subject[0]!r}: neither identity nor credential")
        if (self.state is UseState.USED) != (self.last_used_at is not None):
            raise DataError("used needs the instant of last use, and only used has one")
        check_aware(last_used_at=self.last_used_at, since=self.since)

    @property
    def subject_uid(self) -> str:
        return uid_of(*self.subject)
