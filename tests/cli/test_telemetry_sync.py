"""telemetry sync: what was read is said stream by stream, what was not is named, and the code says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import wardship.sources
from tests.cli.conftest import Command
from tests.services.test_telemetry_sync import MODULE, FakeLog
from wardship.app import wall_clock
from wardship.model.errors import MissingScope


@pytest.fixture(autouse=True)
def _workspace(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "acme_audit.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setattr(wardship.sources, "__path__", [*wardship.sources.__path__, str(plugins)])
    monkeypatch.setenv("WARDSHIP_WORKSPACE", "w")
    now = wall_clock()
    FakeLog.events = {"eu": [now - timedelta(days=1)], "us": [now - timedelta(hours=3)]}
    FakeLog.refusals, FakeLog.asked, FakeLog.problems, FakeLog.whole_days = {}, [], [], None
    assert run("init").code == 0
    assert run("connect", "add", "acme.audit", "acme", "url=https://acme.example", "token=env:ACME").code == 0


def test_each_stream_is_told_and_nothing_is_counted_twice(run: Command) -> None:
    ran = run("telemetry", "sync")
    assert ran.code == 0
    assert "acme acme.audit eu: 1 new events" in ran.out
    assert "acme acme.audit us: 1 new events" in ran.out
    assert "0 new events, 1 known" in run("telemetry", "sync", "acme", "--since", "7d").out


def test_what_is_refused_is_named_and_ends_with_incomplete(run: Command) -> None:
    FakeLog.refusals["eu"] = MissingScope("not allowed", scope="audit:read", advice="ask for it")
    ran = run("telemetry", "sync")
    assert ran.code == 3
    assert "missing: audit:read" in ran.err
    assert "ask for it" in ran.err
    assert "us: 1 new events" in ran.out


def test_a_scan_leaves_logs_to_their_command(run: Command) -> None:
    ran = run("scan", "acme")
    assert "wardship telemetry sync acme" in ran.err


def test_a_log_that_no_connection_has_is_a_mistake(run: Command) -> None:
    assert run("telemetry", "sync", "--source", "aws.cloudtrail").code == 2
    assert run("telemetry", "sync", "nobody").code == 2
