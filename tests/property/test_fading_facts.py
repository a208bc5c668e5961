"""A source that forgets erases nothing, and makes no version: under every order of remembering and forgetting.

Forty grants are read eight times. Each time the source tells of each of them all of one event, a part of it, nothing,
or of another event; or the identity is not there. What must stand is worked out here, without SQL.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.ingest.conftest import assert_current_is_newest_version
from tests.ingest.provider import Provider, SimConnector, thing
from wardship.ingest.scan import ScanPolicy, run_scan
from wardship.model.access import Grant, Usage, UseState
from wardship.model.scan import Scope
from wardship.sdk.connector import Record
from wardship.store import tables
from wardship.store.db import Database

SCANS, THINGS = 8, 40
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
Event = tuple[str | None, str | None, datetime | None]
NOTHING: Event = (None, None, None)
NO_GUARD = ScanPolicy(drop_guard_percent=100, point_reads=THINGS * 2)


class Forgetful(SimConnector):
    """Tells of each grant and of each identity's use what the raw object says."""

    def parse(self, scope: Scope, item: Any) -> Iterator[Record]:
        yield from super().parse(scope, item)
        key = (scope.authority, item["id"])
        by, by_id, at = item["event"]
        yield Grant(
            authority=key[0], identity=key, permission="read", granted_by=by, granted_by_id=by_id, granted_at=at
        )
        yield Usage(subject=("identity", *key), source="log", state=item["state"], last_used_at=item["used_at"])


def _event(rng: random.Random) -> Event:
    number = rng.randrange(2)
    whole = (f"person {number}", f"p{number}", MONDAY + timedelta(days=number))
    return rng.choice([whole, whole, NOTHING, NOTHING, (whole[0], None, None), (None, None, whole[2])])


def _after(known: Event, told: Event) -> Event:
    another = any(old is not None and new is not None and old != new for old, new in zip(known, told, strict=True))
    return told if another else (told[0] or known[0], told[1] or known[1], told[2] or known[2])


@pytest.mark.parametrize("seed", range(3))
def test_what_a_source_forgets_stays_known(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    provider = Provider(page_size=15)
    scope = provider.scope("1")
    known: dict[str, Event] = {}
    used: dict[str, datetime | None] = {}
    versions: dict[str, list[str]] = {}
    gone: set[str] = set()
    for number in range(SCANS):
        provider.objects[scope.key].clear()
        for name in (f"a{n}" for n in range(THINGS)):
            if rng.random() < 0.1:
                if name in known and name not in gone:
                    versions[name].append("gone")
                    gone.add(name)
                continue
            told, used_at = _event(rng), rng.choice([None, MONDAY + timedelta(days=number)])
            state = UseState.USED if used_at else rng.choice([UseState.NEVER, UseState.UNKNOWN])
            provider.put(scope, thing(name, keys=0, grants=(), event=told, state=state, used_at=used_at))
            used[name] = used_at or used.get(name)
            if name not in known:
                known[name], versions[name] = told, ["appeared"]
            elif name in gone:
                known[name] = told
                versions[name].append("returned")
                gone.discard(name)
            elif _after(known[name], told) != known[name]:
                known[name] = _after(known[name], told)
                versions[name].append("changed")
        run_scan(database, Forgetful(provider), connection_name="sim", actor="test", policy=NO_GUARD)
        run_scan(database, Forgetful(provider), connection_name="sim", actor="test", policy=NO_GUARD)  # missed twice
        assert _granted(database) == known
        assert _versions(database) == versions
        assert _used(database) == used
    assert_current_is_newest_version(database)
    assert any("changed" in told for told in versions.values())
    assert any("returned" in told for told in versions.values())


IDENTITY = tables.CURRENT["identity"]


def _granted(db: Database) -> dict[str, Event]:
    grant = tables.CURRENT["grant"]
    query = sa.select(IDENTITY.c.native_id, grant.c.granted_by, grant.c.granted_by_id, grant.c.granted_at)
    with db.read() as conn:
        rows = conn.execute(query.join(grant, grant.c.holder_uid == IDENTITY.c.uid))
        return {name: (by, by_id, at) for name, by, by_id, at in rows}


def _versions(db: Database) -> dict[str, list[str]]:
    """Without "unconfirmed", through which a grant goes on its way."""
    version = tables.VERSION["grant"]
    query = sa.select(IDENTITY.c.native_id, version.c.change).join(version, version.c.holder_uid == IDENTITY.c.uid)
    found: dict[str, list[str]] = {}
    with db.read() as conn:
        for name, change in conn.execute(query.where(version.c.change != "unconfirmed").order_by(version.c.id)):
            found.setdefault(name, []).append(change)
    return found


def _used(db: Database) -> dict[str, datetime | None]:
    usage = tables.usage
    query = sa.select(IDENTITY.c.native_id, usage.c.last_used_at).join(usage, usage.c.subject_uid == IDENTITY.c.uid)
    with db.read() as conn:
        return {row[0]: row[1] for row in conn.execute(query)}
