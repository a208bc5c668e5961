"""`wardship connect`: the access that scans use."""

from __future__ import annotations

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _


def _settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE words as a mapping. The message never repeats a value: it may be a secret."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(
                _("a setting must look like NAME=VALUE"), advice=_("for example tenant_id=... or secret=env:NAME")
            )
        settings[name] = value
    return settings


def add_to(root: kit.Group) -> None:
    connect = kit.group(
        root,
        "connect",
        help=N_("Add, check and remove the access that scans use."),
        examples=(
            "wardship connect add aws prod role_arn=arn:aws:iam::123456789012:role/wardship",
            "wardship connect list",
        ),
    )

    @kit.command(
        connect,
        "add",
        help=N_("Keep a connection. Secrets are kept as references, never as values."),
        examples=(
            "wardship connect add aws prod",
            "wardship connect add entra acme tenant_id=... client_id=... client_secret=env:ENTRA_SECRET",
        ),
    )
    @kit.argument("connector", help=N_("Which kind of system, for example aws or entra."))
    @kit.argument("name", help=N_("Your name for this connection."))
    @kit.argument(
        "settings", nargs=-1, help=N_("NAME=VALUE; a secret only as a reference: NAME=env:VARIABLE or NAME=file:/path.")
    )
    def add(run: Run, connector: str, name: str, settings: tuple[str, ...]) -> None:
        from wardship.services import connect as service

        with work.opened(run) as app:
            service.add(app.db, app.actor, name, connector, _settings(settings), plugins=app.plugins)
        run.say(_("Connection %(name)s added.") % {"name": name})
        run.note(_("Next: %(advice)s") % {"advice": f"wardship connect check {name}"})

    @kit.command(
        connect,
        "list",
        help=N_("List the connections and their newest scan."),
        examples=("wardship connect list", "wardship connect list --output json"),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship.services import connect as service
        from wardship.services.formats import Column, Listing

        columns = (
            Column(name="name", label=N_("Connection")),
            Column(name="connector", label=N_("Connector")),
            Column(name="last_scan_at", label=N_("Last scan"), type="instant"),
            Column(name="status", label=N_("State")),
            Column(name="settings", label=N_("Settings"), type="json"),
            Column(name="created_at", label=N_("Created"), type="instant", screen=False),
            Column(name="created_by", label=N_("Created by"), screen=False),
        )
        with work.opened(run) as app:
            rows = [
                {
                    "name": one.name,
                    "connector": one.connector,
                    "last_scan_at": one.last_scan_at,
                    "status": one.last_status,
                    "settings": dict(one.settings),
                    "created_at": one.created_at,
                    "created_by": one.created_by,
                }
                for one in service.stored(app.db)
            ]
        kit.emit(
            run,
            Listing(name="connections", columns=columns, rows=rows),
            empty=_("No connection yet. Add one with `wardship connect add`."),
        )

    @kit.command(
        connect,
        "check",
        help=N_("Say what a connection's credential allows, and what is missing. Reads only."),
        examples=("wardship connect check prod", "wardship connect check aws --output json"),
        rows=True,
    )
    @kit.argument("name", help=N_("A connection, or a connector with the credentials of this machine."))
    def check(run: Run, name: str) -> int:
        from wardship.services import connect as service
        from wardship.services.formats import Column, Listing

        columns = (
            Column(name="permission", label=N_("Permission")),
            Column(name="capability", label=N_("For")),
            Column(name="allowed", label=N_("Allowed"), type="boolean"),
            Column(name="detail", label=N_("Remark")),
        )
        with work.progress(run) as tell, work.opened(run, progress=tell) as app:
            results = service.check(work.connection(app, name), app.plugins)
        rows = [
            {
                "permission": one.permission,
                "capability": one.capability.value,
                "allowed": one.allowed,
                "detail": one.detail
                or (_("could not be tested without changing something") if one.allowed is None else None),
            }
            for one in results
        ]
        kit.emit(run, Listing(name="permissions", columns=columns, rows=rows), empty=_("Nothing to check."))
        missing = [one.permission for one in results if one.allowed is False]
        if missing:
            run.note(_("Missing: %(names)s") % {"names": ", ".join(missing)})
            run.note(_("Next: %(advice)s") % {"advice": f"wardship connect setup {name}"})
        return kit.INCOMPLETE if missing else kit.DONE

    @kit.command(
        connect,
        "setup",
        help=N_("Print how to grant the least privilege, and how to take it away again. Changes nothing."),
        examples=("wardship connect setup aws", "wardship connect setup entra --as terraform > wardship.tf"),
    )
    @kit.argument("name", help=N_("A connection or a connector."))
    @kit.option(
        "--capability",
        type=click.Choice(["discover", "usage", "rotate", "disable", "delete"]),
        default="discover",
        show_default=True,
        help=N_("What the access is for."),
    )
    @kit.option(
        "--as",
        "way",
        type=click.Choice(["all", "terraform", "cli", "portal"]),
        default="all",
        show_default=True,
        help=N_("Which way to show."),
    )
    def setup(run: Run, name: str, capability: str, way: str) -> None:
        guide = work.setup_guide(run, name, capability)
        parts = {
            "terraform": ("Terraform", guide.terraform),
            "cli": (_("Command line"), guide.cli),
            "portal": (_("Portal"), "\n".join(f"{n}. {_(step)}" for n, step in enumerate(guide.portal, 1))),
        }
        if way != "all":
            run.say(parts[way][1])
            return
        for title, text in (*parts.values(), (_("How to remove it again"), guide.remove)):
            run.say(f"{title}\n{'─' * len(title)}\n{text}\n")

    @kit.command(
        connect,
        "remove",
        help=N_("Forget a connection. What it read stays in the inventory with the date of its last reading."),
        examples=("wardship connect remove prod",),
    )
    @kit.argument("name", help=N_("The connection to forget."))
    def remove(run: Run, name: str) -> None:
        from wardship.services import connect as service

        with work.opened(run) as app:
            service.remove(app.db, app.actor, name, cache=app.workspace.cache / name)
        run.say(_("Connection %(name)s removed.") % {"name": name})
