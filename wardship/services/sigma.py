"""Our detections as Sigma rules, for whoever judges the same logs elsewhere: one rule a detection and vendor.

Sigma (https://sigmahq.io) looks at one event in the vendor's own words. So a rule says which operations the detection
fires for when nothing but the operation is known; that is found by asking the detection itself about every operation
that the tables of action classes name. What compares with history, counts, or asks for the request cannot be said so,
and is listed with its reason.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wardship.model.errors import ConfigError
from wardship.model.finding import Severity
from wardship.model.policy import Policy
from wardship.sdk.action_class import ActionClasses, Entry, action_classes
from wardship.sdk.detection import TABLES, Detection, example_tables
from wardship.sdk.i18n import N_, _
from wardship.sdk.rule import EXAMPLE_AS_OF, Example
from wardship.services.formats import Column
from wardship.store.engine import DuckDbEngine
from wardship.store.rows import write_tables

HISTORY = N_("it compares with what was usual before, and Sigma looks at one event")
COUNTS = N_("it counts events, and Sigma looks at one event")
REQUEST = N_("it asks for the request or for who acted, which no single field of a log says")

COLUMNS = (
    Column(name="detection", label=N_("Detection")),
    Column(name="rules", label=N_("Rules"), type="integer"),
    Column(name="reason", label=N_("Why not")),
)

_NAMESPACE = uuid.UUID("6f0d3a52-93a1-4c56-9f4e-1d2f6e0b7a11")  # of our rules' ids: the same rule keeps its id
_PART = "This is the part of the detection that needs nothing but the name of the operation."
_LEVELS = {Severity.INFO: "informational"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """How SigmaHQ's rules name a vendor's log and its field of the operation. `failed`: what marks a refused call."""

    source: str
    service: str  # one that the vendor's table covers, where a line is for any
    logsource: Mapping[str, str]
    field: str
    service_field: str | None = None
    failed: Mapping[str, Any] | None = None


_LOGS: Mapping[str, _Log] = {  # vendor's file -> log; from the rules of SigmaHQ, 2026-11
    "aws": _Log(
        source="aws.cloudtrail",
        service="ec2.amazonaws.com",
        logsource={"product": "aws", "service": "cloudtrail"},
        field="eventName",
        service_field="eventSource",
        failed={"errorCode|exists": True},
    ),
    "azure": _Log(
        source="azure.activity",
        service="microsoft.compute",
        logsource={"product": "azure", "service": "activitylogs"},
        field="operationName",
        failed={"status|startswith": "Fail"},
    ),
    "microsoft": _Log(
        source="m365.audit",
        service="azureactivedirectory",
        logsource={"product": "m365", "service": "audit"},
        field="Operation|startswith",
        failed={"ResultStatus|startswith": "Fail"},
    ),
    "google_cloud": _Log(
        source="gcp.audit",
        service="compute.googleapis.com",
        logsource={"product": "gcp", "service": "gcp.audit"},
        field="gcp.audit.method_name",
    ),
    "google_workspace": _Log(
        source="google.workspace",
        service="admin",
        logsource={"product": "gcp", "service": "google_workspace.admin"},
        field="eventName",
    ),
    "github": _Log(
        source="github.audit",
        service="github",
        logsource={"product": "github", "service": "audit"},
        field="action",
    ),
    "gitlab": _Log(
        source="gitlab.audit",
        service="gitlab",
        logsource={"product": "gitlab", "service": "audit"},
        field="event_name",
    ),
    "okta": _Log(
        source="okta.system_log",
        service="okta",
        logsource={"product": "okta", "service": "okta"},
        field="eventtype",
        failed={"outcome.result": "FAILURE"},
    ),
    "slack": _Log(
        source="slack.audit",
        service="slack",
        logsource={"product": "slack", "service": "audit"},
        field="action",
    ),
    "kubernetes": _Log(
        source="kubernetes.audit",
        service="kubernetes",
        logsource={"category": "application", "product": "kubernetes", "service": "audit"},
        field="verb",
        failed={"responseStatus.code|gte": 400},
    ),
    "windows": _Log(
        source="windows.security",
        service="microsoft-windows-security-auditing",
        logsource={"product": "windows", "service": "security"},
        field="EventID",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaRule:
    """One rule. `name` is its file's name without `.yml`."""

    name: str
    detection: str
    content: Mapping[str, Any]

    def text(self) -> str:
        """The rule as a YAML document."""
        return yaml.safe_dump(dict(self.content), sort_keys=False, allow_unicode=True, width=118)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The rules, and the detections that cannot be said in Sigma with their reasons (English message ids)."""

    rules: Sequence[SigmaRule]
    left_out: Mapping[str, str]


def make_pack(detections: Iterable[Detection], folder: Path) -> Pack:
    """The pack of these detections. `folder` takes the tables that they are asked about. Raises Unavailable."""
    classes = action_classes()
    entries = [entry for entry in classes.entries if entry.vendor in _LOGS]
    rules: list[SigmaRule] = []
    left_out: dict[str, str] = {}
    asked = []
    for one in detections:
        if one.compiled.tables != {"event"}:
            left_out[one.id] = HISTORY
        elif "HAVING" in one.query:
            left_out[one.id] = COUNTS
        else:
            asked.append(one)
    fired = _fired(asked, entries, folder)
    for one in asked:
        vendors: dict[str, list[Entry]] = defaultdict(list)
        for entry in fired[one.id]:
            vendors[entry.vendor].append(entry)
        rules += [_rule(one, vendor, vendors[vendor], classes) for vendor in sorted(vendors)]
        if not vendors:
            left_out[one.id] = REQUEST
    return Pack(rules=rules, left_out=left_out)


def write_pack(pack: Pack, folder: Path) -> None:
    """Each rule as a file of its own in `folder`, which is made. Raises ConfigError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rule in pack.rules:
            (folder / f"{rule.name}.yml").write_text(rule.text(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            _("no rule can be written to %(folder)s: %(reason)s") % {"folder": folder, "reason": error.strerror},
            advice=_("name a folder that you may write to"),
        ) from None


def rows(pack: Pack) -> list[dict[str, Any]]:
    """One row a detection: how many rules it became, or why none."""
    counts: dict[str, int] = defaultdict(int)
    for rule in pack.rules:
        counts[rule.detection] += 1
    return [
        {
            "detection": name,
            "rules": counts.get(name, 0),
            "reason": _(pack.left_out[name]) if name in pack.left_out else "",
        }
        for name in sorted({*counts, *pack.left_out})
    ]


def _fired(detections: Sequence[Detection], entries: Sequence[Entry], folder: Path) -> Mapping[str, list[Entry]]:
    """For which of the operations each detection fires when nothing else is known of the event."""
    told = [_event(number, entry) for number, entry in enumerate(entries)]
    example = Example(why="every operation of the tables", facts={"event": told})
    tables = write_tables(folder, {"event": TABLES["event"]}, {"event": example_tables(example)["event"]})
    fired: dict[str, list[Entry]] = {}
    with DuckDbEngine(tables) as engine:
        for one in detections:
            place = one.compiled.columns.index("evidence")
            found = engine.query(one.compiled.sql(), one.compiled.arguments(Policy().parameters(EXAMPLE_AS_OF)))
            numbers = {int(ref.partition("#")[2]) for row in found for ref in str(row[place]).split()}
            fired[one.id] = [entries[number] for number in sorted(numbers)]
    return fired


def _event(number: int, entry: Entry) -> dict[str, Any]:
    log = _LOGS[entry.vendor]
    return {
        "actor_id": str(number),
        "position": number,
        "source": log.source,
        "service": log.service if "*" in entry.service else entry.service,
        "operation": entry.written,
        "action_class": entry.meaning.action_class.value,
        "privileged": entry.meaning.privileged,
        "mutating": None,
    }


def _rule(detection: Detection, vendor: str, entries: Sequence[Entry], classes: ActionClasses) -> SigmaRule:
    log = _LOGS[vendor]
    described = next(one for one in classes.vendors if one.name == vendor)
    name = f"{detection.id}_{vendor}"
    partly = "detail" in detection.compiled.uses["event"]
    selections = dict(_selections(entries, log))
    condition = "1 of selection_*"
    if log.failed:
        condition += " and not filter_failed"
    content: dict[str, Any] = {
        "title": f"{detection.title} ({described.title})",
        "id": str(uuid.uuid5(_NAMESPACE, name)),
        "status": "experimental",
        "description": " ".join([detection.rationale, *([_PART] if partly else [])]),
        "references": [described.source],
        "author": "Wardship",
        "date": described.date.isoformat(),
        "tags": [f"attack.{technique.lower()}" for technique in detection.attack],
        "logsource": dict(log.logsource),
        "detection": {
            **selections,
            **({"filter_failed": dict(log.failed)} if log.failed else {}),
            "condition": condition,
        },
        "falsepositives": list(detection.limits),
        "level": _LEVELS.get(detection.severity, detection.severity.value),
    }
    return SigmaRule(name=name, detection=detection.id, content=content)


def _selections(entries: Sequence[Entry], log: _Log) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The operations by service; of Kubernetes by verb and resource, which its log has in fields of their own."""
    if log.field == "verb":
        resources: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            verb, _space, resource = entry.written.partition(" ")
            if resource:
                resources[resource].append(verb)
        for number, (resource, verbs) in enumerate(sorted(resources.items()), 1):
            name, _slash, part = resource.partition("/")
            said: dict[str, Any] = {"verb": sorted(set(verbs)), "objectRef.resource": name}
            yield f"selection_{number}", {**said, **({"objectRef.subresource": part} if part else {})}
        return
    services: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        services[entry.service if log.service_field else "*"].append(entry.written)
    for number, (service, names) in enumerate(sorted(services.items()), 1):
        named = {log.service_field: service} if log.service_field and "*" not in service else {}
        values = [int(one) if one.isdecimal() else one for one in sorted(set(names))]
        yield f"selection_{number}", {**named, log.field: values}
