"""What a CI system means: the range of commits that a job is to check, and ready pipelines that check it.

The variables are those that the vendors document: GitHub Actions (default variables and event payloads, 2026-11),
GitLab CI/CD (predefined variables, 2026-11), Jenkins (git plugin and multibranch pipelines, 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardship import __version__
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.services.guard.git import Repository

_MAX_EVENT_BYTES = 32 * 1024 * 1024

PIPELINES: Mapping[str, str] = {
    "github": ".github/workflows/wardship.yml",
    "gitlab": ".gitlab/wardship.gitlab-ci.yml",
    "jenkins": "Jenkinsfile.wardship",
}
"""The CI systems for which there is a pipeline, and the file it goes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The commits of `head` that `base` has not; base None: all of them."""

    base: str | None
    head: str


def range_of(environment: Mapping[str, str], repository: Repository) -> Range:
    """The range that this job is about. Raises ConfigError outside a CI system that we know."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment, repository)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment, repository)
    if environment.get("JENKINS_URL") or environment.get("BUILD_TAG", "").startswith("jenkins-"):
        return _jenkins(environment, repository)
    raise ConfigError(
        _("no range is given, and no GitHub Actions, GitLab CI or Jenkins variables are set"),
        advice=_("say which commits: `wardship hook run --stage ci --range origin/main..HEAD`"),
    )


def framework_lines(environment: Mapping[str, str]) -> Sequence[str]:
    """The pre-push line that the pre-commit framework gives in variables instead of on standard input."""
    ours, theirs = environment.get("PRE_COMMIT_TO_REF"), environment.get("PRE_COMMIT_FROM_REF")
    if not ours and environment.get("PRE_COMMIT_REMOTE_NAME"):  # the other side has nothing yet: no range is told
        ours = environment.get("PRE_COMMIT_LOCAL_BRANCH")
    return [f"HEAD {ours} HEAD {theirs or '0' * 40}"] if ours else []


def pipeline(system: str) -> str:
    """The text of a ready pipeline for that CI system."""
    from importlib import resources

    text = resources.files("wardship").joinpath("data", "ci", f"{system}.txt").read_text(encoding="utf-8")
    return text.replace("@VERSION@", __version__)


def write_pipeline(system: str, top: Path) -> Path:
    """Writes the pipeline into the repository. Raises ConfigError where another file is in its place."""
    target = top / PIPELINES[system]
    text = pipeline(system)
    if target.is_file() and target.read_text(encoding="utf-8", errors="replace") != text:
        raise ConfigError(
            _("%(path)s is there already and differs") % {"path": target},
            advice=_("compare it with `wardship hook ci %(system)s`, or remove it") % {"system": system},
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def _github(environment: Mapping[str, str], repository: Repository) -> Range:
    event = _event(environment.get("GITHUB_EVENT_PATH", ""))
    head = environment.get("GITHUB_SHA") or "HEAD"
    pull = event.get("pull_request")
    if isinstance(pull, dict):
        return Range(base=_text(pull, "base", "sha"), head=_text(pull, "head", "sha") or head)
    group = event.get("merge_group")
    if isinstance(group, dict):
        return Range(base=_text(group, "base_sha"), head=_text(group, "head_sha") or head)
    return _pushed(repository, _text(event, "before"), _text(event, "repository", "default_branch"), head)


def _gitlab(environment: Mapping[str, str], repository: Repository) -> Range:
    head = environment.get("CI_COMMIT_SHA") or "HEAD"
    base = environment.get("CI_MERGE_REQUEST_DIFF_BASE_SHA")
    if base:
        return Range(base=base, head=head)
    return _pushed(repository, environment.get("CI_COMMIT_BEFORE_SHA"), environment.get("CI_DEFAULT_BRANCH"), head)


def _jenkins(environment: Mapping[str, str], repository: Repository) -> Range:
    head = environment.get("GIT_COMMIT") or "HEAD"
    target = environment.get("CHANGE_TARGET")
    if target:
        return Range(base=f"refs/remotes/origin/{target}", head=head)
    base = environment.get("GIT_PREVIOUS_SUCCESSFUL_COMMIT") or environment.get("GIT_PREVIOUS_COMMIT")
    return _pushed(repository, base, None, head)


def _pushed(repository: Repository, before: str | None, default: str | None, head: str) -> Range:
    """What a push brought: all since `before`.

    A new branch has none, and one that was forced has lost it: then what the default branch has not; of the default
    branch itself, its tip.
    """
    if before and before.strip("0") and (repository.shallow or repository.commit(before)):
        return Range(base=before, head=head)
    for name in ([f"refs/remotes/origin/{default}"] if default else []) + ["refs/remotes/origin/HEAD"]:
        base = repository.commit(name)
        if base and base != repository.commit(head):
            return Range(base=base, head=head)
    return Range(base=repository.commit(f"{head}^"), head=head)


def _event(path: str) -> Mapping[str, Any]:
    file = Path(path)
    if not path or not file.is_file() or file.stat().st_size > _MAX_EVENT_BYTES:
        return {}
    try:
        told = json.loads(file.read_bytes())
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _text(told: Mapping[str, Any], *names: str) -> str | None:
    value: Any = told
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None
