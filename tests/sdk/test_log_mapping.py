"""A log that is declared in YAML is read as the file says, and a wrong file says where and what to do."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema_rs
import pytest
import yaml

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import ConfigError, DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.log_mapping import SHIPPED, MappedLog, load_log
from wardship.sdk.log_mapping.instants import form_of, instant
from wardship.sdk.log_mapping.lines import MAX_LINE, cef, leef, line_pattern, pairs, words
from wardship.sdk.log_mapping.schema import log_mapping_schema
from wardship.sdk.registry import source, source_names
from wardship.sdk.told import told

GATE = """
wardship_log: 1
name: gate
title: Gate
match: {field: gate, in: [front]}
authority: "gate:{site}"
fields:
  time: {field: at, dates: [epoch]}
  operation: did
  actor_id: who
"""


def load(tmp_path: Path, text: str) -> MappedLog:
    path = tmp_path / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return load_log(path)


def read(log: MappedLog, **record: Any) -> Activity:
    (found,) = log.parse(
        {"gate": "front", "at": 1772359200, "did": "open", "who": "ann", "site": "a", **record}, DriftLog()
    )
    return found


# ------------------------------------------------------------------ what a mapping says


def test_a_small_mapping_is_a_source(tmp_path: Path) -> None:
    log = load(tmp_path, GATE)
    found = read(log)
    assert found.time == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert (found.service, found.operation, found.actor_authority, found.actor_id) == ("gate", "open", "gate:a", "ann")
    assert (found.class_uid, found.actor_kind, found.outcome) == (
        ActivityClass.API_ACTIVITY, ActorKind.UNKNOWN, Outcome.UNKNOWN,
    )  # fmt: skip
    assert log.claims({"gate": "front"})
    assert not log.claims({"gate": "back"})
    with pytest.raises(DataError, match="not a record of gate"):
        log.parse({"gate": "back"}, DriftLog())


def test_whose_the_log_is_may_be_for_the_importer_to_say(tmp_path: Path) -> None:
    log = load(tmp_path, GATE)
    assert read(log, site=None).actor_authority == "gate:?"
    found: Any = told(source(str(tmp_path / "gate.yaml")), authority="gate:north")
    (said,) = found.parse({"gate": "front", "at": 1772359200, "did": "open", "who": "ann"}, DriftLog())
    assert said.actor_authority == "gate:north"
    (known,) = found.parse({"gate": "front", "at": 1772359200, "did": "open", "who": "ann", "site": "a"}, DriftLog())
    assert known.actor_authority == "gate:a"  # what the log itself says wins


def test_words_become_ours_and_new_words_are_counted(tmp_path: Path) -> None:
    log = load(
        tmp_path,
        GATE
        + """
  outcome: {field: code, values: {"200": success, "4*": failure, "*teapot*": unknown}}
  mutating: {field: did, values: {open: false, "*": true}}
  class: {value: authentication}
""",
    )
    assert read(log, code=200).outcome is Outcome.SUCCESS
    assert read(log, code="404").outcome is Outcome.FAILURE
    assert (read(log).mutating, read(log, did="weld").mutating) == (False, True)
    assert read(log).class_uid is ActivityClass.AUTHENTICATION
    drift = DriftLog()
    (found,) = log.parse({"gate": "front", "at": 1, "did": "x", "who": "y", "code": "999"} | {"at": 1772359200}, drift)
    assert found.outcome is Outcome.UNKNOWN
    assert drift.counts == {("outcome", "value '999'"): 1}


def test_events_are_tried_in_order_and_the_rest_is_common(tmp_path: Path) -> None:
    log = load(
        tmp_path,
        GATE
        + """
events:
  - when: [{field: did, in: [open]}, {field: who, empty: false}]
    resource_id: {value: door}
  - when: {field: did, not_in: [close]}
    operation: {value: other}
""",
    )
    assert read(log).resource_id == "door"
    assert read(log, who=None).operation == "other"
    assert read(log, did="close", who=None).operation == "close"  # no event: the common fields alone


def test_paths_lead_through_objects_lists_and_name_value_pairs(tmp_path: Path) -> None:
    log = load(
        tmp_path,
        GATE
        + """
  account: 'tags[name=team].value'
  region: 'places[1].code'
  session: '["odd.key"].id'
  user_agent: people.name
  resource_name: {template: ["{a}/{b}", "{did}!"]}
  src_ip: {field: peer, part: ["[{value}]:{_}", "{value+}:{_}", "{value}"]}
""",
    )
    found = read(
        log,
        tags=[{"name": "x", "value": 1}, {"name": "team", "value": "web"}],
        places=[{"code": "no"}, {"code": "es"}],
        people=[{"id": 1}, {"name": "Zoe"}],
        peer="[2001:db8::1]:443",
        **{"odd.key": {"id": 7}},
    )
    assert (found.account, found.region, found.session, found.user_agent) == ("web", "es", "7", "Zoe")
    assert (found.resource_name, found.src_ip) == ("open!", "2001:db8::1")
    assert read(log, peer="198.51.100.1:80").src_ip == "198.51.100.1"
    assert read(log, peer="198.51.100.1").src_ip == "198.51.100.1"


def test_a_page_of_an_api_is_its_records(tmp_path: Path) -> None:
    log = load(tmp_path, GATE + "records: [items]\n")
    one = {"gate": "front", "at": 1772359200, "did": "open", "who": "ann"}
    assert len(list(log.parse({"items": [one, one]}, DriftLog()))) == 2
    assert list(log.parse({"items": []}, DriftLog())) == []


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"at": None}, "no time"),
        ({"at": "yesterday"}, "no time of a declared form"),
        ({"did": None}, "without an operation"),
        ({"at": 5}, "before 2000"),
        ({"at": "9" * 19}, "range"),
        ({"who": "x" * 5000}, "characters"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(load(tmp_path, GATE), **record)


# ------------------------------------------------------------------ texts taken apart


def test_a_line_pattern_is_a_template_read_backwards() -> None:
    pattern = line_pattern("Failed {method} for {user+} from {ip} port {port#} {_}")
    assert pattern is not None
    hostile = "Failed password for root from 1.1.1.1 port 1 from 203.0.113.9 port 22 ssh2"
    assert pattern.read(hostile) == {
        "method": "password", "user": "root from 1.1.1.1 port 1", "ip": "203.0.113.9", "port": "22",
    }  # fmt: skip
    assert pattern.read("Failed password for root from 1.1.1.1 port x ssh2") is None
    assert line_pattern("nothing named") is None
    assert line_pattern("{a}{b}") is None
    assert line_pattern("{a} {a}") is None


def test_no_pattern_is_slow_whatever_the_line() -> None:
    pattern = line_pattern("{a}x{b}x{c+}x{d}x{e+}y")
    assert pattern is not None
    began = time.process_time()
    for _again in range(50):
        pattern.read("x" * MAX_LINE)
    assert time.process_time() - began < 1.0
    assert pattern.read("x" * (MAX_LINE + 1)) is None


def test_words_are_quoted_bracketed_or_plain() -> None:
    line = '203.0.113.9 - ann [01/Mar/2026:10:00:00 +0100] "GET /a?b \\"c\\"" 200 -'
    names = ["ip", "_", "user", "time", "request", "status", "bytes"]
    assert words(line, names) == {
        "ip": "203.0.113.9", "user": "ann", "time": "01/Mar/2026:10:00:00 +0100", "request": 'GET /a?b \\"c\\"',
        "status": "200",
    }  # fmt: skip


def test_cef_and_leef_with_escapes_blanks_and_labels() -> None:
    found = cef(
        "<5>Mar 1 host CEF:0|Ven\\|dor|Prod|1.0|100|A name|5|suser=ann smith act=a\\=b cs1Label=Folder cs1=My docs"
    )
    assert found is not None
    assert (found["vendor"], found["name"], found["severity"]) == ("Ven|dor", "A name", "5")
    assert found["extension"] == {"suser": "ann smith", "act": "a=b", "cs1Label": "Folder", "cs1": "My docs"}
    assert found["labelled"] == {"Folder": "My docs"}
    assert cef("no such thing") is None
    assert (cef("CEF:0|V|P|1|2|name|5|") or {})["extension"] == {}
    told_2 = leef("LEEF:2.0|V|P|1|login|^|usrName=ann^src=203.0.113.9")
    assert told_2 is not None
    assert (told_2["event_id"], told_2["extension"]) == ("login", {"usrName": "ann", "src": "203.0.113.9"})
    told_1 = leef("LEEF:1.0|V|P|1|login|usrName=ann\tsrc=203.0.113.9")
    assert told_1 is not None
    assert told_1["extension"] == {"usrName": "ann", "src": "203.0.113.9"}


def test_pairs_go_on_until_the_next_name() -> None:
    assert pairs("type=LOGIN, realm=a, b, ip=1", ", ", "=") == {"type": "LOGIN", "realm": "a, b", "ip": "1"}


# ------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("form", "text", "utc"),
    [
        ("dd/mon/yyyy:hh:mm:ss zone", "01/Mar/2026:10:00:00 +0100", "2026-03-01T09:00:00+00:00"),
        ("yyyy-mm-dd hh:mm:ss", "2026-03-01 10:00:00,123", "2026-03-01T10:00:00.123000+00:00"),
        ("yyyy-mm-dd hh:mm:ss zone", "2026-07-01 10:00:00.5 CEST", "2026-07-01T08:00:00.500000+00:00"),
        ("m/d/yyyy, h:mm:ss am", "3/1/2026, 12:05:06.001 AM", "2026-03-01T00:05:06.001000+00:00"),
        ("m/d/yyyy, h:mm:ss am", "3/1/2026, 12:05:06 PM", "2026-03-01T12:05:06+00:00"),
        ("yyyymmdd hh:mm:ss", "20260301 10:00:00", "2026-03-01T10:00:00+00:00"),
        ("epoch", "1772359200.25", "2026-03-01T10:00:00.250000+00:00"),
        ("epoch_ms", "1772359200123", "2026-03-01T10:00:00.123000+00:00"),
        ("epoch_us", "1772359200123456", "2026-03-01T10:00:00.123456+00:00"),
        ("epoch_ns", "1772359200123456789", "2026-03-01T10:00:00.123456+00:00"),
        ("epoch", "2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00.123456+00:00"),  # ISO always
    ],
)
def test_forms_of_times(form: str, text: str, utc: str) -> None:
    declared = form_of(form)
    assert declared is not None
    assert instant(text, (declared,), UTC, None).isoformat() == utc


def test_a_time_without_a_year_is_the_last_such_before_the_log_was_written() -> None:
    form = form_of("mon dd hh:mm:ss")
    assert form is not None
    written = datetime(2026, 3, 1, tzinfo=UTC)
    assert instant("Feb  3 10:00:00", (form,), UTC, written).year == 2026
    assert instant("Dec 30 10:00:00", (form,), UTC, written).year == 2025
    assert instant("Feb 29 10:00:00", (form,), UTC, datetime(2024, 3, 1, tzinfo=UTC)).year == 2024
    with pytest.raises(ValueError, match="without a year"):
        instant("Feb  3 10:00:00", (form,), UTC, None)


def test_times_that_name_no_zone_are_of_the_importers(tmp_path: Path) -> None:
    log = load(tmp_path, GATE.replace("dates: [epoch]", 'dates: ["yyyy-mm-dd hh:mm:ss"]'))
    record = {"at": "2026-07-01 12:00:00"}
    assert read(log, **record).time.hour == 12
    assert read(log.told(as_of=None, zone=ZoneInfo("Europe/Madrid")), **record).time.hour == 10


@pytest.mark.parametrize("form", ["", "yy-mm-dd hh:mm", "hh:mm:ss", "soon", "yyyy-yyyy", "dd/mm/yyyy"])
def test_what_is_no_form(form: str) -> None:
    assert form_of(form) is None


# ------------------------------------------------------------------ wrong files


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("wardship_log: 1", "wardship_log: 9"), "line 2, wardship_log"),
        (("name: gate", "name: Gate Log"), "line 3, name"),
        (("match:", "matched:"), "matched.*not known"),
        (("match: {field: gate, in: [front]}\n", ""), "how a record is recognised"),
        (('"gate:{site}"', '"{site}"'), "who issued the ids"),
        (("operation: did", "operations: did"), "operations.*not known"),
        (("  operation: did\n", ""), "operation is missing"),
        (("  time: {field: at, dates: [epoch]}\n", ""), "time is missing"),
        (("dates: [epoch]", "dates: [soon]"), "no form of a time"),
        (("actor_id: who", "actor_id: {field: who, first: [x]}"), "one of field, first"),
        (("actor_id: who", "actor_id: {field: api_key}"), "named like a secret"),
        (("actor_id: who", "actor_id: 'a..b'"), "no path"),
        (("actor_id: who", "outcome: did"), "a constant or a table"),
        (("actor_id: who", "outcome: {value: fine}"), "no word for it"),
        (("actor_id: who", "outcome: {field: a, values: {x: fine}}"), "no word for it"),
        (("actor_id: who", "actor_id: {field: a, part: 'x'}"), "no pattern"),
        (("actor_id: who", "actor_id: {field: a, part: '{b}'}"), "names what is kept"),
        (("actor_id: who", "actor_id: {field: a, values: {'a*b': x}}"), "a star"),
        (("actor_id: who", "actor_id: {template: '{a'}"), "not closed"),
        (("title: Gate", "read: [{regex: a}]"), "one of json"),
        (("title: Gate", "read: [{line: a}]"), "nothing is named"),
        (("title: Gate", "time_zone: Mars"), "no time zone"),
        (("title: Gate", "events: [{operation: x}]"), "when is missing"),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in GATE
    with pytest.raises(ConfigError, match=said) as caught:
        load(tmp_path, GATE.replace(*change))
    assert caught.value.advice
    assert "gate.yaml, line" in caught.value.message


def test_what_is_named_like_a_secret_may_be_declared_harmless(tmp_path: Path) -> None:
    log = load(tmp_path, GATE.replace("actor_id: who", "actor_id: {field: api_key, plain: true}"))
    assert read(log, api_key="public-7").actor_id == "public-7"


# ------------------------------------------------------------------ the shipped ones, the schema, the registry


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_mapping_loads_and_holds_to_the_schema(path: Path) -> None:
    assert load_log(path).MANIFEST.name == path.stem
    told_in_yaml = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(jsonschema_rs.iter_errors(log_mapping_schema(), _texts_of_keys(told_in_yaml))) == []


def _texts_of_keys(value: Any) -> Any:
    """As an editor sees it: the keys of JSON are texts (`true:` in a table of values)."""
    return json.loads(json.dumps(value))


def test_the_schema_that_editors_use_is_the_loaders() -> None:
    written = Path(__file__).parents[2] / "docs" / "schema" / "log-mapping.schema.json"
    assert json.loads(written.read_text(encoding="utf-8")) == log_mapping_schema()


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    wrong = yaml.safe_load(GATE) | {"surprise": 1}
    assert not jsonschema_rs.is_valid(log_mapping_schema(), wrong)


def test_a_declared_log_is_found_by_its_name_and_by_its_file(tmp_path: Path) -> None:
    assert {"zoom.webhook", "vault.audit"} <= set(source_names())
    assert source("zoom.webhook").MANIFEST.title == "Zoom webhooks"
    load(tmp_path, GATE)
    assert source(str(tmp_path / "gate.yaml")).MANIFEST.name == "gate"
    with pytest.raises(ConfigError):
        source(str(tmp_path / "none.yaml"))


def test_the_example_of_the_docs_reads_what_it_shows(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "log-mapping.md").read_text(encoding="utf-8")
    log = load(tmp_path, page.partition("```yaml\n")[2].partition("```")[0])
    record = {
        "gate": "front", "site": "north", "door": "d7", "kind": "robot-open", "code": 403, "at": "01/07/2026 12:00:00",
        "said": "open by ann from 9.9.9.9:1 from 203.0.113.9:22", "badge": {"number": "b-1"},
        "tags": [{"name": "shift", "value": "late"}],
    }  # fmt: skip
    (found,) = log.parse({"message": f"<5>gate1 {json.dumps(record)}"}, DriftLog())
    assert found.time == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert (found.operation, found.actor_authority, found.actor_id) == ("open", "gate:north", "ann from 9.9.9.9:1")
    assert (found.src_ip, found.credential_id, found.resource_id) == ("203.0.113.9", "b-1", "north/d7")
    assert (found.actor_kind, found.outcome) == (ActorKind.SERVICE_ACCOUNT, Outcome.FAILURE)
    assert found.detail == {"door": "d7", "shift": "late"}
    assert list(log.parse(record | {"kind": "heartbeat"}, DriftLog())) == []
