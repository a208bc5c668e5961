"""Reading one object of a vendor's: ids must be usable, the rest may be odd and is then counted, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.fields import Fields, known


def fields(**raw: Any) -> tuple[Fields, DriftLog]:
    drift = DriftLog()
    return Fields(raw, "thing", drift), drift


@pytest.mark.parametrize("value", [None, "", "../x", "a b", "a\n", 7, ["a"]])
def test_an_id_that_could_lead_elsewhere_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        fields(id=value)[0].id()


@pytest.mark.parametrize("value", [None, True, -1, "7", 2**63, 1.0])
def test_a_number_is_a_whole_number_that_databases_hold(value: Any) -> None:
    with pytest.raises(DataError):
        fields(id=value)[0].number()
    assert fields(id=7)[0].number() == "7"


def test_a_text_of_another_form_is_refused_as_a_whole() -> None:
    form = re.compile(r"[a-z]+")
    assert fields(name="abc")[0].matching("name", form) == "abc"
    with pytest.raises(DataError):
        fields(name="abc\n")[0].matching("name", form)


def test_what_is_absent_is_not_known_and_what_is_odd_is_counted() -> None:
    item, drift = fields(
        text=7, flag="yes", integer=True, at="yesterday", naive="2026-01-01T00:00:00", words={"a": 1, "b": "c"}
    )
    assert (item.text("text"), item.flag("flag"), item.integer("integer")) == (None, None, None)
    assert (item.instant("at"), item.instant("naive"), item.words("words")) == (None, None, {"b": "c"})
    assert (item.text("absent"), item.instant("absent"), item.texts("absent"), item.words("absent")) == (
        None,
        None,
        [],
        {},
    )
    assert {where for where, _what in drift.counts} == {f"thing.{name}" for name in item.raw}


def test_instants_are_aware_and_the_year_one_is_never() -> None:
    item, _drift = fields(at="2026-01-01T00:00:00Z", never="0001-01-01T00:00:00Z")
    assert item.instant("at") == datetime(2026, 1, 1, tzinfo=UTC)
    assert item.instant("never") is None


def test_half_a_list_of_objects_is_no_list() -> None:
    with pytest.raises(DataError):
        fields(rows=[{}, 7])[0].objects("rows")
    assert [row.integer("n") for row in fields(rows=[{"n": 1}])[0].objects("rows")] == [1]


def test_what_was_not_told_is_left_out_and_what_says_no_stays() -> None:
    assert known({"a": None, "b": False, "c": 0, "d": "", "e": []}) == {"b": False, "c": 0, "d": "", "e": []}
