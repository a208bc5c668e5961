"""Access keys through the acting protocol, on the simulator."""

from __future__ import annotations

import pytest

from tests.conftest import NOW
from wardship.connectors.aws.keys import AccessKeyActor
from wardship.model.access import UseState
from wardship.model.errors import ConfigError, Conflict, Unavailable
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sim.aws import ACCOUNT, MEMBER, AwsWorld, small_world

ROLE = f"arn:aws:iam::{ACCOUNT}:role/wardship"
BACKUP = f"arn:aws:iam::{ACCOUNT}:user/backup"


class Store:
    """What `deliver` was given."""

    def __init__(self) -> None:
        self.values: dict[str, Secret] = {}

    def __call__(self, value: Secret, credential_id: str) -> None:
        self.values[credential_id] = value


@pytest.fixture
def sim_clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def world(sim_clock: SimClock) -> AwsWorld:
    return small_world(sim_clock)


@pytest.fixture
def actor(world: AwsWorld) -> AccessKeyActor:
    return AccessKeyActor(world.connection(role_arn=ROLE))


def test_a_new_key_works_after_it_has_settled(world: AwsWorld, actor: AccessKeyActor, sim_clock: SimClock) -> None:
    store = Store()
    made = actor.create(BACKUP, "op-1", store)
    assert not actor.test(BACKUP, made, store.values[made]), "eventual consistency"
    sim_clock.sleep(actor.settle_s)
    assert actor.test(BACKUP, made, store.values[made])
    assert not actor.test(BACKUP, made, Secret("guess"))
    assert {one.id: one.enabled for one in actor.list_live(BACKUP)}[made] is True


def test_provenance_is_late_and_then_exact(world: AwsWorld, actor: AccessKeyActor, sim_clock: SimClock) -> None:
    world.trail_delay_s = 600
    made = actor.create(BACKUP, "op-1", Store())
    assert actor.find_created(BACKUP, "op-1") is None
    sim_clock.sleep(601)
    assert actor.find_created(BACKUP, "op-1") == made
    assert actor.find_created(BACKUP, "op-2") is None
    assert actor.find_created(f"arn:aws:iam::{ACCOUNT}:user/ci-deploy", "op-1") is None


def test_the_key_whose_answer_was_lost_is_found(world: AwsWorld, actor: AccessKeyActor) -> None:
    world.faults.add("lost", "iam:CreateAccessKey")
    store = Store()
    with pytest.raises(Unavailable):
        actor.create(BACKUP, "op-1", store)
    assert store.values == {}
    made = actor.find_created(BACKUP, "op-1")
    assert made in world.keys_of(BACKUP)
    with pytest.raises(Conflict, match="already made"):
        actor.create(BACKUP, "op-1", store)
    assert len(world.keys_of(BACKUP)) == 2, "no third, and the second is not shown again"


def test_the_quota_is_a_conflict_and_removes_nothing(world: AwsWorld, actor: AccessKeyActor) -> None:
    full = f"arn:aws:iam::{ACCOUNT}:user/ci-deploy"
    before = world.keys_of(full)
    with pytest.raises(Conflict):
        actor.create(full, "op-1", Store())
    assert world.keys_of(full) == before


def test_a_key_made_by_a_person_has_no_provenance(world: AwsWorld, actor: AccessKeyActor) -> None:
    world.account(ACCOUNT).key("backup")
    assert actor.find_created(BACKUP, "op-1") is None


def test_disabled_keys_are_refused_and_come_back(world: AwsWorld, actor: AccessKeyActor, sim_clock: SimClock) -> None:
    store = Store()
    made = actor.create(BACKUP, "op-1", store)
    sim_clock.sleep(15)
    for verb, works in ((actor.disable, False), (actor.disable, False), (actor.enable, True), (actor.enable, True)):
        verb(BACKUP, made)
        sim_clock.sleep(15)
        assert actor.test(BACKUP, made, store.values[made]) is works
    actor.delete(BACKUP, made)
    actor.delete(BACKUP, made)
    actor.disable(BACKUP, made)
    sim_clock.sleep(15)
    assert not actor.test(BACKUP, made, store.values[made])
    with pytest.raises(Conflict):
        actor.enable(BACKUP, made)


def test_last_use_follows_real_use(world: AwsWorld, actor: AccessKeyActor, sim_clock: SimClock) -> None:
    store = Store()
    made = actor.create(BACKUP, "op-1", store)
    assert actor.last_used(BACKUP, made).state is UseState.NEVER
    sim_clock.sleep(60)
    assert actor.test(BACKUP, made, store.values[made])
    use = actor.last_used(BACKUP, made)
    assert (use.last_used_at, use.detail) == (sim_clock(), "sts, us-east-1")
    assert actor.last_used(BACKUP, "AKIAUNKNOWNUNKNOWN12").state is UseState.UNKNOWN


def test_a_key_of_somebody_else_is_not_ours(world: AwsWorld, actor: AccessKeyActor) -> None:
    other = world.account(ACCOUNT).key("idle")
    assert not actor.test(BACKUP, other, world.secret_of(other))


def test_without_a_role_nothing_is_minted(world: AwsWorld) -> None:
    with pytest.raises(ConfigError, match="only as a role"):
        AccessKeyActor(world.connection()).create(BACKUP, "op-1", Store())
    assert len(world.keys_of(BACKUP)) == 1


def test_other_accounts_are_acted_in_by_their_own_role(world: AwsWorld) -> None:
    etl = f"arn:aws:iam::{MEMBER}:user/etl"
    made = AccessKeyActor(world.connection(member_role="wardship")).create(etl, "op-1", Store())
    assert made in world.keys_of(etl)
    with pytest.raises(ConfigError):
        AccessKeyActor(world.connection(role_arn=ROLE)).list_live(etl)


@pytest.mark.parametrize("target", ["backup", "arn:aws:iam::111122223333:role/x", "arn:aws:iam:::user/x"])
def test_a_target_that_is_no_user_is_refused(actor: AccessKeyActor, target: str) -> None:
    with pytest.raises(ConfigError):
        actor.list_live(target)
