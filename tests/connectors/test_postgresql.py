"""The PostgreSQL connector against the real server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.connectors.pairs import Pair, connection_of, pair
from wardship.connectors.postgresql import MANIFEST, act, connect
from wardship.model.access import Credential, Grant, Tier, UseState
from wardship.model.errors import AuthenticationFailed, Conflict, DataError, MissingScope, Unavailable
from wardship.model.identity import Identity
from wardship.model.owner import Owner
from wardship.model.secret import Secret
from wardship.sdk.connector import Capability, Connection

Clock = Callable[[], datetime]
OP, OTHER = "01930000-0000-7000-8000-000000000001", "01930000-0000-7000-8000-000000000002"
HOSTILE = "app\"'; drop table x; -- %s {} \\ \N{RIGHT-TO-LEFT OVERRIDE}"


@pytest.fixture
def roles(postgres_url: str) -> Iterator[Pair]:
    with pair(postgres_url) as made:
        yield made


@pytest.fixture
def connection(postgres_url: str, clock: Clock) -> Connection:
    return connection_of(postgres_url, clock)


def read(connection: Connection) -> list[object]:
    connector = connect(connection)
    return [
        record
        for scope in connector.scopes()
        for page in connector.fetch(scope, None)
        for item in page.items
        for record in connector.parse(scope, item)
    ]


def of(records: list[object], family: type, role: str) -> list:
    def holder(record: object) -> str | None:
        if isinstance(record, Identity):
            return record.native_id
        key = getattr(record, "identity", None)
        return key[1] if key else None

    return [record for record in records if isinstance(record, family) and holder(record) == role]


# ---------------------------------------------------------------- reading


def test_login_roles_are_read_with_expiry_memberships_and_owner_hints(roles: Pair, connection: Connection) -> None:
    first = sql.Identifier(roles.slots[0])
    roles.run(sql.SQL("alter role {} superuser valid until '2030-01-02 03:04:05+00'").format(first))
    roles.run(sql.SQL("comment on role {} is 'ask dana@example.org'").format(first))
    roles.run(sql.SQL("grant pg_read_all_data to {}").format(first))
    records = read(connection)
    (credential,) = of(records, Credential, roles.slots[0])
    assert credential.expires_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert credential.no_expiry is False
    assert credential.last_rotated_at is None
    assert credential.attributes == {"hash": "scram-sha-256"}
    grants = {grant.permission: grant.tier for grant in of(records, Grant, roles.slots[0])}
    assert grants == {
        "SUPERUSER": Tier.CONTROL_PLANE,
        "pg_read_all_data": Tier.SENSITIVE_READ,
        roles.group: Tier.UNKNOWN,
    }
    assert [owner.claim for owner in of(records, Owner, roles.slots[0])] == ["dana@example.org"]


def test_group_and_retired_roles_are_no_identities(roles: Pair, connection: Connection) -> None:
    names = {record.native_id for record in read(connection) if isinstance(record, Identity)}
    assert roles.slots[0] in names
    assert not names & {roles.group, roles.slots[1]}


def test_reading_twice_gives_the_same(roles: Pair, connection: Connection) -> None:
    families = (Credential, Grant, Owner)
    first, second = ([of(read(connection), family, roles.slots[0]) for family in families] for _turn in range(2))
    assert first == second


def test_a_reader_without_pg_authid_does_not_claim_to_know_passwords(
    roles: Pair, postgres_url: str, clock: Clock
) -> None:
    plain = connection_of(postgres_url, clock, user=roles.slots[0], password=roles.password)
    (credential,) = of(read(plain), Credential, roles.slots[0])
    assert credential.attributes == {}
    allowed = {each.permission: each.allowed for each in connect(plain).check()}
    assert allowed["SELECT ON pg_authid"] is False
    assert allowed["CREATEROLE"] is False


def test_confirm_tells_what_is_there_from_what_is_not(roles: Pair, connection: Connection) -> None:
    connector = connect(connection)
    scope = next(scope for scope in connector.scopes() if scope.kind == "role")
    assert connector.confirm(scope, "identity", roles.slots[0]) is True
    assert connector.confirm(scope, "identity", "nobody_" + roles.group) is False
    assert connector.confirm(scope, "grant", roles.slots[0]) is None


@pytest.mark.parametrize("item", [None, [], {}, {"rolname": "x"}, {"member": "a", "group_name": None}, "text"])
def test_an_unreadable_row_is_a_data_error(item: object, connection: Connection) -> None:
    connector = connect(connection)
    scopes = {scope.kind: scope for scope in connector.scopes()}
    for kind in ("role", "membership", "activity"):
        with pytest.raises(DataError):
            list(connector.parse(scopes[kind], item))


def test_a_wrong_password_is_an_authentication_failure(postgres_url: str, clock: Clock) -> None:
    with pytest.raises(AuthenticationFailed):
        connect(connection_of(postgres_url, clock, user="wardship_root", password="wrong")).scopes()


def test_a_server_that_is_not_there_is_unavailable(clock: Clock) -> None:
    nowhere = connection_of("postgresql://u:p@127.0.0.1:1/postgres", clock)
    with pytest.raises(Unavailable):
        connect(nowhere).scopes()
    with pytest.raises(Unavailable):
        act(nowhere).test("app", "app_a", Secret("x"))


def test_every_capability_has_a_setup_guide_and_a_way_back(connection: Connection) -> None:
    for capability in MANIFEST.permissions:
        guide = connect(connection).setup(capability)
        assert "drop role" in guide.remove
        assert guide.terraform
        assert guide.portal
    assert "createrole" not in connect(connection).setup(Capability.DISCOVER).cli


# ---------------------------------------------------------------- acting


def test_the_pair_alternates_and_the_value_is_delivered_before_it_is_set(roles: Pair, connection: Connection) -> None:
    actor, delivered = act(connection), []

    def deliver(value: Secret, credential_id: str) -> None:
        delivered.append((value, credential_id))
        assert not roles.works(credential_id, value.reveal())

    assert [live.id for live in actor.list_live(roles.group)] == [roles.slots[0]]
    new = actor.create(roles.group, OP, deliver)
    value, id_ = delivered[0]
    assert new == id_ == roles.slots[1]
    assert actor.test(roles.group, new, value) is True
    assert actor.test(roles.group, new, Secret("wrong")) is False
    assert actor.find_created(roles.group, OP) == new
    assert actor.find_created(roles.group, OTHER) is None

    actor.disable(roles.group, roles.slots[0])
    assert not roles.works(roles.slots[0], roles.password)
    actor.enable(roles.group, roles.slots[0])
    assert roles.works(roles.slots[0], roles.password)
    for _twice in range(2):
        actor.delete(roles.group, roles.slots[0])
    assert [live.id for live in actor.list_live(roles.group)] == [new]
    with pytest.raises(Conflict):
        actor.enable(roles.group, roles.slots[0])
    assert actor.create(roles.group, OTHER, lambda _value, _id: None) == roles.slots[0]


def test_creating_again_gives_the_same_slot_a_new_value(roles: Pair, connection: Connection) -> None:
    actor, values = act(connection), []
    for _twice in range(2):
        assert actor.create(roles.group, OP, lambda value, _id: values.append(value)) == roles.slots[1]
    assert actor.test(roles.group, roles.slots[1], values[1])
    assert not actor.test(roles.group, roles.slots[1], values[0])


def test_no_retired_slot_is_a_conflict_and_nothing_is_delivered(roles: Pair, connection: Connection) -> None:
    by_hand = "alter role {} login password 'by hand' valid until 'infinity'"
    roles.run(sql.SQL(by_hand).format(sql.Identifier(roles.slots[1])))

    def never(_value: Secret, _id: str) -> None:
        pytest.fail("delivered")

    with pytest.raises(Conflict):
        act(connection).create(roles.group, OP, never)
    assert roles.works(roles.slots[1], "by hand")


def test_a_delivery_that_fails_changes_nothing(roles: Pair, connection: Connection) -> None:
    def refuse(_value: Secret, _id: str) -> None:
        raise Unavailable("the store is down")

    with pytest.raises(Unavailable):
        act(connection).create(roles.group, OP, refuse)
    assert [live.id for live in act(connection).list_live(roles.group)] == [roles.slots[0]]


def test_hostile_role_names_are_quoted(postgres_url: str, connection: Connection) -> None:
    name = HOSTILE[:40] + secrets.token_hex(3)
    with pair(postgres_url, name) as roles:
        actor = act(connection)
        new = actor.create(roles.group, OP, lambda _value, _id: None)
        assert new == roles.slots[1]
        actor.disable(roles.group, new)
        actor.delete(roles.group, new)
        assert [live.id for live in actor.list_live(roles.group)] == [roles.slots[0]]


def test_the_marks_of_a_slot_leave_its_comment_as_it_was(roles: Pair, connection: Connection) -> None:
    roles.run(sql.SQL("comment on role {} is 'owner: dana'").format(sql.Identifier(roles.slots[1])))
    for op in (OP, OTHER):
        act(connection).create(roles.group, op, lambda _value, _id: None)
        act(connection).delete(roles.group, roles.slots[1])
    ((comment,),) = roles.rows(
        "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = %s", roles.slots[1]
    )
    assert comment == f"owner: dana [wardship-{OTHER}]"


def test_last_use_is_seen_while_a_session_is_open_and_unknown_else(roles: Pair, connection: Connection) -> None:
    actor = act(connection)
    assert actor.last_used(roles.group, roles.slots[0]).state is UseState.UNKNOWN
    place = {key: connection.settings[key] for key in ("host", "port")}
    with psycopg.connect(**place, dbname="postgres", user=roles.slots[0], password=roles.password):
        used = actor.last_used(roles.group, roles.slots[0])
    assert used.state is UseState.USED
    assert used.last_used_at == connection.clock()


def test_the_server_log_never_sees_a_password(roles: Pair, connection: Connection, postgres_url: str) -> None:
    roles.run("alter role wardship_root set log_statement = 'all'")
    values = []
    try:
        act(connection).create(roles.group, OP, lambda value, _id: values.append(value.reveal()))
    finally:
        roles.run("alter role wardship_root reset log_statement")
    ((data,),) = roles.rows("select current_setting('data_directory')")
    text = (Path(data).parent / "log").read_text(errors="replace")
    assert f'alter role "{roles.slots[1]}" login password' in text  # the log did record the statement
    assert values[0] not in text


def test_a_role_without_createrole_is_told_what_is_missing(roles: Pair, postgres_url: str, clock: Clock) -> None:
    plain = act(connection_of(postgres_url, clock, user=roles.slots[0], password=roles.password))
    with pytest.raises(MissingScope) as error:
        plain.disable(roles.group, roles.slots[0])
    assert error.value.scope == "CREATEROLE"
