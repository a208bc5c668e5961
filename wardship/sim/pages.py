"""How simulated systems hand out lists: whole, by links in the body (OData), by the Link header, by cursor.

A page token is an offset in the list as it is when the page is asked for, written so that nobody can guess more.
OData's `$select`, `$filter` (eq, ne, ge, le, startswith, and) and `$top` are understood; other filters are refused.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from wardship.sim.exchange import Answer, Call, Refuse

Row = dict[str, Any]


class Pages(Protocol):
    """A style of answering with rows, or with one row."""

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        """One page of `rows`. `short`: half of it and no way on, as a system that fails without saying so."""

    def one(self, call: Call, row: Row) -> Any:
        """One row as the vendor shows it."""


def _cut(rows: Sequence[Row], start: int, size: int, *, short: bool) -> tuple[list[Row], int | None]:
    """(the page, the next offset or None)."""
    page = list(rows[start : start + size])
    if short:
        return page[: len(page) // 2], None
    end = start + len(page)
    return page, end if end < len(rows) else None


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"o": offset}).encode()).decode().rstrip("=")


def _offset(token: str | None, code: str) -> int:
    if token is None:
        return 0
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))["o"]
    except (ValueError, KeyError, TypeError):
        raise Refuse(400, code, "the page token is not valid") from None
    return int(found)


def _size(call: Call, param: str, usual: int, most: int) -> int:
    text = call.query.get(param, str(usual))
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise Refuse(400, "BadRequest", f"{param} must be 1 to {most}")
    return min(int(text), call.page_cap or most)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeList:
    """Everything at once; `field` wraps the list in an object."""

    field: str | None = None

    def answer(self, _call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        page, _ = _cut(rows, 0, max(len(rows), 1), short=short)
        return {self.field: page} if self.field else page

    def one(self, _call: Call, row: Row) -> Any:
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPages:
    """The Link header with rel="next" (GitHub, GitLab, Okta)."""

    size_param: str = "per_page"
    page_param: str = "page"
    size: int = 30
    most: int = 100
    field: str | None = None

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        size = _size(call, self.size_param, self.size, self.most)
        number = int(call.query.get(self.page_param, "1"))
        page, following = _cut(rows, (number - 1) * size, size, short=short)
        headers = {}
        if following is not None:
            query = urlencode({**call.query, self.page_param: number + 1})
            headers["link"] = f'<{call.base}{call.url.path}?{query}>; rel="next"'
        return Answer(200, {self.field: page} if self.field else page, headers)

    def one(self, _call: Call, row: Row) -> Any:
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorPages:
    """A cursor in the body, asked for by parameter (Slack, Cloudflare, Anthropic's own)."""

    items: str = "items"
    next: str = "next_cursor"
    param: str = "cursor"
    size_param: str = "limit"
    size: int = 100
    most: int = 1000
    more: str | None = None

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        start = _offset(call.query.get(self.param) or None, "invalid_cursor")
        page, following = _cut(rows, start, _size(call, self.size_param, self.size, self.most), short=short)
        body: Row = {self.items: page, self.next: None if following is None else _token(following)}
        if self.more:
            body[self.more] = following is not None
        return body

    def one(self, _call: Call, row: Row) -> Any:
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class ODataPages:
    """Microsoft's lists: `value`, `@odata.nextLink` with a skiptoken, and the query options named above.

    `default`: the fields shown without `$select` (None: all); fields that begin with "@" or "_" aside: "_" ones are the
    simulator's own and never shown. `expand`: what `$expand` may name, each a function of the row.
    """

    size: int = 100
    most: int = 999
    default: Sequence[str] | None = None
    expand: Mapping[str, Any] = field(default_factory=dict)
    expired_code: str = "Directory_ExpiredPageToken"

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        kept = _filtered(rows, call.query.get("$filter"))
        start = _offset(call.query.get("$skiptoken"), self.expired_code)
        page, following = _cut(kept, start, _size(call, "$top", self.size, self.most), short=short)
        body: Row = {
            "@odata.context": f"{call.base}{_root(call.url.path)}/$metadata#{call.url.path.rsplit('/', 1)[-1]}",
            "value": [self._shown(call, row) for row in page],
        }
        if call.query.get("$count") == "true":
            body["@odata.count"] = len(kept)
        if following is not None:
            query = urlencode({**call.query, "$skiptoken": _token(following)}, safe="$")
            body["@odata.nextLink"] = f"{call.base}{call.url.path}?{query}"
        return body

    def one(self, call: Call, row: Row) -> Any:
        return self._shown(call, row)

    def _shown(self, call: Call, row: Row) -> Row:
        wanted = call.query.get("$select", "").split(",") if call.query.get("$select") else self.default
        shown = {
            name: value
            for name, value in row.items()
            if name[:1] != "_" and (wanted is None or name in wanted or name[:1] == "@")
        }
        for part in re.findall(r"([A-Za-z]\w*)(?:\([^()]*\))?", call.query.get("$expand", "")):
            if part not in self.expand:
                raise Refuse(400, "BadRequest", f"cannot expand {part}")
            shown[part] = self.expand[part](row)
        return shown


def _root(path: str) -> str:
    return "/" + path.strip("/").split("/", 1)[0]


_TERM = re.compile(
    r"\s*(?:(\w+(?:/\w+)*)\s+(eq|ne|ge|le)\s+('(?:[^']|'')*'|[\w.:-]+)|startswith\((\w+),\s*'((?:[^']|'')*)'\))\s*"
)
_COMPARES: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: bool(value == wanted),
    "ne": lambda value, wanted: bool(value != wanted),
    "ge": lambda value, wanted: str(value or "") >= str(wanted),
    "le": lambda value, wanted: str(value or "") <= str(wanted),
}
_WORDS = {"true": True, "false": False, "null": None}


def _filtered(rows: Sequence[Row], text: str | None) -> Sequence[Row]:
    if not text:
        return rows
    for term in re.split(r"\s+and\s+(?=(?:[^']*'[^']*')*[^']*$)", text):
        found = _TERM.fullmatch(term)
        if found is None:
            raise Refuse(400, "Request_UnsupportedQuery", "this filter is not supported")
        name, operator, literal, prefix_of, prefix = found.groups()
        if prefix_of:
            rows = [row for row in rows if str(row.get(prefix_of) or "").startswith(prefix.replace("''", "'"))]
        else:
            wanted = literal[1:-1].replace("''", "'") if literal[0] == "'" else _WORDS.get(literal, literal)
            rows = [row for row in rows if _COMPARES[operator](_value(row, name), wanted)]
    return rows


def _value(row: Row, path: str) -> Any:
    value: Any = row
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value
