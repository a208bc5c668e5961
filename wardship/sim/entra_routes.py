"""The routes of the simulated Entra tenant: Microsoft Graph and the token endpoint, over `EntraTenant`'s tables."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from wardship.sim.exchange import Answer, Call, Refuse
from wardship.sim.pages import ODataPages
from wardship.sim.tables import Row

if TYPE_CHECKING:
    from wardship.sim.entra import EntraTenant

_APP_READ = (
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Application.ReadWrite.OwnedBy",
    "Directory.Read.All",
)
_APP_WRITE = ("Application.ReadWrite.All", "Application.ReadWrite.OwnedBy")
_USERS = ("User.Read.All", "Directory.Read.All")
_GRANTS = ("DelegatedPermissionGrant.Read.All", "Directory.Read.All")
_ROLES = ("RoleManagement.Read.Directory", "RoleManagement.Read.All", "Directory.Read.All")
_POLICY = "Policy.Read.All"
_AUDIT = "AuditLog.Read.All"
_ORG = ("Organization.Read.All", "Directory.Read.All")
_EXPAND_MOST = 20  # as Graph does, without saying so
_NO_LICENCE = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
AZURE = "https://management.azure.com"
"""Where Azure answers; a token for it has no roles: what it may read is asked at every call."""
OFFICE, OFFICE_APP_ID = "https://manage.office.com", "c5393580-f805-4401-95e8-94b7a6ef2fc2"
"""Where Microsoft 365 hands out its audit log, and the resource whose permissions a token for it carries."""
_TOKEN_LIFE_S = 3600

_AGENT_ONLY = ("agentIdentityBlueprintId", "createdDateTime")
_CAST_LIST = "microsoft.graph.agentIdentity"


def declare_routes(tenant: EntraTenant) -> None:
    """Declares every route on `tenant`."""
    _directory(tenant)
    _secrets(tenant)
    _reports(tenant)
    _tenant(tenant)
    _token(tenant)


def _directory(tenant: EntraTenant) -> None:
    def owners(row: Row, field: str = "_owners") -> list[Row]:
        return [tenant.directory_object(ident) for ident in row.get(field, ())]

    def assignments(row: Row) -> list[Row]:
        return tenant.assignments.get(row["id"], [])

    def cut(relationship: Callable[[Row], list[Row]]) -> Callable[[Row], list[Row]]:
        return lambda row: relationship(row)[:_EXPAND_MOST]

    def federated(row: Row) -> list[Row]:
        found: list[Row] = row["_federated"]
        return found

    apps = ODataPages(expand={"owners": cut(owners), "federatedIdentityCredentials": cut(federated)})
    sps = ODataPages(
        expand={
            "owners": cut(owners),
            "federatedIdentityCredentials": cut(federated),
            "appRoleAssignments": cut(assignments),
        }
    )
    agents = ODataPages(expand={"sponsors": cut(lambda row: owners(row, "_sponsors"))})

    def plain(row: Row) -> Row:
        """A service principal as the base type shows it: without what only agents have."""
        return {name: value for name, value in row.items() if name not in _AGENT_ONLY}

    def all_sps() -> list[Row]:
        return [plain(row) if "agentIdentityBlueprintId" in row else row for row in tenant.rows(tenant.sps)]

    _listing(tenant, "/v1.0/applications", lambda: tenant.rows(tenant.apps), _APP_READ, apps)
    _listing(tenant, "/v1.0/servicePrincipals", all_sps, _APP_READ, sps)
    _listing(
        tenant,
        f"/v1.0/servicePrincipals/{_CAST_LIST}",
        lambda: [row for row in tenant.rows(tenant.sps) if row.get("@odata.type") == f"#{_CAST_LIST}"],
        ("AgentIdentity.Read.All", "Directory.Read.All"),
        agents,
    )
    _listing(tenant, "/v1.0/oauth2PermissionGrants", lambda: tenant.rows(tenant.grants), _GRANTS)
    _listing(tenant, "/v1.0/users", lambda: tenant.rows(tenant.users), _USERS)
    tenant.get("/v1.0/users/{id}", tenant.users, scope=_USERS, paging=ODataPages())
    for name, table, pages in (("applications", tenant.apps, apps), ("servicePrincipals", tenant.sps, sps)):
        below = f"/v1.0/{name}/{{id}}"

        @tenant.on("GET", below, scope=_APP_READ)
        def one(call: Call, table: Any = table, pages: ODataPages = pages) -> Any:
            return pages.one(call, plain(_present(table.visible_one(call.path["id"]))))

        for relationship, of in (("owners", owners), ("federatedIdentityCredentials", federated)):

            def related(call: Call, table: Any = table, of: Callable[[Row], list[Row]] = of) -> list[Row]:
                found = of(_present(table.visible_one(call.path["id"])))
                if of is owners:  # this list shows the base type: an id and what it is
                    return [{name: row[name] for name in ("@odata.type", "id")} for row in found]
                return found

            tenant.list(f"{below}/{relationship}", related, scope=_APP_READ, paging=ODataPages())

    def of_sp(call: Call) -> list[Row]:
        return assignments(_present(tenant.sps.visible_one(call.path["id"])))

    tenant.list("/v1.0/servicePrincipals/{id}/appRoleAssignments", of_sp, scope=_APP_READ, paging=ODataPages())

    def sponsors(call: Call) -> list[Row]:
        row = _present(tenant.sps.visible_one(call.path["id"]))
        return [{name: o[name] for name in ("@odata.type", "id")} for o in owners(row, "_sponsors")]

    path = f"/v1.0/servicePrincipals/{{id}}/{_CAST_LIST}/sponsors"
    tenant.list(path, sponsors, scope="AgentIdentity.Read.All", paging=ODataPages())

    base = "/v1.0/roleManagement/directory"
    _listing(tenant, f"{base}/roleDefinitions", lambda: tenant.rows(tenant.role_definitions), _ROLES)
    principal = ODataPages(expand={"principal": lambda row: tenant.directory_object(row["principalId"])})
    _listing(tenant, f"{base}/roleAssignments", lambda: tenant.rows(tenant.role_assignments), _ROLES, principal)


def _secrets(tenant: EntraTenant) -> None:
    def owned(call: Call) -> Row:
        """The application, if the caller may change it: any with ReadWrite.All, else those that it owns."""
        row = _present(tenant.apps.current(call.path["id"]))
        sp = tenant.sp_of(call.client)
        roles = tenant.roles_of(sp["id"]) if sp else []
        if "Application.ReadWrite.All" not in roles and (sp is None or sp["id"] not in row["_owners"]):
            raise Refuse(403)
        return row

    @tenant.on("POST", "/v1.0/applications/{id}/addPassword", scope=_APP_WRITE)
    def add_password(call: Call) -> Any:
        row = owned(call)
        asked = (call.body or {}).get("passwordCredential") or {}
        key_id, made = tenant.new_id("key"), call.now
        value = f"sim~{tenant.new_id('secret').replace('-', '')}"
        ends = asked.get("endDateTime") or (made + timedelta(days=730)).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {
            "keyId": key_id,
            "displayName": asked.get("displayName"),
            "hint": value[:3],
            "startDateTime": asked.get("startDateTime") or made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "endDateTime": ends,
        }
        tenant.change(
            tenant.apps,
            {
                **row,
                "passwordCredentials": [*row["passwordCredentials"], entry],
                "_secrets": {**row["_secrets"], key_id: value},
            },
        )
        return {**entry, "secretText": value}

    @tenant.on("POST", "/v1.0/applications/{id}/removePassword", scope=_APP_WRITE)
    def remove_password(call: Call) -> Any:
        row = owned(call)
        key_id = (call.body or {}).get("keyId")
        kept = [entry for entry in row["passwordCredentials"] if entry["keyId"] != key_id]
        if len(kept) == len(row["passwordCredentials"]):
            raise Refuse(400, "Request_BadRequest", "no such password credential")
        secrets = {known: value for known, value in row["_secrets"].items() if known != key_id}
        tenant.change(tenant.apps, {**row, "passwordCredentials": kept, "_secrets": secrets})
        return Answer(204)


def _reports(tenant: EntraTenant) -> None:
    def licensed(rows: Callable[[], Sequence[Row]]) -> Callable[[], Sequence[Row]]:
        def answer() -> Sequence[Row]:
            if not tenant.premium:
                raise Refuse(403, _NO_LICENCE, "Neither tenant is B2C or tenant doesn't have premium license")
            return rows()

        return answer

    def kept_audits() -> list[Row]:
        oldest = (tenant.clock() - timedelta(days=tenant.audit_days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return [row for row in tenant.rows(tenant.audits) if row["activityDateTime"] >= oldest]

    _listing(tenant, "/v1.0/auditLogs/directoryAudits", licensed(kept_audits), (_AUDIT,))
    reports = "/beta/reports"
    sign_ins = licensed(lambda: list(tenant.sign_ins.values()))
    _listing(tenant, f"{reports}/servicePrincipalSignInActivities", sign_ins, (_AUDIT,))
    uses = licensed(lambda: list(tenant.key_uses.values()))
    _listing(tenant, f"{reports}/appCredentialSignInActivities", uses, (_AUDIT,))


def _tenant(tenant: EntraTenant) -> None:
    _listing(tenant, "/v1.0/organization", lambda: [tenant.organization], _ORG)
    _listing(tenant, "/v1.0/policies/appManagementPolicies", list, (_POLICY,))
    for name, attribute in (
        ("adminConsentRequestPolicy", "admin_consent"),
        ("authorizationPolicy", "authorization"),
        ("defaultAppManagementPolicy", "app_management"),
    ):

        @tenant.on("GET", f"/v1.0/policies/{name}", scope=_POLICY)
        def policy(_call: Call, attribute: str = attribute) -> Any:
            return getattr(tenant, attribute)


def _token(tenant: EntraTenant) -> None:
    @tenant.on("POST", "/{tenant}/oauth2/v2.0/token", public=True)
    def token(call: Call) -> Any:
        form = call.body if isinstance(call.body, dict) else {}
        if call.path["tenant"] != tenant.tenant_id:
            return _oauth_error(400, "invalid_request")
        app_id = str(form.get("client_id", ""))
        sp = tenant.sp_of(app_id)
        app = next((row for row in tenant.rows(tenant.apps) if row["appId"] == app_id), None)
        if sp is None or app is None or sp["accountEnabled"] is not True:
            return _oauth_error(400, "unauthorized_client")
        if not (_secret_opens(app, form, call.now) or _certificate_opens(app, form, call.now)):
            return _oauth_error(401, "invalid_client")
        resource = str(form.get("scope", "")).removesuffix("/.default")
        roles = [AZURE] if resource == AZURE else tenant.roles_of(sp["id"], *[OFFICE_APP_ID] * (resource == OFFICE))
        claims = {
            "aud": resource,
            "appid": app_id,
            "roles": roles,
            "nonce": tenant.new_id("token"),
        }
        value = f"{_b64({'alg': 'none'})}.{_b64(claims)}.simulated"
        tenant.grant(value, *roles, client=app_id, life_s=_TOKEN_LIFE_S)
        return {"token_type": "Bearer", "expires_in": _TOKEN_LIFE_S, "access_token": value}


def _secret_opens(app: Row, form: Mapping[str, Any], now: datetime) -> bool:
    given = form.get("client_secret")
    ends = {entry["keyId"]: datetime.fromisoformat(entry["endDateTime"]) for entry in app["passwordCredentials"]}
    return any(value == given and key_id in ends and now < ends[key_id] for key_id, value in app["_secrets"].items())


def _certificate_opens(app: Row, form: Mapping[str, Any], now: datetime) -> bool:
    """Whether the assertion is signed by one of the application's certificates (RFC 7523, as Entra checks it)."""
    assertion = str(form.get("client_assertion", ""))
    if assertion.count(".") != 2:
        return False
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    signed, _dot, signature = assertion.rpartition(".")
    claims = json.loads(_unb64(signed.split(".")[1]))
    if claims.get("sub") != app["appId"] or not claims.get("nbf", 0) <= now.timestamp() < claims.get("exp", 0):
        return False
    for pem in filter(None, app["_certificates"].values()):
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            continue
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
        try:
            key.verify(_unb64(signature), signed.encode(), pss, hashes.SHA256())
        except InvalidSignature:
            continue
        return True
    return False


def _oauth_error(status: int, code: str) -> Answer:
    return Answer(status, {"error": code, "error_description": f"simulated {code}"})


def _b64(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _present(row: Row | None) -> Row:
    if row is None:
        raise Refuse(404)
    return row


def _listing(
    tenant: EntraTenant,
    template: str,
    rows: Callable[[], Sequence[Row]],
    scope: Sequence[str],
    pages: ODataPages | None = None,
) -> None:
    """A list with Graph's `or` and `in` in its $filter, which the kit's paging does not know."""
    style = pages or ODataPages()

    @tenant.on("GET", template, scope=scope)
    def answer(call: Call) -> Any:
        fault = tenant.faults.shaping()
        found = [] if fault == "empty" else rows()
        text = call.query.get("$filter", "")
        if " or " not in text and " in (" not in text:
            return style.answer(call, found, short=fault == "short")
        rest = {name: value for name, value in call.query.items() if name != "$filter"}
        kept = [row for row in found if _matches(row, text)]
        body = style.answer(dataclasses.replace(call, query=rest), kept, short=fault == "short")
        if "@odata.nextLink" in body:
            body["@odata.nextLink"] += "&" + urlencode({"$filter": text}, safe="$")
        return body


def _matches(row: Row, text: str) -> bool:
    if found := re.fullmatch(r"(\w+) in \((.*)\)", text):
        return row.get(found[1]) in [one.strip().strip("'") for one in found[2].split(",")]
    for term in text.split(" or "):
        equal = re.fullmatch(r"(\w+) eq '([^']*)'", term.strip())
        if equal is None:
            raise Refuse(400, "Request_UnsupportedQuery", "this filter is not supported")
        if row.get(equal[1]) == equal[2]:
            return True
    return False
