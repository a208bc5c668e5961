"""What a certificate says of itself, read with a real parser; its key's secret half is never near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wardship.model.errors import DataError
from wardship.sdk.fields import clean

_MOST_PEM = 100_000
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """`thumbprint`: SHA-256 over the DER form, upper-case hexadecimal. `ca` None: it does not say."""

    thumbprint: str
    name: str | None
    issuer: str
    begins_at: datetime
    ends_at: datetime
    ca: bool | None
    names: Sequence[str]
    key: str


def certificate(pem: str) -> CertificateFacts:
    """The facts of the first certificate in `pem`. Raises DataError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    if len(pem) > _MOST_PEM:
        raise DataError("a certificate of improbable size")
    try:
        found = x509.load_pem_x509_certificate(pem.encode("ascii", "strict"))
        names: list[str] = []
        ca: bool | None = None
        for extension in found.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                names = [clean(str(name.value)) for name in extension.value][:_MOST_NAMES]
            elif isinstance(extension.value, x509.BasicConstraints):
                ca = extension.value.ca
        common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = found.public_key()
        return CertificateFacts(
            thumbprint=found.fingerprint(hashes.SHA256()).hex().upper(),
            name=clean(str(common[0].value)) if common else next(iter(names), None),
            issuer=clean(found.issuer.rfc4514_string()),
            begins_at=found.not_valid_before_utc,
            ends_at=found.not_valid_after_utc,
            ca=ca,
            names=names,
            key=f"{type(key).__name__.lstrip('_').removesuffix('PublicKey')} {getattr(key, 'key_size', '')}".strip(),
        )
    except Exception as error:  # the parser has many ways to say that hostile bytes are no certificate
        if isinstance(error, MemoryError | RecursionError):
            raise
        raise DataError(f"a certificate that cannot be read ({type(error).__name__})") from None


def thumbprint_of(pem: str) -> str | None:
    """The thumbprint of a certificate, None where it cannot be read."""
    try:
        return certificate(pem).thumbprint
    except DataError:
        return None
