"""Walking a key/value engine that may hold millions of entries, and turning values into fingerprints where asked to.

The walk goes down first, in sorted order, so that what is remembered is one list of names a level, and a checkpoint is
one path: folders that lie wholly before it are not listed again (docs/adr/0018). A folder that is refused is reported
and passed by. Values are read only with `fingerprints`; each is fingerprinted in the call that read it and let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wardship.connectors.vault.session import Session
from wardship.model.errors import ConnectorError, MissingScope, UnexpectedResponse
from wardship.model.scan import Problem
from wardship.model.secret import Secret
from wardship.sdk.i18n import _

SHORTEST = 8  # characters: a shorter value is guessed too easily to say that two of them are one secret
_MOST_LEAVES = 1_000
_MOST_PROBLEMS = 100


@dataclass(slots=True)
class Engine:
    """One mount. `version` 1 has no metadata at all."""

    mount: str  # "secret/"
    version: int
    namespace: str

    def folder(self, path: str) -> str:
        return f"{self.mount}metadata/{path}" if self.version == 2 else f"{self.mount}{path}"

    def data(self, path: str) -> str:
        return f"{self.mount}data/{path}" if self.version == 2 else f"{self.mount}{path}"


@dataclass(slots=True)
class Problems:
    """What could not be read of one scope: a hundred by name, the rest by number."""

    found: list[Problem] = field(default_factory=list)
    named: int = 0
    unnamed: int = 0

    def add(self, refused: ConnectorError, subject: str) -> None:
        self._keep(Problem.of(refused, subject))

    def left_out(self, detail: str, subject: str) -> None:
        """A limit of ours kept something from being read."""
        self._keep(Problem(reason="budget", detail=detail, subject=subject))

    def join(self, other: Problems) -> None:
        for problem in other.found:
            self._keep(problem)

    def _keep(self, problem: Problem) -> None:
        if self.named < _MOST_PROBLEMS:
            self.found.append(problem)
            self.named += 1
        else:
            self.unnamed += 1

    def take(self, *, last: bool) -> list[Problem]:
        """Those found since they were last taken; with the last page also how many more there were."""
        found, self.found = self.found, []
        if last and self.unnamed:
            more = _("%(count)s more were refused") % {"count": self.unnamed}
            found.append(Problem(reason="missing_permission", detail=more))
        return found


def walk(session: Session, engine: Engine, after: str, problems: Problems) -> Iterator[str]:
    """The paths of all entries of `engine` that come after `after` ("" = from the beginning), one LIST a folder."""
    stack = [_after(_names(session, engine, "", problems), after)]
    prefixes = [""]
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
            prefixes.pop()
        elif name.endswith("/"):
            path = prefixes[-1] + name
            rest = after[len(path) :] if after.startswith(path) else ""
            stack.append(_after(_names(session, engine, path, problems), rest))
            prefixes.append(path)
        else:
            yield prefixes[-1] + name


def _names(session: Session, engine: Engine, path: str, problems: Problems) -> list[str]:
    try:
        return session.list(engine.folder(path), engine.namespace)
    except (MissingScope, UnexpectedResponse) as refused:
        if isinstance(refused, UnexpectedResponse) and not _leads_elsewhere(path):
            raise
        problems.add(refused, engine.mount + path)
        return []


def _leads_elsewhere(path: str) -> bool:
    return any(part in (".", "..") for part in path.split("/"))


def _after(names: list[str], after: str) -> Iterator[str]:
    """The names from `after` on, in order; the folder that `after` lies in is entered, an entry itself is done."""
    first, slash, _rest = after.partition("/")
    for name in names:
        if not after or name > first + slash or (slash and name == first + slash):
            yield name


def read_entry(
    session: Session,
    engine: Engine,
    path: str,
    *,
    metadata: bool,
    fingerprint: Callable[[Secret], str] | None,
) -> tuple[dict[str, Any] | None, Problems]:
    """One entry as an item for `parse` (None: it vanished), and what of it was refused. Never holds a value."""
    item: dict[str, Any] = {"mount": engine.mount, "version": engine.version, "path": path}
    problems = Problems()
    try:
        if metadata and engine.version == 2:
            item["metadata"] = session.read(engine.folder(path), engine.namespace, missing_ok=True)
            if item["metadata"] is None:
                return None, problems
    except (MissingScope, UnexpectedResponse) as refused:
        if isinstance(refused, UnexpectedResponse) and not _leads_elsewhere(path):
            raise
        problems.add(refused, engine.mount + path)
        return item, problems
    if fingerprint is not None:
        try:
            item["keys"] = _fingerprints(session, engine, path, fingerprint)
        except MissingScope as refused:
            problems.add(refused, engine.mount + path)
    return item, problems


def _fingerprints(
    session: Session, engine: Engine, path: str, fingerprint: Callable[[Secret], str]
) -> list[dict[str, str | None]]:
    """The keys of an entry's newest version, each with its value's fingerprint (None: too short to have one)."""
    data = session.read(engine.data(path), engine.namespace, missing_ok=True)
    if data is None:
        return []  # its newest version is deleted
    values = data.get("data") if engine.version == 2 else data
    return [
        {"key": key, "fingerprint": fingerprint(value) if value is not None else None} for key, value in _leaves(values)
    ]


def _leaves(data: Any) -> Iterator[tuple[str, Secret | None]]:
    """Every text in an entry by its dotted key; None in place of one that is too short. At most a thousand."""
    todo: list[tuple[str, Any]] = [("", data)]
    given = 0
    while todo and given < _MOST_LEAVES:
        key, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{key}.{name}" if key else str(name), inner) for name, inner in reversed(value.items())]
        elif isinstance(value, list):
            todo += [(f"{key}.{number}", inner) for number, inner in reversed(list(enumerate(value)))]
        elif isinstance(value, str) and key:
            given += 1
            yield key, Secret(value) if len(value.strip()) >= SHORTEST else None
