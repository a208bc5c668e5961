from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.ingest.record import MAX_INDEXED_BYTES, canonical_json, clean, row_of
from wardship.model.access import Credential, CredentialType, Grant
from wardship.model.errors import DataError
from wardship.model.exposure import Dependency, DetectorTier, Exposure, Place
from wardship.model.identity import Identity, IdentityKind, Supplier, System
from wardship.model.secret import Secret

IDENTITY = Identity(authority="sim:1", native_id="a", kind=IdentityKind.OAUTH_APP)


def test_a_row_has_the_columns_of_its_family() -> None:
    family, row = row_of(replace(IDENTITY, aliases=(("sim:2", "b"),), attributes={"z": 1, "a": None}))
    assert family == "identity"
    assert row["uid"] == IDENTITY.uid
    assert row["kind"] == "oauth_app"
    assert row["aliases"] == '[["sim:2","b"]]'
    assert row["attributes"] == '{"a":null,"z":1}'


def test_ids_of_holders_become_their_uids() -> None:
    credential = Credential(
        authority="sim:1", native_id="k", type=CredentialType.API_KEY, identity=("sim:1", "a"), enabled=None
    )
    assert row_of(credential)[1]["holder_uid"] == IDENTITY.uid
    assert row_of(replace(credential, identity=None))[1]["holder_uid"] is None
    grant = Grant(authority="sim:1", identity=("sim:1", "a"), permission="read")
    assert row_of(grant)[1]["holder_uid"] == IDENTITY.uid
    assert row_of(System(authority="sim:1", kind="x"))[1]["uid"] == "sim:1"


def test_equal_content_hashes_equal_and_any_field_counts() -> None:
    cairo = timezone(timedelta(hours=2))
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    one = replace(IDENTITY, created_at=noon, attributes={"a": 1, "b": 2})
    other = replace(IDENTITY, created_at=noon.astimezone(cairo), attributes={"b": 2, "a": 1})
    assert row_of(one)[1]["content_hash"] == row_of(other)[1]["content_hash"]
    changed = [replace(one, enabled=False), replace(one, rank=1), replace(one, attributes={}), replace(one, name="x")]
    assert len({row_of(record)[1]["content_hash"] for record in (one, *changed)}) == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled": "true"},
        {"rank": 2**40},
        {"rank": True},
        {"name": 7},
        {"standing": None},
        {"attributes": {"value": Secret("hidden")}},
        {"attributes": {"value": float("nan")}},
        {"attributes": {"value": object()}},
        {"attributes": {"value": "x" * 300_000}},
        {"native_id": "🔑" * 1000},
        {"created_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))},
    ],
)
def test_what_no_row_can_hold_is_a_data_error(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError) as refused:
        row_of(replace(IDENTITY, **fields))
    assert "hidden" not in str(refused.value)


def test_what_is_no_record_is_a_data_error() -> None:
    with pytest.raises(DataError):
        row_of({"authority": "sim:1"})  # type: ignore[arg-type]  # the point of the test


def test_long_display_text_is_cut_and_the_uid_is_not_touched() -> None:
    row = row_of(replace(IDENTITY, name="ü" * 5_000))[1]
    assert len(row["name"].encode()) <= MAX_INDEXED_BYTES
    assert row["name"].endswith("…")


def test_different_hostile_ids_stay_different() -> None:
    rows = [row_of(replace(IDENTITY, native_id=name))[1]["uid"] for name in ("a\0", "a\\x00", "a\ud800", "a\\ud800")]
    assert len(set(rows)) == 4


def test_supplier_matches_are_json() -> None:
    row = row_of(Supplier(authority="register", native_id="acme", name="Acme", matches=("acme.com",)))[1]
    assert row["matches"] == '["acme.com"]'


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_clean_text_can_be_stored_anywhere(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert clean(cleaned) == cleaned
    stored = canonical_json({"k" + text: [text]})
    stored.encode()
    assert "\\u0000" not in stored


EXPOSURE = Exposure(
    authority="git:x/y",
    location=".env",
    detector="generic.password",
    tier=DetectorTier.GENERIC,
    confidence=0.9,
    place=Place.DOTENV,
    fingerprint="0" * 32,
)


def test_an_exposure_needs_no_line_and_its_lines_are_one() -> None:
    family, row = row_of(EXPOSURE)
    assert (family, row["line"], row["occurrences"], row["place"]) == ("exposure", None, 1, "dotenv")
    assert row_of(replace(EXPOSURE, line=7))[1]["uid"] == row["uid"], "one secret in one place is one exposure"
    assert row_of(replace(EXPOSURE, fingerprint="1" * 32))[1]["uid"] != row["uid"]
    with pytest.raises(DataError):
        row_of(replace(EXPOSURE, line=2**40))


def test_a_dependency_names_its_target_by_key_and_uid() -> None:
    one = Dependency(
        authority="git:x/y",
        consumer="x/y deploy.yml",
        consumer_kind="workflow",
        target=("identity", "sim:1", "a"),
        source="git.workflow",
    )
    family, row = row_of(one)
    assert family == "dependency"
    assert (row["target_family"], row["target_authority"], row["target_native_id"]) == one.target
    assert row["target_uid"] == IDENTITY.uid
