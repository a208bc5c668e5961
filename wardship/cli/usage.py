"""`wardship usage` and `wardship baseline`: who uses what, when and from where, and what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _, format_instant, format_number, format_share
from wardship.sdk.words import word

if TYPE_CHECKING:
    from wardship.services.formats import Row
    from wardship.services.usage import Picture, Subject

_ASPECTS = ("credential", "action", "resource", "network", "agent", "session", "actor", "day")
_ON_SCREEN = 8  # rows of each aspect; every other format has all
_NOT_SEEN = N_(
    "Nothing of %(name)s is in the logs that were imported. `wardship telemetry coverage` shows what they hold."
)
_DAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))
_BARS = "▁▂▃▄▅▆▇█"
_SHADES = "·░░░▒▒▒▓▓█"


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "usage",
        help=N_("Show who uses what, since when, how often, and from where, as the audit logs tell."),
        examples=(
            "wardship usage 'AcmeIntegrator SaaS'",
            "wardship usage AKIAIOSFODNN7EXAMPLE --by network",
            "wardship usage iam:CreateAccessKey",
            "wardship usage deploy-bot --by action --out actions.xlsx",
        ),
        rows=True,
    )
    @kit.argument(
        "what", help=N_("An identity (id or name), a public key id, an actor of a log, or SERVICE:OPERATION.")
    )
    @kit.option(
        "--by", type=click.Choice(_ASPECTS), help=N_("Only this aspect (default: each but days, with most use).")
    )
    @kit.option("--unused", is_flag=True, help=N_("The permissions that are not used."))
    def show_usage(run: Run, what: str, by: str | None, unused: bool) -> None:
        from wardship.services import usage
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            known = usage.current(app.workspace)
            subject = usage.find(facts, known, what)
            screen = run.format == "table"
            if unused:
                run.say(_("Unused permissions: not evaluated yet."))
                return
            seen = usage.summary(known, subject)
            if screen and run.out is None and seen["events"]:
                _tell_summary(run, subject, seen)
            most = _ON_SCREEN if screen and by is None else None
            chosen = () if by is None else (by,)
            kit.emit(
                run,
                Listing(name="usage", columns=usage.COLUMNS, rows=usage.rows(known, subject, by=chosen, most=most)),
                empty=_(_NOT_SEEN) % {"name": visible(subject.name)},
            )
            if most and seen["events"]:
                run.note(_("The most used of each; all of them: --by, or another --output"))
            _tell_waiting(run, usage.waiting(app.workspace, known))

    baseline = kit.group(
        root,
        "baseline",
        help=N_("Show what is usual for an identity, or count it again."),
        examples=("wardship baseline show 'AcmeIntegrator SaaS'",),
    )

    @kit.command(
        baseline,
        "show",
        help=N_("Show what is usual for an identity: hours, volume, rhythm, networks, and whether enough is known."),
        examples=("wardship baseline show deploy-bot", "wardship baseline show deploy-bot --output json"),
        rows=True,
    )
    @kit.argument("what", help=N_("An identity (id or name), a public key id, or an actor of a log."))
    def show_baseline(run: Run, what: str) -> None:
        from wardship.services import usage
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            known = usage.current(app.workspace)
            subject = usage.find(facts, known, what)
            found = usage.pictures(app.workspace, known, subject, app.clock())
            left = usage.waiting(app.workspace, known)
        if run.format != "table" or run.out is not None:
            listing = Listing(name="baselines", columns=usage.BASELINE_COLUMNS, rows=[one.facts for one in found])
            kit.emit(run, listing)
        elif not found:
            run.say(_(_NOT_SEEN) % {"name": visible(subject.name)})
        for place, picture in enumerate(found if run.format == "table" and run.out is None else ()):
            run.say("\n".join([""] * bool(place) + _drawn(picture)))
        _tell_waiting(run, left)

    @kit.command(
        baseline,
        "rebuild",
        help=N_("Count all events again from the beginning. What is known only of events past retention is forgotten."),
        examples=("wardship baseline rebuild",),
    )
    def rebuild(run: Run) -> None:
        from wardship.services import telemetry_refresh

        with work.opened(run) as app:
            made = telemetry_refresh.rebuild(app.workspace)
            run.say(
                _("Counted again: %(days)s actor-days, up to batch %(batch)s of the events.")
                % {"days": format_number(made.rows("actor_day")), "batch": made.batch}
            )


def _tell_summary(run: Run, subject: Subject, seen: Row) -> None:
    run.say(visible(subject.name))
    run.say(
        _("Used %(events)s times (%(failed)s failed) between %(first)s and %(last)s.")
        % {
            "events": format_number(seen["events"]),
            "failed": format_number(seen["failures"]),
            "first": format_instant(seen["first_at"]),
            "last": format_instant(seen["last_at"]),
        }
    )
    if seen["active_days"]:
        run.say(_("Days with use: %(n)s") % {"n": format_number(seen["active_days"])})
    if subject.identity_uid is None and not subject.operation:
        run.say(_("The inventory does not know it."))
    run.say()


def _tell_waiting(run: Run, events: int) -> None:
    if events:
        run.note(_("Events that were imported and not counted yet: %(n)s") % {"n": format_number(events)})


def _drawn(picture: Picture) -> list[str]:
    """The picture of one actor as lines of text."""
    one = picture.facts
    name = visible(one["actor_name"] or one["actor_id"])
    lines = [f"{name}  ({visible(one['authority'])} {visible(one['actor_id'])})", _maturity(one)]
    if one["events"]:
        rhythm = one["rhythm"]
        if rhythm:
            lines.append(
                _("Rhythm: %(rhythm)s; longest gap: %(days)s days")
                % {"rhythm": word("rhythm", rhythm), "days": format_number(one["longest_gap_days"] or 0)}
            )
        lines.append(
            _("Usual volume: %(median)s events on an active day (give or take %(mad)s); failures: %(failures)s")
            % {
                "median": format_number(round(one["median_events"])),
                "mad": format_number(round(one["mad_events"])),
                "failures": format_share(one["failures"], one["events"]),
            }
        )
        for column, said in (("weekend_events", _("at weekends")), ("month_end_events", _("at the turn of a month"))):
            if one[column] is not None:
                lines.append(f"  {said}: {format_number(round(one[column]))}")
    start = picture.until - timedelta(days=len(picture.days))
    lines += ["", _("Events a day, %(start)s to %(end)s:") % {"start": start, "end": picture.until - timedelta(days=1)}]
    lines.append(f"  {_sparkline(picture.days)}")
    if one["hours"]:
        lines += [
            "",
            _("Hours of the week (UTC), in the last quarter with use and the one before; what an alert saw is in it:"),
            "       00    06    12    18",
        ]
        for place, day in enumerate(_DAYS):
            shades = "".join(_SHADES[int(level)] for level in one["hours"][24 * place : 24 * place + 24])
            lines.append(f"  {_(day):<4} {shades}")
    if picture.networks:
        lines += ["", _("Comes from:")]
        for row in picture.networks:
            since = format_instant(row["first_at"])
            lines.append(
                f"  {visible(row['value'] or '-')}: "
                + _("%(times)s times since %(since)s") % {"times": format_number(row["events"]), "since": since}
            )
    if one["peers"]:
        lines += ["", _("Peers (same kind, same services): %(n)s") % {"n": format_number(one["peer_actors"] - 1)}]
    return lines


def _maturity(one: Row) -> str:
    days = {"days": format_number(one["active_days"]), "first": format_instant(one["first_at"])}
    if one["mature"]:
        return _("Known well enough to say what is unusual: %(days)s active days since %(first)s.") % days
    return _("Cold start: %(days)s active days since %(first)s are too few to call anything unusual.") % days


def _sparkline(days: Sequence[int]) -> str:
    """One character a day; a day without use is a dot."""
    most = max(days, default=0) or 1
    return "".join(_BARS[min(7, (8 * count - 1) // most)] if count else "·" for count in days)
