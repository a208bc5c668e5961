"""How well the sources of Google, code hosts, SaaS and Kubernetes read events of others, and what they tell of attacks.

Three measures. Labelled events (elastic-events): parsed, and agreement with what another product made of the same
record. Rows as another SIEM stores them (sentinel-samples): the share that is read. Events of known attacks
(attack-logs, panther-rule-tests): each is read, and the words that tell the attack stand in operation and detail.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.activity_sets import Score, hold, labelled_lines, members, score
from wardship.model.activity import Activity
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.registry import source

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))["activity"]

STREAMS = {
    "gcp.audit": ["gcp.audit"],
    "github.audit": ["github.audit", "github.dependabot", "github.secret_scanning"],
    "google.workspace": [
        f"google_workspace.{name}"
        for name in (
            "access_transparency admin alert context_aware_access drive gcp groups login saml user_accounts".split()
        )
    ],
    "okta.system_log": ["okta.system"],
    "salesforce.events": [f"salesforce.{name}" for name in ("apex", "login_rest", "logout_rest", "setupaudittrail")],
    "slack.audit": ["slack.audit"],
}

ROWS = {  # file of sentinel-samples -> source
    "GCP_IAM_CL.json": "gcp.audit",
    "Okta_CL.json": "okta.system_log",
    "SalesforceServiceCloud_CL.json": "salesforce.events",
    "SlackAuditNativePoller_CL.json": "slack.audit",
    "SlackAudit_CL.json": "slack.audit",
}

PANTHER = {
    "Amazon.EKS.Audit": "kubernetes.audit",
    "GCP.AuditLog": "gcp.audit",
    "GSuite.ActivityEvent": "google.workspace",
    "GitHub.Audit": "github.audit",
    "GitLab.Audit": "gitlab.audit",
    "Okta.SystemLog": "okta.system_log",
    "Salesforce.LoginAs": "salesforce.events",
    "Salesforce.RealtimeEvent": "salesforce.events",
    "Slack.AuditLogs": "slack.audit",
}

TECHNIQUES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {  # file -> (source, word in the operation, in detail)
    "eks.persistence.backdoor-aws-auth-configmap": (
        "kubernetes.audit",
        "configmaps",
        {"groups": ["system:masters", "system:bootstrappers", "system:nodes"]},
    ),
    "gcp.credential-access.secretmanager-retrieve-secrets": ("gcp.audit", "AccessSecretVersion", {}),
    "gcp.exfiltration.share-compute-disk": (
        "gcp.audit",
        "disks.setIamPolicy",
        {"bindings": [{"role": "roles/owner", "member": "user:attacker@gmail.com"}]},
    ),
    "gcp.exfiltration.share-compute-image": (
        "gcp.audit",
        "images.setIamPolicy",
        {"bindings": [{"role": "roles/owner", "member": "user:attacker@gmail.com"}]},
    ),
    "gcp.impact.gcs-ransomware-individual-deletion": ("gcp.audit", "storage.objects.delete", {}),
    "gcp.persistence.invite-external-user": (
        "gcp.audit",
        "InsertProjectOwnershipInvite",
        {"member": "user:attacker@gmail.com"},
    ),
    "k8s.credential-access.dump-secrets": ("kubernetes.audit", "list secrets", {"all_namespaces": True}),
}
NO_TIME = {"TimeGenerated": "2025-01-01T00:00:00Z"}
"""Some of the samples were cut to a few fields, without a time: this is when their SIEM would have stored them."""


@pytest.fixture(scope="module")
def events(shared: Path) -> dict[str, bytes]:
    return members(shared / "data" / "elastic-events" / "events.tar.zst")


@pytest.mark.parametrize("name", STREAMS)
def test_labelled_events_are_read_as_another_product_reads_them(name: str, events: dict[str, bytes]) -> None:
    whole = Score()
    for stream in STREAMS[name]:
        found = score(source(name).parse, labelled_lines(events[f"{stream}.jsonl"]))
        print(stream, found)
        for miss in found.misses[:5]:
            print("   ", *miss)
        whole += found
    hold(whole, FLOORS[name])


@pytest.mark.parametrize("name", ROWS)
def test_rows_as_a_siem_stores_them_are_read(name: str, shared: Path) -> None:
    rows = json.loads(
        members(shared / "data" / "sentinel-samples" / "samples.tar.zst")[name].decode("utf-8-sig"), strict=False
    )
    reads = source(ROWS[name])
    told: Counter[str] = Counter()
    for row in rows:
        told["claimed"] += reads.claims(row)
        told["read"] += bool(_read(ROWS[name], row)) or row.get("event_type") == "EVENT_TYPE"  # a heading, repeated
    print(name, len(rows), dict(told))
    assert told["claimed"] == len(rows)
    assert told["read"] / len(rows) >= FLOORS["saas_rows"]["read"]


def test_metrics_are_no_audit_events(shared: Path) -> None:
    rows = json.loads(members(shared / "data" / "sentinel-samples" / "samples.tar.zst")["GCP_MONITORING_CL.json"])
    assert rows
    assert not any(source("gcp.audit").claims(row) for row in rows)
    assert not any(_read("gcp.audit", row) for row in rows)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_recorded_attacks_say_what_was_done(technique: str, shared: Path) -> None:
    name, operation, detail = TECHNIQUES[technique]
    label = json.loads(members(shared / "data" / "attack-logs" / "logs.tar.zst")[f"stratus/{technique}.json"])["label"]
    samples = label["sample_events"]
    assert samples
    for sample in samples:
        assert source(name).claims(sample)
        (activity,) = _read(name, {**NO_TIME, **sample})
        assert operation in activity.operation
        assert {key: activity.detail.get(key) for key in detail} == detail


def test_events_of_detection_tests_are_read(shared: Path) -> None:
    """All events that a rule should raise on; those without any time get the one of their SIEM."""
    files = members(shared / "data" / "panther-rule-tests" / "tests.tar.zst")
    kinds = {rule["rule"]: rule["log_types"] or [] for rule in _lines(files["rules.jsonl"])}
    asked: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for test in _lines(files["tests.jsonl"]):
        log = {**NO_TIME, **test["log"]}
        kind = log.get("p_log_type") or (kinds[test["rule"]] if len(kinds[test["rule"]]) == 1 else [None])[0]
        if not test["expected"] or kind not in PANTHER or not _of_an_event(log):
            continue
        asked[kind] += 1
        read[kind] += bool(_read(PANTHER[kind], log))
    print({kind: f"{read[kind]}/{asked[kind]}" for kind in asked})
    assert sum(asked.values()) >= FLOORS["saas_attacks"]["events"]
    assert sum(read.values()) / sum(asked.values()) >= FLOORS["saas_attacks"]["read"]


def _read(name: str, record: dict[str, Any]) -> list[Activity]:
    try:
        return list(source(name).parse(record, DriftLog()))
    except DataError:
        return []


def _of_an_event(log: Mapping[str, Any]) -> bool:
    """Tests of indicator feeds have nothing but what a feed added: there is no event in them."""
    return any(not name.startswith("p_") and name not in ("operation", "TimeGenerated") for name in log)


def _lines(content: bytes) -> Iterable[dict[str, Any]]:
    return (json.loads(line) for line in content.decode("utf-8").splitlines())
