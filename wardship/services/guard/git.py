"""A repository, read by git's plumbing commands.

The repository may be hostile: no file-system monitor, hook, external diff, text conversion or transport that its
configuration names is run. Objects come from one `cat-file` process, whatever their number.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import unquote, urlsplit

from wardship.model.errors import ConfigError, Unavailable
from wardship.sdk.i18n import _

_QUIET = ("-c", "core.fsmonitor=false", "-c", "diff.external=", "-c", "color.ui=never")
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone must not fetch: transports run programs that the repository names
    "GIT_EXTERNAL_DIFF": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # a replacement would hide what is really committed
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository as its folders. `top` is None for a bare one; `common` is shared by all its worktrees.

    `current`: it is the one of this process, and git's variables of a running hook (GIT_INDEX_FILE) are about it.
    """

    top: Path | None
    folder: Path  # the git directory of this worktree
    common: Path
    shallow: bool
    current: bool

    @classmethod
    def find(cls, place: Path | None = None) -> Repository:
        """The repository that holds `place`; None: the current folder, as git's environment says inside a hook.

        Raises ConfigError where there is none, or where git refuses to read it.
        """
        words = ("--is-inside-work-tree", "--is-shallow-repository", "--absolute-git-dir", "--git-common-dir")
        inside, shallow, folder, common = os.fsdecode(git("rev-parse", *words, at=place)).split("\n")[:4]
        top = git("rev-parse", "--show-toplevel", at=place).rstrip(b"\n") if inside == "true" else b""
        return cls(
            top=Path(os.fsdecode(top)) if top else None,
            folder=Path(folder),
            common=(Path(place or "") / common).resolve(),
            shallow=shallow == "true",
            current=place is None,
        )

    def run(self, *words: str, given: bytes | None = None, missing_ok: bool = False) -> bytes:
        """What a git command prints. `missing_ok`: b"" where it fails, instead of ConfigError."""
        return git(*words, at=self.top or self.folder, given=given, missing_ok=missing_ok, current=self.current)

    def commit(self, name: str) -> str | None:
        """The id of the commit that `name` leads to; None: there is none in this clone."""
        told = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", missing_ok=True)
        return told.decode().strip() or None

    @property
    def name(self) -> str:
        """The authority of the repository, as a scan of it has it: of its origin, else of its folder."""
        told = self.run("config", "--get-regexp", r"^remote\..*\.url$", missing_ok=True)
        remotes = dict(line.split(" ", 1) for line in told.decode(errors="replace").splitlines() if " " in line)
        url = remotes.get("remote.origin.url") or next(iter(remotes.values()), "")
        return repository_name(url) or _folder_name(self.common.parent if self.common.name == ".git" else self.common)


def repository_name(url: str) -> str | None:
    """The authority of the repository behind a remote's URL; None: it is a path of this machine, or no URL.

    https://user@github.com/Acme/Shop.git, ssh://git@github.com/acme/shop and git@github.com:acme/shop are one:
    "git:github.com/acme/shop". A port stays if it is named.
    """
    text = url.strip()
    scp = re.fullmatch(r"(?:[^@/:\s]+@)?([^@/:\s]{2,}):(?!//)(\S+)", text)
    if scp:
        text = f"ssh://{scp[1]}/{scp[2]}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    path = unquote(parts.path).strip("/").lower().removesuffix(".git")
    known = parts.scheme in ("http", "https", "ssh", "git") and host and path
    if not known or not (host + path).isprintable() or " " in host + path:
        return None
    return f"git:{host if port is None else f'{host}:{port}'}/{path}"


def _folder_name(folder: Path) -> str:
    """The authority of a repository that lives on this machine only."""
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower().removesuffix(".git")) or "repository"
    return f"git:file/{name}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def git(
    *words: str,
    at: Path | None = None,
    given: bytes | None = None,
    missing_ok: bool = False,
    current: bool = False,
    hooks: bool = False,
) -> bytes:
    """Runs git quietly and returns what it prints. Raises ConfigError with git's own first line.

    `current`: git's variables of a running hook hold; in a foreign repository they must not.
    `hooks`: the user's core.hooksPath is left as it is, because it is asked for.
    """
    try:
        done = subprocess.run(
            ["git", *_QUIET, *(() if hooks else _NO_HOOKS), *words],
            input=given if given is not None else b"",
            capture_output=True,
            cwd=at,
            env=_environment(keep=current or at is None),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise _no_git(error, at) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(
            _("git %(command)s took longer than %(n)d seconds") % {"command": words[0], "n": _TIMEOUT_S},
            system="git",
            advice=_("try it by hand in the repository"),
        ) from None
    if done.returncode and not missing_ok:
        first = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[0]
        raise ConfigError(
            _("git %(command)s: %(what)s") % {"command": words[0], "what": first.removeprefix("fatal: ")},
            advice=_("run it inside a git repository that git itself can read"),
        )
    return b"" if done.returncode else done.stdout


def _environment(*, keep: bool) -> Mapping[str, str]:
    ours = {key: value for key, value in os.environ.items() if keep or not key.startswith("GIT_")}
    # What names the user's own configuration stays: git could not read the repository without (safe.directory).
    own = {key: value for key, value in os.environ.items() if key.startswith("GIT_CONFIG")}
    return {**ours, **own, **_ENVIRONMENT}


def _no_git(error: FileNotFoundError, at: Path | None) -> ConfigError:
    if at is not None and not at.is_dir():
        return ConfigError(_("the folder %(path)s does not exist") % {"path": at}, advice=_("name a repository"))
    return ConfigError(_("git is not installed (%(what)s)") % {"what": error.strerror}, advice=_("install git"))


class Blobs:
    """Contents by object id, from one long-lived process. A context manager.

    What is larger than `max_bytes` is read past and not kept: memory stays bounded.
    """

    def __init__(self, repository: Repository, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._at = repository.top or repository.folder
        self._current = repository.current
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", *_QUIET, *_NO_HOOKS, "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._at,
            env=_environment(keep=self._current),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in.close()
        if kind is not None:
            self._process.kill()
        self._out.close()
        self._process.wait()

    @property
    def _in(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe above
        return self._process.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe above
        return self._process.stdout

    def read(self, name: str) -> bytes | TooLarge | None:
        """The content of an object id or of "COMMIT:PATH"; None: this clone does not have it."""
        self._in.write(name.encode() + b"\n")
        self._in.flush()
        head = self._out.readline().split()
        if not head:  # git before 2.45 ends where a partial clone would have to fetch, which it must not
            self._process.wait()
            self._process = self._start()
            return None
        if len(head) != 3 or head[1] != b"blob":
            self._skip(int(head[2]) + 1 if len(head) == 3 else 0)
            return None
        size = int(head[2])
        if size > self._max_bytes:
            self._skip(size + 1)
            return TooLarge(size)
        content = self._out.read(size)
        self._out.read(1)
        return content

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._out.read(min(size, 1 << 20)) or bytes(size))


@dataclass(frozen=True, slots=True)
class TooLarge:
    """In place of a content: it is larger than what is looked into."""

    size_bytes: int


def entries(raw: bytes) -> Iterable[tuple[Sequence[str], Sequence[str], str, bytes]]:
    """The entries of `--raw -z` output: (modes, ids, status, path); parents first, the new one last.

    A rename or copy gives its new path. Lines that `diff-tree --stdin` puts before each commit are the caller's.
    """
    fields = iter(raw.split(b"\0"))
    for head in fields:
        if not head.startswith(b":"):
            continue
        parents = len(head) - len(head.lstrip(b":"))
        words = head.lstrip(b":").decode().split(" ")
        modes, ids, status = words[: parents + 1], words[parents + 1 : 2 * parents + 2], words[-1]
        path = next(fields)
        if parents == 1 and status[0] in "RC":
            path = next(fields)
        yield modes, ids, status, path
