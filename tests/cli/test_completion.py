"""--install-completion: a file where the shell looks for it, and a shell that then completes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command

PLACE = Path(".local/share/bash-completion/completions/wardship")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_after_it_is_sourced(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    ran = run("--install-completion")
    assert ran.code == 0
    script = tmp_path / PLACE
    assert str(script) in ran.out
    assert [path for path in tmp_path.iterdir() if path.name != ".local"] == [], "no start-up file is edited"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"source '{script}' && complete -p wardship"],
        capture_output=True, text=True, check=False, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "wardship"


@pytest.mark.parametrize(
    ("shell", "place"), [("zsh", ".zfunc/_wardship"), ("fish", ".config/fish/completions/wardship.fish")]
)
def test_other_shells_get_their_own(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, place: str
) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    ran = run("--install-completion")
    assert ran.code == 0
    assert "_WARDSHIP_COMPLETE" in (tmp_path / place).read_text(encoding="utf-8")
    assert ("fpath" in ran.out) == (shell == "zsh")


@pytest.mark.parametrize("shell", ["", "/bin/tcsh"])
def test_a_shell_we_do_not_know_is_said_and_nothing_is_written(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("SHELL", shell)
    ran = run("--install-completion")
    assert ran.code == 2
    assert "bash, zsh and fish" in ran.err
    assert list(tmp_path.iterdir()) == []
