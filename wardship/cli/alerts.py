"""`wardship alerts`: what detections saw, with what a person needs to act, and what is said about it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _

if TYPE_CHECKING:
    from wardship.app import App

_DATE = click.DateTime(formats=["%Y-%m-%d"])
_THE_ALERT = N_("The alert's id.")
_WHY = N_("Why, for whoever reads it later.")


def add_to(root: kit.Group) -> None:
    alerts = kit.group(
        root,
        "alerts",
        help=N_("What detections saw in audit logs: list it, understand it, decide."),
        examples=(
            "wardship alerts list",
            "wardship alerts show al_k5q2m6w4r3t7u5v6x7y2",
            "wardship alerts expected al_k5q2m6w4r3t7u5v6x7y2 --until 2026-12-31 --reason 'migration, ticket 4711'",
        ),
    )
    _lists(alerts)
    _decisions(alerts)
    _windows(alerts)
    _tools(alerts)


def _lists(alerts: kit.Group) -> None:
    @kit.command(
        alerts,
        "list",
        help=N_("List the alerts, the worst and newest first."),
        examples=(
            "wardship alerts list",
            "wardship alerts list --all --identity AcmeIntegrator --out alerts.xlsx",
            "wardship alerts list --signals --output jsonl",
        ),
        rows=True,
    )
    @kit.option("--open/--all", "only_open", default=True, help=N_("Only open alerts (the default), or all."))
    @kit.option(
        "--identity", metavar=N_("NAME"), help=N_("Only those of this identity: its id, a key id, or its name.")
    )
    @kit.option(
        "--signals", is_flag=True, help=N_("The signals instead: also those too weak for an alert, or expected.")
    )
    def list_(run: Run, identity: str | None, *, only_open: bool, signals: bool) -> None:
        from wardship.services import alerts as service
        from wardship.services import listings, usage
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            subjects = None
            if identity:
                subjects = service.subjects_of(usage.find(facts, usage.current(app.workspace), identity))
            about = listings.about(facts, app.actor, app.clock(), f"identity={identity}" if identity else "")
            if signals:
                rows = service.signals(app.workspace, facts, subjects=subjects)
                listing = Listing(name="signals", columns=service.SIGNAL_COLUMNS, rows=rows, about=about)
            else:
                rows = service.rows(app.workspace, facts, state="open" if only_open else None, subjects=subjects)
                listing = Listing(name="alerts", columns=service.COLUMNS, rows=rows, about=about)
            kit.emit(run, listing, empty=_("No alert. That says nothing about logs that were not imported."))

    @kit.command(
        alerts,
        "show",
        help=N_("Show one alert: what was seen, what was usual, who answers, what breaks, what to do."),
        examples=("wardship alerts show al_k5q2m6w4r3t7u5v6x7y2",),
        rows=True,
    )
    @kit.argument("uid", help=_THE_ALERT)
    def show(run: Run, uid: str) -> None:
        from wardship.services import alert_story, detect

        with work.opened(run) as app, app.facts() as facts:
            detections, problems = detect.workspace_detections(app.workspace)
            story = alert_story.story(app.workspace, facts, uid, detections, app.clock())
        for problem in problems:
            run.warn(visible(problem))
        work.show_story(run, story)


def _decisions(alerts: kit.Group) -> None:
    @kit.command(
        alerts,
        "expected",
        help=N_("Say that what an alert is about is expected, until a day. Afterwards it counts again."),
        examples=(
            "wardship alerts expected al_k5q2m6w4r3t7u5v6x7y2 --until 2026-12-31 --reason 'migration, ticket 4711'",
            "wardship alerts expected al_k5q2m6w4r3t7u5v6x7y2 --until 2026-12-31 --fold 'country:*' --reason travel",
        ),
    )
    @kit.option(
        "--until", type=_DATE, required=True, metavar=N_("DAY"), help=N_("The last day on which it is expected.")
    )
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=_WHY)
    @kit.option(
        "--fold",
        metavar=N_("PATTERN"),
        help=N_("Which hits of these detections: * stands for any text. Without this, the same as in the alert."),
    )
    @kit.argument("uid", help=_THE_ALERT)
    def expected(run: Run, uid: str, until: datetime, reason: str, fold: str | None) -> None:
        from wardship.services import alerts as service
        from wardship.services import evaluate

        with work.opened(run) as app:
            policy = evaluate.workspace_policy(app.workspace)
            done = service.expect(
                app.workspace, uid, actor=app.actor, until=until.date(), reason=reason, policy=policy, fold=fold
            )
        run.say(
            _("Expected until %(day)s: %(n)d kinds of hits of this identity make no alert until then.")
            % {"day": until.date().isoformat(), "n": done.expectations}
        )

    @kit.command(
        alerts,
        "unexpected",
        help=N_("Take back that an alert is expected: it is open again."),
        examples=("wardship alerts unexpected al_k5q2m6w4r3t7u5v6x7y2 --reason 'the migration is over'",),
    )
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=_WHY)
    @kit.argument("uid", help=_THE_ALERT)
    def unexpected(run: Run, uid: str, reason: str) -> None:
        from wardship.services import alerts as service

        with work.opened(run) as app:
            service.unexpect(app.workspace, uid, actor=app.actor, reason=reason)
        run.say(_("Alert %(uid)s is open again.") % {"uid": uid})

    @kit.command(
        alerts,
        "close",
        help=N_("Close an alert that was looked into. The same again would be a new one."),
        examples=("wardship alerts close al_k5q2m6w4r3t7u5v6x7y2 --reason 'key rotated, incident 12'",),
    )
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=N_("What was found, for whoever reads it later."))
    @kit.argument("uid", help=_THE_ALERT)
    def close(run: Run, uid: str, reason: str) -> None:
        from wardship.services import alerts as service

        with work.opened(run) as app:
            service.close(app.workspace, uid, actor=app.actor, reason=reason)
        run.say(_("Alert %(uid)s is closed.") % {"uid": uid})

    @kit.command(
        alerts,
        "reopen",
        help=N_("Take back that an alert was closed."),
        examples=("wardship alerts reopen al_k5q2m6w4r3t7u5v6x7y2 --reason 'the wrong one was closed'",),
    )
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=_WHY)
    @kit.argument("uid", help=_THE_ALERT)
    def reopen(run: Run, uid: str, reason: str) -> None:
        from wardship.services import alerts as service

        with work.opened(run) as app:
            service.reopen(app.workspace, uid, actor=app.actor, reason=reason)
        run.say(_("Alert %(uid)s is open again.") % {"uid": uid})


def _windows(alerts: kit.Group) -> None:
    windows = kit.group(
        alerts,
        "change-window",
        help=N_("Announce changes: what happens in them counts less."),
        examples=(
            "wardship alerts change-window add --from 2026-11-28T20:00 --until 2026-11-29T06:00 --reason 'release 12'",
            "wardship alerts change-window list",
        ),
    )

    @kit.command(
        windows,
        "add",
        help=N_("Announce a change."),
        examples=(
            "wardship alerts change-window add --from 2026-11-28 --until 2026-11-29 --scope aws:12345 --reason x",
        ),
    )
    @kit.option(
        "--from", "start", required=True, metavar=N_("WHEN"), help=N_("Its beginning: a day or an instant (UTC).")
    )
    @kit.option("--until", "end", required=True, metavar=N_("WHEN"), help=N_("Its end: a day or an instant (UTC)."))
    @kit.option(
        "--scope",
        default="*",
        show_default=True,
        metavar=N_("SCOPE"),
        help=N_("A system (its authority), an identity's id, an actor's id, or * for everything."),
    )
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=N_("Which change it is."))
    def add(run: Run, start: str, end: str, scope: str, reason: str) -> None:
        from wardship.services import alerts as service
        from wardship.services import evaluate, listings

        with work.opened(run) as app:
            now = app.clock()
            made = service.add_window(
                app.workspace,
                actor=app.actor,
                start=listings.since_day(start, now),
                end=listings.since_day(end, now),
                scope=scope,
                reason=reason,
                policy=evaluate.workspace_policy(app.workspace),
            )
        run.say(_("Announced: %(uid)s") % {"uid": made.uid})

    @kit.command(
        windows,
        "list",
        help=N_("List the announced changes."),
        examples=("wardship alerts change-window list", "wardship alerts change-window list --all"),
        rows=True,
    )
    @kit.option("--all", "past", is_flag=True, help=N_("Also those that are over."))
    def list_(run: Run, *, past: bool) -> None:
        from wardship.services import alerts as service
        from wardship.services.formats import Listing

        with work.opened(run) as app:
            rows = service.windows(app.db, since=None if past else app.clock())
            listing = Listing(name="change-windows", columns=service.WINDOW_COLUMNS, rows=rows, about=_about(app))
            kit.emit(run, listing, empty=_("No change is announced."))

    @kit.command(
        windows,
        "remove",
        help=N_("Take an announcement back, for what is judged from now on."),
        examples=("wardship alerts change-window remove wi_k5q2m6w4r3t7u5v6x7y2",),
    )
    @kit.argument("uid", help=N_("The announcement's id."))
    def remove(run: Run, uid: str) -> None:
        from wardship.services import alerts as service

        with work.opened(run) as app:
            service.remove_window(app.workspace, uid, actor=app.actor)
        run.say(_("Removed: %(uid)s") % {"uid": uid})


def _tools(alerts: kit.Group) -> None:
    tools = kit.group(
        alerts,
        "provisioner",
        help=N_("Declare identities that set up much at once because that is what they are for."),
        examples=("wardship alerts provisioner add terraform-deployer --tool Terraform --until 2027-06-30",),
    )

    @kit.command(
        tools,
        "add",
        help=N_("Declare a provisioning tool, until a day."),
        examples=("wardship alerts provisioner add terraform-deployer --tool Terraform --until 2027-06-30",),
    )
    @kit.option("--tool", required=True, metavar=N_("NAME"), help=N_("Which tool works with it."))
    @kit.option("--until", type=_DATE, required=True, metavar=N_("DAY"), help=N_("The last day on which it counts."))
    @kit.argument("identity", help=N_("Its id, a key id, or its name."))
    def add(run: Run, identity: str, tool: str, until: datetime) -> None:
        from wardship.services import alerts as service
        from wardship.services import evaluate, inventory

        last: date = until.date()
        with work.opened(run) as app, app.facts() as facts:
            uid = service.add_tool(
                app.workspace,
                actor=app.actor,
                subject=inventory.find(facts, identity),
                tool=tool,
                until=last,
                policy=evaluate.workspace_policy(app.workspace),
            )
        run.say(_("Declared: %(uid)s") % {"uid": uid})

    @kit.command(
        tools,
        "list",
        help=N_("List the declared provisioning tools."),
        examples=("wardship alerts provisioner list",),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship.services import alerts as service
        from wardship.services.formats import Listing

        with work.opened(run) as app:
            listing = Listing(
                name="provisioners", columns=service.TOOL_COLUMNS, rows=service.tools(app.db), about=_about(app)
            )
            kit.emit(
                run, listing, empty=_("No provisioning tool is declared; those that behave like one are recognised.")
            )

    @kit.command(
        tools,
        "remove",
        help=N_("Take a declaration back."),
        examples=("wardship alerts provisioner remove pr_k5q2m6w4r3t7u5v6x7y2",),
    )
    @kit.argument("uid", help=N_("The declaration's id."))
    def remove(run: Run, uid: str) -> None:
        from wardship.services import alerts as service

        with work.opened(run) as app:
            service.remove_tool(app.workspace, uid, actor=app.actor)
        run.say(_("Removed: %(uid)s") % {"uid": uid})


def _about(app: App) -> dict[str, str]:
    return {"who": app.actor, "when": app.clock().isoformat()}
