"""Puts the hooks into a repository, or into one folder for all repositories of this user; takes them out again.

The hook is a short shell script in the folder where git itself looks (core.hooksPath, worktrees). One that was there
before is kept beside it and runs first: it may still change what is committed. Ours is known by its second line.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wardship import __version__
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.services.guard.git import Repository, git

STAGES = ("pre-commit", "pre-push")
KEPT = ".before-wardship"
_MARK = "# wardship hook "
_GITS_OWN = (  # githooks(5) of git 2.52: a folder for all repositories must pass each on to the repository's own
    "applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg commit-msg "
    "post-commit pre-rebase post-checkout post-merge pre-push pre-receive update proc-receive post-receive post-update "
    "reference-transaction push-to-checkout pre-auto-gc post-rewrite sendemail-validate post-index-change"
).split()

_HEAD = """\
#!/bin/sh
{mark}{version} {name}
# Written by `wardship hook install`; `wardship hook uninstall` takes it out and puts back what was here before.
before="$(dirname -- "$0")/{name}{kept}"
"""
_EVERYWHERE = """\
if [ ! -x "$before" ]; then  # this folder serves all repositories: theirs come first, unless they are ours again
  before="$(git rev-parse --git-common-dir)/hooks/{name}"
  if [ "$before" -ef "$0" ] || grep -qs "^{mark}" "$before"; then before=; fi
fi
"""
_PIPED = """\
given=$(cat; echo .); given=${given%.}  # both the hook before us and we read it
give() { printf '%s' "$given"; }
"""
_CHECK = """\
if [ -x {python} ]; then
  wardship() {{ {python} -P -m wardship "$@"; }}  # -P: no module of the repository is imported
elif ! command -v wardship >/dev/null 2>&1; then
  echo "wardship is not installed any more: nothing was checked for secrets." >&2
  echo "Install it again, or take this hook out: rm '$0'" >&2
  exit {missing}
fi
{feed}wardship hook run --stage {name}{arguments}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done, or would be: in words, with its file."""

    what: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The hooks of one repository. `stages` gives the version of ours by stage; `missing` the others of the usual."""

    folder: Path
    stages: dict[str, str]
    missing: Sequence[str]
    everywhere: bool  # the folder serves all repositories of this user


def hooks_folder(repository: Repository) -> Path:
    """Where git looks for the hooks of a repository: its own folder, or core.hooksPath."""
    told = git("rev-parse", "--git-path", "hooks", at=repository.top or repository.folder, hooks=True)
    return (repository.top or repository.folder) / os.fsdecode(told.rstrip(b"\n"))


def global_folder() -> Path:
    """The folder for all repositories: the one that core.hooksPath of this user names, else ours."""
    return _named_folder() or _own_global_folder()


def install(repository: Repository | None, stages: Sequence[str] = STAGES, *, dry_run: bool = False) -> list[Step]:
    """Installs the hooks; [] when they are all there as they should be. `repository` None: for all repositories.

    post-commit comes with pre-commit: it counts the commits and notices one that went past its check.
    """
    wanted = [*stages, *(["post-commit"] if "pre-commit" in stages else [])]
    folder = global_folder() if repository is None else hooks_folder(repository)
    # A folder that this user had before hides the repositories' own hooks already; ours must not begin to.
    hides = repository is None and folder == _own_global_folder()
    steps = []
    for name in [*wanted, *(name for name in _GITS_OWN if hides and name not in wanted)]:
        steps += _install_one(folder, name, name in wanted, everywhere=hides, dry_run=dry_run)
    if repository is None and _named_folder() is None:
        steps.append(Step(what=_("core.hooksPath of this user is set"), path=folder))
        if not dry_run:
            git("config", "--global", "core.hooksPath", str(folder), hooks=True)
    return steps


def uninstall(repository: Repository | None, *, dry_run: bool = False) -> list[Step]:
    """Takes our hooks out and puts back what was there before."""
    folder = global_folder() if repository is None else hooks_folder(repository)
    steps = []
    for name in _GITS_OWN:
        file, before = folder / name, folder / f"{name}{KEPT}"
        if _version(file) is None:
            continue
        back = before.is_file()
        steps.append(Step(what=_("put back as it was before") if back else _("removed"), path=file))
        if not dry_run:
            if back:
                before.replace(file)
            else:
                file.unlink()
    ours = repository is None and folder == _own_global_folder()
    if ours and _named_folder() is not None:
        steps.append(Step(what=_("core.hooksPath of this user is no longer set"), path=folder))
        if not dry_run:
            git("config", "--global", "--unset", "core.hooksPath", hooks=True)
    return steps


def status(repository: Repository) -> Installed:
    """Which of our hooks a repository has, in the folder where git looks."""
    folder = hooks_folder(repository)
    found = {name: version for name in (*STAGES, "post-commit") if (version := _version(folder / name)) is not None}
    return Installed(
        folder=folder,
        stages=found,
        missing=[name for name in (*STAGES, "post-commit") if name not in found],
        everywhere=_named_folder() == folder,
    )


def _named_folder() -> Path | None:
    """The folder that core.hooksPath of this user names."""
    told = git("config", "--global", "--type=path", "core.hooksPath", missing_ok=True, hooks=True)
    return Path(os.fsdecode(told.rstrip(b"\n"))) if told.strip() else None


def _own_global_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wardship" / "hooks"


def _install_one(folder: Path, name: str, checks: bool, *, everywhere: bool, dry_run: bool) -> list[Step]:
    file, before = folder / name, folder / f"{name}{KEPT}"
    text = _script(name, checks=checks, everywhere=everywhere)
    steps = []
    if _is_other(file):
        if before.exists():
            raise ConfigError(
                _("%(path)s is there, and so is %(before)s: which of the two is yours?")
                % {"path": file, "before": before.name},
                advice=_("remove one of them and install again"),
            )
        steps.append(Step(what=_("kept as %(name)s, and run first") % {"name": before.name}, path=file))
    elif file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text:
        return []
    steps.append(Step(what=_("installed") if checks else _("passes on to the repository's own hook"), path=file))
    if dry_run:
        return steps
    folder.mkdir(parents=True, exist_ok=True)
    if _is_other(file):
        file.rename(before)
    beside = folder / f".{name}.{os.getpid()}"
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o755)
    beside.replace(file)
    return steps


def _is_other(file: Path) -> bool:
    """Whether somebody else's hook is there (a link to one counts, even a broken one)."""
    return (file.is_symlink() or file.exists()) and _version(file) is None


def _version(file: Path) -> str | None:
    """The version of our hook in `file`; None: it is not ours, or not there."""
    if file.is_symlink() or not file.is_file():
        return None
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[:2]
    if len(lines) < 2 or not lines[1].startswith(_MARK):
        return None
    return lines[1].removeprefix(_MARK).split(" ")[0]


def _script(name: str, *, checks: bool, everywhere: bool) -> str:
    """The hook. The one before it runs first, because it may change what is committed; if it refuses, so do we."""
    piped = checks and name == "pre-push"
    feed = "give | " if piped else ""
    parts = [_HEAD.format(mark=_MARK, version=__version__, name=name, kept=KEPT)]
    if everywhere:
        parts.append(_EVERYWHERE.format(name=name, mark=_MARK))
    if piped:
        parts.append(_PIPED)
    parts.append(f'if [ -x "$before" ]; then\n  {feed}"$before" "$@" || exit $?\nfi\n')
    if checks:
        parts.append(
            _CHECK.format(
                python=shlex.quote(sys.executable),
                name=name,
                arguments=' -- "$@"' if piped else "",
                feed=feed,
                missing=0 if name == "post-commit" else 1,  # there is nothing left to stop
            )
        )
    return "".join(parts)
