"""Mappings: what is proposed for a file, what a trial run says, and what a real import then keeps."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import NOW
from wardship.app import App
from wardship.model.errors import ConfigError
from wardship.services import listings, mapping, scan

Clock = Callable[[], datetime]
SPANISH = (
    "Usuario;Descripción;Estado;Alta;Responsable;Último acceso;Perfiles;Contraseña\r\n"
    + "".join(
        f"svc{n:02};Interfaz {n};{'AB'[n % 2]};{n % 28 + 1:02}/03/2025;ana@acme.example;"
        f"{('nunca', '-', '02/01/2026')[n % 3]};leer, cargar;{'Ab3' * 5}{n}\r\n"
        for n in range(40)
    )
)  # fmt: skip


@pytest.fixture
def spanish(tmp_path: Path) -> Path:
    path = tmp_path / "Cuentas técnicas.csv"
    path.write_bytes(SPANISH.encode("cp1252"))
    return path


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App.create(tmp_path / "ws", clock=lambda: NOW) as made:
        yield made


def proposal(path: Path, folder: Path, **changes: Any) -> Path:
    draft = mapping.look(path)
    out = folder / "proposed.yaml"
    out.write_text(draft.text(replace(draft.proposed, **changes)), encoding="utf-8")
    return out


# ------------------------------------------------------------------ proposing


def test_a_spanish_file_is_understood_by_its_names_and_values(spanish: Path) -> None:
    draft = mapping.look(spanish)
    assert dict(draft.proposed.columns) == {
        "identities.id": "Usuario",
        "identities.purpose": "Descripción",
        "identities.enabled": "Estado",
        "identities.created_at": "Alta",
        "owners.claim": "Responsable",
        "usage.last_used_at": "Último acceso",
        "grants.permission": "Perfiles",
        "credentials.secret": "Contraseña",
    }
    assert draft.proposed.name == "cuentas-tecnicas"


def test_no_secret_is_shown_or_written(spanish: Path, tmp_path: Path) -> None:
    shown = list(mapping.seen_rows(mapping.look(spanish)))
    text = proposal(spanish, tmp_path).read_text(encoding="utf-8")
    assert next(row for row in shown if row["column"] == "Contraseña")["samples"] == "*** · *** · ***"
    assert "Ab3Ab3" not in json.dumps(shown) + text
    assert '    secret: "Contraseña"' in text


def test_what_is_about_a_secret_is_no_secret(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.csv"
    path.write_text("login,password last set,password expires\na,2026-01-02,no\nb,2026-01-03,yes\n")
    draft = mapping.look(path)
    assert draft.proposed.columns["credentials.last_rotated_at"] == "password last set"
    result = mapping.dry_run(str(proposal(path, tmp_path)), path, clock, show=0)
    assert result.made == {"identity": 2, "credential": 2}


def test_values_that_look_like_secrets_are_not_shown_whatever_their_column_is_called(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    token = "ghp_" + "a1B2" * 9
    path.write_text("login,remark\n" + "".join(f"s{n},{token}{n}\n" for n in range(9)))
    [remark] = [row for row in mapping.seen_rows(mapping.look(path)) if row["column"] == "remark"]
    assert remark["samples"] == "*** · *** · ***"


def test_titles_above_the_header_are_skipped(spanish: Path, tmp_path: Path, clock: Clock) -> None:
    """As a person's spreadsheet has them: a line that names the list, one that dates it, an empty one."""
    titles = "Informe de cuentas;;;;;;;\r\nGenerado el 21/11/2026;;;;;;;\r\n;;;;;;;\r\n"
    spanish.write_bytes((titles + SPANISH).encode("cp1252"))
    draft = mapping.look(spanish)
    assert draft.options.header == 4
    assert draft.proposed.columns["identities.id"] == "Usuario"
    result = mapping.dry_run(str(proposal(spanish, tmp_path)), spanish, clock, show=0)
    assert (result.rows, result.wrong, result.unmapped) == (40, 0, [])


def test_a_list_of_one_column_has_no_title(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("name\nfoo; x\nbar, baz\nqux\n", encoding="utf-8")
    assert mapping.look(path).options.header == 1


def test_a_list_without_a_header_has_no_title_either(tmp_path: Path) -> None:
    """A row in which nothing looks like a value is still no header, and nothing above it is skipped."""
    path = tmp_path / "rows.csv"
    path.write_text("SVC1,interface,2026-01-02\nSVC2,backup,\nSVC3,mail,2026-01-03\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="seems to be a row"):
        mapping.look(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "json", "jsonl", "yaml", "ldif", "xlsx"])
def test_a_binary_file_is_refused_with_a_next_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    path.write_bytes(random.Random(suffix).randbytes(3_000))
    with pytest.raises(ConfigError) as refused:
        mapping.look(path)
    assert refused.value.advice


def test_a_date_column_with_an_impossible_date_stays_one(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.csv"
    path.write_text("login,last login\na,01/02/2026\nb,31/02/2020\nc,28/02/2026\nd,15/03/2026\n")
    draft = mapping.look(path)
    assert draft.proposed.columns["usage.last_used_at"] == "last login"
    result = mapping.dry_run(str(proposal(path, tmp_path)), path, clock, show=0)
    assert (result.rows, result.wrong) == (4, 1)
    assert "line 3: column 'last login'" in result.reasons[0]


def test_the_order_of_day_and_month_is_that_of_most_dates(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("login,last login\na,01/02/2026\nb,02/31/2020\nc,02/28/2026\nd,03/15/2026\n")
    [seen] = [column for column in mapping.look(path).columns if column.name == "last login"]
    assert seen.date == "mm/dd/yyyy"


def test_a_column_named_like_a_secret_is_one_unless_every_value_is_a_date(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("login,password\na,2026-01-02\nb,2026-01-03\nc,2026-01-04\nd,Winter\n")
    [seen] = [column for column in mapping.look(path).columns if column.name == "password"]
    assert seen.secret


def test_the_proposal_reads_the_file_it_was_made_for(spanish: Path, tmp_path: Path, clock: Clock) -> None:
    result = mapping.dry_run(str(proposal(spanish, tmp_path)), spanish, clock, show=3)
    assert (result.rows, result.wrong, result.unmapped) == (40, 0, [])
    assert result.made == {"identity": 40, "owner": 40, "usage": 40, "grant": 80, "credential": 40}
    assert result.drift == {}
    assert not result.complete
    assert [row["family"] for row in result.shown] == ["identity", "credential", "grant"]
    assert "enabled=yes" in result.shown[0]["fields"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.json",
            json.dumps({"meta": {"n": 1}, "data": {"users": [{"login": "a", "owner": {"email": "x@y.example"}}]}}),
        ),
        ("a.jsonl", '{"login": "a", "owner": {"email": "x@y.example"}}\n'),
        ("a.yaml", "- login: a\n  owner: {email: x@y.example}\n"),
        ("a.tsv", "login\towner\na\tx@y.example\n"),
        ("a.ldif", "dn: cn=a\nmanagedBy: cn=x\n"),
    ],
)
def test_every_format_can_be_proposed_and_read(tmp_path: Path, clock: Clock, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    result = mapping.dry_run(str(proposal(path, tmp_path)), path, clock, show=9)
    assert result.made == {"identity": 1, "owner": 1}
    assert result.wrong == 0


def test_the_order_of_day_and_month_is_seen_where_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for cells, form in ((("03/14/2026", "01/02/2026"), "mm/dd/yyyy"), (("14/03/2026", "01/02/2026"), "dd/mm/yyyy")):
        path.write_text("login,created\n" + "".join(f"s{n},{cell}\n" for n, cell in enumerate(cells)))
        assert f'dates: ["{form}"]' in proposal(path, tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rpa robots.csv", "robot"),
        ("OAuth-Apps.csv", "oauth_app"),
        ("monkeys.csv", "unknown"),
        ("api_keys.csv", "api_client"),
    ],
)
def test_what_a_list_is_of_is_read_from_its_name(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.write_text("id,type\na,x\n")
    draft = mapping.look(path)
    assert draft.proposed.kind == kind
    assert draft.proposed.columns["identities.subtype"] == "type"


@pytest.mark.parametrize(("name", "content"), [("x.pdf", "%PDF"), ("x.csv", ""), ("x.csv", "a,b\n"), ("x.db", "")])
def test_what_cannot_be_looked_at_says_what_can(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigError) as refused:
        mapping.look(path)
    assert refused.value.advice


_NAME = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\x00\ufffd\ufeff"), min_size=1, max_size=9
)


def looked(path: Path) -> Any:
    """The draft, or the refusal."""
    try:
        return mapping.look(path)
    except ConfigError as refused:
        return refused


@given(header=st.lists(_NAME, min_size=1, max_size=5), cells=st.lists(_NAME, min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_proposal_for_hostile_names_is_still_a_mapping(
    header: list[str], cells: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    import csv

    folder = tmp_path_factory.mktemp("h")
    path = folder / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, cells[: len(header)]])
    draft = looked(path)
    if isinstance(draft, ConfigError):
        assert draft.advice
        return
    out_path = folder / "m.yaml"
    out_path.write_text(draft.text(draft.proposed), encoding="utf-8")
    mapping.dry_run(str(out_path), path, lambda: NOW, show=0)


# ------------------------------------------------------------------ trying and importing


def test_a_trial_says_what_would_be_quarantined_and_what_is_not_known(
    spanish: Path, tmp_path: Path, clock: Clock
) -> None:
    proposed = proposal(spanish, tmp_path)
    spanish.write_bytes(SPANISH.replace("svc03", "").replace(";A;", ";Z;", 1).encode("cp1252"))
    result = mapping.dry_run(str(proposed), spanish, clock, show=0)
    assert (result.rows, result.wrong) == (40, 1)
    assert result.reasons == ["line 5: id is empty (column 'Usuario')"]
    assert list(result.drift) == [("file.cuentas-tecnicas.identities.Estado", "value 'Z'")]


def test_an_import_keeps_what_the_trial_showed_and_no_secret(app: App, spanish: Path, tmp_path: Path) -> None:
    settings_ = {"mapping": str(proposal(spanish, tmp_path))}
    outcome = scan.read_files(app.workspace, app.ambient("file", settings_), [spanish], app.actor)
    assert (outcome.error, outcome.items, outcome.quarantined, outcome.complete) == (None, 41, 0, 0)
    with app.facts() as facts:
        [row] = facts.rows("SELECT count(*) AS n, count(fingerprint) AS printed FROM credential")
    assert (row["n"], row["printed"]) == (40, 40)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "ws").rglob("*") if path.is_file())
    assert b"Ab3Ab3" not in kept


@pytest.mark.parametrize("complete", [True, False])
def test_only_a_whole_population_makes_what_is_left_out_missing(
    app: App, spanish: Path, tmp_path: Path, complete: bool
) -> None:
    settings_ = {"mapping": str(proposal(spanish, tmp_path, complete=complete)), "path": str(spanish)}
    app.workspace.db.clock = lambda: NOW
    connection = app.ambient("file", settings_)
    assert scan.read(app.workspace, connection, app.actor).error is None
    spanish.write_bytes("\n".join(SPANISH.splitlines()[:-2]).encode("cp1252"))
    app.workspace.db.clock = lambda: NOW + timedelta(days=1)
    assert scan.read(app.workspace, connection, app.actor).error is None
    with app.facts() as facts:
        rows = list(facts.rows("SELECT presence, count(*) AS n FROM identity GROUP BY presence"))
    assert {row["presence"]: row["n"] for row in rows} == (
        {"present": 38, "unconfirmed": 2} if complete else {"present": 40}
    )


def test_a_file_that_tells_its_date_may_not_write_over_a_later_reading(app: App, spanish: Path, tmp_path: Path) -> None:
    proposed = proposal(spanish, tmp_path)
    proposed.write_text(proposed.read_text(encoding="utf-8") + "as_of: {file_name: yyyymmdd}\n", encoding="utf-8")
    live = app.ambient("file", {"mapping": str(proposed), "path": str(spanish)})
    assert scan.read(app.workspace, live, app.actor).error is None
    old = tmp_path / "cuentas_20250101.csv"
    old.write_bytes(spanish.read_bytes())
    with pytest.raises(ConfigError, match="after the files were exported"):
        scan.read_files(app.workspace, app.ambient("file", {"mapping": str(proposed)}), [old], app.actor)


def test_the_words_of_an_import_are_files_and_settings(tmp_path: Path) -> None:
    (tmp_path / "a=b.csv").write_text("")
    words = [tmp_path / "x.csv", Path("mapping=m.yaml"), tmp_path / "a=b.csv", Path("other=1")]
    files, settings_ = scan.files_and_settings("file", words)
    assert settings_ == {"mapping": "m.yaml"}
    assert files == [tmp_path / "x.csv", tmp_path / "a=b.csv", Path("other=1")]
    with pytest.raises(ConfigError, match="holds a secret itself"):
        scan.files_and_settings("file", [Path("url=postgresql")])


def test_the_shipped_mappings_are_listed() -> None:
    rows = {row["name"]: row for row in mapping.shipped()}
    assert len(rows) == 6
    assert rows["api-gateway-keys"]["makes"] == "identities, credentials, grants, owners, usage"


def test_a_sqlite_file_is_imported(app: App, tmp_path: Path) -> None:
    path = tmp_path / "legacy.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE a (login TEXT)")
        made.execute("INSERT INTO a VALUES ('svc1'), ('svc2')")
    made.close()
    text = (
        "wardship_mapping: 1\nname: db\nsource: {format: sqlite, query: SELECT login FROM a}\n"
        'system: {authority: "db:legacy"}\nidentities: [{id: login, kind: {value: database_account}}]\n'
    )
    (tmp_path / "m.yaml").write_text(text)
    outcome = scan.read_files(
        app.workspace, app.ambient("file", {"mapping": str(tmp_path / "m.yaml")}), [path], app.actor
    )
    assert outcome.items == 3
    with app.facts() as facts:
        assert len(list(listings.findings(app.db, facts))) >= 1
