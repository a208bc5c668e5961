"""The overview: one HTML page that shows where a programme stands, from data that was handed in.

Pure: `Overview` in, text out, so that a page can be made again from saved data, byte for byte. The page
stands alone: no script, no request, no font; a content security policy in the page itself says so. What the page
calls unknown is unknown in the data: nothing is rounded towards better.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from typing import Any

from wardship.sdk import i18n
from wardship.sdk.display import visible, visible_lines
from wardship.sdk.words import word

BAR_WIDTH = 200  # of a figure's bar, in units of its own drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A headline number as numerator and denominator, with what is not known beside it."""

    label: str
    numerator: int
    denominator: int
    unknown: int = 0
    unknown_label: str = ""
    note: str = ""

    @property
    def bar(self) -> float:
        """Length of the filled part, 0 to BAR_WIDTH."""
        return round(BAR_WIDTH * self.numerator / self.denominator, 1) if self.denominator else 0.0

    @property
    def unknown_bar(self) -> float:
        return round(BAR_WIDTH * self.unknown / self.denominator, 1) if self.denominator else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TopFinding:
    uid: str
    severity: str
    confidence: str
    title: str
    subject: str
    system: str
    why: str
    next_step: str
    due_on: date | None
    overdue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TopAlert:
    uid: str
    severity: str
    title: str
    subject: str
    system: str
    owner_name: str | None
    owner_state: str | None
    criticality: str | None
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something that could not be read completely, and what it takes to read it."""

    system: str
    kind: str
    status: str
    reason: str
    permission: str | None
    complete_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRow:
    """Enabled credentials of one type by age."""

    type: str
    under_90: int
    under_365: int
    older: int
    unknown: int

    @property
    def total(self) -> int:
        return self.under_90 + self.under_365 + self.older + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRow:
    uid: str
    name: str
    kind: str
    system: str
    owner_state: str
    owner_name: str | None
    worst_tier: str | None
    tenant_wide: bool | None
    use_state: str
    last_used_at: datetime | None
    findings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything the page says."""

    workspace: str
    as_of: datetime
    snapshot_id: str
    version: str
    figures: Sequence[Figure]
    severities: Mapping[str, int]  # open findings, worst first
    findings: Sequence[TopFinding]
    findings_total: int
    alert_severities: Mapping[str, int] | None  # open alerts, worst first; None: no log of a system here was read
    alerts: Sequence[TopAlert]
    unread: Sequence[Unread]
    systems: Sequence[str]
    kinds: Sequence[str]
    matrix: Mapping[tuple[str, str], int]  # (system, kind) -> identities
    ages: Sequence[AgeRow]
    inventory: Sequence[InventoryRow]
    inventory_total: int
    blind_spots: Sequence[str]


def render(overview: Overview) -> str:
    """The page in the language in force."""
    import jinja2

    styles = (resources.files(__package__) / "overview.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wardship.reports", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # the i18n extension adds it to the class at run time
        i18n._, i18n.ngettext, newstyle=True
    )
    environment.filters.update(
        seen=_seen,
        lines=lambda text: visible_lines(text or ""),
        number=i18n.format_number,
        instant=i18n.format_instant,
        word=lambda value, column: word(column, value) if value else i18n._("unknown"),
    )
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    template = environment.get_template("overview.html.j2")
    return template.render(o=overview, styles=_Raw(styles), digest=digest, language=i18n.language(), bar=BAR_WIDTH)


class _Raw(str):
    """Our own style sheet, which autoescape must leave alone."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def _seen(value: Any) -> str:
    """A provider's text as a page shows it."""
    return visible(str(value)) if value is not None else "–"
