"""The client of all connectors: what it retries, refuses, bounds and never shows."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectorError,
    Error,
    MissingScope,
    NotVisible,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.secret import Secret
from wardship.sdk import log
from wardship.sdk.bounds import Limits, json_depth
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import CallStats
from wardship.sdk.http import Budget, Http, Refusal
from wardship.sdk.oauth import Bearer, ClientCredentials, StaticHeader, Token
from wardship.sdk.pace import TokenBucket
from wardship.sdk.paging import BodyLink, Cursor, HeaderLink, Offset

URL = "https://api.example.com"
Answers = Sequence[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]]


class Server:
    """Answers in turn, the last for ever; keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers, self.requests = answers, list[httpx.Request]()
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return (
            answer(request)
            if callable(answer)
            else httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        )


class Waits(SimClock):
    """A clock that also keeps what was slept."""

    def __init__(self) -> None:
        super().__init__(datetime(2026, 11, 22, 8, 0, tzinfo=UTC))
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        super().sleep(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


def client(waits: Waits, server: Callable[[httpx.Request], httpx.Response], **more: Any) -> Http:
    return Http(
        more.pop("base_url", URL),
        clock=waits,
        stats=more.pop("stats", CallStats()),
        transport=httpx.MockTransport(server),
        sleep=waits.sleep,
        monotonic=waits.monotonic,
        random=more.pop("random", lambda: 0.5),
        **more,
    )


def ok(body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(200, json={} if body is None else body, headers=headers)


# ------------------------------------------------------------------ retries


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(500), httpx.Response(502), httpx.Response(503), httpx.Response(504), httpx.Response(408),
        httpx.Response(429), httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"),
        httpx.ReadError("x"), httpx.ConnectTimeout("x"),
    ],
)  # fmt: skip
def test_a_read_is_tried_again(waits: Waits, failure: httpx.Response | Exception) -> None:
    server = Server(failure, ok({"a": 1}))
    stats = CallStats()
    assert client(waits, server, stats=stats).get_json("/x") == {"a": 1}
    assert len(server.requests) == 2
    assert stats.api_calls == 2
    assert stats.throttles == (1 if isinstance(failure, httpx.Response) and failure.status_code == 429 else 0)
    assert waits.slept == [0.25]  # full jitter: half of base 0.5 with random() = 0.5


@pytest.mark.parametrize(
    "failure", [httpx.Response(500), httpx.Response(503), httpx.ReadTimeout("x"), httpx.ReadError("x")]
)
def test_a_change_that_may_have_happened_is_not_repeated(waits: Waits, failure: httpx.Response | Exception) -> None:
    server = Server(failure, ok())
    with pytest.raises(Unavailable):
        client(waits, server).post_json("/x", {})
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [httpx.Response(429), httpx.ConnectError("x"), httpx.ConnectTimeout("x")])
def test_a_change_that_cannot_have_happened_is_repeated(waits: Waits, failure: httpx.Response | Exception) -> None:
    server = Server(failure, ok({"id": 1}))
    assert client(waits, server).post_json("/x", {}) == {"id": 1}


def test_a_change_that_the_system_makes_idempotent_is_repeated(waits: Waits) -> None:
    assert client(waits, Server(httpx.Response(503), ok({"id": 1}))).post_json("/x", {}, idempotent=True) == {"id": 1}


def test_waits_grow_and_are_full_jitter(waits: Waits) -> None:
    with pytest.raises(Unavailable):
        client(waits, Server(httpx.Response(503)), random=lambda: 1.0).get_json("/x")
    assert waits.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    waits.slept.clear()
    with pytest.raises(Unavailable):
        client(waits, Server(httpx.Response(503)), random=lambda: 0.0).get_json("/x")
    assert waits.slept == [0.0] * 5


@pytest.mark.parametrize(
    ("header", "least"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("2.5", 2.5),
        ("Sun, 22 Nov 2026 08:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 07:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_obeyed_in_both_forms(waits: Waits, header: str, least: float) -> None:
    client(waits, Server(httpx.Response(429, headers={"retry-after": header}), ok())).get_json("/x")
    assert waits.slept == [least + 0.25]


def test_retry_after_as_a_date_counts_from_the_systems_own_clock(waits: Waits) -> None:
    headers = {"retry-after": "Sun, 22 Nov 2026 09:00:10 GMT", "date": "Sun, 22 Nov 2026 09:00:00 GMT"}
    http = client(waits, Server(httpx.Response(429, headers=headers), ok()))
    http.get_json("/x")
    assert waits.slept == [10.25]
    assert http.clock_skew_s == 3600.0


@pytest.mark.parametrize("header", ["soon", "nan", "inf", "-3", "", "Sun, 99 Nov 2026 08:00:30 GMT"])
def test_an_unreadable_retry_after_is_no_reason_to_fail_or_to_hurry(waits: Waits, header: str) -> None:
    client(waits, Server(httpx.Response(429, headers={"retry-after": header}), ok())).get_json("/x")
    assert waits.slept == [0.25]


def test_a_wait_that_is_too_long_is_reported_instead(waits: Waits) -> None:
    with pytest.raises(RateLimited) as caught:
        client(waits, Server(httpx.Response(429, headers={"retry-after": "3600"}))).get_json("/x")
    assert caught.value.retry_after_s == 3600.0
    assert waits.slept == []


@pytest.mark.parametrize(
    ("headers", "waited_s"),
    [
        ({"retry-after": "30"}, 30.25),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795334460"}, 60.25),
        ({"x-ratelimit-remaining": "0"}, 0.25),
    ],
)
def test_a_403_that_says_when_to_come_back_is_a_throttle(
    waits: Waits, headers: Mapping[str, str], waited_s: float
) -> None:
    stats = CallStats()
    client(waits, Server(httpx.Response(403, headers=headers), ok()), stats=stats).get_json("/x")
    assert waits.slept == [waited_s]
    assert stats.throttles == 1


def test_any_other_403_is_a_missing_permission(waits: Waits) -> None:
    with pytest.raises(MissingScope):
        client(waits, Server(httpx.Response(403, headers={"x-ratelimit-remaining": "17"}))).get_json("/x")


def test_throttling_without_end_is_reported(waits: Waits) -> None:
    server = Server(httpx.Response(429))
    with pytest.raises(RateLimited):
        client(waits, server).get_json("/x")
    assert len(server.requests) == 6


# ------------------------------------------------------------------ limits of time and number


def test_the_deadline_of_a_scope_ends_it_before_the_wait(waits: Waits) -> None:
    http = client(waits, Server(httpx.Response(429, headers={"retry-after": "30"})))
    with http.scope(10.0), pytest.raises(Unavailable, match="deadline"):
        http.get_json("/x")
    assert waits.slept == []
    http = client(waits, Server(httpx.Response(503), ok({"a": 1})))
    with http.scope(None):
        assert http.get_json("/x") == {"a": 1}


def test_the_deadline_of_the_run_ends_everything(waits: Waits) -> None:
    http = client(waits, Server(ok()), budget=Budget(deadline_s=60.0))
    http.get_json("/x")
    waits.sleep(61.0)
    with pytest.raises(Unavailable, match="deadline"):
        http.get_json("/x")


def test_a_call_gets_no_more_time_than_is_left(waits: Waits) -> None:
    server = Server(ok())
    http = client(waits, server)
    http.get_json("/x")
    with http.scope(12.0):
        http.get_json("/x")
    assert [request.extensions["timeout"]["read"] for request in server.requests] == [30.0, 12.0]


def test_an_answer_that_drips_is_not_waited_for(waits: Waits) -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                waits.sleep(1.0)
                yield b" "

    with pytest.raises(Unavailable, match="within 30 s"):
        client(waits, lambda _r: httpx.Response(200, stream=Drip()), budget=Budget(attempts=1)).get_json("/x")


def test_the_budget_of_calls_ends_the_run(waits: Waits) -> None:
    http = client(waits, Server(ok()), budget=Budget(max_calls=2))
    http.get_json("/x")
    http.get_json("/x")
    with pytest.raises(Unavailable, match="budget"):
        http.get_json("/x")


def test_the_rate_is_kept(waits: Waits) -> None:
    http = client(waits, Server(ok()), bucket=TokenBucket(2.0, 3, monotonic=waits.monotonic))
    for _ in range(7):
        http.get_json("/x")
    assert sum(waits.slept) == pytest.approx(2.0)  # 3 at once, 4 more at 2 a second


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationFailed),
        (403, MissingScope),
        (404, NotVisible),
        (400, UnexpectedResponse),
        (409, UnexpectedResponse),
        (429, RateLimited),
        (500, Unavailable),
        (501, Unavailable),
        (304, UnexpectedResponse),
    ],
)
def test_a_refusal_becomes_our_error_with_the_vendors_code(
    waits: Waits, status: int, error: type[ConnectorError]
) -> None:
    body = {"error": {"code": "Authorization_RequestDenied", "message": "hostile free text"}}
    with pytest.raises(error) as caught:
        client(waits, Server(httpx.Response(status, json=body))).get_json(
            "/v1/apps", {"secret": "x"}, needs="Apps.Read"
        )
    said = caught.value
    assert said.operation == "GET /v1/apps"
    assert said.system == "api.example.com"
    assert "Authorization_RequestDenied" in said.message
    assert "hostile" not in said.message
    if isinstance(said, MissingScope):
        assert said.scope == "Apps.Read"


def test_absence_may_be_an_answer(waits: Waits) -> None:
    http = client(waits, Server(httpx.Response(404)))
    assert http.get_json("/x", missing_ok=True) is None
    assert http.delete("/x") is False
    assert client(waits, Server(httpx.Response(204))).delete("/x") is True


def test_the_connector_may_know_better(waits: Waits) -> None:
    def classify(refusal: Refusal) -> ConnectorError | None:
        return NotVisible("no licence") if refusal.code == "NonPremium" else None

    server = Server(httpx.Response(403, json={"error": {"code": "NonPremium"}}), httpx.Response(403))
    http = client(waits, server, classify=classify)
    with pytest.raises(NotVisible) as caught:
        http.get_json("/x")
    assert caught.value.operation == "GET /x"
    with pytest.raises(MissingScope):
        http.get_json("/x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        b"\xff\xfe",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_an_answer_that_is_no_sound_json_is_refused(waits: Waits, content: bytes) -> None:
    http = client(waits, lambda _r: httpx.Response(200, content=content))
    with pytest.raises(UnexpectedResponse):
        http.json(http.request("GET", "/x"))


def test_depth_is_counted_outside_of_text_only() -> None:
    assert json_depth(json.dumps({"a": "[" * 1000}).encode(), 64) <= 64
    assert json_depth(json.dumps({"a": '\\"' + "[" * 1000}).encode(), 64) <= 64
    assert json_depth(b'[{"a":[[]]},{},[]]' * 40, 64) == 4
    assert json_depth(b"[" * 70 + b"]" * 70, 64) == 65


class Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.given = chunks, 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.given += len(chunk)
            yield chunk


def test_an_answer_over_the_limit_is_cut_while_it_arrives(waits: Waits) -> None:
    stream = Chunks(b"x" * 1000 for _ in range(1_000_000))
    http = client(waits, lambda _r: httpx.Response(200, stream=stream), limits=Limits(max_bytes=10_000))
    with pytest.raises(UnexpectedResponse, match="10000 bytes"):
        http.get_json("/x")
    assert stream.given <= 11_000


def test_a_gzip_bomb_is_noticed_before_it_fills_the_memory(waits: Waits) -> None:
    bomb = gzip.compress(b" " * 200_000_000, 9)

    def send(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Chunks(iter([bomb])))

    import tracemalloc

    tracemalloc.start()
    with pytest.raises(UnexpectedResponse, match="bytes"):
        client(waits, send, limits=Limits(max_bytes=1_000_000)).get_json("/x")
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


def test_gzip_is_read_and_a_cut_one_is_retried(waits: Waits) -> None:
    packed = gzip.compress(b'{"a": [1, 2, 3]}')

    def send(content: bytes, encoding: str = "gzip") -> Callable[[httpx.Request], httpx.Response]:
        return lambda _r: httpx.Response(200, headers={"content-encoding": encoding}, stream=Chunks(iter([content])))

    assert client(waits, Server(send(packed[:-9]), send(packed))).get_json("/x") == {"a": [1, 2, 3]}
    with pytest.raises(UnexpectedResponse, match="unpacked"):
        client(waits, send(b"not gzip at all")).get_json("/x")
    with pytest.raises(UnexpectedResponse, match="not asked for"):
        client(waits, send(packed, "br")).get_json("/x")


# ------------------------------------------------------------------ origins


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/x", "http://api.example.com/x", "https://api.example.com:444/x", "https://api.example.com@evil.example/x",
     "https://u:p@api.example.com/x"],
)  # fmt: skip
def test_a_link_to_another_origin_is_not_followed(waits: Waits, link: str) -> None:
    server = Server(ok({"value": [1], "@odata.nextLink": link}))
    http = client(waits, server)
    pages = http.follow("/x")
    assert next(pages).items == [1]
    with pytest.raises(UnexpectedResponse) as caught:
        next(pages)
    assert caught.value.operation == "token"
    assert len(server.requests) == 1


def test_a_redirect_stays_within_the_origin(waits: Waits) -> None:
    moved = httpx.Response(302, headers={"location": "/y?z=1"})
    server = Server(moved, ok({"a": 1}))
    assert client(waits, server).get_json("/x") == {"a": 1}
    assert str(server.requests[1].url) == f"{URL}/y?z=1"
    away = Server(httpx.Response(302, headers={"location": "https://evil.example/"}))
    with pytest.raises(UnexpectedResponse):
        client(waits, away).get_json("/x")
    with pytest.raises(UnexpectedResponse):
        client(waits, Server(moved)).get_json("/x")  # for ever
    with pytest.raises(UnexpectedResponse):
        client(waits, Server(moved)).post_json("/x", {})
    assert len(away.requests) == 1


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "https://u:p@x", "x", "https://x:abc", "https://x?y", "https://x#y", "https://\x00"]
)
def test_a_base_that_is_no_origin_is_refused(waits: Waits, url: str) -> None:
    with pytest.raises(ConfigError):
        client(waits, Server(ok()), base_url=url)


def test_credentials_do_not_travel_in_clear(waits: Waits) -> None:
    with pytest.raises(ConfigError, match="plain http"):
        Http("http://api.example.com", clock=waits, stats=CallStats())


def test_a_header_may_hold_the_name_of_anything(waits: Waits) -> None:
    server = Server(ok())
    client(waits, server).request("GET", "/x", headers={"x-vault-namespace": "región"})
    assert dict(server.requests[0].headers.raw)[b"x-vault-namespace"] == "región".encode()


# ------------------------------------------------------------------ paging


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


# ------------------------------------------------------------------ several at a time


def test_map_keeps_the_order_and_stays_within_its_bounds(waits: Waits) -> None:
    lock, in_flight, most, taken = threading.Lock(), 0, 0, 0
    release = threading.Event()

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight, most
        with lock:
            in_flight += 1
            most = max(most, in_flight)
        release.wait(0.002)
        with lock:
            in_flight -= 1
        return ok({"n": int(request.url.path[1:])})

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number

    http = client(waits, serve, budget=Budget(concurrency=6))
    results = http.map(lambda n: http.get_json(f"/{n}")["n"], items())
    assert next(results) == 0
    assert taken <= 14
    assert [0, *results] == list(range(200))
    assert 2 <= most <= 6


def test_map_raises_at_the_items_place_and_leaves_no_thread(waits: Waits) -> None:
    http = client(waits, lambda r: httpx.Response(403) if r.url.path == "/5" else ok({}))
    results = http.map(lambda n: http.get_json(f"/{n}"), range(50))
    got = list(itertools.islice(results, 5))
    with pytest.raises(MissingScope):
        next(results)
    assert len(got) == 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wardship-http")]


# ------------------------------------------------------------------ credentials

SECRET = "canary-5f2c4a5d6e7fA1b2C3d4"


def test_a_token_is_fetched_once_kept_and_renewed_before_its_end(waits: Waits) -> None:
    fetched: list[int] = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(Secret(f"{SECRET}{len(fetched)}"), waits() + timedelta(hours=1))

    server = Server(ok())
    http = client(waits, server, auth=Bearer(fetch, clock=waits))
    http.get_json("/x")
    http.get_json("/x")
    assert len(fetched) == 1
    waits.sleep(3600 - 299)
    http.get_json("/x")
    assert len(fetched) == 2
    assert server.requests[-1].headers["authorization"] == f"Bearer {SECRET}2"


def test_a_refused_token_is_replaced_once(waits: Waits) -> None:
    fetched: list[int] = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(Secret(SECRET), waits() + timedelta(hours=1))

    http = client(waits, Server(httpx.Response(401), ok({"a": 1})), auth=Bearer(fetch, clock=waits))
    assert http.get_json("/x") == {"a": 1}
    assert len(fetched) == 2
    with pytest.raises(AuthenticationFailed):
        client(waits, Server(httpx.Response(401)), auth=Bearer(fetch, clock=waits)).get_json("/x")
    assert len(fetched) == 4


def credentials(waits: Waits, server: Callable[[httpx.Request], httpx.Response]) -> ClientCredentials:
    login = client(waits, server, base_url="https://login.example.com")
    return ClientCredentials(
        login, "/token", lambda: {"grant_type": "client_credentials", "client_secret": Secret(SECRET)}, clock=waits
    )


def test_client_credentials_ask_for_a_token_and_use_it(waits: Waits) -> None:
    login = Server(ok({"access_token": "t0ken", "expires_in": "3599", "token_type": "Bearer"}))
    server = Server(ok())
    client(waits, server, auth=credentials(waits, login)).get_json("/x")
    assert login.requests[0].content == f"grant_type=client_credentials&client_secret={SECRET}".encode()
    assert server.requests[0].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), AuthenticationFailed),
        (httpx.Response(200, json={}), UnexpectedResponse),
        (httpx.Response(200, json={"access_token": "t", "token_type": "mac"}), AuthenticationFailed),
        (httpx.Response(503), Unavailable),
    ],
)
def test_a_token_endpoint_that_refuses_is_told_apart(waits: Waits, answer: httpx.Response, error: type[Error]) -> None:
    with pytest.raises(error):
        client(waits, Server(ok()), auth=credentials(waits, Server(answer))).get_json("/x")


def _error_of(http: Http) -> Error | None:
    try:
        http.get_json("/x", {"q": SECRET})
    except Error as error:
        return error
    return None


@pytest.mark.parametrize(
    "outcome",
    [ok({"a": 1}), httpx.Response(401), httpx.Response(403), httpx.Response(503), httpx.ReadTimeout("x"),
     httpx.ConnectError("x"), httpx.Response(200, content=b"{")],
)  # fmt: skip
def test_no_secret_is_in_logs_errors_or_tracebacks_with_locals(
    waits: Waits, outcome: httpx.Response | Exception
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.formatter())
    ours = logging.getLogger("wardship.http")
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        login = Server(ok({"access_token": SECRET + "tok", "expires_in": 3600}))
        for auth in (credentials(waits, login), StaticHeader("x-api-key", lambda: Secret(SECRET))):
            http = client(waits, Server(outcome), auth=auth)
            error = _error_of(http)
            if error is not None:
                seen = traceback.TracebackException.from_exception(error, capture_locals=True)
                assert SECRET + "tok" not in "".join(seen.format())
                assert error.__cause__ is None
                assert error.__context__ is None
                assert SECRET not in str(error)
            assert SECRET not in repr(http) + repr(auth) + repr(vars(http))
    finally:
        ours.removeHandler(handler)
        ours.setLevel(logging.NOTSET)
    assert "http.call" in stream.getvalue()
    assert SECRET not in stream.getvalue()
