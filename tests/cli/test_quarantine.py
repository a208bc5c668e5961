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


MAPPING = """\
wardship_mapping: 1
name: hosts
source: {format: csv, dates: [FORM]}
system: {authority: "legacy:hosts", kind: legacy, name: Hosts}
identities:
  - {id: account, name: account, created_at: made}
"""


def test_rows_of_an_import_are_replayed_with_a_better_mapping(run: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("account,made\nsvc1,2024-01-31\nsvc2,31/01/2024\n", encoding="utf-8")
    (tmp_path / "m.yaml").write_text(MAPPING.replace("FORM", "yyyy-mm-dd"), encoding="utf-8")
    assert run("import", "file", "a.csv", "mapping=m.yaml", "-w", "w").code == 3
    assert len(json.loads(run("quarantine", "list", "-w", "w", "-o", "json").out)) == 1
    assert "0 records could be read now, 1 still cannot" in run("quarantine", "replay", "-w", "w").out
    (tmp_path / "m.yaml").write_text(MAPPING.replace("FORM", "yyyy-mm-dd, dd/mm/yyyy"), encoding="utf-8")
    ran = run("quarantine", "replay", "--set", "mapping=m.yaml", "-w", "w")
    assert (ran.code, "1 records could be read now, 0 still cannot" in ran.out) == (0, True), ran
    names = {row["name"] for row in json.loads(run("inventory", "-w", "w", "-o", "json").out)}
    assert names == {"svc1", "svc2"}
