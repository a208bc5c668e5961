"""The AWS connector against two emulators that others wrote: moto, and ministack for what moto lacks."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from wardship.connectors.aws import connect
from wardship.connectors.aws.keys import AccessKeyActor
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import ConnectorError, UnexpectedResponse
from wardship.model.identity import Identity, IdentityKind, System
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.sdk.testing import ScopeRead, read_all

PRINCIPALS = 300
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
READ_S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True)
class Login:
    """Credentials of one account of an emulator."""

    key_id: str = "test"
    secret: str = "test"
    token: str | None = None
    number: str = ""

    def into(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Puts them where botocore looks by itself."""
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", self.key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.secret)
        if self.token:
            monkeypatch.setenv("AWS_SESSION_TOKEN", self.token)
        else:
            monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def client(url: str, service: str, login: Login, *, region: str = "eu-west-1") -> Any:
    session = botocore.session.Session()
    session.set_credentials(login.key_id, login.secret, login.token)
    return session.create_client(service, region_name=region, endpoint_url=url)


def own_account(url: str) -> Login:
    """An account of moto's that no other test uses: whoever assumes a role is in the account of the role."""
    number = f"9{uuid.uuid4().int % 10**11:011d}"
    role = f"arn:aws:iam::{number}:role/tests"
    made = client(url, "sts", Login()).assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
    return Login(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], number)


def login_of(key: dict[str, Any]) -> Login:
    return Login(key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture
def account(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Login:
    login = own_account(moto_url)
    login.into(monkeypatch)
    return login


@pytest.fixture
def connection(clock: Callable[[], datetime]) -> Callable[[str], Connection]:
    def make(url: str) -> Connection:
        settings = {"endpoint_url": url, "regions": "eu-west-1"}
        return Connection(name="emulated", connector="aws", settings=settings, clock=clock)

    return make


def fill(url: str, account: Login) -> None:
    iam = client(url, "iam", account)
    policy = iam.create_policy(PolicyName="read-s3", PolicyDocument=json.dumps(READ_S3))["Policy"]["Arn"]
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn=policy)
    for index in range(PRINCIPALS // 2):
        iam.create_user(UserName=f"user-{index}", Tags=[{"Key": "Owner", "Value": "ana@acme.example"}])
        iam.create_role(RoleName=f"role-{index}", AssumeRolePolicyDocument=json.dumps(TRUST))
        if index % 10 == 0:
            iam.create_access_key(UserName=f"user-{index}")
            iam.add_user_to_group(GroupName="readers", UserName=f"user-{index}")
            iam.put_role_policy(RoleName=f"role-{index}", PolicyName="own", PolicyDocument=json.dumps(READ_S3))
    iam.attach_user_policy(UserName="user-0", PolicyArn=ADMIN)
    iam.create_login_profile(UserName="user-1", Password="Unseen-1234567")
    iam.create_open_id_connect_provider(Url="https://token.actions.githubusercontent.com", ClientIDList=["sts"],
                                        ThumbprintList=["a" * 40])  # fmt: skip
    client(url, "secretsmanager", account).create_secret(Name="orders/db", SecretString="unseen")
    client(url, "apigateway", account).create_api_key(name="partner", enabled=True)


def test_hundreds_of_principals_on_moto(moto_url: str, account: Login, connection: Callable[[str], Connection]) -> None:
    fill(moto_url, account)
    connector = connect(connection(moto_url))
    read = {scope.kind: one for scope, one in read_all(connector).items()}
    assert {kind for kind, one in read.items() if one.error is not None} <= {"organizations.account"}
    records = [record for one in read.values() for record in one.records]
    kinds = Counter(one.kind for one in records if isinstance(one, Identity) and one.subtype in ("user", "role"))
    assert kinds[IdentityKind.WORKLOAD_ROLE] == PRINCIPALS // 2
    assert kinds[IdentityKind.ACCESS_KEY_HOLDER] == PRINCIPALS // 20
    assert kinds[IdentityKind.DIRECTORY_ACCOUNT] == PRINCIPALS // 2 - PRINCIPALS // 20
    types = Counter(one.type for one in records if isinstance(one, Credential))
    assert types[CredentialType.ACCESS_KEY] == PRINCIPALS // 20
    assert types[CredentialType.STORED_SECRET] == types[CredentialType.API_KEY] == 1
    admin = [one for one in records if isinstance(one, Grant) and one.via == ADMIN]
    assert [one.tier for one in admin] == [Tier.CONTROL_PLANE]
    assert sum(isinstance(one, Grant) and "> arn" in (one.via or "") for one in records) == PRINCIPALS // 20
    assert any(isinstance(one, System) and one.authority == f"aws:{account.number}" for one in records)
    assert connector.stats.api_calls <= 0.1 * PRINCIPALS, "all services together"
    for kind, total in (("iam.user", PRINCIPALS // 2), ("iam.role", PRINCIPALS // 2), ("iam.group", 1)):
        assert len(read[kind].items) == total


def test_a_key_used_on_moto_is_used_in_the_inventory(
    moto_url: str, account: Login, connection: Callable[[str], Connection]
) -> None:
    iam = client(moto_url, "iam", account)
    iam.create_user(UserName="app")
    key = iam.create_access_key(UserName="app")["AccessKey"]
    client(moto_url, "sts", login_of(key)).get_caller_identity()
    connector = connect(connection(moto_url))
    report = next(one for scope, one in read_all(connector).items() if scope.kind == "iam.credential_report")
    use = [one for one in report.records if isinstance(one, Usage) and one.subject[2].endswith("user/app/access_key_1")]
    assert [one.state for one in use] == [UseState.USED]


@pytest.fixture
def refusing() -> Iterator[tuple[str, Callable[[str], None]]]:
    """A moto of our own (the shared one must not refuse others), and the switch: after("0") it really refuses."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    url = "http://{}:{}".format(*moto.get_host_and_port())

    def after(calls: str) -> None:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{url}/moto-api/reset-auth", calls.encode(), plain, method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    yield url, after
    after("inf")
    moto.stop()


def test_check_tells_what_moto_refuses(
    refusing: tuple[str, Callable[[str], None]],
    connection: Callable[[str], Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, after = refusing
    iam = client(url, "iam", Login())
    iam.create_user(UserName="scanner")
    allowed = ["iam:GetAccountAuthorizationDetails", "iam:GetAccountSummary", "sts:GetCallerIdentity"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    iam.put_user_policy(UserName="scanner", PolicyName="p", PolicyDocument=json.dumps(document))
    login_of(iam.create_access_key(UserName="scanner")["AccessKey"]).into(monkeypatch)
    after("0")
    verdicts = {line.permission: line.allowed for line in connect(connection(url)).check()}
    assert verdicts["iam:GetAccountAuthorizationDetails"] is True
    assert verdicts["iam:ListOpenIDConnectProviders"] is False
    assert verdicts["secretsmanager:ListSecrets"] is False
    assert verdicts["iam:CreateAccessKey"] is None


def test_a_deleted_key_is_refused_by_moto(
    refusing: tuple[str, Callable[[str], None]],
    connection: Callable[[str], Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, after = refusing
    Login().into(monkeypatch)
    iam = client(url, "iam", Login())
    arn = iam.create_user(UserName="app")["User"]["Arn"]
    key = iam.create_access_key(UserName="app")["AccessKey"]
    actor = AccessKeyActor(connection(url))
    value = Secret(key["SecretAccessKey"])
    after("0")
    assert actor.test(arn, key["AccessKeyId"], value)
    assert not actor.test(arn, key["AccessKeyId"], Secret("guess"))
    after("inf")
    assert [one.id for one in actor.list_live(arn)] == [key["AccessKeyId"]]
    actor.disable(arn, key["AccessKeyId"])
    assert [one.enabled for one in actor.list_live(arn)] == [False]
    actor.delete(arn, key["AccessKeyId"])
    assert actor.list_live(arn) == []
    after("0")
    assert not actor.test(arn, key["AccessKeyId"], value)


# ------------------------------------------------------------------ the second opinion


def test_the_trail_of_ministack_proves_who_made_a_key(
    ministack_url: str, monkeypatch: pytest.MonkeyPatch, clock: Callable[[], datetime]
) -> None:
    """moto has no CloudTrail: here the events are another program's, not our simulation's."""
    Login().into(monkeypatch)
    iam = client(ministack_url, "iam", Login())
    name = f"app-{uuid.uuid4().hex[:8]}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName=f"act-{name}", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    settings = {"endpoint_url": ministack_url, "regions": "us-east-1", "role_arn": role}
    actor = AccessKeyActor(Connection(name="m", connector="aws", settings=settings, clock=clock))
    delivered: list[tuple[Secret, str]] = []
    made = actor.create(arn, f"op-{name}", lambda value, credential: delivered.append((value, credential)))
    assert [credential for _, credential in delivered] == [made]
    assert [one.id for one in actor.list_live(arn)] == [made]
    assert actor.find_created(arn, "op-of-nobody") is None
    assert actor.find_created(arn, f"op-{name}") in (made, None)


def test_ministack_is_read_without_a_crash(
    ministack_url: str, monkeypatch: pytest.MonkeyPatch, connection: Callable[[str], Connection]
) -> None:
    Login().into(monkeypatch)
    iam = client(ministack_url, "iam", Login())
    name = f"app-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    iam.create_access_key(UserName=name)
    read: dict[str, ScopeRead] = {
        scope.kind: one for scope, one in read_all(connect(connection(ministack_url))).items()
    }
    names = {one.name for one in read["iam.user"].records if isinstance(one, Identity)}
    assert name in names
    for one in read.values():
        assert one.error is None or isinstance(one.error, ConnectorError)
    assert not isinstance(read["iam.credential_report"].error, UnexpectedResponse)
