"""Puts the code world's plan into its simulators: real git repositories, a GitHub organisation, a Vault.

Planted values are made here once, so that the same secret stands in a commit, in Vault, or is an account's own key.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from wardship.sdk.connector import Connection
from wardship.sim import conversations, git
from wardship.sim.conversations import SlackExport
from wardship.sim.github import GitHubOrganisation
from wardship.sim.plan import ACCOUNTS, Role, allow, trusted
from wardship.sim.plan_code import ORGANISATION, CodePlan, Pat
from wardship.sim.staff import Employee
from wardship.sim.vault import VaultServer
from wardship.sim.vault_small import SecretId

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Planted:
    """The planted values by name, and the public half of the planted private key."""

    values: Mapping[str, str]
    public_key: str


def plant(plan: CodePlan, aws_key: tuple[str, str] | None, ids: Mapping[str, str]) -> Planted:
    """The values of the plan with those that other systems give.

    `aws_key` is the key id and secret of a user's key, `ids` are exact ids that pipelines name.
    """
    private, public = _key_pair("acme-iberica deploy")
    values = {**plan.secrets, **ids, "DEPLOY_KEY": private}
    if aws_key:
        values |= {"AWS_KEY_ID": aws_key[0], "AWS_SECRET": aws_key[1]}
    return Planted(values, public)


def deploy_roles(plan: CodePlan) -> list[Role]:
    """The roles that the pipelines of the ordinary repositories become: each trusts one environment of one of them."""
    provider = f"arn:aws:iam::{ACCOUNTS['acme-prod']}:oidc-provider/token.actions.githubusercontent.com"
    return [
        Role(
            account="acme-prod",
            name=f"{row.name}-deploy",
            created_days=190,
            trust=trusted(
                action="sts:AssumeRoleWithWebIdentity",
                condition={
                    "StringEquals": {
                        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                        "token.actions.githubusercontent.com:sub": (
                            f"repo:{ORGANISATION}/{row.name}:environment:production"
                        ),
                    }
                },
                Federated=provider,
            ),
            last_used_days=1.2,
            tags={
                "environment": "production",
                "owner": row.keeper.email,
                "criticality": "medium",
                "purpose": f"deploys {row.name}",
            },
            inline=allow(["ecs:UpdateService"], resource=[f"arn:aws:ecs:eu-south-2:{ACCOUNTS['acme-prod']}:service/*"]),
        )
        for row in plan.repositories
        if row.deploys and row.keeper
    ]


def code(plan: CodePlan, planted: Planted, clock: Clock, folder: Path) -> Connection:
    """Repositories in `folder`/repositories, made anew, and a connection that reads them all."""
    home = folder / "repositories"
    shutil.rmtree(home, ignore_errors=True)
    made = []
    for row in plan.repositories:
        repository = git.Repository(home / row.name, origin=f"https://github.com/{ORGANISATION}/{row.name}.git")
        for commit in row.commits:
            repository.commit(
                {path: _filled(text, planted) for path, text in commit.files.items() if text is not None},
                removed=[path for path, text in commit.files.items() if text is None],
                author=(commit.author.name, commit.author.email),
                at=clock() - timedelta(days=commit.days),
                message=commit.message,
            )
        made.append(repository)
    return git.connection(made, "git", clock=clock)


def hook_runs(plan: CodePlan, clock: Clock, folder: Path) -> Path:
    """What the hooks of the developers' machines left to be collected, as they write it. Gives the file."""
    path = folder / "hook-runs.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for number, row in enumerate(plan.repositories):
            for nth in range(6):
                bypassed = plan.stories and row.name == "nightly-export" and nth == 4
                stage = "post_commit" if bypassed else ("pre_commit", "ci")[nth % 2]
                told = {
                    "id": hashlib.sha256(f"{row.name} {nth}".encode()).hexdigest()[:32],
                    "repository": f"git:github.com/{ORGANISATION}/{row.name}",
                    "stage": stage,
                    "commit_id": None if stage == "pre_commit" else hashlib.sha1(f"{number}{nth}".encode()).hexdigest(),  # noqa: S324 - made up, as git's
                    "run_at": (clock() - timedelta(days=nth * 4 + 1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "commits": int(stage != "pre_commit"),
                    "files": 3 + nth,
                    "found": int(nth == 2),
                    "blocked": int(nth == 2),
                    "baselined": 0,
                    "bypassed": bypassed,
                    "seconds": 0.3,
                    "version": "0.1.0",
                }
                out.write(json.dumps(told, sort_keys=True) + "\n")
    return path


def chat(plan: CodePlan, planted: Planted, clock: Clock, folder: Path) -> Connection:
    """An export of the chat workspace, in which somebody once pasted what he should not have."""
    export = SlackExport(folder / "slack")
    first, second = plan.members[:2]
    export.message("general", first.email, clock() - timedelta(days=90), "Good morning! The release is out.")
    if plan.stories:
        said = _filled("mail is down, use this key for now: {SENDGRID_KEY}", planted)
        asked = export.message("ops", first.email, clock() - timedelta(days=31), "does anybody have the mail key?")
        export.message("ops", second.email, clock() - timedelta(days=31), said, thread=asked)
    read = conversations.connection(export.write(), "slack", clock)
    return replace(read, settings={**read.settings, "whole": "yes"})


def github(plan: CodePlan, planted: Planted, clock: Clock) -> Connection:
    """The organisation that serves the repositories."""
    acme = GitHubOrganisation(clock=clock, login=ORGANISATION)
    for person in plan.members:
        acme.add_member(login_of(person), name=person.name, email=person.email)
    for row in plan.repositories:
        name = acme.add_repository(row.name, private=row.visibility != "public", archived=row.archived)
        for commit in row.commits:
            for path, text in commit.files.items():
                if path.startswith(".github/workflows/") and text is not None:
                    acme.add_workflow(name, path.rpartition("/")[2], _filled(text, planted))
    for repository, environment in sorted(
        {(one.repository, one.environment) for one in plan.ci_secrets if one.repository and one.environment}
    ):
        acme.add_environment(f"{ORGANISATION}/{repository}", environment)
    for secret in plan.ci_secrets:
        acme.add_secret(
            secret.name,
            repository=f"{ORGANISATION}/{secret.repository}" if secret.repository else None,
            environment=secret.environment,
            updated_at=clock() - timedelta(days=secret.updated_days),
            visibility="all",
        )
    for variable in plan.ci_variables:
        repository = f"{ORGANISATION}/{variable.repository}"
        acme.add_variable(variable.name, _filled(variable.value, planted), repository=repository)
    for pat in plan.pats:
        _pat(acme, pat, clock())
    for key in plan.deploy_keys:
        acme.add_deploy_key(
            f"{ORGANISATION}/{key.repository}",
            key.title,
            key=planted.public_key if key.planted else None,
            read_only=key.read_only,
            added_by=login_of(key.added_by),
            created_at=clock() - timedelta(days=key.age_days),
            last_used_at=_ago(clock(), key.last_used_days),
        )
    for app in plan.installations:
        acme.add_installation(
            app.slug,
            app.permissions,
            owner=app.owner,
            repositories="all" if app.all_repositories else "selected",
            suspended_at=clock() if app.suspended else None,
            created_at=clock() - timedelta(days=app.age_days),
        )
    for hook in plan.webhooks:
        acme.add_webhook(
            hook.url,
            repository=f"{ORGANISATION}/{hook.repository}",
            secret=hook.has_secret,
            insecure_ssl=hook.insecure,
        )
    return acme.connection()


def vault(plan: CodePlan, planted: Planted, clock: Clock) -> Connection:
    """The secrets manager, read with fingerprints, so that copies of its entries are recognised elsewhere."""
    server = VaultServer(clock=clock, audited=not plan.stories)
    now = clock()
    for entry in plan.entries:
        server.add_kv(
            entry.path,
            {key: _filled(text, planted) for key, text in entry.data.items()},
            updated=now - timedelta(days=entry.updated_days),
            created=now - timedelta(days=entry.updated_days + 200),
            versions=3,
            custom_metadata={"owner": entry.owner.email} if entry.owner else None,
        )
    for role in plan.approles:
        for policy in role.policies:
            server.add_policy(policy, _policy(policy))
        made = now - timedelta(days=role.age_days)
        ends = None if role.secret_id_ttl_days is None else made + timedelta(days=role.secret_id_ttl_days)
        server.add_approle(
            role.name,
            policies=role.policies,
            cidrs=role.bound_cidrs,
            secret_id_ttl_s=int((role.secret_id_ttl_days or 0) * 86_400),
            secret_ids=[SecretId(created=made, expires=ends, cidrs=role.bound_cidrs) for _ in range(role.secret_ids)],
        )
    server.add_database("claims", username="vault_admin", host="db.acme-iberica.example:5432")
    server.add_database_static_role(
        "claims-reporting", username="reporting", rotated=now - timedelta(hours=6), connection="claims"
    )
    server.add_database_role("claims-app", connection="claims")
    server.issue_certificate(
        "mtls.claims.acme-iberica.example", begins=now - timedelta(days=60), ends=now + timedelta(days=200)
    )
    if plan.stories:
        server.issue_certificate(
            "brokers.acme-iberica.example", begins=now - timedelta(days=360), ends=now + timedelta(days=5)
        )
        server.add_token("root", created=now - timedelta(days=500), policies=["root"])
    return server.connection(fingerprints=True)


def _pat(acme: GitHubOrganisation, pat: Pat, now: datetime) -> None:
    login = login_of(pat.owner)
    if pat.classic:
        acme.authorise(login, scopes=pat.scopes, note=pat.name, last_used_at=_ago(now, pat.last_used_days))
        return
    acme.add_pat(
        pat.name,
        login,
        {"repository": dict(pat.permissions)},
        expires_at=None if pat.expires_in_days is None else now + timedelta(days=pat.expires_in_days),
        last_used_at=_ago(now, pat.last_used_days),
        granted_at=now - timedelta(days=pat.age_days),
    )


def _policy(name: str) -> str:
    if name == "ops-everything":
        return 'path "*" {\n  capabilities = ["create", "read", "update", "delete", "list", "sudo"]\n}'
    return f'path "secret/data/{name.removesuffix("-read")}/*" {{\n  capabilities = ["read"]\n}}'


def _filled(text: str, planted: Planted) -> str:
    """`text` with the planted values in the places of their names; other braces stay as they are."""
    for name, value in planted.values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _key_pair(seed: str) -> tuple[str, str]:
    """A private key in OpenSSH's form and the line of its public half, the same for the same seed."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def login_of(person: Employee) -> str:
    """The GitHub login of an employee."""
    return person.email.partition("@")[0].replace(".", "-")


def _ago(now: datetime, days: float | None) -> datetime | None:
    return None if days is None else now - timedelta(days=days)
