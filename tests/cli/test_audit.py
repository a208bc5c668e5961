"""audit: log, verify, export."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.cli.conftest import Command


def test_the_log_is_genuine_and_is_exported_once(run: Command, demo: Path, tmp_path: Path) -> None:
    assert run("audit", "verify", "-w", demo).code == 0
    assert run("audit", "export", tmp_path / "out", "--proof", "0", "-w", demo).code == 0
    assert (tmp_path / "out" / "verify_audit.sh").exists()
    assert run("audit", "export", tmp_path / "out", "-w", demo).code == 2


def test_pages_of_the_log_join(run: Command, demo: Path) -> None:
    first = json.loads(run("audit", "log", "-w", demo, "--after", "-1", "--limit", "3", "-o", "json").out)
    rest = json.loads(run("audit", "log", "-w", demo, "--after", "2", "--limit", "3", "-o", "json").out)
    assert [entry["seq"] for entry in first + rest] == [0, 1, 2, 3, 4, 5]


def test_a_changed_entry_is_not_genuine(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    assert run("connect", "add", "aws", "prod", "-w", "w").code == 0
    with sqlite3.connect(Path("w/state.db")) as db:
        triggers = [row[0] for row in db.execute("select name from sqlite_master where type = 'trigger'")]
        for name in triggers:
            db.execute(f'drop trigger "{name}"')
        db.execute("update audit set body = replace(body, 'prod', 'evil') where seq = 1")
    db.close()
    ran = run("audit", "verify", "-w", "w")
    assert ran.code == 3
    assert "NOT GENUINE" in ran.out
