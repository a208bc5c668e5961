"""YAML, record by record from its events: no tags, no anchors, bounded depth and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wardship.connectors.file.formats.row import (
    MAX_DEPTH,
    Row,
    SourceOptions,
    is_broken,
    open_text,
    require_file,
    unreadable,
)
from wardship.sdk.i18n import _

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 64 * 1024 * 1024  # the parser itself holds the longest scalar of a file
_MAX_NODES = 20_000  # of one record
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class _Record:
    nodes: int = 0
    problem: str | None = None


def rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """The records of the list at `options.records` of each document; a mapping there is one record."""
    require_file(path, max_bytes=_MAX_BYTES)
    with open_text(path, options.encoding) as stream:
        events = yaml.parse(stream, Loader=_Loader)
        number = 0
        found = False
        try:
            for event in events:
                if not isinstance(event, yaml.DocumentStartEvent):
                    continue
                start = _enter(events, next(events), options.records)
                if start is None:
                    continue
                found = True
                for event_of_record in _starts(events, start):
                    number += 1
                    yield _row(events, event_of_record, f"record {number}")
        except (yaml.YAMLError, ValueError, UnicodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark else f"record {number + 1}"
            yield Row(where=where, problem="not readable as YAML: the rest cannot be read")
            return
    if options.records and not found:
        raise unreadable(
            path,
            _("there is no key %(key)r") % {"key": ".".join(options.records)},
            _("check `records` in the mapping: the keys that lead to the list of records"),
        )


def _starts(events: Any, start: Any) -> Iterator[Any]:
    """The first event of each record; the record is consumed before the next is asked for."""
    if not isinstance(start, yaml.SequenceStartEvent):
        yield start
        return
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            return
        yield event


def _enter(events: Any, event: Any, keys: tuple[str, ...]) -> Any:
    """The first event of the value that `keys` lead to; None: there is none."""
    for key in keys:
        if not isinstance(event, yaml.MappingStartEvent):
            return None
        for name in events:
            if isinstance(name, yaml.MappingEndEvent):
                return None
            if not isinstance(name, yaml.ScalarEvent):
                return None
            event = next(events)
            if name.value == key:
                break
            _build(events, event, 0, _Record(nodes=_MAX_NODES))
    return event


def _row(events: Any, event: Any, where: str) -> Row:
    record = _Record()
    line = event.start_mark.line + 1 if event.start_mark else None
    value = _build(events, event, 0, record)
    where = f"line {line}" if line else where
    if record.problem is None and not isinstance(value, dict):
        record.problem = "not a mapping"
    if record.problem is not None:
        return Row(where=where, problem=record.problem)
    return Row(where=where, cells=value)


def _build(events: Any, event: Any, depth: int, record: _Record) -> Any:
    """The value that begins with `event`, all of its events consumed. Scalars stay text, null is None."""
    record.nodes += 1
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        record.problem = "anchors and aliases are not read"
    elif getattr(event, "tag", None):
        record.problem = "tags are not read"
    elif record.nodes > _MAX_NODES:
        record.problem = f"over {_MAX_NODES} values in one record"
    if isinstance(event, yaml.ScalarEvent):
        if is_broken(event.value):
            record.problem = "bytes that do not fit the encoding of the file"
        return None if event.implicit[0] and event.value in _NULL else event.value
    if not isinstance(event, yaml.CollectionStartEvent):
        return None
    if depth >= MAX_DEPTH:
        record.problem = f"nested deeper than {MAX_DEPTH}"
        return _pass_over(events)
    if isinstance(event, yaml.SequenceStartEvent):
        values: list[Any] = []
        for inner in events:
            if isinstance(inner, yaml.SequenceEndEvent):
                return values
            value = _build(events, inner, depth + 1, record)
            if record.problem is None:
                values.append(value)
    cells: dict[str, Any] = {}
    for name in events:
        if isinstance(name, yaml.MappingEndEvent):
            return cells
        key = _build(events, name, depth + 1, record)
        value = _build(events, next(events), depth + 1, record)
        if record.problem is None:
            cells[str(key)] = value
    return cells


def _pass_over(events: Any) -> None:
    """Consumes the rest of a collection, however deep it is."""
    depth = 1
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            if depth == 0:
                return
