"""The made-up estate: the same seed gives the same events, abuse lies where its label says, and life is unequal."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from wardship.model.activity import Outcome
from wardship.sim.abuse import Estate, Kind, estate

FIRST = date(2026, 8, 3)


def make(seed: int = 7, *, abused: int = 36) -> Estate:
    return estate(seed=seed, identities=300, days=45, first_day=FIRST, abused=abused)


@pytest.fixture(scope="module")
def made() -> Estate:
    return make()


def test_the_same_seed_gives_the_same_events_and_another_does_not(made: Estate) -> None:
    day = FIRST
    assert list(made.events(day)) == list(make().events(day))
    assert list(made.events(day)) != list(make(8).events(day))


def test_every_kind_of_abuse_is_there_and_happens_where_its_label_says(made: Estate) -> None:
    assert {story.kind for story in made.abuse} == set(Kind)
    quiet = make(abused=0)
    for story in made.abuse:
        day = story.start.date()
        of_actor = [one for one in made.events(day) if one.actor_id == story.actor_id]
        ordinary = {one.uid for one in quiet.events(day) if one.actor_id == story.actor_id}
        extra = [one for one in of_actor if one.uid not in ordinary]
        assert extra, story
        assert all(story.start <= one.time <= story.end for one in extra), story


def test_one_identity_has_at_most_one_story(made: Estate) -> None:
    assert max(Counter(story.actor_id for story in made.abuse).values()) == 1


def test_whose_credential_ended_does_nothing_until_the_story(made: Estate) -> None:
    (story,) = [one for one in made.abuse if one.kind is Kind.USE_AFTER_END][:1]
    (actor,) = [one for one in made.actors if one.actor_id == story.actor_id]
    assert actor.ended is not None
    tries = [one for one in made.events(story.start.date()) if one.actor_id == story.actor_id]
    assert {one.outcome for one in tries} == {Outcome.FAILURE}


def test_volumes_are_very_unequal_and_ids_of_events_differ(made: Estate) -> None:
    counts: Counter[str] = Counter()
    uids: set[str] = set()
    for day in made.all_days()[:10]:
        for one in made.events(day):
            counts[str(one.actor_id)] += 1
            uids.add(str(one.uid))
    total = sum(counts.values())
    assert len(uids) == total
    busiest = sum(count for _actor, count in counts.most_common(len(counts) // 10))
    assert busiest > total * 0.35
