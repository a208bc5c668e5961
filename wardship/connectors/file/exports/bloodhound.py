"""BloodHound: the collectors' JSON (SharpHound and its kin, AzureHound) and OpenGraph.

Written from SpecterOps' public documentation of both formats (2026-11), not checked against a collection of a real
domain. Accounts of Active Directory are known by their SID, those of Entra by their object id, as the directories
themselves do; so an import joins what is read of them in other ways. Of people only who they are is taken, for owners.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from wardship.connectors.file.exports._items import (
    epoch,
    flag,
    guid,
    instant,
    items,
    json_rows,
    key_of,
    known,
    opened,
    short,
    tail_of,
)
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError, NotVisible
from wardship.model.identity import Identity, IdentityKind, Person, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope
from wardship.sdk.connector import Connection, DriftLog, Record
from wardship.sdk.fields import Fields
from wardship.sdk.i18n import N_
from wardship.sdk.redact import redact_text

NAME = "bloodhound"
TITLE = N_("BloodHound (collector JSON, AzureHound, OpenGraph)")

_META = re.compile(rb'"meta"\s*:\s*\{[^{}]{0,2000}\}')
_TYPE = re.compile(rb'"type"\s*:\s*"([a-z]{2,30})"')
_GRAPH = re.compile(rb'\{[^\[]{0,20000}?"graph"\s*:\s*\{\s*"(?:nodes|edges)"\s*:', re.DOTALL)
_SID = re.compile(r"(S-1-5-21-\d{1,10}-\d{1,10}-\d{1,10})-\d{1,10}")
_DOMAIN_SID = re.compile(r"S-1-5-21-\d{1,10}-\d{1,10}-\d{1,10}")
_TYPES = frozenset({"users", "computers", "domains", "azure"})  # the collectors' other files tell of nobody
_SECRETIVE = re.compile(r"passw|secrettext|hint|customkeyidentifier|^key$|token|laps")
_DATES_OF_PASSWORDS = frozenset({"pwdlastset", "pwdneverexpires", "passwordcredentials", "passwordnotreqd"})
_MAX_HOLDERS = 2_000_000

_CONTROL = frozenset(
    """
    Owns GenericAll WriteDacl WriteOwner WriteOwnerLimitedRights OwnsLimitedRights AllExtendedRights DCSync
    GetChangesAll ForceChangePassword AddMember AddKeyCredentialLink AddAllowedToAct AllowedToAct AdminTo
    SQLAdmin ReadGMSAPassword ReadLAPSPassword SyncLAPSPassword GoldenCert ManageCA WritePKIEnrollmentFlag
    AZAddMembers AZAddOwner AZAddSecret AZAppAdmin AZCloudAppAdmin AZAutomationContributor AZContributor
    AZGetCertificates AZGetKeys AZGetSecrets AZGlobalAdmin AZGrant AZGrantSelf AZKeyVaultContributor AZMGAddMember
    AZMGAddOwner AZMGAddSecret AZMGGrantAppRoles AZMGGrantRole AZOwner AZOwns AZPrivilegedAuthAdmin
    AZPrivilegedRoleAdmin AZResetPassword AZUserAccessAdministrator AZVMAdminLogin AZVMContributor
    """.split()
)
_WRITE = frozenset(
    """
    GenericWrite WriteSPN WriteAccountRestrictions AddSelf WriteGPLink AllowedToDelegate CanRDP CanPSRemote
    ExecuteDCOM AZExecuteCommand AZLogicAppContributor AZWebsiteContributor AZNodeResourceGroup AZRunsAs
    """.split()
)


def recognise(path: Path, head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"{"):
        return False
    return bool(_GRAPH.match(start)) or _type_of(path, head) is not None


def scopes(path: Path, connection: Connection) -> Iterable[Scope]:
    """One for each collector's type: authorities are told by the objects, so the scope's is that of the collection."""
    with path.open("rb") as stream:
        head = stream.read(65_536)
    kind = _type_of(path, head) or "opengraph"
    return [Scope(connector="file", authority=f"bloodhound:{connection.name}", kind=f"bloodhound.{kind}")]


def rows(path: Path, scope: Scope) -> Iterator[object]:
    kind = scope.kind.removeprefix("bloodhound.")
    if kind == "opengraph":
        yield from _graph(path)
    elif kind in _TYPES:
        for item in items(json_rows(path, "data"), kind):
            yield _pruned(item)


def parse(scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
    del connection
    kind = scope.kind.removeprefix("bloodhound.")
    match kind:
        case "users" | "computers" | "domains":
            return list(_collected(kind, opened(item, kind, "bloodhound")))
        case "azure":
            entry = opened(item, "azure", "bloodhound")
            return list(_azure(entry.text("kind") or "", entry.need("data")))
        case "opengraph":
            if isinstance(item, dict) and "edge" in item:
                return [_edge(item)]
            return list(_node(opened(item, "node", "bloodhound")))
    raise DataError("a kind of file that tells of nobody")


def _type_of(path: Path, head: bytes) -> str | None:
    """What a collector's file holds: its "meta" stands at the end, with some collectors at the beginning."""
    if b'"data"' not in head[:4096] and b'"meta"' not in head[:4096]:
        return None
    for part in (head[:4096], tail_of(path)):
        for meta in _META.findall(part):
            if (found := _TYPE.search(meta)) and b'"version"' in meta and b'"count"' in meta:
                return found[1].decode("ascii")
    return None


def _pruned(value: Any) -> Any:
    """Without what may be a secret, before an item exists: directories hold passwords in attributes and remarks."""
    if isinstance(value, list):
        return [_pruned(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, inner in value.items():
        low = name.lower()
        if low == "description":
            kept[name] = redact_text(inner[:4096]) if isinstance(inner, str) else None
        elif low in _DATES_OF_PASSWORDS or not _SECRETIVE.search(low):
            kept[name] = _pruned(inner)
    return kept


# ------------------------------------------------------------------ Active Directory


def _collected(kind: str, entry: Fields) -> Iterator[Record]:
    sid = key_of(entry, "ObjectIdentifier")
    told = entry.need("Properties")
    if kind == "domains":
        if not _DOMAIN_SID.fullmatch(sid):
            raise DataError("ObjectIdentifier is no SID of a domain")
        yield System(authority=f"ad:{sid}", kind="ad_domain", name=told.text("name"))
        return
    if not _SID.fullmatch(sid):
        return  # a well-known group or a local account: nobody of the directory
    yield from _account(sid, told, "Computer" if kind == "computers" else "User")
    target = told.text("name") or sid
    for ace in _objects(entry, "Aces"):
        yield from _right(ace, sid, target)
    for group in _objects(entry, "LocalGroups"):
        if (group.text("ObjectIdentifier") or "").endswith("-544"):  # BUILTIN\\Administrators
            for member in _objects(group, "Results"):
                told_as = {"PrincipalSID": member.text("ObjectIdentifier"), "PrincipalType": member.text("ObjectType")}
                yield from _right(Fields({**told_as, "RightName": "AdminTo"}, "bloodhound", DriftLog()), sid, target)


def _account(sid: str, told: Fields, kind: str) -> Iterator[Record]:
    """A computer, a (group) managed service account, an account with a service principal name; else a person."""
    authority = _authority(sid)
    managed = flag(told, "gmsa") or flag(told, "msa")
    enabled = flag(told, "enabled")
    if kind == "User" and not _serves(told):
        yield Person(
            authority=authority,
            native_id=sid,
            name=told.text("displayname") or told.text("name"),
            email=told.text("email"),
            active=enabled,
            aliases=(("ad:sid", sid),),
        )
        return
    subtype = "computer" if kind == "Computer" else "managed service account" if managed else "service account"
    yield Identity(
        authority=authority,
        native_id=sid,
        kind=IdentityKind.DEVICE
        if kind == "Computer"
        else IdentityKind.MANAGED_SERVICE_ACCOUNT
        if managed
        else IdentityKind.DIRECTORY_ACCOUNT,
        subtype=subtype,
        name=told.text("samaccountname") or told.text("name"),
        enabled=enabled,
        created_at=epoch(told, "whencreated"),
        purpose=told.text("description"),
        aliases=(("ad:sid", sid),),
        attributes=known(
            {
                "distinguished_name": told.text("distinguishedname"),
                "service_principal_names": [name[:200] for name in told.texts("serviceprincipalnames")[:20]],
                "admin_count": flag(told, "admincount"),
                "unconstrained_delegation": flag(told, "unconstraineddelegation"),
                "no_preauthentication": flag(told, "dontreqpreauth"),
            }
        ),
    )
    set_at = epoch(told, "pwdlastset")
    if set_at is not None or flag(told, "pwdneverexpires") is not None:
        yield Credential(
            authority=authority,
            native_id=f"{sid}/password",
            type=CredentialType.PASSWORD,
            identity=(authority, sid),
            name="password",
            enabled=enabled,
            last_rotated_at=set_at,
            no_expiry=flag(told, "pwdneverexpires"),
            revocation="set a new password, or disable the account",
        )
    yield _usage(("identity", authority, sid), epoch(told, "lastlogontimestamp", "lastlogon"))


def _serves(told: Fields) -> bool:
    """Whether a user object is there for a service: that is what a service principal name says."""
    marks = (flag(told, "gmsa"), flag(told, "msa"), flag(told, "hasspn"))
    return any(marks) or bool(told.raw.get("serviceprincipalnames"))


def _usage(subject: tuple[str, str, str], used_at: datetime | None) -> Usage:
    """No time of a logon is not "never": a collector writes the same for an account that it could not see."""
    state = UseState.USED if used_at else UseState.UNKNOWN
    return Usage(subject=subject, source="bloodhound.lastlogon", state=state, last_used_at=used_at)


def _right(ace: Fields, sid: str, target: str) -> Iterator[Record]:
    """What a user or a computer may do to this object. Who may write to it owns it, as far as anybody says so."""
    holder, right = ace.text("PrincipalSID") or "", ace.text("RightName")
    if not right or not _SID.fullmatch(holder) or holder == sid:
        return
    if ace.text("PrincipalType") not in ("User", "Computer"):
        return  # a group: who is in it is not told here
    if right == "Owns":
        yield Owner(
            authority=_authority(sid),
            identity=(_authority(sid), sid),
            claim=holder,
            source="bloodhound.Owns",
            person=(_authority(holder), holder),
            confidence=0.2,  # often whoever joined the machine or made the account
        )
    yield Grant(
        authority=_authority(sid),
        identity=(_authority(holder), holder),
        permission=right,
        resource=target,
        via="inherited" if flag(ace, "IsInherited") else None,
        tier=_tier(right),
    )


def _authority(sid: str) -> str:
    return f"ad:{sid.rpartition('-')[0]}"


def _tier(right: str) -> Tier:
    return Tier.CONTROL_PLANE if right in _CONTROL else Tier.WRITE if right in _WRITE else Tier.UNKNOWN


# ------------------------------------------------------------------ Entra (AzureHound)


def _azure(kind: str, data: Fields) -> Iterator[Record]:
    match kind:
        case "AZTenant":
            yield System(authority=_tenant(data), kind="entra_tenant", name=data.text("displayName"))
        case "AZServicePrincipal" | "AZApp":
            authority = _tenant(data)
            ident = guid(data, "id")
            yield _application(kind, authority, ident, data, data.text("appId"))
            for name, type_ in (
                ("passwordCredentials", CredentialType.CLIENT_SECRET),
                ("keyCredentials", CredentialType.CERTIFICATE),
            ):
                for entry in data.objects(name):
                    yield _entra_credential(authority, ident, entry, type_)
        case "AZUser":
            yield Person(
                authority=_tenant(data),
                native_id=guid(data, "id"),
                name=data.text("displayName"),
                email=data.text("mail") or data.text("userPrincipalName"),
                active=data.flag("accountEnabled"),
            )
        case "AZAppRoleAssignment":
            if data.text("principalType") == "ServicePrincipal":
                authority = _tenant(data)
                yield Grant(
                    authority=authority,
                    identity=(authority, guid(data, "principalId")),
                    permission=f"app role {guid(data, 'appRoleId')}",
                    resource=data.text("resourceDisplayName") or data.text("resourceId"),
                    via="application permission",
                    granted_at=instant(data, "createdDateTime"),
                )
        case "AZAppOwner" | "AZServicePrincipalOwner":
            yield from _owners(kind, data)
        case "AZRoleAssignment":
            authority = _tenant(data)
            for one in data.objects("roleAssignments"):
                role = one.child("roleDefinition")
                yield Grant(
                    authority=authority,
                    identity=(authority, guid(one, "principalId")),
                    permission=(role.text("displayName") if role else None)
                    or f"directory role {guid(one, 'roleDefinitionId')}",
                    resource="directory" if one.text("directoryScopeId") == "/" else one.text("directoryScopeId"),
                    via="directory role",
                )


def _application(kind: str, authority: str, ident: str, data: Fields, app_id: str | None) -> Identity:
    """The same keys and aliases as Entra's own connector uses: what it reads live and this are one."""
    service_principal = kind == "AZServicePrincipal"
    raw_type = data.text("servicePrincipalType") or data.text("serviceprincipaltype")
    managed = service_principal and raw_type == "ManagedIdentity"
    home = data.text("appOwnerOrganizationId") or data.text("appownerorganizationid")
    enabled = data.flag("accountEnabled")
    return Identity(
        authority=authority,
        native_id=ident,
        kind=IdentityKind.MANAGED_IDENTITY if managed else IdentityKind.OAUTH_APP,
        subtype=f"servicePrincipal/{raw_type or 'unknown'}" if service_principal else "application",
        name=data.text("displayName") or data.text("displayname") or data.text("name"),
        enabled=data.flag("enabled") if enabled is None else enabled,
        created_at=instant(data, "createdDateTime"),
        supplier=home.lower() if home and f"entra:{home.lower()}" != authority else None,
        aliases=((f"{authority}:appid", app_id.lower()),) if app_id else (),
        rank=0 if service_principal else 1,
        attributes=known({"app_id": app_id, "app_owner_tenant": home}),
    )


def _entra_credential(authority: str, ident: str, entry: Fields, kind: CredentialType) -> Credential:
    key = guid(entry, "keyId")
    ends = instant(entry, "endDateTime")
    return Credential(
        authority=authority,
        native_id=f"{ident}/{key}",
        type=kind,
        identity=(authority, ident),
        name=entry.text("displayName"),
        public_id=key,
        enabled=True,  # one that is listed is accepted until it ends
        created_at=instant(entry, "startDateTime"),
        expires_at=ends,
        no_expiry=False if ends else None,
    )


def _owners(kind: str, data: Fields) -> Iterator[Record]:
    authority = _tenant(data)
    app_id = data.text("appId")
    for entry in data.objects("owners"):
        owner = entry.child("owner") or entry
        person = guid(owner, "id")
        if kind == "AZServicePrincipalOwner":
            identity = (authority, guid(data, "servicePrincipalId"))
        elif app_id:
            identity = (f"{authority}:appid", app_id.lower())
        else:
            raise DataError("appId is missing")
        yield Owner(
            authority=authority,
            identity=identity,
            claim=owner.text("mail") or owner.text("userPrincipalName") or person,
            source="bloodhound.owners",
            person=(authority, person),
            confidence=0.7,
        )


def _tenant(data: Fields) -> str:
    return f"entra:{guid(data, 'tenantId', 'tenantid')}"


# ------------------------------------------------------------------ OpenGraph


def _graph(path: Path) -> Iterator[object]:
    """Nodes, then the edges that begin at one of those that are no people."""
    holders: dict[str, str] = {}
    for item in items(_list(path, "nodes"), "node"):
        yield _pruned(item)
        holder = _holder(item.get("node"))
        if holder and len(holders) < _MAX_HOLDERS:
            holders[holder[1].upper()] = holder[0]
    for item in items(_list(path, "edges"), "edge"):
        edge = item.get("edge")
        if not isinstance(edge, Mapping):
            yield item
            continue
        start = edge.get("start")
        value = start.get("value") if isinstance(start, dict) and start.get("match_by", "id") == "id" else None
        authority = holders.get(value.upper()) if isinstance(value, str) else None
        if authority is not None:
            yield {**item, "holder": authority}


def _list(path: Path, key: str) -> Iterator[Any]:
    """A graph may come without nodes or without edges."""
    try:
        yield from json_rows(path, "graph", key)
    except NotVisible:
        with path.open("rb") as stream:
            if f'"{key}"'.encode() in stream.read(65_536):
                raise


def _holder(node: Any) -> tuple[str, str] | None:
    """(authority, id) of a node that becomes an identity; None: none, or one that is not known by an exact id."""
    if not isinstance(node, dict) or not isinstance(node.get("id"), str) or not isinstance(node.get("kinds"), list):
        return None
    ident, kinds = node["id"], [kind for kind in node["kinds"] if isinstance(kind, str)]
    properties = node.get("properties")
    told = Fields(properties if isinstance(properties, dict) else {}, "bloodhound", DriftLog())
    if _SID.fullmatch(ident.upper()) and ("Computer" in kinds or ("User" in kinds and _serves(told))):
        return _authority(ident.upper()), ident
    if "AZServicePrincipal" in kinds or "AZApp" in kinds:
        tenant = told.text("tenantid")
        return (f"entra:{tenant.lower()}", ident) if tenant else None
    return None


def _node(node: Fields) -> Iterator[Record]:
    ident = key_of(node, "id")
    kinds = node.texts("kinds")
    told = node.child("properties") or Fields({}, "bloodhound", DriftLog())
    for kind in kinds:
        if kind in ("User", "Computer") and _SID.fullmatch(ident.upper()):
            yield from _account(ident.upper(), told, kind)
            return
        if kind in ("AZServicePrincipal", "AZApp"):
            yield _application(kind, _tenant(told), guid(node, "id"), told, told.text("appid") or told.text("appId"))
            return
        if kind == "Domain" and _DOMAIN_SID.fullmatch(ident.upper()):
            yield System(authority=f"ad:{ident.upper()}", kind="ad_domain", name=told.text("name"))
            return
        if kind == "AZTenant":
            yield System(authority=f"entra:{guid(node, 'id')}", kind="entra_tenant", name=told.text("displayname"))
            return


def _edge(item: Mapping[str, Any]) -> Grant:
    edge = opened(item, "edge", "bloodhound")
    holder, right = short(item.get("holder")), edge.text("kind")
    if holder is None or right is None:
        raise DataError("an edge without a kind or a beginning")
    value = key_of(edge.need("start"), "value")
    return Grant(
        authority=holder,
        identity=(holder, value.upper() if holder.startswith("ad:") else value.lower()),
        permission=right,
        resource=key_of(edge.need("end"), "value"),
        tier=_tier(right),
    )


def _objects(entry: Fields, name: str) -> Iterator[Fields]:
    value = entry.raw.get(name)
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield Fields(one, f"bloodhound.{name}", DriftLog())
