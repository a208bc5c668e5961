"""Which files an import reads: paths as given, folders with all below them in the order of their names, "-" for stdin.

Links to folders are not followed; what is no regular file is left out, and so is a workspace that lies below: its keys
and its state are no logs. A file is known by the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wardship.ingest.telemetry.staging import no_room
from wardship.model.errors import ConfigError
from wardship.sdk.display import visible
from wardship.sdk.i18n import _
from wardship.store.workspace import SETTINGS_FILE

_STDIN = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A file to be read. `name` is to be shown; `path` is where it lies."""

    name: str
    path: Path
    size_bytes: int


def log_files(paths: Sequence[Path], stdin: BinaryIO, folder: Path) -> list[LogFile]:
    """The files that `paths` name, each once. Standard input is copied into `folder`. Raises ConfigError for a path
    that is not there."""
    found: dict[Path, LogFile] = {}
    for path in paths:
        if path == _STDIN:
            copied = folder / "stdin"
            _copy(stdin, copied)
            found.setdefault(copied, LogFile(name="-", path=copied, size_bytes=copied.stat().st_size))
            continue
        if not path.exists():
            raise ConfigError(
                _("there is no file %(path)s") % {"path": visible(str(path), 300)},
                advice=_("name files or folders; - reads standard input"),
            )
        for each in _below(path):
            found.setdefault(each, LogFile(name=str(each), path=each, size_bytes=each.stat().st_size))
    return list(found.values())


def digest_of(file: LogFile) -> str:
    """SHA-256 of its bytes. Raises OSError."""
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        if path.is_file():
            yield path
        return
    for folder, names, files in os.walk(path):
        if SETTINGS_FILE in files:
            names.clear()
            continue
        names.sort()
        for name in sorted(files):
            each = Path(folder, name)
            if each.is_file():
                yield each


def _copy(stdin: BinaryIO, target: Path) -> None:
    try:
        with target.open("wb") as out:
            shutil.copyfileobj(stdin, out, 1024 * 1024)
    except OSError as error:
        raise no_room(error.strerror or "") from None
