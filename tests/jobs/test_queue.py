"""The queue on both databases: claims, leases, fencing, retries."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from tests.jobs.conftest import Clock
from wardship.jobs import queue
from wardship.model.errors import AuthenticationFailed, ConfigError, Conflict, RateLimited, Unavailable
from wardship.store import tables
from wardship.store.db import Database


def add(db: Database, kind: str = "test", **options: object) -> str:
    with db.bookkeep() as conn:
        return queue.enqueue(conn, kind, {"n": 1}, at=db.clock(), **options)  # type: ignore[arg-type] # test helper


def row(db: Database, id_: str) -> sa.Row:
    with db.read() as conn:
        return conn.execute(sa.select(tables.job).where(tables.job.c.id == id_)).one()


def take(db: Database, holder: str = "w1", lease_s: float = 30) -> queue.Job:
    job = queue.claim(db, ("test",), holder, lease_s)
    assert job is not None
    return job


def test_a_job_is_taken_once_and_finished(db: Database) -> None:
    id_ = add(db)
    job = take(db)
    assert (job.id, job.kind, job.args, job.attempt, job.token) == (id_, "test", {"n": 1}, 1, 1)
    assert queue.claim(db, ("test",), "w2", 30) is None
    queue.finish(db, job)
    assert row(db, id_).state == "done"
    assert queue.claim(db, ("test",), "w2", 30) is None


def test_asking_twice_with_one_key_makes_one_job(db: Database) -> None:
    first = add(db, key="scan:aws:2026-11-22")
    assert add(db, key="scan:aws:2026-11-22") == first
    queue.finish(db, take(db))
    assert add(db, key="scan:aws:2026-11-22") == first
    assert queue.claim(db, ("test",), "w", 30) is None


def test_jobs_wait_for_their_time_and_the_oldest_goes_first(db: Database, clock: Clock) -> None:
    late = add(db, due_at=NOW + timedelta(seconds=60))
    early = add(db, due_at=NOW + timedelta(seconds=30))
    assert queue.claim(db, ("test",), "w", 30) is None
    clock.forward(61)
    assert [take(db).id, take(db).id] == [early, late]


def test_a_worker_takes_only_what_it_can_do(db: Database) -> None:
    add(db, kind="other")
    assert queue.claim(db, ("test",), "w", 30) is None


def test_a_dead_workers_job_is_taken_after_its_lease_with_a_higher_token(db: Database, clock: Clock) -> None:
    add(db)
    dead = take(db, "dead", lease_s=30)
    clock.forward(29)
    assert queue.claim(db, ("test",), "w2", 30) is None
    clock.forward(1)
    second = take(db, "w2")
    assert (second.id, second.token, second.attempt) == (dead.id, dead.token + 1, 2)


def test_a_renewed_lease_is_kept(db: Database, clock: Clock) -> None:
    add(db)
    job = take(db, lease_s=30)
    clock.forward(20)
    queue.renew(db, job, 30)
    clock.forward(20)
    assert queue.claim(db, ("test",), "w2", 30) is None


def test_an_outdated_token_can_do_nothing_at_all(db: Database, clock: Clock) -> None:
    add(db)
    zombie = take(db, "zombie")
    clock.forward(31)
    job = take(db, "w2")
    for attempt in (
        lambda: queue.finish(db, zombie),
        lambda: queue.renew(db, zombie, 30),
        lambda: queue.fail(db, zombie, Unavailable("late")),
    ):
        with pytest.raises(Conflict):
            attempt()
    with pytest.raises(Conflict), db.bookkeep() as conn:
        queue.guard(conn, zombie)
    queue.release(db, zombie)  # giving back what is lost changes nothing
    assert (row(db, job.id).state, row(db, job.id).holder) == ("running", "w2")
    queue.finish(db, job)
    with pytest.raises(Conflict):
        queue.finish(db, job)


def test_a_failed_attempt_is_tried_again_later_and_then_fails_for_good(db: Database, clock: Clock) -> None:
    id_ = add(db, max_attempts=3)
    for attempt in (1, 2):
        again = queue.fail(db, take(db), Unavailable("system x did not answer"), lambda: 0.5)
        assert again == clock.now + timedelta(seconds=0.5 * 5 * 2 ** (attempt - 1))
        assert queue.claim(db, ("test",), "w", 30) is None
        clock.now = again
    assert queue.fail(db, take(db), Unavailable("system x did not answer"), lambda: 0.5) is None
    kept = row(db, id_)
    assert (kept.state, kept.attempts, kept.finished_at) == ("failed", 3, clock.now)
    assert kept.error == "Unavailable: system x did not answer"
    clock.forward(86_400)
    assert queue.claim(db, ("test",), "w", 30) is None


@pytest.mark.parametrize("error", [ConfigError("no key"), AuthenticationFailed("refused")])
def test_what_a_person_must_mend_is_not_tried_again(db: Database, error: Exception) -> None:
    id_ = add(db)
    assert queue.fail(db, take(db), error) is None
    assert row(db, id_).state == "failed"


def test_a_job_that_kills_its_worker_every_time_ends(db: Database, clock: Clock) -> None:
    id_ = add(db, max_attempts=2)
    for _ in range(2):
        take(db)
        clock.forward(31)
    other = add(db)
    assert take(db).id == other
    assert row(db, id_).state == "failed"
    assert "2" in row(db, id_).error


def test_a_released_job_is_due_at_once_and_the_attempt_does_not_count(db: Database) -> None:
    add(db)
    queue.release(db, take(db))
    job = take(db, "w2")
    assert (job.attempt, job.token) == (1, 2)


def test_the_wait_is_full_jitter_capped_and_no_shorter_than_the_system_asks() -> None:
    assert [queue.backoff_s(n, None, lambda: 1.0) for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert queue.backoff_s(500, None, lambda: 1.0) == 3600
    assert queue.backoff_s(7, None, lambda: 0.0) == 0
    assert queue.backoff_s(1, RateLimited("slow down", retry_after_s=90), lambda: 1.0) == 95


def test_a_foreign_errors_text_is_not_kept() -> None:
    with pytest.raises(ValueError) as caught:
        int("hunter2")  # the message of Python repeats the value
    text = queue.redacted(caught.value)
    assert text.startswith("ValueError at test_queue.py:")
    assert "hunter2" not in text
    assert queue.redacted(ConfigError("no owner", advice="name one")) == "ConfigError: no owner (name one)"


def test_done_jobs_are_forgotten_after_a_while_and_failed_ones_are_not(db: Database, clock: Clock) -> None:
    done, failed = add(db), add(db)
    for id_ in sorted((done, failed)):
        job = take(db)
        if job.id == done:
            queue.finish(db, job)
        else:
            queue.fail(db, job, ConfigError("no"))
        assert id_
    clock.forward(86_400)
    assert queue.prune(db, timedelta(days=2)) == 0
    assert queue.prune(db, timedelta(hours=1)) == 1
    assert row(db, failed).state == "failed"


def test_many_workers_never_share_a_job(db: Database) -> None:
    wanted = {add(db) for _ in range(24)}
    taken: list[str] = []
    seen = threading.Lock()

    def work(name: str) -> None:
        while (job := queue.claim(db, ("test",), name, 30)) is not None:
            with seen:
                taken.append(job.id)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted)
