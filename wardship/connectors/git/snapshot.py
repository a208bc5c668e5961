"""Copies the objects of a repository on this machine as they lie there: its packs with their indexes, and loose ones.

To have git clone it would pack, unpack and hash everything once more. So what git would have proved is not proved here:
that an object is what its id says. Whoever reads contents compares them with the id (`child`); ADR 0022 tells what is
left. Nothing but regular files is opened, no link is followed, and for whatever is unusual there is no copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from wardship.connectors.git.process import MAX_MIRROR
from wardship.connectors.git.repository import configuration

MAX_LOOSE = 50_000  # files; git keeps some 6,700 before it packs them
_BLOCK = 1 << 20
_HASH = 20  # bytes of SHA-1 at the end of a pack and of its index
_PACK = re.compile(r"(pack-[0-9a-f]{40})\.(pack|idx)")
_REFERENCE = re.compile(rb"([0-9a-f]{40})\t(refs/[^\x00-\x20\x7f]+)")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class _UnusualError(Exception):
    """git can make more of this than a copy can."""


def copied(source: Path, bare: Path, told: bytes) -> bool:
    """Fills the new bare repository `bare` with the objects and references of `source`.

    `told` is what `git ls-remote` said of `source` before: so every object that a reference needs was there when the
    copying began. False: git must clone it, and `bare` is of no use.
    """
    try:
        _refuse_unusual(source)
        references = _references(told)
        with _folder(source / "objects") as there:
            # First the loose ones: git moves objects from there into packs.
            _copy_loose(there, bare / "objects")
            _copy_packs(there, bare / "objects" / "pack")
        (bare / "packed-refs").write_bytes(references)
    except (OSError, _UnusualError):
        return False
    return True


def _refuse_unusual(source: Path) -> None:
    """Only the plainest form: SHA-1, references in files, whole, and nothing borrowed."""
    version = [value for section, _sub, key, value in configuration(source / "config")
               if (section, key) == ("core", "repositoryformatversion")]  # fmt: skip
    borrowed = source / "objects" / "info" / "alternates"
    if version not in ([], ["0"]) or (source / "shallow").exists() or os.path.lexists(borrowed):
        raise _UnusualError


def _references(told: bytes) -> bytes:
    """A file `packed-refs` with what `git ls-remote` told."""
    found = {}
    for line in told.splitlines():
        if line.startswith(b"ref: ") or line.endswith((b"\tHEAD", b"^{}")):
            continue
        match = _REFERENCE.fullmatch(line)
        if match is None:
            raise _UnusualError
        found[match[2]] = match[1]
    if not found:
        raise _UnusualError
    return b"# pack-refs with: sorted \n" + b"".join(b"%s %s\n" % (found[name], name) for name in sorted(found))


def _copy_loose(there: int, target: Path) -> None:
    count = 0
    for name in sorted(_names(there)):
        if not re.fullmatch(r"[0-9a-f]{2}", name):
            continue
        with _folder(name, there) as inside:
            wanted = [one for one in _names(inside) if re.fullmatch(r"[0-9a-f]{38}", one)]
            count += len(wanted)
            if count > MAX_LOOSE:
                raise _UnusualError
            if wanted:
                (target / name).mkdir()
            for one in wanted:
                _copy(inside, one, target / name / one, target)


def _copy_packs(there: int, target: Path) -> None:
    target.mkdir(exist_ok=True)
    with _folder("pack", there) as inside:
        names = set(_names(inside))
        if any(name.endswith((".pack", ".idx")) and not _PACK.fullmatch(name) for name in names) or any(
            name.endswith(".promisor") for name in names
        ):
            raise _UnusualError
        for name in sorted(names):
            if name.endswith(".pack") and (index := name.removesuffix("pack") + "idx") in names:
                pack_head, pack_tail = _copy(inside, name, target / name, target, sealed=True)
                index_head, index_tail = _copy(inside, index, target / index, target, sealed=True)
                if (
                    pack_head[:4] != b"PACK"
                    or index_head[:8] != b"\xfftOc\0\0\0\2"  # version 2
                    or index_head[8 + 255 * 4 : 8 + 256 * 4] != pack_head[8:12]  # as many objects
                    or index_tail[:_HASH] != pack_tail[_HASH:]  # the index of this pack
                ):
                    raise _UnusualError


def _copy(inside: int, name: str, to: Path, room: Path, *, sealed: bool = False) -> tuple[bytes, bytes]:
    """Copies one file; its first block and its last 40 bytes. `sealed`: it ends with its own SHA-1, which must fit."""
    descriptor = os.open(name, _READ, dir_fd=inside)
    with os.fdopen(descriptor, "rb", buffering=0) as stream, to.open("xb", buffering=0) as out:
        said = os.fstat(descriptor)
        if not stat.S_ISREG(said.st_mode) or said.st_size > min(MAX_MIRROR, shutil.disk_usage(room).free):
            raise _UnusualError
        head = tail = b""
        digest, done = hashlib.sha1(usedforsecurity=False), 0
        while done < said.st_size:
            block = stream.read(min(_BLOCK, said.st_size - done))
            if not block:  # it became shorter
                raise _UnusualError
            out.write(block)
            if sealed:
                digest.update(block[: max(0, said.st_size - _HASH - done)])
            head, tail, done = head or block, (tail + block)[-2 * _HASH :], done + len(block)
    if sealed and digest.digest() != tail[-_HASH:]:
        raise _UnusualError
    return head, tail


@contextlib.contextmanager
def _folder(path: str | Path, inside: int | None = None) -> Iterator[int]:
    """An open folder that is no link."""
    descriptor = os.open(path, _READ | os.O_DIRECTORY, dir_fd=inside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]
