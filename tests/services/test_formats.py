"""Formats: hostile cells do nothing, nothing is half written, nulls stay nulls."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import openpyxl
import pytest

from wardship.model.errors import ConfigError
from wardship.services.formats import Column, Format, Listing, defuse, write, write_text

HOSTILE = [
    '=HYPERLINK("http://x","y")', "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "＋1", "－1", "＠1", "|x", "%x",
    "a\x00b", "\x1b[31m", "\ud800", "\u202eevil", "\ufffe", "x" * 40_000, 'quote " comma , line\nend', "\\N", "",
]  # fmt: skip
COLUMNS = (
    Column(name="text", label="Text"),
    Column(name="n", label="N", type="integer"),
    Column(name="flag", label="Flag", type="boolean"),
    Column(name="at", label="At", type="instant"),
    Column(name="on", label="On", type="date"),
    Column(name="data", label="Data", type="json"),
)


def listing(texts: list[str]) -> Listing:
    at = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    rows = [{"text": t, "n": -5, "flag": True, "at": at, "on": date(2026, 1, 2), "data": {"a": [1]}} for t in texts]
    return Listing(name="things", columns=COLUMNS, rows=[*rows, {"text": "none"}], about={"who": "=me"})


def test_json_keeps_what_is_there() -> None:
    out = io.StringIO()
    assert write_text(listing(HOSTILE[:-6]), Format.JSON, out) == len(HOSTILE) - 5
    rows = json.loads(out.getvalue())
    assert rows[0]["text"] == HOSTILE[0]
    assert rows[0] | {"text": ""} == {
        "text": "", "n": -5, "flag": True, "at": "2026-11-22T08:00:00Z", "on": "2026-01-02", "data": {"a": [1]},
    }  # fmt: skip
    assert rows[-1]["n"] is None


def test_no_rows_is_an_empty_list() -> None:
    out = io.StringIO()
    write_text(Listing(name="x", columns=COLUMNS, rows=[]), Format.JSON, out)
    assert json.loads(out.getvalue()) == []


def test_csv_has_no_cell_that_a_spreadsheet_would_run() -> None:
    out = io.StringIO()
    write_text(listing(HOSTILE), Format.CSV, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert len(rows) == len(HOSTILE) + 1
    for row in rows:
        assert not row["text"].startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
    assert rows[0]["n"] == "-5"  # a number is no formula


def test_plain_text_is_not_touched() -> None:
    assert [defuse(text) for text in ("plain", "a=b", "naïve ñ", "")] == ["plain", "a=b", "naïve ñ", ""]


def test_xlsx_opens_without_a_formula(tmp_path: Path) -> None:
    assert write(listing(HOSTILE), Format.XLSX, tmp_path / "x.xlsx") == len(HOSTILE) + 1
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert book["About"]["B1"].value == "'=me"


def test_parquet_keeps_types_and_nulls(tmp_path: Path) -> None:
    write(listing(HOSTILE), Format.PARQUET, tmp_path / "x.parquet")
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{tmp_path}/x.parquet')").fetchall()
    assert len(rows) == len(HOSTILE) + 1
    assert rows[0][1:5] == (-5, True, datetime(2026, 11, 22, 8, 0), date(2026, 1, 2))
    assert [row[0] for row in rows[-3:]] == ["\\N", "", "none"]
    assert rows[-1] == ("none", None, None, None, None, None)


def test_a_failure_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    def breaks() -> Iterator[dict[str, str]]:
        yield {"text": "one"}
        raise RuntimeError

    for form in (Format.CSV, Format.JSON, Format.PARQUET):
        with pytest.raises(RuntimeError):
            write(Listing(name="x", columns=COLUMNS[:1], rows=breaks()), form, tmp_path / f"x.{form}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        write(listing([]), Format.CSV, tmp_path / "no" / "x.csv")
