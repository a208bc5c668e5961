"""The kill harness: a real SIGKILL at every point where a rotation acts or records, and the invariants after each.

The provider, the customer's store and our database are three separate durable places. The worker is a forked process
that kills itself at the n-th probe. Time is virtual: between two workers the harness moves it on in small steps, in
which strict consumers (they keep a value for its whole TTL and do not fetch again when it fails) log in.

I1 every consumer's value works            I2 no live key of ours without its value in the store
I3 more than one live only while a rotation is open or its row reports it
I4 what others made, and what is current, is never deleted
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from tests.conftest import NOW
from tests.connectors.pairs import Pair, connection_of
from tests.lifecycle.providers import FileStore, Keys, Kind, later
from wardship.connectors.postgresql import PostgresqlActor
from wardship.lifecycle.machine import LeaseLost, Machine
from wardship.lifecycle.plan import Approval, RotationPlan
from wardship.lifecycle.rotation import TERMINAL, Rotation, Rotations
from wardship.model.secret import Secret
from wardship.sdk.connector import Actor
from wardship.store import tables
from wardship.store.db import Database

TTL_S = 60
STEP_S = 20
_serial = itertools.count()


class Provider(Protocol):
    """What the harness asks of a provider besides being an Actor: the truth, whatever lag it shows to others."""

    def works(self, id_: str, value: str) -> bool: ...

    def live(self) -> dict[str, str]: ...

    def deleted(self) -> dict[str, str]: ...


@dataclass
class Consumer:
    """Fetches the current value, keeps it for TTL, and never asks early."""

    fetched_at: datetime
    id: str
    value: str


@dataclass
class World:
    """One target, its store, its consumers, and one rotation of it. `violations` is what must stay empty."""

    folder: Path
    url: str
    provider: Any  # Provider and Actor
    store: FileStore
    workflow: Callable[[Actor, FileStore], Rotation] = Rotation
    human: random.Random | None = None
    clock: list[datetime] = field(default_factory=lambda: [NOW])
    target: str = field(default_factory=lambda: f"svc-{next(_serial)}")
    violations: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # probes passed, of all workers
    kills: int = 0
    checks: int = 0
    op_id: str = ""

    def __post_init__(self) -> None:
        self.db = Database(self.url, clock=lambda: self.clock[0])
        current = self.store.current()
        assert current is not None
        self.consumers = [
            Consumer(later(NOW, -age), current.credential_id, current.value.reveal()) for age in (0, 17, 41)
        ]
        self.newcomer = self.consumers[0]
        self.plan = RotationPlan(
            connection="c",
            target=self.target,
            store="file:secret",
            requester="ana",
            ttl_s=TTL_S,
            grace_s=90,
            soak_s=60,
            spacing_s=5,
            provenance_wait_s=400,
        )
        rotations = Rotations(self.db)
        self.op_id = rotations.plan(self.plan)
        rotations.approve(self.op_id, approval_of(self.plan, self.now))
        self.db.close()

    @property
    def now(self) -> datetime:
        return self.clock[0]

    def row(self) -> Any:
        with self.db.read() as conn:
            row = conn.execute(tables.rotation.select().where(tables.rotation.c.op_id == self.op_id)).one()
        self.db.close()  # nothing may be open across a fork
        return row

    def drive(self, *gaps: int, turns: int = 200) -> str:
        """Works until the end; the first kill comes at probe gaps[0], each further one gaps[i] probes after it."""
        left = list(gaps)
        self.check()
        for _turn in range(turns):
            row = self.row()
            if row.state in TERMINAL:
                self.finish(row)
                return row.state
            if row.reason and "must confirm" in row.reason:
                # The owner looks at the consumers: all have had time to fetch the new value, so the word is true.
                Rotations(self.db).confirm(self.op_id, "owner")
                row = self.row()
            due = max([row.due_at, self.now] + ([row.leased_until] if row.leased_until else []))
            self.advance(due)
            passed, killed = self.work(left[0] if left else None)
            if killed:
                self.kills += 1
                left.pop(0)
            elif left:
                left[0] -= passed
            self.check()
        self.violations.append(f"stuck in {self.row().state}: {self.row().reason}")
        return self.row().state

    def drive_to_record(self, state: str) -> None:
        """Works until a worker is killed just after it recorded its arrival in `state`."""
        for _turn in range(50):
            self.advance(max(self.row().due_at, self.row().leased_until or self.now))
            self.work(None, stop_in=state)
            if self.row().state == state:
                return

    def work(self, kill_at: int | None, *, stop_in: str = "") -> tuple[int, bool]:
        """One worker process. Returns how many probes it passed and whether it was killed."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(read)
                seen = 0

                def probe(name: str) -> None:
                    nonlocal seen
                    seen += 1
                    os.write(write, f"{name}\n".encode())
                    arrived = stop_in and name.startswith("after:db:") and self.row().state == stop_in
                    if seen == kill_at or arrived:
                        os.kill(os.getpid(), signal.SIGKILL)

                self.work_here(probe)
                code = 0
            except LeaseLost:
                code = 3
            except Exception:  # noqa: BLE001 - whatever it is, the parent reports it as a violation
                (self.folder / "worker.err").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read) as pipe:
            names = pipe.read().split()
        _pid, status = os.waitpid(pid, 0)
        self.names += names
        killed = os.WIFSIGNALED(status)
        if not killed and os.waitstatus_to_exitcode(status) == 1:
            self.violations.append("worker failed: " + (self.folder / "worker.err").read_text())
        return len(names), killed

    def work_here(self, probe: Callable[[str], None] = lambda _name: None, holder: str = "") -> str:
        db = Database(self.url, clock=lambda: self.clock[0])
        machine = Machine(db, tables.rotation, holder=holder or f"worker-{os.getpid()}", probe=probe)
        try:
            return machine.run(self.op_id, self.workflow(self.provider, self.store))
        finally:
            db.close()

    def advance(self, until: datetime) -> None:
        """Virtual time in small steps: consumers log in, people do what people do."""
        while self.now < until:
            self.clock[0] = min(until, self.now + timedelta(seconds=STEP_S))
            if self.human is not None and self.human.random() < 0.02:
                make_by_hand(self.provider)
            self.consume()

    def consume(self) -> None:
        for consumer in (*self.consumers, self.newcomer):
            if self.now >= consumer.fetched_at + timedelta(seconds=TTL_S):
                current = self.store.current()
                consumer.fetched_at = self.now
                consumer.id, consumer.value = current.credential_id, current.value.reveal()
            self.checks += 1
            if not self.provider.works(consumer.id, consumer.value):
                self.violations.append(f"I1 a consumer's {consumer.id} stopped working in {self.row().state}")

    def check(self) -> None:
        fresh = self.store.current()
        self.newcomer = Consumer(self.now, fresh.credential_id, fresh.value.reveal())  # somebody starts just now
        self.consume()
        row, live, values = self.row(), self.provider.live(), self.store.values()
        current = self.store.current().credential_id
        self.checks += 3
        waits_for_answer = row.state == "INTENT" and row.attempts > 0  # its next look finds and removes it
        for id_, maker in live.items():
            if (
                maker.startswith(row.op_id)
                and id_ not in values
                and not waits_for_answer
                and id_ not in row.foreign_ids
            ):
                self.violations.append(f"I2 {id_} is live and its value is nowhere, in {row.state}")
        # What a person made in the last seconds nobody can see yet: the next scan tells of it, a rotation cannot.
        seen = {found.id for found in self.provider.list_live(self.target)} if row.state in TERMINAL else set()
        extra = (seen & set(live)) - {current}
        if row.state in TERMINAL and any(id_ not in row.foreign_ids for id_ in extra):
            self.violations.append(f"I3 {extra} live after {row.state}, reported {row.foreign_ids}")
        if current not in live:
            self.violations.append(f"I4 the current {current} was deleted in {row.state}")
        for id_, maker in self.provider.deleted().items():
            if maker == "human":
                self.violations.append(f"I4 {id_} was made by a person and deleted in {row.state}")

    def finish(self, row: Any) -> None:
        """What must be true at the end."""
        self.check()
        people = [id_ for id_, maker in self.provider.live().items() if maker == "human"]
        ours = [id_ for id_, maker in self.provider.live().items() if maker != "human"]
        if len(ours) != 1 or ours != [self.store.current().credential_id]:
            self.violations.append(f"end: {len(ours)} of our keys are live in {row.state}: {ours}")
        if row.state != "DONE" and not (people and row.state == "BLOCKED"):
            self.violations.append(f"end: {row.state}, {row.reason}")
        if row.state == "DONE" and row.new_id != self.store.current().credential_id:
            self.violations.append("end: done, and the store has another one")


class PairProvider(PostgresqlActor):
    """The real connector over a real role pair, with the truth that the harness asks for."""

    def __init__(self, pair: Pair, clock: Callable[[], datetime]) -> None:
        super().__init__(connection_of(pair.url, clock))
        self.pair = pair

    def works(self, id_: str, value: str) -> bool:
        return self.pair.works(id_, value)

    def live(self) -> dict[str, str]:
        return {found.id: found.op_id or "customer" for found in self.list_live(self.pair.group)}

    def deleted(self) -> dict[str, str]:
        return {}  # nobody else makes slots live here; a test of its own does


def pair_world(template: Path, folder: Path, pair: Pair, *, url: str | None = None, **more: Any) -> World:
    """A target on the real PostgreSQL server whose first slot consumers use."""
    folder.mkdir(parents=True)
    if url is None:
        shutil.copy(template, folder / "state.db")
        url = f"sqlite:///{folder}/state.db"
    clock = [NOW]
    store = FileStore(folder / "store.json")
    store.adopt(pair.slots[0], Secret(pair.password))
    return World(
        folder=folder,
        url=url,
        provider=PairProvider(pair, lambda: clock[0]),
        store=store,
        clock=clock,
        target=pair.group,
        **more,
    )


def distinct_points(names: list[str]) -> list[int]:
    """The probes, counted from 1, that differ in what is durable: nothing happens from an "after" to a "before"."""
    return [
        at
        for at, name in enumerate(names, 1)
        if not (name.startswith("before:") and at > 1 and names[at - 2].startswith("after:"))
    ]


def approval_of(plan: RotationPlan, at: datetime, approver: str = "bob") -> Approval:
    return Approval(approver=approver, plan_hash=plan.hash, approved_at=at, expires_at=at + timedelta(hours=24))


def make_by_hand(provider: Any) -> None:
    """A person makes a key in the console, where there is room."""
    try:
        provider.mint("human")
    except Exception as error:
        if "LimitExceeded" not in str(error):
            raise


def keys_world(template: Path, folder: Path, kind: Kind, *, url: str | None = None, **more: Any) -> World:
    """A target with one key that consumers use, on a simulated provider; state in SQLite unless `url` is given."""
    folder.mkdir(parents=True)
    if url is None:
        shutil.copy(template, folder / "state.db")
        url = f"sqlite:///{folder}/state.db"
    clock = [NOW]
    provider = Keys(folder / "keys.db", kind, lambda: clock[0])
    store = FileStore(folder / "store.json")
    id_, value = provider.mint("customer", old=True)
    store.adopt(id_, Secret(value))
    return World(folder=folder, url=url, provider=provider, store=store, clock=clock, **more)
