"""A folder or a ZIP file as a set of named streams, none of it trusted.

Nothing is unpacked to a disk: a member is read as a stream whose bytes are counted as they come, so a bomb ends when it
passes its bound. Names that lead elsewhere, links, archives inside the archive and encrypted members are not opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from wardship.model.errors import NotVisible
from wardship.sdk.i18n import _

MAX_MEMBERS = 500_000
MAX_MEMBER_BYTES = 8 * 1024**3  # of one that is streamed (a Confluence entities.xml)
MAX_WHOLE_BYTES = 64 * 1024**2  # of one that must be read at once (a day of a channel, a page)
MAX_RATIO = 200  # unpacked to packed; text packs 5 to 20 fold, and a JSON of blanks hardly 100 fold
_FREE_BYTES = 4 * 1024**2  # below it the ratio says nothing
_MAX_DEPTH = 6
_ARCHIVES = (".zip", ".jar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class Archive(Protocol):
    path: Path

    def names(self) -> Sequence[str]:
        """Names of what can be read, sorted, with "/" between their parts."""

    def refused(self) -> Sequence[tuple[str, str]]:
        """(name, why) of what is there and not opened."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Raises NotVisible; so does reading over the bounds."""

    def stamp(self) -> str:
        """Changes when the files change."""


def open_archive(path: Path) -> Archive:
    """Raises NotVisible for what is neither a folder nor a ZIP file, or cannot be read."""
    try:
        if path.is_dir():
            return Folder(path)
        if path.is_file():
            return Zip(path)
    except OSError as failed:
        raise unreadable(path.name, failed.strerror or "") from None
    raise unreadable(path.name, _("no such file"))


def unreadable(name: str, what: str) -> NotVisible:
    return NotVisible(
        _("%(path)s: %(what)s") % {"path": name[:200], "what": what},
        system="conversations",
        advice=_("make the export again, or check the path and its permissions"),
    )


def whole(archive: Archive, name: str, limit: int = MAX_WHOLE_BYTES) -> bytes:
    """All bytes of a member. Raises NotVisible over `limit`."""
    data = bytearray()
    with archive.open(name) as stream:
        while chunk := stream.read(65_536):  # a read of all that is allowed would reserve it
            data += chunk
            if len(data) > limit:
                raise unreadable(name, _("over %(max_bytes)s bytes") % {"max_bytes": limit})
    return bytes(data)


class Folder:
    """A folder; links in it are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._refused: list[tuple[str, str]] = []
        self._sizes: dict[str, tuple[int, int]] = dict(sorted(self._walk(path, "", 0)))

    def _walk(self, folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, tuple[int, int]]]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            self._refused.append((prefix or ".", "a folder that cannot be opened"))
            return
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_symlink():
                self._refused.append((name, "a link"))
            elif entry.is_dir(follow_symlinks=False):
                if depth == _MAX_DEPTH:
                    self._refused.append((name, "a folder too deep inside"))
                else:
                    yield from self._walk(folder / entry.name, f"{name}/", depth + 1)
            elif not entry.is_file(follow_symlinks=False):
                self._refused.append((name, "no regular file"))
            elif name.lower().endswith(_ARCHIVES):
                self._refused.append((name, "an archive inside the export"))
            else:
                status = entry.stat(follow_symlinks=False)
                yield name, (status.st_size, status.st_mtime_ns)

    def names(self) -> Sequence[str]:
        return list(self._sizes)

    def refused(self) -> Sequence[tuple[str, str]]:
        return self._refused

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        if name not in self._sizes:
            raise unreadable(name, _("no such file"))
        try:
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise unreadable(name, _("no such file"))
                yield stream
        except OSError as failed:
            raise unreadable(name, failed.strerror or "") from None

    def stamp(self) -> str:
        return _digest(f"{name}\0{size}\0{changed}" for name, (size, changed) in self._sizes.items())


class Zip:
    """A ZIP file, read member by member."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._refused: list[tuple[str, str]] = []
        try:
            self._file = zipfile.ZipFile(path)
        except _BROKEN:
            raise unreadable(path.name, _("not a ZIP file that can be read")) from None
        listed = self._file.infolist()
        if len(listed) > MAX_MEMBERS:
            raise unreadable(path.name, _("over %(n)d files") % {"n": MAX_MEMBERS})
        for member in sorted(listed, key=lambda one: one.filename):
            if member.is_dir():
                continue
            why = _refusal(member)
            if why is None and member.filename in self._members:
                why = "a name that is there twice"
            if why is None:
                self._members[member.filename] = member
            else:
                self._refused.append((member.filename[:200], why))

    def names(self) -> Sequence[str]:
        return list(self._members)

    def refused(self) -> Sequence[tuple[str, str]]:
        return self._refused

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        member = self._members.get(name)
        if member is None:
            raise unreadable(name, _("no such file"))
        try:
            raw = self._file.open(member)
        except _BROKEN:
            raise unreadable(name, _("cannot be unpacked")) from None
        with raw:
            yield io.BufferedReader(_Counted(raw, name, member.compress_size), 65_536)

    def stamp(self) -> str:
        status = self.path.stat()
        return _digest([f"{self.path.name}\0{status.st_size}\0{status.st_mtime_ns}"])


class _Counted(io.RawIOBase):
    """Unpacks in small steps and stops at the bounds."""

    def __init__(self, raw: IO[bytes], name: str, packed: int) -> None:
        self._raw, self._name = raw, name
        self._left = min(MAX_MEMBER_BYTES, max(_FREE_BYTES, packed * MAX_RATIO))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: WriteableBuffer
        try:
            data = self._raw.read(len(buffer))
        except _BROKEN:
            raise unreadable(self._name, _("cannot be unpacked")) from None
        self._left -= len(data)
        if self._left < 0:
            raise unreadable(self._name, _("it unpacks to far more than it should"))
        buffer[: len(data)] = data
        return len(data)


def _refusal(member: zipfile.ZipInfo) -> str | None:
    parts = PurePosixPath(member.filename).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in member.filename or ":" in parts[0]:
        return "a name that leads out of the export"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link"
    if member.flag_bits & 1:
        return "encrypted"
    if member.filename.lower().endswith(_ARCHIVES):
        return "an archive inside the export"
    return None


def _digest(parts: Sequence[str] | Iterator[str]) -> str:
    made = hashlib.sha256()
    for part in parts:
        made.update(part.encode("utf-8", "surrogatepass") + b"\n")
    return made.hexdigest()[:16]
