"""Signed tokens: what we sign can be checked with the public half, and what is no key is said to be none."""

from __future__ import annotations

import base64
import json
from typing import Literal

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from wardship.model.secret import Secret
from wardship.sdk.oauth import b64url, rsa_key, signed_jwt


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Secret:
    return Secret(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode()
    )


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_a_token_is_signed_as_its_header_says(algorithm: Literal["RS256", "PS256"]) -> None:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = rsa_key(pem_of(made))
    assert key is not None
    token = signed_jwt(key, {"iss": "4711"}, algorithm=algorithm, kid="k1")
    signed, _dot, signature = token.reveal().rpartition(".")
    header, claims = (json.loads(unb64(part)) for part in signed.split("."))
    assert (header, claims) == ({"alg": algorithm, "typ": "JWT", "kid": "k1"}, {"iss": "4711"})
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    how = pss if algorithm == "PS256" else padding.PKCS1v15()
    made.public_key().verify(unb64(signature), signed.encode(), how, hashes.SHA256())
    assert "***" in str(token)


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"])
def test_what_holds_no_key_gives_none(text: str) -> None:
    assert rsa_key(Secret(text)) is None


def test_another_kind_of_key_is_none_of_ours() -> None:
    assert rsa_key(pem_of(ec.generate_private_key(ec.SECP256R1()))) is None


def test_base64_for_urls_has_no_padding() -> None:
    assert b64url(b"\xff\xfe") == "__4"
