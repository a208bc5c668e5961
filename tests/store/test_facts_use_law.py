"""The law of "unused": whatever files are taken away, nobody becomes unused by it."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.store.seed import put
from tests.store.test_facts_use import OLD, TODAY, Estate, days
from wardship.store.db import Database

TENANT = "entra:t"
ORGANISATION = "github:acme"
Event = tuple[str, date, bool]  # part of the log, day, whether it is ours


def events(dice: random.Random, parts: list[str]) -> list[Event]:
    """A log on most days in each of its parts; our identity is in a few of them, or in none."""
    start = dice.choice((95, 120))
    quiet = {dice.choice(parts): TODAY - timedelta(days=dice.randint(3, 80))} if dice.random() < 0.2 else {}
    found = [(part, day, False) for part in parts for day in days(start, 0) if quiet.get(part) != day]
    ours = [
        (dice.choice(parts), TODAY - timedelta(days=dice.randint(3, start)), True) for _ in range(dice.randint(0, 2))
    ]
    return found + ours


def fewer(dice: random.Random, kept: list[Event], parts: list[str]) -> list[Event]:
    """Without one part, without one part from some day on or up to it, or without some days."""
    part = dice.choice(parts)
    day = TODAY - timedelta(days=dice.randint(1, 100))
    far = day - timedelta(days=dice.randint(0, 9))
    without = dice.choice(
        (
            lambda one: one[0] == part,
            lambda one: one[0] == part and one[1] >= day,
            lambda one: one[0] == part and one[1] <= day,
            lambda one: one[0] == part and far <= one[1] <= day,
            lambda one: far <= one[1] <= day,
        )
    )
    return [one for one in kept if not without(one)]


def verdicts(estate: Estate, source: str, account: str, actor: tuple[str, str], log: list[Event]) -> dict[str, str]:
    estate.forget()
    for part, day, ours in log:
        estate.log([day], source=source, account=account, parts=[part])
        if ours:
            estate.did(actor[1], on=day, key=None, authority=actor[0], source=source)
    return {row["subject_uid"]: row["verdict"] for row in estate.read("use_verdict", hole_days=0)}


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(n, marks=pytest.mark.chaos) for n in range(6, 200))])
def test_taking_files_away_makes_nobody_unused(database: Database, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    estate = Estate(database, tmp_path)
    put(estate.conn, "system", TENANT, authority=TENANT, kind="entra_tenant")
    app = put(estate.conn, "identity", "sp", authority=TENANT, kind="oauth_app", created_at=OLD)
    put(estate.conn, "system", ORGANISATION, authority=ORGANISATION, kind="github_organisation")
    robot = put(estate.conn, "identity", "robot", authority=ORGANISATION, created_at=OLD)
    source, account, actor, subject, parts = (
        ("entra.signin", "t", (TENANT, "sp"), app, ["interactiveUser", "nonInteractiveUser", "servicePrincipal"])
        if seed % 2
        else ("github.audit", "acme", (ORGANISATION, "robot"), robot, ["api", "git", "web"])
    )
    log = events(dice, parts)
    before = verdicts(estate, source, account, actor, log)[subject]
    assert before in {"used", "unused", "insufficient"}
    for _ in range(3):
        log = fewer(dice, log, parts)
        after = verdicts(estate, source, account, actor, log)[subject]
        assert after != "unused" or before == "unused"
        before = after
