"""The Windows security log, and what a Samba domain controller writes in its place.

The operation is the event's number, which is what people and rules call it by; `detail.action` says it in words.
An account is known by its SID, the one of the inventory; one that a log names only by name has an authority of its
own, and the accounts that every machine has (SYSTEM) belong to their machine. Command lines are not kept: they hold
passwords. Records of other channels (Sysmon, an application's own) are read as events without a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wardship.model.activity import Activity, ActorKind, Outcome, small
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.i18n import N_
from wardship.sdk.source import KEPT_BY_ITS_OWNER, SourceManifest
from wardship.sources import _microsoft as ms
from wardship.sources import _samba_audit
from wardship.sources._microsoft import Row
from wardship.sources._windows_accounts import NOBODY, account
from wardship.sources._windows_codes import (
    ACTIONS,
    ENCRYPTION,
    KEPT_ATTRIBUTES,
    REPLICATION_RIGHTS,
    SERVICE_CONTROL,
    Meaning,
    Who,
)
from wardship.sources._windows_events import WindowsEvent, is_event, read

MANIFEST = SourceManifest(
    name="windows.security",
    title="Windows security events",
    forms=(
        N_("XML of the Windows event log, and JSON made of it (evtx_dump)"),
        N_("JSON of Winlogbeat and Elastic Agent"),
        N_("JSON or CSV of Get-WinEvent, messages in English"),
        N_("flat JSON or CSV: NXLog, the Log Analytics table SecurityEvent"),
        N_(
            "Samba's log with its JSON audit records (auth_json_audit, dsdb_json_audit, dsdb_password_json_audit,"
            " dsdb_group_json_audit), tested against a real domain controller"
        ),
    ),
    records=("records", "value", "Events"),
    connector=None,
    delay_hours=1.0,
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=False,
    blind_spots=(
        BlindSpot(
            id="windows.security.policy",
            text=N_("what is logged depends on the audit policy of each machine; what it leaves out is not seen"),
        ),
        BlindSpot(
            id="windows.security.machines",
            text=N_("a group managed service account and a computer both have a name that ends in a dollar sign"),
        ),
        BlindSpot(
            id="windows.security.local_time",
            text=N_("NXLog and the CSV of Get-WinEvent write local time without a zone; it is read as UTC"),
        ),
        BlindSpot(
            id="windows.security.samba",
            text=N_("Samba (4.17) logs neither requests for service tickets nor that an account was renamed or moved"),
        ),
    ),
    evidence=Evidence.DOCUMENTATION,  # of Windows; only Samba's log was made by a product that we ran
    links=("https://learn.microsoft.com/windows-server/identity/ad-ds/plan/appendix-l--events-to-monitor",),
)

SERVICE = "Microsoft-Windows-Security-Auditing"

_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_INTERACTIVE_LOGONS = frozenset({"2", "7", "10", "11", "12", "13"})
_OTHER_LOGONS = frozenset({"0", "3", "4", "5", "8", "9"})
_NO_ERROR = frozenset({"0x0", "0", "0x00000000"})
_OPERATIONS = {"%%14674": "added", "%%14675": "deleted"}
_UNCHANGED = frozenset({"-", "%%1793", "%%1794", "%%1797", ""})
_CHANGED_FIELDS = (
    "SamAccountName",
    "UserPrincipalName",
    "UserAccountControl",
    "PasswordLastSet",
    "AccountExpires",
    "PrimaryGroupId",
    "AllowedToDelegateTo",
    "SidHistory",
    "DnsHostName",
    "ServicePrincipalNames",
)
_SQL_PRINCIPAL = re.compile(r"^(?:session_)?server_principal_name:(.{1,256})$", re.MULTILINE)
_SQL_ADDRESS = re.compile(r"^client_ip:([0-9a-fA-F.:]{2,45})$", re.MULTILINE)
_SQL_ACTION = re.compile(r"^action_id:(\w{1,10})", re.MULTILINE)


def claims(record: dict[str, Any]) -> bool:
    inner = ms.unwrapped(record)
    return is_event(record) or _samba_audit.is_event(inner) or _samba_audit.is_heading(record)


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event. Raises DataError for one without a number or a time."""
    inner = ms.unwrapped(record)
    if _samba_audit.is_event(inner):
        return _samba_audit.parse(inner, drift)
    if _samba_audit.is_text(record):
        return []
    event = read(record if "winlog" in record else inner)
    service, meanings = _service(event)
    meaning = meanings.get(event.id, Meaning())
    if not meaning.action and service == SERVICE:
        drift.unknown_value("windows.eventId", event.id)
    data = event.data
    actor = _actor(event, meaning)
    code = _code(data)
    kind, ident, name = _resource(data, meaning)
    logon = data.text("LogonType")
    return [
        Activity(
            uid=_uid(event),
            time=event.at,
            class_uid=meaning.cls,
            service=service,
            operation=event.id,
            actor_authority=actor[0],
            actor_id=actor[1],
            actor_name=actor[2],
            actor_kind=actor[3],
            session=data.text("TargetLogonId") if meaning.who is Who.TARGET else data.text("SubjectLogonId", "LogonID"),
            mutating=meaning.mutating,
            interactive=True if logon in _INTERACTIVE_LOGONS else False if logon in _OTHER_LOGONS else None,
            resource_type=kind,
            resource_id=ident,
            resource_name=name,
            account=_domain(event),
            src_ip=_source(data),
            outcome=_outcome(event, meaning, code),
            outcome_code=code,
            detail=small({"action": meaning.action, **_detail(event, logon)}),
        )
    ]


def _service(event: WindowsEvent) -> tuple[str, Mapping[str, Meaning]]:
    """Whose record it is, and what its numbers mean: 1 of Sysmon is another than 1 of the kernel."""
    provider = event.provider.lower()
    if provider == "service control manager":
        return "Windows Service Control Manager", SERVICE_CONTROL
    if _is_security(event) and provider.startswith(("microsoft-windows-", "windows")):
        return SERVICE, ACTIONS
    return event.provider, {}


def _is_security(event: WindowsEvent) -> bool:
    return (event.channel or "security").lower() == "security"


def _uid(event: WindowsEvent) -> str | None:
    """Numbers of records start again when a log is cleared, so the time is part of it."""
    if event.record is None or event.computer is None:
        return None
    return f"{event.computer}/{event.channel or event.provider}/{event.record}/{event.at.isoformat()}"


def _actor(event: WindowsEvent, meaning: Meaning) -> tuple[str | None, str | None, str | None, ActorKind]:
    """(authority, id, name, kind) of who acted: who asked for it, or of a logon whose it is."""
    data = event.data
    sides = ("Subject", "Target", "Account") if meaning.who is Who.SUBJECT else ("Target", "Account", "Subject")
    for side in sides:
        name, sid = data.text(f"{side}UserName", f"{side}Name"), data.text(f"{side}UserSid")
        if sid is None and side == "Target" and meaning.who is Who.TARGET:
            sid = data.text("TargetSid")
        if name is None and (sid is None or sid in NOBODY):
            continue
        if side == "Target" and meaning.who is Who.SUBJECT:
            continue  # what was acted upon, not who acted
        return account(sid, name, data.text(f"{side}DomainName", f"{side}Domain"), event.computer)
    text = data.text("param1") or ""
    if match := _SQL_PRINCIPAL.search(text):
        domain, _slash, name = match[1].strip().rpartition("\\")
        return account(None, name, domain or None, event.computer)
    domain, _slash, name = (data.text("User", "Account") or "").rpartition("\\")
    return account(event.user_sid, name or None, domain or None, event.computer)


def _resource(data: Row, meaning: Meaning) -> tuple[str | None, str | None, str | None]:
    """(type, id, name) of what was acted upon."""
    if meaning.who is Who.TARGET:
        if service := data.text("ServiceName"):
            return "service", data.text("ServiceSid") or service, service
        return ("computer", computer, computer) if (computer := data.text("TargetServerName")) else (None, None, None)
    if meaning.group:
        return "group", data.text("TargetSid"), data.text("TargetUserName")
    if name := data.text("TargetUserName", "NewTargetUserName"):
        return "account", data.text("TargetSid", "TargetUserSid"), name
    for kind, field in (
        ("computer", "TargetServerName"),
        ("directory_object", "ObjectDN"),
        ("object", "ObjectName"),
        ("service", "ServiceName"),
        ("task", "TaskName"),
        ("share", "ShareName"),
    ):
        if found := data.text(field):
            return kind, found[:1_000], found[:300]
    return None, None, None


def _code(data: Row) -> str | None:
    """The status: of a failed logon the one that says more."""
    status, sub = data.lower("Status", "FailureCode", "ErrorCode"), data.lower("SubStatus")
    found = sub if sub and sub not in _NO_ERROR else status
    return found if found and re.fullmatch(r"0x[0-9a-f]{1,8}|\d{1,10}", found) else None


def _outcome(event: WindowsEvent, meaning: Meaning, code: str | None) -> Outcome:
    if event.succeeded is not None:
        return Outcome.SUCCESS if event.succeeded else Outcome.FAILURE
    if meaning.fails:
        return Outcome.FAILURE
    if code is not None:
        return Outcome.SUCCESS if code in _NO_ERROR else Outcome.FAILURE
    return Outcome.SUCCESS if meaning.action else Outcome.UNKNOWN  # a change is audited once it is made


def _source(data: Row) -> str | None:
    found = ms.address(data.value("IpAddress", "ClientAddress", "SourceAddress", "SourceIp"))
    if found in (None, "LOCAL"):
        match = _SQL_ADDRESS.search(data.text("param1") or "")
        return match[1] if match else None
    return found


def _domain(event: WindowsEvent) -> str | None:
    """The DNS domain of the machine that logged it; a machine without one is its own."""
    computer = (event.computer or "").strip(".").lower()
    return (computer.partition(".")[2] or computer)[:200] or None


def _detail(event: WindowsEvent, logon: str | None) -> Mapping[str, Any]:
    data = event.data
    encryption = data.lower("TicketEncryptionType")
    guids = [found.lower() for found in _GUID.findall(data.text("Properties") or "")]
    attribute = data.text("AttributeLDAPDisplayName")
    sql = _SQL_ACTION.search(data.text("param1") or "")
    return {
        "channel": event.channel if not _is_security(event) else None,
        "computer": event.computer,
        "logon_type": logon,
        "package": data.text("AuthenticationPackageName", "PackageName"),
        "lm_package": data.text("LmPackageName"),
        "workstation": data.text("WorkstationName", "Workstation"),
        "encryption": ENCRYPTION.get(encryption or "", encryption),
        "service_name": data.text("ServiceName"),
        "service_account": data.text("ServiceAccount"),
        "ticket_options": data.text("TicketOptions"),
        "preauthentication": data.text("PreAuthType"),
        "delegated_by": data.text("TransmittedServices"),
        "target_user": data.text("TargetUserName") if event.id == "4648" else None,
        "target_domain": data.text("TargetDomainName"),
        "target_sid": data.text("TargetSid"),
        "member": data.text("MemberName"),
        "member_sid": data.text("MemberSid"),
        "privileges": ms.words((data.text("PrivilegeList") or "").split()),
        "access_mask": data.text("AccessMask"),
        "object_type": data.text("ObjectType", "ObjectClass"),
        "rights": ms.words(REPLICATION_RIGHTS.get(found, found) for found in guids),
        "attribute": attribute,
        "attribute_value": data.text("AttributeValue") if (attribute or "").lower() in KEPT_ATTRIBUTES else None,
        "change": _OPERATIONS.get(data.text("OperationType") or ""),
        "changed": [
            name
            for name in _CHANGED_FIELDS
            if (data.text(name) or "-") not in _UNCHANGED and event.id in ("4738", "4742", "4720", "4741")
        ],
        "new_uac": data.text("NewUacValue"),
        "delegates_to": data.text("AllowedToDelegateTo"),
        "old_name": data.text("OldTargetUserName"),
        "task": data.text("TaskName"),
        "process": (data.text("NewProcessName", "ProcessName", "Image") or "").rpartition("\\")[2],
        "sql_action": sql[1] if sql else None,
    }
