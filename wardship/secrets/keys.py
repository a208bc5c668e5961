"""Private keys in a text: PEM, OpenSSH, PGP and PuTTY blocks, also inside string literals."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator

from wardship.model.secret import Secret
from wardship.secrets.fingerprint import normalise

_BEGIN = re.compile(rb"-----BEGIN ((?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?)-----")
_PUTTY = re.compile(rb"PuTTY-User-Key-File-\d: [\w\-]{3,40}\s[^\0]{20,16000}?Private-MAC: [0-9a-f]{40,64}")
_ENCODED = re.compile(rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]{40,20000}={0,2}")
_BODY = re.compile(rb"[A-Za-z0-9+/]{20,}")
SEARCHES = ("PRIVATE KEY", "PuTTY-User-Key", "LS0tLS1CRUdJTi")
"""Of these texts one stands in every block; also an expression each, for the prefilter."""

_LONGEST = 16_384
_LEAST_BODY = 40


def private_keys(data: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of every block. One without an end, as in a cut sample, ends with its last line of base64."""
    reached = 0
    for begin in _BEGIN.finditer(data):
        if begin.start() < reached:
            continue
        limit = min(len(data), begin.end() + _LONGEST)
        closing = b"-----END " + begin[1] + b"-----"
        end = data.find(closing, begin.end(), limit)
        stop = data.find(b"-----BEGIN ", begin.end(), limit)
        body_end = end if end >= 0 else stop if stop >= 0 else limit
        lines = [m for m in _BODY.finditer(data, begin.end(), body_end) if len(set(m[0])) > 8]
        if sum(len(line[0]) for line in lines) < _LEAST_BODY:
            continue
        reached = end + len(closing) if end >= 0 else lines[-1].end()
        yield begin.start(), reached
    for putty in _PUTTY.finditer(data):
        yield putty.span()
    for encoded in _ENCODED.finditer(data):
        head = base64.b64decode(encoded[0][:80])
        if b"PRIVATE KEY" in head:
            yield encoded.span()


def public_id(block: Secret) -> str | None:
    """ "SHA256:..." of the public key, as `ssh-keygen -l` prints it; None: encrypted, damaged or of another kind."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    label, _, body = normalise(block.reveal().replace('" +', "").replace('"', "")).partition("\0")
    if not body:
        return None
    pem = f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()
    load = serialization.load_ssh_private_key if label.startswith("OPENSSH") else serialization.load_pem_private_key
    try:
        public = load(pem, None).public_key()
        line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (ValueError, TypeError, UnsupportedAlgorithm, AttributeError):
        return None
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
