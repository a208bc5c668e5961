"""Entries: their exact form, their order under kill -9, and what appending costs."""

from __future__ import annotations

import hashlib
import json
import math
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW, ROOT
from wardship.store import audit_verify, checkpoint, tables
from wardship.store.audit import CHAIN_START, canonical, load_frontier
from wardship.store.db import Database
from wardship.store.keys import SigningKeys


def test_the_stored_form_is_fixed_to_the_byte(database: Database) -> None:
    with database.write("cli:ana") as writing:
        assert writing.audit("scan.started", "scan:ñ\n\x00", {"b": [1, None], "a": "é"}) == 0
        assert writing.audit("scan.done", "scan:1") == 1
    with database.read() as conn:
        first, second = conn.execute(sa.select(tables.audit).order_by(tables.audit.c.seq)).all()
    assert first.body == (
        '{"action":"scan.started","actor":"cli:ana","at":"2026-11-22T08:00:00+00:00",'
        '"details":{"a":"\\u00e9","b":[1,null]},"subject":"scan:\\u00f1\\n\\u0000"}'
    )
    leaves = [hashlib.sha256(b"\x00" + row.body.encode()).digest() for row in (first, second)]
    assert [first.leaf, second.leaf] == leaves
    assert first.prev == bytes(32) == CHAIN_START
    assert second.prev == hashlib.sha256(bytes(32) + leaves[0]).digest()
    with database.read() as conn:
        frontier, chain = load_frontier(conn)
    assert frontier.root() == hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    assert chain == hashlib.sha256(second.prev + leaves[1]).digest()


def test_what_has_no_one_json_form_is_refused(database: Database) -> None:
    assert canonical({"b": 1, "a": "x"}) == '{"a":"x","b":1}'
    for details in ({"at": NOW}, {"x": math.nan}, {"raw": b"bytes"}):
        with pytest.raises((TypeError, ValueError)), database.write("t") as writing:
            writing.audit("a", "b", details)
    with database.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(tables.audit)) == 0


def test_appending_in_batches_is_fast(database: Database, record_property: pytest.RecordProperty) -> None:
    batches = 30
    begun = time.process_time()
    for batch in range(batches):
        with database.write("bench") as writing:
            for n in range(100):
                writing.audit("bench.append", f"identity:id_{batch}_{n}", {"n": n})
    spent = time.process_time() - begun  # CPU: the machine may be busy with other things
    per_second = int(batches * 100 / spent)
    record_property("appends_per_cpu_second", per_second)
    assert per_second > 5_000  # ten times that is usual; the target of 10,000/s is on a machine to itself


APPENDER = """
import itertools, sys
from datetime import UTC, datetime
from wardship.store.db import Database
db = Database(sys.argv[1], clock=lambda: datetime(2026, 11, 22, tzinfo=UTC))
for batch in itertools.count():
    with db.write("child") as writing:
        for n in range(7):
            seq = writing.audit("child.append", f"b{batch}", {"n": n})
    print(seq, flush=True)
"""


def test_kill_9_during_appends_leaves_a_log_that_verifies_with_all_that_was_answered(
    database: Database, tmp_path: Path
) -> None:
    keys = SigningKeys.create(tmp_path)
    url = database.url.render_as_string(hide_password=False)
    chance = random.Random(7)
    for _ in range(4):
        with (tmp_path / "answered").open("w+") as answered:
            child = subprocess.Popen([sys.executable, "-c", APPENDER, url], cwd=ROOT, stdout=answered)
            while not (tmp_path / "answered").read_text():
                assert child.poll() is None
                time.sleep(0.01)
            time.sleep(chance.random() * 0.2)
            child.kill()
            child.wait()
            last = int((tmp_path / "answered").read_text().rsplit("\n", 2)[-2])
        report = audit_verify.verify(database, [keys.public])
        assert report.problems == []
        assert report.entries >= last + 1
        assert report.entries % 7 == 0  # whole transactions only
        checkpoint.take(database, keys)
    assert audit_verify.verify(database, [keys.public]).signed_size > 0


def test_the_instants_of_entries_are_the_databases_clock(database_url: str) -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    db = Database(database_url, clock=lambda: at)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    with db.write("t") as writing:
        assert writing.at == at
        writing.audit("a", "b")
    with db.read() as conn:
        assert json.loads(conn.scalar(sa.select(tables.audit.c.body)) or "")["at"] == "2030-01-02T03:04:05+00:00"
    db.close()
