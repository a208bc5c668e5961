"""New events are judged once, against what was known before them, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.lake import publish
from tests.services.detecting import detection, workspace
from wardship.model.errors import Conflict
from wardship.model.policy import Policy
from wardship.sdk.detection import Detection, load_detection
from wardship.services import alerts, detect, telemetry_refresh, usage
from wardship.services.detect import Judged
from wardship.store import alert_tables
from wardship.store.db import Database
from wardship.store.engine import Hindered
from wardship.store.workspace import Workspace

DAY = "2026-11-20"


@pytest.fixture
def ws(database: Database, tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "ws", database)


def judge(ws: Workspace, *detections: Detection, policy: Policy | None = None) -> Judged:
    with detect.alone(ws.db) as lease:
        return detect.judge(
            ws, detect.unjudged(ws.db), actor="test", lease=lease, detections=detections, policy=policy or Policy()
        )


def table(ws: Workspace, name: str) -> list[Mapping[str, Any]]:
    chosen: sa.Table = getattr(alert_tables, name)
    with ws.db.read() as conn:
        return list(conn.execute(sa.select(chosen).order_by(*chosen.primary_key)).mappings())


def events(*times: str, **columns: Any) -> Sequence[dict[str, Any]]:
    return [{"time": f"{DAY}T{time}", "uid": f"{DAY}{time}{columns}", **columns} for time in times]


def test_one_weak_signal_is_no_alert_and_two_are(ws: Workspace, tmp_path: Path) -> None:
    weak = detection(tmp_path, "weak_one", "e.service = 'a'", weight=25)
    other = detection(tmp_path, "weak_two", "e.service = 'b'", weight=25, aspect="place")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    first = judge(ws, weak, other)
    assert (first.signals, first.opened) == (1, [])
    publish(ws.db, ws.activity, events("09:00:00", service="b"))
    second = judge(ws, weak, other)
    assert (second.signals, len(second.opened)) == (1, 1)
    (alert,) = table(ws, "alert")
    assert (alert["score"], alert["signals"], alert["severity"]) == (43, 2, "low")
    assert {one["alert_uid"] for one in table(ws, "signal")} == {alert["uid"]}


def test_judging_again_writes_nothing(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    judge(ws, one)
    before = table(ws, "signal"), table(ws, "alert"), table(ws, "detection_batch")
    assert detect.unjudged(ws.db) == []
    assert before == (table(ws, "signal"), table(ws, "alert"), table(ws, "detection_batch"))


def test_the_same_again_folds_into_the_open_alert(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", "03:10:00", service="a"))
    opened = judge(ws, one).opened
    publish(ws.db, ws.activity, [{"time": "2026-11-22T08:00:00", "uid": "later", "service": "a"}])
    again = judge(ws, one)
    assert (again.opened, again.changed, again.signals) == ([], opened, 0)
    (alert,) = table(ws, "alert")
    assert (alert["events"], alert["signals"]) == (3, 1)
    assert alert["last_at"].isoformat() == "2026-11-22T08:00:00+00:00"


def test_after_a_quiet_week_the_same_is_news(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, [{"time": "2026-11-01T08:00:00", "service": "a"}])
    judge(ws, one)
    publish(ws.db, ws.activity, [{"time": "2026-11-20T08:00:00", "uid": "later", "service": "a"}])
    # An open alert takes its own signal again, however long it was silent: it is one thing that nobody has looked into.
    assert judge(ws, one).opened == []
    other = detection(tmp_path, "writes", "e.service = 'b'")
    publish(ws.db, ws.activity, [{"time": "2026-11-29T08:00:00", "uid": "new", "service": "b"}])
    assert len(judge(ws, one, other).opened) == 1


def test_a_late_batch_is_judged_when_it_comes(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("13:00:00", service="a"))
    judge(ws, one)
    publish(ws.db, ws.activity, events("01:00:00", service="a"))
    judge(ws, one)
    (signal,) = table(ws, "signal")
    assert (signal["events"], signal["first_at"].hour, signal["last_at"].hour) == (2, 1, 13)
    assert [row["batch"] for row in table(ws, "detection_batch")] == [2], "what is remembered does not grow"


def test_signals_below_the_step_are_kept_with_evidence(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'", weight=10)
    publish(
        ws.db,
        ws.activity,
        [{**row, "position": n} for n, row in enumerate(events("03:00:00", "04:00:00", service="a"))],
    )
    judge(ws, one)
    (signal,) = table(ws, "signal")
    assert json.loads(signal["evidence"]) == ["1#0", "1#1"]
    assert signal["alert_uid"] is None
    assert table(ws, "alert") == []


def test_what_is_expected_makes_no_alert_until_its_end(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "TRUE", fold="e.service")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    (uid,) = judge(ws, one).opened
    alerts.expect(ws, uid, actor="anna", until=NOW.date() + timedelta(days=3), reason="migration", policy=Policy())
    publish(ws.db, ws.activity, events("05:00:00", service="a"))
    assert judge(ws, one).opened == []
    publish(ws.db, ws.activity, events("06:00:00", service="other"))
    assert len(judge(ws, one).opened) == 1, "another fold is not what was expected"
    after = NOW + timedelta(days=5)
    publish(ws.db, ws.activity, [{"time": after.replace(tzinfo=None).isoformat(), "uid": "after", "service": "a"}])
    judge(ws, one)
    counted = [row for row in table(ws, "signal") if row["fold"] == "a" and row["expected_by"] is None]
    assert len(counted) == 2, "the first, and the one after the end"


def test_a_closed_alert_takes_nothing_more(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    (uid,) = judge(ws, one).opened
    alerts.close(ws, uid, actor="anna", reason="it was me")
    publish(ws.db, ws.activity, events("03:30:00", service="a"))
    (other,) = judge(ws, one).opened
    assert other != uid


def test_an_announced_change_and_a_provisioning_tool_count_less_and_say_so(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'", weight=80)
    sure = detection(tmp_path, "sure", "e.service = 'b'", weight=80, dampened=False)
    start = NOW.replace(month=11, day=20, hour=0)
    alerts.add_window(
        ws, actor="anna", start=start, end=start + timedelta(hours=12), scope="*", reason="release 12", policy=Policy()
    )
    alerts.add_tool(
        ws,
        actor="anna",
        subject="aws:111111111111 AIDA2",
        tool="Terraform",
        until=NOW.date() + timedelta(days=30),
        policy=Policy(),
    )
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    publish(ws.db, ws.activity, events("20:00:00", service="a", actor_id="AIDA2"))
    publish(ws.db, ws.activity, events("03:00:00", service="b", actor_id="AIDA3"))
    judge(ws, one, sure)
    told = {row["actor_id"]: (row["chance"], json.loads(row["reasons"])) for row in table(ws, "signal")}
    assert told["AIDA1"] == (pytest.approx(0.24), ["change_window:release 12"])
    assert told["AIDA2"] == (pytest.approx(0.24), ["provisioner:Terraform"])
    assert told["AIDA3"] == (pytest.approx(0.8), [])


def test_a_tool_is_recognised_by_days_of_work_and_not_by_its_name(ws: Workspace, tmp_path: Path) -> None:
    agent = "APN/1.0 HashiCorp/1.0 Terraform/1.9"
    work = [
        {"time": f"2026-11-{day:02}T08:00:00", "uid": f"{day}{n}", "operation": f"Create{n}", "user_agent": agent}
        for day in range(1, 8)
        for n in range(9)
    ]
    narrow = [
        {"time": f"2026-11-{day:02}T08:00:00", "uid": f"n{day}", "actor_id": "AIDA5", "user_agent": agent}
        for day in range(1, 15)
    ]
    publish(ws.db, ws.activity, [*work, *narrow])
    judge(ws)
    usage.refresh(ws)
    one = detection(tmp_path, "reads", "e.service = 'a'", weight=80)
    publish(ws.db, ws.activity, events("03:00:00", service="a", user_agent=agent))
    publish(ws.db, ws.activity, events("03:00:00", service="a", user_agent=agent, actor_id="AIDA5"))
    publish(ws.db, ws.activity, events("03:00:00", service="a", user_agent=agent, actor_id="AIDA9"))
    judge(ws, one)
    told = {row["actor_id"]: json.loads(row["reasons"]) for row in table(ws, "signal")}
    assert told == {"AIDA1": ["provisioner:Terraform"], "AIDA5": ["provisioner:Terraform"], "AIDA9": []}


def test_a_caller_whom_the_log_does_not_name_is_judged_by_account(ws: Workspace, tmp_path: Path) -> None:
    refused = [
        {**one, "actor_authority": None, "actor_id": None, "actor_name": None, "account": account}
        for account, minutes in (("a", ("03:00:00", "03:01:00")), ("b", ("04:00:00",)))
        for one in events(*minutes, outcome="failure", account=account)
    ]
    publish(ws.db, ws.activity, refused)
    judge(ws, detection(tmp_path, "refused", "e.outcome = 'failure'"))
    found = {row["authority"]: (row["actor_id"], row["events"]) for row in table(ws, "signal")}
    assert found == {"aws.cloudtrail:a": ("not named", 2), "aws.cloudtrail:b": ("not named", 1)}


def test_a_young_actor_counts_less_where_a_baseline_is_needed(ws: Workspace, tmp_path: Path) -> None:
    publish(ws.db, ws.activity, [{"time": f"2026-11-{day:02}T08:00:00", "uid": str(day)} for day in range(1, 8)])
    judge(ws)
    usage.refresh(ws)
    one = detection(tmp_path, "reads", "e.service = 'a'", weight=80, mature=True)
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    judge(ws, one)
    (signal,) = table(ws, "signal")
    assert signal["chance"] == pytest.approx(0.4)
    assert json.loads(signal["reasons"]) == ["young_baseline:7"]


def test_a_detection_that_fails_is_told_and_the_others_are_asked(ws: Workspace, tmp_path: Path) -> None:
    broken = detection(tmp_path, "broken", "CAST(e.service AS INT) = 1")
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    done = judge(ws, broken, one)
    assert len(done.problems) == 1
    assert done.problems[0].startswith("broken: ")
    assert done.signals == 1


def test_what_the_machine_fails_at_is_judged_the_next_time(ws: Workspace, tmp_path: Path) -> None:
    """A disk that fails or is full for a minute costs no alert."""

    class Torn(list[Detection]):
        def __iter__(self) -> Iterator[Detection]:
            for path in ws.tmp.rglob("event.parquet"):
                path.unlink()
            return super().__iter__()

    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    with detect.alone(ws.db) as lease, pytest.raises(Hindered):
        detect.judge(ws, [1], actor="test", lease=lease, detections=Torn([one]), policy=Policy())
    assert (table(ws, "signal"), detect.unjudged(ws.db)) == ([], [1])
    assert judge(ws, one).signals == 1


def test_only_one_process_judges(ws: Workspace) -> None:
    with detect.alone(ws.db), pytest.raises(Conflict), detect.alone(ws.db):
        pass


def test_who_lost_the_lease_writes_nothing(ws: Workspace, tmp_path: Path) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    with detect.alone(ws.db) as lease:
        pass
    with detect.alone(ws.db), pytest.raises(Conflict):
        detect.judge(ws, [1], actor="slow", lease=lease, detections=[one], policy=Policy())
    assert table(ws, "signal") == []
    assert detect.unjudged(ws.db) == [1]


def test_every_run_leaves_an_entry_of_what_was_asked(ws: Workspace, tmp_path: Path) -> None:
    from wardship.store import tables

    one = detection(tmp_path, "reads", "e.service = 'a'")
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    judge(ws, one)
    with ws.db.read() as conn:
        rows = conn.execute(sa.select(tables.audit)).mappings().all()
    (entry,) = [row for row in rows if "events.judged" in str(dict(row))]
    assert '"hits":1' in str(dict(entry)).replace(" ", "")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("NULL AS events", "events: None"),
        ("7 AS identity_uid", "identity_uid: 7"),
        ("'often' AS weight", "weight: 'often'"),
        ("'grave' AS severity", "severity: 'grave'"),
        ("TRUE AS first_at", "first_at: True"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_told_and_the_others_are_asked(
    ws: Workspace, tmp_path: Path, column: str, value: str
) -> None:
    one = detection(tmp_path, "reads", "e.service = 'a'")
    name = column.rpartition(" ")[2]
    whole = {"identity_uid": "NULL", "credential_id": "NULL", "fold": "''", "first_at": "e.time", "last_at": "e.time"}
    columns = [f"{said} AS {each}" for each, said in {**whole, "events": "1"}.items() if each != name]
    text = (tmp_path / "reads.yaml").read_text().replace("id: reads", "id: odd")
    before, _sign, after = text.partition("  SELECT")
    query = f"  SELECT e.authority, e.actor_id, {', '.join([*columns, 'e.ref AS evidence', column])} FROM event AS e\n"
    (tmp_path / "odd.yaml").write_text(before + query + after[after.index("fires:") :])
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    done = judge(ws, load_detection(tmp_path / "odd.yaml"), one)
    assert len(done.problems) == 1
    assert done.problems[0].startswith("odd: ")
    assert done.problems[0].endswith(value)
    assert done.signals == 1


def test_a_bad_own_detection_is_named_and_the_others_are_asked(ws: Workspace) -> None:
    good = detection(ws.path / "detections", "reads", "e.service = 'a'")
    detection(ws.path / "detections", "use_after_inactivity", "TRUE")
    (ws.path / "detections" / "cut_off.yaml").write_text("id: cut_off\nversion: 1\n")
    found, problems = detect.workspace_detections(ws)
    assert good.id in {one.id for one in found}
    assert [one.partition(".yaml")[0] for one in problems] == ["cut_off", "detections/use_after_inactivity"]
    publish(ws.db, ws.activity, events("03:00:00", service="a"))
    done = telemetry_refresh.refresh(ws, actor="test", facts=False).judged
    assert done.problems == problems
    assert "reads" in {row["detection"] for row in table(ws, "signal")}
