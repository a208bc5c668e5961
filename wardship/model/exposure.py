"""A secret seen where it should not be, and who depends on a credential: what joins code and CI to the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.errors import DataError
from wardship.model.identity import check_aware, check_key, uid_of


class Place(StrEnum):
    """Where a secret was seen; `CONSUMER_PLACES` are those that something runs with."""

    DOTENV = "dotenv"
    CONTAINER = "container"  # compose, Kubernetes manifests, Dockerfile
    CI_FILE = "ci_file"  # GitHub Actions, GitLab CI, Jenkins
    CI_VARIABLE = "ci_variable"  # a readable variable of a CI system
    CI_LOG = "ci_log"
    CONFIG = "config"  # other configuration: YAML, TOML, properties, Terraform
    KEYSTORE = "keystore"  # PEM, PKCS#12, JKS
    CODE = "code"
    NOTES = "notes"  # documentation, notebooks, shell history
    CHAT = "chat"
    TICKET = "ticket"
    WIKI = "wiki"
    FILE = "file"  # any other file


CONSUMER_PLACES = (Place.DOTENV, Place.CONTAINER, Place.CI_FILE, Place.CI_VARIABLE, Place.CONFIG, Place.KEYSTORE)
"""Places that something runs with: while a secret stands there, its consumers have not moved."""


class DetectorTier(StrEnum):
    """PROVIDER: the format itself says what it is. GENERIC: judged from name, value and place."""

    PROVIDER = "provider"
    GENERIC = "generic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One secret in one place of one system. Never its value.

    `authority` is the system that holds the place ("git:github.com/acme/shop", "slack-export:acme"), `location` the
    place in it as people know it: a path, a channel, a ticket. One secret in many lines or revisions of one location
    is one exposure. `fingerprint` is keyed per workspace; None where the value is too short to say anything.
    """

    authority: str
    location: str
    detector: str  # "aws.access_key", "generic.password": an id of `wardship.secrets`
    tier: DetectorTier
    confidence: float  # calibrated: the share of such findings that are secrets, 0..1
    place: Place
    fingerprint: str | None
    credential_type: CredentialType = CredentialType.UNKNOWN
    public_id: str | None = None  # the part that is no secret: AKIA..., "SHA256:..." of a key pair, a thumbprint
    line: int | None = None  # 1-based, in the newest revision that holds it
    revision: str | None = None  # that revision: a commit, a message id
    occurrences: int = 1  # lines and revisions of this location that hold it
    in_head: bool | None = None  # still in the newest state of the place; None: the place has no history
    public: bool | None = None  # everybody can read the place; None: not known
    environment: str | None = None  # of the place, normalised (`wardship.sdk.environment`)
    name: str | None = None  # the variable or key that holds it
    introduced_by: str | None = None  # who put it there: an e-mail address, as the place says
    introduced_at: datetime | None = None
    removed_at: datetime | None = None  # when the newest state lost it
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.authority, self.location)
        check_aware(introduced_at=self.introduced_at, removed_at=self.removed_at)
        if not 0.0 <= self.confidence <= 1.0:
            raise DataError(f"confidence {self.confidence} is not within 0..1")

    @property
    def uid(self) -> str:
        return uid_of("exposure", self.authority, f"{self.location}\0{self.detector}\0{self.fingerprint or self.line}")


class DependencyConfidence(StrEnum):
    CONFIRMED = "confirmed"  # the consumer names it by its exact id, or a log shows the use
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A consumer of an identity or a credential: a workflow, a workload, a host, a person.

    `target` is (family, authority, native id) with family "identity" or "credential"; for an identity any alias of it
    will do. `authority` is the system that knows of the consumer.
    """

    authority: str
    consumer: str  # as people know it: "acme/shop .github/workflows/deploy.yml"
    consumer_kind: str  # "workflow", "workload", "repository", "host", "application", "person"
    target: tuple[str, str, str]
    source: str  # how it is known: "github.workflow", "kubernetes.env"
    confidence: DependencyConfidence = DependencyConfidence.CONFIRMED
    environment: str | None = None
    evidence: str | None = None  # where it was read, in words: "line 14"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.authority, self.consumer)
        check_key(self.target[1], self.target[2])
        if self.target[0] not in ("identity", "credential"):
            raise DataError(f"dependency on a {self.target[0]!r}: neither identity nor credential")

    @property
    def uid(self) -> str:
        return uid_of("dependency", self.authority, "\0".join((self.consumer, *self.target, self.source)))
