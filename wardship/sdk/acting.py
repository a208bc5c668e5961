"""What actors and the saga share: the customer's secret store, and the mark that proves who made a credential.

A value travels from a system (or from us, where we choose it) into the customer's store and nowhere else. In the
store one place holds it under labels: CURRENT is what consumers fetch, PENDING waits for the end of a rotation,
PREVIOUS is what CURRENT was. Our own database sees ids only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from wardship.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """One value of the store. `op_id` None: no rotation of ours put it there."""

    credential_id: str
    value: Secret
    op_id: str | None = None


class SecretStore(Protocol):
    """One place of the customer's secret store. Every call may be repeated and then changes nothing more."""

    def put_pending(self, op_id: str, value: Secret, credential_id: str) -> None:
        """Keeps the value as PENDING of this operation, in place of an earlier one of the same operation."""

    def pending(self, op_id: str) -> StoredValue | None:
        """What is PENDING of this operation."""

    def promote(self, op_id: str) -> None:
        """PENDING of this operation becomes CURRENT and CURRENT becomes PREVIOUS, in one atomic move.

        Raises StateError when the operation has nothing PENDING and is not CURRENT already.
        """

    def revert(self, op_id: str) -> None:
        """The way back in one atomic move: PREVIOUS becomes CURRENT, this operation's value PENDING again."""

    def current(self) -> StoredValue | None:
        """What consumers fetch now; None: the place is empty."""

    def drop_pending(self, op_id: str) -> None:
        """Forgets what is PENDING of this operation."""


def mark_of(op_id: str) -> str:
    """The name by which a system's own records show that operation `op_id` did something."""
    return f"wardship-{op_id}"
