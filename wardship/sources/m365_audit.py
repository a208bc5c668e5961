"""The unified audit log of Microsoft 365: Exchange, SharePoint, OneDrive, Teams, Entra, compliance.

Forms: objects of the Management Activity API, results of Search-UnifiedAuditLog (CSV or JSON, the event in
`AuditData`), rows of Log Analytics (OfficeActivity), what a log shipper wraps around them. Changes in the directory
are read as in the directory's own log (`_entra_changes`). Of mail rules and forwarding only domains and switches are
kept, of content nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome, small
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, SourceManifest
from wardship.sources import _microsoft as ms
from wardship.sources._entra_changes import Change, class_of, detail_of
from wardship.sources._microsoft import Row

MANIFEST = SourceManifest(
    name="m365.audit",
    title="Microsoft 365 unified audit log",
    forms=(
        N_("JSON of the Management Activity API"),
        N_("CSV or JSON of Search-UnifiedAuditLog and of the portal's search, with AuditData"),
        N_("rows of the Log Analytics table OfficeActivity as JSON or CSV"),
    ),
    records=("value",),
    connector="entra",
    permissions=(
        Permission(
            name="ActivityFeed.Read",
            why=N_("reads the log; an application permission of the Office 365 Management APIs"),
        ),
    ),
    delay_hours=24.0,
    retention_days=180,
    logs_reads=False,  # it has some reads, but of Microsoft 365 alone: an application without any may be busy elsewhere
    blind_spots=(
        BlindSpot(
            id="m365.audit.subscriptions",
            text=N_(
                "live, Microsoft hands out the last seven days, of the kinds of content to which an administrator"
                " started a subscription; data loss prevention is left out"
            ),
        ),
        BlindSpot(
            id="m365.audit.user_names",
            text=N_("Exchange and SharePoint name a user by the user name, not by the id that the directory uses"),
        ),
        BlindSpot(
            id="m365.audit.mail_reads",
            text=N_("which mail was read is logged for some licences only, and not for the whole mailbox"),
        ),
    ),
    evidence=Evidence.DOCUMENTATION,
    links=(
        "https://learn.microsoft.com/office/office-365-management-api/office-365-management-activity-api-schema",
        "https://learn.microsoft.com/purview/audit-log-activities",
    ),
)

_SERVICE = "Microsoft365"
_DIRECTORY = frozenset({"azureactivedirectory"})
_SIGN_INS = frozenset({"userloggedin", "userloginfailed", "teamssessionstarted", "mailboxlogin", "userloggedoff"})
_FAILED = frozenset({"failed", "failure", "false"})
_SUCCEEDED = frozenset({"success", "succeeded", "true", "partiallysucceeded"})
_APPLICATION_TYPES = frozenset({"5", "6"})  # UserType: Application, ServicePrincipal
_SYSTEM_TYPES = frozenset({"3", "4", "8"})  # DcAdmin (Microsoft's own), System, SystemPolicy
_CMDLET = re.compile(r"(New|Set|Add|Remove|Enable|Disable|Update|Install|Start|Stop|Grant|Revoke|Get|Search|Test)-\w+")
_READING = re.compile(
    r"Accessed|Viewed|Previewed|Downloaded|Searched|Queried|Read\b|LoggedIn|LoginFailed|LoggedOff|SessionStarted|Alert|"
    r"RuleMatch|MailboxLogin|^MessageBind$|^FolderBind$",
    re.IGNORECASE,
)
_SWITCHES: Mapping[str, str] = {  # parameters of Exchange and compliance cmdlets -> the word in `detail`
    "accessrights": "access_rights",
    "user": "target_user",
    "trustee": "target_user",
    "grantsendonbehalfto": "send_on_behalf",
    "roles": "roles",
    "role": "role",
    "members": "members",
    "member": "members",
    "deletemessage": "delete",
    "softdeletemessage": "delete",
    "movetofolder": "move_to",
    "markasread": "mark_as_read",
    "stopprocessingrules": "stop_rules",
    "delivertomailboxandforward": "keep_copy",
    "auditenabled": "audit_enabled",
    "auditlogagelimit": "audit_age_limit",
    "auditbypassenabled": "audit_bypass",
    "unifiedauditlogingestionenabled": "audit_ingestion",
    "adminauditlogenabled": "admin_audit",
    "imapenabled": "imap",
    "popenabled": "pop",
    "owaenabled": "owa",
    "activesyncenabled": "activesync",
    "smtpclientauthenticationdisabled": "smtp_auth_disabled",
    "allowbasicauthpowershell": "basic_auth_powershell",
    "autoforwardenabled": "auto_forward",
    "hiddenfromaddresslistsenabled": "hidden",
    "enabled": "enabled",
    "state": "state",
    "mode": "mode",
}
_FORWARDS = frozenset(
    {
        "forwardto",
        "forwardasattachmentto",
        "redirectto",
        "forwardingsmtpaddress",
        "forwardingaddress",
        "redirectmessageto",
    }
)
_LISTS = frozenset({"access_rights", "roles", "members", "send_on_behalf"})
_ARGUMENT = re.compile(r'-(\w{1,60}):? (?:"([^"]{0,500})"|(\([^)]{0,500}\))|(\S{1,500}))')
_DIRECTORY_ACTOR = re.compile(r"(User|ServicePrincipal)_([0-9a-f-]{36})", re.IGNORECASE)


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection's tenant. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._m365_live import UnifiedAuditLog

    return UnifiedAuditLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An event of the unified audit log has a record type and an organisation; a search result has AuditData."""
    row = Row(_event(record))
    if "RecordType" in row and ("CreationTime" in row or "CreationDate" in row):
        return True
    return "OfficeWorkload" in row and "Operation" in row


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event. Raises DataError for one without a time."""
    row = Row(_event(record))
    workload = row.text("Workload", "OfficeWorkload") or _SERVICE
    tenant = ms.guid(row.value("OrganizationId")) or ms.guid(row.value("ActorContextId"))
    operation = row.text("Operation", "Operations") or f"RecordType {row.text('RecordType') or '?'}"
    extended = _pairs(row.value("ExtendedProperties"))
    authority, ident, name, kind = _actor(row, extended, tenant)
    code, outcome = _result(row, extended, operation)
    if outcome is Outcome.UNKNOWN:
        drift.unknown_value("m365.ResultStatus", code or "")
    parameters = _parameters(row)
    target = _target(row)
    session = row.child("AppAccessContext")
    return [
        Activity(
            uid=row.text("Id", "Identity", "OfficeId"),
            time=ms.needed_instant(
                row.value("CreationTime"), row.value("CreationDate"), row.value("TimeGenerated", "Start_Time")
            ),
            class_uid=_class(workload, operation),
            service=workload,
            operation=operation,
            actor_authority=authority,
            actor_id=ident,
            actor_name=name,
            actor_kind=kind,
            session=session.text("AADSessionId", "UniqueTokenId") or row.text("SessionId", "InterSystemsId"),
            on_behalf_of=_on_behalf_of(row, kind, name),
            mutating=_mutating(workload, operation),
            interactive=None,
            resource_type=row.text("ItemType") or ("mailbox" if workload == "Exchange" else None),
            resource_id=row.text("ObjectId", "MailboxGuid", "OfficeObjectId"),
            resource_name=target or row.text("MailboxOwnerUPN", "SourceFileName", "TeamName"),
            account=tenant,
            src_ip=_source(row),
            user_agent=row.text("UserAgent") or extended.get("useragent") or _said(extended).get("user-agent"),
            outcome=outcome,
            outcome_code=code,
            detail=small(_detail(row, extended, parameters, target, workload)),
        )
    ]


def _event(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event inside a search result's `AuditData`, or inside what a shipper wrapped around it."""
    found = ms.unwrapped(record)
    if found is record and isinstance(inner := record.get("o365audit"), dict):
        return inner
    row = Row(found)
    audit = ms.object_of(row.value("AuditData"))
    if not audit:
        return found
    outside = {"CreationDate": row.value("CreationDate"), "Identity": row.value("Identity")}
    return {**outside, "RecordType": row.value("RecordType"), "Operations": row.value("Operations"), **audit}


def _pairs(value: Any) -> dict[str, str]:
    """A list of names and values, names in lower case. Some events have one text there: it is not read."""
    found: dict[str, str] = {}
    for item in ms.objects_of(value)[:200]:
        pair = Row(item)
        if (name := pair.lower("Name", "Key")) and (text := pair.text("Value", "NewValue")) is not None:
            found.setdefault(name, text)
    return found


def _parameters(row: Row) -> dict[str, str]:
    """The parameters of a cmdlet, a list of names and values or a command line; names in lower case."""
    value = row.value("Parameters", "NonPIIParameters")
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        return {
            name.lower(): (quoted or grouped or bare).strip()
            for name, quoted, grouped, bare in _ARGUMENT.findall(value[:20_000])
        }
    return {**_pairs(row.value("OperationProperties")), **_pairs(value)}


def _actor(
    row: Row, extended: Mapping[str, str], tenant: str | None
) -> tuple[str | None, str | None, str | None, ActorKind]:
    """(authority, id, name, kind): the directory's own entry where the event has it, else the user name."""
    name = row.text("UserId", "UserIds", "UserKey")
    user_type = row.text("UserType") or ""
    client = ms.guid(row.child("AppAccessContext").value("ClientAppId")) or ms.guid(row.value("ClientAppId", "AppId"))
    entries = [text for entry in row.children("Actor") if (text := entry.text("ID"))]
    for entry in entries:
        if match := _DIRECTORY_ACTOR.fullmatch(entry):
            found = ms.guid(match[2])
            if match[1].lower() == "user":
                return *ms.person(tenant, found, name), name, ActorKind.USER
            return *_application(tenant, entries, found), name, ms.application_kind(client)
    if name and (match := _DIRECTORY_ACTOR.fullmatch(name)) and match[1].lower() != "user":
        return *ms.application(tenant, None, match[2]), name, ActorKind.APPLICATION
    if user_type in _APPLICATION_TYPES or (name and name.lower().startswith("app@sharepoint")):
        shown = row.text("ClientAppName", "ApplicationDisplayName") or (client if "@" in (name or "") else name)
        return *ms.application(tenant, client), shown, ms.application_kind(client)
    if client and ms.guid(name):  # a cmdlet that an application ran: its service principal's id stands for the user
        return *ms.application(tenant, client, name), name, ms.application_kind(client)
    if user_type in _SYSTEM_TYPES and "@" not in (name or ""):
        return None, None, name, ActorKind.PROVIDER_SERVICE
    object_id = extended.get("actorobjectid") or next((entry for entry in entries if ms.guid(entry)), None)
    object_id = object_id or row.text("UserKey")
    if name is None:
        return None, None, None, ActorKind.UNKNOWN
    return *ms.person(tenant, object_id, name), name, ActorKind.USER


def _application(tenant: str | None, entries: Iterable[str], object_id: str | None) -> tuple[str | None, str | None]:
    """A service principal among the actor's entries: its own id, and its application's where there is another GUID."""
    others = [found for entry in entries if (found := ms.guid(entry)) and found != object_id]
    return ms.application(tenant, others[0] if len(others) == 1 else None, object_id)


def _on_behalf_of(row: Row, kind: ActorKind, name: str | None) -> str | None:
    """The mailbox's owner, where an application or somebody else came in."""
    owner = row.text("MailboxOwnerUPN")
    if kind in (ActorKind.APPLICATION, ActorKind.PROVIDER_SERVICE) and (user := row.text("UserId")) and "@" in user:
        return user if user != name else None
    return owner if owner and name and owner.lower() != name.lower() and kind is ActorKind.APPLICATION else None


def _source(row: Row) -> str | None:
    for name in ("ClientIP", "ActorIpAddress", "ClientIPAddress", "Client_IPAddress"):
        if found := ms.address(row.value(name)):
            return found
    return None


def _result(row: Row, extended: Mapping[str, str], operation: str) -> tuple[str | None, Outcome]:
    """What is logged without a result was done: the services log an operation when it has happened."""
    code = row.text("LogonError") or row.text("ErrorNumber")
    word = (row.lower("ResultStatus") or extended.get("resulttype") or "").lower()
    if operation.lower().endswith("failed") or row.text("LogonError") or word in _FAILED:
        return code or word or None, Outcome.FAILURE
    known = not word or word in _SUCCEEDED
    return (code if code != "0" else None) or word or None, Outcome.SUCCESS if known else Outcome.UNKNOWN


def _class(workload: str, operation: str) -> ActivityClass:
    place = workload.lower()
    if operation.lower() in _SIGN_INS:
        return ActivityClass.AUTHENTICATION
    if place in _DIRECTORY:
        return class_of(operation)
    if re.search(r"Permission|RoleGroup|RoleAssignment|Sharing", operation):
        return ActivityClass.USER_ACCESS_MANAGEMENT
    return ActivityClass.FILE_HOSTING_ACTIVITY if place in ("sharepoint", "onedrive") else ActivityClass.API_ACTIVITY


def _mutating(workload: str, operation: str) -> bool | None:
    if match := _CMDLET.fullmatch(operation):
        return match[1] not in ("Get", "Search", "Test")
    if _READING.search(operation):
        return False
    if workload.lower() in _DIRECTORY:
        return True
    return True if re.search(r"Delete|Create|Modif|Upload|Update|Move|Rename|Add|Remove|Send|Set", operation) else None


def _target(row: Row) -> str | None:
    """The user or group that was acted upon: the entry of `Target` that is a name."""
    entries = row.children("Target")
    for entry in entries:
        text = entry.text("ID")
        if text and entry.text("Type") in ("5", "1") and not ms.guid(text) and text.lower() != "unknown":
            return text
    return None


def _said(extended: Mapping[str, str]) -> dict[str, str]:
    """`additionalDetails`, which is a JSON text of its own; names in lower case."""
    inner = ms.object_of(extended.get("additionaldetails"))
    return {str(name).lower(): text for name, value in inner.items() if (text := ms.text_of(value)) is not None}


def _detail(
    row: Row, extended: Mapping[str, str], parameters: Mapping[str, str], target: str | None, workload: str
) -> dict[str, Any]:
    changes = [
        Change(name, change.value("OldValue"), change.value("NewValue"))
        for change in row.children("ModifiedProperties")
        if (name := change.text("Name", "DisplayName"))
    ]
    found: dict[str, Any] = detail_of(changes) if workload.lower() in _DIRECTORY else {}
    if target and workload.lower() in _DIRECTORY:
        found["target_user" if "@" in target else "target"] = target
    if app := ms.guid(_said(extended).get("appid")):
        found.setdefault("target_app", app)
    for name, value in parameters.items():
        if word := _SWITCHES.get(name):
            parts = [part.strip(' ()"') for part in re.split(r"[;,]", value)]
            flag = ms.flag_of(value)
            found[word] = ms.words(parts) if word in _LISTS else value[:200] if flag is None else flag
    forwards = [value for name, value in parameters.items() if name in _FORWARDS]
    if forwards:
        found["forward_domains"] = ms.mail_domains(forwards)
        found["forwards"] = True
    found.update(_rule_actions(parameters.get("ruleactions")))
    return {
        "record_type": row.text("RecordType"),
        "identity": parameters.get("identity"),
        "app_id": ms.guid(row.value("ApplicationId", "AppId", "ClientAppId")),
        "client_app": ms.guid(row.child("AppAccessContext").value("ClientAppId")),
        "client": row.text("ClientInfoString", "ClientApplication"),
        "protocol": extended.get("requesttype"),
        "method": extended.get("userauthenticationmethod"),
        "external": row.flag("ExternalAccess"),
        "logon_type": row.text("LogonType"),
        "site": row.text("SiteUrl"),
        "file_extension": row.text("SourceFileExtension"),
        "target": row.text("TargetUserOrGroupName"),
        "alert": row.text("AlertType"),
        **found,
    }


def _rule_actions(text: str | None) -> dict[str, Any]:
    """A rule that Outlook itself made: its actions are a JSON text, each with a type."""
    actions = ms.objects_of(text)
    types = [(Row(action).text("ActionType", "Type") or "").lower() for action in actions]
    if not actions:
        return {}
    forwards = [part for part in types if "forward" in part or "redirect" in part]
    return {
        "delete": True if any("delete" in part for part in types) else None,
        "forwards": True if forwards else None,
        "forward_domains": ms.mail_domains([text]) if forwards else None,
    }
