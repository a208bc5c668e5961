"""Which fields of GitHub's objects are kept. The rest (addresses, counts, values) is dropped before anything is staged.

What a quarantine must not hold is not among them: values of variables, the last letters of tokens, addresses of
webhooks, the secret of an alert.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

ORGANISATION = (
    "login id name plan two_factor_requirement_enabled default_repository_permission "
    "members_can_create_public_repositories"
).split()
REPOSITORY = (
    "id full_name private visibility archived disabled fork default_branch pushed_at topics custom_properties"
).split()
INSTALLATION = ("id app_id app_slug client_id repository_selection permissions events created_at suspended_at").split()
APP = "name description owner external_url".split()
_FINE_GRAINED = (
    "id token_id token_name token_expired token_expires_at token_last_used_at repository_selection permissions owner"
).split()
TOKEN = [*_FINE_GRAINED, "access_granted_at"]
TOKEN_REQUEST = [*_FINE_GRAINED, "created_at", "reason"]
SIGN_ON = (
    "login credential_id credential_type credential_authorized_at credential_accessed_at scopes fingerprint "
    "authorized_credential_id authorized_credential_title authorized_credential_note "
    "authorized_credential_expires_at"
).split()
KEY = "id key title verified created_at read_only added_by last_used enabled".split()
HOOK = "id active events created_at updated_at".split()
RUNNER = "id name os status labels ephemeral runner_group_id version".split()
SECRET = "name created_at updated_at".split()  # of a repository or environment; of a variable too
SHARED = [*SECRET, "visibility"]  # of the organisation
ENVIRONMENT = "id name created_at updated_at protection_rules deployment_branch_policy".split()
ALERT = (
    "number created_at repository secret_type validity publicly_leaked push_protection_bypassed multi_repo "
    "first_location_detected"
).split()
USER = "login id name email type".split()


def only(raw: Any, names: Iterable[str]) -> Any:
    """The fields of an object that are understood; the rest (addresses, counts, values) is not kept."""
    return {name: raw[name] for name in names if name in raw} if isinstance(raw, dict) else raw


def webhook(raw: Any) -> Any:
    """A webhook without its address, of which only the host is kept: paths, queries and user names hold secrets."""
    if not isinstance(raw, dict):
        return {"hook": raw}
    found: dict[str, Any] = {"hook": only(raw, HOOK)}
    config = raw.get("config")
    if not isinstance(config, dict):
        return found  # whether it has a secret is not known then
    found["has_secret"] = bool(config.get("secret"))
    url = config.get("url")
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is not None:
        found |= {"host": parts.hostname, "scheme": parts.scheme}
    if "insecure_ssl" in config:
        found["insecure_ssl"] = str(config["insecure_ssl"]) == "1"
    found["content_type"] = config.get("content_type")
    return found
