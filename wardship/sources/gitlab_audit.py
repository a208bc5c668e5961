"""GitLab's audit events: of an instance, a group or a project, by the API, by streaming, or from `audit_json.log`.

The API tells less than streaming does: no event type before GitLab 16, and the address only inside "details". The
authority is `gitlab:<host>` where the event tells its host, else as the importer does (docs/adr/0030).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission, Setting
from wardship.sdk.i18n import N_
from wardship.sdk.source import KEPT_BY_ITS_OWNER, UNNAMED, LiveLog, SourceManifest
from wardship.sources._record import child, compact, flag, host_of, identifier, instant, sentence, text

MANIFEST = SourceManifest(
    name="gitlab.audit",
    title="GitLab audit events",
    forms=(
        N_("audit events of the REST API, as JSON or JSON lines"),
        N_("events of audit event streaming"),
        N_("the file audit_json.log of an own instance"),
    ),
    settings=(
        Setting(name="url", help=N_("address of the instance"), default="https://gitlab.com"),
        Setting(name="token", help=N_("an access token with read_api"), required=True, secret=True),
        Setting(
            name="groups",
            help=N_("paths or ids of groups, with commas; without it the whole instance, which needs an administrator"),
        ),
        Setting(name="private_network", help=N_("true: the instance has a private address")),
    ),
    permissions=(Permission(name="read_api", why=N_("lists the audit events of groups that the token owns")),),
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=False,
    blind_spots=(
        BlindSpot(
            id="gitlab.premium",
            text=N_(
                "Audit events need GitLab Premium; clones and pushes are told only by streaming, which needs Ultimate."
            ),
        ),
        BlindSpot(
            id="gitlab.token_not_told",
            text=N_("An event names the person or bot that acted, not the token that was used."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("gitlab",),
    links=(
        "https://docs.gitlab.com/api/audit_events/",
        "https://docs.gitlab.com/user/compliance/audit_events/",
        "https://docs.gitlab.com/administration/compliance/audit_event_streaming/",
        "https://docs.gitlab.com/administration/logs/#audit_jsonlog",
    ),
)

_CLASSES = (
    (("sign_in", "signed in", "login", "authenticat", "session"), ActivityClass.AUTHENTICATION),
    (("member", "access_level", "user_access", "permission", "role"), ActivityClass.USER_ACCESS_MANAGEMENT),
    (("token", "ssh_key", "gpg_key", "deploy_key", "two_factor", "password", "email"), ActivityClass.ACCOUNT_CHANGE),
    (("oauth_application", "integration", "webhook", "hook"), ActivityClass.APPLICATION_LIFECYCLE),
    (("group",), ActivityClass.GROUP_MANAGEMENT),
)
_READS = ("repository_git_operation", "project_export_download", "_downloaded", "_viewed")


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import GitLabLog

    return GitLabLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An event names its author and the entity that it belongs to."""
    return "author_id" in record and "entity_type" in record and ("entity_id" in record or "details" in record)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event. Raises DataError for one that tells neither a type nor a change, or no time."""
    details = child(record, "details") or child(record, "detail")
    both = {**details, **{name: value for name, value in record.items() if value is not None}}
    operation = text(both, "event_type", "event_name") or _sentence(both)
    if operation is None:
        raise DataError("gitlab: an event that says neither a type nor a change")
    host = host_of(text(both, "target_url", "entity_url", "web_url"))
    author = _actor(both, host, drift)
    target_type = text(both, "target_type")
    message = text(both, "custom_message")
    failed = "failed" in operation or bool(text(both, "failed_login")) or (message or "").lower().startswith("failed")
    yield Activity(
        time=instant(record, "created_at", "time"),
        uid=identifier(record, "id"),
        class_uid=_class(f"{operation} {message or ''}".lower()),
        **author,
        credential_type=CredentialType.TOKEN.value
        if "deploy_token" in (text(both, "author_class") or "").lower()
        else None,
        session=text(both, "correlation_id"),
        service="gitlab",
        operation=operation,
        mutating=False if operation.endswith(_READS) else None if failed else True,
        resource_type=target_type or text(both, "entity_type"),
        resource_id=_place(both),
        resource_name=text(both, "target_details", "entity_path"),
        account=text(both, "entity_path", "target_details"),
        src_ip=text(both, "ip_address", "remote_ip"),
        user_agent=text(both, "user_agent"),
        outcome=Outcome.FAILURE if failed else Outcome.SUCCESS,
        detail=compact(
            {
                "action": _sentence(both),
                "message": sentence(both, "custom_message", 300),
                "change": text(both, "change"),
                "from": sentence(both, "from", 200),
                "to": sentence(both, "to", 200),
                "public": True if text(both, "change") == "visibility" and text(both, "to") == "Public" else None,
                "access": text(both, "as"),
                "entity_type": text(both, "entity_type"),
                "impersonated_by": text(both, "impersonated_by"),
                "target": text(both, "target_details"),
            }
        ),
    )


def _sentence(both: dict[str, Any]) -> str | None:
    """What happened by the keys that older events have instead of a type: "add user_access", "change visibility"."""
    if flag(both, "failed_login") or text(both, "failed_login"):
        return "failed_login"
    for name in ("add", "remove", "change", "with"):
        if found := text(both, name):
            return f"{name} {found}"[:120]
    return sentence(both, "custom_message", 120)


def _actor(both: dict[str, Any], host: str | None, drift: Drift) -> dict[str, Any]:
    """The author. -1 is somebody who is not signed in, -2 and below are runners, deploy tokens and keys, CI jobs."""
    ident, name = text(both, "author_id"), text(both, "author_username", "author_name")
    kind_said = text(both, "author_class") or ""
    if ident is None:
        return {"actor_name": name}
    if ident.startswith("-"):
        kind = ActorKind.ANONYMOUS if ident == "-1" and not kind_said.endswith("Token") else ActorKind.APPLICATION
        return {"actor_name": name, "actor_kind": kind}
    if kind_said and kind_said not in ("User", "Gitlab::Audit::UnauthenticatedAuthor"):
        if not kind_said.startswith("Gitlab::Audit::"):
            drift.unknown_value("gitlab.author_class", kind_said)
        return {"actor_name": name, "actor_kind": ActorKind.APPLICATION}
    bot = bool(name) and ("_bot_" in str(name) or str(name).endswith("bot"))
    return {
        "actor_authority": f"gitlab:{host}" if host else f"gitlab{UNNAMED}",
        "actor_id": ident,
        "actor_name": name,
        "actor_kind": ActorKind.SERVICE_ACCOUNT if bot else ActorKind.USER,
        "on_behalf_of": text(both, "impersonated_by"),
    }


def _class(said: str) -> ActivityClass:
    return next((found for words, found in _CLASSES if any(word in said for word in words)), ActivityClass.API_ACTIVITY)


def _place(both: dict[str, Any]) -> str | None:
    """ "Project/42" of the target, else of the entity."""
    for kind in ("target", "entity"):
        type_, ident = text(both, f"{kind}_type"), text(both, f"{kind}_id")
        if type_ and ident:
            return f"{type_}/{ident}"
    return text(both, "entity_path")
