"""What people do with the audit log."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.services import audit
from wardship.store.workspace import Workspace


@pytest.fixture
def ws(tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        with ws.db.write("cli:ana") as writing:
            for n in range(5):
                writing.audit("thing.done", f"thing:{n}", {"n": n})
        yield ws


def test_entries_come_newest_first_or_onwards_from_one(ws: Workspace) -> None:
    assert [entry.seq for entry in audit.entries(ws, limit=2)] == [5, 4]
    onwards = audit.entries(ws, limit=2, after=1)
    assert [entry.seq for entry in onwards] == [2, 3]
    assert onwards[0] == audit.AuditEntry(
        seq=2, at=NOW, actor="cli:ana", action="thing.done", subject="thing:1", details={"n": 1}
    )


def test_verifying_says_what_weakens_the_proof(ws: Workspace) -> None:
    report = audit.verify(ws)
    assert (report.ok, report.entries) == (True, 6)
    assert "6 entries are not signed yet" in report.remarks
    assert "another machine" in report.remarks[-1]
    assert audit.checkpoint(ws) is not None
    assert len(audit.verify(ws).remarks) == 1


def test_an_export_is_itself_an_entry_and_passes_the_script(ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    assert audit.export(ws, folder, "cli:eva", [3]) == 7
    newest = audit.entries(ws, limit=1)[0]
    assert (newest.actor, newest.action, newest.details) == (
        "cli:eva",
        "audit.exported",
        {"folder": "evidence", "proofs": [3]},
    )
    for options in ([], ["--entry", "3"]):
        done = subprocess.run(["sh", folder / "verify_audit.sh", folder, *options], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
