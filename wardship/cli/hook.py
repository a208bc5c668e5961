"""`wardship hook`: stop new secrets before they are committed, pushed or merged."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _, format_share

if TYPE_CHECKING:
    from wardship.secrets import Engine
    from wardship.services.guard.check import Finding
    from wardship.services.guard.git import Repository
    from wardship.services.guard.install import Step
    from wardship.services.guard.run import Ran

_STAGES = ("pre-commit", "pre-push", "post-commit", "ci")
_SHOWN = 50


def add_to(root: kit.Group) -> None:
    hook = kit.group(
        root,
        "hook",
        help=N_("Stop new secrets before they are committed, pushed or merged."),
        examples=("wardship hook install", "wardship hook run --stage ci --range origin/main..HEAD"),
    )
    _add_run(hook)
    _add_install(hook)
    _add_baseline(hook)
    _add_ci(hook)
    _add_reports(hook)


def _now() -> datetime:
    """Now, in UTC. A hook opens no workspace, and the app that has the clock would cost it half a second."""
    return datetime.fromtimestamp(time.time(), UTC)


# ------------------------------------------------------------------ run


def _add_run(hook: kit.Group) -> None:
    @kit.command(
        hook,
        "run",
        help=N_("Check what is about to be committed or pushed, or a range of commits. Exit code 1: something blocks."),
        examples=(
            "wardship hook run",
            "wardship hook run --stage ci --range origin/main..HEAD --sarif secrets.sarif",
            "wardship hook run --files .env deploy.yml",
        ),
    )
    @kit.option(
        "--stage",
        type=click.Choice(_STAGES),
        default="pre-commit",
        show_default=True,
        help=N_("Which moment it is: this says what is looked at."),
    )
    @kit.option("--range", "span", metavar="A..B", help=N_("The commits of B that A has not (stages pre-push and ci)."))
    @kit.option("--files", "whole", is_flag=True, help=N_("Check the named files of the working tree, whole."))
    @kit.option("--strict", is_flag=True, help=N_("Block also what was there before."))
    @kit.option(
        "--min-confidence",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help=N_("Leave out what is less certain than this."),
    )
    @kit.option(
        "--output",
        "-o",
        "form",
        type=click.Choice(("text", "json", "sarif")),
        default="text",
        show_default=True,
        help=N_("What is printed."),
    )
    @kit.option(
        "--sarif",
        "sarif_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar=N_("FILE"),
        help=N_("Write the result as SARIF to this file too."),
    )
    @kit.option(
        "--record",
        "record_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar=N_("FILE"),
        help=N_("Write the record of the run to this file too (stage ci: wardship-run.json)."),
    )
    @kit.argument("words", nargs=-1, help=N_("With --files: the files. Else what git gives a hook."))
    def run_(
        run: Run,
        *,
        stage: str,
        span: str | None,
        whole: bool,
        strict: bool,
        min_confidence: float,
        form: str,
        sarif_file: Path | None,
        record_file: Path | None,
        words: tuple[str, ...],
    ) -> int:
        from wardship.services.guard import run as guard
        from wardship.services.guard import spool
        from wardship.services.guard.git import Repository

        _check_asked(stage, span, words, whole=whole)
        base, head = _range(span)
        with _stoppable(run):
            ask = guard.Ask(
                stage=guard.Stage(stage),
                base=base,
                head=head,
                files=[Path(one) for one in words] if whole else (),
                given=_given(stage, span),
                remote=words[0] if words and not whole else None,
                environment=os.environ,
                strict=strict,
                min_confidence=min_confidence,
            )
            repository = Repository.find()
            now = _now()
            ran = guard.run(repository, ask, _engine, now=now)
        if stage == "ci" and record_file is None:
            record_file = Path(spool.RECORD)
        if record_file and ran.record:
            record_file.write_text(ran.record.line() + "\n", encoding="utf-8")
        if sarif_file:
            sarif_file.write_text(_sarif(ran, repository, stage) + "\n", encoding="utf-8")
        run.code = kit.FINDINGS if ran.blocked and stage != "post-commit" else kit.DONE
        if form == "sarif":
            run.say(_sarif(ran, repository, stage))
        elif form == "json":
            run.say(_json(ran))
        else:
            _tell(run, ran, repository, guard.Stage(stage), now.date())
        return run.code


@contextlib.contextmanager
def _stoppable(run: Run) -> Iterator[None]:
    """Says of a check that Ctrl-C ends what became of it; git takes the exit code as a no."""
    try:
        yield
    except KeyboardInterrupt:
        run.warn("\n" + _("Stopped before the check was over: it counts as not made, and is not on record."))
        run.warn(_("Next: %(advice)s") % {"advice": _("run the same command again")})
        raise click.exceptions.Exit(kit.INTERRUPTED) from None


def _engine() -> Engine:
    from wardship.secrets import load_engine

    return load_engine()


def _check_asked(stage: str, span: str | None, words: tuple[str, ...], *, whole: bool) -> None:
    """Refuses what the stage would not look at: who asks for it would take the silence for an answer."""
    if span and (whole or stage not in ("pre-push", "ci")):
        raise click.UsageError(_("--range goes with --stage ci or pre-push, and without --files"))
    if whole and not words:
        raise click.UsageError(_("--files needs the names of files"))
    if words and not whole and stage != "pre-push":
        raise click.UsageError(_("to check files by their names, add --files"))


def _range(span: str | None) -> tuple[str | None, str | None]:
    if span is None:
        return None, None
    base, sign, head = span.partition("..")
    if not sign or not base or head.startswith("."):
        raise click.BadParameter(_("write it as A..B"), param_hint="--range")
    return base, head or "HEAD"


def _given(stage: str, span: str | None) -> list[str]:
    """What git writes to a pre-push hook; a terminal or a named range means that nobody did."""
    return [] if stage != "pre-push" or span or sys.stdin.isatty() else sys.stdin.read().splitlines()


def _sarif(ran: Ran, repository: Repository, stage: str) -> str:
    import json

    from wardship.services.guard import sarif

    record = ran.record
    log = sarif.report(
        ran.outcome,
        repository=record.repository if record else repository.name,
        commit=record.commit_id if record else None,
        stage=stage,
    )
    return json.dumps(log, indent=1, ensure_ascii=False)


def _json(ran: Ran) -> str:
    import json

    found = [
        {
            "path": one.shown_path,
            "line": one.line,
            "column": one.column,
            "state": one.state.value,
            "detector": one.detector,
            "tier": one.tier.value,
            "type": one.type.value,
            "confidence": round(one.confidence, 3),
            "name": one.name,
            "public_id": one.public_id,
            "fingerprint": one.fingerprint,
            "commit": one.commit,
            "note": one.note or None,
            "until": one.until.isoformat() if one.until else None,
        }
        for one in ran.outcome.findings
    ]
    told = {
        "run": json.loads(ran.record.line()) if ran.record else None,
        "findings": found,
        "unread": [{"path": path, "reason": why} for path, why in ran.outcome.unread],
        "baseline_ending": [{"path": one.path, "expires": one.expires.isoformat()} for one in ran.ending],
    }
    return json.dumps(told, indent=1, ensure_ascii=False)


def _tell(run: Run, ran: Ran, repository: Repository, stage: str, today: date) -> None:
    """What a developer reads: nothing at all when nothing is to be said."""
    from wardship.sdk.display import visible
    from wardship.services.guard.check import State
    from wardship.services.guard.run import last_day
    from wardship.services.guard.words import remedy, risk

    by_state = {state: [one for one in ran.outcome.findings if one.state is state] for state in State}
    blocked = by_state[State.BLOCKED]
    if blocked:
        late = stage == "post-commit"
        title = _("New secrets, committed: %(n)d") if late else _("New secrets, stopped: %(n)d")
        run.say(_strong(title % {"n": len(blocked)}, "31"))
        _tell_each(run, blocked)
        run.say()
        _tell_paragraph(run, _("Why it matters: %(what)s") % {"what": risk()})
        _tell_paragraph(run, _("What to do: %(what)s") % {"what": remedy()})
        if late:
            # The first commit has none before it to go back to.
            undo = "git reset --soft HEAD~1" if repository.commit("HEAD~1") else "git update-ref -d HEAD"
            run.say(
                _("The commit is not pushed yet: `%(command)s` takes it back and keeps your work.") % {"command": undo}
            )
    if ran.bypassed:
        run.note(_("This commit was made past its check (--no-verify, or no pre-commit hook); that is on record."))
    if ran.unkept:
        run.note(_("This run is not on record here: %(why)s") % {"why": visible(ran.unkept)})
    if by_state[State.PRESENT]:
        run.note(_("There before, so not blocking: %(n)d") % {"n": len(by_state[State.PRESENT])})
        for one in by_state[State.PRESENT][:10]:
            run.note(f"  {_where(one)}  {visible(one.detector)}")
    if by_state[State.ACCEPTED]:
        run.note(_("Accepted by the baseline or a comment: %(n)d") % {"n": len(by_state[State.ACCEPTED])})
    for entry in ran.ending[:10]:
        run.note(_("Baseline: %(path)s %(when)s") % {"path": visible(entry.path), "when": last_day(entry, today)})
    for path, why in ran.outcome.unread[:10]:
        run.note(_("%(path)s was not looked into: %(why)s") % {"path": visible(path), "why": why})
    if stage == "ci" and not blocked:
        run.say(_("No new secret in %(what)s, %(n)d files.") % {"what": ran.what, "n": ran.outcome.files})


def _tell_each(run: Run, findings: list[Finding]) -> None:
    from wardship.services.guard.words import headline

    for one in findings[:_SHOWN]:
        commit = "  " + _("commit %(id)s") % {"id": one.commit[:10]} if one.commit else ""
        run.say(f"\n  {_strong(_where(one), '1')}{commit}")
        run.say(f"    {headline(one.detector, one.type, one.name, one.public_id)}")
        if one.note:
            run.say(f"    {one.note}")
    if len(findings) > _SHOWN:
        run.say("\n  " + _("and %(n)d more: --output json shows all") % {"n": len(findings) - _SHOWN})


def _tell_paragraph(run: Run, text: str) -> None:
    """On several lines, but never broken inside a command."""
    import textwrap

    for line in textwrap.wrap(text, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False):
        run.say(line)


def _where(one: Finding) -> str:
    from wardship.sdk.display import visible

    return f"{visible(one.shown_path)}:{one.line}:{one.column}"


def _strong(text: str, code: str) -> str:
    """Emphasised where a person looks at a terminal. The words say it too: colour is never alone."""
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


# ------------------------------------------------------------------ install


def _add_install(hook: kit.Group) -> None:
    @kit.command(
        hook,
        "install",
        help=N_("Install the hooks into repositories. A hook that is there is kept and runs first."),
        examples=("wardship hook install", "wardship hook install shop billing", "wardship hook install --global"),
    )
    @kit.option(
        "--global",
        "everywhere",
        is_flag=True,
        help=N_("For all repositories of this user, by git's core.hooksPath."),
    )
    @kit.option(
        "--stages",
        default="pre-commit,pre-push",
        show_default=True,
        metavar=N_("NAMES"),
        help=N_("Which hooks; post-commit comes with pre-commit and counts its commits."),
    )
    @kit.option("--dry-run", is_flag=True, help=N_("Say what would be done, and do nothing."))
    @kit.argument("repositories", nargs=-1, type=click.Path(path_type=Path), help=N_("Folders (default: this one)."))
    def install_(run: Run, everywhere: bool, stages: str, dry_run: bool, repositories: tuple[Path, ...]) -> None:
        from wardship.services.guard import install

        wanted = [name.strip() for name in stages.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in install.STAGES]
        if unknown or not wanted:
            raise click.BadParameter(
                _("there are %(names)s") % {"names": ", ".join(install.STAGES)}, param_hint="--stages"
            )
        for repository in _repositories(everywhere, repositories):
            steps = install.install(repository, wanted, dry_run=dry_run)
            _tell_steps(run, steps, dry_run=dry_run, none=_("Installed already: nothing to do."))

    @kit.command(
        hook,
        "uninstall",
        help=N_("Take the hooks out, and put back those that were there before."),
        examples=("wardship hook uninstall", "wardship hook uninstall --global --dry-run"),
    )
    @kit.option("--global", "everywhere", is_flag=True, help=N_("Those for all repositories of this user."))
    @kit.option("--dry-run", is_flag=True, help=N_("Say what would be done, and do nothing."))
    @kit.argument("repositories", nargs=-1, type=click.Path(path_type=Path), help=N_("Folders (default: this one)."))
    def uninstall(run: Run, everywhere: bool, dry_run: bool, repositories: tuple[Path, ...]) -> None:
        from wardship.services.guard import install

        for repository in _repositories(everywhere, repositories):
            steps = install.uninstall(repository, dry_run=dry_run)
            _tell_steps(run, steps, dry_run=dry_run, none=_("Not installed: nothing to do."))

    @kit.command(
        hook,
        "status",
        help=N_("Say of each repository whether it is guarded, by which version, when last, and what went past."),
        examples=("wardship hook status", "wardship hook status shop billing --output json"),
        rows=True,
    )
    @kit.argument("repositories", nargs=-1, type=click.Path(path_type=Path), help=N_("Folders (default: this one)."))
    def status(run: Run, repositories: tuple[Path, ...]) -> None:
        from wardship.services.formats import Listing
        from wardship.services.guard import state

        rows = [state.row(one) for one in _repositories(False, repositories) if one is not None]
        kit.emit(run, Listing(name="hooks", columns=state.COLUMNS, rows=rows))


def _repositories(everywhere: bool, places: tuple[Path, ...]) -> list[Repository | None]:
    """The repositories that are meant; [None]: the folder for all of them."""
    from wardship.services.guard.git import Repository

    if everywhere and places:
        raise click.UsageError(_("--global is for all repositories: name none"))
    if everywhere:
        return [None]
    return [Repository.find(place) for place in places or (Path(),)]


def _tell_steps(run: Run, steps: list[Step], *, dry_run: bool, none: str) -> None:
    from wardship.sdk.display import visible

    for step in steps:
        run.say(f"{visible(str(step.path))}: {step.what}")
    if not steps:
        run.say(none)
    elif dry_run:
        run.say(_("Nothing was done (--dry-run)."))


# ------------------------------------------------------------------ baseline


def _add_baseline(hook: kit.Group) -> None:
    baseline = kit.group(
        hook,
        "baseline",
        help=N_("Accept a secret in its place, with a reason and an end date."),
        examples=("wardship hook baseline list", "wardship hook baseline prune"),
    )

    @kit.command(
        baseline,
        "add",
        help=N_("Accept the secrets of a line, or of a whole file, in .wardship-baseline.yaml."),
        examples=('wardship hook baseline add tests/conf.py:14 --reason "key of no account" --expires 2027-05-31',),
    )
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=N_("Why it may stay."))
    @kit.option("--expires", required=True, metavar=N_("DATE"), help=N_("Its last day; at most 365 days from now."))
    @kit.option("--by", metavar=N_("NAME"), help=N_("Who accepts it (default: git's user.email)."))
    @kit.argument("place", help=N_("PATH:LINE, or PATH for all that is in it."))
    def add(run: Run, reason: str, expires: str, by: str | None, place: str) -> None:
        from wardship.sdk.display import visible
        from wardship.secrets import load_engine
        from wardship.services.guard import accept
        from wardship.services.guard.git import Repository

        entries = accept.add(
            Repository.find(),
            load_engine(),
            place,
            reason=reason,
            expires=_date(expires, "--expires"),
            by=by,
            today=_now().date(),
        )
        for entry in entries:
            run.say(
                _("Accepted until %(date)s: %(detector)s in %(path)s")
                % {"date": entry.expires, "detector": entry.detector, "path": visible(entry.path)}
            )
        run.note(_("Commit it with your change: git add %(file)s") % {"file": ".wardship-baseline.yaml"})

    @kit.command(
        baseline,
        "list",
        help=N_("List what is accepted, and what ends soon."),
        examples=("wardship hook baseline list", "wardship hook baseline list --output csv"),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship.services.formats import Listing
        from wardship.services.guard import accept
        from wardship.services.guard.git import Repository

        rows = accept.rows(Repository.find(), _now().date())
        listing = Listing(name="baseline", columns=accept.COLUMNS, rows=rows)
        kit.emit(run, listing, empty=_("Nothing is accepted."))

    @kit.command(
        baseline,
        "prune",
        help=N_("Remove the entries that have ended, and those whose secret is gone."),
        examples=("wardship hook baseline prune --dry-run",),
    )
    @kit.option("--dry-run", is_flag=True, help=N_("Say what would be done, and do nothing."))
    def prune(run: Run, dry_run: bool) -> None:
        from wardship.sdk.display import visible
        from wardship.secrets import load_engine
        from wardship.services.guard import accept
        from wardship.services.guard.git import Repository

        removed = accept.prune(Repository.find(), load_engine(), today=_now().date(), dry_run=dry_run)
        for entry, why in removed:
            run.say(f"{visible(entry.path)}: {visible(entry.detector)}: {why}")
        if not removed:
            run.say(_("Every entry is still needed."))
        elif dry_run:
            run.say(_("Nothing was done (--dry-run)."))


def _date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(_("write the date as YYYY-MM-DD"), param_hint=option) from None


# ------------------------------------------------------------------ CI


def _add_ci(hook: kit.Group) -> None:
    @kit.command(
        hook,
        "ci",
        help=N_("Print or write a pipeline that fails when a new secret comes in."),
        examples=("wardship hook ci github", "wardship hook ci gitlab --write"),
    )
    @kit.option("--write", is_flag=True, help=N_("Write the file into this repository."))
    @kit.argument("system", type=click.Choice(("github", "gitlab", "jenkins")), help=N_("Which CI system."))
    def ci_(run: Run, write: bool, system: str) -> None:
        from wardship.services.guard import ci
        from wardship.services.guard.git import Repository

        if not write:
            run.say(ci.pipeline(system).rstrip("\n"))
            return
        repository = Repository.find()
        run.say(_("Written: %(path)s") % {"path": ci.write_pipeline(system, repository.top or Path())})


# ------------------------------------------------------------------ what was blocked


def _add_reports(hook: kit.Group) -> None:
    @kit.command(
        hook,
        "collect",
        help=N_("Bring the records of runs into the workspace: repositories, folders, artifacts of CI jobs."),
        examples=("wardship hook collect ~/src", "wardship hook collect artifacts/wardship-run.json"),
    )
    @kit.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), help=N_("Files or folders."))
    def collect(run: Run, paths: tuple[Path, ...]) -> int:
        from wardship.sdk.display import visible
        from wardship.services.guard import report

        with work.opened(run) as app:
            done = report.collect(app.workspace, paths, app.actor)
        run.say(
            _("%(new)d runs added, %(known)d were known, from %(files)d files.")
            % {"new": done.added, "known": done.known, "files": done.files}
        )
        for where, why in done.bad[:20]:
            run.note(_("%(where)s was not read: %(why)s") % {"where": visible(where), "why": visible(why)})
        if done.bad_count:
            run.say(_("%(n)d lines could not be read.") % {"n": done.bad_count})
        return kit.INCOMPLETE if done.bad_count else kit.DONE

    @kit.command(
        hook,
        "report",
        help=N_("Secrets blocked: of how many commits, in how many of the known repositories, and what went past."),
        examples=("wardship hook report", "wardship hook report --days 90 --output csv"),
        rows=True,
    )
    @kit.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help=N_("Length of the period."))
    def report_(run: Run, days: int) -> None:
        from wardship.services.formats import Listing
        from wardship.services.guard import report

        with work.opened(run) as app, app.facts() as facts:
            told = report.compute(facts, app.clock(), days=days)
        if run.format == "table":
            run.say(
                _("Hook coverage     %(share)s (repositories of the inventory with a run in %(days)d days)")
                % {"share": format_share(told.covered, told.repositories), "days": days}
            )
            run.say(_("Commits checked   at least %(n)d") % {"n": told.commits})
            run.say(
                _("Went past         %(share)s (commits on developers' machines)")
                % {"share": format_share(told.bypassed, told.local)}
            )
            run.say(
                _("Secrets blocked   %(n)d of %(found)d found; the period before: %(before)d of %(before_found)d")
                % {
                    "n": told.blocked,
                    "found": told.found,
                    "before": told.blocked_before,
                    "before_found": told.found_before,
                }
            )
            run.say()
        kit.emit(run, Listing(name="guard", columns=report.COLUMNS, rows=told.rows), empty=_("No run was collected."))
        if told.without:
            run.note("\n" + _("Without a run: %(n)d repositories") % {"n": len(told.without)})
            for name in told.without[:20]:
                run.note(f"  {name}")
