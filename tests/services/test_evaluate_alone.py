"""Judging is done by one process at a time, and one that is killed leaves findings that the next one completes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW, ROOT
from tests.store.seed import put
from wardship.model.errors import Conflict
from wardship.model.policy import Policy
from wardship.services import evaluate
from wardship.store import leases, tables
from wardship.store.db import Database
from wardship.store.engine import DuckDbEngine
from wardship.store.facts import write_snapshot
from wardship.store.workspace import Workspace

KEYS = 9


@pytest.fixture
def ws(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace of each kind with old keys: findings to open."""
    monkeypatch.setenv("TEST_STATE", database_url)
    reference = "env:TEST_STATE" if database_url.startswith("postgresql") else None
    with Workspace.create(tmp_path / "ws", reference, clock=lambda: NOW) as made:
        with made.db.bookkeep() as conn:
            for number in range(KEYS):
                holder = put(conn, "identity", f"u{number}", name=f"svc {number}")
                put(conn, "credential", f"k{number}", holder_uid=holder, created_at=NOW.replace(year=2024))
        yield made


def findings(db: Database) -> list[tuple[object, ...]]:
    table = tables.finding
    columns = (table.c.uid, table.c.state, table.c.content_hash, table.c.reopenings, table.c.snapshot_id)
    with db.read() as conn:
        return [tuple(row) for row in conn.execute(sa.select(*columns).order_by(table.c.uid))]


def assert_each_finding_has_its_versions(db: Database) -> None:
    """Killed or not: a finding is what its newest version says, and was opened once."""
    current, version = tables.finding, tables.finding_version
    names = ("uid", "state", "content_hash", "severity", "facts", "reason")
    newest = sa.select(sa.func.max(version.c.id)).group_by(version.c.uid)
    with db.read() as conn:
        now = {tuple(row) for row in conn.execute(sa.select(*(current.c[name] for name in names)))}
        told = sa.select(*(version.c[name] for name in names)).where(version.c.id.in_(newest))
        assert {tuple(row) for row in conn.execute(told)} == now
        opened = list(conn.scalars(sa.select(version.c.uid).where(version.c.change == "opened")))
    assert len(opened) == len(set(opened))


def test_the_second_waits_for_the_first_and_both_end(ws: Workspace) -> None:
    done: list[evaluate.Evaluation] = []
    threads = [
        threading.Thread(target=lambda: done.append(evaluate.evaluate(ws, actor="test", scan_seq=1))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.opened for one in done) == [0, len(findings(ws.db))]
    assert len(findings(ws.db)) >= KEYS
    assert_each_finding_has_its_versions(ws.db)


def test_who_waited_long_enough_is_told_plainly(ws: Workspace) -> None:
    with ws.db.bookkeep() as conn:
        assert leases.take(conn, "evaluate", leases.new_holder(), NOW)
    with pytest.raises(Conflict, match="another process is judging") as told:
        evaluate.evaluate(ws, actor="test", scan_seq=1, wait_s=0.3)
    assert "run this again" in told.value.advice
    assert findings(ws.db) == []


def test_who_was_replaced_writes_nothing(ws: Workspace) -> None:
    """As after a sleep longer than the lease lasts."""
    with ws.db.bookkeep() as conn:
        ours = leases.take(conn, "evaluate", leases.new_holder(), NOW)
        conn.execute(sa.update(tables.lease).values(expires_at=NOW))
        assert leases.take(conn, "evaluate", leases.new_holder(), NOW)
    snapshot, rules = write_snapshot(ws.db, ws.facts, as_of=NOW, scan_seq=1), evaluate.workspace_rules(ws)
    with DuckDbEngine(snapshot) as engine, pytest.raises(Conflict, match="taken over"):
        evaluate.judge(ws.db, snapshot, rules, Policy(), as_of=NOW, actor="test", engine=engine, lease=ours)
    assert findings(ws.db) == []


def test_killed_again_and_again_until_done(ws: Workspace) -> None:
    rng = random.Random(3)
    kills, edge = 0, 2
    while not judged(ws.path, edge):
        kills += 1
        assert_each_finding_has_its_versions(ws.db)
        edge += rng.randrange(4, 12)  # each gets a little further
    assert kills >= 3
    after_kills = findings(ws.db)
    again = evaluate.evaluate(ws, actor="test", scan_seq=1)
    assert (again.opened, again.changed, again.closed, again.reopened) == (0, 0, 0, 0)
    assert again.open == len(after_kills) >= KEYS
    assert findings(ws.db) == after_kills
    assert_each_finding_has_its_versions(ws.db)


def judged(folder: Path, edge: int) -> bool:
    """Judges in another process, killed at `edge`; True when it came to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.services.killed", str(folder), str(edge), "facts"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0
