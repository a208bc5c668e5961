"""The cheap search over all bytes: which lines are worth a careful look.

With hyperscan installed (the extra `code`) all expressions run in one pass; without it `re` gives the same pieces, some
ninety times slower. So an expression uses only what means the same in both, never matches a line break, and only
*that* it matches in a piece is used, never where.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from wardship.secrets.text import PIECE, Text

Piece = tuple[int, int, bool, bool]
"""Begin and end of a piece, and whether an expression of the first and of the second group matches in it."""


class Prefilter(Protocol):
    def pieces(self, text: Text) -> Iterator[Piece]:
        """Every piece in which an expression matches, in order."""


class SlowPrefilter:
    """The same with nothing but the standard library."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._first, self._second, self._any = _joined(first), _joined(second), _joined([*first, *second])

    def pieces(self, text: Text) -> Iterator[Piece]:
        at, data = 0, text.data
        while found := self._any.search(data, at):
            line = text.line(found.start())
            for begin, end in text.pieces(*line):
                piece = data[begin:end]
                matches = bool(self._first.search(piece)), bool(self._second.search(piece))
                if any(matches):
                    yield begin, end, *matches
            at = line[1] + 1
            if at > len(data):
                return


class FastPrefilter:
    """Hyperscan. One instance a thread: the scratch space is its own."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._scan = _database([*first, *second]).scan
        self._firsts = len(first)

    def pieces(self, text: Text) -> Iterator[Piece]:
        ends = self._matches(text.data)
        count = len(ends)
        at = 0
        while at < count:
            line = text.line(ends[at][0] - 1)
            first = second = False
            while at < count and ends[at][0] <= line[1]:
                first, second = first or ends[at][1], second or not ends[at][1]
                at += 1
            if line[1] - line[0] <= PIECE:
                yield *line, first, second
                continue
            for begin, end in text.pieces(*line):
                inside = self._matches(text.data[begin:end])
                if inside:
                    yield (
                        begin,
                        end,
                        any(of_first for _, of_first in inside),
                        not all(of_first for _, of_first in inside),
                    )

    def _matches(self, data: bytes) -> list[tuple[int, bool]]:
        """Where a match ends, and whether it is of the first group; in order."""
        found: list[tuple[int, bool]] = []
        firsts = self._firsts

        def on_match(expression: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            found.append((end, expression < firsts))

        self._scan(data, match_event_handler=on_match)
        found.sort()
        return found


def _joined(expressions: Sequence[str]) -> re.Pattern[bytes]:
    return re.compile("|".join(f"(?:{one})" for one in expressions).encode("latin-1"))


def prefilter(first: Sequence[str], second: Sequence[str], *, fast: bool = True) -> Prefilter:
    """The fastest that can be had here; `fast` False: without hyperscan."""
    if fast and importlib.util.find_spec("hyperscan"):
        return FastPrefilter(first, second)
    return SlowPrefilter(first, second)


def _database(expressions: Sequence[str]) -> Any:
    """The compiled expressions, from the user's cache folder when the same were compiled before."""
    import hyperscan

    name = hashlib.sha256("\0".join((*expressions, importlib.metadata.version("hyperscan"))).encode()).hexdigest()[:32]
    path = _cache_folder() / f"{name}.hyperscan"
    try:
        database = hyperscan.loadb(path.read_bytes(), hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except (OSError, hyperscan.error):
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=[one.encode("latin-1") for one in expressions])
        _keep(path, hyperscan.dumpb(database))
    return database


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wardship"


def _keep(path: Path, content: bytes) -> None:
    """Best effort: without a place to write, the next start compiles again."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as out:
            out.write(content)
        Path(out.name).replace(path)
    except OSError:
        return
