"""Business periods: the days of a year on which things run that do not run otherwise.

Who asks "is it unused?" must have watched the last whole occurrence of every period that concerns the identity: a job
of the year's end is silent for eleven months. Periods come from the settings; the well-known ones are named here.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

KNOWN = ("month_end", "quarter_end", "year_end")
"""Periods that need no dates. The end of a month or quarter is its last three days and the first three after it; that
of a year lasts from 15 December to 31 January, when books are closed."""

_MARGIN = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessPeriod:
    """`first` and `last`: (month, day), the last may lie in the next year; both None for one of KNOWN. `process`: it
    concerns only identities of this business process; None: all."""

    name: str
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None
    process: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One time that a period took place, both days included."""

    name: str
    process: str | None
    start_on: date
    end_on: date


def last_occurrences(periods: Sequence[BusinessPeriod], today: date) -> list[Occurrence]:
    """Of each period the last occurrence that was over before `today`."""
    return [
        Occurrence(name=one.name, process=one.process, start_on=start, end_on=end)
        for one in periods
        for start, end in [max((start, end) for start, end in _around(one, today) if end < today)]
    ]


def _around(period: BusinessPeriod, today: date) -> Iterator[tuple[date, date]]:
    for year in (today.year - 2, today.year - 1, today.year):
        if period.first is not None and period.last is not None:
            over = period.last < period.first
            yield _day(year, *period.first), _day(year + 1 if over else year, *period.last)
        elif period.name == "year_end":
            yield date(year, 12, 15), date(year + 1, 1, 31)
        else:
            for month in range(1, 13) if period.name == "month_end" else (3, 6, 9, 12):
                end = date(year, month, calendar.monthrange(year, month)[1])
                yield end - _MARGIN + timedelta(days=1), end + _MARGIN


def _day(year: int, month: int, day: int) -> date:
    """The 29th of February of other years is the 28th."""
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
