"""The connector: files that a mapping describes, and exports that are recognised, in pages that can be taken up again.

A page token is the number of rows already read and a stamp of the files: a file that changed meanwhile is read anew.
Reading a file is not seeing a system: unless it is declared the whole population, its scope stays PARTIAL and
nothing that it leaves out counts as missing (docs/trust.md).
"""

from __future__ import annotations

import glob
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from wardship.connectors.file.export import Export, exports, recognised
from wardship.connectors.file.formats.row import stamp_of
from wardship.connectors.file.manifest import MANIFEST
from wardship.connectors.file.mapped import MappedFiles
from wardship.connectors.file.mapping import find_mapping, load_mapping
from wardship.model.access import Usage
from wardship.model.errors import ConfigError, ConnectorError, DataError, UnexpectedResponse
from wardship.model.scan import Problem, RawPage, Scope
from wardship.sdk.connector import (
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Drift,
    DriftLog,
    Record,
    SetupGuide,
    nothing_to_grant,
)
from wardship.sdk.i18n import N_, _

PAGE_ROWS = 500
MAX_FILES = 1_000
_FIRST_ROWS = 20


class Source(Protocol):
    """Files of one kind: those of one mapping, or those of one export format."""

    @property
    def as_of(self) -> datetime | None:
        """When they were written, where they say it."""

    def scopes(self) -> Iterable[Scope]: ...

    def rows(self, scope: Scope) -> Iterator[Any]: ...

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]: ...

    def complete(self, scope: Scope) -> bool:
        """Whether the rows of the scope are all that the system has."""

    def authorities(self) -> Iterable[str]:
        """Systems that the rows tell of, one after another; those of an export take reading it."""

    def stamp(self) -> str:
        """Changes when the files, or what is declared of them, change."""


class FileReader:
    """Reads the sources of one connection. The same for a scan and for an import."""

    manifest = MANIFEST

    def __init__(self, connection: Connection, open_sources: Callable[[], Sequence[Source]], drift: DriftLog) -> None:
        self.stats = CallStats()
        self.drift = drift
        self._connection = connection
        self._open_sources = open_sources

    @cached_property
    def sources(self) -> Sequence[Source]:
        """Raises ConfigError for settings that cannot be used, NotVisible for files that cannot be read."""
        return self._open_sources()

    @property
    def as_of(self) -> datetime | None:
        """When the oldest of the files was written; None where one of them does not say."""
        told = [source.as_of for source in self.sources]
        known = [when for when in told if when is not None]
        return min(known) if known and len(known) == len(told) else None

    def scopes(self) -> Iterable[Scope]:
        return [scope for source in self.sources for scope in source.scopes()]

    def authorities(self) -> Iterator[str]:
        """Systems that the files tell of, as they come to light: an export tells of others than its scope's."""
        yield from itertools.chain.from_iterable(source.authorities() for source in self.sources)

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """Raises NotVisible for a file that cannot be read as a whole."""
        source = self._by_scope.get(scope.key)
        if source is None:
            raise UnexpectedResponse(
                _("the files no longer tell of %(scope)s") % {"scope": scope.key}, operation="read"
            )
        stamp = source.stamp()
        done = 0
        if token is not None:
            number, _sep, then = token.partition(":")
            if then != stamp or not number.isdecimal():
                raise UnexpectedResponse(_("the file changed while it was read"), system="file", operation="token")
            done = int(number)
        rows = itertools.islice(source.rows(scope), done, None)
        page = list(itertools.islice(rows, PAGE_ROWS))
        while True:
            self.stats.api_calls += 1
            following = list(itertools.islice(rows, PAGE_ROWS))
            done += len(page)
            if not following:
                yield RawPage(items=page, problems=() if source.complete(scope) else (_not_whole(),))
                return
            yield RawPage(items=page, next_token=f"{done}:{stamp}")
            page = following

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        source = self._by_scope.get(scope.key) or self._kept(scope)
        if source is None:  # a kept item whose mapping is not at hand
            raise DataError(_("no mapping or export tells how to read %(scope)s") % {"scope": scope.key})
        return source.parse(scope, item)

    def _kept(self, scope: Scope) -> Source | None:
        """What reads a kept item of an export whose files are not at hand: the name of its area begins with its own."""
        named = scope.kind.partition(".")[0]
        found = next((export for export in exports() if named == export.NAME), None)
        return ExportFiles(found, [], self._connection) if found else None

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        """A file that was just read to its end has nothing to add."""
        del scope, family, native_id
        return None

    def check(self) -> Sequence[CheckResult]:
        """One line for each area: whether its first row can be read."""
        results = []
        try:
            for source in self.sources:
                for scope in source.scopes():
                    seen = _begin(source, scope)
                    results.append(_result(allowed=True, detail=scope.key if seen else _("no rows in it")))
        except (ConnectorError, ConfigError) as refused:
            results.append(_result(allowed=False, detail=refused.message))
        return results or [_result(allowed=False, detail=_("no path to read"))]

    def setup(self, capability: Capability) -> SetupGuide:
        """There is nothing to grant but the right to read the files."""
        if capability is not Capability.DISCOVER:
            raise nothing_to_grant(capability, (Capability.DISCOVER,))
        return SetupGuide(
            capability=capability,
            terraform="# read the files: they lie beside Wardship; there is nothing to deploy\n",
            cli="setfacl -m u:wardship:r accounts.csv   # Wardship must be able to read the files\n"
            "wardship mapping new accounts.csv --out accounts.yaml\n"
            "wardship connect add file accounts path=$PWD/accounts.csv mapping=$PWD/accounts.yaml\n",
            portal=(N_("Export the list from the system's own screen and save it where Wardship can read the file."),),
            remove="wardship connect remove accounts\nsetfacl -x u:wardship accounts.csv\n",
        )

    def unmapped(self) -> list[str]:
        """Columns of the files read so far of which no mapping says anything."""
        mapped = [source for source in self.sources if isinstance(source, MappedFiles)]
        return [name for source in mapped for name in source.unmapped()]

    @cached_property
    def _by_scope(self) -> dict[str, Source]:
        return {scope.key: source for source in self.sources for scope in source.scopes()}


class ExportFiles:
    """Files of one recognised export format."""

    as_of: datetime | None = None

    def __init__(self, export: Export, paths: Sequence[Path], connection: Connection) -> None:
        self._export, self._connection = export, connection
        self._paths: dict[Scope, list[Path]] = defaultdict(list)
        for path in paths:
            for scope in export.scopes(path, connection):
                self._paths[scope].append(path)

    def scopes(self) -> Iterable[Scope]:
        return list(self._paths)

    def rows(self, scope: Scope) -> Iterator[Any]:
        return itertools.chain.from_iterable(self._export.rows(path, scope) for path in self._paths[scope])

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return self._export.parse(scope, item, self._connection)

    def complete(self, scope: Scope) -> bool:
        del scope
        return bool(getattr(self._export, "COMPLETE", False))

    def authorities(self) -> Iterator[str]:
        for scope in self._paths:
            for item in self.rows(scope):
                try:
                    records = list(self.parse(scope, item))
                except DataError:  # the import will quarantine it
                    continue
                yield from (record.authority for record in records if not isinstance(record, Usage))

    def stamp(self) -> str:
        return stamp_of(path for paths in self._paths.values() for path in paths)


def connected(connection: Connection) -> FileReader:
    """The reader of a stored connection; its `path` may be a pattern. Files are looked at when they are read."""
    drift = DriftLog()
    paths = connection.settings.get("path", "")
    return FileReader(connection, lambda: _sources(_expanded(paths), connection, drift), drift)


def imported(paths: Sequence[Path], connection: Connection) -> FileReader:
    """The reader of files given once. Raises ConfigError for what cannot be read as a whole."""
    drift = DriftLog()
    try:
        sources = _sources(paths, connection, drift)
        for source in sources if paths else ():
            for scope in source.scopes():
                _begin(source, scope)
    except ConnectorError as refused:
        raise ConfigError(refused.message, advice=refused.advice) from None
    return FileReader(connection, lambda: sources, drift)


def _sources(paths: Sequence[Path], connection: Connection, drift: Drift) -> list[Source]:
    if name := connection.settings.get("mapping"):
        declared_in = find_mapping(name)
        return [MappedFiles(load_mapping(declared_in), declared_in, paths, connection, drift)]
    found: dict[str, tuple[Export, list[Path]]] = {}
    for path in paths:
        export = recognised(path)
        if export is None:
            raise ConfigError(
                _("%(path)s: not an export that is known, and there is no mapping for it") % {"path": path},
                advice=_("make a mapping with `wardship mapping new %(path)s` and give it as mapping=FILE")
                % {"path": path},
            )
        found.setdefault(export.NAME, (export, []))[1].append(path)
    return [ExportFiles(export, own, connection) for export, own in found.values()]


def _begin(source: Source, scope: Scope) -> int:
    """Reads the first rows: can it be opened at all, and has it the columns that are needed? How many there are."""
    return sum(1 for _row in itertools.islice(source.rows(scope), _FIRST_ROWS))


def _expanded(pattern: str) -> list[Path]:
    if not any(sign in pattern for sign in "*?["):
        return [Path(pattern)] if pattern else []
    found = sorted(itertools.islice(glob.iglob(pattern), MAX_FILES + 1))  # noqa: PTH207 - absolute patterns too
    if len(found) > MAX_FILES:
        raise ConfigError(_("more than %(n)d files") % {"n": MAX_FILES}, advice=_("give a narrower pattern as path"))
    return [Path(name) for name in found]


def _not_whole() -> Problem:
    return Problem(
        reason="not_whole",
        detail=_("the file is not declared to hold everything that the system has: what it leaves out stays as it was"),
    )


def _result(*, allowed: bool, detail: str) -> CheckResult:
    return CheckResult(permission="read the files", capability=Capability.DISCOVER, allowed=allowed, detail=detail)
