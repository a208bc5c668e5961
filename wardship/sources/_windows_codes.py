"""What the numbers of the Windows security log mean: facts of Microsoft's own list of audit events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from wardship.model.activity import ActivityClass


class Who(Enum):
    """Which of the accounts in an event acted: the one that asked for it, or of a logon the one that it is about."""

    SUBJECT = "subject"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one number. `action` None: not known here. `fails`: the number itself says that it failed."""

    action: str | None = None
    cls: ActivityClass = ActivityClass.API_ACTIVITY
    who: Who = Who.SUBJECT
    mutating: bool | None = None
    group: bool = False
    fails: bool = False


def _logon(action: str, *, fails: bool = False, who: Who = Who.TARGET) -> Meaning:
    return Meaning(action, ActivityClass.AUTHENTICATION, who, mutating=False, fails=fails)


def _account(action: str) -> Meaning:
    return Meaning(action, ActivityClass.ACCOUNT_CHANGE, mutating=True)


def _group(action: str) -> Meaning:
    return Meaning(action, ActivityClass.GROUP_MANAGEMENT, mutating=True, group=True)


def _change(action: str) -> Meaning:
    return Meaning(action, ActivityClass.ENTITY_MANAGEMENT, mutating=True)


def _seen(action: str) -> Meaning:
    return Meaning(action, mutating=False)


def _groups() -> Mapping[str, Meaning]:
    """Six kinds of groups with their numbers in a row each; of the two oldest kinds "changed" came later, elsewhere."""
    old, new = "created member-added member-removed deleted", "created changed member-added member-removed deleted"
    rows = (
        (4727, "global", old),
        (4731, "local", old),
        (4744, "local-distribution", new),
        (4749, "global-distribution", new),
        (4754, "universal", new),
        (4759, "universal-distribution", new),
    )
    found = {
        str(number): _group(f"{kind}-group-{step}")
        for first, kind, steps in rows
        for number, step in enumerate(steps.split(), start=first)
    }
    return {**found, "4735": _group("local-group-changed"), "4737": _group("global-group-changed")}


ACTIONS: Mapping[str, Meaning] = {
    "1100": _change("logging-stopped"),
    "1102": _change("audit-log-cleared"),
    "4610": _change("authentication-package-loaded"),
    "4611": _change("logon-process-registered"),
    "4616": _change("system-time-changed"),
    "4624": _logon("logged-on"),
    "4625": _logon("logon-failed", fails=True),
    "4634": _logon("logged-off"),
    "4647": _logon("logged-off-by-user"),
    "4648": _logon("logged-on-with-explicit-credentials", who=Who.SUBJECT),
    "4656": _seen("object-handle-requested"),
    "4657": _change("registry-value-changed"),
    "4661": _seen("directory-object-handle-requested"),
    "4662": Meaning("directory-object-operated-on", ActivityClass.DATASTORE_ACTIVITY),
    "4663": Meaning("object-accessed"),
    "4670": _change("object-permissions-changed"),
    "4672": Meaning("special-privileges-assigned", ActivityClass.AUTHORIZE_SESSION, mutating=False),
    "4673": _seen("privileged-service-called"),
    "4674": _seen("privileged-object-operated-on"),
    "4688": Meaning("process-created"),
    "4689": _seen("process-ended"),
    "4696": Meaning("primary-token-assigned"),
    "4697": _change("service-installed"),
    "4698": _change("scheduled-task-created"),
    "4699": _change("scheduled-task-deleted"),
    "4700": _change("scheduled-task-enabled"),
    "4701": _change("scheduled-task-disabled"),
    "4702": _change("scheduled-task-changed"),
    "4703": _seen("token-right-adjusted"),
    "4704": Meaning("user-right-assigned", ActivityClass.USER_ACCESS_MANAGEMENT, mutating=True),
    "4705": Meaning("user-right-removed", ActivityClass.USER_ACCESS_MANAGEMENT, mutating=True),
    "4706": _change("domain-trust-created"),
    "4707": _change("domain-trust-removed"),
    "4713": _change("kerberos-policy-changed"),
    "4716": _change("domain-trust-changed"),
    "4717": Meaning("system-access-granted", ActivityClass.USER_ACCESS_MANAGEMENT, mutating=True),
    "4718": Meaning("system-access-removed", ActivityClass.USER_ACCESS_MANAGEMENT, mutating=True),
    "4719": _change("audit-policy-changed"),
    "4720": _account("account-created"),
    "4722": _account("account-enabled"),
    "4723": _account("password-changed"),
    "4724": _account("password-reset"),
    "4725": _account("account-disabled"),
    "4726": _account("account-deleted"),
    "4738": _account("account-changed"),
    "4739": _change("domain-policy-changed"),
    "4740": _account("account-locked-out"),
    "4741": _account("computer-created"),
    "4742": _account("computer-changed"),
    "4743": _account("computer-deleted"),
    **_groups(),
    "4764": _group("group-type-changed"),
    "4765": _account("sid-history-added"),
    "4766": Meaning("sid-history-addition-failed", ActivityClass.ACCOUNT_CHANGE, mutating=True, fails=True),
    "4767": _account("account-unlocked"),
    "4768": _logon("kerberos-ticket-requested"),
    "4769": _logon("kerberos-service-ticket-requested"),
    "4770": _logon("kerberos-service-ticket-renewed"),
    "4771": _logon("kerberos-preauthentication-failed", fails=True),
    "4772": _logon("kerberos-ticket-refused", fails=True),
    "4773": _logon("kerberos-service-ticket-refused", fails=True),
    "4774": _logon("account-mapped-for-logon"),
    "4775": _logon("account-not-mapped-for-logon", fails=True),
    "4776": _logon("credentials-validated"),
    "4777": _logon("credentials-not-validated", fails=True),
    "4778": _logon("session-reconnected"),
    "4779": _logon("session-disconnected"),
    "4780": _change("administrators-permissions-reset"),
    "4781": _account("account-renamed"),
    "4782": _seen("password-hash-read"),
    "4794": _account("restore-mode-password-set"),
    "4797": _seen("blank-password-queried"),
    "4798": _seen("groups-of-user-listed"),
    "4799": _seen("members-of-group-listed"),
    "4817": _change("object-auditing-changed"),
    "4886": _seen("certificate-requested"),
    "4887": _change("certificate-issued"),
    "4888": Meaning("certificate-refused", mutating=False, fails=True),
    "4902": _change("user-audit-policy-created"),
    "4904": _change("event-source-registered"),
    "4905": _change("event-source-unregistered"),
    "4906": _change("crash-on-audit-failure-changed"),
    "4907": _change("object-auditing-changed"),
    "4908": _change("special-groups-changed"),
    "4912": _change("user-audit-policy-changed"),
    "4928": _change("replica-source-established"),
    "4929": _change("replica-source-removed"),
    "5136": _change("directory-object-changed"),
    "5137": _change("directory-object-created"),
    "5138": _change("directory-object-undeleted"),
    "5139": _change("directory-object-moved"),
    "5140": _seen("share-accessed"),
    "5141": _change("directory-object-deleted"),
    "5142": _change("share-created"),
    "5145": _seen("share-access-checked"),
    "5376": _seen("credentials-backed-up"),
    "5377": _change("credentials-restored"),
    "5379": _seen("credentials-read"),
    "5381": _seen("vault-credentials-read"),
    "5382": _seen("vault-credentials-read"),
}

SERVICE_CONTROL: Mapping[str, Meaning] = {  # of the Service Control Manager, in the System log
    "7040": _change("service-start-changed"),
    "7045": _change("service-installed"),
}

ENCRYPTION: Mapping[str, str] = {  # RFC 3961 and Microsoft's own; of Kerberos tickets
    "0x1": "des-cbc-crc",
    "0x3": "des-cbc-md5",
    "0x11": "aes128-cts-hmac-sha1",
    "0x12": "aes256-cts-hmac-sha1",
    "0x17": "rc4-hmac",
    "0x18": "rc4-hmac-exp",
    "0xffffffff": "none",
}

REPLICATION_RIGHTS: Mapping[str, str] = {  # extended rights of a directory's domain object, by their GUID
    "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2": "DS-Replication-Get-Changes",
    "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2": "DS-Replication-Get-Changes-All",
    "89e95b76-444d-4c62-991a-0facbeda640c": "DS-Replication-Get-Changes-In-Filtered-Set",
}

KEPT_ATTRIBUTES = frozenset({"serviceprincipalname", "msds-allowedtodelegateto", "useraccountcontrol", "member"})
"""Attributes of the directory whose new values are kept: they say what an account may do, and are no secrets."""
