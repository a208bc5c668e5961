"""Use is asked by whatever name a person has: an identity, a key, an actor of a log, a permission."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import lake
from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.services import usage
from wardship.services.reading import Facts
from wardship.services.usage import Subject
from wardship.store.facts import write_rows
from wardship.store.state import Generation
from wardship.store.workspace import Workspace

KEY = "AKIA" + "B" * 16
AWS, TENANT = "aws:111111111111", "entra:t:appid"
IDENTITY = {"uid": "id_1", "authority": AWS, "native_id": "AIDA1", "kind": "access_key_holder", "name": "deploy"}
INVENTORY: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "identity": [IDENTITY, {**IDENTITY, "uid": "id_2", "native_id": "AIDA2", "name": "never-used"}],
    "identity_part": [
        {"uid": "id_1", "identity_uid": "id_1", "authority": AWS, "native_id": "AIDA1", "name": "deploy"},
        {"uid": "id_2", "identity_uid": "id_2", "authority": AWS, "native_id": "AIDA2", "name": "never-used"},
    ],
    "identity_alias": [
        {"authority": AWS, "native_id": "AIDA1", "identity_uid": "id_1"},
        {"authority": TENANT, "native_id": "app-1", "identity_uid": "id_1"},
        {"authority": AWS, "native_id": "AIDA2", "identity_uid": "id_2"},
    ],
    "credential": [
        {"uid": "cr_1", "identity_uid": "id_1", "authority": AWS, "native_id": KEY, "public_id": KEY},
        {"uid": "cr_2", "identity_uid": "id_2", "authority": AWS, "native_id": "AKIA" + "C" * 16,
         "public_id": "AKIA" + "C" * 16},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with Workspace.create(tmp_path_factory.mktemp("usage") / "ws", clock=lambda: NOW) as made:
        rows: list[dict[str, Any]] = []
        for day in range(1, 31):
            time = (NOW - timedelta(days=day)).strftime("%Y-%m-%dT03:00:00")
            rows += [
                {"time": time, "credential_id": KEY, "operation": "GetObject", "resource_id": "arn:aws:s3:::b/k",
                 "src_network": "198.51.100.0/24", "src_asn": 64500, "src_country": "ES", "session": f"job-{day}",
                 "user_agent": "aws-cli/2.1"},
                {"time": time, "service": "iam.amazonaws.com", "operation": "CreateAccessKey", "outcome": "failure"},
                {"time": time, "actor_authority": TENANT, "actor_id": "app-1", "service": "graph", "operation": "Read"},
                {"time": time, "actor_authority": AWS, "actor_id": "AROA9", "actor_name": "shadow",
                 "service": "iam.amazonaws.com", "operation": "CreateAccessKey"},
            ]  # fmt: skip
        lake.publish(made.db, made.activity, rows)
        usage.refresh(made)
        yield made


@pytest.fixture(scope="module")
def known(ws: Workspace) -> Generation:
    return usage.current(ws)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    with Facts(write_rows(tmp_path_factory.mktemp("facts") / "f", INVENTORY, as_of=NOW)) as opened:
        yield opened


def of(known: Generation, subject: Subject, by: str | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in usage.rows(known, subject, by=() if by is None else (by,))]


@pytest.mark.parametrize("word", ["deploy", "id_1", "AIDA1", "app-1"])
def test_an_identity_is_all_its_ids_in_all_logs(known: Generation, facts: Facts, word: str) -> None:
    subject = usage.find(facts, known, word)
    assert subject.identity_uid == "id_1"
    actions = {row["value"]: (row["events"], row["failures"]) for row in of(known, subject, "action")}
    assert actions == {
        "s3.amazonaws.com GetObject": (30, 0),
        "iam.amazonaws.com CreateAccessKey": (30, 30),
        "graph Read": (30, 0),
    }
    assert usage.summary(known, subject)["active_days"] == 30


def test_a_key_is_asked_alone(known: Generation, facts: Facts) -> None:
    subject = usage.find(facts, known, KEY)
    assert (subject.credential_id, subject.identity_uid) == (KEY, "id_1")
    rows = of(known, subject)
    assert {row["aspect"] for row in rows} == {"credential", "action", "network", "agent", "session", "actor"}
    assert {row["value"] for row in rows if row["aspect"] == "session"} == {"job-#"}
    assert {row["value"] for row in rows if row["aspect"] == "network"} == {"198.51.100.0/24 AS64500 ES"}
    assert usage.summary(known, subject)["events"] == 30


def test_a_key_of_the_inventory_that_no_log_has_is_known_and_unseen(known: Generation, facts: Facts) -> None:
    subject = usage.find(facts, known, "AKIA" + "C" * 16)
    assert subject.identity_uid == "id_2"
    assert of(known, subject) == []
    assert usage.summary(known, subject)["events"] is None


def test_who_did_something_is_asked_by_service_and_operation(known: Generation, facts: Facts) -> None:
    for word in ("iam:CreateAccessKey", "iam.amazonaws.com:createaccesskey"):
        rows = of(known, usage.find(facts, known, word))
        assert {row["actor_id"]: row["failures"] for row in rows} == {"AIDA1": 30, "AROA9": 0}


@pytest.mark.parametrize("word", ["AROA9", "shadow"])
def test_an_actor_that_the_inventory_does_not_know_is_shown(known: Generation, facts: Facts, word: str) -> None:
    subject = usage.find(facts, known, word)
    assert subject.identity_uid is None
    assert [row["events"] for row in of(known, subject, "action")] == [30]


@pytest.mark.parametrize("word", ["nobody", "' OR 1=1 --"])
def test_what_nobody_knows_is_a_clear_error(known: Generation, facts: Facts, word: str) -> None:
    with pytest.raises(ConfigError, match="nothing in the inventory"):
        usage.find(facts, known, word)


def test_an_operation_that_nobody_did_is_told_as_one(known: Generation, facts: Facts) -> None:
    with pytest.raises(ConfigError, match="nobody did iam:DeleteEverything"):
        usage.find(facts, known, "iam:DeleteEverything")


def test_only_so_many_of_each_aspect_when_asked(known: Generation, facts: Facts) -> None:
    rows = list(usage.rows(known, usage.find(facts, known, "deploy"), most=1))
    aspects = [row["aspect"] for row in rows]
    assert len(aspects) == len(set(aspects))


def test_days_are_in_their_order(known: Generation, facts: Facts) -> None:
    rows = of(known, usage.find(facts, known, "deploy"), "day")
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    assert {row["events"] for row in rows} == {3}


def test_the_picture_has_every_actor_that_the_identity_is(ws: Workspace, known: Generation, facts: Facts) -> None:
    found = usage.pictures(ws, known, usage.find(facts, known, "deploy"), NOW)
    assert [one.facts["actor_id"] for one in found] == ["AIDA1", "app-1"]
    aws = found[0]
    assert (aws.facts["mature"], aws.facts["rhythm"], aws.facts["median_events"]) == (True, "daily", 2)
    assert (len(aws.days), sum(aws.days), aws.days[-1]) == (90, 60, 2)
    assert [row["src_network"] for row in aws.networks] == ["198.51.100.0/24"]


def test_who_was_never_seen_has_no_picture(ws: Workspace, known: Generation, facts: Facts) -> None:
    assert usage.pictures(ws, known, usage.find(facts, known, "never-used"), NOW) == []


def test_an_empty_state_answers(ws: Workspace, facts: Facts, tmp_path: Path) -> None:
    empty = Generation(folder=tmp_path)
    subject = usage.find(facts, empty, "deploy")
    assert of(empty, subject) == []
    assert usage.summary(empty, subject)["events"] is None
    assert usage.pictures(ws, empty, subject, NOW) == []
