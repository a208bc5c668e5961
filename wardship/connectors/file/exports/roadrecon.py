"""ROADrecon's database of an Entra tenant (SQLite, as gathered from Azure AD Graph).

Tables and columns as of ROADtools' own schema (2026-11), not checked against a gathered tenant. The database comes from
somebody's disk: it is opened for reading only and as one that nobody changes, no schema of it is trusted, and only the
tables that are named here are read. Secrets are not in it; what it has of them are their ids and dates.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from wardship.connectors.file.exports._items import GUID, flag, guid, instant, known, opened, short
from wardship.connectors.file.formats.row import MAX_ROW_CHARS, require_file, unreadable
from wardship.model.access import Credential, CredentialType, Grant
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope
from wardship.sdk.bounds import json_depth
from wardship.sdk.connector import Connection, Record
from wardship.sdk.fields import Fields
from wardship.sdk.i18n import N_, _

NAME = "roadrecon"
TITLE = N_("ROADrecon database (SQLite)")

_MAGIC = b"SQLite format 3\x00"
_BROKEN = (sqlite3.Error, UnicodeDecodeError)  # the second: sqlite3 tells of a broken schema in bytes that are no text
_MAX_DEPTH = 32
_MAX_ROLES = 100_000
_DEADLINE_S = 600
_FETCH = 500
_EVERY_APP = "00000000-0000-0000-0000-000000000000"  # default access: no role
# kind of scope -> table, columns that are read where the table has them, columns that hold JSON
_TABLES: Mapping[str, tuple[str, tuple[str, ...], frozenset[str]]] = {
    "tenant": ("TenantDetails", ("objectId", "displayName", "createdDateTime"), frozenset()),
    "service_principal": (
        "ServicePrincipals",
        ("objectId", "appId", "displayName", "appDisplayName", "accountEnabled", "servicePrincipalType",
         "appOwnerTenantId", "publisherName", "microsoftFirstParty", "tags", "passwordCredentials", "keyCredentials"),
        frozenset({"tags", "passwordCredentials", "keyCredentials"}),
    ),
    "application": (
        "Applications",
        ("objectId", "appId", "displayName", "publisherDomain", "availableToOtherTenants", "passwordCredentials",
         "keyCredentials"),
        frozenset({"passwordCredentials", "keyCredentials"}),
    ),
    "app_role_assignment": (
        "AppRoleAssignments",
        ("objectId", "id", "principalId", "principalType", "resourceId", "resourceDisplayName", "creationTimestamp"),
        frozenset(),
    ),
    "delegated_consent": (
        "OAuth2PermissionGrants",
        ("objectId", "clientId", "consentType", "principalId", "resourceId", "scope", "startTime"),
        frozenset(),
    ),
    "application_owner": ("lnk_application_owner_user", ("Application", "User"), frozenset()),
    "service_principal_owner": ("lnk_serviceprincipal_owner_user", ("ServicePrincipal", "User"), frozenset()),
    "directory_role": ("lnk_role_member_serviceprincipal", ("DirectoryRole", "ServicePrincipal"), frozenset()),
    "user": ("Users", ("objectId", "displayName", "mail", "userPrincipalName", "accountEnabled"), frozenset()),
}  # fmt: skip
_KEPT = frozenset({"keyId", "startDate", "endDate", "type", "usage"})  # of a key or password: no value, no hint
_NEEDED = frozenset({"ServicePrincipals", "Applications", "TenantDetails"})


def recognise(path: Path, head: bytes) -> bool:
    if not head.startswith(_MAGIC):
        return False
    try:
        with _opened(path) as database:
            return _tables(database) >= _NEEDED
    except _BROKEN:
        return False


def scopes(path: Path, connection: Connection) -> Iterable[Scope]:
    """One for each table that is there. Raises NotVisible when the database names no tenant, or several."""
    del connection
    require_file(path)
    try:
        with _opened(path) as database:
            tenants = [row[0] for row in database.execute('SELECT "objectId" FROM "TenantDetails" LIMIT 2')]
            tables = _tables(database)
    except _BROKEN:
        raise unreadable(path, _("not a database that can be read")) from None
    if len(tenants) != 1 or not isinstance(tenants[0], str) or not GUID.fullmatch(tenants[0]):
        raise unreadable(path, _("it does not name one tenant"), _("gather one tenant into one database"))
    authority = f"roadrecon:{tenants[0].lower()}"
    return [
        Scope(connector="file", authority=authority, kind=f"roadrecon.{kind}")
        for kind, (table, _columns, _json) in _TABLES.items()
        if table in tables
    ]


def rows(path: Path, scope: Scope) -> Iterator[object]:
    kind = scope.kind.removeprefix("roadrecon.")
    table, columns, packed = _TABLES[kind]
    require_file(path)
    number = 0
    try:
        with _opened(path) as database:
            there = {row[1] for row in database.execute(f'SELECT * FROM pragma_table_info("{table}")')}  # noqa: S608 - ours
            named = [column for column in columns if column in there]
            roles = _roles(database) if kind == "directory_role" else {}
            roles = _app_roles(database) if kind == "app_role_assignment" else roles
            if not named:
                return
            listed = ", ".join(f'"{column}"' for column in named)
            cursor = database.execute(f'SELECT {listed} FROM "{table}"')  # noqa: S608 - names of our own table above
            while batch := cursor.fetchmany(_FETCH):
                for values in batch:
                    number += 1
                    yield _item(f"{table} row {number}", dict(zip(named, values, strict=True)), packed, roles)
    except _BROKEN:
        yield {"where": f"{table} after row {number}", "problem": "the database breaks off here"}


def parse(scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
    del connection
    row = opened(item, "row", "roadrecon")
    authority = f"entra:{scope.authority.partition(':')[2]}"
    match scope.kind.removeprefix("roadrecon."):
        case "tenant":
            return [System(authority=authority, kind="entra_tenant", name=row.text("displayName"))]
        case "service_principal":
            return list(_application(authority, row, service_principal=True))
        case "application":
            return list(_application(authority, row, service_principal=False))
        case "app_role_assignment":
            return list(_app_role(authority, row, short(item.get("role"))))
        case "delegated_consent":
            return list(_delegated(authority, row))
        case "application_owner":
            return [_owner(authority, guid(row, "Application"), guid(row, "User"))]
        case "service_principal_owner":
            return [_owner(authority, guid(row, "ServicePrincipal"), guid(row, "User"))]
        case "directory_role":
            return [_role(authority, row, item)]
        case "user":
            return [
                Person(
                    authority=authority,
                    native_id=guid(row, "objectId"),
                    name=row.text("displayName"),
                    email=row.text("mail") or row.text("userPrincipalName"),
                    active=flag(row, "accountEnabled"),
                )
            ]
    raise DataError("a table that is not read")


# ------------------------------------------------------------------ the database


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    with contextlib.closing(database):
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA query_only = ON")
        database.execute("PRAGMA cell_size_check = ON")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 * MAX_ROW_CHARS)
        deadline = time.monotonic() + _DEADLINE_S
        database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        yield database


def _tables(database: sqlite3.Connection) -> frozenset[str]:
    """Tables only: a view may compute for ever."""
    found = database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%' LIMIT 1000"
    )
    return frozenset(name for (name,) in found if isinstance(name, str))


def _roles(database: sqlite3.Connection) -> dict[str, str]:
    """Directory roles by object id: what they are called."""
    if "DirectoryRoles" not in _tables(database):
        return {}
    found = database.execute('SELECT "objectId", "displayName" FROM "DirectoryRoles" LIMIT 10000')
    return {ident: name for ident, name in found if isinstance(ident, str) and isinstance(name, str)}


def _app_roles(database: sqlite3.Connection) -> dict[str, str]:
    """Roles that applications offer, by id: the name of a permission ("Mail.Read"). What cannot be read has no name."""
    found: dict[str, str] = {}
    columns = {row[1] for row in database.execute('SELECT * FROM pragma_table_info("ServicePrincipals")')}
    if "appRoles" not in columns:
        return found
    told = 'SELECT "appRoles" FROM "ServicePrincipals" WHERE length("appRoles") BETWEEN 3 AND ?'
    for (text,) in database.execute(told, [MAX_ROW_CHARS]):
        row = _item("", {"appRoles": text}, frozenset({"appRoles"}), {}).get("row", {})
        for role in row.get("appRoles") or ():
            if isinstance(role, dict) and isinstance(role.get("value"), str) and len(found) < _MAX_ROLES:
                found[str(role.get("id"))] = role["value"]
    return found


def _item(where: str, row: dict[str, Any], packed: frozenset[str], roles: Mapping[str, str]) -> dict[str, Any]:
    for column in packed & row.keys():
        text = row[column]
        if text is None:
            continue
        data = text.encode("utf-8", "replace") if isinstance(text, str) else b"\0"
        if len(data) > MAX_ROW_CHARS or json_depth(data, _MAX_DEPTH) > _MAX_DEPTH:
            return {"where": where, "problem": f"{column} is too large"}
        try:
            row[column] = json.loads(data) if column == "appRoles" else _without_values(json.loads(data))
        except (ValueError, RecursionError):
            return {"where": where, "problem": f"{column} is no JSON"}
    if any(isinstance(value, bytes) for value in row.values()):
        return {"where": where, "problem": "bytes where text is expected"}
    item = {"where": where, "row": row}
    if role := roles.get(str(row.get("DirectoryRole") or row.get("id"))):
        item["role"] = role
    return item


def _without_values(value: Any) -> Any:
    """Key material and hints fall away before an item exists."""
    if isinstance(value, list):
        return [_without_values(one) for one in value]
    if isinstance(value, dict):
        return {
            name: inner for name, inner in value.items() if name in ("keyId", "startDate", "endDate", "type", "usage")
        }
    return value


# ------------------------------------------------------------------ one row


def _application(authority: str, row: Fields, *, service_principal: bool) -> Iterator[Record]:
    ident = guid(row, "objectId")
    app_id = row.text("appId")
    raw_type = row.text("servicePrincipalType")
    home = (row.text("appOwnerTenantId") or "").lower() or None
    yield Identity(
        authority=authority,
        native_id=ident,
        kind=IdentityKind.MANAGED_IDENTITY if raw_type == "ManagedIdentity" else IdentityKind.OAUTH_APP,
        subtype=f"servicePrincipal/{raw_type or 'unknown'}" if service_principal else "application",
        name=row.text("displayName") or row.text("appDisplayName"),
        standing=_standing(authority, home, flag(row, "microsoftFirstParty")) if service_principal else Standing.OWN,
        enabled=flag(row, "accountEnabled"),
        supplier=home if home and f"entra:{home}" != authority else None,
        aliases=((f"{authority}:appid", app_id.lower()),) if app_id else (),
        rank=0 if service_principal else 1,
        attributes=known(
            {
                "app_id": app_id,
                "app_owner_tenant": home,
                "publisher": row.text("publisherName") or row.text("publisherDomain"),
                "tags": row.texts("tags"),
            }
        ),
    )
    certificates = row.objects("keyCredentials")
    ids = {guid(one, "keyId") for one in certificates}
    for one in row.objects("passwordCredentials"):
        if guid(one, "keyId") not in ids:  # the password of a certificate's private key has its id
            yield _credential(authority, ident, one, CredentialType.CLIENT_SECRET)
    for one in certificates:
        kind = CredentialType.CLIENT_SECRET if one.text("type") == "Symmetric" else CredentialType.CERTIFICATE
        yield _credential(authority, ident, one, kind)


def _standing(authority: str, home: str | None, first_party: bool | None) -> Standing:
    if first_party:
        return Standing.PROVIDER_MANAGED
    if home is None:
        return Standing.UNKNOWN
    return Standing.OWN if f"entra:{home}" == authority else Standing.UNKNOWN


def _credential(authority: str, ident: str, entry: Fields, kind: CredentialType) -> Credential:
    key = guid(entry, "keyId")
    ends = instant(entry, "endDate", zone="UTC")
    return Credential(
        authority=authority,
        native_id=f"{ident}/{key}",
        type=kind,
        identity=(authority, ident),
        public_id=key,
        enabled=True,  # one that is listed is accepted until it ends
        created_at=instant(entry, "startDate", zone="UTC"),
        expires_at=ends,
        no_expiry=False if ends else None,
        attributes=known({"usage": entry.text("usage"), "raw_type": entry.text("type")}),
    )


def _app_role(authority: str, row: Fields, name: str | None) -> Iterator[Record]:
    if row.text("principalType") != "ServicePrincipal":
        return
    role = guid(row, "id")
    yield Grant(
        authority=authority,
        identity=(authority, guid(row, "principalId")),
        permission="default_access" if role == _EVERY_APP else name or f"app role {role}",
        resource=row.text("resourceDisplayName") or row.text("resourceId"),
        via="application permission",
        granted_at=instant(row, "creationTimestamp", zone="UTC"),
        attributes=known({"app_role_id": role, "resource_id": row.text("resourceId")}),
    )


def _delegated(authority: str, row: Fields) -> Iterator[Record]:
    principal = row.text("principalId")
    kind = row.text("consentType")
    for word in dict.fromkeys((row.text("scope") or "").split()):
        yield Grant(
            authority=authority,
            identity=(authority, guid(row, "clientId")),
            permission=word,
            resource=row.text("resourceId"),
            condition=json.dumps({"principalId": principal}, separators=(",", ":")) if principal else None,
            via="delegated permission",
            tenant_wide={"AllPrincipals": True, "Principal": False}.get(kind or ""),
            granted_at=instant(row, "startTime", zone="UTC"),
            attributes=known({"consent_type": kind, "grant_id": row.text("objectId")}),
        )


def _owner(authority: str, identity: str, person: str) -> Owner:
    return Owner(
        authority=authority,
        identity=(authority, identity),
        claim=person,
        source="roadrecon.owners",
        person=(authority, person),
        confidence=0.7,
    )


def _role(authority: str, row: Fields, item: Mapping[str, Any]) -> Grant:
    role = guid(row, "DirectoryRole")
    return Grant(
        authority=authority,
        identity=(authority, guid(row, "ServicePrincipal")),
        permission=short(item.get("role")) or f"directory role {role}",
        resource="directory",
        via="directory role",
        tenant_wide=True,
        attributes={"role_object_id": role},
    )
