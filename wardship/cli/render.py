"""Rows and progress as a terminal shows them. Every text of a provider passes `visible` on its way here."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from wardship.sdk import i18n
from wardship.sdk.display import visible
from wardship.sdk.i18n import _
from wardship.sdk.words import word

if TYPE_CHECKING:
    from wardship.services.explain import Story
    from wardship.services.formats import Column, Listing

_MIN_COLUMN = 6
_WHOLE = "uid"  # of the column whose cells are never cut
_PIPE_WIDTH = 200  # of a table that nobody looks at on a terminal: wide, so that little is cut


def screen_width() -> int:
    """Columns of the terminal; generous where the output is no terminal."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return _PIPE_WIDTH


def cells(text: str) -> int:
    """How many terminal cells `text` takes: East Asian wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def shown(value: Any, column: Column | None = None) -> str:
    """One value in words: unknown is said, never left to look like none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return i18n.format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (int, float)):
        return i18n.format_number(value)
    if isinstance(value, str):
        return visible(word(column.name, value) if column else value)
    return visible(str(value))


def table(listing: Listing, *, width: int) -> tuple[str, int]:
    """The listing as an aligned table no wider than `width`, and how many rows it has.

    Too wide columns are cut with "…", the widest first; the first column keeps what it needs longest. An id is never
    cut, since the next command needs it: a terminal that is too narrow for the rest breaks the lines instead.
    """
    columns = [column for column in listing.columns if column.screen]
    head = [_(column.label) for column in columns]
    body = [[shown(row.get(column.name), column) for column in columns] for row in listing.rows]
    widths = [max([cells(head[i]), *(cells(line[i]) for line in body)]) for i in range(len(columns))]
    room = width - 2 * (len(columns) - 1)
    elastic = [i for i, column in enumerate(columns) if column.name != _WHOLE]
    while elastic and sum(widths) > room:
        place = max(elastic, key=lambda i: widths[i] - (4 if i == 0 else 0))
        if widths[place] <= _MIN_COLUMN:
            break
        widths[place] -= 1
    right = [column.type in ("integer", "number") for column in columns]
    lines = [_line(head, widths, right), "  ".join("─" * size for size in widths)]
    lines += [_line(row, widths, right) for row in body]
    return "\n".join(lines), len(body)


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for text, width, to_right in zip(texts, widths, right, strict=True):
        fitted = text
        while cells(fitted) > width:
            fitted = fitted[:-2] + "…" if len(fitted) > 1 else ""
        gap = " " * (width - cells(fitted))
        padded.append(gap + fitted if to_right else fitted + gap)
    return "  ".join(padded).rstrip()


def story(told: Story) -> str:
    """An explanation: headings, and lines broken at the width of the terminal but never inside a command."""
    width = min(screen_width(), 100)
    title = visible(told.title)
    parts = [title, "═" * min(cells(title), width), visible(told.summary)]
    for section in told.sections:
        parts += ["", _heading(section.title)]
        for line in section.lines:
            text = visible(line)
            if text.startswith("   "):  # a command of a step: it must stay as it can be copied
                parts.append("  " + text)
            else:
                hang = "     " if text[:1].isdigit() else "    "
                parts += textwrap.wrap(
                    text,
                    width,
                    initial_indent="  ",
                    subsequent_indent=hang,
                    break_long_words=False,
                    break_on_hyphens=False,
                ) or [""]
    return "\n".join(parts)


def _heading(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


class Progress:
    """One line on standard error that tells what is being read; nothing where nobody looks.

    It is shown only on a terminal, and redrawn at most ten times a second.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._on = not quiet and sys.stderr.isatty()
        self._begun = self._drawn = time.monotonic()
        self._text = ""

    def __call__(self, message: str) -> None:
        now = time.monotonic()
        if not self._on or (now - self._drawn < 0.1 and self._text):
            return
        self._drawn = now
        width = shutil.get_terminal_size().columns
        text = visible(f"{now - self._begun:6.0f} s  {message}", width - 1)
        sys.stderr.write("\r" + text + " " * max(0, len(self._text) - len(text)))
        sys.stderr.flush()
        self._text = text

    def clear(self) -> None:
        """Takes the line away, so that a result can stand in its place."""
        if self._text:
            sys.stderr.write("\r" + " " * len(self._text) + "\r")
            sys.stderr.flush()
            self._text = ""
