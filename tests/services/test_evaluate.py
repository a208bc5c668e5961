"""Findings follow the facts: they open, change, close and reopen, and never close because nobody could read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.store.seed import put
from wardship.model.errors import ConfigError
from wardship.model.facts import Snapshot
from wardship.model.policy import Policy
from wardship.sdk.rule import BUILT_IN, Rule, load_rule, load_rules
from wardship.services import evaluate
from wardship.services.evaluate import Evaluation, judge
from wardship.store import tables
from wardship.store.db import Database
from wardship.store.engine import DuckDbEngine, Hindered
from wardship.store.facts import write_rows
from wardship.store.workspace import Workspace

RULES = {rule.id: rule for rule in load_rules()}
DAY = timedelta(days=1)
OLD_KEY = {
    "uid": "cr_1",
    "type": "access_key",
    "name": "access key 1",
    "presence": "present",
    "use_state": "used",
    "created_at": datetime(2026, 1, 1),
    "last_used_at": datetime(2026, 11, 20),
    "use_read_at": datetime(2026, 11, 21),
}

Facts = dict[str, list[dict[str, Any]]]


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Callable[..., Evaluation]:
    """Judges made-up facts by the named rules."""
    numbers = iter(range(1_000))

    def one(facts: Facts, *rules: str | Rule, at: datetime = NOW, whole: bool = False) -> Evaluation:
        number = next(numbers)
        snapshot = replace(write_rows(tmp_path / f"facts{number}", facts, as_of=at), id=f"snapshot-{number}")
        asked = [RULES[rule] if isinstance(rule, str) else rule for rule in rules]
        with DuckDbEngine(snapshot) as engine:
            return judge(
                database, snapshot, asked, Policy(), as_of=at, actor="test", engine=engine, whole_catalogue=whole
            )

    return one


def findings(db: Database) -> list[Any]:
    with db.read() as conn:
        return list(conn.execute(sa.select(tables.finding).order_by(tables.finding.c.uid)))


def versions(db: Database) -> list[str]:
    with db.read() as conn:
        return list(conn.scalars(sa.select(tables.finding_version.c.change).order_by(tables.finding_version.c.id)))


def entries(db: Database) -> int:
    with db.read() as conn:
        return conn.scalar(sa.select(sa.func.count()).select_from(tables.audit)) or 0


def test_a_finding_opens_with_its_facts_and_its_due_date(database: Database, run: Callable[..., Evaluation]) -> None:
    done = run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    assert (done.opened, done.open) == (1, 1)
    (row,) = findings(database)
    assert (row.state, row.subject_uid, row.severity, row.confidence) == ("open", "cr_1", "medium", "confirmed")
    assert json.loads(row.facts)["age_days"] == 325
    assert row.due_on == (NOW + 90 * DAY).date()
    assert row.snapshot_id == "snapshot-0"
    assert row.uid.startswith("fi_")


def test_judging_the_same_facts_twice_writes_nothing(database: Database, run: Callable[..., Evaluation]) -> None:
    facts = {
        "credential": [OLD_KEY],
        "identity": [{"uid": "id_1", "presence": "present", "standing": "own", "owner_state": "none"}],
    }
    run(facts, *RULES)
    before = (findings(database), versions(database), entries(database))
    again = run(facts, *RULES)
    after = findings(database)
    assert (again.opened, again.changed, again.closed, again.reopened) == (0, 0, 0, 0)
    assert (after, versions(database), entries(database)) == before


def test_a_day_more_makes_no_version_but_the_facts_are_today_s(
    database: Database, run: Callable[..., Evaluation]
) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation", at=NOW + DAY)
    (row,) = findings(database)
    assert json.loads(row.facts)["age_days"] == 326
    assert row.last_seen_at == NOW + DAY
    assert row.first_seen_at == NOW
    assert versions(database) == ["opened"]


def test_a_worse_fact_is_a_new_version(database: Database, run: Callable[..., Evaluation]) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    run({"credential": [{**OLD_KEY, "identity_criticality": "critical"}]}, "credential_overdue_rotation", at=NOW + DAY)
    (row,) = findings(database)
    assert row.severity == "high"
    assert row.due_on == (NOW + 30 * DAY).date(), "due counts from the opening"
    assert versions(database) == ["opened", "changed"]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"credential": [{**OLD_KEY, "created_at": datetime(2026, 11, 1)}]}, "no_longer_true"),
        ({"credential": [{**OLD_KEY, "presence": "gone"}]}, "subject_gone"),
        ({}, "subject_gone"),
    ],
)
def test_it_closes_by_itself_and_says_why(
    database: Database, run: Callable[..., Evaluation], facts: Facts, reason: str
) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    done = run(facts, "credential_overdue_rotation", at=NOW + DAY)
    (row,) = findings(database)
    assert (done.closed, row.state, row.reason, row.closed_at) == (1, "closed", reason, NOW + DAY)
    assert versions(database) == ["opened", "closed"]


def test_it_reopens_under_its_old_id_with_a_new_due_date(database: Database, run: Callable[..., Evaluation]) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    first = findings(database)[0]
    run({}, "credential_overdue_rotation", at=NOW + DAY)
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation", at=NOW + 2 * DAY)
    (row,) = findings(database)
    assert row.uid == first.uid
    assert (row.state, row.reopenings, row.closed_at, row.first_seen_at) == ("reopened", 1, None, NOW)
    assert row.due_on == (NOW + 92 * DAY).date()
    assert versions(database) == ["opened", "closed", "reopened"]


def test_what_could_not_be_confirmed_stays_open(database: Database, run: Callable[..., Evaluation]) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    done = run({"credential": [{**OLD_KEY, "presence": "unconfirmed"}]}, "credential_overdue_rotation", at=NOW + DAY)
    assert done.closed == 0
    assert findings(database)[0].state == "open"


def test_a_fact_that_became_unknown_does_not_close_a_finding(
    database: Database, run: Callable[..., Evaluation]
) -> None:
    idle = {**OLD_KEY, "last_used_at": datetime(2026, 1, 1)}
    blind = {**idle, "use_state": "unknown", "last_used_at": None, "use_read_at": None}
    run({"credential": [idle]}, "credential_unused")
    done = run({"credential": [blind]}, "credential_unused", at=NOW + DAY)
    (row,) = findings(database)
    assert (done.closed, done.changed) == (0, 1)
    assert (row.state, row.confidence, row.reason) == ("open", "tentative", "not_readable:use_state,use_read_at")
    assert row.last_seen_at == NOW, "nobody saw that it is still true"
    assert run({"credential": [blind]}, "credential_unused", at=NOW + 2 * DAY).changed == 0
    run({"credential": [idle]}, "credential_unused", at=NOW + 3 * DAY)
    assert findings(database)[0].confidence == "confirmed"
    run({"credential": [OLD_KEY]}, "credential_unused", at=NOW + 4 * DAY)
    assert findings(database)[0].reason == "no_longer_true"
    assert versions(database) == ["opened", "changed", "changed", "closed"]


def test_an_accepted_finding_stays_accepted_and_closes_when_no_longer_true(
    database: Database, run: Callable[..., Evaluation]
) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    with database.bookkeep() as conn:
        conn.execute(tables.finding.update().values(state="accepted"))
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation", at=NOW + DAY)
    assert findings(database)[0].state == "accepted"
    run({}, "credential_overdue_rotation", at=NOW + DAY)
    assert findings(database)[0].state == "closed"


def test_the_findings_of_other_rules_are_left_alone_unless_the_rule_is_gone(
    database: Database, run: Callable[..., Evaluation]
) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    run({}, "two_active_keys", at=NOW + DAY)
    assert findings(database)[0].state == "open"
    assert run({}, "two_active_keys", at=NOW + DAY, whole=True).closed == 1
    assert findings(database)[0].reason == "rule_removed"


def test_an_edited_rule_is_another_version(database: Database, run: Callable[..., Evaluation]) -> None:
    rule = RULES["credential_overdue_rotation"]
    run({"credential": [OLD_KEY]}, rule)
    run({"credential": [OLD_KEY]}, rule.model_copy(update={"version": 2}), at=NOW + DAY)
    assert findings(database)[0].rule_version.startswith("2-")
    assert versions(database) == ["opened", "changed"]


def test_every_change_has_its_audit_entry(database: Database, run: Callable[..., Evaluation]) -> None:
    run({"credential": [OLD_KEY]}, "credential_overdue_rotation")
    with database.read() as conn:
        entry = json.loads(
            conn.scalar(sa.select(tables.audit.c.body).order_by(tables.audit.c.seq.desc()).limit(1)) or ""
        )
    assert entry["action"] == "findings.judged"
    assert entry["subject"] == "rule:credential_overdue_rotation"
    assert entry["details"]["opened"] == 1
    assert entry["details"]["snapshot"] == "snapshot-0"


def test_many_findings_are_written_in_chunks_and_all_close(
    database: Database, run: Callable[..., Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [{**OLD_KEY, "uid": f"cr_{number}"} for number in range(40)]
    monkeypatch.setattr(evaluate, "CHUNK", 7)
    assert run({"credential": keys}, "credential_overdue_rotation").opened == 40
    assert entries(database) == 6
    assert run({}, "credential_overdue_rotation", at=NOW + DAY).closed == 40


class _Answers:
    """An engine whose rows are given, to show that their order decides nothing."""

    dialect = "duckdb"

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    def query(self, _sql: str, _parameters: Any) -> Any:
        return iter(self.rows)


class _Full:
    """An engine on a disk without room."""

    dialect = "duckdb"

    def query(self, _sql: str, _parameters: Any) -> Any:
        raise Hindered("no room")


@pytest.mark.parametrize("turn", [1, -1])
def test_two_rows_of_one_subject_are_one_finding_the_worse_in_any_order(
    database: Database, tmp_path: Path, turn: int
) -> None:
    rule = RULES["credential_overdue_rotation"]
    rows = [
        tuple(
            {"subject_uid": "cr_1", "severity": severity, "age_days": age}.get(name) for name in rule.compiled.columns
        )
        for severity, age in (("medium", 200), ("high", 400), ("high", 300))
    ][::turn]
    snapshot = Snapshot(id="s", folder=tmp_path, as_of=NOW, scan_seq=1, facts_version=1, tables={})
    judge(database, snapshot, [rule], Policy(), as_of=NOW, actor="test", engine=_Answers(rows))
    (row,) = findings(database)
    assert (row.severity, json.loads(row.facts)["age_days"]) == ("high", 300)


def test_a_severity_that_does_not_exist_is_no_answer(database: Database, tmp_path: Path) -> None:
    rule = RULES["credential_overdue_rotation"]
    row = tuple({"subject_uid": "cr_1", "severity": "terrible"}.get(name) for name in rule.compiled.columns)
    snapshot = Snapshot(
        id="s", folder=tmp_path, as_of=datetime(2026, 1, 1, tzinfo=UTC), scan_seq=1, facts_version=1, tables={}
    )
    done = judge(database, snapshot, [rule], Policy(), as_of=NOW, actor="test", engine=_Answers([row]))
    assert done.problems == ["credential_overdue_rotation: 'terrible' is not a valid Severity"]
    assert findings(database) == []


def test_a_rule_that_cannot_be_asked_costs_only_itself(
    database: Database, run: Callable[..., Evaluation], tmp_path: Path
) -> None:
    text = (BUILT_IN / "credential_overdue_rotation.yaml").read_text()
    text = text.replace("id: credential_overdue_rotation", "id: ours")
    (tmp_path / "ours.yaml").write_text(text)
    ours = load_rule(tmp_path / "ours.yaml")
    no_number = text.replace("AS subject_uid,", "AS subject_uid, CAST(c.name AS INTEGER) AS n,")
    (tmp_path / "ours.yaml").write_text(no_number)
    broken = load_rule(tmp_path / "ours.yaml")
    assert run({"credential": [OLD_KEY]}, ours, whole=True).open == 1
    done = run({"credential": [OLD_KEY]}, broken, "credential_overdue_rotation", whole=True)
    assert [problem.partition(":")[0] for problem in done.problems] == ["ours"]
    assert "Conversion Error" in done.problems[0]
    assert (done.rules, done.opened, done.closed) == (1, 1, 0), "the other rule is asked, and nothing closes"
    assert {row.rule for row in findings(database) if row.state == "open"} == {"ours", "credential_overdue_rotation"}


def test_a_machine_that_fails_is_no_fault_of_a_rule(database: Database, tmp_path: Path) -> None:
    snapshot = Snapshot(id="s", folder=tmp_path, as_of=NOW, scan_seq=1, facts_version=1, tables={})
    rule = RULES["credential_overdue_rotation"]
    with pytest.raises(Hindered):
        judge(database, snapshot, [rule], Policy(), as_of=NOW, actor="test", engine=_Full())


def test_a_workspace_is_judged_by_its_own_policy_and_rules(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "ws", clock=lambda: NOW) as ws, ws.db.bookkeep() as conn:
        put(conn, "credential", "k", holder_uid=put(conn, "identity", "u", name="bob"), created_at=NOW - 100 * DAY)
    (tmp_path / "ws" / "rules").mkdir()
    ours = (BUILT_IN / "credential_overdue_rotation.yaml").read_text("utf-8")
    theirs = tmp_path / "ws" / "rules" / "their_rotation.yaml"
    theirs.write_text(ours.replace("id: credential_overdue_rotation", "id: their_rotation"), encoding="utf-8")
    settings = tmp_path / "ws" / "workspace.yaml"
    settings.write_text(settings.read_text("utf-8") + "policy: thresholds.yaml\n", encoding="utf-8")
    with Workspace.open(tmp_path / "ws", clock=lambda: NOW) as ws:
        with pytest.raises(ConfigError, match=r"no policy file .*thresholds.yaml"):
            evaluate.evaluate(ws, actor="test", scan_seq=1)
        (tmp_path / "ws" / "thresholds.yaml").write_text("max_age_undeclared_days: 60\n", encoding="utf-8")
        evaluate.evaluate(ws, actor="test", scan_seq=1)
        assert {row.rule for row in findings(ws.db)} == {
            "credential_overdue_rotation",
            "their_rotation",
            "owner_missing",
        }
        theirs.rename(theirs.with_name("owner_left.yaml"))
        theirs.with_name("owner_left.yaml").write_text(
            (BUILT_IN / "owner_left.yaml").read_text("utf-8"), encoding="utf-8"
        )
        with pytest.raises(ConfigError, match=r"'owner_left' of .* is there already: one of ours"):
            evaluate.workspace_rules(ws)
