"""The frame: start-up cost, help, exit codes, errors without tracebacks, Ctrl-C."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from wardship.app import App
from wardship.cli import reference
from wardship.cli.kit import Command as OurCommand
from wardship.cli.main import main, root
from wardship.services import audit

ALL = list(reference.commands(root))


def start(*words: str, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wardship", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "WARDSHIP_LANGUAGE": "en"},
        **more,  # type: ignore[call-overload]  # passed through
    )


def test_help_costs_less_than_300_ms_of_cpu() -> None:
    used = []
    for _try in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "wardship", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used) < 0.3


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom wardship.cli.main import main\nmain(['--help'])\n"
        "heavy = ('sqlalchemy', 'duckdb', 'pydantic', 'rich', 'babel', 'httpx')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _command in ALL])
def test_every_command_has_help_and_examples_that_name_it(name: str, command: OurCommand) -> None:
    assert command.help
    assert command.help.endswith(".")
    assert command.examples
    assert any(example.startswith(name) for example in command.examples)
    assert all(getattr(param, "help", None) or getattr(param, "about", None) for param in command.params)


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _command in ALL])
def test_examples_are_accepted_by_the_parser(name: str, command: OurCommand) -> None:
    import shlex

    for example in command.examples:
        words = shlex.split(example.split(" > ")[0])[1:]
        group = root
        while words and words[0] in getattr(group, "commands", {}):
            group = group.commands[words.pop(0)]
        group.make_context("wardship", words, resilient_parsing=False).close()


def test_the_reference_page_is_that_of_the_program() -> None:
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    made = subprocess.run([sys.executable, "-m", "wardship.cli.reference"], capture_output=True, text=True, check=True)
    assert page.read_text(encoding="utf-8") == made.stdout, "run: python -m wardship.cli.reference > docs/cli.md"


def test_an_unknown_command_is_wrong_usage(run: Command) -> None:
    ran = run("nonsense")
    assert ran.code == 2
    assert "No such command" in ran.err
    assert ran.err.splitlines()[-1] == "Next: wardship --help"


def test_no_workspace_names_the_next_step(run: Command) -> None:
    ran = run("inventory")
    assert ran.code == 2
    assert ran.err.count("\n") == 2
    assert "wardship init" in ran.err


def test_an_unforeseen_error_is_one_sentence_without_data(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from wardship.services import listings

    def breaks(*_args: object, **_more: object) -> object:
        raise ZeroDivisionError("AKIA-secret-in-the-message")

    monkeypatch.setattr(listings, "coverage", breaks)
    assert run("init", "-w", "w").code == 0
    ran = run("coverage", "-w", "w")
    assert ran.code == 4
    assert "ZeroDivisionError" in ran.err
    assert "AKIA" not in ran.err
    assert "Traceback" not in ran.err
    monkeypatch.setenv("WARDSHIP_DEBUG", "1")
    assert "Traceback" in run("coverage", "-w", "w").err


def test_ctrl_c_in_the_middle_of_a_query_is_no_error(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from wardship.services import listings

    def stopped(*_args: object, **_more: object) -> object:
        raise RuntimeError("Query interrupted")  # DuckDB's own word for a KeyboardInterrupt, which it does not raise

    monkeypatch.setattr(listings, "coverage", stopped)
    assert run("init", "-w", "w").code == 0
    ran = run("coverage", "-w", "w")
    assert ran.code == 130
    assert "Stopped." in ran.err
    assert "unforeseen" not in ran.err


def test_errors_speak_the_chosen_language(run: Command) -> None:
    assert run("--language", "es", "inventory").err.startswith("Error: no hay ningún espacio de trabajo")
    assert "No existe el comando" in run("--language=es", "nonsense").err
    assert "Uso:" in run("inventory", "--language", "es", "--help").out


def test_the_version_is_told(run: Command) -> None:
    assert run("--version").out.startswith("wardship ")


def piped(words: str, reader: str) -> tuple[list[int], str, str]:
    """The exit codes of `wardship WORDS | READER` in a real shell, and what came out of both streams."""
    line = f'{sys.executable} -m wardship {words} | {reader}; echo "${{PIPESTATUS[*]}}" >&2'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    *told, codes = done.stderr.splitlines()
    return [int(code) for code in codes.split()], done.stdout, "\n".join(told)


@pytest.mark.parametrize("form", ["jsonl", "csv", "json"])
def test_a_reader_who_leaves_is_no_error_and_the_export_is_on_record(demo: Path, tmp_path: Path, form: str) -> None:
    own = shutil.copytree(demo, tmp_path / "own")
    codes, out, err = piped(f"export grants -w {own} -o {form}", "head -1")
    assert codes == [0, 0]
    assert out.count("\n") == 1
    assert err == ""
    with App.open(own) as app:
        (newest,) = audit.entries(app.workspace, limit=1)
    assert (newest.action, newest.details["rows"]) == ("list.exported", None)


@pytest.mark.parametrize(("words", "code"), [("--help", 0), ("rules list", 0), ("nonsense", 2), ("inventory -w no", 2)])
def test_a_reader_who_is_gone_already_changes_no_exit_code(words: str, code: int) -> None:
    codes, _out, err = piped(f"{words} 2>&1", "true")
    assert codes == [code, 0]
    assert err == ""


def test_ctrl_c_stops_a_scan_and_the_next_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stopped"
    child = start("demo", "--size", "m", "--workspace", str(folder))
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("Reading entra"):
            break
    child.send_signal(signal.SIGINT)
    told = child.stderr.read()
    assert child.wait(60) == 130
    assert "What was read and published is saved" in told
    assert "Traceback" not in told
    assert main(["demo", "--size", "m", "--workspace", str(folder), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["doctor", "--workspace", str(folder), "--output", "json"]) in (0, 3)
    checks = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert checks["facts"]["ok"] is True
