from __future__ import annotations

from typing import Any

import pytest

from tests.sources.examples import github
from wardship.model.activity import Activity, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import github_audit


def parse(record: dict[str, Any]) -> Activity:
    (activity,) = github_audit.parse(record, DriftLog())
    return activity


def test_an_event_is_of_the_organisation_in_the_inventorys_words() -> None:
    told = parse(github(visibility="public", previous_visibility="private"))
    assert (told.actor_authority, told.actor_id, told.actor_kind) == ("github:acme", "mruiz", ActorKind.USER)
    assert (told.resource_id, told.account, told.mutating) == ("acme/shop", "acme", True)
    assert told.detail["public"] is True


@pytest.mark.parametrize(
    ("more", "ident", "kind"),
    [
        ({"programmatic_access_type": "Fine-grained personal access token", "token_id": 5}, "pat/5", "token"),
        ({"programmatic_access_type": "Personal access token (classic)", "token_id": 6}, "6", "token"),
        ({"programmatic_access_type": "OAuth access token", "hashed_token": "aGFzaA=="}, "sha256:aGFzaA==", "token"),
        ({}, None, None),
    ],
)
def test_the_credential_is_named_by_id_or_by_githubs_hash(
    more: dict[str, Any], ident: str | None, kind: str | None
) -> None:
    told = parse(github(**more))
    assert (told.credential_id, told.credential_type) == (ident, kind)


def test_an_app_is_an_application_under_its_bots_login() -> None:
    told = parse(
        github("git.clone", actor="Renovate[bot]", programmatic_access_type="GitHub App server-to-server token")
    )
    assert (told.actor_id, told.actor_kind, told.mutating) == ("renovate[bot]", ActorKind.APPLICATION, False)


@pytest.mark.parametrize(
    ("action", "more", "outcome", "mutating"),
    [
        ("api.request", {"request_method": "GET", "status_code": 200}, Outcome.SUCCESS, False),
        ("api.request", {"request_method": "DELETE", "status_code": 403}, Outcome.FAILURE, True),
        ("user.failed_login", {}, Outcome.FAILURE, False),
        ("protected_branch.destroy", {}, Outcome.SUCCESS, True),
    ],
)
def test_outcomes_and_changes(action: str, more: dict[str, Any], outcome: Outcome, mutating: bool) -> None:
    told = parse(github(action, **more))
    assert (told.outcome, told.mutating) == (outcome, mutating)


def test_of_a_webhook_only_the_host_is_kept() -> None:
    told = parse(github("hook.create", config={"url": "https://hooks.example.com/in/T0KEN?k=1"}, events=["push"]))
    assert told.detail["hook_host"] == "hooks.example.com"
    assert "T0KEN" not in repr(told)


def test_a_secret_scanning_alert_never_keeps_the_secret() -> None:
    value = "xyz_" + "Q" * 30
    alert = {
        "number": 2,
        "created_at": "2026-03-02T08:15:30Z",
        "html_url": "https://github.com/Acme/Shop/security/secret-scanning/2",
        "state": "open",
        "secret_type": "acme_key",
        "secret": value,
    }
    assert github_audit.claims(alert)
    told = parse(alert)
    assert (told.operation, told.resource_id, told.detail["secret_type"]) == (
        "secret_scanning",
        "acme/shop",
        "acme_key",
    )
    assert value not in repr(told)
