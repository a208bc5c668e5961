"""Windows security events in each form that they come in, and what is told of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from wardship.ingest.telemetry.importer import try_paths
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import windows_security

SID = "S-1-5-21-101361758-2486510592-3018839910-1105"
OTHER = "S-1-5-21-101361758-2486510592-3018839910-1200"
AT = "2026-03-01T10:11:12.123456700Z"
LOGON = {
    "SubjectUserSid": "S-1-5-18",
    "SubjectUserName": "DC1$",
    "SubjectDomainName": "EXAMPLE",
    "TargetUserSid": SID,
    "TargetUserName": "svc-backup",
    "TargetDomainName": "EXAMPLE",
    "TargetLogonId": "0x1234",
    "LogonType": "3",
    "AuthenticationPackageName": "Kerberos",
    "IpAddress": "::ffff:10.1.2.3",
    "WorkstationName": "BUILD7",
}


def parsed(record: dict[str, Any]) -> list[Activity]:
    assert windows_security.claims(record)
    return list(windows_security.parse(record, DriftLog()))


def read(record: dict[str, Any]) -> Activity:
    (found,) = parsed(record)
    return found


def xml(number: int, keywords: str = "0x8020000000000000", **data: str) -> str:
    fields = "".join(f"<Data Name='{name}'>{value}</Data>" for name, value in data.items())
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        "<Provider Name='Microsoft-Windows-Security-Auditing' Guid='{54849625-5478-4994-a5ba-3e3b0328c30d}'/>"
        f"<EventID>{number}</EventID><Version>2</Version><Keywords>{keywords}</Keywords>"
        f"<TimeCreated SystemTime='{AT}'/><EventRecordID>77</EventRecordID><Channel>Security</Channel>"
        f"<Computer>DC1.example.com</Computer><Security/></System><EventData>{fields}</EventData></Event>"
    )


def winlog(number: int, outcome: str | None = "success", **data: str) -> dict[str, Any]:
    """As Winlogbeat writes it."""
    return {
        "@timestamp": "2026-03-02T00:00:00Z",
        "event": {"code": str(number), "outcome": outcome, "provider": "Microsoft-Windows-Security-Auditing"},
        "winlog": {
            "channel": "Security",
            "computer_name": "DC1.example.com",
            "event_id": number,
            "provider_name": "Microsoft-Windows-Security-Auditing",
            "record_id": 77,
            "time_created": AT,
            "event_data": data,
        },
    }


def evtx(number: Any, **data: Any) -> dict[str, Any]:
    """As evtx_dump writes it."""
    return {
        "Event": {
            "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
            "System": {
                "Provider": {"#attributes": {"Name": "Microsoft-Windows-Security-Auditing"}},
                "EventID": number,
                "Keywords": "0x8020000000000000",
                "TimeCreated": {"#attributes": {"SystemTime": AT}},
                "EventRecordID": 77,
                "Channel": "Security",
                "Computer": "DC1.example.com",
            },
            "EventData": data,
        }
    }


MESSAGE = f"""An account was successfully logged on.

Subject:
	Security ID:		S-1-5-18
	Account Name:		DC1$
	Account Domain:		EXAMPLE
	Logon ID:		0x3E7

Logon Information:
	Logon Type:		3

New Logon:
	Security ID:		{SID}
	Account Name:		svc-backup
	Account Domain:		EXAMPLE
	Logon ID:		0x1234

Network Information:
	Workstation Name:	BUILD7
	Source Network Address:	10.1.2.3
	Source Port:		49212

Detailed Authentication Information:
	Authentication Package:	Kerberos
"""
FORMS: dict[str, dict[str, Any]] = {
    "xml": {"message": xml(4624, **LOGON)},
    "winlogbeat": winlog(4624, **LOGON),
    "evtx_dump": evtx(4624, **LOGON),
    "evtx_dump with qualifiers": evtx({"#attributes": {"Qualifiers": 0}, "#text": 4624}, **LOGON),
    "elements as a list": {
        **evtx(4624)["Event"],
        "EventData": {"Data": [{"@Name": name, "#text": value} for name, value in LOGON.items()]},
    },
    "NXLog": {
        "EventTime": "2026-03-01 10:11:12.123456",
        "Hostname": "DC1.example.com",
        "EventID": 4624,
        "EventType": "AUDIT_SUCCESS",
        "SourceName": "Microsoft-Windows-Security-Auditing",
        "Channel": "Security",
        "RecordNumber": 77,
        **LOGON,
    },
    "SecurityEvent": {
        "TimeGenerated": AT,
        "Computer": "DC1.example.com",
        "EventID": "4624",
        "Channel": "Security",
        "EventSourceName": "Microsoft-Windows-Security-Auditing",
        "Activity": "4624 - An account was successfully logged on.",
        **LOGON,
    },
    "Get-WinEvent": {
        "Id": 4624,
        "ProviderName": "Microsoft-Windows-Security-Auditing",
        "LogName": "Security",
        "RecordId": 77,
        "MachineName": "DC1.example.com",
        "TimeCreated": "/Date(1772359872123)/",
        "KeywordsDisplayNames": ["Audit Success"],
        "Message": MESSAGE,
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_logon_reads_the_same_in_each_form(form: str) -> None:
    found = read(FORMS[form])
    assert (found.operation, found.detail["action"]) == ("4624", "logged-on")
    assert (found.actor_authority, found.actor_id) == ("ad:sid", SID)
    assert (found.actor_name, found.actor_kind) == ("EXAMPLE\\svc-backup", ActorKind.USER)
    assert (found.src_ip, found.interactive, found.outcome) == ("10.1.2.3", False, Outcome.SUCCESS)
    assert (found.account, found.class_uid) == ("example.com", ActivityClass.AUTHENTICATION)
    assert found.time.isoformat(timespec="seconds") == "2026-03-01T10:11:12+00:00"
    assert found.detail["workstation"] == "BUILD7"


def test_a_failed_logon_says_why() -> None:
    record = {"message": xml(4625, "0x8010000000000000", **LOGON, Status="0xc000006d", SubStatus="0xc0000072")}
    found = read(record)
    assert (found.outcome, found.outcome_code) == (Outcome.FAILURE, "0xc0000072")  # the account is disabled
    assert found.detail["action"] == "logon-failed"


def test_a_service_ticket_tells_its_encryption_and_its_service() -> None:
    found = read(
        winlog(
            4769,
            TargetUserName="ana@EXAMPLE.COM",
            TargetDomainName="EXAMPLE.COM",
            ServiceName="svc-sql",
            ServiceSid=SID,
            TicketEncryptionType="0x17",
            Status="0x0",
            IpAddress="::ffff:10.1.2.3",
        )
    )
    assert (found.detail["encryption"], found.detail["service_name"]) == ("rc4-hmac", "svc-sql")
    assert (found.actor_authority, found.actor_id) == ("ad:name:example.com", "ana")
    assert (found.resource_type, found.resource_id) == ("service", SID)


def test_replication_rights_are_named() -> None:
    found = read(
        winlog(
            4662,
            SubjectUserSid=SID,
            SubjectUserName="svc-sync",
            SubjectDomainName="EXAMPLE",
            ObjectName="%{c3b4}",
            AccessMask="0x100",
            Properties="%%7688\n\t{1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}\n\t{19195a5b-6da0-11d0-afd3-00c04fd930c9}\n",
        )
    )
    assert found.detail["rights"] == ["DS-Replication-Get-Changes-All", "19195a5b-6da0-11d0-afd3-00c04fd930c9"]
    assert found.actor_id == SID


@pytest.mark.parametrize(
    ("number", "action", "cls"),
    [
        (4720, "account-created", ActivityClass.ACCOUNT_CHANGE),
        (4724, "password-reset", ActivityClass.ACCOUNT_CHANGE),
        (4728, "global-group-member-added", ActivityClass.GROUP_MANAGEMENT),
        (4732, "local-group-member-added", ActivityClass.GROUP_MANAGEMENT),
        (4756, "universal-group-member-added", ActivityClass.GROUP_MANAGEMENT),
        (4740, "account-locked-out", ActivityClass.ACCOUNT_CHANGE),
        (5136, "directory-object-changed", ActivityClass.ENTITY_MANAGEMENT),
    ],
)
def test_of_a_change_who_did_it_acts_and_the_other_is_the_resource(
    number: int, action: str, cls: ActivityClass
) -> None:
    subject = {"SubjectUserSid": SID, "SubjectUserName": "admin", "SubjectDomainName": "EXAMPLE"}
    found = read(winlog(number, **subject, TargetSid=OTHER, TargetUserName="svc-new", MemberSid=OTHER))
    assert (found.actor_id, found.actor_name) == (SID, "EXAMPLE\\admin")
    assert (found.resource_id, found.resource_name) == (OTHER, "svc-new")
    assert (found.detail["action"], found.class_uid, found.mutating) == (action, cls, True)


def test_a_servce_principal_name_is_told_and_other_values_are_not() -> None:
    subject = {"SubjectUserSid": SID, "SubjectUserName": "admin"}
    change = {"ObjectDN": "CN=svc-sql", "OperationType": "%%14674", "AttributeValue": "HTTP/x"}
    told = read(winlog(5136, **subject, **change, AttributeLDAPDisplayName="servicePrincipalName"))
    assert (told.detail["attribute_value"], told.detail["change"]) == ("HTTP/x", "added")
    kept = read(winlog(5136, **subject, **change, AttributeLDAPDisplayName="description"))
    assert "HTTP/x" not in repr(kept)


def test_a_command_line_is_not_kept() -> None:
    data = {"SubjectUserSid": SID, "SubjectUserName": "ana", "NewProcessName": "C:\\x\\net.exe"}
    found = read(winlog(4688, **data, CommandLine="net use \\\\h /user:a hunter2"))
    assert found.detail["process"] == "net.exe"
    assert "hunter2" not in repr(found)


def test_the_system_account_belongs_to_its_machine() -> None:
    found = read(winlog(4697, SubjectUserSid="S-1-5-18", SubjectUserName="DC1$", ServiceName="x"))
    assert (found.actor_authority, found.actor_kind) == ("windows:dc1.example.com", ActorKind.MACHINE)


def test_numbers_of_other_providers_mean_nothing_here() -> None:
    record = winlog(4720, None)
    record["winlog"].update(channel="Application", provider_name="Acme")
    found = read(record)
    assert (found.service, found.operation, found.outcome) == ("Acme", "4720", Outcome.UNKNOWN)
    assert "action" not in found.detail


def test_a_new_service_in_the_system_log_is_known() -> None:
    record = winlog(7045, None, ServiceName="x", ImagePath="c:\\x.exe")
    record["winlog"].update(channel="System", provider_name="Service Control Manager", user={"identifier": SID})
    found = read(record)
    assert (found.detail["action"], found.actor_id) == ("service-installed", SID)


def samba(kind: str, **fields: Any) -> dict[str, Any]:
    return {"timestamp": "2026-03-01T12:11:12.123456+0200", "type": kind, kind: fields}


def test_sambas_logons_are_read_as_windows_ones() -> None:
    record = samba(
        "Authentication",
        eventId=4625,
        logonType=3,
        status="NT_STATUS_WRONG_PASSWORD",
        remoteAddress="ipv4:10.1.2.3:4711",
        serviceDescription="LDAP",
        authDescription="simple bind",
        mappedAccount="svc-backup",
        mappedDomain="EXAMPLE",
        becameSid=SID,
    )
    for found in (read(record), read({"message": json.dumps(record)})):
        assert (found.operation, found.outcome, found.outcome_code) == (
            "4625",
            Outcome.FAILURE,
            "NT_STATUS_WRONG_PASSWORD",
        )
        assert (found.actor_authority, found.actor_id, found.src_ip) == ("ad:sid", SID, "10.1.2.3")
        assert found.time.isoformat(timespec="seconds") == "2026-03-01T10:11:12+00:00"


def test_sambas_changes_are_read_and_their_values_mostly_not() -> None:
    reset = read(samba("passwordChange", action="Reset", status="Success", userSid=SID, dn="CN=svc"))
    assert (reset.operation, reset.actor_id, reset.resource_id) == ("4724", SID, "CN=svc")
    values = {"actions": [{"action": "add", "values": [{"value": "HTTP/x"}]}]}
    attributes = {"servicePrincipalName": values, "unicodePwd": values}
    changed = read(samba("dsdbChange", operation="Modify", userSid=SID, dn="CN=svc", attributes=attributes))
    assert changed.operation == "5136"
    assert read(samba("dsdbChange", operation="Add", userSid=SID, dn="CN=svc")).operation == "5137"
    assert changed.detail["changed"] == ["servicePrincipalName", "unicodePwd"]
    assert changed.detail["values"] == ["servicePrincipalName=HTTP/x"]
    assert parsed(samba("Authorization", account="x")) == []
    assert parsed(samba("dsdbTransaction", action="commit")) == []


def samba_change(attributes: dict[str, Any], operation: str = "Modify", sid: str = SID) -> dict[str, Any]:
    values = {name: {"actions": [{"action": "replace", "values": [given]}]} for name, given in attributes.items()}
    return samba("dsdbChange", operation=operation, status="Success", userSid=sid, dn="CN=svc", attributes=values)


@pytest.mark.parametrize(
    ("operation", "attributes", "number"),
    [
        ("Add", {"objectClass": "user", "userAccountControl": "514"}, "4720"),
        ("Add", {"objectClass": "computer"}, "4741"),
        ("Add", {"objectClass": "msDS-GroupManagedServiceAccount"}, "4741"),
        ("Add", {"objectClass": "organizationalUnit"}, "5137"),
        ("Modify", {"userAccountControl": "514"}, "4725"),
        ("Modify", {"userAccountControl": "66048"}, "5136"),
        ("Modify", {"userAccountControl": "many"}, "5136"),
        ("Modify", {"lockoutTime": "134398150226620890"}, "4740"),
        ("Modify", {"lockoutTime": "0"}, "4767"),
        ("Delete", {}, "5141"),
    ],
)
def test_sambas_changes_get_the_number_under_which_windows_logs_them(
    operation: str, attributes: dict[str, str], number: str
) -> None:
    record = samba_change({name: {"value": value} for name, value in attributes.items()}, operation)
    found = read(record)
    assert (found.operation, found.actor_id, found.mutating) == (number, SID, True)
    in_windows = read(winlog(int(number), SubjectUserSid=SID, SubjectUserName="x"))
    assert (found.class_uid, found.detail["action"]) == (in_windows.class_uid, in_windows.detail["action"])


def test_what_samba_writes_for_its_own_books_is_no_change() -> None:
    books = {"lastLogonTimestamp": {"value": "1"}, "badPwdCount": {"value": "0"}}
    assert parsed(samba_change(books, sid="S-1-5-18")) == []
    (found,) = parsed(samba_change(books))
    assert found.detail["changed"] == ["lastLogonTimestamp", "badPwdCount"], "somebody else keeps no books"
    (found,) = parsed(samba_change({**books, "description": {"value": "x"}}, sid="S-1-5-18"))
    assert (found.operation, found.actor_id, found.actor_kind) == ("5136", None, ActorKind.MACHINE)


def test_memberships_that_samba_logs_of_nobody_or_of_itself_are_none() -> None:
    added = {"eventId": 4728, "action": "Added", "status": "Success", "userSid": SID, "group": "CN=Admins"}
    found = read(samba("groupChange", **added, user="CN=svc"))
    assert (found.operation, found.resource_id, found.detail["member"]) == ("4728", "CN=Admins", "CN=svc")
    assert parsed(samba("groupChange", **added, user="CN=Admins")) == []
    assert parsed(samba("groupChange", **{**added, "action": "Failure"}, user="")) == []
    primary = read(samba("groupChange", action="PrimaryGroup", userSid=SID, group="CN=Users", user="CN=svc"))
    assert (primary.operation, primary.class_uid) == ("PrimaryGroup", ActivityClass.GROUP_MANAGEMENT)


def test_values_beyond_ascii_are_read_and_binary_ones_are_not() -> None:
    name = base64.b64encode("CN=Peña".encode()).decode()
    found = read(samba_change({"member": {"base64": True, "value": name}}))
    assert found.detail["values"] == ["member=CN=Peña"]
    for bad in (base64.b64encode(b"\xff\xfe").decode(), "!", "é"):
        assert "values" not in read(samba_change({"member": {"base64": True, "value": bad}})).detail


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:::1:389", "::1"),
        ("ipv6:2001:db8::5:49152", "2001:db8::5"),
        ("unix:/run/samba/ldapi", None),
        (None, None),
    ],
)
def test_addresses_of_samba_lose_their_port(given: str | None, address: str | None) -> None:
    found = read(samba("Authentication", eventId=4624, status="NT_STATUS_OK", remoteAddress=given, clientAccount="svc"))
    assert found.src_ip == address


def test_who_samba_does_not_know_is_known_by_name_and_realm() -> None:
    record = samba("Authentication", eventId=4625, status="NT_STATUS_NO_SUCH_USER", clientAccount="Who@EXAMPLE.COM")
    found = read({**record, "Authentication": {**record["Authentication"], "logonId": "0"}})
    assert (found.actor_authority, found.actor_id, found.account) == ("ad:name:example.com", "who", "example.com")
    assert found.session is None


SAMBA_LOG = """\
[2026/03/01 10:11:12.123456,  3] ../../lib/audit_logging/audit_logging.c:97(audit_log_json)
  samba version 4.17 started.
[2026/03/01 10:11:12.123456,  1, pid=7, effective(0, 0), real(0, 0)] ../../source4/dsdb/common/util.c:5950(lock)
  Locked out user CN=svc after 4 wrong passwords
"""


def test_text_in_sambas_log_file_is_skipped() -> None:
    for line in SAMBA_LOG.splitlines():
        assert list(windows_security.parse({"message": line}, DriftLog())) == []
    with pytest.raises(DataError):
        list(windows_security.parse({"message": '  {"timestamp": "2026-03-01T12'}, DriftLog()))


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 1, 1, 1, 0, 1, 1), (0,)])
def test_a_log_of_samba_is_one_whatever_it_begins_with(tmp_path: Path, order: tuple[int, ...]) -> None:
    record = f"  {json.dumps(samba('passwordChange', action='Reset', status='Success', userSid=SID, dn='CN=svc'))}\n"
    log = tmp_path / "log.samba"
    log.write_text("".join(record if kind else SAMBA_LOG for kind in order), "utf-8")
    told = try_paths([log], folder=tmp_path)
    assert told.complete, told.reasons
    assert (dict(told.sources), told.events) == ({"windows.security": 1}, sum(order))
    assert told.skipped == 4 * order.count(0)


@pytest.mark.parametrize(
    "text",
    [
        "<Event><System>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]><Event/>",
        "<Event><!ENTITY a 'b'></Event>",
        "<Event><System><EventID>4624</EventID></System></Event>",
        "<Event><System><EventID>many</EventID></System></Event>",
    ],
)
def test_xml_that_cannot_be_trusted_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        list(windows_security.parse({"message": text}, DriftLog()))
