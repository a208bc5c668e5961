from __future__ import annotations

import random
from itertools import combinations

import pytest
import sqlalchemy as sa

from tests.ingest.conftest import Clock
from tests.ingest.provider import Provider, thing
from wardship.ingest.scan import run_scan
from wardship.model.errors import DataError, TransitionRefused
from wardship.model.identity import uid_of
from wardship.store import resolution, tables
from wardship.store.db import Database

SCOPE = "1"


def uid(name: str) -> str:
    return uid_of("identity", f"sim:{SCOPE}", name)


def scan(db: Database, provider: Provider) -> None:
    if not isinstance(db.clock, Clock):
        db.clock = Clock()
    run_scan(db, provider.connector(), connection_name="sim", actor="test")


def together(db: Database, name: str) -> set[str]:
    return {member.native_id for member in resolution.members(db, uid(name))}


@pytest.fixture
def provider() -> Provider:
    made = Provider()
    made.scope(SCOPE)
    return made


def put(provider: Provider, name: str, *aliases: str, rank: int = 0) -> None:
    named = [(f"sim:{SCOPE}", alias) for alias in aliases]
    provider.put(provider.scopes[0], thing(name, aliases=named, rank=rank, keys=0, grants=()))


def test_a_row_that_names_another_joins_it(database: Database, provider: Provider) -> None:
    put(provider, "application", "principal", rank=1)
    put(provider, "principal")
    put(provider, "other")
    scan(database, provider)
    found = resolution.members(database, uid("application"))
    assert [(m.native_id, m.identity_uid, m.evidence) for m in found] == [
        ("principal", uid("principal"), ("sim:1", "principal")),
        ("application", uid("principal"), ("sim:1", "principal")),
    ]
    assert [m.evidence for m in resolution.members(database, uid("other"))] == [None]
    assert resolution.members(database, "id_unknown") == []


def test_rows_that_share_an_alias_are_one_and_equal_names_are_not(database: Database, provider: Provider) -> None:
    put(provider, "a", "shared")
    put(provider, "b", "shared")
    provider.put(provider.scopes[0], {**thing("c"), "name": "A"})
    scan(database, provider)
    assert together(database, "a") == {"a", "b"}
    assert together(database, "c") == {"c"}


def test_an_alias_that_is_withdrawn_ends_the_merge(database: Database, provider: Provider) -> None:
    put(provider, "a", "b")
    put(provider, "b")
    scan(database, provider)
    put(provider, "a")
    scan(database, provider)
    assert together(database, "a") == {"a"}
    assert [m.evidence for m in resolution.members(database, uid("b"))] == [None]


def test_split_undoes_a_merge_and_later_scans_honour_it_until_rejoined(database: Database, provider: Provider) -> None:
    put(provider, "a", "b")
    put(provider, "b", "c")
    put(provider, "c")
    scan(database, provider)
    assert together(database, "a") == {"a", "b", "c"}
    resolution.split(database, uid("a"), uid("c"), reason="two teams", actor="ann")
    apart = [together(database, name) for name in "ac"]
    assert apart[0].isdisjoint(apart[1])
    assert len(apart[0] | apart[1]) == 3
    put(provider, "d", "a")
    scan(database, provider)
    assert "c" not in together(database, "a")
    assert "d" in together(database, "a")
    resolution.rejoin(database, uid("c"), uid("a"), reason="one team after all", actor="ann")
    assert together(database, "a") == {"a", "b", "c", "d"}
    with database.read() as conn:
        decisions = conn.execute(sa.select(tables.merge_decision.c.decision)).scalars().all()
    assert decisions == ["split", "rejoin"]


def test_decisions_that_make_no_sense_are_refused(database: Database, provider: Provider) -> None:
    put(provider, "a", "b")
    put(provider, "b")
    put(provider, "c")
    scan(database, provider)
    with pytest.raises(DataError):
        resolution.split(database, uid("a"), uid("b"), reason=" ", actor="ann")
    with pytest.raises(DataError):
        resolution.split(database, uid("a"), uid("a"), reason="x", actor="ann")
    with pytest.raises(TransitionRefused):
        resolution.split(database, uid("a"), uid("c"), reason="x", actor="ann")
    with pytest.raises(TransitionRefused):
        resolution.rejoin(database, uid("a"), uid("b"), reason="x", actor="ann")


def test_groups_are_the_connected_components(database: Database, provider: Provider) -> None:
    """Against a plain search over the same aliases, for a random graph."""
    rng = random.Random(3)
    names = [f"n{n}" for n in range(40)]
    links: dict[str, list[str]] = {n: rng.sample([*names, "x", "y"], rng.choice([0, 0, 0, 1, 2])) for n in names}
    for name, aliases in links.items():
        put(provider, name, *aliases)
    scan(database, provider)
    reached = {name: {name} for name in [*names, "x", "y"]}
    for _ in names:
        for left, right in [(a, b) for a, others in links.items() for b in others]:
            both = reached[left] | reached[right]
            for name in both:
                reached[name] = both
    for left, right in combinations(names, 2):
        if left in names[:8]:
            assert (right in together(database, left)) == (right in reached[left])
    assert resolution.resolve(database, actor="test") == 0
