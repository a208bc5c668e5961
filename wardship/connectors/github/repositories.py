"""The repositories of an organisation, and the walk over them: one repository's answers, or its refusal, at a time."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardship.connectors.github.place import REPOSITORY
from wardship.model.errors import MissingScope, SkippableError
from wardship.model.scan import Problem, RawPage
from wardship.sdk.http import Http
from wardship.sdk.i18n import _

BATCH = 25  # repositories of one page: what a broken scan reads again at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What the walk needs of a repository."""

    full_name: str  # as GitHub spells it: "Acme/Shop"
    private: bool

    @property
    def name(self) -> str:
        """The name in lower case: the order of the walk, and the name in our ids."""
        return self.full_name.lower()

    @property
    def path(self) -> str:
        return f"/repos/{self.full_name}"


Part = tuple[list[Any], list[Problem]]


class Selection:
    """Which repositories the settings name: comma-separated patterns on the name with or without the organisation."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._only = _patterns(settings.get("repositories"))
        self._not = _patterns(settings.get("exclude_repositories"))

    def __call__(self, repository: Repository) -> bool:
        names = (repository.name, repository.name.partition("/")[2])

        def fits(patterns: Sequence[str]) -> bool:
            return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)

        return not fits(self._not) and (not self._only or fits(self._only))


def repository_of(raw: Any) -> Repository | None:
    """The repository of a listed object; None where its name is no name (the parser quarantines it)."""
    name = raw.get("full_name") if isinstance(raw, dict) else None
    if not isinstance(name, str) or not REPOSITORY.fullmatch(name):
        return None
    return Repository(full_name=name, private=raw.get("private") is not False)


def walk(
    http: Http, repositories: Sequence[Repository], after: str | None, read: Callable[[Repository], Part]
) -> Iterator[RawPage]:
    """`read` of each repository behind the name `after`, a page for every BATCH of them; the token is a name.

    Raises the first refusal when every repository of the first page refuses for want of a permission.
    """
    rest = [repository for repository in repositories if after is None or repository.name > after]
    if not rest:
        yield RawPage(items=())
        return

    def attempt(repository: Repository) -> Part | SkippableError:
        try:
            return read(repository)
        except SkippableError as refused:
            return refused

    for start in range(0, len(rest), BATCH):
        batch = rest[start : start + BATCH]
        results = list(http.map(attempt, batch))
        if start == 0 and all(isinstance(result, MissingScope) for result in results):
            raise next(result for result in results if isinstance(result, MissingScope))
        items: list[Any] = []
        problems: list[Problem] = []
        for repository, result in zip(batch, results, strict=True):
            if isinstance(result, SkippableError):
                problems.append(Problem.of(result, repository.name))
            else:
                items += result[0]
                problems += result[1]
        last = start + BATCH >= len(rest)
        yield RawPage(items=items, next_token=None if last else batch[-1].name, problems=problems)


def left_out(count: int) -> Problem:
    return Problem(
        reason="excluded",
        detail=_("the settings leave %(count)d repositories out") % {"count": count},
    )


def selected_only(organisation: str) -> Problem:
    return Problem(
        reason="not_visible",
        detail=_("the App is installed on selected repositories: others of %(organisation)s are not seen")
        % {"organisation": organisation},
        permission="metadata:read",
    )


def _patterns(text: str | None) -> list[str]:
    return [part.strip().lower() for part in (text or "").split(",") if part.strip()]
