"""What the Entra connector is, needs and cannot see."""

from __future__ import annotations

from wardship.sdk.connector import BlindSpot, Capability, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_

MANIFEST = Manifest(
    name="entra",
    title="Microsoft Entra ID / Microsoft 365",
    systems=("entra_tenant",),
    permissions={
        Capability.DISCOVER: (
            Permission(
                name="Application.Read.All",
                why=N_("applications, service principals, their credentials, owners and application permissions"),
            ),
            Permission(
                name="DelegatedPermissionGrant.Read.All",
                why=N_("delegated consents: what applications may do in a person's name"),
            ),
            Permission(
                name="User.Read.All",
                why=N_("whether an owner or approver still works here"),
                optional=True,
            ),
            Permission(
                name="RoleManagement.Read.Directory",
                why=N_("directory roles that applications hold"),
                optional=True,
            ),
            Permission(
                name="AgentIdentity.Read.All",
                why=N_("AI agents, their blueprints and their sponsors"),
                optional=True,
            ),
            Permission(
                name="AuditLog.Read.All",
                why=N_("who consented, and when (as far back as the tenant keeps its log)"),
                optional=True,
            ),
            Permission(
                name="Organization.Read.All",
                why=N_("the tenant's name and domains"),
                optional=True,
            ),
            Permission(
                name="Policy.Read.All",
                why=N_("who may consent, and how long a secret may live"),
                optional=True,
            ),
        ),
        Capability.USAGE: (
            Permission(
                name="AuditLog.Read.All",
                why=N_("last sign-in of every service principal and last use of every credential (Entra ID P1)"),
            ),
        ),
        Capability.IMPORT: (),
        Capability.ROTATE: (
            Permission(
                name="Application.ReadWrite.OwnedBy",
                why=N_(
                    "add client secrets to the applications that Wardship's own service principal was made owner of"
                ),
            ),
            Permission(
                name="AuditLog.Read.All",
                why=N_("whether the old secret is still used; without it the grace period alone decides"),
                optional=True,
            ),
        ),
        Capability.DELETE: (
            Permission(
                name="Application.ReadWrite.OwnedBy",
                why=N_("remove client secrets of those same applications"),
            ),
        ),
    },
    settings=(
        Setting(name="tenant_id", help=N_("the tenant's id (a GUID, not a domain)"), required=True),
        Setting(name="client_id", help=N_("application (client) id of the registration that Wardship signs in as")),
        Setting(
            name="certificate",
            help=N_("its certificate and private key in one PEM text (better than a secret)"),
            secret=True,
        ),
        Setting(name="client_secret", help=N_("its client secret, where there is no certificate"), secret=True),
        Setting(
            name="access_token",
            help=N_("an access token for Microsoft Graph instead of either, for a single run"),
            secret=True,
        ),
        Setting(name="cloud", help=N_("global, gcc, usgov, usgov-dod or china"), default="global"),
        Setting(
            name="people",
            help=N_(
                "all: read every person, so that owners named elsewhere resolve; referenced: only those named here"
            ),
            default="all",
        ),
    ),
    blind_spots=(
        BlindSpot(
            id="entra.sign_in_without_p1",
            text=N_("Without Entra ID P1 no use of any application is visible: it is unknown, not absent."),
        ),
        BlindSpot(
            id="entra.use_is_beta",
            text=N_(
                "Last use comes from beta reports; an application or secret that is not in them is unknown, not unused."
            ),
        ),
        BlindSpot(
            id="entra.secret_creator",
            text=N_(
                "Entra does not keep who created a secret or certificate, nor when: the start of validity is shown."
            ),
        ),
        BlindSpot(
            id="entra.consent_history",
            text=N_("Consents older than the audit log (30 days, 7 without a licence) have no known approver or date."),
        ),
        BlindSpot(
            id="entra.managed_identity_keys",
            text=N_(
                "Microsoft holds and rotates the keys of managed identities; which workload uses one is seen in Azure."
            ),
        ),
        BlindSpot(
            id="entra.roles_through_groups",
            text=N_("Directory roles that a service principal holds through a group, or could activate, are not read."),
        ),
        BlindSpot(
            id="entra.other_role_systems",
            text=N_("Roles inside Azure, Exchange, SharePoint sites or Power Platform are not in Microsoft Graph."),
        ),
        BlindSpot(
            id="entra.foreign_application",
            text=N_("The secrets of a supplier's application lie in the supplier's tenant and cannot be seen here."),
        ),
    ),
    unavailable={
        "created_by": N_("Microsoft Graph does not keep who made a credential"),
        "service_principal.created_at": N_("not offered for service principals in Microsoft Graph v1.0"),
        "disable": N_("one secret cannot be disabled; only its removal, or stopping the whole application, ends it"),
        "enable": N_("a removed secret cannot come back: its value is not kept"),
        "promote": N_("the directory has no notion of the secret in use; both are valid until one is removed"),
    },
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("graph", "graph-beta"),
    imports=(
        N_(
            'Microsoft Graph answers saved as JSON ({"value": [...]} or a plain list): applications, servicePrincipals,'
            " oauth2PermissionGrants, appRoleAssignments, roleAssignments, roleDefinitions, users, directoryAudits,"
            " organization and the two sign-in activity reports"
        ),
    ),
    links=(
        "https://learn.microsoft.com/graph/api/resources/serviceprincipal",
        "https://learn.microsoft.com/graph/api/resources/application",
        "https://learn.microsoft.com/graph/permissions-reference",
    ),
)
