"""A genuine log verifies; every falsified one does not, and the report says where."""

from __future__ import annotations

import random
import resource
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.store import tampering
from wardship.store import audit_verify, checkpoint, tables
from wardship.store.audit_verify import AuditReport
from wardship.store.db import Database
from wardship.store.keys import SigningKeys

ENTRIES = 24


def write_log(db: Database, keys: SigningKeys, copy: Path) -> None:
    """24 entries under three checkpoints, all copied."""
    for part in range(3):
        with db.write("tester") as writing:
            for n in range(ENTRIES // 3):
                writing.audit("thing.done", f"thing:{part}.{n}", {"n": n})
        assert checkpoint.take(db, keys, [copy]) is not None


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys.create(tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.jsonl"


def kinds(report: AuditReport) -> set[str]:
    return {problem.kind for problem in report.problems}


def test_a_genuine_log_has_no_problem(database: Database, keys: SigningKeys, copy: Path) -> None:
    write_log(database, keys, copy)
    report = audit_verify.verify(database, [keys.public], [copy])
    assert (report.ok, report.problems, report.remarks) == (True, [], [])
    assert (report.entries, report.checkpoints, report.signed_size, report.copied_size) == (24, 3, 24, 24)
    with database.write("tester") as writing:
        writing.audit("thing.done", "thing:more")
    report = audit_verify.verify(database, [keys.public], [copy])
    assert report.ok
    assert report.remarks == ["1 entries are not signed yet"]


def test_an_empty_log_is_genuine(database: Database, keys: SigningKeys) -> None:
    report = audit_verify.verify(database, [keys.public])
    assert (report.ok, report.entries) == (True, 0)


def test_a_thousand_falsifications_are_all_noticed(
    tmp_path: Path, clock: Callable[[], datetime], keys: SigningKeys, copy: Path
) -> None:
    genuine = tmp_path / "genuine.db"
    db = Database(f"sqlite:///{genuine}", clock=clock)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    write_log(db, keys, copy)
    db.close()
    chance = random.Random(20261122)
    noticed: Counter[str] = Counter()
    for n in range(1000):
        change = tampering.CHANGES[n % len(tampering.CHANGES)]
        path = tmp_path / "falsified.db"
        for old in tmp_path.glob("falsified.db*"):
            old.unlink()
        shutil.copyfile(genuine, path)
        done = tampering.falsify(str(path), change, chance)
        falsified = Database(f"sqlite:///{path}", clock=clock)
        report = audit_verify.verify(falsified, [keys.public], [copy])
        falsified.close()
        assert not report.ok, done
        assert "trigger" not in kinds(report), "noticed by its tools, not by its content"
        noticed[change.__name__] += 1
    assert sum(noticed.values()) == 1000


def falsify(db: Database, *statements: sa.Executable) -> None:
    """Runs `statements` with the triggers out of the way, on either database."""
    with db.bookkeep() as conn:
        for table in ("audit", "audit_checkpoint"):
            if db.is_sqlite:
                for verb in ("update", "delete"):
                    conn.exec_driver_sql(f"drop trigger {table}_append_only_{verb}")
            else:
                conn.exec_driver_sql(f"alter table {table} disable trigger all")
        for statement in statements:
            conn.execute(statement)
        for table in ("audit", "audit_checkpoint"):
            if db.is_sqlite:
                for ddl in tampering.append_only_ddl(table, "sqlite"):
                    conn.exec_driver_sql(ddl)
            else:
                conn.exec_driver_sql(f"alter table {table} enable trigger all")


audit = tables.audit
CASES: list[tuple[str, list[sa.Executable], set[str], int | None]] = [
    ("body", [audit.update().where(audit.c.seq == 5).values(body="{}")], {"body", "checkpoint", "copy"}, 5),
    ("leaf", [audit.update().where(audit.c.seq == 5).values(leaf=bytes(32))], {"body"}, 5),
    ("chain", [audit.update().where(audit.c.seq == 5).values(prev=bytes(32))], {"chain"}, 5),
    ("gap", [audit.delete().where(audit.c.seq == 5)], {"sequence", "truncated", "rollback"}, 5),
    ("end", [audit.delete().where(audit.c.seq >= 20)], {"truncated", "rollback", "frontier"}, 20),
    ("all", [audit.delete()], {"truncated", "rollback", "frontier"}, 0),
    ("frontier", [tables.audit_frontier.update().values(nodes='["00"]')], {"frontier"}, None),
    ("no frontier", [tables.audit_frontier.update().values(nodes="broken")], {"frontier"}, None),
    ("note", [tables.audit_checkpoint.update().values(note="x\n24\nAAAA\n")], {"checkpoint"}, None),
    ("signature", [tables.audit_checkpoint.update().values(ed25519=bytes(64))], {"checkpoint"}, 8),
    ("second signature", [tables.audit_checkpoint.update().values(ecdsa=bytes(70))], {"checkpoint"}, 8),
    ("key", [tables.audit_checkpoint.update().values(key_id="0" * 32)], {"checkpoint"}, 8),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_the_report_says_what_is_wrong_and_where(
    case: tuple[str, list[sa.Executable], set[str], int | None], database: Database, keys: SigningKeys, copy: Path
) -> None:
    _name, statements, wanted, at = case
    write_log(database, keys, copy)
    falsify(database, *statements)
    report = audit_verify.verify(database, [keys.public], [copy])
    assert wanted <= kinds(report)
    assert report.problems[0].at == at


def test_an_older_backup_in_place_is_noticed_by_the_copy_alone(
    database: Database, keys: SigningKeys, copy: Path
) -> None:
    """The database is as it was genuinely once: only what is kept elsewhere can tell."""
    write_log(database, keys, copy)
    checkpoints = tables.audit_checkpoint
    with database.read() as conn:
        bodies = list(conn.scalars(sa.select(audit.c.body).where(audit.c.seq < 8).order_by(audit.c.seq)))
        chain = conn.scalar(sa.select(audit.c.prev).where(audit.c.seq == 8))
    old = tampering.Frontier()
    for body in bodies:
        old.append(tampering.leaf_hash(body.encode()))
    nodes = tampering.json.dumps([node.hex() for node in old.nodes])
    falsify(
        database,
        audit.delete().where(audit.c.seq >= 8),
        checkpoints.delete().where(checkpoints.c.size > 8),
        tables.audit_frontier.update().values(size=8, nodes=nodes, chain=chain),
    )
    assert audit_verify.verify(database, [keys.public]).ok
    assert kinds(audit_verify.verify(database, [keys.public], [copy])) == {"rollback"}


def test_a_missing_trigger_is_a_problem(database: Database, keys: SigningKeys) -> None:
    with database.bookkeep() as conn:
        name = "audit_append_only_delete" if database.is_sqlite else "audit_append_only on audit"
        conn.exec_driver_sql(f"drop trigger {name}")
    assert kinds(audit_verify.verify(database, [keys.public])) == {"trigger"}


def test_keys_that_were_replaced_are_noticed_by_who_holds_the_genuine_ones(
    database: Database, keys: SigningKeys, copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    write_log(database, SigningKeys.create(tmp_path / "other"), copy)
    assert kinds(audit_verify.verify(database, [keys.public])) == {"checkpoint"}


def test_thousands_of_problems_do_not_fill_the_memory(database: Database, keys: SigningKeys) -> None:
    with database.write("tester") as writing:
        for n in range(3000):
            writing.audit("thing.done", f"thing:{n}", {"text": "x" * 500})
    falsify(database, audit.update().values(leaf=bytes(32)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = audit_verify.verify(database, [keys.public])
    assert (len(report.problems), report.count) == (100, 3000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
