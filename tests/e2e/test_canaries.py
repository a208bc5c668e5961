"""The search of the redaction proof finds a value in every spelling and in everything that can hold one."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import sqlite3
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import zstandard

from tests.e2e.canaries import Canaries, Leak

VALUE = 'Troub4dor&3 "of\\eva"/+ñ' + "-x9"
RAW = VALUE.encode()
SPELT: dict[str, Callable[[], bytes]] = {
    "plain": lambda: RAW,
    "reversed": VALUE[::-1].encode,
    "hex": lambda: RAW.hex().upper().encode(),
    "utf-16-le": lambda: VALUE.encode("utf-16-le"),
    "utf-16-be": lambda: VALUE.encode("utf-16-be"),
    "url": lambda: urllib.parse.quote(VALUE).encode(),
    "json": lambda: json.dumps({"a": json.dumps({"b": VALUE})}).encode(),
    "html": lambda: html.escape(VALUE).encode(),
    "repr": lambda: repr(RAW).encode(),
    "csv": lambda: VALUE.replace('"', '""').encode(),
    "digest": lambda: hashlib.sha256(RAW).hexdigest().encode(),
}


@pytest.fixture(scope="module")
def search() -> Canaries:
    return Canaries({VALUE: "a password", "a quiet value that is nowhere": "nothing"})


@pytest.mark.parametrize("spelling", SPELT)
def test_every_spelling_is_found(search: Canaries, spelling: str) -> None:
    assert Leak("log", "a password", spelling) in search.in_bytes(b"before " + SPELT[spelling]() + b" after", "log")


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("after", range(3))
def test_base64_is_found_wherever_the_value_stands_in_it(search: Canaries, before: int, after: int) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(b"u" * before + RAW + b":" * after)
        assert Leak("log", "a password", "base64") in search.in_bytes(text, "log")


def test_other_text_is_not_taken_for_it(search: Canaries) -> None:
    assert search.in_bytes(b"Troub4dor&3 of nobody, " + RAW[:12], "log") == set()
    with pytest.raises(ValueError, match="nothing to look for"):
        Canaries({"short": "too short to mean anything"})


def test_a_private_key_is_found_by_a_line_of_it() -> None:
    line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU" * 2
    search = Canaries({f"-----BEGIN KEY-----\n{line}\n-----END KEY-----": "a key"})
    assert search.in_bytes(b"x" + line.encode(), "log")
    assert not search.in_bytes(b"-----BEGIN KEY-----", "log")


def _zip(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def _tar(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("member")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        zlib.compress,
        zstandard.ZstdCompressor().compress,
        lambda content: _zip("inner.zip", _zip("sheet.xml", content)),
        _tar,
    ],
)
def test_what_is_packed_is_found(search: Canaries, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "packed").write_bytes(pack(b"some text, " + RAW + b", more text " * 40))
    (leak,) = {leak.what for leak in search.in_folders([tmp_path])}
    assert leak == "a password"
    assert search.in_folders([tmp_path], but=[tmp_path / "packed"]) == []


def test_the_cells_of_databases_and_columns_are_found(search: Canaries, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("create table kept (id integer, item blob)")
        for number in range(40):  # long rows: some value runs over the edge of a page
            db.execute("insert into kept values (?, ?)", (number, "." * (number * 101) + VALUE))
        db.execute("create table staged (item blob)")
        db.execute("insert into staged values (?)", (zlib.compress(RAW * 3),))
    db.close()
    with duckdb.connect() as duck:
        duck.execute(f"copy (select [{{'a': ?}}] as v) to '{tmp_path / 'facts.parquet'}' (compression zstd)", [VALUE])
    where = {leak.where.rpartition("/")[2] for leak in search.in_folders([tmp_path])}
    assert where >= {"state.db [kept]", "state.db [staged]", "facts.parquet [columns]"}


def test_the_name_of_a_file_is_found(search: Canaries, tmp_path: Path) -> None:
    (tmp_path / urllib.parse.quote(VALUE, safe="")).touch()
    assert [leak.spelling for leak in search.in_folders([tmp_path])] == ["url"]
