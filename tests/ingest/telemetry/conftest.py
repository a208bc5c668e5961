"""A workspace on SQLite, and one on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.config import Settings
from wardship.store.db import Database
from wardship.store.workspace import Workspace


@pytest.fixture
def ws(tmp_path: Path, sqlite_template: Path) -> Iterator[Workspace]:
    """SQLite: for what the database has no part in."""
    import shutil

    folder = tmp_path / "ws"
    (folder / "tmp").mkdir(parents=True)
    shutil.copy(sqlite_template, folder / "state.db")
    db = Database(f"sqlite:///{folder}/state.db", clock=lambda: NOW)
    yield Workspace(folder, Settings(), db)
    db.close()


@pytest.fixture
def each_ws(tmp_path: Path, database: Database) -> Workspace:
    """On SQLite and on PostgreSQL."""
    folder = tmp_path / "each"
    (folder / "tmp").mkdir(parents=True)
    return Workspace(folder, Settings(), database)
