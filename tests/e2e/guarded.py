"""A real repository with the real hooks, for the tests of what a developer and a CI job meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TOKEN = "ghp_" + "a1B2" * 9  # made here, so that no secret stands in this file
OTHER = "ghp_" + "c3D4" * 9
LINE = f'token = "{TOKEN}"\n'


class Repo:
    """A repository in `folder`; `home` is the developer's own folder, so that no real configuration is touched."""

    def __init__(self, folder: Path, home: Path, *, init: bool = True) -> None:
        self.folder = folder
        home.mkdir(parents=True, exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "GITHUB_", "CI_"))}
        self.env = kept | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "WARDSHIP_LANGUAGE": "en",
            "LC_ALL": "C.UTF-8",
            "GIT_AUTHOR_NAME": "Dana",
            "GIT_AUTHOR_EMAIL": "dana@example.org",
            "GIT_COMMITTER_NAME": "Dana",
            "GIT_COMMITTER_EMAIL": "dana@example.org",
            "GIT_ALLOW_PROTOCOL": "file",
        }
        if init:
            folder.mkdir(parents=True, exist_ok=True)
            self.git("init", "-q", "-b", "main")

    def run(self, *words: str | bytes, code: int | None = 0, given: bytes = b"", **env: str) -> str:
        """What a command prints (both streams); fails when it ends with another code than `code`."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.env | env,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        told = done.stdout.decode(errors="replace")
        assert code is None or done.returncode == code, f"{words} ended with {done.returncode}:\n{told}"
        return told

    def git(self, *words: str | bytes, code: int | None = 0, **env: str) -> str:
        return self.run("git", *words, code=code, **env)

    def wardship(self, *words: str, code: int | None = 0, given: bytes = b"", **env: str) -> str:
        return self.run(sys.executable, "-P", "-m", "wardship", *words, code=code, given=given, **env)

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def commit(self, message: str = "change", *words: str, code: int = 0) -> str:
        """Stages everything and commits; returns what was printed."""
        self.git("add", "-A")
        return self.git("commit", "-m", message, *words, code=code)

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    def runs(self) -> list[dict[str, object]]:
        """The records that the runs have left."""
        file = self.folder / ".git" / "wardship" / "runs.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
