"""Salesforce: sign-ins, API use, what administrators changed, and the threats that Event Monitoring raises.

Read are rows of event log files (EVENT_TYPE: Login, API, ApexCallout, ...), the objects LoginHistory and
SetupAuditTrail, and real-time events (LoginEvent, ApiEvent, ConnectedAppUsageEventStore, ...), stored or streamed.

People, integration users and connected apps are known by their ids in the long form of 18 characters, which Salesforce
makes of the short one; the authority is `salesforce:id`, for half of these logs do not name the organisation
(docs/adr/0030).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission, Setting
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, SourceManifest
from wardship.sources._log_analytics import columns_of, is_flattened, unflatten
from wardship.sources._record import browser, child, compact, flag, host_of, identifier, instant, number, sentence, text

AUTHORITY = "salesforce:id"

MANIFEST = SourceManifest(
    name="salesforce.events",
    title="Salesforce event logs",
    forms=(
        N_("event log files (Login, API, RestApi, ApexCallout and the others), CSV or JSON"),
        N_("LoginHistory and SetupAuditTrail by SOQL, as JSON"),
        N_("real-time events: stored objects by SOQL, or platform events as they were streamed"),
    ),
    records=("records",),
    settings=(
        Setting(name="url", help=N_("address of My Domain, such as https://acme.my.salesforce.com"), required=True),
        Setting(
            name="client_id", help=N_("consumer key of a connected app with the client credentials flow"), required=True
        ),
        Setting(name="client_secret", help=N_("its consumer secret"), required=True, secret=True),
        Setting(
            name="event_log_files",
            help=N_("yes: reads daily event log files too, for which Salesforce wants Event Monitoring"),
            default="no",
        ),
    ),
    permissions=(
        Permission(name="View Setup and Configuration", why=N_("reads the setup changes")),
        Permission(name="Manage Users", why=N_("reads everybody's sign-ins")),
        Permission(name="View Event Log Files", why=N_("reads event log files")),
    ),
    delay_hours=24.0,  # daily files come the next day; hourly ones and objects sooner
    retention_days=30,  # of event log files; LoginHistory and SetupAuditTrail 180
    logs_reads=None,
    blind_spots=(
        BlindSpot(
            id="salesforce.event_monitoring",
            text=N_("Without the Event Monitoring add-on only sign-ins and setup changes are told, no API call."),
        ),
        BlindSpot(
            id="salesforce.log_files",
            text=N_("Live, event log files are read only where event_log_files says so, those of whole days."),
        ),
        BlindSpot(
            id="salesforce.sandbox_ids",
            text=N_("A sandbox has the ids of the organisation that it was copied from: import its logs apart."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("salesforce",),
    links=(
        "https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_eventlogfile_supportedeventtypes.htm",
        "https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_loginhistory.htm",
        "https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_setupaudittrail.htm",
    ),
)

_ID = re.compile(r"[A-Za-z0-9]{15}|[A-Za-z0-9]{18}")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_LOGINS = (
    "Login",
    "LoginAs",
    "LoginEvent",
    "LoginAsEvent",
    "Logout",
    "LogoutEvent",
    "LoginHistory",
    "IdentityVerificationEvent",
)
_SIGN_INS = ("Login", "LoginAs", "LoginEvent", "LoginAsEvent", "LoginHistory")
_READS = (
    "Report",
    "ReportExport",
    "ReportEvent",
    "ListViewEvent",
    "URI",
    "UriEvent",
    "Search",
    "ApexCallout",
    "DocumentAttachmentDownloads",
)
_CLIENTS = ("Remote Access 2.0", "OAuth", "Other Apex API", "Partner Product", "API")
# Columns of event log files that detections ask for -> our name
_KEPT: Mapping[str, str] = {
    "API_TYPE": "api_type",
    "API_VERSION": "api_version",
    "LOGIN_TYPE": "login_type",
    "LOGIN_SUB_TYPE": "login_subtype",
    "AUTHENTICATION_METHOD_REFERENCE": "auth_method",
    "CONNECTED_APP_NAME": "app",
    "CONNECTED_APP_ID": "app_id",
    "CONNECTION_TYPE": "connection_type",
    "OAUTH_SCOPES": "scopes",
    "CLIENT_NAME": "client",
    "ENTITY_NAME": "entity",
    "ROWS_PROCESSED": "rows",
    "ROWS_RETURNED": "rows",
    "METHOD_NAME": "method",
    "METHOD": "method",
    "QUERIED_ENTITIES": "queried",
    "USER_TYPE": "user_type",
    "TLS_PROTOCOL": "tls",
    "SUMMARY": "summary",
    "POLICY_NAME": "policy",
    "COUNTRY": "country",
    "APPLICATION": "application",
    "BROWSER": "browser",
    "PLATFORM": "platform",
    "OPERATION": "operation",
    "AUTH_METHOD_REFERENCE": "auth_method",
}
_COLUMNS = columns_of(
    """event_type timestamp timestamp_derived user_id user_id_derived user_name client_ip source_ip organization_id
    request_id login_status request_status status_code success uri api_type api_version client_name method_name
    entity_name rows_processed session_key login_key user_agent browser_type user_type login_type connected_app_id
    connected_app_name delegated_user_id delegated_user_name url method""".split()
)


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import SalesforceLog

    return SalesforceLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """A record of one of the forms of `_row`."""
    return _row(record) is not None


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event or setup change; none of a heading that stands in the middle of a file.

    Raises DataError for one without a type, an action or a time.
    """
    row = _row(record)
    if row is None or row.get("EVENT_TYPE") == "EVENT_TYPE":  # the heading of a file that was appended to another
        return
    if "SECTION" in row and "ACTION" in row and "EVENT_TYPE" not in row:
        yield _setup(row)
        return
    yield _event(row, drift)


# ------------------------------------------------------------------ shapes


def _row(record: dict[str, Any]) -> dict[str, Any] | None:
    """A record of any of the forms, with the columns' names of event log files; None: it is none of Salesforce's."""
    kind = text(record, "attributes.type")
    payload = child(record, "payload") or child(record, "data.payload")
    if payload and ("EventIdentifier" in payload or "EventDate" in payload):
        return {**_shouted(payload), "EVENT_TYPE": _streamed(record, payload)}
    if kind:
        row = _shouted(record)
        return row if kind == "SetupAuditTrail" else {**row, "EVENT_TYPE": kind}
    if (
        isinstance(record.get("EVENT_TYPE"), str) and "EVENT_TIMESTAMP" not in record
    ):  # which is Snowflake's login history
        return record
    if is_flattened(record, "event_type"):
        return {name.upper(): value for name, value in unflatten(record, _COLUMNS).items()}
    if isinstance(record.get("event_type"), str) and ("timestamp_derived" in record or "organization_id" in record):
        return {name.upper().rstrip("_"): value for name, value in record.items() if isinstance(name, str)}
    if {"LoginTime", "UserId"} <= record.keys():
        return {**_shouted(record), "EVENT_TYPE": "LoginHistory"}
    if {"Action", "Section", "CreatedDate"} <= record.keys():
        return _shouted(record)
    if {"EventIdentifier", "EventDate"} <= record.keys():
        return {**_shouted(record), "EVENT_TYPE": "LoginEvent" if "LoginType" in record else "RealTimeEvent"}
    return None


def _shouted(record: dict[str, Any]) -> dict[str, Any]:
    """ "SourceIp" -> "SOURCE_IP": an object's fields, named as the columns of event log files."""
    return {
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper(): value
        for name, value in record.items()
        if isinstance(name, str)
    }


def _streamed(record: dict[str, Any], payload: dict[str, Any]) -> str:
    """The event's type: of its channel ("/event/LoginEventStream"), else by a field that only sign-ins have."""
    channel = (text(record, "channel") or "").rpartition("/")[2].removesuffix("Stream")
    return channel or ("LoginEvent" if "LoginType" in payload else "RealTimeEvent")


def long_id(text_: str | None) -> str | None:
    """An id of 15 characters with the three that make it independent of case; one of 18 as it is; None for another.

    https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/field_types.htm
    """
    if not text_ or not _ID.fullmatch(text_):
        return None
    if len(text_) == 18:
        return text_
    parts = (text_[start : start + 5] for start in (0, 5, 10))
    return text_ + "".join(
        _LETTERS[sum(1 << n for n, letter in enumerate(part) if letter.isupper() and letter.isascii())]
        for part in parts
    )


# ------------------------------------------------------------------ events


def _event(row: dict[str, Any], drift: Drift) -> Activity:
    kind = text(row, "EVENT_TYPE")
    if kind is None:
        raise DataError("salesforce: an event without a type")
    raw_user = text(row, "USER_ID")
    user = long_id(text(row, "USER_ID_DERIVED") or raw_user)
    name = text(row, "USER_NAME", "USERNAME", "USER_EMAIL") or raw_user
    admin = long_id(text(row, "DELEGATED_USER_ID_DERIVED", "DELEGATED_USER_ID"))
    if kind.startswith("LoginAs") and admin:  # somebody with the right to it signs in as another user
        target, user = user, admin
        name = text(row, "DELEGATED_USER_NAME", "DELEGATED_USERNAME") or admin
    else:
        target = None
    agent = text(row, "USER_AGENT", "BROWSER_TYPE")
    outcome, code = _outcome(row, kind, drift)
    app = text(row, "CONNECTED_APP_ID")
    resource = text(row, "ENTITY_NAME", "QUERIED_ENTITIES", "ENTITY", "URI")
    return Activity(
        time=instant(row, "TIMESTAMP_DERIVED", "TIMESTAMP", "LOGIN_TIME", "EVENT_DATE", "CREATED_DATE"),
        uid=_uid(row, kind),
        class_uid=ActivityClass.AUTHENTICATION if kind in _LOGINS else ActivityClass.API_ACTIVITY,
        actor_authority=AUTHORITY if user else None,
        actor_id=user,
        actor_name=name,
        actor_kind=_kind(row, user),
        session=text(row, "SESSION_KEY", "LOGIN_KEY"),
        on_behalf_of=None,
        credential_id=app,
        credential_type=_credential(row, kind, app),
        service="salesforce",
        operation=kind,
        mutating=_mutating(row, kind),
        interactive=browser(agent) if kind.startswith("Login") else None,
        resource_type="user" if target else "entity" if text(row, "ENTITY_NAME", "QUERIED_ENTITIES") else None,
        resource_id=target or (resource or "")[:500] or None,
        resource_name=text(row, "USER_NAME") if target else None,
        account=text(row, "ORGANIZATION_ID"),
        src_ip=text(row, "SOURCE_IP", "CLIENT_IP"),
        user_agent=agent,
        outcome=outcome,
        outcome_code=code,
        detail=compact(_detail(row, kind)),
    )


def _detail(row: dict[str, Any], kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for column, name in _KEPT.items():
        if found := sentence(row, column, 300):
            told.setdefault(name, found)
    url = (text(row, "URL") or "").strip('"')
    return (
        told
        | {
            "url_host": host_of(url),  # of a callout: the rest of the address may hold a token
            "uri": (text(row, "URI") or "").partition("?")[0][:200],
            "rows": number(row, "ROWS_PROCESSED") or number(row, "ROWS_RETURNED"),
            "score": row.get("SCORE") if isinstance(row.get("SCORE"), int | float | str) else None,
            "anomaly": True
            if kind.endswith(("AnomalyEvent", "AnomalyEventStore", "HijackingEvent", "StuffingEvent"))
            else None,
        }
    )


def _uid(row: dict[str, Any], kind: str) -> str | None:
    """An object's id; a request may have several rows, so it is no id of an event."""
    found = identifier(row, "ID", "EVENT_IDENTIFIER", "EVENT_UUID")
    return f"{kind}/{found}" if found else None


def _kind(row: dict[str, Any], user: str | None) -> ActorKind:
    said = (text(row, "USER_TYPE") or "").lower()
    if said in ("a", "automatedprocess", "automated process"):
        return ActorKind.PROVIDER_SERVICE
    if said in ("guest", "g"):
        return ActorKind.ANONYMOUS
    return ActorKind.USER if user else ActorKind.UNKNOWN


def _credential(row: dict[str, Any], kind: str, app: str | None) -> str | None:
    said = text(row, "LOGIN_TYPE", "CONNECTION_TYPE") or ""
    if app or "oauth" in said.lower() or said.startswith(_CLIENTS):
        return CredentialType.TOKEN.value
    if "saml" in said.lower() or "SSO" in said:
        return CredentialType.FEDERATION.value
    return CredentialType.PASSWORD.value if kind in _SIGN_INS and said == "Application" else None


def _outcome(row: dict[str, Any], kind: str, drift: Drift) -> tuple[Outcome, str | None]:
    if kind in _SIGN_INS:
        said = text(row, "LOGIN_STATUS", "STATUS", "REQUEST_STATUS")
        if said is None:
            return (Outcome.SUCCESS if kind.startswith("LoginAs") else Outcome.UNKNOWN), None
        return (Outcome.SUCCESS if said in ("LOGIN_NO_ERROR", "Success") else Outcome.FAILURE), said
    done = flag(row, "SUCCESS")
    if done is None and (said := text(row, "SUCCESS", "STATUS")) in ("1", "0"):
        done = said == "1"
    if done is not None:
        return (Outcome.SUCCESS if done else Outcome.FAILURE), None
    code = number(row, "STATUS_CODE")
    if code:
        return (Outcome.FAILURE if code >= 400 else Outcome.SUCCESS), str(code)
    said = text(row, "REQUEST_STATUS")
    if said is None:
        return Outcome.UNKNOWN, None
    first = said[:1].upper()  # S success, R redirect; F failure, A authorisation error, U undefined, N not found
    if first not in "SRFAUN":
        drift.unknown_value("salesforce.REQUEST_STATUS", said)
    found = {
        "S": Outcome.SUCCESS,
        "R": Outcome.SUCCESS,
        "F": Outcome.FAILURE,
        "A": Outcome.FAILURE,
        "N": Outcome.FAILURE,
    }
    return found.get(first, Outcome.UNKNOWN), said


def _mutating(row: dict[str, Any], kind: str) -> bool | None:
    if kind in _LOGINS or kind in _READS:
        return False
    method = (text(row, "METHOD_NAME", "METHOD", "OPERATION") or "").lower()
    if method.startswith(("query", "get", "describe", "retrieve", "search")):
        return False
    return (
        True
        if method.startswith(
            ("create", "update", "upsert", "delete", "insert", "undelete", "merge", "post", "put", "patch")
        )
        else None
    )


# ------------------------------------------------------------------ setup


def _setup(row: dict[str, Any]) -> Activity:
    """A change in Setup. Salesforce logs those that were made; the text says of what."""
    action = text(row, "ACTION")
    if action is None:
        raise DataError("salesforce: a setup change without an action")
    user = long_id(text(row, "CREATED_BY_ID"))
    section = text(row, "SECTION")
    ident = identifier(row, "ID")
    return Activity(
        time=instant(row, "CREATED_DATE"),
        uid=f"SetupAuditTrail/{ident}" if ident else None,
        class_uid=_setup_class(action.lower(), (section or "").lower()),
        actor_authority=AUTHORITY if user else None,
        actor_id=user,
        actor_name=text(child(row, "CREATED_BY"), "Username", "Name") or user,
        actor_kind=ActorKind.USER if user else ActorKind.UNKNOWN,
        on_behalf_of=text(row, "DELEGATE_USER"),
        service="salesforce",
        operation=action,
        mutating=True,
        interactive=None,
        resource_type=section,
        outcome=Outcome.SUCCESS,
        detail=compact(
            {
                "section": section,
                "display": sentence(row, "DISPLAY", 300),
                "context": text(row, "CREATED_BY_CONTEXT"),
                "issuer": text(row, "CREATED_BY_ISSUER"),
            }
        ),
    )


def _setup_class(action: str, section: str) -> ActivityClass:
    if "connectedapp" in action or "connected app" in section or "oauth" in action:
        return ActivityClass.APPLICATION_LIFECYCLE
    if any(word in action for word in ("permset", "profile", "role", "permission")):
        return ActivityClass.USER_ACCESS_MANAGEMENT
    if "user" in action or section == "manage users":
        return ActivityClass.ACCOUNT_CHANGE
    return ActivityClass.ENTITY_MANAGEMENT
