"""What every command is made of: translated help, the options they share, and how rows reach the user.

Help texts are English message ids and are translated when they are shown, so one process can speak both
languages. Nothing heavy is imported here: `wardship --help` costs what click costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import LANGUAGES, N_, _, use_language

if TYPE_CHECKING:
    from wardship.services.formats import Listing

FORMATS = ("table", "json", "jsonl", "csv", "parquet", "xlsx")
DONE, FINDINGS, USAGE, INCOMPLETE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 130
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Run:
    """What the shared options of this invocation said."""

    workspace: Path | None = None  # None: the default of the settings
    quiet: bool = False
    output: str | None = None  # None: a table, or what the name of `out` says
    out: Path | None = None
    code: int = DONE  # what the command will end with, once that is known: a reader who leaves does not change it

    def say(self, text: str = "") -> None:
        """A result for the reader, on standard output."""
        click.echo(text)

    def note(self, text: str) -> None:
        """A remark that is no result: on standard error, silent with --quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """What went wrong while the command goes on: on standard error, with --quiet too."""
        click.echo(text, err=True)

    @property
    def format(self) -> str:
        """The chosen output format. Raises ConfigError when `--out` has an unknown suffix."""
        if self.output:
            return self.output
        if self.out is None:
            return "table"
        suffix = self.out.suffix.lstrip(".").lower()
        if suffix in FORMATS[1:]:
            return suffix
        raise ConfigError(
            _("%(name)s does not say which format to write") % {"name": self.out.name},
            advice=_("add --output json, jsonl, csv, parquet or xlsx"),
        )


class _Translated:
    """An attribute that holds an English message id and reads as its translation."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}_id"

    def __get__(self, instance: Any, owner: type | None = None) -> str | None:
        message = getattr(instance, self._slot, None)
        return _(message) if message else message

    def __set__(self, instance: Any, message: str | None) -> None:
        setattr(instance, self._slot, message)


class Option(click.Option):
    help = _Translated()  # click declares a plain attribute: ours translates at each reading
    metavar = _Translated()


class Argument(click.Argument):
    """An argument with a line of help of its own, which click leaves to prose."""

    def __init__(self, *args: Any, help: str, **kwargs: Any) -> None:  # noqa: A002 - click's word
        super().__init__(*args, **kwargs)
        self.about = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.make_metavar(ctx), _(self.about)


class _Described:
    """The help page of commands and groups: translated, with examples."""

    examples: Sequence[str] = ()

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - click's signature
        """The first sentence, whole: it is short because we keep it so."""
        text: str = self.help or ""  # type: ignore[attr-defined]  # mixed into click.Command, which has it
        return text.split(". ", 1)[0].rstrip(".")

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section(_("Examples")):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Command(_Described, click.Command):
    help = _Translated()

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        arguments = [param.get_help_record(ctx) for param in self.get_params(ctx) if isinstance(param, Argument)]
        if arguments:
            with formatter.section(_("Arguments")):
                formatter.write_dl(arguments)
        options = [
            record
            for param in self.get_params(ctx)
            if not isinstance(param, Argument) and (record := param.get_help_record(ctx)) is not None
        ]
        if options:
            with formatter.section(_("Options")):
                formatter.write_dl(options)


class Group(_Described, click.Group):
    help = _Translated()

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        with formatter.section(_("Commands")):
            formatter.write_dl(rows)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order of the work, as they were added; not by the alphabet."""
        return list(self.commands)


# ------------------------------------------------------------------ shared options


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that puts the value on the Run: an inner option overrides an outer one, absence does not."""

    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        run = ctx.ensure_object(Run)
        if value is not None and value is not False:
            setattr(run, name, value)
        return value

    return callback


def _speak(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value:
        use_language(value)
    return value


def common_options() -> list[click.Parameter]:
    """--workspace, --language and --quiet: every command and group has them."""
    return [
        Option(
            ["--workspace", "-w"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar=N_("FOLDER"),
            callback=_keep("workspace"),
            expose_value=False,
            help=N_("Workspace folder (default: WARDSHIP_WORKSPACE, else the one in or above this folder)."),
        ),
        Option(
            ["--language"],
            type=click.Choice(LANGUAGES),
            callback=_speak,
            is_eager=True,
            expose_value=False,
            help=N_("Language of what is shown (default: WARDSHIP_LANGUAGE, else the system's)."),
        ),
        Option(
            ["--quiet", "-q"],
            is_flag=True,
            callback=_keep("quiet"),
            expose_value=False,
            help=N_("No remarks and no progress; results and errors only."),
        ),
    ]


def list_options() -> list[click.Parameter]:
    """--output and --out: every command whose result is a list has them."""
    return [
        Option(
            ["--output", "-o"],
            type=click.Choice(FORMATS),
            callback=_keep("output"),
            expose_value=False,
            help=N_("Format of the rows (default: table, or what the suffix of --out says)."),
        ),
        Option(
            ["--out"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar=N_("FILE"),
            callback=_keep("out"),
            expose_value=False,
            help=N_("Write the rows to this file."),
        ),
    ]


def option(*names: str, help: str, **kwargs: Any) -> Callable[[F], F]:  # noqa: A002 - click's word
    """Declares one option of a command; `help` is an English message id."""
    return click.option(*names, cls=Option, help=help, **kwargs)


def argument(name: str, *, help: str, **kwargs: Any) -> Callable[[F], F]:  # noqa: A002 - click's word
    """Declares one argument of a command; `help` is an English message id."""
    return click.argument(name, cls=Argument, help=help, **kwargs)


def command(
    group: click.Group,
    name: str,
    *,
    help: str,  # noqa: A002 - click's word
    examples: Sequence[str],
    rows: bool = False,
) -> Callable[[Callable[..., int | None]], Command]:
    """Makes a function a command of `group`. It takes the Run first and returns an exit code, or None for 0.

    `rows` True: its result is a list, and it has --output and --out.
    """

    def decorate(function: Callable[..., int | None]) -> Command:
        def call(**kwargs: Any) -> int | None:
            return function(click.get_current_context().ensure_object(Run), **kwargs)

        params = list(reversed(getattr(function, "__click_params__", [])))
        made = Command(
            name,
            callback=call,
            params=[*params, *(list_options() if rows else []), *common_options()],
            help=help,
            examples=examples,
        )
        group.add_command(made)
        return made

    return decorate


def group(parent: click.Group, name: str, *, help: str, examples: Sequence[str]) -> Group:  # noqa: A002 - click's word
    """Makes a group of commands below `parent`."""
    made = Group(name, params=common_options(), help=help, examples=examples, no_args_is_help=True)
    parent.add_command(made)
    return made


# ------------------------------------------------------------------ results


def emit(run: Run, listing: Listing, *, empty: str = "") -> int:
    """Shows or writes the rows as --output and --out ask, and returns how many they were.

    `empty` is what a person reads instead of a table without rows.
    """
    from wardship.services import formats

    form = run.format
    if form == "table":
        from wardship.cli import render

        text, count = render.table(listing, width=render.screen_width())
        if run.out is not None:
            run.out.write_text(text + "\n", encoding="utf-8")
        elif count:
            run.say(text)
        elif empty:
            run.say(empty)
        return count
    chosen = formats.Format(form)
    if run.out is None:
        if not chosen.is_text:
            raise ConfigError(
                _("%(format)s is not a text format") % {"format": form}, advice=_("name a file with --out FILE")
            )
        return formats.write_text(listing, chosen, sys.stdout)
    count = formats.write(listing, chosen, run.out)
    run.note(_("%(n)d rows written to %(path)s") % {"n": count, "path": run.out})
    return count
