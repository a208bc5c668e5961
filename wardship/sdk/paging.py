"""The ways in which systems hand out lists page by page; `Http.follow` drives them.

A style answers two questions about one answer: which items it holds, and the token of the next page. A token
is a string that survives a restart: it is stored as the checkpoint of the scope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from wardship.model.errors import UnexpectedResponse
from wardship.sdk.i18n import _

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: its items, how to go on (None: it was the last), the system's own total where it gives one."""

    items: Sequence[Any]
    next_token: str | None
    expected_total: int | None
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a style looks at: the body, the response (headers), the token it was asked with (None: first page)."""

    body: Any
    response: httpx.Response
    token: str | None


class Paging(Protocol):
    """A paging style. `token_params`: the parameters that ask for the page of `token`; None: the token is its URL."""

    def token_params(self, token: str) -> Params | None: ...

    def page(self, answer: Answer) -> Page: ...


def items_at(body: Any, field: str | None, operation: str) -> list[Any]:
    """The list in `body[field]`, or `body` itself when field is None. Raises UnexpectedResponse for anything else."""
    found = body
    if field is not None:
        found = body[field] if isinstance(body, dict) and field in body else None
    if not isinstance(found, list):
        what = _("the answer is not a list")
        if field is not None:
            what = _("%(field)r of the answer is not a list") % {"field": field}
        raise UnexpectedResponse(what, operation=operation)
    return found


def _text(value: Any, what: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnexpectedResponse(_("%(what)s is not text") % {"what": what}, operation="token")
    return value


@dataclass(frozen=True, slots=True)
class BodyLink:
    """The next page is a URL in the body: OData's `@odata.nextLink`, Azure's `nextLink`. The token is that URL."""

    next: str = "@odata.nextLink"
    items: str = "value"
    total: str | None = None  # field with the system's own count of the whole list: "@odata.count"

    def token_params(self, _token: str) -> Params | None:
        return None

    def page(self, answer: Answer) -> Page:
        body = answer.body
        found = items_at(body, self.items, "page")
        total = body.get(self.total) if self.total else None
        link = _text(body.get(self.next), repr(self.next))
        return Page(items=found, next_token=link, expected_total=total if isinstance(total, int) else None, body=body)


@dataclass(frozen=True, slots=True)
class HeaderLink:
    """The next page is in the Link header with rel="next" (RFC 8288): GitHub, GitLab, Okta. The token is that URL."""

    items: str | None = None

    def token_params(self, _token: str) -> Params | None:
        return None

    def page(self, answer: Answer) -> Page:
        body = answer.body
        found = items_at(body, self.items, "page")
        try:
            link = answer.response.links.get("next", {}).get("url")
        except (ValueError, IndexError):
            raise UnexpectedResponse(_("the Link header cannot be read"), operation="token") from None
        return Page(items=found, next_token=_text(link, _("the next link")), expected_total=None, body=body)


@dataclass(frozen=True, slots=True)
class HeaderUrl:
    """The next page is the URL in a header of its own: `NextPageUri` of Microsoft 365. The token is that URL."""

    header: str
    items: str | None = None

    def token_params(self, _token: str) -> Params | None:
        return None

    def page(self, answer: Answer) -> Page:
        found = items_at(answer.body, self.items, "page")
        link = _text(answer.response.headers.get(self.header), _("the next link"))
        return Page(items=found, next_token=link, expected_total=None, body=answer.body)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next page is asked for with a cursor that the body gives. `more`: a field that is false on the last page."""

    param: str = "cursor"
    next: str = "next_cursor"  # dotted for nested fields: "response_metadata.next_cursor"
    items: str = "items"
    more: str | None = None

    def token_params(self, token: str) -> Params | None:
        return {self.param: token}

    def page(self, answer: Answer) -> Page:
        body = answer.body
        found = items_at(body, self.items, "page")
        value = body
        for part in self.next.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        cursor = _text(value, repr(self.next))
        if self.more is not None and not body.get(self.more):
            cursor = None
        return Page(items=found, next_token=cursor, expected_total=None, body=body)


@dataclass(frozen=True, slots=True)
class Offset:
    """Pages by position. It ends with the first page that is not full, or at `total` where the system gives one."""

    param: str = "offset"
    size_param: str = "limit"
    size: int = 100
    items: str | None = None
    total: str | None = None

    def token_params(self, token: str) -> Params | None:
        return {self.param: token, self.size_param: str(self.size)}

    def page(self, answer: Answer) -> Page:
        body = answer.body
        found = items_at(body, self.items, "page")
        total = body.get(self.total) if self.total else None
        start = int(answer.token) if answer.token and answer.token.isdecimal() else 0
        end = start + len(found)
        last = end >= total if isinstance(total, int) else len(found) < self.size
        following = None if last or not found else json.dumps(end)
        return Page(
            items=found, next_token=following, expected_total=total if isinstance(total, int) else None, body=body
        )
