"""How hits become signals and a score: examples by hand, and the laws that hold for any of them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.analysis import detect
from wardship.model.alert import ChangeWindow, Expectation, Hit, Signal
from wardship.model.finding import Severity

AT = datetime(2026, 11, 20, 3, tzinfo=UTC)
STEPS = {"critical": 90, "high": 70, "medium": 50, "low": 35}


def hit(**changed: Any) -> Hit:
    values: dict[str, Any] = {
        "detection": "new_country",
        "version": "1",
        "aspect": "place",
        "authority": "aws:111111111111",
        "actor_id": "AIDA1",
        "fold": "country:KP",
        "first_at": AT,
        "last_at": AT,
        "events": 1,
        "severity": Severity.MEDIUM,
        "confidence": "likely",
        "chance": 0.4,
    }
    return Hit(**{**values, **changed})


def points(*hits: Hit, criticality: str | None = None) -> int:
    return detect.score(hits, criticality=criticality, steps=STEPS).score


# ------------------------------------------------------------------ the score


def test_two_aspects_add_up_as_chances_do() -> None:
    assert points(hit()) == 40
    assert points(hit(), hit(detection="out_of_hours", aspect="time")) == 64  # 1 - 0.6 * 0.6


def test_of_one_aspect_the_best_counts_and_the_others_a_quarter() -> None:
    assert points(hit(), hit(detection="new_network", chance=0.2)) == 43  # 1 - 0.6 * (1 - 0.05)


def test_signals_of_different_days_are_not_added() -> None:
    later = AT + timedelta(hours=25)
    assert points(hit(), hit(aspect="time", first_at=later, last_at=later)) == 40
    within = AT + timedelta(hours=24)
    assert points(hit(), hit(aspect="time", first_at=within, last_at=within)) == 64


@pytest.mark.parametrize(("criticality", "expected"), [("critical", 60), ("high", 50), ("low", 30), (None, 40)])
def test_criticality_weighs(criticality: str | None, expected: int) -> None:
    assert points(hit(), criticality=criticality) == expected


def test_below_the_lowest_step_there_is_no_alert() -> None:
    assert detect.score([hit(chance=0.3)], criticality=None, steps=STEPS).severity is None
    assert detect.score([hit(chance=0.9)], criticality=None, steps=STEPS).severity is Severity.CRITICAL
    assert detect.score([], criticality="critical", steps=STEPS).score == 0


_HITS = st.builds(
    lambda aspect, chance, start, length, fold: hit(
        aspect=aspect,
        chance=chance / 100,
        fold=f"{aspect}{fold}",  # a detection has one aspect
        first_at=AT + timedelta(hours=start),
        last_at=AT + timedelta(hours=start + length),
    ),
    st.sampled_from(["place", "time", "volume", "action"]),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 30),
    st.integers(0, 3),
)


@settings(max_examples=60, deadline=None)
@given(hits=st.lists(_HITS, max_size=12), one=_HITS, criticality=st.sampled_from([None, "low", "critical"]))
def test_more_signals_never_lower_the_score(hits: list[Hit], one: Hit, criticality: str | None) -> None:
    assert points(*hits, one, criticality=criticality) >= points(*hits, criticality=criticality)


@settings(max_examples=60, deadline=None)
@given(hits=st.lists(_HITS, max_size=12), seed=st.integers(0, 1_000))
def test_the_order_of_signals_does_not_matter(hits: list[Hit], seed: int) -> None:
    shuffled = random.Random(seed).sample(hits, len(hits))
    assert points(*shuffled) == points(*hits)


@settings(max_examples=60, deadline=None)
@given(hits=st.lists(_HITS, max_size=10))
def test_the_score_is_that_of_the_formula_in_the_best_window(hits: list[Hit]) -> None:
    """Slowly, by the words of the docs: every window that begins with the end of a signal."""
    best = 0.0
    for start in (one.last_at for one in hits):
        inside = [one for one in hits if one.last_at >= start and one.first_at <= start + timedelta(hours=24)]
        nothing = 1.0
        for aspect in {one.aspect for one in inside}:
            chances = sorted((one.chance for one in inside if one.aspect == aspect), reverse=True)
            nothing *= 1 - chances[0]
            for other in chances[1:]:
                nothing *= 1 - other / 4
        best = max(best, 1 - nothing)
    assert abs(points(*hits) - 100 * best) < 1.0001


# ------------------------------------------------------------------ what lowers a weight


def test_a_young_baseline_and_an_excuse_lower_the_weight_and_say_so() -> None:
    weighed = detect.weigh(hit(), days_watched=7, days_needed=14, percent=40, excuses=["provisioner:Terraform"])
    assert weighed.chance == pytest.approx(0.4 * 0.5 * 0.4)
    assert weighed.reasons == ("young_baseline:7", "provisioner:Terraform")
    untouched = detect.weigh(hit(), days_watched=None, days_needed=14, percent=40, excuses=[])
    assert untouched == hit()


@pytest.mark.parametrize(
    ("scope", "covered"),
    [("*", True), ("aws", True), ("aws:111111111111", True), ("AIDA1", True), ("aws:222222222222", False)],
)
def test_a_change_excuses_what_lies_in_it_and_in_its_scope(scope: str, covered: bool) -> None:
    window = ChangeWindow(
        uid="w", start_at=AT - timedelta(hours=1), end_at=AT + timedelta(hours=1), scope=scope, reason="release"
    )
    assert (detect.change_excuses(hit(), [window]) == ["change_window:release"]) is covered
    assert detect.change_excuses(hit(last_at=AT + timedelta(hours=2)), [window]) == []


@pytest.mark.parametrize(
    ("fold", "fits"),
    [("country:KP", True), ("country:*", True), ("*", True), ("country:", False), ("*KR", False), ("c*y:*P", True)],
)
def test_an_expectation_covers_its_pattern_until_its_end(fold: str, fits: bool) -> None:
    said = Expectation(
        uid="e", detection="new_country", subject="aws:111111111111 AIDA1", fold=fold, until_at=AT, reason="trip"
    )
    assert (detect.expectation_of(hit(), [said]) == "e") is fits
    assert detect.expectation_of(hit(last_at=AT + timedelta(seconds=1)), [said]) is None
    assert detect.expectation_of(hit(actor_id="AIDA2"), [said]) is None
    assert detect.expectation_of(hit(detection="other"), [said]) is None


# ------------------------------------------------------------------ folding


def folded(known: list[Signal], *hits: Hit) -> list[Signal]:
    changed, absorbed = detect.fold(known, hits)
    return [*(one for one in known if one.uid not in {*absorbed, *(each.uid for each in changed)}), *changed]


def test_equal_hits_become_one_signal_with_their_counts() -> None:
    later = AT + timedelta(hours=5)
    (one,) = folded([], hit(events=2, evidence=("2#7",)), hit(first_at=later, last_at=later, evidence=("1#3",)))
    assert (one.events, one.hits, one.first_at, one.last_at) == (3, 2, AT, later)
    assert one.evidence == ("1#3", "2#7")


def test_another_fold_or_a_long_gap_is_another_signal() -> None:
    later = AT + timedelta(hours=25)
    assert len(folded([], hit(), hit(fold="country:KR"), hit(first_at=later, last_at=later))) == 3


def test_a_hit_in_between_joins_two_signals() -> None:
    later, between = AT + timedelta(hours=40), AT + timedelta(hours=20)
    known = folded([], hit(), hit(first_at=later, last_at=later))
    assert len(known) == 2
    changed, absorbed = detect.fold(known, [hit(first_at=between, last_at=between)])
    assert len(changed) == len(absorbed) == 1
    assert changed[0].events == 3
    assert changed[0].uid in {one.uid for one in known}


def test_a_signal_of_an_alert_takes_equal_hits_after_any_gap() -> None:
    from dataclasses import replace

    (first,) = folded([], hit())
    later = AT + timedelta(days=3)
    (one,) = folded([replace(first, alert_uid="al_1")], hit(first_at=later, last_at=later))
    assert (one.alert_uid, one.events, one.uid) == ("al_1", 2, first.uid)


@settings(max_examples=60, deadline=None)
@given(hits=st.lists(_HITS, max_size=12), seed=st.integers(0, 1_000), parts=st.integers(1, 4))
def test_signals_are_the_same_in_whatever_order_and_portions_hits_come(hits: list[Hit], seed: int, parts: int) -> None:
    def content(signals: list[Signal]) -> list[tuple[Any, ...]]:
        return sorted((one.aspect, one.fold, one.first_at, one.last_at, one.events, one.chance) for one in signals)

    shuffled = random.Random(seed).sample(hits, len(hits))
    signals: list[Signal] = []
    for place in range(parts):
        signals = folded(signals, *shuffled[place::parts])
    assert content(signals) == content(folded([], *hits))
    assert sum(one.events for one in signals) == sum(one.events for one in hits)


def test_only_so_many_places_are_kept_in_the_order_of_reading() -> None:
    places = [f"{n % 3}#{n}" for n in range(100)]
    kept = detect.references(places)
    assert kept == [f"0#{n}" for n in range(0, 60, 3)]
