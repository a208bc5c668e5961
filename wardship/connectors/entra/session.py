"""Signing in: from the settings of a connection to a client of Microsoft Graph.

A certificate is preferred to a secret: what proves us is then signed here and never travels. The values live in
`Secret` and are revealed into one request.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta

from wardship.connectors.entra import facts
from wardship.model.errors import ConfigError, ConnectorError, DataError, NotVisible
from wardship.model.secret import Secret
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.http import Http, Refusal
from wardship.sdk.i18n import _
from wardship.sdk.oauth import Auth, ClientCredentials, StaticHeader, b64url, rsa_key, signed_jwt

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NO_LICENCE = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE = timedelta(minutes=10)


class Session:
    """One tenant's clients: `graph` for Microsoft Graph, `login` for the token endpoint; when they are asked for,
    `management` for Azure and `office` for the audit log of Microsoft 365."""

    def __init__(self, connection: Connection, stats: CallStats) -> None:
        self._connection, self._stats = connection, stats
        self.tenant = tenant_of(connection)
        self.cloud = facts.cloud(connection.settings.get("cloud") or "global")
        self.login = Http.of(connection, self.cloud.login, stats=stats, system="Entra sign-in")
        self.graph = Http.of(
            connection, self.cloud.graph, stats=stats, system="Microsoft Graph", auth=self._auth(), classify=_classify
        )

    @property
    def token_path(self) -> str:
        return f"/{self.tenant}/oauth2/v2.0/token"

    def management(self) -> Http:
        """A client of Azure Resource Manager, as the same application. Raises NotVisible where the connection has only
        a token, which is one for Microsoft Graph."""
        return self._other(self.cloud.management, "Azure Resource Manager")

    def office(self, classify: Callable[[Refusal], ConnectorError | None]) -> Http:
        """A client of the Office 365 Management APIs, as the same application; `classify` as `Http` has it. Raises
        NotVisible as `management`, and in a cloud that has none."""
        system = "Office 365 Management APIs"
        if self.cloud.office is None:
            raise NotVisible(_("this cloud of Microsoft's has no %(system)s") % {"system": system}, system=system)
        return self._other(self.cloud.office, system, classify)

    def _other(
        self, where: str, system: str, classify: Callable[[Refusal], ConnectorError | None] | None = None
    ) -> Http:
        if "access_token" in self._connection.settings:
            raise NotVisible(
                _("the access token of this connection is for Microsoft Graph, not for %(system)s")
                % {"system": system},
                system=system,
                advice=_("set client_id with certificate or client_secret; `wardship connect setup entra` shows how"),
            )
        auth = ClientCredentials(self.login, self.token_path, lambda: self._form(where), clock=self._connection.clock)
        return Http.of(self._connection, where, stats=self._stats, system=system, auth=auth, classify=classify)

    def token_form(
        self, client_id: str, proof: Mapping[str, str | Secret], resource: str | None = None
    ) -> dict[str, str | Secret]:
        """The form of a token request for `resource` (None: Microsoft Graph), with this proof of being `client_id`."""
        return {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "scope": f"{resource or self.cloud.graph}/.default",
            **proof,
        }

    def roles(self) -> frozenset[str] | None:
        """The application permissions that our token carries; None when the token does not tell.

        Read from the token itself, without checking its signature: it decides nothing, the system does.
        """
        token = self._given("access_token")
        if token is None:
            answer = self.login.request("POST", self.token_path, form=self._form(), idempotent=True)
            body = self.login.json(answer)
            token = Secret(str(body.get("access_token", ""))) if isinstance(body, dict) else None
        try:
            claims = _claims(token) if token else None
        except DataError:
            return None
        roles = claims.get("roles") if claims else None
        return frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else None

    def _auth(self) -> Auth:
        if "access_token" in self._connection.settings:
            return StaticHeader("authorization", lambda: self._connection.secret("access_token"), "Bearer ")
        if not self._connection.settings.get("client_id"):
            raise ConfigError(
                _("this connection has neither client_id nor access_token"),
                advice=_("set client_id with certificate or client_secret; `wardship connect setup entra` shows how"),
            )
        return ClientCredentials(self.login, self.token_path, self._form, clock=self._connection.clock)

    def _given(self, name: str) -> Secret | None:
        return self._connection.secret(name) if name in self._connection.settings else None

    def _form(self, resource: str | None = None) -> Mapping[str, str | Secret]:
        client_id = self._connection.settings["client_id"]
        certificate = self._given("certificate")
        if certificate is None:
            proof = {"client_secret": self._connection.secret("client_secret")}
            return self.token_form(client_id, proof, resource)
        audience = self.cloud.login + self.token_path
        assertion = _assertion(certificate, client_id, audience, int(self._connection.clock().timestamp()))
        signed: dict[str, str | Secret] = {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
        return self.token_form(client_id, signed, resource)


def tenant_of(connection: Connection) -> str:
    """The tenant's id in lower case. Raises ConfigError: a domain is not an id, it can move to another tenant."""
    tenant = connection.settings.get("tenant_id", "").strip().lower()
    if not _GUID.fullmatch(tenant):
        raise ConfigError(
            _("tenant_id must be the tenant's id, a GUID"),
            advice=_("it is on the overview page of Entra ID, or: az account show --query tenantId"),
        )
    return tenant


def _classify(refusal: Refusal) -> ConnectorError | None:
    """What Graph says with a general refusal and means exactly: no licence, no such type, no such secret."""
    if refusal.code == _NO_LICENCE:
        return NotVisible(
            _("%(operation)s: the tenant has no Entra ID P1 licence") % {"operation": refusal.operation},
            advice=_("use of applications stays unknown without it"),
        )
    if "microsoft.graph.agentIdentity" in refusal.operation and refusal.status in (400, 404, 501):
        return NotVisible(
            _("%(operation)s: this tenant or cloud has no agent identities") % {"operation": refusal.operation}
        )
    if refusal.operation.endswith("/removePassword") and refusal.status == 400:
        return NotVisible(_("%(operation)s: no such secret") % {"operation": refusal.operation})
    return None


def _claims(token: Secret) -> dict[str, object]:
    part = token.reveal().split(".")
    if len(part) != 3:
        raise DataError("not a readable token")
    try:
        claims = json.loads(base64.urlsafe_b64decode(part[1] + "=" * (-len(part[1]) % 4)))
    except (ValueError, RecursionError):
        raise DataError("not a readable token") from None
    if not isinstance(claims, dict):
        raise DataError("not a readable token")
    return claims


def _assertion(pem: Secret, client_id: str, audience: str, now_s: int) -> Secret:
    """A signed statement that we are `client_id` (RFC 7523), as Entra wants it: PS256 and a thumbprint."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = rsa_key(pem)
    try:
        certificate = x509.load_pem_x509_certificate(pem.reveal().encode())
    except ValueError:
        key = None
    if key is None:
        raise ConfigError(
            _("the certificate setting does not hold a certificate and an RSA private key in PEM"),
            advice=_("put both into one file, the key without a password, and refer to it as file:/path"),
        )
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now_s,
        "exp": now_s + int(_ASSERTION_LIFE.total_seconds()),
    }
    thumbprint = b64url(certificate.fingerprint(hashes.SHA256()))
    return signed_jwt(key, claims, algorithm="PS256", **{"x5t#S256": thumbprint})
