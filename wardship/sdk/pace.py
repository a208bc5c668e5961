"""How fast a system is asked: a token bucket for the rate, a gate for what is in flight, and the waits between tries.

Knows no HTTP. Time comes in as functions, so that a test needs no real second. Thread-safe.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class TokenBucket:
    """At most `rate_per_s` calls a second, after a burst of `burst`. Share one among all clients of an authority."""

    def __init__(self, rate_per_s: float, burst: int, *, monotonic: Callable[[], float]) -> None:
        self._rate = rate_per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._monotonic = monotonic
        self._at = monotonic()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Takes one token and returns how many seconds to wait before using it (0.0: at once)."""
        with self._lock:
            now = self._monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1.0  # may go below zero: those who come later wait longer
            return max(0.0, -self._tokens / self._rate)


class Gate:
    """Additive increase, multiplicative decrease of the calls in flight.

    The limit rises by one after as many successes as it is wide, and halves when the system says "too many".
    Calls that started before a cut cannot cut again: they only tell what is already known.
    """

    def __init__(self, *, start: int = 4, most: int = 16) -> None:
        self._limit = float(min(start, most))
        self._most = float(most)
        self._in_flight = 0
        self._successes = 0
        self._epoch = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many calls may be in flight now; never under 1."""
        return int(self._limit)

    @contextlib.contextmanager
    def entered(self) -> Iterator[int]:
        """Waits for a place; yields the epoch, to be handed back to `throttled`."""
        with self._changed:
            while self._in_flight >= int(self._limit):
                self._changed.wait()
            self._in_flight += 1
            epoch = self._epoch
        try:
            yield epoch
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def succeeded(self) -> None:
        with self._changed:
            self._successes += 1
            if self._successes >= self._limit:
                self._successes = 0
                self._limit = min(self._most, self._limit + 1.0)
                self._changed.notify_all()

    def throttled(self, epoch: int) -> None:
        with self._changed:
            if epoch == self._epoch:
                self._epoch += 1
                self._successes = 0
                self._limit = max(1.0, self._limit * 0.5)


def full_jitter_s(attempt: int, random: Callable[[], float], *, base_s: float = 0.5, most_s: float = 60.0) -> float:
    """Seconds before try `attempt` + 1 (the first try is 0): uniform in 0 .. base * 2^attempt, so that many clients
    spread out instead of coming back together."""
    return random() * min(most_s, base_s * 2.0 ** min(attempt, 16))


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """The Retry-After header in seconds from `now` (best the server's own Date); None if absent or unreadable.

    Both forms of RFC 9110 section 10.2.3. An instant that has passed is 0.
    """
    if not value:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        at = http_date(text)
        return None if at is None else max(0.0, (at - now).total_seconds())
    return max(0.0, seconds) if seconds < float("inf") else None  # "nan" and "inf" are numbers to float()


def http_date(value: str | None) -> datetime | None:
    """An HTTP date as an aware instant; None if absent or unreadable."""
    if not value:
        return None
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
