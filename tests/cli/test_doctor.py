"""doctor: a healthy workspace, open keys, and a report without anybody's data."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def test_a_new_workspace_is_in_order(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    ran = run("doctor", "-w", "w", "-o", "json")
    assert ran.code == 0, ran.out


def test_a_key_that_others_can_read_is_named_with_the_remedy(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    Path("w/keys/pepper").chmod(0o644)
    ran = run("doctor", "-w", "w", "-o", "json")
    assert ran.code == 3
    wrong = [row for row in json.loads(ran.out) if row["ok"] is False]
    assert [row["check"] for row in wrong] == ["rights"]
    assert "chmod" in wrong[0]["advice"]


def test_a_changed_snapshot_is_noticed(run: Command, tmp_path: Path) -> None:
    assert run("demo", "--size", "s", "-w", "w", "-q").code == 0
    newest = max(Path("w/facts").glob("*/identity.parquet"), key=lambda path: path.stat().st_mtime)
    newest.chmod(0o600)
    newest.write_bytes(newest.read_bytes()[:-200])
    ran = run("doctor", "-w", "w", "-o", "json")
    assert next(row for row in json.loads(ran.out) if row["check"] == "facts")["ok"] is False


def test_the_report_names_nobody(run: Command, demo: Path) -> None:
    assert run("doctor", "-w", demo, "--report").code in (0, 3)
    text = (demo / "exports" / "doctor-report.json").read_text(encoding="utf-8")
    assert json.loads(text)["wardship"]
    assert "Acme" not in text
    assert "arn:" not in text
