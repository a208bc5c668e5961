"""A finding: a rule that fired on a subject, with the facts it used. Its id never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from wardship.model.identity import uid_of


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def order(self) -> int:
        """0 for critical, 4 for info: sorts worst first."""
        return list(Severity).index(self)


class Confidence(StrEnum):
    """CONFIRMED: the facts prove it. LIKELY: inferred. TENTATIVE: an essential fact is missing."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"
    TENTATIVE = "tentative"


class FindingState(StrEnum):
    OPEN = "open"
    REOPENED = "reopened"  # it was closed, and is true again
    CLOSED = "closed"  # no longer true in the facts
    ACCEPTED = "accepted"  # a risk acceptance with an end date covers it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`facts` are the columns the rule selected: what makes it true, each from the snapshot `snapshot_id`."""

    rule: str
    rule_version: str
    subject_uid: str
    subject_family: str  # "identity", "credential", "grant", "system", "exposure", "secret"
    identity_uid: str | None
    severity: Severity
    confidence: Confidence
    state: FindingState
    facts: Mapping[str, Any] = field(default_factory=dict)
    snapshot_id: str = ""
    first_seen_at: datetime
    last_seen_at: datetime
    due_on: date | None = None

    @property
    def uid(self) -> str:
        return finding_uid(self.rule, self.subject_uid)


def finding_uid(rule: str, subject_uid: str) -> str:
    """The stable id: the same rule on the same subject is the same finding, in every run and database."""
    return uid_of("finding", rule, subject_uid)
