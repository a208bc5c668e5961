"""`wardship mapping`: say what the columns of a file mean, and try it before anything is kept."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from wardship.cli import kit
from wardship.cli.kit import Run
from wardship.model.errors import ConfigError
from wardship.sdk.display import visible
from wardship.sdk.i18n import N_, _, format_instant, format_number
from wardship.sdk.words import word

_ALWAYS_ASKED = ("owners.claim", "usage.last_used_at")  # what matters most, also where no column is called so


def add_to(root: kit.Group) -> None:
    mapping = kit.group(
        root,
        "mapping",
        help=N_("Say what the columns of a file mean: propose a mapping, try it, list ready-made ones."),
        examples=(
            "wardship mapping new accounts.csv --out accounts.yaml",
            "wardship mapping check accounts.yaml accounts.csv",
            "wardship import file accounts.csv mapping=accounts.yaml",
        ),
    )

    @kit.command(
        mapping,
        "new",
        help=N_(
            "Look at a file and propose a mapping for it. On a terminal it asks; what may be a secret is not shown."
        ),
        examples=("wardship mapping new accounts.csv", "wardship mapping new keys.json --out keys.yaml --yes"),
    )
    @kit.argument("file", type=click.Path(path_type=Path), help=N_("The file to look at."))
    @kit.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar=N_("FILE"),
        help=N_("Write the mapping to this file; else it is printed."),
    )
    @kit.option("--yes", is_flag=True, help=N_("Take every proposal, ask nothing."))
    def new(run: Run, file: Path, out: Path | None, *, yes: bool) -> None:
        from wardship.services import mapping as service
        from wardship.services.formats import Listing

        if out is not None and out.exists():
            raise ConfigError(_("%(path)s is there already") % {"path": out}, advice=_("name another file with --out"))
        draft = service.look(file)
        answers = replace(draft.proposed, name=_slug(out.stem)) if out is not None else draft.proposed
        if not yes and sys.stdin.isatty() and sys.stdout.isatty():
            from wardship.cli import render

            seen = Listing(name="columns", columns=service.SEEN_COLUMNS, rows=service.seen_rows(draft))
            run.say(render.table(seen, width=render.screen_width())[0])
            answers = _ask(draft, answers)
        text = draft.text(answers)
        if out is None:
            run.say(text.rstrip("\n"))
            return
        out.write_text(text, encoding="utf-8")
        run.note(_("Mapping written to %(path)s") % {"path": out})
        run.note(_("Next: %(advice)s") % {"advice": f"wardship mapping check {out} {file}"})

    @kit.command(
        mapping,
        "check",
        help=N_("Read a file by a mapping and show the records that it would make. Nothing is kept."),
        examples=("wardship mapping check accounts.yaml accounts.csv --rows 5",),
    )
    @kit.argument("mapping_name", metavar="MAPPING", help=N_("The mapping file, or the name of a shipped one."))
    @kit.argument("file", type=click.Path(path_type=Path), help=N_("The file to read."))
    @kit.option(
        "--rows",
        type=click.IntRange(0, 1000),
        default=20,
        show_default=True,
        help=N_("How many records and how many unreadable rows to show."),
    )
    def check(run: Run, mapping_name: str, file: Path, rows: int) -> int:
        from wardship.app import wall_clock
        from wardship.services import mapping as service

        result = service.dry_run(mapping_name, file, wall_clock, show=rows)
        _tell(run, result, rows)
        return kit.INCOMPLETE if result.wrong else kit.DONE

    @kit.command(
        mapping,
        "list",
        help=N_("List the ready-made mappings."),
        examples=("wardship mapping list",),
        rows=True,
    )
    def list_(run: Run) -> None:
        from wardship.services import mapping as service
        from wardship.services.formats import Listing

        kit.emit(run, Listing(name="mappings", columns=service.COLUMNS, rows=service.shipped()))


def _tell(run: Run, result: Any, rows: int) -> None:
    from wardship.cli import render
    from wardship.services import mapping as service
    from wardship.services.formats import Listing

    if result.shown:
        shown = Listing(name="records", columns=service.RECORD_COLUMNS, rows=result.shown)
        run.say(render.table(shown, width=render.screen_width())[0])
        run.say()
    run.say(
        _("%(rows)s rows read, %(wrong)s of them unreadable")
        % {"rows": format_number(result.rows), "wrong": format_number(result.wrong)}
    )
    for family, count in sorted(result.made.items()):
        run.say(f"  {word('family', family)}: {format_number(count)}")
    for reason in result.reasons[:rows]:
        run.say(_("  would be quarantined: %(reason)s") % {"reason": visible(reason, 200)})
    for (place, what), times in sorted(result.drift.items())[:20]:
        run.say(
            _("  not known: %(what)s in %(place)s, %(times)s times")
            % {"what": visible(what, 60), "place": visible(place, 80), "times": format_number(times)}
        )
    if result.unmapped:
        names = ", ".join(visible(name, 60) for name in result.unmapped[:40])
        run.say(_("Not mapped, and so never kept: %(names)s") % {"names": names})
    if result.as_of is not None:
        run.say(_("Written: %(when)s") % {"when": format_instant(result.as_of)})
    run.say(
        _("Declared as the whole population: what it leaves out will count as missing.")
        if result.complete
        else _("Not declared as the whole population: what it leaves out stays as it was.")
    )


def _ask(draft: Any, answers: Any) -> Any:
    """One question after the other, each with its proposal; a hyphen takes a field out."""
    from wardship.model.identity import IdentityKind

    kinds = [kind.value for kind in IdentityKind]
    authority = click.prompt(_("Who issued these ids (kind:name)"), default=answers.authority)
    name = click.prompt(_("Name of the system"), default=answers.system_name)
    environment = click.prompt(_("Environment (production, test, ...; - if not known)"), default="-")
    kind = click.prompt(
        _("What the identities are"), default=answers.kind, type=click.Choice(kinds), show_choices=False
    )
    whole = click.confirm(_("Does the file always hold everything that the system has?"), default=False)
    columns: dict[str, str] = {}
    for where in dict.fromkeys((*answers.columns, *_ALWAYS_ASKED)):
        chosen = _column(draft, where, answers.columns.get(where, "-"))
        if chosen is not None:
            columns[where] = chosen
    return replace(
        answers,
        authority=authority,
        system_name=name,
        environment=None if environment.strip() in ("-", "") else environment.strip(),
        kind=kind,
        complete=whole,
        columns=columns,
    )


def _column(draft: Any, where: str, proposed: str) -> str | None:
    from wardship.services import mapping as service

    while True:
        said = click.prompt(_("Column for %(field)s") % {"field": where}, default=proposed)
        if said.strip() == "-" and where != "identities.id":
            return None
        try:
            return service.check_answer(draft, said)
        except ConfigError as wrong:
            click.echo(wrong.message)
            click.echo(wrong.advice)


def _slug(stem: str) -> str:
    from wardship.services import mapping as service

    return service.name_of(stem)
