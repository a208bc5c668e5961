"""Which contents are new, with what stood in their place before: the index, commits to be pushed, a range, files.

Only the names of blobs are handled here; contents are read by `check`, one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardship.model.errors import NotVisible
from wardship.sdk.i18n import _
from wardship.services.guard.git import Repository, entries

_RAW = ("--raw", "-z", "--no-abbrev", "--no-ext-diff", "--no-textconv", "--no-relative", "-M", "-l200")
_READ = ("100", "120")  # regular files and symbolic links (whose content is their target); 160000 is a submodule


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One new content. `before` are the blobs that it replaces, one a parent of the commit; () = the file is new.

    `file` is a file of the working tree instead of a blob. `commit` None: not yet in any.
    """

    path: bytes
    blob: str = ""
    before: tuple[str, ...] = ()
    commit: str | None = None
    file: Path | None = None


def staged(repository: Repository) -> list[Change]:
    """What the commit that is being made would add. In a merge: what none of its parents has."""
    heads = [name for name in ("HEAD", *_merged(repository)) if repository.commit(name)]
    if not heads:
        return _changes(repository.run("diff-index", "--cached", *_RAW, _empty_tree(repository)), None)
    sides = [_changes(repository.run("diff-index", "--cached", *_RAW, head), None) for head in heads]
    found = {change.path: change for change in sides[0]}
    for side in sides[1:]:
        theirs = {change.path: change for change in side}
        found = {
            path: Change(path=path, blob=change.blob, before=(*change.before, *theirs[path].before))
            for path, change in found.items()
            if path in theirs
        }
    return list(found.values())


def pushed(repository: Repository, lines: Iterable[str], remote: str | None) -> list[str]:
    """The commits that a push brings to `remote`, oldest first. `lines` are what git gives a pre-push hook."""
    wanted, known = [], []
    for line in lines:
        words = line.split()
        if len(words) != 4:
            continue
        ours = repository.commit(words[1]) if words[1].strip("0") else None
        if ours:
            wanted.append(ours)
        if words[3].strip("0") and repository.commit(words[3]):
            known.append(words[3])
    if not wanted:
        return []
    remotes = ["--not", f"--remotes={remote}"] if remote and _is_name(remote) else []
    return _commits(repository, wanted, known, remotes)


def between(repository: Repository, base: str | None, head: str) -> list[str]:
    """The commits of `head` that `base` does not have, oldest first; `base` None: all.

    Raises NotVisible where this clone does not hold them all: then a check would say too little or too much.
    """
    end = repository.commit(head)
    start = repository.commit(base) if base else None
    if end is None or (base and start is None):
        raise not_here(base if end else head)
    found = _commits(repository, [end], [start] if start else [])
    cut = set(repository.run("rev-parse", "--git-path", "shallow").decode().split()) if repository.shallow else set()
    for name in cut:
        file = (repository.top or repository.folder) / name
        if file.is_file() and not set(found).isdisjoint(file.read_text(encoding="ascii").split()):
            raise not_here(base or head)
    return found


def of_commits(repository: Repository, commits: Sequence[str]) -> Iterator[Change]:
    """What each commit adds, in the order given. Of a merge only what none of its parents has."""
    if not commits:
        return
    given = "".join(f"{one}\n" for one in commits).encode()
    told = repository.run("diff-tree", "--stdin", "-r", "-c", "--root", *_RAW, given=given)
    start, commit = 0, None
    while start < len(told):  # each commit: its id and NUL, then its entries; an id never begins with ":"
        if told[start : start + 1] != b":":
            end = told.index(b"\0", start)
            commit, start = told[start:end].decode(), end + 1
            continue
        end = _end_of_entries(told, start)
        yield from _changes(told[start:end], commit)
        start = end


def files(paths: Iterable[Path], top: Path | None) -> list[Change]:
    """Files of the working tree, whole: all that is in them counts as new. Paths are told from `top`, as git does."""
    return [Change(path=path_in(path, top), file=path) for path in paths]


def path_in(path: Path, top: Path | None) -> bytes:
    """The path as git names it; as it was given where it lies outside. A link is not followed."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow the link itself
    whole = whole.parent.resolve() / whole.name
    inside = top is not None and whole.is_relative_to(top)
    return os.fsencode(whole.relative_to(top) if top is not None and inside else path)


def _end_of_entries(told: bytes, start: int) -> int:
    """Where the entries that begin at `start` end: at the next commit's id or at the end of the output."""
    at = start
    while told[at : at + 1] == b":":
        head = told[at : told.index(b"\0", at)]
        names = 2 if not head.startswith(b"::") and head.rsplit(b" ", 1)[-1][:1] in b"RC" else 1
        for _field in range(1 + names):
            at = told.index(b"\0", at) + 1
    return at


def _changes(raw: bytes, commit: str | None) -> list[Change]:
    return [
        Change(
            path=path,
            blob=ids[-1],
            before=tuple(
                old for mode, old in zip(modes[:-1], ids[:-1], strict=True) if mode[:3] in _READ and old.strip("0")
            ),
            commit=commit,
        )
        for modes, ids, status, path in entries(raw)
        if modes[-1][:3] in _READ and ids[-1].strip("0") and "D" not in status
    ]


def _commits(
    repository: Repository, wanted: Sequence[str], known: Sequence[str], options: Sequence[str] = ()
) -> list[str]:
    given = "".join(f"{one}\n" for one in (*wanted, *(f"^{one}" for one in known))).encode()
    return repository.run("rev-list", "--reverse", "--topo-order", *options, "--stdin", given=given).decode().split()


def _merged(repository: Repository) -> list[str]:
    """The other parents of a merge that is being concluded."""
    file = repository.folder / "MERGE_HEAD"
    return file.read_text(encoding="ascii").split() if file.is_file() else []


def _empty_tree(repository: Repository) -> str:
    return repository.run("hash-object", "-w", "-t", "tree", "--stdin", given=b"").decode().strip()


def _is_name(remote: str) -> bool:
    """Whether it is a remote's name, not the URL of a push to nowhere in particular; no glob, no option."""
    return not any(char in remote for char in ":*?[\\ ") and not remote.startswith("-")


def not_here(name: str | None) -> NotVisible:
    """What to raise where the clone lacks commits or contents of what is to be checked."""
    return NotVisible(
        _("this clone does not hold all commits and files that are to be checked (%(what)s)")
        % {"what": name or "HEAD"},
        system="git",
        advice=_(
            "fetch the whole history: `fetch-depth: 0` (GitHub), `GIT_DEPTH: 0` (GitLab), no shallow clone (Jenkins), "
            "`git fetch --unshallow`; no partial clone"
        ),
    )
