"""The log interfaces of Google, GitHub, Okta, GitLab, Slack and Salesforce, simulated: one table, a line for each.

    api = LogApi("okta", clock=clock)
    api.events.append({...})            # as the vendor writes them
    log = source("okta.system_log").live(api.connection())

Each pages, refuses without its token, and gives what lies in the window that was asked for. Faults are the kit's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.sim.kit import Answer, Call, CursorPages, LinkPages, Pages, Refuse, Row, Simulator, Words

TOKEN = "simulated-reader"  # noqa: S105 - of a simulated system
GOOGLE_TOKENS = "oauth2.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShape:
    """One vendor's log: where it is asked, how a window is said, how it pages, how one signs in."""

    source: str
    host: str
    path: str
    since: str = ""  # the parameter that begins the window; "": see `window`
    until: str = ""
    clock: Callable[[Row], Any]  # the time of an event, comparable to what the parameters say
    pages: Pages
    method: str = "GET"
    header: str = "authorization"
    prefix: str = "Bearer "
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ("token",)
    window: Callable[[Call], tuple[Any, Any]] | None = None


def _iso(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refuse(400, "invalid", "a time that cannot be read") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _epoch(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _in_text(pattern: str, text: Callable[[Call], str]) -> Callable[[Call], tuple[datetime, datetime]]:
    """A window inside a query: `pattern` has two groups."""

    def window(call: Call) -> tuple[datetime, datetime]:
        found = re.search(pattern, text(call))
        if found is None:
            raise Refuse(400, "invalid", "no window in the query")
        return _iso(found[1]), _iso(found[2])

    return window


@dataclass(frozen=True, slots=True, kw_only=True)
class _BodyCursor:
    """Google's POST: the token and the size are in the body, an empty page has no list."""

    items: str

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        asked = call.body if isinstance(call.body, dict) else {}
        start = int(asked.get("pageToken") or 0)
        size = min(int(asked.get("pageSize", 50)), call.page_cap or 1000)
        page = list(rows[start : start + size])
        if short:
            return {self.items: page[: len(page) // 2]}
        more = {"nextPageToken": str(start + size)} if start + size < len(rows) else {}
        return {**({self.items: page} if page else {}), **more}

    def one(self, _call: Call, row: Row) -> Any:
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nested:
    """Slack's cursor, which lies one level down; Google's lists, which are absent when empty."""

    inner: CursorPages
    under: str = ""

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        body = dict(self.inner.answer(call, rows, short=short))
        following = body.pop(self.inner.next)
        if self.under:
            body[self.under] = {self.inner.next: following or ""}
        elif following:
            body[self.inner.next] = following
        if not body[self.inner.items] and not self.under:
            del body[self.inner.items]
        return body

    def one(self, _call: Call, row: Row) -> Any:
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Soql:
    """Salesforce's query: records, and the address of the rest."""

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        start = int(call.query.get("from", "0"))
        size = call.page_cap or 2000
        page = list(rows[start : start + size])
        body: Row = {"totalSize": len(rows), "done": start + size >= len(rows), "records": page}
        if short:
            return {**body, "done": True, "records": page[: len(page) // 2]}
        if not body["done"]:
            body["nextRecordsUrl"] = f"/services/data/v62.0/query/01g-{start + size}"
        return body

    def one(self, _call: Call, row: Row) -> Any:
        return row


SHAPES: Mapping[str, LogShape] = {
    "github": LogShape(
        source="github.audit",
        host="api.github.com",
        path="/orgs/{org}/audit-log",
        window=_in_text(r"created:(\S+?)\.\.(\S+)", lambda call: call.query.get("phrase", "")),
        clock=lambda event: _epoch(event["@timestamp"]),
        pages=LinkPages(page_param="after"),
        settings={"organisation": "acme"},
    ),
    "okta": LogShape(
        source="okta.system_log",
        host="acme.okta.com",
        path="/api/v1/logs",
        since="since",
        until="until",
        clock=lambda event: _iso(event["published"]),
        pages=LinkPages(size_param="limit", page_param="after", most=1000),
        prefix="SSWS ",
        settings={"url": "https://acme.okta.com"},
    ),
    "gitlab": LogShape(
        source="gitlab.audit",
        host="gitlab.com",
        path="/api/v4/groups/{group}/audit_events",
        since="created_after",
        until="created_before",
        clock=lambda event: _iso(event["created_at"]),
        pages=LinkPages(),
        header="private-token",
        prefix="",
        settings={"groups": "acme"},
    ),
    "slack": LogShape(
        source="slack.audit",
        host="api.slack.com",
        path="/audit/v1/logs",
        window=lambda call: (
            _epoch(int(call.query["oldest"]) * 1000),
            _epoch(int(call.query["latest"]) * 1000),
        ),
        clock=lambda event: _epoch(event["date_create"] * 1000),
        pages=_Nested(inner=CursorPages(items="entries", most=9999), under="response_metadata"),
    ),
    "workspace": LogShape(
        source="google.workspace",
        host="admin.googleapis.com",
        path="/admin/reports/v1/activity/users/all/applications/{application}",
        since="startTime",
        until="endTime",
        clock=lambda event: _iso(event["id"]["time"]),
        pages=_Nested(
            inner=CursorPages(items="items", next="nextPageToken", param="pageToken", size_param="maxResults")
        ),
        settings={"administrator": "admin@acme.example", "applications": "token"},
        secrets=("key",),
    ),
    "cloud_logging": LogShape(
        source="gcp.audit",
        host="logging.googleapis.com",
        path="/v2/entries:list",
        method="POST",
        window=_in_text(
            r'timestamp>="(\S+?)" AND timestamp<"(\S+?)"', lambda call: str((call.body or {}).get("filter"))
        ),
        clock=lambda event: _iso(event["timestamp"]),
        pages=_BodyCursor(items="entries"),
        settings={"resources": "projects/acme-prod"},
        secrets=("key",),
    ),
    "salesforce": LogShape(
        source="salesforce.events",
        host="example.my.salesforce.com",
        path="/services/data/{version}/query",
        window=_in_text(r">= (\S+) AND \w+ <= (\S+)", lambda call: call.query.get("q", "")),
        clock=lambda event: _iso(event["LoginTime"]),
        pages=_Soql(),
        settings={"url": "https://example.my.salesforce.com", "client_id": "3MVG9"},
        secrets=("client_secret",),
    ),
}


class LogApi(Simulator):
    """One of `SHAPES`, with its `events`."""

    def __init__(self, name: str, *, clock: Callable[[], datetime]) -> None:
        self.shape = SHAPES[name]
        self.events: list[Row] = []
        self._last: Sequence[Row] = ()
        words = Words(token_header=self.shape.header, token_prefix=self.shape.prefix)
        super().__init__(name, clock=clock, hosts=(self.shape.host, GOOGLE_TOKENS), words=words)
        self.grant(TOKEN)
        self.on(self.shape.method, self.shape.path)(self._listed)
        for path in ("/token", "/services/oauth2/token"):
            self.on("POST", path, public=True)(_token)
        if name == "salesforce":
            self.on("GET", "/services/data/{version}/query/{locator}")(self._rest)

    def connection(self, name: str = "log") -> Connection:
        """A connection that reads this log."""
        return Connection(
            name=name,
            connector=self.shape.source,
            settings={**self.shape.settings, **dict.fromkeys(self.shape.secrets, "env:SIMULATED")},
            secret=lambda asked: Secret(_key_file()) if asked == "key" else Secret(TOKEN),
            clock=self.clock,
            wire=self,
        )

    def _listed(self, call: Call) -> Any:
        since, until = self._window(call)
        rows = [event for event in self.events if since <= self.shape.clock(event) <= until]
        self._last = rows
        return self.shape.pages.answer(call, rows, short=self.faults.shaping() == "short")

    def _rest(self, call: Call) -> Any:
        """Salesforce remembers a query by its locator: the offset is at its end."""
        start = call.path["locator"].rpartition("-")[2]
        again = Call(**{**{name: getattr(call, name) for name in Call.__slots__}, "query": {"from": start}})
        return self.shape.pages.answer(again, self._last, short=False)

    def _window(self, call: Call) -> tuple[Any, Any]:
        if self.shape.window is not None:
            return self.shape.window(call)
        return _iso(call.query.get(self.shape.since, "")), _iso(call.query.get(self.shape.until, ""))


def _token(call: Call) -> Any:
    """A token for whoever proves itself with a signed assertion or a client secret."""
    proof = (call.body or {}).get("assertion") or (call.body or {}).get("client_secret")
    if not proof:
        return Answer(400, {"error": "invalid_grant"})
    return {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}


@cache
def _key_file() -> str:
    """A service account's key file, its key made here and now."""
    import json

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps({"client_email": "reader@acme-prod.iam.gserviceaccount.com", "private_key": pem})
