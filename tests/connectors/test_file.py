"""Files by a mapping: what becomes of each row, what is never kept, and what a file may not say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.connectors import file as connector
from wardship.connectors.file import export, reader
from wardship.connectors.file.reader import FileReader
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import ConfigError, DataError, NotVisible, UnexpectedResponse
from wardship.model.exposure import Dependency, DependencyConfidence
from wardship.model.identity import Identity, IdentityKind, Person, Standing, Supplier, System
from wardship.model.owner import Owner, OwnerRole
from wardship.model.scan import Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import Capability, Connection, Record

Clock = Callable[[], datetime]
HEAD = """\
wardship_mapping: 1
name: legacy
source: {format: FORM, dates: ["dd/mm/yyyy", "dd/mm/yyyy hh:mm"], time_zone: Europe/Madrid, empty: ["-"]}
system: {authority: "legacy:app", kind: legacy_application, name: Legacy, environment: Producción}
"""


def fingerprint(value: Secret) -> str:
    return value.reveal()[::-1].encode().hex()[:32]


def connection(tmp_path: Path, clock: Clock, body: str, form: str = "csv", **settings: str) -> Connection:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(HEAD.replace("FORM", form) + body, encoding="utf-8")
    return Connection(
        name="legacy",
        connector="file",
        settings={"mapping": str(mapping), **settings},
        clock=clock,
        fingerprint=fingerprint,
    )


def imported(tmp_path: Path, clock: Clock, body: str, text: str, form: str = "csv") -> FileReader:
    path = tmp_path / f"data.{form}"
    path.write_text(text, encoding="utf-8")
    return connector.import_files([path], connection(tmp_path, clock, body, form))


def items(files: FileReader) -> list[Any]:
    return [item for scope in files.scopes() for page in files.fetch(scope, None) for item in page.items]


def read(files: FileReader) -> tuple[list[Record], list[str]]:
    """(records, what was wrong with the other rows), without the system."""
    found: list[Record] = []
    wrong: list[str] = []
    for scope in files.scopes():
        for page in files.fetch(scope, None):
            for item in page.items:
                try:
                    found.extend(one for one in files.parse(scope, item) if not isinstance(one, System))
                except DataError as error:
                    wrong.append(error.message)
    return found, wrong


# ------------------------------------------------------------------ what a row becomes


def test_the_system_is_what_the_mapping_says(tmp_path: Path, clock: Clock) -> None:
    files = imported(tmp_path, clock, "identities: [{id: login}]\n", "login\na\n")
    [scope] = files.scopes()
    first = next(iter(files.fetch(scope, None))).items[0]
    assert list(files.parse(scope, first)) == [
        System(authority="legacy:app", kind="legacy_application", name="Legacy", environment="production")
    ]


def test_an_identity_with_everything(tmp_path: Path, clock: Clock) -> None:
    body = """
identities:
  - id: {template: "{host}\\\\{login}", lower: true}
    kind: {column: type, values: {BD: database_account, app: api_client}}
    name: {first: [alias, login]}
    standing: {value: own}
    enabled: {column: status, values: {A: true, B: false}}
    created_at: made
    environment: env
    purpose: text
    criticality: {column: crit, values: {Alta: HIGH}}
    supplier: {column: vendor, lower: true}
    aliases: [{column: sid, authority: "ad:{host}"}]
    attributes: {teams: {column: teams, split: "/"}, plan: plan}
"""
    header = "host,login,type,alias,status,made,env,text,crit,vendor,sid,teams,plan\n"
    row = 'SRV1,SvcA,bd,-,b,03/04/2026 10:30,PRE,"for the batch, pwd: hunter2",alta,ACME.example,S-1-5,a/ b /,gold\n'
    [found], wrong = read(imported(tmp_path, clock, body, header + row))
    assert wrong == []
    assert found == Identity(
        authority="legacy:app",
        native_id="srv1\\svca",
        kind=IdentityKind.DATABASE_ACCOUNT,
        subtype="bd",
        name="SvcA",
        standing=Standing.OWN,
        enabled=False,
        created_at=datetime(2026, 4, 3, 8, 30, tzinfo=UTC),  # summer in Madrid
        environment="staging",
        purpose="for the batch, pwd: ***",
        criticality="high",
        supplier="acme.example",
        aliases=(("ad:SRV1", "S-1-5"),),
        attributes={"teams": ["a", "b"], "plan": "gold"},
    )


def test_every_other_kind_of_record(tmp_path: Path, clock: Clock) -> None:
    body = """
credentials:
  - {id: key, identity: login, type: {value: api_key}, expires_at: until, no_expiry: {value: false}}
grants:
  - {identity: login, permission: {column: roles, split: ","}, tier: {value: write}, tenant_wide: true}
owners:
  - identity: {column: login, authority: "ad:main"}
    claim: owner
    role: {value: business}
    confidence: {value: "80 %"}
people:
  - {id: owner, email: {column: owner, lower: true}, active: {value: true}}
suppliers:
  - {name: vendor, matches: {column: domains, split: " "}, contract_end_on: until}
usage:
  - {credential: key, last_used_at: {column: used, never: [nunca]}}
dependencies:
  - {consumer: app, identity: login, environment: {value: prod}}
"""
    header = "login,key,until,roles,owner,vendor,domains,used,app\n"
    row = 'svc,k1,31/12/2026,"read,write,read",Ana@acme.example,Norte,N.example m.example,nunca,billing\n'
    found, wrong = read(imported(tmp_path, clock, body, header + row))
    assert wrong == []
    until = datetime(2026, 12, 30, 23, tzinfo=UTC)
    own = ("legacy:app", "svc")
    assert found == [
        Credential(
            authority="legacy:app", native_id="k1", identity=own, type=CredentialType.API_KEY,
            expires_at=until, no_expiry=False,
        ),
        *(
            Grant(authority="legacy:app", identity=own, permission=one, tier=Tier.WRITE, tenant_wide=True)
            for one in ("read", "write")
        ),
        Owner(
            authority="legacy:app", identity=("ad:main", "svc"), claim="Ana@acme.example", source="file:legacy",
            role=OwnerRole.BUSINESS, confidence=0.8, evidence="column 'owner'",
        ),
        Person(authority="legacy:app", native_id="Ana@acme.example", email="ana@acme.example", active=True),
        Supplier(
            authority="legacy:app", native_id="norte", name="Norte", matches=("n.example", "m.example"),
            contract_end_on=date(2026, 12, 31),
        ),
        Usage(subject=("credential", "legacy:app", "k1"), source="file:legacy", state=UseState.NEVER),
        Dependency(
            authority="legacy:app", consumer="billing", consumer_kind="application", target=("identity", *own),
            source="file:legacy", confidence=DependencyConfidence.INFERRED, environment="production",
        ),
    ]  # fmt: skip


def test_conditions_choose_what_a_row_is(tmp_path: Path, clock: Clock) -> None:
    body = """
identities:
  - {id: login, when: {column: type, in: [svc, robot]}, kind: {value: robot}}
people:
  - {id: login, when: [{column: type, not_in: [svc, robot]}, {column: mail, empty: false}]}
"""
    files = imported(tmp_path, clock, body, "login,type,mail\na,SVC,\nb,human,b@x.example\nc,human,\n")
    found, wrong = read(files)
    assert [(type(one).__name__, cast("Any", one).native_id) for one in found] == [("Identity", "a"), ("Person", "b")]
    assert wrong == []  # c was excluded, not lost


@pytest.mark.parametrize(
    ("cell", "state", "when"),
    [
        ("nunca", UseState.NEVER, None),
        ("", UseState.UNKNOWN, None),
        ("-", UseState.UNKNOWN, None),
        ("01/02/2026", UseState.USED, datetime(2026, 1, 31, 23, tzinfo=UTC)),
    ],
)
def test_an_empty_cell_is_unknown_and_never_never(
    tmp_path: Path, clock: Clock, cell: str, state: UseState, when: datetime | None
) -> None:
    body = "usage: [{identity: login, last_used_at: {column: used, never: [nunca]}}]\n"
    [found], _wrong = read(imported(tmp_path, clock, body, f"login,used\na,{cell}\n"))
    assert isinstance(found, Usage)
    assert (found.state, found.last_used_at) == (state, when)


def test_a_word_that_no_table_knows_is_unknown_and_counted(tmp_path: Path, clock: Clock) -> None:
    body = "identities: [{id: login, enabled: {column: st, values: {A: true}}, kind: {column: ty}}]\n"
    files = imported(tmp_path, clock, body, "login,st,ty\na,A,robot\nb,Z,thing\n")
    first, second = cast("list[Identity]", read(files)[0])
    assert (first.enabled, first.kind) == (True, IdentityKind.ROBOT)
    assert (second.enabled, second.kind, second.subtype) == (None, IdentityKind.UNKNOWN, "thing")
    assert files.drift.counts == {
        ("file.legacy.identities.st", "value 'Z'"): 1,
        ("file.legacy.identities.ty", "value 'thing'"): 1,
    }


def test_nested_json_is_reached_with_dots(tmp_path: Path, clock: Clock) -> None:
    body = "grants: [{identity: app.id, permission: roles.name}]\nowners: [{identity: app.id, claim: owners}]\n"
    text = json.dumps([{"app": {"id": 7}, "roles": [{"name": "r"}, {"name": "w"}], "owners": ["x", "y"]}])
    found, wrong = read(imported(tmp_path, clock, body, text, "json"))
    assert wrong == []
    assert [one.permission for one in found if isinstance(one, Grant)] == ["r", "w"]
    assert [one.claim for one in found if isinstance(one, Owner)] == ["x", "y"]


def test_an_object_where_a_value_is_expected_is_unknown_and_counted(tmp_path: Path, clock: Clock) -> None:
    text = json.dumps([{"id": "a", "plan": {"name": "gold"}}])
    files = imported(tmp_path, clock, "identities: [{id: id, attributes: {plan: plan}}]\n", text, "json")
    [found], wrong = read(files)
    assert (cast("Identity", found).attributes, wrong) == ({}, [])
    assert list(files.drift.counts) == [("file.legacy.plan", "shape object")]


def test_columns_are_found_in_another_spelling(tmp_path: Path, clock: Clock) -> None:
    [found], _ = read(imported(tmp_path, clock, "identities: [{id: user name}]\n", "USER  Name\na\n"))
    assert cast("Identity", found).native_id == "a"


# ------------------------------------------------------------------ rows that cannot be read


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",A,", "line 3: id is empty (column 'login')"),
        ("x,A,32/01/2026", "line 3: column 'made': no date of a declared form"),
        ("x,A,soon", "line 3: column 'made': no date of a declared form"),
        ("x,A,01/01/2026,more", "line 3: more cells than the header has columns"),
        ("x" * 3000 + ",A,", "line 3: native id of 3000 characters (limit 2048)"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(tmp_path: Path, clock: Clock, row: str, reason: str) -> None:
    body = "identities: [{id: login, created_at: made}]\n"
    found, wrong = read(imported(tmp_path, clock, body, f"login,st,made\na,A,01/02/2026\n{row}\nb,A,\n"))
    assert [cast("Identity", one).native_id for one in found] == ["a", "b"]
    assert wrong == [reason]


def test_a_row_that_gives_nothing_is_not_lost_silently(tmp_path: Path, clock: Clock) -> None:
    body = "credentials: [{id: key}]\n"
    found, wrong = read(imported(tmp_path, clock, body, "key,x\nk1,1\n-,2\n"))
    assert len(found) == 1
    assert wrong == ["line 3: nothing in it: key empty"]


@given(kinds=st.lists(st.sampled_from(["good", "date", "id", "cells"]), max_size=30))
@settings(max_examples=40, deadline=None)
def test_k_bad_rows_of_n_cost_exactly_k(kinds: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = {"good": "s{0},01/02/2026", "date": "s{0},99/99/9999", "id": ",01/02/2026", "cells": "s{0},,x"}
    text = "login,made\n" + "".join(rows[kind].format(number) + "\n" for number, kind in enumerate(kinds))
    folder = tmp_path_factory.mktemp("k")
    body = "identities: [{id: login, created_at: made}]\n"
    found, wrong = read(imported(folder, lambda: datetime(2026, 11, 22, tzinfo=UTC), body, text))
    assert len(found) == kinds.count("good")
    assert len(wrong) == len(kinds) - kinds.count("good")


# ------------------------------------------------------------------ secrets


def test_a_secret_becomes_a_fingerprint_before_an_item_exists(tmp_path: Path, clock: Clock) -> None:
    value = "zQ9" * 8
    body = "credentials: [{id: login, secret: api key, type: {value: api_key}, created_at: made}]\n"
    text = f"login,api key,made,other\na,{value},01/02/2026,{value}\nb,********,,\nc,{value},bad date,\n"
    files = imported(tmp_path, clock, body, text)
    assert value not in repr(items(files))
    found, wrong = read(files)
    assert [cast("Credential", one).fingerprint for one in found] == [fingerprint(Secret(value)), None]
    assert len(wrong) == 1
    assert value not in wrong[0]


def test_a_credential_known_only_by_its_value_has_the_fingerprint_as_its_id(tmp_path: Path, clock: Clock) -> None:
    value = "zQ9" * 8
    [found], _ = read(imported(tmp_path, clock, "credentials: [{secret: key}]\n", f"key\n{value}\n"))
    assert cast("Credential", found).native_id == f"secret:{fingerprint(Secret(value))}"


def test_columns_that_are_not_mapped_are_never_in_an_item(tmp_path: Path, clock: Clock) -> None:
    files = imported(tmp_path, clock, "identities: [{id: login}]\n", "login,private\na,do-not-keep\n,do-not-keep\n")
    assert "do-not-keep" not in repr(items(files))
    assert files.unmapped() == ["private"]


# ------------------------------------------------------------------ files as a whole


def test_a_file_is_not_the_whole_population_unless_it_is_said(tmp_path: Path, clock: Clock) -> None:
    for said, problems in (("", ["not_whole"]), ("complete: true\n", [])):
        files = imported(tmp_path, clock, f"{said}identities: [{{id: login}}]\n", "login\na\n")
        [scope] = files.scopes()
        assert [one.reason for page in files.fetch(scope, None) for one in page.problems] == problems


def test_a_missing_column_that_is_needed_refuses_the_file_and_another_is_counted(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="no column 'login'") as refused:
        imported(tmp_path, clock, "identities: [{id: login}]\n", "user\na\n")
    assert "'user'" in refused.value.advice
    files = imported(tmp_path, clock, "identities: [{id: user, name: full name}]\n", "user\na\n")
    assert read(files)[1] == []
    assert list(files.drift.counts) == [("file.legacy.columns", "shape no column 'full name'")]


@pytest.mark.parametrize(("content", "why"), [("", "empty"), ("\n", "empty"), ("user,kind\n", "no column 'login'")])
def test_a_failed_export_is_no_list_of_nothing(tmp_path: Path, clock: Clock, content: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        imported(tmp_path, clock, "complete: true\nidentities: [{id: login}]\n", content)
    assert read(imported(tmp_path, clock, "complete: true\nidentities: [{id: login}]\n", "login\n"))[1] == []


def test_a_file_that_changes_while_it_is_read_is_begun_anew(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "data.csv"
    path.write_text("login\n" + "".join(f"s{n}\n" for n in range(1_200)))
    files = connector.import_files([path], connection(tmp_path, clock, "identities: [{id: login}]\n"))
    [scope] = files.scopes()
    first = next(files.fetch(scope, None))
    assert first.next_token is not None
    path.write_text("login\nother\n")
    with pytest.raises(UnexpectedResponse) as refused:
        next(files.fetch(scope, first.next_token))
    assert refused.value.operation == "token"


def test_a_query_of_a_live_database_is_begun_anew_after_a_stop(tmp_path: Path, clock: Clock, postgres_url: str) -> None:
    (tmp_path / "m.yaml").write_text(
        "wardship_mapping: 1\nname: live\nsystem: {authority: 'old:db'}\nidentities: [{id: login}]\n"
        "source: {format: postgresql, query: \"SELECT 'u' || n AS login FROM generate_series(1, 700) n\"}\n"
    )
    url = Secret(postgres_url.replace("postgresql+psycopg", "postgresql"))

    def opened() -> FileReader:
        return connector.connect(
            Connection(
                name="f",
                connector="file",
                settings={"mapping": str(tmp_path / "m.yaml")},
                clock=clock,
                secret={"url": url}.__getitem__,
            )
        )

    first = opened()
    [scope] = first.scopes()
    pages = list(first.fetch(scope, None))
    assert sum(len(page.items) for page in pages) == 701
    with pytest.raises(UnexpectedResponse) as refused:
        next(opened().fetch(scope, pages[0].next_token))
    assert refused.value.operation == "token"


def test_several_files_of_a_pattern_are_one_area(tmp_path: Path, clock: Clock) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"login\n{name}\n\n{name},x\n")
    files = connector.connect(connection(tmp_path, clock, "identities: [{id: login}]\n", path=str(tmp_path / "*.csv")))
    found, wrong = read(files)
    assert [cast("Identity", one).native_id for one in found] == ["a", "b"]
    assert wrong[0] == "a.csv, line 4: more cells than the header has columns"
    assert [line.allowed for line in files.check()] == [True]


def test_a_connection_to_what_is_not_there_says_so(tmp_path: Path, clock: Clock) -> None:
    body = "identities: [{id: login}]\n"
    gone = connector.connect(connection(tmp_path, clock, body, path=str(tmp_path / "gone.csv")))
    [scope] = gone.scopes()
    with pytest.raises(NotVisible, match="no such file"):
        list(gone.fetch(scope, None))
    assert [line.allowed for line in gone.check()] == [False]
    none = connector.connect(connection(tmp_path, clock, body, path=str(tmp_path / "*.csv")))
    assert [line.allowed for line in none.check()] == [False]


def test_kept_items_are_parsed_again_without_their_file(tmp_path: Path, clock: Clock) -> None:
    body = "identities: [{id: login, created_at: made}]\n"
    files = imported(tmp_path, clock, body, "login,made\na,soon\n")
    [scope] = files.scopes()
    _system, kept = items(files)
    mended = {**kept, "cells": {**kept["cells"], "made": "2026-01-01"}}
    again = connector.import_files([], connection(tmp_path, clock, body))
    assert [cast("Identity", one).native_id for one in again.parse(scope, mended)] == ["a"]
    with pytest.raises(NotVisible, match="no file to read"):
        list(again.fetch(scope, None))
    nobody = connector.import_files([], Connection(name="f", connector="file", clock=clock))
    with pytest.raises(DataError, match="how to read"):
        nobody.parse(scope, mended)


@pytest.mark.parametrize(
    ("said", "name", "expected"),
    [
        ("as_of: {file_name: yyyymmdd}\n", "accounts_20260304.csv", datetime(2026, 3, 4, tzinfo=UTC)),
        ("as_of: {file_name: yyyymmdd}\n", "accounts.csv", None),
        ("as_of: {column: exported, time_zone: UTC}\n", "accounts.csv", datetime(2026, 5, 6, tzinfo=UTC)),
        ("", "accounts_20260304.csv", None),
    ],
)
def test_when_a_file_was_written_is_in_its_name_or_in_a_column(
    tmp_path: Path, clock: Clock, said: str, name: str, expected: datetime | None
) -> None:
    path = tmp_path / name
    path.write_text("login,exported\na,06/05/2026\n")
    files = connector.import_files([path], connection(tmp_path, clock, said + "identities: [{id: login}]\n"))
    assert files.as_of == expected


def test_a_file_without_a_mapping_that_nobody_knows_says_how_to_make_one(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "unknown.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="no mapping for it") as refused:
        connector.import_files([path], Connection(name="f", connector="file", clock=clock))
    assert f"wardship mapping new {path}" in refused.value.advice


def test_nothing_has_to_be_granted_but_reading(tmp_path: Path, clock: Clock) -> None:
    files = connector.connect(Connection(name="f", connector="file", clock=clock))
    assert "wardship mapping new" in files.setup(Capability.DISCOVER).cli
    with pytest.raises(ConfigError, match="nothing has to be granted"):
        files.setup(Capability.ROTATE)
    assert [line.allowed for line in files.check()] == [False]


# ------------------------------------------------------------------ exports of other tools


def own_format(*, complete: bool) -> export.Export:
    def recognise(path: Path, head: bytes) -> bool:
        return head.startswith(b"OWN FORMAT")

    def scopes(path: Path, connection: Connection) -> list[Scope]:
        return [Scope(connector="file", authority="own:x", kind="own.robot")]

    def rows(path: Path, scope: Scope) -> Iterator[object]:
        return iter([{"id": line} for line in path.read_text().splitlines()[1:]])

    def parse(scope: Scope, item: Any, connection: Connection) -> list[Record]:
        return [Identity(authority=scope.authority, native_id=item["id"], kind=IdentityKind.ROBOT)]

    module = SimpleNamespace(
        NAME="own",
        TITLE="Own",
        COMPLETE=complete,
        recognise=recognise,
        scopes=scopes,
        rows=rows,
        parse=parse,
    )
    return cast("export.Export", cast("ModuleType", module))


@pytest.mark.parametrize("complete", [True, False])
def test_a_recognised_export_needs_no_mapping(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    monkeypatch.setattr(export, "exports", lambda: (own_format(complete=complete),))
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"OWN FORMAT\n{name}\n")
    files = connector.import_files(
        [tmp_path / "one", tmp_path / "two"], Connection(name="f", connector="file", clock=clock)
    )
    [scope] = files.scopes()
    assert [cast("Identity", one).native_id for one in read(files)[0]] == ["one", "two"]
    assert [bool(page.problems) for page in files.fetch(scope, None)] == [not complete]


def test_every_export_module_has_the_names_of_the_interface() -> None:
    for module in export.exports():
        assert module.NAME
        assert module.TITLE
        for name in ("recognise", "scopes", "rows", "parse"):
            assert callable(getattr(module, name))
        assert module.recognise(Path("nothing.bin"), b"\x00\xff") is False
    assert reader.PAGE_ROWS > 0
