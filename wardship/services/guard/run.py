"""One run of a stage: what to look at, the check, the record that is left.

pre-commit    the index; passes or blocks the commit that is being made
post-commit   the commit that was made, if its tree did not pass the pre-commit check; `--no-verify` cannot skip it
pre-push      the commits that the other side does not have
ci            a range of commits; the failing job is the block
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from wardship import __version__
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.services.guard import baseline as accepted
from wardship.services.guard import change, ci, spool
from wardship.services.guard.baseline import Baseline, Entry
from wardship.services.guard.change import Change
from wardship.services.guard.check import MAX_BYTES, MIN_CONFIDENCE, Outcome, State, check
from wardship.services.guard.git import Blobs, Repository
from wardship.services.guard.spool import GuardRun

if TYPE_CHECKING:
    from wardship.secrets.engine import Engine


class Stage(StrEnum):
    PRE_COMMIT = "pre-commit"
    PRE_PUSH = "pre-push"
    POST_COMMIT = "post-commit"
    CI = "ci"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to check. `given` are the lines of a pre-push hook's standard input, `remote` its first argument.

    `base` and `head` are a range by names; both None: what the stage and `environment` say. `files` go before all else.
    """

    stage: Stage
    base: str | None = None
    head: str | None = None
    files: Sequence[Path] = ()
    given: Sequence[str] = ()
    remote: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    min_confidence: float = MIN_CONFIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How it went. `record` None: there was nothing to check. `ending`: entries of the baseline that end soon.

    `unkept` says why the record could not be left in the repository; "": it was, or there is none.
    """

    outcome: Outcome
    record: GuardRun | None
    ending: Sequence[Entry]
    bypassed: bool
    what: str  # what was looked at, in words
    unkept: str = ""

    @property
    def blocked(self) -> bool:
        return bool(self.outcome.count(State.BLOCKED))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What one stage looks at; `changes` None: it was looked at before, and is only to be counted.

    `rules` names the revision whose baseline counts: "" is the index, None the working tree.
    """

    changes: Callable[[], Iterable[Change]] | None
    subject: str
    rules: str | None
    what: str
    commits: int = 0
    commit_id: str | None = None
    bypassed: bool = False


def run(repository: Repository, ask: Ask, load: Callable[[], Engine], *, now: datetime) -> Ran:
    """Checks what `ask` says and leaves a record in the repository; `load` makes the engine, where one is needed.

    Raises NotVisible where the clone does not hold the range, ConfigError for a baseline that cannot be read.
    """
    began = time.monotonic()
    plan = _files(repository, ask) if ask.files else _PLANS[ask.stage](repository, ask)
    if plan is None:
        return Ran(outcome=Outcome(), record=None, ending=(), bypassed=False, what=_("nothing to check"))
    outcome, ending = Outcome(), list[Entry]()
    if plan.changes is not None:
        with Blobs(repository, max_bytes=MAX_BYTES) as blobs:
            baseline = _baseline(repository, blobs, plan.rules)
            outcome = check(
                plan.changes(),
                blobs,
                load(),
                baseline=baseline,
                today=now.date(),
                strict=ask.strict or bool(ask.files),
                min_confidence=ask.min_confidence,
            )
            ending = baseline.ending(now.date())
    if outcome.missing:
        raise change.not_here(ask.base or plan.commit_id)
    record, unkept = None, ""
    if not ask.files:
        record = _record(repository, ask.stage, plan, outcome, now=now, seconds=time.monotonic() - began)
        try:
            spool.append(repository.common, record)
            if ask.stage is Stage.PRE_COMMIT and not outcome.count(State.BLOCKED):
                spool.remember_tree(repository.common, plan.subject)
        except OSError as error:  # a folder that may only be read: what was found counts all the same
            unkept = f"{error.filename}: {error.strerror}"
    return Ran(outcome=outcome, record=record, ending=ending, bypassed=plan.bypassed, what=plan.what, unkept=unkept)


def _record(
    repository: Repository, stage: Stage, plan: _Plan, outcome: Outcome, *, now: datetime, seconds: float
) -> GuardRun:
    name, column = repository.name, stage.value.replace("-", "_")
    found, blocked, accepted_n = len(outcome.findings), outcome.count(State.BLOCKED), outcome.count(State.ACCEPTED)
    return GuardRun(
        id=spool.run_id(name, column, plan.subject, now, found, blocked, accepted_n),
        repository=name,
        stage=column,
        commit_id=plan.commit_id,
        run_at=now.replace(microsecond=0),
        commits=plan.commits,
        files=outcome.files,
        found=found,
        blocked=0 if stage is Stage.POST_COMMIT else blocked,  # it is too late to block
        baselined=accepted_n,
        bypassed=plan.bypassed,
        seconds=round(seconds, 3),
        version=__version__,
    )


def _files(repository: Repository, ask: Ask) -> _Plan:
    missing = [path for path in ask.files if not path.is_symlink() and not path.is_file()]
    if missing:
        raise ConfigError(
            _("%(path)s is not a file") % {"path": missing[0]},
            advice=_("name files, not folders; or leave --files out"),
        )
    return _Plan(
        changes=lambda: change.files(ask.files, repository.top),
        subject="",
        rules=None,
        what=_("%(n)d files, whole") % {"n": len(ask.files)},
    )


def _pre_commit(repository: Repository, _ask: Ask) -> _Plan:
    # The tree that git is about to commit: post-commit will look for it. It is written now or a moment later.
    tree = repository.run("write-tree", "--missing-ok").decode().strip()
    return _Plan(changes=lambda: change.staged(repository), subject=tree, rules="", what=_("the staged changes"))


def _post_commit(repository: Repository, _ask: Ask) -> _Plan | None:
    head = repository.commit("HEAD")
    if head is None:
        return None
    tree = repository.run("rev-parse", "HEAD^{tree}").decode().strip()
    if spool.was_checked(repository.common, tree):
        return _Plan(changes=None, subject=head, rules=head, what="", commits=1, commit_id=head)
    # git asks no pre-commit hook where a commit is only carried over (rebase, cherry-pick): that is no bypass.
    made = repository.run("log", "-g", "-1", "--format=%gs", "HEAD", missing_ok=True).decode(errors="replace")
    return _Plan(
        changes=lambda: change.of_commits(repository, [head]),
        subject=head,
        rules=head,
        what=_("the commit just made"),
        commits=1,
        commit_id=head,
        bypassed=made.startswith("commit") or not made.strip(),
    )


def _pre_push(repository: Repository, ask: Ask) -> _Plan | None:
    if ask.base or ask.head:
        commits = change.between(repository, ask.base, ask.head or "HEAD")
    else:
        remote = ask.remote or ask.environment.get("PRE_COMMIT_REMOTE_NAME")
        commits = change.pushed(repository, ask.given or ci.framework_lines(ask.environment), remote)
    return _of(repository, commits, commits[-1], _("%(n)d commits to be pushed")) if commits else None


def _ci(repository: Repository, ask: Ask) -> _Plan | None:
    if ask.base or ask.head:
        span = ci.Range(base=ask.base, head=ask.head or "HEAD")
    else:
        span = ci.range_of(ask.environment, repository)
    commits = change.between(repository, span.base, span.head)
    return _of(repository, commits, repository.commit(span.head) or span.head, _("%(n)d commits"))


def _of(repository: Repository, commits: Sequence[str], head: str, words: str) -> _Plan:
    return _Plan(
        changes=lambda: change.of_commits(repository, commits),
        subject=f"{commits[0]}..{head}" if commits else head,
        rules=head,
        what=words % {"n": len(commits)},
        commits=len(commits),
        commit_id=head,
    )


_PLANS: Mapping[Stage, Callable[[Repository, Ask], _Plan | None]] = {
    Stage.PRE_COMMIT: _pre_commit,
    Stage.POST_COMMIT: _post_commit,
    Stage.PRE_PUSH: _pre_push,
    Stage.CI: _ci,
}


def _baseline(repository: Repository, blobs: Blobs, revision: str | None) -> Baseline:
    """The baseline that is part of what is checked: one that was saved but not staged would pass here, not in CI."""
    if revision is None:
        return accepted.load((repository.top or Path()) / accepted.FILE)
    content = blobs.read(f"{revision}:{accepted.FILE}")
    if not isinstance(content, bytes):
        return Baseline()
    return accepted.parse(content.decode("utf-8", "replace"))


def last_day(entry: Entry, today: date) -> str:
    """When an entry ends, in words."""
    days = (entry.expires - today).days
    if days < 0:
        return _("ended on %(date)s: it blocks again") % {"date": entry.expires}
    return _("ends on %(date)s, in %(n)d days") % {"date": entry.expires, "n": days}
