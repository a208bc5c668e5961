"""The records of runs in the workspace, and the indicator they make: secrets blocked, with its denominator.

    blocked            new secrets that a pre-commit, pre-push or CI check stopped, and `found`, all that it saw
    hook coverage      repositories of the inventory with a run in the period / repositories of the inventory
    commits checked    of each repository the most that one stage saw: a commit that is checked at three stages is one
    went past          local commits made past their check / local commits that were counted

Every figure is counted from the fact table `guard_run` of a snapshot, so it can be counted again from the same rows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError, DataError
from wardship.sdk.i18n import N_, _
from wardship.services import evaluate
from wardship.services.formats import Column, Row
from wardship.services.guard.spool import FOLDER, MAX_BYTES, RECORD, RUNS, STAGES
from wardship.services.reading import Facts
from wardship.store import sql, tables
from wardship.store.workspace import Workspace

_CHUNK = 500
_MAX_FILE_BYTES = 4 * MAX_BYTES
_MAX_FILES = 100_000
_MAX_COUNT = 10_000_000
_MAX_TOLD = 1_000
_REPOSITORY = re.compile(r"git:[^\s\x00-\x1f\x7f]{1,500}")
_ID = re.compile(r"[0-9a-f]{32}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_VERSION = re.compile(r"[\w.+-]{1,40}")
_TREES = frozenset({"node_modules", ".venv", "__pycache__"})  # where no repository of ours is, and much else

COLUMNS = (
    Column(name="repository", label=N_("Repository")),
    Column(name="stage", label=N_("Stage")),
    Column(name="known", label=N_("In the inventory"), type="boolean"),
    Column(name="runs", label=N_("Runs"), type="integer"),
    Column(name="commits", label=N_("Commits"), type="integer"),
    Column(name="bypassed", label=N_("Went past"), type="integer"),
    Column(name="found", label=N_("Found"), type="integer"),
    Column(name="blocked", label=N_("Blocked"), type="integer"),
    Column(name="baselined", label=N_("Accepted"), type="integer"),
    Column(name="last_run_at", label=N_("Last run"), type="instant"),
)


@dataclass(slots=True, kw_only=True)
class Collected:
    """What `collect` did. `bad` are the first lines that could not be read: "file:line" and why."""

    files: int = 0
    added: int = 0
    known: int = 0
    bad_count: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The indicator of one period. `rows` are one a repository and stage; `without` the repositories without a run."""

    repositories: int  # of the inventory
    covered: int
    commits: int
    local: int  # commits counted on developers' machines
    bypassed: int
    found: int
    blocked: int
    found_before: int  # in the period of the same length before
    blocked_before: int
    rows: Sequence[Row]
    without: Sequence[str]


# ------------------------------------------------------------------ collecting


def collect(ws: Workspace, paths: Sequence[Path], actor: str, *, judge: bool = True) -> Collected:
    """Reads the records under `paths` into the workspace and writes new facts. A record that is known counts once.

    `judge` False: the caller writes the facts (`evaluate.again`), once for this and for what else it reads.
    """
    done = Collected()
    batch: dict[str, dict[str, Any]] = {}
    total = 0
    for file in _files(paths):
        done.files += 1
        for number, line in enumerate(_lines(file, done), start=1):
            try:
                record = _record(line, ws.db.clock())
            except DataError as error:
                done.bad_count += 1
                if len(done.bad) < _MAX_TOLD:
                    done.bad.append((f"{file}:{number}", error.message))
                continue
            total += 1
            batch[record["id"]] = record
            if len(batch) >= _CHUNK:
                done.added += _insert(ws, batch, actor)
                batch = {}
    if batch:
        done.added += _insert(ws, batch, actor)
    done.known = total - done.added
    if done.added and judge:
        evaluate.again(ws, actor=actor)
    return done


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files with records: those named, and those under the folders named. Links below a folder are not followed."""
    count = 0
    for path in paths:
        if path.is_file():
            yield path
            continue
        if not path.is_dir():
            raise ConfigError(_("%(path)s is not there") % {"path": path}, advice=_("name a file or a folder"))
        for folder, names, files in os.walk(path, followlinks=False):
            names[:] = sorted(name for name in names if name not in _TREES and name != "objects")
            at = Path(folder)
            for name in sorted(files):
                ours = name == RECORD or (name == RUNS and at.name == FOLDER)
                if ours and not (at / name).is_symlink():
                    count += 1
                    if count > _MAX_FILES:
                        raise ConfigError(
                            _("more than %(n)d files with records") % {"n": _MAX_FILES}, advice=_("name fewer folders")
                        )
                    yield at / name


def _lines(file: Path, done: Collected) -> list[bytes]:
    if file.stat().st_size > _MAX_FILE_BYTES:
        done.bad_count += 1
        done.bad.append((str(file), f"larger than {_MAX_FILE_BYTES} bytes"))
        return []
    return [line for line in file.read_bytes().splitlines() if line.strip()]


def _record(line: bytes, now: datetime) -> dict[str, Any]:
    """A row of `guard_run`. Raises DataError that says which field is not what a run writes."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError("not a line of JSON") from None
    if not isinstance(told, dict):
        raise DataError("not a record")
    unknown = sorted(set(told) - set(_CHECKS))
    if unknown:
        raise DataError(f"unknown field {unknown[0][:40]!r}")
    row: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        value = told.get(name)
        if not check(value):
            raise DataError(f"{name} is missing or not what a run writes")
        row[name] = value
    row["run_at"] = _instant(told["run_at"])
    if row["run_at"] is None or row["run_at"] > now + timedelta(days=1):
        raise DataError("run_at is no instant, or lies ahead")
    row["seconds"] = float(row["seconds"])
    return row


def _matches(pattern: re.Pattern[str]) -> Any:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX_COUNT


_CHECKS: dict[str, Any] = {
    "id": _matches(_ID),
    "repository": _matches(_REPOSITORY),
    "stage": lambda value: value in STAGES,
    "commit_id": lambda value: value is None or _matches(_COMMIT)(value),
    "run_at": lambda value: isinstance(value, str),
    "commits": _is_count,
    "files": _is_count,
    "found": _is_count,
    "blocked": _is_count,
    "baselined": _is_count,
    "bypassed": lambda value: isinstance(value, bool),
    "seconds": lambda value: type(value) in (int, float) and 0 <= value < 1e6,
    "version": _matches(_VERSION),
}


def _instant(text: str) -> datetime | None:
    try:
        value = datetime.fromisoformat(text)
        return value.astimezone(UTC) if value.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _insert(ws: Workspace, batch: dict[str, dict[str, Any]], actor: str) -> int:
    """Adds those that are new, with one entry in the audit log; returns how many they were."""
    table = tables.guard_run
    with ws.db.read() as conn:
        known = set(conn.scalars(sa.select(table.c.id).where(table.c.id.in_(list(batch)))))
    new = [row for key, row in batch.items() if key not in known]
    if not new:
        return 0
    with ws.db.write(actor) as writing:
        rows = [row | {"received_at": writing.at} for row in new]
        insert = sql.insert(writing.conn.dialect.name, table).on_conflict_do_nothing(index_elements=["id"])
        writing.conn.execute(insert, rows)
        repositories = sorted({row["repository"] for row in new})
        writing.audit(
            "guard.collected",
            "guard",
            {
                "runs": len(new),
                "repositories": len(repositories),
                "blocked": sum(row["blocked"] for row in new),
                "bypassed": sum(row["bypassed"] for row in new),
            },
        )
    return len(new)


# ------------------------------------------------------------------ the indicator

_KNOWN = """
SELECT DISTINCT CASE
    WHEN kind = 'github_repository' THEN 'git:github.com/' || lower(substr(authority, 8)) ELSE lower(authority)
END AS repository
FROM system
WHERE kind IN ('git_repository', 'github_repository')
"""
_PERIOD = "run_at > ? AND run_at <= ?"
_EARLY = "('pre_commit', 'pre_push', 'ci')"


def compute(facts: Facts, as_of: datetime, *, days: int = 30) -> Blocked:
    """The indicator for the `days` before `as_of`, from the newest facts."""
    since, earlier = as_of - timedelta(days=days), as_of - timedelta(days=2 * days)
    rows = list(
        facts.rows(
            f"WITH known AS ({_KNOWN})"  # noqa: S608 - our own clauses
            " SELECT g.repository, g.stage, k.repository IS NOT NULL AS known, count(*) AS runs,"
            " sum(commits)::BIGINT AS commits, count(*) FILTER (bypassed) AS bypassed,"
            " sum(found)::BIGINT AS found, sum(blocked)::BIGINT AS blocked, sum(baselined)::BIGINT AS baselined,"
            " max(run_at) AS last_run_at"
            " FROM guard_run AS g LEFT JOIN known AS k ON k.repository = lower(g.repository)"
            f" WHERE {_PERIOD} GROUP BY ALL ORDER BY g.repository, g.stage",
            [since, as_of],
        )
    )
    coverage = list(
        facts.rows(
            f"WITH known AS ({_KNOWN})"  # noqa: S608 - our own clauses
            " SELECT repository, repository IN"
            f" (SELECT lower(repository) FROM guard_run WHERE {_PERIOD}) AS covered FROM known ORDER BY repository",
            [since, as_of],
        )
    )
    before = facts.one(
        "SELECT coalesce(sum(found), 0)::BIGINT AS found, coalesce(sum(blocked), 0)::BIGINT AS blocked"  # noqa: S608 - our own clause
        f" FROM guard_run WHERE stage IN {_EARLY} AND {_PERIOD}",
        [earlier, since],
    )
    early = [row for row in rows if row["stage"] != "post_commit"]
    local = [row for row in rows if row["stage"] == "post_commit"]
    checked: dict[str, int] = {}
    for row in rows:
        past = row["bypassed"] if row["stage"] == "post_commit" else 0
        checked[row["repository"]] = max(checked.get(row["repository"], 0), row["commits"] - past)
    return Blocked(
        repositories=len(coverage),
        covered=sum(row["covered"] for row in coverage),
        commits=sum(checked.values()),
        local=sum(row["commits"] for row in local),
        bypassed=sum(row["bypassed"] for row in local),
        found=sum(row["found"] for row in early),
        blocked=sum(row["blocked"] for row in early),
        found_before=before["found"],
        blocked_before=before["blocked"],
        rows=rows,
        without=[row["repository"] for row in coverage if not row["covered"]],
    )
