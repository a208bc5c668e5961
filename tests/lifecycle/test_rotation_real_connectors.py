"""The saga through our own connectors and their simulators: a clean run, and a kill at each act.

The connectors are what a user runs; only the far side is simulated, and its state outlives the worker. The full grids
run on simpler providers (`test_rotation`), because a run through botocore and Graph costs ten times as much.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from tests.lifecycle.harness import World
from tests.lifecycle.providers import FileStore
from wardship.connectors import aws, entra
from wardship.lifecycle.rotation import Rotation
from wardship.model.secret import Secret
from wardship.sdk.connector import Actor
from wardship.sim.aws import AwsWorld
from wardship.sim.entra import acting_target, simulated

ACCOUNT = "111122223333"
ACTS = ("before:call:put_pending", "after:call:create", "after:call:move_label", "after:call:delete")
MORE_ACTS = (
    "before:call:create",
    "after:call:put_pending",
    "before:call:move_label",
    "after:call:promote",
    "after:call:disable",
    "after:db:OLD_DISABLED.delete",
)


class AwsUser:
    """An IAM user with one key, in a world that is a file; the trail tells five minutes late."""

    lag_s = 10.0

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self.world = AwsWorld(clock=clock, path=folder / "aws.json", lag_s=self.lag_s, trail_delay_s=300)
        account = self.world.account(ACCOUNT)
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        role = account.role("wardship-act", trust={"Version": "2012-10-17", "Statement": [trust]})
        self.target = account.user("ci-deploy")
        self.first = account.key("ci-deploy", created=NOW - timedelta(days=400))
        self.value = self.world.secret_of(self.first).reveal()
        self.connection = self.world.connection(role_arn=role)
        self.op_id = "?"

    def list_live(self, target: str) -> Any:
        return self.fresh().list_live(target)

    def fresh(self) -> Actor:
        return aws.act(self.connection)

    def works(self, id_: str, value: str) -> bool:
        return self.world.secret_of(id_) == Secret(value) and self.world.works(id_)

    def live(self) -> dict[str, str]:
        return {id_: "customer" if id_ == self.first else self.op_id for id_ in self.world.keys_of(self.target)}

    def deleted(self) -> dict[str, str]:
        return {}


class EntraApplication:
    """An application with one secret, in a tenant whose applications are a file."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self.file, self.clock, self.op_id = folder / "entra.json", clock, "?"
        tenant, self.target = self._tenant()
        tenant._save()
        row = tenant.apps.visible_one(self.target)
        self.first = f"{self.target}/{row['passwordCredentials'][0]['keyId']}"
        self.value = row["_secrets"][row["passwordCredentials"][0]["keyId"]]

    def _tenant(self) -> tuple[Any, str]:
        """The same script gives the same tenant; then what happened since is read from the file."""
        self.connection = simulated(self.clock)
        tenant: Any = self.connection.wire
        target = acting_target(self.connection)
        tenant._state_file = self.file
        if self.file.exists():
            tenant._load(self.file)
        return tenant, target

    def list_live(self, target: str) -> Any:
        return self.fresh().list_live(target)

    def fresh(self) -> Actor:
        self._tenant()
        return entra.act(self.connection)

    def works(self, id_: str, value: str) -> bool:
        tenant, target = self._tenant()
        row = tenant.apps.visible_one(target)
        return id_ in self.live() and row["_secrets"].get(id_.rpartition("/")[2]) == value

    def live(self) -> dict[str, str]:
        tenant, target = self._tenant()
        ids = [f"{target}/{each['keyId']}" for each in tenant.apps.visible_one(target)["passwordCredentials"]]
        return {id_: "customer" if id_ == self.first else self.op_id for id_ in ids}

    def deleted(self) -> dict[str, str]:
        return {}


KINDS = {"aws": AwsUser, "entra": EntraApplication}


def world_of(kind: str, template: Path, folder: Path) -> World:
    folder.mkdir(parents=True)
    shutil.copy(template, folder / "state.db")
    clock = [NOW]
    provider = KINDS[kind](folder, lambda: clock[0])
    store = FileStore(folder / "store.json")
    store.adopt(provider.first, Secret(provider.value))
    world = World(
        folder=folder,
        url=f"sqlite:///{folder}/state.db",
        provider=provider,
        store=store,
        clock=clock,
        target=provider.target,
        workflow=lambda made, kept: Rotation(made.fresh(), kept),  # each worker opens its own connection
    )
    provider.op_id = world.op_id
    return world


def kill_at_each(acts: tuple[str, ...], kind: str, template: Path, tmp_path: Path) -> None:
    clean = world_of(kind, template, tmp_path / "clean")
    assert clean.drive() == "DONE", (clean.row().reason, clean.violations)
    assert clean.violations == []
    points = [clean.names.index(act) + 1 for act in acts if act in clean.names]
    kills = 0
    for point in points:
        world = world_of(kind, template, tmp_path / str(point))
        world.drive(point)
        assert world.violations == [], clean.names[point - 1]
        kills += world.kills
    print(f"{kind}: {kills} kills, 0 violations")
    assert kills == len(points) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_run_and_a_kill_at_each_act_end_done(kind: str, template: Path, tmp_path: Path) -> None:
    kill_at_each(ACTS, kind, template, tmp_path)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_the_lesser_acts_ends_done_too(kind: str, template: Path, tmp_path: Path) -> None:
    kill_at_each(MORE_ACTS, kind, template, tmp_path)
