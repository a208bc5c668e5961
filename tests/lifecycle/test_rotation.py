"""Rotation survives a SIGKILL at every point, on each kind of provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import NOW
from tests.lifecycle.harness import distinct_points, keys_world
from tests.lifecycle.providers import AWS_KEYS, ENTRA_SECRETS
from wardship.store import tables
from wardship.store.db import Database

KINDS = {"aws": AWS_KEYS, "entra": ENTRA_SECRETS}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty state database in one file, to copy: making its tables costs more than a rotation."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    db = Database(f"sqlite:///{path}", clock=lambda: NOW)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    with db.bookkeep() as conn:
        conn.exec_driver_sql("select 1")
    db.close()
    assert not path.with_suffix(".db-wal").exists()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_clean_run_ends_done_with_one_key(kind: str, template: Path, tmp_path: Path) -> None:
    world = keys_world(template, tmp_path / "w", KINDS[kind])
    assert world.drive() == "DONE"
    assert world.violations == []
    assert len(world.names) > 40


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_at_every_point_breaks_nothing(kind: str, template: Path, tmp_path: Path) -> None:
    clean = keys_world(template, tmp_path / "clean", KINDS[kind])
    clean.drive()
    kills = checks = 0
    points = distinct_points(clean.names)
    for point in points:
        world = keys_world(template, tmp_path / f"k{point}", KINDS[kind])
        world.drive(point)
        assert world.violations == [], f"killed at {point} = {clean.names[point - 1]}"
        kills, checks = kills + world.kills, checks + world.checks
    print(f"{kind}: {kills} kills, {checks} checks")
    assert kills == len(points)
