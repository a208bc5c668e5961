"""A refresh that is killed anywhere leaves what the next one completes: each event is judged, none twice."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import NOW, ROOT
from tests.ingest.telemetry.test_killed import ALL, logs
from tests.ingest.telemetry.tiny import uids
from tests.lake import publish
from tests.services.detecting import detection
from wardship.services import usage
from wardship.store import alert_tables
from wardship.store.facts import latest_snapshot
from wardship.store.workspace import SETTINGS_FILE, Workspace


def made(folder: Path) -> Path:
    """A workspace in which an actor wakes up twice, in three batches of three days."""
    with Workspace.create(folder, clock=lambda: NOW) as ws:
        for day in ("2026-01-10", "2026-06-20", "2026-11-20"):
            publish(ws.db, ws.activity, [{"time": f"{day}T03:00:00", "uid": day}])
    (folder / "policy.yaml").write_text("alert_days: 400\n")
    with (folder / SETTINGS_FILE).open("a") as settings:
        settings.write("policy: policy.yaml\n")
    return folder


def refresh(folder: Path, edge: int, what: str = "events") -> int:
    """Refreshes in another process, killed at `edge`; the edges that it passed, 0: it was killed."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.services.killed", str(folder), str(edge), what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode in (0, -9), ran.stderr
    return int(ran.stdout.split()[1]) if ran.stdout else 0


def told(folder: Path) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], int]:
    with Workspace.open(folder, clock=lambda: NOW) as ws, ws.db.read() as conn:
        tables = (alert_tables.signal, alert_tables.alert)
        signals, alerts = (list(conn.execute(sa.select(one).order_by(one.c.uid)).mappings()) for one in tables)
        state = usage.current(ws)
    return signals, alerts, state.batch


# Judging commits under the lease: take, state, judge, state, ... These edges lie before and after each of the three.
@pytest.mark.parametrize("edges", [(3, 5), (9, 14), (18, 25)])
def test_killed_twice_and_run_again_it_has_judged_everything_once(tmp_path: Path, edges: tuple[int, int]) -> None:
    folder = made(tmp_path / "whole")
    shutil.copytree(folder, tmp_path / "killed")
    assert refresh(folder, 0)
    for edge in edges:
        refresh(tmp_path / "killed", edge)
    assert refresh(tmp_path / "killed", 0)
    assert told(tmp_path / "killed") == told(folder)
    signals, _alerts, batch = told(folder)
    assert batch == 3
    assert sum(row["events"] for row in signals if row["detection"] == "use_after_inactivity") == 2


def facts(folder: Path) -> str | None:
    """The id of the newest facts; None: there are none yet."""
    with Workspace.open(folder, clock=lambda: NOW) as ws:
        newest = latest_snapshot(ws.db, ws.facts)
        return newest.id if newest is not None else None


def test_facts_that_a_killed_run_owed_are_written_by_the_next(tmp_path: Path) -> None:
    """Nothing is left to be judged then, and still the facts do not know of the use."""
    folder = made(tmp_path / "killed")
    judging = refresh(made(tmp_path / "whole"), 0)
    assert refresh(folder, judging + 1, "both") == 0
    assert told(folder)[2] == 3  # all was judged and counted
    assert facts(folder) is None
    assert refresh(folder, 0, "both")
    assert facts(folder) is not None


@pytest.mark.chaos
def test_killed_at_every_edge(tmp_path: Path) -> None:
    """One edge after the other; each time the run after it goes on from there."""
    folder = made(tmp_path / "whole")
    shutil.copytree(folder, tmp_path / "killed")
    assert refresh(folder, 0, "both")
    edges = next(edge for edge in range(1, 400) if refresh(tmp_path / "killed", edge, "both"))
    print(f"done at edge {edges}")
    assert told(tmp_path / "killed") == told(folder)
    assert facts(tmp_path / "killed") == facts(folder)


@pytest.mark.chaos
def test_all_at_once_and_killed_at_random_each_event_is_judged_once(tmp_path: Path) -> None:
    folder, rng, kills = tmp_path / "ws", random.Random(5), 0
    with Workspace.create(folder, clock=lambda: NOW) as ws:
        url = ws.db.url.render_as_string(hide_password=False)
    detection(folder / "detections", "reads", "e.service = 'tiny'")
    files = [str(one) for one in logs(tmp_path / "logs")]

    def start(module: str, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, *words]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def work(last: int) -> list[subprocess.Popen[str]]:
        """Two imports, a compaction and two refreshes; each killed at some edge up to `last`, 0: none."""
        edges = [str(rng.randint(1, last)) if last else "0" for _ in range(5)]
        lake = "tests.ingest.telemetry.killed"
        return [
            start(lake, str(folder), url, "import", edges[0], *files),
            start(lake, str(folder), url, "import", edges[1], *files[::-1]),
            start(lake, str(folder), url, "compact", edges[2]),
            start("tests.services.killed", str(folder), edges[3], "events"),
            start("tests.services.killed", str(folder), edges[4], "events"),
        ]

    for _ in range(10):
        for one in work(40):
            _out, said = one.communicate(timeout=300)
            kills += one.returncode == -9
            assert one.returncode in (0, -9) or "Conflict" in said, said  # a refresh beside another says so
    for one in work(0)[:3]:
        assert one.wait(300) == 0
    assert refresh(folder, 0)
    with Workspace.open(folder, clock=lambda: NOW) as ws:
        assert uids(ws) == ALL
        assert [path.name for path in ws.tmp.iterdir()] == []
    signals, _alerts, _batch = told(folder)
    assert kills > 10
    assert sum(row["events"] for row in signals if row["detection"] == "reads") == len(ALL)
