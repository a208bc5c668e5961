"""The code world of the demo organisation: repositories, the GitHub organisation that serves them, and a Vault.

As `plan`: declarations only, drawn from one seeded generator; ages in days before today. Secrets that stand in code are
`Planted`: the same value may also be in Vault, or be a key of an AWS account (`aws_key`), which is how they join.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wardship.sim.staff import Employee

ORGANISATION = "acme"
REPOSITORIES: Mapping[str, int] = {"s": 8, "m": 20, "l": 60}
"""Ordinary repositories of each size; the stories come on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit. `files` maps a path to its text, None removes it. `{NAME}` in a text stands for a planted value."""

    days: float
    author: Employee
    message: str
    files: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    name: str
    commits: Sequence[Commit]
    visibility: str = "private"
    archived: bool = False
    deploys: bool = False  # its pipeline becomes the role <name>-deploy of the production account
    keeper: Employee | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pat:
    """A fine-grained personal access token, or a classic one that single sign-on authorised."""

    owner: Employee
    name: str
    age_days: float
    expires_in_days: float | None  # None: never
    last_used_days: float | None
    permissions: Mapping[str, str] = field(default_factory=dict)
    scopes: Sequence[str] = ()  # of a classic one
    classic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployKey:
    """`planted`: the name of the planted private key whose public part this is; None: one that nobody has seen."""

    repository: str
    title: str
    age_days: float
    last_used_days: float | None
    added_by: Employee
    read_only: bool = True
    planted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CiSecret:
    """`repository` None: of the organisation. `environment` None: of the repository."""

    name: str
    updated_days: float
    repository: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CiVariable:
    """A variable that everybody who may write a workflow can read. `{NAME}` stands for a planted value."""

    name: str
    value: str
    repository: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    slug: str
    owner: str  # login of who makes the App
    permissions: Mapping[str, str]
    age_days: float
    all_repositories: bool = False
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    repository: str
    url: str
    age_days: float
    has_secret: bool = True
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultEntry:
    """One KV entry. Values `{NAME}` stand for planted ones."""

    path: str
    data: Mapping[str, str]
    updated_days: float
    owner: Employee | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRole:
    name: str
    policies: Sequence[str]
    secret_ids: int = 1
    secret_id_ttl_days: float | None = 30  # None: never ends
    bound_cidrs: Sequence[str] = ("10.20.0.0/16",)
    age_days: float = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePlan:
    """Everything of it. `secrets`: the planted values by name; `aws_key` names the user whose key is planted."""

    members: Sequence[Employee]
    repositories: Sequence[Repository]
    pats: Sequence[Pat]
    deploy_keys: Sequence[DeployKey]
    ci_secrets: Sequence[CiSecret]
    ci_variables: Sequence[CiVariable]
    installations: Sequence[Installation]
    webhooks: Sequence[Webhook]
    entries: Sequence[VaultEntry]
    approles: Sequence[AppRole]
    secrets: Mapping[str, str]
    aws_key: tuple[str, str] | None  # (account, user)
    stories: bool


def code_plan(
    size: str, staff: Sequence[Employee], jobs: Sequence[str], accounts: Mapping[str, str], *, stories: bool
) -> CodePlan:
    """The code world of an organisation of that size; `stories` False: the clean twin."""
    draw = random.Random(f"acme-iberica-code/{size}")  # noqa: S311 - a made-up organisation, not a key
    living, left = [e for e in staff if e.active], [e for e in staff if not e.active]
    maker = _Maker(draw=draw, living=living, accounts=accounts)
    names = (
        list(jobs)[: REPOSITORIES[size]]
        if REPOSITORIES[size] <= len(jobs)
        else [f"{job}-{n}" for n in range(3) for job in jobs][: REPOSITORIES[size]]
    )
    repositories = [maker.repository(name) for name in names]
    told = _stories(maker, living, left) if stories else _Told()
    return CodePlan(
        members=[*living[:40], *([left[1]] if stories else [])],
        repositories=[*told.repositories, *repositories],
        pats=[*told.pats, *(maker.pat(n) for n in range(len(names) // 3))],
        deploy_keys=[
            *told.deploy_keys,
            *(
                DeployKey(
                    repository=name, title="build cache", age_days=20, last_used_days=0.4, added_by=living[n % 30]
                )
                for n, name in enumerate(names[::4])
            ),
        ],
        ci_secrets=[
            *told.ci_secrets,
            *(CiSecret(name="SONAR_TOKEN", updated_days=draw.uniform(2, 25), repository=name) for name in names[::3]),
        ],
        ci_variables=told.ci_variables,
        installations=[
            *told.installations,
            Installation(
                slug="acme-release",
                owner=ORGANISATION,
                permissions={"contents": "write", "metadata": "read", "pull_requests": "write"},
                age_days=200,
            ),
        ],
        webhooks=[
            *told.webhooks,
            Webhook(repository=names[0], url="https://ci.acme-iberica.example/hooks/github", age_days=300),
        ],
        entries=[*told.entries, *(maker.entry(name, n) for n, name in enumerate(names))],
        approles=[*told.approles, *(AppRole(name=name, policies=(f"{name}-read",)) for name in names[:4])],
        secrets=told.secrets,
        aws_key=("acme-prod", "svc-nightly-export") if stories else None,
        stories=stories,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the stories add."""

    repositories: Sequence[Repository] = ()
    pats: Sequence[Pat] = ()
    deploy_keys: Sequence[DeployKey] = ()
    ci_secrets: Sequence[CiSecret] = ()
    ci_variables: Sequence[CiVariable] = ()
    installations: Sequence[Installation] = ()
    webhooks: Sequence[Webhook] = ()
    entries: Sequence[VaultEntry] = ()
    approles: Sequence[AppRole] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Draws one ordinary member of each kind."""

    draw: random.Random
    living: Sequence[Employee]
    accounts: Mapping[str, str]

    def word(self, length: int, letters: str = string.ascii_letters + string.digits) -> str:
        return "".join(self.draw.choice(letters) for _letter in range(length))

    def author(self) -> Employee:
        return self.draw.choice(self.living[:40])

    def repository(self, name: str) -> Repository:
        age = self.draw.uniform(200, 900)
        return Repository(
            name=name,
            deploys=True,
            keeper=self.author(),
            commits=(
                Commit(
                    days=age,
                    author=self.author(),
                    message="Start",
                    files={
                        "README.md": f"# {name}\n\nOwned by the team of {name}.\n",
                        "app/settings.py": _SETTINGS,
                        "deploy/k8s/deployment.yaml": _DEPLOYMENT.replace("NAME", name),
                        ".env.example": "DB_HOST=localhost\nDB_PASSWORD=<from the vault>\n",
                    },
                ),
                Commit(
                    days=age / 2,
                    author=self.author(),
                    message="Deploy from CI without stored keys",
                    files={".github/workflows/deploy.yml": workflow(self.accounts["acme-prod"], f"{name}-deploy")},
                ),
            ),
        )

    def pat(self, n: int) -> Pat:
        return Pat(
            owner=self.living[n % 30],
            name=f"cli on laptop {n + 1}",
            age_days=20,
            expires_in_days=60,
            last_used_days=self.draw.uniform(0, 5),
            permissions={"contents": "read", "metadata": "read"},
        )

    def entry(self, name: str, n: int) -> VaultEntry:
        return VaultEntry(
            path=f"{name}/db",
            data={"username": f"svc_{name.replace('-', '_')}", "password": self.word(24)},
            updated_days=self.draw.uniform(2, 25),
            owner=self.living[n % 30],
        )


def workflow(account: str, role: str, *, environment: str = "production", extra: str = "") -> str:
    """A deployment by OIDC: no stored key."""
    return f"""\
name: deploy
on:
  push:
    branches: [main]
permissions:
  id-token: write
  contents: read
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: {environment}
    steps:
      - uses: actions/checkout@v5
      - uses: aws-actions/configure-aws-credentials@v5
        with:
          role-to-assume: arn:aws:iam::{account}:role/{role}
          aws-region: eu-south-2
{extra}      - run: ./deploy.sh
"""


_SETTINGS = """\
import os

DATABASE = {
    "host": os.environ["DB_HOST"],
    "password": os.environ["DB_PASSWORD"],
}
"""
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  template:
    spec:
      containers:
        - name: NAME
          image: registry.acme-iberica.example/NAME:1.4
          env:
            - name: DB_PASSWORD
              valueFrom:
                secretKeyRef:
                  name: NAME-db
                  key: password
"""


def _stories(maker: _Maker, living: Sequence[Employee], left: Sequence[Employee]) -> _Told:
    """The stories that code, CI and a secrets manager can tell."""
    secrets = {
        "CLAIMS_DB_PASSWORD": maker.word(20) + "!7",
        "BROKERS_API_KEY": "sk_" + "live_" + maker.word(24),
        "MAIL_PASSWORD": maker.word(16),
        "SENDGRID_KEY": "SG." + maker.word(22) + "." + maker.word(43),
    }
    prod = maker.accounts["acme-prod"]
    repositories = [
        # 2. A key that was pasted into a script three years ago; the script is clean now, the history is not, and a job
        # still uses the key every night.
        Repository(
            name="nightly-export",
            commits=(
                Commit(
                    days=1_120,
                    author=left[2],
                    message="Export job",
                    files={
                        "jobs/export.sh": "#!/bin/sh\n"
                        "export AWS_ACCESS_KEY_ID={AWS_KEY_ID}\n"
                        "export AWS_SECRET_ACCESS_KEY={AWS_SECRET}\n"
                        "aws s3 sync /srv/claims s3://acme-claims-archive/\n"
                    },
                ),
                Commit(
                    days=700,
                    author=living[8],
                    message="Read the key from the environment",
                    files={
                        "jobs/export.sh": "#!/bin/sh\naws s3 sync /srv/claims s3://acme-claims-archive/\n",
                        ".github/workflows/release.yml": workflow(prod, "deploy-production"),
                    },
                ),
            ),
        ),
        # One database password in production and staging, in the vault too: the copies in the code were never removed.
        Repository(
            name="claims-legacy",
            commits=(
                Commit(
                    days=430,
                    author=living[12],
                    message="Configuration",
                    files={
                        "config/.env.production": "DB_HOST=db.prod.acme.internal\nDB_PASSWORD={CLAIMS_DB_PASSWORD}\n",
                        "config/.env.staging": "DB_HOST=db.stg.acme.internal\nDB_PASSWORD={CLAIMS_DB_PASSWORD}\n",
                        "config/mail.properties": "mail.api.key={SENDGRID_KEY}\n",
                        ".github/workflows/release.yml": workflow(prod, "deploy-production"),
                        "deploy/ssh/id_deploy": "{DEPLOY_KEY}",
                        "docker-compose.yml": "services:\n  web:\n    image: claims:1\n    environment:\n"
                        "      SMTP_PASSWORD: {MAIL_PASSWORD}\n",
                    },
                ),
            ),
        ),
        # An example for partners, open to everybody, with a working key in it.
        Repository(
            name="partner-sdk",
            visibility="public",
            commits=(
                Commit(
                    days=260,
                    author=living[17],
                    message="Example",
                    files={
                        "examples/quote.py": 'import brokers\n\nbrokers.api_key = "{BROKERS_API_KEY}"\n',
                        ".github/workflows/release.yml": workflow(prod, "deploy-production"),
                        ".github/workflows/azure.yml": _AZURE,
                    },
                ),
            ),
        ),
        # 7. The sandbox that may become production, and keys in CI although the account trusts the pipelines already.
        Repository(
            name="sandbox-experiments",
            commits=(
                Commit(
                    days=380,
                    author=living[19],
                    message="Try a deployment",
                    files={
                        ".github/workflows/deploy.yml": workflow(prod, "deploy-production", environment="development"),
                        ".github/workflows/publish.yml": _STATIC_KEYS,
                    },
                ),
            ),
        ),
    ]
    return _Told(
        repositories=repositories,
        secrets=secrets,
        pats=[
            # 5. The release runs with a token of somebody who has left; it never ends.
            Pat(
                owner=left[1],
                name="release",
                age_days=600,
                expires_in_days=None,
                last_used_days=0.8,
                permissions={"contents": "write", "actions": "write", "administration": "write"},
            ),
            Pat(
                owner=living[22],
                name="old scripts",
                age_days=1_000,
                expires_in_days=None,
                last_used_days=3,
                scopes=("repo", "admin:org", "workflow"),
                classic=True,
            ),
        ],
        deploy_keys=[
            DeployKey(
                repository="claims-legacy",
                title="deploy from jenkins",
                age_days=430,
                last_used_days=2,
                added_by=left[2],
                read_only=False,
                planted="DEPLOY_KEY",
            )
        ],
        ci_secrets=[
            CiSecret(name="AWS_ACCESS_KEY_ID", updated_days=720, repository="sandbox-experiments"),
            CiSecret(name="AWS_SECRET_ACCESS_KEY", updated_days=720, repository="sandbox-experiments"),
            CiSecret(name="PROD_DB_URL", updated_days=410, repository="sandbox-experiments", environment="production"),
            CiSecret(name="NPM_TOKEN", updated_days=900),
        ],
        ci_variables=[CiVariable(name="MAIL_API_KEY", value="{SENDGRID_KEY}", repository="claims-legacy")],
        installations=[
            Installation(
                slug="code-reviewer-ai",
                owner="reviewer-labs",
                permissions={"contents": "write", "secrets": "write", "administration": "write", "metadata": "read"},
                age_days=150,
                all_repositories=True,
            )
        ],
        webhooks=[
            Webhook(
                repository="claims-legacy",
                url="http://jenkins.acme-iberica.example/github-webhook/",
                age_days=800,
                has_secret=False,
                insecure=True,
            )
        ],
        entries=[
            VaultEntry(
                path="claims-legacy/db",
                data={"username": "claims", "password": "{CLAIMS_DB_PASSWORD}"},
                updated_days=90,
                owner=living[12],
            ),
            VaultEntry(path="mainframe/ftp", data={"password": maker.word(18)}, updated_days=1_400),
        ],
        approles=[
            AppRole(
                name="jenkins-legacy",
                policies=("ops-everything",),
                secret_ids=3,
                secret_id_ttl_days=None,
                bound_cidrs=(),
                age_days=640,
            )
        ],
    )


_AZURE = """\
name: azure
on: [push]
permissions:
  id-token: write
jobs:
  publish:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - uses: actions/checkout@v5
      - uses: azure/login@v2
        with:
          client-id: {SWITCHED_OFF_APP}
          tenant-id: {TENANT}
"""
_STATIC_KEYS = """\
name: publish
on: [push]
jobs:
  publish:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - uses: actions/checkout@v5
      - run: aws s3 cp report.html s3://acme-reports/
        env:
          AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
          AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}
          DB: ${{ secrets.PROD_DB_URL }}
          NPM: ${{ secrets.NPM_TOKEN }}
"""
