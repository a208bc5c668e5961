"""Slack's audit logs of an Enterprise organisation: who signed in, which apps were installed, approved and widened.

One raw record is an entry of `GET /audit/v1/logs`, or a copy of it in Log Analytics. A person is known by id under
`slack:<team>` (the team of the account, which in an Enterprise organisation may be the organisation itself), an app by
its id under `slack:app`: those are unique everywhere (docs/adr/0030).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission, Setting
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, SourceManifest
from wardship.sources._log_analytics import columns_of, is_flattened, unflatten
from wardship.sources._record import (
    at,
    browser,
    child,
    children,
    compact,
    flag,
    identifier,
    instant,
    sentence,
    text,
    texts,
)

APP = "slack:app"

MANIFEST = SourceManifest(
    name="slack.audit",
    title="Slack audit logs",
    forms=(
        N_("entries of the Audit Logs API, as JSON or JSON lines"),
        N_("rows of the tables SlackAudit_CL and SlackAuditNativePoller_CL of Log Analytics"),
    ),
    records=("entries",),
    settings=(
        Setting(
            name="token",
            help=N_("a user token of the organisation's owner with auditlogs:read"),
            required=True,
            secret=True,
        ),
    ),
    permissions=(Permission(name="auditlogs:read", why=N_("lists the entries of the audit logs")),),
    logs_reads=False,
    blind_spots=(
        BlindSpot(id="slack.enterprise_only", text=N_("Slack has audit logs only for Enterprise organisations.")),
        BlindSpot(
            id="slack.calls_not_logged",
            text=N_(
                "What an app reads or posts with its token is not in the audit logs, only its installation and scopes."
            ),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("slack-extra",),
    links=(
        "https://docs.slack.dev/admins/audit-logs-api/",
        "https://docs.slack.dev/reference/audit-logs-api/methods-actions-reference",
    ),
)

_ENTITIES = ("user", "app", "workspace", "enterprise", "channel", "file", "usergroup", "workflow", "role", "barrier")
_COLUMNS = columns_of(
    """
    id date_create action actor.type actor.user.id actor.user.name actor.user.email actor.user.team actor.app.id
    actor.app.name entity.type context.location.type context.location.id context.location.name context.location.domain
    context.ua context.ip_address context.session_id context.app.id context.app.name details details.new_scopes
    details.previous_scopes details.is_internal_integration details.app_owner_id details.reason
    """.split()
    + [
        f"entity.{kind}.{name}"
        for kind in _ENTITIES
        for name in ("id", "name", "email", "scopes", "domain", "team", "title")
    ]
)
_CLASSES = (
    (("user_login", "user_logout", "user_session"), ActivityClass.AUTHENTICATION),
    (("app_", "bot_token", "org_app"), ActivityClass.APPLICATION_LIFECYCLE),
    (("role_", "permission", "owner_transferred", "user_promoted"), ActivityClass.USER_ACCESS_MANAGEMENT),
    (("user_", "mfa", "two_factor"), ActivityClass.ACCOUNT_CHANGE),
    (("usergroup_", "channel_"), ActivityClass.GROUP_MANAGEMENT),
    (("file_",), ActivityClass.FILE_HOSTING_ACTIVITY),
)
_READS = ("user_login", "user_logout", "user_login_failed", "file_downloaded", "anomaly", "user_session_invalidated")
_FAILED = ("_failed", "_blocked", "_denied", "_declined")


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import SlackLog

    return SlackLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An entry has an action, an actor with a type, and what it was done to or where."""
    if is_flattened(record, "actor_user_id", "actor_type") and is_flattened(record, "date_create", "entity_type"):
        return "action_s" in record
    return (
        isinstance(record.get("action"), str)
        and isinstance(record.get("actor"), dict)
        and "type" in record["actor"]
        and ("entity" in record or "context" in record or "date_create" in record)
    )


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One entry. Raises DataError for one without an action or a time."""
    event = unflatten(record, _COLUMNS) if is_flattened(record, "action") and "action" not in record else record
    action = text(event, "action")
    if action is None:
        raise DataError("slack: an entry without an action")
    kind = text(event, "entity.type")
    entity = child(event, f"entity.{kind}") if kind else {}
    place = text(event, "context.location.id")
    agent = text(event, "context.ua")
    rotated = action.startswith("bot_token") or "token" in action
    yield Activity(
        # An anomaly is written later than what was odd; Slack tells when that was.
        time=instant(event, "details.action_timestamp", "date_create")
        if action == "anomaly"
        else instant(event, "date_create"),
        uid=identifier(event, "id"),
        class_uid=next((found for starts, found in _CLASSES if action.startswith(starts)), ActivityClass.API_ACTIVITY),
        **_actor(event, place, drift),
        session=text(event, "context.session_id"),
        credential_type=CredentialType.TOKEN.value if rotated else None,
        service="slack",
        operation=action,
        mutating=action not in _READS,
        interactive=browser(agent),
        resource_type=kind,
        resource_id=text(entity, "id"),
        resource_name=text(entity, "name", "title", "email"),
        account=place,
        src_ip=text(event, "context.ip_address"),
        user_agent=agent,
        outcome=Outcome.FAILURE if action.endswith(_FAILED) else Outcome.SUCCESS,
        detail=compact(_detail(event, entity)),
    )


def _actor(event: dict[str, Any], place: str | None, drift: Drift) -> dict[str, Any]:
    said = text(event, "actor.type") or ""
    app = child(event, "actor.app") or (child(event, "context.app") if said in ("app", "bot", "workflow") else {})
    if app:
        ident = identifier(app, "id")
        return {
            "actor_authority": APP if ident else None,
            "actor_id": ident,
            "actor_name": text(app, "name") or ident,
            "actor_kind": ActorKind.APPLICATION,
            "on_behalf_of": text(event, "actor.user.email", "actor.user.id"),
        }
    if said not in ("user", ""):
        drift.unknown_value("slack.actor.type", said)
    user = child(event, "actor.user")
    ident, team = identifier(user, "id"), text(user, "team") or place
    known = ident is not None and team is not None
    return {
        "actor_authority": f"slack:{team}" if known else None,
        "actor_id": ident if known else None,
        "actor_name": text(user, "email", "name") or ident,
        "actor_kind": ActorKind.USER if user else ActorKind.UNKNOWN,
    }


def _detail(event: dict[str, Any], entity: dict[str, Any]) -> dict[str, Any]:
    details = child(event, "details")
    new, before = texts(details, "new_scopes"), texts(details, "previous_scopes")
    return {
        "app_id": text(event, "entity.app.id", "context.app.id", "details.app_id"),
        "app": text(event, "entity.app.name", "context.app.name"),
        "scopes": texts(entity, "scopes") or new,
        "scopes_added": [scope for scope in new if scope not in before] if before else None,
        "bot_scopes": texts(details, "bot_scopes"),
        "approved": flag(event, "entity.app.is_directory_approved"),
        "distributed": flag(event, "entity.app.is_distributed"),
        "internal": flag(details, "is_internal_integration"),
        "owner": text(details, "app_owner_id"),
        "reason": texts(details, "reason"),
        "previous_ip": text(details, "previous_ip_address"),
        "new_value": _value(at(details, "new_value")),
        "previous_value": _value(at(details, "previous_value")),
        "domain": text(event, "context.location.domain"),
        "installer": [found for one in children(details, "inviter") if (found := text(one, "id"))],
        "target_email": text(entity, "email"),
    }


def _value(value: Any) -> Any:
    """A preference's value, its secrets masked, or a list of them."""
    if isinstance(value, str):
        return sentence({"value": value}, "value", 200)
    return texts({"value": value}, "value") if isinstance(value, list) else value if isinstance(value, bool) else None
