"""Rotation survives a SIGKILL at every point, on each kind of provider and on both state databases.

The long grids (every double kill, random chains with a person making keys) are under the marker `chaos`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.connectors.pairs import pair
from tests.lifecycle.harness import World, distinct_points, keys_world, make_by_hand, pair_world
from tests.lifecycle.providers import AWS_KEYS, ENTRA_SECRETS
from wardship.lifecycle.machine import Event, Run, Wait
from wardship.lifecycle.rotation import ARROWS, Rotation
from wardship.store import tables
from wardship.store.db import Database

SIMULATED = {"aws": AWS_KEYS, "entra": ENTRA_SECRETS}
KINDS = [*SIMULATED, "postgresql"]

Make = Callable[..., contextlib.AbstractContextManager[World]]


@pytest.fixture
def make(template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """make(kind, url=...) gives a fresh world of that kind."""
    serial = itertools.count()

    @contextlib.contextmanager
    def made(kind: str, **more: Any) -> Iterator[World]:
        folder = tmp_path / f"w{next(serial)}"
        if kind in SIMULATED:
            yield keys_world(template, folder, SIMULATED[kind], **more)
            return
        with pair(request.getfixturevalue("postgres_url")) as roles:
            yield pair_world(template, folder, roles, **more)

    return made


@pytest.fixture
def postgres_state(postgres_url: str) -> Iterator[str]:
    """A state database on PostgreSQL, for many rotations of different targets."""
    name = "t_rotation_" + random.randbytes(4).hex()
    admin = sa.create_engine(
        sa.make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as conn:
        conn.exec_driver_sql(f'create database "{name}" template template0')
    url = sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    db = Database(url, clock=lambda: NOW)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    db.close()
    yield url
    with admin.connect() as conn:
        conn.exec_driver_sql(f'drop database "{name}" with (force)')
    admin.dispose()


def grid(make: Make, kind: str, chains: list[tuple[int, ...]], **more: Any) -> tuple[int, int]:
    """Runs each chain of kills; returns kills and checks. Fails at the first violation."""
    kills = checks = 0
    for chain in chains:
        with make(kind, **more) as world:
            world.drive(*chain)
            at = [world.names[point - 1] for point in itertools.accumulate(chain) if point <= len(world.names)]
            assert world.violations == [], f"killed at {chain} = {at}"
            kills, checks = kills + world.kills, checks + world.checks
    print(f"{kind}: {len(chains)} runs, {kills} kills, {checks} checks, 0 violations")
    return kills, checks


def probes(make: Make, kind: str, **more: Any) -> list[str]:
    """The probe names of a clean run, which must end DONE with one key."""
    with make(kind, **more) as world:
        assert world.drive() == "DONE"
        assert world.violations == []
        return world.names


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_at_every_point_breaks_nothing(kind: str, make: Make) -> None:
    points = distinct_points(probes(make, kind))
    kills, _checks = grid(make, kind, [(point,) for point in points])
    assert kills == len(points)


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_with_the_state_on_postgresql(kind: str, make: Make, postgres_state: str) -> None:
    points = distinct_points(probes(make, kind, url=postgres_state))[1::8]
    kills, _checks = grid(make, kind, [(point,) for point in points], url=postgres_state)
    assert kills == len(points)


def test_a_second_sigkill_in_the_recovery_of_a_lost_answer_breaks_nothing(make: Make) -> None:
    lost = probes(make, "aws").index("before:call:put_pending") + 1
    grid(make, "aws", [(lost, gap) for gap in range(1, 24, 2)])


def test_the_same_lost_answer_is_cleaned_up_and_made_again(make: Make) -> None:
    lost = probes(make, "aws").index("before:call:put_pending") + 1
    with make("aws") as world:
        assert world.drive(lost) == "DONE"
        assert "after:db:INTENT.clean" in world.names
        assert world.row().attempts == 2
        assert len(world.provider.deleted()) == 2  # the lost one and the old one


@pytest.mark.parametrize("kind", SIMULATED)
def test_kills_while_a_person_makes_keys(kind: str, make: Make) -> None:
    for seed in range(8):
        chance = random.Random(seed)
        with make(kind, human=chance) as world:
            state = world.drive(*(chance.randint(1, 30) for _kill in range(chance.randint(1, 4))))
            assert world.violations == [], f"seed {seed}"
            assert state in ("DONE", "BLOCKED")


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
def test_every_double_kill(kind: str, make: Make) -> None:
    names = probes(make, kind)
    grid(make, kind, [(point, gap) for point in range(1, len(names) + 1) for gap in range(1, 13)])


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
def test_every_single_kill_with_the_state_on_postgresql(kind: str, make: Make, postgres_state: str) -> None:
    names = probes(make, kind, url=postgres_state)
    grid(make, kind, [(point,) for point in range(1, len(names) + 1)], url=postgres_state)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", SIMULATED)
def test_a_thousand_random_chains_while_a_person_makes_keys(kind: str, make: Make) -> None:
    human_keys = states = kills = 0
    runs = int(os.environ.get("WARDSHIP_CHAOS_CHAINS", "1000"))
    for seed in range(runs):
        chance = random.Random(seed)
        with make(kind, human=chance) as world:
            state = world.drive(*(chance.randint(1, 60) for _kill in range(chance.randint(1, 6))))
            assert world.violations == [], f"seed {seed}"
            human_keys += sum(maker == "human" for maker in world.provider.live().values())
            states += state == "BLOCKED"
        kills += world.kills
    print(f"{kind}: {runs} chains, {kills} kills, {human_keys} human keys, none deleted; {states} runs blocked")


def test_a_person_who_takes_the_free_slot_of_a_pair_keeps_it(make: Make) -> None:
    with make("postgresql") as world:
        pair_ = world.provider.pair
        names = probes(make, "postgresql")
        world.work(names.index("before:call:create") + 1)  # killed just before the slot is taken
        pair_.run(f"alter role \"{pair_.slots[1]}\" login password 'by hand' valid until 'infinity'")
        assert world.drive() == "BLOCKED"
        assert pair_.works(pair_.slots[1], "by hand")
        assert pair_.works(pair_.slots[0], pair_.password)
        assert world.row().foreign_ids == f'["{pair_.slots[1]}"]'


# ---------------------------------------------------------------- the harness bites: five deliberate bugs


class NoCleanUp(Rotation):
    """Takes whatever a lost answer left behind for somebody else's."""

    def _provably_ours(self, _run: Run, _surplus: list[Any]) -> str | None:
        return None


class ValueStoredAfter(Rotation):
    """Stores the value only once the creation is on record."""

    late: tuple[Any, ...] = ()

    def _create(self, run: Run) -> Any:
        def keep(*values: Any) -> None:
            type(self).late = values

        new = run.call("create", self.actor.create, run.row.target, run.op_id, keep)
        return {"new_id": new, "attempt": 1, "minted_at": run.now, "successes": 0}

    def _minted(self, run: Run) -> Event | Wait:
        if self.late:
            run.call("put_pending", self.store.put_pending, run.op_id, *self.late)
            type(self).late = ()
        return super()._minted(run)


class NoGrace(Rotation):
    """Stops the old one as soon as the new one is current."""

    def _out_of_use(self, _run: Run, _id: str, _since: Any) -> Wait | None:
        return None


class NoProvenance(Rotation):
    """Takes any surplus for its own."""

    def _explain(self, run: Run, surplus: list[Any]) -> Event | Wait:
        return Event("clean", {"settle_from": run.now}, due_at=run.now + self.settle, about=surplus[0].id)


class NoTest(Rotation):
    """Promotes what was never tried."""

    def _minted(self, _run: Run) -> Event | Wait:
        return Event("prove")


def sightings(make: Make, kind: str, bug: type[Rotation], *, human: bool = False) -> list[str]:
    """What the harness reports of a buggy saga, up to its first sighting."""
    names = probes(make, kind)
    create = names.index("before:call:create") + 1
    for point in range(create, create + 6):
        with make(kind, workflow=bug) as world:
            if human:
                world.check()
                world.work(create)
                make_by_hand(world.provider)
            world.drive(point)
            if world.violations:
                return world.violations
    return []


def test_harness_catches_a_missing_clean_up(make: Make) -> None:
    assert any("our keys are live" in each for each in sightings(make, "entra", NoCleanUp))


def test_harness_catches_a_value_stored_too_late(make: Make) -> None:
    assert any(each.startswith("I2") for each in sightings(make, "aws", ValueStoredAfter))


def test_harness_catches_a_missing_grace(make: Make) -> None:
    assert any(each.startswith("I1") for each in sightings(make, "aws", NoGrace))


def test_harness_catches_a_deletion_without_provenance(make: Make) -> None:
    assert any("made by a person and deleted" in each for each in sightings(make, "aws", NoProvenance, human=True))


def test_harness_catches_a_promotion_without_test(make: Make) -> None:
    assert any(each.startswith("I1") for each in sightings(make, "aws", NoTest))


def test_every_compensation_is_the_step_of_an_undo() -> None:
    undone_by = {(state, arrow.step) for (state, event), arrow in ARROWS.items() if event == "undo"}
    for arrow in ARROWS.values():
        if arrow.compensation is not None:
            assert (arrow.to, arrow.compensation) in undone_by
