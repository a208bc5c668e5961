"""One writer, many readers, no write without an entry, and failures said plainly: on both databases."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW, ROOT
from wardship.model.errors import ConfigError, Unavailable
from wardship.store import audit_verify, tables
from wardship.store.db import Database

META = tables.meta


def put(db: Database, key: str, value: str = "v") -> None:
    with db.write("tester") as writing:
        writing.conn.execute(META.insert().values(key=key, value=value))
        writing.audit("meta.put", f"meta:{key}", {"n": 1})


def keys(db: Database) -> list[str]:
    with db.read() as conn:
        return list(conn.execute(sa.select(META.c.key).order_by(META.c.key)).scalars())


def entries(db: Database) -> list[dict[str, object]]:
    with db.read() as conn:
        return [json.loads(body) for body in conn.scalars(sa.select(tables.audit.c.body).order_by(tables.audit.c.seq))]


def test_a_write_and_its_entry_are_one(database: Database) -> None:
    put(database, "a")
    assert keys(database) == ["a"]
    assert entries(database) == [
        {"action": "meta.put", "actor": "tester", "at": NOW.isoformat(), "details": {"n": 1}, "subject": "meta:a"}
    ]
    assert database.audited == 1


def test_a_write_without_an_entry_is_refused_and_leaves_nothing(database: Database) -> None:
    with pytest.raises(AssertionError, match="without an audit entry"), database.write("tester") as writing:
        writing.conn.execute(META.insert().values(key="a", value="v"))
    assert keys(database) == []


def test_a_failed_write_leaves_neither_row_nor_entry_nor_gap(database: Database) -> None:
    put(database, "a")
    with pytest.raises(sa.exc.IntegrityError):
        put(database, "a")
    with contextlib.suppress(ZeroDivisionError), database.write("tester") as writing:
        writing.audit("meta.put", "meta:b")
        raise ZeroDivisionError
    put(database, "c")
    assert [entry["subject"] for entry in entries(database)] == ["meta:a", "meta:c"]
    assert database.audited == 2


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(Unavailable, match=r"(?i)read-?only"), database.read() as conn:
        conn.execute(META.insert().values(key="a", value="v"))
    assert keys(database) == []


def test_a_reader_sees_one_moment_and_holds_up_no_writer(database: Database) -> None:
    put(database, "a")
    with database.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(META)) == 1
        put(database, "b")
        assert conn.scalar(sa.select(sa.func.count()).select_from(META)) == 1
    assert keys(database) == ["a", "b"]


def test_what_a_writer_read_stays_true_until_it_commits(database: Database) -> None:
    """A counter is read and written back by threads of two processes' worth of databases: no increment is lost."""
    put(database, "n", "0")
    second = Database(database.url, clock=database.clock)

    def count(db: Database) -> None:
        for _ in range(10):
            with db.write("tester") as writing:
                value = int(writing.conn.scalar(sa.select(META.c.value)) or 0)
                writing.conn.execute(META.update().values(value=str(value + 1)))
                writing.audit("meta.counted", "meta:n")

    threads = [threading.Thread(target=count, args=(db,)) for db in (database, second, database, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as conn:
        assert conn.scalar(sa.select(META.c.value)) == "40"
        assert list(conn.scalars(sa.select(tables.audit.c.seq).order_by(tables.audit.c.seq))) == list(range(41))
    assert audit_verify.verify(database, []).ok
    second.close()


def test_a_write_inside_a_write_is_refused_at_once(database: Database) -> None:
    begun = time.monotonic()
    with database.write("tester") as writing:
        writing.audit("a", "b")
        with pytest.raises(AssertionError, match="inside another"), database.bookkeep():
            pass
        with database.read() as conn:
            assert conn.scalar(sa.select(sa.func.count()).select_from(META)) == 0
    assert time.monotonic() - begun < 5
    put(database, "after")


def test_a_writer_waits_and_then_says_who_is_in_the_way(database: Database) -> None:
    impatient = Database(database.url, clock=database.clock, lock_wait_s=0.2)
    with database.bookkeep(), pytest.raises(Unavailable) as caught, impatient.bookkeep():
        pass
    assert "another Wardship process is writing" in caught.value.advice
    put(impatient, "later")
    impatient.close()


def test_threads_of_one_process_queue_for_the_writer(database: Database) -> None:
    impatient = Database(database.url, clock=database.clock, lock_wait_s=0.2)
    told: list[str] = []

    def write() -> None:
        with pytest.raises(Unavailable) as caught, impatient.bookkeep():
            pass
        told.append(caught.value.advice)

    with impatient.bookkeep():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert "another Wardship process" in told[0]
    impatient.close()


def test_no_password_and_no_row_in_what_is_shown(database: Database, clock: Callable[[], datetime]) -> None:
    closed = Database("postgresql://user:hunter2@127.0.0.1:1/nowhere", clock=clock)
    assert "hunter2" not in repr(closed)
    with pytest.raises(Unavailable) as caught, closed.read():
        pass
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
    text = "provider" + "-text"  # put together here: a traceback shows the line itself
    put(database, "k", text)
    with pytest.raises(sa.exc.IntegrityError) as refused:
        put(database, "k", text)
    assert text not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "hunter2", "postgresql://u:hunter2@host:port:99/x"],
)
def test_an_unusable_url_is_refused_without_repeating_it(url: str, clock: Callable[[], datetime]) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url, clock=clock)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "PostgreSQL" in caught.value.advice


def made(tmp_path: Path, clock: Callable[[], datetime]) -> str:
    url = f"sqlite:///{tmp_path}/state.db"
    db = Database(url, clock=clock)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    put(db, "first")
    db.close()
    return url


def test_a_full_disk_stops_the_action_before_it_and_damages_nothing(
    tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    db = Database(made(tmp_path, clock), clock=clock)
    with db.bookkeep() as conn:  # the writer's one connection keeps the limit
        pages = conn.exec_driver_sql("pragma page_count").scalar_one()
        conn.exec_driver_sql(f"pragma max_page_count={pages + 4}")
    acted: list[str] = []

    def work() -> None:
        for n in itertools.count():
            put(db, f"k{n}", "x" * 500)
            acted.append(f"k{n}")  # the provider is called only after the commit

    with pytest.raises(Unavailable) as caught:
        work()
    assert "full" in caught.value.message
    assert "make room" in caught.value.advice
    assert len(acted) >= 1
    assert set(keys(db)) == {"first", *acted}
    report = audit_verify.verify(db, [])
    assert (report.ok, report.entries) == (True, len(acted) + 1)
    db.close()


LIMITED = """
import itertools, resource, signal, sys
from datetime import UTC, datetime
import sqlalchemy as sa
from wardship.model.errors import Unavailable
from wardship.store import tables
from wardship.store.db import Database
url, kind, limit = sys.argv[1], getattr(resource, sys.argv[2]), int(sys.argv[3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
db = Database(url, clock=lambda: datetime(2026, 11, 22, tzinfo=UTC))
with db.read() as conn:
    conn.scalar(sa.select(tables.meta.c.key))
resource.setrlimit(kind, (limit, limit))
try:
    for n in itertools.count():
        if sys.argv[2] == "RLIMIT_NOFILE":
            db.close()  # the next write must open the file again
        with db.write("child") as writing:
            writing.conn.execute(tables.meta.insert().values(key=f"k{n}", value="x" * 500))
            writing.audit("meta.put", f"meta:k{n}")
        print(f"k{n}")
except Unavailable as error:
    print(error.message, "|", error.advice, file=sys.stderr)
    sys.exit(7)
"""


@pytest.mark.parametrize(
    ("limit", "value", "advice"),
    [("RLIMIT_FSIZE", 600_000, "make room"), ("RLIMIT_NOFILE", 3, "workspace folder writable")],
)
def test_a_process_at_its_limits_stops_cleanly(
    limit: str, value: int, advice: str, tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    url = made(tmp_path, clock)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, url, limit, str(value)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, advice in done.stderr) == (7, True), done.stderr
    db = Database(url, clock=clock)
    assert set(keys(db)) == {"first", *done.stdout.split()}
    assert audit_verify.verify(db, []).ok
    put(db, "after")
    db.close()


def test_a_read_only_database_is_read_and_writing_is_refused_plainly(
    tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    made(tmp_path, clock)
    db = Database(f"sqlite:///file:{tmp_path}/state.db?mode=ro&uri=true", clock=clock)
    assert keys(db) == ["first"]
    with pytest.raises(Unavailable) as caught:
        put(db, "second")
    assert "readonly" in caught.value.message
    assert "workspace folder writable" in caught.value.advice
    assert keys(db) == ["first"]
    db.close()


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, clock: Callable[[], datetime]) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all" * 400)
    db = Database(f"sqlite:///{tmp_path}/state.db", clock=clock)
    with pytest.raises(Unavailable) as caught, db.read():
        pass
    assert "restore a backup" in caught.value.advice
    db.close()
