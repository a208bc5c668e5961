"""What publishing costs other writers, and which answer about use stands. The rest: tests/ingest/test_scan.py."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from itertools import count

import pytest
import sqlalchemy as sa

from tests.ingest.provider import Provider, SimConnector, thing
from wardship.ingest.scan import Progress, run_scan
from wardship.model.access import Usage, UseState
from wardship.model.identity import uid_of
from wardship.model.scan import Scope
from wardship.sdk.connector import Record
from wardship.store import tables
from wardship.store.db import Database

ROWS = 100_000
MONDAY, FRIDAY = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 6, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 1, tzinfo=UTC)


def test_an_approval_during_a_large_publish_takes_less_than_a_second(database: Database) -> None:
    """100,000 staged rows are published while another connection approves, again and again."""
    database.clock = lambda: datetime.now(UTC)
    provider = Provider(page_size=5_000)
    provider.put(provider.scope("1"), *(thing(f"a{n}", keys=1, grants=()) for n in range(ROWS // 2)))
    publishing, over = threading.Event(), threading.Event()
    waits: list[float] = []
    cpu: list[float] = []

    def approve() -> None:
        publishing.wait(timeout=300)
        other = Database(database.url, clock=database.clock)
        for number in count():
            if over.is_set():
                break
            began = time.monotonic()
            with other.write("ann") as write:
                write.audit("plan.approved", f"plan-{number}")
            waits.append(time.monotonic() - began)
            time.sleep(0.02)
        other.close()

    def watch(progress: Progress) -> None:
        if progress.phase == "publishing":
            if not publishing.is_set():
                cpu.append(time.process_time())
            publishing.set()
        elif progress.phase == "done":
            cpu.append(time.process_time())
            over.set()

    approver = threading.Thread(target=approve)
    approver.start()
    report = run_scan(database, provider.connector(), connection_name="sim", actor="test", progress=watch)
    over.set()
    approver.join()
    assert report.changes["credential"] == {"appeared": ROWS // 2}
    print(
        f"{database.url.get_backend_name()}: {len(waits)} approvals during the publish of {ROWS} rows, "
        f"the longest {max(waits):.2f} s; {ROWS / (cpu[1] - cpu[0]):,.0f} rows per CPU second (both threads)"
    )
    assert len(waits) > 5
    assert max(waits) < 1.0


class Answering(SimConnector):
    """Says about the use of one identity what `answer` is."""

    answer = Usage(subject=("identity", "sim:1", "a"), source="sim", state=UseState.UNKNOWN)

    def parse(self, scope: Scope, item: object) -> list[Record]:
        return [*super().parse(scope, item), self.answer]


def use(state: UseState, last_used_at: datetime | None = None, since: datetime | None = None) -> Usage:
    return Usage(subject=("identity", "sim:1", "a"), source="sim", state=state, last_used_at=last_used_at, since=since)


USED, NEVER, UNKNOWN = UseState.USED, UseState.NEVER, UseState.UNKNOWN


@pytest.mark.parametrize(
    ("answers", "stands"),
    [
        ([use(UNKNOWN), use(USED, MONDAY)], (USED, MONDAY)),
        ([use(USED, MONDAY), use(USED, FRIDAY)], (USED, FRIDAY)),
        ([use(USED, MONDAY), use(UNKNOWN)], (USED, MONDAY)),
        ([use(NEVER), use(UNKNOWN)], (UNKNOWN, None)),
        ([use(UNKNOWN), use(NEVER)], (NEVER, None)),
        ([use(USED, MONDAY), use(NEVER)], (USED, MONDAY)),
        ([use(USED, MONDAY), use(NEVER, since=FRIDAY)], (USED, MONDAY)),
        ([use(USED, MONDAY), use(NEVER, since=SUNDAY)], (USED, MONDAY)),
        ([use(USED, FRIDAY), use(USED, MONDAY)], (USED, MONDAY)),
    ],
)
def test_the_newest_answer_stands_but_no_answer_makes_a_use_undone(
    database: Database, answers: list[Usage], stands: tuple[UseState, datetime | None]
) -> None:
    provider = Provider()
    provider.put(provider.scope("1"), thing("a"))
    for answer in answers:
        connector = Answering(provider)
        connector.answer = answer
        run_scan(database, connector, connection_name="sim", actor="test")
    with database.read() as conn:
        row = conn.execute(sa.select(tables.usage)).one()
    assert (row.state, row.last_used_at) == stands
    assert row.subject_uid == uid_of("identity", "sim:1", "a")
