"""One record a run, kept in the git directory until somebody collects it; and the trees that were checked.

A record holds counts and ids: no value, no path, no person. The files are bounded; worktrees share them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

FOLDER = "wardship"
RUNS = "runs.jsonl"
RECORD = "wardship-run.json"  # what a CI job keeps as its artifact
STAGES = ("pre_commit", "pre_push", "post_commit", "ci")
MAX_BYTES = 1 << 20  # about 3,000 runs
_CHECKED = "checked-trees"
_MAX_TREES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRun:
    """One run. `commits` are those that exist: a pre-commit check has none yet, the post-commit one counts it.

    `bypassed`: this commit was made past its pre-commit check. `seconds` is wall time.
    """

    id: str
    repository: str
    stage: str
    commit_id: str | None
    run_at: datetime
    commits: int
    files: int
    found: int
    blocked: int
    baselined: int
    bypassed: bool
    seconds: float
    version: str

    def line(self) -> str:
        """The record as one line of JSON."""
        told = asdict(self) | {"run_at": self.run_at.isoformat().replace("+00:00", "Z")}
        return json.dumps(told, separators=(",", ":"), sort_keys=True)


def run_id(repository: str, stage: str, subject: str, run_at: datetime, *counts: int) -> str:
    """The id of a run. The same check of the same thing with the same result on one day is one run.

    `subject` is the tree or the range that was checked: a developer who tries a blocked commit five times blocks one.
    """
    told = "\0".join((repository, stage, subject, f"{run_at:%Y-%m-%d}", *map(str, counts)))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def append(common: Path, run: GuardRun) -> None:
    """Adds a record to the spool of the repository; the oldest half goes when it is full."""
    with _locked(common) as folder:
        file = folder / RUNS
        with file.open("ab") as stream:
            stream.write(run.line().encode() + b"\n")
        if file.stat().st_size > MAX_BYTES:
            lines = file.read_bytes().splitlines(keepends=True)
            _replace(file, b"".join(lines[len(lines) // 2 :]))


def remember_tree(common: Path, tree: str) -> None:
    """Notes that a pre-commit check let this tree pass."""
    with _locked(common) as folder:
        file = folder / _CHECKED
        known = file.read_text(encoding="ascii").split() if file.is_file() else []
        kept = [*(one for one in known if one != tree), tree][-_MAX_TREES:]
        _replace(file, "".join(f"{one}\n" for one in kept).encode())


def was_checked(common: Path, tree: str) -> bool:
    """Whether a pre-commit check let this tree pass."""
    file = common / FOLDER / _CHECKED
    return file.is_file() and tree in file.read_text(encoding="ascii").split()


def read_last(common: Path) -> list[dict[str, object]]:
    """The records of the spool as they stand, oldest first; lines that are none are left out."""
    file = common / FOLDER / RUNS
    found = []
    for line in file.read_bytes().splitlines() if file.is_file() else []:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            found.append(told)
    return found


@contextmanager
def _locked(common: Path) -> Iterator[Path]:
    """The folder of the spool, with no other process in it. The kernel frees the lock of who is killed."""
    folder = common / FOLDER
    folder.mkdir(exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)


def _replace(file: Path, content: bytes) -> None:
    beside = file.with_name(f".{file.name}.part")
    beside.write_bytes(content)
    beside.replace(file)
