"""`wardship init` and `wardship demo`: a workspace, empty or with a made-up organisation in it."""

from __future__ import annotations

from pathlib import Path

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "init",
        help=N_("Make an empty workspace. It is one folder: copy it to copy it, delete it to leave nothing behind."),
        examples=("wardship init", "wardship init --workspace client-a", "wardship init --database env:WARDSHIP_DB"),
    )
    @kit.option(
        "--database",
        metavar=N_("REFERENCE"),
        help=N_("Keep the state in PostgreSQL: env:NAME or file:/path of its URL (default: SQLite in the folder)."),
    )
    def init(run: Run, database: str | None) -> None:
        from wardship import app

        with app.App.create(run.workspace, database_url=database) as opened:
            run.say(_("Workspace made in %(path)s") % {"path": opened.workspace.path})
        run.note(_("Next: %(advice)s") % {"advice": "wardship scan aws, wardship connect add"})

    @kit.command(
        root,
        "demo",
        help=N_("Read a made-up organisation and show what Wardship finds. Nothing leaves this machine."),
        examples=("wardship demo", "wardship demo --size s --workspace demo", "wardship demo --language es"),
    )
    @kit.option(
        "--size",
        type=click.Choice(["s", "m", "l"]),
        default="m",
        show_default=True,
        help=N_("How large the organisation is: about 300, 1,500 or 30,000 identities."),
    )
    def demo(run: Run, size: str) -> int:
        from wardship import app
        from wardship.services.guard import report

        run.workspace = run.workspace or Path("wardship-demo")
        work.ensure_workspace(run)
        with work.progress(run) as tell, work.opened(run, progress=tell) as opened:
            run.note(_("Reading the demo organisation into %(path)s") % {"path": opened.workspace.path})
            connections = app.demo_connections(opened, size)
            report.collect(opened.workspace, [app.demo_hook_runs(opened)], opened.actor, judge=False)
            work.read_demo_logs(run, opened, app.demo_logs(opened))
            # The organisation has a planted gap: that something could not be read is part of the show, not a failure.
            return work.read_all(run, opened, connections, gaps_planned=True)
