"""One message, comment or page as an export tells it, and what every export format gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from wardship.model.exposure import Place

MAX_TEXT_CHARS = 16 * 1024 * 1024
"""Of one message. Confluence's own limit of a page is far below, Slack's is 40,000 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`location` is the place as people know it; messages of one thread or versions of one page share it.

    `newest` False: this text was replaced or deleted since; None: the export does not tell.
    """

    location: str
    id: str
    text: str = field(repr=False)
    author: str | None = None  # an e-mail address, where the export has one
    author_id: str | None = None
    at: datetime | None = None
    written: str | None = None  # when, as the export says it, where that is no instant
    newest: bool | None = None
    gone_at: datetime | None = None
    public: bool | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """Part of an export that cannot be read; `reason` never quotes it."""

    where: str
    reason: str


class Export(Protocol):
    """One opened export."""

    kind: str  # of the system: "slack_workspace"
    area: str  # the kind of scope: "slack.messages"
    place: Place

    @property
    def authority(self) -> str:
        """ "slack:T0123ABCD" """

    @property
    def name(self) -> str | None:
        """What people call the workspace, site or space."""

    def parts(self) -> Sequence[str]:
        """What is read on its own, in a stable order: a channel, a file. A location is in one part only."""

    def messages(self, part: str) -> Iterator[Message | Unread]:
        """Streamed, oldest first. Raises NotVisible when the part cannot be opened."""

    def refused(self) -> Sequence[tuple[str, str]]:
        """(name, why) of files in the export that are not opened."""

    def stamp(self) -> str:
        """Changes when the files change."""
