"""What GitHub's permissions and scopes can do, as tiers.

Source: GitHub's descriptions of App permissions and OAuth scopes, 2026-11; judged by us. Control plane is what changes
who may do what, or becomes somebody else: it approves tokens, replaces the secrets of pipelines or changes the pipeline
that reads them, registers a runner that jobs come to, adds people or their keys.
"""

from __future__ import annotations

from wardship.model.access import Tier

# App and fine-grained permissions that are control plane when they may write.
_CONTROL = frozenset(
    """
    administration environments secrets workflows
    members organization_administration organization_custom_org_roles organization_custom_roles
    organization_personal_access_token_requests organization_personal_access_tokens
    organization_secrets organization_self_hosted_runners
    enterprise_administration enterprise_organization_installation_repositories enterprise_organization_installations
    git_ssh_keys
    """.split()
)
# ... and those that show, when they may read, what people wrote, code, logs or what weakens it.
_SENSITIVE = frozenset(
    """
    actions code_quality codespaces contents dependabot_secrets discussions issues packages pull_requests
    repository_advisories repository_hooks secret_scanning_alerts security_events single_file vulnerability_alerts
    email_addresses organization_events organization_hooks organization_packages team_discussions
    """.split()
)
_PLAIN = frozenset(
    """
    actions_variables artifact_metadata attestations checks custom_properties_for_organizations deployments
    enterprise_custom_properties_for_organizations followers gpg_keys interaction_limits merge_queues metadata
    organization_actions_variables organization_announcement_banners organization_codespaces_secrets
    organization_copilot_agent_settings organization_copilot_seat_management organization_custom_properties
    organization_dependabot_secrets organization_plan organization_projects organization_user_blocking pages profile
    repository_custom_properties repository_projects starring statuses
    """.split()
)
_LEVELS = frozenset({"read", "write", "admin"})

# OAuth scopes of classic tokens. `repo` reaches collaborators, deploy keys, webhooks and the secrets of pipelines.
_SCOPES: dict[str, Tier] = {
    **dict.fromkeys(
        "repo repo:invite workflow admin:org write:org admin:enterprise manage_runners:org manage_runners:enterprise "
        "admin:public_key write:public_key scim:enterprise site_admin".split(),
        Tier.CONTROL_PLANE,
    ),
    **dict.fromkeys(
        "public_repo repo:status repo_deployment security_events delete_repo admin:repo_hook write:repo_hook "
        "admin:org_hook gist notifications user user:follow project write:packages delete:packages admin:gpg_key "
        "write:gpg_key admin:ssh_signing_key write:ssh_signing_key codespace codespace:secrets copilot "
        "manage_billing:copilot manage_billing:enterprise write:discussion write:network_configurations".split(),
        Tier.WRITE,
    ),
    **dict.fromkeys(
        "read:packages read:repo_hook read:discussion read:audit_log audit_log user:email".split(),
        Tier.SENSITIVE_READ,
    ),
    **dict.fromkeys(
        "read:org read:user read:enterprise read:public_key read:gpg_key read:ssh_signing_key read:project "
        "read:network_configurations".split(),
        Tier.READ,
    ),
}


def permission_tier(name: str, level: str) -> Tier:
    """How much an App or fine-grained token can do with `name` ("contents") at `level` ("read", "write", "admin").

    A permission that is not known here and may write is WRITE, for it is that at least; one that may read is UNKNOWN.
    """
    if level in ("write", "admin"):
        return Tier.CONTROL_PLANE if name in _CONTROL else Tier.WRITE
    if level == "read" and known_permission(name, level):
        return Tier.SENSITIVE_READ if name in _SENSITIVE else Tier.READ
    return Tier.UNKNOWN


def known_permission(name: str, level: str) -> bool:
    return level in _LEVELS and name in _CONTROL | _SENSITIVE | _PLAIN


def scope_tier(scope: str) -> Tier | None:
    """How much a classic token can do with this OAuth scope; None: we do not know the scope."""
    return _SCOPES.get(scope)
