"""The headline numbers can be counted again from the lists, and nothing unknown is counted as good."""

from __future__ import annotations

from collections import Counter

from wardship.app import App
from wardship.services import headline, inventory, listings


def test_the_numbers_are_those_of_the_lists(demo: App) -> None:
    with demo.facts() as facts:
        numbers = headline.compute(demo.db, facts, demo.clock())
        identities = list(inventory.everything(demo.db, facts, inventory.Filter()))
        found = list(listings.findings(demo.db, facts))
        areas = list(listings.coverage(demo.db))
    assert numbers.identities == len(identities)
    assert (
        numbers.findings_total
        == len(found)
        == sum(row["findings"] for row in identities)
        + sum(row["identity_uid"] not in {one["uid"] for one in identities} for row in found)
    )
    assert numbers.severities == Counter(row["severity"] for row in found)
    assert (numbers.areas, numbers.areas_complete) == (len(areas), sum(a["status"] == "complete" for a in areas))
    assert numbers.owned + numbers.suggested + numbers.owner_unknown <= numbers.identities
    assert numbers.static_old + numbers.static_age_unknown <= numbers.static_credentials


def test_kinds_and_ages_add_up(demo: App) -> None:
    with demo.facts() as facts:
        systems, kinds, counts = headline.system_kinds(facts)
        assert sum(counts.values()) == headline.compute(demo.db, facts, demo.clock()).identities
        ages = headline.ages(facts, demo.clock())
    assert {key[0] for key in counts} == set(systems)
    assert {key[1] for key in counts} == set(kinds)
    assert any(row["older"] for row in ages)


def test_the_riskiest_have_most_findings_first_and_nobody_twice(demo: App) -> None:
    with demo.facts() as facts:
        rows = headline.riskiest(demo.db, facts, 30)
    numbers = [row["findings"] for row in rows]
    assert len({row["uid"] for row in rows}) == len(rows) == 30
    assert numbers == sorted(numbers, reverse=True)


def test_what_was_not_read_has_a_name_and_its_blind_spots_are_said(demo: App) -> None:
    with demo.facts() as facts:
        (gap,) = headline.unread(demo.db, facts)
    assert gap["missing_permission"] == "secretsmanager:ListSecrets"
    assert gap["system"] != gap["authority"], "a person knows the system by its name"
    assert headline.blind_spots(demo.db)
