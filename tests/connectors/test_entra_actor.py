"""Rotating client secrets: what the saga asks of the actor, on a tenant whose secrets really open or do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from wardship.connectors import entra
from wardship.model.access import UseState
from wardship.model.errors import ConnectorError, DataError, MissingScope, NotVisible, Unavailable
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sim.entra import EntraTenant, acting_target
from wardship.sim.entra_small import populate_small
from wardship.sim.faults import Wrong

ROLES = "Application.Read.All Application.ReadWrite.OwnedBy AuditLog.Read.All"


class Vault:
    def __init__(self) -> None:
        self.kept: dict[str, Secret] = {}

    def deliver(self, value: Secret, credential_id: str) -> None:
        self.kept[credential_id] = value


def stage(**options: Any) -> tuple[EntraTenant, entra.EntraActor, str, Vault]:
    sim = EntraTenant(clock=SimClock(NOW), **options)
    populate_small(sim)
    connection = sim.connection(roles=ROLES)
    return sim, entra.act(connection), acting_target(connection), Vault()


def settle(sim: EntraTenant) -> None:
    assert isinstance(sim.clock, SimClock)
    sim.clock.sleep(121)


def test_a_rotation_is_as_microsoft_describes_it(contract: Callable[..., Any]) -> None:
    sim = EntraTenant(clock=SimClock(NOW))
    populate_small(sim)
    held = contract("graph", "graph-beta", undescribed=["login.microsoftonline.com"])
    connection = sim.connection(roles=ROLES)
    target = acting_target(connection)
    actor = entra.act(dataclasses.replace(connection, wire=held.wire(sim)))
    vault = Vault()
    [old] = actor.list_live(target)
    made = actor.create(target, "op-1", vault.deliver)
    assert actor.test(target, made, vault.kept[made])
    assert actor.last_used(target, old.id).state is UseState.USED
    actor.delete(target, old.id)
    assert [live.id for live in actor.list_live(target)] == [made]
    held.expect("POST /v1.0/applications/{id}/addPassword", "POST /v1.0/applications/{id}/removePassword")


def test_provenance_is_in_the_name_and_only_there() -> None:
    sim, actor, target, vault = stage()
    made = actor.create(target, "op-1", vault.deliver)
    assert actor.find_created(target, "op-1") == made
    assert actor.find_created(target, "op-2") is None
    by_hand = sim.add_secret(target, name="wardship", start=NOW, end=NOW + timedelta(days=1))
    assert {live.id: live.op_id for live in actor.list_live(target)}[f"{target}/{by_hand}"] is None


def test_a_new_secret_works_only_after_the_lag_and_a_removed_one_until_then() -> None:
    sim, actor, target, vault = stage(lag_s=60.0)
    made = actor.create(target, "op-1", vault.deliver)
    assert actor.test(target, made, vault.kept[made]) is False
    assert actor.find_created(target, "op-1") is None  # not visible yet: not the same as not made
    settle(sim)
    assert actor.find_created(target, "op-1") == made
    assert actor.test(target, made, vault.kept[made]) is True
    actor.delete(target, made)
    assert actor.test(target, made, vault.kept[made]) is True
    actor.delete(target, made)  # still listed, already gone: success
    settle(sim)
    assert actor.test(target, made, vault.kept[made]) is False
    actor.delete(target, made)


def test_an_answer_that_was_lost_leaves_a_secret_that_can_be_found_and_made_again() -> None:
    sim, actor, target, vault = stage()
    sim.faults.add(Wrong.LOST, "addPassword")
    with pytest.raises(Unavailable):
        actor.create(target, "op-1", vault.deliver)
    assert vault.kept == {}
    lost = actor.find_created(target, "op-1")
    assert lost is not None
    again = actor.create(target, "op-1", vault.deliver)
    assert again != lost
    assert [live.op_id for live in actor.list_live(target)].count("op-1") == 1
    assert actor.test(target, again, vault.kept[again])


def test_adding_is_never_sent_twice_on_an_unclear_answer() -> None:
    sim, actor, target, vault = stage()
    sim.faults.add(Wrong.CUT, "addPassword")
    with pytest.raises(ConnectorError):
        actor.create(target, "op-1", vault.deliver)
    assert [call.method for call in sim.calls if "addPassword" in call.path] == ["POST"]


def test_an_application_that_is_not_owned_is_not_touched() -> None:
    sim, actor, _target, vault = stage()
    other = sim.add_application("somebody else's")
    with pytest.raises(MissingScope, match="addPassword"):
        actor.create(other.id, "op-1", vault.deliver)


def test_a_credential_of_another_target_is_refused_before_any_call() -> None:
    sim, actor, target, vault = stage()
    made = actor.create(target, "op-1", vault.deliver)
    calls = len(sim.calls)
    for verb in (actor.delete, actor.last_used):
        with pytest.raises(DataError):
            verb("another", made)
    assert len(sim.calls) == calls


def test_one_secret_cannot_be_disabled_or_brought_back() -> None:
    _sim, actor, target, vault = stage()
    made = actor.create(target, "op-1", vault.deliver)
    for verb in (actor.disable, actor.enable):
        with pytest.raises(NotVisible) as refused:
            verb(target, made)
        assert refused.value.advice


def test_an_ended_secret_is_not_live() -> None:
    sim, actor, target, _vault = stage()
    ended = sim.add_secret(target, start=NOW - timedelta(days=9), end=NOW - timedelta(days=1))
    assert f"{target}/{ended}" not in {live.id for live in actor.list_live(target)}


def test_use_without_a_licence_is_unknown() -> None:
    _sim, actor, target, _vault = stage(premium=False)
    [old] = actor.list_live(target)
    assert actor.last_used(target, old.id).state is UseState.UNKNOWN


def test_the_tenant_survives_the_death_of_its_process(tmp_path: Path) -> None:
    file = tmp_path / "tenant.json"
    sim, actor, target, vault = stage(state_file=file)
    made = actor.create(target, "op-1", vault.deliver)
    again = EntraTenant(clock=SimClock(NOW), state_file=file)
    row = again.apps.visible_one(target)
    assert row is not None
    assert made.endswith(row["passwordCredentials"][-1]["keyId"])
    assert vault.kept[made].reveal() in row["_secrets"].values()
    del sim
