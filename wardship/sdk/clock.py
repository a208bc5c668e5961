"""A clock that moves only when told, for simulated systems: waiting on it costs no time."""

from __future__ import annotations

from datetime import datetime, timedelta


class SimClock:
    """Callable like every clock here. Who sleeps on it moves it; `monotonic` serves deadlines that follow it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now.timestamp()
