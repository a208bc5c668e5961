"""The logs of Microsoft read live, with a connection of the connector `entra`: its application, its clients, errors.

Each record is given in the envelope that diagnostic settings write, for that names the tenant and the category, which
Microsoft Graph does not. Both ends of a window belong to it; what is read twice is dropped by ingest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from wardship.model.errors import MissingScope, NotVisible
from wardship.model.scan import RawPage
from wardship.sdk import registry
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.http import Http
from wardship.sdk.i18n import _
from wardship.sdk.paging import BodyLink
from wardship.sdk.source import Stream

_PAGE = 500  # of at most 1,000: sign-ins are large, and Graph ends a slow answer
_AUDIT_SCOPE = "AuditLog.Read.All"
_SIGN_INS: Mapping[str, tuple[str, str]] = {  # stream -> (version of Graph, category of diagnostic settings)
    "interactiveUser": ("v1.0", "SignInLogs"),
    "nonInteractiveUser": ("beta", "NonInteractiveUserSignInLogs"),
    "servicePrincipal": ("beta", "ServicePrincipalSignInLogs"),
    "managedIdentity": ("beta", "ManagedIdentitySignInLogs"),
}
_ACTIVITY = "/subscriptions/{id}/providers/Microsoft.Insights/eventtypes/management/values"
_ACTIVITY_DAYS = 90


class _Session(Protocol):
    """What the connector `entra` gives."""

    tenant: str
    graph: Http

    def management(self) -> Http: ...


class _Log:
    """What the three logs have in common: the connection's session, opened when it is first needed."""

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        opened: _Session = registry.connector_module("entra").session(connection, self.stats)
        self._session = opened

    @property
    def _authority(self) -> str:
        return f"entra:{self._session.tenant}"

    def _graph(self, path: str, asked: str, category: str) -> Iterator[RawPage]:
        params = {"$filter": asked, "$top": _PAGE}
        for page in self._session.graph.follow(path, params, needs=_AUDIT_SCOPE):
            items = [{"category": category, "tenantId": self._session.tenant, "properties": one} for one in page.items]
            yield RawPage(items=items, next_token=page.next_token)


class SignInLog(_Log):
    """`LiveLog` of sign-ins: interactive ones through Graph's stable version, the other three kinds through beta.

    Raises NotVisible for a tenant without Entra ID P1.
    """

    def streams(self) -> Iterator[Stream]:
        for kind in _SIGN_INS:
            yield Stream(name=kind, authority=self._authority)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        version, category = _SIGN_INS[stream.name]
        asked = f"createdDateTime ge {_stamp(since)} and createdDateTime le {_stamp(until)}"
        if version == "beta":
            asked = f"signInEventTypes/any(t: t eq '{stream.name}') and {asked}"
        return self._graph(f"/{version}/auditLogs/signIns", asked, category)


class AuditLog(_Log):
    """`LiveLog` of changes in the directory."""

    def streams(self) -> Iterator[Stream]:
        yield Stream(name="directoryAudits", authority=self._authority)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        asked = f"activityDateTime ge {_stamp(since)} and activityDateTime le {_stamp(until)}"
        return self._graph(f"/v1.0/auditLogs/{stream.name}", asked, "AuditLogs")


class ActivityLog(_Log):
    """`LiveLog` of Azure's activity log: one stream for each subscription that the application may see."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._opened: Http | None = None

    def streams(self) -> Iterator[Stream]:
        """Raises NotVisible where the application may read no subscription at all."""
        found = 0
        paging = BodyLink(next="nextLink")
        for page in self._azure().follow("/subscriptions", {"api-version": "2022-12-01"}, paging=paging):
            for one in page.items:
                if isinstance(one, dict) and isinstance(ident := one.get("subscriptionId"), str):
                    found += 1
                    yield Stream(name=ident.lower(), authority=f"azure:{ident.lower()}")
        if not found:
            raise NotVisible(
                _("the application may read no subscription of Azure"),
                system="Azure Resource Manager",
                advice=_("give it the role Reader on the subscriptions, or on a management group above them"),
            )

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        since = max(since, until - timedelta(days=_ACTIVITY_DAYS))
        asked = f"eventTimestamp ge '{_stamp(since)}' and eventTimestamp le '{_stamp(until)}'"
        params = {"api-version": "2015-04-01", "$filter": asked}
        path = _ACTIVITY.format(id=stream.name)
        try:
            for page in self._azure().follow(path, params, paging=BodyLink(next="nextLink"), needs="Reader"):
                yield RawPage(
                    items=[_with_tenant(one, self._session.tenant) for one in page.items], next_token=page.next_token
                )
        except MissingScope as refused:
            refused.advice = refused.advice or _(
                "give it the role Reader on the subscriptions, or on a management group above them"
            )
            raise

    def _azure(self) -> Http:
        if self._opened is None:
            self._opened = self._session.management()
        return self._opened


def _with_tenant(event: Any, tenant: str) -> Any:
    """An event of Azure itself names no tenant where no claims come with it; the connection's is the one."""
    return event if not isinstance(event, dict) or event.get("tenantId") else {**event, "tenantId": tenant}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
