"""The periodic jobs of every workspace have handlers that work."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.jobs.conftest import Clock
from tests.store.seed import put
from wardship.jobs import schedule
from wardship.jobs.periodic import PERIODIC, handlers
from wardship.jobs.worker import Worker
from wardship.services import audit
from wardship.store import facts
from wardship.store.workspace import Workspace


def test_every_periodic_job_has_a_handler_and_a_name_of_its_own(tmp_path: Path, clock: Clock) -> None:
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        assert {one.kind for one in PERIODIC} <= set(handlers(ws))
    assert len({one.name for one in PERIODIC}) == len(PERIODIC)


def test_a_day_of_work_leaves_signed_checkpoints(tmp_path: Path, clock: Clock) -> None:
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        schedule.put(ws.db, PERIODIC)
        worker = Worker(ws.db, handlers(ws))
        clock.now += timedelta(hours=2)
        assert worker.run_due() == len(PERIODIC)
        report = audit.verify(ws)
        assert report.ok
        assert report.signed_size == report.entries > 0


def test_old_snapshots_go_as_the_settings_say(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDSHIP_FACTS__KEEP_SNAPSHOTS", "2")
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        made = []
        for number in range(4):
            with ws.db.bookkeep() as conn:
                put(conn, "identity", f"u{number}")
            made.append(facts.write_snapshot(ws.db, ws.facts, as_of=clock(), scan_seq=number).id)
        schedule.put(ws.db, PERIODIC)
        clock.now += timedelta(hours=2)
        Worker(ws.db, handlers(ws)).run_due()
        assert {path.name for path in ws.facts.glob("[!.]*")} == set(made[2:])
