"""The format of a detection: what is wrong in a file is told with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardship.model.errors import ConfigError
from wardship.sdk.detection import BUILT_IN, TABLES, detection_schema, example_tables, load_detection

GOOD = (BUILT_IN / "use_after_inactivity.yaml").read_text(encoding="utf-8")


def load(folder: Path, old: str, new: str) -> None:
    assert old in GOOD
    path = folder / "use_after_inactivity.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    load_detection(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: use_after_inactivity", "id: other_name", "is not the file's name"),
        ("aspect: time", "aspect: mood", "aspect"),
        ("weight: 40", "weight: 140", "weight"),
        ("T1078.004", "T10", "attack"),
        ('"NHI1:2025"', '"NHI99:2025"', "owasp_nhi"),
        ("%(silent_days)s", "%(silly_days)s", "silly_days"),
        ("    'awake' AS fold,\n", "", "the result has no fold"),
        ("FROM event AS e", "FROM secrets AS e", "no fact table is called 'secrets'"),
        ("count(*) AS events", "read_text('/etc/passwd') AS events", "read_text"),
        (":dormant_days", ":made_up_days", "made_up_days"),
        ("severity: medium", "severity: medium\nunheard: of", "unheard"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, old, new)
    assert told in str(error.value)
    assert "use_after_inactivity.yaml, line " in str(error.value)


def test_an_example_may_only_name_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column"):
        load(tmp_path, "event: [{time: 2026-06-01 03:00:00}]", "event: [{clock: 2026-06-01 03:00:00}]")


def test_a_change_of_what_is_judged_is_another_detection(tmp_path: Path) -> None:
    path = tmp_path / "use_after_inactivity.yaml"
    path.write_text(GOOD, encoding="utf-8")
    before = load_detection(path).digest
    path.write_text(GOOD.replace("weight: 40", "weight: 41"), encoding="utf-8")
    assert load_detection(path).digest != before
    assert before == load_detection(BUILT_IN / path.name).digest


def test_rows_of_an_example_are_complete() -> None:
    one = load_detection(BUILT_IN / "use_after_inactivity.yaml").fires[0]
    rows = example_tables(one)
    assert set(rows) == set(TABLES)
    (event,) = rows["event"]
    assert list(event) == list(TABLES["event"])
    assert (event["ref"], event["actor_id"], event["action_class"]) == ("1#0", "AIDA1", None)


def test_the_schema_knows_every_field() -> None:
    schema = detection_schema()
    assert {"query", "weight", "aspect", "fires", "passes"} <= set(schema["required"])
    assert "NHI1:2025" in schema["properties"]["owasp_nhi"]["items"]["enum"]
