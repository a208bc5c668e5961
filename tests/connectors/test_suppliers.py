"""The register of suppliers: what people's spreadsheets really look like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.connectors import suppliers
from wardship.model.errors import ConfigError, DataError
from wardship.model.identity import Supplier
from wardship.sdk.connector import Connection
from wardship.sdk.testing import read_scope

TENANT = "0F9D5A7E-3A44-4B52-9E43-5D5B2AD41C77"
Clock = Callable[[], datetime]


def register(tmp_path: Path, clock: Clock, content: bytes) -> suppliers.Register:
    path = tmp_path / "suppliers.csv"
    path.write_bytes(content)
    return suppliers.connect(Connection(name="s", connector="suppliers", settings={"path": str(path)}, clock=clock))


def read(connector: suppliers.Register) -> tuple[list[Supplier], list[str]]:
    """(suppliers, what was wrong with the other rows)."""
    [scope] = connector.scopes()
    found, wrong = [], []
    for page in connector.fetch(scope, None):
        for item in page.items:
            try:
                found.extend(r for r in connector.parse(scope, item) if isinstance(r, Supplier))
            except DataError as error:
                wrong.append(error.message)
    return found, wrong


SPANISH = (
    "Proveedor;Inquilinos;Cuentas AWS;Dominios;Responsable interno;Fin de contrato\r\n"
    f"Integración Peña;{TENANT};;peña-no.example;;\r\n"
    f"Mensajería;{TENANT};111122223333;Norte.Example, mn.example;Lucia@Acme.example;31/12/2026\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_spanish_excel_file_is_read_in_every_encoding_that_excel_writes(
    tmp_path: Path, clock: Clock, encoding: str
) -> None:
    found, wrong = read(register(tmp_path, clock, SPANISH.encode(encoding)))
    assert wrong == ["line 2: no domain"]
    [norte] = found
    assert norte.name == "Mensajería"
    assert norte.matches == (TENANT.lower(), "111122223333", "norte.example", "mn.example")
    assert norte.sponsor == "lucia@acme.example"
    assert norte.contract_end_on == date(2026, 12, 31)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("2026-02-28", date(2026, 2, 28)), ("3/4/2026", date(2026, 4, 3)), ("28.02.2026", date(2026, 2, 28)), ("", None)],
)
def test_dates_are_iso_or_day_first(tmp_path: Path, clock: Clock, cell: str, expected: date | None) -> None:
    found, _ = read(register(tmp_path, clock, f"name,contract_end\nX,{cell}\n".encode()))
    assert found[0].contract_end_on == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",,,,", "no name"),
        ("X,not-a-guid,,,", "no tenant id"),
        ("X,,12345,,", "no AWS account id"),
        ("X,,,-bad-.example,", "no domain"),
        ("X,,,,someone", "not an e-mail"),
        ("X,,,,a@b.example,2026-01-01,too,many", "more cells"),
        ("X,,,,,13/13/2026", "no date"),
        ("X,,,,,soon", "no date"),
        ("X\x00,,,,,", "unreadable"),
        ("X" * 5000 + ",,,,,", "characters"),
    ],
)
def test_an_unreadable_row_is_named_and_the_others_are_read(
    tmp_path: Path, clock: Clock, row: str, reason: str
) -> None:
    header = "name,tenants,accounts,domains,sponsor,contract end\n"
    broken = row if row.strip(",") else ",,a,,,"
    found, wrong = read(register(tmp_path, clock, f"{header}{broken}\nGood,,,,,\n".encode()))
    assert [supplier.name for supplier in found] == ["Good"]
    assert len(wrong) == 1
    assert reason in wrong[0]
    assert wrong[0].startswith("line 2")


def test_the_name_is_no_match_and_a_renamed_supplier_with_an_id_stays_the_same(tmp_path: Path, clock: Clock) -> None:
    first, _ = read(register(tmp_path, clock, b"id,name\nB123,Old Name\n"))
    second, _ = read(register(tmp_path, clock, b"id,name\nB123,New Name\n"))
    assert first[0].uid == second[0].uid
    assert first[0].matches == ()


def test_a_missing_file_is_a_scope_that_was_not_read(tmp_path: Path, clock: Clock) -> None:
    connector = register(tmp_path, clock, b"name\n")
    (tmp_path / "suppliers.csv").unlink()
    [scope] = connector.scopes()
    assert read_scope(connector, scope).error is not None
    assert [line.allowed for line in connector.check()] == [False]


def test_a_file_without_a_name_column_is_refused_with_advice(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ConfigError, match="no column") as refused:
        suppliers.import_files([path], Connection(name="s", connector="suppliers", clock=clock))
    assert "name" in refused.value.advice


def test_an_import_gives_what_a_scan_gives(tmp_path: Path, clock: Clock) -> None:
    scanned = register(tmp_path, clock, SPANISH.encode())
    again = suppliers.import_files(
        [tmp_path / "suppliers.csv"], Connection(name="s", connector="suppliers", clock=clock)
    )
    assert read(scanned) == read(again)


def test_confirm_looks_again(tmp_path: Path, clock: Clock) -> None:
    connector = register(tmp_path, clock, b"sep=;\nname;domains\nNorte;norte.example\n")
    [scope] = connector.scopes()
    assert connector.confirm(scope, "supplier", "norte") is True
    assert connector.confirm(scope, "supplier", "sur") is False
    assert connector.confirm(scope, "identity", "norte") is None


@given(content=st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_bytes_make_it_crash(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("r") / "suppliers.csv"
    path.write_bytes(content if content[:1] == b"!" else b"name,domains\n" + content)
    connector = suppliers.Register([path], "x")
    if all(line.allowed for line in connector.check()):  # else the whole file is refused, in one sentence
        found, wrong = read(connector)
        assert all(supplier.name for supplier in found)
        assert all(wrong)
