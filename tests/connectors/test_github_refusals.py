"""What the GitHub connector makes of refusals, broken and hostile answers, and of wrong settings."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta

import httpx
import pytest

from tests.conftest import NOW
from tests.connectors.github_reading import ORG, of, organisation, read, scan, scope_of, small
from wardship.connectors import github
from wardship.connectors.github.questions import confirm
from wardship.connectors.github.workflows import MAX_FILES
from wardship.model.access import Credential, CredentialType, Grant, Tier
from wardship.model.errors import AuthenticationFailed, ConfigError, DataError, MissingScope, NotVisible, RateLimited
from wardship.model.identity import Identity, System
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import CallStats, Capability, DriftLog
from wardship.sdk.http import Http
from wardship.sdk.testing import read_all, read_scope
from wardship.sim.faults import Wrong
from wardship.sim.github import READER
from wardship.sim.github_small import made_up, populate_small

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


def test_what_every_repository_refuses_is_not_asked_of_all_of_them() -> None:
    acme = organisation()
    made_up(120, acme)
    part = read(acme.connection(permissions=READER.replace(" administration:read", "")), "deploy_key")
    assert isinstance(part.error, MissingScope)
    assert sum(call.path.endswith("/keys") for call in acme.calls) == 25


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


def test_a_check_of_what_may_not_even_be_listed_has_a_line_for_each_permission() -> None:
    acme = small()
    acme.faults.add(Wrong.FORBIDDEN, "GET /orgs/acme/repos", times=99)
    lines = {line.permission: line.allowed for line in github.connect(acme.connection()).check()}
    assert (lines["metadata:read"], lines["secrets:read"], lines["members:read"]) == (False, None, True)


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
    listed = acme.rows("/orgs/{org}/repos")
    listed.append({**listed[0], "full_name": "acme/../../user"})
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
    assert [(p.detail, p.permission) for p in part.problems] == [(".github/workflows/big.yml could not be read", None)]


def test_of_too_many_workflow_files_the_first_are_read_and_the_rest_is_told() -> None:
    acme = organisation()
    shop = acme.add_repository("shop")
    for number in range(MAX_FILES + 1):
        acme.add_workflow(shop, f"{number:03d}.yml", "on: push")
    part = read(acme.connection(), "workflow")
    assert [(p.reason, p.permission) for p in part.problems] == [("budget", None)]
    assert sum("/contents/.github/workflows/" in call.path for call in acme.calls) == MAX_FILES


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
    assert isinstance(connector.drift, DriftLog)
    words = Counter(what for (_where, what) in connector.drift.counts)
    assert words["value 'Telepathy'"] == words["value 'think'"] == words["value 'time_travel:write'"] == 1


def test_what_a_repository_hides_is_not_said_to_be_gone() -> None:
    acme = small()
    connector = github.connect(acme.connection())
    scope = scope_of(connector, "repository_secret")
    assert connector.confirm(scope, "credential", "actions-secret:acme/shop/GONE") is False
    acme.faults.add(Wrong.UNAVAILABLE, "GET /repos/acme/shop/actions/secrets", status=404, times=99)
    assert connector.confirm(scope, "credential", "actions-secret:acme/shop/DB_PASSWORD") is None


def test_a_token_is_looked_for_in_the_answer_even_if_the_server_knows_no_such_filter() -> None:
    everything = httpx.MockTransport(lambda _request: httpx.Response(200, json=[{"id": 8, "token_id": 7}]))
    http = Http("https://api.github.com", clock=lambda: NOW, stats=CallStats(), transport=everything)
    for ident, there in (("7", True), ("8", False)):
        assert confirm(http, "/orgs/acme", "github.personal_access_token", "identity", f"pat/{ident}") is there


# ------------------------------------------------------------------ signing in and settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"organisation": "acme/shop"}, "login"),
        ({"app_id": ""}, "app_id"),
        ({"app_id": "a b"}, "App's id"),
        ({"installation_id": "../1"}, "number"),
        ({"api_url": "ftp://x"}, "address of the API"),
        ({"api_url": "https://[x:abc"}, "address of the API"),
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
    assert isinstance(acme.clock, SimClock)
    for scope in connector.scopes():
        assert read_scope(connector, scope).error is None
        acme.clock.sleep(600)
    minted = sum(call.method == "POST" for call in acme.calls)
    assert minted >= 3


@pytest.mark.parametrize("capability", [Capability.DISCOVER, Capability.USAGE])
def test_the_guide_asks_for_nothing_that_writes(capability: Capability) -> None:
    guide = github.connect(organisation().connection()).setup(capability)
    assert "=write" not in guide.cli
    assert "organizations/acme/settings/apps/new?" in guide.cli
