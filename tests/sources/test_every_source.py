"""What every source keeps to, module or declared log: it carries no secret on, and a hostile record costs nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.examples import ALL, gitlab, kubernetes, workspace
from tests.sources.odd import bent
from tests.sources.samples import changed, leaves, made, samples
from tests.sources.test_declared_logs import RECORDS
from wardship.ingest.quarantine import bad_item
from wardship.model.activity import FIELDS, MAX_DETAIL_CHARS, Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.log_mapping import MappedLog
from wardship.sdk.registry import source, source_names
from wardship.sdk.told import told

SAMPLES = list(samples())
IDS = [f"{name}-{number}" for number, (name, _record) in enumerate(SAMPLES)]
KINDS = {type(None), bool, str, datetime, ActivityClass, ActorKind, Outcome}
CANARIES = ("Canary0" + "aA1" * 9, "Canary1" + "bB2" * 9, "Canary2" + "cC3" * 9, "Canary3" + "dD4" * 9)
ADDRESS = (
    f"https://ann:{CANARIES[0]}@h.example/p?access_token={CANARIES[1]}&X-Amz-Signature={CANARIES[2]}"
    f"#id_token={CANARIES[3]}"
)
PATH = f"/orders?sig={CANARIES[0]}&token={CANARIES[1]}"
DEEP: dict[str, Any] = {}
for _level in range(900):
    DEEP = {"records": [DEEP], "value": [DEEP]} if _level % 2 else {"x": DEEP}
BOMBS: dict[str, Any] = {
    "digits": "9" * 5_000,
    "number": 10**400,
    "large": 2**70,
    "nan": float("nan"),
    "blanks": " " * 50_000 + "x",
    "braces": "audit.k8s.io/" + "{" * 200_000,
    "quotes": "'\"" * 50_000,
    "questions": "?://" * 50_000,
    "lists": "[" * 100_000,
    "deep": DEEP,
    "surrogate": "\ud800",
    "zero": "\x00",
    "bad address": "https://[x/?a=b",
}


def parse(name: str, record: dict[str, Any], drift: DriftLog) -> list[Activity]:
    return list(told(source(name), as_of=datetime(2026, 3, 2, tzinfo=UTC)).parse(record, drift))


def test_there_is_a_sample_of_every_source_and_it_is_read() -> None:
    assert {name for name, _record in SAMPLES} == set(source_names())
    unread = [
        name for name, record in SAMPLES if not source(name).claims(record) or not parse(name, record, DriftLog())
    ]
    assert unread == []


@pytest.mark.parametrize(("name", "record"), SAMPLES, ids=IDS)
@pytest.mark.parametrize("canary", [ADDRESS, PATH], ids=["address", "path"])
def test_what_an_address_carries_is_kept_nowhere(name: str, record: dict[str, Any], canary: str) -> None:
    """In no column, in no word that is counted as new, and not in what is kept of a record that cannot be read."""
    for path in leaves(record):
        bent = changed(record, path, canary)
        drift = DriftLog()
        try:
            said = f"{parse(name, bent, drift)} {drift.counts}"
        except DataError as error:
            kept = bad_item(bent, error)
            said = f"{kept.item} {kept.reason}"
        assert not [one for one in CANARIES if one in said], f"{name}: {path}"


@pytest.mark.parametrize("name", [name for name in source_names() if isinstance(source(name), MappedLog)])
def test_no_field_of_a_mapping_carries_an_address_on_whole(name: str) -> None:
    log = source(name)
    assert isinstance(log, MappedLog)
    for canary in (ADDRESS, PATH):
        record = made(log, canary)
        try:
            said = str(parse(name, record, DriftLog()))
        except DataError:
            continue  # a log of lines
        assert not [one for one in CANARIES if one in said]


@pytest.mark.parametrize(("name", "record"), SAMPLES, ids=IDS)
def test_a_bomb_in_any_place_gives_activities_nothing_or_a_reason_at_once(name: str, record: dict[str, Any]) -> None:
    began = time.process_time()
    count = 0
    for path in leaves(record):
        for bomb in BOMBS.values():
            count += 1
            bent = changed(record, path, bomb)
            check(name, bent)
    assert time.process_time() - began < 0.05 * count, "a record of this size takes far too long"


@pytest.mark.parametrize(("name", "record"), SAMPLES, ids=IDS)
def test_no_place_in_a_text_lets_through_what_databases_refuse(name: str, record: dict[str, Any]) -> None:
    for path in leaves(record):
        text = value_at(record, path)
        if not isinstance(text, str):
            continue
        for at in range(min(len(text), 300) + 1):
            check(name, changed(record, path, f"{text[:at]}\x00\ud800{text[at:]}"))
            check(name, changed(record, path, f"{text[:at]}{'x' * 5_000}{text[at:]}"))


def value_at(record: Any, path: Sequence[Any]) -> Any:
    for key in path:
        record = record[key]
    return record


def check(name: str, record: dict[str, Any]) -> None:
    """The record gives activities that any database takes, nothing, or a DataError."""
    assert source(name).claims(record) in (True, False)
    try:
        found = parse(name, record, DriftLog())
    except DataError:
        return
    for one in found:
        assert one.operation
        values = {field: getattr(one, field) for field in FIELDS if field != "detail"}
        assert {type(value) for value in values.values()} <= KINDS
        assert "\x00" not in "".join(str(value) for value in values.values()).encode().decode()  # no lone surrogate
        assert len(json.dumps(dict(one.detail), allow_nan=False)) < 100_000
        for text in texts(one.detail):
            assert len(text) <= MAX_DETAIL_CHARS
            assert "\x00" not in text.encode().decode()


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)


@pytest.mark.parametrize(("name", "record"), SAMPLES, ids=IDS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_odd_record_gives_activities_nothing_or_a_reason(
    name: str, record: dict[str, Any], data: st.DataObject
) -> None:
    check(name, data.draw(bent(record)))


@pytest.mark.chaos
@pytest.mark.parametrize(("name", "record"), SAMPLES, ids=IDS)
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_many_odd_records_give_activities_nothing_or_a_reason(
    name: str, record: dict[str, Any], data: st.DataObject
) -> None:
    check(name, data.draw(bent(record)))


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("kubernetes.audit", kubernetes(user={"username": "ana"})),
        ("gitlab.audit", gitlab()),
        ("google.workspace", {**workspace("token", "activity", client_id="app"), "actor": {}, "ownerDomain": None}),
        ("postgresql.log", RECORDS["postgresql.log"]),
        ("vault.audit", RECORDS["vault.audit"]),
    ],
)
def test_the_importer_says_whose_a_log_is_that_does_not_tell(name: str, record: dict[str, Any]) -> None:
    """As `telemetry import --authority` does, and `telemetry reconcile` asks for."""
    (unsaid,) = parse(name, record, DriftLog())
    assert (unsaid.actor_authority or "").partition(":?")[1] == ":?"
    (said,) = told(source(name), authority="north:1").parse(record, DriftLog())
    assert (said.actor_authority or "").startswith("north:1")
    assert said.actor_id == unsaid.actor_id


def test_a_token_in_the_path_of_a_webhook_is_masked() -> None:
    token = "ghp_" + "a1B2" * 9
    line = f'203.0.113.9 - - [01/Mar/2026:12:00:00 +0000] "POST /hook/{token} HTTP/1.1" 200 12 "-" "curl/8"'
    (found,) = parse("http.access", {"message": line}, DriftLog())
    assert found.resource_id == "/hook/***"


def test_free_text_of_a_declared_log_is_masked() -> None:
    record = {"event": "x.y", "groupId": "g", "created": "2026-03-01T12:00:00Z"}
    secret = "glpat-" + "a1B2c" * 5
    (found,) = parse("snyk.audit", {**record, "content": {"after": f"token {secret}", "before": "off"}}, DriftLog())
    assert found.detail == {"after": "token ***", "before": "off"}


def test_a_command_in_a_container_shows_no_password() -> None:
    words = ["mysql", "--password", "hunter22", "--user=x", "-e", "token=" + "a1B2" * 9, "cat"]
    record = {**ALL["kubernetes.audit"], "verb": "create", "requestObject": {"command": words}}
    record["objectRef"] = {"resource": "pods", "subresource": "exec", "name": "web", "namespace": "shop"}
    (found,) = parse("kubernetes.audit", record, DriftLog())
    assert found.detail["command"] == ["mysql", "--password", "***", "--user=x", "-e", "token=***", "cat"]
