"""The cheap search lets through what it must, and little else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from wardship.secrets import candidates, providers
from wardship.secrets.prefilter import FastPrefilter, Prefilter, prefilter
from wardship.secrets.text import PIECE, Text

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["fast", "slow"])
def search(request: pytest.FixtureRequest) -> Prefilter:
    return prefilter(["ab+c"], ["x[0-9]y"], ["zz", "b c"], fast=request.param == "fast")


def test_the_fast_search_is_there_to_be_tested() -> None:
    """Without hyperscan, which the development lock installs, fast and slow would be the same."""
    assert isinstance(prefilter(["a"]), FastPrefilter)


def test_pieces_are_lines_and_tell_which_groups_matched(search: Prefilter) -> None:
    text = Text(b"none\n abbc x1y\n\nx2y\r\nab\nc\nabc\nzz abc zz")
    assert [(text.data[begin:end], which) for begin, end, which in search.pieces(text)] == [
        (b" abbc x1y", 0b011),
        (b"x2y\r", 0b010),
        (b"abc", 0b001),
        (b"zz abc zz", 0b101),
    ]


def test_of_a_long_line_only_the_pieces_that_match(search: Prefilter) -> None:
    line = b"-" * (10 * PIECE) + b"abc" + b"-" * (10 * PIECE)
    pieces = list(search.pieces(Text(line)))
    assert 1 <= len(pieces) <= 2
    assert all(b"abc" in line[begin:end] and end - begin <= PIECE for begin, end, _which in pieces)


def test_a_text_without_a_match_gives_nothing(search: Prefilter) -> None:
    assert list(search.pieces(Text(b""))) == []
    assert list(search.pieces(Text(b"\n\n"))) == []


def test_our_own_sources_are_searched_at_memory_speed() -> None:
    """The goal is 500 MB a CPU second; a tenth of it here, as the machine may be busy and files are small."""
    search = prefilter(candidates.SEARCHES, providers.Providers(notices=False).prefilters)
    data = b"".join(path.read_bytes() for path in sorted((ROOT / "wardship").rglob("*.py")))
    texts = [Text(data)] * 20
    began = time.process_time()
    pieces = sum(len(list(search.pieces(text))) for text in texts)
    took = time.process_time() - began
    assert pieces > 0
    assert len(data) * len(texts) / took > 50_000_000
