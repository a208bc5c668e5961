"""What the GitHub connector is, needs and cannot see. Permissions have the names of GitHub's API."""

from __future__ import annotations

from wardship.sdk.connector import BlindSpot, Capability, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_

MANIFEST = Manifest(
    name="github",
    title="GitHub",
    systems=("github_organisation", "github_repository", "github_environment"),
    permissions={
        Capability.DISCOVER: (
            Permission(name="metadata:read", why=N_("the repositories")),
            Permission(
                name="organization_administration:read",
                why=N_("installed GitHub Apps, their permissions, and tokens and keys authorised for single sign-on"),
            ),
            Permission(name="administration:read", why=N_("deploy keys of the repositories"), optional=True),
            Permission(
                name="organization_personal_access_tokens:read",
                why=N_("fine-grained personal access tokens (an App only: GitHub shows them to no token)"),
                optional=True,
            ),
            Permission(
                name="organization_personal_access_token_requests:read",
                why=N_("fine-grained tokens that wait for approval"),
                optional=True,
            ),
            Permission(
                name="organization_secrets:read",
                why=N_("names and dates of the organisation's Actions secrets, never values"),
                optional=True,
            ),
            Permission(
                name="organization_dependabot_secrets:read",
                why=N_("names and dates of the organisation's Dependabot secrets"),
                optional=True,
            ),
            Permission(
                name="organization_codespaces_secrets:read",
                why=N_("names and dates of the organisation's Codespaces secrets"),
                optional=True,
            ),
            Permission(name="secrets:read", why=N_("names and dates of the repositories' secrets"), optional=True),
            Permission(name="environments:read", why=N_("secrets and variables of environments"), optional=True),
            Permission(
                name="actions:read",
                why=N_("environments and their protection, default rights of workflows, subjects of their tokens"),
                optional=True,
            ),
            Permission(
                name="organization_actions_variables:read",
                why=N_("the organisation's variables: some hold a secret"),
                optional=True,
            ),
            Permission(
                name="actions_variables:read", why=N_("the repositories' variables: some hold a secret"), optional=True
            ),
            Permission(name="organization_hooks:read", why=N_("webhooks of the organisation"), optional=True),
            Permission(name="repository_hooks:read", why=N_("webhooks of the repositories"), optional=True),
            Permission(name="organization_self_hosted_runners:read", why=N_("self-hosted runners"), optional=True),
            Permission(
                name="contents:read",
                why=N_("workflow files: which secrets and cloud roles a pipeline uses"),
                optional=True,
            ),
            Permission(
                name="secret_scanning_alerts:read",
                why=N_("open alerts of secret scanning, without the secrets"),
                optional=True,
            ),
            Permission(name="members:read", why=N_("who still belongs to the organisation"), optional=True),
        ),
        Capability.USAGE: (
            Permission(
                name="organization_personal_access_tokens:read",
                why=N_("last use of fine-grained tokens"),
            ),
            Permission(
                name="organization_administration:read",
                why=N_("last access of tokens and keys authorised for single sign-on (Enterprise Cloud)"),
            ),
            Permission(name="administration:read", why=N_("last use of deploy keys")),
        ),
    },
    settings=(
        Setting(name="organisation", help=N_("the organisation's login, as in github.com/LOGIN"), required=True),
        Setting(name="app_id", help=N_("id of the GitHub App that Wardship signs in as (better than a token)")),
        Setting(name="private_key", help=N_("private key of that App, in PEM"), secret=True),
        Setting(
            name="installation_id", help=N_("id of its installation; without it the App looks up the organisation's")
        ),
        Setting(name="token", help=N_("a token instead of an App; it sees less"), secret=True),
        Setting(
            name="api_url",
            help=N_("address of the API; for GitHub Enterprise Server https://HOST/api/v3"),
            default="https://api.github.com",
        ),
        Setting(name="repositories", help=N_("only repositories of these names, separated by commas; * is allowed")),
        Setting(name="exclude_repositories", help=N_("no repositories of these names, separated by commas")),
        Setting(name="read_workflows", help=N_("true: read the workflow files; false: do not"), default="true"),
        Setting(
            name="private_network",
            help=N_("true: the server stands in your own network, at a private address"),
            default="false",
        ),
    ),
    blind_spots=(
        BlindSpot(
            id="github.classic_tokens",
            text=N_(
                "Classic personal access tokens of members are seen only where SAML single sign-on authorised them;"
                " elsewhere GitHub lists none."
            ),
        ),
        BlindSpot(
            id="github.user_oauth_grants",
            text=N_(
                "OAuth apps that people authorised with their own account cannot be listed, but for tokens of single"
                " sign-on."
            ),
        ),
        BlindSpot(
            id="github.secret_use",
            text=N_(
                "GitHub does not keep when a CI secret was last used, nor who made it: only its name and two dates."
            ),
        ),
        BlindSpot(
            id="github.no_last_use",
            text=N_(
                "Where GitHub shows no last use of a fine-grained token or a deploy key it does not say that there was"
                " none: whether it was ever used is not known."
            ),
        ),
        BlindSpot(
            id="github.app_keys",
            text=N_("How many private keys a GitHub App has, how old they are and when it last acted is not told."),
        ),
        BlindSpot(
            id="github.selected_repositories",
            text=N_(
                "Which repositories another party's App may reach is not told where it was given selected ones only."
            ),
        ),
        BlindSpot(
            id="github.token_policy",
            text=N_(
                "Whether the organisation limits the lifetime of tokens or refuses classic ones is not in the API."
            ),
        ),
        BlindSpot(
            id="github.audit_log",
            text=N_(
                "The audit log, which knows who made a secret and where a token was used from, needs Enterprise Cloud"
                " and is not read."
            ),
        ),
        BlindSpot(
            id="github.repository_side_stores",
            text=N_("Dependabot and Codespaces secrets of single repositories and of people are not read."),
        ),
        BlindSpot(
            id="github.other_branches",
            text=N_("Workflow files are read from the default branch only; other branches may hold others."),
        ),
        BlindSpot(
            id="github.handed_on_secrets",
            text=N_(
                "Secrets that a workflow hands on as a whole (inherit) are not followed, nor are actions kept in the"
                " repository."
            ),
        ),
        BlindSpot(
            id="github.member_addresses",
            text=N_("GitHub seldom tells the e-mail address of a member: people are known by login."),
        ),
        BlindSpot(
            id="github.installed_selection",
            text=N_("An App that was installed on selected repositories sees these alone; the scan then says partial."),
        ),
    ),
    unavailable={
        "token_policy": N_("no API tells the lifetime that the organisation allows for tokens"),
        "secret.last_used_at": N_("GitHub does not keep it"),
        "secret.created_by": N_("only the audit log of Enterprise Cloud has it"),
        "personal_access_token.created_at": N_("GitHub tells when access was granted, not when the token was made"),
        "installation.last_used_at": N_("GitHub does not keep when an installed App last acted"),
        "webhook.last_used_at": N_("GitHub keeps deliveries for a few days only; they are not read"),
        "disable": N_("tokens and deploy keys can only be removed, not disabled; this connector changes nothing"),
        "rotate": N_("this connector changes nothing yet"),
    },
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("github",),
    links=(
        "https://docs.github.com/rest",
        "https://docs.github.com/rest/authentication/permissions-required-for-github-apps",
        "https://docs.github.com/rest/orgs/personal-access-tokens",
        "https://docs.github.com/actions/reference/security/oidc",
    ),
)
