"""OCSF events of any producer: Amazon Security Lake's Parquet, a pipeline's JSON, our own export.

Classes 3001 to 3006, 4002, 6001 to 6006 of OCSF 1.0 to 1.9 are read; others say nothing of who did what and are
skipped. Ids are the producer's. Of AWS they are those of the connector (the principal id); of our own export they are
what they were; of another producer the authority is its cloud account, or what the importer says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.i18n import N_
from wardship.sdk.ocsf import PRODUCT, UNKNOWN
from wardship.sdk.source import UNNAMED, SourceManifest
from wardship.sources._record import at, child, children, compact, flag, identifier, instant_of, number, text

MANIFEST = SourceManifest(
    name="ocsf",
    title="OCSF events (Amazon Security Lake and others)",
    forms=(N_("JSON lines or Parquet of OCSF events, version 1.0 to 1.9"),),
    records=("events",),
    logs_reads=None,
    blind_spots=(
        BlindSpot(
            id="ocsf.producer",
            text=N_("An OCSF event tells what its producer kept: fields of the original log may be missing."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    links=(
        "https://schema.ocsf.io/",
        "https://docs.aws.amazon.com/security-lake/latest/userguide/subscriber-data.html",
    ),
)

_CLASSES = {int(one): one for one in ActivityClass} | {6004: ActivityClass.WEB_RESOURCES_ACTIVITY}
_STATUSES = {1: Outcome.SUCCESS, 2: Outcome.FAILURE}
_READS = {  # activity ids that change nothing; a class without a line here: not told
    ActivityClass.API_ACTIVITY: (2,),
    ActivityClass.WEB_RESOURCES_ACTIVITY: (2, 5, 7),
    ActivityClass.ENTITY_MANAGEMENT: (2,),
    ActivityClass.DATASTORE_ACTIVITY: (1, 3, 4, 8, 10),
    ActivityClass.FILE_HOSTING_ACTIVITY: (2, 9, 14, 17),
    ActivityClass.HTTP_ACTIVITY: (1, 3, 4, 5, 8),
    ActivityClass.AUTHENTICATION: tuple(range(1, 8)),
    ActivityClass.AUTHORIZE_SESSION: (1, 2, 3),
}
_KINDS = {1: ActorKind.USER, 2: ActorKind.USER, 3: ActorKind.PROVIDER_SERVICE, 4: ActorKind.SERVICE_ACCOUNT}
_WORDS = {  # what producers write beside type_id 99
    "assumedrole": ActorKind.ROLE, "role": ActorKind.ROLE, "iamuser": ActorKind.USER, "root": ActorKind.ROOT,
    "awsservice": ActorKind.PROVIDER_SERVICE, "federateduser": ActorKind.USER, "awsaccount": ActorKind.UNKNOWN,
    "webidentityuser": ActorKind.WORKLOAD, "samluser": ActorKind.USER, "service": ActorKind.SERVICE_ACCOUNT,
    "system": ActorKind.PROVIDER_SERVICE, "serviceprincipal": ActorKind.APPLICATION,
    "managedidentity": ActorKind.MANAGED_IDENTITY,
}  # fmt: skip


def claims(record: dict[str, Any]) -> bool:
    """Every OCSF event has its class, its category and the product that made it."""
    return (
        number(record, "class_uid") is not None
        and isinstance(record.get("metadata"), dict)
        and "category_uid" in record
    )


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One activity; none of a class that is not ours."""
    if not claims(record):
        raise DataError("no OCSF event")
    class_uid = _CLASSES.get(number(record, "class_uid") or 0)
    if class_uid is None:
        drift.unknown_value("ocsf.class", str(number(record, "class_uid")))
        return ()
    actor = _actor_of(record, class_uid)
    own = text(record, "metadata.product.name") == PRODUCT["name"]
    authority, actor_id, session = _who(record, actor, own=own)
    unmapped = child(record, "unmapped") if own else {}
    target = _target(record, class_uid)
    activity = number(record, "activity_id")
    operation = _operation(record, class_uid)
    if operation is None:
        raise DataError("an OCSF event without an operation")
    changes = flag(unmapped, "mutating")
    if changes is None and class_uid in _READS and activity not in (None, 0, 99):
        changes = activity not in _READS[class_uid]
    return (
        Activity(
            uid=identifier(record, "metadata.uid"),
            time=_time(record),
            service=text(record, "api.service.name", "service.name", "app.name", "metadata.product.name") or "ocsf",
            operation=operation,
            class_uid=class_uid,
            actor_authority=authority if actor_id else None,
            actor_id=actor_id,
            actor_name=_named(actor, "name", "email_addr", "full_name", "uid_alt"),
            actor_kind=_kind(actor, unmapped),
            session=session or text(record, "actor.session.uid", "session.uid"),
            on_behalf_of=text(unmapped, "on_behalf_of") if own else text(record, "actor.invoked_by"),
            credential_id=identifier(actor, "credential_uid")
            or identifier(record, "actor.session.credential_uid", "session.credential_uid"),
            credential_type=text(unmapped, "credential_type"),
            mutating=changes,
            interactive=flag(unmapped, "interactive"),
            resource_type=text(target, "type") or text(unmapped, "resource_type"),
            resource_id=_named(target, "uid", "path", "name"),
            resource_name=_named(target, "name"),
            account=text(unmapped, "account")
            or text(record, "cloud.account.uid", "metadata.tenant_uid", "actor.user.account.uid"),
            region=text(unmapped, "region") or text(record, "cloud.region"),
            src_ip=text(record, "src_endpoint.ip", "device.ip") or text(unmapped, "src_ip"),
            user_agent=text(record, "http_request.user_agent") or text(unmapped, "user_agent"),
            outcome=_outcome(record),
            outcome_code=text(record, "status_code", "api.response.error", "http_response.code"),
            detail=compact(
                {
                    "source": text(record, "metadata.log_name", "metadata.product.name"),
                    "error": text(record, "api.response.error"),
                    **{name: value for name, value in child(unmapped, "detail").items() if isinstance(name, str)},
                }
            ),
        ),
    )


def _time(record: Mapping[str, Any]) -> datetime:
    """`time` is milliseconds since 1970; Parquet readers also give instants."""
    for name in ("time", "time_dt", "start_time", "start_time_dt"):
        value = record.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if (found := instant_of(value)) is not None:
            return found
    raise DataError("the event's time is missing or cannot be read")


def _operation(record: Mapping[str, Any], class_uid: ActivityClass) -> str | None:
    if class_uid is ActivityClass.HTTP_ACTIVITY and (method := text(record, "http_request.http_method")):
        return method
    return text(record, "api.operation", "activity_name", "metadata.event_code", "type_name")


def _actor_of(record: Mapping[str, Any], class_uid: ActivityClass) -> dict[str, Any]:
    """Who acted: `actor.user`; of an authentication that names none, who authenticated."""
    found = child(record, "actor.user")
    if not found and class_uid in (ActivityClass.AUTHENTICATION, ActivityClass.AUTHORIZE_SESSION):
        found = child(record, "user")
    if not found and (app := text(record, "actor.app_uid", "actor.app_name")):
        return {"uid": app, "name": text(record, "actor.app_name"), "type": "service"}
    return found


def _who(record: Mapping[str, Any], actor: dict[str, Any], *, own: bool) -> tuple[str, str | None, str | None]:
    """(authority, id, session)."""
    uid = _named(actor, "uid", "uid_alt", "email_addr", "name")
    if own:
        return text(actor, "domain") or f"ocsf{UNNAMED}", identifier(actor, "uid"), None
    provider = (text(record, "cloud.provider") or "").casefold()
    account = text(actor, "account.uid") or text(record, "cloud.account.uid")
    session = None
    if provider == "aws" and uid and uid.startswith("AROA"):  # the role's id, and the name of its session
        uid, _colon, session = uid.partition(":")
    if not account:
        return f"{provider or 'ocsf'}{UNNAMED}", uid, session
    return f"{provider or 'ocsf'}:{account}", uid, session or None


def _kind(actor: dict[str, Any], unmapped: dict[str, Any]) -> ActorKind:
    said = text(unmapped, "actor_kind")
    if said in set(ActorKind):
        return ActorKind(said)
    word = (text(actor, "type") or "").replace(" ", "").casefold()
    return _WORDS.get(word) or _KINDS.get(number(actor, "type_id") or 0, ActorKind.UNKNOWN)


def _target(record: Mapping[str, Any], class_uid: ActivityClass) -> dict[str, Any]:
    """What was acted upon, in the attribute where its class has it."""
    names = {
        ActivityClass.ACCOUNT_CHANGE: ("user",),
        ActivityClass.USER_ACCESS_MANAGEMENT: ("user", "resources", "resource"),
        ActivityClass.GROUP_MANAGEMENT: ("group",),
        ActivityClass.ENTITY_MANAGEMENT: ("entity",),
        ActivityClass.WEB_RESOURCES_ACTIVITY: ("web_resources", "resources"),
        ActivityClass.HTTP_ACTIVITY: ("http_request.url",),
        ActivityClass.DATASTORE_ACTIVITY: ("table", "database", "databucket"),
        ActivityClass.FILE_HOSTING_ACTIVITY: ("file",),
        ActivityClass.AUTHENTICATION: ("service", "dst_endpoint"),
    }.get(class_uid, ("resources", "resource"))
    return next((found[0] for name in names if (found := children(record, name))), {})


def _named(record: Mapping[str, Any], *names: str) -> str | None:
    """The first of the texts that says something."""
    return next((said for name in names if (said := identifier(record, name)) and said != UNKNOWN), None)


def _outcome(record: Mapping[str, Any]) -> Outcome:
    found = _STATUSES.get(number(record, "status_id") or 0)
    if found:
        return found
    word = (text(record, "status") or "").casefold()
    if word in ("success", "failure"):
        return Outcome(word)
    return Outcome.FAILURE if at(record, "api.response.error") else Outcome.UNKNOWN
