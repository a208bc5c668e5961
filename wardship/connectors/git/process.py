"""Runs git so that nothing of a repository, of the user or of the machine tells it what to do.

The environment is made from nothing, the only configuration is ours, no hook, filter, helper or pager can be named by
what is read, nobody is asked anything, and each process has limits of memory and of file size (ADR 0022).
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from wardship.model.errors import ConfigError, MissingScope, NotVisible, Unavailable
from wardship.sdk.i18n import _

OLDEST = (2, 38)  # `cat-file --batch-command` with `flush`, `http.curloptResolve`, and `safe.directory` for clones
MAX_MEMORY = 4 << 30  # bytes of address space of one git process; packs are mapped in small windows
MAX_SPOOL = 1 << 30  # bytes that one listing may write: a tree that contains itself a million times stops here
MAX_MIRROR = 64 << 30  # bytes of one file of a mirror
_CONFIG = """\
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	fsmonitor = false
	sshCommand = ssh -oBatchMode=yes -oConnectTimeout=30
	packedGitWindowSize = 32m
	packedGitLimit = 512m
	deltaBaseCacheLimit = 256m
	bigFileThreshold = 64m
	askPass = true
[credential]
	helper =
[http]
	followRedirects = false
	lowSpeedLimit = 1000
	lowSpeedTime = 120
[fetch]
	recurseSubmodules = false
	fsckObjects = false
[submodule]
	recurse = false
[maintenance]
	auto = false
[gc]
	autoDetach = false
[init]
	templateDir =
[mailmap]
	blob =
[advice]
	detachedHead = false
"""
_REFUSED = re.compile(
    rb"(?i)authentication failed|could not read (?:username|password)|permission denied|access denied"
    rb"|returned error: 40[13]"
)
_ABSENT = re.compile(rb"(?i)not found|does not exist|does not appear to be a git repository|returned error: 404")


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """git for one mirror. `folder` holds the mirror's surroundings and is git's home."""

    folder: Path
    protocols: str = ""  # that it may speak: "file", "https", "ssh"; "": no network and no other repository
    extra: Sequence[tuple[str, str]] = ()  # more configuration, handed over in the environment
    secrets: dict[str, str] = field(default_factory=dict, repr=False)  # environment of the processes that need it

    @property
    def mirror(self) -> Path:
        return self.folder / "mirror.git"

    def environment(self) -> dict[str, str]:
        """The whole environment of a git process."""
        settings = {f"GIT_CONFIG_KEY_{n}": key for n, (key, _value) in enumerate(self.extra)}
        settings |= {f"GIT_CONFIG_VALUE_{n}": value for n, (_key, value) in enumerate(self.extra)}
        agent = {"SSH_AUTH_SOCK": os.environ.get("SSH_AUTH_SOCK", "")} if self.protocols == "ssh" else {}
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_FLUSH": "1",  # a listing that is cut short shows how far it came
            "GIT_ALLOW_PROTOCOL": self.protocols,
            "GIT_CONFIG_COUNT": str(len(self.extra)),
            **settings,
            **agent,
            **self.secrets,
        }

    def prepare(self) -> None:
        """Makes the folder and writes our configuration into it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "gitconfig").write_text(_CONFIG, "utf-8")

    def start(
        self,
        arguments: Sequence[str],
        *,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] = subprocess.DEVNULL,
        file_limit: int = MAX_SPOOL,
        memory_limit: int = MAX_MEMORY,
    ) -> subprocess.Popen[bytes]:
        """A running git in the mirror (in its surroundings, while there is none)."""
        where = ["--git-dir", str(self.mirror)] if self.mirror.is_dir() else []
        child = subprocess.Popen(
            ["git", *where, "--literal-pathspecs", *arguments],
            env=self.environment(),
            cwd=self.folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        with contextlib.suppress(ProcessLookupError):  # it is already over
            resource.prlimit(child.pid, resource.RLIMIT_AS, (memory_limit, memory_limit))
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (file_limit, file_limit))
            resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
        return child

    def run(self, arguments: Sequence[str], *, name: str, given: bytes | None = None, timeout_s: float = 600) -> bytes:
        """What git prints. `name` is the repository's, for messages. Raises NotVisible, MissingScope, Unavailable."""
        child = self.start(
            arguments,
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            file_limit=MAX_MIRROR,
        )
        try:
            out, err = child.communicate(given, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            end(child)
            raise Unavailable(
                _("git took too long with %(name)s") % {"name": name}, system="git", operation=arguments[0]
            ) from None
        except BaseException:
            end(child)
            raise
        if child.returncode:
            raise _failure(arguments[0], name, err)
        return out


def check_version() -> str:
    """The version of git on this machine. Raises ConfigError: there is none, or it is too old."""
    if shutil.which("git") is None:
        raise ConfigError(_("git is not installed"), advice=_("install git %(version)s or newer") % {"version": "2.38"})
    told = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    found = re.search(r"(\d+)\.(\d+)[\w.]*", told)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise ConfigError(
            _("git on this machine is too old: %(version)s") % {"version": told.strip()[:40]},
            advice=_("install git %(version)s or newer") % {"version": "2.38"},
        )
    return found[0]


def end(child: subprocess.Popen[bytes]) -> None:
    """Stops a process that we started, and the helpers that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, 9)
    child.wait()


@contextlib.contextmanager
def ended(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which does not outlive the block."""
    try:
        yield child
    finally:
        if child.poll() is None:
            end(child)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def _failure(operation: str, name: str, told: bytes) -> Exception:
    """The error for a failed git, without its words: they may quote an address or a server."""
    if _REFUSED.search(told):
        return MissingScope(
            _("%(name)s may not be read with this credential") % {"name": name},
            scope="read the repository",
            system="git",
            operation=operation,
            advice=_("give a token that may read it, or load the ssh key into the agent"),
        )
    if _ABSENT.search(told):
        return NotVisible(
            _("there is no repository %(name)s, or it may not be seen") % {"name": name},
            system="git",
            operation=operation,
        )
    return Unavailable(
        _("git %(operation)s failed for %(name)s") % {"operation": operation, "name": name},
        system="git",
        operation=operation,
        advice=_("`git ls-remote` for this repository, typed as the same user, says why; then scan again"),
    )
