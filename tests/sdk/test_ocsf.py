"""Events that we export are valid OCSF by the published schema, for every class, and come back as they were."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import zstandard

from wardship.model.activity import ACTIVITY, ActivityClass, ActorKind
from wardship.sdk.connector import DriftLog
from wardship.sdk.ocsf import OTHER, event
from wardship.sources.ocsf import parse

NOON = datetime(2026, 3, 2, 12, 0, 0, 123000, tzinfo=UTC)
FULL: Mapping[str, Any] = {
    "uid": "e-1",
    "time": NOON,
    "source": "aws.cloudtrail",
    "actor_authority": "aws:111111111111",
    "actor_id": "AROAEXAMPLE",
    "actor_name": "deploy",
    "actor_kind": "role",
    "session": "build-7",
    "on_behalf_of": "alice",
    "credential_id": "ASIAEXAMPLE",
    "credential_type": "access_key",
    "service": "s3.amazonaws.com",
    "operation": "PutObject",
    "mutating": True,
    "interactive": False,
    "resource_type": "AWS::S3::Object",
    "resource_id": "shop/key",
    "resource_name": "shop",
    "account": "111111111111",
    "region": "eu-west-1",
    "src_ip": "203.0.113.9",
    "src_network": "203.0.113.0/24",
    "src_asn": 64500,
    "src_country": "ES",
    "user_agent": "aws-cli/2.1",
    "outcome": "failure",
    "outcome_code": "AccessDenied",
    "detail": json.dumps({"bucket": "shop"}),
    "input": 3,
    "position": 14,
    "batch": 2,
}


class Schema:
    """The published schema, and what of an event does not hold to it."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self._files = files
        self._dictionary = files["dictionary.json"]["attributes"]
        self._types = files["dictionary.json"]["types"]["attributes"]
        self._profiles: set[str] = set()

    @cached_property
    def _events(self) -> dict[str, Any]:
        return {body["name"]: body for path, body in self._files.items() if path.startswith("events/")}

    @cached_property
    def _classes(self) -> dict[int, str]:
        """class_uid -> name; the category's number is the folder's, three digits further left."""
        numbers = {name: body["uid"] for name, body in self._files["categories.json"]["attributes"].items()}
        found = {}
        for path, body in self._files.items():
            folder = path.split("/")[1] if path.startswith("events/") else ""
            if "uid" in body and folder in numbers:
                found[numbers[folder] * 1000 + body["uid"]] = body["name"]
        return found

    def faults(self, told: Mapping[str, Any]) -> list[str]:
        name = self._classes[told["class_uid"]]
        self._profiles = {f"profiles/{profile}.json" for profile in told["metadata"].get("profiles", [])}
        attributes, constraints = self._whole(self._events, name)
        for generated in ("class_uid", "category_uid"):  # the schema's compiler makes their enums
            attributes[generated] = {key: value for key, value in attributes[generated].items() if key != "enum"}
        found = self._check(told, attributes, constraints, name)
        if told["type_uid"] != told["class_uid"] * 100 + told["activity_id"]:
            found.append("type_uid")
        if told["category_uid"] != told["class_uid"] // 1000:
            found.append("category_uid")
        return found

    def _whole(self, bodies: Mapping[str, Any], name: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Attributes and constraints with what is inherited, and included by a profile that the event names."""
        body = bodies[name]
        inherited, constraints = self._whole(bodies, body["extends"]) if body.get("extends") in bodies else ({}, {})
        merged = {key: dict(value) for key, value in inherited.items()}
        included = [path for path in body["attributes"].get("$include", []) if path in self._profiles]
        for layer in (*(self._files[path]["attributes"] for path in included), body["attributes"]):
            for key, value in layer.items():
                if key.startswith("$"):
                    continue
                old = merged.get(key, {})
                enum = {**old.get("enum", {}), **value.get("enum", {})}
                merged[key] = {**old, **value} | ({"enum": enum} if enum else {})
        return merged, body.get("constraints", constraints)

    def _check(self, told: Mapping[str, Any], attributes: Mapping[str, Any], constraints: Any, where: str) -> list[str]:
        found = [f"{where}.{name}: unknown" for name in told if name not in attributes]
        found += [
            f"{where}.{name}: missing"
            for name, body in attributes.items()
            if body.get("requirement") == "required" and name not in told
        ]
        for names in [(constraints or {}).get("at_least_one", [])]:
            if names and not set(names) & set(told):
                found.append(f"{where}: none of {names}")
        for name, value in told.items():
            if name in attributes:
                body = {**self._dictionary.get(name, {}), **attributes[name]}
                listed = (
                    self._dictionary.get(name, {}).get("enum", {}) if name not in ("class_uid", "category_uid") else {}
                )
                enum = {**listed, **attributes[name].get("enum", {})}
                values = value if body.get("is_array") else [value]
                if not isinstance(values, list):
                    found.append(f"{where}.{name}: no list")
                    continue
                for one in values:
                    found += self._value(one, body["type"], enum, f"{where}.{name}")
        return found

    def _value(self, value: Any, kind: str, enum: Mapping[str, Any], where: str) -> list[str]:
        objects = {body["name"]: body for path, body in self._files.items() if path.startswith("objects/")}
        if kind in objects:
            if not isinstance(value, dict):
                return [f"{where}: no object"]
            attributes, constraints = self._whole(objects, kind)
            return [] if kind == "object" else self._check(value, attributes, constraints, where)
        base = self._types.get(kind, {})
        primitive = base.get("type", kind)
        wanted = {"string_t": str, "integer_t": int, "long_t": int, "boolean_t": bool, "timestamp_t": int}.get(
            primitive
        )
        if wanted is None or not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            return [f"{where}: {value!r} is no {kind}"]
        if enum and str(value) not in enum and primitive in ("integer_t", "long_t"):
            return [f"{where}: {value} is not listed"]
        if "regex" in base and not re.search(base["regex"], str(value)):
            return [f"{where}: {value!r} is no {kind}"]
        return []


@pytest.fixture(scope="module")
def schema(shared: Path) -> Schema:
    archive = shared / "data" / "ocsf-schema" / "schema.tar.zst"
    with archive.open("rb") as packed:
        unpacked = io.BytesIO(zstandard.ZstdDecompressor().stream_reader(packed).read())
    files = {}
    with tarfile.open(fileobj=unpacked) as tar:
        for member in tar:
            path = re.sub(r"^.*?(?=(events|objects|profiles|dictionary|categories)[/.])", "", member.name)
            if path.endswith(".json") and path.startswith(
                ("events/", "objects/", "profiles/", "dictionary", "categories")
            ):
                if "extensions/" in member.name:
                    continue
                body = tar.extractfile(member)
                assert body is not None
                files[path] = json.load(body)
    return Schema(files)


def bare(class_uid: int) -> dict[str, Any]:
    """The least that a source may tell."""
    return dict.fromkeys(ACTIVITY) | {
        "time": NOON.replace(tzinfo=None),
        "source": "postgresql.log",
        "class_uid": class_uid,
        "service": "x",
        "operation": "something odd",
        "actor_kind": "unknown",
        "outcome": "unknown",
        "detail": "{}",
    }


@pytest.mark.parametrize("class_uid", ActivityClass)
def test_every_class_holds_to_the_published_schema(schema: Schema, class_uid: ActivityClass) -> None:
    assert schema.faults(event({**FULL, "class_uid": int(class_uid)})) == []
    assert schema.faults(event(bare(int(class_uid)))) == []


def test_the_check_itself_finds_what_is_wrong(schema: Schema) -> None:
    good = event({**FULL, "class_uid": 6003})
    without = {key: value for key, value in good.items() if key != "api"}
    assert schema.faults(without) == ["api_activity.api: missing"]
    assert schema.faults({**good, "severity_id": 77}) == ["api_activity.severity_id: 77 is not listed"]
    assert schema.faults({**good, "made_up": 1}) == ["api_activity.made_up: unknown"]
    assert schema.faults({**good, "src_endpoint": {"ip": "not an address"}})
    assert schema.faults({**good, "src_endpoint": {}})
    assert schema.faults({**good, "time": "yesterday"})


@pytest.mark.parametrize("kind", ActorKind)
def test_every_kind_of_actor_has_a_type(schema: Schema, kind: ActorKind) -> None:
    assert schema.faults(event({**FULL, "class_uid": 3002, "actor_kind": kind.value})) == []


@pytest.mark.parametrize(
    ("class_uid", "operation", "activity_id"),
    [
        (6003, "CreateAccessKey", 1),
        (6003, "GetObject", 2),
        (6003, "UpdateFunctionCode", 3),
        (6003, "DeleteTrail", 4),
        (6003, "Frobnicate", OTHER),
        (3002, "ConsoleLogin", 1),
        (3002, "disconnection", 2),
        (3005, "GRANT", 1),
        (3005, "revokeRole", 2),
        (3006, "add_member", 3),
        (4002, "PATCH", 9),
        (6005, "SELECT", 4),
        (6006, "DOWNLOAD", 2),
    ],
)
def test_the_activity_is_told_by_the_words_of_the_operation(class_uid: int, operation: str, activity_id: int) -> None:
    told = event({**FULL, "class_uid": class_uid, "operation": operation})
    assert told["activity_id"] == activity_id
    assert told["activity_name"] == operation


@pytest.mark.parametrize("class_uid", ActivityClass)
def test_what_was_exported_comes_back(class_uid: ActivityClass) -> None:
    told = json.loads(json.dumps(event({**FULL, "class_uid": int(class_uid)})))
    (back,) = parse(told, DriftLog())
    kept = ("uid", "operation", "actor_authority", "actor_id", "actor_name", "credential_id", "session", "src_ip")
    assert {name: getattr(back, name) for name in kept} == {name: FULL[name] for name in kept}
    assert (back.time, back.class_uid, back.outcome.value) == (NOON, class_uid, "failure")
    assert (back.account, back.region, back.on_behalf_of) == ("111111111111", "eu-west-1", "alice")
    assert back.mutating is True
    assert back.actor_kind is ActorKind.ROLE
