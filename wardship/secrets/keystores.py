"""Keys and certificates in files: PEM, DER, PKCS#12, Java keystores, OpenSSH and PuTTY keys.

What a file holds is told by public facts (thumbprints, fingerprints, validity), which join it to the inventory; a
private part leaves only as a `Secret`. One password is tried, the empty one: guessing others is an attack, not a scan.
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from wardship.model.secret import Secret

_SshKey = rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
MaterialKind = Literal["certificate", "private_key", "keystore", "public_key"]
Format = Literal["PEM", "DER", "PKCS12", "JKS", "OPENSSH", "PPK"]

MAX_BYTES = 8 * 1024 * 1024  # larger is no keystore that a program starts with
MAX_MATERIALS = 2_000  # of one file: a bundle of all public authorities has about 150
_MAX_BLOCK = 256 * 1024  # of one PEM block, one entry
_MAX_KEY = 16 * 1024  # of one key in DER: RSA with 16,384 bits takes 9 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One key, certificate or keystore. None: the file does not tell.

    `public_id` of a key is "SHA256:..." of its public half as `ssh-keygen -l` prints it, also for the key of a
    certificate. `thumbprint_sha256` is upper-case hexadecimal, as the Entra connector spells it.
    """

    kind: MaterialKind
    format: Format
    encrypted: bool = False
    public_id: str | None = None
    thumbprint_sha256: str | None = None
    subject: str | None = None  # RFC 4514; of an entry in a keystore without a certificate: its alias
    issuer: str | None = None
    serial: str | None = None  # upper-case hexadecimal
    not_before: datetime | None = None
    not_after: datetime | None = None
    algorithm: str | None = None  # "RSA", "EC", "DSA", "ED25519", "ED448"
    bits: int | None = None
    line: int | None = None  # 1-based, in text files
    value: Secret | None = None  # the private key as PEM, or as it stands in the file


def key_material(data: bytes, path: str = "") -> list[Material]:
    """The keys and certificates in `data`. Never raises for what the bytes are; beyond MAX_BYTES there is nothing.

    Keys and certificates in PEM are found anywhere in a text, also indented or with a literal "\\n" for line ends.
    Binary formats must be the whole file. `path` is only asked for lists of public SSH keys.
    """
    if len(data) > MAX_BYTES:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `cryptography` warns of old algorithms; they are what is looked for
        return list(islice(_materials(data, path), MAX_MATERIALS))


def _materials(data: bytes, path: str) -> Iterator[Material]:
    if data.startswith(_JAVA_MAGIC):
        yield from _java(data)
    elif data.startswith(b"PuTTY-User-Key-File-"):
        yield from _putty(data)
    elif _der_length(data, 0) == len(data):
        yield from _pkcs12(data) if _PKCS12_START.match(data) else _der(data)
    else:
        yield from _pem(data)
        if path.endswith((".pub", "authorized_keys")):
            yield from _ssh_public(data)


# --- what is the same everywhere ---------------------------------------------------------------------------------

T = TypeVar("T")

# All that `cryptography` is documented, or was seen, to raise for bytes that are not what they seem.
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, OverflowError)
# Private keys of DSA and DH: their public half is a power that a hostile file makes as large as it likes.
_COSTLY_OIDS = (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01")
_MAX_COSTLY = 2_048


def _try(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except _UNREADABLE:
        return None


def _base64(text: bytes) -> bytes | None:
    return _try(lambda: base64.b64decode(text, validate=True))


def _too_costly(der: bytes) -> bool:
    return len(der) > _MAX_KEY or (len(der) > _MAX_COSTLY and any(oid in der for oid in _COSTLY_OIDS))


def _certificate(certificate: x509.Certificate, form: Format, line: int | None = None) -> Material:
    subject = _try(lambda: certificate.subject.rfc4514_string()[:1000])
    issuer = _try(lambda: certificate.issuer.rfc4514_string()[:1000])
    key = _try(certificate.public_key)
    facts = _public(key) if key is not None else _PublicFacts()
    return Material(
        kind="certificate",
        format=form,
        public_id=facts.public_id,
        thumbprint_sha256=certificate.fingerprint(hashes.SHA256()).hex().upper(),
        subject=subject,
        issuer=issuer,
        serial=_try(lambda: f"{certificate.serial_number:X}"),
        not_before=_try(lambda: certificate.not_valid_before_utc),
        not_after=_try(lambda: certificate.not_valid_after_utc),
        algorithm=facts.algorithm,
        bits=facts.bits,
        line=line,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PublicFacts:
    public_id: str | None = None
    algorithm: str | None = None
    bits: int | None = None


def _public(key: object) -> _PublicFacts:
    """The facts of a public key of `cryptography`; nothing for a kind that no inventory knows."""
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey):
        algorithm = "RSA" if isinstance(key, rsa.RSAPublicKey) else "DSA" if isinstance(key, dsa.DSAPublicKey) else "EC"
        return _PublicFacts(public_id=_try(lambda: _ssh_id(key)), algorithm=algorithm, bits=key.key_size)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _PublicFacts(public_id=_ssh_id(key), algorithm="ED25519", bits=256)
    if isinstance(key, ed448.Ed448PublicKey):
        return _PublicFacts(algorithm="ED448", bits=456)  # OpenSSH has no form for it
    return _PublicFacts()


def _ssh_id(key: _SshKey) -> str:
    """Raises ValueError for a curve that OpenSSH does not know."""
    encoded = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return _blob_id(base64.b64decode(encoded.split()[1]))


def _blob_id(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _private(der: bytes, form: Format, value: str, line: int | None = None) -> Material | None:
    """A private key in DER, encrypted or not; None if it is none."""
    key, encrypted = None, False
    if not _too_costly(der):
        try:
            # Unchecked: whether the numbers are a good key is not asked, and the answer takes long.
            key = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
        except TypeError:  # a password is needed
            encrypted = True
        except _UNREADABLE:
            key = None
    facts = _public(_try(key.public_key)) if key is not None else _PublicFacts()
    if key is None and not encrypted:
        return None
    return Material(
        kind="private_key",
        format=form,
        encrypted=encrypted,
        public_id=facts.public_id,
        algorithm=facts.algorithm,
        bits=facts.bits,
        line=line,
        value=Secret(value),
    )


# --- PEM ---------------------------------------------------------------------------------------------------------

_MARK = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----")
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_LINE_END = re.compile(rb"\\r\\n|\\[nr]|[\r\n]")


def _pem(data: bytes) -> Iterator[Material]:
    begin: re.Match[bytes] | None = None
    line, counted = 1, 0
    for mark in _MARK.finditer(data):
        if mark[1] == b"BEGIN":
            begin = mark
            continue
        if begin is not None and begin[2] == mark[2] and mark.start() - begin.end() <= _MAX_BLOCK:
            line, counted = line + data.count(b"\n", counted, begin.start()), begin.start()
            found = _pem_block(begin[2], data[begin.end() : mark.start()], line)
            if found is not None:
                yield found
        begin = None


def _pem_block(label: bytes, inside: bytes, line: int) -> Material | None:
    lines = [part.strip(b" \t\"',\\") for part in _LINE_END.split(inside)]
    headers = [part for part in lines if b":" in part]
    der = _base64(b"".join(part for part in lines if b":" not in part))
    if der is None:
        return None
    if label in _CERTIFICATES:
        certificate = _load_certificate(der)
        return _certificate(certificate, "PEM", line) if certificate is not None else None
    if label.endswith(b"PUBLIC KEY"):
        key = _try(lambda: serialization.load_der_public_key(der)) if len(der) <= _MAX_KEY else None
        return _public_material(key, "PEM", line)
    if not label.endswith(b"PRIVATE KEY"):
        return None
    name = label.decode("ascii")
    body = "\n".join(part.decode("ascii") for part in lines if part and b":" not in part)
    if label == b"OPENSSH PRIVATE KEY":
        return _openssh(der, f"-----BEGIN {name}-----\n{body}\n-----END {name}-----\n", line)
    if any(header.startswith(b"Proc-Type") and b"ENCRYPTED" in header for header in headers):
        whole = "\n".join(part.decode("latin-1") for part in lines)
        value = Secret(f"-----BEGIN {name}-----{whole}-----END {name}-----\n")
        algorithm = name.split()[0] if name != "PRIVATE KEY" else None
        return Material(kind="private_key", format="PEM", encrypted=True, algorithm=algorithm, line=line, value=value)
    return _private(der, "PEM", f"-----BEGIN {name}-----\n{body}\n-----END {name}-----\n", line)


def _load_certificate(der: bytes) -> x509.Certificate | None:
    """The certificate that `der` begins with: a "trusted certificate" of OpenSSL has more behind it."""
    length = _der_length(der, 0)
    return _try(lambda: x509.load_der_x509_certificate(der[:length])) if length else None


def _public_material(key: object, form: Format, line: int | None) -> Material | None:
    facts = _public(key)
    if facts.algorithm is None:
        return None
    return Material(
        kind="public_key",
        format=form,
        public_id=facts.public_id,
        algorithm=facts.algorithm,
        bits=facts.bits,
        line=line,
    )


# --- OpenSSH and PuTTY: RFC 4251 section 5 strings; PROTOCOL.key of OpenSSH; PuTTY's manual, appendix C ----------

_SSH_TYPES = {
    b"ssh-rsa": ("RSA", None),
    b"ssh-dss": ("DSA", None),
    b"ssh-ed25519": ("ED25519", 256),
    b"sk-ssh-ed25519@openssh.com": ("ED25519", 256),
    b"ecdsa-sha2-nistp256": ("EC", 256),
    b"sk-ecdsa-sha2-nistp256@openssh.com": ("EC", 256),
    b"ecdsa-sha2-nistp384": ("EC", 384),
    b"ecdsa-sha2-nistp521": ("EC", 521),
}
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_PUBLIC_LINE = re.compile(
    rb"(?:^|[ \t])((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{2,50})[ \t]++(AAAA[A-Za-z0-9+/]{16,6000}={0,2})"
)


def _strings(data: bytes, position: int, count: int) -> tuple[list[bytes], int]:
    """`count` length-prefixed strings and where they end. Raises ValueError when they do not fit."""
    found = []
    for _ in range(count):
        length = int.from_bytes(data[position : position + 4], "big")
        if position + 4 + length > len(data):
            raise ValueError("a string longer than the file")
        found.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return found, position


def _blob_facts(blob: bytes) -> _PublicFacts | None:
    """The facts of a public key as SSH sends it; None if it is none."""
    kind = _try(lambda: _strings(blob, 0, 1)[0][0])
    if kind not in _SSH_TYPES:
        return None
    algorithm, bits = _SSH_TYPES[kind]
    if bits is None:  # RSA: e, n; DSA: p
        numbers = _try(lambda: _strings(blob, 4 + len(kind), 2)[0])
        if numbers is None:
            return None
        bits = int.from_bytes(numbers[1 if algorithm == "RSA" else 0], "big").bit_length()
    return _PublicFacts(public_id=_blob_id(blob), algorithm=algorithm, bits=bits)


def _openssh(raw: bytes, value: str, line: int) -> Material | None:
    if not raw.startswith(_OPENSSH_MAGIC):
        return None
    header = _try(lambda: _strings(raw, len(_OPENSSH_MAGIC), 3))
    if header is None:
        return None
    (cipher, _, _), position = header
    blob = _try(lambda: _strings(raw, position + 4, 1)[0][0])  # after the number of keys, which is 1
    facts = (_blob_facts(blob) if blob is not None else None) or _PublicFacts()
    return Material(
        kind="private_key",
        format="OPENSSH",
        encrypted=cipher != b"none",
        public_id=facts.public_id,
        algorithm=facts.algorithm,
        bits=facts.bits,
        line=line,
        value=Secret(value),
    )


def _putty(data: bytes) -> Iterator[Material]:
    lines = data[:_MAX_BLOCK].decode("latin-1").splitlines()
    fields = {name: value.strip() for name, sign, value in (one.partition(":") for one in lines) if sign}
    blob = b""
    for number, one in enumerate(lines):
        name, _, value = one.partition(":")
        if name == "Public-Lines" and value.strip().isdecimal() and len(value) < 6:
            body = "".join(lines[number + 1 : number + 1 + int(value)])
            blob = _base64(body.encode("latin-1")) or b""
    facts = _blob_facts(blob) or _PublicFacts()
    yield Material(
        kind="private_key",
        format="PPK",
        encrypted=fields.get("Encryption", "none") != "none",
        public_id=facts.public_id,
        algorithm=facts.algorithm,
        bits=facts.bits,
        line=1,
        value=Secret("\n".join(lines)),
    )


def _ssh_public(data: bytes) -> Iterator[Material]:
    for number, line in enumerate(data.split(b"\n"), 1):
        match = _PUBLIC_LINE.search(line[:16_384])
        if match is None:
            continue
        blob = _base64(match[2])
        facts = _blob_facts(blob) if blob else None
        if facts is not None:
            yield Material(
                kind="public_key",
                format="OPENSSH",
                public_id=facts.public_id,
                algorithm=facts.algorithm,
                bits=facts.bits,
                line=number,
            )


# --- DER and PKCS#12 ---------------------------------------------------------------------------------------------

_PKCS12_START = re.compile(
    rb"\x30.{1,5}\x02\x01\x03\x30.{1,5}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07[\x01\x02]", re.DOTALL
)
_SCRYPT_OID = b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"
_MAX_ITERATIONS = 4_000_000  # of all derivations in a file: about two seconds
_MAX_ELEMENTS = 50_000
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04


def _header(data: bytes, position: int) -> tuple[int, int] | None:
    """Where the content of the element at `position` begins and ends; None if it is not within `data`, or not DER."""
    if position + 2 > len(data):
        return None
    length, start = data[position + 1], position + 2
    if length >= 0x80:
        size = length - 0x80
        if not 1 <= size <= 4 or start + size > len(data):
            return None
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return (start, start + length) if start + length <= len(data) else None


def _der_length(data: bytes, position: int) -> int | None:
    """How many bytes the SEQUENCE at `position` takes; None if there is none."""
    header = _header(data, position) if data[position : position + 1] == b"\x30" else None
    return header[1] - position if header else None


def _der(data: bytes) -> Iterator[Material]:
    certificate = _load_certificate(data)
    if certificate is not None:
        yield _certificate(certificate, "DER")
        return
    label = "-----{} PRIVATE KEY-----"
    value = f"{label.format('BEGIN')}\n{base64.b64encode(data[:_MAX_KEY]).decode()}\n{label.format('END')}\n"
    private = _private(data, "DER", value)
    if private is not None:
        yield private
    elif len(data) <= _MAX_KEY:
        public = _public_material(_try(lambda: serialization.load_der_public_key(data)), "DER", None)
        if public is not None:
            yield public


def _pkcs12(data: bytes) -> Iterator[Material]:
    """The store, and what the empty password opens. `encrypted`: it does not open with that."""
    opened = None
    if _iterations(data) <= _MAX_ITERATIONS and _SCRYPT_OID not in data:
        opened = _try(lambda: pkcs12.load_pkcs12(data, b"")) or _try(lambda: pkcs12.load_pkcs12(data, None))
    yield Material(kind="keystore", format="PKCS12", encrypted=opened is None)
    if opened is None:
        return
    if opened.key is not None:
        der = opened.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for material in _der(der):
            yield replace(material, format="PKCS12")
    for one in (opened.cert, *opened.additional_certs):
        if one is not None:
            yield _certificate(one.certificate, "PKCS12")


def _iterations(data: bytes) -> int:
    """The sum of all iteration counts in a PKCS#12 file, at least; a huge number if it is too odd to tell.

    Each count is an INTEGER right behind the OCTET STRING of its salt (RFC 7292 appendix A, RFC 8018 appendix A). A
    file may ask for 2^31 derivations, so it is asked before it is opened.
    """
    total, elements = 0, 0
    waiting = [(0, len(data), 0)]
    while waiting:
        position, end, depth = waiting.pop()
        before = 0
        while position < end:
            header = _header(data, position)
            elements += 1
            if header is None or header[1] > end or depth > 40 or elements > _MAX_ELEMENTS:
                return 1 << 62
            tag, (start, stop) = data[position], header
            if tag == _INTEGER and before == _OCTETS:
                total += int.from_bytes(data[start:stop], "big") if stop - start <= 8 else 1 << 62
            wrapped = tag == _OCTETS and data[start : start + 1] == b"\x30" and _der_length(data, start) == stop - start
            if tag & 0x20 or wrapped:
                waiting.append((start, stop, depth + 1))
            before, position = tag, stop
    return total


# --- Java keystores ----------------------------------------------------------------------------------------------

# JKS and JCEKS: magic, version, count, entries; all numbers big-endian. Keys are encrypted, certificates are not.
_JAVA_MAGIC = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_KEY_ENTRY, _TRUSTED_ENTRY = 1, 2


class _Bytes:
    """Reads from the front. Raises ValueError at the end."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position

    def take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._data):
            raise ValueError("cut off")
        return self._data[start : self._position]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def _java(data: bytes) -> Iterator[Material]:
    found: list[Material] = []
    _try(lambda: _java_entries(data, found))  # what stands before the damage is told
    yield Material(kind="keystore", format="JKS", encrypted=any(one.kind == "private_key" for one in found))
    yield from found


def _java_entries(data: bytes, found: list[Material]) -> None:
    """Appends to `found`. Raises ValueError where the file is damaged, and at an entry without a length (a secret)."""
    read = _Bytes(data, 4)
    version, count = read.number(4), read.number(4)
    for _ in range(min(count, MAX_MATERIALS)):
        tag = read.number(4)
        alias = read.take(read.number(2)).decode("utf-8", "replace")[:200]
        read.take(8)  # when it was put in
        certificates = 1
        if tag == _KEY_ENTRY:
            read.take(read.number(4))
            certificates = read.number(4)
        elif tag != _TRUSTED_ENTRY:
            raise ValueError("an entry of unknown length")
        chain = []
        for _ in range(min(certificates, MAX_MATERIALS)):
            if version == 2:
                read.take(read.number(2))  # "X.509"
            certificate = _load_certificate(read.take(read.number(4)))
            if certificate is not None:
                chain.append(_certificate(certificate, "JKS"))
        if tag == _KEY_ENTRY:
            holder = chain[0] if chain else Material(kind="certificate", format="JKS", subject=alias)
            found.append(
                Material(
                    kind="private_key",
                    format="JKS",
                    encrypted=True,
                    public_id=holder.public_id,
                    subject=holder.subject,
                    algorithm=holder.algorithm,
                    bits=holder.bits,
                )
            )
        found.extend(chain)
