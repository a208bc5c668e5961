"""A simulated Entra ID tenant: applications, service principals, consents, credentials, owners, people, reports.

    tenant = EntraTenant(clock=clock)
    maria = tenant.add_user("María Ruiz", "maria.ruiz@acme.example")
    app = tenant.add_application("invoice-import", owners=[maria])
    tenant.add_secret(app.id, start=..., end=...)
    tenant.consent(app.sp, "Mail.Read Files.ReadWrite.All", by=maria)
    connection = tenant.connection()

State really changes: a secret that `addPassword` made opens the token endpoint, one that `removePassword` took away
does not, both after the directory's lag. What a token may do follows from the application permissions granted in the
tenant itself. Ids are a function of the tenant and the order of making, so the same script gives the same tenant.
With `state_file` the applications survive the death of the process. Everybody's routes are in `entra_routes`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.sim.entra_logs import declare_logs
from wardship.sim.entra_routes import OFFICE_APP_ID, declare_routes
from wardship.sim.entra_small import populate_small
from wardship.sim.kit import Simulator, Words
from wardship.sim.tables import Row, Table

MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
TENANT = "7b1f3c52-0a4d-4e0e-9a55-2f6f3b1c8d10"
_FIRST_PARTY = {
    GRAPH_APP_ID: "Microsoft Graph",
    "00000002-0000-0000-c000-000000000000": "Windows Azure Active Directory",
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online",
    "00000003-0000-0ff1-ce00-000000000000": "Office 365 SharePoint Online",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013": "Windows Azure Service Management API",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093": "Azure Key Vault",
    OFFICE_APP_ID: "Office 365 Management APIs",
}
READER_ROLES = (
    "Application.Read.All DelegatedPermissionGrant.Read.All User.Read.All RoleManagement.Read.Directory"
    " AgentIdentity.Read.All AuditLog.Read.All Organization.Read.All Policy.Read.All"
)
_ROLES = {
    "62e90394-69f5-4237-9190-012177145e10": "Global Administrator",
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3": "Application Administrator",
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b": "Directory Readers",
    "fe930be7-5e62-47db-91af-98c3a49a38b1": "User Administrator",
    "29232cdf-9323-42fd-ade2-1d097af3e4de": "Exchange Administrator",
}
_WORDS = Words(
    body=lambda _status, code, message: {"error": {"code": code, "message": message, "innerError": {}}},
    codes={
        401: "InvalidAuthenticationToken",
        403: "Authorization_RequestDenied",
        404: "Request_ResourceNotFound",
        429: "TooManyRequests",
        503: "ServiceUnavailable",
    },
)


@dataclass(frozen=True, slots=True)
class App:
    """What `add_application` made: object id, application (client) id, object id of its service principal."""

    id: str
    app_id: str
    sp: str


class EntraTenant(Simulator):
    """One tenant. `premium` False: no Entra ID P1, so no audit log and no reports of use."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        tenant_id: str = TENANT,
        name: str = "Acme Ibérica",
        domain: str = "acme-iberica.example",
        premium: bool = True,
        audit_days: int = 30,
        lag_s: float = 0.0,
        state_file: Path | None = None,
    ) -> None:
        hosts = ("graph.microsoft.com", "login.microsoftonline.com", "management.azure.com", "manage.office.com")
        super().__init__("entra", clock=clock, hosts=hosts, words=_WORDS, lag_s=lag_s)
        self.tenant_id, self.premium, self.audit_days, self.domain = tenant_id, premium, audit_days, domain
        self.organization: Row = {
            "id": tenant_id,
            "displayName": name,
            "tenantType": "AAD",
            "verifiedDomains": [{"name": domain, "isDefault": True, "isInitial": False, "type": "Managed"}],
        }
        self.admin_consent: Row = {"id": "adminConsentRequestPolicy", "isEnabled": False, "notifyReviewers": False}
        self.authorization: Row = {
            "id": "authorizationPolicy",
            "allowInvitesFrom": "everyone",
            "defaultUserRolePermissions": {
                "allowedToCreateApps": True,
                "permissionGrantPoliciesAssigned": ["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"],
            },
        }
        self.app_management: Row = {"id": "defaultAppManagementPolicy", "isEnabled": False}
        self.apps = self.table("applications")
        self.sps = self.table("servicePrincipals")
        self.users = self.table("users")
        self.grants = self.table("oauth2PermissionGrants")
        self.audits = self.table("directoryAudits")
        self.role_assignments = self.table("roleAssignments")
        self.role_definitions = self.table("roleDefinitions", rows=[_role(i, n) for i, n in _ROLES.items()])
        self.assignments: dict[str, list[Row]] = {}  # principal -> its app role assignments
        self.sign_ins: dict[str, Row] = {}
        self.key_uses: dict[str, Row] = {}
        self.sign_in_log: list[Row] = []  # as Graph's beta shows sign-ins
        self.activity_logs: dict[str, list[Row]] = {}  # subscription that Wardship may read -> its activity log
        self.audit_content: dict[str, list[Row]] = {}  # kind of content that is subscribed to -> its blobs
        self._made = 0
        self._changes = 0
        self._changed_at: datetime | None = None
        self._snapshots: dict[str, tuple[Any, list[Row]]] = {}
        self._sp_of_app: dict[str, str] = {}
        self._state_file = state_file
        declare_routes(self)
        declare_logs(self)
        if state_file is not None and state_file.exists():
            self._load(state_file)

    # -------------------------------------------------------------- people

    def add_user(
        self, name: str, upn: str, *, active: bool = True, user_id: str | None = None, mail: str | None = None
    ) -> str:
        """A person; returns the object id. `active` False: the account is disabled, the person has left."""
        ident = user_id or self.new_id("user")
        self._seed(
            self.users,
            {
                "id": ident,
                "displayName": name,
                "userPrincipalName": upn,
                "mail": mail or upn,
                "accountEnabled": active,
                "userType": "Member",
            },
        )
        return ident

    # -------------------------------------------------------------- applications and service principals

    def add_application(
        self,
        name: str,
        *,
        owners: Sequence[str] = (),
        sp_owners: Sequence[str] = (),
        enabled: bool = True,
        blueprint: bool = False,
        **fields: Any,
    ) -> App:
        """An application of this tenant with its service principal. `fields` are Graph's own ("notes", "tags", ...)."""
        ident, app_id = self.new_id("app"), self.new_id("appid")
        row = {
            "id": ident,
            "appId": app_id,
            "displayName": name,
            "createdDateTime": _z(self.clock() - timedelta(days=400)),
            "signInAudience": "AzureADMyOrg",
            "publisherDomain": self.domain,
            "passwordCredentials": [],
            "keyCredentials": [],
            "requiredResourceAccess": [],
            "tags": [],
            "_owners": list(owners),
            "_federated": [],
            "_secrets": {},
            "_certificates": {},
            **fields,
        }
        if blueprint:
            row["@odata.type"] = "#microsoft.graph.agentIdentityBlueprint"
        self._seed(self.apps, row)
        sp = self.add_service_principal(name, app_id=app_id, owners=sp_owners, enabled=enabled)
        return App(ident, app_id, sp)

    def add_service_principal(
        self,
        name: str,
        *,
        app_id: str | None = None,
        home: str | None = "",
        kind: str = "Application",
        enabled: bool = True,
        owners: Sequence[str] = (),
        **fields: Any,
    ) -> str:
        """A service principal; `home` is the tenant its application is registered in ("": this one, None: none)."""
        ident = self.new_id("sp")
        row = {
            "id": ident,
            "appId": app_id or self.new_id("appid"),
            "displayName": name,
            "appDisplayName": name,
            "accountEnabled": enabled,
            "servicePrincipalType": kind,
            "appOwnerOrganizationId": self.tenant_id if home == "" else home,
            "alternativeNames": [],
            "appRoleAssignmentRequired": False,
            "appRoles": [],
            "notificationEmailAddresses": [],
            "passwordCredentials": [],
            "keyCredentials": [],
            "tags": [],
            "_owners": list(owners),
            "_federated": [],
            "_secrets": {},
            "_certificates": {},
            **fields,
        }
        self._seed(self.sps, row)
        self._sp_of_app[row["appId"]] = ident
        return ident

    def add_managed_identity(self, name: str, *, arm_id: str, **fields: Any) -> str:
        """A managed identity of the Azure resource `arm_id`."""
        return self.add_service_principal(
            name, kind="ManagedIdentity", home=None, alternativeNames=["isExplicit=True", arm_id], **fields
        )

    def add_agent(self, name: str, *, blueprint: str, sponsors: Sequence[str] = (), **fields: Any) -> str:
        """An AI agent made from the blueprint with this application id, with people who sponsor it."""
        more: dict[str, Any] = {
            "@odata.type": "#microsoft.graph.agentIdentity",
            "agentIdentityBlueprintId": blueprint,
            "createdDateTime": _z(self.clock() - timedelta(days=60)),
            "_sponsors": list(sponsors),
        }
        return self.add_service_principal(name, kind="ServiceIdentity", **more, **fields)

    def first_party(self, app_id: str = GRAPH_APP_ID) -> str:
        """The service principal of one of Microsoft's own applications, made when first asked for."""
        known = self._sp_of_app.get(app_id)
        return known or self.add_service_principal(_FIRST_PARTY.get(app_id, app_id), app_id=app_id, home=MICROSOFT)

    # -------------------------------------------------------------- credentials

    def add_secret(
        self,
        holder: str,
        *,
        start: datetime,
        end: datetime,
        name: str | None = None,
        value: str | None = None,
        used_at: datetime | None = None,
    ) -> str:
        """A client secret of an application or service principal; returns its keyId. Without `value` it is secret."""
        key_id = self.new_id("key")
        value = value or f"sim~{uuid.uuid5(uuid.UUID(self.tenant_id), key_id).hex}"
        entry = {
            "keyId": key_id,
            "displayName": name,
            "hint": value[:3],
            "startDateTime": _z(start),
            "endDateTime": _z(end),
        }
        self._append(holder, "passwordCredentials", entry)
        table, row = self.holder_row(holder)
        self._seed(table, {**row, "_secrets": {**row["_secrets"], key_id: value}})
        if used_at is not None:
            self.used_credential(holder, key_id, used_at)
        return key_id

    def add_certificate(
        self, holder: str, *, start: datetime, end: datetime, thumbprint: str, name: str | None = None, pem: str = ""
    ) -> str:
        """A certificate (its public part is `pem`, needed only if somebody signs in with it); returns its keyId."""
        key_id = self.new_id("key")
        entry = {
            "keyId": key_id,
            "displayName": name,
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
            "customKeyIdentifier": thumbprint,
            "startDateTime": _z(start),
            "endDateTime": _z(end),
        }
        self._append(holder, "keyCredentials", entry)
        table, row = self.holder_row(holder)
        self._seed(table, {**row, "_certificates": {**row["_certificates"], key_id: pem}})
        return key_id

    def add_federation(self, holder: str, name: str, *, issuer: str, subject: str) -> str:
        """A trust in somebody else's tokens."""
        ident = self.new_id("fic")
        entry = {
            "id": ident,
            "name": name,
            "issuer": issuer,
            "subject": subject,
            "audiences": ["api://AzureADTokenExchange"],
        }
        self._append(holder, "_federated", entry)
        return ident

    # -------------------------------------------------------------- grants

    def consent(
        self,
        client: str,
        scopes: str,
        *,
        resource: str = GRAPH_APP_ID,
        user: str | None = None,
        by: str | None = None,
        at: datetime | None = None,
    ) -> str:
        """A delegated consent for everybody, or for `user` alone; with `by` the audit log tells who gave it."""
        ident = self.new_id("grant").replace("-", "")
        resource_sp = self.first_party(resource)
        kind = "Principal" if user else "AllPrincipals"
        row = {
            "id": ident,
            "clientId": client,
            "consentType": kind,
            "principalId": user,
            "resourceId": resource_sp,
            "scope": scopes,
        }
        self._seed(self.grants, row)
        if by is not None:
            given = (
                f"[] => [[Id: {ident}, ClientId: {client}, PrincipalId: {user or ''}, ResourceId: {resource_sp},"
                f" ConsentType: {kind}, Scope: {scopes}, CreatedDateTime: , LastModifiedDateTime ]]; "
            )
            changed = {"ConsentContext.OnBehalfOfAll": str(user is None), "ConsentAction.Permissions": given}
            self._audit("Consent to application", by, at, client, changed)
        return ident

    def grant_app_role(
        self,
        client: str,
        roles: str,
        *,
        resource: str = GRAPH_APP_ID,
        by: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Application permissions, by name, separated by blanks."""
        resource_sp = self.first_party(resource)
        for role in roles.split():
            role_id = self._role_of(resource_sp, role)
            self.assignments.setdefault(client, []).append(
                {
                    "id": self.new_id("assignment").replace("-", ""),
                    "appRoleId": role_id,
                    "createdDateTime": _z(at or self.clock() - timedelta(days=300)),
                    "principalId": client,
                    "principalType": "ServicePrincipal",
                    "resourceId": resource_sp,
                    "resourceDisplayName": _FIRST_PARTY.get(resource),
                }
            )
            if by is not None:
                changed = {"AppRole.Value": json.dumps(role), "ServicePrincipal.ObjectID": json.dumps(client)}
                self._audit("Add app role assignment to service principal", by, at, resource_sp, changed)

    def assign_role(self, principal: str, role: str, *, scope: str = "/") -> str:
        """A directory role, by its name."""
        found = next(row["id"] for row in self.role_definitions.visible() if row["displayName"] == role)
        ident = self.new_id("roleassignment").replace("-", "")
        self._seed(
            self.role_assignments,
            {"id": ident, "principalId": principal, "roleDefinitionId": found, "directoryScopeId": scope},
        )
        return ident

    # -------------------------------------------------------------- use

    def signed_in(self, sp: str, at: datetime, *, delegated: bool = False) -> None:
        """The application signed in at this instant."""
        field = "delegatedClientSignInActivity" if delegated else "applicationAuthenticationClientSignInActivity"
        app_id = str(self.holder_row(sp)[1]["appId"])
        row = self.sign_ins.setdefault(app_id, {"id": self.new_id("activity"), "appId": app_id})
        row[field] = row["lastSignInActivity"] = {
            "lastSignInDateTime": _z(at),
            "lastSignInRequestId": self.new_id("req"),
        }

    def used_credential(self, holder: str, key_id: str, at: datetime) -> None:
        """This credential was used at this instant."""
        table, row = self.holder_row(holder)
        of_app = table is self.apps
        self.key_uses[key_id] = {
            "id": self.new_id("keyuse"),
            "appId": row["appId"],
            "appObjectId" if of_app else "servicePrincipalObjectId": holder,
            "credentialOrigin": "application" if of_app else "servicePrincipal",
            "keyId": key_id,
            "keyType": "clientSecret",
            "keyUsage": "sign",
            "signInActivity": {"lastSignInDateTime": _z(at)},
        }

    # -------------------------------------------------------------- how Wardship gets in

    def connection(self, *, roles: str = READER_ROLES, name: str = "entra", **settings: str) -> Connection:
        """A connection that signs in as the application "Wardship" of this tenant, which is granted `roles`."""
        client = self._client(roles)
        value = client["_secrets"][client["passwordCredentials"][0]["keyId"]]
        kept = {"tenant_id": self.tenant_id, "client_id": client["appId"], "client_secret": "sim:", **settings}
        return Connection(
            name=name,
            connector="entra",
            settings=kept,
            secret=lambda _setting: Secret(value),
            clock=self.clock,
            wire=self,
        )

    def _client(self, roles: str) -> Row:
        found = next((row for row in self.apps.visible() if row["displayName"] == "Wardship"), None)
        if found is None:
            app = self.add_application("Wardship", notes="reads this tenant's identities")
            now = self.clock()
            self.add_secret(app.id, name="wardship", start=now - timedelta(days=10), end=now + timedelta(days=80))
            self.grant_app_role(app.sp, roles)
            found = self.holder_row(app.id)[1]
        return found

    # -------------------------------------------------------------- inside

    def new_id(self, kind: str) -> str:
        """The next id: made of the tenant, the kind and a count, so a script gives the same ids every time."""
        self._made += 1
        return str(uuid.uuid5(uuid.UUID(self.tenant_id), f"{kind}/{self._made}"))

    def rows(self, table: Table) -> list[Row]:
        """All rows as readers see them. Kept until something changes: a list of many pages is copied once."""
        settled = self._changed_at is None or self.clock() - self._changed_at >= timedelta(seconds=self.lag_s)
        state = (self._changes, settled)
        known = self._snapshots.get(table.name)
        if known is None or known[0] != state or not settled:
            known = (state, table.visible())
            self._snapshots[table.name] = known
        return known[1]

    def change(self, table: Table, row: Row) -> None:
        """Writes a row as the API does: others see it after the lag, and it survives us where a file is kept."""
        table.put(row)
        self._changes += 1
        self._changed_at = self.clock()
        self._save()

    def sp_of(self, app_id: str) -> Row | None:
        ident = self._sp_of_app.get(app_id)
        return self.sps.visible_one(ident) if ident else None

    def roles_of(self, sp: str, app_id: str = GRAPH_APP_ID) -> list[str]:
        """Names of the application permissions on one of Microsoft's own that a service principal was granted."""
        if (resource := self._sp_of_app.get(app_id)) is None:
            return []
        names = {role["id"]: role["value"] for role in self.holder_row(resource)[1]["appRoles"]}
        return [names[a["appRoleId"]] for a in self.assignments.get(sp, ()) if a["resourceId"] == resource]

    def directory_object(self, ident: str) -> Row:
        """A person or application as it stands in lists of owners."""
        if user := self.users.visible_one(ident):
            shown = {name: user[name] for name in ("id", "displayName", "mail", "userPrincipalName")}
            return {"@odata.type": "#microsoft.graph.user", **shown}
        if sp := self.sps.visible_one(ident):
            return {"@odata.type": "#microsoft.graph.servicePrincipal", "id": ident, "displayName": sp["displayName"]}
        return {"@odata.type": "#microsoft.graph.group", "id": ident, "displayName": f"group {ident[:8]}"}

    def _seed(self, table: Table, row: Row) -> None:
        table.seed(row)
        self._changes += 1

    def holder_row(self, ident: str) -> tuple[Table, Row]:
        """The table and newest row of an application or service principal. Raises KeyError."""
        for table in (self.apps, self.sps):
            if row := table.current(ident):
                return table, row
        raise KeyError(ident)

    def _append(self, holder: str, field: str, entry: Mapping[str, Any]) -> None:
        table, row = self.holder_row(holder)
        self._seed(table, {**row, field: [*row[field], dict(entry)]})

    def _role_of(self, resource_sp: str, role: str) -> str:
        table, row = self.holder_row(resource_sp)
        for known in row["appRoles"]:
            if known["value"] == role:
                return str(known["id"])
        made = {
            "id": str(uuid.uuid5(uuid.UUID(row["appId"]), role)),
            "value": role,
            "displayName": role,
            "description": role,
            "isEnabled": True,
            "allowedMemberTypes": ["Application"],
        }
        self._seed(table, {**row, "appRoles": [*row["appRoles"], made]})
        return str(made["id"])

    def _audit(self, activity: str, by: str, at: datetime | None, target: str, changed: Mapping[str, str]) -> None:
        user = self.users.current(by) or {"id": by, "displayName": "?", "userPrincipalName": None}
        self._seed(
            self.audits,
            {
                "id": self.new_id("audit"),
                "activityDateTime": _z(at or self.clock()),
                "activityDisplayName": activity,
                "category": "ApplicationManagement",
                "result": "success",
                "initiatedBy": {
                    "user": {n: user[n] for n in ("id", "displayName", "userPrincipalName")},
                    "app": None,
                },
                "targetResources": [
                    {
                        "id": target,
                        "type": "ServicePrincipal",
                        "modifiedProperties": [
                            {"displayName": n, "oldValue": None, "newValue": v} for n, v in changed.items()
                        ],
                    }
                ],
            },
        )

    def _save(self) -> None:
        """The applications and their secrets, written so that a kill at any instant leaves the old or the new file."""
        if self._state_file is None:
            return
        body = json.dumps(
            {"applications": self.apps.visible(), "newest": [self.apps.current(r["id"]) for r in self.apps.visible()]}
        )
        fresh = self._state_file.with_suffix(".new")
        with fresh.open("w") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._state_file)

    def _load(self, path: Path) -> None:
        """What others did not see yet when the process died, they see one lag after the new start."""
        kept = json.loads(path.read_text())
        for seen, newest in zip(kept["applications"], kept["newest"], strict=True):
            self._seed(self.apps, seen)
            if newest != seen and newest is not None:
                self.change(self.apps, newest)


def _role(ident: str, name: str) -> Row:
    actions = ["microsoft.directory/users/standard/read"] if "Readers" in name else ["microsoft.directory/users/create"]
    return {
        "id": ident,
        "templateId": ident,
        "displayName": name,
        "isBuiltIn": True,
        "isEnabled": True,
        "rolePermissions": [{"allowedResourceActions": actions}],
    }


def _z(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a small tenant with one of everything, for the suite that every connector must pass."""
    tenant = EntraTenant(clock=clock)
    populate_small(tenant)
    return tenant.connection(roles=f"{READER_ROLES} Application.ReadWrite.OwnedBy")


def acting_target(connection: Connection) -> str:
    """The application of the small tenant whose secrets may be rotated: Wardship was made its owner."""
    tenant = connection.wire
    if not isinstance(tenant, EntraTenant):
        raise TypeError("not a connection of `simulated`")
    wardship = tenant.sp_of(connection.settings["client_id"])
    app = next(row for row in tenant.apps.visible() if row["displayName"] == "invoice-import")
    if wardship is not None and wardship["id"] not in app["_owners"]:
        tenant._seed(tenant.apps, {**app, "_owners": [*app["_owners"], wardship["id"]]})
    return str(app["id"])
