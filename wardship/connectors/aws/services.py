"""Records of what lies beside IAM: Organizations, Identity Center, Roles Anywhere, Secrets Manager, ACM, API keys.

Pure, like `iam`. Metadata only: no call that these records come from can answer with a secret value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wardship.connectors.aws import fields
from wardship.connectors.aws.iam import Known
from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.sdk.connector import Record

_ACCOUNT_STATES = ("ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "PENDING_ACTIVATION", "CLOSED")
_ROOT_FACTS = {
    "AccountMFAEnabled": "root_mfa",
    "AccountAccessKeysPresent": "root_access_keys",
    "AccountPasswordPresent": "root_password",
}
_CERTIFICATE_STATES = {
    "ISSUED": True,
    "PENDING_VALIDATION": False,
    "INACTIVE": False,
    "EXPIRED": False,
    "VALIDATION_TIMED_OUT": False,
    "REVOKED": False,
    "FAILED": False,
}


def account(item: Any, known: Known) -> Iterator[Record]:
    """The account that is read: GetAccountSummary's totals, with what Organizations says of it where readable."""
    detail = fields.mapping(item, "an account summary")
    summary = fields.mapping(detail.get("Summary", {}), "SummaryMap")
    entry = fields.mapping(detail.get("Account", {}), "an account")
    root = {name: bool(summary[key]) for key, name in _ROOT_FACTS.items() if isinstance(summary.get(key), int)}
    yield _system(known.account, entry, known, {"read": True, **root})


def member(item: Any, known: Known) -> Iterator[Record]:
    """An account of the organisation that this scan does not read."""
    entry = fields.mapping(item, "an account")
    yield _system(fields.required(entry, "Id"), entry, known, {"read": False})


def _system(number: str, entry: Mapping[str, Any], known: Known, attributes: dict[str, Any]) -> System:
    status = fields.optional(entry, "Status") or fields.optional(entry, "State")
    if status:
        attributes["status"] = status
        if status not in _ACCOUNT_STATES:
            known.drift.unknown_value("organizations.Account.Status", status)
    parts = (fields.optional(entry, "Arn") or "").split("/")
    return System(
        authority=f"aws:{number}",
        kind="aws_account",
        name=fields.optional(entry, "Name"),
        parent=f"aws-organization:{parts[1]}" if len(parts) == 3 else None,
        attributes=attributes,
    )


# ------------------------------------------------------------------ Identity Center


def person(item: Any, known: Known) -> Iterator[Record]:
    """A user of the Identity Center directory: a human whom an owner hint may resolve to."""
    detail = fields.mapping(item, "an Identity Center user")
    authority = f"aws-identitystore:{fields.required(detail, 'IdentityStoreId')}"
    mails = [fields.mapping(entry, "an e-mail") for entry in fields.entries(detail, "Emails")]
    mails.sort(key=lambda mail: mail.get("Primary") is not True)
    status = fields.optional(detail, "UserStatus")
    if status not in (None, "ENABLED", "DISABLED"):
        known.drift.unknown_value("identitystore.User.UserStatus", status or "")
    external = [fields.mapping(entry, "an external id") for entry in fields.entries(detail, "ExternalIds")]
    yield Person(
        authority=authority,
        native_id=fields.required(detail, "UserId"),
        name=fields.optional(detail, "DisplayName") or fields.optional(detail, "UserName"),
        email=fields.optional(mails[0], "Value") if mails else None,
        active={"ENABLED": True, "DISABLED": False}.get(status or ""),
        attributes={
            "user_name": fields.optional(detail, "UserName"),
            "external_ids": [fields.optional(one, "Id") for one in external],
        },
    )


def team(item: Any) -> Iterator[Record]:
    """A group of the Identity Center directory."""
    detail = fields.mapping(item, "an Identity Center group")
    yield Person(
        authority=f"aws-identitystore:{fields.required(detail, 'IdentityStoreId')}",
        native_id=fields.required(detail, "GroupId"),
        name=fields.optional(detail, "DisplayName"),
        kind="team",
    )


def permission_set(item: Any, known: Known) -> Iterator[Record]:
    """A permission set and where it is assigned: one grant for each account and principal.

    Its strength is not read here: AWS makes a role of it in each account (`aws-reserved/sso.amazonaws.com`), whose
    policies are read with that account.
    """
    entry = fields.mapping(item, "a permission set")
    detail = fields.mapping(entry.get("PermissionSet"), "a permission set")
    arn = fields.required(detail, "PermissionSetArn")
    name = fields.required(detail, "Name")
    authority = f"aws-sso:{arn.split('/')[1] if arn.count('/') == 2 else known.account}"  # the instance's id
    assignments = [fields.mapping(one, "an assignment") for one in fields.entries(entry, "Assignments")]
    yield Identity(
        authority=authority,
        native_id=arn,
        kind=IdentityKind.WORKLOAD_ROLE,
        subtype="permission set",
        name=name,
        standing=Standing.OWN,
        purpose=fields.optional(detail, "Description"),
        created_at=fields.instant(detail, "CreatedDate"),
        attributes={
            "session_duration": fields.optional(detail, "SessionDuration"),
            "assignments": len(assignments),
        },
    )
    for one in assignments:
        kind = fields.required(one, "PrincipalType")
        if kind not in ("USER", "GROUP"):
            known.drift.unknown_value("sso.AccountAssignment.PrincipalType", kind)
        yield Grant(
            authority=authority,
            identity=(authority, arn),
            permission="sso:AccountAssignment",
            resource=f"aws:{fields.required(one, 'AccountId')}",
            via=f"{kind.lower()} {fields.required(one, 'PrincipalId')}",
            tier=Tier.UNKNOWN,
            tenant_wide=False,
        )


# ------------------------------------------------------------------ Roles Anywhere


def roles_anywhere(item: Any, known: Known) -> Iterator[Record]:
    """An anchor or a profile: one scope holds both."""
    detail = fields.mapping(item, "an entry of Roles Anywhere")
    return anchor_profile(detail, known) if "profileArn" in detail else trust_anchor(detail, known)


def trust_anchor(item: Any, known: Known) -> Iterator[Record]:
    """A certificate authority whose certificates open roles."""
    detail = fields.mapping(item, "a trust anchor")
    source = fields.mapping(detail.get("source", {}), "the source of a trust anchor")
    kind = fields.optional(source, "sourceType")
    if kind not in (None, "AWS_ACM_PCA", "CERTIFICATE_BUNDLE", "SELF_SIGNED_REPOSITORY"):
        known.drift.unknown_value("rolesanywhere.TrustAnchor.sourceType", kind or "")
    yield Credential(
        authority=known.authority,
        native_id=fields.required(detail, "trustAnchorArn"),
        type=CredentialType.IDENTITY_PROVIDER,
        name=fields.optional(detail, "name"),
        enabled=fields.truth(detail, "enabled"),
        created_at=fields.instant(detail, "createdAt"),
        revocation="disable the trust anchor",
        attributes={"protocol": "x509", "source_type": kind},
    )


def anchor_profile(item: Any, known: Known) -> Iterator[Record]:
    """A Roles Anywhere profile: the door from a certificate to the roles it names."""
    detail = fields.mapping(item, "a Roles Anywhere profile")
    arn = fields.required(detail, "profileArn")
    name = fields.optional(detail, "name")
    yield Credential(
        authority=known.authority,
        native_id=arn,
        type=CredentialType.FEDERATION,
        name=name,
        enabled=fields.truth(detail, "enabled"),
        created_at=fields.instant(detail, "createdAt"),
        no_expiry=True,
        revocation="disable the profile",
        attributes={
            "protocol": "x509",
            "roles": sorted(str(one) for one in fields.entries(detail, "roleArns")),
            "session_policy": fields.optional(detail, "sessionPolicy") is not None,
            "managed_policies": sorted(str(one) for one in fields.entries(detail, "managedPolicyArns")),
        },
    )


# ------------------------------------------------------------------ regional stores


def secret(item: Any, known: Known) -> Iterator[Record]:
    """An entry of Secrets Manager: metadata. `LastAccessedDate` is a day, in UTC."""
    detail = fields.mapping(item, "a secret")
    arn = fields.required(detail, "ARN")
    rotation = fields.truth(detail, "RotationEnabled") or False  # AWS leaves the field out where rotation is off
    rules = fields.mapping(detail.get("RotationRules") or {}, "RotationRules")
    found = fields.tags(detail)
    yield Credential(
        authority=known.authority,
        native_id=arn,
        type=CredentialType.STORED_SECRET,
        name=fields.optional(detail, "Name"),
        enabled=detail.get("DeletedDate") is None,
        created_at=fields.instant(detail, "CreatedDate"),
        last_rotated_at=fields.instant(detail, "LastRotatedDate") or fields.instant(detail, "LastChangedDate"),
        next_rotation_at=fields.instant(detail, "NextRotationDate"),
        stored_in=f"secretsmanager:{arn.split(':')[3] if arn.count(':') >= 6 else ''}",
        attributes={
            "rotation_enabled": rotation,
            "rotation_days": rules.get("AutomaticallyAfterDays"),
            "owning_service": fields.optional(detail, "OwningService"),
            "kms_key": fields.optional(detail, "KmsKeyId"),
            "tags": dict(sorted(found.items())),
        },
    )
    used_at = fields.instant(detail, "LastAccessedDate")
    yield Usage(
        subject=("credential", known.authority, arn),
        source="aws.secretsmanager.last_accessed",
        state=UseState.USED if used_at else UseState.UNKNOWN,
        last_used_at=used_at,
    )


def certificate(item: Any, known: Known) -> Iterator[Record]:
    """A certificate summary of ACM."""
    detail = fields.mapping(item, "a certificate")
    status = fields.optional(detail, "Status")
    if status is not None and status not in _CERTIFICATE_STATES:
        known.drift.unknown_value("acm.CertificateSummary.Status", status)
    yield Credential(
        authority=known.authority,
        native_id=fields.required(detail, "CertificateArn"),
        type=CredentialType.CERTIFICATE,
        name=fields.optional(detail, "DomainName"),
        enabled=_CERTIFICATE_STATES.get(status or ""),
        created_at=fields.instant(detail, "CreatedAt") or fields.instant(detail, "NotBefore"),
        expires_at=fields.instant(detail, "NotAfter"),
        stored_in="acm",
        revocation="delete the certificate",
        attributes={
            "status": status,
            "type": fields.optional(detail, "Type"),
            "key_algorithm": fields.optional(detail, "KeyAlgorithm"),
            "in_use": fields.truth(detail, "InUse"),
            "renewal": fields.optional(detail, "RenewalEligibility"),
        },
    )


def api_key(item: Any, known: Known, region: str) -> Iterator[Record]:
    """A key of API Gateway; its value is never asked for, and refused if it comes."""
    detail = fields.mapping(item, "an API key")
    if detail.get("value"):
        raise DataError("an API key that came with its value")
    yield Credential(
        authority=known.authority,
        native_id=f"arn:aws:apigateway:{region}::/apikeys/{fields.required(detail, 'id')}",
        type=CredentialType.API_KEY,
        name=fields.optional(detail, "name"),
        public_id=fields.optional(detail, "id"),
        enabled=fields.truth(detail, "enabled"),
        created_at=fields.instant(detail, "createdDate"),
        no_expiry=True,
        revocation="disable, then delete the key",
        attributes={
            "stages": sorted(str(one) for one in fields.entries(detail, "stageKeys")),
            "customer_id": fields.optional(detail, "customerId"),
            "tags": dict(sorted(fields.tags(detail, "tags").items())),
        },
    )
