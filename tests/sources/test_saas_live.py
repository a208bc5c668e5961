"""The logs of Google, code hosts and SaaS read live, every call and answer held against the vendor's description."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import NOW
from tests.sources.examples import gcp, github, gitlab, okta, slack, workspace
from wardship.model.activity import Activity
from wardship.model.errors import AuthenticationFailed, ConfigError
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Connection, DriftLog
from wardship.sdk.registry import source
from wardship.sdk.source import LiveLog, LiveSource
from wardship.sim.kit import Wrong
from wardship.sim.logs import GOOGLE_TOKENS, LogApi

Held = Callable[..., Any]
HOUR = timedelta(hours=1)


def _login(at: datetime) -> dict[str, Any]:
    when = at.isoformat().replace("+00:00", ".000+0000")
    named = {"type": "LoginHistory", "url": "/services/data/v62.0/sobjects/LoginHistory/0Ya"}
    return {
        "attributes": named,
        "Id": f"0Ya{int(at.timestamp())}",
        "UserId": "0055j000000utlP",
        "LoginTime": when,
        "LoginType": "Remote Access 2.0",
        "SourceIp": "203.0.113.9",
        "Status": "Success",
        "Application": "Sync",
    }


def _push(at: datetime) -> dict[str, Any]:
    told = github("git.push", **{"@timestamp": int(at.timestamp() * 1000), "_document_id": at.isoformat()})
    return {name: value for name, value in told.items() if name not in ("actor_ip", "user_agent")}  # not described


def _stamped(record: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    return {**record, field: value}


# name of the simulated log -> (contract, an event at that time)
LOGS: Mapping[str, tuple[str, Callable[[datetime], dict[str, Any]]]] = {
    "github": ("github", _push),
    "okta": ("okta", lambda at: okta(published=at.isoformat(), uuid=at.isoformat())),
    "workspace": (
        "google-workspace-reports",
        lambda at: _stamped(
            workspace("token", "authorize", client_id="1-a"),
            "id",
            {"time": at.isoformat(), "uniqueQualifier": "-1", "applicationName": "token", "customerId": "C01"},
        ),
    ),
    "cloud_logging": ("gcp-logging", lambda at: _stamped(gcp(), "timestamp", at.isoformat())),
    "gitlab": ("gitlab", lambda at: gitlab(created_at=at.isoformat(), id=int(at.timestamp()))),
    "slack": ("slack-extra", lambda at: slack(date_create=int(at.timestamp()), id=at.isoformat())),
    "salesforce": ("salesforce", _login),
}


def api(name: str) -> LogApi:
    made = LogApi(name, clock=SimClock(NOW))
    made.events += [LOGS[name][1](NOW - hours * HOUR) for hours in range(5)]
    made.events.append(LOGS[name][1](NOW - 100 * HOUR))
    made.page_cap = 2
    return made


def opened(log: LogApi, connection: Connection) -> LiveLog:
    found = source(log.shape.source)
    assert isinstance(found, LiveSource)
    return found.live(connection)


def read(log: LogApi, connection: Connection, since: datetime = NOW - 6 * HOUR) -> list[Activity]:
    live, reads = opened(log, connection), source(log.shape.source)
    stream = next(iter(live.streams()))
    records = [item for page in live.fetch(stream, since, NOW) for item in page.items]
    # Plain copies: `parse` also asks for fields of the other forms of the log, which the interface does not describe.
    plain = json.loads(json.dumps(records))
    assert all(reads.claims(record) for record in plain)
    return [one for record in plain for one in reads.parse(record, DriftLog())]


@pytest.mark.parametrize("name", LOGS)
def test_the_window_is_read_page_by_page(name: str, contract: Held) -> None:
    log = api(name)
    held = contract(LOGS[name][0], undescribed=[GOOGLE_TOKENS])
    found = read(log, dataclasses.replace(log.connection(), wire=held.wire(log)))
    assert sorted(one.time for one in found) == [NOW - hours * HOUR for hours in (4, 3, 2, 1, 0)]
    assert sum(call.template not in ("/token", "/services/oauth2/token") for call in log.calls) >= 3


@pytest.mark.parametrize("name", LOGS)
def test_an_empty_window_is_no_error(name: str) -> None:
    log = api(name)
    log.events.clear()
    assert read(log, log.connection()) == []


@pytest.mark.parametrize("name", LOGS)
def test_one_throttled_answer_is_waited_for(name: str) -> None:
    log = api(name)
    log.faults.add(Wrong.THROTTLE, times=1)
    assert len(read(log, log.connection())) == 5


@pytest.mark.parametrize("name", LOGS)
def test_a_token_that_is_not_good_is_said(name: str) -> None:
    log = api(name)
    log.tokens.clear()
    with pytest.raises(AuthenticationFailed):
        read(log, log.connection())


class LogFiles:
    """A simulated Salesforce that also hands out event log files, which are no JSON."""

    def __init__(self, log: LogApi, files: Mapping[str, str]) -> None:
        self._log, self._files = log, files

    def httpx_transport(self) -> httpx.BaseTransport:
        inner = self._log.httpx_transport()

        def answer(request: httpx.Request) -> httpx.Response:
            asked = re.fullmatch(r"/services/data/v\d+\.0/sobjects/EventLogFile/(\w+)/LogFile", request.url.path)
            if asked is None:
                return inner.handle_request(request)
            if asked[1] not in self._files:
                return httpx.Response(404, json=[{"errorCode": "NOT_FOUND", "message": "simulated"}])
            return httpx.Response(200, text=self._files[asked[1]], headers={"content-type": "text/csv"})

        return httpx.MockTransport(answer)


@pytest.fixture
def _usual_fields() -> Iterator[None]:
    """The length at which a CSV field is refused belongs to the process: what ran before may have changed it."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("_usual_fields")
def test_event_log_files_are_read_where_the_connection_says_so() -> None:
    log = api("salesforce")
    log.events = [{"Id": f"0AT00000000000{name}", "LoginTime": NOW.isoformat()} for name in "abc"]
    heading = "EVENT_TYPE,TIMESTAMP,REQUEST_ID,USER_ID,CLIENT_IP,URI\n"
    rows = [f'RestApi,202603020815{n:02}.000,r{n},0055j000000utlP,203.0.113.9,"/a,\nb"\n' for n in range(3)]
    files = {"0AT00000000000a": heading + "".join(rows), "0AT00000000000b": heading + "x" * 200_000}
    plain = log.connection()
    connection = dataclasses.replace(
        plain, wire=LogFiles(log, files), settings={**plain.settings, "event_log_files": "yes"}
    )
    assert "EventLogFile" not in {one.name for one in opened(log, plain).streams()}
    live = opened(log, connection)
    (stream,) = [one for one in live.streams() if one.name == "EventLogFile"]
    pages = list(live.fetch(stream, NOW - 6 * HOUR, NOW))
    found = [
        one for page in pages for item in page.items for one in source("salesforce.events").parse(item, DriftLog())
    ]
    assert [(one.operation, one.src_ip) for one in found] == [("RestApi", "203.0.113.9")] * 3
    missing = [one.subject for page in pages for one in page.problems]
    assert missing == ["0AT00000000000b", "0AT00000000000c"], "what cannot be read is named, and the rest was read"


def test_gitlab_is_asked_a_month_at_a_time() -> None:
    log = api("gitlab")
    read(log, log.connection(), NOW - timedelta(days=70))
    asked = {(call.query["created_after"], call.query["created_before"]) for call in log.calls}
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("okta", {"url": ""}),
        ("okta", {"url": "https://user:pw@acme.okta.com"}),
        ("workspace", {"administrator": "nobody"}),
        ("workspace", {"administrator": "a@acme.example", "applications": "../users"}),
        ("cloud_logging", {"resources": "acme"}),
        ("salesforce", {"url": "not an address"}),
    ],
)
def test_settings_that_cannot_be_used_are_told_before_anything_is_sent(name: str, settings: dict[str, str]) -> None:
    log = api(name)
    with pytest.raises(ConfigError) as told:
        read(log, dataclasses.replace(log.connection(), settings=settings))
    assert told.value.advice
    assert log.calls == []


def test_a_key_file_that_is_none_is_told() -> None:
    log = api("workspace")
    with pytest.raises(ConfigError, match="key file"):
        read(log, dataclasses.replace(log.connection(), secret=lambda _name: log.connection().secret("token")))
