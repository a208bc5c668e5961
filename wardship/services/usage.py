"""Who uses what, when and from where: the state of use kept up to date with new events, and questions to it.

The state is everything that is remembered of use (`wardship.model.baseline`); it is small, and asked instead of the
events. What it means for an identity of the inventory is found by exact ids (`identity_alias`), never by names.
"""
# ruff: noqa: S608 - queries are put together from our own names; what users say is a parameter

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from wardship.analysis import baseline
from wardship.model.baseline import BASELINE, PEER_ACTION
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _
from wardship.services import inventory
from wardship.services.formats import Column, Row
from wardship.services.reading import Facts
from wardship.store import state, telemetry
from wardship.store.engine import Engine, Table, duckdb_select
from wardship.store.events import open_engine
from wardship.store.state import Generation
from wardship.store.work_folder import work_folder
from wardship.store.workspace import Workspace

_MAKING = state.Making(delta=lambda table, where: baseline.delta(table, where=where), merge=baseline.merge)

_LISTED = {"TIMESTAMP": "instant", "INTEGER": "integer", "BIGINT": "integer", "DOUBLE": "number", "BOOLEAN": "boolean"}
COLUMNS = (
    Column(name="aspect", label=N_("Aspect")),
    Column(name="value", label=N_("What")),
    Column(name="events", label=N_("Times"), type="integer"),
    Column(name="failures", label=N_("Failures"), type="integer"),
    Column(name="first_at", label=N_("First"), type="instant"),
    Column(name="last_at", label=N_("Last"), type="instant"),
    Column(name="used_at", label=N_("Last that did not fail"), type="instant", screen=False),
    Column(name="credential_id", label=N_("Credential"), screen=False),
    Column(name="service", label=N_("Service"), screen=False),
    Column(name="operation", label=N_("Operation"), screen=False),
    Column(name="resource", label=N_("Resource"), screen=False),
    Column(name="src_network", label=N_("Network"), screen=False),
    Column(name="src_asn", label=N_("Autonomous system"), type="integer", screen=False),
    Column(name="src_country", label=N_("Country"), screen=False),
    Column(name="agent", label=N_("User agent"), screen=False),
    Column(name="session", label=N_("Session"), screen=False),
    Column(name="day", label=N_("Day"), type="date", screen=False),
    Column(name="actors", label=N_("Actors"), type="integer", screen=False),
    Column(name="authority", label=N_("Authority"), screen=False),
    Column(name="actor_id", label=N_("Actor"), screen=False),
)
"""Of `rows`. Only the columns that an aspect is about have a value; `actors` says how many share the row."""

BASELINE_COLUMNS = tuple(
    Column(name=name, label=name, type=_LISTED.get(kind, "text")) for name, kind in BASELINE.items()
)
"""Of the row of an actor in BASELINE."""

_SUMS = (
    "CAST(sum(events) AS BIGINT) AS events, CAST(sum(failures) AS BIGINT) AS failures,"
    " min(first_at) AS first_at, max(last_at) AS last_at,"
    " max(used_at) AS used_at, count(DISTINCT authority || ' ' || actor_id) AS actors"
)
ASPECTS: Mapping[str, tuple[str, tuple[str, ...], str]] = {  # aspect -> (table, what it is by, how that is shown)
    "credential": ("actor_action", ("credential_id",), "credential_id"),
    "action": ("actor_action", ("service", "operation"), "service || ' ' || operation"),
    "resource": ("actor_resource", ("service", "resource"), "resource"),
    "network": (
        "actor_network",
        ("src_network", "src_asn", "src_country"),
        "concat_ws(' ', src_network, 'AS' || src_asn, src_country)",
    ),
    "agent": ("actor_agent", ("agent",), "agent"),
    "session": ("actor_session", ("session",), "session"),
    "actor": ("actor_action", ("authority", "actor_id"), "authority || ' ' || actor_id"),
    "day": ("actor_day", ("day",), "CAST(day AS VARCHAR)"),
}
"""What use can be asked by. Resources and days are not remembered by credential."""

_BY_CREDENTIAL = frozenset({"credential", "action", "network", "agent", "session", "actor"})
_PICTURE_DAYS = 90
_MOST_NETWORKS = 12


# ------------------------------------------------------------------ keeping it up to date


def refresh(workspace: Workspace, *, until: int | None = None) -> Generation:
    """Counts the events that are not in the state yet, up to batch `until` (None: all). Raises Conflict when another
    process is at it."""
    return _advance(workspace, afresh=False, until=until)


def rebuild(workspace: Workspace, *, until: int | None = None) -> Generation:
    """Counts all events again that are still there, up to batch `until` (None: all); what was only remembered is
    forgotten. Raises Conflict."""
    return _advance(workspace, afresh=True, until=until)


def current(workspace: Workspace) -> Generation:
    """The state as it is, without waiting for anybody; of events that are not in it, it says nothing."""
    return state.current(_folder(workspace))


def waiting(workspace: Workspace, known: Generation) -> int:
    """How many events are not in the state `known`."""
    return sum(batch.events for batch in telemetry.live_batches(workspace.db, after=known.batch))


def _advance(workspace: Workspace, *, afresh: bool, until: int | None) -> Generation:
    def elsewhere(events: Table) -> Engine:
        return open_engine(workspace, [events])

    here = workspace.settings.telemetry.engine == "duckdb"
    return state.advance(
        workspace.db,
        workspace.activity,
        _folder(workspace),
        _MAKING if here else replace(_MAKING, elsewhere=elsewhere),
        afresh=afresh,
        until=until,
        memory_mb=workspace.settings.telemetry.memory_mb,
        spill=workspace.tmp,
    )


def _folder(workspace: Workspace) -> Path:
    return workspace.activity / "state"


# ------------------------------------------------------------------ baselines


def baselines(workspace: Workspace, known: Generation, as_of: datetime, folder: Path) -> list[Table]:
    """The tables of the state with `actor_baseline` and `peer_action` as of the day of `as_of`; those are written to
    `folder`, which is the caller's to delete."""
    made = {
        "actor_baseline": (BASELINE, baseline.actor_baseline(as_of)),
        "peer_action": (PEER_ACTION, baseline.peer_action(as_of)),
    }
    memory_mb = workspace.settings.telemetry.memory_mb
    return [*known.tables(), *state.derive(known.tables(), made, folder, memory_mb=memory_mb)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is usual for one actor. `facts` is its row of BASELINE; `days` its events of each of the last 90 days, the
    oldest first; `networks` where it comes from, the most used first: rows of the aspect "network"."""

    facts: Row
    days: Sequence[int]
    until: date  # the day after the last of `days`
    networks: Sequence[Row]


def pictures(workspace: Workspace, known: Generation, subject: Subject, as_of: datetime) -> list[Picture]:
    """The picture of each actor that the subject is in the logs, those with most events first."""
    if not subject.actors:
        return []
    today = as_of.astimezone(UTC).date()
    with (
        work_folder(workspace.tmp) as folder,
        _Asked(baselines(workspace, known, as_of, folder)) as asked,
    ):
        chosen, parameters = _where(subject)
        found = asked.rows(f"SELECT * FROM actor_baseline WHERE {chosen} ORDER BY events DESC", parameters)
        return [_picture(asked, row, today) for row in found]


def _picture(asked: _Asked, row: Row, today: date) -> Picture:
    one = Subject(name="", actors=((row["authority"], row["actor_id"]),))
    chosen, parameters = _where(one)
    start = today - timedelta(days=_PICTURE_DAYS)
    counted = {
        found["day"]: found["events"]
        for found in asked.rows(
            f"SELECT day, sum(events) AS events FROM actor_day WHERE {chosen} AND day >= $start GROUP BY day",
            {**parameters, "start": start},
        )
    }
    days = [int(counted.get(start + timedelta(days=place), 0)) for place in range(_PICTURE_DAYS)]
    networks = list(_rows(asked, one, "network"))[:_MOST_NETWORKS]
    return Picture(facts=row, days=days, until=today, networks=networks)


# ------------------------------------------------------------------ use


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was asked about. `actors` are (authority, id) as the state has them; `credential_id` or `operation` narrow
    the question to one. `identity_uid` None: the inventory does not know it."""

    name: str
    actors: tuple[tuple[str, str], ...] = ()
    identity_uid: str | None = None
    credential_id: str | None = None
    service: str | None = None
    operation: str | None = None


def find(facts: Facts, known: Generation, wanted: str) -> Subject:
    """What `wanted` names: a credential's public id, an id of a log, an identity of the inventory (as
    `inventory.find` knows it), an actor's name in the logs, or SERVICE:OPERATION.

    Raises ConfigError when it names nothing, or several identities.
    """
    with _Asked(known.tables()) as asked:
        if found := asked.actors("actor_action", "credential_id = $w", {"w": wanted}):
            return Subject(name=wanted, actors=found, credential_id=wanted, identity_uid=_identity(facts, found))
        held = "SELECT identity_uid FROM credential WHERE public_id = ? OR (native_id = ? AND identity_uid IS NOT NULL)"
        for row in facts.rows(held, [wanted, wanted]):
            return Subject(name=wanted, credential_id=wanted, identity_uid=row["identity_uid"])
        if found := asked.actors("actor_day", "actor_id = $w", {"w": wanted}):
            uid = _identity(facts, found)
            return _of_identity(facts, uid) if uid else Subject(name=wanted, actors=found)
        try:
            return _of_identity(facts, inventory.find(facts, wanted))
        except ConfigError:  # raised again unless the logs know more
            if found := asked.actors("actor_day", "actor_name = $w", {"w": wanted}):
                return Subject(name=wanted, actors=found)
            service, _colon, operation = wanted.partition(":")
            if asked.actors("actor_action", _PERMISSION, {"service": service, "operation": operation}):
                return Subject(name=wanted, service=service, operation=operation)
            if _OPERATION.fullmatch(wanted):
                raise inventory.NotFound(
                    _("nobody did %(what)s in the logs that were read") % {"what": wanted},
                    advice=_("`wardship telemetry coverage` shows what they hold, `wardship unused` what nobody uses"),
                ) from None
            raise


def _identity(facts: Facts, actors: Sequence[tuple[str, str]]) -> str | None:
    """The one identity of the inventory that these actors are; None: unknown, or several."""
    found = {
        row["identity_uid"]
        for authority, actor in actors
        for row in facts.rows(
            "SELECT identity_uid FROM identity_alias WHERE authority = ? AND native_id = ?", [authority, actor]
        )
    }
    return str(found.pop()) if len(found) == 1 else None


def _of_identity(facts: Facts, uid: str) -> Subject:
    name = facts.one("SELECT coalesce(name, native_id) AS name FROM identity WHERE uid = ?", [uid])["name"]
    aliases = facts.rows("SELECT DISTINCT authority, native_id FROM identity_alias WHERE identity_uid = ?", [uid])
    actors = tuple(sorted((row["authority"], row["native_id"]) for row in aliases))
    return Subject(name=str(name), actors=actors, identity_uid=uid)


def rows(known: Generation, subject: Subject, *, by: Sequence[str] = (), most: int | None = None) -> Iterator[Row]:
    """The subject's use by these aspects, or by all but days; of each the `most` used (None: all), most used first."""
    aspects: Sequence[str]
    if by:
        aspects = by
    elif subject.operation:
        aspects = ["actor"]
    else:
        aspects = [one for one in ASPECTS if one != "day" and (one != "actor" or subject.credential_id)]
    with _Asked(known.tables()) as asked:
        for aspect in aspects:
            if subject.credential_id and aspect not in _BY_CREDENTIAL:
                continue
            for place, row in enumerate(_rows(asked, subject, aspect)):
                if most is not None and place >= most:
                    break
                yield row


def _rows(asked: _Asked, subject: Subject, aspect: str) -> Iterator[dict[str, Any]]:
    table, keys, shown = ASPECTS[aspect]
    chosen, parameters = _where(subject)
    order = "day" if aspect == "day" else "events DESC, value"
    found = asked.rows(
        f"SELECT {', '.join(keys)}, {shown} AS value, {_SUMS} FROM {table} WHERE {chosen} GROUP BY {', '.join(keys)}"
        f" ORDER BY {order}",
        parameters,
    )
    only = dict(zip(("authority", "actor_id"), subject.actors[0], strict=True)) if len(subject.actors) == 1 else {}
    for row in found:
        yield {**only, **row, "aspect": aspect}


_OPERATION = re.compile(r"[A-Za-z0-9._-]{1,80}:[A-Za-z0-9._ -]{1,120}")
_PERMISSION = "(service = $service OR starts_with(service, $service || '.')) AND lower(operation) = lower($operation)"


def _where(subject: Subject) -> tuple[str, dict[str, Any]]:
    """The rows of the state that are the subject's."""
    if subject.credential_id:
        return "credential_id = $credential", {"credential": subject.credential_id}
    if subject.operation:
        return _PERMISSION, {"service": subject.service, "operation": subject.operation}
    if not subject.actors:
        return "FALSE", {}
    chosen: list[str] = []
    parameters: dict[str, Any] = {}
    for place, (authority, actor) in enumerate(subject.actors):
        chosen.append(f"(authority = $a{place} AND actor_id = $i{place})")
        parameters |= {f"a{place}": authority, f"i{place}": actor}
    return f"({' OR '.join(chosen)})", parameters


def summary(known: Generation, subject: Subject) -> Row:
    """events, failures, active_days, first_at, last_at and used_at of the subject; NULLs where nothing was seen."""
    chosen, parameters = _where(subject)
    table = "actor_action" if subject.credential_id or subject.operation else "actor_day"
    days = "NULL" if table == "actor_action" else "count(DISTINCT day)"
    with _Asked(known.tables()) as asked:
        return asked.rows(f"SELECT {_SUMS}, {days} AS active_days FROM {table} WHERE {chosen}", parameters)[0]


class _Asked(contextlib.AbstractContextManager["_Asked"]):
    """DuckDB over tables of the state, for questions with few rows."""

    def __init__(self, tables: Sequence[Table]) -> None:
        import duckdb

        self._db = duckdb.connect(config={"threads": "2", "autoinstall_known_extensions": "false"})
        self._unseen = {table.name: table for table in tables}  # a view opens its files, so it is made when asked for

    def __exit__(self, *_exc: object) -> None:
        self._db.close()

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows with their names; instants are aware, in UTC."""
        for name in self._unseen.keys() & set(re.findall(r"\w+", sql)):
            self._db.execute(f'CREATE VIEW "{name}" AS {duckdb_select(self._unseen.pop(name))}')
        found = self._db.execute(sql, dict(parameters) or None)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, map(_aware, row), strict=True)) for row in found.fetchall()]

    def actors(self, table: str, where: str, parameters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """(authority, id) of those who have such rows."""
        found = self.rows(f"SELECT DISTINCT authority, actor_id FROM {table} WHERE {where} ORDER BY ALL", parameters)
        return tuple((row["authority"], row["actor_id"]) for row in found)


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
