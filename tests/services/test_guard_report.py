"""The records of runs: written once, collected once, and the indicator they make."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import NOW
from wardship.app import App
from wardship.model.errors import ConfigError
from wardship.services.guard import report, spool
from wardship.services.guard.spool import GuardRun
from wardship.services.reading import Facts
from wardship.store import tables
from wardship.store.facts import write_rows


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App.create(tmp_path / "w", clock=lambda: NOW) as made:
        yield made


def made(number: int = 1, **changed: object) -> GuardRun:
    values: dict[str, object] = {
        "id": f"{number:032x}",
        "repository": "git:github.com/acme/shop",
        "stage": "ci",
        "commit_id": "a" * 40,
        "run_at": NOW - timedelta(days=1),
        "commits": 3,
        "files": 5,
        "found": 2,
        "blocked": 1,
        "baselined": 1,
        "bypassed": False,
        "seconds": 0.25,
        "version": "0.1.0",
    }
    return GuardRun(**{**values, **changed})  # type: ignore[arg-type]  # made from a table of fields


def spooled(folder: Path, *runs: GuardRun) -> Path:
    """A repository whose git directory holds these records."""
    common = folder / ".git"
    common.mkdir(parents=True)
    for run in runs:
        spool.append(common, run)
    return folder


def test_records_are_collected_once_from_folders_spools_and_artifacts(app: App, tmp_path: Path) -> None:
    spooled(tmp_path / "src" / "shop", made(1), made(2))
    spooled(tmp_path / "src" / "team" / "billing", made(3, repository="git:github.com/acme/billing"))
    artifact = tmp_path / "artifacts" / "job-7" / spool.RECORD
    artifact.parent.mkdir(parents=True)
    artifact.write_text(made(2).line() + "\n" + made(4).line() + "\n")
    done = report.collect(app.workspace, [tmp_path / "src", tmp_path / "artifacts"], app.actor)
    assert (done.files, done.added, done.known, done.bad_count) == (3, 4, 1, 0)
    again = report.collect(app.workspace, [artifact], app.actor)
    assert (again.added, again.known) == (0, 2)
    with app.db.read() as conn:
        rows = conn.execute(sa.select(tables.guard_run).order_by(tables.guard_run.c.id)).all()
        audited = conn.scalar(sa.text("select count(*) from audit where body like '%guard.collected%'"))
    assert [row.id for row in rows] == [f"{n:032x}" for n in (1, 2, 3, 4)]
    assert rows[0].run_at == NOW - timedelta(days=1)
    assert audited == 1
    with app.facts() as facts:
        assert facts.one("SELECT count(*) AS n FROM guard_run")["n"] == 4


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        json.dumps("x" * 100),
        "[" * 100_000,
        json.dumps({}),
        made().line().replace('"commits":3', '"commits":-3'),
        made().line().replace('"commits":3', '"commits":true'),
        made().line().replace('"commits":3', '"commits":1e400'),
        made().line().replace('"stage":"ci"', '"stage":"other"'),
        made().line().replace("git:github.com/acme/shop", "git:x y"),
        made().line().replace("git:github.com/acme/shop", "=HYPERLINK(1)"),
        made().line().replace("2026-11-21", "2036-11-21"),
        made().line().replace("T08:00:00Z", ""),
        made().line().replace('"version"', '"author":"dana","version"'),
        made(id="../../etc").line(),
    ],
)
def test_a_line_that_no_run_wrote_is_counted_and_told(app: App, tmp_path: Path, bad: str) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(made(1).line() + "\n" + bad + "\n" + made(2).line() + "\n")
    done = report.collect(app.workspace, [file], app.actor)
    assert (done.added, done.bad_count) == (2, 1)
    assert done.bad[0][0] == f"{file}:2"


def test_links_below_a_folder_are_not_followed(app: App, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(made(1).line())
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / spool.RECORD).symlink_to(outside)
    assert report.collect(app.workspace, [tmp_path / "src"], app.actor).files == 0
    with pytest.raises(ConfigError, match="not there"):
        report.collect(app.workspace, [tmp_path / "nowhere"], app.actor)


def test_a_spool_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    (tmp_path / "wardship").mkdir()
    file = tmp_path / "wardship" / spool.RUNS
    file.write_bytes((made(1).line() + "\n").encode() * (spool.MAX_BYTES // len(made(1).line())))
    for number in range(2, 12):
        spool.append(tmp_path, made(number))
    assert file.stat().st_size < spool.MAX_BYTES
    assert json.loads(file.read_text().splitlines()[-1])["id"] == f"{11:032x}"


def test_the_trees_that_passed_are_known_and_bounded(tmp_path: Path) -> None:
    for number in range(1_005):
        spool.remember_tree(tmp_path, f"{number:040x}")
    assert spool.was_checked(tmp_path, f"{1_004:040x}")
    assert not spool.was_checked(tmp_path, f"{0:040x}")


def test_the_same_check_on_one_day_is_one_run() -> None:
    def of(subject: str = "tree", at: datetime = NOW, blocked: int = 1) -> str:
        return spool.run_id("git:x/y", "pre_commit", subject, at, blocked)

    assert of() == of(at=NOW + timedelta(hours=2))
    assert len({of(), of(subject="other"), of(at=NOW + timedelta(days=1)), of(blocked=0)}) == 4


# ------------------------------------------------------------------ the indicator


def facts_of(folder: Path, runs: list[GuardRun], systems: dict[str, str]) -> Facts:
    def row(run: GuardRun) -> dict[str, object]:
        names = ("repository", "stage", "commit_id", "commits", "files", "found", "blocked", "baselined", "bypassed")
        return {"uid": run.id, "run_at": run.run_at, **{name: getattr(run, name) for name in names}}

    rows = {
        "guard_run": [row(run) for run in runs],
        "system": [{"authority": authority, "kind": kind, "name": authority} for authority, kind in systems.items()],
    }
    return Facts(write_rows(folder, rows, as_of=NOW))


def test_the_indicator_has_its_denominators_and_can_be_counted_again(tmp_path: Path) -> None:
    shop, billing = "git:github.com/acme/shop", "git:gitlab.example/acme/billing"
    runs = [
        made(1, stage="pre_commit", commits=0, commit_id=None, found=2, blocked=2),
        made(2, stage="post_commit", commits=1, found=0, blocked=0),
        made(3, stage="post_commit", commits=1, found=1, blocked=0, bypassed=True),
        made(4, stage="ci", commits=2, found=1, blocked=1),
        made(5, stage="pre_push", repository=billing, commits=4, found=0, blocked=0),
        made(6, stage="ci", run_at=NOW - timedelta(days=45), found=7, blocked=6),
        made(7, stage="ci", repository="git:elsewhere.example/x", commits=1, found=0, blocked=0),
    ]
    systems = {
        shop: "git_repository",
        "github:Acme/Shop": "github_repository",  # the same one, as its host knows it
        billing: "git_repository",
        "github:acme/quiet": "github_repository",
        "aws:1": "aws_account",
    }
    with facts_of(tmp_path, runs, systems) as facts:
        told = report.compute(facts, NOW, days=30)
    assert (told.covered, told.repositories) == (2, 3)
    assert list(told.without) == ["git:github.com/acme/quiet"]
    assert (told.blocked, told.found) == (3, 3)
    assert (told.blocked_before, told.found_before) == (6, 7)
    assert (told.bypassed, told.local) == (1, 2)
    assert told.commits == 2 + 4 + 1, "a commit that is checked at three stages is one commit"
    assert told.blocked == sum(row["blocked"] for row in told.rows if row["stage"] != "post_commit")
    assert sum(row["runs"] for row in told.rows) == 6
    assert {row["repository"]: row["known"] for row in told.rows}["git:elsewhere.example/x"] is False


def test_nothing_collected_is_no_coverage_and_no_error(app: App) -> None:
    with app.facts() as facts:
        told = report.compute(facts, NOW)
    assert (told.repositories, told.covered, told.commits, list(told.rows)) == (0, 0, 0, [])
