"""The manifest: what is listed is true, what went is kept for a while, what nobody lists is swept."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.model.errors import Conflict
from wardship.store import telemetry
from wardship.store.db import Database
from wardship.store.telemetry import NewFile, Publication, Stale, Step, Unreadable, Window

DAY = date(2026, 11, 20)


def file(lake: Path, day: date = DAY, *, batch: int = 1, source: str = "s.one") -> NewFile:
    path = telemetry.new_path(source, day)
    (lake / path).parent.mkdir(parents=True, exist_ok=True)
    (lake / path).write_bytes(b"events")
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return NewFile(
        path=path, source=source, day=day, rows=3, size_bytes=6, digest="d", first_at=at, last_at=at, batches=[batch]
    )  # fmt: skip


def publish(db: Database, *files: NewFile, steps: tuple[Step, ...] = (), seen: frozenset[int] | None = None) -> None:
    if seen is None:
        seen = frozenset(one.id for one in telemetry.live_files(db))
    batch, source = telemetry.next_batch(db), files[0].source if files else "s.one"
    telemetry.publish(db, "t", Publication(source=source, batch=batch, files=files, steps=steps, seen=seen))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "activity"


def age(lake: Path) -> None:
    for path in lake.rglob("*"):
        os.utime(path, (0, 0))


def test_what_was_published_is_live(database: Database, lake: Path) -> None:
    publish(database, file(lake), file(lake, DAY + timedelta(days=1)))
    publish(database, file(lake, batch=2))
    assert [one.day for one in telemetry.live_files(database)] == [DAY, DAY, DAY + timedelta(days=1)]
    assert [(one.id, one.events) for one in telemetry.live_batches(database)] == [(1, 6), (2, 3)]
    assert len(telemetry.activity_table(database, lake, batches_after=1).files) == 1
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert len(telemetry.live_files(database, since=noon + timedelta(seconds=1))) == 1
    assert len(telemetry.live_files(database, until=noon)) == 0
    assert telemetry.activity_table(database, lake, sources=["s.two"]).files == []


def test_a_publication_made_from_what_changed_is_refused(database: Database, lake: Path) -> None:
    publish(database, file(lake))
    with pytest.raises(Stale):  # it did not see the file of that day
        publish(database, file(lake, batch=2), seen=frozenset())
    late = Publication(source="s.one", batch=1, files=[file(lake)], steps=[], seen=frozenset())
    with pytest.raises(Stale):  # its number is taken
        telemetry.publish(database, "t", late)
    assert len(telemetry.live_files(database)) == 1


def test_an_input_is_read_on_by_one_only(database: Database, lake: Path) -> None:
    made = telemetry.register(database, "s.one", [("a\0\ud800", "digest", 9)])["digest"]
    assert telemetry.register(database, "s.one", [("b", "digest", 9)])["digest"] == made
    publish(database, steps=(Step(input=made.id, start=0, position=5, events=3, quarantined=2),))
    with pytest.raises(Stale) as stale:
        publish(database, steps=(Step(input=made.id, start=0, position=7),))
    assert stale.value.inputs == (made.id,)
    publish(database, steps=(Step(input=made.id, start=5, position=7, events=1, state="done"),))
    (said,) = telemetry.inputs(database)
    assert (said.position, said.events, said.quarantined, said.state, said.finished_at) == (7, 4, 2, "done", NOW)


def test_records_are_replayed_by_one_only(database: Database) -> None:
    kept = Unreadable(path="quarantine/s.one/x.parquet", source="s.one", records=2)
    made = Publication(source="s.one", batch=1, files=[], steps=[], seen=frozenset(), unreadable=[kept])
    telemetry.publish(database, "t", made)
    (listed,) = telemetry.quarantined(database)
    again = Publication(source="s.one", batch=1, files=[], steps=[], seen=frozenset(), replayed=[listed.id])
    telemetry.publish(database, "t", again)
    assert telemetry.quarantined(database) == []
    with pytest.raises(Conflict):
        telemetry.publish(database, "t", again)


def test_what_was_swapped_stays_on_disk_for_a_while(database: Database, lake: Path) -> None:
    publish(database, file(lake))
    publish(database, file(lake, batch=2))
    old = telemetry.live_files(database)
    new = file(lake)
    telemetry.swap(database, old, new)
    assert [one.path for one in telemetry.live_files(database)] == [new.path]
    with pytest.raises(Stale):
        telemetry.swap(database, old, file(lake))
    telemetry.sweep(database, lake)
    assert all((lake / one.path).exists() for one in old)
    database.clock = lambda: NOW + telemetry.GRACE
    assert set(telemetry.sweep(database, lake)) == {one.path for one in old}
    assert not any((lake / one.path).exists() for one in old)
    assert (lake / new.path).exists()


def test_old_days_are_taken_out_and_it_is_on_record(database: Database, lake: Path) -> None:
    publish(database, file(lake), file(lake, DAY - timedelta(days=40)))
    assert telemetry.retire(database, "t", before=DAY) == 3
    assert telemetry.retire(database, "t", before=DAY) == 0
    assert [one.day for one in telemetry.live_files(database)] == [DAY]


def test_readings_that_follow_each_other_are_one_window(database: Database) -> None:
    def read(start: int, end: int, *, complete: bool = True, stream: str = "eu") -> None:
        window = Window(
            source="s.one", authority="a:1", stream=stream, complete=complete, problem=None if complete else "refused",
            start_at=NOW + timedelta(hours=start), end_at=NOW + timedelta(hours=end), said_by="sync",
        )  # fmt: skip
        with database.write("test") as write:
            telemetry.declare(write, window)
            write.audit("test", "test", {})

    for hour in range(5):
        read(hour, hour + 2)
    read(5, 6, stream="us")
    read(5, 7, complete=False)
    read(5, 8)
    read(20, 21)
    assert [
        (one.stream, one.complete, one.start_at - NOW, one.end_at - NOW) for one in telemetry.windows(database)
    ] == [
        ("eu", True, timedelta(0), timedelta(hours=6)),
        ("us", True, timedelta(hours=5), timedelta(hours=6)),
        ("eu", False, timedelta(hours=5), timedelta(hours=7)),
        ("eu", True, timedelta(hours=5), timedelta(hours=8)),
        ("eu", True, timedelta(hours=20), timedelta(hours=21)),
    ]


def test_what_nobody_lists_is_swept_when_it_is_old(database: Database, lake: Path) -> None:
    publish(database, file(lake))
    orphan, fresh = file(lake), file(lake)
    age(lake)
    os.utime(lake / fresh.path)
    assert telemetry.sweep(database, lake) == [orphan.path]
    assert (lake / fresh.path).exists()
    assert (lake / telemetry.live_files(database)[0].path).exists()
