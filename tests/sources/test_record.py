from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wardship.model.errors import DataError
from wardship.sources._log_analytics import columns_of, is_flattened, unflatten
from wardship.sources._record import compact, flag, host_of, instant, instant_of, respelled, text, texts

AT = datetime(2026, 3, 2, 20, 15, 30, 123000, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [
        "2026-03-02T20:15:30.123Z",
        "2026-03-02T22:15:30.123000000+02:00",
        "2026-03-02 20:15:30.123",
        "2026-03-02T20:15:30,1231234Z",
        "3/2/2026, 8:15:30.123 PM",
        "3/2/2026 20:15:30.1230001 +00:00",
        "/Date(1772482530123)/",
        "/Date(1772482530123+0100)/",
        "20260302201530.123",
        1772482530.123,
        1772482530123,
        "1772482530123",
        1772482530123000,
    ],
)
def test_a_time_is_read_in_every_form_that_logs_have(given: Any) -> None:
    found = instant_of(given)
    assert found is not None
    assert abs(found - AT) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "given",
    [
        None,
        True,
        "",
        "yesterday",
        "99999999999999.1",
        float("nan"),
        float("inf"),
        10**400,
        -1,
        "13/45/2026, 1:00:00 AM",
        "3/2/2026, 25:00",
        "/Date(999999999999999)/",
        {},
        [],
    ],
)
def test_what_is_no_time_is_none(given: Any) -> None:
    assert instant_of(given) is None


def test_a_record_without_a_time_takes_its_siems_and_else_is_unreadable() -> None:
    assert instant({"p_event_time": "2026-03-02 20:15:30.123"}, "time") == AT
    with pytest.raises(DataError, match="time"):
        instant({"time": "soon"}, "time")


def test_fields_of_the_wrong_shape_are_not_known() -> None:
    record = {"a": {"b": [1, "x", None, {}]}, "n": 5, "t": "TRUE", "f": 1.5}
    assert (text(record, "a.b", "a", "n"), text(record, "f"), texts(record, "a.b")) == ("5", None, ["1", "x"])
    assert (flag(record, "t"), flag(record, "n")) == (True, None)


def test_of_an_address_only_the_host_is_taken() -> None:
    assert host_of("https://user:pw@Hooks.example.com/T0KEN") == "hooks.example.com"
    assert host_of("no address") is None


def test_detail_is_bounded_whatever_is_in_a_record() -> None:
    told = compact({"a": "x" * 9000, "b": ["y" * 9000] * 900, "c": float("inf"), "d": None, "e": [float("nan")]})
    assert len(told["a"]) == 1000
    assert (len(told["b"]), len(told["b"][0])) == (20, 1000)
    assert "c" not in told


def test_a_flattened_row_gets_its_paths_back() -> None:
    columns = columns_of(["actor.id", "ip_address", "target", "isProxy", "asn"])
    row = {
        "actor_id_s": "1",
        "ip_address_s": "203.0.113.9",
        "target_s": '[{"id": 1}]',
        "isProxy_b": "FALSE",
        "asn_d": "12",
        "other_s": "kept as it is",
        "TimeGenerated": "2026-03-02T20:15:30Z",
    }
    assert is_flattened(row, "actor_id")
    assert unflatten(row, columns) == {
        "actor": {"id": "1"},
        "ip_address": "203.0.113.9",
        "target": [{"id": 1}],
        "isProxy": False,
        "asn": 12,
        "other_s": "kept as it is",
        "TimeGenerated": "2026-03-02T20:15:30Z",
    }


def test_keys_that_lost_their_case_get_it_back() -> None:
    assert respelled(
        {"eventtype": "x", "actor": [{"alternateid": "y"}]}, {"eventtype": "eventType", "alternateid": "alternateId"}
    ) == {
        "eventType": "x",
        "actor": [{"alternateId": "y"}],
    }
