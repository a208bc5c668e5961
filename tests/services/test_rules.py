"""A rule of one's own: begun, written, explained, judged with ours, and told by its title."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jsonschema_rs
import pytest
import sqlalchemy as sa
import yaml

from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.model.policy import Policy
from wardship.sdk.rule import BUILT_IN, load_rule, load_rules
from wardship.services import evaluate, listings, rules
from wardship.services.reading import Facts
from wardship.services.rule_examples import problems_of
from wardship.services.rule_folders import rule_folders
from wardship.services.rule_skeleton import SUBJECTS
from wardship.store import tables
from wardship.store.facts import write_rows
from wardship.store.workspace import Workspace

OWN = {
    "AND 1 = 0 -- the bad state comes here; until then the rule finds nothing": "AND i.name LIKE 'temp-%'",
    "title: Say the bad state in one short sentence": "title: A temporary identity is still there",
    "{uid: id_a, name: REAL_NAME, kind: oauth_app}]\n    expect": "{uid: id_a, name: temp-1}]\n    expect",
}


def written(folder: Path, rule_id: str = "temporary_left") -> Path:
    """A rule that somebody began with `rules new` and finished."""
    file = rules.new(folder, rule_id, "identity")
    text = file.read_text("utf-8")
    for old, new in OWN.items():
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_new_rule_loads_and_fails_only_where_it_is_not_written_yet(tmp_path: Path, subject: str) -> None:
    file = rules.new(tmp_path, "our_rule", subject)
    assert load_rule(file).subject == subject
    assert [problem.partition(" (")[0] for problem in problems_of(file)] == ["fires 0"]
    editor = jsonschema_rs.validator_for(json.loads((tmp_path / ".schema.json").read_text("utf-8")))
    editor.validate(json.loads(json.dumps(yaml.safe_load(file.read_text("utf-8")), default=str)))
    named = re.search(r"^# yaml-language-server: \$schema=(.+)$", file.read_text("utf-8"), re.MULTILINE)
    assert named
    assert (tmp_path / named[1]).is_file()


def test_a_finished_rule_passes_its_test(tmp_path: Path) -> None:
    written(tmp_path)
    assert [(one.rule, one.problems) for one in rules.test([tmp_path], rules.engine("duckdb"))] == [
        ("temporary_left", [])
    ]


def test_nothing_is_overwritten_and_no_rule_of_ours_is_shadowed(tmp_path: Path) -> None:
    file = written(tmp_path)
    before = file.read_bytes()
    for taken in ("temporary_left", "owner_left"):
        with pytest.raises(ConfigError, match="there already"):
            rules.new(tmp_path, taken, "identity")
    assert file.read_bytes() == before
    for odd in ("../x", "Upper", "a b", ""):
        with pytest.raises(ConfigError, match="no id of a rule"):
            rules.new(tmp_path, odd, "identity")
    (tmp_path / "owner_left.yaml").write_bytes((BUILT_IN / "owner_left.yaml").read_bytes())
    told = {one.rule: one.problems for one in rules.test([tmp_path], rules.engine("duckdb"))}
    assert any("one of ours" in problem for problem in told["owner_left"])


def test_an_engine_that_runs_elsewhere_asks_where(tmp_path: Path, postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="runs on a server"):
        rules.engine("spark")
    written(tmp_path)
    assert [one.problems for one in rules.test([tmp_path], rules.engine("postgresql", postgres_url))] == [[]]


def test_an_explanation_names_facts_thresholds_and_their_origin() -> None:
    known = load_rules(only=["credential_overdue_rotation"])
    told = rules.explanation(known, "credential_overdue_rotation", policy=Policy(hard_max_age_days=300))
    assert re.search(r"^  credential: .*last_rotated_at", told, re.MULTILINE)
    assert "hard_max_age_days = 300 (from the policy file; built in: 365)" in told
    assert "max_age_critical_days = 30 (as built in)" in told
    assert "Two keys of one user are two findings" in told
    assert "there is no workspace" in told
    other = rules.explanation(known, "credential_overdue_rotation", dialect="postgres")
    assert "%(max_age_critical_days)s" in other
    with pytest.raises(ConfigError, match="no rule is called"):
        rules.explanation(known, "nonsense")


# ---------------------------------------------------------------- in a workspace


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A workspace whose own rules lie in a repository beside it."""
    repository = tmp_path / "our-rules"
    written(repository / "rules")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True)
    Workspace.create(tmp_path / "ws", clock=lambda: NOW).close()
    settings = tmp_path / "ws" / "workspace.yaml"
    settings.write_text(settings.read_text("utf-8") + "\nrules: [../our-rules/rules]\n", encoding="utf-8")
    return tmp_path / "ws"


def judged(ws: Workspace) -> Facts:
    rows = {"identity": [{"uid": "id_a", "name": "temp-1", "presence": "present", "standing": "own",
                          "authority": "x:1", "owner_state": "attested", "owner_active": True}]}  # fmt: skip
    snapshot = write_rows(ws.facts, rows, as_of=NOW)
    with evaluate.DuckDbEngine(snapshot) as engine:
        chosen = [rule for rule in evaluate.workspace_rules(ws) if rule.id == "temporary_left"]
        evaluate.judge(ws.db, snapshot, chosen, Policy(), as_of=NOW, actor="t", engine=engine)
    return Facts(snapshot, rule_folders=rule_folders(ws))


def test_lists_show_an_own_rule_by_its_title(ours: Path) -> None:
    with Workspace.open(ours, clock=lambda: NOW) as ws, judged(ws) as facts:
        (row,) = listings.findings(ws.db, facts)
        assert (row["title"], row["subject"]) == ("A temporary identity is still there", "temp-1")
        told = rules.explanation(evaluate.workspace_rules(ws), "temporary_left", found=[row])
        assert "temp-1" in told
        assert row["uid"] in told


def test_the_audit_says_at_which_commit_the_own_rules_stood(ours: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ours.parent / "our-rules", check=True, capture_output=True, text=True
    ).stdout.strip()
    with Workspace.open(ours, clock=lambda: NOW) as ws, judged(ws), ws.db.read() as conn:
        entries = [json.loads(body) for body in conn.scalars(sa.select(tables.audit.c.body))]
    (entry,) = [one for one in entries if "findings.judged" in json.dumps(one)]
    assert head in json.dumps(entry)


def test_one_id_in_two_folders_is_refused(ours: Path, tmp_path: Path) -> None:
    written(tmp_path / "more")
    settings = ours / "workspace.yaml"
    text = settings.read_text("utf-8").replace("rules: [../our-rules/rules]", "rules: [../our-rules/rules, ../more]")
    settings.write_text(text, encoding="utf-8")
    with Workspace.open(ours, clock=lambda: NOW) as ws, pytest.raises(ConfigError, match=r"temporary_left.*already"):
        evaluate.workspace_rules(ws)


def test_a_file_that_cannot_be_read_takes_no_list_away(ours: Path) -> None:
    with Workspace.open(ours, clock=lambda: NOW) as ws, judged(ws) as facts:
        (ours.parent / "our-rules" / "rules" / "temporary_left.yaml").write_text("{", encoding="utf-8")
        assert [row["title"] for row in listings.findings(ws.db, facts)] == ["temporary_left"]
