"""The cheap search over all bytes: which lines are worth a careful look.

With hyperscan installed (the extra `code`) all expressions run in one pass at memory speed; without it `re` gives the
same lines, some ninety times slower. Both must: an expression here uses only what means the same in both, never
matches a line break, and only *that* a line matches is used, never where.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from wardship.secrets.text import Text


class Prefilter(Protocol):
    def lines(self, text: Text) -> Iterator[tuple[int, int]]:
        """Begin and end of every piece that matches, in order."""


class SlowPrefilter:
    """The same with nothing but the standard library."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self._any = re.compile("|".join(f"(?:{one})" for one in expressions).encode("latin-1"))

    def lines(self, text: Text) -> Iterator[tuple[int, int]]:
        at, data = 0, text.data
        while found := self._any.search(data, at):
            begin, end = text.line(found.start())
            for piece in text.pieces(begin, end):
                if end - begin == piece[1] - piece[0] or self._any.search(data[piece[0] : piece[1]]):
                    yield piece
            at = end + 1
            if at > len(data):
                return


class FastPrefilter:
    """Hyperscan. One instance a thread: the scratch space is its own."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self._database = _database(expressions)

    def lines(self, text: Text) -> Iterator[tuple[int, int]]:
        data, scan = text.data, self._database.scan
        ends: list[int] = []

        def on_match(_id: int, _begin: int, end: int, _flags: int, _context: object) -> None:
            ends.append(end)

        scan(data, match_event_handler=on_match)
        reached = -1
        for found in sorted(ends):
            if found <= reached:
                continue
            begin, reached = text.line(found - 1)
            for piece in text.pieces(begin, reached):
                if piece == (begin, reached):
                    yield piece
                    continue
                del ends[:]
                scan(data[piece[0] : piece[1]], match_event_handler=on_match)
                if ends:
                    yield piece


def prefilter(expressions: Sequence[str]) -> Prefilter:
    """The fastest that can be had here."""
    try:
        import hyperscan  # noqa: F401 - only whether it is there
    except ImportError:
        return SlowPrefilter(expressions)
    return FastPrefilter(expressions)


def _database(expressions: Sequence[str]) -> Any:
    """The compiled expressions, from the user's cache folder when the same were compiled before."""
    import hyperscan

    name = hashlib.sha256("\0".join((*expressions, hyperscan.__version__)).encode()).hexdigest()[:32]
    path = _cache_folder() / f"{name}.hyperscan"
    try:
        database = hyperscan.loadb(path.read_bytes(), hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except (OSError, hyperscan.error):
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=[one.encode("latin-1") for one in expressions], flags=hyperscan.HS_FLAG_DOTALL * 0)
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
