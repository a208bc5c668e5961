"""Systems and the identities, people and suppliers that live in or around them.

Identity of a thing is (authority, native id): the authority is the system that issued the id
(`aws:123456789012`, `entra:<tenant id>`), the native id is the vendor's own. `uid_of` turns the pair
into the short, stable id used everywhere else; it is a pure function, so two databases agree.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from wardship.model.errors import DataError

MAX_ID_CHARS = 2048
MAX_TEXT_CHARS = 4096


class IdentityKind(StrEnum):
    """What an identity is. `UNKNOWN` keeps the vendor's own word in `subtype`."""

    DIRECTORY_ACCOUNT = "directory_account"
    MANAGED_SERVICE_ACCOUNT = "managed_service_account"
    OAUTH_APP = "oauth_app"
    API_CLIENT = "api_client"
    ACCESS_KEY_HOLDER = "access_key_holder"
    PERSONAL_ACCESS_TOKEN = "personal_access_token"  # noqa: S105 - a kind, not a token
    DEPLOY_KEY = "deploy_key"
    WORKLOAD_ROLE = "workload_role"
    MANAGED_IDENTITY = "managed_identity"
    KUBERNETES_SERVICE_ACCOUNT = "kubernetes_service_account"
    CI_PIPELINE = "ci_pipeline"
    ROBOT = "robot"
    DATABASE_ACCOUNT = "database_account"
    SECRETS_MANAGER_CLIENT = "secrets_manager_client"
    SUPPLIER_ACCOUNT = "supplier_account"
    DEVICE = "device"
    AI_AGENT = "ai_agent"
    UNKNOWN = "unknown"


class Standing(StrEnum):
    """Whose identity it is: ours to govern, run by the provider, or another organisation's."""

    OWN = "own"
    PROVIDER_MANAGED = "provider_managed"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class Presence(StrEnum):
    """Whether it is still there. Only a completely read scope may move it away from PRESENT."""

    PRESENT = "present"
    UNCONFIRMED = "unconfirmed"
    GONE = "gone"


@lru_cache(maxsize=4_096)  # a scan asks for the holder of every credential, grant and owner again
def uid_of(family: str, authority: str, native_id: str) -> str:
    """The stable id of (family, authority, native id): a prefix and 100 bits of SHA-256, in base32.

    Families and prefixes: identity `id_`, credential `cr_`, grant `gr_`, owner `ow_`, person `pe_`,
    supplier `su_`, finding `fi_`, exposure `ex_`, dependency `de_`, secret `se_`, signal `si_`, alert `al_`.
    """
    digest = hashlib.sha256(f"{family}\0{authority}\0{native_id}".encode("utf-8", "surrogatepass")).digest()
    return f"{family[:2]}_{base64.b32encode(digest[:15]).decode()[:20].lower()}"


def check_key(authority: str, native_id: str) -> None:
    """Raises DataError when the pair cannot identify anything."""
    if not authority or not native_id:
        raise DataError("a record without an authority or a native id cannot be identified")
    if len(native_id) > MAX_ID_CHARS:
        raise DataError(f"native id of {len(native_id)} characters (limit {MAX_ID_CHARS})")


def check_aware(**instants: datetime | None) -> None:
    """Raises DataError for an instant without a time zone: it could mean any of 38 hours."""
    for name, value in instants.items():
        if value is not None and value.tzinfo is None:
            raise DataError(f"{name} has no time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One instance that holds identities: an AWS account, an Entra tenant, a Vault, a repository."""

    authority: str  # "aws:123456789012"
    kind: str  # "aws_account", "entra_tenant"
    name: str | None = None
    environment: str | None = None  # "production", "test", ... as declared; None = not known
    parent: str | None = None  # authority of the system above: the organisation, the directory
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.authority, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One non-human identity as one system knows it.

    `aliases` are exact ids under which the same thing is known elsewhere, as (authority, native id):
    two rows that share an alias, or of which one names the other, are one identity. `rank` chooses the
    row that represents the merged identity: lowest wins (an Entra service principal 0, its
    application 1).
    """

    authority: str
    native_id: str
    kind: IdentityKind
    subtype: str | None = None  # the vendor's own word: "servicePrincipal/Application", "role"
    name: str | None = None
    standing: Standing = Standing.UNKNOWN
    enabled: bool | None = None  # None: the system does not say
    created_at: datetime | None = None
    environment: str | None = None
    purpose: str | None = None
    business_process: str | None = None
    criticality: str | None = None  # declared (tag): "critical", "high", "medium", "low"; None = not declared
    supplier: str | None = None  # what the system says of the external party: tenant id, domain, account id
    aliases: tuple[tuple[str, str], ...] = ()
    rank: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)  # small facts of the vendor's; never secrets

    def __post_init__(self) -> None:
        check_key(self.authority, self.native_id)
        check_aware(created_at=self.created_at)

    @property
    def uid(self) -> str:
        return uid_of("identity", self.authority, self.native_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A human or a team of the directory: whom an owner hint must resolve to."""

    authority: str
    native_id: str
    name: str | None = None
    email: str | None = None
    kind: str = "person"  # "person" or "team"
    active: bool | None = None  # False: left or disabled. None: the directory does not say
    aliases: tuple[tuple[str, str], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.authority, self.native_id)

    @property
    def uid(self) -> str:
        return uid_of("person", self.authority, self.native_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """An external party. `matches` are exact ids by which its identities are recognised.

    A match is an Entra tenant id, an AWS account id or a DNS domain, in lower case.
    """

    authority: str
    native_id: str
    name: str
    matches: tuple[str, ...] = ()
    sponsor: str | None = None  # internal sponsor: an e-mail address
    contract_end_on: date | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.authority, self.native_id)

    @property
    def uid(self) -> str:
        return uid_of("supplier", self.authority, self.native_id)
