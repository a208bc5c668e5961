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
    from wardship.services.formats import Column, Listing
    from wardship.services.story import Story

_ENOUGH = 8, 11  # cells of a text: what says anything at all, and what one likes to read
_MIN_HEAD = 5  # of the head above a number
_DAY = len("2026-12-31")  # what is left of an instant where there is no room
_WHOLE = "uid"  # of the columns whose cells are never cut
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
    """The listing as an aligned table, and how many rows it has.

    It is no wider than `width`: texts are cut with "…", the widest first, and instants to their day. Where that would
    leave nothing to read, the last columns are left out and named below; they are the less important ones. Numbers and
    ids are never cut: half a number is wrong, and the next command needs the id.
    """
    columns = [column for column in listing.columns if column.screen]
    rows = [[shown(row.get(column.name), column) for column in columns] for row in listing.rows]
    wanted = [
        max(cells(text) for text in texts) for texts in zip([_(one.label) for one in columns], *rows, strict=True)
    ]
    texts = [[row[i] for row in rows] for i in range(len(columns))]
    least, easy = ([_least(*one, enough) for one in zip(columns, texts, wanted, strict=True)] for enough in _ENOUGH)
    kept = _that_fit(columns, easy, width)
    widths = {i: wanted[i] for i in kept}
    room = width - 2 * (len(kept) - 1)
    while sum(widths.values()) > room and (elastic := [i for i in kept if widths[i] > least[i]]):
        widths[max(elastic, key=lambda i: widths[i] - (4 if i == 0 else 0))] -= 1
    for i in kept:
        if columns[i].type == "instant" and widths[i] < wanted[i]:
            widths[i] = least[i]
            for row in rows:
                row[i] = row[i][:_DAY]
        if columns[i].tail:
            for row in rows:
                while cells(row[i]) > widths[i]:
                    row[i] = "…" + row[i][2:]
    right = [columns[i].type in ("integer", "number") for i in kept]
    sizes = list(widths.values())
    lines = [_line([_(columns[i].label) for i in kept], sizes, right), "  ".join("─" * size for size in sizes)]
    lines += [_line([row[i] for i in kept], sizes, right) for row in rows]
    if len(kept) < len(columns) and rows:
        left_out = ", ".join(_(column.label) for i, column in enumerate(columns) if i not in widths)
        lines += textwrap.wrap(
            _("No room here for: %(columns)s (--output json has all)") % {"columns": left_out}, width
        )
    return "\n".join(lines), len(rows)


def _least(column: Column, texts: Sequence[str], wanted: int, enough: int) -> int:
    """The cells below which a column says nothing, or something wrong."""
    if column.whole or column.name == _WHOLE or column.name.endswith(f"_{_WHOLE}"):
        return wanted
    if column.type in ("integer", "number"):
        return min(wanted, max([_MIN_HEAD, *(cells(text) for text in texts)]))
    return min(wanted, _DAY if column.type in ("instant", "date") else enough)


def _that_fit(columns: Sequence[Column], easy: Sequence[int], width: int) -> list[int]:
    """The places of the columns that fit into `width`: the first, the id, and of the others the first ones."""
    kept = list(range(len(columns)))
    optional = [i for i in kept[1:] if columns[i].name not in (_WHOLE, f"subject_{_WHOLE}")]
    while optional and sum(easy[i] for i in kept) + 2 * (len(kept) - 1) > width:
        kept.remove(optional.pop())
    return kept


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
