"""The AWS connector against the simulator: what is read, what it costs, and what a refusal may touch."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wardship.connectors.aws import MANIFEST, connect
from wardship.connectors.aws.read import AwsConnector
from wardship.connectors.aws.session import Api
from wardship.connectors.aws.setup import guide, policy
from wardship.ingest.scan import run_scan
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectorError,
    MissingScope,
    NotVisible,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope, ScopeStatus
from wardship.sdk.connector import CallStats, Capability, Record
from wardship.sdk.testing import ScopeRead, read_all
from wardship.sim.aws import ACCOUNT, MEMBER, AwsWorld, small_world
from wardship.store.db import Database

Clock = Callable[[], datetime]
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
def world(clock: Clock) -> AwsWorld:
    return small_world(clock)


def reader(world: AwsWorld, **settings: str) -> AwsConnector:
    found = connect(world.connection(**{"regions": "eu-west-1", **settings}))
    assert isinstance(found, AwsConnector)
    return found


def everything(world: AwsWorld, **settings: str) -> list[Record]:
    read = read_all(reader(world, **settings))
    assert [one.error for one in read.values()] == [None] * len(read)
    return [record for one in read.values() for record in one.records]


def by_kind(read: dict[Scope, ScopeRead]) -> dict[str, ScopeRead]:
    return {scope.kind: one for scope, one in read.items()}


def named(records: list[Record], name: str) -> Identity:
    return next(one for one in records if isinstance(one, Identity) and one.name == name)


# ------------------------------------------------------------------ what is read


def test_kinds_standings_and_aliases(world: AwsWorld) -> None:
    records = everything(world)
    deploy, ben, orders = named(records, "ci-deploy"), named(records, "ben"), named(records, "orders")
    assert (deploy.kind, deploy.standing) == (IdentityKind.ACCESS_KEY_HOLDER, Standing.OWN)
    assert deploy.native_id == f"arn:aws:iam::{ACCOUNT}:user/ci-deploy"
    assert deploy.aliases[0][1].startswith("AIDA")
    assert deploy.environment == "production"
    assert ben.kind is IdentityKind.DIRECTORY_ACCOUNT
    assert (orders.kind, orders.attributes["instance_profiles"]) == (
        IdentityKind.WORKLOAD_ROLE,
        [f"arn:aws:iam::{ACCOUNT}:instance-profile/orders"],
    )
    assert named(records, "AWSServiceRoleForSupport").standing is Standing.PROVIDER_MANAGED
    assert named(records, "ec2.amazonaws.com").standing is Standing.PROVIDER_MANAGED
    assert named(records, "backup").attributes["permissions_boundary"].endswith(":policy/read-orders")


def test_a_foreign_account_is_an_identity_with_a_conditional_grant(world: AwsWorld) -> None:
    records = everything(world)
    supplier = next(one for one in records if isinstance(one, Identity) and one.standing is Standing.FOREIGN)
    assert (supplier.authority, supplier.supplier) == ("aws:999988887777", "999988887777")
    (grant,) = [
        one for one in records if isinstance(one, Grant) and one.identity == (supplier.authority, supplier.native_id)
    ]
    assert (grant.permission, grant.resource) == ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/supplier")
    assert json.loads(grant.condition or "") == {"StringEquals": {"sts:ExternalId": "acme"}}


def test_accounts_of_the_organisation_are_not_foreign(world: AwsWorld) -> None:
    records = everything(world, member_role="wardship")
    ours = next(
        one
        for one in records
        if isinstance(one, Identity) and one.native_id == f"arn:aws:iam::{ACCOUNT}:root" and one.subtype != "root"
    )
    assert ours.standing is Standing.OWN
    systems = {one.authority: one for one in records if isinstance(one, System)}
    assert set(systems) == {f"aws:{ACCOUNT}", f"aws:{MEMBER}"}
    assert systems[f"aws:{MEMBER}"].parent == "aws-organization:o-simulated1"


def test_keys_and_their_use(world: AwsWorld) -> None:
    records = everything(world)
    arn = f"arn:aws:iam::{ACCOUNT}:user/ci-deploy"
    keys = {
        one.native_id: one for one in records if isinstance(one, Credential) and one.identity == (f"aws:{ACCOUNT}", arn)
    }
    assert [one.enabled for one in keys.values()] == [True, False]
    assert set(keys) == {f"{arn}/access_key_1", f"{arn}/access_key_2"}
    assert keys[f"{arn}/access_key_1"].created_at == NOW - timedelta(days=500)
    assert all(one.public_id is None for one in keys.values())
    use = {one.subject[2]: one for one in records if isinstance(one, Usage) and one.source == "aws.credential_report"}
    assert use[f"{arn}/access_key_1"].last_used_at == NOW - timedelta(days=1)
    assert use[f"{arn}/access_key_1"].detail == "s3, eu-west-1"
    young = use[f"{arn}/access_key_2"]
    assert (young.state, young.since) == (UseState.NEVER, NOW - timedelta(days=2))
    assert use[arn].state is UseState.USED


def test_key_ids_are_read_when_asked_for_and_the_keys_stay_the_same(world: AwsWorld) -> None:
    without = {one.native_id for one in everything(world) if isinstance(one, Credential)}
    records = everything(world, key_ids="yes")
    assert {one.native_id for one in records if isinstance(one, Credential)} == without
    keys = [one for one in records if isinstance(one, Credential) and one.type is CredentialType.ACCESS_KEY]
    assert keys
    assert all((one.public_id or "").startswith("AKIA") for one in keys)
    listed = [call for call in world.calls if call.action == "iam:ListAccessKeys"]
    assert len(listed) == 2, "one request for each user with keys"


def test_a_key_of_the_root_user_is_told_with_and_without_key_ids(world: AwsWorld) -> None:
    world.account(ACCOUNT).root_key()
    for key_ids in ("no", "yes"):
        found = [one for one in everything(world, key_ids=key_ids) if isinstance(one, Credential)]
        assert [one.enabled for one in found if one.native_id.endswith(":root/access_key_1")] == [True]


def test_a_password_without_mfa_and_an_unknown_last_use(world: AwsWorld, clock: Clock) -> None:
    world.account(ACCOUNT).user("eva")
    world.account(ACCOUNT).password("eva", changed=NOW - timedelta(days=5))
    records = everything(world)
    found = [one for one in records if isinstance(one, Credential) and one.type is CredentialType.CONSOLE_PASSWORD]
    passwords = {one.identity[1].rpartition("/")[2]: one for one in found if one.identity}
    assert passwords["ben"].attributes["mfa_active"] is False
    use = {one.subject[2]: one for one in records if isinstance(one, Usage)}
    assert use[passwords["eva"].native_id].state is UseState.UNKNOWN


def test_role_use_is_never_only_within_the_tracking_period(world: AwsWorld) -> None:
    use = {one.subject[2].rpartition("/")[2]: one for one in everything(world)
           if isinstance(one, Usage) and one.source == "aws.role_last_used"}  # fmt: skip
    assert use["orders"].state is UseState.USED
    assert (use["supplier"].state, use["supplier"].since) == (UseState.NEVER, NOW)
    world.account(ACCOUNT).role("old", trust={"Statement": []}, created=NOW - timedelta(days=1000))
    use = {one.subject[2].rpartition("/")[2]: one for one in everything(world)
           if isinstance(one, Usage) and one.source == "aws.role_last_used"}  # fmt: skip
    assert use["old"].since == NOW - timedelta(days=400), "what was before is not known"


def test_grants_come_directly_through_groups_and_with_their_tier(world: AwsWorld) -> None:
    records = everything(world)
    arn = f"arn:aws:iam::{ACCOUNT}:user/ci-deploy"
    grants = {one.permission: one for one in records if isinstance(one, Grant) and one.identity[1] == arn}
    group = f"arn:aws:iam::{ACCOUNT}:group/deployers"
    assert grants["s3:GetObject"].via == f"{group} > arn:aws:iam::{ACCOUNT}:policy/read-orders"
    assert grants["s3:GetObject"].tier is Tier.SENSITIVE_READ
    assert grants["lambda:UpdateFunctionCode"].tier is Tier.CONTROL_PLANE
    ben = next(one for one in records if isinstance(one, Grant) and one.identity[1].endswith("/ben"))
    assert (ben.permission, ben.resource, ben.tier, ben.tenant_wide) == ("*", None, Tier.CONTROL_PLANE, True)


def test_federation_providers_and_regional_stores(world: AwsWorld) -> None:
    records = everything(world)
    types = {(one.type, one.name) for one in records if isinstance(one, Credential)}
    assert {
        (CredentialType.FEDERATION, "token.actions.githubusercontent.com"),
        (CredentialType.FEDERATION, "rolesanywhere.amazonaws.com"),
        (CredentialType.FEDERATION, "workshop"),
        (CredentialType.IDENTITY_PROVIDER, "token.actions.githubusercontent.com"),
        (CredentialType.IDENTITY_PROVIDER, "staff"),
        (CredentialType.IDENTITY_PROVIDER, "workshop"),
        (CredentialType.STORED_SECRET, "orders/db"),
        (CredentialType.CERTIFICATE, "orders.acme.example"),
        (CredentialType.API_KEY, "partner"),
    } <= types


def test_people_and_owner_hints(world: AwsWorld) -> None:
    records = everything(world)
    people = {one.email: one.active for one in records if isinstance(one, Person) and one.kind == "person"}
    assert people == {"ana@acme.example": True, "leo@acme.example": False}
    hints = {(one.claim, one.source) for one in records if isinstance(one, Owner)}
    assert {("ana@acme.example", "aws.tag:owner"), ("storage", "aws.tag:team")} <= hints


def test_a_second_scan_reads_everything_and_changes_nothing(database: Database, world: AwsWorld) -> None:
    connection = world.connection(regions="eu-west-1", member_role="wardship")
    first = run_scan(database, connect(connection), connection_name="aws", actor="test")
    second = run_scan(database, connect(connection), connection_name="aws", actor="test")
    for report in (first, second):
        assert {(one.status, one.quarantined) for one in report.coverage} == {(ScopeStatus.COMPLETE, 0)}
    assert set(second.changes) == {"usage"}, "no version without a difference"


# ------------------------------------------------------------------ what it costs


def test_five_hundred_principals_cost_twenty_five_requests_at_most(clock: Clock) -> None:
    world = AwsWorld(clock=clock)
    account = world.account(ACCOUNT)
    world.organisation(ACCOUNT)
    reader_policy = account.policy("reader", {"Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}})
    for number in range(250):
        account.user(f"user-{number}", policies=[reader_policy])
        account.key(f"user-{number}")
        account.role(f"role-{number}", trust={"Statement": []}, policies=[reader_policy])
    found = [one for one in everything(world, regions="eu-west-1,us-east-1") if isinstance(one, Identity)]
    assert len(found) == 501, "and the root user"
    iam = [call for call in world.calls if call.action.startswith("iam:")]
    assert len(iam) <= 0.05 * 500
    regional = [
        call
        for call in world.calls
        if call.action.partition(":")[0] in ("secretsmanager", "acm", "apigateway", "rolesanywhere")
    ]
    assert len(regional) == 3 * 2, "three calls a region"


# ------------------------------------------------------------------ what a refusal touches


@pytest.mark.parametrize(
    ("action", "kinds"),
    [
        ("organizations:ListAccounts", {"organizations.account"}),
        ("iam:GenerateCredentialReport", {"iam.credential_report"}),
        ("iam:ListSAMLProviders", {"iam.saml_provider"}),
        ("secretsmanager:ListSecrets", {"secretsmanager.secret"}),
        ("sso:ListInstances", {"identitystore.group", "identitystore.user", "sso.permission_set"}),
        ("iam:GetAccountSummary", {"account"}),
    ],
)
def test_a_missing_permission_is_its_own_scopes_problem(world: AwsWorld, action: str, kinds: set[str]) -> None:
    world.deny(action)
    read = by_kind(read_all(reader(world)))
    failed = {kind: one.error for kind, one in read.items() if one.error is not None}
    assert set(failed) == kinds
    for error in failed.values():
        assert isinstance(error, MissingScope)
        assert error.scope == action


def test_without_the_report_the_kind_of_a_user_is_unknown(world: AwsWorld) -> None:
    world.deny("iam:GenerateCredentialReport")
    users = by_kind(read_all(reader(world)))["iam.user"]
    assert users.complete
    assert {one.kind for one in users.records if isinstance(one, Identity)} == {IdentityKind.UNKNOWN}


def test_an_account_that_lets_nobody_in_fails_alone(world: AwsWorld) -> None:
    world.account("777766665555", "closed")
    read = read_all(reader(world, member_role="wardship"))
    failed = {scope.authority for scope, one in read.items() if one.error is not None}
    assert failed == {"aws:777766665555"}
    error = next(one.error for scope, one in read.items() if scope.authority in failed)
    assert isinstance(error, MissingScope)
    assert error.scope == "sts:AssumeRole"


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("AccessDeniedException", 400, MissingScope),
        ("Throttling", 400, RateLimited),
        ("SlowDown", 503, RateLimited),
        ("ExpiredToken", 403, AuthenticationFailed),
        ("InvalidClientTokenId", 403, AuthenticationFailed),
        ("SignatureDoesNotMatch", 403, AuthenticationFailed),
        ("InternalFailure", 500, Unavailable),
        ("OptInRequired", 403, NotVisible),
        ("NoSuchEntity", 404, NotVisible),
        ("SomethingNew", 400, UnexpectedResponse),
        ("SomethingNew", 403, MissingScope),
    ],
)
def test_errors_of_aws_become_ours(world: AwsWorld, code: str, status: int, expected: type[ConnectorError]) -> None:
    world.faults.add("forbidden", "iam:ListSAMLProviders", times=99, code=code, status=status)
    with pytest.raises(expected) as caught:
        Api(world.connection(), CallStats()).call("iam", "ListSAMLProviders")
    assert caught.value.operation in ("iam.ListSAMLProviders", "token")


def test_retries_wait_longer_each_time_and_count(world: AwsWorld) -> None:
    waits: list[float] = []
    stats = CallStats()
    world.faults.add("throttle", "iam:ListSAMLProviders", times=3)
    Api(world.connection(), stats, sleep=waits.append).call("iam", "ListSAMLProviders")
    assert (stats.api_calls, stats.throttles, len(waits)) == (4, 3, 3)
    assert all(wait <= 0.3 * 2**attempt for attempt, wait in enumerate(waits))


def test_what_may_have_happened_is_not_asked_twice(world: AwsWorld) -> None:
    world.faults.add("lost", "iam:CreateAccessKey")
    api = Api(world.connection(), CallStats())
    with pytest.raises(Unavailable):
        api.call("iam", "CreateAccessKey", {"UserName": "idle"}, repeatable=False)
    assert len(world.keys_of(f"arn:aws:iam::{ACCOUNT}:user/idle")) == 1


def test_a_session_that_ended_is_renewed() -> None:
    now = [NOW]
    world = small_world(lambda: now[0])
    connector = reader(world, role_arn=f"arn:aws:iam::{ACCOUNT}:role/wardship")
    scopes = list(connector.scopes())
    now[0] += timedelta(hours=2)
    users = next(scope for scope in scopes if scope.kind == "iam.user")
    assert [item for page in connector.fetch(users, None) for item in page.items]


def test_an_expired_page_token_restarts_the_scope(world: AwsWorld) -> None:
    connector = reader(world)
    users = next(scope for scope in connector.scopes() if scope.kind == "iam.user")
    with pytest.raises(UnexpectedResponse) as caught:
        list(connector.fetch(users, "not-a-token"))
    assert caught.value.operation == "token"


def test_the_report_that_never_comes_is_unavailable_and_bounded(world: AwsWorld, clock: Clock) -> None:
    class Stuck(AwsWorld):
        def now(self) -> str:  # every report is five hours old at once
            return (clock() - timedelta(hours=5)).isoformat()

    stuck = Stuck(clock=clock)
    stuck.account(ACCOUNT).user("ana")
    read = by_kind(read_all(reader(stuck)))
    assert isinstance(read["iam.credential_report"].error, Unavailable)
    assert not read["iam.user"].complete, "users without the report are not the whole answer"


# ------------------------------------------------------------------ drift, points, check, setup


def test_new_words_of_aws_are_counted_and_kept_readable(world: AwsWorld) -> None:
    connector = reader(world)
    scope = Scope(connector="aws", authority=f"aws:{ACCOUNT}", kind="acm.certificate", region="eu-west-1")
    (found,) = connector.parse(
        scope, {"CertificateArn": "arn:aws:acm:eu-west-1:1:certificate/x", "Status": "PONDERING"}
    )
    assert isinstance(found, Credential)
    assert found.enabled is None
    assert connector.drift.counts == {("acm.CertificateSummary.Status", "value 'PONDERING'"): 1}


def test_an_unreadable_policy_does_not_lose_its_holder(world: AwsWorld) -> None:
    account = world.account(ACCOUNT)
    bad: Any = {"Statement": "nonsense"}
    account.user("odd", inline={"bad": bad})
    records = everything(world)
    (grant,) = [one for one in records if isinstance(one, Grant) and one.identity[1].endswith("/odd")]
    assert (grant.tier, grant.attributes) == (Tier.UNKNOWN, {"read": False})


def test_confirm_asks_for_one_object(world: AwsWorld) -> None:
    connector = reader(world)
    scope = next(scope for scope in connector.scopes() if scope.kind == "iam.user")
    idle = f"arn:aws:iam::{ACCOUNT}:user/idle"
    assert connector.confirm(scope, "identity", idle) is True
    world.account(ACCOUNT).remove_user("idle")
    assert connector.confirm(scope, "identity", idle) is False
    world.deny("iam:GetUser")
    assert connector.confirm(scope, "identity", idle) is None
    assert connector.confirm(scope, "grant", "x") is None


def test_check_names_what_is_missing(world: AwsWorld) -> None:
    world.deny("iam:ListSAMLProviders")
    verdicts = {line.permission: line.allowed for line in reader(world).check()}
    assert verdicts["iam:ListSAMLProviders"] is False
    assert verdicts["iam:GetAccountAuthorizationDetails"] is True
    assert verdicts["iam:CreateAccessKey"] is None, "the root user is not simulated, and creating is not tried"


def test_check_asks_iam_where_it_may(world: AwsWorld) -> None:
    world.deny("iam:CreateAccessKey")
    key_id = world.account(ACCOUNT).key("idle")
    connection = world.connection(key_id=key_id)
    verdicts = {line.permission: line.allowed for line in connect(connection).check()}
    assert (verdicts["iam:CreateAccessKey"], verdicts["iam:UpdateAccessKey"]) == (False, True)
    assert not [call for call in world.calls if call.action == "iam:CreateAccessKey"]


READ_VERBS = ("Get", "List", "Describe", "Lookup", "Simulate", "GenerateCredentialReport", "GET")


def test_the_reading_role_has_no_verb_that_writes() -> None:
    for capability in (Capability.DISCOVER, Capability.USAGE):
        for statement in policy(capability)["Statement"]:
            for action in statement["Action"]:
                assert action.partition(":")[2].startswith(READ_VERBS), action
                assert "*" not in action


def test_acting_roles_reach_users_only_and_nothing_else() -> None:
    for capability in (Capability.ROTATE, Capability.DISABLE, Capability.DELETE):
        for statement in policy(capability)["Statement"]:
            writes = [one for one in statement["Action"] if not one.partition(":")[2].startswith(READ_VERBS)]
            assert statement["Resource"] == "arn:aws:iam::*:user/*" or not writes


def test_setup_prints_valid_json_and_its_removal() -> None:
    found = guide(Capability.DISCOVER)
    document = found.cli.partition("policy.json <<'END'\n")[2].partition("\nEND\n")[0]
    assert json.loads(document) == policy(Capability.DISCOVER)
    assert "delete-role " in found.remove
    with pytest.raises(ConfigError):
        guide(Capability.IMPORT)


@pytest.mark.parametrize("settings", [{"key_ids": "maybe"}, {"role_arn": "wardship"}, {"colour": "blue"}])
def test_unusable_settings_are_refused_at_once(world: AwsWorld, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        connect(world.connection(**settings))


def test_every_permission_says_why() -> None:
    assert all(one.why for many in MANIFEST.permissions.values() for one in many)
