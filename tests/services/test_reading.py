"""Lists read snapshots: a table that an old snapshot has not is empty, one that was lost is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.model.errors import DataError
from wardship.services.reading import Facts
from wardship.store.facts import write_rows


def test_before_the_first_scan_every_table_is_empty() -> None:
    with Facts(None) as facts:
        assert (
            list(facts.rows("SELECT * FROM identity JOIN credential ON credential.identity_uid = identity.uid")) == []
        )
        assert facts.one("SELECT count(*) AS n FROM identity") == {"n": 0}


def test_a_table_that_is_newer_than_the_snapshot_is_empty_and_a_lost_one_is_not(tmp_path: Path) -> None:
    written = write_rows(tmp_path / "it's one", {"identity": [{"uid": "a"}]}, as_of=NOW)
    for table in ("use_verdict", "identity"):
        written.file(table).rename(tmp_path / f"{table}.away")
    older = replace(written, id="0" * 64, tables={"identity": (1, "")})
    with Facts(older) as facts:
        assert list(facts.rows("SELECT * FROM use_verdict")) == []
        with pytest.raises(DataError, match="identity is missing") as lost:
            list(facts.rows("SELECT uid FROM identity"))
        assert "wardship scan" in (lost.value.advice or "")
    (tmp_path / "identity.away").rename(written.file("identity"))
    with Facts(older) as facts:
        assert list(facts.rows("SELECT uid FROM identity")) == [{"uid": "a"}]
