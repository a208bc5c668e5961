"""`wardship rules`: what is judged, and your own rules."""

from __future__ import annotations

from pathlib import Path

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    rules = kit.group(
        root,
        "rules",
        help=N_("List the rules, show one, or test your own."),
        examples=("wardship rules list", "wardship rules test my-rules"),
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
        "test",
        help=N_("Check the rules of a folder: their form, their query, and that their examples fire and pass."),
        examples=("wardship rules test my-rules",),
    )
    @kit.argument(
        "folder", type=click.Path(path_type=Path, file_okay=False), help=N_("The folder with the rule files.")
    )
    def test(run: Run, folder: Path) -> int:
        from wardship.services import rules as service

        problems = 0
        for result in service.test(folder):
            run.say(f"{result.rule}  {_('ok') if not result.problems else _('FAILED')}")
            for problem in result.problems:
                run.say(f"  {problem}")
            problems += len(result.problems)
        return kit.USAGE if problems else kit.DONE
