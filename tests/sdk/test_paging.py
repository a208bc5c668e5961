"""Lists in pages: every style reads all, goes on from any page, and refuses what is no list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.sdk.answering import URL, Server, Waits, client, ok
from wardship.model.errors import (
    UnexpectedResponse,
)
from wardship.sdk.paging import BodyLink, Cursor, HeaderLink, Offset


def _numbers(request: httpx.Request) -> list[int]:
    start = int(request.url.params.get("at", "0"))
    return list(range(start, min(start + 3, 8)))


def _odata(request: httpx.Request) -> httpx.Response:
    body: dict[str, Any] = {"value": _numbers(request), "@odata.count": 8}
    if body["value"][-1] < 7:
        body["@odata.nextLink"] = f"{URL}/x?at={body['value'][-1] + 1}"
    return ok(body)


def _linked(request: httpx.Request) -> httpx.Response:
    items = _numbers(request)
    return ok(
        items, **({"link": f'<{URL}/x?at={items[-1] + 1}>; rel="next", <{URL}/>; rel="last"'} if items[-1] < 7 else {})
    )


def _cursored(request: httpx.Request) -> httpx.Response:
    items = _numbers(request)
    return ok({"items": items, "meta": {"next": str(items[-1] + 1) if items[-1] < 7 else ""}, "more": items[-1] < 7})


@pytest.mark.parametrize(
    ("server", "paging"),
    [
        (_odata, BodyLink(total="@odata.count")),
        (_linked, HeaderLink()),
        (_cursored, Cursor(param="at", next="meta.next")),
        (_cursored, Cursor(param="at", next="meta.next", more="more")),
        (lambda r: ok(_numbers(r)), Offset(param="at", size=3)),
        (lambda r: ok({"rows": _numbers(r), "total": 8}), Offset(param="at", size=100, items="rows", total="total")),
    ],
)
def test_every_style_of_paging_reads_all_and_goes_on_from_any_page(
    waits: Waits, server: Callable[[httpx.Request], httpx.Response], paging: Any
) -> None:
    http = client(waits, server)
    pages = list(http.follow("/x", {"keep": "me"}, paging=paging))
    assert [item for page in pages for item in page.items] == list(range(8))
    assert [len(page.items) for page in pages] == [3, 3, 2]
    for done, page in enumerate(pages[:-1], start=1):
        rest = [item for later in http.follow("/x", paging=paging, token=page.next_token) for item in later.items]
        assert rest == list(range(done * 3, 8))
    if isinstance(paging, BodyLink | Offset) and paging.total:
        assert pages[0].expected_total == 8


@pytest.mark.parametrize("status", [400, 404, 410])
def test_an_expired_page_token_says_so(waits: Waits, status: int) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        list(client(waits, Server(httpx.Response(status))).follow("/x", token=f"{URL}/x?at=3"))
    assert caught.value.operation == "token"


def test_a_page_that_names_itself_as_the_next_ends_in_an_error(waits: Waits) -> None:
    with pytest.raises(UnexpectedResponse, match="itself"):
        list(client(waits, Server(ok({"value": [], "@odata.nextLink": f"{URL}/x?at=1"}))).follow("/x"))


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": {}}, [], "x", {"value": [], "@odata.nextLink": 3}])
def test_a_list_of_another_shape_is_refused(waits: Waits, body: Any) -> None:
    with pytest.raises(UnexpectedResponse):
        list(client(waits, Server(ok(body) if body != {} else httpx.Response(200, json={}))).follow("/x"))
