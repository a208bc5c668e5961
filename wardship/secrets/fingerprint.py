"""The keyed fingerprint of a secret: the same value gives the same one in code, vault and CI, in one workspace only.

HMAC-SHA256(pepper, "secret" || 0x00 || normalised value), first 128 bits. What kind of secret it is takes no part: a
secrets manager does not know the kind, a scanner only believes to (ADR 0016). The pepper is kept outside the database,
so whoever steals the database can try no password against it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata

from wardship.model.secret import Secret

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_QUOTES = "\"'`"


def fingerprint(pepper: Secret, value: Secret) -> str:
    """32 hex digits. `pepper` is the workspace's key as hex text."""
    message = b"secret\0" + normalise(value.reveal()).encode("utf-8", "surrogatepass")
    return hmac.new(bytes.fromhex(pepper.reveal()), message, hashlib.sha256).digest()[:16].hex()


def normalise(value: str) -> str:
    """One spelling of a value that is written differently in different places.

    Unicode form NFC; white space and one pair of quotes around it fall away; a PEM block is its label and its body,
    however it was wrapped (also with literal "\\n", or the whole block in base64, as in a Kubernetes secret).
    """
    text = unicodedata.normalize("NFC", value).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1].strip()
    if text.startswith("LS0tLS1CRUdJTi"):  # base64 of "-----BEGIN "
        try:
            text = base64.b64decode("".join(text.split()), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return text
    pem = _PEM.search(text)
    if pem is None:
        return text
    body = re.sub(r"\\[nrt]|\s", "", pem[2])
    return f"{pem[1]}\0{body}"
