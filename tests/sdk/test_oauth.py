"""How a request shows who asks: tokens that are fetched, renewed, refused or signed by us, and seen nowhere else."""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.sdk.answering import Server, Waits, client, ok
from wardship.model.errors import (
    AuthenticationFailed,
    Error,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.secret import Secret
from wardship.sdk import log
from wardship.sdk.http import Http
from wardship.sdk.oauth import Bearer, ClientCredentials, StaticHeader, Token, b64url, rsa_key, signed_jwt

# ------------------------------------------------------------------ tokens that are asked for

SECRET = "canary-5f2c4a5d6e7fA1b2C3d4"


def test_a_token_is_fetched_once_kept_and_renewed_before_its_end(waits: Waits) -> None:
    fetched: list[int] = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(Secret(f"{SECRET}{len(fetched)}"), waits() + timedelta(hours=1))

    server = Server(ok())
    http = client(waits, server, auth=Bearer(fetch, clock=waits))
    http.get_json("/x")
    http.get_json("/x")
    assert len(fetched) == 1
    waits.sleep(3600 - 299)
    http.get_json("/x")
    assert len(fetched) == 2
    assert server.requests[-1].headers["authorization"] == f"Bearer {SECRET}2"


def test_a_refused_token_is_replaced_once(waits: Waits) -> None:
    fetched: list[int] = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(Secret(SECRET), waits() + timedelta(hours=1))

    http = client(waits, Server(httpx.Response(401), ok({"a": 1})), auth=Bearer(fetch, clock=waits))
    assert http.get_json("/x") == {"a": 1}
    assert len(fetched) == 2
    with pytest.raises(AuthenticationFailed):
        client(waits, Server(httpx.Response(401)), auth=Bearer(fetch, clock=waits)).get_json("/x")
    assert len(fetched) == 4


def credentials(waits: Waits, server: Callable[[httpx.Request], httpx.Response]) -> ClientCredentials:
    login = client(waits, server, base_url="https://login.example.com")
    return ClientCredentials(
        login, "/token", lambda: {"grant_type": "client_credentials", "client_secret": Secret(SECRET)}, clock=waits
    )


def test_client_credentials_ask_for_a_token_and_use_it(waits: Waits) -> None:
    login = Server(ok({"access_token": "t0ken", "expires_in": "3599", "token_type": "Bearer"}))
    server = Server(ok())
    client(waits, server, auth=credentials(waits, login)).get_json("/x")
    assert login.requests[0].content == f"grant_type=client_credentials&client_secret={SECRET}".encode()
    assert server.requests[0].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), AuthenticationFailed),
        (httpx.Response(200, json={}), UnexpectedResponse),
        (httpx.Response(200, json={"access_token": "t", "token_type": "mac"}), AuthenticationFailed),
        (httpx.Response(503), Unavailable),
    ],
)
def test_a_token_endpoint_that_refuses_is_told_apart(waits: Waits, answer: httpx.Response, error: type[Error]) -> None:
    with pytest.raises(error):
        client(waits, Server(ok()), auth=credentials(waits, Server(answer))).get_json("/x")


def _error_of(http: Http) -> Error | None:
    try:
        http.get_json("/x", {"q": SECRET})
    except Error as error:
        return error
    return None


@pytest.mark.parametrize(
    "outcome",
    [ok({"a": 1}), httpx.Response(401), httpx.Response(403), httpx.Response(503), httpx.ReadTimeout("x"),
     httpx.ConnectError("x"), httpx.Response(200, content=b"{")],
)  # fmt: skip
def test_no_secret_is_in_logs_errors_or_tracebacks_with_locals(
    waits: Waits, outcome: httpx.Response | Exception
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.formatter())
    ours = logging.getLogger("wardship.http")
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        login = Server(ok({"access_token": SECRET + "tok", "expires_in": 3600}))
        for auth in (credentials(waits, login), StaticHeader("x-api-key", lambda: Secret(SECRET))):
            http = client(waits, Server(outcome), auth=auth)
            error = _error_of(http)
            if error is not None:
                seen = traceback.TracebackException.from_exception(error, capture_locals=True)
                assert SECRET + "tok" not in "".join(seen.format())
                assert error.__cause__ is None
                assert error.__context__ is None
                assert SECRET not in str(error)
            assert SECRET not in repr(http) + repr(auth) + repr(vars(http))
    finally:
        ours.removeHandler(handler)
        ours.setLevel(logging.NOTSET)
    assert "http.call" in stream.getvalue()
    assert SECRET not in stream.getvalue()


# ------------------------------------------------------------------ tokens that we sign


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
