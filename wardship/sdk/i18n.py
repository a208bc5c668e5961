"""One gettext catalogue for every text a person reads: CLI, reports, rules, connectors.

English is the message id. `_` translates where it is called; `N_` only marks a text in module-level data,
which is translated by `_` when it is shown.
"""

from __future__ import annotations

import gettext
import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "es")
_LOCALE_DIR = Path(__file__).resolve().parents[1] / "data" / "locale"
_chosen: str | None = None
_preferred: str | None = None


def use_language(language: str | None) -> None:
    """Chooses the language of this process; None goes back to the environment's."""
    global _chosen  # noqa: PLW0603 - one process speaks one language; reports pass theirs explicitly
    _chosen = language


def prefer_language(language: str | None) -> None:
    """The workspace's language: it yields to a chosen one and comes before the environment's."""
    global _preferred  # noqa: PLW0603 - as above
    _preferred = language


def language() -> str:
    """The language in force: the chosen one, the workspace's, or the environment's (WARDSHIP_LANGUAGE, LANG)."""
    if _chosen or _preferred:
        return _chosen or _preferred or "en"
    for name in ("WARDSHIP_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")[:2].lower()
        if value in LANGUAGES:
            return value
        if value:
            return "en"
    return "en"


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("wardship", localedir=_LOCALE_DIR, languages=[language], fallback=True)


def _(message: str) -> str:
    """`message` in the language in force."""
    return _catalogue(language()).gettext(message) if message else ""


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "mark, do not translate yet"
    """Marks `message` for the catalogue and returns it unchanged."""
    return message


def ngettext(one: str, many: str, n: int) -> str:
    """The form of the message for the number `n`."""
    return _catalogue(language()).ngettext(one, many, n)


def format_number(value: float) -> str:
    """A number as the language writes it: 1,234.5 or 1.234,5."""
    from babel.numbers import format_decimal

    return format_decimal(value, locale=language())


def format_instant(value: datetime) -> str:
    """An instant to the minute, in UTC and saying so. Data keeps ISO 8601; this is for a reader."""
    utc = value.astimezone(UTC) if value.tzinfo else value
    return f"{utc:%Y-%m-%d %H:%M} UTC"


def format_share(numerator: int, denominator: int) -> str:
    """ "12 of 40 (30 %)"; a share of nothing is not 0 %."""
    if denominator == 0:
        return _("none to count")
    percent = 100 * numerator // denominator  # rounded down: 99.9 % is not "all"
    return _("%(n)s of %(all)s (%(percent)d%%)") % {
        "n": format_number(numerator),
        "all": format_number(denominator),
        "percent": percent,
    }


def speak_everywhere() -> None:
    """Lets the libraries that use the standard gettext (click) take their words from our catalogue too."""
    os.environ["LANGUAGE"] = language()
    gettext.bindtextdomain("wardship", str(_LOCALE_DIR))
    gettext.textdomain("wardship")
