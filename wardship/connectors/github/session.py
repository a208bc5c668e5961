"""Signing in: from the settings of a connection to a client of one organisation's API.

A GitHub App is preferred to a token: what proves us is signed here, lives ten minutes and is exchanged for a token of
one hour that can only read. Only an App sees the fine-grained tokens of an organisation.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

import httpx

from wardship.connectors.github.place import PUBLIC_HOST, Where
from wardship.model.errors import AuthenticationFailed, ConfigError, SkippableError, UnexpectedResponse
from wardship.model.secret import Secret
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.http import Budget, Http, web_address
from wardship.sdk.i18n import _
from wardship.sdk.oauth import Auth, Bearer, StaticHeader, Token, rsa_key, signed_jwt
from wardship.sdk.pace import TokenBucket
from wardship.sdk.paging import HeaderLink

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_NUMBER = re.compile(r"[1-9]\d{0,18}")
_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_SIGNED_FOR = timedelta(minutes=9)  # GitHub takes at most ten
_CLOCKS_DIFFER = timedelta(minutes=1)
# GitHub's secondary limit is 900 reads a minute, and at most 100 at once (its documentation of rate limits, 2026-11).
_READS_A_SECOND, _BURST, _AT_ONCE = 14.0, 60, 8


class Session:
    """The clients of one organisation: `api` as whoever reads, `app` as the GitHub App itself (None with a token)."""

    def __init__(self, connection: Connection, stats: CallStats) -> None:
        self._connection, self._stats = connection, stats
        self.organisation = _organisation(connection)
        self.base_url = _api_url(connection)
        host = _web_host(self.base_url)
        self.web_url = f"https://{host}"
        issuer = "https://token.actions.githubusercontent.com"
        if host != PUBLIC_HOST:
            issuer = f"{self.web_url}/_services/token"
        self.where = Where(organisation=self.organisation.lower(), host=host, issuer=issuer)
        self.selected: bool | None = None  # our App is installed on selected repositories; None: not known
        self.app: Http | None = None
        self._installation: str | None = connection.settings.get("installation_id") or None
        if self._installation is not None and not _NUMBER.fullmatch(self._installation):
            raise ConfigError(
                _("installation_id must be a number"),
                advice=_("it stands at the end of the address of the App's installation"),
            )
        self.api = self._client(self._auth())

    def _client(self, auth: Auth) -> Http:
        real = self._connection.wire is None
        bucket = TokenBucket(_READS_A_SECOND, _BURST, monotonic=time.monotonic) if real else None
        return Http.of(
            self._connection,
            self.base_url,
            stats=self._stats,
            system="GitHub",
            auth=auth,
            headers=_HEADERS,
            bucket=bucket,
            budget=Budget(concurrency=_AT_ONCE),
            allow_private=self._connection.flag("private_network", default=False),
        )

    def _auth(self) -> Auth:
        settings = self._connection.settings
        if settings.get("app_id"):
            if not re.fullmatch(r"[\w.]{1,64}", settings["app_id"]):
                raise ConfigError(_("app_id must be the App's id"), advice=_("it is on the App's own settings page"))
            self.app = self._client(Bearer(self._signed, clock=self._connection.clock))
            return Bearer(self._minted, clock=self._connection.clock)
        if "token" in settings:
            return StaticHeader("authorization", lambda: self._connection.secret("token"), "Bearer ")
        raise ConfigError(
            _("this connection has neither app_id nor token"),
            advice=_("set app_id with private_key; `wardship connect setup github` shows how"),
        )

    def _signed(self) -> Token:
        """A statement that we are the App, signed with its key."""
        key = rsa_key(self._connection.secret("private_key"))
        if key is None:
            raise ConfigError(
                _("the private_key setting does not hold an RSA private key in PEM"),
                advice=_("download one from the App's page and refer to it as file:/path"),
            )
        now = self._connection.clock()
        ends = now + _SIGNED_FOR
        claims = {
            "iss": self._connection.settings["app_id"],
            "iat": int((now - _CLOCKS_DIFFER).timestamp()),
            "exp": int(ends.timestamp()),
        }
        return Token(signed_jwt(key, claims), ends)

    def _minted(self) -> Token:
        """A token of the installation. Asking for one changes nothing, so it may be asked for again."""
        assert self.app is not None  # noqa: S101 - narrows for the type checker
        where = f"/app/installations/{self._installation_id()}/access_tokens"
        try:
            body = self.app.post_json(where, idempotent=True)
        except SkippableError as refused:  # uninstalled (404) or suspended (403): nothing at all can be read
            raise AuthenticationFailed(
                refused.message,
                system="GitHub",
                operation="token request",
                advice=_("see whether the App is still installed in the organisation, and not suspended"),
            ) from None
        if not isinstance(body, dict) or not isinstance(body.get("token"), str) or not body["token"]:
            raise UnexpectedResponse(_("the answer holds no token"), operation="token request")
        self.selected = body.get("repository_selection") == "selected"
        return Token(Secret(body["token"]), _instant(body.get("expires_at")))

    def _installation_id(self) -> str:
        if self._installation is None:
            assert self.app is not None  # noqa: S101 - narrows for the type checker
            for page in self.app.follow("/app/installations", {"per_page": 100}, paging=HeaderLink()):
                for found in page.items:
                    account = found.get("account") if isinstance(found, dict) else None
                    login = account.get("login") if isinstance(account, dict) else None
                    ident = str(found.get("id")) if isinstance(login, str) else ""
                    if str(login).lower() == self.organisation.lower() and _NUMBER.fullmatch(ident):
                        self._installation = ident
                        return ident
            raise AuthenticationFailed(
                _("the App is not installed in %(organisation)r") % {"organisation": self.organisation},
                system="GitHub",
                operation="GET /app/installations",
                advice=_("install it on the organisation, on all repositories"),
            )
        return self._installation


def _organisation(connection: Connection) -> str:
    login = connection.settings.get("organisation", "").strip()
    if not _LOGIN.fullmatch(login):
        raise ConfigError(
            _("organisation must be the login of an organisation"),
            advice=_("it is the part after the host in its address: github.com/LOGIN"),
        )
    return login


def _api_url(connection: Connection) -> str:
    url = (connection.settings.get("api_url") or "https://api.github.com").strip().rstrip("/")
    if web_address(url) is None:
        raise ConfigError(
            _("api_url must be the address of the API"),
            advice=_("https://api.github.com, or https://HOST/api/v3 for an Enterprise Server"),
        )
    return url


def _web_host(url: str) -> str:
    """The host that people know: github.com, acme.ghe.com, or the Enterprise Server's own (with its port, if any)."""
    host = httpx.URL(url).netloc.decode().lower()
    if host == f"api.{PUBLIC_HOST}" or host.endswith(".ghe.com"):
        return host.removeprefix("api.")
    return host


def _instant(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None:
        raise UnexpectedResponse(_("the token's end cannot be read"), operation="token request")
    return at
