"""The quarantined copy of a repository: a bare mirror of its own, without its configuration, hooks or working tree."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from wardship.connectors.git import snapshot
from wardship.connectors.git.process import Git
from wardship.connectors.git.repository import Repository, guard, refuse_strange
from wardship.model.errors import Unavailable
from wardship.model.secret import Secret

_TOKEN = "WARDSHIP_GIT_TOKEN"  # noqa: S105 - the name of a variable
_USER = "WARDSHIP_GIT_USERNAME"
# git runs this through a shell; the values come from the environment, so neither argv nor a file ever holds them.
_HELPER = f'!f() {{ test "$1" = get && printf "username=%s\\npassword=%s\\n" "${_USER}" "${_TOKEN}"; }}; f'
_DAMAGED = "wardship-damaged"  # a file in a mirror that is to be made anew
_NO_BRANCH = "refs/heads/wardship-no-such-branch"
_FETCH_S = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """A reference and the commit it leads to."""

    name: str
    commit: str


def update(git: Git, repository: Repository, *, token: Secret | None, username: str, allow_private: bool) -> None:
    """Makes the mirror, or brings it up to date: then it has exactly the references that the repository has now.

    Raises AddressRefused, MissingScope, NotVisible, Unavailable.
    """
    online = _online(git, repository, token, username, allow_private=allow_private)
    if (git.mirror / "shallow").is_file() or (git.mirror / _DAMAGED).exists():  # it may be whole by now
        shutil.rmtree(git.mirror)
    if not git.mirror.is_dir():
        _make(git, online, repository)
        return
    _unlock(git)
    fetch = ["fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
    online.run([*fetch, "--", repository.source, "+refs/*:refs/*"], name=repository.name, timeout_s=_FETCH_S)
    head = online.run(["ls-remote", "--symref", "--", repository.source, "HEAD"], name=repository.name)
    _set_head(git, repository, head)
    git.run(["gc", "--auto", "--quiet"], name=repository.name, timeout_s=_FETCH_S)


def _unlock(git: Git) -> None:
    """Takes away the locks of a git that was killed in the middle: nobody else works in the mirror."""
    places = (git.mirror.glob("*.lock"), *((git.mirror / part).rglob("*.lock") for part in ("refs", "objects/info")))
    for lock in chain.from_iterable(places):
        lock.unlink()


def _make(git: Git, online: Git, repository: Repository) -> None:
    """The mirror appears under its name when it is whole. A plain repository on this machine is copied as it lies."""
    fresh = git.folder / "fresh.git"
    shutil.rmtree(fresh, ignore_errors=True)
    if repository.scheme == "file" and Path(repository.source).is_dir():
        told = online.run(["ls-remote", "--symref", "--", repository.source], name=repository.name)
        online.run(["init", "--quiet", "--bare", "--template=", str(fresh)], name=repository.name)
        if snapshot.copied(Path(repository.source), fresh, told):
            fresh.rename(git.mirror)
            _set_head(git, repository, told)
            return
        shutil.rmtree(fresh)
    clone = ["clone", "--quiet", "--mirror", "--no-local", "--template=", "--no-recurse-submodules"]
    online.run([*clone, "--", repository.source, str(fresh)], name=repository.name, timeout_s=_FETCH_S)
    fresh.rename(git.mirror)


def distrust(git: Git) -> None:
    """Has the next `update` make the mirror anew: something in it is missing, or is not what its id says."""
    (git.mirror / _DAMAGED).touch()


@contextlib.contextmanager
def distrusted_if_it_fails(git: Git) -> Iterator[None]:
    """For reading the mirror alone, without the repository."""
    try:
        yield
    except Unavailable:
        distrust(git)
        raise


def delete(git: Git) -> None:
    """Takes the mirror away, and whatever a killed reading left beside it; what is known of the repository stays."""
    for beside in git.folder.iterdir() if git.folder.is_dir() else ():
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)


def probe(git: Git, repository: Repository, *, token: Secret | None, username: str, allow_private: bool) -> None:
    """Asks for the references and keeps nothing. Raises as `update`."""
    online = _online(git, repository, token, username, allow_private=allow_private)
    online.run(["ls-remote", "--quiet", "--", repository.source, "HEAD"], name=repository.name, timeout_s=120)


def tips(git: Git, repository: Repository) -> list[Tip]:
    """All references that lead to a commit, by name."""
    form = "%(objecttype) %(*objecttype) %(objectname) %(*objectname) %(refname)"
    found = []
    for line in (
        git.run(["for-each-ref", f"--format={form}"], name=repository.name).decode("utf-8", "replace").splitlines()
    ):
        kind, peeled_kind, commit, peeled, name = line.split(" ", 4)
        if "commit" in (kind, peeled_kind):
            found.append(Tip(name=name, commit=peeled if peeled_kind == "commit" else commit))
    return found


def head(git: Git, repository: Repository) -> tuple[str | None, str | None]:
    """(default branch, its commit); None, None where HEAD leads to no commit; no branch where it names a commit."""
    try:
        text = (git.mirror / "HEAD").read_text("utf-8").strip()
    except (OSError, UnicodeError):
        return None, None
    branch = text.removeprefix("ref: refs/heads/") if text.startswith("ref: refs/heads/") else None
    found = git.run(["cat-file", "--batch-check"], name=repository.name, given=b"HEAD\n").split()
    return (branch, found[0].decode("ascii")) if found[1:2] == [b"commit"] else (None, None)


def committed_at(git: Git, repository: Repository, commit: str | None) -> int | None:
    """When `commit` was made, as its committer says, in seconds since 1970."""
    if commit is None:
        return None
    told = git.run(["log", "--no-walk", "--format=%ct", commit], name=repository.name).strip()
    return int(told) if told.isdigit() and len(told) < 12 else None


def selected(found: Sequence[Tip], patterns: Sequence[str]) -> list[Tip]:
    """The references whose branch or tag name fits one of the patterns; no pattern: all."""
    if not patterns:
        return list(found)
    return [tip for tip in found if any(fnmatchcase(_short(tip.name), pattern) for pattern in patterns)]


def _short(reference: str) -> str:
    """refs/heads/release/1 and refs/remotes/origin/release/1 -> release/1"""
    parts = reference.split("/", 3)
    if reference.startswith("refs/remotes/") and len(parts) == 4:
        return parts[3]
    return reference.split("/", 2)[-1]


def _netloc(repository: Repository) -> str:
    return repository.host if repository.port == 443 else f"{repository.host}:{repository.port}"


def _set_head(git: Git, repository: Repository, told: bytes) -> None:
    """HEAD as the repository has it now: its default branch may have been renamed, or be gone."""
    lines = [line.partition("\t") for line in told.decode("utf-8", "replace").splitlines()]
    said = [first for first, _tab, name in lines if name == "HEAD"]
    branch = next((one.removeprefix("ref: ") for one in said if one.startswith("ref: refs/heads/")), None)
    if branch is None and said:
        git.run(["update-ref", "--no-deref", "HEAD", said[0]], name=repository.name)
    else:
        git.run(["symbolic-ref", "HEAD", branch or _NO_BRANCH], name=repository.name)


def _online(git: Git, repository: Repository, token: Secret | None, username: str, *, allow_private: bool) -> Git:
    """git with what it needs to reach this repository, and no other."""
    addresses = guard(repository, allow_private=allow_private)
    refuse_strange(repository)
    git.prepare()
    if repository.scheme != "https":
        return replace(git, protocols=repository.scheme)
    extra = [("http.curloptResolve", f"{repository.host}:{repository.port}:{','.join(addresses)}")]
    if token is None:
        return replace(git, protocols="https", extra=extra)
    extra.append((f"credential.https://{_netloc(repository)}.helper", _HELPER))
    return replace(git, protocols="https", extra=extra, secrets={_TOKEN: token.reveal(), _USER: username})
