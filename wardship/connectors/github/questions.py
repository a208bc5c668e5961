"""Single questions to an organisation: whether one thing is still there, and what our own credential may read."""

from __future__ import annotations

from collections.abc import Sequence

from wardship.connectors.github.manifest import MANIFEST
from wardship.connectors.github.place import NAME
from wardship.connectors.github.repositories import Repository, repository_of
from wardship.model.errors import MissingScope, NotVisible, UnexpectedResponse
from wardship.sdk.connector import Capability, CheckResult
from wardship.sdk.http import Http
from wardship.sdk.i18n import _
from wardship.sdk.paging import HeaderLink


def confirm(api: Http, org: str, kind: str, family: str, native_id: str) -> bool | None:
    """As `Connector.confirm`, for the scope of this kind; `org` is the organisation's path."""
    word, _colon, rest = native_id.partition(":")
    if family == "credential" and word == "actions-secret":
        return _confirm_secret(api, org, rest)
    if family not in ("identity", "credential"):
        return None
    if native_id.startswith("pat/") and native_id[4:].isdecimal():
        needs = "organization_personal_access_tokens:read"
        return _listed(api, f"{org}/personal-access-tokens", needs, token_id=native_id[4:])
    if word == "deploy-key" and kind == "github.deploy_key":
        return _confirm_in_repository(api, rest, "keys", "administration:read")
    if word == "webhook" and kind == "github.repository_webhook":
        return _confirm_in_repository(api, rest, "hooks", "repository_hooks:read")
    return None  # GitHub has no address of its own for it


def _listed(api: Http, path: str, needs: str, **wanted: str) -> bool:
    """Whether the list has an object with this field. It is looked for even where GitHub takes the field as a filter:
    a server that does not know the filter answers with everything."""
    [(name, value)] = wanted.items()
    query = {"per_page": 100, **(wanted if name != "id" else {})}
    pages = api.follow(path, query, paging=HeaderLink(), needs=needs)
    return any(isinstance(raw, dict) and str(raw.get(name)) == value for page in pages for raw in page.items)


def _confirm_in_repository(api: Http, rest: str, what: str, needs: str) -> bool | None:
    name, _slash, ident = rest.rpartition("/")
    repository = repository_of({"full_name": name})
    if repository is None:
        return None
    try:
        return _listed(api, f"{repository.path}/{what}", needs, id=ident)
    except NotVisible:
        return None  # the repository may be gone, or only hidden


def _confirm_secret(api: Http, org: str, rest: str) -> bool | None:
    place, _slash, name = rest.rpartition("/")
    if not NAME.fullmatch(name) or "/environments/" in place:
        return None  # a single secret of an environment has no address
    if "/" not in place:
        return api.get_json(f"{org}/actions/secrets/{name}", missing_ok=True) is not None
    if repository_of({"full_name": place}) is None:
        return None
    secrets = f"/repos/{place}/actions/secrets"
    if api.get_json(f"{secrets}/{name}", missing_ok=True) is not None:
        return True
    # Gone only if the others can be listed: else the repository may be gone, or only hidden.
    return None if api.get_json(secrets, {"per_page": 1}, missing_ok=True) is None else False


def check(api: Http, org: str, some: Repository | None) -> Sequence[CheckResult]:
    """A line for each permission; `some` repository stands for all of them, None where there is none to try."""
    probes = {
        "metadata:read": f"{org}/repos",
        "organization_administration:read": f"{org}/installations",
        "organization_personal_access_tokens:read": f"{org}/personal-access-tokens",
        "organization_personal_access_token_requests:read": f"{org}/personal-access-token-requests",
        "organization_secrets:read": f"{org}/actions/secrets",
        "organization_dependabot_secrets:read": f"{org}/dependabot/secrets",
        "organization_codespaces_secrets:read": f"{org}/codespaces/secrets",
        "organization_actions_variables:read": f"{org}/actions/variables",
        "organization_hooks:read": f"{org}/hooks",
        "organization_self_hosted_runners:read": f"{org}/actions/runners",
        "secret_scanning_alerts:read": f"{org}/secret-scanning/alerts",
        "members:read": f"{org}/members",
    }
    if some is not None:
        probes |= {
            "administration:read": f"{some.path}/keys",
            "secrets:read": f"{some.path}/actions/secrets",
            "actions:read": f"{some.path}/environments",
            "actions_variables:read": f"{some.path}/actions/variables",
            "repository_hooks:read": f"{some.path}/hooks",
            "contents:read": f"{some.path}/commits",
        }
    return [
        _probe(api, permission.name, capability, probes.get(permission.name))
        for capability, permissions in MANIFEST.permissions.items()
        for permission in permissions
    ]


def _probe(api: Http, permission: str, capability: Capability, path: str | None) -> CheckResult:
    if path is None:
        detail = _("there is nothing to try it on")
        return CheckResult(permission=permission, capability=capability, allowed=None, detail=detail)
    params = {"per_page": 1, **({"hide_secret": "true"} if path.endswith("/alerts") else {})}
    try:
        api.get_json(path, params, needs=permission)
    except MissingScope as refused:
        return CheckResult(permission=permission, capability=capability, allowed=False, detail=refused.message)
    except (NotVisible, UnexpectedResponse) as unclear:
        # 404 hides what may not be seen, and a feature that is off answers the same; an empty repository has 409.
        return CheckResult(permission=permission, capability=capability, allowed=None, detail=unclear.message)
    return CheckResult(permission=permission, capability=capability, allowed=True)
