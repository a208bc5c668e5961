"""Issues of Jira with their comments: the CSV and the XML (RSS) of its issue list, and the JSON of its search.

A CSV tells times as the exporting person's settings write them, without a zone: they are kept as written and are no
instants.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from wardship.connectors.conversations.archive import unreadable
from wardship.connectors.conversations.markup import BrokenXMLError, Node, pieces, text_of_html
from wardship.connectors.conversations.message import MAX_TEXT_CHARS, Message, Unread
from wardship.model.exposure import Place
from wardship.sdk.bounds import json_depth
from wardship.sdk.fields import clean
from wardship.sdk.i18n import _

MAX_JSON_BYTES = 64 * 1024**2  # a search of Jira's gives at most some thousand issues an answer
_MAX_DEPTH = 128
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,50}-\d{1,12}")
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,253}")
_HOST = re.compile(r"[a-z0-9.-]{1,253}(?::\d{1,5})?")
_FIELDS = ("summary", "description", "environment")
_COMMENT = re.compile(r"([^;\n]{1,60});([^;\n]{0,200});(.*)", re.DOTALL)


def form_of(path: Path) -> str | None:
    """ "csv", "xml" or "json"; None: no list of issues."""
    try:
        with path.open("rb") as stream:
            head = stream.read(65_536)
    except OSError:
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    line = start.splitlines()[0] if start else b""
    if start.startswith(b"<") and b"<rss" in head and (b"Jira" in head or b"JIRA" in head):
        return "xml"
    if start.startswith(b"{") and b'"issues"' in head and b'"key"' in head:
        return "json"
    if b"Issue key" in line and b"Summary" in line:
        return "csv"
    return None


class JiraExport:
    kind = "jira_site"
    area = "jira.issues"
    place = Place.TICKET

    def __init__(self, path: Path, form: str, site: str | None) -> None:
        self._path, self._form = path, form
        host = site or self._host()
        self.name: str | None = host
        self.authority = f"jira:{host or clean(path.stem) or 'export'}"

    def parts(self) -> Sequence[str]:
        return [self._path.name]

    def refused(self) -> Sequence[tuple[str, str]]:
        return ()

    def stamp(self) -> str:
        status = self._path.stat()
        return f"{status.st_size:x}-{status.st_mtime_ns:x}"

    def messages(self, part: str) -> Iterator[Message | Unread]:
        del part
        try:
            match self._form:
                case "csv":
                    yield from self._csv()
                case "xml":
                    yield from self._xml()
                case _:
                    yield from self._json()
        except OSError as failed:
            raise unreadable(self._path.name, failed.strerror or "") from None

    def _host(self) -> str | None:
        """The first address of an issue in the beginning of the file."""
        with self._path.open("rb") as stream:
            head = stream.read(65_536)
        found = re.search(rb"https?://([A-Za-z0-9.:-]{3,253})/(?:[\w/-]{0,60}/)?(?:browse|rest/api)/", head)
        host = found[1].decode("ascii").lower() if found else ""
        return host if _HOST.fullmatch(host) else None

    # -------------------------------------------------------------- CSV

    def _csv(self) -> Iterator[Message | Unread]:
        with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            first = stream.readline(1024 * 1024)
            delimiter = max(",;\t", key=first.count)
            header = next(csv.reader(io.StringIO(first), delimiter=delimiter), [])
            reader = csv.reader(stream, delimiter=delimiter)
            while True:
                line = reader.line_num + 2
                try:
                    cells = _next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield Unread(f"line {line}", "no CSV")
                    continue
                if any(cells):
                    yield from self._row(header, cells, f"line {line}")

    def _row(self, header: Sequence[str], cells: Sequence[str], where: str) -> Iterator[Message | Unread]:
        named: dict[str, str] = {}
        comments = []
        for name, cell in zip(header, cells, strict=False):
            if name == "Comment":
                comments.append(cell)
            elif cell and name not in named:
                named[name] = cell
        key = named.get("Issue key", "")
        if not _KEY.fullmatch(key):
            yield Unread(where, "no issue key")
            return
        text = "\n".join(named[name] for name in ("Summary", "Description", "Environment") if name in named)
        yield _issue(key, text, author=named.get("Reporter"), written=named.get("Created"))
        for number, cell in enumerate((one for one in comments if one), start=1):
            parts = _COMMENT.fullmatch(cell)
            yield _comment(
                key,
                number,
                None,
                parts[3] if parts else cell,
                author=parts[2] if parts else None,
                written=parts[1] if parts else None,
            )

    # -------------------------------------------------------------- XML

    def _xml(self) -> Iterator[Message | Unread]:
        with self._path.open("rb") as stream:
            number = 0
            try:
                for item in pieces(stream, frozenset({"item"}), MAX_TEXT_CHARS):
                    number += 1
                    yield from self._item(item, f"item {number}")
            except BrokenXMLError as broken:
                yield Unread(f"after item {number}", str(broken))

    def _item(self, item: Node, where: str) -> Iterator[Message | Unread]:
        key = item.said("key") or ""
        if item.cut or not _KEY.fullmatch(key):
            yield Unread(where, "too long" if item.cut else "no issue key")
            return
        reporter = item.child("reporter")
        text = "\n".join(text_of_html(said) for name in _FIELDS if (said := item.said(name)))
        yield _issue(key, text, author=_person(reporter), written=item.said("created"))
        comments = item.child("comments")
        for number, one in enumerate(comments.children_of("comment") if comments else (), start=1):
            given = one.attributes
            yield _comment(
                key,
                number,
                given.get("id"),
                text_of_html(one.text),
                author=given.get("author"),
                written=given.get("created"),
            )

    # -------------------------------------------------------------- JSON

    def _json(self) -> Iterator[Message | Unread]:
        with self._path.open("rb") as stream:
            data = stream.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise unreadable(self._path.name, _("over %(max_bytes)s bytes") % {"max_bytes": MAX_JSON_BYTES})
        if json_depth(data, _MAX_DEPTH) > _MAX_DEPTH:
            raise unreadable(self._path.name, _("nested too deeply"))
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            raise unreadable(self._path.name, _("not JSON")) from None
        issues = found.get("issues") if isinstance(found, dict) else None
        if not isinstance(issues, list):
            raise unreadable(self._path.name, _("there is no list of issues in it"))
        for number, issue in enumerate(issues, start=1):
            yield from self._object(issue, f"issue {number}")

    def _object(self, issue: Any, where: str) -> Iterator[Message | Unread]:
        key = issue.get("key") if isinstance(issue, dict) else None
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            yield Unread(where, "no issue key")
            return
        fields = _mapping(issue.get("fields"))
        text = "\n".join(filter(None, (_document(fields.get(name)) for name in _FIELDS)))
        yield _issue(key, text, author=_person(fields.get("reporter")), written=fields.get("created"))
        comments = _mapping(fields.get("comment")).get("comments")
        for number, one in enumerate(comments if isinstance(comments, list) else (), start=1):
            given = _mapping(one)
            yield _comment(
                key,
                number,
                given.get("id"),
                _document(given.get("body")),
                author=_person(given.get("author")),
                written=given.get("created"),
            )


def _next(reader: Iterator[list[str]]) -> list[str]:
    """The next row, with cells as long as a message may be. The limit belongs to the process: it is given back."""
    before = csv.field_size_limit(MAX_TEXT_CHARS)
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)


def _issue(key: str, text: str, *, author: Any, written: Any) -> Message | Unread:
    return _message(key, key, text, author, written)


def _comment(key: str, number: int, ident: Any, text: str, *, author: Any, written: Any) -> Message | Unread:
    known = ident if isinstance(ident, str) and ident.isdecimal() and len(ident) <= 20 else None
    return _message(f"{key} comment {number}", known or f"{key}/{number}", text, author, written)


def _message(location: str, ident: str, text: str, author: Any, written: Any) -> Message | Unread:
    if len(text) > MAX_TEXT_CHARS:
        return Unread(location, "a text that is too long")
    who = clean(author)[:200] if isinstance(author, str) else ""
    at = _instant(written)
    return Message(
        location=location,
        id=ident,
        text=text,
        author=who if _EMAIL.fullmatch(who) else None,
        author_id=who if who and not _EMAIL.fullmatch(who) else None,
        at=at,
        written=clean(written)[:60] if at is None and isinstance(written, str) else None,
    )


def _instant(value: Any) -> datetime | None:
    """ISO 8601 or RFC 5322 with a zone; anything else is no instant."""
    if not isinstance(value, str):
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(value)
            return found.astimezone(UTC) if found.tzinfo else None
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _person(value: Any) -> str | None:
    """An e-mail address where there is one, else the account's id."""
    if isinstance(value, Node):
        return value.attributes.get("username") or value.attributes.get("accountid")
    given = _mapping(value)
    found = [given.get(name) for name in ("emailAddress", "name", "accountId")]
    return next((one for one in found if isinstance(one, str) and one), None)


def _document(value: Any) -> str:
    """A text, or the texts of an Atlassian document, line by line."""
    if isinstance(value, str):
        return value
    parts: list[str] = []
    todo: list[Any] = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo.extend(reversed(one))
        elif isinstance(one, dict):
            if isinstance(one.get("text"), str):
                parts.append(one["text"])
            elif one.get("type") in ("paragraph", "hardBreak", "codeBlock", "listItem", "tableCell", "heading"):
                parts.append("\n")
            todo.append(one.get("content"))
            todo.append(_mapping(one.get("attrs")).get("url"))
    return "".join(parts).strip()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
