"""One finding tells everything a person needs, and unknown is said as unknown; the list pages without gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.model.finding import Severity, finding_uid
from wardship.model.policy import Policy
from wardship.sdk.i18n import use_language
from wardship.sdk.rule import load_rules
from wardship.services import findings
from wardship.services.evaluate import judge
from wardship.store.db import Database
from wardship.store.engine import DuckDbEngine
from wardship.store.facts import write_rows

RULES = load_rules()
RULE_OF = {rule.id: rule for rule in RULES}.get
KEY = {
    "uid": "cr_1",
    "identity_uid": "id_1",
    "identity_name": "bob; rm -rf ~",
    "authority": "aws:123456789012",
    "type": "access_key",
    "name": "access key 1",
    "public_id": "AKIAEXAMPLE",
    "presence": "present",
    "use_state": "unknown",
    "created_at": datetime(2024, 1, 1),
}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


@pytest.fixture
def judged(database: Database, tmp_path: Path) -> Database:
    keys = [KEY] + [
        {**KEY, "uid": f"cr_{n}", "created_at": datetime(2026, 1, 1) + timedelta(days=n)} for n in range(2, 12)
    ]
    facts = {
        "credential": keys,
        "identity": [{"uid": "id_1", "presence": "present", "standing": "own", "owner_state": "none"}],
    }
    snapshot = replace(write_rows(tmp_path / "facts", facts, as_of=NOW), id="a" * 64)
    with DuckDbEngine(snapshot) as engine:
        judge(database, snapshot, RULES, Policy(), as_of=NOW, actor="test", engine=engine)
    return database


def test_one_finding_explained(judged: Database) -> None:
    told = findings.explain(judged, finding_uid("credential_overdue_rotation", "cr_1"), RULE_OF)
    assert told.sentence == "access key 1 of bob; rm -rf ~ was last changed 1056 days ago; 180 days are allowed."
    assert (told.severity, told.confidence, told.state) == ("high", "confirmed", "open")
    assert told.rule_version.startswith("1-")
    assert told.snapshot_id == "a" * 64
    assert told.facts_source == ["credential"]
    assert {fact.name: fact.value for fact in told.facts}["last_rotated_at"] is None
    assert "not evaluated" in told.blast_radius
    assert "unknown is not none" in told.consumers
    assert {control.id for control in told.controls} >= {"NHI7:2025", "8.6.3", "A.5.17", "op.exp.10"}
    assert told.would_change
    assert told.limits
    assert told.verification
    assert [event.change for event in told.history] == ["opened"]
    commands = [step.command for step in told.remediation if step.command]
    assert commands[0] == (
        "aws iam update-access-key --access-key-id AKIAEXAMPLE --status Inactive --user-name 'bob; rm -rf ~'"
    )
    assert not any(step.connector == "entra" for step in told.remediation), "the key is an AWS key"
    assert {step.reversible for step in told.remediation} == {True, False}


def test_the_sentence_is_in_one_language(judged: Database) -> None:
    """What nobody knows is said in the reader's language, inside the sentence too."""
    rule = next(rule for rule in RULES if rule.id == "secret_live_in_code")
    facts = {"name": "token", "detector": "x.key", "head_exposures": 2, "location": "a.py", "validity": "unknown"}
    assert findings.sentence(rule, facts).endswith("whether it still works: unknown.")
    use_language("es")
    try:
        assert findings.sentence(rule, facts).endswith("si todavía funciona: desconocido.")
    finally:
        use_language("en")


def test_an_unknown_finding_or_rule_is_said_plainly(judged: Database) -> None:
    with pytest.raises(ConfigError, match="no finding is called 'fi_nope'"):
        findings.explain(judged, "fi_nope", RULE_OF)
    with pytest.raises(ConfigError, match="the rule credential_overdue_rotation of this finding is not here"):
        findings.explain(judged, finding_uid("credential_overdue_rotation", "cr_1"), {}.get)


def test_pages_give_every_finding_once_worst_first(judged: Database) -> None:
    seen: list[findings.FindingRow] = []
    while part := findings.page(judged, limit=4, after=seen[-1].place if seen else None):
        seen += part
    assert len({row.uid for row in seen}) == len(seen) == 12
    assert [row.place for row in seen] == sorted(row.place for row in seen)
    assert seen[0].severity is Severity.HIGH
    assert seen[0].due_on == (NOW + timedelta(days=30)).date()


def test_the_list_is_filtered(judged: Database) -> None:
    assert {row.rule for row in findings.page(judged, rule="owner_missing")} == {"owner_missing"}
    assert [row.subject_uid for row in findings.page(judged, severity=Severity.HIGH)] == ["cr_1"]
    assert findings.page(judged, states=("closed",)) == []
    assert findings.page(judged, identity_uid="id_2") == []


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, None),
        ("subject_gone", "what it was about is gone"),
        ("not_readable:use_state", "a fact that it needs could not be read, so it stays open: use_state"),
        ("something else", "something else"),
    ],
)
def test_reasons_are_told_in_words(reason: str | None, text: str | None) -> None:
    assert findings.reason_text(reason) == text
