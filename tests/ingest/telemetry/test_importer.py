"""Importing: every record once, whatever the files look like, and whatever happens meanwhile."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.telemetry.tiny import START, Tiny, TinyProjected, record, rows, uids, write
from wardship.ingest.telemetry import batch, blocks, importer
from wardship.ingest.telemetry.importer import Advance, Imported, import_paths, try_paths
from wardship.model.activity import Activity
from wardship.model.errors import ConfigError, DataError
from wardship.sdk.connector import Drift
from wardship.sdk.source import Source
from wardship.store import telemetry
from wardship.store.workspace import Workspace

SOURCES = [Tiny(), TinyProjected()]
IDS = ["parse", "projection"]


def load(ws: Workspace, *paths: Path, source: Source | None = None) -> Imported:
    return import_paths(ws, paths, source or Tiny(), actor="test")


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_events_are_stamped_and_say_where_they_come_from(ws: Workspace, tmp_path: Path, source: Source) -> None:
    log = write(tmp_path / "a.jsonl", [record(0, ip="198.51.100.20"), record(1, ip="not one"), record(2)])
    done = load(ws, log, source=source)
    assert (done.files, done.events, done.complete) == (1, 3, True)
    found = rows(ws, "uid, source, src_ip, src_network, input, position, batch")
    assert found[0] == ("e0", "test.tiny", "198.51.100.20", "198.51.100.0/24", 1, 0, 1)
    assert found[1] == ("e1", "test.tiny", None, None, 1, 1, 1)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_a_file_is_imported_once_whatever_it_is_called(ws: Workspace, tmp_path: Path, source: Source) -> None:
    log = write(tmp_path / "a.jsonl", [record(n) for n in range(10)])
    load(ws, log, source=source)
    again = load(ws, log.rename(tmp_path / "b.jsonl"), source=source)
    assert (again.files, again.known, again.events) == (0, 1, 0)
    assert len(uids(ws)) == 10


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_overlapping_files_double_nothing(ws: Workspace, tmp_path: Path, source: Source) -> None:
    load(ws, write(tmp_path / "a.jsonl", [record(n) for n in range(20)]), source=source)
    done = load(ws, write(tmp_path / "b.jsonl", [record(n) for n in range(10, 30)] * 2), source=source)
    assert (done.events, done.duplicates) == (10, 30)
    assert uids(ws) == sorted(f"e{n}" for n in range(30))


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_what_cannot_be_read_is_counted_and_kept_redacted(ws: Workspace, tmp_path: Path, source: Source) -> None:
    token = "ghp_" + "a1B2" * 9
    log = tmp_path / "a.jsonl"
    bad = [record(1, at="soon", token=token), record(2, does="nothing"), record(3, at="2031-01-01T00:00:00+00:00")]
    log.write_text(
        "".join(json.dumps(one) + "\n" for one in [record(0), *bad]) + "{broken\n[1]\n" + json.dumps(record(4))
    )
    done = load(ws, log, source=source)
    assert (done.events, done.skipped, done.quarantined) == (2, 1, 4)
    assert not done.complete
    (kept,) = telemetry.quarantined(ws.db)
    assert kept.records == 4
    assert token.encode() not in (ws.activity / kept.path).read_bytes()
    assert rows(ws, "uid, position") == [("e0", 0), ("e4", 6)]
    (said,) = telemetry.inputs(ws.db)
    assert (said.state, said.position, said.events, said.skipped, said.quarantined) == ("done", 7, 2, 1, 4)


def test_activities_of_one_record_have_ids_of_their_own(ws: Workspace, tmp_path: Path) -> None:
    load(ws, write(tmp_path / "a.jsonl", [record(0, twice=True), {**record(1, twice=True), "id": None}]))
    nameless, second, *named = uids(ws)
    assert named == ["e0", "e0#1"]
    assert second == f"{nameless}#1"


def test_a_log_without_ids_counts_equal_lines(ws: Workspace, tmp_path: Path) -> None:
    """A line that stands twice is two events; in a longer copy of the file both are known."""
    line = {**record(0), "id": None}
    load(ws, write(tmp_path / "a.jsonl", [line, line]))
    done = load(ws, write(tmp_path / "longer.jsonl", [line, line, line]))
    assert (done.events, done.duplicates) == (1, 2)
    assert [uid.rpartition(":")[2] for uid in uids(ws)] == ["0", "1", "2"]


def test_equal_lines_are_counted_across_batches(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_EVENTS", 4)
    line = {**record(0), "id": None}
    load(ws, write(tmp_path / "a.jsonl", [line] * 11))
    assert len(uids(ws)) == 11
    assert len(telemetry.live_batches(ws.db)) == 3


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_a_damaged_gzip_is_published_up_to_there_and_can_be_mended(
    ws: Workspace, tmp_path: Path, source: Source
) -> None:
    records = [record(n, extra=random.Random(n).randbytes(300).hex()) for n in range(2_000)]
    whole = gzip.compress("".join(json.dumps(one) + "\n" for one in records).encode())
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    log = tmp_path / "a.jsonl.gz"
    log.write_bytes(damaged)
    done = load(ws, log, source=source)
    assert 0 < done.events < 2_000
    assert [name for name, _why in done.broken] == [str(log)]
    assert telemetry.inputs(ws.db)[0].state == "broken"
    log.write_bytes(whole)
    mended = load(ws, log, source=source)
    assert mended.events + done.events >= 2_000
    assert sorted(set(uids(ws))) == uids(ws) == sorted(f"e{n}" for n in range(2_000))


def test_a_broken_file_is_told_again_and_read_no_further(ws: Workspace, tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl.gz"
    log.write_bytes(gzip.compress("".join(json.dumps(record(n)) + "\n" for n in range(99)).encode())[:-30])
    first, second = load(ws, log), load(ws, log)
    assert first.broken == second.broken != []
    assert first.events > 0
    assert second.events == second.duplicates == 0


def test_the_source_is_told_by_the_records(ws: Workspace, tmp_path: Path) -> None:
    write(tmp_path / "logs" / "a.jsonl", [{"hello": 1}])
    (tmp_path / "logs" / "empty").touch()
    done = import_paths(ws, [tmp_path / "logs"], actor="test")
    assert done.unknown == [str(tmp_path / "logs" / "a.jsonl")]
    assert not done.complete


def test_standard_input_is_a_file(ws: Workspace) -> None:
    text = io.BytesIO("".join(json.dumps(record(n)) + "\n" for n in range(3)).encode())
    done = import_paths(ws, [Path("-")], Tiny(), actor="test", stdin=text)
    assert (done.events, telemetry.inputs(ws.db)[0].name) == (3, "-")


def test_a_path_that_is_not_there_is_refused_before_anything_is_read(ws: Workspace, tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", [record(0)])
    with pytest.raises(ConfigError):
        load(ws, log, tmp_path / "absent")
    assert telemetry.inputs(ws.db) == []


def test_what_may_not_be_looked_at_is_told_and_the_rest_is_read(ws: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = write(folder / "a.jsonl", [record(0)])
    refused = Path(folder, "x" * 300)  # no file system takes such a name: it refuses, whoever asks
    done = load(ws, refused, folder)
    assert (done.events, [name for name, _why in done.broken]) == (1, [str(refused)])
    assert not done.complete
    tried = try_paths([refused, log], Tiny(), folder=tmp_path)
    assert (tried.events, [name for name, _why in tried.broken]) == (1, [str(refused)])


def test_a_folder_below_that_may_not_be_listed_is_told(ws: Workspace, tmp_path: Path) -> None:
    top = tmp_path / "logs"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _level in range(22):  # deeper than a path may be long: its folders are there, and cannot be listed by anybody
        os.mkdir("d" * 200, dir_fd=at)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    ((name, why),) = load(ws, top).broken
    assert name.startswith(str(top))
    assert why
    shutil.rmtree(top)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_how_far_it_is_is_told_within_a_file(
    ws: Workspace, tmp_path: Path, source: Source, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_TELL_BYTES", 1)
    text = "".join(json.dumps(record(n, pad="x" * 300)) + "\n" for n in range(8_000)).encode()
    log = tmp_path / "a.jsonl"
    log.write_bytes(gzip.compress(text) if packed else text)
    told: list[int] = []
    import_paths(ws, [log], source, actor="test", watch=lambda now: told.append(now.done_bytes))
    assert told == sorted(told)
    assert told[-1] == log.stat().st_size
    assert len({done for done in told if 0 < done < told[-1]}) >= 2
    tried: list[int] = []
    try_paths([log], source, folder=tmp_path, watch=lambda now: tried.append(now.done_bytes))
    assert len({done for done in tried if 0 < done < told[-1]}) >= 2


def test_a_projection_that_loses_rows_is_not_believed(ws: Workspace, tmp_path: Path) -> None:
    class Loses(TinyProjected):
        PROJECTION = TinyProjected.PROJECTION + " WHERE id <> 'e1'"

    done = load(ws, write(tmp_path / "a.jsonl", [record(n) for n in range(5)]), source=Loses())
    assert done.events == 5
    assert len(uids(ws)) == 5


def test_a_document_that_cannot_be_split_is_read_exactly(ws: Workspace, tmp_path: Path) -> None:
    """A list in a record whose objects begin as records do: what was split there is no JSON."""
    inner = [{"id": "x", "at": "no"}, {"id": "y", "at": "no"}]
    records = [record(0, parts=inner), record(1), record(2, does="nothing", parts=inner)]
    log = tmp_path / "a.json"
    log.write_text(json.dumps({"Records": records}, separators=(",", ":")))
    done = load(ws, log, source=TinyProjected())
    assert (done.events, done.skipped, done.quarantined) == (2, 1, 0)
    assert rows(ws, "uid, position") == [("e0", 0), ("e1", 1)]
    assert telemetry.inputs(ws.db)[0].position == 3


def test_lines_handed_over_a_few_at_a_time_say_the_same(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file is read exactly, one loses nothing, and what `parse` has to read lies in each."""
    monkeypatch.setattr(batch, "SPOOL_BYTES", 300)
    inner = [{"id": "x", "at": "no"}, {"id": "y", "at": "no"}]
    for number in range(4):
        first = number * 10
        odd = [record(first, parts=inner)] if number == 2 else [record(first, new=True)]
        text = json.dumps({"Records": [*odd, *(record(first + n) for n in range(1, 10))]}, separators=(",", ":"))
        (tmp_path / f"{number}.json").write_text(text)
    done = load(ws, *sorted(tmp_path.glob("*.json")), source=TinyProjected())
    assert (done.events, done.complete) == (40, True)
    expected = [(f"e{n}", n // 10 + 1, n % 10) for n in range(40)]
    assert sorted(rows(ws, "uid, input, position")) == sorted(expected)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_equal_lines_without_ids_are_told_apart_after_a_stop(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    """The run that goes on counts what the one before had read: else the rest would be taken for known."""
    monkeypatch.setattr(batch, "MAX_EVENTS", 4)
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 200)
    log = write(tmp_path / "a.jsonl", [{**record(0), "id": None}] * 11)

    def stop(now: Advance) -> None:
        if now.events >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_paths(ws, [log], source, actor="test", watch=stop)
    assert 0 < len(uids(ws)) < 11
    done = load(ws, log, source=source)
    assert len(uids(ws)) == 11
    assert done.duplicates == 0
    (said,) = telemetry.inputs(ws.db)
    assert (said.state, said.position, said.events) == ("done", 11, 11)


def test_a_document_that_is_read_exactly_after_all_keeps_a_bad_record_once(ws: Workspace, tmp_path: Path) -> None:
    inner = [{"id": "x", "at": "no"}, {"id": "y", "at": "no"}]
    log = tmp_path / "a.json"
    log.write_text(json.dumps({"Records": [record(0, at="soon"), record(1, parts=inner)]}, separators=(",", ":")))
    done = load(ws, log, source=TinyProjected())
    assert (done.events, done.quarantined) == (1, 1)
    assert [one.records for one in telemetry.quarantined(ws.db)] == [1]


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_why_records_cannot_be_read_is_told(ws: Workspace, tmp_path: Path, source: Source) -> None:
    bad = [record(n, at="2031-01-01T00:00:00+00:00") for n in (1, 2)]
    done = load(ws, write(tmp_path / "a.jsonl", [record(0), *bad, [7]]), source=source)
    assert done.reasons == {"DataError: the event's time is in the future": 2, "DataError: not an object": 1}


def test_reasons_without_end_are_not_all_remembered(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wordy(Tiny):
        def parse(self, record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
            raise DataError(f"no use for {record['id']}")

    monkeypatch.setattr(batch, "MAX_REASONS", 3)
    done = load(ws, write(tmp_path / "a.jsonl", [record(n) for n in range(9)]), source=Wordy())
    assert (len(done.reasons), done.reasons["other reasons"], done.quarantined) == (4, 6, 9)


def test_what_is_unreadable_fills_a_batch_too(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short lines that are no records: what is kept of each is longer than itself, and the disk has an end."""
    monkeypatch.setattr(batch, "MAX_TEXT_BYTES", 4_000)
    log = tmp_path / "a.jsonl"
    log.write_text(json.dumps(record(0)) + "\n" + "x\n" * 100)
    done = load(ws, log)
    assert (done.events, done.quarantined) == (1, 100)
    assert len(telemetry.quarantined(ws.db)) == 4


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_a_log_that_is_moved_away_does_not_stop_the_others(ws: Workspace, tmp_path: Path, source: Source) -> None:
    first, second, third = (write(tmp_path / f"{n}.jsonl", [record(n)]) for n in range(3))

    def rotate(_at: Advance) -> None:
        if second.exists():
            second.rename(tmp_path / "1.jsonl.1")

    done = import_paths(ws, [first, second, third], source, actor="test", watch=rotate)
    assert uids(ws) == ["e0", "e2"]
    assert done.broken == [(str(second), "it cannot be read: No such file or directory")]
    load(ws, tmp_path / "1.jsonl.1", source=source)
    assert uids(ws) == ["e0", "e1", "e2"]


def test_a_copy_among_very_many_files_is_read_once(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_AT_ONCE", 1)
    bad = record(1, at="soon")
    files = [write(tmp_path / f"{n}.jsonl", [record(n), bad, bad]) for n in (0, 2)]
    done = load(ws, *files, write(tmp_path / "copy.jsonl", [record(0), bad, bad]))
    assert (done.files, done.known, done.events, done.duplicates, done.quarantined) == (2, 1, 2, 0, 4)
    assert sum(one.records for one in telemetry.quarantined(ws.db)) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's link")
def test_a_link_that_somebody_else_put_there_is_not_followed(ws: Workspace, tmp_path: Path) -> None:
    """They could not read the file themselves, and would find its lines among what could not be read."""
    secret = write(tmp_path / "ours.txt", [record(1)])
    folder = tmp_path / "logs"
    write(folder / "a.jsonl", [record(0)])
    for name, owner in (("bad", 12_345), ("good", 0)):
        (folder / f"{name}.jsonl").symlink_to(secret)
        os.lchown(folder / f"{name}.jsonl", owner, owner)
    (folder / "nowhere.jsonl").symlink_to(tmp_path / "not there")
    done = load(ws, folder)
    assert uids(ws) == ["e0", "e1"]  # a link of ours is followed
    assert [(Path(name).name, why[:22]) for name, why in done.broken] == [("bad.jsonl", "a link of another user")]


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_a_token_where_no_token_belongs_is_masked(ws: Workspace, tmp_path: Path, source: Source) -> None:
    """A login whose password was typed as the name, a session that a script named after its key."""
    token = "ghp_" + "a1B2" * 9
    load(ws, write(tmp_path / "a.jsonl", [record(0, who=token), record(1, does=f"read {token}, twice")]), source=source)
    assert rows(ws, "actor_id, operation") == [("***", "read"), ("w1", "read ***, twice")]


def test_a_user_agent_keeps_no_secret(ws: Workspace, tmp_path: Path) -> None:
    class Agents(Tiny):
        def parse(self, record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
            return [replace(one, user_agent=record["ua"]) for one in super().parse(record, drift)]

    usual = "aws-sdk-go-v2/1.24.0 os/linux lang/go#1.21.5 md/GOARCH#amd64 exec-env/AWS_Lambda_python3.11"
    agents = [usual, "deploy.sh --password=" + "Tr0ub4dor", "curl (Bearer " + "qX7r" * 6 + ")"]
    load(ws, write(tmp_path / "a.jsonl", [record(n, ua=ua) for n, ua in enumerate(agents)]), source=Agents())
    assert [ua for _uid, ua in rows(ws, "uid, user_agent")] == [usual, "deploy.sh --password=***", "curl (Bearer ***)"]


def split_over(folder: Path, records: list[dict[str, Any]], cuts: list[int], form: str) -> list[Path]:
    """The records in files: cut at `cuts`."""
    edges = [0, *sorted(cuts), len(records)]
    files = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        path = folder / f"{number}.{form}"
        some = records[start:end]
        text = json.dumps({"Records": some}, separators=(",", ":"), indent=None)
        if form == "jsonl":
            text = "\n".join(map(json.dumps, some))
        path.write_text(text, encoding="utf-8")
        files.append(path)
    return files


@given(
    order=st.permutations(range(12)),
    repeated=st.lists(st.integers(0, 11), max_size=6),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    form=st.sampled_from(("json", "jsonl")),
    source=st.sampled_from(SOURCES),
    size=st.integers(1, 8),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_split_order_and_repetition_gives_the_same_events(  # noqa: PLR0917 - hypothesis fills them
    sqlite_template: Path, order: list[int], repeated: list[int], cuts: list[int], form: str, source: Source, size: int
) -> None:
    import shutil

    from tests.conftest import NOW
    from wardship.config import Settings
    from wardship.store.db import Database

    records = [record(n, **({"new": True} if n % 5 == 0 else {})) for n in [*order, *repeated]]
    kept = batch.MAX_EVENTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logs").mkdir()
        shutil.copy(sqlite_template, folder / "state.db")
        db = Database(f"sqlite:///{folder}/state.db", clock=lambda: NOW)
        made = Workspace(folder, Settings(), db)
        files = split_over(folder / "logs", records, cuts, form)
        try:
            batch.MAX_EVENTS = size
            first = load(made, *files[::2], source=source)
            second = load(made, *reversed(files), source=source)
        finally:
            batch.MAX_EVENTS = kept
        assert first.complete
        assert second.complete
        assert uids(made) == sorted(f"e{n}" for n in range(12))
        counted = telemetry.inputs(db)
        assert sum(one.events for one in counted) == 12
        assert {one.state for one in counted} == {"done"}
        db.close()
    assert START
