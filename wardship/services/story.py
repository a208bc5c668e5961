"""An explanation as a list of sections with their lines, in the language in force: a terminal, a page or an assistant
shows it in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardship.services.formats import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One heading and its lines. `id` is the same in every language."""

    id: str
    title: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A title, one line that sums it up, and the sections."""

    title: str
    summary: str
    sections: Sequence[Section]

    def rows(self) -> Iterator[Row]:
        """The story as rows, for the machine-readable formats."""
        for section in self.sections:
            for line in section.lines:
                yield {"section": section.id, "text": line}
