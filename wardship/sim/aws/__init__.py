"""Simulated AWS accounts: `AwsWorld` fills them in, `simulated` gives a small ready one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from wardship.sdk.connector import Connection
from wardship.sim.aws.world import ADMINISTRATOR, AwsAccount, AwsWorld, IdentityCenter

__all__ = ["ADMINISTRATOR", "AwsAccount", "AwsWorld", "IdentityCenter", "acting_target", "simulated", "small_world"]

ACCOUNT = "111122223333"
MEMBER = "444455556666"
REGION = "eu-west-1"


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to `small_world`: two accounts of an organisation, with one of everything."""
    return small_world(clock).connection(regions=REGION, member_role="wardship")


def acting_target(_connection: Connection) -> str:
    """A user of `small_world` with one key: a second may be made and deleted."""
    return f"arn:aws:iam::{MEMBER}:user/etl"


def small_world(clock: Callable[[], datetime], *, page_cap: int = 3) -> AwsWorld:
    """One of everything that the AWS connector reads; lists come in pages of `page_cap`."""
    now = clock()
    world = AwsWorld(clock=clock, page_cap=page_cap, lag_s=5.0)
    account = world.account(ACCOUNT, "main")
    member = world.account(MEMBER, "workloads")
    world.organisation(ACCOUNT)
    admin = account.managed_policy("AdministratorAccess")
    reader = account.policy("read-orders", _allow("s3:GetObject", "arn:aws:s3:::orders/*"))
    account.group("deployers", policies=[reader], inline={"deploy": _allow("lambda:UpdateFunctionCode", "*")})
    account.user("ci-deploy", tags={"Owner": "ana@acme.example", "Environment": "production"}, groups=["deployers"])
    account.key("ci-deploy", created=now - timedelta(days=500), last_used=now - timedelta(days=1))
    account.key("ci-deploy", created=now - timedelta(days=2), active=False)
    account.user("backup", policies=[reader], tags={"team": "storage"}, boundary=reader)
    account.key("backup", created=now - timedelta(days=700))
    account.user("ben", policies=[admin], created=now - timedelta(days=900))
    account.password("ben", changed=now - timedelta(days=400), last_used=now - timedelta(days=30))
    account.user("idle")
    account.role("orders", trust=_service("ec2.amazonaws.com"), policies=[reader], instance_profile="orders",
                 created=now - timedelta(days=800), last_used=now - timedelta(days=3))  # fmt: skip
    account.role("supplier", trust=_trust({"AWS": "arn:aws:iam::999988887777:root"}, "sts:AssumeRole",
                 {"StringEquals": {"sts:ExternalId": "acme"}}), policies=[admin])  # fmt: skip
    github = account.oidc_provider("token.actions.githubusercontent.com")
    account.role("github", trust=_trust({"Federated": github}, "sts:AssumeRoleWithWebIdentity",
                 {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}}),
                 policies=[admin])  # fmt: skip
    account.role("AWSServiceRoleForSupport", path="/aws-service-role/support.amazonaws.com/",
                 trust=_service("support.amazonaws.com"))  # fmt: skip
    anywhere = account.role("printers", trust=_service("rolesanywhere.amazonaws.com"), policies=[reader])
    account.saml_provider("staff", valid_until=now + timedelta(days=90))
    account.secret(REGION, "orders/db", LastAccessedDate=now - timedelta(days=1), RotationEnabled=False)
    account.certificate(REGION, "orders.acme.example", ends=now + timedelta(days=20), Type="AMAZON_ISSUED", InUse=True)
    account.api_key(REGION, "partner")
    account.trust_anchor(REGION, "workshop")
    account.anchor_profile(REGION, "workshop", roles=[anywhere])
    for each in (account, member):
        each.role("wardship", trust=_trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "sts:AssumeRole", None))
    member.user("etl", tags={"owner": "ana@acme.example"})
    member.key("etl", created=now - timedelta(days=10))
    center = world.identity_center(ACCOUNT, region=REGION)
    center.person("u-ana", "Ana Ruiz", "ana@acme.example")
    center.person("u-leo", "Leo Gil", "leo@acme.example", enabled=False)
    center.group("g-platform", "platform")
    center.permission_set("Operators", [(ACCOUNT, "GROUP", "g-platform"), (MEMBER, "USER", "u-ana")])
    return world


def _allow(action: str, resource: str) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}


def _service(name: str) -> dict[str, object]:
    return _trust({"Service": name}, "sts:AssumeRole", None)


def _trust(principal: dict[str, str], action: str, condition: dict[str, object] | None) -> dict[str, object]:
    statement: dict[str, object] = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}
