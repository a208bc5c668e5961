"""`wardship quarantine`: records that could not be read."""

from __future__ import annotations

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    quarantine = kit.group(
        root,
        "quarantine",
        help=N_("Show records that could not be read, and try them again."),
        examples=("wardship quarantine list", "wardship quarantine replay"),
    )

    @kit.command(
        quarantine,
        "list",
        help=N_("List the records that could not be read, with the reason. Values are redacted."),
        examples=("wardship quarantine list", "wardship quarantine list --output jsonl"),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship.services import quarantine as service
        from wardship.services.formats import Listing

        with work.opened(run) as app:
            kit.emit(
                run,
                Listing(name="quarantine", columns=service.COLUMNS, rows=service.rows(app.db)),
                empty=_("Every record of scans and imports could be read; of audit logs: wardship telemetry status"),
            )

    @kit.command(
        quarantine,
        "replay",
        help=N_("Try the quarantined records again, for example after an update."),
        examples=(
            "wardship quarantine replay",
            "wardship quarantine replay prod",
            "wardship quarantine replay --set mapping=a.yaml",
        ),
    )
    @kit.argument("connection", required=False, help=N_("Only what came from this connection (default: all)."))
    @kit.option(
        "--set",
        "settings",
        multiple=True,
        metavar=N_("NAME=VALUE"),
        help=N_("A setting that an import was given, such as its mapping; it is not kept with the import."),
    )
    def replay(run: Run, connection: str | None, settings: tuple[str, ...]) -> int:
        from wardship.services import quarantine as service

        given = dict(word.partition("=")[::2] for word in settings)
        with work.progress(run) as tell, work.opened(run, progress=tell) as app:
            names = [connection] if connection else service.connections(app.db)
            done = [
                service.replay(app.workspace, work.connection(app, name, given), app.actor, app.plugins, name=name)
                for name in names
            ]
        left = sum(one.still_bad for one in done)
        run.say(
            _("%(read)d records could be read now, %(left)d still cannot.")
            % {"read": sum(one.replayed for one in done), "left": left}
        )
        busy = [scope for one in done for scope in one.busy]
        for scope in busy:
            run.warn(_("%(scope)s is being scanned: try again later") % {"scope": scope})
        return kit.INCOMPLETE if left or busy else kit.DONE
