"""`wardship telemetry sync`: what happened since the last time, from the systems themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _, format_number

if TYPE_CHECKING:
    from wardship.services.telemetry_sync import StreamOutcome


def add_to(telemetry: kit.Group) -> None:
    @kit.command(
        telemetry,
        "sync",
        help=N_(
            "Read the logs of connected systems, from where the last reading ended. What is known is not kept twice."
        ),
        examples=(
            "wardship telemetry sync",
            "wardship telemetry sync prod --source aws.cloudtrail",
            "wardship telemetry sync acme --since 7d",
        ),
    )
    @kit.argument("names", nargs=-1, help=N_("Connections. None: all whose logs can be read live."))
    @kit.option("--source", metavar=N_("NAME"), help=N_("This log alone, for example aws.cloudtrail."))
    @kit.option(
        "--since", metavar=N_("WHEN"), help=N_("Read again from there: a date, an instant, or an age: 12h, 7d, 4w.")
    )
    def sync(run: Run, names: tuple[str, ...], source: str | None, since: str | None) -> int:
        from wardship.services import connect, listings
        from wardship.services import telemetry_sync as service

        with work.progress(run) as tell, work.opened(run, progress=tell) as app:
            chosen = [connect.find(app.db, name) for name in names] if names else connect.stored(app.db)
            outcomes = service.sync(
                app.workspace,
                [app.connection(one) for one in chosen],
                app.actor,
                only=source,
                since=listings.since_day(since, app.clock()) if since else None,
            )
            code = kit.DONE
            for outcome in outcomes:
                tell.clear()
                _tell(run, outcome)
                if outcome.problem is not None:
                    code = kit.INCOMPLETE
            work.judge_events(run, app)
            return code


def _tell(run: Run, outcome: StreamOutcome) -> None:
    """One line a stream, and what was missing below it."""
    name = " ".join(filter(None, (outcome.connection, outcome.source, outcome.stream)))
    counts = _("%(events)s new events, %(duplicates)s known, %(skipped)s skipped, %(quarantined)s unreadable") % {
        "events": format_number(outcome.events),
        "duplicates": format_number(outcome.duplicates),
        "skipped": format_number(outcome.skipped),
        "quarantined": format_number(outcome.quarantined),
    }
    run.say(visible(f"{name}: {counts}"))
    if outcome.problem is None:
        return
    run.warn("  " + visible(_("not read to its end: %(problem)s") % {"problem": outcome.problem}))
    if outcome.missing:
        run.warn("  " + visible(_("missing: %(permission)s") % {"permission": outcome.missing}))
    if outcome.advice:
        run.warn("  " + visible(_("Next: %(advice)s") % {"advice": outcome.advice}))
