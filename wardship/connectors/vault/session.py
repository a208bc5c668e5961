"""Signing in at one server, and what its answers mean where the status alone does not say it.

Vault answers 403 both for a token that is no longer good and for a path that the policy does not open, and 400 for an
accessor that has vanished. `_Meaning` reads the few words that tell them apart and gives the status that is meant, so
that the client's own rules (sign in again, missing permission, gone) fit. Error texts go no further than that.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from wardship.model.errors import AuthenticationFailed, ConfigError, ConnectorError, MissingScope, UnexpectedResponse
from wardship.model.secret import Secret
from wardship.sdk import netguard
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.http import Http, web_address
from wardship.sdk.i18n import _
from wardship.sdk.oauth import StaticHeader

TOKEN_HEADER, NAMESPACE_HEADER = "x-vault-token", "x-vault-namespace"
_TOKEN_PREFIXES = ("hvs.", "hvb.", "hvr.", "s.", "b.", "r.")
_LONGEST_REFUSAL = 65_536  # bytes
_EARLY = timedelta(minutes=2)  # a token is fetched again this long before its end


class Session:
    """One server: `read`, `list`, `post` in a namespace, with a token that is kept fresh."""

    def __init__(self, connection: Connection, stats: CallStats) -> None:
        settings = connection.settings
        self.url = server_url(connection)
        self.namespace = settings.get("namespace", "").strip("/")
        network = _network(connection)
        self._login = Http.of(connection, self.url, stats=stats, system="Vault", **network)
        self.http = Http.of(connection, self.url, stats=stats, system="Vault", auth=self._auth(connection), **network)

    def read(self, path: str, namespace: str, *, needs: str = "", missing_ok: bool = False) -> Any:
        """The `data` of a read; None where there is nothing at the path and `missing_ok`."""
        return self._ask("GET", path, namespace, needs=needs or f"read on {path}", missing_ok=missing_ok)

    def list(self, path: str, namespace: str, *, needs: str = "") -> list[str]:
        """The keys below a path, sorted; Vault answers 404 for an empty list. Raises UnexpectedResponse."""
        where = path.rstrip("/") + "/"
        needs = needs or f"list on {where}"
        data = self._ask("GET", where, namespace, params={"list": "true"}, needs=needs, missing_ok=True)
        if data is None:
            return []
        keys = data.get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
            raise UnexpectedResponse(_("the list of %(path)s holds no keys") % {"path": where}, operation="list")
        return sorted(keys)

    def post(
        self, path: str, namespace: str, body: Mapping[str, Any], *, needs: str = "", missing_ok: bool = False
    ) -> Any:
        """The `data` of a POST that changes nothing at the server (a look-up)."""
        return self._ask("POST", path, namespace, body=body, needs=needs or f"update on {path}", missing_ok=missing_ok)

    def public(self, path: str) -> Any:
        """The whole JSON of a path that asks for no token."""
        return self._login.get_json(f"/v1/{path}")

    def _ask(
        self,
        method: str,
        path: str,
        namespace: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        needs: str,
        missing_ok: bool,
    ) -> Any:
        response = self.http.request(
            method,
            url_path(path),
            params=params,
            json=body,
            headers={NAMESPACE_HEADER: namespace} if namespace else None,
            idempotent=True,
            needs=needs,
            missing_ok=missing_ok,
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        answer = self.http.json(response)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise UnexpectedResponse(_("the answer for %(path)s holds no data") % {"path": path}, operation="read")
        return data

    def _auth(self, connection: Connection) -> StaticHeader | _Login:
        settings = connection.settings
        mount = settings.get("auth_mount", "").strip("/")
        if "token" in settings:
            return StaticHeader(TOKEN_HEADER, lambda: connection.secret("token"))
        if settings.get("role_id"):
            mount = mount or "approle"

            def proof() -> Mapping[str, str]:
                secret_id = connection.secret("secret_id").reveal() if "secret_id" in settings else ""
                return {"role_id": settings["role_id"], "secret_id": secret_id}

        elif settings.get("role"):
            mount = mount or "kubernetes"

            def proof() -> Mapping[str, str]:
                return {"role": settings["role"], "jwt": connection.secret("jwt").reveal().strip()}

        else:
            raise ConfigError(
                _("this connection has neither token, nor role_id, nor role"),
                advice=_(
                    "set role_id with secret_id, role with jwt, or token; `wardship connect setup vault` shows how"
                ),
            )
        return _Login(self._login, url_path(f"auth/{mount}/login"), self.namespace, proof, connection.clock)


class _Login:
    """X-Vault-Token from a login at an auth method, fetched again when it is old or was refused."""

    def __init__(
        self,
        http: Http,
        path: str,
        namespace: str,
        proof: Callable[[], Mapping[str, str]],
        clock: Callable[[], datetime],
    ) -> None:
        self._http, self._path, self._namespace, self._proof, self._clock = http, path, namespace, proof, clock
        self._token: tuple[Secret, datetime] | None = None
        self._lock = threading.Lock()

    def apply(self, request: httpx.Request) -> None:
        with self._lock:
            if self._token is None or self._clock() >= self._token[1]:
                self._token = self._ask()
            token = self._token[0]
        request.headers[TOKEN_HEADER] = token.reveal()

    def refused(self) -> bool:
        with self._lock:
            had_one, self._token = self._token is not None, None
        return had_one

    def _ask(self) -> tuple[Secret, datetime]:
        headers = {NAMESPACE_HEADER: self._namespace} if self._namespace else None
        response = self._http.request("POST", self._path, json=self._proof(), headers=headers, idempotent=True)
        answer = self._http.json(response)
        auth = answer.get("auth") if isinstance(answer, dict) else None
        if not isinstance(auth, dict) or not isinstance(auth.get("client_token"), str):
            raise UnexpectedResponse(_("the login's answer holds no token"), system="Vault", operation="login")
        life = auth.get("lease_duration")
        lasts = timedelta(seconds=min(life, 86_400)) if isinstance(life, int) and life > 0 else timedelta(days=1)
        return Secret(auth["client_token"]), self._clock() + max(lasts - _EARLY, lasts / 2)


def token_works(connection: Connection, value: Secret) -> bool | None:
    """Whether this server takes the token; one call. None: it does not look like a token, or nobody can tell."""
    if not value.reveal().strip().startswith(_TOKEN_PREFIXES):
        return None
    auth = StaticHeader(TOKEN_HEADER, lambda: Secret(value.reveal().strip()))
    with Http.of(
        connection, server_url(connection), stats=CallStats(), system="Vault", auth=auth, **_network(connection)
    ) as http:
        try:
            http.get_json("/v1/auth/token/lookup-self")
        except AuthenticationFailed:
            return False
        except MissingScope:
            return True  # its policy forbids the look-up: only a good token has a policy
        except ConnectorError:
            return None
    return True


def server_url(connection: Connection) -> str:
    """The server's base URL. Raises ConfigError."""
    url = connection.settings.get("url", "").strip().rstrip("/")
    address = web_address(url)
    if address is None or address.path != "/":
        raise ConfigError(
            _("url must be the server's address, as https://host:port"), advice=_("it is what VAULT_ADDR holds")
        )
    return url


def url_path(path: str) -> str:
    """`path` below /v1, quoted: a name with ? or # stays a name. Raises UnexpectedResponse where it leads elsewhere."""
    if any(part in (".", "..") for part in path.split("/")):
        raise UnexpectedResponse(_("a name that leads to another path was not followed"), operation="read")
    return "/v1/" + quote(path, safe="/~")


def _network(connection: Connection) -> dict[str, Any]:
    private = connection.flag("private_network", default=False)
    if connection.wire is not None:
        inner: httpx.BaseTransport = connection.wire.httpx_transport()
    else:
        inner = netguard.transport(allow_private=private)
    return {"transport": _Meaning(inner), "allow_private": private}


class _Meaning(httpx.BaseTransport):
    """Gives 401 for a token that is not good and 404 for an accessor that is gone, whatever status Vault chose."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if response.status_code not in (400, 403) or response.headers.get("content-encoding"):
            return response
        said = _errors(response)
        if response.status_code == 403 and (said == ["permission denied"] or any("invalid token" in s for s in said)):
            response.status_code = 401
        elif any("invalid accessor" in s for s in said):
            response.status_code = 404
        elif request.url.path.endswith("/login") and response.status_code == 400:
            response.status_code = 401  # "invalid role or secret ID": a login that is refused
        return response

    def close(self) -> None:
        self._inner.close()


def _errors(response: httpx.Response) -> list[str]:
    """The sentences of a refusal; [] where it holds none, or is longer than a refusal is."""
    length = response.headers.get("content-length", "")
    if not (length.isdecimal() and len(length) < 6 and int(length) <= _LONGEST_REFUSAL):
        return []
    try:
        body = json.loads(response.read())
    except (ValueError, RecursionError, httpx.HTTPError):
        return []
    errors = body.get("errors") if isinstance(body, dict) else None
    return [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []
