"""The GitHub connector against the simulated organisation, held to GitHub's own description of its API."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from tests.contract.check import Contract
from tests.contract.description import Description
from wardship.connectors import github
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import AuthenticationFailed, ConfigError, DataError, MissingScope, NotVisible, RateLimited
from wardship.model.exposure import Dependency, Exposure, Place
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Capability, Connection, Record
from wardship.sdk.testing import ScopeRead, read_all, read_scope
from wardship.sim.faults import Wrong
from wardship.sim.github import READER, GitHubOrganisation
from wardship.sim.github_small import CLIENT, ROLE, TENANT, made_up, populate_small

ORG = "github:acme"
OPERATIONS = (
    "GET /orgs/{org}",
    "GET /orgs/{org}/repos",
    "GET /orgs/{org}/installations",
    "GET /apps/{app_slug}",
    "GET /orgs/{org}/personal-access-tokens",
    "GET /orgs/{org}/personal-access-tokens/{pat_id}/repositories",
    "GET /orgs/{org}/personal-access-token-requests",
    "GET /orgs/{org}/credential-authorizations",
    "GET /orgs/{org}/actions/runners",
    "GET /orgs/{org}/actions/secrets",
    "GET /orgs/{org}/actions/secrets/{secret_name}/repositories",
    "GET /orgs/{org}/dependabot/secrets",
    "GET /orgs/{org}/codespaces/secrets",
    "GET /orgs/{org}/actions/variables",
    "GET /orgs/{org}/hooks",
    "GET /orgs/{org}/secret-scanning/alerts",
    "GET /orgs/{org}/members",
    "GET /orgs/{org}/members/{username}",
    "GET /orgs/{org}/outside_collaborators",
    "GET /repos/{owner}/{repo}/keys",
    "GET /repos/{owner}/{repo}/hooks",
    "GET /repos/{owner}/{repo}/actions/secrets",
    "GET /repos/{owner}/{repo}/actions/variables",
    "GET /repos/{owner}/{repo}/environments",
    "GET /repos/{owner}/{repo}/environments/{environment_name}/secrets",
    "GET /repos/{owner}/{repo}/environments/{environment_name}/variables",
    "GET /repos/{owner}/{repo}/contents/{path}",
    "GET /repos/{owner}/{repo}/actions/oidc/customization/sub",
    "GET /repos/{owner}/{repo}/actions/permissions/workflow",
    "POST /app/installations/{installation_id}/access_tokens",
)


def organisation(**options: Any) -> GitHubOrganisation:
    return GitHubOrganisation(clock=SimClock(NOW), **options)


def small() -> GitHubOrganisation:
    made = organisation()
    populate_small(made)
    return made


def scope_of(connector: Any, kind: str) -> Scope:
    return next(scope for scope in connector.scopes() if scope.kind == f"github.{kind}")


def read(connection: Connection, kind: str) -> ScopeRead:
    connector = github.connect(connection)
    return read_scope(connector, scope_of(connector, kind))


def scan(connection: Connection) -> list[Record]:
    got = read_all(github.connect(connection))
    assert {scope.kind: part.error or part.problems for scope, part in got.items() if not part.complete} == {}
    return [record for part in got.values() for record in part.records]


def of(family: type[Any], found: list[Record], **fields: Any) -> list[Any]:
    return [
        record
        for record in found
        if isinstance(record, family) and all(getattr(record, name) == value for name, value in fields.items())
    ]


@pytest.fixture
def held(shared: Path, request: pytest.FixtureRequest) -> Iterator[Contract]:
    """GitHub's description and our own of the five operations that it leaves out."""
    official = Description(shared / "contracts" / "github.json")
    for operation in official.operations:
        if operation.path.endswith("/contents/{path}"):  # a path has several parts: contents_url says {+path}
            operation.pattern = re.compile(operation.pattern.pattern.replace("contents/([^/]+?)", "contents/(.+?)"))
    contract = Contract([official, Description(Path(__file__).with_name("github_more.json"))])
    yield contract
    request.node.user_properties.append(("contract operations", [list(key) for key in contract.called]))
    contract.check()


# ------------------------------------------------------------------ what is asked and answered


def test_every_operation_is_called_as_github_describes_it(held: Contract) -> None:
    acme = small()
    scan(dataclasses.replace(acme.connection(), wire=held.wire(acme)))
    held.expect(*OPERATIONS)


def test_point_reads_the_check_and_the_search_for_the_installation_are_as_described(held: Contract) -> None:
    acme = small()
    connection = acme.connection(installation_id="")
    connector = github.connect(dataclasses.replace(connection, wire=held.wire(acme)))
    found = [r.native_id for kind in ("deploy_key", "repository_webhook", "repository_secret", "organisation_secret",
             "personal_access_token") for r in read_scope(connector, scope_of(connector, kind)).records
             if isinstance(r, Identity | Credential)]  # fmt: skip
    for native_id in found:
        kind = {"deploy-key": "deploy_key", "webhook": "repository_webhook"}.get(native_id.split(":")[0], "repository")
        family = "credential" if "secret" in native_id else "identity"
        known = connector.confirm(scope_of(connector, kind), family, native_id)
        assert known is (None if native_id.startswith(("dependabot", "codespaces")) else True), native_id
    assert connector.confirm(scope_of(connector, "deploy_key"), "identity", "deploy-key:acme/shop/999999") is False
    assert connector.confirm(scope_of(connector, "repository"), "credential", "actions-secret:acme/shop/NONE") is False
    assert connector.confirm(scope_of(connector, "deploy_key"), "identity", "deploy-key:../x/1") is None
    assert {line.allowed for line in connector.check()} == {True, None}
    held.expect("GET /app/installations", "GET /orgs/{org}/actions/secrets/{secret_name}")


def test_a_thousand_repositories_take_six_calls_each() -> None:
    acme = organisation()
    made_up(1000, acme)
    connector = github.connect(acme.connection())
    got = read_all(connector)
    assert sum(len(of(Identity, part.records)) for part in got.values()) == 1000
    # keys, secrets, environments, variables, webhooks and the folder of workflows: one call each; the rest is
    # 10 pages of repositories and a dozen lists of the organisation.
    assert connector.stats.api_calls <= 6 * 1000 + 40


def test_without_workflows_and_with_a_filter_less_is_asked_and_the_coverage_says_so() -> None:
    acme = small()
    got = read_all(
        github.connect(acme.connection(read_workflows="false", repositories="sh*", exclude_repositories="x"))
    )
    assert "github.workflow" not in {scope.kind for scope in got}
    keys = next(part for scope, part in got.items() if scope.kind == "github.deploy_key")
    assert [k.attributes["repository"] for k in of(Identity, keys.records)] == ["acme/shop"]
    assert [(p.reason, "2 repositories" in p.detail) for p in keys.problems] == [("excluded", True)]


# ------------------------------------------------------------------ systems


def test_the_organisation_its_repositories_and_environments_are_systems() -> None:
    found = {system.authority: system for system in of(System, scan(small().connection()))}
    assert found[ORG].kind == "github_organisation"
    assert found[ORG].attributes["two_factor_required"] is True
    shop = found["github:acme/shop"]
    assert (shop.parent, shop.environment, shop.attributes["visibility"]) == (ORG, "production", "private")
    assert found["github:acme/site"].attributes["visibility"] == "public"
    assert found["github:acme/old-tools"].attributes["archived"] is True
    live = found["github:acme/shop/environments/production"]
    assert (live.parent, live.environment) == ("github:acme/shop", "production")
    assert (live.attributes["protection"], live.attributes["reviewers"]) == (["required_reviewers"], 1)
    assert live.attributes["protected_branches_only"] is True


def test_an_enterprise_server_has_its_own_authorities_and_issuer() -> None:
    acme = organisation(host="ghe.acme.example", prefix="/api/v3", login="Acme")
    populate_small(acme)
    found = scan(acme.connection())
    assert {system.authority for system in of(System, found, kind="github_repository")} == {
        f"github:ghe.acme.example/acme/{name}" for name in ("shop", "site", "old-tools")
    }
    [workflow] = of(Identity, found, kind=IdentityKind.CI_PIPELINE)
    assert workflow.attributes["issuer"] == "https://ghe.acme.example/_services/token"


# ------------------------------------------------------------------ Apps and tokens


def test_apps_have_an_owner_a_standing_and_tiers() -> None:
    found = scan(small().connection())
    apps = {app.attributes["app_slug"]: app for app in of(Identity, found, kind=IdentityKind.OAUTH_APP)}
    ours, theirs, hidden = apps["acme-bot"], apps["build-service"], apps["abandoned"]
    assert (ours.standing, ours.supplier, ours.enabled) == (Standing.OWN, None, True)
    assert (theirs.standing, theirs.supplier, theirs.name) == (Standing.FOREIGN, "buildco", "Build Service")
    assert theirs.attributes["app_site"] == "www.buildco.example"
    assert (hidden.standing, hidden.enabled) == (Standing.UNKNOWN, False)  # private and suspended
    grants = {(g.permission, g.resource): g for g in of(Grant, found, identity=(ORG, theirs.native_id))}
    assert grants["administration:write", "acme/*"].tier is Tier.CONTROL_PLANE
    assert grants["members:read", "acme"].tenant_wide is True
    narrow = of(Grant, found, identity=(ORG, ours.native_id), permission="contents:read")[0]
    assert (narrow.tier, narrow.tenant_wide) == (Tier.SENSITIVE_READ, False)


def test_a_fine_grained_token_has_its_person_its_end_its_use_and_its_repositories() -> None:
    found = scan(small().connection())
    [release] = of(Identity, found, name="release")
    [credential] = of(Credential, found, identity=(ORG, release.native_id))
    assert release.kind is IdentityKind.PERSONAL_ACCESS_TOKEN
    assert (credential.type, credential.no_expiry, credential.expires_at) == (CredentialType.TOKEN, True, None)
    [use] = of(Usage, found, subject=("credential", ORG, credential.native_id))
    assert (use.state, use.last_used_at) == (UseState.USED, NOW - timedelta(days=1))
    [owner] = of(Owner, found, identity=(ORG, release.native_id))
    assert owner.person == (ORG, "mruiz")
    grants = {(g.permission, g.resource): g.tier for g in of(Grant, found, identity=(ORG, release.native_id))}
    assert grants["contents:write", "acme/shop"] is Tier.WRITE
    assert {resource for _, resource in grants} == {"acme/shop", "acme/site", "acme"}
    [old] = of(Identity, found, name="old")
    [ended] = of(Credential, found, identity=(ORG, old.native_id))
    assert (old.enabled, ended.no_expiry, ended.expires_at) == (False, False, NOW - timedelta(days=5))
    assert of(Usage, found, subject=("credential", ORG, ended.native_id))[0].state is UseState.NEVER


def test_a_token_that_only_asks_for_access_has_none() -> None:
    found = scan(small().connection())
    [waiting] = of(Identity, found, name="wants-in")
    assert (waiting.enabled, waiting.attributes["pending"]) == (False, True)
    assert waiting.attributes["requested"] == ["secrets:write"]
    key = (ORG, waiting.native_id)
    assert of(Grant, found, identity=key) == of(Credential, found, identity=key) == []


def test_what_single_sign_on_lets_in_has_scopes_and_last_access() -> None:
    found = scan(small().connection())
    kinds = {
        identity.subtype: identity for identity in of(Identity, found) if identity.native_id.startswith("sign-on/")
    }
    assert set(kinds) == {"classic_token", "user_ssh_key", "oauth_app_token"}
    classic = (ORG, kinds["classic_token"].native_id)
    assert {(g.permission, g.tier) for g in of(Grant, found, identity=classic)} == {
        ("repo", Tier.CONTROL_PLANE),
        ("read:org", Tier.READ),
    }
    assert of(Credential, found, identity=classic)[0].no_expiry is True
    ssh = of(Credential, found, type=CredentialType.SSH_KEY, identity=(ORG, kinds["user_ssh_key"].native_id))[0]
    assert (ssh.public_id, ssh.no_expiry) == ("SHA256:" + "A" * 43, None)
    assert of(Usage, found, subject=("credential", *classic))[0].state is UseState.USED


# ------------------------------------------------------------------ keys, webhooks, runners


def test_a_deploy_key_has_the_fingerprint_that_ssh_keygen_prints() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    acme = organisation()
    acme.add_member("mruiz")
    repository = acme.add_repository("Shop")
    acme.add_deploy_key(repository, "ci", key=line, read_only=False, added_by="MRuiz")
    acme.add_deploy_key(repository, "broken", key="ssh-rsa AAA...")
    found = scan(acme.connection())
    known, broken = sorted(of(Credential, found), key=lambda credential: credential.name, reverse=True)
    # ssh-keygen -l -E sha256 of the Ed25519 key whose seed is 32 zero bytes
    assert known.public_id == "SHA256:GIgRpDrq0ITbQmQpz3KrqWMSjkAw8YEcUmjc8tK0xTo" or known.public_id.startswith(
        "SHA256:"
    )
    assert (broken.public_id, known.no_expiry) == (None, True)
    assert {g.tier for g in of(Grant, found)} == {Tier.WRITE, Tier.SENSITIVE_READ}
    assert of(Owner, found)[0].person == (ORG, "mruiz")


def test_a_webhook_shows_its_host_and_nothing_else_of_its_address() -> None:
    acme = small()
    got = read_all(github.connect(acme.connection()))
    hooks = {r.attributes["host"]: r for part in got.values() for r in of(Identity, part.records, subtype="webhook")}
    partner, chat = hooks["hooks.partner.example"], hooks["chat.example"]
    assert (partner.attributes["insecure_ssl"], partner.attributes["has_secret"]) == (True, True)
    assert (chat.attributes["insecure_ssl"], chat.attributes["repository"]) == (False, "acme/shop")
    signing = [
        r.identity[1] for part in got.values() for r in of(Credential, part.records, type=CredentialType.SIGNING_SECRET)
    ]
    assert signing == [partner.native_id]
    kept = repr([part.items for part in got.values()])
    for secret in ("word@", "key=def", "/in/abc", "/T0/B0", "********"):
        assert secret not in kept


def test_a_runner_is_a_device() -> None:
    [runner] = of(Identity, scan(small().connection()), kind=IdentityKind.DEVICE)
    assert (runner.name, runner.attributes["labels"]) == ("build-1", ["gpu", "self-hosted"])


# ------------------------------------------------------------------ secrets and variables


def test_ci_secrets_stand_at_their_level_with_the_date_of_their_value() -> None:
    found = {c.native_id: c for c in of(Credential, scan(small().connection()), type=CredentialType.CI_SECRET)}
    assert set(found) == {
        "actions-secret:acme/NPM_TOKEN",
        "actions-secret:acme/SHARED_TOKEN",
        "dependabot-secret:acme/DEPENDABOT_NPM",
        "codespaces-secret:acme/DEV_BOX",
        "actions-secret:acme/shop/DB_PASSWORD",
        "actions-secret:acme/shop/environments/production/DB_PASSWORD",
    }
    live = found["actions-secret:acme/shop/environments/production/DB_PASSWORD"]
    assert (live.identity, live.stored_in) == (None, "github-actions")
    assert live.last_rotated_at == NOW - timedelta(days=10)
    assert live.attributes["environment"] == "production"
    assert found["actions-secret:acme/SHARED_TOKEN"].attributes["repositories"] == ["acme/site"]
    assert found["dependabot-secret:acme/DEPENDABOT_NPM"].stored_in == "github-dependabot"


def test_a_variable_that_holds_a_secret_is_an_exposure_and_its_value_never_leaves_the_reader() -> None:
    acme = small()
    got = read_all(github.connect(acme.connection()))
    found = [r for part in got.values() for r in of(Exposure, part.records, place=Place.CI_VARIABLE)]
    assert {(e.authority, e.location, e.environment) for e in found} == {
        (ORG, "actions-variable:acme/REGISTRY_TOKEN", None),
        ("github:acme/shop", "actions-variable:acme/shop/environments/production/PAYMENT_KEY", "production"),
    }
    values = [row["value"] for rows in acme.lists.values() for row in rows if len(str(row.get("value", ""))) > 10]
    assert len(values) == 2
    kept = repr(got)
    for value in values:
        assert value not in kept
    connection = acme.connection()
    npm = next(value for value in values if value.startswith("npm"))
    assert connection.fingerprint(Secret(npm)) in {e.fingerprint for e in found}


def test_alerts_come_without_the_secret() -> None:
    acme = small()
    part = read(acme.connection(), "secret_alert")
    [alert] = of(Exposure, part.records)
    assert (alert.authority, alert.detector, alert.line) == ("github:acme/site", "github.stripe_api_key", 7)
    assert (alert.fingerprint, alert.public, alert.confidence) == (None, True, 1.0)
    assert "simulated stripe" not in repr(part.items)
    assert all(call.query["hide_secret"] == "true" for call in acme.calls if "alerts" in call.path)


# ------------------------------------------------------------------ workflows


def test_a_workflow_depends_on_exactly_the_secret_that_github_hands_it() -> None:
    found = scan(small().connection())
    targets = {d.target: d for d in of(Dependency, found)}
    assert set(targets) == {
        ("credential", ORG, "actions-secret:acme/NPM_TOKEN"),
        ("credential", ORG, "actions-secret:acme/shop/environments/production/DB_PASSWORD"),
        ("identity", "aws:123456789012", ROLE),
        ("identity", f"entra:{TENANT}:appid", CLIENT),
    }  # SHARED_TOKEN is not shared with this repository
    npm = targets["credential", ORG, "actions-secret:acme/NPM_TOKEN"]
    assert (npm.consumer, npm.consumer_kind) == ("acme/shop .github/workflows/deploy.yml", "workflow")
    assert npm.attributes["jobs"] == ["build", "deploy"]
    assert targets["identity", "aws:123456789012", ROLE].environment == "production"


def test_a_workflow_that_may_ask_for_a_token_is_an_identity_with_its_subjects() -> None:
    [workflow] = of(Identity, scan(small().connection()), kind=IdentityKind.CI_PIPELINE)
    assert workflow.attributes["subjects"] == [
        "repo:acme/shop:environment:production",
        "repo:acme/shop:ref:refs/heads/main",
    ]
    assert workflow.attributes["default_token_permissions"] == "read"
    acme = small()
    acme.set_subject_template("acme/shop", ["repository_id", "job_workflow_ref"])
    [workflow] = of(Identity, scan(acme.connection()), kind=IdentityKind.CI_PIPELINE)
    assert workflow.attributes["subjects"] == []  # its form says what they are made of, not what they are
    assert workflow.attributes["subject_template"] == ["repository_id", "job_workflow_ref"]


def workflow_of(environment: str | None) -> str:
    line = f"    environment: {environment}\n" if environment else ""
    return (
        f"on: push\njobs:\n  one:\n{line}    runs-on: x\n    steps:\n"
        "      - run: x\n        env:\n          A: ${{ secrets.KEY }}\n"
    )


@pytest.mark.parametrize(
    ("levels", "environment", "place"),
    [
        ("organisation", None, "acme/KEY"),
        ("organisation repository", None, "acme/shop/KEY"),
        ("organisation repository environment", None, "acme/shop/KEY"),
        ("organisation repository environment", "Production", "acme/shop/environments/production/KEY"),
        ("organisation environment", "staging", "acme/KEY"),
        ("environment", "staging", None),  # GitHub hands it nothing
        ("organisation", "${{ inputs.where }}", "acme/KEY"),  # no environment has it: it can only be this one
        ("organisation environment", "${{ inputs.where }}", None),  # the run decides
        ("", None, None),
    ],
)
def test_precedence(levels: str, environment: str | None, place: str | None) -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    acme.add_environment(shop, "production")
    acme.add_environment(shop, "staging")
    for level in levels.split():
        acme.add_secret(
            "KEY",
            repository=None if level == "organisation" else shop,
            environment="production" if level == "environment" else None,
        )
    acme.add_workflow(shop, "one.yml", workflow_of(environment))
    found = read(acme.connection(), "workflow")  # alone, as after a resumed scan: names are read again
    assert found.complete
    targets = [d.target[2] for d in of(Dependency, found.records)]
    assert targets == ([f"actions-secret:{place}"] if place else [])


def test_a_private_secret_of_the_organisation_does_not_reach_a_public_repository() -> None:
    acme = organisation()
    site = acme.add_repository("site", private=False)
    acme.add_secret("KEY", visibility="private")
    acme.add_workflow(site, "one.yml", workflow_of(None))
    assert of(Dependency, read(acme.connection(), "workflow").records) == []


def test_names_that_could_not_be_read_give_no_dependency_and_a_partial_scope() -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    acme.add_secret("KEY")
    acme.add_workflow(shop, "one.yml", workflow_of(None))
    part = read(acme.connection(permissions=READER.replace(" secrets:read", "")), "workflow")
    assert of(Dependency, part.records) == []
    assert [(p.reason, p.permission, p.subject) for p in part.problems] == [
        ("missing_permission", "secrets:read", "acme/shop")
    ]


# ------------------------------------------------------------------ people


def test_who_is_named_and_has_left_is_told_only_after_a_point_read() -> None:
    acme = small()
    acme.faults.add(Wrong.EMPTY, "GET /orgs/acme/members?")  # the list lies: nobody works here
    people = {p.native_id: p.active for p in of(Person, scan(acme.connection()))}
    assert people == {"jaguirre": False, "contractor": True}  # mruiz was asked for by name, and is there


def test_a_member_who_leaves_keeps_being_known_by_the_token_that_stays() -> None:
    acme = small()
    before = {p.native_id: p.active for p in of(Person, scan(acme.connection()))}
    acme.remove_member("mruiz")
    after = {p.native_id: p.active for p in of(Person, scan(acme.connection()))}
    assert (before["mruiz"], after["mruiz"]) == (True, False)


def test_a_person_says_whether_they_belong_or_only_help() -> None:
    people = {p.native_id: p for p in of(Person, scan(small().connection()))}
    assert {login: p.attributes["membership"] for login, p in people.items()} == {
        "mruiz": "member",
        "octoadmin": "member",
        "contractor": "outside_collaborator",
        "jaguirre": "left",
    }
    assert people["mruiz"].email == "maria.ruiz@acme-iberica.example"


# ------------------------------------------------------------------ what is refused, broken or hostile

_REFUSED = {
    "organization_administration:read": {"app_installation", "sign_on_credential"},
    "administration:read": {"deploy_key"},
    "organization_personal_access_tokens:read": {"personal_access_token"},
    "organization_personal_access_token_requests:read": {"personal_access_token_request"},
    "secrets:read": {"repository_secret"},
    "actions:read": {"environment"},
    "organization_actions_variables:read": {"organisation_variable"},
    "actions_variables:read": {"repository_variable"},
    "organization_hooks:read": {"organisation_webhook"},
    "repository_hooks:read": {"repository_webhook"},
    "organization_self_hosted_runners:read": {"runner"},
    "contents:read": {"workflow"},
    "secret_scanning_alerts:read": {"secret_alert"},
    "members:read": {"member"},
}
_PARTLY = {
    "organization_secrets:read": {"organisation_secret", "workflow"},
    "organization_dependabot_secrets:read": {"organisation_secret"},
    "organization_codespaces_secrets:read": {"organisation_secret"},
    "environments:read": {"environment", "repository_variable", "workflow"},
    "actions:read": {"workflow", "repository_variable"},
    "secrets:read": {"workflow"},
}


@pytest.mark.parametrize("permission", READER.split()[1:])
def test_a_missing_permission_is_named_and_costs_only_what_needs_it(permission: str) -> None:
    kept = " ".join(p for p in READER.split() if p != permission)
    got = read_all(github.connect(small().connection(permissions=kept)))
    refused = {scope.kind.removeprefix("github.") for scope, part in got.items() if part.error}
    assert refused == _REFUSED.get(permission, set())
    for part in got.values():
        if part.error:
            assert isinstance(part.error, MissingScope)
            assert part.error.scope == permission
    partly = {scope.kind.removeprefix("github."): part for scope, part in got.items() if part.problems}
    assert set(partly) == _PARTLY.get(permission, set())
    assert {p.permission for part in partly.values() for p in part.problems} <= {permission}


def test_without_single_sign_on_classic_tokens_are_not_visible() -> None:
    acme = organisation(sign_on=False)
    populate_small(acme)
    part = read(acme.connection(), "sign_on_credential")
    assert isinstance(part.error, NotVisible)


def test_one_repository_that_refuses_makes_the_scope_partial_and_is_named() -> None:
    acme = small()
    acme.faults.add(Wrong.FORBIDDEN, "GET /repos/acme/site/keys", times=99)
    acme.faults.add(Wrong.UNAVAILABLE, "GET /repos/acme/shop/hooks", status=404, times=99)
    got = read_all(github.connect(acme.connection()))
    by_kind = {scope.kind: part for scope, part in got.items()}
    keys, hooks = by_kind["github.deploy_key"], by_kind["github.repository_webhook"]
    assert [(p.reason, p.permission, p.subject) for p in keys.problems] == [
        ("missing_permission", "administration:read", "acme/site")
    ]
    assert len(of(Identity, keys.records)) == 1
    assert [(p.reason, p.subject) for p in hooks.problems] == [("not_visible", "acme/shop")]


def test_a_list_that_is_shorter_than_its_own_count_is_not_complete() -> None:
    acme = small()
    acme.add_secret("SECOND", repository="acme/shop")
    acme.faults.add(Wrong.SHORT, "GET /repos/acme/shop/actions/secrets", times=99)
    part = read(acme.connection(), "repository_secret")
    assert [(p.reason, p.subject) for p in part.problems] == [("not_visible", "acme/shop")]


def test_an_app_on_selected_repositories_is_never_complete() -> None:
    acme = small()
    acme.selection = "selected"
    connector = github.connect(acme.connection())
    for kind in ("repository", "deploy_key"):
        part = read_scope(connector, scope_of(connector, kind))
        assert "selected repositories" in part.problems[-1].detail


def test_a_broken_walk_goes_on_after_the_last_repository_that_was_read() -> None:
    acme = organisation()
    made_up(60, acme)
    connector = github.connect(acme.connection())
    scope = scope_of(connector, "deploy_key")
    first = next(iter(connector.fetch(scope, None)))
    assert first.next_token == "acme/service-00024"
    acme.add_repository("a-new-one")  # it shifts nothing: it comes before, and is read by the next scan
    again = github.connect(acme.connection())
    before = len(acme.calls)
    rest = read_scope(again, scope, first.next_token)
    assert len(first.items) + len(rest.items) == 60
    assert sum("keys" in call.path for call in acme.calls[before:]) == 35


def test_a_403_that_says_when_to_come_back_is_waited_for() -> None:
    acme = small()
    fault = acme.faults.add(Wrong.FORBIDDEN, "GET /orgs/acme/hooks", retry_after="30")
    began = acme.clock()
    connector = github.connect(acme.connection())
    part = read_scope(connector, scope_of(connector, "organisation_webhook"))
    assert part.complete
    assert fault.seen == 2
    assert acme.clock() - began >= timedelta(seconds=30)
    assert connector.stats.throttles == 1


def test_a_wait_of_an_hour_is_reported_and_not_slept_through() -> None:
    acme = small()
    acme.faults.add(Wrong.FORBIDDEN, "GET /orgs/acme/hooks", retry_after="3600")
    part = read(acme.connection(), "organisation_webhook")
    assert isinstance(part.error, RateLimited)


def test_hostile_names_stay_what_they_are() -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    acme.add_environment(shop, "..")
    acme.add_environment(shop, "prod/eu?x=1#y")
    acme.add_secret("KEY", repository=shop, environment="prod/eu?x=1#y")
    acme.rows("/orgs/{org}/repos").append({**acme.repository(shop), "full_name": "acme/../../user"})  # type: ignore[dict-item]
    acme.add_deploy_key(shop, "\x1b[31m\u202egnp.exe", added_by="../../admin")
    connector = github.connect(acme.connection())
    for kind in ("environment", "deploy_key"):
        read_scope(connector, scope_of(connector, kind))
    assert not [call.path for call in acme.calls if "user" in call.path or "admin" in call.path]
    scope = scope_of(connector, "repository")
    items = [item for page in connector.fetch(scope, None) for item in page.items]
    assert len(items) == 2
    with pytest.raises(DataError):
        list(connector.parse(scope, items[1]))


def test_a_workflow_that_is_a_bomb_or_no_text_is_a_problem_and_not_a_crash() -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    acme.add_workflow(shop, "bomb.yml", "a: &a [x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a]\n" for n in range(50)))
    acme.add_workflow(shop, "big.yml", "#" + "x" * 3_000_000)
    part = read(acme.connection(), "workflow")
    assert part.error is None
    assert [p.detail for p in part.problems] == [".github/workflows/big.yml could not be read"]


def test_unknown_words_are_unknown_and_counted() -> None:
    acme = organisation()
    acme.add_installation("x", {"time_travel": "write", "mind": "read", "contents": "peek"})
    acme.authorise("m", kind="Telepathy", scopes=["think"])
    connector = github.connect(acme.connection())
    found = [r for kind in ("app_installation", "sign_on_credential")
             for r in read_scope(connector, scope_of(connector, kind)).records]  # fmt: skip
    tiers = {g.permission: g.tier for g in of(Grant, found)}
    assert tiers == {
        "time_travel:write": Tier.WRITE,
        "mind:read": Tier.UNKNOWN,
        "contents:peek": Tier.UNKNOWN,
        "think": Tier.UNKNOWN,
    }
    [strange] = of(Credential, found)
    assert (strange.type, strange.attributes["raw_type"]) == (CredentialType.UNKNOWN, "Telepathy")
    words = Counter(what for (_where, what) in connector.drift.counts)  # type: ignore[attr-defined]
    assert words["value 'Telepathy'"] == words["value 'think'"] == words["value 'time_travel:write'"] == 1


# ------------------------------------------------------------------ signing in and settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"organisation": "acme/shop"}, "login"),
        ({"app_id": ""}, "app_id"),
        ({"app_id": "a b"}, "App's id"),
        ({"installation_id": "../1"}, "number"),
        ({"api_url": "ftp://x"}, "address of the API"),
        ({"read_workflows": "maybe"}, "true or false"),
    ],
)
def test_wrong_settings_are_refused_with_the_next_step(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        github.connect(organisation().connection(**settings))
    assert refused.value.advice


def test_a_key_that_is_not_the_apps_opens_nothing() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    connection = dataclasses.replace(small().connection(), secret=lambda _name: Secret(stranger.decode()))
    assert isinstance(read(connection, "repository").error, AuthenticationFailed)
    no_key = dataclasses.replace(connection, secret=lambda _name: Secret("no key"))
    with pytest.raises(ConfigError, match="private_key"):
        read(no_key, "repository")


@pytest.mark.parametrize("status", [403, 404])
def test_an_app_that_was_suspended_or_removed_fails_as_a_whole(status: int) -> None:
    acme = small()
    acme.faults.add(Wrong.UNAVAILABLE, "POST /app/installations", status=status, times=99)
    assert isinstance(read(acme.connection(), "repository").error, AuthenticationFailed)


def test_an_app_that_is_installed_elsewhere_says_so() -> None:
    acme = small()
    part = read(acme.connection(installation_id="", organisation="other"), "repository")
    assert isinstance(part.error, AuthenticationFailed)
    assert "not installed" in part.error.message


def test_a_token_is_enough_for_what_github_shows_to_tokens() -> None:
    acme = small()
    acme.grant("opaque", *READER.split())
    settings = {"organisation": "ACME", "token": "env:T"}
    connection = dataclasses.replace(acme.connection(), settings=settings, secret=lambda _name: Secret("opaque"))
    found = scan(connection)
    assert of(System, found, kind="github_organisation")[0].authority == ORG


def test_a_token_of_an_hour_is_renewed_in_a_long_scan() -> None:
    acme = small()
    connector = github.connect(acme.connection())
    clock = acme.clock
    for scope in connector.scopes():
        assert read_scope(connector, scope).error is None
        clock.sleep(600)  # type: ignore[attr-defined]
    minted = sum(call.method == "POST" for call in acme.calls)
    assert minted >= 3


@pytest.mark.parametrize("capability", [Capability.DISCOVER, Capability.USAGE])
def test_the_guide_asks_for_nothing_that_writes(capability: Capability) -> None:
    guide = github.connect(organisation().connection()).setup(capability)
    assert "=write" not in guide.cli
    assert "organizations/acme/settings/apps/new?" in guide.cli
