from __future__ import annotations

from datetime import timedelta

import pytest

from tests.ingest.conftest import Clock
from tests.ingest.provider import Provider, thing
from wardship.ingest.scan import ScanReport, run_scan
from wardship.model.identity import uid_of
from wardship.store import history
from wardship.store.db import Database

A = uid_of("identity", "sim:1", "a")
DAY = timedelta(days=1)


class Organisation:
    """One account whose object changes from day to day."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = db.clock = Clock()
        self.provider = Provider()
        self.scope = self.provider.scope("1")
        self.provider.put(self.scope, *(thing(f"x{n}") for n in range(20)))

    def scan(self, **facts: object) -> ScanReport:
        """Scans with object `a` as given."""
        self.clock.advance(days=1)
        self.provider.put(self.scope, thing("a", **facts))
        return run_scan(self.db, self.provider.connector(), connection_name="sim", actor="test")


@pytest.fixture
def organisation(database: Database) -> Organisation:
    return Organisation(database)


def test_who_owned_it_and_what_did_we_know(organisation: Organisation) -> None:
    first = organisation.scan(owners=("bob",))
    second = organisation.scan(owners=("carol",))
    third = organisation.scan(owners=("carol",))
    db = organisation.db

    def owners(valid: ScanReport, known: ScanReport) -> set[str]:
        rows = history.held_as_of(db, "owner", A, valid_at=valid.finished_at, known_at=known.finished_at)
        return {f"{row['claim']} {row['presence']}" for row in rows}

    assert owners(first, third) == {"bob present"}
    assert owners(second, second) == {"bob unconfirmed", "carol present"}
    assert owners(third, third) == {"carol present"}
    assert owners(third, first) == {"bob present"}, "on the first day we did not know better"
    assert history.held_as_of(db, "owner", A, valid_at=first.started_at - DAY) == []


def test_as_of_is_the_version_of_that_day(organisation: Organisation) -> None:
    first = organisation.scan(enabled=True)
    second = organisation.scan(enabled=False)
    db = organisation.db
    old = history.as_of(db, "identity", A, valid_at=first.finished_at)
    new = history.as_of(db, "identity", A, valid_at=second.finished_at)
    assert old is not None
    assert new is not None
    assert (old["enabled"], new["enabled"]) == (True, False)
    assert history.as_of(db, "identity", A, valid_at=second.finished_at, known_at=first.finished_at) == old
    assert history.as_of(db, "identity", A, valid_at=first.started_at - DAY) is None


def test_changes_tell_field_by_field(organisation: Organisation) -> None:
    first = organisation.scan(enabled=True, attributes={"region": "eu", "tier": 1})
    second = organisation.scan(enabled=False, attributes={"region": "us", "tier": 1})
    db = organisation.db
    (changed,) = history.changes(db, since=first.finished_at, until=second.finished_at)
    assert (changed.family, changed.uid, changed.change) == ("identity", A, "changed")
    assert changed.fields == {"enabled": (True, False), "attributes.region": ("eu", "us")}
    appeared = list(history.changes(db, since=first.started_at - DAY, until=first.finished_at, families=("identity",)))
    assert len(appeared) == 21
    assert {(change.change, len(change.fields)) for change in appeared} == {("appeared", 0)}
    del organisation.provider.objects[organisation.scope.key]["x1"]
    third = organisation.scan(enabled=False, attributes={"region": "us", "tier": 1})
    gone = [c for c in history.changes(db, since=second.finished_at) if c.family == "identity"]
    assert [(c.change, c.fields, c.scan_id) for c in gone] == [
        ("gone", {"presence": ("present", "gone")}, third.scan_id)
    ]
