"""What can be known of a value without asking anybody: checksums, made-up sequences, texts that stand for a value."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FILLER = re.compile(
    r"(?i)x{5,}|\*{3,}|\.{3}|_{4,}|-{6,}|0{8,}|change.?me|your[_\-. ]|placeholder|redacted|example"
    r"|dummy|<[a-z_ \-]+>|insert.?(?:your|here)"
)  # fmt: skip
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_RUN = 4


def crc32_base62(value: str) -> bool:
    """GitHub's and npm's tokens end in the CRC-32 of the random part before it, six base62 digits (GitHub, 2021-04)."""
    body, tail = value[:-6].rpartition("_")[2], value[-6:]
    number = zlib.crc32(body.encode())
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0") == tail


CHECKS: dict[str, Callable[[str], bool]] = {"crc32_base62": crc32_base62}


def stands_for_a_value(value: str) -> bool:
    """A text that people write where a secret belongs: "xxxxx", "YOUR_KEY", the vendors' own documentation examples."""
    return bool(_FILLER.search(value)) or len(set(value)) <= max(2, len(value) // 16)


def made_up(value: str) -> float:
    """The share of a value that counts, repeats or follows the keyboard: "1234abcd", "aaaa", "qwerty"; 0..1."""
    folded = re.sub(r"[^a-z0-9]", "", value.lower())
    if len(folded) < _RUN:
        return 0.0
    covered, start = 0, 0
    for at in range(1, len(folded) + 1):
        if at < len(folded) and _follows(folded, start, at):
            continue
        if at - start >= _RUN:
            covered += at - start
        start = at
    half = len(folded) // 2
    repeated = half >= 8 and folded[:half] == folded[half : 2 * half]
    return max(covered / len(folded), 0.7 if repeated else 0.0)


def _follows(text: str, start: int, at: int) -> bool:
    """Whether the character at `at` goes on with the sequence that began at `start`."""
    one, two = text[at - 1], text[at]
    step = ord(two) - ord(one)
    if one + two in ("90", "09", "z0", "za", "9a"):
        return True
    if any(one + two in row for row in _KEYBOARD):
        return True
    return step in (-1, 0, 1) and (
        at - start < 2 or step == ord(one) - ord(text[at - 2]) or text[at - 2 : at] in ("90", "09")
    )


def decoded_password(value: str) -> str | None:
    """The password of "user:password" in base64; None when it is not that."""
    if not 6 <= len(value) <= 400:
        return None
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = plain.partition(":")
    return password if colon and user and password and plain.isprintable() else None
