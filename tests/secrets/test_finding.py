"""A hit leaves a reader without its value, and comes back only as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wardship.model.access import CredentialType
from wardship.model.errors import DataError
from wardship.model.exposure import DetectorTier, Exposure, Place
from wardship.model.secret import Secret
from wardship.sdk.connector import DriftLog
from wardship.sdk.fields import Fields
from wardship.secrets.finding import Found
from wardship.secrets.hit import Hit

VALUE = "c4nary" + "-" + "value"
HIT = Hit(
    detector="generic.password",
    tier=DetectorTier.GENERIC,
    confidence=0.75,
    type=CredentialType.PASSWORD,
    start=4,
    end=16,
    line=1,
    column=5,
    value=Secret(VALUE),
    name="DB_" * 100,
)


def read(item: dict[str, Any]) -> Found:
    return Found.of(Fields(item, "hit", DriftLog()))


def test_everything_but_the_value_comes_back() -> None:
    item = HIT.told("0" * 32)
    assert VALUE not in json.dumps(item)
    found = read(json.loads(json.dumps(item)))
    assert (found.detector, found.tier, found.confidence) == (HIT.detector, HIT.tier, HIT.confidence)
    assert (found.credential_type, found.line, found.fingerprint) == (HIT.type, 1, "0" * 32)
    assert len(found.name or "") == 200
    made = Exposure(authority="git:x", location="a", place=Place.CODE, **found.columns())
    assert made.confidence == 0.75


def test_a_value_without_a_fingerprint_is_one_without() -> None:
    assert read(HIT.told(None)).fingerprint is None


@pytest.mark.parametrize(
    "bent",
    [
        {"confidence": 1.5},
        {"confidence": True},
        {"confidence": None},
        {"confidence": float("nan")},
        {"detector": ""},
        {"detector": "a b"},
        {"tier": "sure"},
        {"type": 7},
        {"fingerprint": "not hex"},
    ],
)
def test_what_was_bent_on_the_way_is_a_data_error(bent: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        read({**HIT.told("0" * 32), **bent})
