"""`wardship inventory`, `identity`, `changes`, `export` and `coverage`: what there is, and what is known of it."""

from __future__ import annotations

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _

_OWNERS = ("attested", "suggested", "lapsed", "unresolved", "none", "missing")
_NOTHING_YET = N_("Nothing has been scanned yet. Start with `wardship scan`.")
_THINGS = (
    "identities systems credentials grants owners parts exposures secrets dependencies findings coverage"
    " use-verdicts used-permissions log-coverage unmatched-actors"
).split()
_OF_LOGS = ("alerts", "signals", "activity")
_TIERS = ("control_plane", "write", "sensitive_read", "read", "unknown")


def _filter_options(function: kit.F) -> kit.F:
    """The filters of identities, shared by `inventory` and `export`."""
    for decorate in reversed(
        (
            kit.option(
                "--kind", metavar=N_("KIND"), help=N_("Only this kind, for example oauth_app or workload_role.")
            ),
            kit.option(
                "--system",
                metavar=N_("SYSTEM"),
                help=N_("Only this system: its id (aws:123456789012), a part of its name, or aws."),
            ),
            kit.option(
                "--owner",
                type=click.Choice(_OWNERS),
                help=N_("Only this state of ownership; missing = nobody living answers for it."),
            ),
            kit.option("--tier", type=click.Choice(_TIERS), help=N_("Only identities whose highest access is this.")),
            kit.option(
                "--presence",
                type=click.Choice(["present", "unconfirmed", "gone"]),
                help=N_("Only this presence (default: all but the gone)."),
            ),
            kit.option(
                "--standing",
                type=click.Choice(["own", "provider_managed", "foreign", "unknown"]),
                help=N_("Only this standing (default: all but the provider's own)."),
            ),
            kit.option("--text", metavar=N_("TEXT"), help=N_("Only where name, native id or purpose contain this.")),
            kit.option(
                "--all", "every", is_flag=True, help=N_("Also what is gone and what the provider runs for itself.")
            ),
        )
    ):
        function = decorate(function)
    return function


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "inventory",
        help=N_("List the identities, those with most access first."),
        examples=(
            "wardship inventory --owner missing --tier control_plane",
            "wardship inventory --system aws --kind workload_role --limit 200",
            "wardship inventory --text invoice --output csv --out invoice.csv",
        ),
        rows=True,
    )
    @_filter_options
    @kit.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help=N_("How many rows."))
    @kit.option("--after", metavar=N_("PLACE"), help=N_("Go on after this place (the page before prints it)."))
    def list_identities(run: Run, limit: int, after: str | None, **chosen: str | bool | None) -> None:
        from wardship.services import inventory, listings
        from wardship.services.formats import Listing

        wanted = inventory.Filter(**chosen)  # type: ignore[arg-type]  # click has checked the values
        with work.opened(run) as app, app.facts() as facts:
            found = inventory.page(app.db, facts, wanted, limit=limit, after=after)
            about = listings.about(facts, app.actor, app.clock(), wanted.describe())
        kit.emit(
            run,
            Listing(name="identities", columns=inventory.COLUMNS, rows=found.rows, about=about),
            empty=_("No identity matches.") if about["snapshot"] != "-" else _(_NOTHING_YET),
        )
        run.note(_("%(shown)d of %(all)d identities") % {"shown": len(found.rows), "all": found.total})
        if found.after:
            run.note(
                _("The next ones: add --after %(place)s; all of them: `wardship export identities`")
                % {"place": found.after}
            )

    identity = kit.group(
        root,
        "identity",
        help=N_("Show one identity, or correct how its parts were joined."),
        examples=("wardship identity show 'AcmeIntegrator SaaS'",),
    )

    @kit.command(
        identity,
        "show",
        help=N_("Show one identity: access in words, credentials with ages, owners, findings, and what was not read."),
        examples=(
            "wardship identity show 'AcmeIntegrator SaaS'",
            "wardship identity show 'AcmeIntegrator SaaS' --output json",
        ),
        rows=True,
    )
    @kit.argument("name", help=N_("Id, native id, public key id or name."))
    def show(run: Run, name: str) -> None:
        work.tell_story(run, name, identity=True)

    @kit.command(
        identity,
        "split",
        help=N_("Say that two joined parts are not the same thing."),
        examples=("wardship identity split id_aaaa id_bbbb --reason 'two applications share a client id by mistake'",),
    )
    @kit.argument("left", help=N_("Id of one part."))
    @kit.argument("right", help=N_("Id of the other part."))
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=N_("Why; it is kept in the audit log."))
    def split(run: Run, left: str, right: str, reason: str) -> None:
        from wardship.services import inventory

        with work.opened(run) as app:
            inventory.split(app.db, app.actor, left, right, reason)
        run.say(_("Split. The next scan shows them apart."))

    @kit.command(
        identity,
        "rejoin",
        help=N_("Take a split back."),
        examples=("wardship identity rejoin id_aaaa id_bbbb --reason 'split by mistake'",),
    )
    @kit.argument("left", help=N_("Id of one part."))
    @kit.argument("right", help=N_("Id of the other part."))
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=N_("Why; it is kept in the audit log."))
    def rejoin(run: Run, left: str, right: str, reason: str) -> None:
        from wardship.services import inventory

        with work.opened(run) as app:
            inventory.rejoin(app.db, app.actor, left, right, reason)
        run.say(_("Rejoined. The next scan shows them as one."))

    @kit.command(
        root,
        "changes",
        help=N_("List what appeared, changed, went or came back, and findings that opened or closed."),
        examples=("wardship changes --since 7d", "wardship changes --since 2026-11-01 --output jsonl"),
        rows=True,
    )
    @kit.option(
        "--since",
        required=True,
        metavar=N_("WHEN"),
        help=N_("A date (2026-11-01), an instant, or an age: 12h, 7d, 4w."),
    )
    def changes(run: Run, since: str) -> None:
        from wardship.services import listings
        from wardship.services.formats import Listing

        with work.opened(run) as app:
            begin = listings.since_day(since, app.clock())
            kit.emit(
                run,
                Listing(name="changes", columns=listings.CHANGE_COLUMNS, rows=listings.changes(app.db, begin)),
                empty=_("Nothing changed since %(when)s.") % {"when": begin.date().isoformat()},
            )

    @kit.command(
        root,
        "export",
        help=N_("Write all rows of one thing to a file or standard output; the audit log records it."),
        examples=(
            "wardship export identities --out identities.xlsx",
            "wardship export findings --output jsonl > findings.jsonl",
            "wardship export grants --out grants.parquet",
        ),
        rows=True,
    )
    @kit.argument(
        "thing",
        type=click.Choice([*_THINGS, *_OF_LOGS]),
        help=N_("What to export."),
    )
    @_filter_options
    def export(run: Run, thing: str, **chosen: str | bool | None) -> None:
        from wardship.services import alerts, inventory, listings

        wanted = inventory.Filter(**chosen)  # type: ignore[arg-type]  # click has checked the values
        if wanted.describe() and thing != "identities":
            raise ConfigError(
                _("filters are for identities only"), advice=_("export all rows and filter them where you use them")
            )
        if run.format == "table" and run.out is None:
            run.output = "csv"
        with work.opened(run) as app, app.facts() as facts:
            about = listings.about(facts, app.actor, app.clock(), wanted.describe())
            if thing in _OF_LOGS:
                listing = alerts.exported(app.workspace, facts, thing, about=about)
            else:
                listing = listings.listing_of(app.db, facts, thing, chosen=wanted, about=about)
            try:
                rows = kit.emit(run, listing)
            except (BrokenPipeError, KeyboardInterrupt):  # what was written until then was taken all the same
                listings.record_export(app.db, app.actor, listing, form=run.format, rows=None)
                raise
            listings.record_export(app.db, app.actor, listing, form=run.format, rows=rows)

    coverage = kit.group(
        root,
        "coverage",
        help=N_("Show what was read and what was not."),
        examples=(
            "wardship coverage",
            "wardship coverage accept 'aws|aws:123456789012||iam.user' --reason 'clean-up of July'",
        ),
    )
    coverage.no_args_is_help = False
    coverage.invoke_without_command = True
    coverage.params[:0] = [
        kit.Option(["--unread"], is_flag=True, help=N_("Only what was not read completely.")),
        *kit.list_options(),
    ]

    def show_coverage(unread: bool) -> int | None:
        context = click.get_current_context()
        if context.invoked_subcommand:
            return None
        from wardship.services import listings
        from wardship.services.formats import Listing

        run = context.ensure_object(Run)
        with work.opened(run) as app:
            kit.emit(
                run,
                Listing(
                    name="coverage",
                    columns=listings.COVERAGE_COLUMNS,
                    rows=listings.coverage(app.db, unread_only=unread),
                ),
                empty=_("Everything was read completely.") if unread else _(_NOTHING_YET),
            )
            held = [row for row in listings.coverage(app.db, unread_only=True) if row["held"]]
        for row in held:
            run.note(_("%(scope)s waits for a person: %(why)s") % {"scope": row["scope"], "why": row["held"]})
            run.note(_("Next: %(advice)s") % {"advice": f"wardship coverage accept '{row['scope']}' --reason ..."})
        return None

    coverage.callback = show_coverage

    @kit.command(
        coverage,
        "accept",
        help=N_("Confirm that a large drop in an area is real, so that what is missing there may be marked as gone."),
        examples=("wardship coverage accept 'aws|aws:123456789012||iam.user' --reason 'test users removed in July'",),
    )
    @kit.argument("scope", help=N_("The area, as `wardship coverage --output json` names it in `scope`."))
    @kit.option(
        "--reason", required=True, metavar=N_("TEXT"), help=N_("Why the drop is true; it is kept in the audit log.")
    )
    def accept(run: Run, scope: str, reason: str) -> None:
        from wardship.services import scan

        with work.opened(run) as app:
            scan.accept(app.workspace, app.actor, scope, reason)
        run.say(_("Accepted: what is missing there no longer waits."))
