"""Exports that somebody bent, cut or blew up: a clear refusal or a quarantined row, never a crash, never the memory."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.connectors import test_file_exports as samples
from wardship.connectors import file
from wardship.connectors.file.export import exports
from wardship.model.errors import ConfigError, ConnectorError, DataError
from wardship.sdk.connector import Connection

Clock = Callable[[], datetime]
ODD: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, "", "\x00", "\ud800", "=1+1", "A" * 100_000, [], {}, [None], [[]], {"": None},
    "0" * 36, "S-1-5-21-1-1-1-1", "2026-13-45T99:99:99Z", "9" * 400,
)  # fmt: skip
CONTENTS: dict[str, Callable[[], Any]] = {
    "users": samples.users,
    "azure": samples.azure,
    "opengraph": samples.opengraph,
    "apoc": samples.apoc_lines,
    "table": samples.apoc_csv,
    "query": lambda: json.loads(samples.query_json()),
    "prowler": lambda: [samples.finding(samples.ARN, "c", "FAIL")],
    "trivy": lambda: samples.report("x"),
}


def read(path: Path, clock: Clock) -> None:
    """Reads all; only the errors that a user may see are allowed."""
    try:
        reader = file.import_files([path], Connection(name="i", connector="file", clock=clock))
        for scope in reader.scopes():
            for page in reader.fetch(scope, None):
                for item in page.items:
                    try:
                        list(reader.parse(scope, item))
                    except DataError:
                        continue
    except (ConfigError, ConnectorError):
        return


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@pytest.mark.parametrize("name", ["users", "azure", "opengraph", "query", "prowler", "trivy"])
def test_bent_values_cost_rows_only(tmp_path: Path, clock: Clock, name: str) -> None:
    chance = random.Random(1)
    for _ in range(60):
        content = CONTENTS[name]()
        if name == "trivy":
            del content["Results"][0]
        for _ in range(chance.randint(1, 3)):
            holder, key = chance.choice(list(places(content)))
            holder[key] = chance.choice(ODD)
        path = tmp_path / "bent.json"
        path.write_text(json.dumps(content), "utf-8")
        read(path, clock)


@pytest.mark.parametrize("name", CONTENTS)
def test_bent_bytes_cost_rows_only(tmp_path: Path, clock: Clock, name: str) -> None:
    content = CONTENTS[name]()
    if name == "trivy":
        del content["Results"][0]
    whole = (content if isinstance(content, str) else json.dumps(content)).encode()
    chance = random.Random(2)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            how = chance.random()
            if how < 0.3:
                del data[at:]
                data += b"x"
            elif how < 0.7:
                data[at] = chance.randrange(256)
            else:
                data[at:at] = chance.choice((b"[" * 5_000, b'"', b"\x00", b"\xff\xfe", b"{}", b"," * 100))
        path = tmp_path / "bent"
        path.write_bytes(data)
        for one in exports():
            one.recognise(path, bytes(data[:65_536]))
        read(path, clock)


def test_bent_databases_cost_rows_only(tmp_path: Path, clock: Clock) -> None:
    whole = samples.roadrecon(tmp_path / "whole.db").read_bytes()
    chance = random.Random(3)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            data[chance.randrange(16, len(data))] = chance.randrange(256)
        path = tmp_path / "bent.db"
        path.write_bytes(data if chance.random() < 0.8 else data[: chance.randrange(20, len(data))])
        read(path, clock)


def test_a_database_row_that_is_a_bomb_is_a_problem_of_its_own(tmp_path: Path, clock: Clock) -> None:
    path = samples.roadrecon(tmp_path / "bomb.db")
    with sqlite3.connect(path) as database:
        for text in ("[" * 200_000 + "]" * 200_000, json.dumps([{"keyId": samples.ROLE}] * 100_000)):
            database.execute("INSERT INTO Applications VALUES (?,?,'x',?)", [samples.ANA, samples.APP_ID, text])
    database.close()
    records, reasons = samples.read(path, clock)
    assert set(samples.by_id(records)) == {samples.SP, samples.APP}
    assert sorted(reason.rpartition(": ")[2] for reason in reasons)[-2:] == ["passwordCredentials is too large"] * 2


READ = r"""
import json, re, sys
from datetime import UTC, datetime
from pathlib import Path
from wardship.connectors import file
from wardship.sdk.connector import Connection
reader = file.import_files([Path(sys.argv[1])], Connection(name="i", connector="file", clock=lambda: datetime.now(UTC)))
count = sum(1 for s in reader.scopes() for p in reader.fetch(s, None) for i in p.items for _ in reader.parse(s, i))
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # ru_maxrss would count the parent's
print(json.dumps([count, int(peak[1]) // 1024]))
"""


def peak_of(tmp_path: Path, megabytes: int) -> tuple[int, int]:
    """(records, largest resident size in MiB) of reading a BloodHound graph of that size, in a process of its own."""
    path = tmp_path / "graph.json"
    node = {"kinds": ["User", "Base"], "properties": {"name": "SVC", "hasspn": True, "distinguishedname": "x" * 400}}
    with path.open("w") as stream:
        stream.write('{"graph":{"nodes":[')
        for number in range(megabytes * 1_000_000 // 500):
            stream.write("," if number else "")
            stream.write(json.dumps({"id": f"{samples.DOMAIN}-{number}", **node}))
        stream.write('],"edges":[]}}')
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    count, peak = json.loads(done.stdout)
    return count, peak


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    count, peak = peak_of(tmp_path, 10)
    assert count >= 20_000
    assert peak < 150


@pytest.mark.chaos
def test_a_hundred_megabytes_stay_below_150(tmp_path: Path) -> None:
    count, peak = peak_of(tmp_path, 100)
    assert count >= 200_000
    assert peak < 150


def test_dates_at_the_ends_of_the_calendar_are_no_dates(tmp_path: Path, clock: Clock) -> None:
    content = samples.azure()
    for entry in content["data"]:
        entry["data"]["createdDateTime"] = "9999-12-31T23:59:59-12:00"
    path = tmp_path / "azure.json"
    path.write_text(json.dumps(content), "utf-8")
    records, reasons = samples.read(path, clock)
    assert not reasons
    assert {one.created_at for one in samples.by_id(records).values()} == {None}
