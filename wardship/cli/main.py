"""The command line: where a user's words come in, and where every error leaves as one plain sentence.

Exit codes: 0 done, 1 findings at or over --fail-on, 2 wrong usage or settings,
3 incomplete (something could not be read), 4 internal; 130 stopped by Ctrl-C.
A reader of the output who leaves early (`| head`) changes nothing: 0, or what was known by then.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Sequence

import click

from wardship import __version__
from wardship.cli import kit
from wardship.model.errors import Conflict, ConnectorError, DataError, Error
from wardship.sdk.display import visible_lines
from wardship.sdk.i18n import LANGUAGES, N_, _, speak_everywhere, use_language

_OBJECTS_BEFORE_A_COLLECTION = 20_000
"""Modules, commands and rows make many objects that stay: looking among them for garbage after every 700 new ones, as
Python does by itself, costs a tenth of a command."""


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"wardship {__version__}")
        ctx.exit()


def _install_completion(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from wardship.cli import completion

        click.echo(completion.install(root))
        ctx.exit()


root = kit.Group(
    "wardship",
    params=[
        *kit.common_options(),
        kit.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help=N_("Show the version and leave."),
        ),
        kit.Option(
            ["--install-completion"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_install_completion,
            help=N_("Let your shell complete the commands, and leave."),
        ),
    ],
    help=N_(
        "Governs non-human identities through their life: finds them, says who answers for them, and why one is a risk."
    ),
    examples=("wardship demo", "wardship scan aws", "wardship explain 'AcmeIntegrator SaaS'"),
    no_args_is_help=True,
)

from wardship.cli import (  # noqa: E402 - they add themselves to `root`
    alerts,
    audit,
    connect,
    doctor,
    finding,
    hook,
    hunt,
    inventory,
    leaks,
    mapping,
    quarantine,
    rules,
    scan,
    sigma,
    start,
    telemetry,
    usage,
    worker,
)

for _part in (
    start,
    connect,
    scan,
    mapping,
    inventory,
    telemetry,
    usage,
    alerts,
    hunt,
    finding,
    leaks,
    hook,
    rules,
    sigma,
    quarantine,
    doctor,
    audit,
    worker,
):
    _part.add_to(root)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    gc.set_threshold(_OBJECTS_BEFORE_A_COLLECTION, 10, 10)
    words = list(sys.argv[1:] if argv is None else argv)
    run = kit.Run()
    _choose_language(words)
    if os.environ.get("_WARDSHIP_COMPLETE"):  # a shell that completes a line
        root.main(words, prog_name="wardship")
    try:
        _run(words, run)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left (`| head`): nothing is wrong, and nothing more can be said. Python writes
        # out what is left when it ends, and would complain.
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (sys.stdout, sys.stderr):
                os.dup2(nowhere, stream.fileno())
    return run.code


def _run(words: list[str], run: kit.Run) -> None:
    """Runs one command; `run.code` is known before anything is said about it.

    Not by `root.main`: click would answer a reader who has left with exit code 1.
    """
    try:
        with root.make_context("wardship", words, obj=run) as context:
            result = root.invoke(context)
        run.code = result if isinstance(result, int) else kit.DONE
    except click.exceptions.Exit as left:
        run.code = left.exit_code
    except click.ClickException as error:
        run.code = kit.USAGE
        _refuse(error)
    except (KeyboardInterrupt, click.Abort):
        run.code = kit.INTERRUPTED
        _stopped()
    except BrokenPipeError:
        raise
    except Error as error:
        run.code = kit.INCOMPLETE if isinstance(error, (ConnectorError, DataError, Conflict)) else kit.USAGE
        _explain(error)
    except OSError as error:
        run.code = kit.INTERNAL if error.filename is None else kit.USAGE
        (_internal if error.filename is None else _no_file)(error)
    except RuntimeError as error:
        # What Ctrl-C makes of a query that DuckDB is at: no KeyboardInterrupt, and no class of its own.
        stopped = str(error) == "Query interrupted"
        run.code = kit.INTERRUPTED if stopped else kit.INTERNAL
        _stopped() if stopped else _internal(error)
    except Exception as error:  # noqa: BLE001 - the last line: a user gets a sentence, never a traceback
        run.code = kit.INTERNAL
        _internal(error)


def _choose_language(words: Sequence[str]) -> None:
    """Before anything is parsed, so that usage errors and help speak it too."""
    use_language(None)
    for place, text in enumerate(words):
        name, _sign, value = text.partition("=")
        if name == "--language":
            chosen = value or (words[place + 1] if place + 1 < len(words) else "")
            if chosen in LANGUAGES:
                use_language(chosen)
    speak_everywhere()


def _say(text: str) -> None:
    click.echo(visible_lines(text), err=True)


def _refuse(error: click.ClickException) -> None:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "wardship"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return
    _say(_("Error: %(what)s") % {"what": error.format_message()})
    _say(_("Next: %(advice)s") % {"advice": f"{command} --help"})


def _explain(error: Error) -> None:
    if os.environ.get("WARDSHIP_DEBUG") == "1":
        traceback.print_exc()
    _say(_("Error: %(what)s") % {"what": error.message})
    if error.advice:
        _say(_("Next: %(advice)s") % {"advice": error.advice})


def _stopped() -> None:
    _say("")
    _say(_("Stopped. What was read and published is saved; nothing is half written."))
    _say(_("Next: %(advice)s") % {"advice": _("run the same command again: it goes on where it stopped")})


def _no_file(error: OSError) -> None:
    """The system refused a file or folder, and says which and why."""
    if os.environ.get("WARDSHIP_DEBUG") == "1":
        traceback.print_exc()
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
    _say(_("Error: %(what)s") % {"what": f"{path}: {error.strerror}"})
    _say(_("Next: %(advice)s") % {"advice": _("look whether the path is right, whether you may use it, and for room")})


def _internal(error: BaseException) -> None:
    """An error that we did not foresee: its class and place, no message (it may quote data), no locals."""
    if os.environ.get("WARDSHIP_DEBUG") == "1":
        traceback.print_exc()
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "wardship" in frame.filename] or list(frames)
    place = f"{ours[-1].filename.rpartition('wardship/')[2]}:{ours[-1].lineno}" if ours else "?"
    _say(
        _("Error: something unforeseen happened (%(kind)s in %(place)s)")
        % {"kind": type(error).__name__, "place": place}
    )
    _say(
        _("Next: %(advice)s")
        % {
            "advice": _(
                "set WARDSHIP_DEBUG=1 and try again to see where, and report it with `wardship doctor --report`"
            )
        }
    )
