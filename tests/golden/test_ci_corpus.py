"""Pipelines written for this test: beside each line stands what it must give, `#= kind name, kind name` (? unknown)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wardship.sdk.ci_files import workflow_references

CORPUS = Path(__file__).parent / "ci"
FILES = sorted(file for file in CORPUS.rglob("*") if file.is_file())
_EXPECTED = re.compile(r"(?:#|//)= (.+)$")


def test_the_corpus_is_there() -> None:
    assert len(FILES) >= 4


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_line_gives_what_is_written_beside_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    expected = set()
    for number, line in enumerate(text.split("\n"), 1):
        if match := _EXPECTED.search(line):
            for one in match[1].split(", "):
                kind, name = one.split(" ")
                expected.add((number, kind, None if name == "?" else name))
    assert len(expected) > 5
    found = workflow_references(text, path=str(file.relative_to(CORPUS)))
    assert {(one.line, one.kind, one.name) for one in found} == expected
