"""A file as the detectors see it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wardship.secrets.text import PIECE, Text


@given(st.binary(max_size=300), st.data())
def test_line_and_column_count_from_one(data: bytes, draw: st.DataObject) -> None:
    text = Text(data)
    at = draw.draw(st.integers(min_value=0, max_value=len(data)))
    start, end, line, column = text.span(at, at)
    assert (start, end) == (at, at)
    assert line == data.count(b"\n", 0, at) + 1
    assert column == len(data[data.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", "replace")) + 1


def test_columns_are_characters_as_an_editor_and_sarif_count_them() -> None:
    text = Text('# contraseña de la cuenta "ñandú": x'.encode())
    at = text.data.index(b"x", 30)
    assert text.span(at, at + 1)[2:] == (1, 36)


def test_many_places_of_a_wide_text_are_told_without_reading_it_again_for_each() -> None:
    text = Text.of(("\ufeff" + "ñ1\n" * 40_000).encode("utf-16-le"))
    places = [text.span(at, at + 3)[:2] for at in range(0, len(text.data), 4)]
    assert places[:2] == [(2, 6), (8, 12)]
    assert places[-1] == (2 + 39_999 * 6, 2 + 39_999 * 6 + 4)
    assert text.span(4, 7)[:2] == (8, 12), "also going back"


@given(st.text(max_size=80), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_a_wide_text_is_the_same_text(text: str, encoding: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert Text.of(("\ufeff" + text).encode(encoding)).data == text.encode()


@given(st.integers(min_value=0, max_value=5 * PIECE))
def test_the_pieces_of_a_line_leave_nothing_out(length: int) -> None:
    text = Text(b"x" * length)
    covered: set[int] = set()
    for begin, end in text.pieces(0, length):
        assert end - begin <= PIECE
        covered.update(range(begin, end))
    assert covered == set(range(length))


def test_bytes_with_nul_are_binary_and_wide_texts_are_not() -> None:
    assert Text.of(b"\x7fELF\0\0").binary
    assert not Text.of(b"\xff\xfea\0").binary
