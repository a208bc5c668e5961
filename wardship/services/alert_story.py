"""One alert with everything needed to dare to act: what was seen and where it is written, what was usual before, who
answers for the identity, what changed on it lately, what breaks, and what to do.

What is not known is said as not known.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wardship.model.alert import AlertState
from wardship.sdk.detection import Detection
from wardship.sdk.i18n import N_, _, format_instant, format_number
from wardship.sdk.rule import Way, fill, fill_command
from wardship.sdk.words import word
from wardship.services import alerts, explain, usage
from wardship.services.formats import Row
from wardship.services.reading import Facts
from wardship.services.story import Section, Story
from wardship.services.usage import Subject
from wardship.store import tables, telemetry_tables
from wardship.store.db import Database
from wardship.store.engine import DuckDbEngine
from wardship.store.telemetry import activity_table
from wardship.store.workspace import Workspace

MOST_CHANGES = 10
_MOST_SIGNALS = 25
_MOST_PLACES = 5
_MOST_HABITS = 5
_EVENT = ("input", "position", "time", "operation", "resource_name", "resource_id", "outcome", "outcome_code",
          "src_ip", "src_asn", "src_country", "user_agent")  # fmt: skip
_EVENTS = (
    f"SELECT {', '.join(_EVENT)} FROM activity"  # noqa: S608 - our own names; the places are parameters
    " WHERE (input, position) IN (SELECT unnest($inputs), unnest($positions))"
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", re.ASCII)  # as facts keep one
_INPUT = re.compile(r"\d{1,18}", re.ASCII)
_HELD = ("credential", "grant", "owner")
_REASONS = {
    "provisioner": N_("counts less: it is a provisioning tool (%(what)s)"),
    "change_window": N_("counts less: a change was announced (%(what)s)"),
    "young_baseline": N_("counts less: watched for only %(what)s days"),
}
_PICTURE = (  # column of actor_baseline, what a person calls it
    ("active_days", N_("days with activity: %(value)s")),
    ("median_events", N_("events on a usual day: %(value)s")),
    ("rhythm", N_("rhythm: %(value)s")),
    ("longest_gap_days", N_("longest silence, in days: %(value)s")),
    ("countries", N_("countries: %(value)s")),
    ("networks", N_("networks: %(value)s")),
    ("agents", N_("programs: %(value)s")),
    ("services", N_("services: %(value)s")),
    ("actions", N_("different actions: %(value)s")),
    ("failure_rate", N_("share that fails: %(value)s")),
    ("off_hours_share", N_("share outside its usual hours: %(value)s")),
)
_COUNTED = ("countries", "networks", "agents", "services", "actions")  # 0 of them: the log did not tell
_DAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))


def story(ws: Workspace, facts: Facts, uid: str, detections: Sequence[Detection], now: datetime) -> Story:
    """Everything about one alert. Raises ConfigError for an unknown id."""
    one = alerts.alert(ws.db, uid)
    seen = list(alerts.signals(ws, facts, alert=uid))
    seen.sort(key=lambda row: (-row["chance"], row["detection"], row["fold"]))
    catalogue = {detection.id: detection for detection in detections}
    identity = one["identity_uid"]
    known = _identity(ws.db, facts, identity, now)
    sections = [
        Section(id="signals", title=_("What was seen"), lines=_signals(seen, catalogue)),
        Section(id="evidence", title=_("The events, and where they are written"), lines=_evidence(ws, one, seen)),
        Section(id="baseline", title=_("What was usual before"), lines=_baseline(ws, one, seen)),
        *_parts(known, "what", "owner"),
        Section(id="changes", title=_("What changed on it lately"), lines=changes(ws.db, identity)),
        *_parts(known, "credentials", "exposures", "consumers", "breaks"),
        Section(id="steps", title=_("What to do"), lines=_steps(seen, catalogue)),
        Section(id="limits", title=_("What these detections cannot see"), lines=_limits(seen, catalogue)),
        Section(id="decision", title=_("Decision"), lines=_decision(one)),
        Section(id="links", title=_("More"), lines=_links(one)),
    ]
    title = catalogue[one["title"]].title if one["title"] in catalogue else one["title"]
    name = known.title if known else one["actor_name"] or one["actor_id"]
    summary = _("%(severity)s, score %(score)s; %(state)s; criticality %(criticality)s; %(first)s to %(last)s") % {
        "severity": word("severity", one["severity"]),
        "score": one["score"],
        "state": word("state", one["state"]),
        "criticality": word("criticality", one["criticality"]) if one["criticality"] else _("not declared"),
        "first": format_instant(one["first_at"]),
        "last": format_instant(one["last_at"]),
    }
    return Story(title=f"{_(title)}: {name}", summary=summary, sections=sections)


def _identity(db: Database, facts: Facts, uid: str | None, now: datetime) -> Story | None:
    if uid is None or next(facts.rows("SELECT uid FROM identity WHERE uid = ?", [uid]), None) is None:
        return None
    return explain.identity(db, facts, uid, rule_of=lambda _rule: None, now=now)


def _parts(known: Story | None, *wanted: str) -> list[Section]:
    """Those sections of the identity's story; where it is not in the inventory, that is said once."""
    if known is None:
        said = _("the inventory does not know it: owner, purpose and criticality are unknown")
        return [Section(id="what", title=_("What it is"), lines=[said])] if "what" in wanted else []
    return [section for section in known.sections if section.id in wanted]


def sentence(row: Row, detection: Detection | None) -> str:
    """A signal in one sentence; the id of its detection where that is not here any more."""
    if detection is None:
        return _("the detection %(id)s of this signal is not here") % {"id": row["detection"]}
    said = {name: _said(name, value) for name, value in {**row, **row["facts"]}.items()}
    return fill(_(detection.sentence), said, unknown=_("unknown"))


def _said(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        with contextlib.suppress(ValueError):  # it was text of the log after all
            return format_instant(datetime.fromisoformat(value))
    if isinstance(value, float):
        return format_number(round(value, 2))
    return word(name, value) if isinstance(value, str) else value


def _signals(seen: Sequence[Row], catalogue: Mapping[str, Detection]) -> list[str]:
    lines = []
    for row in seen[:_MOST_SIGNALS]:
        times = _("events: %(n)s") % {"n": format_number(row["events"])}
        points = _("counts %(points)s of 100") % {"points": format_number(round(100 * row["chance"]))}
        said = [sentence(row, catalogue.get(row["detection"])), times, points, word("confidence", row["confidence"])]
        lines.append("; ".join([*said, *map(reason, row["reasons"])]) + f"  [{row['detection']}]")
    if len(seen) > _MOST_SIGNALS:
        lines.append(_("and %(n)d more: `wardship alerts list --signals`") % {"n": len(seen) - _MOST_SIGNALS})
    return lines


def reason(code: str) -> str:
    """Why a signal counts less, in the language in force."""
    kind, _sign, what = code.partition(":")
    return _(_REASONS[kind]) % {"what": what} if kind in _REASONS else code


def _evidence(ws: Workspace, one: Row, seen: Sequence[Row]) -> list[str]:
    """Events of each signal as the log has them, the first first; those that are not kept any more by their place."""
    places = list(dict.fromkeys(place for row in seen[:_MOST_SIGNALS] for place in row["evidence"][:_MOST_PLACES]))
    split = {place: place.partition("#") for place in places}
    known = [p for p, (number, _sharp, at) in split.items() if _INPUT.fullmatch(number) and _INPUT.fullmatch(at)]
    names = _inputs(ws.db, {int(split[place][0]) for place in known})
    events = _events(ws, one, [(int(split[place][0]), int(split[place][2])) for place in known])
    lines = []
    for place, (number, _sharp, position) in split.items():
        told = _event(events[place]) + "; " if place in events else ""
        lines.append(
            told
            + _("record %(position)s of %(log)s  [%(place)s]")
            % {"position": position, "log": names.get(number) or _("a log that is not registered"), "place": place}
        )
    return sorted(lines) or [_("no place of a raw record is known")]  # an instant comes first, if it is known


def _inputs(db: Database, numbers: Iterable[int]) -> dict[str, str]:
    table = telemetry_tables.telemetry_input
    with db.read() as conn:
        found = conn.execute(sa.select(table.c.id, table.c.source, table.c.name).where(table.c.id.in_(numbers)))
        return {str(row.id): f"{row.source} {row.name}" for row in found}


def _events(ws: Workspace, one: Row, places: Sequence[tuple[int, int]]) -> dict[str, Row]:
    """The events of these records (input, position) by their place; only those that are still kept."""
    within = {"since": one["first_at"], "until": one["last_at"] + timedelta(seconds=1)}
    table = activity_table(ws.db, ws.activity, **within)
    asked = {"inputs": [number for number, _at in places], "positions": [at for _number, at in places]}
    with DuckDbEngine([table]) as engine:
        found = [dict(zip(_EVENT, row, strict=True)) for row in engine.query(_EVENTS, asked)]
    return {f"{row['input']}#{row['position']}": row for row in found}


def _event(row: Row) -> str:
    source = " ".join(
        str(part)
        for part in (row["src_ip"], row["src_asn"] and f"AS{row['src_asn']}", row["src_country"])
        if part is not None
    )
    said = {
        "when": f"{row['time']:%Y-%m-%d %H:%M:%S} UTC",
        "operation": row["operation"] or _("unknown"),
        "resource": row["resource_name"] or row["resource_id"] or "-",
        "outcome": " ".join(filter(None, (word("outcome", row["outcome"] or "unknown"), row["outcome_code"]))),
        "source": source or _("unknown"),
        "agent": row["user_agent"] or _("unknown"),
    }
    return _("%(when)s  %(operation)s %(resource)s: %(outcome)s; from %(source)s, program %(agent)s") % said


def _baseline(ws: Workspace, one: Row, seen: Sequence[Row]) -> list[str]:
    lines = picture(json.loads(one["baseline"]) if one["baseline"] else None)
    subject = Subject(name="", actors=((one["authority"], one["actor_id"]),))
    habits: dict[str, list[str]] = {"network": [], "agent": []}
    for row in usage.rows(usage.current(ws), subject, by=tuple(habits), most=_MOST_HABITS):
        if row["value"] and row["first_at"] < one["first_at"]:
            habits[row["aspect"]].append(
                _("%(what)s (%(n)s times, last %(last)s)")
                % {
                    "what": row["value"],
                    "n": format_number(row["events"]),
                    "last": format_instant(row["last_at"]),
                }
            )
    lines += [f"{word('aspect', aspect)}: {', '.join(said)}" for aspect, said in habits.items() if said]
    events = max((row["events"] for row in seen), default=0)
    return [*lines, _("events in this alert: at least %(n)s") % {"n": format_number(events)}]


def picture(row: Mapping[str, Any] | None) -> list[str]:
    """What was usual for an actor, line by line; None: nothing is known."""
    if row is None:
        return [_("nothing is known of it before: it was never seen, or the logs do not reach so far")]
    lines = []
    for name, text in _PICTURE:
        value = row.get(name)
        known = value is not None and not (name in _COUNTED and value == 0)
        lines.append(_(text) % {"value": _said(name, value) if known else _("unknown")})
    if row.get("hours"):
        lines.append(_("usual hours (UTC): %(hours)s") % {"hours": usual_hours(row["hours"])})
    if not row.get("mature"):
        lines.insert(0, _("too little is known to call anything unusual"))
    return lines


def usual_hours(hours: str) -> str:
    """`hours` of an actor's baseline in words: "Mon-Fri 02-04, 14-15; Sat 09-10"; an hour is named by its beginning and
    its end. Days that are alike and follow each other are one."""
    days: list[tuple[str, list[str]]] = []
    for place, name in enumerate(_DAYS):
        usual = [hour for hour in range(24) if hours[24 * place + hour] != "0"]
        starts = [hour for hour in usual if hour - 1 not in usual]
        ends = [hour + 1 for hour in usual if hour + 1 not in usual]
        said = ", ".join(f"{start:02}-{end:02}" for start, end in zip(starts, ends, strict=True))
        if days and days[-1][0] == said:
            days[-1][1].append(_(name))
        else:
            days.append((said, [_(name)]))
    return "; ".join(f"{'-'.join(dict.fromkeys((names[0], names[-1])))} {said}" for said, names in days if said) or "-"


def changes(db: Database, uid: str | None) -> list[str]:
    """The newest changes of an identity and of what belongs to it, newest first."""
    if uid is None:
        return [_("unknown: it is not in the inventory")]
    found: list[tuple[datetime, str]] = []
    with db.read() as conn:
        for family in ("identity", *_HELD):
            version = tables.VERSION[family]
            owner = version.c.uid if family == "identity" else version.c.holder_uid
            query = sa.select(version).where(owner == uid).order_by(version.c.id.desc()).limit(MOST_CHANGES)
            for row in conn.execute(query).mappings():
                name = row.get("name") or row.get("permission") or row.get("claim") or row.get("native_id") or ""
                said = f"{word('family', family)} {name}: {word('change', row['change'])}"
                found.append((row["valid_from"], said))
    found.sort(key=lambda each: each[0], reverse=True)
    lines = [f"{format_instant(at)}  {said}" for at, said in found[:MOST_CHANGES]]
    return lines or [_("no change was recorded")]


def _steps(seen: Sequence[Row], catalogue: Mapping[str, Detection]) -> list[str]:
    """The steps of the detections, strongest first, each once; a command's lines begin with three spaces."""
    steps: dict[str, tuple[str, str | None]] = {}
    for row in seen:
        detection = catalogue.get(row["detection"])
        connector = row["authority"].partition(":")[0]
        for step in detection.what_to_do if detection else ():
            if step.connector in (None, connector):
                how = explain.way(Way(step.way).value)
                back = _("reversible") if step.reversible else _("NOT reversible")
                facts = {**row, **row["facts"]}
                steps.setdefault(_(step.text), (f"({how}; {back})", fill_command(step, facts)))
    lines = []
    for number, (text, (how, command)) in enumerate(steps.items(), 1):
        lines.append(f"{number}. {text} {how}")
        lines += [f"   {line}" for line in (command or "").strip().splitlines()]
    return lines or [_("its detections are not here: find out from the owner whether this was meant")]


def _limits(seen: Sequence[Row], catalogue: Mapping[str, Detection]) -> list[str]:
    named = [catalogue[row["detection"]] for row in seen if row["detection"] in catalogue]
    return list(dict.fromkeys(_(text) for detection in named for text in detection.limits)) or [_("unknown")]


def _decision(one: Row) -> list[str]:
    if one["decided_by"] is None:
        return [_("nobody has decided anything yet")]
    said = f"{word('state', one['state'])}: {one['reason']} ({one['decided_by']}, {format_instant(one['changed_at'])})"
    until = one["until_at"]
    return [said, _("until %(when)s") % {"when": format_instant(until.astimezone(UTC))}] if until else [said]


def _links(one: Row) -> list[str]:
    uid = one["uid"]
    ways = {
        AlertState.OPEN.value: [
            f"wardship alerts expected {uid} --until YYYY-MM-DD --reason TEXT",
            f"wardship alerts close {uid} --reason TEXT",
        ],
        AlertState.EXPECTED.value: [f"wardship alerts unexpected {uid} --reason TEXT"],
        AlertState.CLOSED.value: [f"wardship alerts reopen {uid} --reason TEXT"],
    }
    known = one["identity_uid"]
    return [*([f"wardship explain {known}", f"wardship lookup {known}"] if known else []), *ways[one["state"]]]
