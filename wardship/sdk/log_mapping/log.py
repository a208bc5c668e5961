"""A declared log as a telemetry source: records are taken apart, recognised, and said as activities."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.model.errors import DataError
from wardship.sdk.connector import Drift
from wardship.sdk.log_mapping.expressions import Condition, Expression, Fields
from wardship.sdk.log_mapping.lines import LinePattern, cef, leef, line_pattern, pairs, row, words
from wardship.sdk.log_mapping.paths import FieldPath
from wardship.sdk.redact import mask_tokens, redact_text
from wardship.sdk.source import UNNAMED, SourceManifest

MAX_JSON = 4 * 1024 * 1024
_SHORTEST_SECRET = 12
CLASSES = {one.name.lower(): one for one in ActivityClass}
TEXTS = (
    "uid", "actor_id", "actor_name", "session", "on_behalf_of", "credential_id", "service", "operation",
    "resource_type", "resource_id", "resource_name", "account", "region", "src_ip", "user_agent", "outcome_code",
)  # fmt: skip
FLAGS = ("mutating", "interactive")
"""Columns of texts and of truth values; the others (`class`, `actor_kind`, `outcome`, ...) have words of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One way to take a text apart: its named parts join the record, under `under` if that is given.

    It is passed over where none of `paths` holds such a text.
    """

    kind: str  # json | lift (what is inside an object) | line | words | csv | pairs | cef | leef
    paths: tuple[FieldPath, ...]
    under: str | None = None
    patterns: tuple[LinePattern, ...] = ()
    names: tuple[str, ...] = ()
    between: str = ""
    equals: str = "="

    def read(self, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The parts; None: it does not apply."""
        for path in self.paths:
            text = path.get(record)
            if self.kind == "lift":
                if isinstance(text, dict):
                    return text
            elif isinstance(text, str) and text and (found := self._apart(text)):
                return {self.under: found} if self.under else found
        return None

    def _apart(self, text: str) -> Mapping[str, Any] | None:
        if self.kind == "json":
            return _json_object(text)
        if self.kind == "line":
            return next((found for one in self.patterns if (found := one.read(text)) is not None), None)
        ways: Mapping[str, Callable[[], Mapping[str, Any] | None]] = {
            "words": lambda: words(text, self.names),
            "csv": lambda: row(text, self.names, self.between),
            "pairs": lambda: pairs(text, self.between, self.equals),
            "cef": lambda: cef(text),
            "leef": lambda: leef(text),
        }
        return ways[self.kind]()


@dataclass(frozen=True, slots=True)
class MappedLog:
    """A source made of a mapping file (`wardship.sdk.source.Source`).

    `as_of`: when the log was written, for times without a year and records without a time; None: not told.
    `zone`: of times that name none, where the mapping does not say it; None: UTC.
    """

    MANIFEST: SourceManifest
    openings: tuple[Opening, ...]
    match: tuple[Condition, ...]
    skip: tuple[tuple[Condition, ...], ...]
    common: Fields
    events: tuple[Fields, ...]
    authority: Expression
    as_of: datetime | None = None
    zone: tzinfo | None = None

    def told(self, *, as_of: datetime | None, zone: tzinfo | None = None) -> MappedLog:
        """The same for a log that was written at `as_of` by clocks of `zone`: what only the importer knows."""
        return replace(self, as_of=as_of, zone=zone)

    def claims(self, record: dict[str, Any]) -> bool:
        """Whether `match` holds."""
        return _all(self.match, self._opened(record))

    def parse(self, record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
        """One activity; none where `skip` holds; of a page of the vendor's API those of its records.

        Raises DataError: not a record of this log, or without a time.
        """
        opened = self._opened(record)
        if not _all(self.match, opened):
            return self._of_page(opened, drift)
        return self._of_one(opened, drift)

    def _of_page(self, record: Mapping[str, Any], drift: Drift) -> list[Activity]:
        """What the records of a page say; a page within a page is none."""
        page = next((found for key in self.MANIFEST.records if isinstance(found := record.get(key), list)), None)
        if page is None:
            raise DataError(f"not a record of {self.MANIFEST.name}")
        each = [self._opened(one) for one in page if isinstance(one, dict)]
        if not all(_all(self.match, one) for one in each):
            raise DataError(f"a page with records that are none of {self.MANIFEST.name}")
        return [activity for one in each for activity in self._of_one(one, drift)]

    def _of_one(self, opened: Mapping[str, Any], drift: Drift) -> tuple[Activity, ...]:
        if any(_all(one, opened) for one in self.skip):
            return ()
        fields = next((one for one in self.events if _all(one.when, opened)), self.common)
        return (self._activity(fields, opened, drift),)

    def _opened(self, record: dict[str, Any]) -> Mapping[str, Any]:
        opened: dict[str, Any] = record
        for opening in self.openings:
            found = opening.read(opened)
            if found:
                opened = {**opened, **found}
        return opened

    def _activity(self, fields: Fields, record: Mapping[str, Any], drift: Drift) -> Activity:
        said = fields.columns
        time = said["time"].time(record, self.as_of, self.zone)
        if time is None:
            raise DataError("no time")
        texts: dict[str, Any] = {name: said[name].text(record, drift) for name in TEXTS if name in said}
        flags: dict[str, Any] = {name: said[name].flag(record, drift) for name in FLAGS if name in said}
        words_of_ours = {
            name: said[name].text(record, drift)
            for name in ("class", "actor_kind", "outcome", "credential_type", "actor_authority")
            if name in said
        }
        if words_of_ours.get("class") == "http_activity" and texts.get("resource_id"):
            texts["resource_id"] = mask_tokens(texts["resource_id"])  # a webhook's path is its key
        actor = texts.pop("actor_id", None)
        authority = words_of_ours.get("actor_authority") or self.authority.text(record, drift) or self._unnamed
        detail = {name: _without_secrets(one.text(record, drift)) for name, one in fields.detail.items()}
        return Activity(
            time=time,
            service=texts.pop("service", None) or self.MANIFEST.name,
            operation=texts.pop("operation", None) or "",
            class_uid=CLASSES.get(words_of_ours.get("class") or "", ActivityClass.API_ACTIVITY),
            actor_authority=authority if actor else None,
            actor_id=actor,
            actor_kind=ActorKind(words_of_ours.get("actor_kind") or ActorKind.UNKNOWN),
            outcome=Outcome(words_of_ours.get("outcome") or Outcome.UNKNOWN),
            credential_type=words_of_ours.get("credential_type"),
            detail=small(detail),
            **texts,
            **flags,
        )

    @property
    def _unnamed(self) -> str:
        """The authority of a record that does not name its own: the kind alone, for the import to complete."""
        told = self.authority.templates[0][0] if self.authority.templates else self.MANIFEST.name
        return str(told).partition(":")[0] + UNNAMED


def _without_secrets(text: str | None) -> str | None:
    """A value for `detail`, which may be free text: its secrets masked. Shorter ones cannot be told from words."""
    return redact_text(text) if text is not None and len(text) >= _SHORTEST_SECRET else text


def line_patterns(texts: Sequence[str]) -> tuple[LinePattern, ...] | None:
    """The patterns, or None when one is none."""
    found = tuple(line_pattern(text) for text in texts)
    return None if None in found else tuple(one for one in found if one)


def _all(conditions: Sequence[Condition], record: Mapping[str, Any]) -> bool:
    return all(one.holds(record) for one in conditions)


def _json_object(text: str) -> dict[str, Any] | None:
    """The first object of the text, after a syslog header or before a comma, if there is one."""
    start = text.find("{")
    if start < 0 or len(text) > MAX_JSON:
        return None
    try:
        value, _end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_DECODER = json.JSONDecoder()
