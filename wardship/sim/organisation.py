"""Puts the plan of the demo organisation into the simulators and hands out connections to them.

    for connection in connections("m", clock, folder): ...

From there on only connectors touch it: nothing is inserted into any database. The suppliers register is a CSV file in
`folder`, as a customer's would be. `habits=plan.CLEAN` gives the clean twin.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wardship.sdk.connector import Connection
from wardship.sim import code_world, demo_logs, mainframe
from wardship.sim import plan as plans
from wardship.sim.aws import ADMINISTRATOR, AwsAccount, AwsWorld
from wardship.sim.entra import MICROSOFT, EntraTenant
from wardship.sim.plan import ACCOUNTS, LIVED_IN, MANAGEMENT_ACCOUNT, TENANT, App, Habits, Plan, allow, trusted
from wardship.sim.plan_code import code_plan
from wardship.sim.staff import DOMAIN, Employee

REGION = "eu-south-2"
READER_ROLE = "wardship-discover"
REGISTER = "suppliers.csv"

_BLUEPRINT: Mapping[str, Any] = {"@odata.type": "#microsoft.graph.agentIdentityBlueprint"}

# What AWS's own policies of these names allow, cut to the few actions that decide what they can do.
_AWS_POLICIES: Mapping[str, plans.Document] = {
    "AdministratorAccess": ADMINISTRATOR,
    "PowerUserAccess": {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["iam:ListRoles", "organizations:DescribeOrganization"], "Resource": "*"},
        ],
    },
    "ReadOnlyAccess": allow(["ec2:Describe*", "iam:Get*", "iam:List*", "s3:GetObject", "s3:List*"]),
    "SecurityAudit": allow(["ec2:Describe*", "iam:Get*", "iam:List*", "s3:GetBucketPolicy", "s3:ListAllMyBuckets"]),
}


def connections(
    size: str, clock: Callable[[], datetime], folder: Path, *, habits: Habits = LIVED_IN
) -> Sequence[Connection]:
    """Connections to the organisation of that size ("s", "m" or "l"), in reading order: who it knows comes first."""
    plan = plans.plan(size, habits)
    written = code_plan(size, plan.staff, plans.JOBS, ACCOUNTS, stories=plan.stories)
    world, aws = _aws(replace(plan, roles=[*plan.roles, *code_world.deploy_roles(written)]), clock)
    tenant, entra = _entra(plan, clock)
    code_world.hook_runs(written, clock, folder)
    demo_logs.write(plan, written, world, tenant, clock=clock, folder=folder)
    planted = code_world.plant(written, _key_of(world, written.aws_key), _ids(tenant))
    return [
        _register(plan, clock, folder),
        entra,
        aws,
        mainframe.connection(plan.staff, clock, folder, stories=plan.stories),
        code_world.vault(written, planted, clock),
        code_world.github(written, planted, clock),
        code_world.code(written, planted, clock, folder),
        code_world.chat(written, planted, clock, folder),
    ]


def _ids(tenant: EntraTenant) -> dict[str, str]:
    """The ids that pipelines name: of the tenant, and of the application that was switched off."""
    named = {row["displayName"]: str(row["appId"]) for row in tenant.apps.visible()}
    return {"TENANT": TENANT, "SWITCHED_OFF_APP": named.get(plans.SWITCHED_OFF, "")}


def _key_of(world: AwsWorld, user: tuple[str, str] | None) -> tuple[str, str] | None:
    """(key id, secret) of the only key of (account, user)."""
    if user is None:
        return None
    account = world.account(ACCOUNTS[user[0]], user[0])
    (key_id,) = world.keys_of(f"arn:aws:iam::{account.number}:user/{user[1]}")
    return key_id, account.secret_of(key_id)


def _register(plan: Plan, clock: Callable[[], datetime], folder: Path) -> Connection:
    path = folder / REGISTER
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["name", "tenant_ids", "account_ids", "domains", "internal_sponsor", "contract_end"])
        for row in plan.suppliers:
            ends = (clock() - timedelta(days=row.ended_days)).date().isoformat()
            rows.writerow([row.name, row.tenant, row.account, row.domain, row.sponsor, ends])
    return Connection(name="suppliers", connector="suppliers", settings={"path": str(path)}, clock=clock)


# ---------------------------------------------------------------- Entra ID


def _entra(plan: Plan, clock: Callable[[], datetime]) -> tuple[EntraTenant, Connection]:
    tenant = EntraTenant(clock=clock, tenant_id=TENANT, name="Acme Ibérica", domain=DOMAIN)
    if not plan.stories:
        tenant.admin_consent["isEnabled"] = True
        tenant.authorization["defaultUserRolePermissions"]["permissionGrantPoliciesAssigned"] = []
    for person in plan.staff:
        tenant.add_user(person.name, person.email, active=person.active, user_id=person.id)
    blueprint = None
    for app in plan.apps:
        if app.kind == "agent" and blueprint is None:
            made = tenant.add_application(
                "assistant-blueprint",
                owners=[owner.id for owner in app.owners],
                **_BLUEPRINT,
            )
            blueprint = made.app_id
        _add_app(tenant, app, blueprint or "")
    connection = tenant.connection(name="entra")
    _own_wardship(tenant, connection, plan.staff)
    return tenant, connection


def _add_app(tenant: EntraTenant, app: App, blueprint: str) -> None:
    owners = [owner.id for owner in app.owners]
    created = _z(tenant, app.created_days)
    holder = ""
    if app.kind == "own":
        made = tenant.add_application(
            app.name, owners=owners, enabled=app.enabled, createdDateTime=created, notes=app.notes or None
        )
        holder, sp = made.id, made.sp
    elif app.kind == "managed":
        group = "/subscriptions/0b7d4c1e-8f42-4f0e-9c7b-2f6a1d3e5b70/resourcegroups/rg-acme/providers"
        arm = f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/{app.name}"
        sp = tenant.add_managed_identity(app.name, arm_id=arm, owners=owners, enabled=app.enabled)
    elif app.kind == "agent":
        sp = tenant.add_agent(app.name, blueprint=blueprint, sponsors=owners)
    elif app.kind == "microsoft":
        sp = tenant.add_service_principal(app.name, home=MICROSOFT)
    else:
        sp = tenant.add_service_principal(app.name, home=app.home_tenant, owners=owners, enabled=app.enabled)
    holder = holder or sp
    for secret in app.secrets:
        start = _ago(tenant, secret.age_days)
        end = start + timedelta(days=secret.lifetime_days or 365)
        used = None if secret.last_used_days is None else _ago(tenant, secret.last_used_days)
        tenant.add_secret(holder, start=start, end=end, name="client secret", used_at=used)
    for issuer, subject in app.federated:
        tenant.add_federation(holder, "deploy", issuer=issuer, subject=subject)
    given = None if app.consented_days is None else _ago(tenant, app.consented_days)
    by = app.consented_by.id if app.consented_by else None
    if app.consents:
        tenant.consent(sp, " ".join(app.consents), by=by, at=given)
    if app.permissions:
        tenant.grant_app_role(sp, " ".join(app.permissions), by=by, at=given)
    if app.sign_in_days is not None:
        tenant.signed_in(sp, _ago(tenant, app.sign_in_days), delegated=app.kind == "foreign")


def _own_wardship(tenant: EntraTenant, connection: Connection, staff: Sequence[Employee]) -> None:
    """Wardship's own application comes first in its inventory, and has an owner like everything else should."""
    owner = next(person for person in staff if person.active)
    for row in tenant.apps.visible():
        if row["appId"] == connection.settings["client_id"]:
            tenant.change(tenant.apps, {**row, "_owners": [owner.id]})


def _ago(tenant: EntraTenant, days: float) -> datetime:
    return tenant.clock() - timedelta(days=days)


def _z(tenant: EntraTenant, days: float) -> str:
    return _ago(tenant, days).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---------------------------------------------------------------- AWS


def _aws(plan: Plan, clock: Callable[[], datetime]) -> tuple[AwsWorld, Connection]:
    world = AwsWorld(clock=clock)
    accounts = {name: world.account(number, name) for name, number in ACCOUNTS.items()}
    world.organisation(MANAGEMENT_ACCOUNT, "o-acmeiberica1")
    policies = {
        name: accounts["acme-shared"].managed_policy(name, document) for name, document in _AWS_POLICIES.items()
    }
    for name in ("acme-prod", "acme-dev"):
        accounts[name].oidc_provider("token.actions.githubusercontent.com")
    first = next(person for person in plan.staff if person.active)
    key_id = _reader(accounts, policies["SecurityAudit"], clock, first, neglected=plan.stories)
    for user in plan.users:
        account = accounts[user.account]
        account.user(
            user.name,
            created=clock() - timedelta(days=user.created_days),
            tags=user.tags,
            policies=[policies[name] for name in user.managed],
            inline={"work": user.inline} if user.inline else None,
        )
        for key in user.keys:
            used = None if key.last_used_days is None else clock() - timedelta(days=key.last_used_days)
            created = clock() - timedelta(days=key.age_days)
            account.key(user.name, created=created, last_used=used, active=key.enabled, region=REGION)
        if user.console:
            changed = clock() - timedelta(days=20)
            account.password(user.name, changed=changed, last_used=clock() - timedelta(days=1), mfa=user.mfa)
    for role in plan.roles:
        accounts[role.account].role(
            role.name,
            trust=role.trust,
            path=role.path,
            created=clock() - timedelta(days=role.created_days),
            last_used=None if role.last_used_days is None else clock() - timedelta(days=role.last_used_days),
            tags=role.tags,
            policies=[policies[name] for name in role.managed],
            inline={"work": role.inline} if role.inline else None,
        )
    for number, account in enumerate(accounts.values()):
        _regional(account, clock, neglected=plan.stories and number == 1)
    if plan.stories:  # what a real tenant looks like: one account whose reader lacks a permission
        world.deny("secretsmanager:ListSecrets", account=ACCOUNTS["acme-data"])
    return world, world.connection(key_id=key_id, regions=REGION, member_role=READER_ROLE, key_ids="yes")


def _regional(account: AwsAccount, clock: Callable[[], datetime], *, neglected: bool) -> None:
    """Secrets, certificates and API keys of one account; never a value."""
    now = clock()
    for name in ("claims/db", "pricing/db"):
        account.secret(
            REGION,
            name,
            RotationEnabled=True,
            LastRotatedDate=now - timedelta(days=12),
            LastAccessedDate=now - timedelta(days=1),
        )
    if neglected:
        account.secret(REGION, "legacy/ftp", RotationEnabled=False, LastChangedDate=now - timedelta(days=900))
    ends = now + timedelta(days=12 if neglected else 200)
    account.certificate(REGION, f"api.{DOMAIN}", ends=ends, Type="AMAZON_ISSUED", InUse=True)
    account.api_key(REGION, "brokers")


def _reader(
    accounts: Mapping[str, AwsAccount], policy: str, clock: Callable[[], datetime], owner: Employee, *, neglected: bool
) -> str:
    """The access by which Wardship itself reads: a key in the management account, a role in each member."""
    tags = {"owner": owner.email, "environment": "production", "criticality": "high", "purpose": "reads the inventory"}
    shared = accounts["acme-shared"]
    made = clock() - timedelta(days=10)
    reader = shared.user("wardship-reader", created=made, tags=tags, policies=[policy])
    for name, account in accounts.items():
        account.root(mfa=True)
        if name == "acme-dev" and neglected:
            account.root_key()
        if name != "acme-shared":
            account.role(
                READER_ROLE,
                trust=trusted(AWS=reader),
                created=made,
                last_used=clock() - timedelta(hours=6),
                tags=tags,
                policies=[policy],
            )
        service = "support.amazonaws.com"
        account.role(
            "AWSServiceRoleForSupport",
            path=f"/aws-service-role/{service}/",
            trust=trusted(Service=service),
            created=clock() - timedelta(days=900),
        )
    return shared.key("wardship-reader", created=made, last_used=clock() - timedelta(hours=6), region=REGION)
