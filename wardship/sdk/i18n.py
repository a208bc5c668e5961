"""One gettext catalogue for every text a person reads: CLI, reports, rules, connectors.

English is the message id. `_` translates where it is called; `N_` only marks a text in module-level data,
which is translated by `_` when it is shown.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "es")
_LOCALE_DIR = Path(__file__).resolve().parents[1] / "data" / "locale"
_chosen: str | None = None


def use_language(language: str | None) -> None:
    """Chooses the language of this process; None goes back to the environment's."""
    global _chosen  # noqa: PLW0603 - one process speaks one language; reports pass theirs explicitly
    _chosen = language


def language() -> str:
    """The language in force: the chosen one, else that of WARDSHIP_LANGUAGE, LC_ALL, LC_MESSAGES or LANG."""
    if _chosen:
        return _chosen
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
