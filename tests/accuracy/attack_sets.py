"""How detections are held against events that others recorded or wrote: one measure for attacks and for rule tests.

A *case* is a few raw records that belong together: one detonation of a technique, or one test event of a rule. All
cases go through the real way: the source that claims a record parses it, the activities become the table `event`, and
every detection asks it once. Cases cannot meet: each has authorities and accounts of its own. There is no history, so
what needs a baseline stays silent.

What authors cut from a record is put back in the smallest way, and said: a time where there is none, the words of a
shape that one author's own pipeline renamed (`_completed`).
"""

from __future__ import annotations

import csv
import io
import ipaddress
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from tests.accuracy.activity_sets import members
from tests.activities import write_activities
from wardship.analysis import event
from wardship.model.activity import ACTIVITY, EARLIEST, Activity
from wardship.model.errors import DataError
from wardship.model.facts import FACTS
from wardship.model.policy import Policy
from wardship.sdk.action_class import ACTION_CLASS, action_classes
from wardship.sdk.connector import DriftLog
from wardship.sdk.detection import EVENT, OTHERS, TABLES, Detection
from wardship.sdk.registry import source, source_names
from wardship.store.engine import DuckDbEngine, Table
from wardship.store.rows import write_tables

ALERT = Policy().alert_percent["low"]
"""A detection whose hit alone weighs so much makes an alert at first sight."""
WHEN = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
"""The time of records whose authors left it out."""


@dataclass(slots=True)
class Case:
    """Raw records that belong together, and what came of them."""

    name: str
    platform: str
    records: Sequence[dict[str, Any]]
    expected: bool = True  # whether something is to be found
    group: str = ""  # the rule that a test is of
    log_type: str = ""  # what the rule's author calls the log
    parsed: int = 0
    unread: list[str] = field(default_factory=list)  # why records were not read
    fired: dict[str, int] = field(default_factory=dict)  # detection -> weight of its hit

    @property
    def alerts(self) -> set[str]:
        """Detections whose hit is an alert by itself."""
        return {name for name, weight in self.fired.items() if weight >= ALERT}


def detect(cases: Sequence[Case], detections: Sequence[Detection], folder: Path) -> None:
    """Fills `parsed`, `unread` and `fired` of each case."""
    rows = [row for number, case in enumerate(cases) for row in _rows(number, case)]
    with DuckDbEngine(_tables(folder, rows)) as engine:
        for one in detections:
            query = one.compiled
            said = query.arguments(Policy().parameters(WHEN))
            for row in engine.query(query.sql(), said):
                hit = dict(zip(query.columns, row, strict=True))
                weight = hit.get("weight")
                for case in {int(ref.partition("#")[0]) for ref in str(hit["evidence"]).split()}:
                    fired = cases[case].fired
                    fired[one.id] = max(fired.get(one.id, 0), one.weight if weight is None else int(weight))


def _rows(number: int, case: Case) -> Iterator[dict[str, Any]]:
    for position, (name, activity) in enumerate(activities_of(case)):
        yield _row(name, activity, number, position) | {
            "actor_authority": activity.actor_authority and f"{number}|{activity.actor_authority}",
            "account": f"{number}|{activity.account or ''}",
        }


def _row(name: str, activity: Activity, number: int, position: int) -> dict[str, Any]:
    """The activity as ingest would write it, as record `position` of input `number`."""
    row = {column: getattr(activity, column) for column in ACTIVITY if hasattr(activity, column)}
    return row | {
        "uid": f"{number}#{position}",
        "time": activity.time.astimezone(UTC).replace(tzinfo=None).isoformat(),
        "source": name,
        "class_uid": int(activity.class_uid),
        **_place(activity.src_ip),
        "detail": json.dumps(dict(activity.detail)),
        "input": number,
        "position": position,
        "batch": 1,
    }


def alerts_of(
    events: Iterable[tuple[str, Activity]], detections: Sequence[Detection], folder: Path
) -> dict[tuple[str, str], set[str]]:
    """(actor, day) -> detections that make an alert by themselves, of events as (source, activity)."""
    rows = [_row(name, activity, 0, position) for position, (name, activity) in enumerate(events)]
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    with DuckDbEngine(_tables(folder, rows)) as engine:
        for one in detections:
            for row in engine.query(one.compiled.sql(), one.compiled.arguments(Policy().parameters(WHEN))):
                hit = dict(zip(one.compiled.columns, row, strict=True))
                if (hit.get("weight") or one.weight) >= ALERT:
                    found[str(hit["actor_id"]), str(hit["first_at"])[:10]].add(one.id)
    return found


def activities_of(case: Case) -> Iterator[tuple[str, Activity]]:
    """The activities of the records, each with the source that read it; fills `parsed` and `unread`."""
    for record in case.records:
        name = next((one for one in source_names() if source(one).claims(record)), None)
        if name is None:
            case.unread.append("no source")
            continue
        try:
            found = list(source(name).parse(record, DriftLog()))
        except DataError as error:
            case.unread.append(str(error))
            continue
        case.parsed += 1
        yield from ((name, activity) for activity in found)


def _place(address: str | None) -> dict[str, Any]:
    """The address as ingest stamps it: none that is not valid, and the /24 or /48 that holds it."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return {"src_ip": None}
    network = ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False)
    return {"src_ip": str(ip), "src_network": str(network)}


def _tables(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Every table that a detection may ask: `event` of these activities, all others empty."""
    lake = write_activities(folder / "activity.parquet", rows)
    asked = {(row["service"], row["operation"], row["resource_type"]) for row in rows}
    empty: dict[str, list[dict[str, Any]]] = defaultdict(list)
    others = write_tables(
        folder,
        {**FACTS, "own_network": OTHERS["own_network"], "action": ACTION_CLASS},
        {**empty, "action": list(action_classes().rows(asked))},
    )
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW activity AS SELECT * FROM read_parquet('{lake}')")
        for table in others:
            columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in table.columns.items())
            select = f"SELECT {columns} WHERE FALSE"
            if table.files:
                select = f"SELECT * FROM read_parquet({[str(file) for file in table.files]})"
            db.execute(f'CREATE VIEW "{table.name}" AS {select}')
        db.execute(f"COPY ({event.events([1], EARLIEST)}) TO '{folder / 'event.parquet'}' (FORMAT parquet)")
    made = Table(name="event", columns=EVENT, files=(folder / "event.parquet",))
    return [made, *(Table(name=name, columns=TABLES[name], files=()) for name in TABLES if name != "event")]


# ------------------------------------------------------------------ recorded attacks


def recorded_attacks(shared: Path) -> list[Case]:
    """Every scenario of attack-logs. Where no log was recorded, the sample events of the author's page stand for it."""
    files = members(shared / "data" / "attack-logs" / "logs.tar.zst")
    cases = []
    for name, content in sorted(files.items()):
        kind, _, rest = name.removeprefix("./").partition("/")
        if kind == "stratus":
            cases.append(_stratus(rest.removesuffix(".json"), json.loads(content)))
        elif kind == "m365-det-eng":
            cases.append(Case(name=rest, platform="Microsoft 365", records=_records(rest, content)))
        elif kind == "otrf" and rest.endswith((".json", ".csv")):
            records = [_completed(one) for one in _records(rest, content)]
            cases.append(Case(name=rest.rpartition("/")[2], platform="AWS", records=records))
    return cases


def _stratus(technique: str, told: Mapping[str, Any]) -> Case:
    label = told["label"]
    records = told["cloudtrail"]
    if not records:
        records = [event for one in label["sample_events"] or [] for event in (one if isinstance(one, list) else [one])]
    platform = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}.get(technique.partition(".")[0], "Kubernetes")
    return Case(name=technique, platform=platform, records=[_completed(one) for one in records])


def _completed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with what its author's page cut off, as far as every real record has it: a time, who asked, a verb."""
    whole = dict(record)
    if "eventSource" in whole:
        whole.setdefault("eventTime", WHEN.isoformat())
        whole.setdefault("eventVersion", "1.08")
        whole["userIdentity"] = _caller(whole.get("userIdentity"))
    elif "protoPayload" in whole:
        whole.setdefault("timestamp", WHEN.isoformat())
        payload = whole["protoPayload"]
        if str(payload.get("methodName", "")).startswith("io.k8s."):
            payload = whole["protoPayload"] = {"serviceName": "k8s.io", **payload}
        if "authenticationInfo" not in payload:
            whole["protoPayload"] = {**payload, "authenticationInfo": {"principalEmail": "somebody@example.com"}}
    elif "objectRef" in whole or str(whole.get("apiVersion", "")).startswith("audit.k8s.io"):
        whole.setdefault("apiVersion", "audit.k8s.io/v1")
        whole.setdefault("kind", "Event")
        whole.setdefault("requestReceivedTimestamp", WHEN.isoformat())
        whole.setdefault("user", {"username": "somebody"})
        if "attributes" not in whole:
            whole.setdefault("verb", "update")
    elif "operationName" in whole or "evt" in whole:
        whole.setdefault("time", WHEN.isoformat())
        whole.setdefault("caller", "somebody@example.com")
    return whole


def _caller(identity: Any) -> dict[str, Any]:
    """Who called AWS, with an id: of some records the author left out all of them, or the whole."""
    told = identity if isinstance(identity, dict) else {"type": "IAMUser"}
    if any(told.get(name) for name in ("principalId", "arn", "accountId", "invokedBy", "userId", "identityProvider")):
        return told
    return {"principalId": "AIDAEXAMPLE", "accountId": "111111111111", **told}


def _records(name: str, content: bytes) -> list[dict[str, Any]]:
    """The records of a file as ingest cuts it: rows of CSV, one JSON document, or a JSON document a line."""
    text = content.decode("utf-8-sig")
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text)))
    try:
        read = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return read if isinstance(read, list) else [read]


# ------------------------------------------------------------------ tests of another product's rules

READ: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "AWS.CloudTrail": ("AWS", {}),
    "AWS.GuardDuty": ("AWS", {}),
    "AWS.S3ServerAccess": ("AWS", {"operation": "REST.GET.OBJECT"}),
    "AWS.SecurityFindingFormat": ("AWS", {}),
    "Amazon.EKS.Audit": ("Kubernetes", {}),
    "Auth0.Events": ("Auth0", {}),
    "Azure.Audit": ("Entra", {}),
    "Azure.MonitorActivity": ("Azure", {}),
    "Box.Event": ("Box", {"event_id": "1", "created_at": WHEN.isoformat()}),
    "Duo.Administrator": ("Duo", {}),
    "Duo.Authentication": ("Duo", {"txid": "1", "timestamp": int(WHEN.timestamp())}),
    "GCP.AuditLog": ("Google Cloud", {}),
    "GSuite.ActivityEvent": ("Google Workspace", {}),
    "GitHub.Audit": ("GitHub", {}),
    "GitLab.Audit": ("GitLab", {}),
    "Microsoft365.Audit.AzureActiveDirectory": ("Microsoft 365", {}),
    "Microsoft365.Audit.Exchange": ("Microsoft 365", {}),
    "Microsoft365.Audit.SharePoint": ("Microsoft 365", {}),
    "Okta.SystemLog": ("Okta", {}),
    "OnePassword.ItemUsage": ("1Password", {}),
    "OnePassword.SignInAttempt": ("1Password", {}),
    "Salesforce.LoginAs": ("Salesforce", {}),
    "Salesforce.RealtimeEvent": ("Salesforce", {}),
    "Slack.AuditLogs": ("Slack", {}),
    "Snowflake.LoginHistory": ("Snowflake", {}),
    "Snowflake.QueryHistory": ("Snowflake", {"START_TIME": WHEN.isoformat()}),
    "Snyk.GroupAudit": ("Snyk", {"created": WHEN.isoformat()}),
    "Tines.Audit": ("Tines", {}),
}
"""Log types of panther-rule-tests that a source of ours reads: whose they are, and what every real record has that its
author cut off. A test holds the list: no other log type is read by any source. Of a rule for many logs each test counts
by the log that its event is of."""


@dataclass(frozen=True, slots=True)
class RuleTests:
    """Tests of rules, cut in what counts and what cannot."""

    counted: Sequence[Case]
    mocked: Sequence[Case]  # their truth depends on a lookup that was made up
    other_logs: Mapping[str, Sequence[Case]]  # log type that no source reads -> tests
    nhi: frozenset[str]  # rules about non-human identities


def rule_tests(shared: Path) -> RuleTests:
    folder = shared / "data" / "panther-rule-tests"
    files = members(folder / "tests.tar.zst")
    rules = {rule["rule"]: rule for rule in _lines(files["rules.jsonl"])}
    counted: list[Case] = []
    mocked: list[Case] = []
    other: dict[str, list[Case]] = defaultdict(list)
    for number, test in enumerate(_lines(files["tests.jsonl"])):
        rule = rules[test["rule"]]
        kinds = rule["log_types"] or [f"no log type: {test['family']}"]
        if rule["kind"] != "rule":
            kinds = [f"settings, no events: {test['family']}"]
        kind = kinds[0] if len(kinds) == 1 else test["log"].get("p_log_type", kinds[0])
        platform, cut = READ.get(kind, (kind, {}))
        log = {**cut, **test["log"]}
        case = Case(
            name=f"{number} {test['name']}",
            platform=platform,
            records=_repeated(_s3_line(log) if kind == "AWS.S3ServerAccess" else log, rule["threshold"] or 1),
            expected=test["expected"],
            group=test["rule"],
            log_type=kind,
        )
        if kind not in READ:
            other[kind].append(case)
        else:
            (mocked if test["mocks"] else counted).append(case)
    named = (folder / "nhi-rules.txt").read_text(encoding="utf-8").split()
    return RuleTests(counted, mocked, other, frozenset(named))


def _repeated(log: Mapping[str, Any], threshold: int) -> list[dict[str, Any]]:
    """The event as often as the rule wants it before it alerts; in real life the copies differ in time and in name."""
    whole = _completed(log)
    if "eventType" in whole or "published" in whole:
        whole.setdefault("published", WHEN.isoformat())
    elif "action" in whole:
        whole.setdefault("p_event_time", WHEN.isoformat())
        whole.setdefault("@timestamp", int(WHEN.timestamp() * 1000))
    whole.setdefault("p_event_time", WHEN.isoformat())
    return [whole for _ in range(max(1, min(threshold, 100)))]


_S3_WORDS = (  # a line of S3's access log, word by word, as the author's own pipeline calls them
    *("bucketowner", "bucket", "time", "remoteip", "requester", "requestid", "operation", "key", "requesturi"),
    *("httpstatus", "errorcode", "bytessent", "objectsize", "totaltime", "turnaroundtime", "referrer", "useragent"),
    *("versionid", "hostid", "signatureversion", "ciphersuite", "authenticationtype", "hostheader", "tlsversion"),
)


def _s3_line(renamed: Mapping[str, Any]) -> dict[str, Any]:
    words = {**renamed, "time": f"{WHEN:%d/%b/%Y:%H:%M:%S %z}"}
    forms = {"time": "[{}]", "requesturi": '"{}"', "referrer": '"{}"', "useragent": '"{}"'}
    return {"message": " ".join(forms.get(name, "{}").format(words.get(name, "-")) for name in _S3_WORDS)}


def _lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode("utf-8").splitlines()]


@dataclass(frozen=True, slots=True)
class RuleScore:
    """Of some rules: of the events that are to alert, the share for which a detection fires (`alerting`: is an alert by
    itself); of the rules with both kinds of tests, the share of pairs told apart."""

    true_events: int
    found: int
    alerting: int
    pairs: int
    told_apart: int
    false_events: int
    false_alerts: int  # events that are not to alert, for which what is right for the rule's true events alerts

    @property
    def recall(self) -> float:
        return self.found / self.true_events

    @property
    def paired(self) -> float:
        return self.told_apart / self.pairs

    @property
    def false_share(self) -> float:
        return self.false_alerts / self.false_events


def score_rules(cases: Iterable[Case]) -> RuleScore:
    """A pair is a true event and a near miss of one rule. It is told apart when some detection that fires for the true
    one stays silent for the near miss: each detection may rightly fire for both for another reason."""
    by_rule: dict[str, tuple[list[Case], list[Case]]] = defaultdict(lambda: ([], []))
    for case in cases:
        by_rule[case.group][0 if case.expected else 1].append(case)
    true = [case for good, _ in by_rule.values() for case in good]
    false = [case for _, bad in by_rule.values() for case in bad]
    pairs = [(one, other) for good, bad in by_rule.values() for one in good for other in bad]
    return RuleScore(
        true_events=len(true),
        found=sum(bool(case.fired) for case in true),
        alerting=sum(bool(case.alerts) for case in true),
        pairs=len(pairs),
        told_apart=sum(bool(set(one.fired) - set(other.fired)) for one, other in pairs),
        false_events=len(false),
        false_alerts=sum(
            bool(case.alerts & {name for one in by_rule[case.group][0] for name in one.alerts}) for case in false
        ),
    )
