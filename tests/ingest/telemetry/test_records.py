"""Raw records of every form; what is none costs itself, what is damaged costs what comes after it."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from pathlib import Path
from typing import Any

import duckdb
import pytest
import zstandard

from wardship.ingest.telemetry import plain, records
from wardship.ingest.telemetry.plain import Broken
from wardship.ingest.telemetry.records import NoRecord, Records

TWO = [{"a": 1, "b": {"c": "é"}}, {"a": 2}]


def read(path: Path, *keys: str) -> list[Any]:
    return list(Records(path, path.name, keys))


def put(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


LINES = "".join(json.dumps(one) + "\n" for one in TWO)
FORMS = {
    "lines": LINES,
    "windows line ends": LINES.replace("\n", "\r\n"),
    "empty lines": LINES.replace("\n", "\n\n"),
    "list": json.dumps(TWO),
    "pretty list": json.dumps(TWO, indent=2),
    "document": json.dumps({"Version": 1, "Records": TWO, "next": None}),
    "pretty document": json.dumps({"Records": TWO}, indent=1),
    "documents behind each other": json.dumps({"Records": TWO[:1]}) + json.dumps({"Records": TWO[1:]}),
    "objects behind each other": "".join(map(json.dumps, TWO)),
    "pretty objects": "\n".join(json.dumps(one, indent=2) for one in TWO),
    "a document a line": "".join(json.dumps({"Records": [one]}) + "\n" for one in TWO),
    "list of documents": json.dumps([{"Records": TWO}]),
}


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "value by value"])
@pytest.mark.parametrize("form", FORMS)
def test_json_in_every_form(tmp_path: Path, form: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not whole:
        monkeypatch.setattr(records, "_WHOLE_BYTES", 8)
        monkeypatch.setattr(records, "_HEAD_BYTES", 16)
    assert read(put(tmp_path, "log.json", FORMS[form]), "Records") == TWO


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda data: gzip.compress(data[:30]) + gzip.compress(data[30:]) + b"\0" * 9,
        zstandard.compress,
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
    ],
    ids=["gzip", "two gzips", "zstd", "mark", "utf-16"],
)
def test_packed_and_spelt_differently(tmp_path: Path, pack: Any) -> None:
    assert read(put(tmp_path, "log", pack(LINES.encode()))) == TWO


def test_a_line_that_is_no_record_costs_itself(tmp_path: Path) -> None:
    found = read(put(tmp_path, "log", '{"a": 1}\n{"a": \n[1]\n3\n{"a": NaN, "b": "\\ud800"}\n'))
    assert [type(one) is NoRecord for one in found] == [False, True, True, True, False]
    assert found[1].reason == "not JSON"


def test_a_log_that_begins_in_the_middle_of_a_line(tmp_path: Path) -> None:
    found = read(put(tmp_path, "log", 'a": 9}\n' + LINES))
    assert found[1:] == TWO
    assert isinstance(found[0], NoRecord)


def test_a_line_of_megabytes_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr(plain, "_PLAIN_PIECE", 100)
    found = read(put(tmp_path, "log", '{"a": 1}\n{"a": "' + "x" * 50_000 + '"}\n{"a": 2}\n'))
    assert [one for one in found if isinstance(one, dict)] == [{"a": 1}, {"a": 2}]
    assert sum(isinstance(one, NoRecord) for one in found) == 1


def test_csv_by_its_header(tmp_path: Path) -> None:
    found = read(put(tmp_path, "log.csv", 'who;does\nw1;"a;b\nc"\nw2\nw3;x;y\n'))
    assert found[:2] == [{"who": "w1", "does": "a;b\nc"}, {"who": "w2"}]
    assert isinstance(found[2], NoRecord)


def test_lines_of_text(tmp_path: Path) -> None:
    assert read(put(tmp_path, "x.log", "[2026-11-22] one\r\n\n<13>two\n")) == [
        {"message": "[2026-11-22] one"},
        {"message": "<13>two"},
    ]


EVENT = """<Event xmlns="http://x/y"><System><EventID Qualifiers="1">4624</EventID><Computer>dc</Computer></System>
<EventData><Data Name="a">1</Data><Data Name="b"/></EventData></Event>"""
EVENT_READ = {
    "System": {"EventID": {"Qualifiers": "1", "#text": "4624"}, "Computer": "dc"},
    "EventData": {"Data": [{"Name": "a", "#text": "1"}, {"Name": "b"}]},
}


@pytest.mark.parametrize(
    "text",
    [f'<?xml version="1.0" encoding="utf-8"?>\n<Events>{EVENT}{EVENT}</Events>', f"{EVENT}\n{EVENT}"],
    ids=["one element", "behind each other"],
)
def test_windows_events_in_xml(tmp_path: Path, text: str) -> None:
    assert read(put(tmp_path, "log.xml", text)) == [EVENT_READ, EVENT_READ]


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "y">]><Events>' + EVENT + "</Events>"
    with pytest.raises(Broken):
        read(put(tmp_path, "log.xml", '<?xml version="1.0"?>' + bomb))


def test_parquet_rows_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a*[1]'.parquet"
    with duckdb.connect() as db:
        db.execute(f"COPY (SELECT 1 AS a, {{'c': 'é'}} AS b) TO '{tmp_path}/x' (FORMAT parquet)")
    (tmp_path / "x").rename(path)
    assert read(path) == [{"a": 1, "b": {"c": "é"}}]


@pytest.mark.parametrize("cut", [0.3, 0.7])
def test_what_comes_before_the_damage_is_read(tmp_path: Path, cut: float) -> None:
    many = [{"n": n, "x": random.Random(n).randbytes(100).hex()} for n in range(1_000)]
    packed = gzip.compress(json.dumps({"Records": many}).encode())
    found: list[Any] = []
    with pytest.raises(Broken):
        _until(Records(put(tmp_path, "l", packed[: int(len(packed) * cut)]), "l", ("Records",)), found)
    assert 0 < len(found) < 1_000
    assert found == many[: len(found)]


def _until(source: Records, found: list[Any]) -> None:
    for one in source:
        found.append(one)  # noqa: PERF402 - what came before the damage is wanted


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_RATIO_FREE_BYTES", 1_000_000)
    with pytest.raises(Broken, match="250 times"):
        read(put(tmp_path, "b.gz", gzip.compress(b" " * 20_000_000)))


def test_a_bomb_in_columns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal rows cost a Parquet file nothing: a kilobyte may hold millions of millions."""
    monkeypatch.setattr(plain, "_RATIO_FREE_BYTES", 1_000_000)
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT 'read' AS does FROM range(200000)) TO '{tmp_path}/x' (FORMAT parquet, ROW_GROUP_SIZE 200000)"
        )
    found = Records(tmp_path / "x", "x")
    with pytest.raises(Broken, match="2500 times"):
        list(found)
    assert found.text_bytes < 2_000_000


def test_nested_without_end_is_no_record(tmp_path: Path) -> None:
    found = read(put(tmp_path, "n", '{"a": 1}\n{"a": ' + "[" * 100_000 + "\n" + LINES))
    assert isinstance(found[1], NoRecord)
    assert found[2:] == TWO


@pytest.mark.chaos
def test_ten_thousand_bent_files_never_crash(tmp_path: Path) -> None:
    rng = random.Random(1)
    seeds = [text.encode() for text in FORMS.values()] + [EVENT.encode(), b"a,b\n1,2\n", gzip.compress(LINES.encode())]
    for _ in range(10_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(data))
            data[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        try:
            for one in Records(put(tmp_path, "f", bytes(data)), rng.choice(("f.csv", "f", "f.json")), ("Records",)):
                assert isinstance(one, dict | NoRecord)
        except Broken:
            pass


def test_half_a_secret_is_not_kept(tmp_path: Path) -> None:
    """Cut in the middle, a token is no longer known for one."""
    token = "ghp_" + "a1B2" * 9
    for before in range(3_950, 4_001, 5):
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps({"a": 1}) + '\n{"note": "' + "x" * (before - 20) + f' {token} " and so on\n')
        (bad,) = [one for one in Records(path, path.name) if isinstance(one, NoRecord)]
        assert token in bad.text or "ghp" not in bad.text
        assert bad.text.startswith('{"note": "xxx')


def test_a_word_that_the_damage_cuts_off_is_not_kept(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    half = b'{"a": 1}\n{"note": "ghp_a1B2'
    path = put(tmp_path, "a.jsonl.gz", packer.compress(half) + packer.flush(zlib.Z_SYNC_FLUSH))
    found: list[Any] = []
    with pytest.raises(Broken):
        found.extend(Records(path, path.name))  # what came before the damage stays
    assert found == [{"a": 1}, NoRecord(text='{"note": "', reason="cut off where the file is damaged")]
