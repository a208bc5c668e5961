"""Logs read live: every stream from its own cursor, what refuses is named and the others go on."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import wardship.sources
from wardship.app import App
from wardship.model.errors import AuthenticationFailed, ConfigError, ConnectorError, MissingScope, Unavailable
from wardship.model.scan import Problem, RawPage
from wardship.sdk import registry
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.source import Stream
from wardship.services import connect, telemetry_sync
from wardship.services.telemetry_sync import StreamOutcome
from wardship.store import telemetry

START = datetime(2026, 6, 1, 12, tzinfo=UTC)

MODULE = """
from datetime import datetime
from wardship.model.activity import Activity
from wardship.sdk.connector import Evidence, Permission, Setting
from wardship.sdk.source import SourceManifest
from tests.services.test_telemetry_sync import FakeLog

MANIFEST = SourceManifest(
    name="acme.audit", title="Acme", forms=("JSON",), delay_hours=2.0, retention_days=30,
    settings=(Setting(name="url", help="where", required=True), Setting(name="token", help="what", secret=True)),
    permissions=(Permission(name="audit:read", why="reads the log"),),
    evidence=Evidence.DOCUMENTATION,
)

def claims(record):
    return "acme" in record

def parse(record, drift):
    at = datetime.fromisoformat(record["at"])
    return [Activity(uid=record["acme"], time=at, service="acme", operation="read")]

def live(connection):
    return FakeLog(connection)
"""


class FakeLog:
    """The log of a system whose state the test holds."""

    events: dict[str, list[datetime]]
    refusals: dict[str, ConnectorError]
    asked: list[tuple[str, datetime, datetime]]
    problems: list[Problem]
    whole_days: float | None

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        if connection.settings.get("url") == "nowhere":
            raise ConfigError("no such place")

    def streams(self) -> list[Stream]:
        return [Stream(name=name, authority="acme:1", whole_days=self.whole_days) for name in self.events]

    def fetch(self, stream: Stream, since: datetime, until: datetime) -> Iterator[RawPage]:
        FakeLog.asked.append((stream.name, since, until))
        self.stats.api_calls += 1
        found = [
            {"acme": f"{stream.name}-{at:%d%H%M}", "at": at.isoformat()}
            for at in self.events[stream.name]
            if since <= at < until
        ]
        yield RawPage(items=found, problems=self.problems)
        if stream.name in self.refusals:
            raise self.refusals[stream.name]


@pytest.fixture
def clock() -> list[datetime]:
    return [START]


@pytest.fixture
def app(tmp_path: Path, clock: list[datetime], monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "acme_audit.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setattr(wardship.sources, "__path__", [*wardship.sources.__path__, str(plugins)])
    FakeLog.events = {"eu": [START - timedelta(days=day) for day in (1, 2, 40)], "us": [START - timedelta(hours=3)]}
    FakeLog.refusals, FakeLog.asked, FakeLog.problems, FakeLog.whole_days = {}, [], [], None
    with App.create(tmp_path / "ws", clock=lambda: clock[0]) as made:
        connect.add(made.db, "test", "acme", "acme.audit", {"url": "https://acme.example", "token": "env:ACME"})
        yield made


def sync(app: App, **options: Any) -> list[StreamOutcome]:
    chosen = [app.connection(one) for one in connect.stored(app.db)]
    return list(telemetry_sync.sync(app.workspace, chosen, "test", **options))


def test_a_log_without_a_connector_is_connected_by_its_own_name(app: App) -> None:
    assert registry.is_log("acme.audit")
    assert not registry.is_log("aws.cloudtrail")
    assert [one.permission for one in connect.check(app.connection(connect.find(app.db, "acme")))] == ["audit:read"]
    with pytest.raises(ConfigError, match="url"):
        connect.add(app.db, "test", "other", "acme.audit", {})
    with pytest.raises(ConfigError, match="references only"):
        connect.add(app.db, "test", "other", "acme.audit", {"url": "x", "token": "literal"})


def test_every_stream_is_read_to_its_end_and_published(app: App) -> None:
    eu, us = sync(app)
    assert (eu.stream, eu.events, eu.problem) == ("eu", 2, None)
    assert (us.stream, us.events, us.api_calls) == ("us", 1, 1)
    assert FakeLog.asked[0] == ("eu", START - timedelta(days=30), START), "no further back than the vendor keeps"
    assert {(one.source, one.rows) for one in telemetry.live_files(app.db)} == {("acme.audit", 1)}
    windows = telemetry.windows(app.db, source="acme.audit")
    assert {(one.authority, one.stream, one.complete) for one in windows} == {
        ("acme:1", "eu", True),
        ("acme:1", "us", True),
    }
    assert {one.end_at for one in windows} == {START - timedelta(hours=2)}, "the newest hours may still fill up"


def test_a_vendor_who_says_neither_delay_nor_retention_is_read_back_as_we_choose(
    app: App, tmp_path: Path, clock: list[datetime]
) -> None:
    told = MODULE.replace("acme.audit", "quiet.audit").replace("delay_hours=2.0, retention_days=30,", "")
    (tmp_path / "plugins" / "quiet_audit.py").write_text(told, encoding="utf-8")
    importlib.invalidate_caches()
    connect.add(app.db, "test", "quiet", "quiet.audit", {"url": "https://quiet.example"})
    sync(app, only="quiet.audit")
    clock[0] += timedelta(hours=5)
    sync(app, only="quiet.audit")
    assert [since for stream, since, _until in FakeLog.asked if stream == "eu"] == [
        START - timedelta(days=telemetry_sync.FIRST_DAYS),
        START - timedelta(hours=telemetry_sync.UNTOLD_DELAY_HOURS),
    ]


def test_the_next_reading_goes_on_from_the_cursor_less_the_delay(app: App, clock: list[datetime]) -> None:
    sync(app)
    clock[0] += timedelta(hours=1)
    FakeLog.events["us"].append(START - timedelta(minutes=30))  # it came late
    eu, us = sync(app)
    assert FakeLog.asked[-1] == ("us", START - timedelta(hours=2), clock[0])
    assert (eu.events, us.events) == (0, 1)
    again = sync(app, since=START - timedelta(days=3))
    assert [(one.events, one.duplicates) for one in again] == [(0, 2), (0, 2)], "what is there is not doubled"


def test_a_stream_that_is_refused_is_named_and_the_others_are_read(app: App) -> None:
    FakeLog.refusals["eu"] = MissingScope("not allowed", scope="audit:read")
    eu, us = sync(app)
    assert (eu.problem, eu.missing, us.problem, us.events) == ("not allowed", "audit:read", None, 1)
    [window] = [one for one in telemetry.windows(app.db, source="acme.audit") if one.stream == "eu"]
    assert (window.complete, window.problem) == (False, "audit:read")
    assert telemetry_sync.read_until(app.db, "acme", "acme.audit", "eu") is None
    FakeLog.refusals.clear()
    assert sync(app)[0].problem is None


def test_an_outage_keeps_what_came_before_it_and_says_nothing_of_the_log(app: App) -> None:
    FakeLog.refusals["eu"] = Unavailable("no answer")
    eu, us = sync(app)
    assert (eu.problem, eu.events, us.events) == ("no answer", 2, 1)
    assert {one.stream for one in telemetry.windows(app.db, source="acme.audit")} == {"us"}
    FakeLog.refusals.clear()
    eu, _us = sync(app)
    assert (eu.problem, eu.events, eu.duplicates) == (None, 0, 2)


def test_a_part_that_could_not_be_read_makes_the_window_incomplete(app: App) -> None:
    FakeLog.problems = [Problem(reason="missing_permission", detail="a file is closed", permission="s3:GetObject")]
    eu, _us = sync(app)
    assert (eu.events, eu.problem, eu.missing) == (2, "a file is closed", "s3:GetObject")
    assert not any(one.complete for one in telemetry.windows(app.db, source="acme.audit"))
    assert "next reading" in eu.advice
    assert telemetry_sync.read_until(app.db, "acme", "acme.audit", "eu") is None, "once allowed, it is read after all"


def test_a_part_that_stays_broken_is_told_once_and_the_reading_goes_on_behind_it(
    app: App, clock: list[datetime]
) -> None:
    FakeLog.problems = [Problem(reason="unreadable", detail="a file is broken", subject="f")] * 3
    eu, _us = sync(app)
    assert eu.problem == "a file is broken (and 2 more)"
    assert "--source acme.audit --since 2026-05-02" in eu.advice
    FakeLog.problems = []
    clock[0] += timedelta(hours=1)
    sync(app)
    assert FakeLog.asked[-1] == ("us", START - timedelta(hours=2), clock[0])
    told = [
        (one.start_at, one.complete) for one in telemetry.windows(app.db, source="acme.audit") if one.stream == "eu"
    ]
    assert told == [(START - timedelta(days=30), False), (START - timedelta(hours=2), True)], "the hole stays known"


@pytest.mark.parametrize(("of_stream", "days"), [(None, 30), (7, 7), (45, 45)])
def test_what_is_older_than_the_vendor_keeps_whole_is_read_and_not_called_complete(
    of_stream: float | None, days: int, app: App
) -> None:
    FakeLog.whole_days = of_stream
    eu, _us = sync(app, since=START - timedelta(days=60))
    assert eu.events == 3, "one is forty days old"
    found = telemetry.windows(app.db, source="acme.audit")
    assert {(one.start_at, one.complete) for one in found} == {(START - timedelta(days=days), True)}


def test_a_refused_credential_ends_that_log_and_no_other(app: App) -> None:
    connect.add(app.db, "test", "zeta", "acme.audit", {"url": "nowhere"})
    FakeLog.refusals["eu"] = AuthenticationFailed("refused")
    outcomes = sync(app)
    assert [(one.connection, one.stream, one.problem) for one in outcomes] == [
        ("acme", "eu", "refused"),
        ("zeta", "", "no such place"),
    ]


def test_an_unreadable_record_is_quarantined_and_the_stream_goes_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_log: FakeLog, _stream: Stream, _since: datetime, _until: datetime) -> Iterator[RawPage]:
        good = {"acme": "1", "at": "2026-05-30T00:00:00+00:00"}
        yield RawPage(items=[good, {"acme": "2", "at": "yesterday"}, "no object"])

    monkeypatch.setattr(FakeLog, "fetch", fetch)
    eu, _us = sync(app)
    assert (eu.events, eu.quarantined, eu.problem) == (1, 2, None)


def test_connections_without_a_live_log_are_told_so(app: App) -> None:
    with pytest.raises(ConfigError, match="read live"):
        sync(app, only="aws.none")
