"""What people say of alerts: it has a reason, an end and an entry, and it can be taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.lake import publish
from tests.services.detecting import detection, workspace
from wardship.model.errors import ConfigError
from wardship.model.policy import Policy
from wardship.services import alert_story, alerts, detect, telemetry_refresh
from wardship.services.reading import Facts
from wardship.services.usage import Subject
from wardship.store import alert_tables, tables
from wardship.store.db import Database
from wardship.store.workspace import Workspace

TODAY = NOW.date()


@pytest.fixture
def ws(database: Database, tmp_path: Path) -> Workspace:
    """A workspace with one open alert of an actor that the inventory does not know."""
    made = workspace(tmp_path / "ws", database)
    one = detection(made.path / "detections", "reads_things", "e.service = 'made-up'", weight=60)
    publish(made.db, made.activity, [{"time": "2026-11-20T03:00:00", "service": "made-up", "actor_name": "robot"}])
    with detect.alone(made.db) as lease:
        detect.judge(made, [1], actor="test", lease=lease, detections=[one], policy=Policy())
    return made


@pytest.fixture
def uid(ws: Workspace) -> str:
    (row,) = alerts.rows(ws, Facts(None))
    return str(row["uid"])


def expectations(ws: Workspace) -> list[Mapping[str, Any]]:
    with ws.db.read() as conn:
        return list(conn.execute(sa.select(alert_tables.expectation)).mappings())


def audited(ws: Workspace) -> dict[str, Any]:
    """What the audit trail says of each action, by its name."""
    with ws.db.read() as conn:
        bodies = [json.loads(body) for body in conn.scalars(sa.select(tables.audit.c.body))]
    return {body["action"]: body["details"] for body in bodies}


def test_an_alert_is_listed_with_what_is_known_and_what_is_not(ws: Workspace) -> None:
    with Facts(None) as facts:
        (row,) = alerts.rows(ws, facts)
        assert (row["subject"], row["owner_name"], row["owner_state"], row["criticality"]) == (
            "robot",
            None,
            None,
            None,
        )
        assert (row["title"], row["severity"], row["score"]) == ("Somebody did reads_things", "medium", 60)
        me = alerts.subjects_of(Subject(name="x", actors=(("aws:111111111111", "AIDA1"),)))
        assert len(list(alerts.rows(ws, facts, subjects=me))) == 1
        assert list(alerts.rows(ws, facts, subjects=["id_other"])) == []
        (signal,) = alerts.signals(ws, facts)
        assert signal["alert_uid"] == row["uid"]


def test_expected_ends_on_a_day_and_is_audited(ws: Workspace, uid: str) -> None:
    done = alerts.expect(ws, uid, actor="anna", until=TODAY + timedelta(days=3), reason=" trip ", policy=Policy())
    assert (done.state, done.expectations) == ("expected", 1)
    (said,) = expectations(ws)
    assert (said["detection"], said["fold"], said["reason"], said["said_by"]) == (
        "reads_things",
        "made-up",
        "trip",
        "anna",
    )
    assert said["until_at"].isoformat().startswith(f"{TODAY + timedelta(days=3)}T23:59:59")
    assert audited(ws)["alert.expected"]["reason"] == "trip"
    with Facts(None) as facts:
        assert list(alerts.rows(ws, facts)) == []
        (row,) = alerts.rows(ws, facts, state=None)
        assert (row["state"], row["reason"], row["decided_by"]) == ("expected", "trip", "anna")


@pytest.mark.parametrize("days", [-1, 92, 4_000])
def test_nothing_is_expected_for_ever_or_in_the_past(ws: Workspace, uid: str, days: int) -> None:
    with pytest.raises(ConfigError):
        alerts.expect(ws, uid, actor="anna", until=TODAY + timedelta(days=days), reason="why", policy=Policy())
    assert expectations(ws) == []


def test_a_decision_without_a_reason_is_refused(ws: Workspace, uid: str) -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        alerts.close(ws, uid, actor="anna", reason="  ")
    with pytest.raises(ConfigError, match="needs a reason"):
        alerts.expect(ws, uid, actor="anna", until=TODAY, reason="", policy=Policy())


def test_unexpected_ends_the_expectations_and_opens_the_alert(ws: Workspace, uid: str) -> None:
    with pytest.raises(ConfigError, match="not marked as expected"):
        alerts.unexpect(ws, uid, actor="anna", reason="over")
    alerts.expect(ws, uid, actor="anna", until=TODAY + timedelta(days=3), reason="trip", policy=Policy(), fold="*")
    assert [one["fold"] for one in expectations(ws)] == ["*"]
    assert alerts.unexpect(ws, uid, actor="berta", reason="over").state == "open"
    assert all(one["ended_at"] is not None for one in expectations(ws))
    assert audited(ws)["alert.unexpected"]["reason"] == "over"


def test_an_unknown_alert_is_told(ws: Workspace) -> None:
    with pytest.raises(ConfigError, match="no alert is called"):
        alerts.close(ws, "al_nothing", actor="anna", reason="why")


def test_why_an_alert_was_closed_stays_on_record(ws: Workspace, uid: str) -> None:
    alerts.close(ws, uid, actor="anna", reason="key rotated")
    assert audited(ws)["alert.closed"] == {"reason": "key rotated"}


def test_an_empty_scope_is_not_everything(ws: Workspace) -> None:
    with pytest.raises(ConfigError, match="without a scope"):
        alerts.add_window(
            ws, actor="anna", start=NOW, end=NOW + timedelta(hours=4), scope=" ", reason="release", policy=Policy()
        )
    assert alerts.windows(ws.db) == []


def test_changes_are_announced_listed_and_removed(ws: Workspace) -> None:
    made = alerts.add_window(
        ws, actor="anna", start=NOW, end=NOW + timedelta(hours=4), scope="aws", reason="release", policy=Policy()
    )
    (row,) = alerts.windows(ws.db)
    assert (row["scope"], row["reason"], row["said_by"]) == ("aws", "release", "anna")
    assert alerts.windows(ws.db, since=NOW + timedelta(hours=4)) == [row]
    assert alerts.windows(ws.db, since=NOW + timedelta(hours=5)) == []
    alerts.remove_window(ws, made.uid, actor="anna")
    assert alerts.windows(ws.db) == []
    with pytest.raises(ConfigError, match="nothing is called"):
        alerts.remove_window(ws, made.uid, actor="anna")
    with pytest.raises(ConfigError, match="ends before it begins"):
        alerts.add_window(ws, actor="anna", start=NOW, end=NOW, scope="*", reason="release", policy=Policy())
    with pytest.raises(ConfigError, match="days away"):
        alerts.add_window(
            ws, actor="anna", start=NOW, end=NOW + timedelta(days=400), scope="*", reason="r", policy=Policy()
        )


def test_a_tool_is_declared_until_a_day(ws: Workspace) -> None:
    uid = alerts.add_tool(
        ws, actor="anna", subject="id_1", tool="Pulumi", until=TODAY + timedelta(days=30), policy=Policy()
    )
    assert [row["tool"] for row in alerts.tools(ws.db)] == ["Pulumi"]
    alerts.remove_tool(ws, uid, actor="anna")
    assert alerts.tools(ws.db) == []


def test_the_story_says_what_is_not_known(ws: Workspace, uid: str) -> None:
    with Facts(None) as facts:
        story = alert_story.story(ws, facts, uid, detect.workspace_detections(ws)[0], NOW)
    told = {section.id: "\n".join(section.lines) for section in story.sections}
    assert story.title == "Somebody did reads_things: robot"
    assert "did reads_things in made-up" in told["signals"]
    assert "counts 60 of 100" in told["signals"]
    assert told["evidence"].startswith("2026-11-20 03:00:00 UTC  ")
    assert "from unknown, program unknown; record 0 of " in told["evidence"]
    assert "[1#0]" in told["evidence"]
    assert "events in this alert: at least 1" in told["baseline"]
    assert "nothing is known of it before" in told["baseline"]
    assert "the inventory does not know it" in told["what"]
    assert "Ask the owner." in told["steps"]
    assert told["decision"] == "nobody has decided anything yet"


def test_the_story_shows_the_events_and_what_the_actor_did_before(ws: Workspace, tmp_path: Path) -> None:
    usual = {"service": "s", "actor_id": "A", "src_network": "198.51.100.0/24", "user_agent": "Boto3/1.40"}
    publish(ws.db, ws.activity, [{**usual, "time": "2026-11-10T03:00:00", "uid": "old"}])
    telemetry_refresh.learn(ws, actor="test")
    seen = {**usual, "src_ip": "192.0.2.9", "src_network": "192.0.2.0/24", "user_agent": "curl/8", "outcome": "failure"}
    publish(ws.db, ws.activity, [{**seen, "time": "2026-11-20T05:00:00", "uid": "new", "operation": "Read"}])
    one = detection(tmp_path / "more", "reads_more", "e.operation = 'Read'", weight=60)
    with detect.alone(ws.db) as lease:
        (uid,) = detect.judge(ws, [3], actor="test", lease=lease, detections=[one], policy=Policy()).opened
    with Facts(None) as facts:
        told = {part.id: part.lines for part in alert_story.story(ws, facts, uid, [one], NOW).sections}
    (event,) = told["evidence"]
    assert event.startswith("2026-11-20 05:00:00 UTC  Read")
    assert "refused or failed; from 192.0.2.9, program curl/8; record 0 of " in event
    assert "network: 198.51.100.0/24 (1 times, last 2026-11-10 03:00 UTC)" in told["baseline"]
    assert "program: Boto3 (1 times, last 2026-11-10 03:00 UTC)" in told["baseline"]


def test_what_no_log_tells_of_an_actor_is_unknown_and_not_none() -> None:
    hours = "".join("9" if day < 5 and hour in (2, 3, 14) else "0" for day in range(7) for hour in range(24))
    row = {"countries": 0, "networks": 2, "failure_rate": 0.0, "rhythm": "daily", "hours": hours, "mature": True}
    lines = alert_story.picture(row)
    assert {"countries: unknown", "networks: 2", "share that fails: 0", "rhythm: every day"} <= set(lines)
    assert "usual hours (UTC): Mon-Fri 02-04, 14-15" in lines
    assert alert_story.usual_hours("0" * 168) == "-"
    assert alert_story.usual_hours("1" + "0" * 143 + "1" * 24) == "Mon 00-01; Sun 00-24"


@pytest.mark.parametrize("text", ["some-thing T or so", "9999-99-99T99:99:99+00:00", "2026-11-20Tea"])
def test_text_of_a_log_that_looks_like_an_instant_is_text(ws: Workspace, text: str) -> None:
    one = detection(ws.path / "detections", "says_things", "e.service <> 'made-up'", weight=60)
    publish(ws.db, ws.activity, [{"time": "2026-11-20T04:00:00", "uid": "odd", "service": text, "actor_id": "AIDA2"}])
    with detect.alone(ws.db) as lease:
        (uid,) = detect.judge(ws, [2], actor="test", lease=lease, detections=[one], policy=Policy()).opened
    with Facts(None) as facts:
        story = alert_story.story(ws, facts, uid, [one], NOW)
    (seen,) = next(section.lines for section in story.sections if section.id == "signals")
    assert f"in {text};" in seen


def test_a_place_that_no_reading_gave_is_shown_as_it_is(ws: Workspace, uid: str) -> None:
    with ws.db.bookkeep() as conn:
        conn.execute(sa.update(alert_tables.signal).values(evidence=json.dumps(["1x#0", "\u00b2#1", "1#0"])))
    with Facts(None) as facts:
        story = alert_story.story(ws, facts, uid, [], NOW)
    (lines,) = (section.lines for section in story.sections if section.id == "evidence")
    assert [line.endswith(("[1x#0]", "[\u00b2#1]", "[1#0]")) for line in lines] == [True] * 3


def test_the_story_of_a_detection_that_is_gone_is_still_told(ws: Workspace, uid: str) -> None:
    with Facts(None) as facts:
        story = alert_story.story(ws, facts, uid, [], NOW)
    assert "is not here" in "\n".join(line for section in story.sections for line in section.lines)


def test_every_event_can_be_exported(ws: Workspace) -> None:
    with Facts(None) as facts:
        listed = {thing: list(alerts.exported(ws, facts, thing, about={}).rows) for thing in alerts.EXPORTS}
    assert {thing: len(rows) for thing, rows in listed.items()} == {"alerts": 1, "signals": 1, "activity": 1}
    assert listed["activity"][0]["time"].isoformat() == "2026-11-20T03:00:00+00:00"


def test_a_refresh_judges_before_it_remembers(ws: Workspace) -> None:
    """The second use after months is no news: the first one was remembered in between, and not before it was judged."""
    publish(ws.db, ws.activity, [{"time": "2026-02-01T03:00:00", "actor_id": "OLD", "uid": "a"}])
    publish(ws.db, ws.activity, [{"time": "2026-11-20T03:00:00", "actor_id": "OLD", "uid": "b"}])
    publish(ws.db, ws.activity, [{"time": "2026-11-21T03:00:00", "actor_id": "OLD", "uid": "c"}])
    done = telemetry_refresh.refresh(ws, actor="test", facts=False)
    assert (done.judged.batches, done.state) == (3, 4)
    with Facts(None) as facts:
        awake = [row for row in alerts.signals(ws, facts) if row["detection"] == "use_after_inactivity"]
    assert [(row["events"], row["facts"]["silent_days"]) for row in awake] == [(1, 292)]
    assert telemetry_refresh.refresh(ws, actor="test", facts=False).judged.batches == 0


def test_counting_again_leaves_what_was_not_judged_alone(ws: Workspace) -> None:
    """Also before anything was counted, and after a version that remembers other things has made the state void."""
    publish(ws.db, ws.activity, [{"time": "2026-02-01T03:00:00", "actor_id": "OLD", "uid": "a"}])
    assert telemetry_refresh.learn(ws, actor="test") == 1
    publish(ws.db, ws.activity, [{"time": "2026-11-20T03:00:00", "actor_id": "OLD", "uid": "b"}])
    shutil.rmtree(ws.activity / "state")
    assert telemetry_refresh.rebuild(ws).batch == 2
    telemetry_refresh.refresh(ws, actor="test", facts=False)
    with Facts(None) as facts:
        assert "use_after_inactivity" in {row["detection"] for row in alerts.signals(ws, facts)}


def test_batches_of_one_day_are_one_step(ws: Workspace) -> None:
    for day in (21, 21, 22):
        publish(ws.db, ws.activity, [{"time": f"2026-11-{day}T03:00:00", "uid": f"{day}"}])
    assert telemetry_refresh.steps(ws.db, [2, 3, 4]) == [[2, 3], [4]]


def test_what_was_decided_is_not_overwritten(ws: Workspace, uid: str) -> None:
    alerts.close(ws, uid, actor="anna", reason="a test of ours")
    with pytest.raises(ConfigError, match="closed already, by anna: a test of ours"):
        alerts.close(ws, uid, actor="eva", reason="something else")
    assert alerts.alert(ws.db, uid)["reason"] == "a test of ours"
