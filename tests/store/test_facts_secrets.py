"""One secret is one secret: what the facts say of a value seen in code, CI and a secrets manager."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from tests.store.seed import SEEN, merge, put, use
from tests.store.test_facts import facts
from wardship.model.facts import Snapshot
from wardship.model.identity import uid_of
from wardship.store import tables
from wardship.store.db import Database
from wardship.store.facts import write_snapshot

REPO = "git:github.com/acme/shop"
PRINT = "0123456789abcdef" * 2
SECRET = "se_" + PRINT[:20]
OTHER = "fedcba9876543210" * 2
ACCESS_KEY = "AKIA" + "2" * 16

Look = Callable[[str], list[dict[str, Any]]]


class Statements:
    """Runs each statement in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def execute(self, *statement: Any) -> None:
        with self._database.bookkeep() as conn:
            conn.execute(*statement)


@pytest.fixture
def conn(database: Database) -> Any:
    return Statements(database)


@pytest.fixture
def look(database: Database, tmp_path: Path) -> Look:
    def read(table: str) -> list[dict[str, Any]]:
        snapshot: Snapshot = write_snapshot(database, tmp_path / "facts", as_of=NOW, scan_seq=1)
        return facts(snapshot, table)

    return read


def expose(conn: Any, location: str, authority: str = REPO, fingerprint: str | None = PRINT, **columns: Any) -> str:
    return put(conn, "exposure", location, authority=authority, fingerprint=fingerprint, **columns)


def test_a_key_in_code_is_the_key_of_the_account_by_its_public_id(conn: Any, look: Look) -> None:
    holder = put(conn, "identity", "u1", name="deploy", criticality="high")
    key = put(conn, "credential", "k1", holder_uid=holder, public_id=ACCESS_KEY, type="access_key", enabled=True)
    expose(conn, ".env", public_id=ACCESS_KEY)
    (row,) = look("exposure")
    assert (row["credential_uid"], row["joined_by"], row["credential_live"], row["validity"]) == (
        key,
        "public_id",
        True,
        "active",
    )
    assert (row["identity_uid"], row["identity_name"], row["identity_criticality"]) == (holder, "deploy", "high")
    (secret,) = look("secret")
    assert (secret["uid"], secret["credential_uid"], secret["identity_uid"]) == (SECRET, key, holder)
    assert (secret["validated"], secret["rotated"], secret["stage"]) == (True, False, "found")


@pytest.mark.parametrize(
    ("columns", "validity"),
    [
        ({"enabled": False}, "inactive"),
        ({"enabled": True, "presence": "gone"}, "inactive"),
        ({"enabled": True, "expires_at": NOW - timedelta(days=2)}, "inactive"),
        ({"enabled": None}, "unknown"),
        ({"enabled": True, "expires_at": NOW + timedelta(days=2)}, "active"),
    ],
)
def test_what_the_owning_system_says_tells_whether_it_works(
    conn: Any, look: Look, columns: dict[str, Any], validity: str
) -> None:
    put(conn, "credential", "k1", holder_uid=put(conn, "identity", "u1"), public_id=ACCESS_KEY, **columns)
    expose(conn, ".env", public_id=ACCESS_KEY)
    (row,) = look("exposure")
    assert row["validity"] == validity
    assert row["credential_live"] is (validity != "inactive")
    (secret,) = look("secret")
    assert secret["rotated"] == {"inactive": True, "active": False, "unknown": None}[validity]


def test_names_join_nothing(conn: Any, look: Look) -> None:
    put(conn, "credential", "k1", holder_uid=put(conn, "identity", "u1"), name="DB_PASSWORD", fingerprint=OTHER)
    expose(conn, ".env", name="DB_PASSWORD")
    (row,) = look("exposure")
    assert (row["credential_uid"], row["joined_by"], row["credential_live"], row["validity"]) == (
        None,
        None,
        None,
        "unknown",
    )


def test_code_ci_and_vault_copies_of_one_value_are_one_secret(conn: Any, look: Look) -> None:
    expose(conn, "config/prod/app.yaml", environment="production", confidence=0.7, place="config", name="db.password")
    expose(conn, "deploy/staging.env", authority="git:github.com/acme/infra", environment="staging", place="dotenv")
    put(conn, "credential", "kv/db#password", authority="vault:v1", type="stored_secret", fingerprint=PRINT)
    put(
        conn,
        "credential",
        "actions-secret:acme/DB",
        authority="github:acme",
        type="ci_secret",
        fingerprint=PRINT,
        attributes='{"environment": "production"}',
    )
    expose(conn, "other.txt", fingerprint=OTHER)
    one, other = sorted(look("secret"), key=lambda row: row["exposures"], reverse=True)
    assert (one["exposures"], one["head_exposures"], one["consumer_exposures"]) == (2, 2, 2)
    assert (one["vault_copies"], one["ci_copies"], one["systems"]) == (1, 1, 4)
    assert (one["environments"], one["environment_names"]) == (2, "production,staging")
    assert one["stage"] == "vaulted"
    assert (other["exposures"], other["vaulted"], other["stage"]) == (1, False, "found")


def test_a_thumbprint_of_a_certificate_is_no_secret(conn: Any, look: Look) -> None:
    put(conn, "credential", "c1", type="certificate", fingerprint="AB" * 32)
    assert look("secret") == []


def test_who_can_read_a_repository_is_what_its_host_says(conn: Any, look: Look) -> None:
    put(
        conn,
        "system",
        "r",
        authority="github:acme/shop",
        kind="github_repository",
        attributes='{"visibility":"public"}',
    )
    put(
        conn,
        "system",
        "p",
        authority="github:acme/pay",
        kind="github_repository",
        attributes='{"visibility":"private"}',
    )
    expose(conn, "a", public=None)
    expose(conn, "b", authority="git:github.com/acme/pay", public=None)
    expose(conn, "c", authority="git:example.org/x", public=None)
    assert [row["public"] for row in sorted(look("exposure"), key=lambda row: row["location"])] == [True, False, None]
    (secret,) = look("secret")
    assert secret["public_exposures"] == 1


def test_without_a_manager_that_was_compared_nobody_knows_whether_one_holds_it(conn: Any, look: Look) -> None:
    expose(conn, ".env")
    put(conn, "credential", "kv/db", authority="vault:v1", type="stored_secret", fingerprint=None)
    (secret,) = look("secret")
    assert (secret["vaulted"], secret["vault_copies"], secret["stage"]) == (None, 0, "found")
    put(conn, "credential", "kv/other", authority="vault:v1", type="stored_secret", fingerprint=OTHER)
    (found,) = (row for row in look("secret") if row["uid"] == SECRET)
    assert (found["vaulted"], found["stage"]) == (False, "found")


# ------------------------------------------------------------------ the steps of a migration


def stages(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("vaulted", "consumers_moved", "source_removed", "history_purged", "stage"))


def link(conn: Any, credential_uid: str, days_ago: int) -> None:
    conn.execute(
        tables.secret_link.insert().values(
            secret_uid=SECRET,
            credential_uid=credential_uid,
            reason="replaced",
            actor="tester",
            linked_at=NOW - timedelta(days=days_ago),
        )
    )


def test_a_secret_goes_step_by_step_from_the_code_to_the_vault(conn: Any, look: Look) -> None:
    holder = put(conn, "identity", "u1")
    key = put(conn, "credential", "k1", holder_uid=holder, public_id=ACCESS_KEY, type="access_key", enabled=True)
    entry = put(conn, "credential", "kv/db", authority="vault:v1", type="stored_secret")
    place = expose(conn, ".env", public_id=ACCESS_KEY, in_head=True, place="dotenv")
    old = expose(conn, "notes.md", public_id=ACCESS_KEY, in_head=True, place="notes")

    def now_of(column: str) -> Any:
        (row,) = look("secret")
        return row[column] if column != "all" else stages(row)

    assert now_of("all") == (None, False, False, False, "found")  # no manager was compared
    link(conn, entry, days_ago=10)
    assert now_of("replaced_by") == entry
    assert now_of("all") == (True, False, False, False, "vaulted")

    current = tables.CURRENT["exposure"]
    conn.execute(current.update().where(current.c.uid == place).values(in_head=False))
    assert now_of("all") == (True, None, False, False, "vaulted")  # nobody can tell whether the old key is still used
    use(conn, key, "used", last_used_at=NOW - timedelta(days=3), since=SEEN)
    assert now_of("all") == (True, False, False, False, "vaulted")  # used after it was replaced
    conn.execute(tables.usage.delete())
    use(conn, key, "used", last_used_at=NOW - timedelta(days=20), since=SEEN, read_at=NOW - timedelta(days=1))
    assert now_of("all") == (True, True, False, False, "moved")

    conn.execute(current.update().where(current.c.uid == old).values(in_head=False))
    assert now_of("all") == (True, True, True, False, "removed")
    conn.execute(current.update().values(presence="gone"))
    assert now_of("all") == (True, True, True, True, "purged")


def test_a_check_that_a_person_asked_for_tells_when_no_system_does(conn: Any, look: Look) -> None:
    expose(conn, "x.py")

    def checked(validity: str, minute: int) -> None:
        conn.execute(
            tables.secret_check.insert().values(
                secret_uid=SECRET,
                authority="vault:v1",
                call="auth/token/lookup-self",
                validity=validity,
                actor="tester",
                checked_at=NOW + timedelta(minutes=minute),
            )
        )

    checked("active", 0)
    assert [row["validity"] for row in look("exposure")] == ["active"]
    checked("inactive", 1)
    checked("unknown", 2)  # no answer takes nothing away from the last one
    (secret,) = look("secret")
    assert (secret["validity"], secret["rotated"], secret["checked_at"]) == (
        "inactive",
        True,
        (NOW + timedelta(minutes=1)).replace(tzinfo=None),
    )


# ------------------------------------------------------------------ who depends on what


def depend(conn: Any, consumer: str, family: str, authority: str, native_id: str) -> None:
    put(
        conn,
        "dependency",
        consumer,
        authority="github:acme",
        target_family=family,
        target_authority=authority,
        target_native_id=native_id,
        target_uid=uid_of(family, authority, native_id),
    )


def test_a_consumer_names_its_target_by_any_exact_id(conn: Any, look: Look) -> None:
    role = put(conn, "identity", "arn:aws:iam::1:role/deploy", authority="aws:1")
    sp = put(conn, "identity", "sp-1", authority="entra:t", aliases='[["entra:t:appid","app-1"]]')
    app = put(conn, "identity", "app-object", authority="entra:t", aliases='[["entra:t:appid","app-1"]]')
    merge(conn, sp, app)
    secret = put(conn, "credential", "actions-secret:acme/DB", authority="github:acme", type="ci_secret")
    depend(conn, "a", "identity", "aws:1", "arn:aws:iam::1:role/deploy")
    depend(conn, "b", "identity", "entra:t:appid", "app-1")
    depend(conn, "c", "credential", "github:acme", "actions-secret:acme/DB")
    depend(conn, "d", "identity", "aws:1", "arn:aws:iam::1:role/nobody")
    found = {row["consumer"]: (row["identity_uid"], row["credential_uid"]) for row in look("dependency")}
    assert found == {"a": (role, None), "b": (sp, None), "c": (None, secret), "d": (None, None)}


def test_runs_of_hooks_are_facts(conn: Any, look: Look) -> None:
    conn.execute(
        tables.guard_run.insert().values(
            id="r1",
            repository=REPO,
            stage="pre_commit",
            commit_id=None,
            run_at=NOW,
            commits=1,
            files=3,
            found=1,
            blocked=1,
            baselined=0,
            bypassed=False,
            seconds=0.4,
            version="0.1.0",
            received_at=NOW,
        )
    )
    (run,) = look("guard_run")
    assert (run["uid"], run["repository"], run["blocked"], run["bypassed"]) == ("r1", REPO, 1, False)
