"""Secrets across code, CI and secrets managers: the list, one secret's story, its migration, and "does it still work?".

A secret is one value wherever it was seen (`wardship.store.facts`); a person adds what no system knows: that a new
entry of a secrets manager replaces it (`link`), and asks a system of ours whether it still works (`check`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wardship.model.errors import ConfigError, ConnectorError, DataError, TransitionRefused
from wardship.model.exposure import CONSUMER_PLACES
from wardship.model.secret import Secret
from wardship.sdk import registry
from wardship.sdk.connector import Connection
from wardship.sdk.i18n import N_, _, format_instant, format_number
from wardship.sdk.words import word
from wardship.services.formats import Column, Row
from wardship.services.reading import Facts
from wardship.services.story import Section, Story
from wardship.store import tables
from wardship.store.db import Database

STAGES = ("found", "vaulted", "moved", "removed", "purged")
COLUMNS = (
    Column(name="stage", label=N_("Stage")),
    Column(name="name", label=N_("Secret")),
    Column(name="detector", label=N_("What")),
    Column(name="validity", label=N_("Works")),
    Column(name="head_exposures", label=N_("Code now"), type="integer"),
    Column(name="exposures", label=N_("Code ever"), type="integer"),
    Column(name="vault_copies", label=N_("Vaults"), type="integer"),
    Column(name="ci_copies", label=N_("CI"), type="integer"),
    Column(name="environment_names", label=N_("Environments"), screen=False),
    Column(name="identity_name", label=N_("Identity")),
    Column(name="uid", label=N_("Id")),
    Column(name="type", label=N_("Type"), screen=False),
    Column(name="tier", label=N_("Detector tier"), screen=False),
    Column(name="confidence", label=N_("Confidence"), type="number", screen=False),
    Column(name="systems", label=N_("Systems"), type="integer", screen=False),
    Column(name="public_exposures", label=N_("Places open to all"), type="integer", screen=False),
    Column(name="identities", label=N_("Identities"), type="integer", screen=False),
    Column(name="checked_at", label=N_("Checked"), type="instant", screen=False),
    Column(name="vaulted_at", label=N_("Vaulted"), type="instant", screen=False),
    Column(name="replaced_by", label=N_("Replaced by"), screen=False),
    Column(name="first_seen_at", label=N_("First seen"), type="instant", screen=False),
    Column(name="last_seen_at", label=N_("Last seen"), type="instant", screen=False),
)
_MOST_PLACES = 25
_PROBLEM_STAGES = ", ".join(f"'{stage}'" for stage in STAGES[:-1])


def listed(
    facts: Facts, *, stage: str | None = None, every: bool = False, least_confidence: float = 0.0
) -> Iterator[Row]:
    """Secrets that were seen outside a secrets manager, the worst first: working, open to all, in the code now.

    Without `every` or `stage`, those whose migration is not finished. What only a secrets manager holds is not listed.
    """
    wanted = "" if every else f" AND stage IN ({_PROBLEM_STAGES})"
    values: list[Any] = [least_confidence]
    if stage:
        wanted = " AND stage = ?"
        values.append(stage)
    names = ", ".join(column.name for column in COLUMNS)
    yield from facts.rows(
        f"SELECT {names} FROM secret WHERE confidence >= ?{wanted}"  # noqa: S608 - our own column names
        " ORDER BY CASE validity WHEN 'active' THEN 0 WHEN 'unknown' THEN 1 ELSE 2 END, public_exposures DESC,"
        " head_exposures DESC, confidence DESC, uid",
        values,
    )


def progress(facts: Facts) -> dict[str, int]:
    """How many secrets stand at each stage of the way from the code to the vault."""
    counted = {
        row["stage"]: row["n"]
        for row in facts.rows("SELECT stage, count(*) AS n FROM secret WHERE confidence IS NOT NULL GROUP BY stage")
    }
    return {stage: counted.get(stage, 0) for stage in STAGES}


def not_searched(facts: Facts) -> tuple[int, int]:
    """How many files are too large for the setting `max_blob_mb` and so were not searched, and of how many
    repositories they are."""
    row = facts.one(
        "SELECT coalesce(sum(n), 0)::BIGINT AS files, count(*) FILTER (n > 0) AS repositories FROM ("
        "SELECT TRY_CAST(json_extract_string(attributes, '$.files_too_large') AS BIGINT) AS n FROM system"
        " WHERE kind = 'git_repository')"
    )
    return row["files"], row["repositories"]


def find(facts: Facts, wanted: str) -> Row:
    """The secret that `wanted` names: its id, the id of an exposure, a public id, or a name that only one has.

    Raises ConfigError for none or several.
    """
    ways = (
        "SELECT uid FROM secret WHERE uid = ?",
        "SELECT secret_uid AS uid FROM exposure WHERE uid = ? AND secret_uid IS NOT NULL",
        "SELECT DISTINCT secret_uid AS uid FROM exposure WHERE public_id = ? AND secret_uid IS NOT NULL",
        "SELECT uid FROM secret WHERE name = ?",
    )
    for way in ways:
        found = sorted(row["uid"] for row in facts.rows(way, [wanted]))
        if len(found) == 1:
            return facts.one("SELECT * FROM secret WHERE uid = ?", [found[0]])
        if found:
            raise ConfigError(
                _("%(n)d secrets are called %(name)r") % {"n": len(found), "name": wanted[:64]},
                advice=_("name one by its id: %(ids)s") % {"ids": ", ".join(found[:5])},
            )
    raise ConfigError(
        _("no secret is called %(name)r") % {"name": wanted[:64]}, advice=_("`wardship secrets list` shows them")
    )


# ------------------------------------------------------------------ the story of one secret


def story(facts: Facts, wanted: str) -> Story:
    """Where a secret stands, what it opens, how far its clean-up is, and what to do next. Raises ConfigError."""
    one = find(facts, wanted)
    exposures = list(
        facts.rows(
            "SELECT * FROM exposure WHERE secret_uid = ? AND presence <> 'gone'"
            " ORDER BY in_head IS NOT DISTINCT FROM FALSE, authority, location",
            [one["uid"]],
        )
    )
    stored = list(
        facts.rows(
            "SELECT * FROM credential WHERE secret_uid = ? AND presence <> 'gone' ORDER BY type, authority, native_id",
            [one["uid"]],
        )
    )
    return Story(
        title=one["name"] or one["detector"] or one["uid"],
        summary=_("%(what)s; stage: %(stage)s; works: %(validity)s; confidence %(confidence)s")
        % {
            "what": one["detector"] or word("type", one["type"]),
            "stage": word("stage", one["stage"]),
            "validity": word("validity", one["validity"]),
            "confidence": _("unknown") if one["confidence"] is None else format_number(round(one["confidence"], 2)),
        },
        sections=[
            Section(id="opens", title=_("What it opens"), lines=_opens(one)),
            Section(id="places", title=_("Where it stands and should not"), lines=_places(exposures)),
            Section(id="stored", title=_("Where it is kept"), lines=_stored(one, stored)),
            Section(id="consumers", title=_("Who uses it"), lines=_users(facts, one, exposures)),
            Section(id="leak", title=_("The four steps after a leak"), lines=_four_steps(one)),
            Section(id="migration", title=_("The way from the code to the vault"), lines=_migration(one)),
            Section(id="next", title=_("What to do"), lines=_next(one, exposures)),
        ],
    )


def _opens(one: Mapping[str, Any]) -> list[str]:
    if one["identity_uid"] is None:
        return [_("unknown: no credential of the inventory has this fingerprint or public id")]
    return [
        _("%(name)s (wardship identity show %(uid)s)") % {"name": one["identity_name"], "uid": one["identity_uid"]},
        _("credential %(uid)s, joined by an exact id") % {"uid": one["credential_uid"]},
    ]


def _places(exposures: Sequence[Row]) -> list[str]:
    lines = []
    for row in exposures[:_MOST_PLACES]:
        where = f"{row['authority']}  {row['location']}" + (f":{row['line']}" if row["line"] else "")
        state = {True: _("there now"), False: _("in the history only"), None: _("there when it was read")}[
            row["in_head"]
        ]
        said = [where, state]
        if row["public"]:
            said.append(_("open to everybody"))
        if row["environment"]:
            said.append(row["environment"])
        if row["introduced_at"]:
            said.append(
                _("since %(day)s by %(who)s")
                % {"day": row["introduced_at"].date().isoformat(), "who": row["introduced_by"] or _("unknown")}
            )
        lines.append("; ".join(said))
    if len(exposures) > _MOST_PLACES:
        lines.append(_("and %(n)d more: `wardship export exposures`") % {"n": len(exposures) - _MOST_PLACES})
    return lines or [_("nowhere that was read")]


def _stored(one: Mapping[str, Any], stored: Sequence[Row]) -> list[str]:
    lines = [f"{word('type', row['type'])}: {row['authority']}  {row['native_id']}" for row in stored]
    if one["replaced_by"]:
        lines.append(_("replaced by %(uid)s, says a person") % {"uid": one["replaced_by"]})
    return lines or [_("in no secrets manager or CI system that was read with fingerprints")]


def _users(facts: Facts, one: Mapping[str, Any], exposures: Sequence[Row]) -> list[str]:
    running = [row for row in exposures if row["in_head"] is not False and row["place"] in CONSUMER_PLACES]
    lines = [
        _("inferred: what runs with %(place)s (%(kind)s)")
        % {"place": f"{row['authority']} {row['location']}", "kind": word("place", row["place"])}
        for row in running[:_MOST_PLACES]
    ]
    if one["credential_uid"] or one["identity_uid"]:
        lines += [
            f"{word('confidence', row['confidence'])}: {row['consumer']} [{row['source']}]"
            for row in facts.rows(
                "SELECT consumer, source, confidence FROM dependency WHERE presence <> 'gone'"
                " AND (credential_uid = ? OR identity_uid = ?) ORDER BY confidence, consumer LIMIT 25",
                [one["credential_uid"], one["identity_uid"]],
            )
        ]
    return lines or [_("unknown: nothing that was read names it")]


def _mark(done: bool | None) -> str:
    return _("unknown") if done is None else _("yes") if done else _("no")


def _four_steps(one: Mapping[str, Any]) -> list[str]:
    checked = _(" (asked on %(when)s)") % {"when": format_instant(one["checked_at"])} if one["checked_at"] else ""
    return [
        _("1 validated: %(done)s") % {"done": _mark(one["validated"])} + checked,
        _("2 rotated, the old value is dead: %(done)s") % {"done": _mark(one["rotated"])},
        _("3 removed from the newest state: %(done)s") % {"done": _mark(one["source_removed"])},
        _("4 purged from the history: %(done)s") % {"done": _mark(one["history_purged"])},
    ]


def _migration(one: Mapping[str, Any]) -> list[str]:
    return [
        _("1 found: yes"),
        _("2 in a secrets manager: %(done)s") % {"done": _mark(one["vaulted"])},
        _("3 consumers moved: %(done)s") % {"done": _mark(one["consumers_moved"])},
        _("4 removed from its source: %(done)s") % {"done": _mark(one["source_removed"])},
    ]


def _next(one: Mapping[str, Any], exposures: Sequence[Row]) -> list[str]:
    uid = one["uid"]
    lines = []
    if one["validity"] == "unknown" and _askable(one["detector"]):
        lines.append(_("ask whether it still works: wardship secrets check %(uid)s") % {"uid": uid})
    if one["rotated"] is not True:
        lines.append(_("rotate it: what was seen in code counts as known to others, whoever can read the code today"))
    if not one["vaulted"]:
        lines.append(
            _("put the new value into a secrets manager, then say so: wardship secrets link %(uid)s ENTRY --reason ...")
            % {"uid": uid}
        )
    if one["consumers_moved"] is not True:
        lines.append(_("let every consumer above read it from there"))
    if not one["source_removed"] and exposures:
        lines.append(_("remove it from the files above and commit"))
    if one["source_removed"] and not one["history_purged"] and one["rotated"] is not True:
        lines.append(_("the history still has a value that may work: rotate first, then purge the history"))
    return lines or [_("nothing: it is dead, replaced and gone")]


# ------------------------------------------------------------------ a person's word


def link(db: Database, facts: Facts, actor: str, wanted: str, *, credential: str, reason: str) -> Row:
    """Says that `credential` (an entry of a secrets manager, a federation) replaces the secret. Returns the secret.

    Raises ConfigError for an unknown secret or credential.
    """
    one = find(facts, wanted)
    entries = list(
        facts.rows(
            "SELECT uid FROM credential WHERE (uid = $1 OR native_id = $1 OR name = $1) AND presence <> 'gone'"
            " AND type IN ('stored_secret', 'ci_secret', 'federation') LIMIT 5",
            [credential],
        )
    )
    if len(entries) != 1:
        raise ConfigError(
            _("%(name)r names %(n)d entries of secrets managers") % {"name": credential[:64], "n": len(entries)},
            advice=_("name one by its id; `wardship export credentials` lists them"),
        )
    with db.write(actor) as writing:
        writing.conn.execute(tables.secret_link.delete().where(tables.secret_link.c.secret_uid == one["uid"]))
        writing.conn.execute(
            tables.secret_link.insert().values(
                secret_uid=one["uid"],
                credential_uid=entries[0]["uid"],
                reason=reason,
                actor=actor,
                linked_at=writing.at,
            )
        )
        writing.audit("secret.linked", f"secret:{one['uid']}", {"credential": entries[0]["uid"], "reason": reason})
    return one


def unlink(db: Database, facts: Facts, actor: str, wanted: str) -> Row:
    """Takes back what `link` said. Raises TransitionRefused when nothing was linked."""
    one = find(facts, wanted)
    with db.write(actor) as writing:
        table = tables.secret_link
        gone = writing.conn.execute(table.delete().where(table.c.secret_uid == one["uid"])).rowcount
        if not gone:
            raise TransitionRefused(
                _("nothing is linked to %(uid)s") % {"uid": one["uid"]},
                advice=_("`wardship secrets show %(uid)s` tells what is known") % {"uid": one["uid"]},
            )
        writing.audit("secret.unlinked", f"secret:{one['uid']}", {})
    return one


# ------------------------------------------------------------------ does it still work?


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One call that would tell whether a secret still works: to which of our systems, with the value of which place."""

    secret_uid: str
    detector: str
    public_id: str | None
    connections: tuple[str, ...]  # of ours, whose systems are asked until one knows it
    call: str  # in the vendor's words: "sts:GetCallerIdentity"
    sources: tuple[str, ...]  # of ours, which can read the value again
    place: str
    exposure: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came out. `active` None: nothing can be said, `reason` tells why."""

    asking: Asking
    active: bool | None
    reason: str = ""


def plan_check(facts: Facts, wanted: str, connections: Sequence[Connection], plugins: Sequence[str] = ()) -> Asking:
    """Which call would tell whether the secret works. Nothing is called.

    Only systems of ours are asked: those of a stored connection, and where the secret names its account, that account.
    Raises ConfigError when no place can be read again or no system of ours can be asked.
    """
    one = find(facts, wanted)
    exposures = facts.rows(
        "SELECT * FROM exposure WHERE secret_uid = ? AND presence <> 'gone'"
        " ORDER BY in_head IS NOT DISTINCT FROM FALSE, public_id IS NULL, authority, location",
        [one["uid"]],
    )
    exposure = next(iter(exposures), None)
    if exposure is None:
        raise ConfigError(
            _("nothing that was read holds it any more"), advice=_("it needs no check: look at its story")
        )
    vendor = exposure["detector"].partition(".")[0]
    asked = [one for one in connections if _can(one, plugins, "still_active") and one.connector == vendor]
    if not asked:
        raise ConfigError(
            _("no connection of yours can be asked about a secret of kind %(detector)s")
            % {"detector": exposure["detector"]},
            advice=_("connect the system it belongs to (`wardship connect add`); other people's systems are not asked"),
        )
    place = exposure["authority"].partition(":")[0]
    sources = [one for one in connections if _can(one, plugins, "read_value")]
    sources.sort(key=lambda one: one.connector != place)
    if not sources:
        raise ConfigError(
            _("no connection of yours can read %(place)s again") % {"place": exposure["authority"]},
            advice=_("connect it with `wardship connect add %(place)s`") % {"place": place},
        )
    module = registry.connector_module(vendor, plugins)
    return Asking(
        secret_uid=one["uid"],
        detector=exposure["detector"],
        public_id=exposure["public_id"],
        connections=tuple(one.name for one in asked),
        call=getattr(module, "ACTIVE_CALL", vendor),
        sources=tuple(one.name for one in sources),
        place=f"{exposure['authority']} {exposure['location']}",
        exposure=exposure,
    )


def check(
    db: Database,
    actor: str,
    asking: Asking,
    connections: Sequence[Connection],
    plugins: Sequence[str] = (),
) -> Answer:
    """Makes the call of `plan_check`, and keeps the answer: audited before the call and after it.

    The value lives in this process for the time of the call and is kept nowhere.
    """
    by_name = {one.name: one for one in connections}
    with db.write(actor) as writing:
        writing.audit(
            "secret.check_started",
            f"secret:{asking.secret_uid}",
            {"connections": list(asking.connections), "call": asking.call, "place": asking.place},
        )
    value = _read_again(asking, [by_name[name] for name in asking.sources], plugins)
    answer = (
        _asked(asking, [by_name[name] for name in asking.connections], value, plugins)
        if value is not None
        else Answer(asking=asking, active=None, reason=_("the value is not at its place any more"))
    )
    with db.write(actor) as writing:
        writing.conn.execute(
            tables.secret_check.insert().values(
                secret_uid=asking.secret_uid,
                authority=", ".join(asking.connections),
                call=asking.call,
                validity={True: "active", False: "inactive", None: "unknown"}[answer.active],
                actor=actor,
                checked_at=writing.at,
            )
        )
        writing.audit(
            "secret.checked",
            f"secret:{asking.secret_uid}",
            {"connections": list(asking.connections), "call": asking.call, "active": answer.active},
        )
    return answer


def _read_again(asking: Asking, sources: Sequence[Connection], plugins: Sequence[str]) -> Secret | None:
    """The value at its place, from the first source that has it."""
    for source in sources:
        with contextlib.suppress(ConnectorError, ConfigError, DataError):  # another connection may read that place
            value: Secret | None = _module(source, plugins).read_value(source, asking.exposure)
            if value is not None:
                return value
    return None


def _asked(asking: Asking, targets: Sequence[Connection], value: Secret, plugins: Sequence[str]) -> Answer:
    """One call to each target until one lets it in. Dead only if every one of them refuses it."""
    told: list[bool | None] = []
    reason = _("the system does not tell")
    for target in targets:
        try:
            told.append(_module(target, plugins).still_active(target, asking.detector, value, asking.public_id))
        except ConnectorError as error:
            told.append(None)
            reason = error.message
        if told[-1]:
            return Answer(asking=asking, active=True)
    active = None if None in told else False
    return Answer(asking=asking, active=active, reason="" if active is False else reason)


def checks(db: Database, secret_uid: str) -> Sequence[tuple[datetime, str, str, str]]:
    """(when, call, validity, who) of every check of a secret, newest first."""
    table = tables.secret_check
    query = sa.select(table.c.checked_at, table.c.call, table.c.validity, table.c.actor)
    with db.read() as conn:
        rows = conn.execute(query.where(table.c.secret_uid == secret_uid).order_by(table.c.id.desc())).all()
    return [(row.checked_at, row.call, row.validity, row.actor) for row in rows]


def _askable(detector: str | None) -> bool:
    """Whether a connector of ours, connected or not yet, could ask the system that such secrets belong to.

    None: it was never found anywhere, only kept.
    """
    vendor = (detector or "").partition(".")[0]
    return vendor in registry.connector_names() and hasattr(registry.connector_module(vendor), "still_active")


def _can(connection: Connection, plugins: Sequence[str], function: str) -> bool:
    """Whether the connector of `connection` has that optional function."""
    return hasattr(registry.connector_module(connection.connector, plugins), function)


def _module(connection: Connection, plugins: Sequence[str]) -> Any:
    return registry.connector_module(connection.connector, plugins)
