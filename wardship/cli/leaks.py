"""`wardship secrets`: what stands in code and should not, and its way into a secrets manager."""

from __future__ import annotations

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _, format_number

_STAGES = ("found", "vaulted", "moved", "removed", "purged")


def add_to(root: kit.Group) -> None:
    secrets = kit.group(
        root,
        "secrets",
        help=N_("Show the secrets seen in code, CI and exports, and follow each into a secrets manager."),
        examples=("wardship secrets list", "wardship secrets show DB_PASSWORD"),
    )

    @kit.command(
        secrets,
        "list",
        help=N_("List the secrets, those that work and that everybody can read first."),
        examples=("wardship secrets list", "wardship secrets list --stage found --output csv --out secrets.csv"),
        rows=True,
    )
    @kit.option(
        "--stage", type=click.Choice(_STAGES), help=N_("Only this stage of the way from the code to the vault.")
    )
    @kit.option(
        "--confidence",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help=N_("Only what is a secret with at least this probability."),
    )
    @kit.option("--all", "every", is_flag=True, help=N_("Also those whose migration is finished."))
    def list_secrets(run: Run, stage: str | None, confidence: float, every: bool) -> None:
        from wardship.services import leaks, listings
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            kit.emit(
                run,
                Listing(
                    name="secrets",
                    columns=leaks.COLUMNS,
                    rows=leaks.listed(facts, stage=stage, every=every, least_confidence=confidence),
                    about=listings.about(facts, app.actor, app.clock()),
                ),
                empty=_("No secret was seen outside a secrets manager, in what was read."),
            )
            counts = leaks.progress(facts)
            files, repositories = leaks.not_searched(facts)
        from wardship.sdk.words import word

        run.note(", ".join(f"{word('stage', name)}: {format_number(n)}" for name, n in counts.items()))
        if files:
            run.note(
                _("Not searched, above the size limit (setting max_blob_mb): %(files)s files of %(n)s repositories")
                % {"files": format_number(files), "n": format_number(repositories)}
            )

    @kit.command(
        secrets,
        "show",
        help=N_("Show one secret: where it stands, what it opens, and how far its clean-up is."),
        examples=("wardship secrets show DB_PASSWORD", "wardship secrets show MAIL_API_KEY --output json"),
        rows=True,
    )
    @kit.argument("what", help=N_("Id of a secret or an exposure, a public key id, or a name."))
    def show(run: Run, what: str) -> None:
        from wardship.services import explain, leaks
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            story = leaks.story(facts, what)
        if run.format != "table":
            kit.emit(run, Listing(name="secret", columns=explain.COLUMNS, rows=story.rows()))
            return
        from wardship.cli import render

        run.say(render.story(story))

    @kit.command(
        secrets,
        "link",
        help=N_("Say that an entry of a secrets manager replaces this secret."),
        examples=("wardship secrets link DB_PASSWORD PROD_DB_URL --reason 'rotated on release 4.2'",),
    )
    @kit.argument("what", help=N_("Id of a secret or an exposure, a public key id, or a name."))
    @kit.argument("entry", help=N_("The entry that replaces it: its id, native id or name."))
    @kit.option("--reason", required=True, metavar=N_("TEXT"), help=N_("Why; it is kept in the audit log."))
    def link(run: Run, what: str, entry: str, reason: str) -> None:
        from wardship.services import leaks

        with work.opened(run) as app:
            with app.facts() as facts:
                one = leaks.link(app.db, facts, app.actor, what, credential=entry, reason=reason)
            work.judge_again(run, app)
        run.say(_("%(uid)s is replaced by %(entry)s") % {"uid": one["uid"], "entry": entry})

    @kit.command(
        secrets,
        "unlink",
        help=N_("Take back what `secrets link` said."),
        examples=("wardship secrets unlink DB_PASSWORD",),
    )
    @kit.argument("what", help=N_("Id of a secret or an exposure, a public key id, or a name."))
    def unlink(run: Run, what: str) -> None:
        from wardship.services import leaks

        with work.opened(run) as app:
            with app.facts() as facts:
                one = leaks.unlink(app.db, facts, app.actor, what)
            work.judge_again(run, app)
        run.say(_("nothing replaces %(uid)s any more") % {"uid": one["uid"]})

    @kit.command(
        secrets,
        "check",
        help=N_(
            "Ask the system that a secret belongs to, by one harmless logged call, whether it still works. "
            "That system and the place where the secret stands must be connected (`wardship connect add`)."
        ),
        examples=("wardship secrets check ID --dry-run", "wardship secrets check ID --yes"),
    )
    @kit.argument("what", help=N_("Id of a secret or an exposure, a public key id, or a name."))
    @kit.option("--dry-run", is_flag=True, help=N_("Only say which call would be made to which system."))
    @kit.option("--yes", is_flag=True, help=N_("Do not ask again."))
    def check(run: Run, what: str, dry_run: bool, yes: bool) -> int:
        from wardship.services import connect, leaks

        with work.opened(run) as app:
            connections = [app.connection(stored) for stored in connect.stored(app.db)]
            with app.facts() as facts:
                asking = leaks.plan_check(facts, what, connections, app.plugins)
            run.say(
                _("One call, %(call)s, to %(connection)s, with the value from %(place)s. The system will log it.")
                % {"call": asking.call, "connection": ", ".join(asking.connections), "place": asking.place}
            )
            if dry_run:
                return kit.DONE
            if not yes:
                click.confirm(_("Make the call?"), abort=True)
            answer = leaks.check(app.db, app.actor, asking, connections, app.plugins)
            work.judge_again(run, app)
        if answer.active is None:
            run.say(_("Nothing can be said: %(reason)s") % {"reason": answer.reason})
            return kit.INCOMPLETE
        run.say(_("It still works: rotate it now.") if answer.active else _("It does not work any more."))
        return kit.FINDINGS if answer.active else kit.DONE
