"""mapping new, check, list; and import with a setting."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from wardship.model.errors import ConfigError
from wardship.services import mapping

TOKEN = "zQ9" * 8
CSV = f"login;estado;alta;propietario;token\nsvc1;A;14/03/2025;ana@acme.example;{TOKEN}\nsvc2;B;01/02/2025;;\n"


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def test_from_a_strange_file_to_findings_in_three_commands(run: Command, accounts: Path, tmp_path: Path) -> None:
    out = tmp_path / "accounts.yaml"
    new = run("mapping", "new", accounts, "--out", out, "--yes")
    assert (new.code, new.out) == (0, "")
    assert f"wardship mapping check {out} {accounts}" in new.err
    check = run("mapping", "check", out, accounts)
    assert check.code == 0
    assert "2 rows read, 0 of them unreadable" in check.out
    assert "identity: 2" in check.out
    assert "Not declared as the whole population" in check.out
    done = run("import", "file", accounts, f"mapping={out}", "--workspace", tmp_path / "ws")
    assert done.code == 3  # honest: a file that is not the whole population is a partial reading
    rows = json.loads(run("inventory", "-o", "json", "--workspace", tmp_path / "ws").out)
    assert {row["name"] or row["native_id"] for row in rows} == {"svc1", "svc2"}
    assert TOKEN not in new.out + new.err + check.out + check.err + done.out + done.err + out.read_text("utf-8")


def test_a_proposal_is_printed_without_out_and_nothing_is_overwritten(run: Command, accounts: Path) -> None:
    ran = run("mapping", "new", accounts, "--yes")
    assert ran.out.startswith("# Proposed from 2 rows")
    refused = run("mapping", "new", accounts, "--out", accounts, "--yes")
    assert refused.code == 2
    assert "there already" in refused.err
    assert accounts.read_text(encoding="utf-8") == CSV


def test_a_check_speaks_the_language_of_its_reader(run: Command, accounts: Path, tmp_path: Path) -> None:
    """But for what stands in the file and in the mapping: the names of columns and fields."""
    out = tmp_path / "m.yaml"
    accounts.write_text("login;enabled\nsvc1;true\nsvc2;false\n", encoding="utf-8")
    run("mapping", "new", accounts, "--out", out, "--yes")
    ran = run("mapping", "check", out, accounts, "--language", "es")
    assert "  identidad: 2\n" in ran.out
    assert "enabled=sí" in ran.out
    for english in ("Identity", "Credential", "Owner", "True", "False"):
        assert english not in ran.out


def test_a_check_shows_what_would_be_quarantined(run: Command, accounts: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.yaml"
    run("mapping", "new", accounts, "--out", out, "--yes")
    accounts.write_text(CSV.replace("01/02/2025", "soon") + "svc3;Z;;;;;extra\n", encoding="utf-8")
    ran = run("mapping", "check", out, accounts, "--rows", "5")
    assert ran.code == 3
    assert "3 rows read, 2 of them unreadable" in ran.out
    assert "would be quarantined: line 3: column 'alta': no date of a declared form" in ran.out
    assert "would be quarantined: line 4: more cells than the header has columns" in ran.out


def test_a_mistake_in_a_mapping_is_told_with_its_line(run: Command, accounts: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.yaml"
    run("mapping", "new", accounts, "--out", out, "--yes")
    out.write_text(out.read_text("utf-8").replace("format: csv", "format: cvs"), encoding="utf-8")
    ran = run("mapping", "check", out, accounts)
    assert ran.code == 2
    assert "m.yaml, line 6, source.format: 'cvs' does not fit" in ran.err


def test_a_file_without_a_mapping_says_the_next_step_in_both_languages(
    run: Command, accounts: Path, tmp_path: Path
) -> None:
    ran = run("import", "file", accounts, "--workspace", tmp_path / "ws")
    assert ran.code == 2
    assert f"wardship mapping new {accounts}" in ran.err


def test_the_shipped_mappings_are_listed(run: Command) -> None:
    rows = json.loads(run("mapping", "list", "-o", "json").out)
    assert {row["format"] for row in rows} == {"csv", "json", "ldif", "xlsx"}


def talk(words: list[str], answers: str, folder: Path) -> tuple[int, str]:
    """Runs the command on a terminal of its own and types the answers."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "LANGUAGE": "en"}
    child = subprocess.Popen(
        [sys.executable, "-m", "wardship", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answers.encode())
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:
        pass  # Linux says so when the other side has closed its terminal
    os.close(ours)
    return child.wait(timeout=30), shown.decode("utf-8", "replace")


def test_on_a_terminal_it_asks_and_a_wrong_column_is_asked_again(accounts: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.yaml"
    answers = ["legacy:app", "Legacy app", "prod", "robot", "y", "nonsense", "login", "", "", "-", "", ""]
    code, shown = talk(["mapping", "new", str(accounts), "--out", str(out)], "\n".join([*answers, ""]), tmp_path)
    assert code == 0, shown
    assert "there is no column 'nonsense'" in shown
    assert TOKEN not in shown
    text = out.read_text(encoding="utf-8")
    assert 'authority: "legacy:app"' in text
    assert 'environment: "prod"' in text
    assert "kind: {value: robot}" in text
    assert "complete: true" in text
    assert 'secret: "token"' in text
    assert "owners:" not in text  # the hyphen took it out


def test_owner_and_last_use_are_asked_for_also_where_no_column_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("foo,bar,baz\nsvc_a,Ana,2026-11-01\nsvc_b,Bob,2026-11-02\n")
    answers = ["", "", "", "", "", "", "bar", "baz", ""]
    code, shown = talk(["mapping", "new", "list.csv", "--out", "m.yaml"], "\n".join(answers), tmp_path)
    assert code == 0, shown
    text = (tmp_path / "m.yaml").read_text(encoding="utf-8")
    assert 'claim: "bar"' in text
    assert 'last_used_at: "baz"' in text


def test_an_answer_is_a_column_of_the_file(accounts: Path) -> None:
    draft = mapping.look(accounts)
    assert mapping.check_answer(draft, " LOGIN ") == "login"
    with pytest.raises(ConfigError) as refused:
        mapping.check_answer(draft, "x")
    assert "propietario" in refused.value.advice
