"""The master inventory: which identities there are, filtered and paged, and everything known about one of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _
from wardship.services.formats import Column, Row
from wardship.services.reading import Facts
from wardship.store import resolution, tables
from wardship.store.db import Database

COLUMNS = (
    Column(name="name", label=N_("Identity")),
    Column(name="kind", label=N_("Kind")),
    Column(name="system", label=N_("System")),
    Column(name="environment", label=N_("Environment"), screen=False),
    Column(name="owner_state", label=N_("Owner")),
    Column(name="owner_name", label=N_("Who")),
    Column(name="worst_tier", label=N_("Highest access")),
    Column(name="tenant_wide", label=N_("Tenant-wide"), type="boolean"),
    Column(name="use_state", label=N_("Use"), screen=False),
    Column(name="last_used_at", label=N_("Last used"), type="instant"),
    Column(name="findings", label=N_("Findings"), type="integer"),
    Column(name="uid", label=N_("Id")),
    Column(name="authority", label=N_("Authority"), screen=False),
    Column(name="native_id", label=N_("Native id"), screen=False),
    Column(name="subtype", label=N_("Subtype"), screen=False),
    Column(name="standing", label=N_("Standing"), screen=False),
    Column(name="presence", label=N_("Presence"), screen=False),
    Column(name="enabled", label=N_("Enabled"), type="boolean", screen=False),
    Column(name="criticality", label=N_("Criticality"), screen=False),
    Column(name="purpose", label=N_("Purpose"), screen=False),
    Column(name="supplier_name", label=N_("Supplier"), screen=False),
    Column(name="supplier_contract_end_on", label=N_("Contract end"), type="date", screen=False),
    Column(name="credentials", label=N_("Credentials"), type="integer", screen=False),
    Column(name="static_credentials", label=N_("Static credentials"), type="integer", screen=False),
    Column(name="grants", label=N_("Grants"), type="integer", screen=False),
    Column(name="created_at", label=N_("Created"), type="instant", screen=False),
    Column(name="first_seen_at", label=N_("First seen"), type="instant", screen=False),
    Column(name="last_seen_at", label=N_("Last seen"), type="instant", screen=False),
)

# Worst first; what is not known stands between write and read: it may be either.
_RANK = "CASE i.worst_tier WHEN 'control_plane' THEN 0 WHEN 'write' THEN 1 WHEN 'sensitive_read' THEN 2"
_RANK += " WHEN 'unknown' THEN 3 WHEN 'read' THEN 4 ELSE 5 END"
_ORDER = f"({_RANK}, CASE WHEN i.tenant_wide THEN 0 ELSE 1 END, coalesce(i.name, ''), i.uid)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which identities. None: any."""

    kind: str | None = None
    system: str | None = None  # an authority, or part of a system's name
    owner: str | None = None  # an owner state; "missing" = none, unresolved or lapsed
    tier: str | None = None
    presence: str | None = None  # None: all but those that are gone
    standing: str | None = None  # None: all but those that the provider manages
    text: str | None = None  # in name, native id or purpose
    every: bool = False  # the gone and the provider-managed too

    def describe(self) -> str:
        """The filter in one line, for the sheet "About" and the audit log."""
        said = [f"{name}={getattr(self, name)}" for name in self.__dataclass_fields__ if getattr(self, name)]
        return ", ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, and where to go on. `after` None: these were the last."""

    rows: Sequence[Row]
    total: int
    after: str | None


def page(db: Database, facts: Facts, chosen: Filter, *, limit: int, after: str | None = None) -> Page:
    """`limit` identities from the place `after` (of a former page), worst access first."""
    rows = list(_select(facts, chosen, limit=limit + 1, after=after))
    more = rows[limit:]
    rows = rows[:limit]
    place = _place(rows[-1]) if more else None
    return Page(rows=_with_findings(db, rows), total=count(facts, chosen), after=place)


def count(facts: Facts, chosen: Filter) -> int:
    """How many identities the filter leaves."""
    where, parameters = _where(chosen)
    total = facts.one(
        f"SELECT count(*) AS n FROM identity AS i LEFT JOIN system AS s USING (authority) {where}",  # noqa: S608 - our own clauses
        parameters,
    )["n"]
    assert isinstance(total, int)  # noqa: S101 - count(*) is one
    return total


def everything(db: Database, facts: Facts, chosen: Filter) -> Iterator[Row]:
    """All identities of the filter, streamed."""
    batch: list[dict[str, Any]] = []
    for row in _select(facts, chosen, limit=None, after=None):
        batch.append(row)
        if len(batch) == 1_000:
            yield from _with_findings(db, batch)
            batch = []
    yield from _with_findings(db, batch)


def by_uid(db: Database, facts: Facts, uids: Sequence[str]) -> list[Row]:
    """The rows of these identities, in their order; those that are not in the snapshot are left out."""
    if not uids:
        return []
    marks = ", ".join("?" for _uid in uids)
    found = {
        row["uid"]: row
        for row in facts.rows(
            "SELECT i.*, coalesce(s.name, i.authority) AS system FROM identity AS i"  # noqa: S608 - question marks
            f" LEFT JOIN system AS s USING (authority) WHERE i.uid IN ({marks})",
            uids,
        )
    }
    return list(_with_findings(db, [found[uid] for uid in uids if uid in found]))


def _select(facts: Facts, chosen: Filter, *, limit: int | None, after: str | None) -> Iterator[dict[str, Any]]:
    where, parameters = _where(chosen)
    if after is not None:
        where += f" AND {_ORDER} > (?, ?, ?, ?)"
        parameters = [*parameters, *_unplace(after)]
    cut = f" LIMIT {int(limit)}" if limit is not None else ""
    return facts.rows(
        f"SELECT i.*, coalesce(s.name, i.authority) AS system, {_RANK} AS rank FROM identity AS i"  # noqa: S608 - our own clauses, values are parameters
        f" LEFT JOIN system AS s USING (authority) {where} ORDER BY {_ORDER}{cut}",
        parameters,
    )


def _where(chosen: Filter) -> tuple[str, list[Any]]:
    clauses, parameters = ["TRUE"], []
    for column, value in (("kind", chosen.kind), ("worst_tier", chosen.tier)):
        if value:
            clauses.append(f"i.{column} = ?")
            parameters.append(value)
    if chosen.owner == "missing":
        clauses.append("(i.owner_state IN ('none', 'unresolved', 'lapsed') OR i.owner_active IS FALSE)")
    elif chosen.owner:
        clauses.append("i.owner_state = ?")
        parameters.append(chosen.owner)
    if chosen.system:
        clauses.append(
            "(i.authority = ? OR contains(lower(coalesce(s.name, '')), lower(?)) OR starts_with(i.authority, ?))"
        )
        parameters += [chosen.system, chosen.system, f"{chosen.system}:"]
    if chosen.text:
        clauses.append("contains(lower(concat_ws(' ', i.name, i.native_id, i.purpose)), lower(?))")
        parameters.append(chosen.text)
    if chosen.presence:
        clauses.append("i.presence = ?")
        parameters.append(chosen.presence)
    elif not chosen.every:
        clauses.append("i.presence <> 'gone'")
    if chosen.standing:
        clauses.append("i.standing = ?")
        parameters.append(chosen.standing)
    elif not chosen.every:
        clauses.append("i.standing <> 'provider_managed'")
    return "WHERE " + " AND ".join(clauses), parameters


def _place(row: Mapping[str, Any]) -> str:
    """Where a row stands in the order, as an opaque word for `--after`."""
    key = [row["rank"], 0 if row["tenant_wide"] else 1, row["name"] or "", row["uid"]]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _unplace(place: str) -> list[Any]:
    try:
        key = json.loads(base64.urlsafe_b64decode(place + "=" * (-len(place) % 4)))
        rank, wide, name, uid = key
        return [int(rank), int(wide), str(name), str(uid)]
    except (ValueError, TypeError):
        raise ConfigError(
            _("%(place)r is no place in this list") % {"place": place[:64]},
            advice=_("take the word that the page before printed after --after"),
        ) from None


def _with_findings(db: Database, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with how many findings are open on each."""
    counts = open_findings(db, [row["uid"] for row in rows])
    return [{**row, "findings": counts.get(row["uid"], 0)} for row in rows]


def open_findings(db: Database, uids: Sequence[str]) -> dict[str, int]:
    """uid of an identity -> its open findings; those without any are left out."""
    table = tables.finding
    counts: dict[str, int] = {}
    with db.read() as conn:
        for start in range(0, len(uids), 500):  # SQLite's limit of parameters
            chunk = uids[start : start + 500]
            query = (
                sa.select(table.c.identity_uid, sa.func.count())
                .where(table.c.identity_uid.in_(chunk), table.c.state.in_(("open", "reopened")))
                .group_by(table.c.identity_uid)
            )
            counts.update(dict(conn.execute(query).all()))
    return counts


# ------------------------------------------------------------------ one identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """All that the snapshot knows of one identity. Rows are those of the fact tables."""

    identity: Row
    system: Row | None
    parts: Sequence[Row]
    credentials: Sequence[Row]
    grants: Sequence[Row]
    owners: Sequence[Row]
    consumers: Sequence[Row]  # rows of `dependency`
    exposures: Sequence[Row]  # of its credentials, where they should not stand
    coverage: Sequence[Row]  # every area of its systems
    verdicts: Sequence[Row]  # rows of `use_verdict`: its own first, then those of its credentials
    logs: Sequence[Row]  # rows of `log_coverage` of its systems


class NotFound(ConfigError):
    """Nothing that was read has that name or id."""


def find(facts: Facts, wanted: str) -> str:
    """The uid of the identity that `wanted` names: a uid, a native id, a public key id, or a name.

    Raises NotFound when nothing has that name, ConfigError when it names nothing or more than one thing has it.
    """
    if not wanted.strip():
        raise ConfigError(_("the name is empty"), advice=_("give an id, a key id, or a name"))
    ways = (
        "SELECT identity_uid AS uid FROM identity_part WHERE uid = $1",
        "SELECT DISTINCT identity_uid AS uid FROM identity_part WHERE native_id = $1",
        (
            "SELECT DISTINCT identity_uid AS uid FROM credential"
            " WHERE (public_id = $1 OR uid = $1 OR native_id = $1) AND identity_uid IS NOT NULL"
        ),
        "SELECT DISTINCT identity_uid AS uid FROM identity_part WHERE name = $1",
        "SELECT uid FROM identity WHERE lower(name) = lower($1)",
        "SELECT uid FROM identity WHERE contains(lower(coalesce(name, '')), lower($1)) LIMIT 20",
    )
    for way in ways:
        found = sorted({row["uid"] for row in facts.rows(way, [wanted])})
        if len(found) == 1:
            return str(found[0])
        if found:
            raise ConfigError(
                _("%(n)d identities are called %(name)r") % {"n": len(found), "name": wanted[:64]},
                advice=_("name one by its id: %(ids)s") % {"ids": ", ".join(found[:5])},
            )
    raise NotFound(
        _("nothing in the inventory is called %(name)r") % {"name": wanted[:64]},
        advice=_("search with `wardship inventory --text WORD`"),
    )


def detail(facts: Facts, uid: str) -> Detail:
    """Everything about the identity `uid` (of the representing row)."""
    identity = facts.one("SELECT * FROM identity WHERE uid = ?", [uid])
    parts = list(facts.rows("SELECT * FROM identity_part WHERE identity_uid = ? ORDER BY uid <> ?, uid", [uid, uid]))
    authorities = sorted({identity["authority"], *(part["authority"] for part in parts)})
    marks = ", ".join("?" for _authority in authorities)
    return Detail(
        identity=identity,
        system=next(facts.rows("SELECT * FROM system WHERE authority = ?", [identity["authority"]]), None),
        parts=parts,
        credentials=list(
            facts.rows("SELECT * FROM credential WHERE identity_uid = ? ORDER BY type, created_at, uid", [uid])
        ),
        grants=list(
            facts.rows(
                "SELECT * FROM grant_fact AS i WHERE identity_uid = ? ORDER BY "  # noqa: S608 - our own clause
                + _RANK.replace("worst_tier", "tier")
                + ", permission, uid",
                [uid],
            )
        ),
        owners=list(facts.rows("SELECT * FROM owner WHERE identity_uid = ? ORDER BY confidence DESC, uid", [uid])),
        consumers=list(
            facts.rows(
                "SELECT * FROM dependency WHERE identity_uid = ? AND presence <> 'gone' ORDER BY confidence, consumer",
                [uid],
            )
        ),
        exposures=list(
            facts.rows(
                "SELECT * FROM exposure WHERE identity_uid = ? AND presence <> 'gone'"
                " ORDER BY in_head IS NOT DISTINCT FROM FALSE, authority, location",
                [uid],
            )
        ),
        coverage=list(
            facts.rows(f"SELECT * FROM coverage WHERE authority IN ({marks}) ORDER BY scope", authorities)  # noqa: S608 - question marks
        ),
        verdicts=list(
            facts.rows(
                "SELECT * FROM use_verdict WHERE identity_uid = ? ORDER BY family DESC, name, subject_uid", [uid]
            )
        ),
        logs=list(
            facts.rows(
                "SELECT * FROM log_coverage"  # noqa: S608 - question marks
                f" WHERE authority IN ({marks}) AND covered_days > 0 ORDER BY authority, source",
                authorities,
            )
        ),
    )


def split(db: Database, actor: str, left: str, right: str, reason: str) -> None:
    """A person's word that two joined parts are not one thing. Raises DataError, TransitionRefused."""
    resolution.split(db, left, right, reason=reason, actor=actor)


def rejoin(db: Database, actor: str, left: str, right: str, reason: str) -> None:
    """Takes a split back. Raises DataError, TransitionRefused."""
    resolution.rejoin(db, left, right, reason=reason, actor=actor)
