"""How well Microsoft's logs are read, and what the sources tell of recorded attacks.

Labelled events (elastic-events): parsed, and agreement with what another product made of the same record. A stream is
read by whichever of our sources claims each of its records, as `--source auto` does: others sort the same events into
other streams. Recorded attacks (attack-logs, panther-rule-tests): every event is read, and the words that tell the
technique stand in operation and detail.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.activity_sets import hold, labelled_lines, members, score
from wardship.model.activity import Activity, Outcome
from wardship.sdk.connector import Drift, DriftLog
from wardship.sdk.registry import source

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))["activity"]
OURS = ("azure.activity", "entra.audit", "entra.signin", "graph.activity", "m365.audit", "windows.security")
STREAMS = (
    "azure.activitylogs",
    "azure.auditlogs",
    "azure.identity_protection",
    "azure.platformlogs",
    "azure.signinlogs",
    "hid_bravura_monitor.winlog",
    "microsoft_sqlserver.audit",
    "o365.audit",
    "system.security",
    "windows.forwarded",
)

TOLD: Mapping[str, tuple[str, Mapping[str, Any]]] = {  # file of m365-det-eng -> (operation, in detail)
    "t1098.001_Add_a_user_to_company_administrator_role": ("Add member to role.", {"role": "Company Administrator"}),
    "t1098.002_ApplicationImpersonation": ("New-RoleGroup", {"roles": ["ApplicationImpersonation"]}),
    "t1098.002_Mail_Account_Delegation_full_access_permissions": (
        "Add-MailboxPermission",
        {"access_rights": ["FullAccess"]},
    ),
    "t1098.002_Mail_account_delegation-SendAs_permission": ("Add-RecipientPermission", {"access_rights": ["SendAs"]}),
    "t1098.002_user-reset_mailbox_full_access": ("Add-MailboxPermission", {"access_rights": ["FullAccess"]}),
    "t1098.003_add_role_global_admin": ("Add member to role.", {"role": "Global Administrator"}),
    "t1098_Add_a_user_to_company_administrator_role": ("Add member to role.", {"role": "Company Administrator"}),
    "t1114.002_Enable_POP_IMAP_OWA": ("Set-CASMailbox", {"pop": True}),
    "t1114_Set-Mailbox-ForwardSMTPAddress": ("Set-Mailbox", {"forwards": True, "forward_domains": ["bla.com"]}),
    "t1550.001_Allusers_consent_to_grant_permission_granted": (
        "Update authorization policy.",
        {"user_consent": ["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"]},
    ),
    "t1550.001_default_rclone_app_registration": ("Add application.", {"reply_hosts": ["localhost:53682"]}),
    "t1556.006_Disable_Strong_Authentication": ("Disable Strong Authentication.", {"mfa": "off"}),
    "t1562.001_Remove-DlpCompliancePolicy": ("Remove-DlpCompliancePolicy", {}),
    "t1562.001_Set-Mailbox-AuditLogAgeLimitoZero": ("Set-Mailbox", {"audit_age_limit": "00:00:00"}),
    "t1564.008_New_inbox_rule_to_delete_email": ("New-InboxRule", {"delete": True}),
    "t1564.008_Update_existing_mailbox_rule_using_Set-InboxRule": ("Set-InboxRule", {"move_to": "Deleted Items"}),
    "t1564.008_markasread_delete_all_email": ("New-InboxRule", {"delete": True, "mark_as_read": True}),
    "t1564.008_rule_mark_as_read_move": ("New-InboxRule", {"mark_as_read": True, "move_to": "Archive"}),
}
SPRAYS = "t1110.003_"  # password spraying: failed logons of several accounts

STRATUS = {  # technique -> word in the operation
    "azure.credential-access.app-service-publishing-credentials": "publishxml/action",
    "azure.exfiltration.disk-export": "beginGetAccess/action",
    "azure.impact.blob-ransomware-individual-file-deletion": "DeleteBlob",
    "azure.impact.blob-ransomware-service-storage-cmk": "KeyDelete",
    "azure.persistence.backdoor-managed-identity-fic": "federatedIdentityCredentials/write",
    "azure.persistence.exfiltrate-foundry-key": "listKeys/action",
}
WHEN = {"time": "2025-01-01T00:00:00Z"}
"""The authors cut the samples of stratus to the fields that matter to them, and the time was not one."""


def parse_claimed(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """Reads a record with the first of our sources that claims it."""
    for name in OURS:
        if source(name).claims(record):
            return source(name).parse(record, drift)
    return []


@pytest.fixture(scope="module")
def events(shared: Path) -> dict[str, bytes]:
    return members(shared / "data" / "elastic-events" / "events.tar.zst")


@pytest.fixture(scope="module")
def attacks(shared: Path) -> dict[str, bytes]:
    return members(shared / "data" / "attack-logs" / "logs.tar.zst")


@pytest.mark.parametrize("stream", STREAMS)
def test_labelled_events_are_read_as_another_product_reads_them(stream: str, events: dict[str, bytes]) -> None:
    found = score(parse_claimed, labelled_lines(events[f"{stream}.jsonl"]))
    print(stream, found)
    for miss in found.misses[:5]:
        print("   ", *miss)
    hold(found, FLOORS[stream])


def records_of(name: str, content: bytes) -> list[dict[str, Any]]:
    """The records of a file as ingest cuts it: rows of CSV, one JSON document, or a JSON document a line."""
    text = content.decode("utf-8-sig")
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text)))
    try:
        read = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return read if isinstance(read, list) else [read]


def read_all(name: str, content: bytes) -> list[Activity]:
    reads, found = source("m365.audit"), []
    for record in records_of(name, content):
        assert reads.claims(record), (name, record)
        found += list(reads.parse(record, DriftLog()))
    return found


def test_every_recorded_m365_attack_is_read_and_told(attacks: dict[str, bytes]) -> None:
    files = {name.rpartition("/")[2]: content for name, content in attacks.items() if "/m365-det-eng/" in f"/{name}"}
    assert len(files) == 26
    for name, content in files.items():
        read = read_all(name, content)
        assert len(read) == len(records_of(name, content))
        assert all(one.actor_name for one in read)
        technique = name.rpartition(".")[0]
        if technique.startswith(SPRAYS):
            failed = [one for one in read if one.outcome is Outcome.FAILURE]
            assert len(failed) >= 5
            assert all(one.src_ip and one.actor_id and one.outcome_code for one in failed)
            continue
        operation, detail = TOLD[technique]
        told = [one for one in read if one.operation == operation]
        assert any(detail.items() <= one.detail.items() for one in told), (name, [one.detail for one in told])


@pytest.mark.parametrize("technique", STRATUS)
def test_every_recorded_azure_attack_is_read(technique: str, attacks: dict[str, bytes]) -> None:
    name = next(name for name in attacks if name.endswith(f"{technique}.json"))
    samples = json.loads(attacks[name])["label"]["sample_events"]
    reads = source("azure.activity")
    read = [one for sample in samples for one in reads.parse({**WHEN, **sample}, DriftLog())]
    assert len(read) == len(samples)
    assert all(reads.claims(sample) for sample in samples)
    assert any(STRATUS[technique] in one.operation for one in read)
    assert all(one.resource_id and one.account for one in read)


def test_every_event_of_a_rule_for_microsoft_is_read(shared: Path) -> None:
    """Rules of another product: all their test events are claimed by one of our sources and read."""
    files = members(next((shared / "data" / "panther-rule-tests").glob("*.tar.zst")))
    rules = {rule["rule"]: rule["log_types"] for rule in _lines(files["rules.jsonl"])}
    mine = ("Azure.", "Microsoft365.")
    events = [
        test["log"]
        for test in _lines(files["tests.jsonl"])
        if (kinds := rules.get(test["rule"])) and all(kind.startswith(mine) for kind in kinds)
    ]
    unread = [one for one in events if not list(parse_claimed(one, DriftLog()))]
    print(f"panther: {len(events)} events, {len(unread)} not read")
    assert len(events) >= 150
    assert not unread


def _lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode("utf-8").splitlines()]
