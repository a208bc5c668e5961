"""What the Vault connector is, needs and cannot see."""

from __future__ import annotations

from wardship.sdk.connector import BlindSpot, Capability, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_

MANIFEST = Manifest(
    name="vault",
    title="HashiCorp Vault / OpenBao",
    systems=("vault",),
    permissions={
        Capability.DISCOVER: (
            Permission(name="read on sys/mounts", why=N_("which secret engines there are")),
            Permission(name="read on sys/auth", why=N_("which auth methods there are")),
            Permission(
                name="list, read on sys/policies/acl/*", why=N_("what the policies allow: without it no right is known")
            ),
            Permission(
                name="list, read on auth/+/role/*",
                why=N_("AppRoles, and the roles of Kubernetes and JWT logins with what they demand"),
            ),
            Permission(
                name="list, update on auth/+/role/+/secret-id",
                why=N_("secret-ids by their accessor: when made, until when, from where; never their value"),
            ),
            Permission(
                name="list, sudo on auth/token/accessors", why=N_("which tokens there are; Vault demands sudo for it")
            ),
            Permission(
                name="update on auth/token/lookup-accessor", why=N_("whose a token is, what it may do, until when")
            ),
            Permission(
                name="list, read on identity/entity/id/*",
                why=N_("entities, their logins, and the owner that their metadata names"),
            ),
            Permission(name="list, read on identity/group/id/*", why=N_("policies that entities have through a group")),
            Permission(
                name="list, read on +/metadata/*",
                why=N_("entries of key/value engines: names, dates, versions and custom metadata, never a value"),
            ),
            Permission(
                name="list, read on auth/+/users/*, auth/+/certs/*, auth/token/roles/*, auth/+/config",
                why=N_("users, certificate roles and token roles, and which issuer a login trusts"),
                optional=True,
            ),
            Permission(
                name="list, read on +/static-roles/*, +/roles/*, +/config/*",
                why=N_("database accounts that Vault rotates or makes, and when it last did"),
                optional=True,
            ),
            Permission(
                name="list, read on +/certs, +/cert/*", why=N_("issued certificates and their end"), optional=True
            ),
            Permission(name="read, sudo on sys/audit", why=N_("whether anything is audited at all"), optional=True),
            Permission(
                name="list on sys/namespaces", why=N_("child namespaces, where the product has them"), optional=True
            ),
            Permission(
                name="read on +/data/*",
                why=N_("only with fingerprints=true: reads values to tell which secret of the code lies here"),
                optional=True,
            ),
        ),
    },
    settings=(
        Setting(name="url", help=N_("the server's address, https://host:port (VAULT_ADDR)"), required=True),
        Setting(name="namespace", help=N_("namespace to begin in; its children are read too")),
        Setting(name="role_id", help=N_("role id of the AppRole that Wardship logs in with")),
        Setting(name="secret_id", help=N_("its secret id, as a reference"), secret=True),
        Setting(name="role", help=N_("role of a Kubernetes or JWT login, instead of an AppRole")),
        Setting(name="jwt", help=N_("the token for that login, as file:/path"), secret=True),
        Setting(name="auth_mount", help=N_("where the auth method is mounted, if not at its usual place")),
        Setting(name="token", help=N_("a token instead of a login, for a single run"), secret=True),
        Setting(
            name="private_network",
            help=N_("true: the server may be at a private address (then also over plain http)"),
            default="false",
        ),
        Setting(
            name="fingerprints",
            help=N_("true: read the values of key/value entries and keep their keyed fingerprints only"),
            default="false",
        ),
        Setting(
            name="kv_metadata",
            help=N_("false: only the names of key/value entries, one call a folder instead of one an entry"),
            default="true",
        ),
        Setting(
            name="pki_limit",
            help=N_("the most certificates read of one PKI engine; more are reported as not read"),
            default="10000",
        ),
        Setting(
            name="token_limit",
            help=N_("the most tokens read of one namespace; more are reported as not read"),
            default="50000",
        ),
    ),
    blind_spots=(
        BlindSpot(
            id="vault.values_not_read",
            text=N_("Without fingerprints=true no value is read: a secret in code cannot be matched with its entry."),
        ),
        BlindSpot(
            id="vault.no_last_use",
            text=N_("Vault keeps no last use of tokens, secret-ids or entries; only its audit log tells."),
        ),
        BlindSpot(
            id="vault.kv1_has_no_dates",
            text=N_("Version 1 key/value engines keep no dates, versions or metadata: only names are known."),
        ),
        BlindSpot(
            id="vault.batch_tokens",
            text=N_("Batch tokens have no accessor and are stored nowhere: they cannot be listed or revoked."),
        ),
        BlindSpot(
            id="vault.certificates_not_stored",
            text=N_("Certificates of PKI roles with no_store are not kept by the engine and cannot be seen."),
        ),
        BlindSpot(
            id="vault.other_methods",
            text=N_(
                "Logins other than AppRole, token, userpass, JWT/OIDC, Kubernetes, certificate and AWS are named, and"
                " their roles are not read."
            ),
        ),
        BlindSpot(
            id="vault.other_engines",
            text=N_("Engines other than key/value, database and PKI are named, and what they hold is not read."),
        ),
        BlindSpot(
            id="vault.tokens_of_another_server",
            text=N_("A found token does not say whose it is: refused here, it may still open another vault."),
        ),
        BlindSpot(
            id="vault.proved_on_openbao",
            text=N_(
                "Tried on a real OpenBao 2.7; HashiCorp Vault is held to its published description (1.15) only, and"
                " Vault Enterprise to nothing."
            ),
        ),
    ),
    unavailable={
        "last_used_at": N_("not kept by Vault; the audit log has it"),
        "token.created_by": N_("Vault does not keep who made a token"),
        "role.created_at": N_("Vault does not keep when a role was made"),
        "kv1.created_at": N_("version 1 key/value engines keep no dates"),
    },
    evidence=Evidence.REAL_PRODUCT,
    contracts=("vault", "openbao"),
    links=(
        "https://developer.hashicorp.com/vault/api-docs",
        "https://openbao.org/api-docs/",
        "https://developer.hashicorp.com/vault/docs/concepts/policies",
    ),
)
