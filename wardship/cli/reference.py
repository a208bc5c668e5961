"""docs/cli.md, made from the commands themselves: `python -m wardship.cli.reference > docs/cli.md`. A test holds it."""

from __future__ import annotations

from collections.abc import Iterator

import click

_HEAD = """# Commands

Made from the program's own help by `python -m wardship.cli.reference`; a test fails when the two differ.

Exit codes: 0 done, 1 findings at or over `--fail-on`, 2 wrong usage or settings, 3 incomplete (something could not be
read), 4 internal, 130 stopped by Ctrl-C. `WARDSHIP_DEBUG=1` shows where an error came from. Results go to standard
output, remarks and progress to standard error.
"""


def commands(group: click.Group, path: str = "wardship") -> Iterator[tuple[str, click.Command]]:
    """Every command below `group` with its whole name, groups first."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def markdown(root: click.Group) -> str:
    """The page, in English."""
    parts = [_HEAD]
    for name, command in commands(root):
        context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
        parts.append(f"## `{name}`\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    from wardship.cli.main import root
    from wardship.sdk.i18n import use_language

    use_language("en")
    click.echo(markdown(root), nl=False)
