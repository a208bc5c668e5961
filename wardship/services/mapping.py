"""Mappings of files: proposing one, trying one without keeping anything, and listing those that are shipped."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from wardship.model.access import UseState
from wardship.model.errors import ConfigError, ConnectorError, DataError
from wardship.model.identity import System
from wardship.model.secret import Secret
from wardship.sdk import registry
from wardship.sdk.connector import Connection
from wardship.sdk.i18n import N_, _
from wardship.sdk.redact import redact_text
from wardship.sdk.words import word
from wardship.services.formats import Column, Row

CONNECTOR = "file"
MAX_REASONS = 1_000

COLUMNS = (
    Column(name="name", label=N_("Mapping")),
    Column(name="title", label=N_("Title")),
    Column(name="format", label=N_("Format")),
    Column(name="makes", label=N_("Makes")),
    Column(name="columns", label=N_("Columns"), screen=False),
)
SEEN_COLUMNS = (
    Column(name="column", label=N_("Column")),
    Column(name="type", label=N_("Type")),
    Column(name="filled", label=N_("Filled"), type="integer"),
    Column(name="samples", label=N_("Samples")),
    Column(name="proposed", label=N_("Proposed as")),
)
RECORD_COLUMNS = (
    Column(name="family", label=N_("Record")),
    Column(name="id", label=N_("Id")),
    Column(name="fields", label=N_("Fields")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What an import would do. `rows` were read; `wrong` of them would be quarantined, the first with `reasons`."""

    rows: int
    wrong: int
    reasons: Sequence[str]
    made: Mapping[str, int]  # records by family
    shown: Sequence[Row]  # the first records, columns RECORD_COLUMNS
    unmapped: Sequence[str]
    drift: Mapping[tuple[str, str], int]
    complete: bool
    as_of: datetime | None


def shipped() -> Iterator[Row]:
    """The ready-made mappings, columns COLUMNS."""
    for one in _file().shipped_mappings():
        yield {
            "name": one.name,
            "title": one.title,
            "format": one.source.format.value,
            "makes": ", ".join(dict.fromkeys(entry.section for entry in one.entries)),
            "columns": ", ".join(sorted(one.columns | one.secret_columns)),
        }


def look(path: Path) -> Any:
    """The draft of a mapping for a file (`wardship.connectors.file.guide.Draft`). Raises ConfigError."""
    try:
        return _file().look(path)
    except ConnectorError as refused:
        raise ConfigError(refused.message, advice=refused.advice) from None


def seen_rows(draft: Any) -> Iterator[Row]:
    """The columns of a draft, columns SEEN_COLUMNS; samples hold no secret."""
    fields: dict[str, str] = {column: where for where, column in draft.proposed.columns.items()}
    for column in draft.columns:
        yield {
            "column": column.name,
            "type": column.type,
            "filled": column.filled,
            "samples": " · ".join(column.samples),
            "proposed": fields.get(column.name),
        }


def dry_run(mapping: str, path: Path, clock: Callable[[], datetime], *, show: int) -> DryRun:
    """Reads the whole file as an import would and keeps nothing. Raises ConfigError."""
    connection = Connection(
        name=CONNECTOR,
        connector=CONNECTOR,
        settings={"mapping": mapping},
        clock=clock,
        fingerprint=_no_key,
    )
    module = _file()
    reader = module.import_files([path], connection)
    made: Counter[str] = Counter()
    shown: list[Row] = []
    reasons: list[str] = []
    rows = wrong = 0
    try:
        for scope in reader.scopes():
            for item in itertools.chain.from_iterable(page.items for page in reader.fetch(scope, None)):
                try:
                    records = [one for one in reader.parse(scope, item) if not isinstance(one, System)]
                except DataError as refused:
                    rows += 1
                    wrong += 1
                    if len(reasons) < MAX_REASONS:
                        reasons.append(str(redact_text(refused.message)))
                    continue
                rows += bool(records)
                made.update(_family(one) for one in records)
                shown += [_shown(one) for one in records[: max(show - len(shown), 0)]]
    except ConnectorError as refused:
        raise ConfigError(refused.message, advice=refused.advice) from None
    loaded = module.load_mapping(mapping)
    return DryRun(
        rows=rows,
        wrong=wrong,
        reasons=reasons,
        made=dict(made),
        shown=shown,
        unmapped=reader.unmapped(),
        drift=dict(reader.drift.counts),
        complete=loaded.complete,
        as_of=reader.as_of,
    )


def _file() -> Any:
    return registry.connector_module(CONNECTOR)


def _no_key(_value: Secret) -> str:
    """Nothing is kept, so no key is asked for."""
    return "fingerprint"


def _family(record: Any) -> str:
    return type(record).__name__.lower()


def _shown(record: Any) -> Row:
    """A record for a reader: its family, its id, and what else it says. Fields are called as a mapping calls them."""
    told: dict[str, Any] = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    told.pop("authority", None)
    named = [told.pop(name) for name in ("native_id", "identity", "subject", "consumer") if name in told][:1]
    default = {one.name: one.default for one in dataclasses.fields(record) if one.default is not dataclasses.MISSING}
    fields = {name: value for name, value in told.items() if value not in (None, (), {}) and value != default.get(name)}
    return {
        "family": _family(record),
        "id": _plain("id", named[0]) if named else None,
        "fields": ", ".join(f"{name}={_plain(name, value)}" for name, value in fields.items()),
    }


def _plain(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return word("use_state" if isinstance(value, UseState) else name, str(value.value))
    if isinstance(value, tuple):
        return " ".join(_plain(name, one) for one in value)
    return str(value)


def check_answer(draft: Any, column: str) -> str:
    """The draft's column that a person means. Raises ConfigError."""
    names: list[str] = [one.name for one in draft.columns]
    found = next((name for name in names if name.casefold() == column.strip().casefold()), None)
    if found is None:
        raise ConfigError(
            _("there is no column %(name)s") % {"name": repr(column[:80])},
            advice=_("columns: %(names)s") % {"names": ", ".join(names[:40])},
        )
    return found


def name_of(stem: str) -> str:
    """A name for a mapping out of the name of its file."""
    return (re.sub(r"[^a-z0-9._-]+", "-", stem.casefold()).strip("-._") or "mapping")[:63]
