"""Reads repositories: mirror, list, search what is new, and tell every secret by its history."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from wardship.connectors.git import history, mirror, report
from wardship.connectors.git.manifest import MANIFEST, MAX_BLOB_MB, READ
from wardship.connectors.git.pool import BLOB_S, Finding, Order, Pair, Pool, shown
from wardship.connectors.git.process import Git, check_version
from wardship.connectors.git.repository import Repository, is_shallow, local, repositories
from wardship.connectors.git.state import FORMAT, State
from wardship.model.errors import ConfigError, ConnectorError, UnexpectedResponse
from wardship.model.scan import Problem, RawPage, Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import (
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Drift,
    DriftLog,
    Record,
    SetupGuide,
)
from wardship.sdk.i18n import N_, _
from wardship.secrets import fingerprint

KIND = "git.history"
ENGINE = "wardship.secrets:load_engine"
PAGE = 500
MAX_PATH_BYTES = 4096  # what Linux can open; git's trees can hold more, and nothing that works has it
_MANY_COPIES = 64  # a blob at more paths than this in one part of the history is watched for what it costs
_EMPTY = frozenset(("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", hashlib.sha256(b"blob 0\0").hexdigest()))


class GitConnector:
    """The repositories of one connection.

    `paths`: local ones in place of those that its settings name. `engine` makes the engine in the children
    ("module:function"); `blob_s` is what one file may take, in seconds.
    """

    manifest = MANIFEST

    def __init__(
        self, connection: Connection, *, paths: Sequence[Path] = (), engine: str = ENGINE, blob_s: float = BLOB_S
    ) -> None:
        self.stats = CallStats()
        self.drift: Drift = DriftLog()
        self._connection, self._engine, self._blob_s = connection, engine, blob_s
        self._settings = _Settings(connection)
        self._paths = paths
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._known: dict[str, Repository] | None = None

    def close(self) -> None:
        """Deletes the mirrors where the connection has no cache."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def scopes(self) -> Iterable[Scope]:
        return [Scope(connector=MANIFEST.name, authority=authority, kind=KIND) for authority in self._repositories()]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """Brings the mirror and the state up to date, then yields what is known. `token`: see `_Pages`."""
        repository = self._repositories()[scope.authority]
        git = self._git(repository)
        with (
            self._mirror_as_set(git),
            contextlib.closing(_Reading(self._connection, self._settings, repository, git)) as reading,
        ):
            self.stats.api_calls += 1
            reading.update()
            pages = _Pages(reading.digest, token)
            with Pool(self._order(reading.git), self._settings.workers) as pool, mirror.distrusted_if_it_fails(git):
                reading.scan(pool)
            yield from pages.of(reading.items(), reading.problems)

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return list(report.records(scope.authority, item, self.drift))

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        """Nothing in a repository has an address of its own that could be asked for."""
        del scope, family, native_id
        return None

    def check(self) -> Sequence[CheckResult]:
        results = []
        for repository in self._repositories().values():
            git = self._git(repository)
            try:
                mirror.probe(git, repository, **self._access(repository))
            except (ConnectorError, ConfigError) as refused:
                allowed, detail = False, f"{repository.name}: {refused.message}"
            else:
                allowed, detail = True, repository.name
            results.append(CheckResult(permission=READ, capability=Capability.DISCOVER, allowed=allowed, detail=detail))
        return results

    def setup(self, capability: Capability) -> SetupGuide:
        """A deploy key or token that may read one repository; local folders need the right to read files."""
        if capability is not Capability.DISCOVER:
            raise ConfigError(_("nothing has to be granted for %(capability)r") % {"capability": capability.value})
        return SetupGuide(
            capability=capability,
            terraform="# a deploy key that may only read the repository\n"
            'resource "tls_private_key" "wardship" {\n  algorithm = "ED25519"\n}\n\n'
            'resource "github_repository_deploy_key" "wardship" {\n  title      = "wardship"\n'
            '  repository = "REPOSITORY"\n  key        = tls_private_key.wardship.public_key_openssh\n'
            "  read_only  = true\n}\n",
            cli="# read the repository: a local folder needs nothing\n"
            "wardship connect add git code repositories=$PWD\n\n"
            "# a remote one: a deploy key without write access, in the ssh agent\n"
            "ssh-keygen -t ed25519 -f wardship-deploy -N ''\n"
            "gh repo deploy-key add wardship-deploy.pub --repo OWNER/NAME --title wardship\n"
            "wardship connect add git shop repositories=git@github.com:OWNER/NAME.git\n",
            portal=(
                N_("Open the repository's settings, Deploy keys, and add the public key without write access;"),
                N_("or make a fine-grained token with read access to Contents, and give it as token=env:NAME."),
            ),
            remove="gh repo deploy-key list --repo OWNER/NAME\ngh repo deploy-key delete ID --repo OWNER/NAME\n",
        )

    def read_value(self, exposure: Mapping[str, Any]) -> Secret | None:
        """The value at the place of an exposure; None: it is not there (any more)."""
        repository = self._repositories().get(str(exposure.get("authority")))
        wanted, revision, path = exposure.get("fingerprint"), exposure.get("revision"), exposure.get("location")
        if repository is None or not wanted or not path or not re.fullmatch(r"[0-9a-f]{40,64}", str(revision)):
            return None
        name = str(path).encode("utf-8", "surrogateescape")
        if b"\n" in name:
            return None
        git = self._git(repository)
        with self._mirror_as_set(git):
            if not git.mirror.is_dir():
                mirror.update(git, repository, **self._access(repository))
            given = str(revision).encode("ascii") + b":" + name + b"\n"
            told = git.run(["cat-file", "--batch-check"], name=repository.name, given=given).split()
            if told[1:2] != [b"blob"]:
                return None
            with Pool(self._order(git), 1) as pool:
                return pool.value(told[0].decode("ascii"), str(path), str(wanted))

    @contextlib.contextmanager
    def _mirror_as_set(self, git: Git) -> Iterator[None]:
        """Deletes the mirror at the end where the settings say so: it holds every secret that the repository holds."""
        try:
            yield
        finally:
            if not self._settings.keeps_mirror:
                mirror.delete(git)

    def _repositories(self) -> dict[str, Repository]:
        if self._known is None:
            check_version()
            known = local(self._paths) if self._paths else repositories(self._settings.repositories)
            hosts = {one.host for one in known if one.scheme == "https"}
            if self._settings.has_token and len(hosts) > 1:
                raise ConfigError(
                    _("one token would go to several hosts: %(hosts)s") % {"hosts": ", ".join(sorted(hosts))[:300]},
                    advice=_("make a connection for each host, each with its own token"),
                )
            self._known = {one.authority: one for one in known}
        return self._known

    def _git(self, repository: Repository) -> Git:
        cache = self._connection.cache
        if cache is None:
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="wardship-git-")
            cache = Path(self._temporary.name)
        return Git(folder=cache / repository.key)

    def _order(self, git: Git) -> Order:
        return Order(
            git=git,
            engine=self._engine,
            pepper=_pepper(self._connection),
            max_blob=self._settings.max_blob_bytes,
            blob_s=self._blob_s,
        )

    def _access(self, repository: Repository) -> dict[str, Any]:
        return _access(self._connection, self._settings, repository)


def read_value(connection: Connection, exposure: Mapping[str, Any]) -> Secret | None:
    """The value at the place of an exposure (its columns), read from the mirror; None: it is not there."""
    with contextlib.closing(GitConnector(connection)) as connector:
        return connector.read_value(exposure)


class _Settings:
    """The settings of a connection, checked."""

    def __init__(self, connection: Connection) -> None:
        given = connection.settings
        self.repositories = given.get("repositories") or "."
        self.branches = _patterns(given.get("branches"))
        self.include = _patterns(given.get("include"))
        self.exclude = _patterns(given.get("exclude"))
        self.max_blob_bytes = int(_positive(given, "max_blob_mb", MAX_BLOB_MB) * 1024 * 1024)
        self.workers = int(_positive(given, "workers", os.cpu_count() or 1))
        self.username = given.get("username") or "x-access-token"
        self.has_token = bool(given.get("token"))
        self.private = connection.flag("private_network", default=False)
        self.keeps_mirror = connection.flag("keep_mirror", default=True)

    def wants(self, path: bytes) -> bool:
        if not self.include and not self.exclude:
            return True
        text = shown(path)
        if self.include and not any(fnmatchcase(text, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(text, pattern) for pattern in self.exclude)

    @property
    def digest(self) -> str:
        """Of what decides which blobs are read."""
        said = json.dumps([self.branches, self.include, self.exclude, self.max_blob_bytes])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


class _Reading:
    """One repository in one scan."""

    def __init__(self, connection: Connection, settings: _Settings, repository: Repository, git: Git) -> None:
        self._connection, self._settings, self._repository, self.git = connection, settings, repository, git
        self._history = history.History(git, repository.name)
        self._state: State | None = None
        self._tips: list[mirror.Tip] = []
        self.problems: list[Problem] = []

    def close(self) -> None:
        if self._state is not None:
            self._state.close()

    def update(self) -> None:
        self._say(_("%(name)s: fetching"))
        mirror.update(self.git, self._repository, **_access(self._connection, self._settings, self._repository))
        self._tips = mirror.selected(mirror.tips(self.git, self._repository), self._settings.branches)
        self.branch, self.head = mirror.head(self.git, self._repository)
        if is_shallow(self._repository) or (self.git.mirror / "shallow").is_file():
            self._problem("shallow", _("the clone is shallow: its older history is not there"))

    @property
    def digest(self) -> str:
        """Of the references that were read."""
        said = json.dumps([self.branch, self.head, [(tip.name, tip.commit) for tip in self._tips]])
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def scan(self, pool: Pool) -> None:
        """Reads the pairs of blob and path that no earlier scan of this version has read."""
        state = self._state = State(self.git.folder / "blobs.db")
        key = fingerprint(_pepper(self._connection), Secret("the key of this cache"))
        state.open_for(f"{FORMAT}:{pool.version}:{key}")
        tips = sorted({tip.commit for tip in self._tips})
        commits = self._history.commits(tips, state.tips(self._settings.digest))
        read = self._read(pool, state, state.again(), 0)
        for part in self._history.parts(commits):
            read = self._read(pool, state, self._pairs(part, state), read)
            notable = frozenset(blob.encode("ascii") for blob in state.notable())
            if notable:
                state.note(history.notable_changes(part, notable))
        if self._history.unlistable:
            detail = _("%(n)d commits have trees without end and were left out, among them %(commit)s") % {
                "n": len(self._history.unlistable),
                "commit": self._history.unlistable[0],
            }
            self._problem("too_large", detail)
        elif not any(problem.reason == "shallow" for problem in self.problems):
            state.set_tips(tips, self._settings.digest)

    def items(self) -> Iterator[dict[str, Any]]:
        """The raw items: everything found, by path, then the system."""
        state = self._state
        assert state is not None  # noqa: S101 - scan() was called
        noted = state.commits()
        order: dict[str, int] = {}
        count = 0
        for number, commit in enumerate(self._history.commits(sorted({tip.commit for tip in self._tips}))):
            count = number + 1
            if commit in noted:
                order[commit] = number
        state.drop(noted - order.keys())
        wanted = frozenset(filter(self._settings.wants, state.found_paths()))
        head, whole = history.head_files(self.git, self.head, wanted) if self.head else ({}, True)
        if not whole:
            self._problem("too_large", _("the newest state has a tree without end and was not listed to its end"))
        totals = report.Totals()
        chosen = (one for one in state.paths() if one[0] in wanted)
        yield from report.exposures(chosen, order, head, totals, whole=whole)
        self._tell(totals)
        yield {
            "is": "system",
            "name": self._repository.name,
            "head": self.head,
            "branch": self.branch,
            "commits": count,
            "references": len(self._tips),
            "last_commit_at": mirror.committed_at(self.git, self._repository, self.head),
            "large": totals.large,
        }

    def _read(self, pool: Pool, state: State, pairs: Iterable[Pair], read: int) -> int:
        """Searches the pairs that are new. `read`: how many were searched before, for whoever watches."""
        listed = list(dict.fromkeys(pairs))
        copies = {blob: n for blob, n in Counter(blob for blob, _path in listed).items() if n > _MANY_COPIES}
        total = state.plan(listed, copies)
        done = 0

        def record(pairs: Sequence[Pair], found: Sequence[Finding]) -> None:
            nonlocal done
            before = done
            done += len(pairs)
            state.record(pairs, found)
            if done // 20_000 != before // 20_000:
                self._say(_("%(name)s: %(done)d files searched"), done=read + done)

        if total:
            pool.scan(state.planned(), record)
        return read + total

    def _pairs(self, part: history.Part, state: State) -> Iterator[Pair]:
        long: set[Pair] = set()
        for _header, new, _old, path in part.changes():
            if new is None or not self._settings.wants(path):
                continue
            blob = new.decode("ascii")
            if len(path) > MAX_PATH_BYTES:
                long.add((blob, path))
            elif blob not in _EMPTY:
                yield blob, path
        if long:
            state.leave_out(long, "long")

    def _tell(self, totals: report.Totals) -> None:
        if totals.large:
            self._say(_("%(name)s: %(n)d files above the size limit were not read"), n=totals.large)
        if totals.died:
            self._problem(
                "unreadable", _("%(n)d files could not be searched: time or memory ran out") % {"n": totals.died}
            )
        if totals.missing:
            mirror.distrust(self.git)
            self._problem(
                "unreadable", _("%(n)d files are missing or damaged in the repository") % {"n": totals.missing}
            )
        if totals.cut:
            self._say(_("%(name)s: of %(n)d files only the first 1,000 secrets each are told"), n=totals.cut)
        if totals.long:
            self._problem(
                "too_large", _("%(n)d files have paths of over 4096 bytes and were left out") % {"n": totals.long}
            )
        if totals.copies:
            detail = _("%(n)d files stand at too many paths to be searched at each") % {"n": totals.copies}
            self._problem("unreadable", detail)

    def _problem(self, reason: str, detail: str) -> None:
        self.problems.append(Problem(reason=reason, detail=detail))

    def _say(self, text: str, **values: object) -> None:
        self._connection.progress(text % {"name": self._repository.name, **values})


class _Pages:
    """Pages of items. A token is the digest of the references and the number of items before it.

    The same references give the same items in the same order, so a stopped reading goes on where it was; under other
    references it begins again.
    """

    def __init__(self, digest: str, token: str | None) -> None:
        self._digest, self._skip = digest, 0
        if token is not None:
            said, _colon, number = token.partition(":")
            if said != digest or not number.isdigit():
                raise UnexpectedResponse(_("the repository changed while it was read"), system="git", operation="token")
            self._skip = int(number)

    def of(self, items: Iterable[dict[str, Any]], problems: Sequence[Problem]) -> Iterator[RawPage]:
        page: list[dict[str, Any]] = []
        for number, item in enumerate(items):
            if number < self._skip:
                continue
            if len(page) >= PAGE:
                yield RawPage(items=page, next_token=f"{self._digest}:{number}")
                page = []
            page.append(item)
        yield RawPage(items=page, problems=tuple(problems))


def _access(connection: Connection, settings: _Settings, repository: Repository) -> dict[str, Any]:
    token = connection.secret("token") if settings.has_token and repository.scheme == "https" else None
    return {"token": token, "username": settings.username, "allow_private": settings.private}


def _pepper(connection: Connection) -> Secret:
    if connection.pepper is None:
        raise ConfigError(
            _("this connection has no fingerprint key"), advice=_("open it in a workspace: each has a key of its own")
        )
    return connection.pepper()


def _patterns(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in re.split(r"[,\n]", text or "") if word.strip())


def _positive(given: Mapping[str, str], name: str, default: float) -> float:
    text = given.get(name) or ""
    try:
        value = float(text) if text.strip() else float(default)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ConfigError(_("setting %(name)s is no number above 0: %(text)r") % {"name": name, "text": text[:40]})
    return value
