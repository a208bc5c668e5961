from __future__ import annotations

import os
import subprocess
from datetime import timedelta

import pytest

from tests.conftest import NOW
from wardship.model.errors import Conflict
from wardship.store import leases
from wardship.store.db import Database

MINUTE = timedelta(minutes=1)


def test_one_holder_at_a_time(database: Database) -> None:
    with database.bookkeep() as conn:
        mine = leases.take(conn, "scope:x", "elsewhere/1/a", NOW, MINUTE)
        assert mine is not None
        assert leases.take(conn, "scope:x", "elsewhere/1/b", NOW, MINUTE) is None
        assert leases.take(conn, "scope:y", "elsewhere/1/b", NOW, MINUTE) is not None


def test_a_lease_that_ran_out_is_taken_with_a_higher_token_and_the_first_holder_is_fenced(database: Database) -> None:
    with database.bookkeep() as conn:
        first = leases.take(conn, "scope:x", "elsewhere/1/a", NOW, MINUTE)
        assert first is not None
        second = leases.take(conn, "scope:x", "elsewhere/1/b", NOW + MINUTE, MINUTE)
        assert second is not None
        assert second.token > first.token
        with pytest.raises(Conflict):
            leases.hold(conn, first, NOW + MINUTE)
        leases.release(conn, first, NOW + MINUTE)
        leases.hold(conn, second, NOW + MINUTE)


def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_years(database: Database) -> None:
    """A machine that began with a wrong clock, was killed, and knows nothing of its dead any more."""
    with database.bookkeep() as conn:
        wrong = leases.take(conn, "x", "another/1/a", NOW + timedelta(days=1_500))
        assert leases.take(conn, "y", "another/1/a", NOW + timedelta(hours=1)) is not None
    with database.bookkeep() as conn:
        taken = leases.take(conn, "x", "another/2/b", NOW)
        assert leases.take(conn, "y", "another/2/b", NOW) is None  # an hour is waited for: it may live
    assert taken is not None
    assert wrong is not None
    with database.bookkeep() as conn, pytest.raises(Conflict):
        leases.hold(conn, wrong, NOW)


def test_holding_renews(database: Database) -> None:
    with database.bookkeep() as conn:
        mine = leases.take(conn, "scope:x", "elsewhere/1/a", NOW, MINUTE)
        assert mine is not None
        leases.hold(conn, mine, NOW + MINUTE / 2, MINUTE)
        assert leases.take(conn, "scope:x", "elsewhere/1/b", NOW + MINUTE, MINUTE) is None


def test_a_released_lease_is_free_and_its_token_goes_on(database: Database) -> None:
    with database.bookkeep() as conn:
        first = leases.take(conn, "scope:x", "elsewhere/1/a", NOW, MINUTE)
        assert first is not None
        leases.release(conn, first, NOW)
        second = leases.take(conn, "scope:x", "elsewhere/1/b", NOW, MINUTE)
        assert second is not None
        assert second.token == first.token + 1


def test_a_dead_process_of_this_machine_is_replaced_at_once(database: Database) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    machine, _pid, nonce = leases.new_holder().rsplit("/", 2)
    with database.bookkeep() as conn:
        assert leases.take(conn, "scope:x", f"{machine}/{child.pid}/{nonce}", NOW, MINUTE)
        assert leases.take(conn, "scope:x", leases.new_holder(), NOW, MINUTE)


@pytest.mark.parametrize("holder", ["other-machine/b/ns/{pid}/n", "{me}"])
def test_who_may_live_is_not_replaced(database: Database, holder: str) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    name = holder.format(pid=child.pid, me=leases.new_holder())
    with database.bookkeep() as conn:
        assert leases.take(conn, "scope:x", name, NOW, MINUTE)
        assert leases.take(conn, "scope:x", leases.new_holder(), NOW, MINUTE) is None
    assert str(os.getpid()) in leases.new_holder()
