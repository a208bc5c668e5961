"""quarantine: what could not be read is listed, kept and tried again."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def test_nothing_bad_is_said_plainly(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    assert "could be read" in run("quarantine", "list", "-w", "w").out
    assert run("quarantine", "replay", "-w", "w").code == 0


def test_a_bad_record_is_quarantined_and_the_rest_is_read(run: Command, tmp_path: Path) -> None:
    good = {"Path": "/", "UserName": "svc", "UserId": "AIDA1", "CreateDate": "2020-01-01T00:00:00+00:00",
            "Arn": "arn:aws:iam::123456789012:user/svc", "GroupList": [], "AttachedManagedPolicies": []}  # fmt: skip
    told = {"UserDetailList": [good, {"UserName": 5}], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    (tmp_path / "d.json").write_text(json.dumps(told), encoding="utf-8")
    assert run("import", "aws", tmp_path / "d.json", "-w", "w").code == 3
    assert [row["name"] for row in json.loads(run("inventory", "-w", "w", "-o", "json").out)] == ["svc"]
    kept = json.loads(run("quarantine", "list", "-w", "w", "-o", "json").out)
    assert len(kept) == 1
    assert kept[0]["times"] == 1
