"""Google Workspace's reports: what administrators, users and applications did, in every application of the Reports API.

One raw record is an activity (`kind: admin#reports#activity`); each of its events becomes one. Alerts of the Alert
Center are read too, as events of their type.

Accounts are known by e-mail, under the same authority as in Google Cloud's log (docs/adr/0030). What an OAuth
application did with a person's consent (application "token", event "activity") is the application's doing, on behalf of
the person.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission, Setting
from wardship.sdk.i18n import N_
from wardship.sdk.source import UNNAMED, LiveLog, SourceManifest
from wardship.sources._record import (
    MAX_LIST,
    browser,
    child,
    children,
    compact,
    identifier,
    instant,
    sentence,
    text,
    texts,
    words_of,
)

AUTHORITY = "gcp:email"

MANIFEST = SourceManifest(
    name="google.workspace",
    title="Google Workspace reports",
    forms=(
        N_("activities of the Reports API (admin, login, token, drive, groups, saml and the others), as JSON"),
        N_("alerts of the Alert Center, as JSON"),
    ),
    records=("items", "alerts"),
    settings=(
        Setting(
            name="key", help=N_("key file of a service account with domain-wide delegation"), required=True, secret=True
        ),
        Setting(name="administrator", help=N_("e-mail of an administrator who may see the reports"), required=True),
        Setting(name="applications", help=N_("applications to read, with commas; without it the usual ones")),
    ),
    permissions=(
        Permission(
            name="https://www.googleapis.com/auth/admin.reports.audit.readonly",
            why=N_("lists the activities of every application"),
        ),
    ),
    delay_hours=72.0,  # token and others up to some days; login and admin within minutes
    retention_days=180,
    logs_reads=False,  # it has reads, but of Workspace alone: an account without any may be busy in Google Cloud
    blind_spots=(
        BlindSpot(
            id="workspace.edition",
            text=N_("Which applications are reported, and how long, depends on the Workspace edition."),
        ),
        BlindSpot(
            id="workspace.alerts_not_live",
            text=N_("Alerts of the Alert Center are read as files only."),
        ),
        BlindSpot(
            id="workspace.delegation_looks_like_user",
            text=N_("A service account with domain-wide delegation appears as the user it acts for."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("google-workspace-reports",),
    links=(
        "https://support.google.com/a/answer/7061566",
        "https://developers.google.com/workspace/admin/reports/reference/rest/v1/activities",
        "https://developers.google.com/workspace/admin/alertcenter/reference/rest/v1beta1/alerts",
    ),
)

_CLASSES = {
    "login": ActivityClass.AUTHENTICATION,
    "saml": ActivityClass.AUTHENTICATION,
    "token": ActivityClass.AUTHORIZE_SESSION,
    "groups": ActivityClass.GROUP_MANAGEMENT,
    "groups_enterprise": ActivityClass.GROUP_MANAGEMENT,
    "user_accounts": ActivityClass.ACCOUNT_CHANGE,
    "drive": ActivityClass.FILE_HOSTING_ACTIVITY,
    "context_aware_access": ActivityClass.AUTHORIZE_SESSION,
}
_ADMIN_CLASSES = {
    "DELEGATED_ADMIN_SETTINGS": ActivityClass.USER_ACCESS_MANAGEMENT,
    "USER_SETTINGS": ActivityClass.ACCOUNT_CHANGE,
    "GROUP_SETTINGS": ActivityClass.GROUP_MANAGEMENT,
}
_CHANGING = frozenset({"admin", "groups", "groups_enterprise", "user_accounts", "gcp", "mobile", "rules"})
_READS = frozenset("view download preview print sync_item_content access_item_content source_copy".split())
_FAILURES = frozenset(
    {"login_failure", "access_deny_event", "login_verification_failure", "access_denied", "request_denied"}
)
_TARGETS = (  # parameters that name what was acted upon, most exact first, and its kind
    ("doc_id", "document"),
    ("client_id", "oauth_client"),
    ("OAUTH2_APP_ID", "oauth_client"),
    ("API_CLIENT_NAME", "oauth_client"),
    ("ROLE_NAME", "role"),
    ("group_email", "group"),
    ("GROUP_EMAIL", "group"),
    ("USER_EMAIL", "user"),
    ("affected_email_address", "user"),
    ("application_name", "application"),
    ("APPLICATION_NAME", "application"),
    ("SETTING_NAME", "setting"),
    ("DOMAIN_NAME", "domain"),
)
_KEPT = (  # parameters that detections ask for, as Google names them
    "SETTING_NAME NEW_VALUE OLD_VALUE ORG_UNIT_NAME ROLE_NAME ROLE_ID PRIVILEGE_NAME API_CLIENT_NAME API_SCOPES "
    "OAUTH2_APP_ID OAUTH2_APP_NAME OAUTH2_APP_TYPE OAUTH2_SERVICE_NAME APPLICATION_NAME GROUP_EMAIL USER_EMAIL "
    "DOMAIN_NAME app_name client_id client_type method_name api_name scope visibility old_visibility "
    "visibility_change target_user new_owner doc_type owner_is_shared_drive login_type login_challenge_method "
    "login_challenge_status login_failure_type is_suspicious is_second_factor affected_email_address "
    "email_forwarding_destination_address failure_type initiated_by orgunit_path member_role "
    "new_value old_value setting access_level grantee_email CAA_APPLICATION num_response_bytes originating_app_id "
    "ACTION_REQUESTED END_POINT_NAME"
).split()
_FREE = frozenset({"new_value", "old_value"})
_ALERT_ACTORS = ("maliciousEntity.entity.emailAddress", "actorEmail", "ruleViolationInfo.triggeringUserEmail", "email")


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import WorkspaceLog

    return WorkspaceLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An activity of the Reports API, or an alert of the Alert Center."""
    if record.get("kind") == "admin#reports#activity" or _is_alert(record):
        return True
    return "applicationName" in child(record, "id") and ("events" in record or "name" in record)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """Each event of the activity, or the alert. Raises DataError for one without events, a name or a time."""
    if _is_alert(record):
        yield _alert(record)
        return
    events = children(record, "events")
    if not events and isinstance(record.get("name"), str):
        events = [record]  # a copy with one event a row
    if not events:
        raise DataError("workspace: an activity without events")
    for position, event in enumerate(events):
        yield _activity(record, event, position, drift)


def _activity(record: dict[str, Any], event: dict[str, Any], position: int, drift: Drift) -> Activity:
    operation = text(event, "name")
    if operation is None:
        raise DataError("workspace: an event without a name")
    application = text(record, "id.applicationName") or "workspace"
    time = instant(record, "id.time")
    told = _parameters(event, drift)
    category = text(event, "type")
    ident = identifier(record, "id.uniqueQualifier")
    actor = _actor(record, application, operation, told)
    target, kind = next(((found, kind) for name, kind in _TARGETS if (found := _one(told, name))), (None, None))
    agent = _one(told, "user_agent")
    return Activity(
        time=time,
        # Google: the qualifier is unique among the events of the same time and application.
        uid=f"{application}/{time.timestamp():.6f}/{ident}/{position}" if ident else None,
        class_uid=_ADMIN_CLASSES.get(category or "") or _CLASSES.get(application, ActivityClass.API_ACTIVITY),
        **actor,
        credential_type=_credential(application, told),
        service=application,
        operation=operation,
        mutating=_mutating(application, operation),
        interactive=True
        if application == "login" and _one(told, "login_type") == "google_password"
        else browser(agent),
        resource_type=kind or category,
        resource_id=target,
        resource_name=_one(told, "doc_title") or _one(told, "app_name") or target,
        account=text(record, "id.customerId"),
        src_ip=text(record, "ipAddress"),
        user_agent=agent,
        outcome=_outcome(operation, told),
        outcome_code=_one(told, "login_failure_type") or _one(told, "failure_type"),
        detail=compact(
            {
                **{name: _cut(name, told[name]) for name in _KEPT if name in told},
                "type": category,
                "scopes": _scopes(told),
                "public": True if _one(told, "visibility") in ("public_on_the_web", "people_with_link") else None,
                "owner_domain": text(record, "ownerDomain"),
            }
        ),
    )


# ------------------------------------------------------------------ parameters


def _parameters(event: dict[str, Any], drift: Drift) -> dict[str, Any]:
    """name -> text, flag, number or list of texts. Google has a list of typed entries, SIEM copies an object."""
    given = event.get("parameters")
    if isinstance(given, dict):
        return {name: value for name, value in given.items() if not isinstance(value, dict)}
    found: dict[str, Any] = {}
    for entry in children(event, "parameters"):
        name = text(entry, "name")
        if name is None:
            continue
        value = next(
            (entry[key] for key in ("value", "intValue", "boolValue", "multiValue", "multiIntValue") if key in entry),
            None,
        )
        if value is not None:
            found[name] = value
        elif not {"messageValue", "multiMessageValue", "multiBoolValue"} & entry.keys() and len(entry) > 1:
            drift.unexpected_shape("workspace.parameters", ",".join(sorted(map(str, entry))))
    return found


def _one(told: dict[str, Any], name: str) -> str | None:
    value = told.get(name)
    return words_of(value[0] if isinstance(value, list) and value else value)


def _cut(name: str, value: Any) -> Any:
    """A parameter as `detail` may hold it; the value of a setting may be anything, so its secrets are masked."""
    if isinstance(value, list):
        return texts({"value": value}, "value")
    if isinstance(value, str):
        return sentence({"value": value}, "value", 500) if name.lower() in _FREE else words_of(value[:500])
    return value if isinstance(value, bool | int) else None


def _scopes(told: dict[str, Any]) -> list[str]:
    """OAuth scopes that were granted: of a token, or of a client with domain-wide delegation (a text with commas)."""
    found = texts(told, "scope", limit=100) or [
        scope for said in texts(told, "API_SCOPES") for scope in said.replace(",", " ").split()
    ]
    return list(dict.fromkeys(found))[:MAX_LIST]


# ------------------------------------------------------------------ who and what


def _actor(record: dict[str, Any], application: str, operation: str, told: dict[str, Any]) -> dict[str, Any]:
    actor = child(record, "actor")
    email, key = identifier(actor, "email"), text(actor, "key")
    client = _one(told, "client_id")
    if application == "token" and operation == "activity" and client:
        domain = (email or "").rpartition("@")[2].lower() or (text(record, "ownerDomain") or "").lower()
        return {
            "actor_authority": f"google:{domain}" if domain else f"google{UNNAMED}",
            "actor_id": client,
            "actor_name": _one(told, "app_name") or client,
            "actor_kind": ActorKind.APPLICATION,
            "on_behalf_of": email.lower() if email else None,
        }
    if email and "@" in email:
        robot = email.lower().endswith("gserviceaccount.com")
        return {
            "actor_authority": AUTHORITY,
            "actor_id": email.lower(),
            "actor_name": email,
            "actor_kind": ActorKind.SERVICE_ACCOUNT if robot else ActorKind.USER,
            "on_behalf_of": _one(told, "ON_BEHALF_OF"),
        }
    if text(actor, "callerType") == "KEY" or key:
        system = (key or "").upper() == "SYSTEM"
        return {"actor_name": key, "actor_kind": ActorKind.PROVIDER_SERVICE if system else ActorKind.APPLICATION}
    about = _one(told, "affected_email_address")  # Google acted, upon an account that it holds to be taken over
    return {"actor_name": email or about}


def _credential(application: str, told: dict[str, Any]) -> str | None:
    if application == "token":
        return CredentialType.TOKEN.value
    if application == "login" and _one(told, "login_type") in ("google_password", "reauth"):
        return CredentialType.PASSWORD.value
    return None


def _mutating(application: str, operation: str) -> bool | None:
    if application == "token":
        return operation in ("authorize", "revoke")
    if application in ("login", "saml", "context_aware_access"):
        return False
    if application == "drive":
        return operation.lower() not in _READS
    if operation.startswith(("VIEW_", "DOWNLOAD_", "LIST_")):
        return False
    return True if application in _CHANGING else None


def _outcome(operation: str, told: dict[str, Any]) -> Outcome:
    """Reports hold what happened; a failure says so in its name or in a parameter."""
    said = operation.lower()
    if said in _FAILURES or said.endswith(("_denied", "_failure", "_blocked")):
        return Outcome.FAILURE
    if said in ("login_challenge", "login_verification"):
        status = (_one(told, "login_challenge_status") or "").lower()
        return Outcome.SUCCESS if "passed" in status else Outcome.FAILURE if status else Outcome.UNKNOWN
    return Outcome.SUCCESS


# ------------------------------------------------------------------ alerts


def _is_alert(record: dict[str, Any]) -> bool:
    return "alertId" in record and "type.googleapis.com/google.apps.alertcenter" in (text(record, "data.@type") or "")


def _alert(record: dict[str, Any]) -> Activity:
    """`action` in detail is what raised it: "Gmail phishing", "Security Center rules"."""
    kind, source = text(record, "type"), text(record, "source")
    if kind is None and source is None:
        raise DataError("workspace: an alert without a type")
    data = child(record, "data")
    email = next((found for name in _ALERT_ACTORS if (found := identifier(data, name)) and "@" in found), None)
    return Activity(
        time=instant(record, "createTime", "startTime"),
        uid=f"alert/{found}" if (found := identifier(record, "alertId")) else None,
        class_uid=ActivityClass.ENTITY_MANAGEMENT,
        actor_authority=AUTHORITY if email else None,
        actor_id=email.lower() if email else None,
        actor_name=email,
        actor_kind=ActorKind.USER if email else ActorKind.UNKNOWN,
        service="alertcenter",
        operation=kind or source or "",
        resource_type="alert",
        resource_id=text(record, "alertId"),
        account=text(record, "customerId"),
        src_ip=text(data, "loginDetails.ipAddress", "sourceIp"),
        outcome=Outcome.UNKNOWN,
        detail=compact(
            {
                "action": source,
                "severity": text(record, "metadata.severity"),
                "status": text(record, "metadata.status"),
                "rule": text(data, "displayName", "ruleViolationInfo.ruleInfo.displayName", "name"),
            }
        ),
    )
