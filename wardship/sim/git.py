"""Real git repositories with a made-up history: fixed authors and dates, so the same steps give the same commits.

    shop = Repository(folder / "shop", origin="https://github.com/acme/shop.git")
    shop.commit({".env": "..."}, author=("Ana", "ana@acme.example"), at=when, message="first")
    shop.remove(".env", at=later)
    connection = shop.connection("code", clock=clock, cache=folder / "cache")

Commits go through one `git fast-import` each: no index, no working tree, no hooks, no signing, no user configuration.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.secrets import fingerprint

AUTHOR = ("Ana Ruiz", "ana.ruiz@acme-iberica.example")
PEPPER = Secret("5e" * 32)  # of simulated connections without a workspace


class Repository:
    """A repository in `folder` that is made step by step. `origin`: where it claims to have been cloned from."""

    def __init__(self, folder: Path, origin: str | None = None, *, branch: str = "main") -> None:
        self.folder, self.origin, self._branch = folder, origin, branch
        self._at = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--bare", f"--initial-branch={branch}", "--template=", ".")
        if origin:
            self.git("config", "remote.origin.url", origin)

    @classmethod
    def opened(cls, folder: Path) -> Self:
        """A repository that stands there already. The dates of new commits begin anew."""
        return cls(folder)

    def commit(
        self,
        files: Mapping[str, str | bytes],
        *,
        author: tuple[str, str] = AUTHOR,
        at: datetime | None = None,
        message: str = "change",
        branch: str | None = None,
        removed: Sequence[str] = (),
        merge: str | None = None,
    ) -> str:
        """Writes `files`, removes `removed`, and returns the commit. `at` None: a day after the last one.

        A new branch begins at the default branch. `merge`: a second parent.
        """
        name = branch or self._branch
        self._at = at or self._at + timedelta(days=1)
        said = [f"commit refs/heads/{name}", f"committer {author[0]} <{author[1]}> {int(self._at.timestamp())} +0000"]
        stream = "\n".join(said).encode() + b"\n" + _data(message.encode())
        parent = self.tip(name) or self.tip(self._branch)
        if parent:
            stream += f"from {parent}\n".encode()
        if merge:
            stream += f"merge {merge}\n".encode()
        for path in removed:
            stream += b"D " + _quoted(path) + b"\n"
        for path, text in files.items():
            content = text if isinstance(text, bytes) else text.encode()
            stream += b"M 100644 inline " + _quoted(path) + b"\n" + _data(content)
        self.git("fast-import", "--quiet", "--force", given=stream)
        made = self.tip(name)
        assert made is not None  # noqa: S101 - fast-import would have failed
        return made

    def remove(self, *paths: str, at: datetime | None = None, branch: str | None = None) -> str:
        """Removes files and returns the commit."""
        return self.commit({}, removed=paths, at=at, message="remove", branch=branch)

    def tip(self, branch: str | None = None) -> str | None:
        """The newest commit of a branch; None: there is no such branch."""
        told = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch or self._branch}")
        return told.strip() or None

    def connection(
        self, name: str, *, clock: Callable[[], datetime] | None = None, cache: Path | None = None
    ) -> Connection:
        """A connection that reads this repository, with a fingerprint key of its own.

        `clock` None: the time of the last commit.
        """
        return connection([self], name, clock=clock or (lambda: self._at), cache=cache)

    def git(self, *arguments: str, given: bytes | None = None) -> str:
        """Runs git in the repository. Raises CalledProcessError."""
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_DIR": str(self.folder),
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, input=given, capture_output=True, check=True
        )
        return done.stdout.decode("utf-8", "replace")


class Disk:
    """Stands where other simulated systems have their network: repositories in folders need none.

    `held`: a folder that is deleted when nobody has this connection any more.
    """

    def __init__(self, held: tempfile.TemporaryDirectory[str] | None = None) -> None:
        self._held = held

    def httpx_transport(self) -> Any:
        raise ConfigError("a folder speaks no HTTP")

    def prepare_botocore(self, session: Any) -> None:
        raise ConfigError(f"a folder speaks no {type(session).__name__}")


def connection(
    repositories: Sequence[Repository], name: str, *, clock: Callable[[], datetime], cache: Path | None = None
) -> Connection:
    """One connection that reads several repositories."""
    return Connection(
        name=name,
        connector="git",
        settings={"repositories": "\n".join(str(one.folder) for one in repositories), "workers": "1"},
        clock=clock,
        wire=Disk(),
        fingerprint=partial(fingerprint, PEPPER),
        pepper=lambda: PEPPER,
        cache=cache,
    )


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a freshly made repository with secrets in its newest state and in its history."""
    held = tempfile.TemporaryDirectory(prefix="wardship-sim-git-")
    shop = Repository(Path(held.name) / "shop", origin="https://github.com/acme/shop.git")
    password = "correct" + "-Horse7!" + "battery"
    key = "AKIA" + "Q3EGRXLWVJ4ZT7UM"
    shop.commit({"README.md": "# Shop\n", "src/app.py": "import os\nPORT = 8080\n"}, message="start")
    shop.commit({"deploy/.env.production": f"DEBUG=0\nDB_PASSWORD={password}\nAWS_ACCESS_KEY_ID={key}\n"})
    shop.commit({".github/workflows/deploy.yml": WORKFLOW}, message="deploy from CI")
    shop.commit({"config/local.yml": f"database:\n  password: {password}\n"}, author=("Li Wei", "li.wei@acme.example"))
    shop.remove("deploy/.env.production")
    return replace(shop.connection("shop", clock=clock, cache=Path(held.name) / "cache"), wire=Disk(held))


WORKFLOW = """\
on: {push: {branches: [main]}}
permissions: {id-token: write}
jobs:
  deploy:
    environment: production
    runs-on: ubuntu-latest
    steps:
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: arn:aws:iam::111122223333:role/deploy
      - uses: azure/login@v2
        with:
          client-id: 11111111-2222-3333-4444-555555555555
          tenant-id: 99999999-8888-7777-6666-555555555555
"""


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    return b'"' + path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
