"""One hop from a key id to everything that decides what to do with it: whose it is, who answers, what it is for, where
it leaked, how it is used, what is open on it, and what depends on it.

Made for the first minute of an incident: it reads the newest facts and the small state of use, never events. Unknown is
said as unknown; what another analysis will tell is "not evaluated yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _, format_instant, format_number
from wardship.sdk.words import word
from wardship.services import alerts, listings, usage
from wardship.services.formats import Column, Row
from wardship.services.inventory import NotFound
from wardship.services.reading import Facts
from wardship.services.story import Section, Story
from wardship.services.usage import Subject
from wardship.store.state import Generation
from wardship.store.workspace import Workspace

MOST = 20
"""So many places, findings, alerts, dependencies and habits of each kind; `counts` says how many there are."""
NOT_EVALUATED = "not_evaluated_yet"

COLUMNS = (
    Column(name="asked", label=N_("Asked")),
    Column(name="credential", label=N_("Credential"), type="json"),
    Column(name="identity", label=N_("Identity"), type="json"),
    Column(name="owner", label=N_("Owner"), type="json"),
    Column(name="purpose", label=N_("Purpose")),
    Column(name="business_process", label=N_("Business process")),
    Column(name="criticality", label=N_("Criticality")),
    Column(name="environment", label=N_("Environment")),
    Column(name="last_used_at", label=N_("Last used"), type="instant"),
    Column(name="use", label=N_("Use"), type="json"),
    Column(name="usual", label=N_("What is usual"), type="json"),
    Column(name="exposures", label=N_("Seen leaked"), type="json"),
    Column(name="findings", label=N_("Findings"), type="json"),
    Column(name="alerts", label=N_("Alerts"), type="json"),
    Column(name="dependencies", label=N_("Dependencies"), type="json"),
    Column(name="reach", label=N_("Reach")),
    Column(name="counts", label=N_("Counts"), type="json"),
    Column(name="facts_as_of", label=N_("Facts as of"), type="instant"),
)
_CREDENTIAL = (
    "uid, authority, native_id, type, name, public_id, enabled, presence, created_at, expires_at, no_expiry,"
    " last_rotated_at, use_state, last_used_at, stored_in, revocation, identity_uid"
)
_IDENTITY = (
    "uid, authority, native_id, kind, name, environment, purpose, business_process, criticality, standing, enabled,"
    " presence, owner_state, owner_name, owner_active, owner_expires_on, supplier_name, supplier_contract_end_on,"
    " use_state, last_used_at, worst_tier, tenant_wide"
)
_HABITS = ("network", "agent", "action", "resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known: `row` for machines (COLUMNS), `story` for people."""

    row: Row
    story: Story


def look_up(ws: Workspace, facts: Facts, wanted: str, now: datetime) -> Answer:
    """What is known of a key id, an ARN, an app id, a name, or any exact id.

    Raises ConfigError when nothing known has that name (NotFound), or several identities do.
    """
    known = usage.current(ws)
    leaks: list[Row] = list(facts.rows("SELECT * FROM exposure WHERE public_id = ? AND presence <> 'gone'", [wanted]))
    try:
        subject = usage.find(facts, known, wanted)
    except ConfigError as error:
        if not leaks and isinstance(error, NotFound):
            raise NotFound(
                _("neither the inventory nor the logs nor the places searched for secrets know %(name)r")
                % {"name": wanted[:64]},
                advice=_(
                    "it may still be yours: `wardship coverage` and `wardship telemetry coverage` say what was read;"
                    " `wardship inventory --text WORD` searches parts of names"
                ),
            ) from None
        if not leaks:
            raise
        subject = Subject(name=wanted, identity_uid=leaks[0]["identity_uid"])
    credential = _credential(facts, wanted, subject)
    uid = subject.identity_uid or (credential or {}).get("identity_uid")
    identity = _first(facts, f"SELECT {_IDENTITY} FROM identity WHERE uid = ?", uid)  # noqa: S608 - our names
    leaks += [row for row in _exposures(facts, credential, uid) if row["uid"] not in {one["uid"] for one in leaks}]
    seen = usage.summary(known, subject) if subject.actors or subject.credential_id else {}
    found = list(listings.findings(ws.db, facts, identity_uid=uid)) if uid else []
    open_alerts = list(alerts.rows(ws, facts, subjects=alerts.subjects_of(replace(subject, identity_uid=uid))))
    depends = list(
        facts.rows("SELECT * FROM dependency WHERE identity_uid = ? AND presence <> 'gone' ORDER BY confidence", [uid])
    ) if uid else []  # fmt: skip
    row: dict[str, Any] = {
        "asked": wanted,
        "credential": credential,
        "identity": identity,
        "owner": _owner(identity),
        "purpose": _of(identity, "purpose"),
        "business_process": _of(identity, "business_process"),
        "criticality": _of(identity, "criticality"),
        "environment": _of(identity, "environment"),
        "last_used_at": _latest(seen.get("used_at"), _of(credential, "last_used_at"),
                                None if credential else _of(identity, "last_used_at")),
        "use": {name: seen.get(name) for name in ("events", "failures", "first_at", "last_at", "active_days")},
        "usual": _usual(known, subject),
        "exposures": [_place(one) for one in leaks[:MOST]],
        "findings": [_brief(one, "uid", "severity", "title", "state", "due_on") for one in found[:MOST]],
        "alerts": [_brief(one, "uid", "severity", "score", "title", "last_at") for one in open_alerts[:MOST]],
        "dependencies": [_brief(one, "consumer", "consumer_kind", "confidence", "source", "evidence")
                         for one in depends[:MOST]],
        "reach": NOT_EVALUATED,
        "counts": {"exposures": len(leaks), "findings": len(found), "alerts": len(open_alerts),
                   "dependencies": len(depends), "events_not_counted_yet": usage.waiting(ws, known)},
        "facts_as_of": facts.snapshot.as_of if facts.snapshot else None,
    }  # fmt: skip
    return Answer(row=row, story=_story(row, now))


def _credential(facts: Facts, wanted: str, subject: Subject) -> Row | None:
    """The credential that was asked for, by any of its exact ids; None where an identity was."""
    name = subject.credential_id or wanted
    query = (
        f"SELECT {_CREDENTIAL} FROM credential WHERE $1 IN (uid, public_id, native_id, fingerprint)"  # noqa: S608 - ours
        " ORDER BY presence = 'gone', uid"
    )
    return next(facts.rows(query, [name]), None)


def _first(facts: Facts, sql: str, value: str | None) -> Row | None:
    return None if value is None else next(facts.rows(sql, [value]), None)


def _exposures(facts: Facts, credential: Row | None, uid: str | None) -> list[Row]:
    """Where it was seen leaked: the credential; of an identity any of its credentials."""
    if credential is not None:
        return list(
            facts.rows("SELECT * FROM exposure WHERE credential_uid = ? AND presence <> 'gone'", [credential["uid"]])
        )
    if uid is None:
        return []
    return list(facts.rows("SELECT * FROM exposure WHERE identity_uid = ? AND presence <> 'gone'", [uid]))


def _usual(known: Generation, subject: Subject) -> dict[str, list[Row]]:
    """The habits that the state of use remembers, the most frequent first."""
    if not (subject.actors or subject.credential_id):
        return {}
    found: dict[str, list[Row]] = {aspect: [] for aspect in _HABITS}
    if subject.credential_id:
        del found["resource"]  # resources are not remembered by credential
    for row in usage.rows(known, subject, by=tuple(found), most=5):
        found[row["aspect"]].append(_brief(row, "value", "events", "first_at", "last_at"))
    return found


def _owner(identity: Row | None) -> Row | None:
    if identity is None:
        return None
    return {
        "state": identity["owner_state"],
        "name": identity["owner_name"],
        "active": identity["owner_active"],
        "expires_on": identity["owner_expires_on"],
        "supplier": identity["supplier_name"],
    }


def _place(row: Row) -> Row:
    return _brief(
        row, "uid", "authority", "location", "line", "in_head", "public", "validity", "first_seen_at", "secret_uid"
    )


def _brief(row: Row, *names: str) -> Row:
    return {name: row.get(name) for name in names}


def _of(row: Row | None, name: str) -> Any:
    return None if row is None else row.get(name)


def _latest(*instants: datetime | None) -> datetime | None:
    return max((one for one in instants if one is not None), default=None)


# ------------------------------------------------------------------ for people


def _story(row: Mapping[str, Any], now: datetime) -> Story:
    identity, credential = row["identity"], row["credential"]
    name = (identity["name"] or identity["native_id"]) if identity else _("an identity that is not in the inventory")
    sections = [
        Section(id="who", title=_("Whose it is"), lines=_whose(row)),
        Section(id="credential", title=_("The credential"), lines=_key(credential, now)),
        Section(id="exposures", title=_("Where it was seen leaked"), lines=_leaked(row)),
        Section(id="use", title=_("Use"), lines=_used(row, now)),
        Section(id="usual", title=_("What is usual"), lines=_habits(row["usual"])),
        Section(id="open", title=_("What is open on it"), lines=_open(row)),
        Section(id="consumers", title=_("What depends on it"), lines=_depends(row)),
        Section(id="reach", title=_("What it reaches"), lines=[_("blast radius: not evaluated yet")]),
        Section(id="next", title=_("Next"), lines=_next(row)),
    ]
    summary = _("owner: %(owner)s; criticality: %(criticality)s; open alerts: %(alerts)s; seen leaked: %(leaks)s") % {
        "owner": (row["owner"] or {}).get("name") or _("unknown"),
        "criticality": word("criticality", row["criticality"]) if row["criticality"] else _("not declared"),
        "alerts": format_number(row["counts"]["alerts"]),
        "leaks": format_number(row["counts"]["exposures"]),
    }
    title = name if name == row["asked"] else f"{row['asked']}: {name}"
    return Story(title=title, summary=summary, sections=sections)


def _whose(row: Mapping[str, Any]) -> list[str]:
    one, owner = row["identity"], row["owner"]
    if one is None:
        return [_("the inventory does not know it: owner, purpose and criticality are unknown")]
    gone = {True: _("still here"), False: _("has left"), None: _("whether still here is unknown")}
    return [
        f"{word('kind', one['kind'])} {one['name'] or one['native_id']} ({one['authority']}, {one['uid']})",
        _("owner %(state)s: %(name)s, %(here)s")
        % {"state": word("owner_state", owner["state"]), "name": owner["name"], "here": gone[owner["active"]]}
        if owner["name"]
        else word("owner_state", owner["state"]),
        _("purpose: %(purpose)s") % {"purpose": row["purpose"] or _("not declared")},
        _("business process: %(process)s") % {"process": row["business_process"] or _("not declared")},
        _("environment: %(environment)s") % {"environment": row["environment"] or _("unknown")},
        _("highest access: %(tier)s") % {"tier": word("worst_tier", one["worst_tier"] or "unknown")},
    ]


def _key(one: Row | None, now: datetime) -> list[str]:
    if one is None:
        return [_("no single credential: all of the identity's are meant")]
    ends = one["expires_at"]
    expiry = _("never expires") if one["no_expiry"] else _("expiry unknown")
    if ends is not None:
        expiry = _("expired on %(day)s") if ends < now else _("expires on %(day)s")
        expiry %= {"day": ends.date().isoformat()}
    enabled = {True: _("enabled"), False: _("disabled"), None: _("whether it is enabled is unknown")}
    return [
        f"{word('type', one['type'])} {one['public_id'] or one['name'] or one['native_id']} ({one['uid']})",
        f"{enabled[one['enabled']]}; {word('presence', one['presence'])}; {expiry}",
        _("created %(created)s; last rotated %(rotated)s")
        % {"created": _when(one["created_at"]), "rotated": _when(one["last_rotated_at"])},
    ]


def _leaked(row: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{one['authority']} {one['location']}"
        + (f":{one['line']}" if one["line"] else "")
        + f"; {word('validity', one['validity'] or 'unknown')}"
        for one in row["exposures"]
    ]
    return lines or [_("nowhere in what was read; code that was not read may hold it")]


def _used(row: Mapping[str, Any], now: datetime) -> list[str]:
    use, last, waiting = row["use"], row["last_used_at"], row["counts"]["events_not_counted_yet"]
    lines = (
        [_("Events that were imported and not counted yet: %(n)s") % {"n": format_number(waiting)}] if waiting else []
    )
    if last is None:
        return [*lines, _("use unknown: no log and no system tells")]
    lines += [
        _("last used %(when)s (days ago: %(n)s)")
        % {"n": format_number(max(0, (now - last).days)), "when": format_instant(last)}
    ]
    if use["events"]:
        lines.append(
            _("%(n)s events in the logs since %(day)s, %(failed)s of them failed")
            % {
                "n": format_number(use["events"]),
                "day": _when(use["first_at"]),
                "failed": format_number(use["failures"] or 0),
            }
        )
    return lines


def _habits(usual: Mapping[str, Sequence[Row]]) -> list[str]:
    lines = [
        f"{word('aspect', aspect)}: "
        + ", ".join(
            _("%(what)s (%(n)s times, %(first)s to %(last)s)")
            % {
                "what": one["value"] or _("unknown"),
                "n": format_number(one["events"]),
                "first": one["first_at"].date().isoformat(),
                "last": one["last_at"].date().isoformat(),
            }
            for one in rows
        )
        for aspect, rows in usual.items()
        if rows
    ]
    return lines or [_("nothing is known of it before: it was never seen, or the logs do not reach so far")]


def _open(row: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{word('severity', one['severity'])}: {one['title']}  [{one['uid']}]"
        for one in (*row["alerts"], *row["findings"])
    ]
    return lines or [_("nothing is open; that says nothing about what could not be read")]


def _depends(row: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{word('confidence', one['confidence'])}: {one['consumer']} [{one['source']}]" for one in row["dependencies"]
    ]
    return [*lines, _("other consumers: unknown")]


def _next(row: Mapping[str, Any]) -> list[str]:
    lines = [f"wardship alerts show {one['uid']}" for one in row["alerts"][:1]]
    if row["identity"]:
        lines.append(f"wardship explain {row['identity']['uid']}")
    return lines or [_("find out who uses it: it acts, and nobody answers for it")]


def _when(instant: datetime | None) -> str:
    return format_instant(instant) if instant else _("unknown")
