"""The keys of a workspace, in its folder `keys/`: those that sign the audit log, and the fingerprint key.

Private keys are files that only their owner can read; anything wider is refused, not mended, because whoever could read
a key may have copied it. They lie outside the database, so that a stolen database neither signs nor fingerprints.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from wardship.model.errors import ConfigError, VerificationFailed
from wardship.sdk.i18n import _

_ED25519 = "audit-ed25519"
_ECDSA = "audit-ecdsa-p256"
_PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """The pair of keys that checkpoints are verified with, each as PEM text."""

    ed25519: str
    ecdsa: str

    @property
    def key_id(self) -> str:
        """The name of the pair: 128 bits of SHA-256 over both keys (their DER), in hex."""
        ders = [
            serialization.load_pem_public_key(pem.encode()).public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            for pem in (self.ed25519, self.ecdsa)
        ]
        return hashlib.sha256(b"".join(ders)).hexdigest()[:32]

    @staticmethod
    def load(folder: Path) -> PublicKeys:
        """Reads `audit-*.pub.pem`. Raises ConfigError when one is missing or not a key of its kind."""
        keys = PublicKeys(ed25519=_read(folder / f"{_ED25519}.pub.pem"), ecdsa=_read(folder / f"{_ECDSA}.pub.pem"))
        try:
            right = isinstance(_public(keys.ed25519), ed25519.Ed25519PublicKey) and isinstance(
                _public(keys.ecdsa), ec.EllipticCurvePublicKey
            )
        except ValueError:
            right = False
        if not right:
            raise ConfigError(
                _("the public keys in %(folder)s are not an Ed25519 and a P-256 key") % {"folder": folder},
                advice=_("restore the folder `keys` of the workspace from a backup"),
            )
        return keys

    def save(self, folder: Path) -> None:
        (folder / f"{_ED25519}.pub.pem").write_text(self.ed25519, encoding="ascii")
        (folder / f"{_ECDSA}.pub.pem").write_text(self.ecdsa, encoding="ascii")

    def verify(self, message: bytes, ed25519_signature: bytes, ecdsa_signature: bytes) -> None:
        """Raises VerificationFailed unless both signatures are of these keys over `message`."""
        first, second = _public(self.ed25519), _public(self.ecdsa)
        assert isinstance(first, ed25519.Ed25519PublicKey)  # noqa: S101 - `load` and `SigningKeys` made sure
        assert isinstance(second, ec.EllipticCurvePublicKey)  # noqa: S101 - as above
        try:
            first.verify(ed25519_signature, message)
        except InvalidSignature:
            raise VerificationFailed(_("the Ed25519 signature is not of this key")) from None
        try:
            second.verify(ecdsa_signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise VerificationFailed(_("the ECDSA signature is not of this key")) from None


class SigningKeys:
    """The private pair. Holds what must not be shown: prints as its key id."""

    __slots__ = ("_ecdsa", "_ed25519", "public")

    def __init__(self, first: ed25519.Ed25519PrivateKey, second: ec.EllipticCurvePrivateKey) -> None:
        self._ed25519 = first
        self._ecdsa = second
        self.public = PublicKeys(ed25519=_pem(first.public_key()), ecdsa=_pem(second.public_key()))

    def __repr__(self) -> str:
        return f"SigningKeys({self.public.key_id})"

    @staticmethod
    def create(folder: Path) -> SigningKeys:
        """Makes a new pair in `folder`. Raises ConfigError when there is one already: it is never overwritten."""
        keys = SigningKeys(ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()))
        for name, key in ((_ED25519, keys._ed25519), (_ECDSA, keys._ecdsa)):
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_private(folder / f"{name}.pem", pem)
        keys.public.save(folder)
        return keys

    @staticmethod
    def ensure(folder: Path) -> SigningKeys:
        """Loads the pair of `folder`; makes it first where there is none. Half a pair is an error of `load`."""
        if (folder / f"{_ED25519}.pem").exists() or (folder / f"{_ECDSA}.pem").exists():
            keys = SigningKeys.load(folder)
            keys.public.save(folder)
            return keys
        return SigningKeys.create(folder)

    @staticmethod
    def load(folder: Path) -> SigningKeys:
        """Reads the pair of `create`. Raises ConfigError: missing, not a key, or readable by others."""
        first, second = _private(folder / f"{_ED25519}.pem"), _private(folder / f"{_ECDSA}.pem")
        if not isinstance(first, ed25519.Ed25519PrivateKey) or not isinstance(second, ec.EllipticCurvePrivateKey):
            raise ConfigError(
                _("the signing keys in %(folder)s cannot be read") % {"folder": folder},
                advice=_("restore the folder `keys` of the workspace from a backup"),
            )
        return SigningKeys(first, second)

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """The Ed25519 and the ECDSA (DER) signature over `message`."""
        return self._ed25519.sign(message), self._ecdsa.sign(message, ec.ECDSA(hashes.SHA256()))


def create_pepper(path: Path) -> None:
    """Makes the random key of the workspace's fingerprints."""
    write_private(path, secrets.token_hex(_PEPPER_BYTES).encode() + b"\n")


def load_pepper(path: Path) -> bytes:
    """The key of `create_pepper`. Raises ConfigError: missing, damaged, or readable by others."""
    try:
        pepper = bytes.fromhex(read_private(path).decode("ascii"))
    except ValueError:
        pepper = b""
    if len(pepper) != _PEPPER_BYTES:
        raise ConfigError(
            _("the fingerprint key %(path)s is damaged") % {"path": path},
            advice=_("restore it from a backup: with another one no fingerprint would match any more"),
        )
    return pepper


def write_private(path: Path, data: bytes) -> None:
    """Creates `path`, readable by its owner only, synced. Raises ConfigError when it exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            _("%(path)s exists and is not overwritten") % {"path": path},
            advice=_("a key that is lost makes the signatures it made worthless: move it away yourself if you must"),
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path) -> bytes:
    """The content of a file that holds a secret. Raises ConfigError when others could read it, or it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY)
        with os.fdopen(handle, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of the open file: it cannot be exchanged meanwhile
            if mode & 0o077:
                raise ConfigError(
                    _("%(path)s can be read by others (mode %(mode)s)") % {"path": path, "mode": f"{mode:04o}"},
                    advice=_("chmod 600 it, and replace what it holds if others may have read it"),
                )
            return file.read()
    except OSError as error:
        raise ConfigError(
            _("%(path)s cannot be read: %(reason)s") % {"path": path, "reason": error.strerror},
            advice=_("restore it from a backup, or run as the user that owns it"),
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            _("the public key %(path)s cannot be read") % {"path": path},
            advice=_("restore the folder `keys` of the workspace from a backup"),
        ) from None


def _private(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(read_private(path), None)
    except (ValueError, TypeError):
        return None


def _public(pem: str) -> object:
    return serialization.load_pem_public_key(pem.encode("ascii"))


def _pem(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
