"""The audit log of a Microsoft Entra tenant: who changed which application, credential, consent, role or user.

Forms: Microsoft Graph directoryAudits, diagnostic settings, Log Analytics, the portal's downloads. What a change was
about is read in `_entra_changes`, for the unified audit log of Microsoft 365 tells of the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wardship.model.activity import Activity, ActorKind, Outcome, small
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission
from wardship.sdk.i18n import N_
from wardship.sdk.redact import redact_text
from wardship.sdk.source import LiveLog, SourceManifest
from wardship.sources import _microsoft as ms
from wardship.sources._entra_changes import Change, class_of, detail_of
from wardship.sources._entra_live import AuditLog
from wardship.sources._microsoft import Row

MANIFEST = SourceManifest(
    name="entra.audit",
    title="Microsoft Entra ID audit log",
    forms=(
        N_("JSON of Microsoft Graph auditLogs/directoryAudits"),
        N_("JSON of diagnostic settings, category AuditLogs"),
        N_("rows of the Log Analytics table AuditLogs as JSON or CSV"),
        N_("CSV or JSON downloaded from the portal"),
    ),
    records=("value", "records"),
    connector="entra",
    permissions=(
        Permission(name="AuditLog.Read.All", why=N_("reads the audit log")),
        Permission(name="Directory.Read.All", why=N_("Microsoft asks for it too in some tenants"), optional=True),
    ),
    delay_hours=1.0,
    retention_days=30,
    logs_reads=False,
    blind_spots=(
        BlindSpot(id="entra.audit.seven_days", text=N_("without Entra ID P1 the log keeps 7 days")),
        BlindSpot(
            id="entra.audit.initiator",
            text=N_("a service of Microsoft's own acts under a display name, without an id that can be joined"),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("graph",),
    links=("https://learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities",),
)

_OUTCOMES = {"success": Outcome.SUCCESS, "failure": Outcome.FAILURE, "timeout": Outcome.FAILURE}
_READING = re.compile(r"(?:read|get|list|download|export|retrieve|view|search) ", re.IGNORECASE)
_MAX_TARGETS, _MAX_CHANGES = 10, 40  # the portal's CSV numbers its columns: Target1..., ModifiedProperty1...


def claims(record: dict[str, Any]) -> bool:
    """An audit event names its activity and who initiated it; the portal's CSV has numbered targets."""
    row = Row(ms.unwrapped(record))
    if (row.lower("category", "type") or "") == "auditlogs":
        return True
    for inner in (row, row.child("properties")):
        if "activityDisplayName" in inner and "initiatedBy" in inner:
            return True
    if "TimeGenerated" in row:
        return "InitiatedBy" in row and "TargetResources" in row
    return "ActorType" in row and "Activity" in row and "Target1Type" in row


def live(connection: Connection) -> LiveLog:
    """The log of the connection's tenant. Raises ConfigError; nothing is asked of the network yet."""
    return AuditLog(connection)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One change. Raises DataError for one without a time or a name."""
    envelope, row, tenant = ms.opened(record)
    operation = envelope.text("operationName") or row.text("activityDisplayName", "Activity") or ""
    targets = row.children("targetResources") or _numbered_targets(row)
    changes = [change for target in targets[:_MAX_TARGETS] for change in _changes(target)]
    detail = detail_of(changes)
    target = targets[0] if targets else Row({})
    for one in targets[:_MAX_TARGETS]:
        detail = {**_target(one), **detail}  # a property names who receives it; the target may be the resource
    actor, name, kind, source = _initiator(row, tenant)
    more = {item.lower("key") or "": item.text("value") for item in row.children("additionalDetails")}
    result = row.lower("result") or envelope.lower("resultType", "Result") or ""
    if result and result not in _OUTCOMES:
        drift.unknown_value("directoryAudit.result", result)
    detail.update(
        {
            "category": row.text("category"),
            "type": row.text("operationType"),
            "logged_by": row.text("loggedByService", "Service"),
            "reason": redact_text(row.text("resultReason", "ResultDescription") or "")[:200],
            "initiated_as_app": name if kind is not ActorKind.USER else None,
        }
    )
    detail.setdefault("target_app", ms.guid(more.get("appid")) or ms.guid(more.get("targetappid")))
    return [
        Activity(
            uid=row.text("id"),
            time=ms.needed_instant(
                row.value("activityDateTime", "Date (UTC)", "date"), envelope.value("time", "TimeGenerated")
            ),
            class_uid=class_of(operation),
            service=ms.ENTRA_SERVICE,
            operation=operation,
            actor_authority=actor[0],
            actor_id=actor[1],
            actor_name=name,
            actor_kind=kind,
            session=row.text("correlationId"),
            mutating=not _READING.match(operation),
            resource_type=target.text("type"),
            resource_id=target.lower("id"),
            resource_name=target.text("displayName", "userPrincipalName"),
            account=tenant,
            src_ip=source or ms.address(envelope.value("callerIpAddress")) or ms.address(more.get("client-ip")),
            user_agent=row.text("userAgent") or more.get("user-agent"),
            outcome=_OUTCOMES.get(result, Outcome.UNKNOWN),
            outcome_code=result or None,
            detail=small(detail),
        )
    ]


def _initiator(row: Row, tenant: str | None) -> tuple[tuple[str | None, str | None], str | None, ActorKind, str | None]:
    """(authority and id, name, kind, address) of who did it: a user, an application, or Microsoft itself."""
    by = row.child("initiatedBy")
    user, app = by.child("user"), by.child("app")
    if "ActorType" in row:
        return _portal_initiator(row, tenant)
    if app.raw and (not user.raw or not user.text("id", "userPrincipalName")):
        actor = ms.application(tenant, app.value("appId"), app.value("servicePrincipalId"))
        kind = ms.application_kind(app.value("appId")) if actor[1] else ActorKind.PROVIDER_SERVICE
        return actor, app.text("displayName", "servicePrincipalName"), kind, ms.address(app.value("ipAddress"))
    name = user.text("userPrincipalName", "displayName")
    found = ms.person(tenant, user.value("id"), user.text("userPrincipalName"))
    kind = ActorKind.USER if user.raw else ActorKind.UNKNOWN
    return found, name, kind, ms.address(user.value("ipAddress"))


def _portal_initiator(
    row: Row, tenant: str | None
) -> tuple[tuple[str | None, str | None], str | None, ActorKind, str | None]:
    source = ms.address(row.value("IPAddress"))
    name = row.text("ActorUserPrincipalName", "ActorDisplayName", "ActorServicePrincipalName")
    if (row.lower("ActorType") or "") in ("application", "serviceprincipal"):
        actor = ms.application(tenant, row.value("ActorAppId"), row.value("ActorServicePrincipalId", "ActorObjectId"))
        return actor, name, ms.application_kind(row.value("ActorAppId")), source
    return (
        ms.person(tenant, row.value("ActorObjectId"), row.text("ActorUserPrincipalName")),
        name,
        ActorKind.USER,
        source,
    )


def _changes(target: Row) -> list[Change]:
    return [
        Change(name, change.value("oldValue"), change.value("newValue"))
        for change in target.children("modifiedProperties")
        if (name := change.text("displayName", "name"))
    ]


def _target(target: Row) -> dict[str, Any]:
    kind = (target.lower("type") or "").replace(" ", "")
    ident = ms.guid(target.value("id"))
    if kind == "user":
        return {"target_user": target.text("userPrincipalName", "displayName") or ident}
    if kind == "serviceprincipal":
        return {"target_sp": ident} if ident else {}
    return {"target_app_object": ident} if kind == "application" and ident else {}


def _numbered_targets(row: Row) -> list[Row]:
    """Targets of the portal's CSV, whose columns are numbered: Target1ModifiedProperty2NewValue."""
    found = []
    for number in range(1, _MAX_TARGETS + 1):
        prefix = f"Target{number}"
        if f"{prefix}Type" not in row:
            break
        part = f"{prefix}ModifiedProperty"
        changes = [
            {
                "displayName": row.value(f"{part}{k}Name"),
                "oldValue": row.value(f"{part}{k}OldValue"),
                "newValue": row.value(f"{part}{k}NewValue"),
            }
            for k in range(1, _MAX_CHANGES + 1)
            if f"{part}{k}Name" in row
        ]
        found.append(
            Row(
                {
                    "type": row.value(f"{prefix}Type"),
                    "id": row.value(f"{prefix}ObjectId"),
                    "displayName": row.value(f"{prefix}DisplayName"),
                    "userPrincipalName": row.value(f"{prefix}UserPrincipalName"),
                    "modifiedProperties": changes,
                }
            )
        )
    return found
