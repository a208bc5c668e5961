"""What the tests of the git connector share: reading with a small engine, and what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wardship.connectors.git.reader import GitConnector
from wardship.model.exposure import Exposure
from wardship.sdk.connector import Connection
from wardship.sdk.testing import ScopeRead, read_scope

ROOT = Path(__file__).resolve().parents[2]
ENGINES = "tests.connectors.git_engines"


@pytest.fixture(autouse=True)
def children_find_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def token(letter: str) -> str:
    """A value that the small engines find."""
    return "tok_" + letter * 12


def reading(connection: Connection, *, engine: str = "tokens", blob_s: float = 60.0) -> ScopeRead:
    """One scan of a connection with one repository."""
    with contextlib.closing(GitConnector(connection, engine=f"{ENGINES}:{engine}", blob_s=blob_s)) as connector:
        (scope,) = connector.scopes()
        return read_scope(connector, scope)


def exposures(read: ScopeRead) -> list[Exposure]:
    assert read.error is None, read.error
    return [record for record in read.records if isinstance(record, Exposure)]


def with_settings(connection: Connection, settings: Mapping[str, str]) -> Connection:
    return replace(connection, settings={**connection.settings, **settings})


def by_path(read: ScopeRead) -> dict[str, Any]:
    return {one.location: one for one in exposures(read)}
