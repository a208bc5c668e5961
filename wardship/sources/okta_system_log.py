"""Okta's System Log: who signed in, what administrators changed, which API tokens and service apps called.

One raw record is a LogEvent of `GET /api/v1/logs`, the same object in an event hook or a log stream (there under
"detail"), or a copy of it in Log Analytics. The organisation is not in an event; Okta's ids are unique across
organisations, so the actor's authority is `okta:id` (docs/adr/0030).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission, Setting
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, SourceManifest
from wardship.sources._log_analytics import columns_of, is_flattened, unflatten
from wardship.sources._record import (
    browser,
    child,
    children,
    compact,
    flag,
    identifier,
    instant,
    respelled,
    text,
    texts,
)

AUTHORITY = "okta:id"

MANIFEST = SourceManifest(
    name="okta.system_log",
    title="Okta System Log",
    forms=(
        N_("the answer of GET /api/v1/logs as JSON or JSON lines"),
        N_("events of a log stream (Amazon EventBridge, Splunk) or an event hook"),
        N_("rows of the table Okta_CL of Log Analytics, as JSON or CSV"),
    ),
    records=("events", "data"),
    settings=(
        Setting(name="url", help=N_("address of the organisation, such as https://acme.okta.com"), required=True),
        Setting(name="token", help=N_("an API token of a read-only administrator"), required=True, secret=True),
    ),
    permissions=(Permission(name="okta.logs.read", why=N_("lists the events of the system log")),),
    retention_days=90,
    logs_reads=False,
    blind_spots=(
        BlindSpot(
            id="okta.reads_not_logged",
            text=N_(
                "Okta does not log what an API token or a service app reads, only what it changes and its sign-ins."
            ),
        ),
        BlindSpot(
            id="okta.organisation_not_in_event",
            text=N_("An event does not name its organisation; actors are told apart by Okta's own ids."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("okta",),
    links=(
        "https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/",
        "https://developer.okta.com/docs/reference/api/event-types/",
        "https://support.okta.com/help/s/article/Exporting-Okta-Log-Data",
    ),
)

_PATHS = """
actor.id actor.type actor.alternateId actor.displayName actor.detailEntry
authenticationContext.externalSessionId authenticationContext.rootSessionId authenticationContext.credentialType
authenticationContext.credentialProvider authenticationContext.authenticationProvider
client.id client.ipAddress client.userAgent.rawUserAgent client.device client.zone client.geographicalContext.country
debugContext.debugData debugContext.debugData.requestUri debugContext.debugData.url
debugContext.debugData.threatSuspected debugContext.debugData.factor debugContext.debugData.behaviors
debugContext.debugData.grantedScopes debugContext.debugData.requestedScopes debugContext.debugData.privilegeGranted
debugContext.debugData.privilegeRevoked debugContext.debugData.clientId debugContext.debugData.grantType
debugContext.debugData.authMethod
displayMessage eventType legacyEventType outcome.result outcome.reason published request.ipChain
securityContext.asNumber securityContext.isProxy severity target transaction.id transaction.type transaction.detail
transaction.detail.requestApiTokenId uuid version
""".split()  # what is put back of a flattened row
_COLUMNS = columns_of(_PATHS)
_NAMES: Mapping[str, str] = {name.lower(): name for path in _PATHS for name in path.split(".")}

_KINDS = {
    "User": ActorKind.USER,
    "PublicClientApp": ActorKind.APPLICATION,  # an OAuth client that acts for itself
    "AppInstance": ActorKind.APPLICATION,
    "ClientApp": ActorKind.APPLICATION,
    "SystemPrincipal": ActorKind.PROVIDER_SERVICE,
    "AgentInstance": ActorKind.WORKLOAD,
    "AppUser": ActorKind.USER,
}
_OUTCOMES = {
    "SUCCESS": Outcome.SUCCESS,
    "ALLOW": Outcome.SUCCESS,
    "FAILURE": Outcome.FAILURE,
    "DENY": Outcome.FAILURE,
    "ABANDONED": Outcome.FAILURE,
    "RATE_LIMIT": Outcome.FAILURE,
    "CHALLENGE": Outcome.UNKNOWN,
    "SKIPPED": Outcome.UNKNOWN,
    "UNANSWERED": Outcome.UNKNOWN,
    "DEFERRED": Outcome.UNKNOWN,
    "SCHEDULED": Outcome.UNKNOWN,
    "UNKNOWN": Outcome.UNKNOWN,
}
_CLASSES = (  # the first prefix that the event type has
    ("user.session.", ActivityClass.AUTHENTICATION),
    ("user.authentication.", ActivityClass.AUTHENTICATION),
    ("policy.evaluate", ActivityClass.AUTHENTICATION),
    ("app.oauth2.", ActivityClass.AUTHORIZE_SESSION),
    ("user.account.privilege", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("group.privilege", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("iam.", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("group.", ActivityClass.GROUP_MANAGEMENT),
    ("user.", ActivityClass.ACCOUNT_CHANGE),
    ("system.api_token.", ActivityClass.ACCOUNT_CHANGE),
    ("application.user_membership", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("application.lifecycle", ActivityClass.APPLICATION_LIFECYCLE),
    ("policy.", ActivityClass.ENTITY_MANAGEMENT),
    ("zone.", ActivityClass.ENTITY_MANAGEMENT),
)
_CHANGES = frozenset(
    """create update delete add remove activate deactivate grant revoke reset change set disable enable approve
    suspend unsuspend unlock lock rotate import assign unassign register unregister invalidate convert provision
    update_password initiate generate clear upload override""".split()
)
_NO_CHANGES = ("user.session.", "user.authentication.", "policy.evaluate", "app.oauth2.", "app.generic.unauth")


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import OktaLog

    return OktaLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An event has a type and an actor; a row of Log Analytics columns of both."""
    if is_flattened(record, "eventType", "legacyEventType"):
        return "actor_id_s" in record or "outcome_result_s" in record
    event = _event(record)
    return "eventType" in event and isinstance(event.get("actor"), dict)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event. Raises DataError for one without a type or a time."""
    event = _event(record)
    kind = text(event, "eventType")
    if kind is None:
        raise DataError("okta: an event without a type")
    actor, debug = child(event, "actor"), child(event, "debugContext.debugData")
    actor_id = identifier(actor, "id")
    said = text(actor, "type")
    if said is not None and said not in _KINDS:
        drift.unknown_value("okta.actor.type", said)
    targets = children(event, "target")
    first: dict[str, Any] = targets[0] if targets else {}
    token = identifier(event, "transaction.detail.requestApiTokenId")
    agent = text(event, "client.userAgent.rawUserAgent")
    yield Activity(
        time=instant(event, "published"),
        uid=identifier(event, "uuid"),
        class_uid=next((found for start, found in _CLASSES if kind.startswith(start)), ActivityClass.API_ACTIVITY),
        actor_authority=AUTHORITY if actor_id else None,
        actor_id=actor_id,
        actor_name=text(actor, "alternateId", "displayName"),
        actor_kind=_KINDS.get(said or "", ActorKind.UNKNOWN),
        session=_session(event),
        credential_id=token,
        credential_type=CredentialType.TOKEN.value if token else None,
        service="okta",
        operation=kind,
        mutating=_mutating(kind),
        interactive=None if token else browser(agent),
        resource_type=text(first, "type"),
        resource_id=text(first, "id"),
        resource_name=text(first, "displayName", "alternateId"),
        src_ip=text(event, "client.ipAddress") or next((text(hop, "ip") for hop in _hops(event)), None),
        user_agent=agent,
        outcome=_outcome(event, drift),
        outcome_code=text(event, "outcome.reason", "outcome.result"),
        detail=compact(
            {
                "result": text(event, "outcome.result"),
                "targets": [_target(one) for one in targets[:5]],
                "privilege": text(debug, "privilegeGranted", "privilegeRevoked"),
                "scopes": texts(debug, "grantedScopes") or texts(debug, "requestedScopes"),
                "client_id": text(debug, "clientId"),
                "grant_type": text(debug, "grantType"),
                "factor": text(debug, "factor"),
                "behaviors": _behaviours(debug.get("behaviors")),
                "threat": _threat(debug),
                "proxy": flag(event, "securityContext.isProxy"),
                "severity": text(event, "severity"),
            }
        ),
    )


def _event(record: dict[str, Any]) -> dict[str, Any]:
    """The LogEvent in a record, whoever passed it on."""
    inner = record.get("detail")
    if isinstance(inner, dict) and "eventType" in inner:  # EventBridge
        return inner
    if "eventType" in record:
        return record
    if is_flattened(record, "eventType"):
        return unflatten(record, _COLUMNS)
    if "eventtype" in record:
        found = respelled(record, _NAMES)
        return found if isinstance(found, dict) else record
    return record


def _session(event: dict[str, Any]) -> str | None:
    found = text(event, "authenticationContext.rootSessionId", "authenticationContext.externalSessionId")
    return None if found == "unknown" else found


def _hops(event: dict[str, Any]) -> list[dict[str, Any]]:
    return children(event, "request.ipChain")


def _outcome(event: dict[str, Any], drift: Drift) -> Outcome:
    said = text(event, "outcome.result")
    if said is not None and said not in _OUTCOMES:
        drift.unknown_value("okta.outcome.result", said)
    return _OUTCOMES.get(said or "", Outcome.UNKNOWN)


def _mutating(kind: str) -> bool | None:
    if kind.startswith(_NO_CHANGES):
        return False
    return True if kind.rpartition(".")[2] in _CHANGES else None


def _target(one: dict[str, Any]) -> dict[str, Any]:
    told = {"type": text(one, "type"), "id": text(one, "id"), "name": text(one, "displayName", "alternateId")}
    return {name: value[:200] for name, value in told.items() if value}


def _behaviours(value: Any) -> list[str]:
    """Those that were seen to be new: "New Country", "Velocity". Okta writes "{New IP=POSITIVE, ...}", or a list."""
    if isinstance(value, dict):
        said = [f"{name}={entry}" if isinstance(entry, str) else str(name) for name, entry in value.items()]
    elif isinstance(value, list):
        said = [entry for entry in value if isinstance(entry, str)]
    else:
        said = value.strip("{}").split(",") if isinstance(value, str) else []
    pairs = [one.strip().partition("=") for one in said[:20]]
    return [name[:80] for name, _, state in pairs if state == "POSITIVE"]


def _threat(debug: dict[str, Any]) -> bool | None:
    said = text(debug, "threatSuspected")
    return True if said and said.lower() == "true" else None
