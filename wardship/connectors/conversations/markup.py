"""XML in bounded pieces, and HTML as the text that people see. Neither resolves anything.

A document type is refused (so no entity can be declared), depth, text and unfinished tokens are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import IO
from xml.parsers import expat

MAX_DEPTH = 200
_CHUNK = 65_536
_MAX_TOKEN = 1024 * 1024  # a start tag with its attributes; expat keeps an unfinished one whole
_MAX_NODES = 20_000  # of one piece
_BLOCKS = frozenset("p div br li ul ol tr td th table h1 h2 h3 h4 h5 h6 pre title section dt dd hr blockquote".split())
_CDATA = "<![CDATA["
# No part goes past a "<", so all tries together are one pass. XML escapes a "<" in an attribute.
_TAG = re.compile(r"""<[/!?]?([A-Za-z][\w:.-]*+)((?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)>""")
_LOGIN = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']([^"'@]{1,2000}+@[^"']{1,2000}+)["']""")  # a link may hold a password


class BrokenXMLError(Exception):
    """Not XML, or not XML that is read here; the message never quotes it."""


@dataclass(slots=True)
class Node:
    """An element of a piece. `text` is its own text. `cut`: the piece was too long, and is not whole."""

    tag: str
    attributes: Mapping[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)
    cut: bool = False

    def child(self, tag: str, **attributes: str) -> Node | None:
        """The first child of that tag with these attributes."""
        return next((one for one in self.children_of(tag, **attributes)), None)

    def children_of(self, tag: str, **attributes: str) -> Iterator[Node]:
        for one in self.children:
            if one.tag == tag and all(one.attributes.get(name) == value for name, value in attributes.items()):
                yield one

    def said(self, tag: str, **attributes: str) -> str | None:
        """The stripped text of such a child; None when it is absent or empty."""
        found = self.child(tag, **attributes)
        return (found.text.strip() or None) if found else None


def pieces(stream: IO[bytes], tags: frozenset[str], max_chars: int) -> Iterator[Node]:
    """Every outermost element whose tag is in `tags`, whole, one after another. Raises BrokenXMLError."""
    builder = _Builder(tags, max_chars)
    fed = 0
    while True:
        data = stream.read(_CHUNK)
        fed += len(data)
        builder.feed(data, final=not data)
        yield from builder.take()
        if not data:
            return
        if fed - builder.position > _MAX_TOKEN:
            raise BrokenXMLError("a tag of over 1 MiB")


class _Builder:
    def __init__(self, tags: frozenset[str], max_chars: int) -> None:
        self._tags, self._max_chars = tags, max_chars
        self._depth = 0
        self._stack: list[Node] = []
        self._texts: list[list[str]] = []
        self._chars = self._nodes = 0
        self._done: list[Node] = []
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.ExternalEntityRefHandler = self._doctype
        self._parser = parser

    @property
    def position(self) -> int:
        return self._parser.CurrentByteIndex

    def feed(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except expat.ExpatError as broken:
            raise BrokenXMLError(f"not XML at line {broken.lineno}") from None
        except ValueError:
            raise BrokenXMLError("an encoding that is not read") from None

    def take(self) -> list[Node]:
        done, self._done = self._done, []
        return done

    def _doctype(self, *_parts: object) -> int:
        raise BrokenXMLError("a document type: no export has one")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BrokenXMLError("nested too deeply")
        if not self._stack:
            if tag not in self._tags:
                return
            self._chars = self._nodes = 0
        node = Node(tag, attributes)
        self._nodes += 1
        self._chars += sum(map(len, attributes.values()))
        if self._stack:
            if self._nodes > _MAX_NODES or self._chars > self._max_chars:
                self._stack[0].cut = True
            else:
                self._stack[-1].children.append(node)
        self._stack.append(node)
        self._texts.append([])

    def _data(self, text: str) -> None:
        if not self._stack:
            return
        self._chars += len(text)
        if self._chars > self._max_chars:
            self._stack[0].cut = True
        else:
            self._texts[-1].append(text)

    def _end(self, _tag: str) -> None:
        self._depth -= 1
        if not self._stack:
            return
        node = self._stack.pop()
        node.text = "".join(self._texts.pop())
        if not self._stack:
            self._done.append(node)


def text_of_html(markup: str) -> str:
    """What stands in a page and its comments, without tags, block by block; also Confluence's storage format.

    One pass whatever is sent: nothing here looks further than the next "<", or asks twice for an end that is not there.
    """
    parts: list[str] = []
    ends = _Ends(markup)
    pos = 0
    while (start := markup.find("<", pos)) >= 0:
        parts.append(unescape(markup[pos:start]))
        pos = start
        if markup.startswith("<!--", start) and (end := ends.after("-->", start + 4)) >= 0:
            parts.append(markup[start + 4 : end])  # nobody sees it, and it is in the export
            pos = end + 3
        elif markup.startswith(_CDATA, start) and (end := ends.after("]]>", start)) >= 0:  # the body of a code macro
            parts.append(markup[start + len(_CDATA) : end])
            pos = end + 3
        elif tag := _TAG.match(markup, start):
            if ":" in tag[1] or tag[1].lower() in _BLOCKS:
                parts.append("\n")
            parts.extend(f" {unescape(found)} " for found in _LOGIN.findall(tag[2]))
            pos = tag.end()
        else:
            parts.append("<")
            pos += 1
    parts.append(unescape(markup[pos:]))
    return "".join(parts)


class _Ends:
    """Where an end mark comes next, remembered: asking for it at every beginning stays one pass over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next: dict[str, int] = {}

    def after(self, mark: str, pos: int) -> int:
        """-1: it does not come any more."""
        known = self._next.get(mark, 0)
        if known >= 0 and known < pos:
            known = self._next[mark] = self._text.find(mark, pos)
        return known
