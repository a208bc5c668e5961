"""A Confluence space export: XML (entities.xml, as a ZIP or a folder) or HTML (one page a file).

The XML is a flat list of objects, texts apart from the pages they belong to, in no order that helps: it is read twice,
first for the pages, spaces and people, then for the texts. Old versions of a page are in it and are read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from wardship.connectors.conversations.archive import Archive, unreadable, whole
from wardship.connectors.conversations.markup import BrokenXMLError, Node, pieces, text_of_html
from wardship.connectors.conversations.message import MAX_TEXT_CHARS, Message, Unread
from wardship.model.errors import NotVisible
from wardship.model.exposure import Place
from wardship.sdk.fields import clean
from wardship.sdk.i18n import _

ENTITIES = "entities.xml"
_OBJECT = frozenset({"object"})
_CONTENTS = frozenset({"Page", "BlogPost", "Comment"})
_MAX_OBJECTS = 2_000_000  # of which a few words are kept: a page costs some 500 bytes
_MAX_PAGE_BYTES = 16 * 1024**2
_TITLE = re.compile(r"<title>([^<]{1,1000})</title>", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,253}")
_SPLIT_CDATA = re.compile(r"\]\] >")


def entities_of(archive: Archive) -> str | None:
    """The name of its entities.xml, where that is Confluence's; None: there is none."""
    for name in archive.names():
        if name.rpartition("/")[2] == ENTITIES:
            with archive.open(name) as stream:
                return name if b"<hibernate-generic" in stream.read(4096) else None
    return None


def is_html(archive: Archive) -> bool:
    """Whether it is a folder of pages with an index, as the HTML export makes it."""
    for name in archive.names():
        if name.rpartition("/")[2] == "index.html":
            with archive.open(name) as stream:
                head = stream.read(65_536)
            return b"Space Details" in head or b"pageSection" in head or b"confluence" in head.lower()
    return False


@dataclass(frozen=True, slots=True)
class _Page:
    title: str
    space: str | None
    newest: str | None  # id of the newest version, for an old one
    current: bool | None  # None: the export gives no state
    creator: str | None
    written: str | None
    on: str | None  # id of the page that a comment is on


@dataclass(slots=True)
class _Directory:
    pages: dict[str, _Page]
    spaces: dict[str, tuple[str, str | None]]
    people: dict[str, str]


class ConfluenceXML:
    kind = "confluence_space"
    area = "confluence.pages"
    place = Place.WIKI

    def __init__(self, archive: Archive, entities: str, site: str | None) -> None:
        self._archive, self._entities = archive, entities
        self._site = site

    @cached_property
    def authority(self) -> str:
        keys = sorted({key for key, _name in self._directory.spaces.values()})
        space = keys[0] if len(keys) == 1 else clean(self._archive.path.stem)
        return f"confluence:{self._site or 'export'}/{space}"

    @cached_property
    def name(self) -> str | None:
        names = [name or key for key, name in self._directory.spaces.values()]
        return names[0] if len(names) == 1 else None

    def parts(self) -> Sequence[str]:
        return [self._entities]

    def refused(self) -> Sequence[tuple[str, str]]:
        return self._archive.refused()

    def stamp(self) -> str:
        return self._archive.stamp()

    def messages(self, part: str) -> Iterator[Message | Unread]:
        known = self._directory
        number = 0
        try:
            for one in self._objects(part):
                number += 1
                if one.attributes.get("class") == "BodyContent":
                    yield from self._body(one, known, f"object {number}")
                elif one.cut:
                    yield Unread(f"object {number}", "too long")
        except BrokenXMLError as broken:
            yield Unread(f"after object {number}", str(broken))

    def _objects(self, name: str) -> Iterator[Node]:
        with self._archive.open(name) as stream:
            yield from pieces(stream, _OBJECT, MAX_TEXT_CHARS)

    @cached_property
    def _directory(self) -> _Directory:
        found = _Directory({}, {}, {})
        try:
            for number, one in enumerate(self._objects(self._entities)):
                if number >= _MAX_OBJECTS:
                    raise unreadable(self._entities, _("over %(n)d objects") % {"n": _MAX_OBJECTS})
                _learn(one, found)
        except BrokenXMLError as broken:
            if not found.spaces and not found.pages:
                raise unreadable(self._entities, str(broken)) from None
        return found

    def _body(self, one: Node, known: _Directory, where: str) -> Iterator[Message | Unread]:
        if one.cut:
            yield Unread(where, "a text that is too long")
            return
        content = one.child("property", name="content")
        ident = content.said("id", name="id") if content else None
        page = known.pages.get(ident or "")
        body = one.child("property", name="body")
        if page is None or ident is None or body is None:
            return  # the text of a template, a message of the day or of a page that the export leaves out
        holder = known.pages.get(page.on or "", page)
        top = known.pages.get(holder.newest or "", holder)
        space = known.spaces.get(top.space or "", ("", None))[0]
        location = clean(f"{space} {top.title or ident}".strip())[:500]
        who = known.people.get(page.creator or "")
        yield Message(
            location=f"{location} comments" if page.on else location,
            id=ident,
            text=text_of_html(_SPLIT_CDATA.sub("]]>", body.text)),
            author=who if who and _EMAIL.fullmatch(who) else None,
            author_id=who if who and not _EMAIL.fullmatch(who) else None,
            written=page.written,
            newest=False if page.newest or page.current is False else True if page.current else None,
        )


def _learn(one: Node, found: _Directory) -> None:
    """Keeps what an object says that texts need."""
    kind, ident = one.attributes.get("class"), one.said("id")
    if kind is None or ident is None or one.cut:
        return
    said = {name: one.said("property", name=name) for name in ("title", "key", "name", "contentStatus", "email")}
    if kind == "Space" and said["key"]:
        found.spaces[ident] = (clean(said["key"])[:100], clean(said["name"] or "")[:200] or None)
    elif kind == "ConfluenceUserImpl":
        found.people[ident] = clean(said["email"] or said["name"] or "")[:200]
    elif kind in _CONTENTS:
        status = said["contentStatus"]
        found.pages[ident] = _Page(
            title=clean(said["title"] or "")[:300],
            space=_refers(one, "space"),
            newest=_refers(one, "originalVersion"),
            current=None if status is None else status == "current",
            creator=_refers(one, "lastModifier") or _refers(one, "creator"),
            written=one.said("property", name="lastModificationDate"),
            on=_refers(one, "containerContent") or _refers(one, "owner") if kind == "Comment" else None,
        )


def _refers(one: Node, name: str) -> str | None:
    """The id of the object that a property points to."""
    found = one.child("property", name=name)
    return found.said("id") if found else None


class ConfluenceHTML:
    kind = "confluence_space"
    area = "confluence.pages"
    place = Place.WIKI

    def __init__(self, archive: Archive, site: str | None) -> None:
        self._archive = archive
        self._pages = [name for name in archive.names() if name.lower().endswith((".html", ".htm"))]
        self.name: str | None = None
        for name in self._pages:
            if name.rpartition("/")[2] == "index.html":
                self.name = self._title(whole(archive, name, _MAX_PAGE_BYTES), name).partition(" (")[0]
                break
        self.authority = f"confluence:{site or 'export'}/{self.name or clean(archive.path.stem)}"

    def parts(self) -> Sequence[str]:
        return ["pages"]

    def refused(self) -> Sequence[tuple[str, str]]:
        return self._archive.refused()

    def stamp(self) -> str:
        return self._archive.stamp()

    def messages(self, part: str) -> Iterator[Message | Unread]:
        del part
        for name in self._pages:
            try:
                data = whole(self._archive, name, _MAX_PAGE_BYTES)
            except NotVisible as refused:
                yield Unread(name, refused.message)
                continue
            text = data.decode("utf-8", "replace")
            yield Message(location=self._title(data, name), id=name[:500], text=text_of_html(text))

    @staticmethod
    def _title(data: bytes, name: str) -> str:
        """ "SPACE Page", as the page's title says it with a colon; else the file's name."""
        found = _TITLE.search(data[:65_536].decode("utf-8", "replace"))
        words = " ".join(text_of_html(found[1]).replace(" : ", " ").split()) if found else ""
        return clean(words or name)[:500]
