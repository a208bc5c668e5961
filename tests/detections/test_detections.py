"""The catalogue of detections as a whole: every example runs, and no threshold is hidden in a query."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from wardship.sdk.detection import BUILT_IN, Detection, detection_messages, load_detections
from wardship.services.detection_examples import run_examples

DETECTIONS = load_detections()
each = pytest.mark.parametrize("detection", DETECTIONS, ids=lambda one: one.id)


@each
def test_its_examples_fire_and_pass(detection: Detection, tmp_path: Path) -> None:
    assert run_examples(detection, tmp_path) == []


@each
def test_it_says_what_it_cannot_see_and_shows_what_it_must_not_report(detection: Detection) -> None:
    assert detection.limits
    assert detection.attack or detection.aspect in ("volume", "manner"), "a technique, or why there is none"
    assert detection.passes


@each
def test_the_same_hit_folds_whatever_the_day(detection: Detection) -> None:
    """A fold that holds an instant or a count never folds."""
    fold = next(one for one in sqlglot.parse_one(detection.query, read="duckdb").selects if one.alias == "fold")
    named = {column.name for column in fold.find_all(exp.Column)}
    assert not named & {"time", "uid", "ref", "position", "input", "batch", "session", "first_at", "last_at"}
    assert not list(fold.find_all(exp.Count))


def test_every_file_is_loaded_and_no_text_is_said_twice() -> None:
    assert {one.id for one in DETECTIONS} == {path.stem for path in BUILT_IN.glob("*.yaml")}
    for text in ("title", "sentence", "rationale", "query"):
        said = [re.sub(r"\s+", " ", getattr(one, text)).casefold() for one in DETECTIONS]
        assert len(said) == len(set(said)), text
    assert any(message for _place, message in detection_messages())
