"""`wardship telemetry`: audit logs, from files and from the systems themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardship.cli import kit, telemetry_sync, use, work
from wardship.cli.kit import Run
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _, format_instant, format_number

if TYPE_CHECKING:
    from collections import Counter

    from wardship.cli.render import Progress
    from wardship.services.telemetry import Advance, Imported, Tried

_DECLARED = (
    "wardship telemetry import aws.cloudtrail oct/"
    " --authority aws:123456789012 --complete-from 2026-10-01 --complete-to 2026-11-01"
)
_SAYS = "wardship telemetry declare aws.cloudtrail --authority aws:123456789012 --part data"
_SHOWN = 10  # files and reasons of each kind


def add_to(root: kit.Group) -> None:
    telemetry = kit.group(
        root,
        "telemetry",
        help=N_("Audit logs: import them, read them live, see what there is of them."),
        examples=(
            "wardship telemetry import aws.cloudtrail logs/",
            "wardship telemetry sync",
            "wardship telemetry status",
        ),
    )
    _add_import(telemetry)
    _add_declare(telemetry)
    telemetry_sync.add_to(telemetry)
    _add_lists(telemetry)
    _add_upkeep(telemetry)
    use.add_to(root, telemetry)


def _add_import(telemetry: kit.Group) -> None:
    @kit.command(
        telemetry,
        "import",
        help=N_("Import log files, or folders of them. What was imported before is passed over."),
        examples=(
            "wardship telemetry import aws.cloudtrail logs/",
            "wardship telemetry import auto export.json.gz --dry-run",
            "kubectl logs audit | wardship telemetry import kubernetes.audit -",
            _DECLARED,
        ),
    )
    @kit.argument("source", help=N_("Name of the log (see `wardship telemetry sources`), a mapping file, or auto."))
    @kit.argument(
        "paths",
        nargs=-1,
        required=True,
        type=click.Path(path_type=Path, allow_dash=True),
        help=N_("Files and folders; - reads standard input."),
    )
    @kit.option("--dry-run", is_flag=True, help=N_("Read and count; keep nothing."))
    @kit.option(
        "--learn",
        is_flag=True,
        help=N_("Take all of it as what is usual and raise no alerts: for the first, long logs."),
    )
    @kit.option("--authority", metavar=N_("SYSTEM"), help=N_("Whose log it is, for example aws:123456789012."))
    @kit.option(
        "--complete-from", metavar=N_("DATE"), help=N_("These files hold everything from here on; needs the other two.")
    )
    @kit.option("--complete-to", metavar=N_("DATE"), help=N_("They hold everything before this instant."))
    @kit.option(
        "--part",
        "parts",
        multiple=True,
        metavar=N_("PART"),
        help=N_("They hold this part of the log in full, for example data; may be given several times."),
    )
    @kit.option("--as-of", metavar=N_("DATE"), help=N_("When the log was written, for times without a year."))
    @kit.option("--time-zone", metavar=N_("ZONE"), help=N_("Of times that name none, for example Europe/Madrid."))
    def import_(  # noqa: PLR0917 - one argument an option
        run: Run,
        source: str,
        paths: tuple[Path, ...],
        authority: str | None,
        complete_from: str | None,
        complete_to: str | None,
        parts: tuple[str, ...],
        as_of: str | None,
        time_zone: str | None,
        *,
        dry_run: bool,
        learn: bool,
    ) -> int:
        from wardship.services import telemetry as service

        said = [None if text is None else service.instant(text) for text in (complete_from, complete_to)]
        written = None if as_of is None else service.instant(as_of)
        chosen = service.source_of(source, authority=authority, as_of=written, time_zone=time_zone)
        with work.progress(run) as line:
            if dry_run:
                tried = service.attempt(paths, chosen, watch=_watch(line))
                line.clear()
                return _tell_tried(run, tried)
            work.ensure_workspace(run)
            with work.opened(run) as app:
                windows = service.windows_of(source, authority, said[0], said[1], parts=parts, actor=app.actor)
                done = service.load(app.workspace, paths, chosen, actor=app.actor, watch=_watch(line), windows=windows)
                if learn:
                    work.learn_events(run, app)
                else:
                    work.judge_events(run, app, line)
                leaving, keep = service.leaving(app.workspace), app.workspace.settings.telemetry.keep_days
            line.clear()
        if windows and not done.whole:
            run.warn(_("Not taken as complete: not every file could be read to its end, or no event was in them."))
        if leaving:
            run.warn(
                _("%(n)s events are older than %(days)s days: the worker removes them. What they taught stays.")
                % {"n": format_number(leaving), "days": keep}
            )
            run.warn(_("Next: %(advice)s") % {"advice": _("raise telemetry.keep_days in workspace.yaml to keep them")})
        return _tell_imported(run, done)


def _add_declare(telemetry: kit.Group) -> None:
    @kit.command(
        telemetry,
        "declare",
        help=N_("Say in your own name that a log which was read is whole for some time; or take that back."),
        examples=(
            f"{_SAYS} --complete-from 2026-08-01 --complete-to 2026-11-22",
            f"{_SAYS} --withdraw",
        ),
    )
    @kit.argument("source", help=N_("Name of the log (see `wardship telemetry sources`)."))
    @kit.option("--authority", required=True, metavar=N_("SYSTEM"), help=N_("Whose log it is."))
    @kit.option("--complete-from", metavar=N_("DATE"), help=N_("It holds everything from here on."))
    @kit.option("--complete-to", metavar=N_("DATE"), help=N_("It holds everything before this instant."))
    @kit.option(
        "--part",
        "parts",
        multiple=True,
        metavar=N_("PART"),
        help=N_("Only this part of the log, for example data; may be given several times."),
    )
    @kit.option("--withdraw", is_flag=True, help=N_("Take back what was declared of it, for every time."))
    def declare(  # noqa: PLR0917 - one argument an option
        run: Run,
        source: str,
        authority: str,
        complete_from: str | None,
        complete_to: str | None,
        parts: tuple[str, ...],
        *,
        withdraw: bool,
    ) -> None:
        from wardship.services import telemetry as service

        said = [None if text is None else service.instant(text) for text in (complete_from, complete_to)]
        if withdraw and any(said):
            raise click.UsageError(_("--withdraw takes back every time: leave --complete-from and --complete-to out"))
        if not withdraw and not all(said):
            raise click.UsageError(_("a declaration needs --complete-from and --complete-to"))
        with work.opened(run) as app:
            if withdraw:
                done = service.withdraw(app.workspace, source, authority, parts, actor=app.actor)
            else:
                windows = service.windows_of(source, authority, said[0], said[1], parts=parts, actor=app.actor)
                service.declare(app.workspace, windows, actor=app.actor)
                done = len(windows)
            work.judge_again(run, app)
        text = _("Declarations taken back: %(n)s") if withdraw else _("Declarations recorded: %(n)s")
        run.say(text % {"n": format_number(done)})
        run.note(_("What it changes: `wardship telemetry coverage` and `wardship unused`"))


def _add_lists(telemetry: kit.Group) -> None:
    @kit.command(
        telemetry,
        "status",
        help=N_("Show what there is of each log: events, days, what was unreadable."),
        examples=("wardship telemetry status", "wardship telemetry status --files --output csv"),
        rows=True,
    )
    @kit.option("--files", is_flag=True, help=N_("Every file and every live reading instead, with its number."))
    def status(run: Run, *, files: bool) -> None:
        from wardship.services import telemetry as service
        from wardship.services.formats import Listing

        with work.opened(run) as app:
            columns = service.INPUT_COLUMNS if files else service.STATUS_COLUMNS
            rows = service.input_rows(app.db) if files else service.status_rows(app.db)
            kit.emit(
                run,
                Listing(name="telemetry", columns=columns, rows=rows),
                empty=_("No log was read yet. Next: wardship telemetry import auto FILE..."),
            )

    @kit.command(
        telemetry,
        "sources",
        help=N_("List the logs that can be read, and the files that each takes."),
        examples=("wardship telemetry sources", "wardship telemetry sources --output json"),
        rows=True,
    )
    def sources(run: Run) -> None:
        from wardship.services import telemetry as service
        from wardship.services.formats import Listing

        kit.emit(run, Listing(name="sources", columns=service.SOURCE_COLUMNS, rows=service.source_rows()))


def _add_upkeep(telemetry: kit.Group) -> None:
    @kit.command(
        telemetry,
        "replay",
        help=N_("Try the records again that could not be read, for example after an update."),
        examples=(
            "wardship telemetry replay",
            "wardship telemetry replay --input 17",
            "wardship telemetry replay --input 17 --source github.audit",
        ),
    )
    @kit.option(
        "--input",
        "input_id",
        type=int,
        metavar=N_("NUMBER"),
        help=N_("Only what came from this file (`wardship telemetry status --files`)."),
    )
    @kit.option("--source", metavar=N_("NAME"), help=N_("Read them as this log, not as what they were taken for."))
    def replay(run: Run, input_id: int | None, source: str | None) -> int:
        from wardship.services import telemetry as service

        with work.opened(run) as app:
            done = service.replay(app.workspace, actor=app.actor, input_id=input_id, source=source)
            work.judge_events(run, app)
        run.say(
            _("%(read)s records could be read now (%(events)s new events, %(known)s known); %(left)s still cannot")
            % {
                "read": format_number(done.read),
                "events": format_number(done.events),
                "known": format_number(done.duplicates),
                "left": format_number(done.left),
            }
        )
        for name in sorted(done.unknown):
            run.warn(_("%(log)s was read with a mapping file, which is not known here") % {"log": visible(name, 100)})
        if done.unknown:
            run.warn(_("Next: %(advice)s") % {"advice": "wardship telemetry replay --source ./MAPPING.yaml"})
        return kit.INCOMPLETE if done.left else kit.DONE

    @kit.command(
        telemetry,
        "compact",
        help=N_("Sort the files of each day into one, and remove what is too old. The worker does it every night."),
        examples=("wardship telemetry compact",),
    )
    def compact(run: Run) -> None:
        from wardship.services import telemetry as service

        with work.opened(run) as app:
            done, retired, swept = service.compact(app.workspace, actor=app.actor)
        run.say(
            _("%(files)s files of %(days)s days became one each: %(before)s MB are now %(after)s MB.")
            % {
                "files": format_number(done.files),
                "days": format_number(done.days),
                "before": format_number(round(done.before_bytes / 1e6, 1)),
                "after": format_number(round(done.after_bytes / 1e6, 1)),
            }
        )
        run.note(
            _("%(events)s events were older than the settings keep; %(files)s files were deleted.")
            % {"events": format_number(retired), "files": format_number(swept)}
        )


def _watch(line: Progress) -> Callable[[Advance], None]:
    """Tells how far it is, how fast, and how long it will take."""
    begun = time.monotonic()

    def tell(now: Advance) -> None:
        took = max(time.monotonic() - begun, 0.001)
        share = now.done_bytes / now.total_bytes if now.total_bytes else 0.0
        text = _("%(percent)d %%, %(events)s events, %(rate)s a second") % {
            "percent": round(100 * share),
            "events": format_number(now.events),
            "rate": format_number(round(now.events / took)),
        }
        if 0.01 < share < 1:
            text += _(", %(left)s s left") % {"left": format_number(round(took / share - took))}
        line(text)

    return tell


def _tell_imported(run: Run, done: Imported) -> int:
    run.say(
        _("%(files)s files read, %(known)s were imported before: %(events)s new events, %(duplicates)s known already")
        % {
            "files": format_number(done.files),
            "known": format_number(done.known),
            "events": format_number(done.events),
            "duplicates": format_number(done.duplicates),
        }
    )
    _tell_nothing(run, done, done.known)
    if done.skipped:
        run.note(_("%(n)s records are no events of interest.") % {"n": format_number(done.skipped)})
    if done.quarantined:
        run.warn(_("%(n)s records could not be read; they are kept.") % {"n": format_number(done.quarantined)})
        _tell_reasons(run, done.reasons)
        advice = _("after an update, or with `--source` as another log, `wardship telemetry replay` tries them again")
        run.warn(_("Next: %(advice)s") % {"advice": advice})
    _tell_files(run, done.broken, done.unknown)
    _tell_drift(run, done.drift)
    return kit.DONE if done.complete else kit.INCOMPLETE


def _tell_tried(run: Run, tried: Tried) -> int:
    run.say(
        _("%(files)s files read, nothing kept: %(events)s events, %(skipped)s records are no events of interest")
        % {
            "files": format_number(tried.files),
            "events": format_number(tried.events),
            "skipped": format_number(tried.skipped),
        }
    )
    _tell_nothing(run, tried)
    for name, count in sorted(tried.sources.items()):
        run.say(_("  %(source)s: %(n)s files") % {"source": name, "n": format_number(count)})
    if tried.first_at is not None and tried.last_at is not None:
        span = {"first": format_instant(tried.first_at), "last": format_instant(tried.last_at)}
        run.say(_("  from %(first)s to %(last)s") % span)
    _tell_reasons(run, tried.reasons)
    _tell_files(run, tried.broken, tried.unknown)
    _tell_drift(run, tried.drift)
    return kit.DONE if tried.complete else kit.INCOMPLETE


def _tell_nothing(run: Run, done: Imported | Tried, known: int = 0) -> None:
    """Empty files and folders are no error, but nobody should take them for a log in which nothing happened."""
    for name in done.empty[:_SHOWN]:
        run.warn(_("  %(file)s is empty") % {"file": visible(name, 200)})
    _tell_more(run, len(done.empty))
    if not (done.files or known or done.empty or done.broken or done.unknown):
        run.warn(_("There is no file. Next: name the file, or the folder that the logs are in"))


def _tell_reasons(run: Run, reasons: Counter[str]) -> None:
    for reason, count in reasons.most_common(_SHOWN):
        run.warn(
            _("  %(n)s records could not be read: %(reason)s")
            % {"n": format_number(count), "reason": visible(reason.removeprefix("DataError: "), 200)}
        )
    if len(reasons) > _SHOWN:
        run.warn(_("  and %(n)s more reasons") % {"n": format_number(len(reasons) - _SHOWN)})


def _tell_files(run: Run, broken: Sequence[tuple[str, str]], unknown: Sequence[str]) -> None:
    for name, why in broken[:_SHOWN]:
        words = {"file": visible(name, 200), "why": visible(_(why), 200)}
        run.warn(_("  %(file)s could not be read to its end: %(why)s") % words)
    if broken:
        _tell_more(run, len(broken))
        run.warn(
            _("Next: %(advice)s")
            % {"advice": _("make them readable, or fetch them again, and import them; nothing is doubled")}
        )
    for name in unknown[:_SHOWN]:
        run.warn(_("  %(file)s is no log that is known here") % {"file": visible(name, 200)})
    if unknown:
        _tell_more(run, len(unknown))
        advice = _("name the log (`wardship telemetry sources`) in the place of auto, or write a mapping file")
        run.warn(_("Next: %(advice)s") % {"advice": advice})


def _tell_more(run: Run, files: int) -> None:
    if files > _SHOWN:
        run.warn(_("  and %(n)s more files") % {"n": format_number(files - _SHOWN)})


def _tell_drift(run: Run, drift: dict[tuple[str, str], int]) -> None:
    for (place, what), times in sorted(drift.items())[:_SHOWN]:
        run.note(
            _("  not known: %(what)s in %(place)s, %(times)s times")
            % {"what": visible(what, 60), "place": visible(place, 80), "times": format_number(times)}
        )
