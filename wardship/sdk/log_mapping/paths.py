"""Where a value stands in a record: `actor.email`, `items[0].id`, `extra[name=target].value`, `["a.b"].c`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_SEGMENT = re.compile(r"""([^.\[\]"]+)|\["([^"]+)"\]|\[([0-9]{1,4})\]|\[([^\[\]="]+)=([^\[\]"]*)\]""")
MAX_SEGMENTS = 12
_MAX_LIST = 1_000
"""Elements of a list that are looked at."""


@dataclass(frozen=True, slots=True)
class Step:
    """A key, an index of a list, or (where, value): the elements of a list whose `where` is `value`."""

    key: str | None = None
    index: int | None = None
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path as it was written, and its steps."""

    text: str
    steps: tuple[Step, ...]

    @property
    def last_key(self) -> str:
        """The name of what it leads to."""
        return next((step.key for step in reversed(self.steps) if step.key), self.text)

    def get(self, record: Any) -> Any:
        """The value; None where there is none. A list on the way is searched for the first element that has one."""
        return _follow(record, self.steps)


def field_path(text: str) -> FieldPath | None:
    """The path that `text` describes, or None."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        if steps and text[at] == ".":
            at += 1
        elif steps and text[at] != "[":
            return None
        found = _SEGMENT.match(text, at)
        if not found:
            return None
        plain, quoted, index, where, value = found.groups()
        key = plain or quoted
        steps.append(
            Step(key=key) if key else Step(index=int(index)) if index is not None else Step(where=(where, value))
        )
        at = found.end()
    return FieldPath(text, tuple(steps)) if 0 < len(steps) <= MAX_SEGMENTS else None


def _follow(value: Any, steps: tuple[Step, ...]) -> Any:
    for number, step in enumerate(steps):
        if step.index is not None:
            value = value[step.index] if isinstance(value, list) and step.index < len(value) else None
        elif step.where is not None:
            value = _chosen(value, *step.where)
        elif isinstance(value, list):
            rest = steps[number:]
            return next(
                (
                    found
                    for one in value[:_MAX_LIST]
                    if isinstance(one, dict) and (found := _follow(one, rest)) is not None
                ),
                None,
            )
        else:
            value = value.get(step.key) if isinstance(value, dict) else None
        if value is None:
            return None
    return value


def _chosen(value: Any, key: str, wanted: str) -> Any:
    if not isinstance(value, list):
        return None
    return next((one for one in value[:_MAX_LIST] if isinstance(one, dict) and _says(one.get(key), wanted)), None)


def _says(value: Any, wanted: str) -> bool:
    return value == wanted or (isinstance(value, int) and abs(value) < 10**18 and str(value) == wanted)
