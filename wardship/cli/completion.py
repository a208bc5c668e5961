"""Puts the completion script where bash, zsh or fish look for it by themselves. No start-up file is edited."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

_PLACES = {
    "bash": ".local/share/bash-completion/completions/wardship",
    "zsh": ".zfunc/_wardship",
    "fish": ".config/fish/completions/wardship.fish",
}


def install(root: click.Command) -> str:
    """Writes the script for the shell in SHELL and returns what to tell the user."""
    shell = Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(shell) if shell in _PLACES else None
    if kind is None:
        raise ConfigError(
            _("completion is made for bash, zsh and fish, not for %(shell)s") % {"shell": shell or "?"},
            advice=_("set SHELL to one of them and try again"),
        )
    target = Path.home() / _PLACES[shell]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(kind(root, {}, "wardship", "_WARDSHIP_COMPLETE").source(), encoding="utf-8")
    told = _("Completion for %(shell)s written to %(path)s. Open a new shell to use it.") % {
        "shell": shell,
        "path": target,
    }
    if shell == "zsh":
        told += "\n" + _("zsh also needs, once, in ~/.zshrc: %(line)s") % {
            "line": "fpath+=~/.zfunc; autoload -Uz compinit && compinit"
        }
    return told
