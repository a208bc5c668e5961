"""What the AWS connector is, what it needs for each capability, and what AWS cannot tell it."""

from __future__ import annotations

from dataclasses import dataclass

from wardship.model.errors import ConfigError
from wardship.sdk.connector import BlindSpot, Capability, Connection, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_, _

_DISCOVER = (
    Permission(
        name="iam:GetAccountAuthorizationDetails",
        why=N_("users, roles, groups, policies and trusts, a thousand at a time"),
    ),
    Permission(
        name="iam:GetAccountSummary", why=N_("AWS's own totals, to prove that a list is complete"), optional=True
    ),
    Permission(name="iam:GenerateCredentialReport", why=N_("makes AWS write the credential report"), optional=True),
    Permission(name="iam:GetCredentialReport", why=N_("keys and passwords with age, MFA and last use"), optional=True),
    Permission(name="iam:ListOpenIDConnectProviders", why=N_("whose tokens the account accepts"), optional=True),
    Permission(name="iam:GetOpenIDConnectProvider", why=N_("for whom those tokens are meant"), optional=True),
    Permission(name="iam:ListSAMLProviders", why=N_("whose SAML assertions the account accepts"), optional=True),
    Permission(
        name="iam:ListAccessKeys", why=N_("the ids of access keys; asked only with key_ids = yes"), optional=True
    ),
    Permission(name="iam:GetUser", why=N_("confirms that a missing user is really gone"), optional=True),
    Permission(name="iam:GetRole", why=N_("confirms that a missing role is really gone"), optional=True),
    Permission(name="iam:GetLoginProfile", why=N_("confirms that a missing password is really gone"), optional=True),
    Permission(name="organizations:ListAccounts", why=N_("which accounts are ours, which are foreign"), optional=True),
    Permission(name="sso:ListInstances", why=N_("finds Identity Center"), optional=True),
    Permission(name="sso:ListPermissionSets", why=N_("permission sets of Identity Center"), optional=True),
    Permission(name="sso:DescribePermissionSet", why=N_("their names and session lengths"), optional=True),
    Permission(
        name="sso:ListAccountsForProvisionedPermissionSet", why=N_("where a permission set applies"), optional=True
    ),
    Permission(name="sso:ListAccountAssignments", why=N_("who may use it there"), optional=True),
    Permission(name="identitystore:ListUsers", why=N_("people, to whom owner hints are resolved"), optional=True),
    Permission(name="identitystore:ListGroups", why=N_("teams, to which owner hints are resolved"), optional=True),
    Permission(name="secretsmanager:ListSecrets", why=N_("secrets' age, rotation and use, no values"), optional=True),
    Permission(name="secretsmanager:DescribeSecret", why=N_("confirms that a secret is really gone"), optional=True),
    Permission(name="acm:ListCertificates", why=N_("certificates and when they end"), optional=True),
    Permission(name="acm:DescribeCertificate", why=N_("confirms that a certificate is really gone"), optional=True),
    Permission(name="apigateway:GET", why=N_("API keys, never their values"), optional=True),
    Permission(name="rolesanywhere:ListTrustAnchors", why=N_("certificate authorities that open roles"), optional=True),
    Permission(name="rolesanywhere:ListProfiles", why=N_("which roles their certificates open"), optional=True),
)
_SIMULATE = Permission(
    name="iam:SimulatePrincipalPolicy", why=N_("lets `connect check` ask instead of trying"), optional=True
)
_LIST_KEYS = Permission(name="iam:ListAccessKeys", why=N_("which keys a user has now"))
_PROVENANCE = Permission(name="cloudtrail:LookupEvents", why=N_("proves which key an interrupted rotation made"))
_LAST_USED = Permission(name="iam:GetAccessKeyLastUsed", why=N_("whether the old key is still in use"))
_UPDATE_KEY = Permission(name="iam:UpdateAccessKey", why=N_("deactivates a key, and activates it again"))

MANIFEST = Manifest(
    name="aws",
    title="Amazon Web Services",
    systems=("aws_account",),
    permissions={
        Capability.DISCOVER: (*_DISCOVER, _SIMULATE),
        Capability.USAGE: (
            Permission(name="iam:GenerateCredentialReport", why=N_("makes AWS write the credential report")),
            Permission(name="iam:GetCredentialReport", why=N_("when keys and passwords were last used")),
            Permission(name="iam:GetAccountAuthorizationDetails", why=N_("when roles were last used")),
        ),
        Capability.IMPORT: (),
        Capability.ROTATE: (
            _LIST_KEYS,
            Permission(name="iam:CreateAccessKey", why=N_("makes the new key")),
            _UPDATE_KEY,
            Permission(name="iam:DeleteAccessKey", why=N_("removes the old key after the grace period")),
            _LAST_USED,
            _PROVENANCE,
        ),
        Capability.DISABLE: (_LIST_KEYS, _UPDATE_KEY, _LAST_USED),
        Capability.DELETE: (
            _LIST_KEYS,
            Permission(name="iam:DeleteAccessKey", why=N_("removes a key that was disabled before")),
            _LAST_USED,
        ),
    },
    settings=(
        Setting(name="profile", help=N_("profile of ~/.aws/config; empty: the usual places, in botocore's order")),
        Setting(name="regions", help=N_("regions to read secrets, certificates and API keys in, comma-separated")),
        Setting(name="role_arn", help=N_("role to act as first; needed for rotation, which is proved by its sessions")),
        Setting(
            name="member_role", help=N_("name of the role to assume in every account of the organisation; empty: one")
        ),
        Setting(name="external_id", help=N_("external id that the roles ask for")),
        Setting(name="key_ids", help=N_("yes: also read the ids of access keys, one request a user"), default="no"),
        Setting(
            name="trail_bucket",
            help=N_("bucket of a CloudTrail trail, with its prefix: BUCKET or BUCKET/PREFIX; only for telemetry sync"),
        ),
        Setting(name="endpoint_url", help=N_("another endpoint for every call: an emulator, for tests")),
    ),
    blind_spots=(
        BlindSpot(id="aws.last_used_is_late", text=N_("Last use of keys and roles reaches IAM up to four hours late.")),
        BlindSpot(id="aws.role_use_400_days", text=N_("Use of a role is known for the last 400 days, not before.")),
        BlindSpot(
            id="aws.password_no_information",
            text=N_("For some passwords AWS does not tell never used and no record apart: they are unknown."),
        ),
        BlindSpot(
            id="aws.service_control_policies",
            text=N_("Service control policies and resource policies are not read: a grant may be weaker than shown."),
        ),
        BlindSpot(
            id="aws.key_ids",
            text=N_("The credential report has no key ids; without key_ids = yes a key is known by its slot."),
        ),
        BlindSpot(
            id="aws.service_specific_credentials",
            text=N_("SSH keys and service-specific credentials of users are not read: each needs a request a user."),
        ),
        BlindSpot(
            id="aws.root_password", text=N_("AWS does not tell whether the root user's password is switched on.")
        ),
    ),
    unavailable={
        "expires_at": "IAM access keys never expire",
        "promote": "IAM knows no current key: both keys work alike",
        "granted_by": "only CloudTrail knows who attached a policy",
    },
    evidence=Evidence.EMULATOR,
    imports=(
        N_("account authorization details, JSON: aws iam get-account-authorization-details"),
        N_("credential report, CSV: aws iam get-credential-report, decoded"),
    ),
    links=(
        "https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html",
    ),
    extra="aws",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """The settings of a connection, read once."""

    regions: tuple[str, ...]  # empty: the default region alone
    role_arn: str | None
    member_role: str | None
    key_ids: bool


def settings_of(connection: Connection) -> AwsSettings:
    """Raises ConfigError for a setting that is not known or cannot be used."""
    known = {setting.name for setting in MANIFEST.settings}
    for name in connection.settings:
        if name not in known:
            raise ConfigError(
                _("the AWS connector has no setting %(name)r") % {"name": name},
                advice=_("known: %(names)s") % {"names": ", ".join(sorted(known))},
            )
    role_arn = connection.settings.get("role_arn") or None
    if role_arn and (not role_arn.startswith("arn:") or ":role/" not in role_arn):
        raise ConfigError(
            _("role_arn %(role_arn)r is no ARN of a role") % {"role_arn": role_arn},
            advice=_("arn:aws:iam::123456789012:role/NAME"),
        )
    regions = (region.strip() for region in connection.settings.get("regions", "").split(","))
    return AwsSettings(
        regions=tuple(dict.fromkeys(region for region in regions if region)),
        role_arn=role_arn,
        member_role=connection.settings.get("member_role") or None,
        key_ids=connection.flag("key_ids", default=False),
    )
