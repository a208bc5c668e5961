"""Sign-ins to Microsoft Entra ID: of people, of clients on their behalf, of service principals, of managed identities.

Who acted: of an application's own sign-in the application; of one that a client made without its user (a refresh
token), the client on behalf of the user; of an interactive one the user. Microsoft's risk detections, which the same
exports carry, are read too. Forms: Microsoft Graph (v1.0 and beta), diagnostic settings, Log Analytics, the portal's
downloads as CSV and JSON (`_microsoft.Row`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.model.identity import IdentityKind
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, LogPart, SourceManifest
from wardship.sources import _microsoft as ms
from wardship.sources._entra_live import SignInLog
from wardship.sources._microsoft import Row

MANIFEST = SourceManifest(
    name="entra.signin",
    title="Microsoft Entra ID sign-ins",
    forms=(
        N_("JSON of Microsoft Graph auditLogs/signIns, v1.0 or beta"),
        N_("JSON of diagnostic settings (storage account, event hub), all four sign-in categories and risk events"),
        N_("rows of Log Analytics as JSON or CSV"),
        N_("CSV or JSON downloaded from the portal"),
    ),
    records=("value", "records"),
    connector="entra",
    permissions=(Permission(name="AuditLog.Read.All", why=N_("reads sign-ins; the tenant needs Entra ID P1")),),
    delay_hours=2.0,
    retention_days=30,
    logs_reads=None,
    # Diagnostic settings export each category by itself. A client that acts for an absent user is in the second one.
    parts=(
        LogPart(
            name="managedIdentity",
            events="actor_kind = 'managed_identity'",
            always=True,
            not_for=(IdentityKind.OAUTH_APP, IdentityKind.AI_AGENT),
        ),
        LogPart(
            name="nonInteractiveUser",
            events="resource_type = 'application' AND mutating IS NULL AND actor_kind <> 'user'",
            always=True,
            not_for=(IdentityKind.MANAGED_IDENTITY,),
        ),
        LogPart(
            name="servicePrincipal",
            events="NOT mutating",
            always=True,
            not_for=(IdentityKind.MANAGED_IDENTITY,),
        ),
        LogPart(
            name="interactiveUser",
            events="resource_type = 'application' AND mutating IS NULL",
            always=True,
            not_for=(IdentityKind.MANAGED_IDENTITY,),
        ),
    ),
    blind_spots=(
        BlindSpot(
            id="entra.signin.tenant",
            text=N_(
                "a file of Microsoft Graph names no tenant: whoever imports it has to, with --authority entra:TENANT"
            ),
        ),
        BlindSpot(
            id="entra.signin.aggregated",
            text=N_("the portal and Log Analytics fold sign-ins of service principals that differ only in time"),
        ),
        BlindSpot(
            id="entra.signin.token",
            text=N_("a token that was stolen is used without a sign-in: only the logs of the resource show it"),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("graph", "graph-beta"),
    links=("https://learn.microsoft.com/entra/identity/monitoring-health/concept-sign-ins",),
)

OPERATION = "Sign-in activity"  # as diagnostic settings call it, for all categories
_CATEGORIES = {  # of diagnostic settings, tables of Log Analytics and Graph's signInEventTypes, folded
    "signinlogs": "interactiveUser",
    "interactiveuser": "interactiveUser",
    "noninteractiveusersigninlogs": "nonInteractiveUser",
    "aadnoninteractiveusersigninlogs": "nonInteractiveUser",
    "noninteractiveuser": "nonInteractiveUser",
    "serviceprincipalsigninlogs": "servicePrincipal",
    "aadserviceprincipalsigninlogs": "servicePrincipal",
    "microsoftserviceprincipalsigninlogs": "servicePrincipal",
    "serviceprincipal": "servicePrincipal",
    "managedidentitysigninlogs": "managedIdentity",
    "aadmanagedidentitysigninlogs": "managedIdentity",
    "managedidentity": "managedIdentity",
}
_RISKS = frozenset({"userriskevents", "serviceprincipalriskevents", "riskyusers", "riskyserviceprincipals"})
_WORDS = {"success": Outcome.SUCCESS, "failure": Outcome.FAILURE, "interrupted": Outcome.FAILURE}
_CREDENTIALS = {
    "clientsecret": CredentialType.CLIENT_SECRET,
    "certificate": CredentialType.CERTIFICATE,
    "clientassertion": CredentialType.CERTIFICATE,
    "federatedidentitycredential": CredentialType.FEDERATION,
}


def claims(record: dict[str, Any]) -> bool:
    """A sign-in says by which application; only exports name their category."""
    row = Row(ms.unwrapped(record))
    category = row.lower("category", "type") or ""
    if category in _CATEGORIES or category in _RISKS:
        return True
    if "createdDateTime" in row:
        return "appId" in row and ("status" in row or "resourceDisplayName" in row)
    return ("Date (UTC)" in row or "TimeGenerated" in row) and (
        "Sign-in error code" in row or ("ResultType" in row and "AppId" in row) or "Cross tenant access type" in row
    )


def live(connection: Connection) -> LiveLog:
    """The log of the connection's tenant. Raises ConfigError; nothing is asked of the network yet."""
    return SignInLog(connection)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One sign-in, or one risk detection. Raises DataError for one without a time."""
    envelope, row, tenant = ms.opened(record, "resourceTenantId", "homeTenantId")
    category = (envelope.lower("category", "type") or "").replace("-", "")
    if category in _RISKS:
        return [_risk(envelope, row, tenant)]
    return [_sign_in(envelope, row, tenant, category, drift)]


def _sign_in(envelope: Row, row: Row, tenant: str | None, category: str, drift: Drift) -> Activity:
    kind = _kind(row, category, drift)
    app_id = ms.guid(row.value("appId", "Application ID"))
    user_name = row.text("userPrincipalName", "Username", "alternateSignInName", "Sign-in identifier")
    user_id = row.value("userId", "User ID")
    app_name = row.text("servicePrincipalName", "appDisplayName", "Application", "Service principal name")
    sp_id = row.value("servicePrincipalId", "Service principal ID")
    on_behalf_of = None
    if kind in ("servicePrincipal", "managedIdentity"):
        actor = ms.application(tenant, app_id, sp_id)
        name = app_name
        is_managed = kind == "managedIdentity"
        actor_kind = ActorKind.MANAGED_IDENTITY if is_managed else _application_kind(row, app_id)
    elif kind == "nonInteractiveUser":
        actor, name = ms.application(tenant, app_id, sp_id), row.text("appDisplayName", "Application")
        actor_kind = _application_kind(row, app_id)
        on_behalf_of = user_name or row.text("userDisplayName", "User") or ms.guid(user_id)
    else:
        actor = ms.person(tenant, user_id, user_name)
        name, actor_kind = user_name or row.text("userDisplayName", "User", "identity"), ActorKind.USER
    credential_id, credential_type = _credential(row)
    code, outcome = _result(envelope, row)
    interactive = row.flag("isInteractive") if kind.endswith("User") else False
    if interactive is None and category in ("signinlogs", "noninteractiveusersigninlogs"):
        interactive = category == "signinlogs"
    place, device = row.child("location", "locationDetails"), row.child("deviceDetail")
    return Activity(
        uid=row.text("id", "Request ID"),
        time=ms.needed_instant(
            row.value("createdDateTime", "Date (UTC)", "date"), envelope.value("time", "TimeGenerated")
        ),
        class_uid=ActivityClass.AUTHENTICATION,
        service=ms.ENTRA_SERVICE,
        operation=envelope.text("operationName") or OPERATION,
        actor_authority=actor[0],
        actor_id=actor[1],
        actor_name=name,
        actor_kind=actor_kind,
        session=row.text("sessionId", "uniqueTokenIdentifier", "correlationId"),
        on_behalf_of=on_behalf_of,
        credential_id=credential_id,
        credential_type=credential_type,
        mutating=_mutates(kind),
        interactive=interactive,
        resource_type="application",
        resource_id=_resource_id(row),
        resource_name=row.text("resourceDisplayName", "Resource"),
        account=tenant,
        src_ip=ms.address(row.value("ipAddress", "IP address")) or ms.address(envelope.value("callerIpAddress")),
        user_agent=row.text("userAgent", "User agent"),
        outcome=outcome,
        outcome_code=code,
        detail=small(
            {
                "category": kind,
                "app_id": app_id,
                "app": app_name,
                "client_app": row.text("clientAppUsed", "Client app"),
                "protocol": row.lower("authenticationProtocol", "Authentication Protocol"),
                "incoming_token": row.text("incomingTokenType", "Incoming token type"),
                "conditional_access": row.text("conditionalAccessStatus", "Conditional Access"),
                "requirement": row.text("authenticationRequirement", "Authentication requirement"),
                "risk_level": _risky(row, "riskLevelDuringSignIn", "riskLevelAggregated", "Risk level during sign-in"),
                "risk_state": _risky(row, "riskState"),
                "country": place.text("countryOrRegion"),
                "device": device.text("operatingSystem") or row.text("Operating System"),
                "cross_tenant": row.text("crossTenantAccessType", "Cross tenant access type"),
                "home_tenant": ms.guid(row.value("homeTenantId", "Home tenant ID")),
                "asn": row.text("autonomousSystemNumber", "Autonomous system number"),
                "request_id": row.text("originalRequestId"),
            }
        ),
    )


def _mutates(kind: str) -> bool | None:
    """A sign-in changes nothing. Of people's own it is left open: an export that has only those must not count as a
    log of all use, or applications that nobody logged would look unused."""
    return False if kind in ("servicePrincipal", "managedIdentity") else None


def _kind(row: Row, category: str, drift: Drift) -> str:
    """Which of the four kinds of sign-in: as the export or Graph says, else by what the record has."""
    if found := _CATEGORIES.get(category):
        return found
    said = row.value("signInEventTypes")
    for word in ms.words(said if isinstance(said, list) else ()):
        if found := _CATEGORIES.get(word.lower()):
            return found
        drift.unknown_value("signIn.signInEventTypes", word)
    if ms.guid(row.value("managedServiceIdentityId")) or row.child("managedIdentity", "managedServiceIdentity").text(
        "associatedResourceId"
    ):
        return "managedIdentity"
    user = ms.guid(row.value("userId", "User ID")) or row.text("userPrincipalName", "Username")
    if not user and row.value("servicePrincipalId", "Service principal ID"):
        return "servicePrincipal"
    return (
        "nonInteractiveUser" if row.flag("isInteractive") is False and not row.value("category") else "interactiveUser"
    )


def _application_kind(row: Row, app_id: str | None) -> ActorKind:
    return ms.application_kind(app_id, row.value("appOwnerTenantId", "App owner tenant ID"))


def _credential(row: Row) -> tuple[str | None, str | None]:
    """The public id of what proved the application, and its type: a federation, a key, or a certificate's print."""
    kind = _CREDENTIALS.get((row.lower("clientCredentialType", "Client credential type") or "").replace(" ", ""))
    federation = row.lower("federatedCredentialId", "Federated credential ID")
    if federation and ms.guid(federation):
        return federation, CredentialType.FEDERATION.value
    print_ = row.text("servicePrincipalCredentialThumbprint", "Service principal credential thumbprint")
    key = ms.guid(row.value("servicePrincipalCredentialKeyId", "Service principal credential key ID"))
    if kind is None and print_:
        kind = CredentialType.CERTIFICATE
    found = key or print_
    return found, kind.value if kind else None


def _result(envelope: Row, row: Row) -> tuple[str | None, Outcome]:
    """The error code, 0 for none; where there is no number, the word."""
    code = row.child("status").text("errorCode") or row.text("Sign-in error code") or envelope.text("resultType")
    if code is not None and code.isdecimal():
        return code, Outcome.SUCCESS if code == "0" else Outcome.FAILURE
    return None, _WORDS.get((code or row.text("Status") or "").lower(), Outcome.UNKNOWN)


def _resource_id(row: Row) -> str | None:
    """The resource's application id. In Log Analytics `ResourceId` is the path of the log, not the resource."""
    return ms.guid(row.value("resourceIdentity")) or ms.guid(row.value("resourceId", "Resource ID"))


def _risky(row: Row, *names: str) -> str | None:
    found = row.text(*names)
    return None if found in ("hidden", "unknownFutureValue") else found


def _risk(envelope: Row, row: Row, tenant: str | None) -> Activity:
    """What Microsoft holds against an account. The event is the detection; when the act was is in `detail`."""
    app_id = row.value("appId")
    if row.text("servicePrincipalId", "servicePrincipalDisplayName"):
        actor = ms.application(tenant, app_id, row.value("servicePrincipalId"))
        name, kind = row.text("servicePrincipalDisplayName"), ms.application_kind(app_id)
    else:
        actor = ms.person(tenant, row.value("userId"), row.text("userPrincipalName"))
        name, kind = row.text("userPrincipalName", "userDisplayName"), ActorKind.USER
    return Activity(
        uid=row.text("id"),
        time=ms.needed_instant(
            envelope.value("time", "TimeGenerated"), row.value("detectedDateTime", "riskLastUpdatedDateTime")
        ),
        class_uid=ActivityClass.AUTHENTICATION,
        service=ms.ENTRA_SERVICE,
        operation=envelope.text("operationName") or "Risk detection",
        actor_authority=actor[0],
        actor_id=actor[1],
        actor_name=name,
        actor_kind=kind,
        session=row.text("requestId", "correlationId"),
        account=tenant,
        src_ip=ms.address(row.value("ipAddress")) or ms.address(envelope.value("callerIpAddress")),
        detail=small(
            {
                "category": "risk",
                "risk_type": row.text("riskEventType", "riskType"),
                "risk_level": row.text("riskLevel"),
                "risk_state": row.text("riskState"),
                "activity": row.text("activity"),
                "activity_at": row.text("activityDateTime"),
                "country": row.child("location").text("countryOrRegion"),
                "key_ids": ms.words(keys if isinstance(keys := row.value("keyIds"), list) else []),
            }
        ),
    )
