"""The drawing in the documentation is the table that runs. WARDSHIP_REWRITE=1 writes it anew."""

from __future__ import annotations

import os

from tests.conftest import ROOT
from wardship.lifecycle.diagram import diagram
from wardship.lifecycle.machine import Arrow
from wardship.lifecycle.rotation import ARROWS, TERMINAL

PAGE = ROOT / "docs" / "lifecycle" / "rotation.md"
BEGIN, END = "do not edit by hand -->\n", "<!-- end -->"


def test_the_page_shows_the_table_that_runs() -> None:
    head, _begin, rest = PAGE.read_text().partition(BEGIN)
    shown, _end, tail = rest.partition(END)
    if os.environ.get("WARDSHIP_REWRITE"):
        shown = diagram(ARROWS)
        PAGE.write_text(f"{head}{BEGIN}{shown}{END}{tail}")
    assert shown == diagram(ARROWS)


def test_every_arrow_is_drawn_and_every_end_is_an_end() -> None:
    drawn = diagram(ARROWS)
    for (state, event), arrow in ARROWS.items():
        assert f"    {state} --> {arrow.to}: {event}\n" in drawn
    for state in TERMINAL:
        assert f"    {state} --> [*]\n" in drawn


def test_a_small_table_by_hand() -> None:
    drawn = diagram({("A", "go"): Arrow(to="B", step="act", compensation="undo_act")})
    assert drawn.splitlines()[1:5] == ["stateDiagram-v2", "    [*] --> A", "    A --> B: go", "    B --> [*]"]
    assert drawn.endswith("| A | go | B | act | undo_act |\n")
