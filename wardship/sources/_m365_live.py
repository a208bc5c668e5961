"""The unified audit log of Microsoft 365 read live, through the Office 365 Management Activity API.

Microsoft packs events into blobs as they arrive, lists the blobs of at most a day by when they were made, and keeps
them for seven days. So a window here is one of arrival: an event is in a later one than it is of, and what is late by
up to a day is read by the next reading, which goes back that far.

A kind of content is packed only from when a subscription to it was started, which changes the tenant: we never do that,
and say of a kind without one how an administrator does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from wardship.model.errors import ConnectorError, NotVisible, RateLimited, UnexpectedResponse
from wardship.model.scan import Problem, RawPage
from wardship.sdk import registry
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.http import Http, Refusal
from wardship.sdk.i18n import _
from wardship.sdk.paging import HeaderUrl, items_at
from wardship.sdk.source import Stream

CONTENT_TYPES = ("Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General")
KEPT_DAYS = 7
_NEEDS = "ActivityFeed.Read"
_AT_MOST = timedelta(days=1)  # of one listing
_MARGIN = timedelta(minutes=10)  # a start of exactly seven days ago has passed when the call arrives


class _Session(Protocol):
    """What the connector `entra` gives."""

    tenant: str

    def office(self, classify: Any) -> Http: ...


class UnifiedAuditLog:
    """`LiveLog` of Microsoft 365: a stream for each kind of content. Data loss prevention, whose records hold what was
    to be protected, is left out."""

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        self._session: _Session = registry.connector_module("entra").session(connection, self.stats)
        self._opened: Http | None = None

    def streams(self) -> Iterator[Stream]:
        """Raises NotVisible where the connection cannot reach the API at all."""
        self._http()
        for kind in CONTENT_TYPES:
            yield Stream(name=kind, authority=f"entra:{self._session.tenant}", whole_days=KEPT_DAYS)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        """Raises NotVisible for a kind of content that nobody subscribed to."""
        start = max(since, until - timedelta(days=KEPT_DAYS) + _MARGIN).replace(microsecond=0)
        last = until.replace(microsecond=0)  # the API takes whole seconds; what is left out is read the next time
        while start < last:
            end = min(start + _AT_MOST, last)
            yield from self._packed(stream.name, start, end)
            start = end

    def _packed(self, kind: str, start: datetime, end: datetime) -> Iterator[RawPage]:
        feed = f"/api/v1.0/{self._session.tenant}/activity/feed"
        asked = {
            "contentType": kind,
            "startTime": _stamp(start),
            "endTime": _stamp(end),
            "PublisherIdentifier": self._session.tenant,  # else the quota is shared with others that leave it out
        }
        for page in self._http().follow(
            f"{feed}/subscriptions/content", asked, paging=HeaderUrl("NextPageUri"), needs=_NEEDS
        ):
            yield from self._http().map(self._blob, [_uri(one) for one in page.items])

    def _blob(self, uri: str) -> RawPage:
        """One blob's events; where it has expired since it was listed, that it is missing."""
        try:
            body = self._http().get_json(uri, needs=_NEEDS)
        except NotVisible as gone:
            return RawPage(items=[], problems=[Problem.of(gone)])
        return RawPage(items=items_at(body, None, "page"))

    def _http(self) -> Http:
        if self._opened is None:
            self._opened = self._session.office(_classify)
        return self._opened


def _uri(blob: Any) -> str:
    """Where a listed blob is. Raises UnexpectedResponse: one that is passed over would be events that nobody misses."""
    uri = blob.get("contentUri") if isinstance(blob, dict) else None
    if not isinstance(uri, str):
        raise UnexpectedResponse(_("audit content was listed without its address"), operation="page")
    return uri


def _classify(refusal: Refusal) -> ConnectorError | None:
    """What the API says with a general refusal and a code of its own."""
    if refusal.code in ("AF20022", "AF20023"):  # no subscription, or a disabled one
        return NotVisible(
            _("no subscription to this kind of content: Microsoft 365 does not hand it out yet"),
            advice=_(
                "an administrator starts it once, which Wardship never does: POST .../activity/feed/subscriptions/start"
                "?contentType=...; and turns auditing on in the Purview portal"
            ),
        )
    if refusal.code in ("AF20050", "AF20051"):
        return NotVisible(_("audit content that was listed is no longer there"))
    if refusal.code == "AF429":
        return RateLimited(_("%(operation)s: asked too often") % {"operation": refusal.operation})
    return None


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
