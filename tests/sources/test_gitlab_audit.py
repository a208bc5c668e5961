from __future__ import annotations

from typing import Any

import pytest

from tests.sources.examples import gitlab
from wardship.model.activity import Activity, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import gitlab_audit


def parse(record: dict[str, Any]) -> Activity:
    (activity,) = gitlab_audit.parse(record, DriftLog())
    return activity


def test_an_event_of_the_api_tells_what_changed_from_what_to_what() -> None:
    told = parse(gitlab())
    assert (told.actor_authority, told.actor_id, told.actor_name) == ("gitlab:?", "18", "Marta Ruiz")
    assert (told.operation, told.resource_id, told.src_ip) == (
        "project_visibility_level_updated",
        "Project/7",
        "203.0.113.9",
    )
    assert told.detail["public"] is True


def test_a_line_of_audit_json_log_has_everything_at_the_top() -> None:
    told = parse(
        {
            "severity": "INFO",
            "time": "2026-03-02T08:15:30.123Z",
            "author_id": 3,
            "author_name": "Ana",
            "entity_id": 2,
            "entity_type": "Project",
            "add": "user_access",
            "as": "Owner",
            "target_id": 9,
            "target_type": "User",
            "target_details": "eve",
            "ip_address": "203.0.113.9",
        }
    )
    assert (told.operation, told.detail["access"], told.resource_id) == ("add user_access", "Owner", "User/9")


@pytest.mark.parametrize(
    ("author", "kind"),
    [
        ({"author_id": -1}, ActorKind.ANONYMOUS),
        ({"author_id": -2, "author_name": "deploy"}, ActorKind.APPLICATION),
        (
            {"author_id": 5, "details": {"author_class": "User", "author_name": "group_1_bot_ab"}},
            ActorKind.SERVICE_ACCOUNT,
        ),
        ({"author_id": 5, "details": {"author_class": "Gitlab::Audit::CiRunnerTokenAuthor"}}, ActorKind.APPLICATION),
    ],
)
def test_who_acted(author: dict[str, Any], kind: ActorKind) -> None:
    assert parse(gitlab(**author)).actor_kind is kind


def test_a_failed_sign_in_failed() -> None:
    record = gitlab(
        event_name=None, details={"failed_login": "STANDARD", "author_name": "eve", "ip_address": "203.0.113.9"}
    )
    told = parse(record)
    assert (told.operation, told.outcome) == ("failed_login", Outcome.FAILURE)


def test_an_event_that_says_nothing_is_quarantined() -> None:
    with pytest.raises(DataError, match="neither"):
        parse(gitlab(event_name=None, details={}))
