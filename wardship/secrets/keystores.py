"""Keys and certificates in files: what they are, without ever showing a private part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from wardship.model.secret import Secret

MaterialKind = Literal["certificate", "private_key", "keystore", "public_key"]
Format = Literal["PEM", "DER", "PKCS12", "JKS", "OPENSSH", "PPK"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One key, certificate or keystore. None: the file does not tell.

    `public_id` of a key is "SHA256:..." as `ssh-keygen -l` prints it, also for a certificate's key;
    `thumbprint_sha256` is upper-case hexadecimal.
    """

    kind: MaterialKind
    format: Format
    encrypted: bool = False
    public_id: str | None = None
    thumbprint_sha256: str | None = None
    subject: str | None = None
    issuer: str | None = None
    serial: str | None = None  # upper-case hexadecimal
    not_before: datetime | None = None
    not_after: datetime | None = None
    algorithm: str | None = None  # "RSA", "EC", "Ed25519"
    bits: int | None = None
    line: int | None = None  # 1-based, in text files
    value: Secret | None = None  # the private key as it stands in the file


def key_material(data: bytes, path: str = "") -> list[Material]:
    """The keys and certificates in `data`. Never raises for what the bytes are."""
    return []
