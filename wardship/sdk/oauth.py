"""How a request shows who asks: a token that is fetched, kept until shortly before its end, and fetched again.

The token lives in a `Secret` and is written into the request's header in the moment of sending. How a client
proves itself to the token endpoint (a secret, a signed assertion) is the connector's: it gives the form's fields.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import httpx

from wardship.model.errors import AuthenticationFailed, UnexpectedResponse
from wardship.model.secret import Secret
from wardship.sdk.i18n import _

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from wardship.sdk.http import Http

_EARLY = timedelta(minutes=5)  # a token is renewed this long before its end: clocks differ and calls take time
_DEFAULT_LIFE_S = 3600


class Auth(Protocol):
    """Adds the credential to a request."""

    def apply(self, request: httpx.Request) -> None: ...

    def refused(self) -> bool:
        """The system answered 401. True: a new try makes sense, for the next `apply` uses something new."""


class StaticHeader:
    """A credential that does not change: `StaticHeader("x-api-key", get_secret)`; `prefix` may be "Bearer "."""

    def __init__(self, header: str, value: Callable[[], Secret], prefix: str = "") -> None:
        self._header, self._value, self._prefix = header, value, prefix

    def apply(self, request: httpx.Request) -> None:
        request.headers[self._header] = self._prefix + self._value().reveal()

    def refused(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the instant of its end."""

    value: Secret
    expires_at: datetime


class Bearer:
    """`Authorization: Bearer` with the token that `fetch` gives, fetched again when it is old or was refused."""

    def __init__(self, fetch: Callable[[], Token], *, clock: Callable[[], datetime]) -> None:
        self._fetch, self._clock = fetch, clock
        self._token: Token | None = None
        self._lock = threading.Lock()

    def apply(self, request: httpx.Request) -> None:
        with self._lock:
            if self._token is None or self._clock() >= self._token.expires_at - _EARLY:
                self._token = self._fetch()
            token = self._token
        request.headers["authorization"] = f"Bearer {token.value.reveal()}"

    def refused(self) -> bool:
        with self._lock:
            had_one, self._token = self._token is not None, None
        return had_one


class ClientCredentials(Bearer):
    """OAuth 2.0 client credentials (RFC 6749 section 4.4): asks `url` with the form `form()` gives.

    `http` is a client of the token endpoint's own origin, without auth. `form` gives at least grant_type, client_id,
    scope and the client's proof; a value may be a `Secret` and is revealed only into the request's body.
    """

    def __init__(
        self,
        http: Http,
        path: str,
        form: Callable[[], Mapping[str, str | Secret]],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._http, self._path, self._form = http, path, form
        super().__init__(self._ask, clock=clock)

    def _ask(self) -> Token:
        # A token request changes nothing at the system, so it may be sent again like a read.
        answer = self._http.request("POST", self._path, form=self._form(), idempotent=True)
        return _token_of(self._http.json(answer), self._clock())


def _token_of(body: Any, now: datetime) -> Token:
    if not isinstance(body, dict) or not isinstance(body.get("access_token"), str) or not body["access_token"]:
        raise UnexpectedResponse(_("the token endpoint's answer holds no access_token"), operation="token request")
    if str(body.get("token_type", "Bearer")).lower() != "bearer":
        raise AuthenticationFailed(_("the token endpoint's token is not a bearer token"), operation="token request")
    life = body.get("expires_in", _DEFAULT_LIFE_S)
    try:
        seconds = min(max(float(life), 0.0), 86_400.0)
    except (TypeError, ValueError):
        seconds = float(_DEFAULT_LIFE_S)
    return Token(Secret(body["access_token"]), now + timedelta(seconds=seconds))


def rsa_key(pem: Secret) -> RSAPrivateKey | None:
    """The RSA private key in a PEM text (which may hold more); None where there is no readable one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), password=None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) else None


def signed_jwt(
    key: RSAPrivateKey, claims: Mapping[str, Any], *, algorithm: Literal["RS256", "PS256"] = "RS256", **header: str
) -> Secret:
    """A JSON Web Token (RFC 7519) with these claims, signed. `header`: what its header says besides."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    parts = ({"alg": algorithm, "typ": "JWT", **header}, dict(claims))
    signed = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
    signature = key.sign(signed.encode(), pss if algorithm == "PS256" else padding.PKCS1v15(), hashes.SHA256())
    return Secret(f"{signed}.{b64url(signature)}")


def b64url(raw: bytes) -> str:
    """Base64 for URLs without padding, as JSON Web Tokens spell it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
