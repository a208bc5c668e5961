"""`wardship lookup` and `wardship hunt`: one key, or one question, and what is known."""

from __future__ import annotations

from collections.abc import Sequence

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "lookup",
        help=N_(
            "Tell from a key id whose it is, who answers, where it leaked, how it is used, and what is open on it."
        ),
        examples=("wardship lookup AKIAIOSFODNN7EXAMPLE", "wardship lookup AcmeIntegrator --output json"),
        rows=True,
    )
    @kit.argument("what", help=N_("A key id, an ARN, an app id, any other exact id, or a name."))
    def lookup(run: Run, what: str) -> None:
        from wardship.services import lookup as service
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            answer = service.look_up(app.workspace, facts, what, app.clock())
        if run.format == "table":
            work.show_story(run, answer.story)
        else:
            kit.emit(run, Listing(name="lookup", columns=service.COLUMNS, rows=[answer.row]))

    hunts = kit.group(
        root,
        "hunt",
        help=N_("Ask the audit logs questions that somebody has thought about before."),
        examples=("wardship hunt list", "wardship hunt run ci_outside_its_pipeline --since 30d"),
    )

    @kit.command(
        hunts,
        "list",
        help=N_("List the hunts: ours, and those in the workspace's folder `hunts`."),
        examples=("wardship hunt list",),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship import app as wiring
        from wardship.services import hunt as service
        from wardship.services.formats import Listing

        if wiring.has_workspace(run.workspace):
            with work.opened(run) as app:
                found, problems = service.catalogue(app.workspace)
        else:
            found, problems = service.catalogue(None)
        _tell(run, problems)
        kit.emit(run, Listing(name="hunts", columns=service.COLUMNS, rows=service.rows(found)))

    @kit.command(
        hunts,
        "run",
        help=N_("Ask one question, and say how to read the answer."),
        examples=(
            "wardship hunt run ci_outside_its_pipeline --since 30d",
            "wardship hunt run key_from_new_network --identity AcmeIntegrator --out key.xlsx",
            "wardship hunt run key_from_new_network --sql",
        ),
        rows=True,
    )
    @kit.option(
        "--since", default="30d", show_default=True, metavar=N_("WHEN"), help=N_("A date, or an age: 12h, 7d, 4w.")
    )
    @kit.option("--identity", metavar=N_("NAME"), help=N_("Only rows of this identity: its id, a key id, or its name."))
    @kit.option(
        "--most", type=click.IntRange(1, 100_000), default=200, show_default=True, help=N_("At most so many rows.")
    )
    @kit.option("--sql", is_flag=True, help=N_("Show the question as SQL instead of asking it."))
    @kit.argument("hunt", help=N_("The hunt's id."))
    def run_(run: Run, hunt: str, since: str, identity: str | None, most: int, *, sql: bool) -> None:
        from wardship.services import evaluate, inventory, listings
        from wardship.services import hunt as service
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            found, problems = service.catalogue(app.workspace)
            _tell(run, problems)
            one = service.find(found, hunt)
            if sql:
                run.say(one.compiled.readable())
                return
            answer = service.run(
                app.workspace,
                one,
                since=listings.since_day(since, app.clock()),
                policy=evaluate.workspace_policy(app.workspace),
                identity_uid=inventory.find(facts, identity) if identity else None,
                most=most,
            )
            about = listings.about(facts, app.actor, app.clock(), f"hunt={hunt}, since={since}")
        run.note(_(one.title))
        run.note(_("How to read it: %(text)s") % {"text": _(one.how_to_read)})
        kit.emit(
            run,
            Listing(name="hunt", columns=answer.columns, rows=answer.rows, about=about),
            empty=_("No row. That says nothing about logs that were not imported."),
        )
        if answer.more:
            run.note(
                _("There are more than %(n)d rows: narrow it with --identity or --since, or raise --most") % {"n": most}
            )
        for step in one.next_steps:
            run.note(_("Next: %(advice)s") % {"advice": _(step)})
        for limit in one.limits:
            run.note(_("It cannot see: %(text)s") % {"text": _(limit)})


def _tell(run: Run, problems: Sequence[str]) -> None:
    for problem in problems:
        run.warn(visible(problem))
