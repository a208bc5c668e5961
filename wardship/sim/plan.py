"""Who and what exists in the demo organisation: a plan in plain declarations, before any simulator holds it.

"Acme Ibérica" is an insurer with 900 staff and a public-sector contract, in four AWS accounts and one Entra tenant.
`plan` draws the everyday population from one seeded generator and plants the stories on top; `habits` decide how well
it is kept: `LIVED_IN` has the usual debts, `CLEAN` (the clean twin) has none and no stories. All ages are in days
before the clock's today.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardship.sim.staff import DOMAIN, Employee, employees

SIZES: Mapping[str, int] = {"s": 300, "m": 1_500, "l": 30_000}
"""Identities of each size, about: the stories and what providers add come on top."""
STAFF = 900

TENANT = "7f3d2c1a-0b4e-4c55-9a61-2f8f6f0a1c01"
ACME_INTEGRATOR_TENANT = "c0ffee00-5a1e-4b2d-8c3f-9d0e1f2a3b4c"
ACCOUNTS: Mapping[str, str] = {
    "acme-shared": "444455556666",
    "acme-prod": "111122223333",
    "acme-data": "333344445555",
    "acme-dev": "222233334444",
}
MANAGEMENT_ACCOUNT = ACCOUNTS["acme-shared"]
_ENVIRONMENT = {"acme-shared": "production", "acme-prod": "production", "acme-data": "production", "acme-dev": "test"}

SWITCHED_OFF = "quotes-publisher"
"""An application of the stories that is disabled and still named by a pipeline."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key or client secret. `last_used_days` None: never used."""

    age_days: float
    last_used_days: float | None
    enabled: bool = True
    lifetime_days: float | None = None  # client secrets only


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An IAM user: of a machine (keys), or of a person (console)."""

    account: str
    name: str
    created_days: float
    keys: Sequence[Key] = ()
    console: bool = False
    mfa: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    inline: Document | None = None
    managed: Sequence[str] = ()  # names of AWS managed policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """An IAM role and whom it trusts."""

    account: str
    name: str
    created_days: float
    trust: Document
    last_used_days: float | None
    path: str = "/"
    tags: Mapping[str, str] = field(default_factory=dict)
    inline: Document | None = None
    managed: Sequence[str] = ()
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An Entra application with its service principal, or a service principal alone."""

    name: str
    kind: str = "own"  # own, foreign, managed, microsoft, agent
    home_tenant: str = TENANT
    created_days: float = 400
    secrets: Sequence[Key] = ()
    federated: Sequence[tuple[str, str]] = ()  # (issuer, subject)
    owners: Sequence[Employee] = ()
    permissions: Sequence[str] = ()  # application permissions of Microsoft Graph
    consents: Sequence[str] = ()  # delegated, for everybody
    consented_days: float | None = None
    consented_by: Employee | None = None
    sign_in_days: float | None = None  # None: not once in the log
    enabled: bool = True
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplierRow:
    """One line of the suppliers register."""

    name: str
    tenant: str = ""
    account: str = ""
    domain: str = ""
    sponsor: str = ""
    ended_days: float = -365  # negative: the contract runs on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole organisation."""

    staff: Sequence[Employee]
    users: Sequence[User]
    roles: Sequence[Role]
    apps: Sequence[App]
    suppliers: Sequence[SupplierRow]
    stories: bool  # the usual debts and the planted stories; False: the clean twin


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How an organisation keeps its identities: shares (0..1) and ages."""

    owned: float  # with an owner on record
    owner_left: float  # of those, whose owner has left
    declared: float  # with criticality and purpose declared
    neglected_key: float  # key older than any policy allows
    unused_key: float
    second_key: float
    no_mfa: float
    broad: float  # with more privilege than its job
    consent: float  # foreign apps with a wide consent
    no_sign_in: float
    stories: bool


LIVED_IN = Habits(
    owned=0.58,
    owner_left=0.14,
    declared=0.35,
    neglected_key=0.34,
    unused_key=0.18,
    second_key=0.09,
    no_mfa=0.25,
    broad=0.06,
    consent=0.12,
    no_sign_in=0.15,
    stories=True,
)
CLEAN = Habits(
    owned=1,
    owner_left=0,
    declared=1,
    neglected_key=0,
    unused_key=0,
    second_key=0,
    no_mfa=0,
    broad=0,
    consent=0,
    no_sign_in=0,
    stories=False,
)

JOBS = (
    "claims-api quote-engine pricing-etl policy-pdf-renderer invoice-import siniestros-batch cobros-sync "
    "customer-portal fraud-scoring actuarial-models reinsurance-feed document-ocr agenda-peritos portal-mediadores "
    "payments-gateway dw-loader crm-sync backup-runner log-shipper metrics-exporter image-resizer geo-lookup "
    "sepa-remittances renewals-mailer telemetry-ingest contact-centre-ivr expediente-sync registro-ens"
).split()
_FOREIGN = (
    "Calendly DocuSign Miro Lucid Zoom Atlassian Asana Notion Grammarly Smartsheet Typeform Figma Airtable Loom Pipefy"
).split()
_MICROSOFT = (
    "Office 365 Exchange Online|Office 365 SharePoint Online|Microsoft Teams Services|Azure Key Vault|Windows Azure "
    "Service Management API|Microsoft Intune API|Power BI Service|Microsoft Information Protection Sync Service|"
    "Azure Storage|Dataverse|Microsoft Stream Service|Azure DevOps"
).split("|")
_READS = (
    ("s3:GetObject", "s3:ListBucket"),
    ("sqs:ReceiveMessage", "sqs:DeleteMessage"),
    ("dynamodb:GetItem", "dynamodb:Query"),
)
_WRITES = ("s3:PutObject",), ("sqs:SendMessage",), ("dynamodb:PutItem", "dynamodb:UpdateItem")


def plan(size: str, habits: Habits = LIVED_IN) -> Plan:
    """The organisation of that size; the same arguments always give the same plan."""
    draw = random.Random(f"acme-iberica/{size}")  # noqa: S311 - a made-up organisation, not a key
    staff = employees(STAFF, draw)
    living, left = [e for e in staff if e.active], [e for e in staff if not e.active]
    maker = _Maker(draw=draw, habits=habits, living=living, left=left)
    total = SIZES[size]
    accounts = list(ACCOUNTS)
    users = [maker.user(accounts[n % 4], n) for n in range(round(total * 0.17))]
    roles = [maker.role(accounts[n % 4], n) for n in range(round(total * 0.36))]
    apps = [maker.own_app(n) for n in range(round(total * 0.22))]
    apps += [maker.foreign_app(n) for n in range(round(total * 0.08))]
    apps += [maker.managed_identity(n) for n in range(round(total * 0.15))]
    apps += [App(name=name, kind="microsoft", sign_in_days=0.2) for name in _MICROSOFT]
    suppliers = [SupplierRow(name="Peritos Unidos", domain="peritos-unidos.example", sponsor=living[3].email)]
    if habits.stories:
        story_users, story_roles, story_apps, story_suppliers = _stories(living, left)
        users, roles, apps = [*story_users, *users], [*story_roles, *roles], [*story_apps, *apps]
        suppliers += story_suppliers
    return Plan(staff=staff, users=users, roles=roles, apps=apps, suppliers=suppliers, stories=habits.stories)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Draws one ordinary member of each kind."""

    draw: random.Random
    habits: Habits
    living: Sequence[Employee]
    left: Sequence[Employee]

    def chance(self, share: float) -> bool:
        return self.draw.random() < share

    def owner(self) -> Employee | None:
        if not self.chance(self.habits.owned):
            return None
        return self.draw.choice(self.left if self.chance(self.habits.owner_left) else self.living)

    def tags(self, account: str, job: str) -> dict[str, str]:
        tags = {"environment": _ENVIRONMENT[account], "application": job}
        if owner := self.owner():
            tags["owner"] = owner.email
        if self.chance(self.habits.declared):
            tags["criticality"] = self.draw.choice(["high", "medium", "medium", "low", "low"])
            tags["purpose"] = f"runs {job}"
        return tags

    def key(self, newest_days: float = 2) -> Key:
        if self.chance(self.habits.neglected_key):
            age = self.draw.uniform(200, 1_400)
        else:
            age = self.draw.uniform(newest_days, 26)
        used = None if self.chance(self.habits.unused_key) else min(self.draw.uniform(0, 4), age / 2)
        if used is not None and age > 400 and self.chance(self.habits.unused_key):
            used = self.draw.uniform(120, age - 30)
        return Key(age_days=age, last_used_days=used, lifetime_days=age + self.draw.uniform(60, 150))

    def name(self, n: int) -> str:
        return f"{JOBS[n % len(JOBS)]}-{n // len(JOBS) + 1}"

    def user(self, account: str, n: int) -> User:
        job = self.name(n)
        if n % 9 == 8:
            person = self.living[n % len(self.living)]
            return User(
                account=account,
                name=person.email.partition("@")[0],
                created_days=self.draw.uniform(60, 1_500),
                console=True,
                mfa=not self.chance(self.habits.no_mfa),
                tags={"owner": person.email, "environment": _ENVIRONMENT[account]},
                managed=("ReadOnlyAccess",) if self.habits.stories else (),
                inline=None if self.habits.stories else allow(["sts:GetCallerIdentity"]),
            )
        first = self.key()
        keys = [first, self.key()] if self.chance(self.habits.second_key) else [first]
        broad = self.chance(self.habits.broad)
        return User(
            account=account,
            name=f"svc-{job}",
            created_days=max(key.age_days for key in keys) + self.draw.uniform(0, 300),
            keys=keys,
            tags=self.tags(account, job),
            managed=("PowerUserAccess",) if broad else (),
            inline=None if broad else self.narrow(job),
        )

    def role(self, account: str, n: int) -> Role:
        job = self.name(n)
        service = ("lambda", "ecs-tasks", "ec2", "states", "glue")[n % 5]
        broad = self.chance(self.habits.broad)
        return Role(
            account=account,
            name=f"{job}-{service.partition('-')[0]}",
            created_days=self.draw.uniform(40, 1_800),
            trust=trusted(Service=f"{service}.amazonaws.com"),
            last_used_days=None if self.chance(self.habits.no_sign_in) else self.draw.uniform(0, 6),
            tags=self.tags(account, job),
            managed=("AdministratorAccess",) if broad else (),
            inline=None if broad else self.narrow(job),
        )

    def narrow(self, job: str) -> Document:
        verbs = [*self.draw.choice(_READS), *self.draw.choice(_WRITES)]
        bucket = f"arn:aws:s3:::acme-{job}"
        return allow(verbs, resource=[bucket, f"{bucket}/*"])

    def own_app(self, n: int) -> App:
        owner = self.owner()
        key = self.key()
        return App(
            name=self.name(n),
            created_days=key.age_days + self.draw.uniform(5, 700),
            secrets=(key,) if n % 3 else (),
            federated=()
            if n % 3
            else (("https://token.actions.githubusercontent.com", f"repo:acme/{self.name(n)}:ref:refs/heads/main"),),
            owners=(owner,) if owner else (),
            permissions=("User.Read.All",) if self.chance(0.15) else (),
            consents=("User.Read",),
            consented_days=key.age_days,
            consented_by=self.living[n % 7],
            sign_in_days=None if self.chance(self.habits.no_sign_in) else self.draw.uniform(0, 10),
        )

    def foreign_app(self, n: int) -> App:
        wide = self.chance(self.habits.consent)
        name = _FOREIGN[n % len(_FOREIGN)]
        return App(
            name=name if n < len(_FOREIGN) else f"{name} add-in {n // len(_FOREIGN)}",
            kind="foreign",
            home_tenant=_tenant_of(name),
            created_days=self.draw.uniform(30, 900),
            consents=("Files.ReadWrite.All", "Mail.Read") if wide else ("User.Read", "openid", "profile"),
            consented_days=self.draw.uniform(20, 800),
            consented_by=self.draw.choice(self.living),
            owners=(self.draw.choice(self.living),) if self.habits.owned == 1 else (),
            sign_in_days=None if self.chance(self.habits.no_sign_in) else self.draw.uniform(0, 30),
        )

    def managed_identity(self, n: int) -> App:
        owner = self.owner()
        return App(
            name=f"id-{self.name(n)}",
            kind="managed",
            created_days=self.draw.uniform(20, 900),
            owners=(owner,) if owner else (),
            sign_in_days=None if self.chance(self.habits.no_sign_in) else self.draw.uniform(0, 3),
        )


def _stories(
    living: Sequence[Employee], left: Sequence[Employee]
) -> tuple[list[User], list[Role], list[App], list[SupplierRow]]:
    """The planted stories that AWS, Entra and the suppliers register can tell."""
    github = f"arn:aws:iam::{ACCOUNTS['acme-prod']}:oidc-provider/token.actions.githubusercontent.com"
    users = [
        # 2. A key as old as the script it was pasted into, used every night by a job. Git history is not read yet.
        User(
            account="acme-prod",
            name="svc-nightly-export",
            created_days=1_130,
            keys=(Key(age_days=1_130, last_used_days=0.3),),
            tags={"environment": "production", "application": "nightly-export", "criticality": "high"},
            inline=allow(["s3:GetObject", "s3:PutObject"], resource=["arn:aws:s3:::acme-claims-archive/*"]),
        ),
    ]
    users.append(
        # A rotation that stopped half-way a year ago: the old key was never taken away.
        User(
            account="acme-data",
            name="svc-mainframe-bridge",
            created_days=900,
            keys=(Key(age_days=880, last_used_days=1), Key(age_days=340, last_used_days=0.5)),
            tags={"environment": "production", "application": "mainframe-bridge", "owner": living[14].email},
            inline=allow(["s3:PutObject"], resource=["arn:aws:s3:::acme-mainframe/*"]),
        )
    )
    users.append(
        # One user for a person at the console and for the script on his desk.
        User(
            account="acme-data",
            name="etl-and-me",
            created_days=500,
            keys=(Key(age_days=25, last_used_days=0.2),),
            console=True,
            mfa=True,
            tags={"environment": "production", "owner": living[16].email, "criticality": "medium"},
            inline=allow(["s3:GetObject"], resource=["arn:aws:s3:::acme-dw/*"]),
        )
    )
    users.append(
        # 6. A key that slept for most of a year and awakes at three in the morning.
        User(
            account="acme-prod",
            name="svc-archive-restore",
            created_days=700,
            keys=(Key(age_days=170, last_used_days=1),),
            tags={"environment": "production", "application": "archive-restore", "owner": living[18].email},
            inline=allow(["s3:GetObject"], resource=["arn:aws:s3:::acme-archive/*"]),
        )
    )
    roles = [
        # 7. A production role that any branch of a development repository may assume.
        Role(
            account="acme-prod",
            name="deploy-production",
            created_days=420,
            trust=trusted(
                action="sts:AssumeRoleWithWebIdentity",
                condition={
                    "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
                    "StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/sandbox-*"},
                },
                Federated=github,
            ),
            last_used_days=1.5,
            tags={
                "environment": "production",
                "application": "deploy",
                "owner": living[11].email,
                "criticality": "critical",
            },
            inline=allow(["iam:PassRole", "ecs:UpdateService", "lambda:UpdateFunctionCode"]),
        ),
        # A first try with federation that was never finished: any pipeline in the world may become this role.
        Role(
            account="acme-dev",
            name="ci-first-try",
            created_days=640,
            trust=trusted(
                action="sts:AssumeRoleWithWebIdentity",
                condition={"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}},
                Federated=github.replace(ACCOUNTS["acme-prod"], ACCOUNTS["acme-dev"]),
            ),
            last_used_days=None,
            tags={"environment": "test", "application": "ci"},
            inline=allow(["s3:PutObject"], resource=["arn:aws:s3:::acme-ci-artifacts/*"]),
        ),
        # 10. Looks terrible and is fine: trusts every principal of AWS, but only inside the organisation.
        Role(
            account="acme-shared",
            name="org-inventory-reader",
            created_days=300,
            trust=trusted(condition={"StringEquals": {"aws:PrincipalOrgID": "o-acmeiberica1"}}, AWS="*"),
            last_used_days=0.5,
            tags={
                "environment": "production",
                "owner": living[5].email,
                "criticality": "low",
                "purpose": "read-only inventory",
            },
            inline=allow(["ec2:DescribeInstances", "tag:GetResources"]),
            description="Any account of the organisation may read the inventory; nobody outside can.",
        ),
    ]
    apps = [
        # 1. The departed supplier: wide consent 18 months ago, contract over for 9 months, approver gone, no owner.
        App(
            name="AcmeIntegrator SaaS",
            kind="foreign",
            home_tenant=ACME_INTEGRATOR_TENANT,
            created_days=548,
            secrets=(Key(age_days=541, last_used_days=6, lifetime_days=1_095),),
            consents=("Mail.Read", "Sites.ReadWrite.All", "Files.ReadWrite.All"),
            consented_days=548,
            consented_by=left[0],
            sign_in_days=6,
        ),
        # 5. The release runs as an application whose only owner has left.
        App(
            name="release-pipeline",
            created_days=610,
            secrets=(Key(age_days=210, last_used_days=0.8, lifetime_days=365),),
            owners=(left[1],),
            permissions=("Sites.ReadWrite.All",),
            consented_days=600,
            consented_by=left[1],
            sign_in_days=0.8,
        ),
        # 9. An AI agent; what it uses of its permissions needs logs that are not read yet.
        App(
            name="claims-assistant",
            kind="agent",
            created_days=75,
            owners=(living[21],),
            permissions=("Mail.Read", "Files.Read.All"),
            consented_days=75,
            consented_by=living[4],
            sign_in_days=0.1,
        ),
    ]
    apps += [
        # An agent that a team tried and nobody answers for.
        App(
            name="inbox-triage-agent",
            kind="agent",
            created_days=40,
            permissions=("Mail.ReadWrite",),
            consented_days=40,
            consented_by=living[4],
            sign_in_days=2,
        ),
        # A secret that ran out while the application was in use.
        App(
            name="broker-statements",
            created_days=500,
            secrets=(Key(age_days=370, last_used_days=9, lifetime_days=365),),
            owners=(living[23],),
            sign_in_days=9,
        ),
        # Switched off by one team; a pipeline of another still signs in with it.
        App(name=SWITCHED_OFF, created_days=380, owners=(living[24],), enabled=False, sign_in_days=50),
    ]
    suppliers = [
        SupplierRow(
            name="AcmeIntegrator",
            tenant=ACME_INTEGRATOR_TENANT,
            domain="acmeintegrator.example",
            sponsor=left[0].email,
            ended_days=274,
        ),
        SupplierRow(
            name="Cloud Cartera", account="999988887777", domain="cloudcartera.example", sponsor=living[9].email
        ),
    ]
    roles.append(
        Role(
            account="acme-dev",
            name="vendor-cloud-cartera",
            created_days=200,
            trust=trusted(
                condition={"StringEquals": {"sts:ExternalId": "cartera-7781"}}, AWS="arn:aws:iam::999988887777:root"
            ),
            last_used_days=12,
            tags={
                "environment": "test",
                "owner": living[9].email,
                "criticality": "medium",
                "supplier": "cloudcartera.example",
            },
            managed=("SecurityAudit",),
        )
    )
    roles += [
        # The same supplier again, from before anybody knew of external ids.
        Role(
            account="acme-dev",
            name="vendor-cloud-cartera-old",
            created_days=900,
            trust=trusted(AWS="arn:aws:iam::999988887777:root"),
            last_used_days=40,
            tags={"environment": "test", "owner": living[9].email, "supplier": "cloudcartera.example"},
            inline=allow(["ec2:DescribeInstances"]),
        ),
        # A workshop's role that every account of the cloud may assume.
        Role(
            account="acme-dev",
            name="workshop-anybody",
            created_days=210,
            trust=trusted(AWS="*"),
            last_used_days=30,
            tags={"environment": "test", "application": "workshop"},
            inline=allow(["s3:GetObject"], resource=["arn:aws:s3:::acme-workshop/*"]),
        ),
    ]
    return users, roles, apps, suppliers


def allow(actions: Sequence[str], resource: Sequence[str] | str = "*") -> Document:
    """A policy that allows `actions` on `resource`."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": resource if isinstance(resource, str) else list(resource),
            }
        ],
    }


def trusted(*, action: str = "sts:AssumeRole", condition: Document | None = None, **principal: str) -> Document:
    """A trust policy for one principal."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": dict(principal), "Action": action}
    if condition:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def _tenant_of(name: str) -> str:
    """A made-up but stable tenant id for a publisher."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name.lower()}.{DOMAIN}"))
