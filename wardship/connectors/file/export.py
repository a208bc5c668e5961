"""The interface of an export that is read without a mapping, and how the right one is found.

A module of `wardship.connectors.file.exports` is one export format (ADR 0023). It has the names of `Export` and
nothing registers it: the module being there is enough. Whoever reads files picks the first that recognises them, in the
order of the modules' names; a format that others could be mistaken for must recognise narrowly.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from wardship.model.errors import NotVisible
from wardship.model.scan import Scope
from wardship.sdk.connector import Connection, Record
from wardship.sdk.i18n import _

HEAD_BYTES = 65_536
_PACKAGE = "wardship.connectors.file.exports"


class Export(Protocol):
    """One export format. `path` is a regular file, or a folder where the tool writes one.

    Optional: `COMPLETE: bool` True says that an export is always the whole population of its scopes, so that what it
    leaves out may count as missing; without it every scope stays PARTIAL.
    """

    NAME: str  # "bloodhound"
    TITLE: str  # "BloodHound OpenGraph (JSON)", an English message id

    def recognise(self, path: Path, head: bytes) -> bool:
        """Whether this is such an export. `head`: the first 64 KiB, b"" of a folder. Cheap; never raises."""

    def scopes(self, path: Path, connection: Connection) -> Iterable[Scope]:
        """What it tells of; `connector` is "file". Two files with an equal scope are read as one.

        A scope's authority is the tool's own: with a system's it would speak in that system's name (ADR 0024).
        """

    def rows(self, path: Path, scope: Scope) -> Iterator[object]:
        """Raw items in a stable order, streamed; plain dicts, lists and scalars. Raises NotVisible for the whole."""

    def parse(self, scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
        """The records of one item. Raises DataError: the item is quarantined."""


@cache
def exports() -> tuple[Export, ...]:
    """Every export format, by name of its module."""
    package = importlib.import_module(_PACKAGE)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
    return tuple(cast("Export", importlib.import_module(f"{_PACKAGE}.{name}")) for name in names)


def recognised(path: Path) -> Export | None:
    """The export format of `path`, or None. Raises NotVisible when it cannot be opened."""
    try:
        if path.is_dir():
            head = b""
        elif path.is_file():
            with path.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
        else:
            raise NotVisible(_("%(path)s: no file") % {"path": path}, advice=_("check the path"))
    except OSError as failed:
        raise NotVisible(
            _("%(path)s: %(what)s") % {"path": path, "what": failed.strerror},
            advice=_("check the path and its permissions"),
        ) from None
    return next((export for export in exports() if export.recognise(path, head)), None)
