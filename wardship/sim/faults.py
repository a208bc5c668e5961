"""What goes wrong in a simulated system, and when: on the nth matching call, so that a test can say it exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx

from wardship.sim.exchange import Answer

if TYPE_CHECKING:
    from wardship.sim.kit import Simulator


class Wrong(StrEnum):
    """The kinds of fault."""

    THROTTLE = "throttle"  # 429
    UNAVAILABLE = "unavailable"  # 503; the system did nothing
    LOST = "lost"  # the system did it, and the answer never arrived
    FORBIDDEN = "forbidden"  # 403
    UNAUTHORIZED = "unauthorized"  # 401
    EXPIRED_PAGE = "expired_page"  # 400 for a page token
    CUT = "cut"  # the body ends half-way
    UNREACHABLE = "unreachable"  # no connection
    SLOW = "slow"  # the answer takes `seconds` of the clock
    EMPTY = "empty"  # 200 with an empty list
    SHORT = "short"  # 200 with half a page and no next one, without saying so
    GARBAGE = "garbage"  # 200 that is not JSON


_STATUS = {
    Wrong.THROTTLE: 429,
    Wrong.UNAVAILABLE: 503,
    Wrong.FORBIDDEN: 403,
    Wrong.UNAUTHORIZED: 401,
    Wrong.EXPIRED_PAGE: 400,
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """`wrong` happens on the `nth` call (1 = the next) whose "METHOD /path?query" contains `on`, for `times` calls.

    `retry_after`: the header's value with THROTTLE and UNAVAILABLE. `code`: the vendor's word instead of its usual one.
    """

    wrong: Wrong
    on: str = ""
    nth: int = 1
    times: int = 1
    retry_after: str | None = None
    code: str = ""
    status: int | None = None
    seconds: float = 0.0
    seen: int = field(default=0, init=False)


class Faults:
    """The schedule of one simulator."""

    def __init__(self) -> None:
        self.scheduled: list[Fault] = []
        self.happened: list[Fault] = []
        self._now: Fault | None = None

    def add(self, wrong: Wrong | str, on: str = "", **more: Any) -> Fault:
        """Schedules a fault: `sim.faults.add(Wrong.THROTTLE, "GET /v1.0/users", nth=2, retry_after="3")`."""
        fault = Fault(wrong=Wrong(wrong), on=on, **more)
        self.scheduled.append(fault)
        return fault

    def clear(self) -> None:
        self.scheduled.clear()

    def next(self, method: str, path: str, query: str) -> Fault | None:
        """The fault of this call, if any. Every scheduled fault counts the calls that it matches."""
        line = f"{method} {path}" + (f"?{query}" if query else "")
        due: Fault | None = None
        for fault in self.scheduled:
            if fault.on in line:
                fault.seen += 1
                if due is None and fault.nth <= fault.seen < fault.nth + fault.times:
                    due = fault
        if due is not None:
            self.happened.append(due)
        self._now = due
        return due

    def shaping(self) -> str | None:
        """For list routes: "empty" or "short" when the fault of the present call bends a list."""
        return self._now.wrong.value if self._now and self._now.wrong in (Wrong.EMPTY, Wrong.SHORT) else None

    def instead(self, fault: Fault | None, simulator: Simulator, request: httpx.Request) -> Answer | None:
        """The answer in place of the route's; None: the route answers. Raises where there is no connection."""
        if fault is None:
            return None
        if fault.wrong is Wrong.UNREACHABLE:
            raise httpx.ConnectError("fault: unreachable", request=request)
        status = fault.status or _STATUS.get(fault.wrong)
        if status is None:
            return None
        answer = simulator.refusal(status, fault.code)
        if fault.retry_after is not None:
            return Answer(answer.status, answer.body, {"retry-after": fault.retry_after})
        return answer

    def spoil(self, fault: Fault | None, response: httpx.Response, simulator: Simulator) -> httpx.Response:
        """What the wire does to a finished answer."""
        if fault is None:
            return response
        if fault.wrong is Wrong.LOST:
            raise httpx.ReadTimeout("fault: the answer was lost")
        if fault.wrong is Wrong.SLOW:
            wait = getattr(simulator.clock, "sleep", None)
            if wait is None:
                raise TypeError("a SLOW fault needs a clock that can be moved (SimClock)")
            wait(fault.seconds)
        elif fault.wrong is Wrong.GARBAGE:
            return httpx.Response(
                200,
                headers={"content-type": "application/json"},
                content=b'{"value": [}',
                extensions={"fault": fault.wrong.value},  # tells the contract check that this is meant
            )
        elif fault.wrong is Wrong.CUT:
            return httpx.Response(
                response.status_code, headers={"content-type": "application/json"}, stream=_Cut(response.content)
            )
        return response


class _Cut(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content[: len(self._content) // 2]
        raise httpx.RemoteProtocolError("fault: peer closed connection without sending complete message body")
