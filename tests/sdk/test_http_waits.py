"""When the client tries again, how long it waits, and what ends its time and number of calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.sdk.answering import Server, Waits, client, ok
from wardship.model.errors import (
    MissingScope,
    RateLimited,
    Unavailable,
)
from wardship.sdk.connector import CallStats
from wardship.sdk.http import Budget
from wardship.sdk.pace import TokenBucket

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


@pytest.mark.parametrize("failure", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.ReadError("x")])
def test_a_system_that_does_not_answer_is_named_in_the_next_step(waits: Waits, failure: Exception) -> None:
    with pytest.raises(Unavailable) as told:
        client(waits, Server(failure)).get_json("/x")
    assert "look whether api.example.com is right" in told.value.advice


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
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1795334460"}, 60.25),  # Okta writes it so
        ({"x-ratelimit-remaining": "0"}, 0.25),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 0.25),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 400}, 0.25),  # infinity to float()
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 0.25),
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


def test_a_system_that_nobody_reached_is_tried_once_by_each_later_call(waits: Waits) -> None:
    """No network: eighteen scopes do not wait for it one after the other. An answer gives every try back."""
    server = Server(*[httpx.ConnectError("x")] * 8, ok(), httpx.ConnectError("x"), ok())
    http = client(waits, server)
    for calls in (6, 7, 8):
        with pytest.raises(Unavailable):
            http.get_json("/x")
        assert len(server.requests) == calls
    assert http.get_json("/x") == {}
    assert http.get_json("/x") == {}, "a cut in the middle is waited for as ever"
    assert len(server.requests) == 11
