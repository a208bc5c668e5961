"""The worker: takes due jobs one at a time, keeps their lease while they run, and stops when told to.

SIGTERM or Ctrl-C once: the job in hand is finished, then the worker ends. Twice: the job is given back and another
worker takes it at once. Kill -9: another takes it when its lease has run out. A worker that was stopped beyond its
lease and wakes up finds its token outdated, and can write nothing more (`queue`).
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from wardship.jobs import queue, schedule
from wardship.jobs.queue import Job, Random
from wardship.model.errors import Conflict, RetryableError
from wardship.sdk.i18n import _
from wardship.sdk.log import logger
from wardship.store.db import Database, Write
from wardship.store.leases import new_holder

LEASE_S = 30.0
POLL_S = 2.0
MAX_RUN_S = 6 * 3600.0

_log = logger("wardship.jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """What a handler may use besides its arguments."""

    db: Database
    job: Job
    stopping: Callable[[], bool] = field(repr=False)  # True: come to an end soon; a long handler looks now and then
    lost: Callable[[], bool] = field(repr=False)

    def check(self) -> None:
        """Raises Conflict when the job is no longer ours. Call it just before anything that cannot be taken back."""
        if self.lost():
            raise Conflict(_("job %(id)s is held by another worker") % {"id": self.job.id})
        with self.db.read() as conn:
            queue.guard(conn, self.job)

    @contextlib.contextmanager
    def write(self, actor: str) -> Iterator[Write]:
        """`Database.write` that commits only while the job is ours. Raises Conflict."""
        with self.db.write(actor) as writing:
            queue.guard(writing.conn, self.job)
            yield writing


Handler = Callable[[Mapping[str, Any], JobContext], None]


class Worker:
    """Runs jobs of the kinds in `handlers`, looking for them every `poll_s` seconds.

    A job is held for `lease_s` seconds at a time, renewed three times as often; a handler that runs longer than
    `max_run_s` seconds hangs, and loses it.
    """

    def __init__(
        self,
        db: Database,
        handlers: Mapping[str, Handler],
        *,
        lease_s: float = LEASE_S,
        poll_s: float = POLL_S,
        max_run_s: float = MAX_RUN_S,
        chance: Random = random.random,
    ) -> None:
        self.db = db
        self.handlers = handlers
        self.holder = new_holder()
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._max_run_s = max_run_s
        self._chance = chance
        self._stop = threading.Event()

    def stop(self) -> None:
        """The job in hand is the last one."""
        self._stop.set()

    def run(self) -> None:
        """Works until it is told to stop. Call it in the main thread: it listens to SIGTERM and SIGINT."""
        with self._listening():
            while not self._stop.is_set():
                try:
                    busy = self.run_one()
                except RetryableError as error:  # the database does not answer: it may again
                    _log.warning("job.worker_waits", reason=error.message)
                    busy = False
                if not busy:
                    self._stop.wait(self._poll_s)

    def run_due(self) -> int:
        """Runs what is due now and returns how many jobs were run; for `wardship worker --once`, and tests."""
        done = 0
        while not self._stop.is_set() and self.run_one():
            done += 1
        return done

    def run_one(self) -> bool:
        """Makes due schedules into jobs and runs the first due job. False: there is none."""
        schedule.tick(self.db, self._chance)
        job = queue.claim(self.db, tuple(self.handlers), self.holder, self._lease_s)
        if job is None:
            return False
        self._run(job)
        return True

    def _run(self, job: Job) -> None:
        lost = threading.Event()
        context = JobContext(db=self.db, job=job, stopping=self._stop.is_set, lost=lost.is_set)
        try:
            with self._kept(job, lost):
                self.handlers[job.kind](job.args, context)
            queue.finish(self.db, job)
        except Conflict as error:
            if not self._still_ours(job):
                _log.warning("job.lost", job=job.id, kind=job.kind)
                return
            self._failed(job, error)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the job's failure, not the worker's
            self._failed(job, error)
        except BaseException:  # told twice to stop
            queue.release(self.db, job)
            raise

    def _failed(self, job: Job, error: Exception) -> None:
        try:
            again = queue.fail(self.db, job, error, self._chance)
        except Conflict:
            _log.warning("job.lost", job=job.id, kind=job.kind)
            return
        _log.warning(
            "job.failed",
            job=job.id,
            kind=job.kind,
            attempt=job.attempt,
            error=queue.redacted(error),
            again_at=again.isoformat() if again else None,
        )

    def _still_ours(self, job: Job) -> bool:
        try:
            with self.db.read() as conn:
                queue.guard(conn, job)
        except Conflict:
            return False
        return True

    @contextlib.contextmanager
    def _kept(self, job: Job, lost: threading.Event) -> Iterator[None]:
        """Renews the lease in the background while the handler runs."""
        ended = threading.Event()
        beat_s = self._lease_s / 3

        def keep() -> None:
            for _beat in range(max(1, int(self._max_run_s / beat_s))):
                if ended.wait(beat_s):
                    return
                try:
                    queue.renew(self.db, job, self._lease_s)
                except Conflict:
                    lost.set()
                    return
                except RetryableError as error:  # the next beat tries again; meanwhile the lease may run out
                    _log.warning("job.lease_not_renewed", job=job.id, reason=error.message)
            lost.set()

        thread = threading.Thread(target=keep, name=f"lease of {job.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        def told(number: int, _frame: FrameType | None) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt(signal.Signals(number).name)
            self._stop.set()

        before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
