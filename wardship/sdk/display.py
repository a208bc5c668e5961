"""Text from a provider, made safe to show to a person. What is stored and exported stays raw.

A name may hold an escape sequence that rewrites the terminal, a bidirectional override that turns
"exe.txt" round, or characters that cannot be seen and make two names look alike.
"""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: escape sequences begin here
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"  # soft hyphen, joiners and fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidirectional marks and overrides
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variation selectors, byte order mark
    "\U000e0000-\U000e0fff"  # tags: a whole hidden alphabet
    "\ud800-\udfff"  # lone surrogates: no terminal can print them
    "]+"
)


def visible(text: str, limit: int | None = None) -> str:
    """`text` without what cannot be seen, on one line; cut with "…" after `limit` characters."""
    shown = _INVISIBLE.sub(lambda found: " " if found.group()[0] in "\t\n\r\u2028\u2029" else "", text)
    if limit is not None and len(shown) > limit:
        return shown[: limit - 1] + "…"
    return shown


def visible_lines(text: str) -> str:
    """As `visible`, for a text that may have several lines: the line breaks stay."""
    return "\n".join(visible(line) for line in text.splitlines())
