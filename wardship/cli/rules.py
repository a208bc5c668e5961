"""`wardship rules`: what is judged, and your own rules."""

from __future__ import annotations

from pathlib import Path

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _

_DIALECTS = ("duckdb", "postgresql", "spark", "clickhouse", "trino", "snowflake", "bigquery")
_SUBJECTS = ("identity", "credential", "grant", "system", "exposure", "secret")
_ENGINES = ("duckdb", "postgresql", "spark")


class _Sql(click.Choice[str]):
    """Names of engines and of their SQL. PostgreSQL's short name is taken too, and not shown."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("postgresql" if value == "postgres" else value, param, ctx)


def add_to(root: kit.Group) -> None:
    rules = kit.group(
        root,
        "rules",
        help=N_("List and explain the rules; write and test your own."),
        examples=("wardship rules list", "wardship rules new key_in_wrong_account", "wardship rules test"),
    )

    @kit.command(
        rules,
        "list",
        help=N_("List the rules that findings come from."),
        examples=("wardship rules list", "wardship rules list --output json"),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship.services import rules as service
        from wardship.services.formats import Listing

        kit.emit(run, Listing(name="rules", columns=service.COLUMNS, rows=service.rows(work.catalogue(run))))

    @kit.command(
        rules,
        "show",
        help=N_("Show one rule: why it matters, what it looks at, what it cannot see, what to do."),
        examples=("wardship rules show ownerless_identity",),
    )
    @kit.argument("rule", help=N_("The rule's id."))
    def show(run: Run, rule: str) -> None:
        from wardship.services import rules as service

        run.say(service.page(work.catalogue(run), rule))

    @kit.command(
        rules,
        "explain",
        help=N_("Explain what a rule asks: its facts, thresholds, SQL and examples, and what it finds now."),
        examples=(
            "wardship rules explain secret_live_in_code",
            "wardship rules explain owner_left --dialect snowflake",
        ),
    )
    @kit.option(
        "--dialect",
        type=_Sql(_DIALECTS),
        default="duckdb",
        help=N_("Show the question in this dialect of SQL."),
    )
    @kit.argument("rule", help=N_("The rule's id."))
    def explain(run: Run, rule: str, dialect: str) -> None:
        from wardship import app as wiring
        from wardship.services import evaluate, listings
        from wardship.services import rules as service

        if not wiring.has_workspace(run.workspace):
            run.say(service.explanation(work.catalogue(run), rule, dialect=dialect))
            return
        with work.opened(run) as app, app.facts() as facts:
            run.say(
                service.explanation(
                    evaluate.workspace_rules(app.workspace),
                    rule,
                    dialect=dialect,
                    policy=evaluate.workspace_policy(app.workspace),
                    found=list(listings.findings(app.db, facts, rule=rule)),
                )
            )

    @kit.command(
        rules,
        "new",
        help=N_("Begin a rule of your own: a commented file that your editor completes."),
        examples=(
            "wardship rules new key_in_wrong_account --subject credential",
            "wardship rules new app_without_ticket --folder ~/our-rules/rules",
        ),
    )
    @kit.option(
        "--subject",
        type=click.Choice(_SUBJECTS),
        default="identity",
        help=N_("What the rule is about: one finding for each."),
    )
    @kit.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        help=N_("Where to write it; without this, into the rules folder of the workspace."),
    )
    @kit.argument("rule", help=N_("The new rule's id."))
    def new(run: Run, rule: str, subject: str, folder: Path | None) -> None:
        from wardship.services import rules as service

        file = service.new(folder or _first_folder(run), rule, subject)
        run.say(_("Written: %(file)s") % {"file": file})
        run.say(_("Next: write its query and its examples, then `wardship rules test %(file)s`") % {"file": file})

    @kit.command(
        rules,
        "test",
        help=N_("Check rules: their form, their query, and that their examples fire and pass."),
        examples=(
            "wardship rules test",
            "wardship rules test my-rules",
            "wardship rules test --engine postgresql --url env:TEST_DB",
        ),
    )
    @kit.option(
        "--engine",
        type=_Sql(_ENGINES),
        default="duckdb",
        help=N_("The engine that runs the examples."),
    )
    @kit.option(
        "--url",
        metavar=N_("REFERENCE"),
        help=N_("The server of that engine: env:NAME, file:/path, or a URL without a password."),
    )
    @kit.argument(
        "places",
        type=click.Path(path_type=Path),
        nargs=-1,
        help=N_("Rule files, or folders with them; without any, the rule folders of the workspace."),
    )
    def test(run: Run, places: tuple[Path, ...], engine: str, url: str | None) -> int:
        from wardship.services import rules as service

        problems = 0
        open_engine = service.engine(engine, _resolved(url))
        for result in service.test(places or _folders(run), open_engine):
            run.say(f"{result.rule}  {_('ok') if not result.problems else _('FAILED')}")
            for problem in result.problems:
                run.say(f"  {problem}")
            problems += len(result.problems)
        return kit.USAGE if problems else kit.DONE


def _folders(run: Run) -> list[Path]:
    """The rule folders of the workspace. Raises ConfigError where there is none."""
    from wardship.model.errors import ConfigError
    from wardship.services.rule_folders import rule_folders

    with work.opened(run) as app:
        folders = rule_folders(app.workspace)
    if not folders:
        raise ConfigError(
            _("this workspace has no rules of its own"), advice=_("begin one with `wardship rules new ID`")
        )
    return folders


def _first_folder(run: Run) -> Path:
    """The folder in which a new rule belongs: the first of the setting `rules`, also where it is not made yet."""
    with work.opened(run) as app:
        ws = app.workspace
        named = ws.settings.rules[0] if ws.settings.rules else Path("rules")
        return ws.path / named.expanduser()


def _resolved(url: str | None) -> str | None:
    """The URL itself. Raises ConfigError for one with a password in it: a command line is no place for it."""
    from urllib.parse import urlsplit

    from wardship.config import is_reference, resolve_secret
    from wardship.model.errors import ConfigError

    if url is None:
        return None
    if is_reference(url):
        return resolve_secret(url).reveal()
    if urlsplit(url).password:
        raise ConfigError(
            _("the URL holds a password"), advice=_("put the whole URL into the environment and give env:NAME")
        )
    return url
