"""Reading services on a workspace without any scan, and laws that hold for every place and text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardship.model.errors import ConfigError
from wardship.sdk.display import visible
from wardship.sdk.i18n import use_language
from wardship.services import headline, inventory, listings, plain
from wardship.services.reading import Facts
from wardship.store.workspace import Workspace

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", clock=lambda: NOW)


def test_before_the_first_scan_everything_is_empty_and_nothing_is_a_share(workspace: Workspace) -> None:
    with workspace, Facts(None) as facts:
        assert inventory.page(workspace.db, facts, inventory.Filter(), limit=10).rows == []
        numbers = headline.compute(workspace.db, facts, NOW)
        assert (numbers.areas, numbers.identities, numbers.static_credentials, numbers.findings_total) == (0, 0, 0, 0)
        for thing in listings.EXPORTS:
            about = listings.about(facts, "test", NOW)
            listing = listings.listing_of(workspace.db, facts, thing, chosen=inventory.Filter(), about=about)
            assert list(listing.rows) == []
        with pytest.raises(ConfigError, match="nothing in the inventory"):
            inventory.find(facts, "x' OR 1=1 --")


@pytest.mark.parametrize("place", ["", "!!!", "bm90aGluZw", "WzEsMl0", "W251bGwsbnVsbCxudWxsLG51bGxd"])
def test_a_forged_place_is_refused(workspace: Workspace, place: str) -> None:
    with workspace, Facts(None) as facts, pytest.raises(ConfigError):
        inventory.page(workspace.db, facts, inventory.Filter(), limit=1, after=place)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("12h", NOW - timedelta(hours=12)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00:00+02:00", datetime(2026, 11, 1, 8, 0, tzinfo=UTC)),
    ],
)
def test_since_takes_days_and_ages(text: str, expected: datetime) -> None:
    assert listings.since_day(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "d", "soon", "99999999999d", "2026-13-01"])
def test_since_refuses_the_rest(text: str) -> None:
    with pytest.raises(ConfigError):
        listings.since_day(text, NOW)


def test_a_grant_is_said_in_words_and_an_unknown_one_is_not_guessed() -> None:
    use_language("en")
    row = {"permission": "Mail.Read", "tier": "sensitive_read", "effect": "allow", "tenant_wide": True}
    assert "reads all mail in every mailbox" in plain.grant(row)
    assert "the person who signs in" in plain.grant({**row, "tenant_wide": False})
    assert "the person who signs in" in plain.grant({**row, "via": "delegated permission"})  # for everybody, one by one
    assert "can read sensitive data" in plain.grant({**row, "tenant_wide": None})
    assert "not known" in plain.grant({**row, "permission": "X.Y", "tier": "unknown"})
    assert "forbidden" in plain.grant({**row, "effect": "deny"})
    use_language(None)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ñ 漢字", "plain ñ 漢字"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("one\ntwo\tthree", "one two three"),
        ("\x9b31m", "31m"),
        ("tag\U000e0041", "tag"),
        ("lone\ud800", "lone"),
    ],
)
def test_what_cannot_be_seen_is_not_shown(raw: str, shown: str) -> None:
    assert visible(raw) == shown
