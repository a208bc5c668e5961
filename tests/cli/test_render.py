"""What a person sees on a terminal."""

from __future__ import annotations

from wardship.cli import render
from wardship.services.formats import Column, Listing


def test_an_id_is_whole_on_the_narrowest_terminal() -> None:
    """The next command needs it; everything else may be cut."""
    uid = "se_0f3a9c2b7d1e4f5a6b7c"
    columns = (Column(name="name", label="Name"), Column(name="detector", label="What"), Column(name="uid", label="Id"))
    rows = [{"name": "DATABASE_PASSWORD_OF_THE_SHOP", "detector": "generic.password", "uid": uid}]
    text, count = render.table(Listing(name="secrets", columns=columns, rows=rows), width=44)
    assert count == 1
    assert text.splitlines()[-1].endswith(uid)
    assert "…" in text.splitlines()[-1]
    assert max(len(line) for line in text.splitlines()) <= 44
