"""worker and quarantine on a workspace where nothing is due."""

from __future__ import annotations

from tests.cli.conftest import Command


def test_the_worker_does_what_is_due_and_leaves(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    ran = run("worker", "--once", "-w", "w")
    assert ran.code == 0
    assert "jobs done" in ran.out
