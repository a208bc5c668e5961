"""Who may answer for an identity. A hint is a signal, not an owner: it must resolve to a living person or team."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from wardship.model.errors import DataError
from wardship.model.identity import check_aware, check_key, uid_of


class OwnerRole(StrEnum):
    TECHNICAL = "technical"
    BUSINESS = "business"


class OwnerState(StrEnum):
    """SUGGESTED: a hint. ATTESTED: the person said so. LAPSED: it expired. REJECTED: not mine."""

    SUGGESTED = "suggested"
    ATTESTED = "attested"
    LAPSED = "lapsed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A claim that somebody owns an identity, with its evidence.

    From a connector it is a hint: `claim` is what the system says (an e-mail address, a team name, a
    directory id), `person` its exact id when the system gives one. Whether the claim names a living person or team is
    found out against the people known to the workspace, never assumed.
    """

    authority: str
    identity: tuple[str, str]
    claim: str
    source: str  # "entra.owners", "aws.tag:owner"
    role: OwnerRole = OwnerRole.TECHNICAL
    person: tuple[str, str] | None = None
    state: OwnerState = OwnerState.SUGGESTED
    confidence: float = 0.5  # 0..1, of the signal as such
    evidence: str | None = None  # where it was read, in words
    attested_at: datetime | None = None
    expires_on: date | None = None

    def __post_init__(self) -> None:
        check_key(*self.identity)
        if not self.claim:
            raise DataError("an owner claim without a name")
        if not 0.0 <= self.confidence <= 1.0:
            raise DataError(f"confidence {self.confidence} is not within 0..1")
        check_aware(attested_at=self.attested_at)

    @property
    def uid(self) -> str:
        return uid_of("owner", self.authority, "\0".join((*self.identity, self.role, self.source, self.claim)))
