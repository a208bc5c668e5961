"""`wardship audit`: the log of everything that was decided, and the proof that nobody changed it."""

from __future__ import annotations

from pathlib import Path

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    audit = kit.group(
        root,
        "audit",
        help=N_("Read the audit log, verify it, or hand it out with its proof."),
        examples=("wardship audit log", "wardship audit verify"),
    )

    @kit.command(
        audit,
        "log",
        help=N_("List the entries, newest first."),
        examples=("wardship audit log", "wardship audit log --after 100 --output jsonl"),
        rows=True,
    )
    @kit.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help=N_("How many entries."))
    @kit.option(
        "--after", type=int, metavar=N_("NUMBER"), help=N_("From the entry after this number on, oldest first.")
    )
    def log(run: Run, limit: int, after: int | None) -> None:
        from wardship.services import audit as service
        from wardship.services.formats import Column, Listing

        columns = (
            Column(name="seq", label=N_("No."), type="integer"),
            Column(name="at", label=N_("When"), type="instant"),
            Column(name="actor", label=N_("Who")),
            Column(name="action", label=N_("Action")),
            Column(name="subject", label=N_("Subject")),
            Column(name="details", label=N_("Details"), type="json"),
        )
        with work.opened(run) as app:
            entries = service.entries(app.workspace, limit=limit, after=after)
        rows = [{column.name: getattr(entry, column.name) for column in columns} for entry in entries]
        kit.emit(run, Listing(name="audit", columns=columns, rows=rows), empty=_("The log is empty."))

    @kit.command(
        audit,
        "verify",
        help=N_("Recompute the whole log and hold it against its signed checkpoints."),
        examples=("wardship audit verify",),
    )
    def verify(run: Run) -> int:
        from wardship.services import audit as service

        with work.opened(run) as app:
            report = service.verify(app.workspace)
        for problem in report.problems:
            run.say(problem.text)
        if not report.ok:
            run.say(_("NOT GENUINE: %(n)d problems") % {"n": report.count})
            return kit.INCOMPLETE
        run.say(
            _("Genuine: %(n)d entries, %(checkpoints)d signed checkpoints.")
            % {"n": report.entries, "checkpoints": report.checkpoints}
        )
        for remark in report.remarks:
            run.note(remark)
        return kit.DONE

    @kit.command(
        audit,
        "export",
        help=N_("Write the log with keys, checkpoints and a script that verifies it with openssl alone."),
        examples=("wardship audit export audit-2026-11", "wardship audit export evidence --proof 17 --proof 18"),
    )
    @kit.argument("folder", type=click.Path(path_type=Path), help=N_("A new folder."))
    @kit.option(
        "--proof",
        "proofs",
        type=int,
        multiple=True,
        metavar=N_("NUMBER"),
        help=N_("Add the proof of this entry; may be repeated."),
    )
    def export(run: Run, folder: Path, proofs: tuple[int, ...]) -> None:
        from wardship.services import audit as service

        with work.opened(run) as app:
            n = service.export(app.workspace, folder, app.actor, proofs)
        run.say(_("%(n)d entries written to %(path)s") % {"n": n, "path": folder})
