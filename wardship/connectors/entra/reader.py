"""Reading a tenant with few calls: what is asked for, in which order, and what is remembered between scopes.

Graph expands one relationship a request and cuts it at 20 entries, so lists are read twice with different relationships
and only what may have been cut is asked for by itself (docs/adr/0006). A checkpoint is Graph's own next link. What one
scope remembers for the next (permission names, agents, consents, who is referenced) is read again when it is missing,
because a resumed scan starts with an empty memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wardship.connectors.entra.consents import ACTIVITIES, Consents, read_audit
from wardship.connectors.entra.fields import Fields
from wardship.connectors.entra.manifest import MANIFEST
from wardship.connectors.entra.parse import Parser
from wardship.connectors.entra.session import Session
from wardship.connectors.entra.setup import setup_guide
from wardship.model.errors import DataError, SkippableError, UnexpectedResponse
from wardship.model.scan import Problem, RawPage, Scope
from wardship.sdk.connector import (
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Drift,
    DriftLog,
    Record,
    SetupGuide,
)
from wardship.sdk.i18n import _

PAGE = 999  # Graph's own limit
CUT_AT = 20  # an expanded relationship with this many entries may have been cut
_IDS_A_CALL = 15  # Graph's own limit of `id in (...)`

_APP = (
    "id,appId,displayName,createdDateTime,description,notes,serviceManagementReference,tags,signInAudience,"
    "publisherDomain,verifiedPublisher,isDisabled,disabledByMicrosoftStatus,createdByAppId,passwordCredentials,"
    "keyCredentials,requiredResourceAccess"
)
_SP = (
    "id,appId,displayName,appDisplayName,accountEnabled,isDisabled,disabledByMicrosoftStatus,servicePrincipalType,"
    "appOwnerOrganizationId,alternativeNames,appRoleAssignmentRequired,appRoles,description,notes,"
    "notificationEmailAddresses,passwordCredentials,keyCredentials,preferredSingleSignOnMode,signInAudience,tags,"
    "verifiedPublisher,createdByAppId,applicationTemplateId"
)
_USER = "id,displayName,mail,userPrincipalName,accountEnabled,userType"
_OWNER_FIELDS = ("@odata.type", "id", "displayName", "mail", "userPrincipalName")
_NEVER_KEPT = ("secretText", "hint", "key")
_APPS, _SPS = "/v1.0/applications", "/v1.0/servicePrincipals"
_AGENTS = f"{_SPS}/microsoft.graph.agentIdentity"
_POLICIES = {
    "adminConsentRequestPolicy": "/v1.0/policies/adminConsentRequestPolicy",
    "authorizationPolicy": "/v1.0/policies/authorizationPolicy",
    "defaultAppManagementPolicy": "/v1.0/policies/defaultAppManagementPolicy",
}

KINDS = (
    "entra.tenant",
    "entra.service_principal",
    "entra.agent_identity",
    "entra.application",
    "entra.federated_credential",
    "entra.app_role_assignment",
    "entra.consent_audit",
    "entra.delegated_consent",
    "entra.directory_role",
    "entra.sign_in_activity",
    "entra.credential_activity",
    "entra.user",
)


def scrub(holder: Any) -> Any:
    """Takes out of a raw object what nobody here needs and a quarantine must not keep: the first letters of secrets,
    key bytes, and everything about owners but who they are. Changes `holder` and returns it."""
    if not isinstance(holder, dict):
        return holder
    for name in [name for name in holder if name in ("passwordCredentials", "keyCredentials")]:
        for entry in _list_of(holder[name]):
            for value in [f for f in entry if f in _NEVER_KEPT] if isinstance(entry, dict) else ():
                del entry[value]
    for name in [name for name in holder if name in ("owners", "sponsors")]:
        if isinstance(holder[name], list):
            holder[name] = [
                {f: owner[f] for f in owner if f in _OWNER_FIELDS} if isinstance(owner, dict) else owner
                for owner in holder[name]
            ]
    return holder


def role_index(sp: Any) -> tuple[str, dict[str, Any]] | None:
    """(object id, {appId, displayName, roles: id -> name}) of a service principal as a resource; None: unusable."""
    if not isinstance(sp, dict) or not isinstance(sp.get("id"), str) or not isinstance(sp.get("appId"), str):
        return None
    roles = {
        str(role["id"]): role["value"]
        for role in _list_of(sp.get("appRoles"))
        if isinstance(role, dict) and "id" in role and isinstance(role.get("value"), str)
    }
    return sp["id"], {"appId": sp["appId"], "displayName": sp.get("displayName"), "roles": roles}


class EntraConnector:
    """Reads one tenant. One instance serves one scan, in one thread (calls of one page may go out together)."""

    manifest = MANIFEST

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        self.drift: Drift = DriftLog()
        self._session = Session(connection, self.stats)
        self._graph = self._session.graph
        self._people_wanted = connection.settings.get("people") or "all"
        self._parser = Parser(self._session.tenant, self.drift)
        self._resources: dict[str, dict[str, Any]] = {}  # object id of a resource -> its app id and role names
        self._by_app_id: dict[str, str] | None = None  # app id -> object id; None: not read in this run
        self._agents: dict[str, Any] | None = None
        self._agents_error: SkippableError | None = None
        self._consents: Consents | None = None
        self._consents_error: SkippableError | None = None
        self._people: dict[str, str | None] = {}  # directory id -> name, of everybody referenced
        self._from_beginning: set[str] = set()  # kinds of scope read whole in this run

    @property
    def clock_skew_s(self) -> float | None:
        """Microsoft's clock minus ours, in seconds; None before the first answer."""
        return self._graph.clock_skew_s

    def scopes(self) -> Iterable[Scope]:
        authority = self._parser.authority
        return [Scope(connector=MANIFEST.name, authority=authority, kind=kind) for kind in KINDS]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        kind = scope.kind
        if kind not in KINDS:
            raise UnexpectedResponse(_("no scope of kind %(kind)r") % {"kind": kind}, operation="fetch")
        pages: Iterator[RawPage] = getattr(self, "_fetch_" + kind.removeprefix("entra."))(token)
        yield from pages
        if token is None:
            self._from_beginning.add(kind)

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return self._parser.parse(scope.kind, item)

    # -------------------------------------------------------------- the tenant

    def _fetch_tenant(self, _token: str | None) -> Iterator[RawPage]:
        found: dict[str, Any] = {}
        problems: list[Problem] = []

        def try_read(name: str, path: str, needs: str) -> Any:
            try:
                return self._graph.get_json(path, needs=needs)
            except SkippableError as refused:
                problems.append(Problem.of(refused, name))
                return None

        organization = try_read("organization", "/v1.0/organization", "Organization.Read.All")
        found["organization"] = next(iter(_value(organization)), None)
        for name, path in _POLICIES.items():
            found[name] = try_read(name, path, "Policy.Read.All")
        policies = try_read("appManagementPolicies", "/v1.0/policies/appManagementPolicies", "Policy.Read.All")
        if policies is not None:
            found["appManagementPolicies"] = _value(policies)
        yield RawPage(items=[found], problems=problems)

    # -------------------------------------------------------------- identities

    def _fetch_service_principal(self, token: str | None) -> Iterator[RawPage]:
        try:
            agents = self._read_agents()
        except SkippableError:
            agents = {}  # the scope of agents says so; that they exist is still seen here
        index: dict[str, str] = {}
        for page in self._list(_SPS, {"$select": _SP, "$expand": "owners"}, token, needs="Application.Read.All"):
            for sp in self._whole(page.items, "owners"):
                if isinstance(sp, dict):
                    self._remember_resource(sp)
                    if isinstance(sp.get("appId"), str) and isinstance(sp.get("id"), str):
                        index[sp["appId"]] = sp["id"]
            yield _page(
                page,
                [
                    {"servicePrincipal": sp, "agentIdentity": agents.get(str(sp["id"])) if "id" in sp else None}
                    if isinstance(sp, dict)
                    else sp
                    for sp in page.items
                ],
            )
        if token is None:
            self._by_app_id = index

    def _fetch_agent_identity(self, _token: str | None) -> Iterator[RawPage]:
        agents = list(self._read_agents().values())
        yield RawPage(items=self._whole(agents, "sponsors", f"{_SPS}/{{}}/microsoft.graph.agentIdentity/sponsors"))

    def _fetch_application(self, token: str | None) -> Iterator[RawPage]:
        for page in self._list(_APPS, {"$select": _APP, "$expand": "owners"}, token, needs="Application.Read.All"):
            yield _page(page, self._whole(page.items, "owners", f"{_APPS}/{{}}/owners"))

    def _read_agents(self) -> dict[str, Any]:
        """Agents by object id, read once a run. Raises SkippableError, the same one every time."""
        if self._agents_error is not None:
            raise self._agents_error
        if self._agents is None:
            agents: dict[str, Any] = {}
            select = {"$select": "id,agentIdentityBlueprintId,createdDateTime", "$expand": "sponsors"}
            try:
                for page in self._list(_AGENTS, select, None, needs="AgentIdentity.Read.All"):
                    agents.update((str(agent["id"]), agent) for agent in page.items if "id" in agent)
            except SkippableError as refused:
                self._agents_error = refused
                raise
            self._agents = agents
        return self._agents

    # -------------------------------------------------------------- credentials and grants

    def _fetch_federated_credential(self, token: str | None) -> Iterator[RawPage]:
        """Applications, then managed identities: the only service principals that trust somebody else's tokens."""
        name, needs = "federatedIdentityCredentials", "Application.Read.All"
        select = {"$select": "id", "$expand": name}
        managed = {**select, "$filter": "servicePrincipalType eq 'ManagedIdentity'"}
        of_managed = token is not None and token.partition("?")[0].endswith(_SPS)
        if not of_managed:
            for page in self._list(_APPS, select, token, needs=needs):
                items = self._whole(page.items, name, f"{_APPS}/{{}}/{name}")
                # The first half ends with the link to the second, so that a checkpoint between them is no end.
                after = page.next_token or self._first_link(_SPS, managed)
                yield RawPage(items=_holding(items, name), next_token=after)
            token = None
        for page in self._list(_SPS, managed, token, needs=needs):
            yield _page(page, _holding(self._whole(page.items, name, f"{_SPS}/{{}}/{name}"), name))

    def _fetch_app_role_assignment(self, token: str | None) -> Iterator[RawPage]:
        name = "appRoleAssignments"
        consents = self._known_consents()
        for page in self._list(_SPS, {"$select": "id", "$expand": name}, token, needs="Application.Read.All"):
            holders = self._whole(page.items, name, f"{_SPS}/{{}}/{name}")
            assignments = [a for holder in holders if isinstance(holder, dict) for a in _list_of(holder.get(name))]
            self._need_resources(a["resourceId"] for a in assignments if isinstance(a, dict) and "resourceId" in a)
            yield _page(page, [self._role_item(a, consents) for a in assignments])

    def _role_item(self, assignment: Any, consents: Consents) -> Any:
        if not isinstance(assignment, dict):
            return assignment
        resource = self._resources.get(str(assignment.get("resourceId")))
        role = resource["roles"].get(str(assignment.get("appRoleId"))) if resource else None
        consent = consents.about(str(assignment.get("principalId")), "Role", role) if role else None
        return {
            "assignment": assignment,
            "resource": resource and {"appId": resource["appId"]},
            "role": role,
            "consent": consent,
        }

    def _fetch_consent_audit(self, token: str | None) -> Iterator[RawPage]:
        """Raises NotVisible or MissingScope where the log cannot be read; the grants are read all the same."""
        self._read_consents()
        del token
        yield RawPage(items=())

    def _fetch_delegated_consent(self, token: str | None) -> Iterator[RawPage]:
        consents = self._known_consents()
        needs = "DelegatedPermissionGrant.Read.All"
        for page in self._list("/v1.0/oauth2PermissionGrants", {}, token, needs=needs):
            self._need_resources(g["resourceId"] for g in page.items if isinstance(g, dict) and "resourceId" in g)
            yield _page(page, [self._consent_item(grant, consents) for grant in page.items])

    def _consent_item(self, grant: Any, consents: Consents) -> Any:
        if not isinstance(grant, dict):
            return grant
        resource = self._resources.get(str(grant.get("resourceId")))
        client, kind = str(grant.get("clientId")), str(grant.get("consentType"))
        words = str(grant.get("scope") or "").split()
        return {
            "grant": grant,
            "resource": resource and {"appId": resource["appId"], "displayName": resource["displayName"]},
            "consents": {word: about for word in words if (about := consents.about(client, kind, word))},
        }

    def _fetch_directory_role(self, token: str | None) -> Iterator[RawPage]:
        needs = "RoleManagement.Read.Directory"
        definitions: dict[str, Any] = {}
        # These two lists belong to another service than the directory and take no $top.
        for page in self._graph.follow("/v1.0/roleManagement/directory/roleDefinitions", needs=needs):
            definitions.update(
                (str(role["id"]), role) for role in page.items if isinstance(role, dict) and "id" in role
            )
        path = "/v1.0/roleManagement/directory/roleAssignments"
        for page in self._graph.follow(path, {"$expand": "principal"}, token=token, needs=needs):
            items: list[Any] = []
            for assignment in page.items:
                principal = assignment.get("principal") if isinstance(assignment, dict) else None
                kind = principal.get("@odata.type") if isinstance(principal, dict) else None
                if kind in ("#microsoft.graph.user", "#microsoft.graph.group"):
                    continue  # a person's or a group's role is not a grant of an identity
                if isinstance(assignment, dict):
                    role = definitions.get(str(assignment.get("roleDefinitionId")))
                    items.append({"assignment": _without(assignment, "principal"), "role": role})
                else:
                    items.append(assignment)
            yield _page(page, items)

    # -------------------------------------------------------------- use

    def _fetch_sign_in_activity(self, token: str | None) -> Iterator[RawPage]:
        index = self._app_index()
        path = "/beta/reports/servicePrincipalSignInActivities"
        for page in self._list(path, {}, token, needs="AuditLog.Read.All"):
            yield _page(
                page,
                [
                    {"activity": item, "servicePrincipalId": index.get(str(item.get("appId")))}
                    if isinstance(item, dict)
                    else item
                    for item in page.items
                ],
            )

    def _fetch_credential_activity(self, token: str | None) -> Iterator[RawPage]:
        path = "/beta/reports/appCredentialSignInActivities"
        for page in self._list(path, {}, token, needs="AuditLog.Read.All"):
            yield _page(page, page.items)

    # -------------------------------------------------------------- people

    def _fetch_user(self, token: str | None) -> Iterator[RawPage]:
        # Who is referenced is only known when both lists were read from their beginning in this run.
        known = {"entra.service_principal", "entra.application"} <= self._from_beginning and token is None
        referenced = dict(self._people) if known else {}
        if self._people_wanted == "referenced" and known and self._fewer_by_id(len(referenced)):
            yield from self._users_by_id(referenced)
            return
        for page in self._list("/v1.0/users", {"$select": _USER}, token, needs="User.Read.All"):
            for user in page.items:
                if isinstance(user, dict) and "id" in user:
                    referenced.pop(str(user["id"]), None)
            items: list[Any] = [{"user": user} for user in page.items]
            if page.next_token is None:
                items += self._gone(referenced)
            yield _page(page, items)

    def _gone(self, unseen: Mapping[str, str | None]) -> list[Any]:
        """Those of `unseen` whom the directory, asked for exactly this id, does not have: a list may be short."""

        def read(one: str) -> Any:
            try:
                ident = Fields({"id": one}, "user", self.drift).id()
            except DataError:
                return None
            found = self._graph.get_json(f"/v1.0/users/{ident}", {"$select": _USER}, missing_ok=True)
            return {"missing": one, "name": unseen[one]} if found is None else {"user": found}

        return [item for item in self._graph.map(read, sorted(unseen)) if item is not None]

    def _fewer_by_id(self, count: int) -> bool:
        """Whether asking for these people by id takes fewer calls than listing everybody."""
        by_id = -(-count // _IDS_A_CALL)
        if by_id <= 1:
            return True
        counted = self._graph.request(
            "GET",
            "/v1.0/users",
            params={"$top": 1, "$count": "true", "$select": "id"},
            headers={"ConsistencyLevel": "eventual"},
            needs="User.Read.All",
        )
        total = self._graph.json(counted).get("@odata.count")
        return isinstance(total, int) and by_id + 1 < -(-total // PAGE)

    def _users_by_id(self, wanted: Mapping[str, str | None]) -> Iterator[RawPage]:
        ids = sorted(wanted)
        batches = [ids[i : i + _IDS_A_CALL] for i in range(0, len(ids), _IDS_A_CALL)]

        def read(batch: Sequence[str]) -> list[Any]:
            quoted = ",".join("'" + one.replace("'", "''") + "'" for one in batch)
            params = {"$select": _USER, "$filter": f"id in ({quoted})"}
            return _value(self._graph.get_json("/v1.0/users", params, needs="User.Read.All"))

        users = [user for found in self._graph.map(read, batches) for user in found]
        seen = {str(user["id"]) for user in users if isinstance(user, dict) and "id" in user}
        unseen = {one: name for one, name in wanted.items() if one not in seen}
        yield RawPage(items=[{"user": user} for user in users] + self._gone(unseen))

    # -------------------------------------------------------------- shared

    def _list(self, path: str, params: Mapping[str, str], token: str | None, *, needs: str) -> Iterator[Any]:
        for page in self._graph.follow(path, {**params, "$top": PAGE}, token=token, needs=needs):
            for item in page.items:
                scrub(item)
            yield page

    def _first_link(self, path: str, params: Mapping[str, str]) -> str:
        import httpx

        return str(httpx.URL(self._session.cloud.graph + path, params={**params, "$top": str(PAGE)}))

    def _whole(self, items: Sequence[Any], name: str, path: str = f"{_SPS}/{{}}/owners") -> Sequence[Any]:
        """`items` with relationship `name` complete: read one by one where it is absent or may have been cut."""
        short = [
            item
            for item in items
            if isinstance(item, dict)
            and isinstance(item.get("id"), str)
            and (name not in item or (isinstance(item[name], list) and len(item[name]) >= CUT_AT))
        ]

        def read(item: Any) -> list[Any]:
            ident = Fields(item, name, self.drift).id()
            found = [
                entry
                for page in self._graph.follow(path.format(ident), {"$top": PAGE}, needs="Application.Read.All")
                for entry in page.items
            ]
            known = {
                entry["id"]: entry for entry in _list_of(item.get(name)) if isinstance(entry, dict) and "id" in entry
            }
            return [known.get(entry.get("id"), entry) if isinstance(entry, dict) else entry for entry in found]

        for item, found in zip(short, self._graph.map(read, short), strict=True):
            item[name] = found
            scrub(item)
        if name in ("owners", "sponsors"):
            for item in items:
                for owner in _list_of(item.get(name)) if isinstance(item, dict) else ():
                    if isinstance(owner, dict) and owner.get("@odata.type") == "#microsoft.graph.user":
                        self._people[str(owner.get("id"))] = owner.get("displayName")
        return items

    def _remember_resource(self, sp: dict[str, Any]) -> None:
        if found := role_index(sp):
            self._resources.update((found,))
        sp.pop("appRoles", None)

    def _need_resources(self, ids: Iterable[Any]) -> None:
        """Reads the resources that grants point at and that were not seen in this run (after a resume)."""
        missing = sorted({one for one in ids if isinstance(one, str)} - self._resources.keys())

        def read(one: str) -> Any:
            try:
                Fields({"id": one}, "resource", self.drift).id()
            except DataError:
                return None
            params = {"$select": "id,appId,displayName,appRoles"}
            return self._graph.get_json(f"{_SPS}/{one}", params, needs="Application.Read.All", missing_ok=True)

        for one, sp in zip(missing, self._graph.map(read, missing), strict=True):
            self._resources[one] = {"appId": None, "displayName": None, "roles": {}}
            if isinstance(sp, dict):
                self._remember_resource(sp)

    def _app_index(self) -> dict[str, str]:
        """Object ids of service principals by app id: from the scope of service principals, or a light list."""
        if self._by_app_id is None:
            pages = self._list(_SPS, {"$select": "id,appId"}, None, needs="Application.Read.All")
            found = [sp for page in pages for sp in page.items if isinstance(sp, dict)]
            self._by_app_id = {
                sp["appId"]: sp["id"]
                for sp in found
                if isinstance(sp.get("appId"), str) and isinstance(sp.get("id"), str)
            }
        return self._by_app_id

    def _read_consents(self) -> Consents:
        """The acts of consent in the audit log, read once a run. Raises SkippableError, the same one every time."""
        if self._consents_error is not None:
            raise self._consents_error
        if self._consents is None:
            consents = Consents()
            either = " or ".join(f"activityDisplayName eq '{activity}'" for activity in ACTIVITIES)
            try:
                pages = self._list(
                    "/v1.0/auditLogs/directoryAudits", {"$filter": either}, None, needs="AuditLog.Read.All"
                )
                for page in pages:
                    for event in page.items:
                        self._note_consent(consents, event)
            except SkippableError as refused:
                self._consents_error = refused
                raise
            self._consents = consents
            self._people.update(consents.people())
        return self._consents

    def _note_consent(self, consents: Consents, event: Any) -> None:
        if not isinstance(event, dict):
            self.drift.unexpected_shape("directoryAudit", type(event).__name__)
            return
        try:
            consents.add(read_audit(Fields(event, "directoryAudit", self.drift)))
        except DataError as unreadable:
            self.drift.unexpected_shape("directoryAudit", unreadable.message)

    def _known_consents(self) -> Consents:
        try:
            return self._read_consents()
        except SkippableError:
            return Consents()  # the scope of the audit log says so

    # -------------------------------------------------------------- single questions

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        holder, _slash, part = native_id.partition("/")
        base = _APPS if scope.kind == "entra.application" else _SPS
        if family == "person":
            base = "/v1.0/users"
        elif family == "credential":
            return self._confirm_credential(holder, part)
        elif family != "identity":
            return None  # grants and owners have no address of their own
        try:
            ident = Fields({"id": holder}, family, self.drift).id()
        except DataError:
            return None
        return self._graph.get_json(f"{base}/{ident}", {"$select": "id"}, missing_ok=True) is not None

    def _confirm_credential(self, holder: str, part: str) -> bool | None:
        for base in (_APPS, _SPS):
            params = {"$select": "id,passwordCredentials,keyCredentials"}
            found = self._graph.get_json(f"{base}/{holder}", params, missing_ok=True)
            if not isinstance(found, dict):
                continue
            listed = [*_list_of(found.get("passwordCredentials")), *_list_of(found.get("keyCredentials"))]
            if any(isinstance(entry, dict) and entry.get("keyId") == part for entry in listed):
                return True
            trusts = self._graph.follow(f"{base}/{holder}/federatedIdentityCredentials", {"$top": PAGE})
            return any(isinstance(t, dict) and t.get("id") == part for page in trusts for t in page.items)
        return False  # the holder itself is gone

    def check(self) -> Sequence[CheckResult]:
        roles = self._session.roles()
        probes = (
            ("Application.Read.All", Capability.DISCOVER, _APPS),
            ("DelegatedPermissionGrant.Read.All", Capability.DISCOVER, "/v1.0/oauth2PermissionGrants"),
            ("User.Read.All", Capability.DISCOVER, "/v1.0/users"),
            ("RoleManagement.Read.Directory", Capability.DISCOVER, "/v1.0/roleManagement/directory/roleDefinitions"),
            ("AgentIdentity.Read.All", Capability.DISCOVER, _AGENTS),
            ("AuditLog.Read.All", Capability.DISCOVER, "/v1.0/auditLogs/directoryAudits"),
            ("Organization.Read.All", Capability.DISCOVER, "/v1.0/organization"),
            ("Policy.Read.All", Capability.DISCOVER, _POLICIES["authorizationPolicy"]),
            ("AuditLog.Read.All", Capability.USAGE, "/beta/reports/servicePrincipalSignInActivities"),
        )
        results = [self._probe(*probe) for probe in probes]
        for capability in (Capability.ROTATE, Capability.DELETE):
            for permission in MANIFEST.permissions[capability]:
                held = {permission.name, permission.name.replace(".OwnedBy", ".All")}
                allowed = None if roles is None else bool(held & roles)
                detail = _("the token does not tell, and a test would change something") if roles is None else ""
                results.append(
                    CheckResult(permission=permission.name, capability=capability, allowed=allowed, detail=detail)
                )
        return results

    def _probe(self, permission: str, capability: Capability, path: str) -> CheckResult:
        one = {} if "/policies/" in path or "roleManagement" in path else {"$top": 1}
        try:
            self._graph.get_json(path, one, needs=permission)
        except SkippableError as refused:
            return CheckResult(permission=permission, capability=capability, allowed=False, detail=refused.message)
        return CheckResult(permission=permission, capability=capability, allowed=True)

    def setup(self, capability: Capability) -> SetupGuide:
        return setup_guide(capability)


def _value(body: Any) -> list[Any]:
    return _list_of(body.get("value")) if isinstance(body, dict) else []


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _without(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key != name}


def _holding(items: Iterable[Any], name: str) -> list[Any]:
    return [item for item in items if not isinstance(item, dict) or item.get(name)]


def _page(page: Any, items: Sequence[Any]) -> RawPage:
    return RawPage(items=items, next_token=page.next_token, expected_total=page.expected_total)
