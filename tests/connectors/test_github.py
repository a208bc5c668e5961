"""The GitHub connector against the simulated organisation, held to GitHub's own description of its API."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.connectors.github_reading import ORG, of, organisation, read, scan, scope_of, small
from tests.contract.check import Contract
from tests.contract.description import Description
from wardship.app import App
from wardship.connectors import github
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.exposure import Exposure, Place
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.model.secret import Secret
from wardship.sdk.testing import read_all, read_scope
from wardship.services import scan as run_scan
from wardship.sim.faults import Wrong
from wardship.sim.github_small import made_up, populate_small
from wardship.store import tables

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
    [release] = of(Identity, found, name="mruiz/release")
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
    [old] = of(Identity, found, name="jaguirre/old")
    [ended] = of(Credential, found, identity=(ORG, old.native_id))
    assert (old.enabled, ended.no_expiry, ended.expires_at) == (False, False, NOW - timedelta(days=5))


def test_a_token_that_only_asks_for_access_has_none() -> None:
    found = scan(small().connection())
    [waiting] = of(Identity, found, name="mruiz/wants-in")
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


def test_no_last_use_is_never_only_where_github_says_that_it_means_so() -> None:
    found = scan(small().connection())
    use = {usage.subject[2]: usage.state for usage in of(Usage, found)}
    states: dict[str, set[UseState]] = {}
    for credential in of(Credential, found):
        if credential.native_id in use:
            states.setdefault(credential.native_id.split("/")[0].split(":")[0], set()).add(use[credential.native_id])
    assert states == {
        "pat": {UseState.USED, UseState.UNKNOWN},
        "deploy-key": {UseState.USED, UseState.UNKNOWN},
        "sign-on": {UseState.USED, UseState.NEVER},  # "null if it was never accessed"
    }


def test_githubs_description_says_of_no_other_field_what_null_means(shared: Path) -> None:
    described = json.loads((shared / "contracts" / "github.json").read_text(encoding="utf-8"))["components"]["schemas"]
    fields = {
        "organization-programmatic-access-grant": "token_last_used_at",
        "deploy-key": "last_used",
        "credential-authorization": "credential_accessed_at",
    }
    told = {name: described[name]["properties"][field] for name, field in fields.items()}
    assert all(about["nullable"] for about in told.values())
    assert [name for name, about in told.items() if "never" in about.get("description", "")] == [
        "credential-authorization"
    ]


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
    # printed by ssh-keygen -l -E sha256 of the Ed25519 key whose seed is 32 zero bytes
    assert known.public_id == "SHA256:tAXFyTXI8xtDaujAEcwJslAYc9/6FKcUkd2Lw0xDhPo"
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


def test_a_second_scan_says_what_is_gone_and_who_has_left(tmp_path: Path) -> None:
    acme = small()
    identity, person = tables.CURRENT["identity"], tables.CURRENT["person"]
    with App.create(tmp_path / "w", clock=acme.clock) as app:
        first = run_scan.read(app.workspace, acme.connection(), app.actor)
        assert (first.areas, first.complete, first.quarantined) == (18, 18, 0)
        [row] = acme.rows("/repos/acme/site/keys")
        acme.remove_deploy_key("acme/site", row["id"])
        acme.remove_member("mruiz")
        run_scan.read(app.workspace, acme.connection(), app.actor)
        mirror = identity.c.native_id.startswith("deploy-key:acme/site/")
        with app.workspace.db.read() as conn:
            kept = conn.execute(sa.select(identity.c.presence).where(mirror)).scalars().all()
            left = conn.execute(sa.select(person.c.active).where(person.c.native_id == "mruiz")).scalar_one()
    assert (kept, left) == (["gone"], False)


def test_a_person_says_whether_they_belong_or_only_help() -> None:
    people = {p.native_id: p for p in of(Person, scan(small().connection()))}
    assert {login: p.attributes["membership"] for login, p in people.items()} == {
        "mruiz": "member",
        "octoadmin": "member",
        "contractor": "outside_collaborator",
        "jaguirre": "left",
    }
    assert people["mruiz"].email == "maria.ruiz@acme-iberica.example"
