"""`wardship scan` and `wardship import`: read systems, or their own exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _

if TYPE_CHECKING:
    from wardship.sdk.connector import Connection


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "scan",
        help=N_(
            "Read systems, keep what was found, and judge it. Reads only. A stopped scan goes on where it stopped."
        ),
        examples=("wardship scan", "wardship scan aws", "wardship scan prod acme --fail-on high"),
    )
    @kit.argument(
        "names",
        nargs=-1,
        help=N_("Connections, or connectors with the credentials of this machine. None: all connections."),
    )
    @kit.option(
        "--fail-on",
        type=click.Choice(work.SEVERITIES),
        help=N_("Leave with code 1 when an open finding is this severe or worse."),
    )
    def scan(run: Run, names: tuple[str, ...], fail_on: str | None) -> int:
        from wardship.services import connect

        with work.progress(run) as tell:
            if names:
                work.ensure_workspace(run)
            with work.opened(run, progress=tell) as app:
                stored = connect.stored(app.db)
                if not names and not stored:
                    raise ConfigError(
                        _("there is no connection to scan"),
                        advice=_(
                            "add one with `wardship connect add`, or use this machine's credentials: wardship scan aws"
                        ),
                    )
                chosen = (
                    [work.connection(app, name) for name in names] if names else [app.connection(one) for one in stored]
                )
                kept = {one.name for one in stored}
                for one in chosen:
                    if one.name not in kept:
                        _announce(run, one, app.plugins)
                return work.read_all(run, app, _systems(run, chosen), fail_on=fail_on)

    @kit.command(
        root,
        "import",
        help=N_("Read a system from its own export files, offline. What cannot be read is quarantined and counted."),
        examples=(
            "wardship import aws authorization-details.json credential-report.csv",
            "wardship import suppliers suppliers.csv",
            "wardship import file accounts.csv mapping=accounts.yaml",
        ),
    )
    @kit.argument("connector", help=N_("Whose export it is, for example aws or entra."))
    @kit.argument(
        "files",
        nargs=-1,
        required=True,
        type=click.Path(path_type=Path),
        help=N_("The files, as the vendor wrote them; a setting of the connector as NAME=VALUE."),
    )
    @kit.option(
        "--fail-on",
        type=click.Choice(work.SEVERITIES),
        help=N_("Leave with code 1 when an open finding is this severe or worse."),
    )
    @kit.option(
        "--as-of",
        metavar=N_("WHEN"),
        help=N_("When the files were exported: a date (2026-11-01), an instant, or an age: 12h, 7d, 4w."),
    )
    @kit.option("--force", is_flag=True, help=N_("Take the files as true now, although the system was read live."))
    def import_(
        run: Run, connector: str, files: tuple[Path, ...], *, fail_on: str | None, as_of: str | None, force: bool
    ) -> int:
        from wardship.services import listings
        from wardship.services import scan as service

        work.ensure_workspace(run)
        with work.progress(run) as tell, work.opened(run, progress=tell) as app:
            paths, settings = service.files_and_settings(connector, files, app.plugins)
            outcome = service.read_files(
                app.workspace,
                app.ambient(connector, settings),
                paths,
                app.actor,
                app.plugins,
                as_of=listings.since_day(as_of, app.clock()) if as_of else None,
                force=force,
            )
            tell.clear()
            work.tell_outcome(run, outcome)
            asked = work.tell_unasked(run, outcome.unasked)
            return work.conclude(run, app, [outcome], asked=asked, fail_on=fail_on)


def _systems(run: Run, chosen: list[Connection]) -> list[Connection]:
    """Those with something to scan: a connection to a log alone has another command."""
    from wardship.sdk import registry

    logs = {one.name for one in chosen if registry.is_log(one.connector)}
    for name in sorted(logs):
        run.note(
            _("%(name)s is the connection of a log; read it with: %(command)s")
            % {"name": name, "command": f"wardship telemetry sync {name}"}
        )
    return [one for one in chosen if one.name not in logs]


def _announce(run: Run, connection: Connection, plugins: tuple[str, ...]) -> None:
    """Before anything is read with this machine's own credentials: which calls, and as whom."""
    from wardship.sdk import registry
    from wardship.sdk.connector import Capability
    from wardship.services import scan as scan_service

    manifest = registry.manifest(connection.connector, plugins)
    run.note(
        _("%(title)s, with the credentials of this machine. Only these read calls will be made:")
        % {"title": manifest.title}
    )
    for permission in (
        *manifest.permissions.get(Capability.DISCOVER, ()),
        *manifest.permissions.get(Capability.USAGE, ()),
    ):
        run.note(f"  {_(permission.name):<48} {_(permission.why)}")
    run.note(_("Found: %(systems)s") % {"systems": ", ".join(scan_service.systems_of(connection, plugins))})
