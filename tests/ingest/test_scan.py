from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.ingest.conftest import (
    Scan,
    all_versions,
    assert_current_is_newest_version,
    presence,
    versions,
)
from tests.ingest.provider import Provider, SimConnector, thing
from wardship.ingest.scan import Progress, ScanPolicy, accept_held, run_scan
from wardship.model.errors import (
    AuthenticationFailed,
    DataError,
    LimitReached,
    MissingScope,
    NotVisible,
    RateLimited,
    TransitionRefused,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.identity import uid_of
from wardship.model.scan import ScopeStatus
from wardship.store import leases, tables
from wardship.store.columns import FAMILIES
from wardship.store.db import Database


def names(count: int, **extra: object) -> list[dict[str, object]]:
    return [thing(f"a{number:03}", **extra) for number in range(count)]


def test_first_scan_publishes_every_family(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a", owners=("bob",), used=datetime(2026, 1, 1, tzinfo=UTC)), thing("b"))
    report = scan()
    assert report.status == "done"
    assert report.changes == {
        "system": {"appeared": 1},
        "identity": {"appeared": 2},
        "credential": {"appeared": 2},
        "grant": {"appeared": 2},
        "owner": {"appeared": 1},
        "person": {"appeared": 1},
        "usage": {"written": 1},
    }
    with db.read() as conn:
        owner = conn.execute(sa.select(tables.CURRENT["owner"])).one()
        assert owner.holder_uid == uid_of("identity", "sim:1", "a")
        assert owner.person_key == uid_of("person", "sim:people", "bob")
        assert len(conn.execute(sa.select(tables.resolution.c.uid)).scalars().all()) == 2
        for family in (*FAMILIES, "usage"):
            stage = tables.stage_usage if family == "usage" else tables.STAGE[family]
            assert conn.execute(sa.select(sa.func.count()).select_from(stage)).scalar_one() == 0


def test_scanning_again_adds_no_version(db: Database, provider: Provider, scan: Scan) -> None:
    provider.put(provider.scope("1"), *names(10, owners=("bob",)))
    scan()
    before = all_versions(db)
    assert scan().changes == {}
    assert all_versions(db) == before


def test_order_of_objects_and_size_of_pages_change_nothing(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(10))
    scan()
    before = all_versions(db)
    provider.objects[scope.key] = dict(reversed(provider.objects[scope.key].items()))
    provider.page_size = 7
    assert scan(ScanPolicy(chunk_rows=2)).status == "done"
    assert all_versions(db) == before


def test_changed_field_makes_one_version(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, thing("a"), thing("b"))
    scan()
    provider.put(scope, thing("a", enabled=False))
    assert scan().changes == {"identity": {"changed": 1}}
    assert versions(db) == [*versions(db)[:2], ("a", "changed")]
    assert_current_is_newest_version(db)


def test_the_same_thing_on_two_pages_counts_once_and_the_last_stands(
    db: Database, provider: Provider, scan: Scan
) -> None:
    scope = provider.scope("1")
    first, second = thing("a"), {**thing("a"), "name": "Later"}
    provider.objects[scope.key] = {"x": first, "b": thing("b"), "c": thing("c"), "y": second}
    for _ in range(2):
        report = scan(ScanPolicy(chunk_rows=1))
        assert report.duplicates == 2  # the identity and its credential
    with db.read() as conn:
        table = tables.CURRENT["identity"]
        assert conn.execute(sa.select(table.c.name).where(table.c.native_id == "a")).scalar_one() == "Later"
    assert [change for name, change in versions(db) if name == "a"] == ["appeared"]


# ------------------------------------------------------------------ what could not be read


@pytest.mark.parametrize(
    ("error", "page", "status", "reason"),
    [
        (MissingScope("no", scope="sim:List"), 0, ScopeStatus.SKIPPED, "missing_permission"),
        (MissingScope("no", scope="sim:List"), 1, ScopeStatus.PARTIAL, "missing_permission"),
        (NotVisible("no licence"), 0, ScopeStatus.SKIPPED, "not_visible"),
        (RateLimited("slow down"), 1, ScopeStatus.PARTIAL, "throttled"),
        (Unavailable("cut"), 0, ScopeStatus.PARTIAL, "unavailable"),
        (UnexpectedResponse("odd"), 1, ScopeStatus.FAILED, "unexpected"),
        (KeyError("a bug of the connector"), 1, ScopeStatus.FAILED, "unexpected"),
        ("cut", 1, ScopeStatus.PARTIAL, "cut_short"),
        ("cut", 0, ScopeStatus.PARTIAL, "cut_short"),
        ("empty", 0, ScopeStatus.PARTIAL, "empty_after_history"),
    ],
)
def test_a_scope_that_was_not_read_completely_marks_nothing(
    db: Database,
    provider: Provider,
    scan: Scan,
    *,
    error: Exception | str,
    page: int,
    status: ScopeStatus,
    reason: str,
) -> None:
    bad, good = provider.scope("1"), provider.scope("2")
    provider.put(bad, *names(10))
    provider.put(good, *names(5))
    scan()
    provider.faults[bad.key] = lambda number: error if number == page else None
    del provider.objects[bad.key]["a009"]
    for _ in range(3):
        report = scan()
        assert report.status == "incomplete"
        coverage = {c.scope.key: c for c in report.coverage}
        assert coverage[good.key].status is ScopeStatus.COMPLETE
        assert coverage[bad.key].status is status
        assert [problem.reason for problem in coverage[bad.key].problems] == [reason]
    assert set(presence(db).values()) == {"present"}


def test_missing_permission_names_what_is_missing(provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.faults[scope.key] = lambda _page: MissingScope("refused", scope="sim:ListAccounts")
    assert scan().coverage[0].problems[0].permission == "sim:ListAccounts"


def test_fewer_objects_than_the_provider_counts_is_partial(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.totals = True
    provider.put(scope, *names(12))
    scan()
    provider.faults[scope.key] = lambda page: "lose" if page == 2 else None
    coverage = scan().coverage[0]
    assert (coverage.status, coverage.expected_total, coverage.items) == (ScopeStatus.PARTIAL, 12, 9)
    assert set(presence(db).values()) == {"present"}


def test_refused_credential_fails_the_scan_and_publishes_nothing_half_read(
    db: Database, provider: Provider, scan: Scan
) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(10))
    provider.faults[scope.key] = lambda page: AuthenticationFailed("refused") if page == 2 else None
    report = scan()
    assert (report.status, type(report.error)) == ("failed", AuthenticationFailed)
    assert report.coverage[0].status is ScopeStatus.FAILED
    assert presence(db) == {}
    provider.faults.clear()
    after = scan()
    assert (after.status, after.resumed) == ("done", False)
    assert len(presence(db)) == 10


def test_expired_page_token_restarts_the_scope_in_the_same_scan(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(10))
    pages = iter([None, None, UnexpectedResponse("expired", operation="token"), *[None] * 20])
    provider.faults[scope.key] = lambda _page: next(pages)
    report = scan()
    assert (report.status, report.coverage[0].items) == ("done", 10)
    with db.read() as conn:
        assert conn.execute(sa.select(tables.scan_scope.c.restarts)).scalars().all() == [1]


def test_a_token_that_always_expires_ends_as_partial(provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(10))
    provider.faults[scope.key] = lambda page: UnexpectedResponse("expired", operation="token") if page == 1 else None
    coverage = scan().coverage[0]
    assert (coverage.status, coverage.problems[0].reason) == (ScopeStatus.PARTIAL, "expired_token")


def test_deadline_leaves_the_rest_partial(db: Database, provider: Provider, scan: Scan) -> None:
    first, second = provider.scope("1"), provider.scope("2")
    provider.put(first, *names(50))
    provider.put(second, *(thing(f"b{number}") for number in range(5)))
    report = scan(ScanPolicy(scan_deadline=timedelta(seconds=8)))
    assert [c.status for c in report.coverage] == [ScopeStatus.PARTIAL, ScopeStatus.PARTIAL]
    assert 0 < report.coverage[0].items < 50
    assert report.coverage[1].items == 0
    assert {c.problems[0].reason for c in report.coverage} == {"deadline"}
    assert scan().status == "done"
    assert len(presence(db)) == 55


# ------------------------------------------------------------------ leases and resuming


def test_scope_held_by_another_process_is_busy_not_an_error(db: Database, provider: Provider, scan: Scan) -> None:
    busy, free = provider.scope("1"), provider.scope("2")
    provider.put(busy, thing("a"))
    provider.put(free, thing("b"))
    with db.bookkeep() as conn:
        other = leases.take(conn, f"scope:{busy.key}", "elsewhere/1/x", db.clock(), timedelta(hours=1))
    assert other is not None
    report = scan()
    assert (report.status, report.busy) == ("incomplete", (busy,))
    assert presence(db) == {"b": "present"}


def test_interrupted_scan_goes_on_where_it_was(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(30))

    def interrupt(page: int) -> None:
        if page == 5:
            raise KeyboardInterrupt

    provider.faults[scope.key] = interrupt
    with pytest.raises(KeyboardInterrupt):
        scan()
    provider.faults.clear()
    connector = provider.connector()
    report = run_scan(db, connector, connection_name="sim", actor="test")
    assert (report.resumed, report.status, report.coverage[0].items) == (True, "done", 30)
    assert connector.stats.api_calls == 5
    assert report.coverage[0].api_calls == 10
    assert len(presence(db)) == 30


def test_an_old_unfinished_scan_is_given_up(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(30))

    def interrupt(page: int) -> None:
        if page == 5:
            raise KeyboardInterrupt

    provider.faults[scope.key] = interrupt
    with pytest.raises(KeyboardInterrupt):
        scan()
    provider.faults.clear()
    db.clock.advance(hours=30)  # type: ignore[attr-defined]  # the tests' clock
    report = scan()
    assert (report.resumed, report.status) == (False, "done")
    with db.read() as conn:
        assert conn.execute(sa.select(tables.scan.c.status).order_by(tables.scan.c.seq)).scalars().all() == [
            "failed",
            "done",
        ]
        assert conn.execute(sa.select(sa.func.count()).select_from(tables.STAGE["identity"])).scalar_one() == 0


def test_scopes_that_vanish_while_a_scan_is_interrupted_are_closed(
    db: Database, provider: Provider, scan: Scan
) -> None:
    first, second = provider.scope("1"), provider.scope("2")
    provider.put(first, *names(30))
    provider.put(second, thing("z"))

    def interrupt(page: int) -> None:
        if page == 5:
            raise KeyboardInterrupt

    provider.faults[first.key] = interrupt
    with pytest.raises(KeyboardInterrupt):
        scan()
    provider.scopes.remove(first)
    report = scan()
    assert {c.scope.key: c.status for c in report.coverage} == {
        first.key: ScopeStatus.PARTIAL,
        second.key: ScopeStatus.COMPLETE,
    }
    assert report.status == "incomplete"
    assert len(presence(db)) == 16


# ------------------------------------------------------------------ presence


def test_gone_needs_two_complete_misses(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.point_reads = False
    provider.put(scope, *names(20))
    scan()
    lost = provider.objects[scope.key].pop("a003")
    scan()
    assert presence(db)["a003"] == "unconfirmed"
    with db.read() as conn:
        row = conn.execute(sa.select(tables.CURRENT["identity"]).where(sa.column("native_id") == "a003")).one()
        assert row.unconfirmed_since is not None
        assert row.unconfirmed_since > row.last_seen_at
    provider.faults[scope.key] = lambda page: "cut" if page == 1 else None
    scan()
    assert presence(db)["a003"] == "unconfirmed"
    provider.faults.clear()
    scan()
    assert presence(db)["a003"] == "gone"
    provider.put(scope, lost)
    scan()
    assert presence(db)["a003"] == "present"
    assert [change for name, change in versions(db) if name == "a003"] == [
        "appeared",
        "unconfirmed",
        "gone",
        "returned",
    ]
    assert_current_is_newest_version(db)


def test_point_read_settles_at_once(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(20))
    scan()
    del provider.objects[scope.key]["a003"]
    assert scan().changes["identity"] == {"gone": 1}
    assert presence(db)["a003"] == "gone"


def test_point_reads_are_bounded(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(100))
    scan()
    for number in range(15):
        del provider.objects[scope.key][f"a{number:03}"]
    scan(ScanPolicy(point_reads=10))
    assert len(provider.asked) == 10
    states = list(presence(db).values())
    assert (states.count("gone"), states.count("unconfirmed")) == (10, 5)


def test_a_listing_that_the_system_contradicts_marks_nothing(db: Database, provider: Provider, scan: Scan) -> None:
    """One page lost twice, without an error and under the cap: only the point read can tell."""
    scope = provider.scope("1")
    provider.put(scope, *names(100))
    scan()
    provider.faults[scope.key] = lambda page: "lose" if page == 4 else None
    for _ in range(3):
        report = scan(ScanPolicy(point_reads=1))
        assert report.coverage[0].status is ScopeStatus.PARTIAL
        assert report.coverage[0].problems[0].reason == "incomplete_listing"
    assert set(presence(db).values()) == {"present"}


def test_too_many_missing_at_once_wait_for_a_person(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(20))
    scan()
    for number in range(6):
        del provider.objects[scope.key][f"a{number:03}"]
    for _ in range(3):
        report = scan()
        assert report.held == {scope.key: "6 of 20 identity rows are missing at once"}
        assert set(presence(db).values()) == {"present"}
    with pytest.raises(DataError):
        accept_held(db, scope.key, actor="ann", reason=" ")
    accept_held(db, scope.key, actor="ann", reason="we removed the robots")
    assert list(presence(db).values()).count("unconfirmed") == 6
    with db.read() as conn:
        assert conn.execute(sa.select(tables.scope.c.held)).scalars().all() == [None]
    with pytest.raises(TransitionRefused):
        accept_held(db, scope.key, actor="ann", reason="again")
    assert scan().held == {}
    assert list(presence(db).values()).count("gone") == 6
    assert_current_is_newest_version(db)


def test_a_held_scope_that_recovers_is_not_held_any_more(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(20))
    scan()
    kept = dict(provider.objects[scope.key])
    for number in range(6):
        del provider.objects[scope.key][f"a{number:03}"]
    assert scan().held
    provider.objects[scope.key] = kept
    assert scan().held == {}
    assert set(presence(db).values()) == {"present"}


def test_a_scope_that_the_provider_counts_as_empty_is_held(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.totals = True
    provider.put(scope, *names(20))
    scan()
    provider.objects[scope.key].clear()
    report = scan()
    assert report.coverage[0].status is ScopeStatus.COMPLETE
    assert scope.key in report.held


def test_many_dropped_grants_of_an_identity_that_was_read_are_no_blast(
    db: Database, provider: Provider, scan: Scan
) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(12, grants=("read", "write")))
    scan()
    provider.put(scope, *names(12, grants=("read",)))
    assert scan().held == {}
    assert scan().changes["grant"] == {"gone": 12}


def test_quarantined_objects_are_not_missing(db: Database, provider: Provider, scan: Scan) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(20))
    scan()
    provider.put(scope, thing("a003", malformed=True))
    for _ in range(3):
        coverage = scan().coverage[0]
        assert (coverage.status, coverage.quarantined) == (ScopeStatus.PARTIAL, 1)
    assert presence(db)["a003"] == "present"


# ------------------------------------------------------------------ two scopes that see one thing


def test_two_scopes_that_word_a_thing_differently_do_not_flip_flop(
    db: Database, provider: Provider, scan: Scan
) -> None:
    one, other = provider.scope("1"), provider.scope("1", kind="roles")
    provider.put(one, thing("a"))
    provider.put(other, {**thing("a"), "name": "Otherwise"})
    for _ in range(3):
        scan()
    assert versions(db) == [("a", "appeared")]


@pytest.mark.parametrize("owner_first", [True, False])
def test_what_its_scope_loses_and_another_shows_changes_hands_and_stays(
    db: Database, provider: Provider, scan: Scan, *, owner_first: bool
) -> None:
    one, other = provider.scope("1"), provider.scope("1", kind="roles")
    provider.put(one, *names(20))
    provider.put(other, thing("a000"), *(thing(f"b{number}") for number in range(20)))
    scan()
    if not owner_first:
        provider.scopes.reverse()
    del provider.objects[one.key]["a000"]
    for _ in range(3):
        scan()
    assert [change for name, change in versions(db) if name == "a000"] == ["appeared"]
    with db.read() as conn:
        table = tables.CURRENT["identity"]
        keeper = conn.execute(sa.select(table.c.scope_key).where(table.c.native_id == "a000")).scalar_one()
    assert keeper == other.key
    del provider.objects[other.key]["a000"]
    scan()
    assert presence(db)["a000"] == "gone"


def test_progress_tells_scope_and_count(db: Database, provider: Provider) -> None:
    provider.put(provider.scope("1"), *names(7))
    told: list[Progress] = []
    run_scan(db, provider.connector(), connection_name="sim", actor="test", progress=told.append)
    assert [(p.phase, p.number, p.scopes, p.items) for p in told] == [
        ("reading", 1, 1, 3),
        ("reading", 1, 1, 6),
        ("reading", 1, 1, 7),
        ("publishing", 1, 1, 7),
        ("done", 1, 1, 7),
    ]


def test_drift_is_counted_at_the_end(db: Database, provider: Provider) -> None:
    provider.put(provider.scope("1"), thing("a"))
    for _ in range(2):
        connector = provider.connector()
        connector.drift.unknown_value("account.type", "quantum")
        run_scan(db, connector, connection_name="sim", actor="test")
    with db.read() as conn:
        rows = conn.execute(sa.select(tables.drift.c.place, tables.drift.c.what, tables.drift.c.times)).all()
    assert rows == [("account.type", "value 'quantum'", 2)]


@pytest.mark.parametrize("limit", ["deadline", "budget"])
def test_a_limit_of_ours_is_the_reason_why_a_scope_is_partial(provider: Provider, scan: Scan, limit: str) -> None:
    scope = provider.scope("1")
    provider.put(scope, *names(9))
    provider.faults[scope.key] = lambda page: LimitReached("it ran out", limit=limit) if page == 2 else None
    (coverage,) = scan().coverage
    assert (coverage.status, [problem.reason for problem in coverage.problems]) == (ScopeStatus.PARTIAL, [limit])


@pytest.mark.parametrize("skew_s", [None, -90.5])
def test_the_clock_of_the_system_is_compared_with_ours(db: Database, provider: Provider, skew_s: float | None) -> None:
    class Dated(SimConnector):
        clock_skew_s = skew_s

    provider.put(provider.scope("1"), thing("a"))
    run_scan(db, Dated(provider), connection_name="sim", actor="test")
    with db.read() as conn:
        assert conn.scalar(sa.select(tables.scan.c.clock_skew_s)) == skew_s
