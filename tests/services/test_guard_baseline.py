"""The baseline: entries with a reason and an end, fingerprints that tell nothing, comments beside the line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from wardship.model.errors import ConfigError
from wardship.services.guard import baseline
from wardship.services.guard.baseline import Baseline, Entry

TODAY = date(2026, 11, 22)
ENTRY = Entry(
    detector="generic.password",
    path='a "quoted" #path: ünï.py',
    fingerprint="0123456789abcdef01234567-89",
    reason="made up, opens nothing: yes",
    expires=date(2027, 3, 1),
    added_by="dana@example.org",
    added_on=TODAY,
)
GOOD = """version: 1
entries:
  - detector: generic.password
    path: conf.py
    fingerprint: 0123456789abcdef01234567-89
    reason: made up, opens nothing
    expires: 2027-03-01
    added_by: dana
    added_on: 2026-11-22
"""


def spans(data: bytes, *values: bytes) -> list[tuple[int, int]]:
    return [(data.index(value), data.index(value) + len(value)) for value in values]


def place(data: bytes, value: bytes, path: bytes = b"conf.py") -> str:
    return baseline.places(path, data, spans(data, value))[0]


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / baseline.FILE
    other = replace(ENTRY, fingerprint="f" * 24 + "-00", path="b.py")
    baseline.save(file, [other, ENTRY])
    assert list(baseline.load(file).entries) == [ENTRY, other]
    baseline.save(file, [])
    assert baseline.load(file) == Baseline()


@pytest.mark.parametrize(
    ("wrong", "line", "words"),
    [
        (GOOD.replace("    reason: made up, opens nothing\n", ""), 3, "reason is missing"),
        (GOOD.replace("    expires: 2027-03-01\n", ""), 3, "expires is missing"),
        (GOOD.replace("reason: made up, opens nothing", 'reason: " "'), 6, "says something"),
        (GOOD.replace("2027-03-01", "2028-03-01"), 7, "365"),
        (GOOD.replace("2027-03-01", "soon"), 7, "date"),
        (GOOD.replace("-89", ""), 5, "hex"),
        (GOOD + "    severity: low\n", 10, "no such field"),
        (GOOD + "rules: []\n", 10, "no such field"),
        (GOOD.replace("version: 1", "version: 2"), 1, "must be 1"),
        ("- a\n", 1, "mapping"),
        ("version: 1\nentries: 5\n", 2, "list"),
        ("a: &x [1]\n", 1, "anchors"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_field(wrong: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        baseline.parse(wrong)
    assert f"{baseline.FILE}, line {line}" in told.value.message
    assert words in told.value.message


def test_the_published_schema_is_that_of_the_program() -> None:
    page = ROOT / "docs" / "schema" / "baseline.schema.json"
    assert json.loads(page.read_text(encoding="utf-8")) == baseline.schema()


def test_the_schema_takes_what_the_program_takes(tmp_path: Path) -> None:
    import yaml

    def is_valid(text: str) -> bool:
        data = yaml.load(text, Loader=yaml.BaseLoader)  # dates stay texts, as in JSON
        data["version"] = int(data["version"])
        return jsonschema_rs.is_valid(baseline.schema(), data)

    assert is_valid(GOOD)
    assert not is_valid(GOOD + "    severity: low\n")
    assert not is_valid(GOOD.replace("    reason: made up, opens nothing\n", ""))


def test_an_entry_holds_to_the_end_of_its_last_day() -> None:
    assert ENTRY.holds(ENTRY.expires)
    assert not ENTRY.holds(ENTRY.expires + timedelta(days=1))
    ending = Baseline(entries=(ENTRY,)).ending
    assert not ending(ENTRY.expires - timedelta(days=31))
    assert ending(ENTRY.expires - timedelta(days=30)) == [ENTRY]
    assert ending(ENTRY.expires + timedelta(days=400)) == [ENTRY]


@pytest.mark.parametrize(("days", "fits"), [(-1, False), (0, True), (365, True), (366, False)])
def test_an_end_lies_within_a_year(days: int, fits: bool) -> None:
    if fits:
        baseline.check_end(TODAY + timedelta(days=days), TODAY)
    else:
        with pytest.raises(ConfigError):
            baseline.check_end(TODAY + timedelta(days=days), TODAY)


# ------------------------------------------------------------------ fingerprints


def test_a_place_stays_when_lines_move_and_indentation_changes() -> None:
    one = place(b'a = 1\npassword = "hunter22"\n', b"hunter22")
    assert one == place(b'\n\n\n  password =   "hunter22"', b"hunter22")
    assert one != place(b'other_password = "hunter22"\n', b"hunter22")
    assert one != place(b'password = "hunter22"\n', b"hunter22", b"other.py")


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40))
def test_a_place_says_nothing_of_the_value(one: bytes, other: bytes) -> None:
    def of(value: bytes) -> str:
        data = b"password = <" + value + b">\n"
        return baseline.places(b"conf.py", data, [(12, 12 + len(value))])[0]

    assert of(one) == of(other)


def test_a_place_says_nothing_of_another_value_in_its_line() -> None:
    first = b"user:alpha1 key:beta22"
    second = b"user:gamma3 key:beta22"
    assert baseline.places(b"x", first, spans(first, b"alpha1", b"beta22")) == baseline.places(
        b"x", second, spans(second, b"gamma3", b"beta22")
    )


def test_ten_thousand_values_in_one_line_cost_no_square() -> None:
    data = b"key=hunter22;" * 10_000
    every = [(start + 4, start + 12) for start in range(0, len(data), 13)]
    assert len(baseline.places(b"x", data, every)) == 10_000


def test_a_fingerprint_tells_eight_bits_of_the_value_and_no_more() -> None:
    guesses = {baseline.fingerprint("0" * 24, f"password{n}".encode()) for n in range(5_000)}
    assert len(guesses) == 256
    places = {baseline.fingerprint(f"{n:024x}", b"password1")[-2:] for n in range(100)}
    assert len(places) == 1, "the same 8 bits in every place: more entries tell no more"


def test_another_value_in_the_same_place_is_another_fingerprint() -> None:
    assert baseline.fingerprint("0" * 24, b"summer2026") != baseline.fingerprint("0" * 24, b"winter2027")


def test_the_far_end_of_a_long_line_does_not_count() -> None:
    one = b"x" * 500 + b'key="hunter22"' + b"y" * 500
    other = b"z" * 300 + b"x" * 200 + b'key="hunter22"' + b"y" * 200 + b"w" * 50
    assert place(one, b"hunter22") == place(other, b"hunter22")


# ------------------------------------------------------------------ comments


@pytest.mark.parametrize(
    ("comment", "counts"),
    [
        ("until 2027-01-01 because it opens nothing", True),
        ("until 2026-11-22 because today is its last day", True),
        ("until 2026-11-21 because it was fine then", False),
        ("until 2028-01-01 because it is for ever", False),
        ("until 2027-01-01", False),
        ("because I say so", False),
        ("", False),
        ("until 2027-13-45 because of nonsense", False),
    ],
)
def test_a_comment_counts_with_an_end_and_a_reason(comment: str, counts: bool) -> None:
    note = f"wardship: allow {comment}"
    for text in (f'key = "hunter22"  # {note}\n', f'# {note.title()}\nkey = "hunter22"\n', f'<!-- {note}\n"hunter22"'):
        data = text.encode()
        ((start, end),) = spans(data, b"hunter22")
        told = baseline.allowance(data, start, end, TODAY)
        assert told is not None
        assert (told.problem is None) is counts


@pytest.mark.parametrize(
    "text",
    [
        "# NOTE\n\nkey = 'hunter22'\n",
        "key = 'hunter22'\n# NOTE\n",
        "other = 'alpha'  # NOTE\nkey = 'hunter22'\n",  # it speaks of the line it stands in
    ],
)
def test_a_comment_elsewhere_does_not_count(text: str) -> None:
    data = text.replace("NOTE", "wardship: allow until 2027-01-01 because it is made up").encode()
    ((start, end),) = spans(data, b"hunter22")
    assert baseline.allowance(data, start, end, TODAY) is None
