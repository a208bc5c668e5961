"""What could not be read is read after an update, once; and a day's files become one."""

from __future__ import annotations

from pathlib import Path

from tests.ingest.telemetry.tiny import Tiny, record, rows, uids, write
from wardship.ingest.telemetry import compaction
from wardship.ingest.telemetry.importer import import_paths
from wardship.ingest.telemetry.replay import replay
from wardship.store import telemetry
from wardship.store.workspace import Workspace

OLD, NEW = Tiny(knows=False), Tiny()


def test_after_an_update_records_are_read_and_leave_the_quarantine(each_ws: Workspace, tmp_path: Path) -> None:
    bad = [record(1, new=True), record(2, at="soon"), {**record(3, new=True), "id": None}]
    import_paths(each_ws, [write(tmp_path / "a.jsonl", [record(0), *bad])], OLD, actor="test")
    nothing = replay(each_ws, actor="test", source=OLD)
    assert (nothing.read, nothing.left) == (0, 3)
    done = replay(each_ws, actor="test", source=NEW)
    assert (done.read, done.events, done.left) == (2, 2, 1)
    again = replay(each_ws, actor="test", source=NEW)
    assert (again.read, again.left) == (0, 1)
    assert len(uids(each_ws)) == 3
    (said,) = telemetry.inputs(each_ws.db)
    assert (said.events, said.quarantined, said.replayed, said.state, said.position) == (3, 3, 2, "done", 4)


def test_a_replayed_event_has_the_id_that_it_would_have_had(ws: Workspace, tmp_path: Path) -> None:
    lines = [{**record(1, new=True), "id": None}] * 2
    import_paths(ws, [write(tmp_path / "a.jsonl", lines)], OLD, actor="test")
    replay(ws, actor="test", source=NEW)
    longer = write(tmp_path / "b.jsonl", [*lines, lines[0]])
    done = import_paths(ws, [longer], NEW, actor="test")
    assert (done.events, done.duplicates) == (1, 2)
    assert len(uids(ws)) == 3


def test_only_the_input_that_was_named(ws: Workspace, tmp_path: Path) -> None:
    for name, number in (("a", 1), ("b", 2)):
        import_paths(ws, [write(tmp_path / f"{name}.jsonl", [record(number, new=True)])], OLD, actor="test")
    done = replay(ws, actor="test", input=2, source=NEW)
    assert (done.read, done.left) == (1, 0)
    assert uids(ws) == ["e2"]


def test_masked_text_is_not_replayed(ws: Workspace, tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    import_paths(ws, [write(tmp_path / "a.jsonl", [record(1, new=True, extra=token)])], OLD, actor="test")
    done = replay(ws, actor="test", source=NEW)
    assert (done.read, done.left) == (0, 1)
    assert uids(ws) == []


def test_compaction_keeps_every_event_sorted_by_identity(ws: Workspace, tmp_path: Path) -> None:
    for part in range(3):
        import_paths(ws, [write(tmp_path / f"{part}.jsonl", [record(n) for n in range(part, 60, 3)])], NEW, actor="t")
    before = rows(ws, "*")
    done = compaction.compact(ws)
    assert (done.days, done.files) == (1, 3)
    assert rows(ws, "*") == before
    (file,) = telemetry.live_files(ws.db)
    assert (file.compacted, file.batches, file.rows) == (True, (1, 2, 3), 60)
    import duckdb

    with duckdb.connect() as db:
        who = db.execute(f"SELECT actor_id, time FROM '{ws.activity / file.path}'").fetchall()
    assert who == sorted(who)
    assert compaction.compact(ws).days == 0
    again = import_paths(ws, [write(tmp_path / "x.jsonl", [record(n) for n in range(61)])], NEW, actor="t")
    assert (again.events, again.duplicates) == (1, 60)
