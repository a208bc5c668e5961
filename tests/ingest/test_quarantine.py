from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.conftest import Scan, presence, versions
from tests.ingest.provider import Provider, SimConnector, thing
from wardship.ingest.quarantine import MAX_ITEM_CHARS, bad_item, replay_quarantine, restore_item
from wardship.ingest.scan import ScanPolicy, run_scan
from wardship.model.errors import DataError
from wardship.model.scan import RawPage, Scope, ScopeStatus
from wardship.sdk.connector import Record
from wardship.sdk.redact import MASK
from wardship.store import leases, tables
from wardship.store.db import Database


def rows(db: Database) -> list[Any]:
    with db.read() as conn:
        return list(conn.execute(sa.select(tables.quarantine).order_by(tables.quarantine.c.id)))


def test_one_bad_object_costs_one_row_and_the_rest_is_published(db: Database, provider: Provider, scan: Scan) -> None:
    provider.put(provider.scope("1"), thing("a"), thing("bad", malformed=True), thing("c"))
    coverage = scan().coverage[0]
    assert (coverage.status, coverage.items, coverage.quarantined) == (ScopeStatus.PARTIAL, 3, 1)
    assert presence(db) == {"a": "present", "c": "present"}
    (row,) = rows(db)
    assert (row.reason, row.times) == ("DataError: bad is malformed", 1)
    assert json.loads(row.item)["id"] == "bad"


def test_the_same_bad_object_is_one_row_counted_again(db: Database, provider: Provider, scan: Scan) -> None:
    provider.put(provider.scope("1"), thing("bad", malformed=True))
    for _ in range(3):
        scan()
    assert [row.times for row in rows(db)] == [3]


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        "text",
        [],
        {},
        {"id": "x"},
        {"id": 3, "name": "n"},
        {"id": "x" * 3000, "name": "n"},
        {"id": "", "name": ""},
    ],
)
def test_a_parser_that_trips_over_an_object_costs_that_object_only(
    db: Database, provider: Provider, scan: Scan, item: object
) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a"))
    provider.objects[scope.key]["odd"] = item  # type: ignore[assignment]  # what no provider should send
    assert scan().coverage[0].quarantined == 1
    assert presence(db) == {"a": "present"}


def test_ten_thousand_malformed_objects_are_all_kept(db: Database, provider: Provider, scan: Scan) -> None:
    provider.page_size = 5_000
    scope = provider.scope("1")
    odd: list[Any] = [None, 3, "\0\ud800", {"id": "\0"}, {"id": "x", "name": ["\ud834"]}, {"name": float("nan")}]
    for number in range(10_000):
        base = odd[number % len(odd)]
        provider.objects[scope.key][str(number)] = {"n": number, "value": base, "k\0": "\udfff"}
    report = scan()
    assert report.coverage[0].quarantined == 10_000
    assert sum(row.times for row in rows(db)) == 10_000
    assert len(rows(db)) == 10_000


class Naming(SimConnector):
    """Yields what the object says, whatever it is."""

    def parse(self, scope: Scope, item: Any) -> Iterator[Record]:
        return super().parse(scope, {"keys": 1, **item})


@pytest.mark.parametrize(
    "name",
    ["nul\0inside", "lone \ud800 surrogate", "\x1b[31mred", "=HYPERLINK()", "\u202eltr", "x" * 10_000, "🔑" * 900],
)
def test_hostile_names_are_stored_on_every_database(db: Database, provider: Provider, scan: Scan, name: str) -> None:
    scope = provider.scope("1")
    hostile = {**thing("a", attributes={"note": name}), "name": name}
    provider.put(scope, hostile, {**thing(f"id-{name[:200]}"), "name": name})
    report = scan()
    assert (report.status, report.changes["identity"]) == ("done", {"appeared": 2})
    assert scan().changes == {}
    with db.read() as conn:
        stored = conn.execute(sa.select(tables.CURRENT["identity"].c.name)).scalars().all()
    assert all(stored)
    assert all("\0" not in text for text in stored)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
        max_leaves=12,
    )
)
def test_whatever_an_object_is_it_can_be_kept(item: Any) -> None:
    kept = bad_item(item, ValueError("secret text"))
    kept.item.encode("ascii")
    restore_item(kept.item)
    assert "secret text" not in kept.reason
    assert kept == bad_item(item, ValueError("other text"))


def test_deep_and_huge_objects_are_kept_in_part() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    restore_item(bad_item(deep, ValueError()).item)
    huge = bad_item({"a": ["x" * 100] * 10_000, "n": 10**5000}, ValueError())
    assert len(huge.item) < MAX_ITEM_CHARS
    with pytest.raises(DataError):
        restore_item(huge.item)


@pytest.mark.parametrize(
    "item",
    [
        {"secretid": "plain-words-here"},
        {"name": "ghp_" + "a1B2c3D4e5" * 4},
        {"tags": [{"ghp_" + "a1B2c3D4e5" * 4: "x"}]},
        {"attributes": {"private_key": "-----BEGIN PRIVATE KEY-----"}},
    ],
)
def test_no_secret_is_kept_whatever_it_hides_behind(item: dict[str, Any]) -> None:
    kept = bad_item(item, DataError("token ghp_" + "a1B2c3D4e5" * 4))
    for secret in ("plain-words-here", "a1B2c3D4e5", "BEGIN PRIVATE"):
        assert secret not in kept.item
        assert secret not in kept.reason


def test_secrets_are_masked_and_instants_survive() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    kept = bad_item(
        {"client_secret": "hunter2-hunter2", "created": when, "day": date(2026, 1, 2), "password_enabled": "true"},
        ValueError(),
    )
    assert "hunter2" not in kept.item
    assert restore_item(kept.item) == {
        "client_secret": MASK,
        "created": when,
        "day": date(2026, 1, 2),
        "password_enabled": "true",
    }


class Learnt(SimConnector):
    """A later version of the connector, which understands what was malformed."""

    def parse(self, scope: Scope, item: Any) -> Iterator[Record]:
        return super().parse(scope, {key: value for key, value in item.items() if key != "malformed"})


def test_replay_publishes_what_is_understood_now(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a"), *(thing(f"b{n}", malformed=True) for n in range(5)))
    provider.objects[scope.key]["odd"] = 7  # type: ignore[assignment]  # what no provider should send
    scan()
    report = replay_quarantine(
        db, Learnt(provider), connection_name="sim", actor="ann", policy=ScanPolicy(chunk_rows=2)
    )
    assert (report.replayed, report.still_bad, report.busy) == (5, 1, ())
    assert len(presence(db)) == 6
    again = replay_quarantine(db, Learnt(provider), connection_name="sim", actor="ann")
    assert (again.replayed, again.still_bad) == (0, 1)


def test_replay_does_not_write_over_what_a_later_scan_saw(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a", malformed=True, enabled=False))
    scan()
    provider.put(scope, thing("a", enabled=True))
    scan()
    replay_quarantine(db, Learnt(provider), connection_name="sim", actor="ann")
    assert versions(db) == [("a", "appeared")]
    with db.read() as conn:
        assert conn.execute(sa.select(tables.CURRENT["identity"].c.enabled)).scalars().all() == [True]


def test_replay_leaves_a_scope_that_is_being_scanned(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a", malformed=True))
    scan()
    with db.bookkeep() as conn:
        assert leases.take(conn, f"scope:{scope.key}", "elsewhere/1/x", db.clock())
    report = replay_quarantine(db, Learnt(provider), connection_name="sim", actor="ann")
    assert (report.replayed, report.busy) == (0, (scope.key,))


def test_masked_text_is_never_published(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a", malformed=True, attributes={"api_key": "abcdef-123456"}))
    scan()
    report = replay_quarantine(db, Learnt(provider), connection_name="sim", actor="ann")
    assert (report.replayed, report.still_bad) == (0, 1)
    assert presence(db) == {}


class OneBigPage(SimConnector):
    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        yield RawPage(items=list(self.provider.objects[scope.key].values()))


def test_a_page_larger_than_a_chunk_is_staged_in_parts(db: Database, provider: Provider) -> None:
    scope = provider.scope("1")
    provider.put(scope, *(thing(f"a{n}") for n in range(50)), *(thing(f"b{n}", malformed=True) for n in range(9)))
    report = run_scan(db, OneBigPage(provider), connection_name="sim", actor="test", policy=ScanPolicy(chunk_rows=10))
    assert (report.coverage[0].items, report.coverage[0].quarantined) == (59, 9)
    assert len(presence(db)) == 50
