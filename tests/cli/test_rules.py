"""rules: the catalogue, one page, and the test of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Command
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
    file = tmp_path / "two_active_keys.yaml"
    shutil.copy(BUILT_IN / file.name, file)
    if broken:
        file.write_text(file.read_text(encoding="utf-8").replace("FROM credential", "FROM nonsense"), encoding="utf-8")
    ran = run("rules", "test", tmp_path)
    assert ran.code == (2 if broken else 0), ran.out


def test_an_empty_folder_is_said(run: Command, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert run("rules", "test", tmp_path / "none").code == 2
