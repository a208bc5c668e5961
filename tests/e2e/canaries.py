"""Looks for known values in everything that a program has left behind, in every common spelling.

    search = Canaries({value: "what it is"})
    assert search.in_folders([workspace, temporary, home]) == []

A file is looked at as it lies on the disk and as what it holds: members of archives, decompressed streams, the columns
of Parquet, the cells of SQLite (a value that runs over two pages is whole only there). A leak names the place, what the
value is and how it was spelt; never the value.
"""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import hashlib
import html
import io
import json
import logging
import lzma
import shutil
import signal
import sqlite3
import subprocess
import tarfile
import tempfile
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import hyperscan
import pytest
import zstandard

from wardship.cli.main import main
from wardship.sdk import log

LEAST = 8  # characters: a shorter value occurs by chance
_ENOUGH = 240  # bytes of a long spelling: its beginning is a leak too
_DEPTH = 4  # archives in archives


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    where: str
    what: str
    spelling: str


def told(leaks: Iterable[Leak]) -> str:
    """One line a leak."""
    return "\n".join(f"{leak.what} ({leak.spelling}) in {leak.where}" for leak in leaks)


def spellings(value: str) -> dict[bytes, str]:
    """Every spelling of `value` that is looked for, with its name."""
    raw = value.encode("utf-8", "surrogatepass")
    found: dict[bytes, str] = {raw: "plain"}

    def add(name: str, *forms: str | bytes) -> None:
        for form in forms:
            found.setdefault(form.encode("utf-8", "surrogatepass") if isinstance(form, str) else form, name)

    add("reversed", value[::-1])
    add("hex", raw.hex(), raw.hex().upper())
    for wide in ("utf-16-le", "utf-16-be"):
        add(wide, value.encode(wide, "surrogatepass"))
    add("base64", *_base64(raw), *_base64(value.encode("utf-16-le", "surrogatepass")))
    add("url", urllib.parse.quote(raw, safe=""), urllib.parse.quote(raw), urllib.parse.quote_plus(raw))
    once = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    add("json", *once, *(json.dumps(text)[1:-1] for text in once))
    add("html", html.escape(value), html.escape(value, quote=False))
    add("repr", repr(value)[1:-1], repr(raw)[2:-1])
    add("csv", value.replace('"', '""'))
    # A digest without a key can be tried out against a dictionary: it counts as the value.
    add("digest", *(hashlib.new(name, raw).hexdigest()[:32] for name in ("md5", "sha1", "sha256", "sha512")))
    return found


def _base64(raw: bytes) -> Iterator[bytes]:
    """What base64 makes of `raw` wherever it stands in a longer text: without the characters its neighbours decide."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        start = (before * 8 + 5) // 6
        sure = encoded[start : (before + len(raw)) * 8 // 6]
        yield sure
        yield sure.translate(bytes.maketrans(b"+/", b"-_"))


class Canaries:
    """A search for all of `values` at once. Of a value of several lines each long line is looked for too."""

    def __init__(self, values: Mapping[str, str]) -> None:
        told = {
            part: what
            for value, what in values.items()
            for part in (value, *(line for line in map(str.strip, value.splitlines()) if len(line) >= 24))
            if len(part) >= LEAST and not part.startswith("-----")
        }
        if not told:
            raise ValueError("nothing to look for: the search would always succeed")
        self.values = frozenset(told)
        self._forms: list[tuple[str, str]] = []
        literals: list[bytes] = []
        for value, what in told.items():
            for form, name in spellings(value).items():
                literals.append(b"".join(b"\\x%02x" % byte for byte in form[:_ENOUGH]))
                self._forms.append((what, name))
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=literals,
            ids=list(range(len(literals))),
            elements=len(literals),
            flags=hyperscan.HS_FLAG_SINGLEMATCH,
        )
        self.bytes_read = 0

    def in_bytes(self, content: bytes, where: str) -> set[Leak]:
        """The leaks in `content` as it is."""
        self.bytes_read += len(content)
        found: set[int] = set()
        if content:
            self._database.scan(content, match_event_handler=lambda ident, *_rest: found.add(ident) and None)
        return {Leak(where, *self._forms[ident]) for ident in found}

    def in_texts(self, texts: Mapping[str, str | bytes]) -> list[Leak]:
        """The leaks in what was printed, by name of the command."""
        return sorted(
            leak
            for where, text in texts.items()
            for leak in self.in_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text, where)
        )

    def in_folders(self, folders: Iterable[Path], *, but: Iterable[Path] = ()) -> list[Leak]:
        """The leaks in every file below `folders`, and in its name; `but`: folders that are left out by a rule."""
        left_out = tuple(but)
        found: set[Leak] = set()
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if any(path.is_relative_to(one) for one in left_out):
                    continue
                where = str(path.relative_to(folder.parent))
                found |= self.in_bytes(where.encode("utf-8", "surrogateescape"), f"the name {where}")
                if path.is_symlink() or not path.is_file():
                    continue
                for view, content in views(path):
                    found |= self.in_bytes(content, f"{where}{view}")
        return sorted(found)


def views(path: Path) -> Iterator[tuple[str, bytes]]:
    """(how, content): the file itself and everything that it holds in another form."""
    content = path.read_bytes()
    yield "", content
    if content.startswith(b"SQLite format 3\0"):
        yield from ((f" [{table}]", cells) for table, cells in _cells(path))
    elif content.startswith(b"PAR1"):
        yield " [columns]", _columns(path)
    else:
        yield from _inside(content, "", _DEPTH)


def _inside(content: bytes, name: str, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth == 0:
        return
    for inner_name, inner in _members(content):
        yield f"{name} > {inner_name}", inner
        yield from _inside(inner, f"{name} > {inner_name}", depth - 1)


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content[:3] == b"\x1f\x8b\x08":  # with the one method that there is: two bytes alone are met by chance
        yield "gzip", gzip.decompress(content)
    elif content[:3] == b"BZh":
        yield "bzip2", bz2.decompress(content)
    elif content[:6] == b"\xfd7zXZ\0":
        yield "xz", lzma.decompress(content)
    elif content[:4] == b"\x28\xb5\x2f\xfd":
        yield "zstd", zstandard.ZstdDecompressor().stream_reader(content).read()
    elif content[:4] == b"PK\x03\x04" and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            yield from ((m.name, stream.read()) for m in tar if (stream := tar.extractfile(m)))
    elif content[:1] == b"x":  # zlib, as git's loose objects are
        try:
            yield "zlib", zlib.decompress(content)
        except zlib.error:
            return


def _cells(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every table of a SQLite file and its write-ahead log. Reads a copy, for opening a database changes it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (path.name, f"{path.name}-wal"):
            if path.with_name(name).is_file():
                shutil.copy(path.with_name(name), folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as db:
            db.text_factory = bytes
            tables = db.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
            for name in [row[0].decode() for row in tables]:
                cells = [cell for row in db.execute(f'select * from "{name}"') for cell in row]
                texts = [cell for cell in cells if isinstance(cell, bytes)]
                packed = [inner for text in texts for _name, inner in _inside(text, "", _DEPTH)]
                yield name, b"\n".join(texts + packed)


def _columns(path: Path) -> bytes:
    with duckdb.connect() as db:
        rows = db.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    return "\n".join(text for row in rows for cell in row for text in _texts(cell)).encode("utf-8", "surrogatepass")


def _texts(cell: Any) -> Iterator[str]:
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, bytes):
        yield cell.decode("latin-1")
    elif isinstance(cell, Mapping):
        yield from (text for pair in cell.items() for one in pair for text in _texts(one))
    elif isinstance(cell, list | tuple):
        yield from (text for one in cell for text in _texts(one))


# ---------------------------------------------------------------- where to look


@contextlib.contextmanager
def isolated(patch: pytest.MonkeyPatch, root: Path) -> Iterator[None]:
    """Temporary files, home and logs lie in `root` (tmp, home, log), and the log is as talkative as it can be."""
    for name in ("tmp", "home", "log"):
        (root / name).mkdir()
    patch.setenv("TMPDIR", str(root / "tmp"))
    patch.setattr(tempfile, "tempdir", str(root / "tmp"))
    for variable in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        patch.setenv(variable, str(root / "home"))
    patch.setenv("WARDSHIP_DEBUG", "1")
    patch.delenv("WARDSHIP_LANGUAGE", raising=False)
    top = logging.getLogger()
    handlers, level = list(top.handlers), top.level
    with (root / "log" / "debug.log").open("w", encoding="utf-8") as stream:
        log.setup(logging.DEBUG, stream=stream)
        try:
            yield
        finally:
            top.handlers[:] = handlers
            top.setLevel(level)


def command(*words: str) -> tuple[int, bytes]:
    """The exit code of a command line, run in this process, and what it printed on both streams."""
    streams = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(stream, "utf-8", write_through=True) for stream in streams)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, streams[0].getvalue() + b"\n" + streams[1].getvalue()


def killed_when(words: list[str], workspace: Path, sign: str) -> bytes:
    """Runs a command until the file `sign` appears, and kills it. What it printed."""
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 60
    while not any(workspace.glob(sign)) and child.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    assert child.poll() is None, f"it ended before {sign} was seen:\n{child.communicate()[0].decode()}"
    child.send_signal(signal.SIGKILL)
    out: bytes = child.communicate()[0]
    assert child.returncode == -signal.SIGKILL
    time.sleep(0.5)  # its children notice that nobody reads, and end
    return out
