"""Records of IAM: users, roles, what they were given, whom roles trust, and the trusted identity providers.

Pure: one raw object and what other lists of the same account say (`Known`) go in, records come out. The list a
principal's rights stand in (managed policies, groups) is read before the principal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from wardship.connectors.aws import fields, report
from wardship.connectors.aws.policy import Statement, Trusted, read_document, shorten, trusted_principals
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Standing
from wardship.sdk.connector import DriftLog, Record

# "Activity is only reported for the trailing 400 days" (IAM API reference, RoleLastUsed, read 2026-11).
ROLE_TRACKING_DAYS = 400
ROLES_ANYWHERE = "rolesanywhere.amazonaws.com"


@dataclass(slots=True)
class Known:
    """What the lists of one account say that a single object does not. Filled by the reader, used by `parse`."""

    account: str
    drift: DriftLog
    as_of: datetime
    policies: dict[str, Any] = field(default_factory=dict)  # managed policy ARN -> document of its default version
    groups: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # name -> GroupDetail
    report: dict[str, Mapping[str, str]] | None = None  # ARN -> row of the credential report; None: not readable
    organisation: frozenset[str] = frozenset()  # account ids of our own organisation, as far as known
    keys_listed: bool = False  # keys are recorded from ListAccessKeys, not from the report
    anchored: bool = False  # some role trusts Roles Anywhere
    _given: dict[str, tuple[Given, ...]] = field(default_factory=dict)

    @property
    def authority(self) -> str:
        return f"aws:{self.account}"

    def given(self, arn: str) -> tuple[Given, ...]:
        """What the managed policy `arn` gives; computed once, however many hold it."""
        found = self._given.get(arn)
        if found is None:
            document = self.policies.get(arn)
            found = (_not_read(arn),) if document is None else _given_by(document, arn, self.drift)
            self._given[arn] = found
        return found


@dataclass(frozen=True, slots=True)
class Given:
    """One statement of a policy, ready to become a grant of whoever holds the policy."""

    permission: str
    resource: str | None
    effect: str
    condition: str | None
    tier: Tier
    tenant_wide: bool | None
    via: str
    attributes: Mapping[str, Any]


def _given_by(document: Any, via: str, drift: DriftLog) -> tuple[Given, ...]:
    try:
        statements = read_document(document)
    except DataError:
        # The identity is worth more than the policy: it stays, and says that a policy of it could not be read.
        drift.unexpected_shape("policy document", type(document).__name__)
        return (Given(f"unreadable policy {via}"[:512], None, "allow", None, Tier.UNKNOWN, None, via, {"read": False}),)
    return tuple(_one_given(statement, via) for statement in statements)


def _one_given(statement: Statement, via: str) -> Given:
    tier = statement.tier
    allowed = statement.effect == "allow"
    attributes: dict[str, Any] = {"actions": len(statement.actions)}
    if statement.sid:
        attributes["sid"] = statement.sid[:128]
    return Given(
        permission=statement.permission,
        resource=statement.resource,
        effect=statement.effect,
        condition=statement.condition,
        tier=tier,
        tenant_wide=statement.any_resource and tier is not Tier.READ if allowed else None,
        via=via,
        attributes=attributes,
    )


def _not_read(arn: str) -> Given:
    return Given(f"policy {arn}"[:512], None, "allow", None, Tier.UNKNOWN, None, arn, {"read": False})


# ------------------------------------------------------------------ users


def user(item: Any, known: Known) -> Iterator[Record]:
    """A UserDetail of GetAccountAuthorizationDetails."""
    detail = fields.mapping(item, "a user")
    arn = fields.required(detail, "Arn")
    key = (known.authority, arn)
    declared = fields.declared(fields.tags(detail), known.drift)
    attributes = _attributes(detail, declared)
    row = None if known.report is None else known.report.get(arn)
    attributes["groups"] = sorted(str(name) for name in fields.entries(detail, "GroupList"))
    if row is not None:
        attributes |= report.summary(row)
    yield Identity(
        authority=known.authority,
        native_id=arn,
        kind=IdentityKind.UNKNOWN if row is None else report.kind(row),
        subtype="user",
        name=fields.required(detail, "UserName"),
        standing=Standing.OWN,
        created_at=fields.instant(detail, "CreateDate"),
        aliases=_unique_id(detail, "UserId", known),
        attributes=attributes,
        **_declared(declared),
    )
    yield from fields.owner_hints(known.authority, key, fields.tags(detail))
    yield from _grants(key, _policies(detail, "UserPolicyList", known), known)
    for name in attributes["groups"]:
        group = known.groups.get(name)
        if group is None:
            yield Grant(authority=known.authority, identity=key, permission=f"group {name}"[:512], via=name)
            known.drift.unexpected_shape("user.GroupList", "a group that is not listed")
            continue
        group_arn = fields.required(group, "Arn")
        for given in _policies(group, "GroupPolicyList", known):
            yield _grant(key, given, known, via=f"{group_arn} > {given.via}")


def _attributes(detail: Mapping[str, Any], declared: Mapping[str, str]) -> dict[str, Any]:
    attributes: dict[str, Any] = {"path": fields.optional(detail, "Path") or "/"}
    boundary = detail.get("PermissionsBoundary")
    if isinstance(boundary, Mapping) and boundary.get("PermissionsBoundaryArn"):
        attributes["permissions_boundary"] = str(boundary["PermissionsBoundaryArn"])
    if "application" in declared:
        attributes["application"] = declared["application"]
    return attributes


def _declared(declared: Mapping[str, str]) -> dict[str, Any]:
    return {name: declared.get(name) for name in ("environment", "purpose", "business_process", "criticality")}


def _unique_id(detail: Mapping[str, Any], name: str, known: Known) -> tuple[tuple[str, str], ...]:
    """The id that survives a rename and differs when a name is used again (AIDA..., AROA...)."""
    found = fields.optional(detail, name)
    return ((known.authority, found),) if found else ()


def _policies(detail: Mapping[str, Any], inline: str, known: Known) -> Iterator[Given]:
    for entry in fields.entries(detail, inline):
        policy = fields.mapping(entry, "an inline policy")
        via = f"inline:{fields.required(policy, 'PolicyName')}"
        yield from _given_by(policy.get("PolicyDocument"), via, known.drift)
    for entry in fields.entries(detail, "AttachedManagedPolicies"):
        yield from known.given(fields.required(fields.mapping(entry, "an attached policy"), "PolicyArn"))


def _grants(key: tuple[str, str], given: Iterable[Given], known: Known) -> Iterator[Grant]:
    return (_grant(key, one, known, via=one.via) for one in given)


def _grant(key: tuple[str, str], given: Given, known: Known, *, via: str) -> Grant:
    return Grant(
        authority=known.authority,
        identity=key,
        permission=given.permission,
        resource=given.resource,
        effect=given.effect,
        condition=given.condition,
        via=via,
        tier=given.tier,
        tenant_wide=given.tenant_wide,
        attributes=given.attributes,
    )


# ------------------------------------------------------------------ roles


def role(item: Any, known: Known) -> Iterator[Record]:
    """A RoleDetail of GetAccountAuthorizationDetails, with everybody whom it lets in."""
    detail = fields.mapping(item, "a role")
    arn = fields.required(detail, "Arn")
    key = (known.authority, arn)
    path = fields.optional(detail, "Path") or "/"
    declared = fields.declared(fields.tags(detail), known.drift)
    attributes = _attributes(detail, declared)
    profiles = [fields.mapping(entry, "an instance profile") for entry in fields.entries(detail, "InstanceProfileList")]
    if profiles:
        attributes["instance_profiles"] = sorted(fields.required(profile, "Arn") for profile in profiles)
    subtype, standing = _role_standing(path)
    created_at = fields.instant(detail, "CreateDate")
    yield Identity(
        authority=known.authority,
        native_id=arn,
        kind=IdentityKind.WORKLOAD_ROLE,
        subtype=subtype,
        name=fields.required(detail, "RoleName"),
        standing=standing,
        enabled=True,  # a role cannot be switched off
        created_at=created_at,
        aliases=_unique_id(detail, "RoleId", known),
        attributes=attributes,
        **_declared(declared),
    )
    yield _role_usage(detail, key, created_at, known)
    yield from fields.owner_hints(known.authority, key, fields.tags(detail))
    yield from _grants(key, _policies(detail, "RolePolicyList", known), known)
    yield from _trust(detail.get("AssumeRolePolicyDocument"), arn, known)


def _role_standing(path: str) -> tuple[str, Standing]:
    """Roles that AWS makes and alone may change are AWS's (IAM user guide, service-linked roles)."""
    if path.startswith("/aws-service-role/"):
        return "service-linked role", Standing.PROVIDER_MANAGED
    if path.startswith("/aws-reserved/sso.amazonaws.com/"):
        return "identity center role", Standing.PROVIDER_MANAGED
    return "role", Standing.OWN


def _role_usage(detail: Mapping[str, Any], key: tuple[str, str], created_at: datetime | None, known: Known) -> Usage:
    """An empty RoleLastUsed says "not within the tracking period"; a missing one says nothing."""
    subject, source = ("identity", *key), "aws.role_last_used"
    found = detail.get("RoleLastUsed")
    since = known.as_of - timedelta(days=ROLE_TRACKING_DAYS)
    since = max(since, created_at) if created_at else since
    if not isinstance(found, Mapping):
        return Usage(subject=subject, source=source, state=UseState.UNKNOWN)
    used_at = fields.instant(found, "LastUsedDate")
    if used_at is None:
        return Usage(subject=subject, source=source, state=UseState.NEVER, since=since)
    region = fields.optional(found, "Region")
    return Usage(subject=subject, source=source, state=UseState.USED, last_used_at=used_at, since=since, detail=region)


def trusts_roles_anywhere(item: Any) -> bool:
    """Whether a RoleDetail lets certificates in through Roles Anywhere. False for what cannot be read."""
    try:
        document = fields.mapping(item, "a role").get("AssumeRolePolicyDocument")
        return any(one.name == ROLES_ANYWHERE for one in trusted_principals(document))
    except DataError:
        return False


def _trust(document: Any, role_arn: str, known: Known) -> Iterator[Record]:
    try:
        trusted = list(trusted_principals(document))
    except DataError:
        known.drift.unexpected_shape("trust policy", type(document).__name__)
        yield Credential(
            authority=known.authority,
            native_id=f"{role_arn}/trust/unreadable",
            type=CredentialType.FEDERATION,
            identity=(known.authority, role_arn),
            attributes={"read": False},
        )
        return
    for one in trusted:
        if one.statement.effect == "deny":
            continue  # it lets nobody in; what it takes from an allow is left to analysis
        if one.kind == "Federated" or one.name == ROLES_ANYWHERE:
            yield _federation(one, role_arn, known)
        elif one.kind in ("AWS", "Service"):
            yield from _admitted(one, role_arn, known)
        else:
            known.drift.unknown_value("trust policy principal", one.kind)


def _federation(one: Trusted, role_arn: str, known: Known) -> Credential:
    """Tokens or certificates that somebody else issues open this role, under the conditions noted."""
    statement = one.statement
    told = "\0".join((one.name, statement.sid or "", statement.condition or ""))
    mark = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    return Credential(
        authority=known.authority,
        native_id=f"{role_arn}/trust/{mark[:16]}",
        type=CredentialType.FEDERATION,
        identity=(known.authority, role_arn),
        name=one.name.rpartition("oidc-provider/")[2].rpartition("saml-provider/")[2] or one.name,
        enabled=True,
        no_expiry=True,  # a trust ends when the policy is changed
        revocation="change the role's trust policy",
        attributes={
            "provider": one.name,
            "actions": list(statement.actions),
            "condition": statement.condition,
            "protocol": _protocol(one.name),
        },
    )


def _protocol(provider: str) -> str:
    if provider == ROLES_ANYWHERE:
        return "x509"
    return "saml" if ":saml-provider/" in provider else "oidc"


def _admitted(one: Trusted, role_arn: str, known: Known) -> Iterator[Record]:
    """An AWS principal or service that may assume the role: the grant, and the principal where it is not ours."""
    authority, native_id, account = _principal(one, known)
    if one.kind == "Service":
        yield Identity(
            authority=authority,
            native_id=native_id,
            kind=IdentityKind.MANAGED_IDENTITY,
            subtype="service principal",
            name=one.name,
            standing=Standing.PROVIDER_MANAGED,
        )
    elif account != known.account and account not in known.organisation:
        yield Identity(
            authority=authority,
            native_id=native_id,
            kind=IdentityKind.SUPPLIER_ACCOUNT,
            subtype="foreign principal",
            name=one.name,
            standing=Standing.FOREIGN,
            supplier=account,
        )
    elif account == known.account and native_id.endswith(":root"):
        return  # the account itself: its own policies decide, and they are read as grants
    elif account not in (known.account, None) and native_id.endswith(":root"):
        yield Identity(
            authority=authority,
            native_id=native_id,
            kind=IdentityKind.UNKNOWN,
            subtype="account of the organisation",
            name=one.name,
            standing=Standing.OWN,
        )
    yield Grant(
        authority=known.authority,
        identity=(authority, native_id),
        permission=shorten(one.statement.actions),
        resource=role_arn,
        condition=one.statement.condition,
        via=f"trust of {role_arn}",
        tier=Tier.UNKNOWN,  # as strong as the role: a path that analysis follows
        tenant_wide=False,
    )


def _principal(one: Trusted, known: Known) -> tuple[str, str, str | None]:
    """(authority, native id, account) of whom a trust policy names.

    An account id alone means its root ARN; `*` is anybody. A unique id (AIDA..., AROA...) stands where the
    principal was deleted: whose it was cannot be told.
    """
    name = one.name
    if one.kind == "Service":
        return known.authority, f"service:{name}", None
    if len(name) == 12 and name.isdecimal():
        return f"aws:{name}", f"arn:aws:iam::{name}:root", name
    parts = name.split(":")
    if len(parts) >= 6 and parts[0] == "arn" and parts[4]:
        return f"aws:{parts[4]}", name, parts[4]
    return "aws:*", name, None


# ------------------------------------------------------------------ identity providers


def oidc_provider(item: Any, known: Known) -> Iterator[Record]:
    """GetOpenIDConnectProvider's answer, with its ARN added."""
    detail = fields.mapping(item, "an OIDC provider")
    arn = fields.required(detail, "Arn")
    yield Credential(
        authority=known.authority,
        native_id=arn,
        type=CredentialType.IDENTITY_PROVIDER,
        name=fields.optional(detail, "Url") or arn.partition("oidc-provider/")[2],
        enabled=True,
        created_at=fields.instant(detail, "CreateDate"),
        no_expiry=True,
        revocation="delete the provider",
        attributes={
            "protocol": "oidc",
            "audiences": sorted(str(one) for one in fields.entries(detail, "ClientIDList")),
            "thumbprints": sorted(str(one) for one in fields.entries(detail, "ThumbprintList")),
        },
    )


def saml_provider(item: Any, known: Known) -> Iterator[Record]:
    """An entry of ListSAMLProviders."""
    detail = fields.mapping(item, "a SAML provider")
    arn = fields.required(detail, "Arn")
    yield Credential(
        authority=known.authority,
        native_id=arn,
        type=CredentialType.IDENTITY_PROVIDER,
        name=arn.partition("saml-provider/")[2] or arn,
        enabled=True,
        created_at=fields.instant(detail, "CreateDate"),
        expires_at=fields.instant(detail, "ValidUntil"),
        revocation="delete the provider",
        attributes={"protocol": "saml"},
    )
