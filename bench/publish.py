"""A scan of a simulated provider into SQLite and PostgreSQL: what a row costs, how it grows, who has to wait.

Floor in the same run: the same rows, already made, put into one plain SQLite table by `executemany`. Both sides must
hold the same ids. While the scan runs, another process approves again and again: the slowest of these is the wait of
a person. CPU is the scan's own; what the PostgreSQL server spends beside it is told apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench import harness
from bench.provider import ROWS_EACH, Provider
from wardship.ingest.record import row_of
from wardship.ingest.scan import run_scan
from wardship.store import tables
from wardship.store.db import Database

SIZES, LARGE_SIZES = (3_000, 10_000, 30_000), (10_000, 30_000, 100_000)


def run() -> None:
    sizes = LARGE_SIZES if harness.large() else SIZES
    rows: list[list[object]] = []
    floors = {size: _floor(size) for size in sizes}
    for kind in ("sqlite", "postgresql"):
        server = harness.server("postgres") if kind == "postgresql" else ""
        if server is None:
            continue
        spent = []
        for size in sizes:
            with _database(kind, server) as url:
                cost, slowest, approvals = _scanned(url, size)
                _check_same(url, floors[size])
            told = cost.figures
            spent.append(told["cpu_s"])
            floor = floors[size].figures["cpu_s"]
            rows.append(
                [kind, size, told["cpu_s"], round(size * ROWS_EACH / told["cpu_s"]), told["server_cpu_s"] or "-",
                 told["cpu_s"] / floor, cost.wall_s, round(cost.peak_mb), slowest, approvals]
            )  # fmt: skip
        rows.append([kind, "exponent", harness.exponent(sizes, spent), "", "", "", "", "", "", ""])
    for size in sizes:
        told = floors[size].figures
        rows.append(["floor", size, told["cpu_s"], round(size * ROWS_EACH / told["cpu_s"]), "", 1.0, "", "", "", ""])
    harness.table(
        ["", "identities", "CPU s", "rows/CPU s", "server CPU s", "x floor", "wall s", "peak MB", "slowest approval s",
         "approvals"],
        rows,
    )  # fmt: skip


def _scanned(url: str, size: int) -> tuple[harness.Cost, float, int]:
    """What the scan cost, the slowest approval meanwhile in seconds, and how many there were."""
    waits: list[float] = []
    over = threading.Event()

    def approve() -> None:
        db = Database(url, clock=lambda: datetime.now(UTC))
        while not over.wait(0.05):
            began = time.monotonic()
            with db.write("ann") as write:
                write.audit("plan.approved", f"plan-{len(waits)}")
            waits.append(time.monotonic() - began)
        db.close()

    approver = threading.Thread(target=approve)
    approver.start()
    try:
        cost = harness.python("bench.publish", "scan", url, str(size))
    finally:
        over.set()
        approver.join()
    return cost, max(waits), len(waits)


def _floor(size: int) -> harness.Cost:
    with tempfile.TemporaryDirectory() as folder:
        return harness.python("bench.publish", "floor", f"{folder}/plain.db", str(size))


def _check_same(url: str, floor: harness.Cost) -> None:
    engine = sa.create_engine(sa.make_url(url))
    with engine.connect() as conn:
        held = harness.digest(uid for table in tables.CURRENT.values() for uid in conn.scalars(sa.select(table.c.uid)))
    engine.dispose()
    if held != floor.figures["digest"]:
        raise ValueError(f"the scan holds {held}, the provider has {floor.figures['digest']}")


@contextlib.contextmanager
def _database(kind: str, server: str) -> Iterator[str]:
    """An empty state database with all tables, gone afterwards."""
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/state.db"
        else:
            url = stack.enter_context(_postgresql(server))
        db = Database(url, clock=lambda: datetime.now(UTC))
        with db.bookkeep() as conn:
            tables.metadata.create_all(conn)
        db.close()
        yield url


@contextlib.contextmanager
def _postgresql(server: str) -> Iterator[str]:
    name = f"bench_{uuid.uuid4().hex[:12]}"
    base = sa.make_url(server).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql(f'create database "{name}" template template0')
    try:
        yield base.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as conn:
            conn.exec_driver_sql(f'drop database if exists "{name}" with (force)')
        admin.dispose()


# ------------------------------------------------------------------ in a process of its own


def _scan(url: str, size: int) -> dict[str, Any]:
    db = Database(url, clock=lambda: datetime.now(UTC))
    began = time.process_time()
    report = run_scan(db, Provider(size), connection_name="bench", actor="bench")
    spent = time.process_time() - began
    if report.status != "done":
        raise ValueError(f"the scan ended as {report.status}: {report.error}")
    server = None if db.is_sqlite else _server_cpu_s(db)
    db.close()
    return {"cpu_s": spent, "server_cpu_s": server}


def _server_cpu_s(db: Database) -> float:
    """CPU seconds of the server's processes that serve this database, from the kernel: they run on this machine."""
    with db.read() as conn:
        pids = conn.scalars(sa.text("select pid from pg_stat_activity where datname = current_database()")).all()
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _plain(path: str, size: int) -> dict[str, Any]:
    provider = Provider(size)
    scope = provider.scopes()[0]
    rows = []
    for item in range(size):
        for record in provider.parse(scope, item):
            family, row = row_of(record)
            rows.append((row["uid"], family, json.dumps(row, default=str)))
    db = sqlite3.connect(path)
    db.execute("pragma journal_mode=wal")
    db.execute("create table plain (uid text primary key, family text, body text) without rowid")
    began = time.process_time()
    with db:
        db.executemany("insert into plain values (?, ?, ?)", rows)
    spent = time.process_time() - began
    db.close()
    return {"cpu_s": spent, "digest": harness.digest(row[0] for row in rows)}


if __name__ == "__main__":
    print(json.dumps({"scan": _scan, "floor": _plain}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
