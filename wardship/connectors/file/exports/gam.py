"""GAM: tables of a Google Workspace as CSV: OAuth tokens of people, service accounts, projects, administrators.

Columns as GAM's wiki and Google's reference of the objects name them (2026-11); which commands: `print tokens`,
`print svcaccts`, `print projects`, `print admins`. Not checked against the output of a real domain.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wardship.connectors.file.exports._items import SERVICE_ACCOUNT, flag, items, key_of, known, opened
from wardship.connectors.file.formats import Format, SourceOptions, open_rows
from wardship.model.access import Grant, Tier
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, System
from wardship.model.owner import Owner
from wardship.model.scan import Scope
from wardship.sdk.connector import Connection, Record
from wardship.sdk.fields import Fields
from wardship.sdk.i18n import N_

NAME = "gam"
TITLE = N_("GAM (CSV of Google Workspace)")

# kind -> columns that together occur in it only
_SIGNS = {
    "tokens": frozenset({"user", "clientId", "displayText", "scopes"}),
    "admins": frozenset({"roleAssignmentId", "roleId", "role", "assignedToServiceAccount"}),
    "svcaccts": frozenset({"projectId", "email", "uniqueId", "oauth2ClientId"}),
    "projects": frozenset({"projectId", "projectNumber", "lifecycleState"}),
}
_CONTROL_ROLES = ("_SEED_ADMIN_ROLE", "_USER_MANAGEMENT_ADMIN_ROLE", "_DELEGATED_ADMIN_ROLE")
_READ_ONLY = (".readonly", ".metadata")


def recognise(path: Path, head: bytes) -> bool:
    del path
    return _kind(head) is not None


def scopes(path: Path, connection: Connection) -> Iterable[Scope]:
    """The authority is the domain of the first row's user or administrator; else the connection's name."""
    with path.open("rb") as stream:
        kind = _kind(stream.read(65_536))
    if kind is None:
        return []
    domain = connection.name
    for row in itertools.islice(_rows(path), 200):
        found = str(row.cells.get("user") or row.cells.get("User") or row.cells.get("assignedToUser") or "")
        if "@" in found and not SERVICE_ACCOUNT.fullmatch(found):
            domain = found.rpartition("@")[2].strip().lower()[:253]
            break
    return [Scope(connector="file", authority=f"google:{domain or connection.name}", kind=f"gam.{kind}")]


def rows(path: Path, scope: Scope) -> Iterator[object]:
    del scope
    yield from items(_rows(path), "row")


def parse(scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
    del connection
    row = opened(item, "row", "gam")
    match scope.kind.removeprefix("gam."):
        case "tokens":
            return list(_token(scope.authority, row))
        case "admins":
            return list(_admin(row))
        case "svcaccts":
            return list(_service_account(row))
        case "projects":
            project = key_of(row, "projectId")
            return [System(authority=f"gcp:{project}", kind="gcp_project", name=row.text("name") or project)]
    raise DataError("a table that is not read")


def _kind(head: bytes) -> str | None:
    line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode("utf-8", "replace").strip()
    try:
        columns = {column.partition(".")[0] for column in next(csv.reader([line]), [])} if len(line) < 20_000 else set()
    except csv.Error:
        return None
    return next((kind for kind, signs in _SIGNS.items() if signs <= columns), None)


def _rows(path: Path) -> Iterator[Any]:
    return open_rows(path, SourceOptions(format=Format.CSV, encoding="utf-8", delimiter=","))


def _token(authority: str, row: Fields) -> Iterator[Record]:
    """An application that a person let in: the application is the identity, each scope a grant of that person."""
    client, user = key_of(row, "clientId"), key_of(row, "user").lower()
    yield Identity(
        authority=authority,
        native_id=client,
        kind=IdentityKind.OAUTH_APP,
        subtype="OAuth client",
        name=row.text("displayText"),
        attributes=known({"native_app": flag(row, "nativeApp"), "anonymous": flag(row, "anonymous")}),
    )
    numbered = [value for name, value in row.raw.items() if name.startswith("scopes.") and isinstance(value, str)]
    for scope in dict.fromkeys(" ".join((row.text("scopes") or "", *numbered)).split()):
        yield Grant(
            authority=authority,
            identity=(authority, client),
            permission=scope[:500],
            condition=json.dumps({"user": user}, separators=(",", ":")),
            via="consent of a person",
            tier=Tier.SENSITIVE_READ if scope.endswith(_READ_ONLY) else Tier.UNKNOWN,
            tenant_wide=False,
            granted_by=user,
        )


def _service_account(row: Fields) -> Iterator[Record]:
    email = key_of(row, "email").lower()
    project = key_of(row, "projectId")
    unique = row.text("uniqueId")
    yield _account(project, email, unique, row)
    owner = row.text("User")
    if owner and "@" in owner:
        yield Owner(
            authority=f"gcp:{project}",
            identity=(f"gcp:{project}", email),
            claim=owner.lower(),
            source="gam.User",
            confidence=0.2,  # whose projects were listed, which need not be whoever answers for the account
            evidence="the user whose projects were listed",
        )


def _account(project: str, email: str, unique: str | None, row: Fields) -> Identity:
    disabled = flag(row, "disabled")
    return Identity(
        authority=f"gcp:{project}",
        native_id=email,
        kind=IdentityKind.API_CLIENT,
        subtype="service account",
        name=row.text("displayName") or email.partition("@")[0],
        enabled=None if disabled is None else not disabled,
        # Google's audit log names it by its e-mail alone (docs/adr/0030).
        aliases=(*((("gcp:service-account", unique),) if unique else ()), ("gcp:email", email)),
        attributes=known({"oauth_client": row.text("oauth2ClientId")}),
    )


def _admin(row: Fields) -> Iterator[Record]:
    """Roles of service accounts; what people administer is not the subject here."""
    email = (row.text("assignedToServiceAccount") or "").strip().lower()
    found = SERVICE_ACCOUNT.fullmatch(email)
    if not found:
        return
    authority = f"gcp:{found[1] or email.partition('@')[0]}"
    role, where = key_of(row, "role"), row.text("orgUnit")
    yield Grant(
        authority=authority,
        identity=(authority, email),
        permission=role,
        resource=where or "customer",
        via="administrator role",
        tier=Tier.CONTROL_PLANE if role in _CONTROL_ROLES else Tier.UNKNOWN,
        tenant_wide=row.text("scopeType") == "CUSTOMER" if row.text("scopeType") else None,
    )
