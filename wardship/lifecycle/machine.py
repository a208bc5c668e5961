"""Runs a workflow that must survive being killed anywhere: one row, a table of arrows, one worker at a time.

A workflow is a table `(state, event) -> Arrow(to, step, compensation)`. A worker takes the row (lease and
fencing token), and then again and again: `decide` looks at the world and names an event; the arrow's `step` acts;
one compare-and-set UPDATE, fenced by state and token, moves the row, with its audit entry in the same
transaction. What was killed between act and record is found by the next look, so every step may be repeated.

`Run.call` is the only way out to a system or a store. Just before the call it asks for the kill switch and the
lease. A worker that was stopped between that look and its call (a zombie) can still make one call: its writes are
fenced, and the workflow's reconciliation has to find what the call did.

This module knows no vendor and no workflow. `probe` is told the name of each point where a crash could matter;
tests put a SIGKILL there.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from wardship.model.errors import (
    Conflict,
    ConnectorError,
    Error,
    PolicyError,
    RateLimited,
    RetryableError,
    StateError,
    TransitionRefused,
)
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.db import Database

T = TypeVar("T")

FREEZE_KEY = "actions.freeze"
EPOCH_KEY = "actions.epoch"
BLOCKED = "BLOCKED"
_RETRY_AFTER = timedelta(seconds=30)
_ATTENTION_AFTER = timedelta(minutes=10)  # refused for good, until a person mends it: look again, rarely


class Frozen(PolicyError):
    """The kill switch is on: nothing is called until it is off."""


class LeaseLost(Conflict):
    """Another worker holds the row: nothing was called, nothing was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """Where an event leads. `step` acts before the arrow is recorded; `compensation` is the step that undoes it."""

    to: str
    step: str | None = None
    compensation: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What `decide` saw: the arrow to take, the columns it writes, and when to look again (None: at once).

    `about` is the id that the arrow's step is about, where the row has no column for it.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`. `reason` None: that is as planned; else it is shown, and audited once."""

    until: datetime
    reason: str | None = None


class Workflow(Protocol):
    """One workflow, bound to what it acts on. `decide` only looks; `perform` acts and returns columns to write."""

    arrows: Mapping[tuple[str, str], Arrow]
    terminal: frozenset[str]

    def check(self, run: Run) -> None:
        """Raises PolicyError when this row may not be worked on at all."""

    def decide(self, run: Run) -> Event | Wait: ...

    def perform(self, step: str, run: Run, about: str | None) -> Mapping[str, Any]: ...

    def contradiction(self, run: Run) -> str | None:
        """After a restore: what in the world contradicts the row; None: nothing. Only looks."""


def new_op_id(at: datetime) -> str:
    """A UUIDv7 (RFC 9562): sorted by time, 74 random bits."""
    milliseconds = int(at.timestamp() * 1000) & (2**48 - 1)
    noise = int.from_bytes(os.urandom(10), "big")
    bits = milliseconds << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (2**62 - 1)
    return str(uuid.UUID(int=bits))


class Machine:
    """Runs the rows of one workflow table. One Machine is one worker, in one thread.

    `call_timeout_s` is the longest one provider call may take, as its connector was configured; it must be
    under a third of the lease, so that a call that began under a lease ends under it.
    """

    def __init__(
        self,
        db: Database,
        table: sa.Table,
        *,
        holder: str,
        lease_s: float = 30.0,
        call_timeout_s: float = 9.0,
        freeze_file: Path | None = None,
        probe: Callable[[str], None] = lambda _name: None,
    ) -> None:
        if call_timeout_s >= lease_s / 3:
            raise ValueError(
                f"a call of {call_timeout_s} s does not fit a lease of {lease_s} s: it must be under a third"
            )
        self.db = db
        self.table = table
        self.holder = holder
        self.lease = timedelta(seconds=lease_s)
        self.freeze_file = freeze_file
        self.probe = probe

    def run(self, op_id: str, workflow: Workflow) -> str:
        """Takes the row as far as it goes now and returns its state.

        Raises LeaseLost when another worker holds it, PolicyError when it may not be worked on (its row stays).
        Does nothing when the row is terminal or not due.
        """
        row = self.get(op_id)
        if row.state in workflow.terminal or row.due_at > self.db.clock():
            return str(row.state)
        run = self._take(op_id, workflow)
        try:
            while run.row.state not in workflow.terminal and self._advance(run):
                pass
        finally:
            self._release(run)
        return str(run.row.state)

    def get(self, op_id: str) -> sa.Row[Any]:
        """The row. Raises TransitionRefused when there is none."""
        with self.db.read() as conn:
            row = conn.execute(self.table.select().where(self.table.c.op_id == op_id)).first()
        if row is None:
            raise TransitionRefused(_("there is no operation %(op)s") % {"op": op_id})
        return row

    def frozen(self) -> str | None:
        """Why nothing may be called now; None: it may."""
        if self.freeze_file is not None and self.freeze_file.exists():
            return f"the file {self.freeze_file.name} is there"
        return _meta(self.db, FREEZE_KEY)

    def _advance(self, run: Run) -> bool:
        """One turn: look, act, record. False: nothing more to do now."""
        now = self.db.clock()
        decision: Event | Wait
        try:
            if run.row.epoch != current_epoch(self.db):
                contradiction = run.workflow.contradiction(run)
                decision = (
                    Event("reverified", {"epoch": current_epoch(self.db)})
                    if contradiction is None
                    else Event("contradicted", {"reason": contradiction})
                )
            else:
                run.workflow.check(run)
                decision = run.workflow.decide(run)
            if isinstance(decision, Event):
                arrow = self._arrow(run, decision.name)
                changes = dict(decision.changes)
                if arrow.step is not None:
                    changes |= run.workflow.perform(arrow.step, run, decision.about)
                run.record(decision.name, arrow.to, changes, due_at=decision.due_at or now)
                return (decision.due_at or now) <= self.db.clock()
        except (LeaseLost, TransitionRefused):
            raise
        except (ConnectorError, StateError) as error:
            decision = _after_error(error, now)
        self._wait(run, decision)
        return False

    def _arrow(self, run: Run, event: str) -> Arrow:
        try:
            return run.workflow.arrows[run.row.state, event]
        except KeyError:
            raise TransitionRefused(
                _("operation %(op)s: no %(event)s in state %(state)s")
                % {"op": run.op_id, "event": event, "state": run.row.state}
            ) from None

    def _wait(self, run: Run, wait: Wait) -> None:
        if wait.reason != run.row.reason and wait.reason is not None:
            run.record("held", run.row.state, {"reason": wait.reason}, due_at=wait.until)
            return
        with self.db.bookkeep() as conn:
            conn.execute(run.mine().values(due_at=wait.until))

    def _take(self, op_id: str, workflow: Workflow) -> Run:
        now, c = self.db.clock(), self.table.c
        free = sa.or_(c.leased_until.is_(None), c.leased_until <= now)
        self.probe("before:db:lease")
        with self.db.bookkeep() as conn:
            taken = conn.execute(
                self.table.update()
                .where(c.op_id == op_id, free)
                .values(token=c.token + 1, holder=self.holder, leased_until=now + self.lease)
            )
            row = conn.execute(self.table.select().where(c.op_id == op_id)).one()
        if not taken.rowcount:
            raise LeaseLost(
                _("operation %(op)s is held by %(holder)s until %(until)s")
                % {"op": op_id, "holder": row.holder, "until": row.leased_until.isoformat()}
            )
        self.probe("after:db:lease")
        return Run(machine=self, workflow=workflow, row=row, token=row.token)

    def _release(self, run: Run) -> None:
        with self.db.bookkeep() as conn:
            conn.execute(run.mine().values(leased_until=None))


@dataclass(slots=True)
class Run:
    """One worker's hold on one row. `memory` is what this worker knows and the row need not: it dies with it."""

    machine: Machine
    workflow: Workflow
    row: sa.Row[Any]
    token: int
    memory: set[str] = field(default_factory=set)

    @property
    def op_id(self) -> str:
        return str(self.row.op_id)

    @property
    def now(self) -> datetime:
        return self.machine.db.clock()

    def call(self, name: str, function: Callable[..., T], *args: Any) -> T:
        """Calls out. Raises Frozen under the kill switch and LeaseLost when the lease is no longer ours."""
        why = self.machine.frozen()
        if why is not None:
            raise Frozen(
                _("actions are frozen: %(why)s") % {"why": why}, advice=_("lift the freeze once its cause is mended")
            )
        self._hold()
        self.machine.probe(f"before:call:{name}")
        result = function(*args)
        self.machine.probe(f"after:call:{name}")
        return result

    def record(self, event: str, to: str, changes: Mapping[str, Any], *, due_at: datetime) -> None:
        """Moves the row along one arrow: a fenced compare-and-set and its audit entry, in one transaction.

        Raises LeaseLost when another worker took the row meanwhile.
        """
        machine, before = self.machine, self.row.state
        now = machine.db.clock()
        values = {"reason": None, **changes, "state": to, "due_at": due_at, "updated_at": now}
        values["leased_until"] = now + machine.lease
        if to in self.workflow.terminal:
            values |= {"open_target": None, "leased_until": None}
        machine.probe(f"before:db:{before}.{event}")
        with machine.db.write(self.machine.holder) as write:
            moved = write.conn.execute(self.mine().where(machine.table.c.state == before).values(values))
            if not moved.rowcount:
                raise LeaseLost(
                    _("operation %(op)s: another worker took it, nothing was recorded") % {"op": self.op_id}
                )
            self.row = write.conn.execute(machine.table.select().where(machine.table.c.op_id == self.op_id)).one()
            told = {key: _plain(value) for key, value in changes.items()}
            write.audit(f"{machine.table.name}.{event}", self.op_id, {"from": before, "to": to, **told})
        machine.probe(f"after:db:{before}.{event}")

    def mine(self) -> sa.Update:
        """An UPDATE of the row that does nothing once another worker has taken it."""
        table = self.machine.table
        return table.update().where(table.c.op_id == self.op_id, table.c.token == self.token)

    def _hold(self) -> None:
        """Makes sure that the lease is ours, with more than a call's time left on it."""
        machine = self.machine
        now = machine.db.clock()
        seen = machine.get(self.op_id)
        if seen.token != self.token or seen.leased_until is None or seen.leased_until <= now:
            raise LeaseLost(_("operation %(op)s: the lease was lost, nothing was called") % {"op": self.op_id})
        if seen.leased_until - now < machine.lease * 2 / 3:
            with machine.db.bookkeep() as conn:
                kept = conn.execute(
                    self.mine().where(machine.table.c.leased_until > now).values(leased_until=now + machine.lease)
                )
            if not kept.rowcount:
                raise LeaseLost(_("operation %(op)s: the lease was lost, nothing was called") % {"op": self.op_id})


def current_epoch(db: Database) -> int:
    """Grows with every restore from a backup. A row of an older epoch is verified before it is worked on."""
    return int(_meta(db, EPOCH_KEY) or 0)


def bump_epoch(db: Database, actor: str) -> int:
    """To be called after a restore: every open operation looks at the world again before it acts."""
    epoch = current_epoch(db) + 1
    with db.write(actor) as write:
        _set_meta(write.conn, EPOCH_KEY, str(epoch))
        write.audit("actions.epoch", str(epoch))
    return epoch


def freeze(db: Database, actor: str, reason: str) -> None:
    """The kill switch: from now on no provider is called, by any worker."""
    with db.write(actor) as write:
        _set_meta(write.conn, FREEZE_KEY, reason)
        write.audit("actions.freeze", "all", {"reason": reason})


def unfreeze(db: Database, actor: str) -> None:
    with db.write(actor) as write:
        write.conn.execute(tables.meta.delete().where(tables.meta.c.key == FREEZE_KEY))
        write.audit("actions.unfreeze", "all")


def _meta(db: Database, key: str) -> str | None:
    with db.read() as conn:
        value = conn.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.key == key))
    return None if value is None else str(value)


def _set_meta(conn: sa.Connection, key: str, value: str) -> None:
    conn.execute(tables.meta.delete().where(tables.meta.c.key == key))
    conn.execute(tables.meta.insert().values(key=key, value=value))


def _after_error(error: Error, now: datetime) -> Wait:
    pause = _RETRY_AFTER if isinstance(error, RetryableError) else _ATTENTION_AFTER
    if isinstance(error, RateLimited) and error.retry_after_s is not None:
        pause = timedelta(seconds=error.retry_after_s)
    return Wait(now + pause, f"{type(error).__name__}: {error.message}")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
