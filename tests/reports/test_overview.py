"""The overview page: the same data gives the same bytes, it stands alone, and hostile names stay text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wardship.reports.overview import AgeRow, Figure, InventoryRow, Overview, TopAlert, TopFinding, Unread, render
from wardship.sdk.i18n import use_language

GOLDEN = Path(__file__).parents[1] / "golden"
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202eevil"


def data(name: str = "AcmeIntegrator SaaS") -> Overview:
    return Overview(
        workspace="acme",
        as_of=AT,
        snapshot_id="ab" * 32,
        version="0.1.0",
        figures=[
            Figure(label="Areas read completely", numerator=41, denominator=47, unknown=6, unknown_label="not read"),
            Figure(label="Nothing", numerator=0, denominator=0),
        ],
        severities={"critical": 1, "medium": 2},
        findings=[
            TopFinding(
                uid="fi_aaaaaaaaaaaaaaaaaaaa",
                severity="critical",
                confidence="confirmed",
                title="A supplier's contract has ended and its access has not",
                subject=name,
                system="Acme Ibérica",
                why="The contract ended on 2026-02-21.",
                next_step="Ask the internal sponsor.",
                due_on=date(2026, 11, 1),
                overdue=True,
            )
        ],
        findings_total=3,
        alert_severities={"high": 1},
        alerts=[
            TopAlert(
                uid="al_aaaaaaaaaaaaaaaaaaaa",
                severity="high",
                title="A supplier acts whose contract has ended",
                subject=name,
                system="Acme Ibérica",
                owner_name=None,
                owner_state="none",
                criticality="high",
                last_at=AT,
            )
        ],
        unread=[
            Unread(
                system="acme-data",
                kind="secretsmanager.secret",
                status="skipped",
                reason="refused",
                permission="secretsmanager:ListSecrets",
                complete_at=None,
            )
        ],
        systems=["Acme Ibérica"],
        kinds=["oauth_app", "workload_role"],
        matrix={("Acme Ibérica", "oauth_app"): 1200},
        ages=[AgeRow(type="client_secret", under_90=1, under_365=2, older=3, unknown=4)],
        inventory=[
            InventoryRow(
                uid="id_aaaaaaaaaaaaaaaaaaaa",
                name=name,
                kind="oauth_app",
                system="Acme Ibérica",
                owner_state="none",
                owner_name=None,
                worst_tier="write",
                tenant_wide=True,
                use_state="unknown",
                last_used_at=None,
                findings=3,
            )
        ],
        inventory_total=1200,
        blind_spots=["Without Entra ID P1 no use is visible."],
    )


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_page_is_the_golden_one(language: str) -> None:
    use_language(language)
    made = render(data())
    golden = GOLDEN / f"overview.{language}.html"
    if os.environ.get("WARDSHIP_REWRITE_GOLDEN") == "1":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(made, encoding="utf-8")
    assert made == golden.read_text(encoding="utf-8"), "if it is meant: WARDSHIP_REWRITE_GOLDEN=1"


def test_it_asks_nobody_for_anything_and_runs_nothing() -> None:
    page = render(data())
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img|iframe|form|object)\b", page)
    assert not re.search(r"""\s(style|on\w+|src|action)=""", page)
    assert not re.search(r"https?://", page)


def test_a_hostile_name_stays_text() -> None:
    page = render(data(HOSTILE))
    assert "<img" not in page
    assert "&lt;img" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_unknown_is_said_and_nothing_is_a_share_of_nothing() -> None:
    page = render(data())
    assert ">unknown<" in page
    assert "none to count" in page
    assert "never" in page  # the area that was never read completely


def test_every_table_has_a_caption_and_scoped_heads() -> None:
    page = render(data())
    tables = re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    assert len(tables) == 5
    for table in tables:
        assert "<caption>" in table
        assert not re.search(r"<th(?![^>]*scope=)[ >]", table)


def test_every_element_is_closed_and_headings_do_not_jump() -> None:
    class Check(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.levels: list[int] = []

        def handle_starttag(self, tag: str, _attrs: object) -> None:
            if tag not in ("meta", "rect"):
                self.open.append(tag)
            if re.fullmatch(r"h[1-6]", tag):
                self.levels.append(int(tag[1]))

        def handle_endtag(self, tag: str) -> None:
            if tag != "rect":
                assert self.open.pop() == tag

    check = Check()
    check.feed(render(data()))
    assert check.open == []
    assert check.levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(check.levels, check.levels[1:], strict=False))


def test_an_empty_workspace_has_a_page_too() -> None:
    empty = replace(
        data(),
        findings=[],
        findings_total=0,
        severities={},
        unread=[],
        systems=[],
        kinds=[],
        matrix={},
        ages=[],
        inventory=[],
        inventory_total=0,
        blind_spots=[],
        snapshot_id="",
    )
    page = render(empty)
    assert "Nothing has been read yet." in page


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_colour_has_enough_contrast(dark: bool) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, on the paper it stands on."""
    styles = (Path(__file__).parents[2] / "wardship" / "reports" / "overview.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{([^}]*)\}", styles)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[1 if dark else 0]))
    pairs = [(ink, paper) for ink in ("ink", "soft", "mark") for paper in ("paper", "sunk")]
    pairs += [(f"{name}-ink", f"{name}-paper") for name in ("bad", "warn", "calm")]
    for ink, paper in pairs:
        assert _contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_without_a_log_the_page_does_not_say_that_there_is_no_misuse() -> None:
    alert = data().alerts[0]
    assert "<td>unknown</td><td>high</td>" in render(data())
    hinted = replace(alert, owner_name="Irene", owner_state="suggested", criticality=None)
    assert "<td>Irene (suggested)</td><td>not declared</td>" in render(replace(data(), alerts=[hinted]))
    unread = render(replace(data(), alert_severities=None, alerts=[]))
    quiet = render(replace(data(), alert_severities={}, alerts=[]))
    assert "nobody looked for misuse" in unread
    assert "nobody looked for misuse" not in quiet
    assert "No open alert in the logs that were read." in quiet
