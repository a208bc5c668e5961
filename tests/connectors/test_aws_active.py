"""A key found in code is tried by one call, and only where its account is ours."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime

import pytest

from wardship.connectors import aws
from wardship.connectors.aws.active import account_of
from wardship.model.errors import NotVisible
from wardship.model.secret import Secret
from wardship.sim.aws import ACCOUNT, small_world

Clock = Callable[[], datetime]


def test_a_key_id_holds_its_account() -> None:
    assert account_of("AKIA" + "IOSFODNN7EXAMPLE"[:15]) is None
    assert account_of("") is None
    assert account_of("AKIA!!!!!!!!!!!!!!!!") is None


def test_the_same_key_answers_for_its_state(clock: Clock) -> None:
    world = small_world(clock)
    account = world.account(ACCOUNT, "main")
    connection = world.connection()
    account.user("leaky")
    key_id = account.key("leaky")
    secret = Secret(account.secret_of(key_id))
    assert account_of(key_id) == ACCOUNT
    assert aws.still_active(connection, "aws.access_key", secret, key_id) is True
    assert aws.still_active(connection, "aws.access_key", Secret("x" * 40), key_id) is False
    assert aws.still_active(connection, "aws.access_key", secret, None) is None


def test_a_key_that_was_stopped_is_dead(clock: Clock) -> None:
    world = small_world(clock)
    account = world.account(ACCOUNT, "main")
    account.user("stopped")
    key_id = account.key("stopped", active=False)
    secret = Secret(account.secret_of(key_id))
    assert aws.still_active(world.connection(), "aws.access_key", secret, key_id) is False


def test_a_key_of_somebody_elses_account_is_not_tried(clock: Clock) -> None:
    foreign = "AKIA" + base64.b32encode((999999999999 << 7).to_bytes(6, "big") + b"0000").decode()
    with pytest.raises(NotVisible, match="999999999999"):
        aws.still_active(small_world(clock).connection(), "aws.access_key", Secret("x" * 40), foreign)
