"""A file as the detectors see it: one character a byte, cut into pieces of bounded length.

Every later position is a position in these characters; `Text.span` turns it back into byte offsets of the file, line
and column. What is found in a piece depends on nothing but the piece and the path.
"""

from __future__ import annotations

import codecs
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

PIECE = 4096  # a line up to here is looked at whole; a longer one in pieces
OVERLAP = 1024  # so a value up to here is whole in one of them
_BINARY_PROBE = 8192

_WIDE = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(slots=True)
class Text:
    """`data` is the file, or for UTF-16 the same text in UTF-8. `binary`: it is no text, only key material counts."""

    data: bytes
    binary: bool = False
    wide: str | None = None
    _breaks: list[int] | None = field(default=None)
    _reached: tuple[int, int] = (0, 2)  # of a wide text: a position, and where that is in the file

    @classmethod
    def of(cls, raw: bytes) -> Text:
        for mark, encoding in _WIDE:
            if raw.startswith(mark):
                text = raw[2:].decode(encoding, "replace")
                return cls(text.encode("utf-8", "surrogatepass"), wide=encoding)
        return cls(raw, binary=b"\0" in raw[:_BINARY_PROBE])

    def pieces(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """The line from `begin` to `end`, cut if it is long."""
        while end - begin > PIECE:
            yield begin, begin + PIECE
            begin += PIECE - OVERLAP
        yield begin, end

    def line(self, position: int) -> tuple[int, int]:
        """Begin and end of the line that holds `position`, without its line break."""
        end = self.data.find(b"\n", position)
        return self.data.rfind(b"\n", 0, position) + 1, len(self.data) if end < 0 else end

    def value(self, begin: int, end: int) -> str:
        part = self.data[begin:end]
        try:
            return part.decode("utf-8")
        except UnicodeDecodeError:
            return part.decode("latin-1")

    def span(self, begin: int, end: int) -> tuple[int, int, int, int]:
        """Byte offsets in the file of begin and end, then line and column (in characters), both from 1.

        Far behind in a long line the column counts bytes: nobody looks there, and characters would have to be counted.
        """
        if self._breaks is None:
            self._breaks = _line_breaks(self.data)
        line = bisect_right(self._breaks, begin - 1)
        before = begin - (self._breaks[line - 1] + 1 if line else 0)
        column = 1 + (before if before > PIECE else len(self.data[begin - before : begin].decode("utf-8", "replace")))
        if self.wide is None:
            return begin, end, line + 1, column
        return self._wide(begin), self._wide(end), line + 1, column

    def _wide(self, position: int) -> int:
        assert self.wide is not None  # noqa: S101 - only called for wide texts
        at, offset = self._reached if self._reached[0] <= position else (0, 2)
        text = self.data[at:position].decode("utf-8", "surrogatepass")
        self._reached = position, offset + len(text.encode(self.wide, "surrogatepass"))
        return self._reached[1]


def _line_breaks(data: bytes) -> list[int]:
    found, at = [], data.find(b"\n")
    while at >= 0:
        found.append(at)
        at = data.find(b"\n", at + 1)
    return found
