"""The logs of Google, code hosts and SaaS read live: each lists its events by time, page by page.

Both ends of a window may belong to it; what is read twice is dropped by ingest. Records are given as the vendor gives
them. GitHub is read with a connection of the connector `github`; the others have settings of their own.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

from wardship.model.errors import ConfigError, NotVisible, UnexpectedResponse
from wardship.model.scan import Problem, RawPage
from wardship.model.secret import Secret
from wardship.sdk import registry
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.http import Http, web_address
from wardship.sdk.i18n import _
from wardship.sdk.oauth import Auth, ClientCredentials, StaticHeader, rsa_key, signed_jwt
from wardship.sdk.pace import TokenBucket
from wardship.sdk.paging import Answer, BodyLink, Cursor, HeaderLink, Page
from wardship.sdk.source import Stream

GOOGLE_TOKENS = "https://oauth2.googleapis.com"
WORKSPACE_APPLICATIONS = (
    "admin login token user_accounts groups groups_enterprise drive saml rules mobile gcp context_aware_access"
).split()
_SALESFORCE, _READS_LOG_FILES = "/services/data/v62.0", "View Event Log Files"
_SALESFORCE_DAYS = 180  # LoginHistory and SetupAuditTrail
_LOG_FILES, _LOG_FILE_DAYS = "EventLogFile", 30  # with the add-on; a day without it
_SALESFORCE_ID = re.compile(r"[A-Za-z0-9]{15,18}")
_ROWS = 1_000  # of a log file that are handed on at once
_GIT_EVENT_DAYS = 7  # GitHub; all else in its audit log is kept for 180 days
_DATA_ACCESS_DAYS = 30  # of Google Cloud, where no bucket of the customer's keeps them longer; admin activity 400
_WINDOW = timedelta(days=30)  # GitLab refuses a longer one for groups and projects
_LOGIN_HISTORY = (
    "Id, UserId, LoginTime, LoginType, LoginSubType, SourceIp, Status, Application, Browser, Platform, ApiType, "
    "ApiVersion, ClientVersion, CountryIso"
)
_SETUP_TRAIL = (
    "Id, Action, Section, CreatedDate, CreatedById, CreatedBy.Username, Display, DelegateUser, CreatedByContext"
)
_OBJECTS = {"LoginHistory": ("LoginTime", _LOGIN_HISTORY), "SetupAuditTrail": ("CreatedDate", _SETUP_TRAIL)}


class _Where(Protocol):
    @property
    def authority(self) -> str: ...


class _GitHubSession(Protocol):
    """What the connector `github` gives."""

    api: Http
    organisation: str

    @property
    def where(self) -> _Where: ...


@dataclass(frozen=True)
class _MaybeItems(Cursor):
    """A cursor of Google's: an empty page has no list at all."""

    def page(self, answer: Answer) -> Page:
        body = answer.body
        if isinstance(body, dict) and self.items not in body:
            body = {**body, self.items: []}
        return Cursor.page(self, Answer(body=body, response=answer.response, token=answer.token))


class _Log:
    """What these logs have in common. `base_url` and `auth` make the client, when it is first needed."""

    system = ""
    per_second: float | None = None  # the vendor's limit of reads, where it is lower than we would go

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        self._connection = connection
        self._client: Http | None = None

    def base_url(self) -> str:
        raise NotImplementedError

    def auth(self) -> Auth:
        raise NotImplementedError

    @property
    def http(self) -> Http:
        if self._client is None:
            paced = self.per_second is not None and self._connection.wire is None
            self._client = Http.of(
                self._connection,
                self.base_url(),
                stats=self.stats,
                system=self.system,
                auth=self.auth(),
                bucket=TokenBucket(self.per_second or 1.0, 10, monotonic=time.monotonic) if paced else None,
                allow_private=self._connection.flag("private_network", default=False),
            )
        return self._client

    def setting(self, name: str, default: str = "") -> str:
        return (self._connection.settings.get(name) or default).strip()

    def names(self, name: str) -> list[str]:
        """A setting that holds several, with commas."""
        return [found.strip() for found in self.setting(name).split(",") if found.strip()]

    def token(self) -> Secret:
        return self._connection.secret("token")


def _origin(url: str, setting: str) -> str:
    """The address of a system as it was set, also without "https://". Raises ConfigError."""
    given = (url if "://" in url else f"https://{url}").rstrip("/")
    found = web_address(given)
    if found is None or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]{1,253}", found.host):
        raise ConfigError(
            _("%(setting)s must be the address of the system") % {"setting": setting},
            advice=_("for example https://acme.example.com"),
        )
    return given


def _host(url: str) -> str:
    found = web_address(url)
    return found.host if found else url


def _from(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _to(at: datetime) -> str:
    """The next whole second: the last part of one would be left out otherwise."""
    return _from(at + timedelta(microseconds=999_999))


def _raw(pages: Iterator[Page]) -> Iterator[RawPage]:
    for page in pages:
        yield RawPage(items=page.items, next_token=page.next_token)


# ------------------------------------------------------------------ GitHub


class GitHubLog:
    """`LiveLog` of one organisation's audit log, Git events included. Needs GitHub Enterprise Cloud."""

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        opened: _GitHubSession = registry.connector_module("github").session(connection, self.stats)
        self._session = opened

    def streams(self) -> Iterator[Stream]:
        name, authority = self._session.organisation.lower(), self._session.where.authority
        yield Stream(name=name, authority=authority, whole_days=_GIT_EVENT_DAYS)

    def fetch(
        self,
        stream: Stream,  # noqa: ARG002 - there is one
        since: datetime,
        until: datetime,
    ) -> Iterator[RawPage]:
        params = {
            "phrase": f"created:{_from(since)}..{_to(until)}",
            "include": "all",
            "order": "asc",
            "per_page": 100,
        }
        path = f"/orgs/{self._session.organisation}/audit-log"
        return _raw(self._session.api.follow(path, params, paging=HeaderLink(), needs="read:audit_log"))


# ------------------------------------------------------------------ Okta, GitLab, Slack


class OktaLog(_Log):
    """`LiveLog` of one organisation. An empty page ends it: Okta links to a next one for as long as it is polled."""

    system = "Okta"
    per_second = 1.0  # 60 a minute is the least that a plan has for /api/v1/logs (Okta's rate limits, read 2026-11)

    def base_url(self) -> str:
        return _origin(self.setting("url"), "url")

    def auth(self) -> Auth:
        return StaticHeader("authorization", self.token, "SSWS ")

    def streams(self) -> Iterator[Stream]:
        host = _host(self.base_url())
        yield Stream(name=host, authority=f"okta:{host}")

    def fetch(
        self,
        stream: Stream,  # noqa: ARG002 - there is one
        since: datetime,
        until: datetime,
    ) -> Iterator[RawPage]:
        params = {"since": _from(since), "until": _to(until), "limit": 1000, "sortOrder": "ASCENDING"}
        for page in self.http.follow("/api/v1/logs", params, paging=HeaderLink(), needs="okta.logs.read"):
            if not page.items:
                return
            yield RawPage(items=page.items, next_token=page.next_token)


class GitLabLog(_Log):
    """`LiveLog` of groups, or of the whole instance where none is named (an administrator's token)."""

    system = "GitLab"

    def base_url(self) -> str:
        return _origin(self.setting("url", "https://gitlab.com"), "url") + "/api/v4"

    def auth(self) -> Auth:
        return StaticHeader("private-token", self.token)

    def streams(self) -> Iterator[Stream]:
        authority = f"gitlab:{_host(self.base_url())}"
        for name in self.names("groups") or [""]:
            yield Stream(name=name or "instance", authority=authority)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        group = quote(stream.name, safe="")
        path = "/audit_events" if not self.names("groups") else f"/groups/{group}/audit_events"
        start = since
        while start < until:
            end = min(start + _WINDOW, until)
            params = {
                "created_after": _from(start),
                "created_before": _to(end),
                "pagination": "keyset",
                "per_page": 100,
            }
            yield from _raw(self.http.follow(path, params, paging=HeaderLink(), needs="read_api"))
            start = end


class SlackLog(_Log):
    """`LiveLog` of an Enterprise organisation; the token is one of its owner's, with auditlogs:read."""

    system = "Slack"
    per_second = 50 / 60  # tier 3

    def base_url(self) -> str:
        return _origin(self.setting("url", "https://api.slack.com"), "url")

    def auth(self) -> Auth:
        return StaticHeader("authorization", self.token, "Bearer ")

    def streams(self) -> Iterator[Stream]:
        yield Stream(name="organisation", authority="slack")

    def fetch(
        self,
        stream: Stream,  # noqa: ARG002 - there is one
        since: datetime,
        until: datetime,
    ) -> Iterator[RawPage]:
        params = {"oldest": int(since.timestamp()), "latest": int(until.timestamp()) + 1, "limit": 1000}
        paging = Cursor(next="response_metadata.next_cursor", items="entries")
        return _raw(self.http.follow("/audit/v1/logs", params, paging=paging, needs="auditlogs:read"))


# ------------------------------------------------------------------ Google


class _GoogleLog(_Log):
    """Signs in as a service account, with its key file; `subject` is the administrator it stands in for."""

    scope = ""

    def subject(self) -> str | None:
        return None

    def auth(self) -> Auth:
        tokens = Http.of(self._connection, GOOGLE_TOKENS, stats=self.stats, system="Google")
        return ClientCredentials(tokens, "/token", self._form, clock=self._connection.clock)

    def _form(self) -> Mapping[str, str | Secret]:
        email, pem = self._key()
        key = rsa_key(pem)
        if key is None:
            raise _no_key()
        now = int(self._connection.clock().timestamp())
        claims = {
            "iss": email,
            "scope": self.scope,
            "aud": f"{GOOGLE_TOKENS}/token",
            "iat": now - 60,
            "exp": now + 3_000,
        }
        if subject := self.subject():
            claims["sub"] = subject
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed_jwt(key, claims)}

    def _key(self) -> tuple[str, Secret]:
        """(e-mail, private key) of the service account's key file. Raises ConfigError."""
        try:
            read = json.loads(self._connection.secret("key").reveal())
            return str(read["client_email"]), Secret(str(read["private_key"]))
        except (ValueError, KeyError, TypeError):
            raise _no_key() from None


def _no_key() -> ConfigError:
    return ConfigError(
        _("the setting key does not hold a service account's key file"),
        advice=_("refer to the JSON file that Google gave, as file:/path"),
    )


class WorkspaceLog(_GoogleLog):
    """`LiveLog` of the Reports API: one stream for each application."""

    system = "Google Workspace"
    scope = "https://www.googleapis.com/auth/admin.reports.audit.readonly"

    def base_url(self) -> str:
        return "https://admin.googleapis.com"

    def subject(self) -> str | None:
        found = self.setting("administrator")
        if "@" not in found:
            raise ConfigError(
                _("administrator must be the e-mail of one who may see the reports"),
                advice=_("the service account acts for that person, by domain-wide delegation"),
            )
        return found

    def streams(self) -> Iterator[Stream]:
        authority = f"google:{(self.subject() or '').rpartition('@')[2].lower()}"
        for name in self.names("applications") or WORKSPACE_APPLICATIONS:
            if not re.fullmatch(r"[a-z_]{1,64}", name):
                raise ConfigError(
                    _("no application of the reports is called %(name)r") % {"name": name[:80]},
                    advice=_("for example: %(names)s") % {"names": ", ".join(WORKSPACE_APPLICATIONS)},
                )
            yield Stream(name=name, authority=authority)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        path = f"/admin/reports/v1/activity/users/all/applications/{stream.name}"
        params = {"startTime": _from(since), "endTime": _to(until), "maxResults": 1000}
        paging = _MaybeItems(param="pageToken", next="nextPageToken", items="items")
        return _raw(self.http.follow(path, params, paging=paging, needs=self.scope))


class CloudLoggingLog(_GoogleLog):
    """`LiveLog` of audit logs in Cloud Logging: one stream for each organisation, folder or project that is named."""

    system = "Google Cloud"
    scope = "https://www.googleapis.com/auth/logging.read"
    per_second = 1.0  # 60 entries.list a minute for each project (Cloud Logging's quotas, read 2026-11)

    def base_url(self) -> str:
        return "https://logging.googleapis.com"

    def streams(self) -> Iterator[Stream]:
        names = self.names("resources")
        if not names or not all(re.fullmatch(r"(organizations|folders|projects)/[\w.:-]{1,100}", one) for one in names):
            raise ConfigError(
                _("resources must name organisations, folders or projects"),
                advice=_("for example organizations/123456789 or projects/acme-prod"),
            )
        for name in names:
            yield Stream(name=name, authority=f"gcp:{name.partition('/')[2]}", whole_days=_DATA_ACCESS_DAYS)

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        window = f'timestamp>="{_from(since)}" AND timestamp<"{_to(until)}"'
        asked: dict[str, Any] = {
            "resourceNames": [stream.name],
            "filter": f'logName:"cloudaudit.googleapis.com" AND {window}',
            "orderBy": "timestamp asc",
            "pageSize": 1000,
        }
        token = None
        while True:
            body = self.http.post_json(
                "/v2/entries:list",
                {**asked, **({"pageToken": token} if token else {})},
                needs="logging.logEntries.list",
                idempotent=True,
            )
            if not isinstance(body, dict) or not isinstance(body.get("entries", []), list):
                raise UnexpectedResponse(_("the answer is not a list"), system=self.system, operation="entries.list")
            following = body.get("nextPageToken") or None
            if following is not None and following == token:
                raise UnexpectedResponse(_("a page names itself as the next"), system=self.system, operation="token")
            yield RawPage(items=body.get("entries", []), next_token=following)
            if following is None:
                return
            token = following


# ------------------------------------------------------------------ Salesforce


class SalesforceLog(_Log):
    """`LiveLog` of sign-ins and setup changes, by SOQL, and where the connection says so of daily event log files."""

    system = "Salesforce"

    def base_url(self) -> str:
        return _origin(self.setting("url"), "url")

    def auth(self) -> Auth:
        tokens = Http.of(self._connection, self.base_url(), stats=self.stats, system=self.system)
        return ClientCredentials(tokens, "/services/oauth2/token", self._form, clock=self._connection.clock)

    def _form(self) -> Mapping[str, str | Secret]:
        return {
            "grant_type": "client_credentials",
            "client_id": self.setting("client_id"),
            "client_secret": self._connection.secret("client_secret"),
        }

    def streams(self) -> Iterator[Stream]:
        for name in _OBJECTS:
            yield Stream(name=name, authority=self._authority, whole_days=_SALESFORCE_DAYS)
        if self._connection.flag("event_log_files", default=False):
            yield Stream(name=_LOG_FILES, authority=self._authority, whole_days=_LOG_FILE_DAYS)

    @property
    def _authority(self) -> str:
        return f"salesforce:{_host(self.base_url())}"

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        if stream.name == _LOG_FILES:
            return self._log_files(since, until)
        clock, fields = _OBJECTS[stream.name]
        window = f"{clock} >= {_from(since)} AND {clock} <= {_to(until)}"
        query = f"SELECT {fields} FROM {stream.name} WHERE {window} ORDER BY {clock}"  # noqa: S608 - SOQL of our own words
        return _raw(self._asked(query, "View Setup and Configuration"))

    def _asked(self, query: str, needs: str) -> Iterator[Page]:
        paging = BodyLink(next="nextRecordsUrl", items="records")
        return self.http.follow(f"{_SALESFORCE}/query", {"q": query}, paging=paging, needs=needs)

    def _log_files(self, since: datetime, until: datetime) -> Iterator[RawPage]:
        """What is in the files that were made in the window: those of a day are made on the next."""
        window = f"CreatedDate >= {_from(since)} AND CreatedDate <= {_to(until)}"
        query = f"SELECT Id FROM {_LOG_FILES} WHERE {window} AND Interval = 'Daily' ORDER BY CreatedDate"  # noqa: S608 - as above
        for page in self._asked(query, _READS_LOG_FILES):
            for one in page.items:
                ident = one.get("Id") if isinstance(one, dict) else None
                if not isinstance(ident, str) or not _SALESFORCE_ID.fullmatch(ident):
                    raise UnexpectedResponse(_("an event log file without an id"), system=self.system)
                yield from self._log_file(ident)

    def _log_file(self, ident: str) -> Iterator[RawPage]:
        """One file's rows; where it is too large or gone, that it is missing."""
        path = f"{_SALESFORCE}/sobjects/{_LOG_FILES}/{ident}/LogFile"
        try:
            text = self.http.request("GET", path, headers={"accept": "text/csv"}, needs=_READS_LOG_FILES).text
        except (UnexpectedResponse, NotVisible) as refused:
            yield RawPage(items=[], problems=[Problem.of(refused, ident)])
            return
        rows = csv.DictReader(io.StringIO(text, newline=""))
        try:
            while some := list(itertools.islice(rows, _ROWS)):
                yield RawPage(items=[{name: value for name, value in row.items() if name is not None} for row in some])
        except csv.Error:
            broken = UnexpectedResponse(_("an event log file that cannot be read to its end"), system=self.system)
            yield RawPage(items=[], problems=[Problem.of(broken, ident)])
