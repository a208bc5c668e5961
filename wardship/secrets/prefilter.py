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

Piece = tuple[int, int, int]
"""Begin and end of a piece, and the groups of which an expression matches in it: bit n is group n."""


class Prefilter(Protocol):
    def pieces(self, text: Text) -> Iterator[Piece]:
        """Every piece in which an expression matches, in order."""


class SlowPrefilter:
    """The same with nothing but the standard library."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self._groups = [(1 << number, _joined(group)) for number, group in enumerate(groups)]
        self._any = _joined([one for group in groups for one in group])

    def pieces(self, text: Text) -> Iterator[Piece]:
        at, data = 0, text.data
        while found := self._any.search(data, at):
            line = text.line(found.start())
            for begin, end in text.pieces(*line):
                piece = data[begin:end]
                if which := sum(bit for bit, group in self._groups if group.search(piece)):
                    yield begin, end, which
            at = line[1] + 1
            if at > len(data):
                return


class FastPrefilter:
    """Hyperscan. One instance a thread: the scratch space is its own."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self._scan = _database([one for group in groups for one in group]).scan
        self._bits = [1 << number for number, group in enumerate(groups) for _one in group]

    def pieces(self, text: Text) -> Iterator[Piece]:
        line_end, begin, which = -1, 0, 0
        for end, bit in self._matches(text.data):
            if end <= line_end:
                which |= bit
                continue
            if which:
                yield from self._whole_or_cut(text, begin, line_end, which)
            begin, line_end = text.line(end - 1)
            which = bit
        if which:
            yield from self._whole_or_cut(text, begin, line_end, which)

    def _whole_or_cut(self, text: Text, begin: int, end: int, which: int) -> Iterator[Piece]:
        """A line in which something matches: itself, or of a long one the pieces in which something does."""
        if end - begin <= PIECE:
            yield begin, end, which
            return
        for start, stop in text.pieces(begin, end):
            inside = 0
            for _end, bit in self._matches(text.data[start:stop]):
                inside |= bit
            if inside:
                yield start, stop, inside

    def _matches(self, data: bytes) -> list[tuple[int, int]]:
        """Where a match ends, and the bit of its group; in order."""
        found: list[tuple[int, int]] = []
        bits = self._bits

        def on_match(expression: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            found.append((end, bits[expression]))

        self._scan(data, match_event_handler=on_match)
        found.sort()
        return found


def _joined(expressions: Sequence[str]) -> re.Pattern[bytes]:
    return re.compile("|".join(f"(?:{one})" for one in expressions).encode("latin-1"))


def prefilter(*groups: Sequence[str], fast: bool = True) -> Prefilter:
    """The fastest that can be had here for these groups of expressions; `fast` False: without hyperscan."""
    if fast and importlib.util.find_spec("hyperscan"):
        return FastPrefilter(groups)
    return SlowPrefilter(groups)


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
