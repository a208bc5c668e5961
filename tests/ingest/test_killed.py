"""Kill -9 during scans: the next run goes on, nothing is lost, nothing alive is gone, no version is written twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import ROOT
from tests.ingest.conftest import all_versions, assert_current_is_newest_version
from wardship.store import tables
from wardship.store.db import Database

EDGES = 400  # more than one scan has


def scan_process(db: Database, state: Path, edge: int) -> bool:
    """Runs a scan that is killed at `edge`; True when it came to its end."""
    url = db.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-m", "tests.ingest.killed", url, str(state), str(edge)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


def facts(db: Database) -> dict[str, Counter[object]]:
    """What the inventory says, without instants and scans: it must not depend on kills."""
    with db.read() as conn:
        found: dict[str, Counter[object]] = {}
        for family, current in tables.CURRENT.items():
            columns = [current.c[name] for name in ("uid", "content_hash", "presence", "misses", "scope_key")]
            found[family] = Counter(tuple(row) for row in conn.execute(sa.select(*columns)))
            version = tables.VERSION[family]
            told = conn.execute(sa.select(version.c.uid, version.c.change, version.c.content_hash))
            found[f"{family}_version"] = Counter(tuple(row) for row in told)
        found["resolution"] = Counter(tuple(row) for row in conn.execute(sa.select(tables.resolution)))
        found["scans"] = Counter(conn.execute(sa.select(tables.scan.c.status)).scalars())
        return found


def closed_scans(db: Database) -> int:
    with db.read() as conn:
        return conn.scalar(sa.select(sa.func.count()).where(tables.scan.c.status != "running")) or 0


def write(state: Path, *, without: str = "") -> None:
    names = {str(account): [f"a{account}{n}" for n in range(11) if f"a{account}{n}" != without] for account in (1, 2)}
    state.write_text(json.dumps(names), encoding="utf-8")


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, Counter[object]]:
    """The facts after three scans that nobody killed: all there, one object missing, gone."""
    from datetime import UTC, datetime

    db = Database(f"sqlite:///{tmp_path}/calm.db", clock=lambda: datetime.now(UTC))
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    state = tmp_path / "calm.json"
    for without in ("", "a13", "a13"):
        write(state, without=without)
        assert scan_process(db, state, 0)
    found = facts(db)
    db.close()
    return found


def test_killed_at_random_until_done(database: Database, tmp_path: Path, expected: dict[str, Counter[object]]) -> None:
    """Three scans, each killed a few times at random edges, say what three calm scans say."""
    rng = random.Random(7)
    state = tmp_path / "objects.json"
    kills = 0
    for without in ("", "a13", "a13"):
        write(state, without=without)
        for _ in range(4):
            if scan_process(database, state, rng.randrange(1, 60)):
                break
            kills += 1
            with database.read() as conn:
                identity = tables.CURRENT["identity"]
                gone = conn.execute(sa.select(identity.c.native_id).where(identity.c.presence == "gone")).scalars()
                assert set(gone) <= {"a13"}
        else:
            assert scan_process(database, state, 0)
    assert kills >= 3
    assert facts(database) == expected
    assert_current_is_newest_version(database)


@pytest.mark.chaos
def test_killed_at_every_edge(database: Database, tmp_path: Path, expected: dict[str, Counter[object]]) -> None:
    """The second scan (which marks) is killed at every edge in turn; each time the run after it completes it."""
    state = tmp_path / "objects.json"
    kills = 0
    for edge in range(1, EDGES):
        with database.bookkeep() as conn:
            tables.metadata.drop_all(conn)
            tables.metadata.create_all(conn)
        write(state)
        assert scan_process(database, state, 0)
        write(state, without="a13")
        ended = scan_process(database, state, edge)
        kills += not ended
        if closed_scans(database) < 2:  # killed after its last word, the scan needs no second run
            assert scan_process(database, state, 0)
        before = all_versions(database)
        assert scan_process(database, state, 0)
        assert all_versions(database) - before == 4, "identity, credential, grant and owner become gone"
        assert facts(database) == expected
        if ended:
            print(f"{kills} edges, each killed once")
            assert kills > 30
            return
    raise AssertionError(f"a scan has more than {EDGES} edges")
