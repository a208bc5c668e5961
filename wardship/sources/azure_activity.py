"""What was done to Azure: the activity log of subscriptions, and the audit events of resources (Key Vault, storage...).

Forms: the management API, exports of diagnostic settings, Log Analytics (AzureActivity, AzureDiagnostics,
StorageBlobLogs and its sisters), and the shape in which some monitoring products forward them (`evt`). Kubernetes
audit events that travel in such an export are the Kubernetes source's; only what has no verb of its own is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, SourceManifest
from wardship.sources import _microsoft as ms
from wardship.sources._entra_live import ActivityLog
from wardship.sources._microsoft import Row

MANIFEST = SourceManifest(
    name="azure.activity",
    title="Azure activity and resource logs",
    forms=(
        N_("JSON of the management API or of `az monitor activity-log list`"),
        N_(
            "JSON of diagnostic settings: the activity log, and audit events of resources such as Key Vault and storage"
        ),
        N_("rows of Log Analytics as JSON or CSV"),
    ),
    records=("value", "records"),
    connector="entra",
    permissions=(Permission(name="Reader", why=N_("reads the activity log of the subscriptions it is given on")),),
    delay_hours=1.0,
    retention_days=90,
    logs_reads=False,
    blind_spots=(
        BlindSpot(
            id="azure.activity.reads",
            text=N_("reads of the management plane are never logged; those of data only with diagnostic settings"),
        ),
        BlindSpot(
            id="azure.activity.shared_keys",
            text=N_("who comes with an account key or a shared access signature is not named"),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("azure-activitylog",),
    links=("https://learn.microsoft.com/azure/azure-monitor/platform/activity-log-schema",),
)

_CLAIMS = "http://schemas.microsoft.com/identity/claims/"
_XMLSOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_SUBSCRIPTION = re.compile(r"/subscriptions/([^/]{1,100})", re.IGNORECASE)
_PROVIDER = re.compile(r"/providers/([^/]{1,100})(?:/([^/]{1,100}))?", re.IGNORECASE)
_OUTCOMES = {
    "succeeded": Outcome.SUCCESS,
    "success": Outcome.SUCCESS,
    "accept": Outcome.SUCCESS,
    "accepted": Outcome.SUCCESS,
    "active": Outcome.SUCCESS,
    "resolved": Outcome.SUCCESS,
    "failed": Outcome.FAILURE,
    "failure": Outcome.FAILURE,
    "clientothererror": Outcome.FAILURE,
    "authorizationerror": Outcome.FAILURE,
    "ok": Outcome.SUCCESS,
    "created": Outcome.SUCCESS,
    "nocontent": Outcome.SUCCESS,
    "badrequest": Outcome.FAILURE,
    "unauthorized": Outcome.FAILURE,
    "forbidden": Outcome.FAILURE,
    "notfound": Outcome.FAILURE,
    "conflict": Outcome.FAILURE,
    "internalservererror": Outcome.FAILURE,
}
_CATEGORIES = frozenset({"administrative", "auditevent", "storageread", "storagewrite", "storagedelete"})
_UNDECIDED = frozenset({"start", "started", "inprogress", "updated"})
_PROVIDERS = {  # exports write them in capitals
    name.upper(): name
    for name in (
        "Microsoft.ApiManagement",
        "Microsoft.CognitiveServices",
        "Microsoft.ContainerRegistry",
        "Microsoft.ContainerService",
        "Microsoft.DocumentDB",
        "Microsoft.EventHub",
        "Microsoft.KeyVault",
        "Microsoft.MachineLearningServices",
        "Microsoft.ManagedIdentity",
        "Microsoft.OperationalInsights",
        "Microsoft.ServiceBus",
    )
}
_READING = re.compile(r"(?:^|/)(?:list|get|read|check|validate|begingetaccess|peek|query|head)|(?:get|list|read)$")
_AUTH_TYPES = {
    "accountkey": CredentialType.ACCESS_KEY,
    "sas": CredentialType.TOKEN,
    "servicesas": CredentialType.TOKEN,
    "delegationsas": CredentialType.TOKEN,
}
_APP_PROOFS = {"1": CredentialType.CLIENT_SECRET, "2": CredentialType.CERTIFICATE}  # claim appidacr / azpacr
_CAPITAL = re.compile(r"([A-Z])")
_BODY_WORDS = (
    "roleDefinitionId", "principalId", "principalType", "issuer", "subject", "publicNetworkAccess", "state",
    "allowBlobPublicAccess", "publicAccess",
)  # fmt: skip
_KEEPING = ("deleteRetentionPolicy", "containerDeleteRetentionPolicy", "restorePolicy")  # what is deleted can come back


def claims(record: dict[str, Any]) -> bool:
    """An event on a resource: it names an operation and a resource of Azure's, or a table of Log Analytics."""
    row = Row(ms.unwrapped(record))
    category = row.lower("category") or row.child("evt").lower("category") or ""
    if category.startswith("kube-audit") and Row(ms.object_of(row.child("properties").value("log"))).value("verb"):
        return False
    if "tenants/" in (row.lower("resourceId") or "") and "microsoft.aadiam" in (row.lower("resourceId") or ""):
        return False
    if "OperationNameValue" in row or ("eventTimestamp" in row and "operationName" in row):
        return True
    if not any(name in row for name in ("operationName", "EventName", "evt")):
        return False
    place = row.lower("resourceId", "_ResourceId") or row.child("properties").lower("entity") or ""
    return "/subscriptions/" in place or place.startswith("/providers/") or category in _CATEGORIES


def live(connection: Connection) -> LiveLog:
    """The log of the connection's tenant. Raises ConfigError; nothing is asked of the network yet."""
    return ActivityLog(connection)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event, or the several that a batch cut at the wrong place holds. Raises DataError for one without a time or
    an operation."""
    return [_event(Row(event), drift) for event in ms.events(record)]


def _event(row: Row, drift: Drift) -> Activity:
    properties, event = row.child("properties", "Properties_d", "EventProperties"), row.child("evt")
    resource = row.text("resourceId", "_ResourceId") or properties.text("entity", "resource")
    operation = _operation(row, properties, event)
    category = _value(row, "category", "CategoryValue") or event.text("category")
    who = _actor(row, resource)
    status = _status(row, properties, event)
    outcome = _outcome(status)
    if outcome is Outcome.UNKNOWN and status and (status.lower().rstrip(".") not in _UNDECIDED):
        drift.unknown_value("activityLog.status", status)
    http = row.child("httpRequest")
    return Activity(
        uid=row.text("eventDataId") or properties.text("eventDataId"),
        time=ms.needed_instant(
            row.value("eventTimestamp"),
            row.value("time"),
            row.value("TimeGenerated"),
            row.value("EventTimeString", "EventTime", "timestamp"),
        ),
        class_uid=_class(operation, category),
        service=_service(row, operation, resource),
        operation=operation,
        actor_authority=who.authority,
        actor_id=who.id,
        actor_name=who.name,
        actor_kind=who.kind,
        session=row.text("correlationId"),
        on_behalf_of=None,
        credential_type=who.credential.value if who.credential else None,
        mutating=_mutating(operation, category),
        interactive=None,
        resource_type=_resource_type(resource),
        resource_id=_thing(row, properties) or (resource.lower() if resource else None),
        resource_name=resource.rstrip("/").rpartition("/")[2] if resource else None,
        account=_subscription(row, resource),
        region=row.text("location", "Region") or None,
        src_ip=ms.address(row.value("callerIpAddress", "CallerIpAddress"))
        or ms.address(http.value("clientIpAddress", "clientIP"))
        or ms.address(properties.value("clientIP", "callerIpAddress")),
        user_agent=properties.text("userAgentHeader", "userAgent", "clientInfo")
        or row.text("UserAgentHeader", "clientInfo_s"),
        outcome=outcome,
        outcome_code=status,
        detail=small(
            {
                "category": category,
                "app_id": who.app_id,
                "client": who.client,
                "role": who.role,
                "method": http.text("method"),
                "authentication": who.authentication or ("SAS" if _is_signed(row, properties) else None),
                "event_name": _value(row, "eventName"),
                **_changed(properties),
            }
        ),
    )


@dataclass(slots=True, kw_only=True)
class _Who:
    """Who acted, as far as the event tells: its claims, its requester, or only a caller's name."""

    authority: str | None = None
    id: str | None = None
    name: str | None = None
    kind: ActorKind = ActorKind.UNKNOWN
    app_id: str | None = None
    client: str | None = None  # the application through which a person acted
    credential: CredentialType | None = None
    role: str | None = None
    authentication: str | None = None


def _actor(row: Row, resource: str | None) -> _Who:
    identity = row.child("identity")
    said = (
        row.child("claims", "claims_d") if "claims" in row or "claims_d" in row else identity.child("claims", "claim")
    )
    requester = identity.child("requester")
    authorization = row.child("authorization", "authorization_d")
    evidence = (authorization if authorization.raw else identity.child("authorization")).child("evidence")
    who = _Who()
    caller = row.text("caller") or row.text("identity")
    who.app_id = (
        ms.guid(said.value("appid", "azp"))
        or ms.guid(requester.value("appId"))
        or ms.guid(row.value("identity_claim_appid_g", "RequesterAppId"))
    )
    tenant = ms.guid(said.value(f"{_CLAIMS}tenantid", "tid")) or ms.tenant_of(
        Row({**requester.raw, "resourceId": resource}), "tenantId"
    )
    tenant = tenant or ms.guid(row.value("RequesterTenantId")) or ms.tenant_of(row, "tenantId", "AADTenantId")
    object_id = (
        ms.guid(said.value(f"{_CLAIMS}objectidentifier", "oid"))
        or ms.guid(requester.value("objectId"))
        or ms.guid(row.value("identity_claim_oid_g", "RequesterObjectId"))
        or ms.guid(evidence.value("principalId"))
        or ms.guid(caller)
    )
    user_name = (
        said.text(f"{_XMLSOAP}upn", "upn", f"{_XMLSOAP}name", "unique_name")
        or requester.text("upn")
        or row.text("RequesterUpn", "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s")
    )
    who.role = evidence.text("role") or authorization.text("role")
    who.authentication = identity.text("type") or row.text("AuthenticationType")
    who.credential = _AUTH_TYPES.get((who.authentication or "").lower()) or _APP_PROOFS.get(
        said.text("appidacr", "azpacr") or ""
    )
    managed = said.text("xms_mirid")
    is_app = (
        bool(managed)
        or said.lower("idtyp") == "app"
        or (evidence.lower("principalType") or "") == "serviceprincipal"
        or (user_name is None and said.text(f"{_CLAIMS}scope", "scp") is None and "@" not in (caller or ""))
    )
    if is_app and (who.app_id or object_id):
        who.authority, who.id = ms.application(tenant, who.app_id, object_id)
        who.name = said.text("app_displayname") or caller or who.app_id or object_id
        who.kind = ActorKind.MANAGED_IDENTITY if managed else ms.application_kind(who.app_id)
    elif user_name or object_id or "@" in (caller or ""):
        name = user_name or caller
        who.authority, who.id = ms.person(tenant, object_id, name)
        who.name, who.kind, who.client = name, ActorKind.USER, who.app_id
    else:
        who.name = caller
        who.kind = ActorKind.ANONYMOUS if (who.authentication or "").lower() == "anonymous" else ActorKind.UNKNOWN
    return who


def _value(row: Row, *names: str) -> str | None:
    """Text, or the `value` of one of the API's localised strings."""
    for name in names:
        if found := row.text(name) or row.child(name).text("value"):
            return found
    return None


def _operation(row: Row, properties: Row, event: Row) -> str:
    """The operation's name. Exports write it in capitals; where the event has it in its own case too, that is kept."""
    name = _value(row, "operationName", "OperationNameValue", "EventName") or event.text("name") or ""
    if name.isupper():
        authorization = row.child("authorization", "authorization_d")
        nested = row.child("identity").child("authorization")
        for same in (authorization.text("action"), nested.text("action"), properties.text("message")):
            if same and same.lower() == name.lower():
                return same
    return name


def _service(row: Row, operation: str, resource: str | None) -> str:
    said = _value(row, "resourceProviderName", "resourceProvider", "ResourceProviderValue")
    if not said and operation.lower().startswith(("microsoft.", "microsoft/")):
        said = operation.split("/", maxsplit=1)[0]
    if not said and (match := _PROVIDER.search(resource or "")):
        said = match[1]
    said = said or "Microsoft.Azure"
    if said.isupper() and said.startswith("MICROSOFT."):
        return _PROVIDERS.get(said, "Microsoft." + said.removeprefix("MICROSOFT.").capitalize())
    return said


def _resource_type(resource: str | None) -> str | None:
    match = _PROVIDER.search(resource or "")
    return f"{match[1]}/{match[2]}".lower() if match and match[2] else None


def _thing(row: Row, properties: Row) -> str | None:
    """What was touched inside the resource: a secret, a blob. Without the query, which may hold a signature."""
    found = properties.text("objectKey", "id", "uri") or row.text("ObjectKey", "id_s", "Uri")
    if found is None or "/" not in found or found.lower().startswith("/subscriptions/"):
        return None
    return found.partition("?")[0][:1_000]


def _is_signed(row: Row, properties: Row) -> bool:
    """Whether the address carries a signature, so that whoever has the address may use it."""
    address = row.value("uri") or properties.value("uri")
    return isinstance(address, str) and "sig=" in address.lower()


def _subscription(row: Row, resource: str | None) -> str | None:
    if found := ms.guid(row.value("subscriptionId")):
        return found
    match = _SUBSCRIPTION.search(resource or "")
    return match[1].lower() if match else None


def _status(row: Row, properties: Row, event: Row) -> str | None:
    return (
        _value(row, "status", "resultType", "ActivityStatusValue", "resultSignature", "StatusText")
        or event.text("outcome")
        or properties.text("statusCode", "httpStatusCode")
        or row.text("StatusCode", "httpStatusCode_d")
    )


def _outcome(status: str | None) -> Outcome:
    """Started and the like have no outcome yet: another event of the same correlation has it."""
    word = (status or "").lower().rstrip(".")
    if word.isdecimal() and len(word) == 3:
        return Outcome.SUCCESS if int(word) < 400 else Outcome.FAILURE
    return _OUTCOMES.get(word.partition(".")[0], Outcome.UNKNOWN)


def _mutating(operation: str, category: str | None) -> bool | None:
    word = operation.lower()
    kind = (category or "").lower()
    if kind in ("storagewrite", "storagedelete"):
        return True
    if kind == "storageread" or word.endswith("/read"):
        return False
    if word.endswith(("/write", "/delete")):
        return True
    name = word.removesuffix("/action").rpartition("/")[2]
    if _READING.search(name):
        return False
    return True if word.endswith("/action") or kind in ("administrative", "auditevent") else None


def _class(operation: str, category: str | None) -> ActivityClass:
    word = operation.lower()
    if "microsoft.authorization/" in word:
        return ActivityClass.USER_ACCESS_MANAGEMENT
    if "federatedidentitycredentials" in word or "microsoft.managedidentity/" in word:
        return ActivityClass.ENTITY_MANAGEMENT
    return (
        ActivityClass.DATASTORE_ACTIVITY
        if (category or "").lower().startswith("storage")
        else ActivityClass.API_ACTIVITY
    )


def _changed(properties: Row) -> dict[str, Any]:
    """The few words of a request's body that tell what a grant or a trust is about; the body itself is not kept."""
    body = properties.child("requestbody", "requestBody")
    inner = body.child("properties")
    said = {name: (inner.text(name) or body.text(name) or _flag_word(inner.flag(name))) for name in _BODY_WORDS}
    found = {_CAPITAL.sub(r"_\1", name).lower(): value for name, value in said.items() if value}
    if role := found.pop("role_definition_id", None):
        found["role_id"] = role.rpartition("/")[2].lower()
    if principal := found.pop("principal_id", None):
        found["target_sp"] = principal.lower()
    if any(inner.child(name).flag("enabled") is False for name in _KEEPING):
        found["new_value"] = "off"
    return found


def _flag_word(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
