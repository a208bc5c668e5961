"""Google Cloud audit logs: admin activity, data access, system events and policy denials of every service.

One raw record is a LogEntry whose payload is an AuditLog: an answer of entries.list, a line of a sink's files, a row of
a sink's BigQuery table, or a copy of it in a SIEM. Workspace's own logs that are shared with Google Cloud, and what
clusters of GKE write, are such entries too.

The log names principals by e-mail, never by the numeric id: the authority is `gcp:email` (docs/adr/0030).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission, Setting
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, LogPart, SourceManifest
from wardship.sources._kubernetes_objects import privileges
from wardship.sources._log_analytics import columns_of, is_flattened, unflatten
from wardship.sources._record import (
    MAX_LIST,
    browser,
    child,
    children,
    compact,
    flag,
    host_of,
    identifier,
    instant,
    number,
    respelled,
    sentence,
    text,
    texts,
)

AUTHORITY = "gcp:email"
PRINCIPAL = "gcp:principal"  # of a federated identity without a service account: "principal://iam.googleapis.com/..."

MANIFEST = SourceManifest(
    name="gcp.audit",
    title="Google Cloud audit logs",
    forms=(
        N_("log entries as JSON or JSON lines: gcloud logging read, entries.list, files of a sink to Cloud Storage"),
        N_("rows of a sink's BigQuery table, as JSON lines"),
        N_("rows of a table of Log Analytics, as JSON or CSV"),
    ),
    records=("entries",),
    settings=(
        Setting(name="key", help=N_("key file of a service account"), required=True, secret=True),
        Setting(
            name="resources",
            help=N_("organisations, folders or projects to read, with commas: organizations/123"),
            required=True,
        ),
    ),
    permissions=(
        Permission(name="logging.logEntries.list", why=N_("lists admin activity, system events and policy denials")),
        Permission(name="logging.privateLogEntries.list", why=N_("lists data access")),
    ),
    retention_days=400,  # admin activity; data access 30 unless a bucket keeps it longer
    logs_reads=None,
    # Data access is switched on for each service, and accounts can be exempted: no event tells of the others.
    parts=(
        LogPart(name="data-access", events="NOT mutating", shown=False),
        LogPart(name="activity", events="mutating"),
    ),
    blind_spots=(
        BlindSpot(
            id="gcp.data_access_off",
            text=N_("Reads of data are logged only where data access logs were switched on, for each service."),
        ),
        BlindSpot(
            id="gcp.caller_redacted",
            text=N_(
                "Google hides who asked when a read was refused for want of permission, and outside the organisation."
            ),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("gcp-logging",),
    links=(
        "https://cloud.google.com/logging/docs/audit",
        "https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog",
        "https://cloud.google.com/logging/docs/export/bigquery",
    ),
)

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_CODES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
    "UNAUTHENTICATED"
).split()
_PUBLIC = ("allUsers", "allAuthenticatedUsers")
_PAYLOADS = ("protoPayload", "protopayload_auditlog", "payload", "proto_payload")
_READS = (
    "get",
    "list",
    "aggregatedlist",
    "search",
    "query",
    "read",
    "watch",
    "test",
    "lookup",
    "check",
    "batchget",
    "access",
)
_WRITES = (
    "create insert update patch delete set add remove enable disable undelete destroy import upload write generate "
    "sign move attach detach start stop reset deploy rollback restore invite grant revoke cancel post put"
).split()
_TOKEN_CALLS = ("GenerateAccessToken", "GenerateIdToken", "SignJwt", "SignBlob", "ExchangeToken")
_KEY = re.compile(r"serviceAccounts/([^/]+)/keys/([^/]+)")
_CLUSTER_USER = re.compile(r"system:[\w:.-]{1,300}")

_PATHS = """
protoPayload.@type protoPayload.serviceName protoPayload.methodName protoPayload.resourceName
protoPayload.authenticationInfo.principalEmail protoPayload.authenticationInfo.principalSubject
protoPayload.authenticationInfo.serviceAccountKeyName protoPayload.authenticationInfo.serviceAccountDelegationInfo
protoPayload.authorizationInfo protoPayload.requestMetadata.callerIp
protoPayload.requestMetadata.callerSuppliedUserAgent protoPayload.requestMetadata.callerNetwork
protoPayload.status.code protoPayload.status.message protoPayload.request.policy.bindings protoPayload.request.name
protoPayload.response.name protoPayload.request.member protoPayload.serviceData.policyDelta.bindingDeltas
protoPayload.resourceLocation.currentLocations
""".split()
_COLUMNS = {  # of a table in Log Analytics, named as Google's Python client names the fields
    **{column.replace("protoPayload", "payload"): path for column, path in columns_of(_PATHS).items()},
    "log_name": "logName",
    "insert_id": "insertId",
    "resource_type": "resource.type",
    **columns_of(
        ["timestamp", "severity", *(f"resource.labels.{name}" for name in ("project_id", "location", "zone", "method"))]
    ),
}
_NAMES: Mapping[str, str] = {
    name.lower(): name
    for name in (
        *(name for path in _PATHS for name in path.split(".")),
        *"logName insertId receiveTimestamp bindingDeltas granted permission permissionType policyDelta".split(),
    )
}
_SIEM_NAMES = {"at_sign_type": "@type", "at_type": "@type"}


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import CloudLoggingLog

    return CloudLoggingLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An entry of an audit log: by the log's name, or by a payload of the type AuditLog."""
    if is_flattened(record, "payload__type", "payload_methodName"):
        return True
    log = text(record, "logName", "log_name", "logname") or ""
    if "cloudaudit.googleapis.com" in log:
        return True
    payload = next((child(record, name) for name in _PAYLOADS if child(record, name)), {})
    return "AuditLog" in (text(payload, "@type", "at_sign_type", "at_type") or "") or (
        "protoPayload" in record and bool(child(payload, "authenticationInfo") or text(payload, "methodName"))
    )


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One call. None of an entry that is no audit log's. Raises DataError for one without a method or a time."""
    entry = _entry(record)
    if entry is None:
        return
    payload = child(entry, "protoPayload")
    labels = child(entry, "resource.labels")
    permissions = [found for one in children(payload, "authorizationInfo") if (found := text(one, "permission"))]
    # An entry of BigQuery about data has no method, and a cut one may lack it: what was asked for tells it as well.
    operation = (
        text(payload, "methodName") or text(labels, "method") or _of_request(payload) or next(iter(permissions), "")
    )
    if not operation:
        raise DataError("gcp: an audit log entry without a method")
    service = text(payload, "serviceName") or text(labels, "service") or "googleapis.com"
    log = unquote(text(entry, "logName") or "").rpartition("/")[2]
    time = instant(entry, "timestamp", "receiveTimestamp")
    project = text(labels, "project_id") or _owner_of(text(entry, "logName") or text(payload, "resourceName"))
    ident = identifier(entry, "insertId")
    agent = text(payload, "requestMetadata.callerSuppliedUserAgent")
    actor = _actor(payload, labels, service)
    key = text(payload, "authenticationInfo.serviceAccountKeyName")
    key_id = key.rpartition("/")[2] if key and "/keys/" in key else None
    outcome, code = _outcome(payload, log, drift)
    resource = identifier(payload, "resourceName")
    yield Activity(
        time=time,
        # Google: entries of one project with the same insertId and time are the same entry.
        uid=f"{project or ''}/{ident}/{time.timestamp():.6f}" if ident else None,
        class_uid=_class(operation, service),
        **actor,
        on_behalf_of=_delegator(payload),
        credential_id=key_id,
        credential_type=CredentialType.ACCESS_KEY.value if key_id else None,
        service=service,
        operation=operation,
        mutating=_mutating(payload, log, operation),
        interactive=browser(agent),
        resource_type=text(entry, "resource.type"),
        resource_id=resource,
        resource_name=resource.rpartition("/")[2] or None if resource else None,
        account=project,
        region=next(iter(texts(payload, "resourceLocation.currentLocations")), None)
        or text(labels, "location", "zone", "region"),
        src_ip=text(payload, "requestMetadata.callerIp"),
        user_agent=agent,
        outcome=outcome,
        outcome_code=code,
        detail=compact(
            _detail(payload, service, operation, log) | {"permissions": list(dict.fromkeys(permissions))[:MAX_LIST]}
        ),
    )


# ------------------------------------------------------------------ shapes


def _entry(record: dict[str, Any]) -> dict[str, Any] | None:
    """The LogEntry in a record, whoever passed it on; None: it is not an audit log entry (a metric, another log)."""
    if is_flattened(record, "payload__type", "payload_methodName", "payload_serviceName"):
        return unflatten(record, _COLUMNS)
    payload = next((record[name] for name in _PAYLOADS if isinstance(record.get(name), dict)), None)
    if payload is None:
        if "cloudaudit" in (text(record, "logName") or ""):
            raise DataError("gcp: an audit log entry without a payload")
        return None
    kind = text(payload, "@type", "at_sign_type", "at_type")
    if kind is not None and "AuditLog" not in kind:
        return None
    entry = {**record, "protoPayload": payload}
    told = child(payload, "authenticationInfo")
    if (
        "at_sign_type" in payload
        or "at_type" in payload
        or "insertId" not in record
        or (told and not text(told, "principalEmail"))
    ):
        entry = respelled(entry, {**_NAMES, **_SIEM_NAMES})
    inner = entry["protoPayload"]
    if "requestJson" in inner or "responseJson" in inner or "metadataJson" in inner:  # BigQuery
        opened = {name: _json(inner.get(f"{name}Json")) for name in ("request", "response", "metadata")}
        entry = {**entry, "protoPayload": {**inner, **{name: value for name, value in opened.items() if value}}}
        delta = child(record, "protopayload_auditlog.servicedata_v1_iam")
        if delta:
            entry["protoPayload"]["serviceData"] = delta
    return entry


def _json(value: Any) -> dict[str, Any]:
    try:
        read = json.loads(value) if isinstance(value, str) and len(value) < 1_000_000 else value
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _of_request(payload: dict[str, Any]) -> str | None:
    """The method by the type of the request, where an entry was cut: ".../compute.disks.setIamPolicy"."""
    kind = text(payload, "request.@type")
    return kind.rpartition("/")[2] or None if kind else None


def _owner_of(name: str | None) -> str | None:
    """The project, folder or organisation that a name begins with."""
    found = re.match(r"/*(?:projects|organizations|folders|billingAccounts)/([\w:.-]{1,100})", name or "")
    return found[1] if found and found[1] != "_" else None


# ------------------------------------------------------------------ who


def _actor(payload: dict[str, Any], labels: dict[str, Any], service: str) -> dict[str, Any]:
    who = child(payload, "authenticationInfo")
    email = identifier(who, "principalEmail", "authoritySelector")
    subject = identifier(who, "principalSubject")
    if email is None and subject and ":" in subject and "@" in subject and "//" not in subject:
        email = subject.rpartition(":")[2]  # "serviceAccount:robot@..."
    if email is None and subject and subject.startswith(("principal://", "principalSet://")):
        return _named(PRINCIPAL, subject, subject.rpartition("/")[2], ActorKind.WORKLOAD)
    if email is None:
        return {"actor_name": subject} if subject else {}
    if _CLUSTER_USER.fullmatch(email):
        return _cluster_user(email, text(labels, "cluster_name"))
    kind = ActorKind.USER
    if email.lower().endswith("gserviceaccount.com"):
        kind = ActorKind.PROVIDER_SERVICE if _of_google(email.lower()) else ActorKind.SERVICE_ACCOUNT
    elif email.lower() in ("system@google.com", "google-internal") or service == email:
        kind = ActorKind.PROVIDER_SERVICE
    elif "@" not in email:
        return {"actor_name": email}
    return _named(AUTHORITY, email.lower(), email, kind)


def _of_google(email: str) -> bool:
    """A service agent, or Google's own account: it acts for a service, and no customer holds a key of it."""
    host = email.rpartition("@")[2]
    return host.startswith(
        ("gcp-sa-", "cloudservices.", "system.", "containers-", "container-engine-robot.", "compute-system.")
    )


def _cluster_user(name: str, cluster: str | None) -> dict[str, Any]:
    """GKE: a user of the cluster, who is only known within it."""
    if name == "system:anonymous":
        return {"actor_name": name, "actor_kind": ActorKind.ANONYMOUS}
    kind = ActorKind.WORKLOAD if name.startswith("system:serviceaccount:") else ActorKind.PROVIDER_SERVICE
    kind = ActorKind.MACHINE if name.startswith("system:node:") else kind
    if cluster is None:
        return {"actor_name": name, "actor_kind": kind}
    return _named(f"kubernetes:{cluster}", name, name, kind)


def _named(authority: str, ident: str, name: str, kind: ActorKind) -> dict[str, Any]:
    return {"actor_authority": authority, "actor_id": ident, "actor_name": name, "actor_kind": kind}


def _delegator(payload: dict[str, Any]) -> str | None:
    """Who really asked, where one acted as a service account: the first of the delegation chain."""
    for step in children(payload, "authenticationInfo.serviceAccountDelegationInfo"):
        found = text(step, "firstPartyPrincipal.principalEmail", "principalSubject")
        if found:
            return found.lower() if "@" in found else found
    return None


# ------------------------------------------------------------------ what


def _class(operation: str, service: str) -> ActivityClass:
    last = operation.rpartition(".")[2]
    if service == "login.googleapis.com":
        return ActivityClass.AUTHENTICATION
    if last in _TOKEN_CALLS:
        return ActivityClass.AUTHORIZE_SESSION
    if last.lower() in ("setiampolicy", "setiampolicies", "insertprojectownershipinvite"):
        return ActivityClass.USER_ACCESS_MANAGEMENT
    if "ServiceAccount" in last and service == "iam.googleapis.com" and not last.startswith(("List", "Get")):
        return ActivityClass.ACCOUNT_CHANGE
    return ActivityClass.API_ACTIVITY


def _mutating(payload: dict[str, Any], log: str, operation: str) -> bool | None:
    """By the kind of the permission, else of the log (admin activity holds changes only), else of the method's verb."""
    told = {text(one, "permissionType") for one in children(payload, "authorizationInfo")} - {None}
    if told:
        return bool(told & {"ADMIN_WRITE", "DATA_WRITE"})
    if log.endswith(("/activity", "/system_event")) or log in ("activity", "system_event"):
        return True
    last = operation.rpartition(".")[2].lower()
    if last.startswith(_READS):
        return False
    return True if last.startswith(tuple(_WRITES)) else None


def _outcome(payload: dict[str, Any], log: str, drift: Drift) -> tuple[Outcome, str | None]:
    """No status is success, for an AuditLog has one to tell an error; not where a permission or a policy refused it."""
    status = payload.get("status")
    code = number(payload, "status.code")
    if code:
        if not 0 < code < len(_CODES):
            drift.unknown_value("gcp.status.code", str(code))
            return Outcome.FAILURE, str(code)
        return Outcome.FAILURE, _CODES[code]
    refused = any(flag(one, "granted") is False for one in children(payload, "authorizationInfo"))
    if (refused and status is None) or log.endswith("policy"):
        return Outcome.FAILURE, "PERMISSION_DENIED"
    return Outcome.SUCCESS, None


def _detail(payload: dict[str, Any], service: str, operation: str, log: str) -> dict[str, Any]:
    request, response = child(payload, "request"), child(payload, "response")
    bindings = _bindings(payload)
    given = [one for one in bindings if one.get("action") != "REMOVE"]
    made = _KEY.search(text(response, "name") or "")
    chain = [
        found
        for step in children(payload, "authenticationInfo.serviceAccountDelegationInfo")
        if (found := text(step, "firstPartyPrincipal.principalEmail", "principalSubject"))
    ]
    told: dict[str, Any] = {
        "log": log or None,
        "bindings": given[:MAX_LIST],
        "bindings_removed": [one for one in bindings if one.get("action") == "REMOVE"][:MAX_LIST],
        "public": any(one.get("member") in _PUBLIC for one in given) or None,
        "member": text(request, "member"),
        "created_key": made[2] if made else None,
        "key_of": made[1] if made else None,
        "delegation": chain[:MAX_LIST] if len(chain) > 1 else None,
        "violation": text(payload, "metadata.violationReason"),
        "runs_as": [found for one in children(request, "serviceAccounts") if (found := text(one, "email"))][:5]
        or texts(request, "serviceAccount.email"),
        "sink_destination": text(request, "sink.destination"),
        "source_ranges": texts(request, "sourceRanges"),
        "flow_logs": flag(request, "enableFlowLogs"),
        "third_party": text(payload, "authenticationInfo.thirdPartyPrincipal.@type"),
        "error": sentence(payload, "status.message", 200),
    }
    if service == "k8s.io":
        parts = operation.split(".")
        told |= privileges(next((part for part in reversed(parts[:-1]) if part.islower()), ""), request)
        told["webhook_hosts"] = told.get("webhook_hosts") or host_of(text(request, "clientConfig.url"))
    return told


def _bindings(payload: dict[str, Any]) -> list[dict[str, str]]:
    """What changed in an IAM policy, {"action": "ADD", "role", "member"}; all of the new one where no delta is told."""
    found: list[dict[str, str]] = []
    for place in (
        "serviceData.policyDelta.bindingDeltas",
        "policyDelta.bindingDeltas",
        "metadata.policyDelta.bindingDeltas",
    ):
        for delta in children(payload, place):
            action, role, member = (text(delta, name) for name in ("action", "role", "member"))
            if role and member:
                found.append({"action": action or "ADD", "role": role[:200], "member": member[:320]})
    if found:
        return found
    for place in ("request.policy.bindings", "request.resource.policy.bindings"):
        for binding in children(payload, place):
            role = text(binding, "role")
            found += [
                {"role": role[:200], "member": member[:320]} for member in texts(binding, "members") if role and member
            ]
    return found
