"""The machine: one worker at a time, fencing, freeze, epoch; and that only approved plans run."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.lifecycle.harness import World, approval_of, keys_world
from tests.lifecycle.providers import AWS_KEYS, ENTRA_SECRETS
from wardship.lifecycle.machine import (
    FREEZE_KEY,
    Frozen,
    LeaseLost,
    Machine,
    bump_epoch,
    freeze,
    new_op_id,
    unfreeze,
)
from wardship.lifecycle.plan import Approval
from wardship.lifecycle.rotation import Rotation, Rotations
from wardship.model.errors import ApprovalNeeded, Conflict, TransitionRefused
from wardship.store import tables
from wardship.store.db import Database

ROTATION = tables.rotation


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    return keys_world(template, tmp_path / "w", AWS_KEYS)


def machine(world: World, holder: str = "m", **more: object) -> Machine:
    return Machine(world.db, ROTATION, holder=holder, **more)


def changed(world: World, **values: object) -> None:
    with world.db.bookkeep() as conn:
        conn.execute(ROTATION.update().where(ROTATION.c.op_id == world.op_id).values(**values))


def audited(world: World) -> list[dict]:
    with world.db.read() as conn:
        return [json.loads(body) for body in conn.scalars(sa.select(tables.audit.c.body).order_by(tables.audit.c.seq))]


def drive_until(world: World, state: str) -> None:
    for _turn in range(50):
        if world.row().state == state:
            return
        world.advance(max(world.row().due_at, world.now))
        world.work(None)
    pytest.fail(f"never reached {state}")


def test_op_ids_are_uuid_7_and_sort_by_time() -> None:
    first, second = new_op_id(NOW), new_op_id(NOW + timedelta(milliseconds=1))
    assert first < second
    assert (first[14], first[19] in "89ab", len(first)) == ("7", True, 36)
    assert new_op_id(NOW) != new_op_id(NOW)


def test_a_call_must_fit_a_third_of_the_lease(world: World) -> None:
    with pytest.raises(ValueError, match="under a third"):
        machine(world, lease_s=30, call_timeout_s=10)


def test_every_arrow_leaves_one_audit_entry(world: World) -> None:
    world.drive()
    events = [entry["action"] for entry in audited(world)]
    recorded = [name.split(".")[-1] for name in world.names if name.startswith("after:db:") and "." in name]
    assert events[:2] == ["rotation.plan", "rotation.approve"]
    assert events[2:] == [f"rotation.{event}" for event in recorded]


def test_no_secret_is_in_the_state_database(world: World) -> None:
    world.drive()
    files = [path for path in world.folder.iterdir() if path.name.startswith("state.db")]
    data = b"".join(path.read_bytes() for path in files)
    assert world.op_id.encode() in data
    for value in world.store.values().values():
        assert value.encode() not in data


# ---------------------------------------------------------------- one worker at a time


def test_a_second_worker_is_refused_while_the_lease_holds_and_welcome_after(world: World) -> None:
    first = machine(world, "first")._take(world.op_id, Rotation(world.provider, world.store))
    with pytest.raises(LeaseLost):
        world.work_here(holder="second")
    world.clock[0] += timedelta(seconds=30)
    assert world.work_here(holder="second") == "MINTED"
    with pytest.raises(LeaseLost):
        first.call("list_live", world.provider.list_live, "svc")
    with pytest.raises(LeaseLost):
        first.record("held", "PLANNED", {}, due_at=world.now)


def test_a_long_look_renews_the_lease(world: World) -> None:
    run = machine(world)._take(world.op_id, Rotation(world.provider, world.store))
    for _turn in range(6):
        world.clock[0] += timedelta(seconds=12)
        run.call("list_live", world.provider.list_live, "svc")


def test_one_open_rotation_for_each_target(world: World) -> None:
    with pytest.raises(Conflict):
        Rotations(world.db).plan(world.plan)
    Rotations(world.db).undo(world.op_id, "ana", "not now")
    assert world.work_here() == "CANCELLED"
    assert Rotations(world.db).plan(world.plan) != world.op_id


def stop_at(world: World, point: str) -> int:
    """A worker process that stops itself (SIGSTOP) at the named probe."""
    world.db.close()
    pid = os.fork()
    if pid == 0:
        try:
            world.work_here(lambda name: os.kill(os.getpid(), signal.SIGSTOP) if name == point else None, "zombie")
        except LeaseLost:
            os._exit(3)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        _pid, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
        if _pid and os.WIFSTOPPED(status):
            return pid
        time.sleep(0.002)
    pytest.fail("the worker did not stop")


@pytest.mark.parametrize(
    ("point", "keys_of_the_zombie"),
    [("after:db:INTENT.announce", 0), ("before:call:create", 1), ("before:call:put_pending", 0)],
)
def test_a_zombie_worker_records_nothing_and_its_key_does_not_stay_unnoticed(
    point: str, keys_of_the_zombie: int, template: Path, tmp_path: Path
) -> None:
    """Stopped past its lease, then resumed when another worker is through with the same step."""
    world = keys_world(template, tmp_path / "w", ENTRA_SECRETS)
    pid = stop_at(world, point)
    world.advance(world.row().leased_until)
    drive_until(world, "MINTED")
    token = world.row().token
    before = world.provider.live()
    os.kill(pid, signal.SIGCONT)
    _pid, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    assert world.row().token == token
    made = set(world.provider.live()) - set(before)
    assert len(made) <= keys_of_the_zombie
    assert world.drive() == "DONE"
    reported = set(json.loads(world.row().foreign_ids))
    rest = set(world.provider.live()) - {world.row().new_id}
    assert rest == reported  # nothing lives that is not current or reported
    assert "I4" not in " ".join(world.violations)


# ---------------------------------------------------------------- freeze, epoch


def test_freeze_stops_every_call_and_nothing_is_lost(world: World) -> None:
    drive_until(world, "MINTED")
    freeze(world.db, "ana", "incident 7")
    world.clock[0] = world.row().due_at
    seen: list[str] = []
    with pytest.raises(Frozen, match="incident 7"):
        world.work_here(seen.append)
    assert not [name for name in seen if ":call:" in name]
    unfreeze(world.db, "ana")
    world.db.close()
    assert world.drive() == "DONE"
    assert world.violations == []


def test_a_freeze_file_in_the_workspace_stops_too(world: World) -> None:
    file = world.folder / FREEZE_KEY
    stopped = machine(world, freeze_file=file)
    file.touch()
    with pytest.raises(Frozen):
        stopped.run(world.op_id, Rotation(world.provider, world.store))
    file.unlink()
    assert stopped.run(world.op_id, Rotation(world.provider, world.store)) == "MINTED"


@pytest.mark.parametrize("backup_at", ["PLANNED", "INTENT", "MINTED", "PROMOTED", "OLD_DISABLED"])
def test_a_restored_backup_does_not_replay_a_rotation(backup_at: str, template: Path, tmp_path: Path) -> None:
    world = keys_world(template, tmp_path / "w", AWS_KEYS)
    if backup_at == "INTENT":
        world.work(8)  # killed once the baseline is written
    else:
        drive_until(world, backup_at)
    world.db.close()
    backup = (world.folder / "state.db").read_bytes()
    for extra in world.folder.glob("state.db-*"):
        extra.unlink()
    assert world.drive() == "DONE"
    keys = world.provider.live()

    world.db.close()
    for extra in world.folder.glob("state.db-*"):
        extra.unlink()
    (world.folder / "state.db").write_bytes(backup)
    world.db = Database(world.url, clock=lambda: world.clock[0])
    bump_epoch(world.db, "operator")
    world.clock[0] += timedelta(days=1)
    seen: list[str] = []
    state = world.work_here(seen.append)
    acted = {name.split(":")[-1] for name in seen if ":call:" in name} - {
        "current",
        "list_live",
        "pending",
    }  # these only look
    assert acted == set()
    assert state == "BLOCKED"
    assert "after a restore" in world.row().reason
    assert world.provider.live() == keys


def test_after_a_restore_that_nothing_contradicts_the_work_goes_on(world: World) -> None:
    drive_until(world, "PROMOTED")
    bump_epoch(world.db, "operator")
    world.db.close()
    assert world.drive() == "DONE"
    assert world.violations == []
    assert "rotation.reverified" in [entry["action"] for entry in audited(world)]


# ---------------------------------------------------------------- approvals


def test_nothing_runs_without_an_approval(world: World) -> None:
    changed(world, approval=None)
    with pytest.raises(ApprovalNeeded):
        world.work_here()
    assert world.row().state == "PLANNED"
    assert len(world.provider.live()) == 1


@pytest.mark.parametrize("state", ["PLANNED", "MINTED", "PROMOTED"])
def test_a_plan_changed_after_its_approval_is_refused_in_every_state(state: str, world: World) -> None:
    drive_until(world, state)
    tampered = json.loads(world.row().plan) | {"grace_s": 9_000, "target": "other"}
    changed(world, plan=json.dumps(tampered, sort_keys=True, separators=(",", ":")), due_at=world.now)
    with pytest.raises(ApprovalNeeded, match="changed"):
        world.work_here()
    assert world.row().state == state


def test_a_plan_and_hash_changed_together_do_not_fit_the_approval(world: World) -> None:
    other = type(world.plan).from_json(world.plan.to_json().replace('"grace_s":90', '"grace_s":91'))
    changed(world, plan=other.to_json(), plan_hash=other.hash)
    with pytest.raises(ApprovalNeeded, match="another plan"):
        world.work_here()


def test_who_asks_does_not_approve(world: World) -> None:
    with pytest.raises(ApprovalNeeded):
        Rotations(world.db).approve(world.op_id, approval_of(world.plan, world.now, approver="ana"))
    changed(world, approval=approval_of(world.plan, world.now, approver="ana").to_json())
    with pytest.raises(ApprovalNeeded, match="does not approve"):
        world.work_here()


def test_an_approval_expires_before_the_start_but_does_not_strand_what_has_begun(world: World) -> None:
    world.clock[0] += timedelta(hours=25)
    with pytest.raises(ApprovalNeeded, match="expired"):
        world.work_here()
    world.clock[0] = NOW
    drive_until(world, "PROMOTED")
    world.clock[0] += timedelta(hours=25)
    for consumer in world.consumers:
        consumer.fetched_at -= timedelta(days=2)  # the harness jumped over their fetches
    world.consume()
    assert world.drive() == "DONE"


def test_an_approval_for_longer_than_a_day_is_refused(world: World) -> None:
    long = Approval(approver="bob", plan_hash=world.plan.hash, approved_at=NOW, expires_at=NOW + timedelta(hours=25))
    with pytest.raises(ApprovalNeeded, match="24 hours"):
        Rotations(world.db).approve(world.op_id, long)


# ---------------------------------------------------------------- the way back


@pytest.mark.parametrize("state", ["INTENT", "MINTED", "TESTED", "PROMOTED", "OLD_DISABLED"])
def test_undo_walks_back_from_every_state_and_the_old_key_is_current_again(
    state: str, template: Path, tmp_path: Path
) -> None:
    world = keys_world(template, tmp_path / "w", AWS_KEYS)
    old = world.store.current().credential_id
    if state in ("INTENT", "TESTED"):
        world.drive_to_record(state)
    else:
        drive_until(world, state)
    assert world.row().state == state
    Rotations(world.db).undo(world.op_id, "ana", "a consumer failed")
    world.db.close()
    assert world.drive() == "ROLLED_BACK"
    assert list(world.provider.live()) == [old]
    assert world.store.current().credential_id == old
    assert [each for each in world.violations if not each.startswith("end: ROLLED_BACK")] == []


def test_undo_is_refused_once_the_old_one_is_gone(world: World) -> None:
    world.drive()
    with pytest.raises(TransitionRefused):
        Rotations(world.db).undo(world.op_id, "ana", "too late")


def test_a_sigkill_on_the_way_back_breaks_nothing(template: Path, tmp_path: Path) -> None:
    for point in range(2, 24, 6):
        world = keys_world(template, tmp_path / f"w{point}", AWS_KEYS)
        drive_until(world, "OLD_DISABLED")
        Rotations(world.db).undo(world.op_id, "ana", "a consumer failed")
        world.db.close()
        assert world.drive(point) == "ROLLED_BACK"
        assert [each for each in world.violations if not each.startswith("end: ROLLED_BACK")] == []
