"""Calls of Microsoft Graph (MicrosoftGraphActivityLogs): which application asked for what, with which token.

It is the one log of Microsoft's that shows an application reading: use of a permission, not the having of it. The
actor is the application; a delegated call names the user that it acted for. Forms: diagnostic settings, Log Analytics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.i18n import N_
from wardship.sdk.source import KEPT_BY_ITS_OWNER, SourceManifest
from wardship.sources import _microsoft as ms
from wardship.sources._microsoft import Row

MANIFEST = SourceManifest(
    name="graph.activity",
    title="Microsoft Graph activity logs",
    forms=(
        N_("JSON of diagnostic settings, category MicrosoftGraphActivityLogs"),
        N_("rows of the Log Analytics table MicrosoftGraphActivityLogs as JSON or CSV"),
    ),
    records=("value", "records"),
    connector="entra",
    delay_hours=2.0,
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=False,  # it has reads, but of Graph alone: an application without any may be busy elsewhere
    blind_spots=(
        BlindSpot(
            id="graph.activity.files_only",
            text=N_("Microsoft gives this log only by export: it needs Entra ID P1 and diagnostic settings"),
        ),
        BlindSpot(
            id="graph.activity.body", text=N_("what was asked for is in the address, what was written is not logged")
        ),
    ),
    evidence=Evidence.DOCUMENTATION,
    links=("https://learn.microsoft.com/graph/microsoft-graph-activity-logs-overview",),
)

SERVICE = "graph.microsoft.com"
_AUTH_METHODS = {"1": CredentialType.CLIENT_SECRET, "2": CredentialType.CERTIFICATE}  # 0 is a public client
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[^/@]{1,100}@[^/]{1,200}|[A-Za-z0-9_=-]{40,}", re.IGNORECASE)
_KEYED = re.compile(r"\([^)]{0,500}\)")


def claims(record: dict[str, Any]) -> bool:
    """A call by its category, or by the columns that only this table has together."""
    row = Row(ms.unwrapped(record))
    if (row.lower("category", "type") or "") == "microsoftgraphactivitylogs":
        return True
    return "RequestUri" in row and "RequestMethod" in row and "AppId" in row


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One call. Raises DataError for one without a time or an address."""
    envelope, row, tenant = ms.opened(record)
    method, path = (row.text("requestMethod") or "").upper(), _path(row.text("requestUri"))
    app_id, user, sp = ms.guid(row.value("appId")), ms.guid(row.value("userId")), row.value("servicePrincipalId")
    actor = ms.application(tenant, app_id, sp)
    kind = ms.application_kind(app_id) if actor[1] or app_id else ActorKind.UNKNOWN
    status = row.text("responseStatusCode")
    method_code = row.text("clientAuthMethod")
    if method_code not in (None, "0", "1", "2", "3"):
        drift.unknown_value("graphActivity.clientAuthMethod", method_code or "")
    return [
        Activity(
            uid=row.text("requestId"),
            time=ms.needed_instant(row.value("timeGenerated"), envelope.value("time", "TimeGenerated")),
            class_uid=ActivityClass.API_ACTIVITY,
            service=SERVICE,
            operation=f"{method} {_shape(path)}".strip(),
            actor_authority=actor[0],
            actor_id=actor[1],
            actor_name=row.text("appDisplayName") or app_id,
            actor_kind=kind,
            session=row.text("sessionId", "signInActivityId", "uniqueTokenId"),
            on_behalf_of=user,
            credential_type=credential.value if (credential := _AUTH_METHODS.get(method_code or "")) else None,
            mutating=method not in _READS if method else None,
            interactive=None,
            resource_type=_resource_type(path),
            resource_id=path or None,
            account=tenant,
            region=row.text("location") or envelope.text("location"),
            src_ip=ms.address(row.value("ipAddress")) or ms.address(envelope.value("callerIpAddress")),
            user_agent=row.text("userAgent"),
            outcome=_outcome(status),
            outcome_code=status,
            detail=small(
                {
                    "app_id": app_id,
                    "roles": ms.words((row.text("roles") or "").split()),
                    "scopes": ms.words((row.text("scopes") or "").split()),
                    "directory_roles": ms.words((row.text("wids") or "").split()),
                    "api_version": row.text("apiVersion"),
                    "identity_provider": row.text("identityProvider"),
                    "bytes": row.text("responseSizeBytes"),
                    "sp": ms.guid(sp),
                }
            ),
        )
    ]


def _path(uri: str | None) -> str:
    """The path of the address without its version; the query stays out, for it may hold what was searched for."""
    try:
        path = urlsplit(uri or "").path
    except ValueError:
        return ""
    return re.sub(r"^/+(?:v1\.0|beta)(?=/|$)", "", path)[:1_000]


def _shape(path: str) -> str:
    """The path with ids taken out: the operation, of which there are few, not the object, of which there are many."""
    parts = [_KEYED.sub("()", part) for part in path.split("/")[:20]]
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in parts)[:300]


def _resource_type(path: str) -> str | None:
    parts = [part for part in path.split("/") if part and not _ID.fullmatch(part)]
    return _KEYED.sub("", parts[-1])[:100] if parts else None


def _outcome(status: str | None) -> Outcome:
    if status is None or not re.fullmatch(r"[1-5]\d\d", status):
        return Outcome.UNKNOWN
    return Outcome.SUCCESS if int(status) < 400 else Outcome.FAILURE
