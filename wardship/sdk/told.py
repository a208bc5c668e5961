"""A telemetry source together with what only the importer of a file knows.

Some logs do not say whose they are ("postgresql:?", see `source.UNNAMED`), of what year ("Oct 11 09:10:48"), or by the
clock of which place. `told` gives a source that has this filled in; parsing is otherwise the source's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from wardship.model.activity import Activity
from wardship.sdk.connector import Drift
from wardship.sdk.log_mapping import MappedLog
from wardship.sdk.source import Source, SourceManifest, named


def told(
    source: Source, *, authority: str | None = None, as_of: datetime | None = None, zone: tzinfo | None = None
) -> Source:
    """`source` where `authority` stands for an authority that the log cannot tell.

    `as_of`: when the log was written; `zone`: of times that name none. Both are for declared logs only: the others
    write times that need neither. None: not told. A source with a PROJECTION knows all of it, and stays as it is.
    """
    if isinstance(source, MappedLog):
        source = source.told(as_of=as_of, zone=zone)
    if authority is None or hasattr(source, "PROJECTION"):
        return source
    return _Named(source.MANIFEST, source, authority)


@dataclass(frozen=True, slots=True)
class _Named:
    """A source whose actors belong to `authority` where the log does not say whose they are."""

    MANIFEST: SourceManifest
    source: Source
    authority: str

    def claims(self, record: dict[str, Any]) -> bool:
        return self.source.claims(record)

    def parse(self, record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
        for activity in self.source.parse(record, drift):
            whose = named(activity.actor_authority, self.authority)
            yield activity if whose == activity.actor_authority else replace(activity, actor_authority=whose)
