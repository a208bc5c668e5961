"""rules: the catalogue, one page, and the test of a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from wardship.sdk.fact_query import DIALECTS
from wardship.sdk.rule import BUILT_IN


def test_every_rule_has_a_page_in_both_languages(run: Command) -> None:
    for row in json.loads(run("rules", "list", "-o", "json").out):
        pages = [run("rules", "show", row["rule"], "--language", language).out for language in ("en", "es")]
        assert pages[0] != pages[1]
        assert row["rule"] in pages[0]


def test_an_unknown_rule_names_the_next_step(run: Command) -> None:
    ran = run("rules", "show", "nonsense")
    assert ran.code == 2
    assert "wardship rules list" in ran.err


@pytest.mark.parametrize("broken", [False, True])
def test_a_folder_of_rules_is_tested(run: Command, tmp_path: Path, broken: bool) -> None:
    file = tmp_path / "several_active_keys.yaml"
    text = (BUILT_IN / "two_active_keys.yaml").read_text("utf-8").replace("id: two_active_keys", f"id: {file.stem}")
    file.write_text(text.replace("FROM credential", "FROM nonsense") if broken else text, encoding="utf-8")
    ran = run("rules", "test", tmp_path)
    assert ran.code == (2 if broken else 0), ran.out


def test_an_empty_folder_is_said(run: Command, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert run("rules", "test", tmp_path / "none").code == 2


def test_a_rule_is_begun_and_tested_in_the_workspace(run: Command, tmp_path: Path) -> None:
    place = ("--workspace", tmp_path / "ws")
    assert run("init", *place).code == 0
    assert "rules new" in run("rules", "test", *place).err
    ran = run("rules", "new", "our_rule", "--subject", "credential", *place)
    assert ran.code == 0
    assert (tmp_path / "ws" / "rules" / "our_rule.yaml").is_file()
    assert run("rules", "new", "our_rule", *place).code == 2
    ran = run("rules", "test", *place)
    assert ran.code == 2
    assert "0 findings instead of 1" in ran.out


@pytest.mark.parametrize(
    ("misspelt", "right", "advice"),
    [("c.enabeld", "c.enabled", "did you mean enabled"), ("subject: credentials", "subject: credential", "schema")],
)
def test_a_misspelt_word_is_told_with_file_and_line_in_our_words(
    run: Command, tmp_path: Path, misspelt: str, right: str, advice: str
) -> None:
    assert run("rules", "new", "our_rule", "--subject", "credential", "--folder", tmp_path).code == 0
    file = tmp_path / "our_rule.yaml"
    file.write_text(file.read_text("utf-8").replace(right, misspelt, 1), encoding="utf-8")
    ran = run("rules", "test", file)
    assert ran.code == 2
    _head, problem = ran.out.splitlines()
    assert re.match(r"  our_rule\.yaml, line \d+, \w+: ", problem)
    assert advice in problem
    assert "Input should" not in problem
    assert len(problem) < 300, "one sentence and a next step, not a list of everything"


@pytest.mark.parametrize("dialect", [*DIALECTS, "postgresql"])
def test_a_question_is_shown_in_every_dialect(run: Command, dialect: str) -> None:
    ran = run("rules", "explain", "owner_left", "--dialect", dialect)
    assert ran.code == 0
    assert f"({'postgresql' if dialect == 'postgres' else dialect})" in ran.out


def test_an_engine_has_one_name_and_its_short_one_is_taken(run: Command) -> None:
    shown = run("rules", "explain", "--help").out + run("rules", "test", "--help").out
    assert "postgres|" not in shown
    assert "|postgresql|" in shown
    assert "runs on a server" in run("rules", "test", BUILT_IN, "--engine", "postgres").err


def test_a_rule_is_explained_with_what_it_finds_now(run: Command, demo: Path) -> None:
    ran = run("rules", "explain", "owner_left", "--workspace", demo)
    assert ran.code == 0
    assert "wardship findings --rule owner_left" in ran.out
    assert "owner_active" in ran.out
    assert "SELECT" in run("rules", "explain", "owner_left", "--dialect", "bigquery", "--workspace", demo).out


def test_a_password_on_the_command_line_is_refused(run: Command, tmp_path: Path) -> None:
    url = "postgresql://reader:" + "hunter" + "2@db.example/facts"
    ran = run("rules", "test", BUILT_IN, "--engine", "postgresql", "--url", url)
    assert ran.code == 2
    assert "env:NAME" in ran.err
