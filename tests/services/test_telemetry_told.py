"""What only the importer knows of a log reaches its events."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from wardship.model.errors import ConfigError
from wardship.sdk.connector import DriftLog
from wardship.sdk.source import Source
from wardship.services.telemetry import attempt, source_of, windows_of

LINES = (
    "Oct 11 09:10:48 web1 sshd[25494]: Accepted password for deploy from 203.0.113.9 port 22 ssh2",
    "Feb 22 16:45:20 web1 sudo: deploy : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/true",
)


def test_a_log_without_years_is_read_when_the_importer_says_of_when_it_is(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    said = source_of("linux.auth", as_of=datetime(2026, 3, 1, tzinfo=UTC), time_zone="Europe/Madrid")
    alone = attempt([log], "linux.auth")
    together = attempt([log], said)
    assert alone.events == 0
    assert together.events == 2


def test_a_database_is_named_by_the_importer() -> None:
    said = cast("Source", source_of("postgresql.log", authority="postgresql:42"))
    line = "2026-03-01 10:00:00 UTC [1] LOG:  connection authorized: user=app database=shop"
    (found,) = said.parse({"message": line}, DriftLog())
    assert (found.actor_authority, found.actor_id) == ("postgresql:42", "app")
    assert said.claims({"message": line})


@pytest.mark.parametrize(
    "said", [{"authority": "a:b"}, {"as_of": datetime(2026, 3, 1, tzinfo=UTC)}, {"time_zone": "UTC"}]
)
def test_of_files_that_are_recognised_by_themselves_nothing_is_said(said: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        source_of("auto", **said)
    assert source_of("auto") == "auto"


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="no time zone"):
        source_of("linux.auth", time_zone="Mars/Base")


def test_an_authority_alone_says_nothing_of_what_is_complete() -> None:
    assert windows_of("linux.auth", "linux:web1", None, None, actor="me") == ()
    with pytest.raises(ConfigError):
        windows_of("linux.auth", "linux:web1", datetime(2026, 3, 1, tzinfo=UTC), None, actor="me")
