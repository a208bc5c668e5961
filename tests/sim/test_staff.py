"""The people of the demo organisation."""

from __future__ import annotations

import random

from wardship.sim.staff import DOMAIN, employees


def test_the_same_seed_gives_the_same_people() -> None:
    assert employees(200, random.Random(7)) == employees(200, random.Random(7))


def test_addresses_and_ids_are_distinct_and_plain() -> None:
    people = employees(900, random.Random(1))
    assert len({person.email for person in people}) == len({person.id for person in people}) == 900
    assert all(person.email.isascii() and person.email.endswith(f"@{DOMAIN}") for person in people)


def test_some_have_left_and_names_come_in_both_languages() -> None:
    people = employees(900, random.Random(1))
    left = sum(not person.active for person in people)
    assert 30 < left < 110
    assert any(not person.name.isascii() for person in people)
    assert any(person.name.split()[1] in {"Smith", "Jones", "Taylor"} for person in people)
