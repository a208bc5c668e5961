"""secrets: what the help shows can be tried on the demo, and what cannot be asked says what is missing."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from tests.cli.conftest import Command
from wardship.cli import reference
from wardship.cli.main import root


def test_the_examples_of_the_help_hold_on_the_demo(run: Command, demo: Path, tmp_path: Path) -> None:
    own = shutil.copytree(demo, tmp_path / "own")
    commands = dict(reference.commands(root))
    names = ["wardship identity show", *(f"wardship secrets {name}" for name in ("list", "show", "link", "unlink"))]
    for example in [example for name in names for example in commands[name].examples]:
        ran = run(*shlex.split(example)[1:], "-w", own)
        assert ran.code == 0, f"{example}: {ran.err}"


def test_a_check_without_a_connection_says_what_to_connect(run: Command, demo: Path) -> None:
    ran = run("secrets", "check", "DB_PASSWORD", "--dry-run", "-w", demo)
    assert ran.code == 2
    assert "wardship connect add" in ran.err
