"""The simulated repositories: real git, the same commits for the same steps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from wardship.sim.git import Repository

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def steps(folder: Path) -> Repository:
    made = Repository(folder, origin="https://github.com/acme/shop.git")
    made.commit({"a.txt": "one\n", "dir/ü.txt": "zwei\n"}, at=AT)
    made.commit({"a.txt": "two\n"}, author=("Li", "li@acme.example"))
    made.commit({"b.txt": "side\n"}, branch="side")
    made.remove("a.txt")
    return made


def test_the_same_steps_give_the_same_commits(tmp_path: Path) -> None:
    one, two = steps(tmp_path / "one"), steps(tmp_path / "two")
    assert one.tip() == two.tip()
    assert one.tip("side") == two.tip("side") != one.tip()


def test_files_authors_and_dates_are_as_asked(tmp_path: Path) -> None:
    made = steps(tmp_path / "r")
    assert made.git("ls-tree", "-r", "--name-only", "-z", "HEAD") == "dir/ü.txt\0"
    log = made.git("log", "--format=%ae %aI %s", "HEAD").splitlines()
    assert log[-1] == "ana.ruiz@acme-iberica.example 2026-03-01T12:00:00+00:00 change"
    assert log[1].startswith("li@acme.example 2026-03-02T12:00:00")
    assert made.git("show", "side:a.txt") == "two\n"
    assert made.git("config", "remote.origin.url").strip() == "https://github.com/acme/shop.git"


def test_a_merge_has_two_parents(tmp_path: Path) -> None:
    made = steps(tmp_path / "r")
    merged = made.commit({"b.txt": "side\n"}, merge=made.tip("side"))
    assert len(made.git("rev-list", "--parents", "-n", "1", merged).split()) == 3
