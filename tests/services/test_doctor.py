"""doctor: every check says what it found and what to do; its report has shapes and no values."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa

from tests.conftest import NOW
from wardship.app import App
from wardship.services import doctor, inventory
from wardship.services.doctor import Check
from wardship.store import tables


def named(checks: list[Check], name: str) -> list[Check]:
    return [one for one in checks if one.check == name]


def test_what_is_wrong_has_advice_and_what_is_well_has_none(demo: App) -> None:
    checks = doctor.examine(demo.workspace)
    assert {one.check for one in checks} >= {"database", "rights", "disk", "facts", "newest scan", "quarantine"}
    assert all(one.advice for one in checks if one.ok is False)
    assert named(checks, "facts")[0].ok is True
    aws = next(one for one in named(checks, "newest scan") if one.detail.startswith("aws"))
    assert aws.ok is False, "one area could not be read"
    assert "coverage --unread" in str(aws.advice)


def test_old_scans_clock_skew_and_files_are_told_one_by_one(own_demo: App) -> None:
    table = tables.scan
    with own_demo.db.bookkeep() as conn:
        conn.execute(sa.update(table).where(table.c.connection == "entra").values(clock_skew_s=300.0))
        for seq in (108, 109):
            row = {"id": f"x{seq}", "seq": seq, "connection": f"import:aws:{seq:012}", "connector": "aws"}
            conn.execute(table.insert().values(**row, status="done", started_at=NOW))
    found = {one.detail.partition(":")[0]: one for one in named(doctor.examine(own_demo.workspace), "newest scan")}
    assert "differs from ours by 300 s" in found["entra"].detail
    imports = [one for one in named(doctor.examine(own_demo.workspace), "newest scan") if "import" in one.detail]
    assert len(imports) == 1, "of many imports only the newest is told"


def test_the_report_holds_shapes_and_no_value_of_the_customer(own_demo: App) -> None:
    item = json.dumps({"UserName": "payroll-robot", "Arn": "arn:aws:iam::123456789012:user/payroll-robot"})
    with own_demo.db.bookkeep() as conn:
        scan_id = conn.scalar(sa.select(tables.scan.c.id).limit(1))
        conn.execute(
            tables.quarantine.insert().values(
                scan_id=scan_id, scope_key="aws|aws:123456789012||iam.user", digest="d", item=item,
                reason="DataError: CreateDate is missing", times=1, first_at=NOW, last_at=NOW,
            )
        )  # fmt: skip
        conn.execute(
            tables.drift.insert().values(
                connector="aws", place="iam.user.Type", what="unknown value Robot", times=3, first_at=NOW, last_at=NOW
            )
        )
    checks = doctor.examine(own_demo.workspace)
    assert named(checks, "quarantine")[0].ok is False
    path = doctor.report(own_demo.workspace, checks)
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text(encoding="utf-8")
    told = json.loads(text)
    assert [one["place"] for one in told["drift"]].count("iam.user.Type") == 1
    assert {"reason": "DataError: CreateDate is missing", "rows": 1} in told["quarantine"]
    assert "payroll-robot" not in text
    assert "123456789012" not in text
    assert str(Path.home()) not in text
    with own_demo.facts() as facts:
        rows = list(inventory.everything(own_demo.db, facts, inventory.Filter(every=True)))
    for row in rows:
        assert row["uid"] not in text
        assert row["native_id"] not in text
        assert len(row["name"] or "") < 6 or row["name"] not in text
