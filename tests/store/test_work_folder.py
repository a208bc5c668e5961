"""Temporary files go with their process, however it ends."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wardship.store.engine import DuckDbEngine, Table
from wardship.store.work_folder import work_folder


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with work_folder(tmp_path) as folder, work_folder(tmp_path) as other:
        assert folder != other
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "rows.jsonl").write_text("{}")
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from wardship.store.engine import DuckDbEngine
engine = DuckDbEngine([], memory_limit="128MB", spill=Path(sys.argv[1]))
for row in engine.query("SELECT md5(range::VARCHAR) AS m FROM range(6000000) ORDER BY m", {}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_query_spilled_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert any(one.is_file() and one.stat().st_size for one in tmp_path.rglob("*.tmp"))
    with DuckDbEngine([Table(name="event", columns={"uid": "VARCHAR"})], spill=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_begins_meanwhile_does_not_clear_it_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the making of the lock's file and the lock itself: without its lock, the folder would stay for ever."""
    flock, raced = fcntl.flock, []

    def racing(handle: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not raced:
            raced.append(handle)
            with work_folder(tmp_path):
                pass
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", racing)
    with work_folder(tmp_path) as folder:
        assert folder.with_suffix(".lock").exists()
        assert raced
    assert list(tmp_path.iterdir()) == []
