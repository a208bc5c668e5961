"""Bytes into rows: what files really look like, what nobody can read, and what was made to hurt."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import os
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wardship.connectors.file.formats import Format, Row, SourceOptions, open_rows
from wardship.connectors.file.formats.row import MAX_ROW_CHARS
from wardship.connectors.file.formats.sql import check_query
from wardship.model.errors import ConfigError, NotVisible
from wardship.model.secret import Secret


def read(path: Path, form: str, **options: Any) -> list[Row]:
    return list(open_rows(path, SourceOptions(format=Format(form), **options)))


def written(folder: Path, content: bytes | str, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(rows: list[Row]) -> list[dict[str, object]]:
    assert [row.problem for row in rows if row.problem] == []
    return [dict(row.cells) for row in rows]


def problems(rows: list[Row]) -> list[str]:
    return [f"{row.where}: {row.problem}" for row in rows if row.problem]


# ------------------------------------------------------------------ CSV

SPANISH = "Usuario;Descripción\r\nsvc01;Facturación «ñ» €\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_a_csv_is_read_in_every_encoding_that_spreadsheets_write(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, SPANISH.encode(encoding))
    assert cells(read(path, "csv")) == [{"Usuario": "svc01", "Descripción": "Facturación «ñ» €"}]


def test_a_declared_encoding_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "name\nñ\n".encode("latin-1"))
    assert cells(read(path, "csv", encoding="latin-1")) == [{"name": "ñ"}]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, sign: str) -> None:
    path = written(tmp_path, f'a{sign}"b,;x"\n1{sign}2\n')
    assert cells(read(path, "csv")) == [{"a": "1", "b,;x": "2"}]


def test_excels_own_first_line_a_preamble_and_no_header(tmp_path: Path) -> None:
    assert cells(read(written(tmp_path, "sep=|\na|b\n1|2\n"), "csv")) == [{"a": "1", "b": "2"}]
    assert cells(read(written(tmp_path, "Report of today\n\na,b\n1,2\n"), "csv", header=3)) == [{"a": "1", "b": "2"}]
    assert cells(read(written(tmp_path, "1,2\n"), "csv", columns=("x", "y"))) == [{"x": "1", "y": "2"}]


def test_a_name_that_is_there_twice_or_not_at_all_gets_one_of_its_own(tmp_path: Path) -> None:
    assert cells(read(written(tmp_path, "a,a,\n1,2,3\n"), "csv")) == [{"a": "1", "a (2)": "2", "column 3": "3"}]


def test_only_the_row_that_cannot_be_read_is_lost(tmp_path: Path) -> None:
    content = (
        b"a,b\n1,2\n1,2,3\nx,"
        + b"y" * (MAX_ROW_CHARS + 9)
        + b"\nbad \xff,\xc3\xa9\xc3\xa9\n"
        + b"z" * 200_000
        + b",1\n3,4\n"
    )
    rows = read(written(tmp_path, content), "csv")
    assert [row.cells["a"] for row in rows if not row.problem] == ["1", "3"]
    assert problems(rows) == [
        "line 3: more cells than the header has columns",
        f"line 4: a line of over {MAX_ROW_CHARS} characters",
        "line 5: bytes that do not fit the encoding of the file",
        "line 6 to 6: field larger than field limit (131072)",
    ]


def test_formulas_and_control_characters_stay_text(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n=HYPERLINK("http://evil.example"),"x\x00\x1b[31m\n\u202e"\n')
    [row] = cells(read(path, "csv"))
    assert str(row["a"]).startswith("=HYPERLINK(")
    assert row["b"] == "x\x00\x1b[31m\n\u202e"


_CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\x00\ufffd\ufeff"), max_size=12)


@given(table=st.lists(st.lists(_CELL, min_size=3, max_size=3), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_what_a_csv_writer_writes_is_read_back(
    table: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["a", "b", "c"])
    writer.writerows(table)
    path = written(tmp_path_factory.mktemp("csv"), out.getvalue().encode("utf-8-sig"))
    kept = [row for row in table if any(cell.strip() for cell in row)]
    assert [list(row.values()) for row in cells(read(path, "csv"))] == kept


# ------------------------------------------------------------------ JSON


def test_json_records_are_found_by_their_keys(tmp_path: Path) -> None:
    tree = {"meta": {"x": ["]", {"y": '"}'}]}, "n": 1.5, "data": {"skip": [], "items": [{"a": 1}, {"a": {"b": None}}]}}
    path = written(tmp_path, json.dumps(tree, indent=1))
    assert cells(read(path, "json", records=("data", "items"))) == [{"a": 1}, {"a": {"b": None}}]
    with pytest.raises(NotVisible, match="no key 'nothing'"):
        read(path, "json", records=("data", "nothing"))


def test_a_list_a_single_object_and_lines(tmp_path: Path) -> None:
    assert cells(read(written(tmp_path, '[{"a": 1}, {"a": 2}]'), "json")) == [{"a": 1}, {"a": 2}]
    assert cells(read(written(tmp_path, '{"a": 1}'), "json")) == [{"a": 1}]
    rows = read(written(tmp_path, '{"a": 1}\n\n[1]\n{"a": 2} x\n{broken\n{"a": 3}\n'), "jsonl")
    assert [row.cells["a"] for row in rows if not row.problem] == [1, 3]
    assert problems(rows) == ["line 3: not an object", "line 4: more than one value", "line 5: not JSON"]


def test_a_broken_record_costs_itself_and_a_broken_list_says_where_it_ends(tmp_path: Path) -> None:
    rows = read(written(tmp_path, '[{"a": 1}, {"a": tru, "b": [1, "]"]}, {"a": NaN}, {"a": 2}]'), "json")
    assert [row.cells["a"] for row in rows if not row.problem] == [1, 2]
    assert problems(rows) == ["record 2: not JSON", "record 3: not JSON"]
    cut = read(written(tmp_path, '[{"a": 1}, {"a": 2}'), "json")
    assert problems(cut) == ["record 3: the list breaks off here: the rest cannot be read"]


def test_a_record_longer_than_any_record_is_passed_over(tmp_path: Path) -> None:
    huge = json.dumps({"a": "x" * (2 * MAX_ROW_CHARS)})
    rows = read(written(tmp_path, f'[{{"a": 1}}, {huge}, {{"a": 2}}]'), "json")
    assert [row.cells["a"] for row in rows if not row.problem] == [1, 2]
    assert len(problems(rows)) == 1


def test_a_large_list_needs_the_memory_of_one_record(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "big.json"
    with path.open("w") as out:
        out.write("[" + ",".join(json.dumps({"id": n, "text": "x" * 900}) for n in range(20_000)) + "]")
    tracemalloc.start()
    count = sum(1 for _row in open_rows(path, SourceOptions(format=Format.JSON)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert path.stat().st_size > 18_000_000
    assert peak < 4_000_000  # the sample for the encoding is the largest part


def test_json_nested_too_deeply_is_one_bad_record(tmp_path: Path) -> None:
    deep = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    rows = read(written(tmp_path, f'[{deep}, {{"a": 1}}]'), "json")
    assert problems(rows) == ["record 1: nested too deeply"]
    assert rows[-1].cells == {"a": 1}


# ------------------------------------------------------------------ YAML


def test_yaml_records_of_a_key_and_of_several_documents(tmp_path: Path) -> None:
    path = written(tmp_path, "skip: {x: [1]}\nusers:\n- {id: a, n: 007, off: ~}\n- id: b\n  roles: [x, y]\n")
    assert cells(read(path, "yaml", records=("users",))) == [
        {"id": "a", "n": "007", "off": None},
        {"id": "b", "roles": ["x", "y"]},
    ]
    assert cells(read(written(tmp_path, "---\nid: a\n---\nid: b\n"), "yaml")) == [{"id": "a"}, {"id": "b"}]
    with pytest.raises(NotVisible, match="no key 'nobody'"):
        read(path, "yaml", records=("nobody",))


def test_yaml_anchors_tags_and_depth_cost_one_record(tmp_path: Path) -> None:
    deep = "[" * 60 + "]" * 60
    content = f"- &a {{id: a}}\n- *a\n- {{id: !!python/name:os.system x}}\n- {{id: {deep}}}\n- {{id: good}}\n- [1]\n"
    rows = read(written(tmp_path, content), "yaml")
    assert [row.cells["id"] for row in rows if not row.problem] == ["good"]
    assert [row.problem for row in rows if row.problem] == [
        "anchors and aliases are not read", "anchors and aliases are not read", "tags are not read",
        "nested deeper than 32", "not a mapping",
    ]  # fmt: skip


def test_yaml_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    rows = read(written(tmp_path, "- {id: a}\n- {id: b\n- x: [\n"), "yaml")
    assert rows[0].cells == {"id": "a"}
    assert "the rest cannot be read" in problems(rows)[0]


# ------------------------------------------------------------------ XLSX


def workbook(path: Path, rows: list[list[object]], title: str = "Sheet") -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def test_a_sheet_gives_stored_values_and_evaluates_nothing(tmp_path: Path) -> None:
    from datetime import datetime

    path = workbook(
        tmp_path / "a.xlsx",
        [
            ["id", "when", "n", "on", "f"],
            ["a", datetime(2026, 3, 4), 7.0, True, "=1+1"],
            [],
            ["b", None, 1.5, False, "x"],
        ],
        "Cuentas",
    )
    first, second = cells(read(path, "xlsx", sheet="Cuentas"))
    assert first == {"id": "a", "when": "2026-03-04T00:00:00", "n": "7", "on": "true", "f": ""}
    assert second == {"id": "b", "when": "", "n": "1.5", "on": "false", "f": "x"}
    with pytest.raises(NotVisible, match="no sheet 'Other'"):
        read(path, "xlsx", sheet="Other")


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "bomb.xlsx", [["id"], ["a"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/extra.xml", b"\x00" * 100_000_000)
    assert path.stat().st_size < 200_000
    with pytest.raises(NotVisible, match="unpacks to"):
        read(path, "xlsx")


def test_entities_in_a_workbook_are_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [["id"], ["a"]])
    bomb = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bomb, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part == "xl/worksheets/sheet1.xml":
                entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
                content = entity + content.replace(b"<v>0</v>", b"<v>&e;</v>", 1)
            new.writestr(part, content)
    with pytest.raises(NotVisible, match="not a readable workbook"):
        read(bomb, "xlsx")


# ------------------------------------------------------------------ LDIF

LDIF = """version: 1
# a remark
dn: cn=svc1,dc=acme,dc=example
objectClass: user
objectClass: top
description: a long
  text
cn:: {name}
objectGUID:: {guid}
objectSid:: {sid}

dn: cn=photo,dc=acme,dc=example
jpegPhoto:< file:///etc/passwd

dn: cn=gone,dc=acme,dc=example
changetype: delete

cn: nobody
"""


def test_ldif_entries_with_folded_and_coded_values(tmp_path: Path) -> None:
    sid = bytes([1, 2, 0, 0, 0, 0, 0, 5]) + (32).to_bytes(4, "little") + (544).to_bytes(4, "little")
    text = LDIF.format(
        name=base64.b64encode("Añejo".encode()).decode(),
        guid=base64.b64encode(bytes(range(16))).decode(),
        sid=base64.b64encode(sid).decode(),
    )
    rows = read(written(tmp_path, text), "ldif")
    assert rows[0].cells == {
        "dn": "cn=svc1,dc=acme,dc=example",
        "objectclass": ["user", "top"],
        "description": "a long text",
        "cn": "Añejo",
        "objectguid": "03020100-0504-0706-0809-0a0b0c0d0e0f",
        "objectsid": "S-1-5-32-544",
    }
    assert problems(rows) == [
        "line 12: a value that names a URL is not fetched",
        "line 15: a change, not an entry",
        "line 18: an entry without a dn",
    ]


# ------------------------------------------------------------------ SQL


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM a", "SELECT 1; SELECT 2", "UPDATE a SET b = 1", "PRAGMA table_info(a)", "ATTACH 'x' AS y", "",
        "WITH x AS (DELETE FROM a RETURNING b) SELECT b FROM x", "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_terminate_backend(1)", "SELECT a INTO b FROM c", "COPY a TO PROGRAM 'x'",
        "SELECT a FROM b FOR UPDATE",
        "SELECT lo_export(1, 'x')", "SELECT dblink('x', 'y')", "SELECT nextval('s')", "CREATE TABLE a AS SELECT 1",
    ],
)  # fmt: skip
def test_a_query_that_does_more_than_read_is_refused(query: str) -> None:
    assert check_query(query, "postgres") is not None


@pytest.mark.parametrize(
    "query",
    ["SELECT a, b FROM c WHERE d > 1", "SELECT a FROM b UNION SELECT c FROM d", "WITH x AS (SELECT 1) SELECT * FROM x"],
)
def test_a_query_that_only_reads_is_allowed(query: str) -> None:
    assert check_query(query, "postgres") is None
    assert check_query(query, "sqlite") is None


def database_file(folder: Path) -> Path:
    path = folder / "legacy.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE account (login TEXT, active INTEGER, made TEXT, raw BLOB)")
        connection.executemany(
            "INSERT INTO account VALUES (?, ?, ?, ?)", [(f"svc{n}", n % 2, None, b"\xff\x00") for n in range(1_200)]
        )
    connection.close()
    return path


def test_the_rows_of_a_query_of_a_sqlite_file(tmp_path: Path) -> None:
    path = database_file(tmp_path)
    rows = cells(read(path, "sqlite", query="SELECT login, active, made, raw FROM account ORDER BY rowid"))
    assert len(rows) == 1_200
    assert rows[1] == {"login": "svc1", "active": "1", "made": "", "raw": "ff00"}


def test_a_query_that_never_ends_is_stopped(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS n FROM n"
    with pytest.raises(NotVisible, match="interrupted"):
        read(database_file(tmp_path), "sqlite", query=endless, timeout_s=1)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotVisible, match="not a database"):
        read(written(tmp_path, b"x" * 4096), "sqlite", query="SELECT 1 AS a FROM b")


def test_a_query_of_postgresql_reads_and_cannot_write(postgres_url: str) -> None:
    url = Secret(postgres_url.replace("postgresql+psycopg", "postgresql"))
    options = SourceOptions(
        format=Format.POSTGRESQL, query="SELECT 'svc' || n AS login, n > 1 AS active FROM generate_series(1, 1200) n"
    )
    rows = cells(list(open_rows(None, options, url=url)))
    assert len(rows) == 1_200
    assert rows[0] == {"login": "svc1", "active": "false"}
    slow = SourceOptions(
        format=Format.POSTGRESQL, query="SELECT count(*) AS n FROM generate_series(1, 1000000000)", timeout_s=1
    )
    with pytest.raises(NotVisible, match="stopped after 1 seconds"):
        list(open_rows(None, slow, url=url))
    missing = SourceOptions(format=Format.POSTGRESQL, query="SELECT a FROM nothing_of_this_name")
    with pytest.raises(NotVisible, match="42P01"):
        list(open_rows(None, missing, url=url))
    with pytest.raises(ConfigError, match="needs the setting url"):
        list(open_rows(None, missing, url=None))


# ------------------------------------------------------------------ all of them

FILES = ("csv", "tsv", "json", "jsonl", "yaml", "ldif", "xlsx", "sqlite")


@pytest.mark.parametrize("form", FILES)
def test_what_is_no_file_is_refused_and_waits_for_nothing(tmp_path: Path, form: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    query = "SELECT 1 AS a" if form == "sqlite" else None
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing"):
        with pytest.raises(NotVisible, match="no such file"):
            read(path, form, query=query)


@pytest.mark.parametrize("form", FILES)
@given(
    content=st.binary(max_size=300),
    begin=st.sampled_from([b"", b"a,b\n1,2\n", b"[{", b"- a: ", b"dn: x\n", b"PK\x03\x04"]),
)
@example(content=b'"' * 50, begin=b"[{")
@example(content=b"\xff\xfe\x00", begin=b"")
@example(content=b"{" * 3_000, begin=b"[{")
@settings(max_examples=40, deadline=None)
def test_no_bytes_make_a_reader_crash(
    form: str, content: bytes, begin: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("x"), begin + content)
    with contextlib.suppress(NotVisible):  # the file as a whole is refused
        rows = read(path, form, query="SELECT a FROM b" if form == "sqlite" else None)
        assert all(row.where and (row.problem or row.cells is not None) for row in rows)


def test_the_limit_of_a_cell_is_ours_whatever_another_reader_asked_for(tmp_path: Path) -> None:
    """`csv.field_size_limit` belongs to the process."""
    before = csv.field_size_limit(10_000_000)
    try:
        rows = read(written(tmp_path, b"a,b\n" + b"z" * 200_000 + b",1\n3,4\n"), "csv")
    finally:
        csv.field_size_limit(before)
    assert [row.cells["a"] for row in rows if not row.problem] == ["3"]
