"""The ready-made mappings, each on a file as its source writes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from wardship.connectors import file as connector
from wardship.model.access import Credential, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.exposure import Dependency
from wardship.model.identity import Identity, IdentityKind, Supplier, System
from wardship.model.owner import Owner, OwnerRole
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection, Record

Clock = Callable[[], datetime]


def fingerprint(_value: Secret) -> str:
    return "f" * 32


def read(mapping: str, path: Path, clock: Clock) -> tuple[list[Record], list[str]]:
    files = connector.import_files(
        [path],
        Connection(name="f", connector="file", settings={"mapping": mapping}, clock=clock, fingerprint=fingerprint),
    )
    found: list[Record] = []
    wrong: list[str] = []
    for scope in files.scopes():
        for page in files.fetch(scope, None):
            for item in page.items:
                try:
                    found += [one for one in files.parse(scope, item) if not isinstance(one, System)]
                except DataError as error:
                    wrong.append(error.message)
    assert files.drift.counts == {}
    return found, wrong


def of(found: list[Record], kind: type) -> list[Any]:
    return [one for one in found if isinstance(one, kind)]


def test_keys_of_an_api_gateway(tmp_path: Path, clock: Clock) -> None:
    key = {
        "id": "k1", "name": "billing key", "value": "sekret" * 4, "enabled": True, "created_at": 1775210400,
        "expires_at": 0, "consumer": {"id": "c1", "name": "Billing"}, "stage": "prod", "plan": {"name": "gold"},
        "scopes": ["read", "pay"], "owner": "ana@acme.example", "last_used_at": None,
    }  # fmt: skip
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"items": [key, {"id": "k2"}]}))
    found, wrong = read("api-gateway-keys", path, clock)
    assert wrong == ["record 2: id is empty (column 'consumer.id')"]
    [identity], [credential], [usage] = of(found, Identity), of(found, Credential), of(found, Usage)
    assert (identity.kind, identity.environment) == (IdentityKind.API_CLIENT, "production")
    assert identity.attributes == {"plan": "gold"}
    assert credential.identity == ("gateway:main", "c1")
    assert credential.fingerprint == "f" * 32
    assert (credential.created_at, credential.expires_at) == (datetime(2026, 4, 3, 10, tzinfo=UTC), None)
    assert usage.state is UseState.UNKNOWN
    assert [one.permission for one in of(found, Grant)] == ["read", "pay"]


def test_oauth_apps_of_a_casb(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "apps.csv"
    path.write_text(
        "App ID,App Name,Publisher,Publisher Domain,Status,Permission Level,Permissions,Users,Community Use,"
        "Last Activity,Authorized By\n"
        "a1,Mail Helper,Helper Inc,Helper.example,Approved,High,Mail.Read;Mail.Send,12,Rare,"
        "11/30/2026,Ana@acme.example\n"
        "a2,Old App,-,-,Banned,Low,User.Read,0,Common,Never,\n"
    )
    found, wrong = read("casb-oauth-apps", path, clock)
    assert wrong == []
    first, second = of(found, Identity)
    assert (first.enabled, second.enabled) == (True, False)
    assert (first.supplier, second.supplier) == ("helper.example", None)
    assert [(one.permission, one.tier) for one in of(found, Grant)] == [
        ("Mail.Read", Tier.WRITE), ("Mail.Send", Tier.WRITE), ("User.Read", Tier.READ),
    ]  # fmt: skip
    assert [one.state for one in of(found, Usage)] == [UseState.USED, UseState.NEVER]
    assert [one.claim for one in of(found, Owner)] == ["ana@acme.example"]


def test_accounts_of_a_cmdb_saved_by_a_spanish_excel(tmp_path: Path, clock: Clock) -> None:
    header = (
        "Sistema;Cuenta;Tipo;Descripción;Estado;Fecha de alta;Entorno;Criticidad;Proceso de negocio;"
        "Responsable técnico;Responsable de negocio;Cambio de contraseña;Último acceso;Aplicaciones\r\n"
    )
    path = tmp_path / "cmdb.csv"
    path.write_bytes(
        (
            header + "SAP;RFC_01;BD;Interfaz;Alta;01/07/2020;Producción;Crítica;Nóminas;ana@acme.example;-;01/07/2020;"
            "nunca;Nóminas, Tesorería\r\n"
            "SAP;API_02;API;Portal;Baja;31/02/2020;Pruebas;Baja;-;;;;-;\r\n"
        ).encode("cp1252")
    )
    found, wrong = read("legacy-cmdb-accounts", path, clock)
    assert wrong == ["line 3: column 'Fecha de alta': no date of a declared form"]
    [identity] = of(found, Identity)
    assert identity.native_id == "sap\\rfc_01"
    assert (identity.environment, identity.criticality, identity.enabled) == ("production", "critical", True)
    assert identity.created_at == datetime(2020, 6, 30, 22, tzinfo=UTC)
    assert [(one.claim, one.role) for one in of(found, Owner)] == [("ana@acme.example", OwnerRole.TECHNICAL)]
    assert [one.last_rotated_at for one in of(found, Credential)] == [datetime(2020, 6, 30, 22, tzinfo=UTC)]
    assert [one.state for one in of(found, Usage)] == [UseState.NEVER]
    assert [one.consumer for one in of(found, Dependency)] == ["Nóminas", "Tesorería"]


def test_service_accounts_of_a_directory(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "accounts.ldif"
    path.write_text(
        "dn: CN=svc1,DC=acme,DC=example\nobjectClass: top\nobjectClass: user\nsAMAccountName: svc1\n"
        "whenCreated: 20200701000000.0Z\npwdLastSet: 134196840000000000\nlastLogonTimestamp: 0\n"
        "memberOf: CN=Admins,DC=acme\nmemberOf: CN=Ops,DC=acme\nmanagedBy: CN=Ana,DC=acme\n\n"
        "dn: CN=gmsa1,DC=acme,DC=example\nobjectClass: msDS-GroupManagedServiceAccount\nsAMAccountName: gmsa1$\n"
    )
    found, wrong = read("ldif-service-accounts", path, clock)
    assert wrong == []
    assert [(one.name, one.kind) for one in of(found, Identity)] == [
        ("svc1", IdentityKind.DIRECTORY_ACCOUNT), ("gmsa1$", IdentityKind.MANAGED_SERVICE_ACCOUNT),
    ]  # fmt: skip
    assert [one.permission for one in of(found, Grant)] == ["CN=Admins,DC=acme", "CN=Ops,DC=acme"]
    assert [one.last_rotated_at for one in of(found, Credential)] == [datetime(2026, 4, 3, 10, tzinfo=UTC)]
    assert [one.claim for one in of(found, Owner)] == ["CN=Ana,DC=acme"]
    assert {one.state for one in of(found, Usage)} == {UseState.UNKNOWN}


def test_robots_of_an_orchestrator(tmp_path: Path, clock: Clock) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(
        ["Robot", "Type", "State", "Environment", "Process", "Machine", "Account", "Process owner", "Last run"]
    )
    sheet.append(
        [
            "R1",
            "Unattended",
            "Available",
            "Prod",
            "Invoices",
            "M1",
            "SVC_R1",
            "ana@acme.example",
            datetime(2026, 3, 4, 9),
        ]
    )
    sheet.append(["R2", "Attended", "Disabled", "-", "-", "M2", "-", "-", "never"])
    path = tmp_path / "robots.xlsx"
    book.save(path)
    found, wrong = read("rpa-robots", path, clock)
    assert wrong == []
    assert [one.enabled for one in of(found, Identity)] == [True, False]
    assert [one.target for one in of(found, Dependency)] == [("identity", "ad:accounts", "svc_r1")]
    assert [(one.state, one.last_used_at) for one in of(found, Usage)] == [
        (UseState.USED, datetime(2026, 3, 4, 8, tzinfo=UTC)), (UseState.NEVER, None),
    ]  # fmt: skip


def test_accounts_of_suppliers(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "suppliers.csv"
    path.write_text(
        "Account,Supplier,Domain,Purpose,Status,Sponsor,Contract end,Access,Last login\n"
        'EXT_01,Norte SL,norte.example,Support,Active,ana@acme.example,31/12/2026,"vpn,erp",never\n'
        "EXT_02,Norte SL,norte.example,Support,Closed,nobody,31/12/2026,vpn,-\n"
    )
    found, wrong = read("supplier-accounts", path, clock)
    assert wrong == ["line 3: sponsor: no e-mail address"]
    assert Counter(type(one).__name__ for one in found) == {
        "Identity": 1, "Supplier": 1, "Owner": 1, "Grant": 2, "Usage": 1,
    }  # fmt: skip
    [supplier] = of(found, Supplier)
    assert supplier.matches == ("norte.example",)


def test_each_shipped_mapping_has_its_test() -> None:
    tested = {"api-gateway-keys", "casb-oauth-apps", "ldif-service-accounts", "legacy-cmdb-accounts", "rpa-robots"}
    assert {one.name for one in connector.shipped_mappings()} == tested | {"supplier-accounts"}


def test_an_unknown_name_says_where_to_look(clock: Clock, tmp_path: Path) -> None:
    from wardship.model.errors import ConfigError

    path = tmp_path / "a.csv"
    path.write_text("a\n")
    with pytest.raises(ConfigError, match="no mapping nothing") as refused:
        read("nothing", path, clock)
    assert "wardship mapping list" in refused.value.advice
