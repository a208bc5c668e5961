"""An activity as an OCSF event (https://schema.ocsf.io, 1.9): what is exported, and what a SIEM is sent.

`event` takes a row of the table `activity` (the columns of ACTIVITY; absent ones count as NULL). What OCSF has no place
for stands in `unmapped`. What OCSF demands and the log did not say is said to be unknown, never made up. Sources read
OCSF elsewhere (`wardship.sources.ocsf`); the authority of an id is kept in `domain`, so that an export comes back as
it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wardship.model.activity import ActivityClass, ActorKind, Outcome

VERSION = "1.9.0"
OTHER = 99
UNKNOWN = "unknown"
"""A name where OCSF demands one and the log has none."""

PRODUCT = {"name": "Wardship", "vendor_name": "Wardship"}

_CATEGORIES = {3: "Identity & Access Management", 4: "Network Activity", 6: "Application Activity"}
_CLASS_NAMES = {
    ActivityClass.ACCOUNT_CHANGE: "Account Change",
    ActivityClass.AUTHENTICATION: "Authentication",
    ActivityClass.AUTHORIZE_SESSION: "Authorize Session",
    ActivityClass.ENTITY_MANAGEMENT: "Entity Management",
    ActivityClass.USER_ACCESS_MANAGEMENT: "User Access Management",
    ActivityClass.GROUP_MANAGEMENT: "Group Management",
    ActivityClass.HTTP_ACTIVITY: "HTTP Activity",
    ActivityClass.WEB_RESOURCES_ACTIVITY: "Web Resources Activity",
    ActivityClass.APPLICATION_LIFECYCLE: "Application Lifecycle",
    ActivityClass.API_ACTIVITY: "API Activity",
    ActivityClass.DATASTORE_ACTIVITY: "Datastore Activity",
    ActivityClass.FILE_HOSTING_ACTIVITY: "File Hosting Activity",
}
_STATUS = {Outcome.SUCCESS.value: (1, "Success"), Outcome.FAILURE.value: (2, "Failure")}
_USER_TYPES = {
    ActorKind.USER: (1, "User"),
    ActorKind.ROOT: (2, "Admin"),
    ActorKind.PROVIDER_SERVICE: (3, "System"),
    **dict.fromkeys(
        (
            ActorKind.ROLE,
            ActorKind.APPLICATION,
            ActorKind.SERVICE_ACCOUNT,
            ActorKind.MANAGED_IDENTITY,
            ActorKind.WORKLOAD,
            ActorKind.MACHINE,
        ),
        (4, "Service"),
    ),
}
_PROVIDERS = (("aws", "AWS"), ("azure", "Azure"), ("entra", "Azure"), ("gcp", "GCP"), ("google", "GCP"))

# Words of an operation, and the activity that they tell of: the first word of the operation that is in the table of its
# class counts. Written from the captions of each class's activities.
_CREATE = (
    "create",
    "add",
    "new",
    "put",
    "insert",
    "register",
    "post",
    "generate",
    "issue",
    "upload",
    "import",
    "created",
)
_READ = ("get", "read", "list", "describe", "view", "lookup", "head", "select", "search", "query", "download", "fetch")
_UPDATE = ("update", "modify", "set", "change", "edit", "patch", "rotate", "write", "replace", "updated", "alter")
_DELETE = ("delete", "remove", "drop", "destroy", "purge", "deleted", "unregister")
_METHODS = ("connect", "delete", "get", "head", "options", "post", "put", "trace", "patch")
_CRUD = ((_CREATE, 1), (_READ, 2), (_UPDATE, 3), (_DELETE, 4))
_VERBS: Mapping[ActivityClass, Sequence[tuple[Sequence[str], int]]] = {
    ActivityClass.ACCOUNT_CHANGE: (
        (_CREATE, 1), (("enable", "activate", "enabled", "restore"), 2), (("disable", "deactivate", "disabled"), 5),
        (_DELETE, 6), (("attach",), 7), (("detach",), 8), (("lock",), 9), (("unlock",), 12), (("reset",), 4),
    ),
    ActivityClass.AUTHENTICATION: ((("logout", "logoff", "signout", "disconnect", "disconnection", "quit"), 2),),
    ActivityClass.ENTITY_MANAGEMENT: (
        *_CRUD, (("move",), 5), (("enroll",), 6), (("enable",), 8), (("disable",), 9), (("activate",), 10),
        (("deactivate",), 11), (("suspend",), 12), (("resume",), 13),
    ),
    ActivityClass.USER_ACCESS_MANAGEMENT: (
        (("revoke", "remove", "delete", "detach", "unassign", "deny"), 2),
        ((*_CREATE, "grant", "assign", "attach", "allow"), 1),
    ),
    ActivityClass.GROUP_MANAGEMENT: (
        (("add", "join", "added"), 3), (("remove", "leave", "removed"), 4), (_DELETE, 5), (_CREATE, 6), (_UPDATE, 9),
        (("attach",), 10), (("detach",), 11), (("assign",), 12),
    ),
    ActivityClass.HTTP_ACTIVITY: tuple(
        ((word,), number)
        for number, word in enumerate(_METHODS, 1)
    ),
    ActivityClass.WEB_RESOURCES_ACTIVITY: (
        (("search",), 5), (("import",), 6), (("export",), 7), (("share",), 8), *_CRUD,
    ),
    ActivityClass.APPLICATION_LIFECYCLE: (
        (("install", "added"), 1), (("uninstall", "remove", "removed"), 2), (("start", "started", "starting"), 3),
        (("stop", "stopped", "shutdown"), 4), (("restart",), 5), (("enable", "enabled"), 6),
        (("disable", "disabled"), 7), (_UPDATE, 8),
    ),
    ActivityClass.API_ACTIVITY: _CRUD,
    ActivityClass.DATASTORE_ACTIVITY: (
        (("select", "query"), 4), (("list",), 8), (("connect",), 3), (("encrypt",), 9), (("decrypt",), 10),
        (_READ, 1), (("create",), 6), (("write", "insert", "put", "upload", "copy", "merge", "load"), 5), (_DELETE, 7),
        (_UPDATE, 2),
    ),
    ActivityClass.FILE_HOSTING_ACTIVITY: (
        (("upload", "create"), 1), (("download",), 2), (("preview", "view"), 9), (("rename",), 5), (("copy",), 6),
        (("move",), 7),
        (("restore", "undelete"), 8), (("lock",), 10), (("unlock",), 11), (("share",), 12), (("unshare",), 13),
        (("open", "access"), 14), (("sync",), 15), (("delete", "trash", "remove"), 4), ((*_UPDATE,), 3),
    ),
}  # fmt: skip
_BY_PROFILE = (  # classes that have an actor by the profile `host` only
    ActivityClass.HTTP_ACTIVITY,
    ActivityClass.WEB_RESOURCES_ACTIVITY,
    ActivityClass.APPLICATION_LIFECYCLE,
)
_DEFAULTS = {ActivityClass.AUTHENTICATION: 1, ActivityClass.AUTHORIZE_SESSION: 1}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def event(row: Mapping[str, Any]) -> dict[str, Any]:
    """The OCSF event of one activity: a JSON object. Times are in milliseconds since 1970, as OCSF has them."""
    class_uid = ActivityClass(row["class_uid"])
    activity_id = _activity(class_uid, str(row["operation"]))
    status_id, status = _STATUS.get(str(row.get("outcome")), (0, "Unknown"))
    provider = _provider(row)
    told: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_name": row["operation"],
        "category_uid": class_uid // 1000,
        "category_name": _CATEGORIES[class_uid // 1000],
        "class_uid": int(class_uid),
        "class_name": _CLASS_NAMES[class_uid],
        "type_uid": class_uid * 100 + activity_id,
        "time": _millis(row["time"]),
        "severity_id": 1,
        "severity": "Informational",
        "status_id": status_id,
        "status": status,
        "status_code": row.get("outcome_code"),
        "metadata": _clean(
            {
                "version": VERSION,
                "product": PRODUCT,
                "uid": row.get("uid"),
                "log_name": row.get("source"),
                "profiles": [*(["cloud"] if provider else []), *(["host"] if class_uid in _BY_PROFILE else [])],
            }
        ),
        "src_endpoint": _endpoint(row),
        "cloud": _cloud(row, provider),
        **_subject(class_uid, row),
        "unmapped": _unmapped(row),
    }
    return _clean(told)


def _subject(class_uid: ActivityClass, row: Mapping[str, Any]) -> dict[str, Any]:
    """What each class holds besides: who acted on what."""
    actor = _actor(row)
    target = {"uid": row.get("resource_id"), "name": row.get("resource_name")}
    target = _clean(target) or {"name": UNKNOWN}
    request = _clean({"user_agent": row.get("user_agent")})
    told: dict[str, Any] = {"actor": actor, "http_request": request}
    match class_uid:
        case ActivityClass.AUTHENTICATION:
            told |= {"user": actor["user"], "service": _named(row.get("service")), "is_remote": bool(row.get("src_ip"))}
            told["session"] = _clean({"uid": row.get("session")})
        case ActivityClass.ACCOUNT_CHANGE:
            told["user"] = target
        case ActivityClass.AUTHORIZE_SESSION:
            told |= {
                "user": actor["user"],
                "privileges": [row.get("resource_name") or row.get("resource_id") or UNKNOWN],
            }
        case ActivityClass.USER_ACCESS_MANAGEMENT:
            told["user"] = target
        case ActivityClass.GROUP_MANAGEMENT:
            told["group"] = target
        case ActivityClass.ENTITY_MANAGEMENT:
            told["entity"] = target | _clean({"type": row.get("resource_type")})
        case ActivityClass.HTTP_ACTIVITY:
            path = row.get("resource_id")
            request |= _clean({"http_method": row["operation"], "url": {"path": path} if path else None})
        case ActivityClass.WEB_RESOURCES_ACTIVITY:
            told["web_resources"] = [target | _clean({"type": row.get("resource_type")})]
        case ActivityClass.APPLICATION_LIFECYCLE:
            told = {"actor": actor, "app": _named(row.get("service")), "src_endpoint": None}  # it has no place for one
        case ActivityClass.DATASTORE_ACTIVITY:
            told["database"] = target | {"type_id": 0}
        case ActivityClass.FILE_HOSTING_ACTIVITY:
            told["file"] = {
                "name": row.get("resource_name") or row.get("resource_id") or UNKNOWN,
                "type_id": 0,
            } | _clean({"uid": row.get("resource_id")})
        case ActivityClass.API_ACTIVITY:
            told["api"] = {"operation": row["operation"], "service": _named(row.get("service"))}
            if target != {"name": UNKNOWN}:
                told["resources"] = [target | _clean({"type": row.get("resource_type")})]
    return told


def _actor(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = row.get("actor_kind") or ActorKind.UNKNOWN
    type_id, type_name = _USER_TYPES.get(ActorKind(kind), (0, "Unknown"))
    user = _clean(
        {
            "uid": row.get("actor_id"),
            "name": row.get("actor_name"),
            "domain": row.get("actor_authority"),
            "credential_uid": row.get("credential_id"),
        }
    )
    if not {"uid", "name"} & set(user):
        user["name"] = UNKNOWN
    session = _clean({"uid": row.get("session")})
    return {"user": user | {"type_id": type_id, "type": type_name}} | ({"session": session} if session else {})


def _endpoint(row: Mapping[str, Any]) -> dict[str, Any]:
    address = row.get("src_ip")
    country, number = row.get("src_country"), row.get("src_asn")
    return _clean(
        {
            "ip": address,
            "name": None if address else UNKNOWN,
            "location": {"country": country} if country else None,
            "autonomous_system": {"number": number} if number is not None else None,
        }
    )


def _provider(row: Mapping[str, Any]) -> str | None:
    """The cloud that the log is of; OCSF's profile demands its name."""
    source = str(row.get("source") or "")
    return next((name for start, name in _PROVIDERS if source.startswith(start)), None)


def _cloud(row: Mapping[str, Any], provider: str | None) -> dict[str, Any] | None:
    if provider is None:
        return None
    account = row.get("account")
    return _clean({"provider": provider, "account": {"uid": account} if account else None, "region": row.get("region")})


def _unmapped(row: Mapping[str, Any]) -> dict[str, Any]:
    """What OCSF has no attribute for, by our names; `detail` unfolded."""
    names = ("on_behalf_of", "credential_type", "mutating", "interactive", "actor_kind", "src_network", "service")
    told = {name: row.get(name) for name in (*names, "resource_type", "account", "region", "input", "position")}
    if row["class_uid"] == ActivityClass.APPLICATION_LIFECYCLE:
        told |= {"src_ip": row.get("src_ip"), "user_agent": row.get("user_agent")}
    detail = row.get("detail")
    if isinstance(detail, str):
        detail = json.loads(detail)
    return _clean({**told, "detail": detail})


def _activity(class_uid: ActivityClass, operation: str) -> int:
    """The activity that the operation's words tell of; OTHER, with the operation as its name, where none does."""
    words = [word.lower() for word in _WORD.findall(operation)]
    table = _VERBS.get(class_uid, ())
    for word in words:
        for verbs, number in table:
            if word in verbs:
                return number
    return _DEFAULTS.get(class_uid, OTHER)


def _millis(at: datetime) -> int:
    """The columns are UTC without a zone; an Activity's time has one."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _named(name: Any) -> dict[str, str]:
    return {"name": str(name) if name else UNKNOWN}


def _clean(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in told.items() if value is not None and value not in ({}, [], "")}
