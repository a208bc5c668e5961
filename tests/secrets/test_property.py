"""Laws of the engine, for any bytes: it never fails, its positions are right, both prefilters agree."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardship.secrets import Engine, load_engine
from wardship.secrets.checks import made_up
from wardship.secrets.prefilter import Prefilter, prefilter
from wardship.secrets.providers import Format, Providers
from wardship.secrets.text import OVERLAP, PIECE, Text

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
ALL = Providers(notices=True).formats

_names = st.sampled_from(
    ["password", "DB_PASS", "apiKey", "client-secret", "token", "Authorization", "x", "user", "SECRET_KEY_BASE", "id"]
)
_values = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), max_size=40) | st.sampled_from(
    [
        "${X}",
        "changeme",
        "a8F3kd92LmQ0x7",
        "0123456789abcdef",
        "-----BEGIN PRIVATE KEY-----",
        "AKIA",
        "ghp_",
        "eyJh.eyJi.x",
    ]
)
_shapes = st.sampled_from(
    ['{n}="{v}"', "{n}: {v}", '"{n}": "{v}",', "<{n}>{v}</{n}>", "{n}={v}", "--{n} {v}", "{n} => '{v}'", "x://u:{v}@h/{n}",
     '\\"{n}\\":\\"{v}\\"', "{n}({v!r}, {v!r})", "{v}", "{n} {v}"]
)  # fmt: skip
_lines = st.builds(lambda shape, n, v: shape.format(n=n, v=v), _shapes, _names, _values)
_paths = st.sampled_from(
    ["", "a.py", ".env", "x.json", ".netrc", "config.json", "master.key", "shadow", "a.md", "b.sh"]
)
_texts = st.lists(_lines, max_size=8).map("\n".join).map(lambda text: text.encode("utf-8", "surrogatepass"))
_any = (
    st.binary(max_size=400)
    | _texts
    | st.tuples(st.sampled_from([b"\xff\xfe", b"\xfe\xff", b"\0"]), _texts).map(b"".join)
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(least=0.05, notices=True)


@pytest.fixture(scope="module")
def slow() -> Engine:
    return load_engine(least=0.05, notices=True, fast=False)


@pytest.fixture(scope="module")
def search() -> Prefilter:
    return prefilter(Providers(notices=True).prefilters)


def check_any_bytes(engine: Engine, data: bytes, path: str) -> None:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    reached = 0
    for hit in engine.scan(data, path=path):
        assert reached <= hit.start < hit.end <= len(data)
        reached = hit.end
        assert 0 < hit.confidence <= 1
        if not wide:
            before = data[: hit.start]
            line = before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")
            assert (hit.line, hit.column) == (before.count(b"\n") + 1, len(line) + 1)
            value = hit.value.reveal()
            assert data[hit.start : hit.end] in (
                value.encode("utf-8", "surrogatepass"),
                value.encode("latin-1", "replace"),
            )


@QUICK
@given(data=_any, path=_paths)
def test_any_bytes_are_scanned_and_positions_are_right(engine: Engine, data: bytes, path: str) -> None:
    check_any_bytes(engine, data, path)


@pytest.mark.chaos
@LONG
@given(data=_any, path=_paths)
def test_many_bytes_are_scanned_and_positions_are_right(engine: Engine, data: bytes, path: str) -> None:
    check_any_bytes(engine, data, path)


def facts(engine: Engine, data: bytes, path: str) -> list[tuple[str, int, int, float, str | None]]:
    return [(hit.detector, hit.start, hit.end, hit.confidence, hit.name) for hit in engine.scan(data, path=path)]


@QUICK
@given(data=_any, path=_paths)
def test_with_and_without_hyperscan_the_answer_is_the_same(
    engine: Engine, slow: Engine, data: bytes, path: str
) -> None:
    assert facts(engine, data, path) == facts(slow, data, path)


@pytest.mark.chaos
@LONG
@given(data=_any, path=_paths, filler=st.integers(min_value=0, max_value=3 * PIECE))
def test_on_long_lines_too_the_answer_is_the_same(
    engine: Engine, slow: Engine, data: bytes, path: str, filler: int
) -> None:
    text = b"a" * filler + b" " + data.replace(b"\n", b" ") + b"-" * filler
    assert facts(engine, text, path) == facts(slow, text, path)


@QUICK
@given(
    lines=st.lists(_lines.filter(lambda line: "-----BEGIN" not in line), max_size=6), path=st.sampled_from(["", "a.py"])
)
def test_a_line_gives_the_same_hits_alone_and_in_a_file(engine: Engine, lines: list[str], path: str) -> None:
    texts = [line.encode("utf-8", "surrogatepass") for line in lines]
    if any(b"\n" in text or text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in text for text in texts):
        return
    alone = [(hit.detector, hit.value.reveal()) for text in texts for hit in engine.scan(text, path=path)]
    whole = [(hit.detector, hit.value.reveal()) for hit in engine.scan(b"\n".join(texts), path=path)]
    assert alone == whole


@pytest.mark.chaos
@pytest.mark.parametrize("one", [one for one in ALL if "(?=" not in one.regex], ids=lambda one: one.id)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_prefilter_misses_no_value_of_a_format(search: Prefilter, one: Format, data: st.DataObject) -> None:
    """What the expression of a format matches has one of its anchors and is let through by the prefilter."""
    text = data.draw(
        st.from_regex(one.expression, fullmatch=True, alphabet=st.characters(max_codepoint=126, min_codepoint=32))
    )
    text = f"  {text} "
    found = one.expression.search(text)
    if found is None or made_up(found["v"]) > 0.5:
        return
    pieces = list(search.pieces(Text.of(text.encode())))
    if one.context is None:
        haystack = text.lower() if one.any_case else text
        assert any((anchor.lower() if one.any_case else anchor) in haystack for anchor in one.anchors)
        assert pieces, one.id


@pytest.mark.parametrize(
    "line",
    [
        "password=" * 30_000,
        "://" + "a" * 200_000,
        '"' * 100_000,
        "key:" + " " * 200_000,
        "a" * 300_000,
        "secret" * 40_000,
        "-----BEGIN PRIVATE KEY-----" * 8_000,
        "password='" + "\\" * 200_000,
        "eyJ." * 60_000,
        "token(" * 40_000,
        "Server=a;" * 20_000 + "pwd=",
        "0-" * 100_000,
        "LS0tLS1CRUdJTi" * 15_000,
    ],
    ids=lambda line: line[:12],
)
def test_no_text_makes_it_slow(engine: Engine, line: str) -> None:
    """At least 50 kB a second of processor time on texts made to be hard; usual texts take a thousandth of it."""
    began = time.process_time()
    engine.scan(line.encode(), path="a.json")
    assert time.process_time() - began < len(line) / 50_000 + 0.5


def test_a_value_as_long_as_the_overlap_is_whole_in_some_piece() -> None:
    data = b"x" * (3 * PIECE)
    pieces = list(Text.of(data).pieces(0, len(data)))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == len(data)
    assert all(two[0] <= one[1] - OVERLAP for one, two in pairwise(pieces))


def test_a_cache_that_cannot_be_written_only_costs_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert load_engine().scan(b"x = 1") == []
    broken = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(broken))
    load_engine()
    for path in (broken / "wardship").iterdir():
        path.write_bytes(b"damaged")
    assert load_engine().scan(b"x = 1") == []
