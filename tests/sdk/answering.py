"""A server that answers as a test says, and a clock that keeps what was waited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from wardship.sdk.clock import SimClock
from wardship.sdk.connector import CallStats
from wardship.sdk.http import Http

URL = "https://api.example.com"


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


def client(waits: Waits, server: Callable[[httpx.Request], httpx.Response], **more: Any) -> Http:
    """A client whose network is `server` and whose time is `waits`; `more` goes to Http."""
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
