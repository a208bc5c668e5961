"""Mapping files: every mistake is told with file, line, field and next step; the schema says what the loader takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from wardship.connectors.file.dates import date_form, instant_of
from wardship.connectors.file.mapping import FileMapping, load_mapping, mapping_schema, shipped
from wardship.model.errors import ConfigError

GOOD = """\
wardship_mapping: 1
name: good
source: {format: csv}
system: {authority: "a:b"}
identities:
  - id: login
    kind: {value: robot}
"""
SCHEMA = ROOT / "docs" / "schema" / "mapping.schema.json"


def load(folder: Path, text: str) -> FileMapping:
    path = folder / "m.yaml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


MISTAKES: list[tuple[str, str, str, str]] = [
    # (what is there, what is written instead, where and what, next step)
    ("wardship_mapping: 1", "wardship_mapping: 2", "m.yaml, line 1, wardship_mapping: this version", "mapping: 1"),
    ("name: good", "name: Not Good", "m.yaml, line 2, name: no name", "small letters"),
    ("format: csv", "format: pdf", "m.yaml, line 3, source.format: 'pdf' does not fit", "csv, tsv"),
    ("format: csv", "format: csv, encoding: utf-99", "line 3, source.encoding: no such encoding", "utf-8"),
    ("format: csv", "format: csv, encoding: rot13", "line 3, source.encoding: no such encoding", "utf-8"),
    ("format: csv", "format: csv, delimiter: ab", "line 3, source.delimiter: one character", '";"'),
    ("format: csv", "format: csv, header: 0", "line 3, source.header: a number", "from 1 to 1000"),
    ("format: csv", "format: csv, dates: [soon]", "line 3, source.dates.0: 'soon' is no form", "dd/mm/yyyy"),
    ("format: csv", "format: csv, dates: dd/mm/yy", "line 3, source.dates: 'dd/mm/yy' is no form", "dd/mm/yyyy"),
    ("format: csv", "format: csv, time_zone: Moon/Base", "line 3, source.time_zone: this machine", "Europe/Madrid"),
    ("format: csv", "format: csv, query: SELECT 1", "line 3, source.query: only for the formats", "take it out"),
    ("format: csv", 'format: sqlite, query: "DROP TABLE x"', "line 3, source.query: it must be one SELECT", "SELECT"),
    ("format: csv", "format: csv, sheets: x", "line 3, source.sheets: no such field", "sheet"),
    ('"a:b"', '"ab"', "line 4, system.authority: the authority is who", "cmdb:legacy"),
    ("- id: login", "- name: login", "line 6, identities.0: id is missing", "column"),
    ("- id: login", "- id: {column: a, value: b}", "line 6, identities.0.id: one of column", "docs/mapping.md"),
    ("- id: login", "- id: {colum: a}", "line 6, identities.0.id.colum: no such field", "column"),
    ("- id: login", "- id: {column: a, lower: si}", "line 6, identities.0.id.lower: true or false", "true or false"),
    ("- id: login", "- id: password", "line 6, identities.0.id: column 'password' looks like a secret", "plain: true"),
    ("- id: login", "- id: Contraseña", "line 6, identities.0.id: column 'Contraseña' looks like", "plain: true"),
    ("- id: login", "- id: a\n    owner: b", "line 7, identities.0.owner: no such field", "fields: id"),
    ("- id: login", "- id: a\n    when: {column: b}", "line 7, identities.0.when: one of in", "docs/mapping.md"),
    ("- id: login", "- id: a\n    attributes: {x: [1]}", "line 7, identities.0.attributes.x: a mapping", "docs"),
    ("{value: robot}", "{value: toaster}", "line 7, identities.0.kind: 'toaster' is none", "robot"),
    ("{value: robot}", "{column: t, values: {a: toaster}}", "line 7, identities.0.kind: 'toaster' is none", "robot"),
    ("identities:", "identity:", "line 5, identity: no such field", "identities"),
    ("identities:\n  - id: login\n    kind: {value: robot}\n", "", "it makes nothing of a row", "identities"),
    (
        "identities:\n  - id: login\n    kind: {value: robot}\n", "credentials: [{secret: {value: x}}]\n",
        "a secret is in a column", "column",
    ),
    ("name: good", "name: good\nas_of: {file_name: x}", "line 3, as_of.file_name: no form of a date", "yyyy-mm-dd"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message", "advice"), MISTAKES, ids=[new[:40] for _old, new, *_rest in MISTAKES]
)
def test_a_mistake_is_told_with_its_place_and_the_next_step(
    tmp_path: Path, old: str, new: str, message: str, advice: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, GOOD.replace(old, new))
    assert message in refused.value.message
    assert advice in refused.value.advice


def test_an_empty_file_is_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="begins with wardship_mapping: 1"):
        load(tmp_path, "")


def test_a_column_named_like_a_secret_may_be_declared_to_be_none(tmp_path: Path) -> None:
    text = GOOD.replace("- id: login", "- id: {column: token, plain: true}")
    assert load(tmp_path, text).columns == {"token"}


_KEYS = st.sampled_from(["column", "value", "first", "when", "id", "in", "dates"])
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
_PLACES = st.sampled_from(["source", "system", "identities", "complete", "as_of", "grants"])


def mapping_or_mistake(folder: Path, text: str) -> FileMapping | ConfigError:
    try:
        return load(folder, text)
    except ConfigError as refused:
        return refused


@given(junk=_JUNK, place=_PLACES)
@settings(max_examples=120, deadline=None)
def test_whatever_is_written_is_a_mapping_or_a_mistake(
    junk: Any, place: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = yaml.safe_load(GOOD) | {place: junk}
    loaded = mapping_or_mistake(tmp_path_factory.mktemp("m"), yaml.safe_dump(data))
    if isinstance(loaded, ConfigError):
        assert "m.yaml" in loaded.message
    else:
        assert jsonschema_rs.is_valid(mapping_schema(), data), loaded


def test_the_published_schema_is_the_loaders(tmp_path: Path) -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == mapping_schema()


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_shipped_mapping_fits_the_schema_and_is_called_like_its_file(path: Path) -> None:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(jsonschema_rs.iter_errors(mapping_schema(), told)) == []
    assert load_mapping(path).name == path.stem


# ------------------------------------------------------------------ dates

MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("dd/mm/yyyy", "3/4/2026", datetime(2026, 4, 2, 22, tzinfo=UTC)),
        ("mm/dd/yyyy", "3/4/2026", datetime(2026, 3, 3, 23, tzinfo=UTC)),
        ("dd/mm/yyyy hh:mm:ss", "03/04/2026 10:20:30", datetime(2026, 4, 3, 8, 20, 30, tzinfo=UTC)),
        ("dd.mm.yyyy", "03.04.2026", datetime(2026, 4, 2, 22, tzinfo=UTC)),
        ("iso", "2026-04-03T10:00:00+02:00", datetime(2026, 4, 3, 8, tzinfo=UTC)),
        ("dd/mm/yyyy", "2026-04-03", datetime(2026, 4, 2, 22, tzinfo=UTC)),
        ("generalized", "20260403100000Z", datetime(2026, 4, 3, 10, tzinfo=UTC)),
        ("generalized", "20260403100000.0+0200", datetime(2026, 4, 3, 8, tzinfo=UTC)),
        ("epoch", "1775210400", datetime(2026, 4, 3, 10, tzinfo=UTC)),
        ("epoch_ms", "1775210400000", datetime(2026, 4, 3, 10, tzinfo=UTC)),
        ("filetime", "134196840000000000", datetime(2026, 4, 3, 10, tzinfo=UTC)),
        ("filetime", "0", None),
        ("filetime", "9223372036854775807", None),
        ("excel", "46115,5", datetime(2026, 4, 3, 10, tzinfo=UTC)),
    ],
)
def test_dates_of_every_form(form: str, text: str, expected: datetime | None) -> None:
    known = date_form(form)
    assert known is not None
    assert instant_of(text, (known,), MADRID) == expected


@given(text=st.text(max_size=30) | st.from_regex(r"[0-9/.:\-T ]{1,25}", fullmatch=True))
@settings(max_examples=150, deadline=None)
def test_no_text_makes_a_date_crash(text: str) -> None:
    for name in ("dd/mm/yyyy", "iso", "generalized", "epoch", "filetime", "excel", "yyyymmdd"):
        form = date_form(name)
        assert form is not None
        try:
            found = instant_of(text, (form,), MADRID)
        except ValueError:
            continue
        assert found is None or found.tzinfo is not None
