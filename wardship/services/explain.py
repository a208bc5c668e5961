"""Why a finding is there and what to do about it; and the whole story of one identity.

The answer is a list of sections, each with its lines, in the language in force: a terminal, a page or an assistant
shows them in its own way. What a later capability will tell is said to be not evaluated yet; what is not known is
called unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from wardship.sdk import registry
from wardship.sdk.i18n import N_, _, format_instant, format_number
from wardship.sdk.rule import Rule
from wardship.sdk.words import word
from wardship.services import findings, inventory, listings, plain
from wardship.services.findings import Explanation, ToDo
from wardship.services.formats import Column
from wardship.services.inventory import Detail
from wardship.services.reading import Facts
from wardship.services.story import Section, Story
from wardship.store.db import Database

COLUMNS = (Column(name="section", label=N_("Section")), Column(name="text", label=N_("Text")))
RuleOf = Callable[[str], Rule | None]
"""Gives the rule of an id; None where it is not here."""
_MOST_GRANTS = 25
_MOST_CONSUMERS = 25


def explain(
    db: Database, facts: Facts, wanted: str, *, rule_of: RuleOf, now: datetime, plugins: Sequence[str] = ()
) -> Story:
    """The story of a finding (by id), of a secret (by id), else of the identity that `wanted` names.

    Raises ConfigError for none of them.
    """
    if wanted.startswith("fi_"):
        return finding(db, facts, wanted, rule_of, now)
    if wanted.startswith(("se_", "ex_")):
        from wardship.services import leaks  # it tells in this module's words

        return leaks.story(facts, wanted)
    return identity(db, facts, inventory.find(facts, wanted), rule_of=rule_of, now=now, plugins=plugins)


def finding(db: Database, facts: Facts, uid: str, rule_of: RuleOf, now: datetime) -> Story:
    """Everything about one finding. Raises ConfigError for an unknown id."""
    told = findings.explain(db, uid, rule_of)
    detail = (
        inventory.detail(facts, told.identity_uid) if told.identity_uid and _known(facts, told.identity_uid) else None
    )
    sections = [
        Section(id="what", title=_("In one sentence"), lines=[told.sentence]),
        Section(id="why", title=_("Why it matters"), lines=[told.rationale]),
        Section(id="facts", title=_("Facts used"), lines=_facts_used(told)),
        Section(
            id="confidence",
            title=_("Confidence, and what would change it"),
            lines=[
                word("confidence", told.confidence),
                *(_("would change with: %(what)s") % {"what": one} for one in told.would_change),
            ],
        ),
    ]
    if detail:
        sections += _context(detail, now)
    sections += _what_to_do(told)
    sections += [
        Section(
            id="controls",
            title=_("Controls"),
            lines=[f"{one.framework} {one.id}: {one.title}" for one in told.controls],
        ),
        Section(id="limits", title=_("What this rule cannot see"), lines=told.limits),
        Section(id="history", title=_("History"), lines=_history(told)),
    ]
    subject, system = listings.Names(facts).of(told.subject_family, told.subject_uid, told.identity_uid)
    summary = _("%(severity)s; %(state)s; due %(due)s; %(system)s; rule %(rule)s, version %(version)s") % {
        "severity": word("severity", told.severity),
        "state": word("state", told.state),
        "due": told.due_on.isoformat() if told.due_on else _("without a date"),
        "system": system,
        "rule": told.rule,
        "version": told.rule_version,
    }
    return Story(title=f"{told.title}: {subject}", summary=summary, sections=sections)


def identity(
    db: Database, facts: Facts, uid: str, *, rule_of: RuleOf, now: datetime, plugins: Sequence[str] = ()
) -> Story:
    """The whole story of one identity: what is wrong with it, what it may do, who answers, what breaks, what to do."""
    detail = inventory.detail(facts, uid)
    one = detail.identity
    found = list(listings.findings(db, facts, identity_uid=uid))
    known = {name: rule_of(name) for name in {row["rule"] for row in found}}
    flagged = [
        f"{word('severity', row['severity'])}: {_sentence(known[row['rule']], row)}  [{row['uid']}]" for row in found
    ]
    sections = [
        Section(id="what", title=_("What it is"), lines=_what(detail)),
        Section(
            id="flagged",
            title=_("Why it is flagged"),
            lines=flagged or [_("No open finding. That says nothing about what could not be read.")],
        ),
        Section(id="credentials", title=_("Credentials"), lines=_credentials(detail, now)),
        Section(id="exposures", title=_("Where its secrets stand and should not"), lines=_exposures(detail)),
        *_context(detail, now),
    ]
    worst = next((row for row in found if known[row["rule"]]), None)
    if worst:
        sections += _what_to_do(findings.explain(db, worst["uid"], known.get))
    sections.append(Section(id="coverage", title=_("What could not be read"), lines=_unread(detail, plugins)))
    sections.append(
        Section(
            id="evidence",
            title=_("Evidence"),
            lines=[
                _("facts of snapshot %(id)s, as of %(when)s")
                % {"id": facts.snapshot_id, "when": _when(facts.snapshot.as_of if facts.snapshot else None)},
                *(_("more about one finding: wardship explain %(id)s") % {"id": row["uid"]} for row in found[:1]),
            ],
        )
    )
    summary = ", ".join(
        (
            word("kind", one["kind"]),
            _system(detail),
            _("%(n)s open findings") % {"n": len(found)},
            _owner_summary(one),
        )
    )
    return Story(title=one["name"] or one["native_id"], summary=summary, sections=sections)


# ------------------------------------------------------------------ the parts


def _known(facts: Facts, uid: str) -> bool:
    return next(facts.rows("SELECT uid FROM identity WHERE uid = ?", [uid]), None) is not None


def _sentence(rule: Rule | None, row: Mapping[str, Any]) -> str:
    return (
        findings.sentence(rule, row["facts"])
        if rule
        else _("the rule %(rule)s of this finding is not here") % {"rule": row["rule"]}
    )


def _context(detail: Detail, now: datetime) -> list[Section]:
    """What the identity may do, who answers for it, who uses it, and what breaks."""
    return [
        Section(id="reach", title=_("What it may do"), lines=_reach(detail)),
        Section(id="owner", title=_("Who answers for it"), lines=_owners(detail, now)),
        Section(id="consumers", title=_("Who uses it"), lines=_consumers(detail, now)),
        Section(id="verdicts", title=_("May it be called unused?"), lines=_verdicts(detail)),
        Section(id="breaks", title=_("What breaks if it is taken away"), lines=_breaks(detail, now)),
    ]


def _facts_used(told: Explanation) -> list[str]:
    lines = [f"{fact.name} = {_value(fact.name, fact.value)}" for fact in told.facts]
    lines.append(
        _("from %(tables)s, as of %(when)s; snapshot (hash of the rows) %(id)s")
        % {"tables": ", ".join(told.facts_source), "when": _when(told.facts_as_of), "id": told.snapshot_id}
    )
    return lines


def _value(name: str, value: Any) -> str:
    if value is None:
        return _("unknown")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, str):
        return word(name, value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _system(detail: Detail) -> str:
    name = detail.system["name"] if detail.system else None
    return f"{name} ({detail.identity['authority']})" if name else str(detail.identity["authority"])


def _what(detail: Detail) -> list[str]:
    one = detail.identity
    lines = [
        _("%(kind)s in %(system)s, id %(id)s")
        % {"kind": word("kind", one["kind"]), "system": _system(detail), "id": one["native_id"]},
        _("standing: %(standing)s; %(presence)s; enabled: %(enabled)s")
        % {
            "standing": word("standing", one["standing"]),
            "presence": word("presence", one["presence"]),
            "enabled": _yes_no(one["enabled"]),
        },
        _("created %(created)s; first seen %(seen)s")
        % {"created": _when(one["created_at"]), "seen": _when(one["first_seen_at"])},
        _("purpose: %(purpose)s; criticality: %(criticality)s")
        % {
            "purpose": one["purpose"] or _("not declared"),
            "criticality": word("criticality", one["criticality"]) if one["criticality"] else _("not declared"),
        },
        _("business process: %(process)s") % {"process": one["business_process"] or _("not declared")},
        _("environment: %(environment)s") % {"environment": one["environment"] or _("unknown")},
    ]
    if len(detail.parts) > 1:
        lines.append(_("joined from %(n)d records by exact ids:") % {"n": len(detail.parts)})
        lines += [f"  {part['authority']}  {part['native_id']}  ({part['uid']})" for part in detail.parts]
    return lines


def _reach(detail: Detail) -> list[str]:
    lines = [plain.grant(row) for row in detail.grants[:_MOST_GRANTS] if row["presence"] != "gone"]
    if len(detail.grants) > _MOST_GRANTS:
        lines.append(_("and %(n)d more grants: `wardship export grants`") % {"n": len(detail.grants) - _MOST_GRANTS})
    for row in detail.grants[:_MOST_GRANTS]:
        if row["granted_at"] or row["granted_by"]:
            lines.append(
                _("consented or granted on %(when)s by %(who)s")
                % {"when": _when(row["granted_at"]), "who": row["granted_by"] or _("unknown")}
            )
            break
    lines = lines or [_("no grant was read")]
    return [*lines, _("what it reaches through others (blast radius): not evaluated yet")]


def _credentials(detail: Detail, now: datetime) -> list[str]:
    lines = []
    for row in detail.credentials:
        name = row["name"] or row["public_id"] or row["native_id"]
        parts = [f"{word('type', row['type'])} {name}", _age(row, now), _expiry(row, now), _use(row, now)]
        if row["enabled"] is False:
            parts.append(_("disabled"))
        if row["presence"] != "present":
            parts.append(word("presence", row["presence"]))
        lines.append("; ".join(parts))
    return lines or [_("no credential was read")]


def _exposures(detail: Detail) -> list[str]:
    lines = [
        f"{row['authority']} {row['location']}"
        + (f":{row['line']}" if row["line"] else "")
        + "; "
        + (_("in the history only") if row["in_head"] is False else _("there now"))
        + "; "
        + _("more: wardship secrets show %(uid)s") % {"uid": row["secret_uid"] or row["uid"]}
        for row in detail.exposures[:_MOST_CONSUMERS]
    ]
    return lines or [_("nowhere in what was read; code that was not read may hold them")]


def _age(row: Mapping[str, Any], now: datetime) -> str:
    since = row["last_rotated_at"] or row["created_at"]
    if since is None:
        return _("age unknown")
    return _("%(n)s days old (since %(day)s)") % {
        "n": format_number((now - since).days),
        "day": since.date().isoformat(),
    }


def _expiry(row: Mapping[str, Any], now: datetime) -> str:
    if row["expires_at"] is not None:
        day = row["expires_at"].date().isoformat()
        return (
            _("expired on %(day)s") % {"day": day}
            if row["expires_at"] < now
            else _("expires on %(day)s") % {"day": day}
        )
    return _("never expires") if row["no_expiry"] else _("expiry unknown")


def _use(row: Mapping[str, Any], now: datetime) -> str:
    """What is known of use; an unknown use is said to be unknown, with the reason."""
    if row["use_state"] == "used" and row["last_used_at"] is not None:
        said = _("last used %(n)s days ago (%(day)s)") % {
            "n": format_number((now - row["last_used_at"]).days),
            "day": row["last_used_at"].date().isoformat(),
        }
    elif row["use_state"] == "never":
        since = row["use_since"]
        said = (
            _("never used since %(day)s") % {"day": since.date().isoformat()}
            if since
            else _("never used, says the source")
        )
    else:
        said = _("use unknown")
    return f"{said} [{row['use_source']}]" if row["use_source"] else said


def _owners(detail: Detail, now: datetime) -> list[str]:
    one = detail.identity
    lines = [_owner_summary(one)]
    for row in detail.owners:
        if row["person_uid"] is None:
            who = _("names nobody known to the directory")
        elif row["person_active"] is False:
            who = _("%(name)s, who has left") % {"name": row["person_name"]}
        elif row["person_active"] is None:
            who = _("%(name)s; whether that person is still here is unknown") % {"name": row["person_name"]}
        else:
            who = _("%(name)s, active") % {"name": row["person_name"]}
        lines.append(
            _("%(state)s by %(source)s: %(claim)s (%(who)s)")
            % {"state": word("owner_state", row["state"]), "source": row["source"], "claim": row["claim"], "who": who}
        )
    if one["supplier_name"]:
        lines.append(_supplier(one, now.date()))
    return lines


def _owner_summary(one: Mapping[str, Any]) -> str:
    if one["owner_state"] in ("attested", "suggested", "lapsed"):
        if one["owner_active"] is False:
            return _("no living owner: %(name)s has left") % {"name": one["owner_name"]}
        return _("owner %(state)s: %(name)s") % {
            "state": word("owner_state", one["owner_state"]),
            "name": one["owner_name"],
        }
    if one["owner_state"] == "unresolved":
        return _("no owner: the claims name nobody known")
    return _("no owner")


def _supplier(one: Mapping[str, Any], today: date) -> str:
    end = one["supplier_contract_end_on"]
    if one["supplier_uid"] is None:
        return _("supplier %(name)s, which is not in the register of suppliers") % {"name": one["supplier_name"]}
    if end is None:
        return _("supplier %(name)s; the end of the contract is not known") % {"name": one["supplier_name"]}
    if end < today:
        return _("supplier %(name)s, whose contract ended on %(day)s, %(n)s days ago") % {
            "name": one["supplier_name"],
            "day": end.isoformat(),
            "n": format_number((today - end).days),
        }
    return _("supplier %(name)s, under contract until %(day)s") % {"name": one["supplier_name"], "day": end.isoformat()}


def _consumers(detail: Detail, now: datetime) -> list[str]:
    lines = [_("the identity itself: %(use)s") % {"use": _use(detail.identity, now)}]
    sources: dict[tuple[str, str], list[str]] = {}
    for row in detail.consumers:
        sources.setdefault((row["confidence"], row["consumer"]), []).append(row["source"])
    lines += [
        f"{word('confidence', confidence)}: {consumer} [{', '.join(known_by)}]"
        for (confidence, consumer), known_by in list(sources.items())[:_MOST_CONSUMERS]
    ]
    if len(sources) > _MOST_CONSUMERS:
        more = len(sources) - _MOST_CONSUMERS
        lines.append(_("and %(n)d more: `wardship export dependencies`") % {"n": more})
    lines += [
        _("inferred: what runs with %(place)s, where its secret stands")
        % {"place": f"{row['authority']} {row['location']}"}
        for row in detail.exposures[:_MOST_CONSUMERS]
        if row["in_head"] is not False
    ]
    return [*lines, *_others(detail)]


def _others(detail: Detail) -> list[str]:
    """Whom the logs have not shown: said for the days that they hold, never beyond, nor of what they leave out."""
    if not detail.logs:
        return [_("other consumers: unknown; no log of its system was read")]
    lines = []
    for row in detail.logs:
        told = {
            "log": row["source"],
            "first": row["first_on"].isoformat(),
            "last": row["last_on"].isoformat(),
            "missing": format_number(row["hole_days"]),
        }
        if row["reads"] is False or row["data_events"] is False or row["missing_parts"]:
            text = _(
                "other consumers: unknown; %(log)s from %(first)s to %(last)s (days missing: %(missing)s)"
                " does not hold every use"
            )
        else:
            text = _(
                "other consumers: none that came back in %(log)s from %(first)s to %(last)s (days missing: %(missing)s)"
            )
        lines.append(text % told)
    return lines


def _verdicts(detail: Detail) -> list[str]:
    if not detail.verdicts:
        return [_("it is gone: nothing is asked of its use")]
    lines = []
    for row in detail.verdicts[:_MOST_CONSUMERS]:
        what = _("the identity itself") if row["family"] == "identity" else row["name"] or row["subject_uid"]
        told = {"what": what, "verdict": word("verdict", row["verdict"]), "why": word("reason", row["reason"])}
        lines.append(
            _("%(what)s: %(verdict)s; %(why)s; watched %(covered)s of %(needed)s days since %(day)s")
            % {
                **told,
                "covered": format_number(row["covered_days"]),
                "needed": format_number(row["needed_days"]),
                "day": row["needed_from_on"].isoformat(),
            }
        )
    return lines


def _breaks(detail: Detail, now: datetime) -> list[str]:
    one = detail.identity
    if one["use_state"] == "used" and one["last_used_at"] is not None:
        days = (now - one["last_used_at"]).days
        lines = [
            _("something used it %(n)s days ago and will stop working; who that is, is unknown")
            % {"n": format_number(days)}
        ]
    elif one["use_state"] == "never":
        lines = [_("no source has seen it used; what nobody logs may still depend on it")]
    else:
        lines = [_("nobody can tell: whether it is in use is unknown")]
    return [*lines, _("disable it first (that can be undone), watch for failures, and delete it only afterwards")]


def _what_to_do(told: Explanation) -> list[Section]:
    return [
        Section(id="steps", title=_("What to do"), lines=_steps(told.remediation)),
        Section(id="verify", title=_("How to verify it"), lines=_steps(told.verification)),
        Section(id="undo", title=_("How to undo it"), lines=_steps(told.rollback)),
    ]


def _steps(todo: Sequence[ToDo]) -> list[str]:
    """Numbered steps with their commands; a command's lines begin with three spaces."""
    lines = []
    for number, step in enumerate(todo, 1):
        back = _("reversible") if step.reversible else _("NOT reversible")
        lines.append(f"{number}. {step.text} ({way(step.way)}; {back})")
        if step.command:
            lines += [f"   {line}" for line in step.command.strip().splitlines()]
    return lines


def way(name: str) -> str:
    """How a step is done, in words."""
    return {"cli": _("command line"), "portal": _("portal"), "terraform": "Terraform", "decide": _("a decision")}[name]


def _history(told: Explanation) -> list[str]:
    lines = [
        f"{format_instant(event.recorded_at)}  {event.change}, {word('severity', event.severity)}"
        + (f": {event.reason}" if event.reason else "")
        for event in told.history
    ]
    return [*lines, _("decisions by people (claims, exceptions): none recorded yet")]


def _unread(detail: Detail, plugins: Sequence[str]) -> list[str]:
    lines = []
    for row in detail.coverage:
        if row["status"] != "complete":
            need = (
                _("needs %(permission)s") % {"permission": row["missing_permission"]}
                if row["missing_permission"]
                else word("reason", row["reason"] or "unknown")
            )
            lines.append(f"{row['kind']}: {word('status', row['status'])}; {need}")
    lines = lines or [_("every area of its systems was read completely")]
    connectors = sorted({row["connector"] for row in detail.coverage} & set(registry.connector_names(plugins)))
    for name in connectors:
        lines += [
            _("blind spot: %(text)s") % {"text": _(spot.text)} for spot in registry.manifest(name, plugins).blind_spots
        ]
    return lines


def _when(instant: datetime | None) -> str:
    return format_instant(instant) if instant else _("unknown")


def _yes_no(value: bool | None) -> str:
    return _("unknown") if value is None else _("yes") if value else _("no")
