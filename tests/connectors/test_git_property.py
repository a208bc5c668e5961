"""A re-scan tells exactly what a first scan of the same references tells, whatever happened to them in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.connectors.git_reading import children_find_the_engines, exposures, reading, token
from wardship.sim.git import Repository

__all__ = ["children_find_the_engines"]
Clock = Callable[[], datetime]
PATHS = ["a.txt", "b/.env", "b/c/d.py", "blind.txt", "deploy/prod.yml"]


def happen(made: Repository, chance: random.Random) -> str:
    """One thing that people do to a repository; what it was."""
    branches = [
        line.rsplit("/", 1)[1] for line in made.git("for-each-ref", "--format=%(refname)", "refs/heads").split()
    ]
    branch = chance.choice([*branches, f"new{chance.randrange(5)}"])
    what = chance.choice(["commit"] * 6 + ["remove", "merge", "force", "delete", "gc", "rebase", "head", "tag"])
    others = [one for one in branches if one != "main"]
    match what:
        case "commit":
            secrets = "".join(f"{token(chance.choice('abcdef'))}\n" for _ in range(chance.randrange(3)))
            made.commit({chance.choice(PATHS): f"{chance.randrange(4)}\n{secrets}"}, branch=branch)
        case "remove":
            path = chance.choice(PATHS)
            if path in made.git("ls-tree", "-r", "--name-only", "main").splitlines():
                made.remove(path)
        case "merge" if others:
            tip = made.tip(chance.choice(others))
            made.commit({chance.choice(PATHS): token(chance.choice("abcdef"))}, merge=tip)
        case "force":
            made.git(
                "update-ref",
                f"refs/heads/{chance.choice(branches)}",
                chance.choice(made.git("rev-list", "--all").split()),
            )
        case "delete" if others:
            made.git("update-ref", "-d", f"refs/heads/{chance.choice(others)}")
        case "gc":
            made.git("gc", "--quiet", "--prune=now")
        case "rebase":  # the same files, other commits
            tree, parents = made.git("rev-parse", "main^{tree}").strip(), made.git("rev-list", "main").split()
            new = made.git("commit-tree", "-p", chance.choice(parents), "-m", "again", tree).strip()
            made.git("update-ref", "refs/heads/main", new)
        case "head":
            made.git("symbolic-ref", "HEAD", f"refs/heads/{chance.choice(branches)}")
        case "tag":
            made.git(
                "update-ref", f"refs/tags/t{chance.randrange(3)}", chance.choice(made.git("rev-list", "--all").split())
            )
    return what


def check(folder: Path, clock: Clock, seed: int, steps: int) -> int:
    chance = random.Random(seed)
    made = Repository(folder / "r")
    for name in ("user.name", "user.email"):
        made.git("config", name, "x@acme.example")
    made.commit({"a.txt": token("a")})
    kept = made.connection("c", clock=clock, cache=folder / "kept")
    did, told = [], 0
    for step in range(steps):
        did += [happen(made, chance) for _ in range(chance.randrange(1, 4))]
        again = reading(kept)
        fresh = reading(made.connection("c", clock=clock, cache=folder / f"fresh{step}"))
        assert again.complete
        assert fresh.complete
        assert again.said() == fresh.said(), f"seed {seed}: after {did}"
        told += len(exposures(fresh))
    return told


@pytest.mark.parametrize("seed", range(3))
def test_a_rescan_tells_what_a_first_scan_tells(tmp_path: Path, clock: Clock, seed: int) -> None:
    assert check(tmp_path, clock, seed, steps=6) > 0


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(100, 140))
def test_a_rescan_tells_what_a_first_scan_tells_at_length(tmp_path: Path, clock: Clock, seed: int) -> None:
    assert check(tmp_path, clock, seed, steps=25) > 0
