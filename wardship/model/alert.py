"""Signals and alerts: what a detection saw of one actor, and what several of them together say of one identity.

A *hit* is one row of a detection's answer. Hits that are the same (detection, actor, fold) and no further apart than
DAY are one *signal*. Signals of one identity make an *alert* when their score reaches the policy's lowest step
(`wardship.analysis.detect`). What people expect is a signal still, but never part of an alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from wardship.model.finding import Severity
from wardship.model.identity import uid_of

DAY = timedelta(hours=24)
"""Signals within it are judged together; equal hits no further apart are one signal."""
QUIET = timedelta(days=7)
"""So long an open alert takes what follows its last event; afterwards the same would be news again."""
MAX_REFERENCES = 20
"""So many places of raw records are kept with a signal."""


class AlertState(StrEnum):
    OPEN = "open"
    EXPECTED = "expected"  # somebody said so, until a date
    CLOSED = "closed"  # somebody has looked into it


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One row of a detection's answer. `chance` is its weight, 0 to 1, after `reasons` have lowered it.

    `reasons` are codes: `provisioner:<tool>`, `change_window:<reason>`, `young_baseline:<days>`.
    """

    detection: str
    version: str  # digest of the detection
    aspect: str
    authority: str
    actor_id: str
    actor_name: str | None = None
    identity_uid: str | None = None
    credential_id: str | None = None
    fold: str
    first_at: datetime
    last_at: datetime
    events: int
    severity: Severity
    confidence: str
    chance: float
    reasons: Sequence[str] = ()
    evidence: Sequence[str] = ()  # input#position of raw records
    facts: Mapping[str, Any] = field(default_factory=dict)
    expected_by: str | None = None  # the expectation that covers it

    @property
    def subject(self) -> str:
        """Whose it is: the identity's uid, else authority and actor id."""
        return self.identity_uid or f"{self.authority} {self.actor_id}"

    @property
    def key(self) -> tuple[str, str, str, str, str | None]:
        """Equal for hits that are the same."""
        return self.detection, self.authority, self.actor_id, self.fold, self.expected_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal(Hit):
    """Equal hits, folded: the first and last event, the sum of the events, the strongest weight."""

    uid: str
    hits: int = 1
    alert_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What signals together say. `counted` are those that did (of the day that says most), strongest first."""

    score: int  # 0 to 100
    severity: Severity | None  # None: below the lowest step, no alert
    counted: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Somebody's word that hits like these are expected until an instant. `fold` may hold * for any text."""

    uid: str
    detection: str
    subject: str
    fold: str
    until_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWindow:
    """A change that was announced. `scope`: an authority, an identity's uid, an actor's id, or * for all."""

    uid: str
    start_at: datetime
    end_at: datetime
    scope: str
    reason: str

    def covers(self, hit: Hit) -> bool:
        """Whether the hit lies in it, from its first event to its last."""
        inside = self.start_at <= hit.first_at and hit.last_at <= self.end_at
        scopes = ("*", hit.authority, hit.identity_uid, hit.actor_id)
        return inside and (self.scope in scopes or hit.authority.startswith(f"{self.scope}:"))


def signal_uid(hit: Hit) -> str:
    """The id of the signal that begins with `hit`."""
    return uid_of("signal", hit.authority, "\0".join((*map(str, hit.key), hit.first_at.isoformat(), *hit.evidence[:1])))


def alert_uid(subject: str, signal: str) -> str:
    """The id of the alert that begins with this signal."""
    return uid_of("alert", subject, signal)
