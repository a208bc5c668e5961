"""Nothing that a system keeps secret stands anywhere in a workspace, in any common spelling, after everything ran."""

from __future__ import annotations

import base64
import gzip
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.app import App
from wardship.cli.main import main
from wardship.services import scan
from wardship.sim import organisation
from wardship.sim.aws import AwsWorld
from wardship.sim.entra import EntraTenant


def _spellings(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield raw[::-1]
    yield raw.hex().encode()
    yield base64.b64encode(raw).rstrip(b"=")[:-1]  # the last character depends on what follows
    yield urllib.parse.quote(value, safe="").encode()
    yield value.encode("utf-16-le")


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, and what is inside of those that are archives."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path, content
        if content[:2] == b"\x1f\x8b":
            yield path, gzip.decompress(content)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from ((path, archive.read(name)) for name in archive.namelist())


def test_no_secret_of_the_organisation_is_anywhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secrets: set[str] = set()
    with App.create(tmp_path / "ws", clock=lambda: NOW) as app:
        for connection in organisation.connections("s", app.clock, app.workspace.tmp):
            system = getattr(connection.wire, "world", connection.wire)  # the wire of one key leads to its world
            scan.read(app.workspace, connection, app.actor)
            if isinstance(system, EntraTenant):
                secrets |= {
                    v
                    for table in (system.apps, system.sps)
                    for row in table.visible()
                    for v in row["_secrets"].values()
                }
                secrets |= set(system.tokens)
            if isinstance(system, AwsWorld):
                with system.reading() as state:
                    secrets |= {key["secret"] for key in state["keys"].values()}
    assert len(secrets) > 80
    where = ["--workspace", str(tmp_path / "ws")]
    for words in (
        ["findings", "--output", "json"],
        ["explain", "AcmeIntegrator SaaS"],
        ["export", "credentials", "--out", str(tmp_path / "credentials.xlsx")],
        ["export", "identities", "--out", str(tmp_path / "identities.parquet")],
        ["doctor", "--report"],
        ["audit", "export", str(tmp_path / "proof")],
        ["coverage"],
    ):
        main([*words, *where])
    out, err = capfd.readouterr()
    (tmp_path / "terminal").write_text(out + err)
    found = [
        (path.name, secret[:4])
        for path, content in _contents(tmp_path)
        for secret in secrets
        for spelling in _spellings(secret)
        if spelling in content
    ]
    assert found == []


def test_the_search_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("the value is " + base64.b64encode(b"s3cr3t-of-nobody").decode())
    content = next(_contents(tmp_path))[1]
    assert any(spelling in content for spelling in _spellings("s3cr3t-of-nobody"))
