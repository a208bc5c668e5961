"""What the tests of the saga share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.store import tables
from wardship.store.db import Database


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty state database in one file, to copy: making its tables costs more than a rotation."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    db = Database(f"sqlite:///{path}", clock=lambda: NOW)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    db.close()
    assert not path.with_suffix(".db-wal").exists()
    return path
