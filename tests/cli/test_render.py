"""What a person sees on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from wardship.cli import render
from wardship.services.formats import Column, Listing


def test_an_id_is_whole_on_the_narrowest_terminal() -> None:
    """The next command needs it; everything else may be cut."""
    uid = "se_0f3a9c2b7d1e4f5a6b7c"
    columns = (Column(name="name", label="Name"), Column(name="detector", label="What"), Column(name="uid", label="Id"))
    rows = [{"name": "DATABASE_PASSWORD_OF_THE_SHOP", "detector": "generic.password", "uid": uid}]
    text, count = render.table(Listing(name="secrets", columns=columns, rows=rows), width=50)
    assert count == 1
    assert text.splitlines()[-1].endswith(uid)
    assert "…" in text.splitlines()[-1]
    assert max(len(line) for line in text.splitlines()) <= 50


def _listing() -> Listing:
    columns = (
        Column(name="name", label="What was read", tail=True),
        Column(name="events", label="Events that are known already", type="integer"),
        Column(name="last_at", label="Last", type="instant"),
        Column(name="why", label="Why"),
        Column(name="uid", label="Id"),
    )
    row = {
        "name": "/srv/logs/AWSLogs/2026/11/day-21.json.gz",
        "events": 1_234_567,
        "last_at": datetime(2026, 11, 21, 2, 10, tzinfo=UTC),
        "why": "it was read, and all of it",
        "uid": "al_0f3a9c2b7d1e4f5a6b7c",
    }
    return Listing(name="files", columns=columns, rows=[row])


def test_a_number_is_never_cut_and_an_instant_keeps_its_day() -> None:
    head, _, row = render.table(_listing(), width=86)[0].splitlines()
    assert "1,234,567" in row
    assert "2026-11-21  " in row
    assert row.startswith("…")  # of a path the end tells which file
    assert ".json.gz  " in row
    assert max(len(head), len(row)) <= 86


def test_columns_without_room_are_named_and_not_squeezed_to_nothing() -> None:
    lines = render.table(_listing(), width=60)[0].splitlines()
    assert max(len(line) for line in lines) <= 60
    assert lines[2].endswith("al_0f3a9c2b7d1e4f5a6b7c")
    assert "Why" not in lines[0]
    assert "Why" in " ".join(lines[3:])


def test_a_wide_terminal_shows_everything_whole() -> None:
    lines = render.table(_listing(), width=200)[0].splitlines()
    assert len(lines) == 3
    assert "2026-11-21 02:10 UTC" in lines[2]
    assert "/srv/logs/AWSLogs/2026/11/day-21.json.gz" in lines[2]
