"""The same rows in every format, from the options every list shares."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import openpyxl
import pytest

from tests.cli.conftest import Command

LISTS = [
    ("inventory", "--limit", "20"),
    ("findings",),
    ("coverage",),
    ("changes", "--since", "1d"),
    ("export", "credentials"),
]


@pytest.mark.parametrize("words", LISTS, ids=[words[0] for words in LISTS])
def test_every_format_has_the_same_rows(run: Command, demo: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    rows = json.loads(run(*words, "-w", demo, "-o", "json").out)
    assert rows
    lines = run(*words, "-w", demo, "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(run(*words, "-w", demo, "-o", "csv").out)))
    key = "uid" if "uid" in rows[0] else "scope"
    assert [row[key] for row in table] == [row[key] for row in rows]
    assert run(*words, "-w", demo, "--out", tmp_path / "rows.parquet").code == 0
    found = duckdb.sql(f"SELECT \"{key}\" FROM read_parquet('{tmp_path}/rows.parquet')").fetchall()
    assert [row[0] for row in found] == [row[key] for row in rows]
    assert run(*words, "-w", demo, "--out", tmp_path / "rows.xlsx").code == 0
    sheet = openpyxl.load_workbook(tmp_path / "rows.xlsx").worksheets[0]
    head, *body = sheet.iter_rows(values_only=True)
    assert [row[head.index(key)] for row in body] == [row[key] for row in rows]
    if words[0] != "export":
        screen = run(*words, "-w", demo).out.splitlines()
        assert len(screen) == len(rows) + 2


def test_a_format_that_needs_a_file_says_so(run: Command, demo: Path) -> None:
    ran = run("inventory", "-w", demo, "-o", "xlsx")
    assert ran.code == 2
    assert "--out" in ran.err


def test_an_unknown_suffix_is_refused(run: Command, demo: Path, tmp_path: Path) -> None:
    ran = run("inventory", "-w", demo, "--out", tmp_path / "rows.doc")
    assert ran.code == 2
    assert "--output json" in ran.err


def test_quiet_leaves_the_results_only(run: Command, demo: Path) -> None:
    ran = run("inventory", "-w", demo, "--quiet", "--limit", "3")
    assert ran.err == ""
    assert ran.out


def test_the_workspace_may_be_named_before_or_after_the_command(run: Command, demo: Path) -> None:
    assert run("-w", demo, "coverage").out == run("coverage", "-w", demo).out
