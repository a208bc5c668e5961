"""Rotates one credential of a target with two slots, so that no consumer is cut off and no secret is lost.

The table below is the whole workflow; docs/lifecycle/rotation.md draws it. `Rotation` binds it to an `Actor`
(the system) and a `SecretStore` (where consumers fetch the value). `Rotations` is what others call: make a plan,
approve it, run it, confirm, undo.

Rules it keeps, whatever the system:
- the baseline of live ids is written down before any call that creates;
- what a lost answer may have created is removed only if it is provably ours and nobody ever had its value;
- what is not ours is reported (`foreign_ids`) and never touched; no credential is deleted to make room;
- the old credential stops only after grace and without use since; where the system does not tell, the owner does;
- before any delete the store is asked: what it calls CURRENT is never deleted.
Scheduling is left to jobs; who may ask, to services.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wardship.lifecycle.machine import BLOCKED, Arrow, Event, Machine, Run, Wait, current_epoch, new_op_id
from wardship.lifecycle.plan import Approval, RotationPlan, check_approved
from wardship.model.access import UseState
from wardship.model.errors import Conflict, TransitionRefused, VerificationFailed
from wardship.model.secret import Secret
from wardship.sdk.acting import SecretStore
from wardship.sdk.connector import Actor, LiveCredential
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.db import Database

TERMINAL = frozenset({"DONE", BLOCKED, "ROLLED_BACK", "CANCELLED"})

ARROWS: Mapping[tuple[str, str], Arrow] = {
    ("PLANNED", "begin"): Arrow(to="INTENT"),  # writes the baseline
    ("PLANNED", "refuse"): Arrow(to=BLOCKED),
    ("PLANNED", "cancel"): Arrow(to="CANCELLED"),
    ("INTENT", "announce"): Arrow(to="INTENT"),
    ("INTENT", "create"): Arrow(to="MINTED", step="create", compensation="remove_new"),
    ("INTENT", "find"): Arrow(to="MINTED", compensation="remove_new"),
    ("INTENT", "clean"): Arrow(to="INTENT", step="remove_lost"),
    ("INTENT", "report"): Arrow(to="INTENT"),
    ("INTENT", "refuse"): Arrow(to=BLOCKED),
    ("INTENT", "undo"): Arrow(to="ROLLED_BACK", step="drop_pending"),
    ("MINTED", "succeed"): Arrow(to="MINTED"),
    ("MINTED", "fail"): Arrow(to="MINTED"),
    ("MINTED", "turn_back"): Arrow(to="MINTED"),
    ("MINTED", "prove"): Arrow(to="TESTED"),
    ("MINTED", "undo"): Arrow(to="ROLLED_BACK", step="remove_new"),
    ("TESTED", "promote"): Arrow(to="PROMOTED", step="move_label", compensation="move_label_back"),
    ("TESTED", "undo"): Arrow(to="ROLLED_BACK", step="remove_new"),
    ("PROMOTED", "disable"): Arrow(to="OLD_DISABLED", step="disable_old", compensation="enable_old"),
    ("PROMOTED", "enable"): Arrow(to="PROMOTED", step="enable_old"),
    ("PROMOTED", "undo"): Arrow(to="TESTED", step="move_label_back"),
    ("OLD_DISABLED", "delete"): Arrow(to="OLD_GONE", step="delete_old"),
    ("OLD_DISABLED", "undo"): Arrow(to="PROMOTED", step="enable_old"),
    ("OLD_GONE", "delete_again"): Arrow(to="OLD_GONE", step="delete_old"),
    ("OLD_GONE", "clean"): Arrow(to="OLD_GONE", step="remove_lost"),
    ("OLD_GONE", "refuse"): Arrow(to=BLOCKED),
    ("OLD_GONE", "reconcile"): Arrow(to="DONE", step="drop_pending"),
}
_OPEN = dict.fromkeys(state for state, _event in ARROWS)
ANYWHERE: Mapping[str, str | None] = {"held": None, "reverified": None, "contradicted": BLOCKED}
"""Events of every open state and where they lead; None = nowhere else."""

_OWNER_LOOKS_AGAIN = timedelta(hours=1)


class Rotation:
    """The workflow of one rotation, bound to its system and its store (see `machine.Workflow`)."""

    arrows: Mapping[tuple[str, str], Arrow] = {
        **ARROWS,
        **{(state, event): Arrow(to=to or state) for state in _OPEN for event, to in ANYWHERE.items()},
    }
    terminal = TERMINAL

    def __init__(self, actor: Actor, store: SecretStore) -> None:
        self.actor = actor
        self.store = store
        self.settle = timedelta(seconds=actor.settle_s)
        self.can_disable = "disable" not in actor.manifest.unavailable
        self._plan: RotationPlan | None = None

    # ------------------------------------------------------------ looking

    def check(self, run: Run) -> None:
        row = run.row
        if row.state == "PLANNED" and row.wanted == "undo":
            return  # nothing was done: a plan may always be withdrawn
        self._plan = check_approved(row.plan, row.plan_hash, row.approval, begins=row.state == "PLANNED", as_of=run.now)

    @property
    def plan(self) -> RotationPlan:
        if self._plan is None:
            raise AssertionError("a plan is read only after its approval was checked")
        return self._plan

    def decide(self, run: Run) -> Event | Wait:
        return {
            "PLANNED": self._planned,
            "INTENT": self._intent,
            "MINTED": self._minted,
            "TESTED": self._tested,
            "PROMOTED": self._promoted,
            "OLD_DISABLED": self._old_disabled,
            "OLD_GONE": self._old_gone,
        }[run.row.state](run)

    def _planned(self, run: Run) -> Event | Wait:
        if run.row.wanted == "undo":
            return Event("cancel")
        if not self.actor.two_slots:
            return _refuse("one credential at a time: convert to two slots or agree on a window")
        live = self._list(run)
        current = run.call("current", self.store.current)
        if current is None:
            return _refuse("the store holds no current value: nothing to rotate")
        if current.credential_id not in live:
            return _refuse(f"the store's current credential {current.credential_id} is not live at the system")
        if self._full(live):
            return _refuse(f"no room: {len(live)} credentials, the limit of the system", live, current.credential_id)
        return Event("begin", {"baseline": _ids(live), "old_id": current.credential_id})

    def _intent(self, run: Run) -> Event | Wait:
        """Creates; or finds out what an earlier create, whose answer was lost, has done."""
        row, now = run.row, run.now
        if "announced" in run.memory:
            run.memory.discard("announced")
            return Event("create")
        live = self._list(run)
        known = set(json.loads(row.baseline)) | set(json.loads(row.foreign_ids))
        surplus = [found for found in live.values() if found.id not in known]
        for n in range(row.attempts, 0, -1):
            pending = run.call("pending", self.store.pending, _attempt(row.op_id, n))
            if pending is None or pending.credential_id not in {found.id for found in surplus}:
                continue
            # Nobody but this operation ever had the value: what it opens is ours.
            if run.call("test", self.actor.test, row.target, pending.credential_id, pending.value):
                return Event("find", _minted(pending.credential_id, n, now))
            if row.settle_from is not None and now < row.settle_from + timedelta(seconds=self.plan.test_deadline_s):
                return Wait(now + timedelta(seconds=self.plan.spacing_s))
        if row.settle_from is not None and now < row.settle_from + self.settle:
            return Wait(row.settle_from + self.settle)
        if surplus:
            return self._explain(run, surplus)
        if row.wanted == "undo":
            return Event("undo", {"reason": row.reason})
        if self._full(live):
            return _refuse(f"no room: {len(live)} credentials, the limit of the system", live, row.old_id)
        if row.attempts >= self.plan.max_attempts:
            return _refuse(f"{row.attempts} attempts to create came to nothing")
        run.memory.add("announced")
        return Event("announce", {"attempts": row.attempts + 1, "settle_from": now})

    def _explain(self, run: Run, surplus: list[LiveCredential]) -> Event | Wait:
        """Whose is it? Ours and never used: removed. Not known yet: wait. Else: reported and left alone."""
        row, now = run.row, run.now
        if row.attempts == 0:  # we have not asked for anything yet
            return Event("report", {"foreign_ids": _and(row.foreign_ids, surplus)})
        lost = self._provably_ours(run, surplus)
        if lost is not None:
            if run.call("last_used", self.actor.last_used, row.target, lost).state is UseState.USED:
                return Event("report", {"foreign_ids": _and(row.foreign_ids, [lost])})
            return Event("clean", {"settle_from": now}, due_at=now + self.settle, about=lost)
        explained_by = row.settle_from + timedelta(seconds=self.plan.provenance_wait_s)
        if now < explained_by:
            return Wait(min(explained_by, now + timedelta(seconds=60)), "waiting for who made " + surplus[0].id)
        return Event("report", {"foreign_ids": _and(row.foreign_ids, surplus)})

    def _minted(self, run: Run) -> Event | Wait:
        row, now, plan = run.row, run.now, self.plan
        if row.wanted == "undo":
            visible_at = row.minted_at + self.settle  # a delete that comes too early finds nothing
            return Event("undo", {"reason": row.reason}) if now >= visible_at else Wait(visible_at, row.reason)
        if row.successes >= plan.successes:
            return Event("prove")
        if now >= row.minted_at + timedelta(seconds=plan.test_deadline_s):
            return Event("turn_back", {"wanted": "undo", "reason": "the new credential did not prove itself in time"})
        pending = run.call("pending", self.store.pending, _label(row))
        if pending is None or pending.credential_id != row.new_id:
            return Event("turn_back", {"wanted": "undo", "reason": "the store lost the new value"})
        again_at = now + timedelta(seconds=plan.spacing_s)
        if run.call("test", self.actor.test, row.target, row.new_id, pending.value):
            return Event("succeed", {"successes": row.successes + 1}, due_at=again_at)
        return Event("fail", {"successes": 0}, due_at=again_at)

    def _tested(self, run: Run) -> Event | Wait:
        row = run.row
        current = run.call("current", self.store.current)
        moved = current is not None and current.op_id == _label(row)  # and the worker died before it could say so
        if row.wanted != "undo" or moved:
            return Event("promote", {"reason": row.reason})
        if row.reverted_at is not None:  # consumers may still hold the new value
            held = self._out_of_use(run, row.new_id, row.reverted_at)
            if held is not None:
                return held
        elif run.now < row.minted_at + self.settle:
            return Wait(row.minted_at + self.settle, row.reason)
        return Event("undo", {"reason": row.reason})

    def _promoted(self, run: Run) -> Event | Wait:
        row = run.row
        if row.wanted == "undo":
            return self._back_to_old(run)
        if self.can_disable:
            held = self._out_of_use(run, row.old_id, row.promoted_at)
            if held is not None:
                return held
        elif run.now < row.promoted_at + self.plan.grace:
            return Wait(row.promoted_at + self.plan.grace)
        return Event("disable")

    def _back_to_old(self, run: Run) -> Event | Wait:
        """The old one works everywhere again before consumers are sent back to it."""
        row = run.row
        old = self._list(run).get(row.old_id)
        if old is None:
            return Wait(run.now + _OWNER_LOOKS_AGAIN, f"no way back: {row.old_id} is gone, and not by us")
        if old.enabled is False and self.can_disable:
            return Event("enable", {"reason": row.reason})
        if run.now < row.settle_from + self.settle:
            return Wait(row.settle_from + self.settle, row.reason)
        return Event("undo", {"reason": row.reason})

    def _old_disabled(self, run: Run) -> Event | Wait:
        row = run.row
        if row.wanted == "undo" and row.old_id in self._list(run):  # else it was deleted already: onwards
            return Event("undo", {"reason": row.reason})
        if run.now < row.disabled_at + self.plan.soak:
            return Wait(row.disabled_at + self.plan.soak)
        held = self._out_of_use(run, row.old_id, row.promoted_at)
        return held if held is not None else Event("delete")

    def _old_gone(self, run: Run) -> Event | Wait:
        """Reconciles: the new one alone is live; whatever else there is, is reported."""
        row, now = run.row, run.now
        if now < row.settle_from + self.settle:
            return Wait(row.settle_from + self.settle)
        live = self._list(run)
        if row.old_id in live:
            return Event("delete_again", due_at=now + self.settle)
        if row.new_id not in live:
            return _refuse(f"the new credential {row.new_id} is gone, and not by us", live)
        known = {row.new_id, *json.loads(row.baseline)}
        rest = [found for found in live.values() if found.id != row.new_id]
        lost = self._provably_ours(run, [found for found in rest if found.id not in known])
        if lost is not None and lost not in json.loads(row.foreign_ids):
            return Event("clean", due_at=now + self.settle, about=lost)
        return Event("reconcile", {"foreign_ids": _and("[]", rest)})

    def contradiction(self, run: Run) -> str | None:
        row = run.row
        current = run.call("current", self.store.current)
        live = self._list(run)
        promoted = row.state in ("PROMOTED", "OLD_DISABLED", "OLD_GONE")
        if current is None:
            return "after a restore: the store is empty"
        if not promoted and current.op_id is not None and current.op_id.startswith(row.op_id):
            return "after a restore: this operation went further than the restored record says"
        if promoted and current.credential_id != row.new_id:
            return f"after a restore: the store's current credential is {current.credential_id}, not the new one"
        if row.state == "PLANNED" and run.call("pending", self.store.pending, row.op_id) is not None:
            return "after a restore: this operation had begun"
        needed = [row.new_id] if row.state not in ("PLANNED", "INTENT") else []
        needed += [row.old_id] if row.state not in ("PLANNED", "OLD_GONE") else []
        gone = [found for found in needed if found not in live]
        return f"after a restore: {gone[0]} is not live" if gone else None

    def _out_of_use(self, run: Run, credential_id: str, since: datetime) -> Wait | None:
        """None: nobody needs it any more. Grace has passed, and the system (else the owner) says: no use."""
        row, now = run.row, run.now
        if now < since + self.plan.grace:
            return Wait(since + self.plan.grace)
        usage = run.call("last_used", self.actor.last_used, row.target, credential_id)
        confirmed = row.confirmed_at is not None and row.confirmed_at >= since + self.plan.grace
        if usage.state is UseState.USED and usage.last_used_at is not None:
            if usage.last_used_at < since + self.plan.ttl or (confirmed and usage.last_used_at <= row.confirmed_at):
                return None
            return Wait(now + _OWNER_LOOKS_AGAIN, f"{credential_id} is still in use: the owner must decide")
        if confirmed or (usage.state is UseState.NEVER and (usage.since is None or usage.since <= since)):
            return None
        return Wait(
            now + _OWNER_LOOKS_AGAIN,
            f"the system does not tell whether {credential_id} is in use: its owner must confirm that it is not",
        )

    def _provably_ours(self, run: Run, surplus: list[LiveCredential]) -> str | None:
        """A surplus id that this operation made and whose value is not in the store, or None."""
        row = run.row
        if not surplus:
            return None
        ids = {found.id for found in surplus}
        attempts = [_attempt(row.op_id, n) for n in range(1, row.attempts + 1)]
        for found in surplus:
            if found.op_id in attempts:
                return found.id
        for attempt in attempts:
            made = run.call("find_created", self.actor.find_created, row.target, attempt)
            if made in ids:
                return made
        return None

    def _list(self, run: Run) -> dict[str, LiveCredential]:
        return {found.id: found for found in run.call("list_live", self.actor.list_live, run.row.target)}

    def _full(self, live: Mapping[str, LiveCredential]) -> bool:
        return self.actor.max_credentials is not None and len(live) >= self.actor.max_credentials

    # ------------------------------------------------------------ acting

    def perform(self, step: str, run: Run, about: str | None) -> Mapping[str, Any]:
        if step == "remove_lost" and about is not None:
            self._delete(run, about)
            return {}
        return {
            "create": self._create,
            "remove_new": self._remove_new,
            "drop_pending": self._drop_pending,
            "move_label": self._move_label,
            "move_label_back": self._move_label_back,
            "disable_old": self._disable_old,
            "enable_old": self._enable_old,
            "delete_old": self._delete_old,
        }[step](run)

    def _create(self, run: Run) -> Mapping[str, Any]:
        attempt = _attempt(run.op_id, run.row.attempts)

        def deliver(value: Secret, credential_id: str) -> None:
            run.call("put_pending", self.store.put_pending, attempt, value, credential_id)

        new_id = run.call("create", self.actor.create, run.row.target, attempt, deliver)
        return _minted(new_id, run.row.attempts, run.now)

    def _remove_new(self, run: Run) -> Mapping[str, Any]:
        self._delete(run, run.row.new_id)  # before its value is forgotten: never a live key without its value
        return self._drop_pending(run)

    def _drop_pending(self, run: Run) -> Mapping[str, Any]:
        for n in range(1, run.row.attempts + 1):
            run.call("drop_pending", self.store.drop_pending, _attempt(run.op_id, n))
        return {}

    def _move_label(self, run: Run) -> Mapping[str, Any]:
        run.call("promote", self.actor.promote, run.row.target, run.row.new_id)
        run.call("move_label", self.store.promote, _label(run.row))
        return {"promoted_at": run.now}

    def _move_label_back(self, run: Run) -> Mapping[str, Any]:
        run.call("promote", self.actor.promote, run.row.target, run.row.old_id)
        run.call("move_label_back", self.store.revert, _label(run.row))
        return {"reverted_at": run.now}

    def _disable_old(self, run: Run) -> Mapping[str, Any]:
        self._check_not_current(run, run.row.old_id)
        if self.can_disable:
            run.call("disable", self.actor.disable, run.row.target, run.row.old_id)
        return {"disabled_at": run.now}

    def _enable_old(self, run: Run) -> Mapping[str, Any]:
        if self.can_disable:
            run.call("enable", self.actor.enable, run.row.target, run.row.old_id)
        return {"settle_from": run.now}

    def _delete_old(self, run: Run) -> Mapping[str, Any]:
        self._delete(run, run.row.old_id)
        return {"settle_from": run.now}

    def _delete(self, run: Run, credential_id: str) -> None:
        self._check_not_current(run, credential_id)
        run.call("delete", self.actor.delete, run.row.target, credential_id)

    def _check_not_current(self, run: Run, credential_id: str) -> None:
        """What consumers fetch is never stopped, whatever our record says."""
        current = run.call("current", self.store.current)
        if current is None or current.credential_id == credential_id:
            raise VerificationFailed(_("%(id)s may be what consumers fetch now: not touched") % {"id": credential_id})


class Rotations:
    """What others call. Each method is one user action; services check who may."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def plan(self, plan: RotationPlan) -> str:
        """Writes the plan down and returns its operation id. Raises Conflict: this target has an open rotation."""
        now = self.db.clock()
        op_id = new_op_id(now)
        try:
            with self.db.write(plan.requester) as write:
                write.conn.execute(
                    _TABLE.insert().values(
                        op_id=op_id,
                        connection=plan.connection,
                        target=plan.target,
                        state="PLANNED",
                        open_target=json.dumps([plan.connection, plan.target]),
                        plan=plan.to_json(),
                        plan_hash=plan.hash,
                        baseline="[]",
                        foreign_ids="[]",
                        attempts=0,
                        successes=0,
                        token=0,
                        due_at=now,
                        epoch=current_epoch(self.db),
                        created_at=now,
                        updated_at=now,
                    )
                )
                write.audit("rotation.plan", op_id, {"plan_hash": plan.hash, "connection": plan.connection})
        except sa.exc.IntegrityError:
            raise Conflict(
                _("a rotation of %(target)s is open already") % {"target": plan.target},
                advice=_("finish it or undo it first"),
            ) from None
        return op_id

    def approve(self, op_id: str, approval: Approval) -> None:
        """Records a second person's approval. Raises ApprovalNeeded when it does not hold for this plan."""
        row = self._row(op_id)
        check_approved(row.plan, row.plan_hash, approval.to_json(), begins=True, as_of=self.db.clock())
        self._write(op_id, ("PLANNED",), approval.approver, "approve", {"approval": approval.to_json()})

    def confirm(self, op_id: str, person: str) -> None:
        """The owner's word that the credential about to be stopped is out of use. Counts only after grace."""
        now = self.db.clock()
        states = ("TESTED", "PROMOTED", "OLD_DISABLED")
        self._write(op_id, states, person, "confirm", {"confirmed_at": now, "due_at": now})

    def undo(self, op_id: str, person: str, reason: str) -> None:
        """Asks for the way back; `run` walks it. Raises TransitionRefused once the old credential is gone."""
        states = ("PLANNED", "INTENT", "MINTED", "TESTED", "PROMOTED", "OLD_DISABLED")
        changes = {"wanted": "undo", "reason": reason, "confirmed_at": None, "due_at": self.db.clock()}
        self._write(op_id, states, person, "undo_asked", changes)

    def due(self, limit: int = 100) -> list[str]:
        """Operations that have something to do now, the longest waiting first."""
        with self.db.read() as conn:
            rows = conn.scalars(
                sa.select(_TABLE.c.op_id)
                .where(_TABLE.c.open_target.is_not(None), _TABLE.c.due_at <= self.db.clock())
                .order_by(_TABLE.c.due_at)
                .limit(limit)
            )
            return list(rows)

    def run(self, op_id: str, machine: Machine, actor: Actor, store: SecretStore) -> str:
        """Takes the operation as far as it goes now and returns its state (see `Machine.run`)."""
        return machine.run(op_id, Rotation(actor, store))

    def _row(self, op_id: str) -> sa.Row[Any]:
        with self.db.read() as conn:
            row = conn.execute(_TABLE.select().where(_TABLE.c.op_id == op_id)).first()
        if row is None:
            raise TransitionRefused(_("there is no operation %(op)s") % {"op": op_id})
        return row

    def _write(self, op_id: str, states: Iterable[str], person: str, what: str, changes: Mapping[str, Any]) -> None:
        with self.db.write(person) as write:
            done = write.conn.execute(
                _TABLE.update()
                .where(_TABLE.c.op_id == op_id, _TABLE.c.state.in_(list(states)))
                .values(**changes, updated_at=write.at)
            )
            if not done.rowcount:
                raise TransitionRefused(
                    _("operation %(op)s is not in a state that allows: %(what)s") % {"op": op_id, "what": what}
                )
            write.audit(f"rotation.{what}", op_id)


_TABLE = tables.rotation


def _refuse(reason: str, live: Iterable[str] = (), mine: str | None = None) -> Event:
    """Stops for a person to look, with what is live besides `mine` as the report."""
    return Event("refuse", {"reason": reason, "foreign_ids": _ids(set(live) - {mine})})


def _attempt(op_id: str, n: int) -> str:
    """The name of the n-th create of an operation, at the system and in the store.

    Each answer that was lost can then be asked for by itself, and a worker that wakes up too late cannot put its
    value in the place of the one that was proved since.
    """
    return op_id if n <= 1 else f"{op_id}.{n}"


def _label(row: sa.Row[Any]) -> str:
    """The store's name of the new value."""
    return _attempt(row.op_id, row.attempt)


def _minted(credential_id: str, attempt: int, now: datetime) -> dict[str, Any]:
    return {"new_id": credential_id, "attempt": attempt, "minted_at": now, "successes": 0}


def _ids(found: Iterable[str]) -> str:
    return json.dumps(sorted(found))


def _and(known: str, more: Iterable[LiveCredential | str]) -> str:
    return _ids({*json.loads(known), *(each if isinstance(each, str) else each.id for each in more)})
