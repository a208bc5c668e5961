"""What was read, what was refused, and what that allows us to say.

A `Scope` is the unit of completeness (docs/trust.md): one connector, one authority, one region, one
kind of thing. Only a scope that was read COMPLETEly may move what it holds away from `present`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from wardship.model.errors import ConnectorError, MissingScope


class ScopeStatus(StrEnum):
    """RUNNING while it is read; then COMPLETE (everything), PARTIAL (something, honestly not all),
    FAILED (nothing usable), SKIPPED (not readable: permission, licence, feature)."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one piece of reading covers. `key` is its name in the database."""

    connector: str  # "aws"
    authority: str  # "aws:123456789012"
    kind: str  # "iam.user"
    region: str = ""  # "" where the system has no regions

    @property
    def key(self) -> str:
        return f"{self.connector}|{self.authority}|{self.region}|{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPage:
    """One page as the system gave it, before anything was understood.

    `items` are the vendor's objects, each handed to the connector's `parse` alone, so that one unreadable object
    costs one quarantined row. `next_token` continues after this page and is stored as the checkpoint; None means
    that this was the last page. `expected_total` is the provider's own count of the whole scope, where it gives one.
    `problems` are part of the page that could not be read without losing the rest (each makes the scope PARTIAL).
    """

    items: Sequence[Any]
    next_token: str | None = None
    expected_total: int | None = None
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that could not be read, in the words of Coverage."""

    reason: str  # "missing_permission", "not_visible", "throttled", "deadline", "budget", "unavailable", ...
    detail: str  # one sentence; ids only, never a raw answer
    permission: str | None = None  # the vendor's name of what is missing
    subject: str | None = None  # native id of the object concerned, None = the whole scope

    @classmethod
    def of(cls, refused: ConnectorError, subject: str | None = None, *, needs: str | None = None) -> Self:
        """What a refusal means. `needs`: the permission to name where a system hides what it refuses."""
        missing = isinstance(refused, MissingScope)
        return cls(
            reason="missing_permission" if missing else "not_visible",
            detail=refused.message,
            permission=refused.scope if isinstance(refused, MissingScope) else needs,
            subject=subject,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The record of one scope in one scan."""

    scope: Scope
    status: ScopeStatus
    pages: int = 0
    items: int = 0
    quarantined: int = 0
    expected_total: int | None = None
    api_calls: int = 0
    throttles: int = 0
    problems: Sequence[Problem] = field(default_factory=tuple)
