"""Which files an import reads: paths as given, folders with all below them in the order of their names, "-" for stdin.

Links to folders are not followed, nor is a link in a folder that somebody else put there to a file that is not theirs.
What is no regular file is left out, and so is a workspace that lies below: its keys and its state are no logs. A file
is known by the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wardship.ingest.telemetry.staging import no_room
from wardship.model.errors import ConfigError
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _
from wardship.store.workspace import SETTINGS_FILE

_STDIN = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A file to be read. `name` is to be shown; `path` is where it lies."""

    name: str
    path: Path
    size_bytes: int


def log_files(paths: Sequence[Path], stdin: BinaryIO, folder: Path) -> tuple[list[LogFile], list[tuple[str, str]]]:
    """The files that `paths` name, each once; and (path, why) of what may not be looked into. Standard input is copied
    into `folder`. Raises ConfigError for a path that is not there."""
    found: dict[Path, LogFile] = {}
    unreadable: list[tuple[str, str]] = []
    for path in paths:
        if path == _STDIN:
            copied = folder / "stdin"
            _copy(stdin, copied)
            found.setdefault(copied, LogFile(name="-", path=copied, size_bytes=copied.stat().st_size))
            continue
        try:
            there = path.exists()
        except OSError as error:
            unreadable.append((str(path), error.strerror or ""))
            continue
        if not there:
            raise ConfigError(
                _("there is no file %(path)s") % {"path": visible(str(path), 300)},
                advice=_("name files or folders; - reads standard input"),
            )
        for each in _below(path, unreadable):
            found.setdefault(each.path, each)
    return list(found.values()), unreadable


def digest_of(file: LogFile) -> str:
    """SHA-256 of its bytes. Raises OSError."""
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _below(path: Path, unreadable: list[tuple[str, str]]) -> Iterator[LogFile]:
    if not path.is_dir():
        yield from _file(path, unreadable)
        return
    for folder, names, files in os.walk(
        path, onerror=lambda error: unreadable.append((str(error.filename), error.strerror or ""))
    ):
        if SETTINGS_FILE in files:
            names.clear()
            continue
        names.sort()
        for name in sorted(files):
            each = Path(folder, name)
            if _leads_astray(each):
                unreadable.append((str(each), N_("a link of another user to a file that is not theirs")))
            else:
                yield from _file(each, unreadable)


def _leads_astray(path: Path) -> bool:
    """Whether it is a link to what only we may read, made by somebody who may not: they would get it into our logs."""
    try:
        link = path.lstat()
        return stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid(), path.stat().st_uid)
    except OSError:  # it leads nowhere
        return False


def _file(path: Path, unreadable: list[tuple[str, str]]) -> Iterator[LogFile]:
    try:
        if path.is_file():
            yield LogFile(name=str(path), path=path, size_bytes=path.stat().st_size)
    except OSError as error:
        unreadable.append((str(path), error.strerror or ""))


def _copy(stdin: BinaryIO, target: Path) -> None:
    try:
        with target.open("wb") as out:
            shutil.copyfileobj(stdin, out, 1024 * 1024)
    except OSError as error:
        raise no_room(error.strerror or "") from None
