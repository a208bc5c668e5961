"""YAML that is described, not obeyed: other people's CI files and manifests as a tree with lines.

Unlike `yaml_file` it takes what such files hold: anchors, merge keys, tags (passed over), keys twice (the last counts).
An alias is the same node again, never a copy; its whole size counts against MAX_NODES, so a bomb is refused before it
is walked. What is refused or broken is said, document by document, and nothing is raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_CHARS = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000  # of all documents of one text, aliases counted as what they stand for
MAX_DOCUMENTS = 1_000

_DOCUMENT = re.compile(r"^---(?=\s)|^---\Z", re.MULTILINE)
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # what YAML 1.1 calls a line break
_NULL = frozenset(("", "~", "null", "Null", "NULL"))


@dataclass(frozen=True, eq=False)
class Node:
    """A scalar (`text`), a mapping (`pairs`: key node, value node) or a sequence (`items`). MISSING is falsy."""

    line: int  # 1-based
    text: str | None = None
    is_null: bool = False
    pairs: tuple[tuple[Node, Node], ...] = ()
    items: tuple[Node, ...] = ()
    source: str | None = None
    """A scalar of several lines as it stands in the file, so that a place in it has a line; None: one line."""
    weight: int = 1

    def __bool__(self) -> bool:
        return self is not MISSING

    @cached_property
    def _by_key(self) -> dict[str, Node]:
        return {key.text: value for key, value in self.pairs if key.text is not None}

    def get(self, *keys: str) -> Node:
        """The value under `keys`, one after the other; MISSING where there is none."""
        found = self
        for key in keys:
            found = found._by_key.get(key, MISSING)
        return found

    def scalars(self) -> Iterator[tuple[str | None, Node]]:
        """Every scalar value below, in order, with the key that holds it (of a sequence: the sequence's key)."""
        waiting: list[tuple[str | None, Node]] = [(None, self)]
        while waiting:
            key, node = waiting.pop()
            if node.text is not None:
                yield key, node
            waiting.extend((name.text or key, value) for name, value in reversed(node.pairs))
            waiting.extend((key, item) for item in reversed(node.items))


MISSING = Node(line=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document. `root` is None when it is empty or cannot be read; then `text`, from `line` on, is all there is."""

    line: int
    text: str
    root: Node | None


def documents(text: str) -> Iterator[Document]:
    """The documents of `text`. Beyond the bounds the rest is one last document without a tree."""
    if len(text) > MAX_CHARS:
        yield Document(line=1, text=text, root=None)
        return
    starts = [0, *(match.start() for match in _DOCUMENT.finditer(text) if match.start())]
    line, budget = 1, MAX_NODES
    for number, start in enumerate(starts):
        last = number + 1 in (len(starts), MAX_DOCUMENTS)
        part = text[start:] if last else text[start : starts[number + 1]]
        try:
            root = _compose(part, line, budget)
        except (yaml.YAMLError, ValueError):  # ValueError: also what cannot be encoded
            root = None
        budget -= root.weight if root else 0
        yield Document(line=line, text=part, root=root)
        if last:
            return
        line += len(_BREAK.findall(part))


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    line: int
    anchor: str | None
    mapping: bool
    children: list[Node]
    weight: int = 1


def _compose(text: str, first: int, budget: int) -> Node | None:
    """The tree of one document. Raises ValueError or YAMLError for what is refused or broken."""
    lines = _BREAK.split(text)
    anchors: dict[str, Node] = {}
    top = _Open(line=first, anchor=None, mapping=False, children=[])
    stack = [top]
    for event in yaml.parse(text, Loader=_Loader):
        line = first + event.start_mark.line if event.start_mark else first
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) > MAX_DEPTH:
                raise ValueError("nested too deep")
            mapping = isinstance(event, yaml.MappingStartEvent)
            stack.append(_Open(line=line, anchor=event.anchor, mapping=mapping, children=[]))
            continue
        if isinstance(event, yaml.ScalarEvent):
            node, anchor = _scalar(event, line, lines), event.anchor
        elif isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            node, anchor = _mapping(done) if done.mapping else _sequence(done), done.anchor
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:  # unknown, or of a collection that is not at its end: it would hold itself
                raise ValueError("an alias to nothing")
            node, anchor = anchors[event.anchor], None
        else:
            continue
        if anchor:
            anchors[anchor] = node
        stack[-1].weight += node.weight
        if stack[-1].weight > budget:
            raise ValueError("too many nodes")
        stack[-1].children.append(node)
    if len(top.children) > 1:
        raise ValueError("a second document without its mark")
    return top.children[0] if top.children else None


def _scalar(event: Any, line: int, lines: list[str]) -> Node:
    """`event` is a ScalarEvent; `lines` are those of its document."""
    start, end = event.start_mark, event.end_mark
    source = None
    if start.line != end.line:
        found = lines[start.line : end.line + 1]
        if len(found) > end.line - start.line:
            found[-1] = found[-1][: end.column]
        found[0] = found[0][start.column :]
        source = "\n".join(found)
    is_null = not event.style and event.value in _NULL
    return Node(line=line, text=event.value, is_null=is_null, source=source)


def _sequence(done: _Open) -> Node:
    return Node(line=done.line, items=tuple(done.children), weight=done.weight)


def _mapping(done: _Open) -> Node:
    """The mapping with its merge keys ("<<") carried out: what it says itself wins."""
    own = list(zip(done.children[::2], done.children[1::2], strict=True))
    merged: dict[str, tuple[Node, Node]] = {}
    for key, value in own:
        if key.text == "<<":
            for source in reversed(value.items or (value,)):  # of several, the first wins
                merged.update((name.text, (name, inner)) for name, inner in source.pairs if name.text is not None)
    said = {key.text: (key, value) for key, value in own if key.text is not None and key.text != "<<"}
    pairs = tuple((merged | said).values())
    return Node(line=done.line, pairs=pairs, weight=done.weight)
