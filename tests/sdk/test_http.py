"""The client of all connectors: what it refuses, bounds and does several at a time."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.sdk.answering import URL, Server, Waits, client, ok
from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectorError,
    MissingScope,
    NotVisible,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from wardship.sdk.bounds import Limits, json_depth
from wardship.sdk.connector import CallStats
from wardship.sdk.http import Budget, Http, Refusal

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


def test_a_code_that_only_repeats_the_status_is_none(waits: Waits) -> None:
    with pytest.raises(MissingScope) as caught:
        client(waits, Server(httpx.Response(403, json={"message": "no", "status": "403"}))).get_json("/x")
    assert (caught.value.message, caught.value.scope) == ("GET /x: HTTP 403", "unknown")


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
