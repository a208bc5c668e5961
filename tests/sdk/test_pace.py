"""The gate grows slowly and halves at once; the bucket keeps the rate; waits spread out."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from wardship.sdk.pace import Gate, TokenBucket, full_jitter_s, http_date, retry_after_s

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def test_the_gate_adds_one_after_a_window_of_successes() -> None:
    gate = Gate(start=4, most=16)
    for _ in range(4):
        gate.succeeded()
    assert gate.limit == 5
    for _ in range(1000):
        gate.succeeded()
    assert gate.limit == 16


def test_the_gate_halves_once_for_what_was_in_flight_together() -> None:
    gate = Gate(start=16, most=16)
    with gate.entered() as first, gate.entered() as second:
        gate.throttled(first)
        gate.throttled(second)  # it left before the cut was known
    assert gate.limit == 8
    with gate.entered() as later:
        gate.throttled(later)
    assert gate.limit == 4


def test_the_gate_never_closes() -> None:
    gate = Gate(start=1, most=4)
    for _ in range(10):
        with gate.entered() as epoch:
            gate.throttled(epoch)
    assert gate.limit == 1


def test_the_gate_lets_in_no_more_than_its_limit() -> None:
    gate, entered, leave = Gate(start=2, most=2), threading.Semaphore(0), threading.Event()

    def work() -> None:
        with gate.entered():
            entered.release()
            leave.wait(5)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=5)
    assert entered.acquire(timeout=5)
    assert not entered.acquire(timeout=0.05)
    leave.set()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)


@given(st.lists(st.floats(0, 2), max_size=30), st.floats(0.5, 50), st.integers(1, 10))
def test_the_bucket_never_gives_more_than_the_rate_and_the_burst(gaps: list[float], rate: float, burst: int) -> None:
    now = 0.0
    bucket = TokenBucket(rate, burst, monotonic=lambda: now)
    used: list[float] = []
    for gap in gaps:
        now += gap
        used.append(now + bucket.take())
    for i, start in enumerate(used):
        for j in range(i, len(used)):
            assert j - i + 1 <= burst + rate * (used[j] - start) + 1.001


@given(st.integers(0, 200), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_between_nothing_and_the_cap(attempt: int, chance: float) -> None:
    assert 0.0 <= full_jitter_s(attempt, lambda: chance) <= min(60.0, 0.5 * 2.0 ** min(attempt, 16))


@given(st.text(max_size=40))
def test_any_header_text_is_a_wait_or_nothing(text: str) -> None:
    wait = retry_after_s(text, now=NOW)
    assert wait is None or 0.0 <= wait < float("inf")
    date = http_date(text)
    assert date is None or date.tzinfo is not None
