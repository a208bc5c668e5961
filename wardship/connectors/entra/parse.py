"""Raw objects of Microsoft Graph become records. No network, no clock, no judgement beyond facts.py.

Every value is hostile: an object without a usable id, or with an unreadable list of credentials, raises DataError and
is quarantined; an optional field of the wrong shape counts as drift and is not known. Values of secrets never get here
(`reader.scrub` takes them out), and are not read if they do.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from wardship.connectors.entra import facts
from wardship.connectors.entra.consents import read_audit
from wardship.connectors.entra.fields import Fields
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner, OwnerRole
from wardship.sdk.connector import Drift, Record
from wardship.sdk.fields import known

_KINDS = {
    "Application": IdentityKind.OAUTH_APP,
    "ManagedIdentity": IdentityKind.MANAGED_IDENTITY,
    "Legacy": IdentityKind.OAUTH_APP,
    "ServiceIdentity": IdentityKind.AI_AGENT,
    "SocialIdp": IdentityKind.UNKNOWN,  # "for internal use", says the vendor, and no more
}
_EMAIL = re.compile(r"[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_ARM_ID = re.compile(r"/subscriptions/[^\s]{1,1000}")
_DEFAULT_ACCESS = "00000000-0000-0000-0000-000000000000"
_AGENT = "#microsoft.graph.agentIdentity"
_BLUEPRINT = "#microsoft.graph.agentIdentityBlueprint"
_PEOPLE = {"#microsoft.graph.user": "person", "#microsoft.graph.group": "team"}
_SP_ACTIVITY = "graph.servicePrincipalSignInActivities"
_KEY_ACTIVITY = "graph.appCredentialSignInActivities"


class Parser:
    """Turns the items of each kind of scope into records of one tenant."""

    def __init__(self, tenant: str, drift: Drift) -> None:
        self._tenant, self._drift = tenant, drift
        self.authority = f"entra:{tenant}"
        self._kinds: Mapping[str, Callable[[Fields], Iterable[Record]]] = {
            "entra.tenant": self._system,
            "entra.service_principal": self._service_principal,
            "entra.agent_identity": self._agent,
            "entra.application": self._application,
            "entra.federated_credential": self._federated,
            "entra.app_role_assignment": self._app_role,
            "entra.consent_audit": self._audit,
            "entra.delegated_consent": self._delegated,
            "entra.directory_role": self._directory_role,
            "entra.sign_in_activity": self._sign_in,
            "entra.credential_activity": self._credential_use,
            "entra.user": self._person,
        }

    def parse(self, kind: str, item: Any) -> list[Record]:
        """The records of one item. Raises DataError."""
        if not isinstance(item, dict):
            raise DataError(f"{kind}: an item that is no object")
        return list(self._kinds[kind](Fields(item, kind.removeprefix("entra."), self._drift)))

    # -------------------------------------------------------------- the tenant

    def _system(self, item: Fields) -> Iterable[Record]:
        organization = item.child("organization")
        attributes: dict[str, Any] = {}
        if organization:
            attributes["verified_domains"] = sorted(
                name.lower() for domain in organization.objects("verifiedDomains") if (name := domain.text("name"))
            )
            attributes["tenant_type"] = organization.text("tenantType")
        if consent := item.child("adminConsentRequestPolicy"):
            attributes["admin_consent_workflow"] = consent.flag("isEnabled")
        if authorization := item.child("authorizationPolicy"):
            members = authorization.child("defaultUserRolePermissions")
            attributes["guests_invited_by"] = authorization.text("allowInvitesFrom")
            attributes["users_may_create_apps"] = members.flag("allowedToCreateApps") if members else None
            attributes["user_consent_policies"] = members.texts("permissionGrantPoliciesAssigned") if members else None
        if default := item.child("defaultAppManagementPolicy"):
            attributes["app_policy_enabled"] = default.flag("isEnabled")
            restrictions = default.child("applicationRestrictions")
            for rule in restrictions.objects("passwordCredentials") if restrictions else ():
                if rule.text("restrictionType") == "passwordLifetime" and rule.text("state") == "enabled":
                    attributes["max_secret_lifetime"] = rule.text("maxLifetime")  # an ISO 8601 duration, "P90D"
                if rule.text("restrictionType") == "passwordAddition":
                    attributes["new_secrets_forbidden"] = rule.text("state") == "enabled"
        if "appManagementPolicies" in item.raw:
            attributes["app_policies"] = len(item.objects("appManagementPolicies"))
        yield System(
            authority=self.authority,
            kind="entra_tenant",
            name=organization.text("displayName") if organization else None,
            attributes=known(attributes),
        )

    # -------------------------------------------------------------- identities

    def _service_principal(self, item: Fields) -> Iterable[Record]:
        sp = item.need("servicePrincipal")
        key = (self.authority, sp.id())
        agent = item.child("agentIdentity")
        raw_type = sp.text("servicePrincipalType")
        is_agent = agent is not None or sp.odata_type() == _AGENT
        kind = IdentityKind.AI_AGENT if is_agent else _KINDS.get(raw_type or "", IdentityKind.UNKNOWN)
        if raw_type is not None and raw_type not in _KINDS:
            self._drift.unknown_value("servicePrincipal.servicePrincipalType", raw_type)
        home = sp.text("appOwnerOrganizationId")
        standing = self._standing(kind, home)
        arm_id = _arm_id(sp.texts("alternativeNames"))
        publisher = sp.child("verifiedPublisher")
        tags = sp.texts("tags")
        declared = _declared(tags)
        yield Identity(
            authority=self.authority,
            native_id=key[1],
            kind=kind,
            subtype=f"servicePrincipal/{raw_type or 'unknown'}",
            name=sp.text("displayName") or sp.text("appDisplayName"),
            standing=standing,
            enabled=_enabled(sp.flag("accountEnabled"), sp.flag("isDisabled")),
            created_at=agent.instant("createdDateTime") if agent else None,
            environment=declared.get("environment"),
            purpose=sp.text("notes") or sp.text("description"),
            business_process=declared.get("process"),
            criticality=declared.get("criticality"),
            supplier=home.lower() if home and standing is Standing.FOREIGN else None,
            aliases=(*self._app_alias(sp), *_arm_alias(arm_id)),
            rank=0,
            attributes=known(
                {
                    "app_id": sp.text("appId"),
                    "app_owner_tenant": home,
                    "assignment_required": sp.flag("appRoleAssignmentRequired"),
                    "audience": sp.text("signInAudience"),
                    "azure_resource": arm_id,
                    "blueprint": agent.text("agentIdentityBlueprintId") if agent else None,
                    "created_by_app": sp.text("createdByAppId"),
                    "disabled_by_microsoft": sp.text("disabledByMicrosoftStatus"),
                    "gallery_template": sp.text("applicationTemplateId"),
                    "single_sign_on": sp.text("preferredSingleSignOnMode"),
                    "tags": tags or None,
                    "verified_publisher": publisher.text("displayName") if publisher else None,
                }
            ),
        )
        yield from self._credentials(sp, key)
        yield from self._owners(sp, key)
        for address in sp.texts("notificationEmailAddresses"):
            yield self._hint(key, address, "entra.notificationEmailAddresses", 0.4)
        yield from self._written_hints(key, sp.text("notes"), declared)

    def _application(self, app: Fields) -> Iterable[Record]:
        key = (self.authority, app.id())
        blueprint = app.odata_type() == _BLUEPRINT
        publisher = app.child("verifiedPublisher")
        tags = app.texts("tags")
        declared = _declared(tags)
        yield Identity(
            authority=self.authority,
            native_id=key[1],
            kind=IdentityKind.OAUTH_APP,
            subtype="application/agentIdentityBlueprint" if blueprint else "application",
            name=app.text("displayName"),
            standing=Standing.OWN,  # it is registered here, whoever may use it
            enabled=_enabled(True, app.flag("isDisabled")),
            created_at=app.instant("createdDateTime"),
            environment=declared.get("environment"),
            purpose=app.text("notes") or app.text("description"),
            business_process=declared.get("process"),
            criticality=declared.get("criticality"),
            aliases=self._app_alias(app),
            rank=1,
            attributes=known(
                {
                    "app_id": app.text("appId"),
                    "audience": app.text("signInAudience"),
                    "created_by_app": app.text("createdByAppId"),
                    "disabled_by_microsoft": app.text("disabledByMicrosoftStatus"),
                    "publisher_domain": app.text("publisherDomain"),
                    "requested": _requested(app) or None,
                    "service_management_reference": app.text("serviceManagementReference"),
                    "tags": tags or None,
                    "verified_publisher": publisher.text("displayName") if publisher else None,
                }
            ),
        )
        yield from self._credentials(app, key)
        yield from self._owners(app, key)
        if reference := app.text("serviceManagementReference"):
            yield self._hint(key, reference, "entra.serviceManagementReference", 0.3, role=OwnerRole.BUSINESS)
        yield from self._written_hints(key, app.text("notes"), declared)

    def _agent(self, agent: Fields) -> Iterable[Record]:
        """A sponsor answers for an agent as an owner does for an application; the agent is a service principal."""
        yield from self._owners(agent, (self.authority, agent.id()), "sponsors")

    def _standing(self, kind: IdentityKind, home: str | None) -> Standing:
        if home is None:
            return Standing.OWN if kind is IdentityKind.MANAGED_IDENTITY else Standing.UNKNOWN
        if home.lower() == self._tenant:
            return Standing.OWN
        return Standing.PROVIDER_MANAGED if facts.is_microsoft(home) else Standing.FOREIGN

    def _app_alias(self, item: Fields) -> tuple[tuple[str, str], ...]:
        """What joins an application and its service principal. Within one tenant: the same multi-tenant application
        in two tenants is two identities with different grants."""
        app_id = item.text("appId")
        return ((f"{self.authority}:appid", app_id.lower()),) if app_id else ()

    # -------------------------------------------------------------- credentials

    def _credentials(self, holder: Fields, key: tuple[str, str]) -> Iterable[Credential]:
        certificates = holder.objects("keyCredentials")
        certificate_ids = {certificate.id("keyId") for certificate in certificates}
        for secret in holder.objects("passwordCredentials"):
            key_id = secret.id("keyId")
            # A SAML signing certificate has an entry here with its own keyId: the password of its private key.
            if key_id not in certificate_ids:
                yield self._credential(secret, key, key_id, CredentialType.CLIENT_SECRET, {})
        for certificate in certificates:
            usage, raw_type = certificate.text("usage"), certificate.text("type")
            kind = CredentialType.CERTIFICATE
            if raw_type == "Symmetric":
                kind = CredentialType.CLIENT_SECRET
            elif raw_type not in ("AsymmetricX509Cert", "X509CertAndPassword", None):
                self._drift.unknown_value("keyCredential.type", raw_type)
                kind = CredentialType.UNKNOWN
            yield self._credential(
                certificate, key, certificate.id("keyId"), kind, {"usage": usage, "raw_type": raw_type}
            )

    def _credential(
        self, entry: Fields, key: tuple[str, str], key_id: str, kind: CredentialType, more: Mapping[str, Any]
    ) -> Credential:
        expires_at = entry.instant("endDateTime")
        return Credential(
            authority=self.authority,
            native_id=f"{key[1]}/{key_id}",  # a keyId alone is unique within its holder only
            type=kind,
            identity=key,
            name=entry.text("displayName"),
            public_id=key_id,
            fingerprint=_thumbprint(entry.text("customKeyIdentifier")) if kind is CredentialType.CERTIFICATE else None,
            enabled=True,  # one that is listed is accepted until it ends: there is no disabled state
            created_at=entry.instant("startDateTime"),  # start of validity; Graph keeps no date of creation
            expires_at=expires_at,
            no_expiry=False if expires_at else None,
            revocation="removePassword" if kind is CredentialType.CLIENT_SECRET else "removeKey",
            attributes=known(more),
        )

    def _federated(self, holder: Fields) -> Iterable[Record]:
        key = (self.authority, holder.id())
        for trust in holder.objects("federatedIdentityCredentials"):
            yield Credential(
                authority=self.authority,
                native_id=f"{key[1]}/{trust.id()}",
                type=CredentialType.FEDERATION,
                identity=key,
                name=trust.text("name"),
                public_id=trust.id(),
                enabled=True,
                no_expiry=True,  # a trust holds until it is removed
                revocation="DELETE federatedIdentityCredentials",
                attributes=known(
                    {
                        "issuer": trust.text("issuer"),
                        "subject": trust.text("subject"),
                        "audiences": trust.texts("audiences"),
                        "description": trust.text("description"),
                    }
                ),
            )

    # -------------------------------------------------------------- grants

    def _app_role(self, item: Fields) -> Iterable[Record]:
        assignment = item.need("assignment")
        resource = item.child("resource")
        role_id = assignment.id("appRoleId")
        role = item.text("role")
        consent = item.child("consent")
        attributes = {
            "app_role_id": role_id,
            "assignment_id": assignment.text("id"),
            "resource_id": assignment.text("resourceId"),
            "resource_name": assignment.text("resourceDisplayName"),
        }
        if role is None and role_id == _DEFAULT_ACCESS:
            role = "default_access"  # may sign in to the resource; no role of it
        yield Grant(
            authority=self.authority,
            identity=(self.authority, assignment.id("principalId")),
            permission=role or f"app role {role_id}",
            resource=_resource(resource, assignment.text("resourceId")),
            via="application permission",
            tier=Tier.READ if role == "default_access" else facts.permission_tier(role or ""),
            tenant_wide=role != "default_access",
            granted_by=consent.text("by") if consent else None,
            granted_by_id=consent.text("by_id") if consent else None,
            granted_at=assignment.instant("createdDateTime") or (consent.instant("at") if consent else None),
            attributes=known(attributes),
        )

    def _delegated(self, item: Fields) -> Iterable[Record]:
        grant = item.need("grant")
        resource, consents = item.child("resource"), item.child("consents")
        identity = (self.authority, grant.id("clientId"))
        consent_type = grant.text("consentType")
        if consent_type not in ("AllPrincipals", "Principal"):
            self._drift.unknown_value("oauth2PermissionGrant.consentType", str(consent_type))
        principal = grant.text("principalId")
        condition = json.dumps({"principalId": principal}, separators=(",", ":")) if principal else None
        for word in dict.fromkeys((grant.text("scope") or "").split()):
            consent = consents.child(word) if consents else None
            yield Grant(
                authority=self.authority,
                identity=identity,
                permission=word,
                resource=_resource(resource, grant.text("resourceId")),
                condition=condition,
                via="delegated permission",
                tier=facts.permission_tier(word),
                tenant_wide={"AllPrincipals": True, "Principal": False}.get(consent_type or ""),
                granted_by=consent.text("by") if consent else None,
                granted_by_id=consent.text("by_id") if consent else None,
                granted_at=consent.instant("at") if consent else None,
                attributes=known(
                    {
                        "consent_type": consent_type,
                        "grant_id": grant.text("id"),
                        "principal_id": principal,
                        "resource_name": resource.text("displayName") if resource else None,
                    }
                ),
            )

    def _audit(self, item: Fields) -> Iterable[Record]:
        """Consents found in the audit log are told with the grants that they gave (reader joins them)."""
        read_audit(item)
        return ()

    def _directory_role(self, item: Fields) -> Iterable[Record]:
        assignment, role = item.need("assignment"), item.child("role")
        role_id = assignment.id("roleDefinitionId")
        actions = (
            [action for p in role.objects("rolePermissions") for action in p.texts("allowedResourceActions")]
            if role
            else []
        )
        where = assignment.text("directoryScopeId") or assignment.text("appScopeId")
        if role is not None and role.flag("isEnabled") is False:
            return
        yield Grant(
            authority=self.authority,
            identity=(self.authority, assignment.id("principalId")),
            permission=(role.text("displayName") if role else None) or f"directory role {role_id}",
            resource="directory" if where == "/" else where,
            condition=assignment.text("condition"),
            via="directory role",
            tier=facts.role_tier(role.text("templateId") if role else role_id, actions),
            tenant_wide=where == "/" if where else None,
            attributes=known(
                {
                    "role_definition_id": role_id,
                    "assignment_id": assignment.text("id"),
                    "built_in": role.flag("isBuiltIn") if role else None,
                }
            ),
        )

    # -------------------------------------------------------------- use

    def _sign_in(self, item: Fields) -> Iterable[Record]:
        activity, holder = item.need("activity"), item.text("servicePrincipalId")
        if holder is None:
            return  # an application whose service principal is gone: nothing of ours was used
        seen: dict[str, datetime] = {}
        for name, word in (
            ("delegatedClientSignInActivity", "delegated"),
            ("applicationAuthenticationClientSignInActivity", "application"),
            ("lastSignInActivity", "any"),
        ):
            part = activity.child(name)
            # Sign-ins to it as a resource are somebody else's use, so those two fields are not read.
            at = [part.instant(f) for f in ("lastSignInDateTime", "lastNonInteractiveSignInDateTime")] if part else []
            if told := [instant for instant in at if instant]:
                seen[word] = max(told)
        client = {word: at for word, at in seen.items() if word != "any"}
        best = max(client or seen, key=(client or seen).__getitem__) if seen else None
        yield Usage(
            subject=("identity", self.authority, holder),
            source=_SP_ACTIVITY,
            state=UseState.USED if best else UseState.UNKNOWN,
            last_used_at=seen[best] if best else None,
            detail=best if best != "any" else None,
        )

    def _credential_use(self, item: Fields) -> Iterable[Record]:
        origin = item.text("credentialOrigin")
        field = {"application": "appObjectId", "servicePrincipal": "servicePrincipalObjectId"}.get(origin or "")
        if field is None:
            self._drift.unknown_value("appCredentialSignInActivity.credentialOrigin", str(origin))
            raise DataError("a credential activity without a known holder")
        activity = item.child("signInActivity")
        at = activity.instant("lastSignInDateTime") if activity else None
        yield Usage(
            subject=("credential", self.authority, f"{item.id(field)}/{item.id('keyId')}"),
            source=_KEY_ACTIVITY,
            state=UseState.USED if at else UseState.UNKNOWN,  # absence in a beta report proves nothing
            last_used_at=at,
        )

    # -------------------------------------------------------------- people

    def _person(self, item: Fields) -> Iterable[Record]:
        if user := item.child("user"):
            address = user.text("mail") or user.text("userPrincipalName")
            yield Person(
                authority=self.authority,
                native_id=user.id(),
                name=user.text("displayName"),
                email=address,
                active=user.flag("accountEnabled"),
                attributes=known({"upn": user.text("userPrincipalName"), "user_type": user.text("userType")}),
            )
        else:
            yield Person(
                authority=self.authority,
                native_id=item.id("missing"),
                name=item.text("name"),
                active=False,  # the directory was asked for exactly this id and has it no more
                attributes={"deleted": True},
            )

    def _owners(self, holder: Fields, key: tuple[str, str], field: str = "owners") -> Iterable[Record]:
        for owner in holder.objects(field):
            kind = owner.odata_type()
            claim = owner.text("mail") or owner.text("userPrincipalName") or owner.text("displayName") or owner.id()
            if kind in _PEOPLE:
                person = (self.authority, owner.id())
                if _PEOPLE[kind] == "team":
                    yield Person(
                        authority=self.authority, native_id=person[1], name=owner.text("displayName"), kind="team"
                    )
                yield self._hint(key, claim, f"entra.{field}", 0.8, person=person)
            elif kind == "#microsoft.graph.servicePrincipal":
                # Another application is no owner; that it is entered as one is still a trace.
                yield self._hint(key, claim, f"entra.{field}.servicePrincipal", 0.1)
            else:
                self._drift.unknown_value(f"{field}.@odata.type", str(kind))
                yield self._hint(key, claim, f"entra.{field}", 0.3)

    def _written_hints(self, key: tuple[str, str], notes: str | None, declared: Mapping[str, str]) -> Iterable[Owner]:
        for address in dict.fromkeys(_EMAIL.findall(notes or "")):
            yield self._hint(key, address, "entra.notes", 0.4)
        if "owner" in declared:
            yield self._hint(key, declared["owner"], "entra.tag:owner", 0.6)

    def _hint(
        self,
        key: tuple[str, str],
        claim: str,
        source: str,
        confidence: float,
        *,
        role: OwnerRole = OwnerRole.TECHNICAL,
        person: tuple[str, str] | None = None,
    ) -> Owner:
        return Owner(
            authority=self.authority,
            identity=key,
            claim=claim,
            source=source,
            role=role,
            person=person,
            confidence=confidence,
        )


def _enabled(account: bool | None, disabled: bool | None) -> bool | None:
    return False if disabled else account


def _resource(resource: Fields | None, resource_id: str | None) -> str | None:
    app_id = resource.text("appId") if resource else None
    return facts.resource_name(app_id) if app_id else resource_id


def _requested(app: Fields) -> list[str]:
    """What the registration asks for, granted or not: "resource app id/permission id:Role|Scope"."""
    return [
        f"{access.text('resourceAppId')}/{entry.text('id')}:{entry.text('type')}"
        for access in app.objects("requiredResourceAccess")
        for entry in access.objects("resourceAccess")
    ]


def _declared(tags: Iterable[str]) -> dict[str, str]:
    """Tags of the form "word:value" that the organisation itself wrote; Microsoft's own tags have no colon."""
    words = {
        "env": "environment",
        "environment": "environment",
        "criticality": "criticality",
        "process": "process",
        "owner": "owner",
    }
    found: dict[str, str] = {}
    for tag in tags:
        name, colon, value = tag.partition(":")
        if colon and value.strip() and name.strip().lower() in words:
            found.setdefault(words[name.strip().lower()], value.strip())
    return found


def _arm_id(names: Iterable[str]) -> str | None:
    return next((name for name in names if _ARM_ID.fullmatch(name)), None)


def _arm_alias(arm_id: str | None) -> tuple[tuple[str, str], ...]:
    """A user-assigned managed identity is the same thing in Azure; a system-assigned one names its machine."""
    if arm_id and "/userassignedidentities/" in arm_id.lower():
        return (("azure", arm_id.lower()),)
    return ()


def _thumbprint(identifier: str | None) -> str | None:
    """The certificate's thumbprint in upper-case hexadecimal. Graph gives it so, or as base64 of the bytes."""
    if not identifier:
        return None
    if re.fullmatch(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}", identifier):
        return identifier.upper()
    try:
        raw = base64.b64decode(
            identifier + "=" * (-len(identifier) % 4),
            altchars=b"-_" if set(identifier) & set("-_") else None,
            validate=True,
        )
    except (binascii.Error, ValueError):
        return None
    return raw.hex().upper() if len(raw) in (20, 32) else None
