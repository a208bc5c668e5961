"""What every connector may rely on: settings that are read one way, and one answer where nothing is to be granted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from wardship.model.errors import ConfigError
from wardship.sdk.connector import Capability, Connection, nothing_to_grant

Clock = Callable[[], datetime]


def connection(clock: Clock, **settings: str) -> Connection:
    return Connection(name="x", connector="y", settings=settings, clock=clock)


@pytest.mark.parametrize(
    ("written", "meant"), [("true", True), ("Yes", True), (" TRUE ", True), ("false", False), ("no", False)]
)
def test_a_flag_is_what_is_written_whatever_the_default(clock: Clock, written: str, meant: bool) -> None:
    for default in (True, False):
        assert connection(clock, deep=written).flag("deep", default=default) is meant


@pytest.mark.parametrize("settings", [{}, {"deep": ""}, {"deep": "  "}])
def test_a_flag_that_is_not_set_is_its_default(clock: Clock, settings: dict[str, str]) -> None:
    for default in (True, False):
        assert connection(clock, **settings).flag("deep", default=default) is default


@pytest.mark.parametrize("written", ["1", "on", "treu", "yes please"])
def test_a_word_that_is_neither_is_refused_and_not_guessed(clock: Clock, written: str) -> None:
    with pytest.raises(ConfigError, match="deep must be true or false"):
        connection(clock, deep=written).flag("deep", default=False)


def test_a_capability_without_a_guide_names_those_that_have_one() -> None:
    error = nothing_to_grant(Capability.ROTATE, (Capability.USAGE, Capability.DISCOVER))
    assert "rotate" in error.message
    assert error.advice.endswith("discover, usage")


def test_what_a_connection_was_not_given_is_said_and_not_made_up(clock: Clock) -> None:
    from wardship.model.secret import Secret

    with pytest.raises(ConfigError, match="no secret 'token'"):
        connection(clock).secret("token")
    with pytest.raises(ConfigError, match="no fingerprint key"):
        connection(clock).fingerprint(Secret("x"))
