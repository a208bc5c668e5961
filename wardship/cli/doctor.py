"""`wardship doctor`: is this workspace in order, and what to send when it is not."""

from __future__ import annotations

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "doctor",
        help=N_("Check the workspace: rights, database, disk, clock, keys, newest scan, unexpected answers."),
        examples=("wardship doctor", "wardship doctor --report", "wardship doctor --output json"),
        rows=True,
    )
    @kit.option(
        "--report", is_flag=True, help=N_("Also write the shapes that were not expected, redacted, for a bug report.")
    )
    def doctor(run: Run, report: bool) -> int:
        from wardship.services import doctor as service
        from wardship.services.formats import Listing

        with work.opened(run) as app:
            checks = service.examine(app.workspace, app.plugins)
            kit.emit(run, Listing(name="doctor", columns=service.COLUMNS, rows=[check.row() for check in checks]))
            if report:
                run.say(
                    _("Report written to %(path)s. Read it before you send it.")
                    % {"path": service.report(app.workspace, checks)}
                )
        return kit.INCOMPLETE if any(check.ok is False for check in checks) else kit.DONE
