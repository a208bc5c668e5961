"""Lists a history: which blobs each commit put at which paths, oldest commit first.

Trees are walked by git, never by us, and only where commits differ. A tree that would unfold without end costs its own
commit: the listing is cut at a size, the commit is named, and the listing goes on behind it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from wardship.connectors.git.process import Git, ended
from wardship.connectors.git.state import Change
from wardship.model.errors import Unavailable
from wardship.sdk.i18n import _

COMMITS_A_PART = 10_000
MAX_UNLISTABLE = 20  # commits; a history with more of them is left alone
MAX_LISTING = 2 << 30  # bytes of memory: git holds the files of one commit, some 400 bytes each, before it lists them
_LISTING_S = 1_800.0
_BLOCK = 1 << 20
_FILES = (b"100644", b"100755", b"100664")


@dataclass(slots=True)
class Part:
    """The listing of some commits, kept in a nameless file so that it can be read twice."""

    spool: IO[bytes]
    commits: int

    def changes(self) -> Iterator[tuple[bytes, bytes | None, tuple[bytes, ...], bytes]]:
        """(header, new blob, old blobs, path) of every file that changed; the header as `header_of` reads it."""
        self.spool.seek(0)
        return _parse(self.spool)


@dataclass(slots=True)
class History:
    """The commits to be listed, and what could not be."""

    git: Git
    name: str
    unlistable: list[str] = field(default_factory=list)

    def commits(self, tips: Sequence[str], without: Sequence[str] = ()) -> Iterator[str]:
        """All commits that the tips reach and `without` does not, oldest first."""
        given = "".join(f"{tip}\n" for tip in tips) + "".join(f"^{tip}\n" for tip in without)
        with tempfile.TemporaryFile(dir=self.git.folder) as stdin:
            stdin.write(given.encode("ascii"))
            stdin.seek(0)
            listing = ["rev-list", "--reverse", "--topo-order", "--ignore-missing", "--stdin"]
            with ended(self.git.start(listing, stdin=stdin)) as child:
                assert child.stdout is not None  # noqa: S101 - narrows for the type checker
                for line in child.stdout:
                    yield line[:-1].decode("ascii")
                if child.wait():
                    raise _failed(self.name)

    def parts(self, commits: Iterable[str]) -> Iterator[Part]:
        """The listing of `commits`, in parts."""
        waiting: list[str] = []
        for commit in commits:
            waiting.append(commit)
            if len(waiting) >= COMMITS_A_PART:
                yield from self._listed(waiting)
                waiting = []
        if waiting:
            yield from self._listed(waiting)

    def _listed(self, commits: list[str]) -> Iterator[Part]:
        while commits:
            with tempfile.TemporaryFile(dir=self.git.folder) as spool:
                if self._list(commits, spool):
                    yield Part(spool, len(commits))
                    return
                last, start = _last_header(spool)
                done = commits.index(last) if last in commits else 0
                if len(commits) == 1 or len(self.unlistable) >= MAX_UNLISTABLE:
                    self._leave_out(commits)
                    return
                spool.truncate(start)
                yield Part(spool, done)  # the commits before the last that was begun are whole
            # Git was stopped while it wrote the last commit, or before it began to write the next.
            before = len(self.unlistable)
            yield from self._listed(commits[done : done + 1])
            commits = commits[done + 1 :]
            if commits and len(self.unlistable) == before:
                yield from self._listed(commits[:1])
                commits = commits[1:]

    def _leave_out(self, commits: Sequence[str]) -> None:
        if len(self.unlistable) >= MAX_UNLISTABLE:
            raise _failed(self.name)
        self.unlistable.extend(commits)

    def _list(self, commits: list[str], spool: IO[bytes]) -> bool:
        """False: git was stopped by its limits."""
        command = ["diff-tree", "--stdin", "-r", "-c", "--root", "--raw", "-z", "--no-abbrev", "--no-renames"]
        command += ["--no-ext-diff", "--no-textconv", "--always", "--format=%H %at %ae"]
        with tempfile.TemporaryFile(dir=self.git.folder) as stdin:
            stdin.write("".join(f"{commit}\n" for commit in commits).encode("ascii"))
            stdin.seek(0)
            with ended(self.git.start(command, stdin=stdin, stdout=spool, memory_limit=MAX_LISTING)) as child:
                try:
                    return child.wait(_LISTING_S) == 0
                except subprocess.TimeoutExpired:
                    return False


def header_of(header: bytes) -> tuple[str, int | None, str]:
    """(commit, author's instant in seconds or None, author's e-mail address)."""
    commit, _space, rest = header.partition(b" ")
    at, _space, author = rest.partition(b" ")
    seconds = int(at) if at.isdigit() and len(at) < 12 else None
    return commit.decode("ascii"), seconds, author.decode("utf-8", "backslashreplace")[:300]


def notable_changes(part: Part, notable: Collection[bytes]) -> Iterator[Change]:
    """The changes that put one of the blobs somewhere, or took it away."""
    for header, new, old, path in part.changes():
        if new in notable or any(blob in notable for blob in old):
            commit, at, author = header_of(header)
            yield Change(path, commit, at, author, new.decode() if new else None, tuple(blob.decode() for blob in old))


def head_files(git: Git, commit: str, wanted: Collection[bytes]) -> tuple[dict[bytes, str], bool]:
    """The blobs at the wanted paths in the tree of `commit`; and whether the whole tree could be listed."""
    found: dict[bytes, str] = {}
    with tempfile.TemporaryFile(dir=git.folder) as spool:
        with ended(git.start(["ls-tree", "-r", "-z", "--full-tree", commit], stdout=spool)) as child:
            try:
                complete = child.wait(_LISTING_S) == 0
            except subprocess.TimeoutExpired:
                complete = False
        spool.seek(0)
        for entry in _tokens(spool):
            meta, _tab, path = entry.partition(b"\t")
            if path in wanted:
                mode, _kind, blob = meta.split(b" ")
                if mode in _FILES:
                    found[path] = blob.decode("ascii")
    return found, complete


def _parse(spool: IO[bytes]) -> Iterator[tuple[bytes, bytes | None, tuple[bytes, ...], bytes]]:
    header = b""
    tokens = _tokens(spool)
    for token in tokens:
        text = token[1:] if token.startswith(b"\n") else token
        if not text.startswith(b":"):
            if text:
                header = text
            continue
        path = next(tokens, None)
        if path is None:
            return
        parents = len(text) - len(text.lstrip(b":"))
        words = text[parents:].split(b" ")
        modes, blobs = words[: parents + 1], words[parents + 1 : 2 * parents + 2]
        new = blobs[parents] if modes[parents] in _FILES else None
        yield header, new, tuple(b for m, b in zip(modes, blobs[:parents], strict=False) if m in _FILES), path


def _tokens(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(_BLOCK):
        first, *more = block.split(b"\0")
        rest += first
        if more:
            yield rest
            yield from more[:-1]
            rest = more[-1]


def _last_header(spool: IO[bytes]) -> tuple[str, int]:
    """The commit at which a listing was cut, and where its part of the file begins."""
    spool.seek(0)
    position = start = 0
    last: bytes | None = None
    is_path = False
    for token in _tokens(spool):
        text = token.lstrip(b"\n")
        if is_path:
            is_path = False
        elif text.startswith(b":"):
            is_path = True
        elif text:
            last, start = text, position
        position += len(token) + 1
    return (header_of(last)[0] if last else ""), start


def _failed(name: str) -> Unavailable:
    return Unavailable(
        _("the history of %(name)s cannot be listed") % {"name": name},
        system="git",
        operation="list",
        advice=_("delete this connection's cache and scan again; `git fsck` in the repository tells what is broken"),
    )
