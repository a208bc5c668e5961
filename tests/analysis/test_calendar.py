"""The last whole occurrence of a business period."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.analysis.calendar import KNOWN, BusinessPeriod, last_occurrences


@pytest.mark.parametrize(
    ("period", "today", "expected"),
    [
        (BusinessPeriod(name="month_end"), date(2026, 11, 22), (date(2026, 10, 29), date(2026, 11, 3))),
        (BusinessPeriod(name="month_end"), date(2026, 11, 3), (date(2026, 9, 28), date(2026, 10, 3))),
        (BusinessPeriod(name="quarter_end"), date(2026, 11, 22), (date(2026, 9, 28), date(2026, 10, 3))),
        (BusinessPeriod(name="quarter_end"), date(2026, 1, 2), (date(2025, 9, 28), date(2025, 10, 3))),
        (BusinessPeriod(name="year_end"), date(2026, 11, 22), (date(2025, 12, 15), date(2026, 1, 31))),
        (BusinessPeriod(name="year_end"), date(2026, 1, 20), (date(2024, 12, 15), date(2025, 1, 31))),
        (
            BusinessPeriod(name="sales", first=(11, 15), last=(12, 31)),
            date(2026, 11, 22),
            (date(2025, 11, 15), date(2025, 12, 31)),
        ),
        (
            BusinessPeriod(name="ski", first=(12, 1), last=(2, 29)),
            date(2026, 3, 1),
            (date(2025, 12, 1), date(2026, 2, 28)),
        ),
    ],
)
def test_worked_examples(period: BusinessPeriod, today: date, expected: tuple[date, date]) -> None:
    (found,) = last_occurrences([period], today)
    assert (found.start_on, found.end_on) == expected


def own(first: tuple[int, int], last: tuple[int, int]) -> BusinessPeriod:
    return BusinessPeriod(name="own", first=first, last=last)


A_DAY = st.tuples(st.integers(1, 12), st.integers(1, 28))
PERIODS = st.builds(BusinessPeriod, name=st.sampled_from(KNOWN)) | st.builds(own, A_DAY, A_DAY)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), PERIODS)
def test_it_is_over_and_at_most_two_years_back(today: date, period: BusinessPeriod) -> None:
    (found,) = last_occurrences([period], today)
    assert found.start_on <= found.end_on < today
    assert today - found.start_on < timedelta(days=740)
