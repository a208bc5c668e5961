"""`wardship worker`: does in the background what is due."""

from __future__ import annotations

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "worker",
        help=N_(
            "Do what is due: scheduled scans, checkpoints, upkeep. Stop it with Ctrl-C; the job in hand is finished."
        ),
        examples=("wardship worker", "wardship worker --once"),
    )
    @kit.option("--once", is_flag=True, help=N_("Do what is due now and leave."))
    def worker(run: Run, once: bool) -> None:
        from wardship import app as wiring

        with work.opened(run) as app:
            made = wiring.worker(app)
            if once:
                run.say(_("%(n)d jobs done") % {"n": made.run_due()})
                return
            run.note(_("Working. Stop with Ctrl-C."))
            made.run()
