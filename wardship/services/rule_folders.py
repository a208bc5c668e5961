"""Where a workspace keeps its own rules, and at which commit of their repository they stand.

The commit is read from git's files: no program runs because somebody judges findings. It says which commit the folder
was at; what was judged, to the letter, is said by the digest of each rule.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

if TYPE_CHECKING:  # every command opens a workspace; the rules and their SQL are read by few
    from wardship.sdk.rule import Rule
    from wardship.store.workspace import Workspace

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"refs/[^\s\x00-\x1f]{1,1000}")
_MAX_CHARS = 8_192
_MAX_PACKED_BYTES = 64 * 1024 * 1024


def rule_folders(ws: Workspace) -> list[Path]:
    """The folders of the setting `rules`. Raises ConfigError for one that is named and not there."""
    found = []
    for named in ws.settings.rules:
        folder = ws.path / named.expanduser()
        if folder.is_dir():
            found.append(folder)
        elif named != Path("rules"):  # the default one is there from the first own rule on
            raise ConfigError(
                _("no folder %(folder)s") % {"folder": folder}, advice=_("correct `rules` in workspace.yaml")
            )
    return found


def rule_of(ws: Workspace, rule_id: str) -> Rule | None:
    """The rule of that id, of which alone the file is read; None: it is not here. Raises ConfigError for a bad file."""
    from wardship.sdk.rule import BUILT_IN, load_rule

    for folder in (BUILT_IN, *rule_folders(ws)):
        path = folder / f"{rule_id}.yaml"
        if path.is_file():
            return load_rule(path)
    return None


def commit_of_rule(rule: Rule) -> str | None:
    """The commit of the repository that an own rule lies in; None for ours, and outside of a repository."""
    from wardship.sdk.rule import BUILT_IN

    if rule.file is None or rule.file.parent == BUILT_IN:
        return None
    return commit_of(rule.file.parent)


def commit_of(folder: Path) -> str | None:
    """The commit that HEAD of the repository around `folder` stands at; None: no repository, or it does not say."""
    try:
        git = _git_folder(folder.resolve())
        if git is None:
            return None
        head = _text(git / "HEAD").strip()
        if not head.startswith("ref: "):
            return head if _COMMIT.fullmatch(head) else None
        branch = head.removeprefix("ref: ").strip()
        if not _BRANCH.fullmatch(branch) or ".." in branch:
            return None
        common = git / _text(git / "commondir").strip() if (git / "commondir").is_file() else git
        if (common / branch).is_file():
            commit = _text(common / branch).strip()
            return commit if _COMMIT.fullmatch(commit) else None
        return _packed(common / "packed-refs", branch)
    except (OSError, UnicodeDecodeError):
        return None


def _git_folder(folder: Path) -> Path | None:
    for around in (folder, *folder.parents):
        mark = around / ".git"
        if mark.is_dir():
            return mark
        if mark.is_file():  # a worktree or a submodule
            text = _text(mark).strip()
            return around / text.removeprefix("gitdir: ") if text.startswith("gitdir: ") else None
    return None


def _packed(path: Path, branch: str) -> str | None:
    if not path.is_file() or path.stat().st_size > _MAX_PACKED_BYTES:
        return None
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            commit, _space, name = line.strip().partition(" ")
            if name == branch and _COMMIT.fullmatch(commit):
                return commit
    return None


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_MAX_CHARS)
