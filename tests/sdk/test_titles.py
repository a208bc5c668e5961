"""Titles are found without reading the whole of a file."""

from __future__ import annotations

from pathlib import Path

from wardship.sdk.detection import load_detections
from wardship.sdk.rule import load_rules
from wardship.sdk.titles import DETECTIONS, RULES, titles_in


def test_they_are_the_titles_of_the_files_read_whole() -> None:
    assert titles_in(RULES) == {rule.id: rule.title for rule in load_rules()}
    assert titles_in(DETECTIONS) == {one.id: one.title for one in load_detections()}


def test_only_the_outermost_title_counts(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("needs: {title: inner}\nsteps:\n- title: inner\ntitle: outer\n")
    (tmp_path / "two.yaml").write_text("id: title\nneeds: [title]\n")
    assert titles_in(tmp_path) == {"one": "outer"}


def test_a_file_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("id: [unclosed\ntitle: lost\n")
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    (tmp_path / "fine.yaml").write_text("title: found\n: : [what follows is for others to read\n")
    assert titles_in(tmp_path, tmp_path / "absent") == {"fine": "found"}
