"""`wardship telemetry coverage` and `reconcile`, and `wardship unused`: what the logs let us say of use."""

from __future__ import annotations

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _, format_number

_VERDICTS = ("used", "unused", "unobserved", "insufficient")


def add_to(root: kit.Group, telemetry: kit.Group) -> None:
    @kit.command(
        root,
        "unused",
        help=N_("Say of identities and credentials whether they are used, and why that may or may not be said."),
        examples=(
            "wardship unused",
            "wardship unused --verdict insufficient",
            "wardship unused --family credential --out unused.xlsx",
        ),
        rows=True,
    )
    @kit.option(
        "--verdict",
        type=click.Choice([*_VERDICTS, "all"]),
        default="unused",
        show_default=True,
        help=N_("Only this verdict."),
    )
    @kit.option("--family", type=click.Choice(["identity", "credential"]), help=N_("Only identities, or credentials."))
    def unused(run: Run, verdict: str, family: str | None) -> None:
        from wardship.services import use
        from wardship.services.formats import Listing

        chosen = None if verdict == "all" else verdict
        with work.opened(run) as app, app.facts() as facts:
            something = next(use.verdicts(facts), None) is not None
            kit.emit(
                run,
                Listing(
                    name="use-verdicts",
                    columns=use.VERDICT_COLUMNS,
                    rows=use.verdicts(facts, verdict=chosen, family=family),
                ),
                empty=_("Nothing has this verdict. `wardship unused --verdict all` shows every one.")
                if something
                else _("The inventory is empty: there is nothing that could be used. Next: wardship scan"),
            )

    @kit.command(
        telemetry,
        "coverage",
        help=N_("Show which days of which log are known, its holes, and what it leaves out."),
        examples=("wardship telemetry coverage", "wardship telemetry coverage --output json"),
        rows=True,
    )
    def coverage(run: Run) -> None:
        from wardship.services import use
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            kit.emit(
                run,
                Listing(name="log-coverage", columns=use.COVERAGE_COLUMNS, rows=use.log_coverage(facts)),
                empty=_(
                    "The inventory is empty: no log belongs to a system of it yet."
                    " Next: wardship scan; `wardship telemetry status` shows every log."
                ),
            )

    @kit.command(
        telemetry,
        "reconcile",
        help=N_("Compare the logs with the inventory: who acts and is not in it, or is in it and never acts."),
        examples=("wardship telemetry reconcile", "wardship telemetry reconcile --never-seen --out never-seen.xlsx"),
        rows=True,
    )
    @kit.option("--never-seen", is_flag=True, help=N_("The reverse: identities of which a whole log shows no use."))
    def reconcile(run: Run, *, never_seen: bool) -> None:
        from wardship.services import usage, use
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            if never_seen:
                listing = Listing(name="never-seen", columns=use.VERDICT_COLUMNS, rows=use.never_seen(facts))
                empty = _("No identity is known never to act. A log must cover the whole time to say so.")
            else:
                listing = Listing(name="unmatched-actors", columns=use.UNMATCHED_COLUMNS, rows=use.unmatched(facts))
                known = usage.current(app.workspace)
                if waiting := usage.waiting(app.workspace, known):
                    empty = _("Events that were imported and not counted yet: %(n)s") % {"n": format_number(waiting)}
                elif known.rows("actor_day"):
                    empty = _(
                        "Every actor in the logs is in the inventory. Not looked for: people, computers, and the"
                        " provider's own services."
                    )
                else:
                    empty = _("No log was counted yet: nobody knows. Next: wardship telemetry import auto FILE...")
            kit.emit(run, listing, empty=empty)
            if not never_seen and (unnamed := use.unnamed_actors(facts)):
                run.note(
                    _(
                        "%(n)s of them are of logs that do not say whose they are (a system that ends in `:?`), and"
                        " join nothing. Say it at the import: wardship telemetry import LOG FILE --authority SYSTEM"
                        " (what was imported without it stays as it is)."
                    )
                    % {"n": format_number(unnamed)}
                )
