"""The loader names file, line, field and the next step; and what it accepts is what the schema says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tests.conftest import ROOT
from wardship.model.errors import ConfigError
from wardship.sdk.rule import (
    BUILT_IN,
    Step,
    Way,
    example_rows,
    fill,
    fill_command,
    frameworks,
    load_rule,
    load_rules,
    rule_schema,
)

SCHEMA = ROOT / "docs" / "schema" / "rule.schema.json"


@pytest.fixture
def bent(tmp_path: Path) -> Callable[[str, str], Path]:
    """A good rule with one text replaced; it stands at version 1 here, whatever it has come to since."""

    def bend(old: str, new: str) -> Path:
        text = re.sub(r"(?m)^version: \d+$", "version: 1", (BUILT_IN / "two_active_keys.yaml").read_text("utf-8"))
        assert old in text
        path = tmp_path / "two_active_keys.yaml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return bend


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: two_active_keys", "id: other_name", "line 1, id: .*not the file's name"),
        ("severity: low", "severity: lowish", "line 5, severity: "),
        ("version: 1", "version: one", "line 2, version: "),
        ("title:", "titel:", "title"),
        ('"NHI7:2025"', '"NHI77:2025"', "line 6, owasp_nhi.0: owasp-nhi has no control 'NHI77:2025'"),
        ('"ens:op.exp.10"', '"ens:mp.info.4"', "line 7, controls.1: ens has no control 'mp.info.4'"),
        ('"ens:op.exp.10"', '"soc3:1"', "line 7, controls.1: no framework 'soc3'"),
        ("i.uid AS subject_uid", "i.uid AS subject", "query: the result has no subject_uid"),
        ("k.keys, k.newest", "k.keyz, k.newest", "query: .*keyz"),
        (":new_days", ":young_days", "query: no parameter is called :young_days"),
        ("count(*)", "getenv('x')", "query: function getenv is not allowed"),
        ("%(keys)s active", "%(kees)s active", "sentence: the result has no column 'kees'"),
        ("--user-name %(name)s", "--user-name %(nome)s", "remediation: the result has no column 'nome'"),
        ("reversible: true", "reversible: perhaps", "remediation.0.reversible"),
        ("name: bob}]", "nome: bob}]", "fires.0.facts.identity.0: identity has no column 'nome'"),
        ("identity: [{uid: id_a", "identities: [{uid: id_a", "fires.0.facts.identities: no such fact table"),
        ("limits:", "limits: []\nlimitz:", "limit"),
        ("rationale: >-", "rationale: &a >-", "anchors and aliases are not allowed"),
        ("version: 1", "version: !!python/object:os.system x", "tags are not allowed"),
        ("version: 1", "version: 1\nversion: 2", "'version' is there twice"),
        ("version: 1", "version: [1", "not readable as YAML"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(
    bent: Callable[[str, str], Path], old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_rule(bent(old, new))
    assert caught.value.message.startswith("two_active_keys.yaml")
    assert caught.value.advice


def test_an_unknown_rule_is_named() -> None:
    assert [rule.id for rule in load_rules(only=["owner_left"])] == ["owner_left"]
    with pytest.raises(ConfigError, match="no rule is called 'nope'"):
        load_rules(only=["nope"])
    with pytest.raises(ConfigError, match="no folder"):
        load_rules(BUILT_IN / "nowhere")


def test_the_schema_is_written_down_and_says_the_same_as_the_loader(bent: Callable[[str, str], Path]) -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == rule_schema(), "run: python scripts/rule_docs.py"
    schema = jsonschema_rs.validator_for(rule_schema())
    for path in BUILT_IN.glob("*.yaml"):
        schema.validate(json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str)))
    bad = yaml.safe_load(bent("severity: low", "severity: lowish").read_text("utf-8"))
    assert not schema.is_valid(json.loads(json.dumps(bad, default=str)))


def test_every_control_that_frameworks_hold_has_a_title_and_a_source() -> None:
    for framework in frameworks().values():
        assert framework.source
        assert all(framework.controls.values())


def test_a_command_quotes_what_the_system_called_its_things() -> None:
    cli = Step(text="x", way=Way.CLI, command="aws iam delete-user --user-name %(name)s", reversible=False)
    assert fill_command(cli, {"name": "bob; rm -rf ~"}) == "aws iam delete-user --user-name 'bob; rm -rf ~'"
    assert fill_command(cli, {"name": "a\x1b[2Jb"}) == "aws iam delete-user --user-name <name>"
    assert fill_command(cli, {"name": None}) == "aws iam delete-user --user-name <name>"
    terraform = Step(text="x", way=Way.TERRAFORM, command="name = %(name)s", reversible=True)
    assert fill_command(terraform, {"name": '${file("/etc/passwd")}"'}) == r'name = "$${file(\"/etc/passwd\")}\""'
    portal = Step(text="x", way=Way.PORTAL, command="https://x/%(name)s", reversible=True)
    assert fill_command(portal, {"name": "a/../b?c#d"}) == "https://x/a%2F..%2Fb%3Fc%23d"
    assert fill_command(Step(text="x", reversible=True), {}) is None


def test_a_sentence_says_unknown_where_nothing_is_known() -> None:
    facts = {"name": "%(other)s", "age": None, "on": datetime(2026, 1, 2, 3)}
    assert fill("%(name)s is %(age)s since %(on)s", facts, unknown="unknown") == "%(other)s is unknown since 2026-01-02"


def test_an_edited_rule_has_another_digest() -> None:
    rule = load_rules(only=["owner_left"])[0]
    assert rule.digest.startswith("1-")
    assert rule.digest != rule.model_copy(update={"query": rule.query + " "}).digest


def test_steps_of_another_connector_are_left_out() -> None:
    rule = load_rules(only=["owner_left"])[0]
    assert {step.connector for step in rule.steps(rule.remediation, "entra")} == {None, "entra"}
    assert len(rule.steps(rule.remediation, None)) == len(rule.remediation)


def test_example_rows_are_complete_and_say_their_defaults() -> None:
    rule = load_rules(only=["two_active_keys"])[0]
    row = example_rows(rule.fires[0])["credential"][0]
    assert (row["presence"], row["use_state"], row["name"]) == ("present", "unknown", None)
