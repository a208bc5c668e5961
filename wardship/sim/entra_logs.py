"""The logs of the simulated tenant: sign-ins through Microsoft Graph, the activity log of Azure's subscriptions, the
audit log of Microsoft 365."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from wardship.sim.entra_routes import AZURE, OFFICE
from wardship.sim.exchange import Answer, Call, Refuse
from wardship.sim.pages import ODataPages
from wardship.sim.tables import Row

if TYPE_CHECKING:
    from wardship.sim.entra import EntraTenant

_NO_LICENCE = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
_KIND = re.compile(r"signInEventTypes/any\(t: ?t eq '(\w+)'\)(?: and )?")
_QUOTED = re.compile(r"'(\d[\w:.+-]*)'")
_ONLY_V1 = (  # what the stable version shows of a sign-in
    "id appDisplayName appId clientAppUsed conditionalAccessStatus correlationId createdDateTime homeTenantId ipAddress"
    " isInteractive resourceDisplayName resourceId resourceTenantId riskLevelDuringSignIn servicePrincipalId"
    " servicePrincipalName status userAgent userDisplayName userId userPrincipalName"
).split()


def declare_logs(tenant: EntraTenant) -> None:
    """Declares the routes of the logs on `tenant`."""
    pages = ODataPages()

    def sign_ins(call: Call, *, beta: bool) -> Any:
        if not tenant.premium:
            raise Refuse(403, _NO_LICENCE, "Neither tenant is B2C or tenant doesn't have premium license")
        text = call.query.get("$filter", "")
        kind = found[1] if (found := _KIND.search(text)) else "interactiveUser"
        if kind != "interactiveUser" and not beta:
            raise Refuse(400, "BadRequest", "signInEventTypes is known to beta only")
        rows = [row for row in tenant.sign_in_log if row["signInEventTypes"] == [kind]]
        if not beta:
            rows = [{name: row[name] for name in _ONLY_V1 if name in row} for row in rows]
        asked = dataclasses.replace(call, query={**call.query, "$filter": _KIND.sub("", text)})
        body = pages.answer(asked, rows, short=False)
        if "@odata.nextLink" in body:
            body["@odata.nextLink"] = str(httpx.URL(body["@odata.nextLink"]).copy_set_param("$filter", text))
        return body

    @tenant.on("GET", "/v1.0/auditLogs/signIns", scope=("AuditLog.Read.All",))
    def stable(call: Call) -> Any:
        return sign_ins(call, beta=False)

    @tenant.on("GET", "/beta/auditLogs/signIns", scope=("AuditLog.Read.All",))
    def newer(call: Call) -> Any:
        return sign_ins(call, beta=True)

    _declare_office(tenant)

    @tenant.on("GET", "/subscriptions", scope=(AZURE,))
    def subscriptions(_call: Call) -> Any:
        return {
            "value": [
                {"id": f"/subscriptions/{ident}", "subscriptionId": ident, "displayName": ident[:8], "state": "Enabled"}
                for ident in tenant.activity_logs
            ]
        }

    @tenant.on("GET", "/subscriptions/{id}/providers/Microsoft.Insights/eventtypes/management/values", scope=(AZURE,))
    def activity(call: Call) -> Any:
        if call.path["id"] not in tenant.activity_logs:
            return _azure_error(403, "AuthorizationFailed")
        text = _QUOTED.sub(r"\1", call.query.get("$filter", ""))
        if "eventTimestamp ge" not in text:
            return _azure_error(400, "BadRequest")
        asked = dataclasses.replace(call, query={**call.query, "$filter": text})
        body: Row = pages.answer(asked, tenant.activity_logs[call.path["id"]], short=False)
        found: Row = {"value": body["value"]}
        if "@odata.nextLink" in body:
            found["nextLink"] = body["@odata.nextLink"]
        return found


def _declare_office(tenant: EntraTenant) -> None:
    feed = "/api/v1.0/{tenant}/activity/feed"

    @tenant.on("GET", f"{feed}/subscriptions/content", scope=("ActivityFeed.Read",))
    def content(call: Call) -> Any:
        if call.path["tenant"] != tenant.tenant_id:
            raise Refuse(401, "AF20010", "the tenant of the URL is not that of the token")
        blobs = tenant.audit_content.get(call.query.get("contentType", ""))
        if blobs is None:
            raise Refuse(400, "AF20022", "No subscription found for the specified content type")
        start, end = (datetime.fromisoformat(call.query[name] + "+00:00") for name in ("startTime", "endTime"))
        day, week = timedelta(days=1), timedelta(days=7)
        if not call.now - week <= start < end <= start + day:
            raise Refuse(400, "AF20030", "Start and end must be less than or equal to 24 hours apart")
        made = [one for one in blobs if start <= datetime.fromisoformat(one["contentCreated"]) < end]
        first = int(call.query.get("nextPage", "0"))
        last = first + (call.page_cap or len(made))
        more = {"NextPageUri": str(call.url.copy_set_param("nextPage", last))} if last < len(made) else {}
        shown = [
            {
                "contentUri": f"{OFFICE}/api/v1.0/{tenant.tenant_id}/activity/feed/audit/{one['contentId']}",
                **{name: value for name, value in one.items() if name != "_events"},
            }
            for one in made[first:last]
        ]
        return Answer(200, shown, more)

    @tenant.on("GET", f"{feed}/audit/{{content}}", scope=("ActivityFeed.Read",))
    def blob(call: Call) -> Any:
        for blobs in tenant.audit_content.values():
            for one in blobs:
                if one["contentId"] == call.path["content"]:
                    if datetime.fromisoformat(one["contentExpiration"]) <= call.now:
                        raise Refuse(400, "AF20051", "Content requested has already expired")
                    return one["_events"]
        raise Refuse(404, "AF20050", "The specified content does not exist")


def pack(tenant: EntraTenant, kind: str, at: datetime, *events: Row, expires: timedelta = timedelta(days=7)) -> None:
    """Packs events of Microsoft 365 into a blob of this kind of content, which is subscribed to from now on."""
    ident = tenant.new_id("content")
    tenant.audit_content.setdefault(kind, []).append(
        {
            "contentId": ident,
            "contentType": kind,
            "contentCreated": stamp(at),
            "contentExpiration": stamp(at + expires),
            "_events": list(events),
        }
    )


def _azure_error(status: int, code: str) -> Answer:
    """An error in the words of Azure's activity log, which are not Graph's."""
    return Answer(status, {"code": code, "message": f"simulated {code}"})


def sign_in(tenant: EntraTenant, kind: str, at: datetime, **fields: Any) -> Row:
    """Writes a sign-in of this kind ("servicePrincipal", "interactiveUser", ...) into the log, and gives it."""
    row: Row = {
        "id": tenant.new_id("signin"),
        "createdDateTime": stamp(at),
        "signInEventTypes": [kind],
        "correlationId": tenant.new_id("correlation"),
        "ipAddress": "203.0.113.7",
        "isInteractive": kind == "interactiveUser",
        "status": {"errorCode": 0},
        **fields,
    }
    if "appId" in fields and (sp := tenant.sp_of(fields["appId"])):
        row = {"servicePrincipalId": sp["id"], "servicePrincipalName": sp["displayName"], **row}
    if kind == "interactiveUser":
        row = {"userId": tenant.new_id("user"), **row}
    tenant.sign_in_log.append(row)
    return row


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
