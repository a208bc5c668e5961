"""The environment that a name speaks of, in one vocabulary: production, staging, test, development.

Only whole words count: "prod-api" is production, "product" is nothing. Two different words say nothing.
"""

from __future__ import annotations

import re

_WORDS = {
    **dict.fromkeys(("prod", "production", "prd", "live", "produccion"), "production"),
    **dict.fromkeys(("staging", "stage", "stg", "preprod", "pre", "preproduction", "uat", "qa"), "staging"),
    **dict.fromkeys(("test", "testing", "tst", "ci", "sandbox", "pruebas"), "test"),
    **dict.fromkeys(("dev", "development", "develop", "local", "desarrollo"), "development"),
}
_SPLIT = re.compile(r"[^a-z]+")


def environment_of(name: str | None) -> str | None:
    """The environment that `name` (a tag, a path, a GitHub environment) names; None: it names none, or several."""
    if not name:
        return None
    found = {_WORDS[word] for word in _SPLIT.split(name.lower()) if word in _WORDS}
    return found.pop() if len(found) == 1 else None
