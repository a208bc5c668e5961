"""What a simulated organisation answers: lists by the Link header with their totals, files, sign-in, refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wardship.sim import github_shapes as shapes
from wardship.sim.exchange import Answer, Call, Refuse
from wardship.sim.pages import LinkPages
from wardship.sim.tables import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wardship.sim.github import GitHubOrganisation

_TOKEN_LIFE = timedelta(hours=1)

# (template, permission, the field that holds the list; None: the list itself)
_LISTS = (
    ("/orgs/{org}/members", "members:read", None),
    ("/orgs/{org}/outside_collaborators", "members:read", None),
    ("/orgs/{org}/repos", "metadata:read", None),
    ("/orgs/{org}/installations", "organization_administration:read", "installations"),
    ("/orgs/{org}/personal-access-tokens/{pat_id}/repositories", "organization_personal_access_tokens:read", None),
    ("/orgs/{org}/personal-access-token-requests", "organization_personal_access_token_requests:read", None),
    ("/orgs/{org}/hooks", "organization_hooks:read", None),
    ("/orgs/{org}/actions/runners", "organization_self_hosted_runners:read", "runners"),
    ("/orgs/{org}/actions/secrets", "organization_secrets:read", "secrets"),
    ("/orgs/{org}/actions/secrets/{secret_name}/repositories", "organization_secrets:read", "repositories"),
    ("/orgs/{org}/dependabot/secrets", "organization_dependabot_secrets:read", "secrets"),
    ("/orgs/{org}/codespaces/secrets", "organization_codespaces_secrets:read", "secrets"),
    ("/repos/{owner}/{repo}/keys", "administration:read", None),
    ("/repos/{owner}/{repo}/hooks", "repository_hooks:read", None),
    ("/repos/{owner}/{repo}/actions/secrets", "secrets:read", "secrets"),
    ("/repos/{owner}/{repo}/environments", "actions:read", "environments"),
    ("/repos/{owner}/{repo}/environments/{environment_name}/secrets", "environments:read", "secrets"),
    ("/repos/{owner}/{repo}/commits", "contents:read", None),
)
_VARIABLES = (
    ("/orgs/{org}/actions/variables", "organization_actions_variables:read"),
    ("/repos/{owner}/{repo}/actions/variables", "actions_variables:read"),
    ("/repos/{owner}/{repo}/environments/{environment_name}/variables", "environments:read"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(LinkPages):
    """GitHub's pages: where the list stands in a field, its total stands beside it."""

    def answer(self, call: Call, rows: Sequence[Row], *, short: bool) -> Any:
        made = LinkPages.answer(self, call, rows, short=short)
        if self.field:
            made.body["total_count"] = len(rows)
        return made


def declare_routes(acme: GitHubOrganisation) -> None:
    """Declares all routes of the organisation on its simulator."""
    prefix = acme.prefix

    def rows(call: Call) -> list[Row]:
        _known_holder(acme, call)
        return acme.rows(call.url.path.removeprefix(prefix))

    for template, needs, field in _LISTS:
        acme.list(prefix + template, rows, scope=needs, paging=Counted(field=field))
    for template, needs in _VARIABLES:
        acme.list(prefix + template, rows, scope=needs, paging=Counted(field="variables", size=10, most=30))
    _sign_in(acme)
    _organisation(acme)
    _files(acme)


def _known_holder(acme: GitHubOrganisation, call: Call) -> Row | None:
    """The repository of the call, None for the organisation itself. Refuses what is not there."""
    if "org" in call.path:
        if call.path["org"].lower() != acme.login.lower():
            raise Refuse(404)
        return None
    found = acme.repository(f"{call.path['owner']}/{call.path['repo']}")
    if found is None:
        raise Refuse(404)
    return found


def _organisation(acme: GitHubOrganisation) -> None:
    prefix = acme.prefix

    @acme.on("GET", prefix + "/orgs/{org}")
    def organisation(call: Call) -> Any:
        _known_holder(acme, call)
        return acme.organisation

    @acme.on("GET", prefix + "/orgs/{org}/members/{username}", scope="members:read")
    def member(call: Call) -> Any:
        there = any(row["login"].lower() == call.path["username"].lower() for row in acme.rows("/orgs/{org}/members"))
        return Answer(204) if there else acme.refusal(404)

    @acme.on("GET", prefix + "/apps/{app_slug}")
    def app(call: Call) -> Any:
        if call.path["app_slug"] not in acme.apps:
            raise Refuse(404)
        return acme.apps[call.path["app_slug"]]

    @acme.on("GET", prefix + "/orgs/{org}/personal-access-tokens", scope="organization_personal_access_tokens:read")
    def tokens(call: Call) -> Any:
        wanted = call.query.get("token_id")
        found = acme.rows("/orgs/{org}/personal-access-tokens")
        kept = [row for row in found if wanted is None or str(row["token_id"]) == wanted]
        fault = acme.faults.shaping()
        return Counted().answer(call, [] if fault == "empty" else kept, short=fault == "short")

    @acme.on("GET", prefix + "/orgs/{org}/credential-authorizations", scope="organization_administration:read")
    def authorisations(call: Call) -> Any:
        if not acme.sign_on:
            raise Refuse(404)
        fault = acme.faults.shaping()
        found = [] if fault == "empty" else acme.rows("/orgs/{org}/credential-authorizations")
        return Counted().answer(call, found, short=fault == "short")

    @acme.on("GET", prefix + "/orgs/{org}/secret-scanning/alerts", scope="secret_scanning_alerts:read")
    def alerts(call: Call) -> Any:
        found = [dict(row) for row in acme.rows("/orgs/{org}/secret-scanning/alerts")]
        if call.query.get("hide_secret") == "true":
            for row in found:
                del row["secret"]
        fault = acme.faults.shaping()
        return Counted().answer(call, [] if fault == "empty" else found, short=fault == "short")

    for place, needs in (("/orgs/{org}", "organization_secrets:read"), ("/repos/{owner}/{repo}", "secrets:read")):

        @acme.on("GET", prefix + place + "/actions/secrets/{secret_name}", scope=needs)
        def secret(call: Call) -> Any:
            _known_holder(acme, call)
            listed = acme.rows(call.url.path.removeprefix(prefix).rpartition("/")[0])
            found = next((row for row in listed if row["name"] == call.path["secret_name"].upper()), None)
            return found or acme.refusal(404)


def _files(acme: GitHubOrganisation) -> None:
    base = acme.prefix + "/repos/{owner}/{repo}"
    folder = ".github/workflows"

    def files(call: Call) -> dict[str, str]:
        found = _known_holder(acme, call)
        return acme.files.get(str(found and found["full_name"]).lower(), {})

    def full_name(call: Call) -> str:
        return f"{call.path['owner']}/{call.path['repo']}"

    @acme.on("GET", f"{base}/contents/{folder}", scope="contents:read")
    def listing(call: Call) -> Any:
        found = files(call)
        if not found:
            raise Refuse(404)
        return [shapes.content(path, full_name(call), text, whole=False) for path, text in sorted(found.items())]

    @acme.on("GET", f"{base}/contents/{folder}/{{name}}", scope="contents:read")
    def file(call: Call) -> Any:
        path = f"{folder}/{call.path['name']}"
        found = files(call)
        if path not in found:
            raise Refuse(404)
        return shapes.content(path, full_name(call), found[path], whole=True)

    @acme.on("GET", f"{base}/actions/oidc/customization/sub", scope="actions:read")
    def subject(call: Call) -> Any:
        _known_holder(acme, call)
        return acme.subjects.get(full_name(call).lower(), {"use_default": True})

    @acme.on("GET", f"{base}/actions/permissions/workflow", scope="actions:read")
    def default_rights(call: Call) -> Any:
        _known_holder(acme, call)
        return {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}


# ------------------------------------------------------------------ signing in as the App


def _sign_in(acme: GitHubOrganisation) -> None:
    from wardship.sim.github import APP_ID, INSTALLATION_ID

    prefix = acme.prefix

    @acme.on("GET", prefix + "/app/installations", public=True)
    def installations(call: Call) -> Any:
        _app_signed(call, APP_ID)
        at = "2026-01-01T00:00:00Z"
        # GitHub's description wants the fields of a user and of an enterprise together here.
        more = {"name": acme.login, "slug": acme.login, "created_at": at, "updated_at": at}
        account = shapes.user(acme.login, 1, kind="Organization", **more)
        found = {
            "id": INSTALLATION_ID,
            "account": account,
            "app_id": APP_ID,
            "app_slug": "wardship",
            "target_id": 1,
            "target_type": "Organization",
            "repository_selection": acme.selection,
            "permissions": {"metadata": "read"},
            "events": [],
            "single_file_name": None,
            "access_tokens_url": f"{shapes.API}/app/installations/{INSTALLATION_ID}/access_tokens",
            "repositories_url": f"{shapes.API}/installation/repositories",
            "html_url": "https://github.com/apps/wardship",
            "created_at": at,
            "updated_at": at,
            "suspended_at": None,
            "suspended_by": None,
        }
        return Counted().answer(call, [found], short=False)

    @acme.on("POST", prefix + "/app/installations/{installation_id}/access_tokens", public=True)
    def mint(call: Call) -> Any:
        _app_signed(call, APP_ID)
        if call.path["installation_id"] != str(INSTALLATION_ID):
            raise Refuse(404)
        ends = call.now + _TOKEN_LIFE
        value = f"simulated-{int(ends.timestamp() * 1000)}"
        acme.grant(value, *acme.permissions, client="wardship", life_s=_TOKEN_LIFE.total_seconds())
        body = {"token": value, "expires_at": shapes.z(ends), "permissions": {"metadata": "read"}}
        return Answer(201, body | {"repository_selection": acme.selection})


def _app_signed(call: Call, app_id: int) -> None:
    """Refuses a call whose token the App's key did not sign just now (RS256, ten minutes at most)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    from wardship.sim.github import app_key

    token = call.headers.get("authorization", "").removeprefix("Bearer ")
    signed, _dot, signature = token.rpartition(".")
    try:
        app_key().public_key().verify(_unb64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims: Mapping[str, Any] = json.loads(_unb64(signed.split(".")[1]))
    except (InvalidSignature, ValueError, IndexError):
        raise Refuse(401) from None
    now = call.now.timestamp()
    if str(claims.get("iss")) != str(app_id) or not claims["iat"] <= now < claims["exp"] <= claims["iat"] + 600:
        raise Refuse(401)


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
