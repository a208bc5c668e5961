"""What a mapping may say about one value: where it stands, and how its words become ours. Nothing here can run code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from wardship.model.errors import DataError
from wardship.sdk.connector import Drift
from wardship.sdk.fields import clean
from wardship.sdk.log_mapping.instants import Form, instant
from wardship.sdk.log_mapping.lines import LinePattern
from wardship.sdk.log_mapping.paths import FieldPath
from wardship.sdk.redact import without_queries

MAX_TEXT = 4_096
"""Characters of one value that are kept."""


@dataclass(frozen=True, slots=True)
class Words:
    """A table of texts, without case: exact ones, then `4*`, `*read` and `*get*` in their order, `*` for all others."""

    exact: Mapping[str, str | bool]
    alike: tuple[tuple[str, str | bool], ...] = ()

    def get(self, text: str) -> str | bool | None:
        """What `text` means; None: the table does not say."""
        low = text.casefold()
        if low in self.exact:
            return self.exact[low]
        return next((meaning for pattern, meaning in self.alike if _alike(low, pattern)), None)

    def meanings(self) -> tuple[str | bool, ...]:
        """Every meaning that it gives."""
        return (*self.exact.values(), *(meaning for _pattern, meaning in self.alike))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One of `paths`, `constant` and `templates` gives a text; the rest says what becomes of it."""

    name: str  # of the field that it is for, in drift
    paths: tuple[FieldPath, ...] = ()
    constant: str | bool | None = None
    templates: tuple[tuple[str | FieldPath, ...], ...] = ()
    parts: tuple[LinePattern, ...] = ()
    words: Words | None = None
    lower: bool = False
    empty: frozenset[str] = frozenset()
    forms: tuple[Form, ...] = ()
    zone: tzinfo | None = None  # of times that name none; None: as the importer says, else UTC
    arrival: bool = False  # a time that is not there is when the log was written

    def every_path(self) -> Iterator[FieldPath]:
        """Every path that is read."""
        yield from self.paths
        yield from (part for one in self.templates for part in one if isinstance(part, FieldPath))

    def text(self, record: Mapping[str, Any], drift: Drift) -> str | None:
        """The value as a text; None: the record does not say."""
        value = self._value(record, drift)
        return value if isinstance(value, str) else None if value is None else str(value).lower()

    def flag(self, record: Mapping[str, Any], drift: Drift) -> bool | None:
        """The value as true or false; another word is unknown and counted as drift."""
        value = self._value(record, drift)
        if value is None or isinstance(value, bool):
            return value
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        drift.unknown_value(self.name, value)
        return None

    def time(self, record: Mapping[str, Any], as_of: datetime | None, zone: tzinfo | None) -> datetime | None:
        """The first of the paths that holds a time. Raises DataError where one holds something else.

        `as_of`, `zone`: when the log was written, and where, as the importer says; None: not told.
        """
        for text in self._texts(record):
            try:
                return instant(text, self.forms, self.zone or zone or UTC, as_of)
            except ValueError as error:
                raise DataError(f"{self.name}: {error}") from None
        return as_of if self.arrival else None

    def _value(self, record: Mapping[str, Any], drift: Drift) -> str | bool | None:
        if not self.paths and not self.templates:
            return self.constant
        found = next(self._texts(record), None)
        if found is None:
            return None
        if self.words is not None:
            meaning = self.words.get(found)
            if meaning is None:
                drift.unknown_value(self.name, found)
            return meaning
        return found.lower() if self.lower else found

    def _texts(self, record: Mapping[str, Any]) -> Iterator[str]:
        """What the paths hold, and the templates filled in that have no empty field."""
        for path in self.paths:
            if (text := self._at(path, record)) is not None:
                yield text
        for template in self.templates:
            pieces = [part if isinstance(part, str) else self._at(part, record) for part in template]
            if None not in pieces:
                yield "".join(piece for piece in pieces if piece)

    def _at(self, path: FieldPath, record: Mapping[str, Any]) -> str | None:
        text = plain_text(path.get(record))
        if text is None or text.casefold() in self.empty:
            return None
        if self.parts:
            found = next((read for one in self.parts if (read := one.read(text)) is not None), None)
            text = found["value"] if found and found.get("value") else None
        return text[:MAX_TEXT] if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Of which records something is said: by the first of `paths` that has a value.

    `words` None: asks whether it is `empty`.
    """

    paths: tuple[FieldPath, ...]
    words: Words | None = None
    negated: bool = False
    empty: bool = False

    def holds(self, record: Mapping[str, Any]) -> bool:
        """An absent field is in no list."""
        found = (path.get(record) for path in self.paths)
        value = next((one for one in found if one not in (None, "", [], {})), None)
        if self.words is None:
            return (value is None) is self.empty
        text = plain_text(value)
        return (text is not None and self.words.get(text) is not None) is not self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What is said about one kind of event, by the column of Activity; and the few values for `detail`."""

    columns: Mapping[str, Expression] = field(default_factory=dict)
    detail: Mapping[str, Expression] = field(default_factory=dict)
    when: tuple[Condition, ...] = ()

    def over(self, common: Fields) -> Fields:
        """These, and what only `common` says."""
        return Fields(
            columns={**common.columns, **self.columns}, detail={**common.detail, **self.detail}, when=self.when
        )


def _alike(text: str, pattern: str) -> bool:
    core = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*"):
        return core in text
    return text.endswith(core) if pattern.startswith("*") else text.startswith(core)


def plain_text(value: Any) -> str | None:
    """A scalar as text, addresses in it without their queries; None of nothing, of "" and of an object. Of a list its
    first scalar."""
    if isinstance(value, list):
        value = next((one for one in value[:100] if isinstance(one, str | int | float)), None)
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, str):
        return without_queries(clean(value)).strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else None
    return None
