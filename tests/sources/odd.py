"""Values that stand where they should not: what a hostile or a broken record has in place of a field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

_TEXTS = (
    "", "\x00", "\ud800", "9" * 400, "{", "[1", "[[", "{}", "[" * 2_000, "1e999", "a" * 9_000, "'" * 50, "%%7688 {",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "/Date(999999999999999)/", "99/99/2026 1:1:1 AM",
    "Feb 29 25:61:61", "http://[", "[::1", "S-1-5-21-1", "CEF:0|||||||", "LEEF:2.0|||||",
)  # fmt: skip
_KEYS = st.one_of(
    st.text(max_size=5), st.sampled_from(["value", "Name", "Value", "id", "#text", "type", "user", "app"])
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**20), max_value=10**20),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(_TEXTS),
    st.lists(
        st.one_of(st.none(), st.integers(), st.text(max_size=5), st.dictionaries(_KEYS, st.text(max_size=5))),
        max_size=3,
    ),
    st.dictionaries(_KEYS, st.one_of(st.none(), st.text(max_size=8), st.integers()), max_size=3),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a record, the innermost too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inner:
        yield (*path, key)
        yield from places(entry, (*path, key))


@st.composite
def bent(draw: st.DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    """The record with odd values in some places, some texts cut or longer, and some fields taken out."""
    found = copy.deepcopy(record)
    for _change in range(draw(st.integers(1, 4))):
        where = draw(st.sampled_from(list(places(found)) or [("x",)]))
        holder: Any = found
        for key in where[:-1]:
            holder = holder[key]
        old = holder.get(where[-1]) if isinstance(holder, dict) else holder[where[-1]]
        if isinstance(old, str) and len(old) > 20 and draw(st.booleans()):
            at = draw(st.integers(0, len(old)))
            holder[where[-1]] = old[:at] + draw(st.text(max_size=6)) + old[at + draw(st.integers(0, 9)) :]
        elif isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
            holder.pop(where[-1], None)
        else:
            holder[where[-1]] = draw(ODD)
    return found
