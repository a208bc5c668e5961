"""YAML from strangers: plain data with lines, or a refusal that says where."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.model.errors import ConfigError
from wardship.sdk.yaml_file import read_yaml, read_yaml_file


def test_values_come_with_their_lines() -> None:
    told = read_yaml("a: 1\nb:\n  - c: true\n  - d: 2026-01-01\n", "x.yaml")
    assert told.data["b"][0] == {"c": True}
    assert (told.line(("a",)), told.line(("b", 1, "d")), told.line(("b", 1, "nothing"))) == (1, 4, 4)
    assert told.error(("b", 0), "bad").message == "x.yaml, line 3, b.0: bad"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "line 1: anchors"),
        ("a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]", "anchors"),
        ("a: !!python/object/apply:os.system ['id']", "tags"),
        ("a: 1\na: 2", "line 2: 'a' is there twice"),
        ("[" * 100, "nested deeper"),
        ("{[1]: 2}", "must be a word"),
        ("a: [1", "not readable"),
        ("a: 2026-99-99", "not readable"),
        ("x" * 300_000, "larger than"),
        ("\x00", "not readable"),
        ("--- 1\n--- 2", "not readable"),
    ],
)
def test_dangers_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_yaml(text, "x.yaml")


def test_files_must_be_utf8_and_small(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="byte 3 is not UTF-8"):
        read_yaml_file(path)
    path.write_bytes(b"a: " + b"x" * 300_000)
    with pytest.raises(ConfigError, match="larger"):
        read_yaml_file(path)


@given(st.text(max_size=300) | st.text("ab:- \n[]{}&*!'\"#|>", max_size=100))
@settings(max_examples=200, deadline=None)
def test_any_text_is_data_or_a_clear_refusal(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert read_yaml(text, "x.yaml").name == "x.yaml"
