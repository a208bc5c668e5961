"""Snapshots: the same facts have the same id everywhere, nothing half-written is seen, and the joins say the truth."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from tests.conftest import NOW, ROOT
from tests.store.seed import ACCOUNT, SEEN, TENANT, merge, put, use
from wardship.model.access import CredentialType
from wardship.model.errors import ConfigError, DataError
from wardship.model.facts import FACTS, Snapshot
from wardship.model.identity import uid_of
from wardship.store import tables
from wardship.store.db import Database
from wardship.store.facts import (
    latest_snapshot,
    open_snapshot,
    remove_old_snapshots,
    snapshot_at,
    verify_snapshot,
    write_snapshot,
)

LONG_AGO = SEEN - timedelta(days=200)


def facts(snapshot: Snapshot, table: str) -> list[dict[str, Any]]:
    with duckdb.connect() as db:
        found = db.execute(f"select * from read_parquet('{snapshot.file(table)}')")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def write(database: Database, tmp_path: Path) -> Callable[[], Snapshot]:
    return lambda: write_snapshot(database, tmp_path / "facts", as_of=NOW, scan_seq=1)


@pytest.fixture
def one(database: Database, write: Callable[[], Snapshot]) -> Callable[..., dict[str, Any]]:
    """The only row of a fact table after `fill` has put rows into the database."""

    def look(fill: Callable[[Connection], object], table: str = "identity") -> dict[str, Any]:
        with database.bookkeep() as conn:
            fill(conn)
        (row,) = facts(write(), table)
        return row

    return look


def test_an_empty_database_gives_empty_tables_with_every_column(write: Callable[[], Snapshot]) -> None:
    snapshot = write()
    for table, columns in FACTS.items():
        with duckdb.connect() as db:
            described = db.execute(f"describe select * from read_parquet('{snapshot.file(table)}')").fetchall()
        assert {row[0]: row[1] for row in described} == dict(columns)
        assert snapshot.tables[table][0] == 0


def _estate(conn: Connection, order: int = 1) -> None:
    """A little of everything, put in one order or the other."""

    def first() -> None:
        holder = put(conn, "identity", "u1", name="Zoë", enabled=True, created_at=LONG_AGO)
        key = put(conn, "credential", "k1", holder_uid=holder, enabled=True, created_at=LONG_AGO, no_expiry=True)
        use(conn, key, "used", last_used_at=SEEN, since=LONG_AGO)
        put(conn, "grant", "g1", holder_uid=holder, tenant_wide=False, condition='{"a":1}')
        put(
            conn,
            "owner",
            "o1",
            holder_uid=holder,
            claim="ana@example.com",
            expires_on=date(2027, 1, 1),
            confidence=1 / 3,
        )

    def second() -> None:
        put(conn, "identity", "u2", name=None, enabled=None, attributes='{"b": [1, null, "x"]}')
        put(conn, "person", "p1", name="Ana", email="ana@example.com", active=True)
        put(conn, "supplier", "s1", name="Acme", matches='["acme.example"]', contract_end_on=date(2026, 1, 1))
        put(conn, "system", "x", name="prod")

    for part in (first, second)[::order]:
        part()


def test_the_same_facts_have_the_same_id_whatever_the_database_and_the_order(tmp_path: Path, postgres_url: str) -> None:
    ids = set()
    for number, order in enumerate((1, -1)):
        db = Database(f"sqlite:///{tmp_path}/{number}.db", clock=lambda: NOW)
        with db.bookkeep() as conn:
            tables.metadata.create_all(conn)
            _estate(conn, order)
        ids.add(write_snapshot(db, tmp_path / str(number), as_of=NOW, scan_seq=number).id)
        db.close()
    import uuid

    import sqlalchemy as sa

    schema = f"s_{uuid.uuid4().hex[:8]}"
    url = sa.make_url(postgres_url).update_query_dict({"options": f"-csearch_path={schema}"})
    admin = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with admin.begin() as conn:
        conn.exec_driver_sql(f"create schema {schema}")
    try:
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"))
        with engine.begin() as conn:
            tables.metadata.create_all(conn)
            _estate(conn)
        db = Database(url, clock=lambda: NOW)
        db._reader = db._writer = engine  # a schema of its own instead of a database of its own
        ids.add(write_snapshot(db, tmp_path / "pg", as_of=NOW, scan_seq=9).id)
        engine.dispose()
    finally:
        with admin.begin() as conn:
            conn.exec_driver_sql(f"drop schema {schema} cascade")
        admin.dispose()
    assert len(ids) == 1


def test_writing_again_is_the_same_snapshot_and_it_verifies(
    database: Database, write: Callable[[], Snapshot], tmp_path: Path
) -> None:
    with database.bookkeep() as conn:
        _estate(conn)
    snapshot = write()
    assert write() == snapshot
    verify_snapshot(snapshot)
    assert open_snapshot(tmp_path / "facts", snapshot.id) == snapshot
    assert latest_snapshot(database, tmp_path / "facts") == snapshot
    assert snapshot_at(database, tmp_path / "facts", NOW) == snapshot
    assert snapshot_at(database, tmp_path / "facts", NOW - timedelta(days=1)) is None
    assert sorted(path.name for path in snapshot.folder.iterdir()) == sorted(
        [*(f"{table}.parquet" for table in FACTS), "manifest.json"]
    )


def test_a_changed_file_is_found_out(database: Database, write: Callable[[], Snapshot]) -> None:
    with database.bookkeep() as conn:
        _estate(conn)
    snapshot = write()
    with duckdb.connect() as db:
        db.execute(f"create table t as select * replace ('other' as name) from '{snapshot.file('identity')}'")
        db.execute(f"copy t to '{snapshot.file('identity')}' (format parquet)")
    with pytest.raises(DataError, match="identity is not what was written"):
        verify_snapshot(snapshot)
    snapshot.file("owner").unlink()
    snapshot.file("identity").write_bytes(b"nothing")
    with pytest.raises(DataError, match="identity cannot be read"):
        verify_snapshot(snapshot)


@pytest.mark.parametrize("name", ["../facts", "", "a" * 63, "g" * 64, "a" * 64])
def test_an_id_that_is_not_there_is_said_plainly(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="snapshot"):
        open_snapshot(tmp_path, name)


# ---------------------------------------------------------------- hostile text

_HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["", "NULL", "\\N", '"', '""', "a,b", "a\nb", "a\r\nb", "\r", "\ufeff", "\x1f\x1e", "é\u202e", "'; drop table x --"]
)
_MANY = int(os.environ.get("WARDSHIP_EXAMPLES", "10"))


@given(texts=st.lists(st.tuples(_HOSTILE, _HOSTILE), min_size=1, max_size=5))
@settings(max_examples=_MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_text_comes_through_exactly(
    texts: list[tuple[str, str]], database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not database.is_sqlite:  # PostgreSQL holds no NUL at all
        texts = [(name.replace("\0", ""), purpose.replace("\0", "")) for name, purpose in texts]
    with database.bookkeep() as conn:
        conn.execute(tables.CURRENT["identity"].delete())
        for number, (name, purpose) in enumerate(texts):
            put(conn, "identity", f"u{number}", name=name, purpose=purpose)
    snapshot = write_snapshot(database, tmp_path_factory.mktemp("facts"), as_of=NOW, scan_seq=1)
    found = {row["native_id"]: (row["name"], row["purpose"]) for row in facts(snapshot, "identity")}
    assert found == {f"u{number}": pair for number, pair in enumerate(texts)}
    verify_snapshot(snapshot)


def test_half_surrogates_in_json_text_do_not_stop_a_merge(one: Callable[..., dict[str, Any]]) -> None:
    def fill(conn: Connection) -> None:
        a = put(conn, "identity", "a", attributes='{"x":"\\ud800"}')
        merge(conn, a, put(conn, "identity", "b", rank=1, attributes='{"y":1}'))

    assert one(fill)["attributes"] == '{"x":"\\ud800"}'


# ---------------------------------------------------------------- merged identities


def test_the_first_part_that_knows_speaks_and_it_is_present_while_any_part_is(
    one: Callable[..., dict[str, Any]],
) -> None:
    def fill(conn: Connection) -> None:
        principal = put(
            conn,
            "identity",
            "sp",
            authority=TENANT,
            rank=0,
            presence="gone",
            kind="oauth_app",
            attributes='{"a":1,"b":1}',
        )
        app = put(
            conn,
            "identity",
            "app",
            authority=TENANT,
            rank=1,
            name="Billing",
            created_at=LONG_AGO,
            attributes='{"b":2,"c":2}',
        )
        merge(conn, principal, app)
        put(conn, "credential", "s", authority=TENANT, holder_uid=app, type="client_secret")
        put(conn, "grant", "g", authority=TENANT, holder_uid=principal, tier="sensitive_read", tenant_wide=True)
        put(conn, "grant", "h", authority=TENANT, holder_uid=app, tier="read")
        put(conn, "grant", "i", authority=TENANT, holder_uid=app, tier="control_plane", effect="deny")
        put(conn, "grant", "j", authority=TENANT, holder_uid=app, tier="control_plane", presence="gone")

    row = one(fill)
    assert row["uid"] == uid_of("identity", TENANT, "sp")
    assert (row["kind"], row["name"], row["created_at"]) == ("oauth_app", "Billing", LONG_AGO.replace(tzinfo=None))
    assert (row["presence"], row["parts"], row["credentials"], row["static_credentials"]) == ("present", 2, 1, 1)
    assert (row["grants"], row["worst_tier"], row["tenant_wide"]) == (2, "sensitive_read", True)
    assert json.loads(row["attributes"]) == {"a": 1, "b": 1, "c": 2}


def test_a_credential_belongs_to_the_merged_identity(one: Callable[..., dict[str, Any]]) -> None:
    def fill(conn: Connection) -> None:
        a = put(conn, "identity", "a", name="A", criticality="high")
        b = put(conn, "identity", "b", rank=1)
        merge(conn, a, b)
        put(conn, "credential", "k", holder_uid=b)

    row = one(fill, "credential")
    assert (row["identity_uid"], row["identity_name"]) == (uid_of("identity", ACCOUNT, "a"), "A")
    assert row["identity_criticality"] == "high"


def test_what_nobody_holds_has_no_identity(one: Callable[..., dict[str, Any]]) -> None:
    row = one(lambda conn: put(conn, "credential", "s", type="stored_secret", holder_uid=None), "credential")
    assert (row["identity_uid"], row["use_state"], row["use_source"]) == (None, "unknown", None)


@pytest.mark.parametrize("kind", list(CredentialType))
def test_static_credentials_are_what_can_be_copied(one: Callable[..., dict[str, Any]], kind: CredentialType) -> None:
    def fill(conn: Connection) -> None:
        holder = put(conn, "identity", "u")
        put(conn, "credential", "on", holder_uid=holder, type=kind)
        put(conn, "credential", "off", holder_uid=holder, type=kind, enabled=False)
        put(conn, "credential", "gone", holder_uid=holder, type=kind, presence="gone")

    static = {"access_key", "client_secret", "console_password", "password", "api_key", "token", "ssh_key"}
    row = one(fill)
    assert row["static_credentials"] == (1 if kind in static else 0)
    assert (row["credentials"], row["enabled_credentials"]) == (2, 1)


# ---------------------------------------------------------------- use

Case = tuple[str, Callable[[Connection, str, str], object], tuple[str, bool]]
_READ = SEEN.replace(tzinfo=None)
_USE_CASES: list[Case] = [
    ("nobody looked", lambda _c, _i, _k: None, ("unknown", False)),
    ("its key was used", lambda c, _i, k: use(c, k, "used", last_used_at=LONG_AGO), ("used", True)),
    ("its only key was never used", lambda c, _i, k: use(c, k, "never", since=LONG_AGO), ("never", True)),
    ("the source does not know", lambda c, _i, k: use(c, k, "unknown"), ("unknown", False)),
    (
        "it was never used itself, which covers the silent key",
        lambda c, i, _k: use(c, i, "never", since=LONG_AGO),
        ("never", True),
    ),
    (
        "one source says never, another cannot tell",
        lambda c, i, _k: (use(c, i, "never", since=LONG_AGO), use(c, i, "unknown", "other")),
        ("unknown", False),
    ),
    (
        "used long ago, but another source cannot tell about since",
        lambda c, i, k: (use(c, i, "unknown"), use(c, k, "used", last_used_at=LONG_AGO)),
        ("used", False),
    ),
    (
        "one key was never used, the other key is silent",
        lambda c, i, k: (use(c, k, "never", since=LONG_AGO), put(c, "credential", "k2", holder_uid=i)),
        ("unknown", False),
    ),
    (
        "the silent key is disabled",
        lambda c, i, k: (use(c, k, "never", since=LONG_AGO), put(c, "credential", "k2", holder_uid=i, enabled=False)),
        ("never", True),
    ),
]


@pytest.mark.parametrize(("fill", "expected"), [case[1:] for case in _USE_CASES], ids=[case[0] for case in _USE_CASES])
def test_unknown_is_not_never(
    one: Callable[..., dict[str, Any]],
    fill: Callable[[Connection, str, str], object],
    expected: tuple[str, bool],
) -> None:
    def everything(conn: Connection) -> None:
        holder = put(conn, "identity", "u")
        fill(conn, holder, put(conn, "credential", "k", holder_uid=holder, enabled=True))

    row = one(everything)
    assert (row["use_state"], row["use_read_at"] is not None) == expected


def test_use_is_known_up_to_the_oldest_answer(one: Callable[..., dict[str, Any]]) -> None:
    def fill(conn: Connection) -> None:
        key = put(conn, "credential", "k", holder_uid=put(conn, "identity", "u"))
        use(conn, key, "used", "b", last_used_at=LONG_AGO, since=LONG_AGO, read_at=SEEN)
        use(conn, key, "never", "a", since=SEEN - timedelta(days=9), read_at=SEEN - timedelta(days=3))

    row = one(fill, "credential")
    assert (row["use_state"], row["use_source"]) == ("used", "a,b")
    assert row["last_used_at"] == LONG_AGO.replace(tzinfo=None)
    assert row["use_read_at"] == _READ - timedelta(days=3)
    assert row["use_since"] == _READ - timedelta(days=9)


# ---------------------------------------------------------------- owners and suppliers


@pytest.mark.parametrize(
    ("claim", "person", "expected"),
    [
        ({"claim": "ANA@Example.com "}, {"email": "ana@example.com", "active": True}, ("suggested", "Ana", True)),
        ({"claim": "Ana"}, {"email": "ana@example.com", "active": True}, ("unresolved", None, None)),
        ({"claim": "bob@example.com"}, {"email": "ana@example.com", "active": True}, ("unresolved", None, None)),
        ({"claim": "x", "state": "rejected"}, {"email": "x", "active": True}, ("none", None, None)),
        ({"claim": "ana@example.com"}, {"email": "ana@example.com", "active": None}, ("suggested", "Ana", None)),
        ({"claim": "ana@example.com"}, {"email": "ana@example.com", "active": False}, ("suggested", "Ana", False)),
        (
            {"claim": "ana@example.com"},
            {"email": "ana@example.com", "active": True, "presence": "gone"},
            ("suggested", "Ana", False),
        ),
        (
            {"claim": "ana@example.com", "state": "attested", "expires_on": date(2027, 1, 1)},
            {"email": "ana@example.com", "active": True},
            ("attested", "Ana", True),
        ),
        (
            {"claim": "ana@example.com", "state": "attested", "expires_on": date(2026, 11, 21)},
            {"email": "ana@example.com", "active": True},
            ("lapsed", "Ana", True),
        ),
        (
            {"claim": "whatever", "person_key": uid_of("person", ACCOUNT, "p")},
            {"email": None, "active": True},
            ("suggested", "Ana", True),
        ),
    ],
)
def test_an_owner_is_somebody_known_by_exact_id_or_address_never_by_name(
    one: Callable[..., dict[str, Any]],
    claim: dict[str, Any],
    person: dict[str, Any],
    expected: tuple[str, str | None, bool | None],
) -> None:
    def fill(conn: Connection) -> None:
        put(conn, "person", "p", name="Ana", **person)
        put(conn, "owner", "o", holder_uid=put(conn, "identity", "u"), **claim)

    row = one(fill)
    assert (row["owner_state"], row["owner_name"], row["owner_active"]) == expected


def test_a_living_owner_speaks_before_one_who_left(one: Callable[..., dict[str, Any]]) -> None:
    def fill(conn: Connection) -> None:
        holder = put(conn, "identity", "u")
        put(conn, "person", "left", name="Ana", email="ana@example.com", active=False)
        put(conn, "person", "here", name="Bob", email="bob@example.com", active=True)
        put(conn, "owner", "1", holder_uid=holder, claim="ana@example.com", state="attested")
        put(conn, "owner", "2", holder_uid=holder, claim="bob@example.com")
        put(conn, "owner", "3", holder_uid=holder, claim="nobody")

    row = one(fill)
    assert (row["owner_state"], row["owner_name"], row["owner_active"], row["owner_claims"]) == (
        "suggested",
        "Bob",
        True,
        3,
    )


def test_one_human_in_two_directories_is_alive_while_one_says_so(one: Callable[..., dict[str, Any]]) -> None:
    def fill(conn: Connection) -> None:
        put(conn, "person", "a", name="Ana", email="ana@example.com", active=False)
        put(conn, "person", "b", name="Ana", email="ana@example.com", active=True)
        put(conn, "owner", "o", holder_uid=put(conn, "identity", "u"), claim="ana@example.com")

    assert one(fill)["owner_active"] is True


@pytest.mark.parametrize(
    ("supplier", "name", "end"),
    [
        ("ACME.example", "Acme", date(2026, 1, 1)),
        ("sub.acme.example", "sub.acme.example", None),
        ("Acme", "Acme", None),
        (None, None, None),
    ],
)
def test_a_supplier_matches_by_exact_domain_or_id(
    one: Callable[..., dict[str, Any]], supplier: str | None, name: str | None, end: date | None
) -> None:
    def fill(conn: Connection) -> None:
        put(
            conn,
            "supplier",
            "s",
            name="Acme",
            matches='["acme.example","123456789012"]',
            contract_end_on=date(2026, 1, 1),
        )
        put(conn, "identity", "u", supplier=supplier)

    row = one(fill)
    assert (row["supplier_name"], row["supplier_contract_end_on"]) == (name, end)


def test_coverage_names_the_missing_permission(one: Callable[..., dict[str, Any]]) -> None:
    def fill(conn: Connection) -> None:
        problems = [
            {"reason": "missing_permission", "detail": "x", "permission": None},
            {"permission": "iam:ListUsers"},
        ]
        conn.execute(
            tables.scope.insert().values(
                key="k",
                connector="aws",
                authority=ACCOUNT,
                region="",
                kind="iam",
                status="skipped",
                items=0,
                problems=json.dumps(problems),
            )
        )

    row = one(fill, "coverage")
    assert (row["reason"], row["missing_permission"], row["complete_at"]) == (
        "missing_permission",
        "iam:ListUsers",
        None,
    )


# ---------------------------------------------------------------- killed, and cleaned up

_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from wardship.store.db import Database
from wardship.store.facts import write_snapshot
now = datetime(2026, 11, 22, 8, tzinfo=UTC)
print("ready", flush=True)
write_snapshot(Database(sys.argv[1], clock=lambda: now), Path(sys.argv[2]), as_of=now, scan_seq=1)
"""


def test_a_killed_writer_leaves_no_half_snapshot(tmp_path: Path) -> None:
    url, folder = f"sqlite:///{tmp_path}/s.db", tmp_path / "facts"
    db = Database(url, clock=lambda: NOW)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
        for number in range(300):
            put(conn, "credential", f"k{number}", holder_uid=put(conn, "identity", f"u{number}"))
    for delay_ms in (0, 40, 80, 120, 200, 300, 450):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, url, str(folder)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            writer.wait(delay_ms / 1000)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for path in folder.glob("[!.]*") if folder.exists() else ():
            verify_snapshot(open_snapshot(folder, path.name))
            shutil.rmtree(path)
    snapshot = write_snapshot(db, folder, as_of=NOW, scan_seq=1)
    verify_snapshot(snapshot)
    assert snapshot.tables["identity"][0] == 300
    assert [path.name for path in folder.iterdir() if path.name.startswith(".building")] == []
    db.close()


def test_retention_keeps_the_newest_and_what_open_findings_rest_on(database: Database, tmp_path: Path) -> None:
    folder, made = tmp_path / "facts", []
    for number in range(4):
        with database.bookkeep() as conn:
            put(conn, "identity", f"u{number}")
        made.append(write_snapshot(database, folder, as_of=NOW + timedelta(days=number), scan_seq=number).id)
    with database.bookkeep() as conn:
        columns = {column.name: "x" for column in tables.finding.c if not column.nullable}
        when = dict.fromkeys(("first_seen_at", "last_seen_at", "opened_at"), datetime(2026, 1, 1, tzinfo=UTC))
        row = columns | when | {"reopenings": 0}
        conn.execute(tables.finding.insert().values(row | {"uid": "a", "state": "open", "snapshot_id": made[0]}))
        conn.execute(tables.finding.insert().values(row | {"uid": "b", "state": "closed", "snapshot_id": made[1]}))
    assert set(remove_old_snapshots(database, folder, keep=1)) == {made[1], made[2]}
    assert {path.name for path in folder.glob("[!.]*")} == {made[0], made[3]}
    newest = latest_snapshot(database, folder)
    assert newest is not None
    assert newest.id == made[3]
    with pytest.raises(ConfigError, match="retention of 0"):
        remove_old_snapshots(database, folder, keep=0)


def test_facts_that_come_back_are_the_newest_again(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "facts"
    first = write_snapshot(database, folder, as_of=NOW, scan_seq=1)
    with database.bookkeep() as conn:
        put(conn, "identity", "u")
    second = write_snapshot(database, folder, as_of=NOW + timedelta(days=1), scan_seq=2)
    with database.bookkeep() as conn:
        conn.execute(tables.CURRENT["identity"].delete())
    third = write_snapshot(database, folder, as_of=NOW + timedelta(days=2), scan_seq=3)
    assert first.id == third.id != second.id
    newest = latest_snapshot(database, folder)
    assert newest is not None
    assert newest.id == first.id
