"""GitHub's audit log of an organisation or enterprise: what people, Apps and tokens changed, and with streaming what
they cloned and called. Alerts of secret scanning and Dependabot are read too, as events of their kind.

One raw record is an event as the API gives it, as streaming writes it, or as the web page exports it; they differ in
the name and form of the time. Actors are logins under the organisation's authority, as in the inventory
(docs/adr/0017); the credential is named by the id of the token, or by GitHub's hash of it (docs/adr/0030).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Connection, Drift, Evidence, Permission
from wardship.sdk.i18n import N_
from wardship.sdk.source import LiveLog, LogPart, SourceManifest
from wardship.sources._record import (
    at,
    child,
    children,
    compact,
    flag,
    host_of,
    identifier,
    instant,
    number,
    text,
    texts,
    words_of,
)

MANIFEST = SourceManifest(
    name="github.audit",
    title="GitHub audit log",
    forms=(
        N_("events of the REST API or of the web page's export, as JSON or JSON lines"),
        N_("files of audit log streaming (S3, Azure Blob Storage, Google Cloud Storage), gzip or not"),
        N_("alerts of secret scanning and Dependabot, as the REST and GraphQL APIs give them"),
    ),
    connector="github",
    permissions=(
        Permission(
            name="read:audit_log",
            why=N_("a token with it, or an App with organization administration (read), lists the events"),
        ),
    ),
    retention_days=180,  # Git events seven days
    logs_reads=None,
    parts=(
        LogPart(name="git", events="operation LIKE 'git.%'"),
        LogPart(name="api", events="operation LIKE 'api.%'", live=False),
        LogPart(name="web", events="TRUE"),
    ),
    blind_spots=(
        BlindSpot(
            id="github.api_requests_need_enterprise",
            text=N_("API requests and clones are logged only for GitHub Enterprise, requests only by streaming."),
        ),
        BlindSpot(
            id="github.addresses_off",
            text=N_("Source addresses are in the log only where the organisation switched them on."),
        ),
        BlindSpot(
            id="github.installation_not_in_event",
            text=N_("An App acts under its bot's name; which of its installations it was, the log does not say."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("github",),
    links=(
        "https://docs.github.com/en/organizations/keeping-your-organization-secure/managing-security-settings-for-your-organization/audit-log-events-for-your-organization",
        "https://docs.github.com/en/enterprise-cloud@latest/rest/orgs/orgs#get-the-audit-log-for-an-organization",
    ),
)

_TIMES = ("@timestamp", "at_sign_timestamp", "created_at")
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\[\]-]{0,99}")
# The words of GitHub for how a program signed in, in lower case -> (type, is it an application?)
_ACCESS = {
    "personal access token (classic)": (CredentialType.TOKEN, False),
    "personal access token": (CredentialType.TOKEN, False),
    "fine-grained personal access token": (CredentialType.TOKEN, False),
    "oauth access token": (CredentialType.TOKEN, False),
    "github app user-to-server token": (CredentialType.TOKEN, False),
    "github app server-to-server token": (CredentialType.TOKEN, True),
    "oauth token": (CredentialType.TOKEN, False),
    "github app": (CredentialType.TOKEN, True),
    "deploy key": (CredentialType.SSH_KEY, False),
    "ssh key": (CredentialType.SSH_KEY, False),
}
_READS = ("git.clone", "git.fetch", "repo.download_zip", "org.audit_log_export", "org.audit_log_git_event_export")
_FAILED = re.compile(r"(?:^|[._])(?:fail|failed|failure|denied|rejected|blocked)$")
_CLASSES = (
    ("user.login", ActivityClass.AUTHENTICATION),
    ("user.failed_login", ActivityClass.AUTHENTICATION),
    ("org.sso_response", ActivityClass.AUTHENTICATION),
    ("business.sso_response", ActivityClass.AUTHENTICATION),
    ("org_credential_authorization", ActivityClass.AUTHORIZE_SESSION),
    ("personal_access_token", ActivityClass.ACCOUNT_CHANGE),
    ("oauth_access", ActivityClass.AUTHORIZE_SESSION),
    ("oauth_authorization", ActivityClass.AUTHORIZE_SESSION),
    ("public_key", ActivityClass.ACCOUNT_CHANGE),
    ("two_factor", ActivityClass.ACCOUNT_CHANGE),
    ("integration", ActivityClass.APPLICATION_LIFECYCLE),
    ("oauth_application", ActivityClass.APPLICATION_LIFECYCLE),
    ("team", ActivityClass.GROUP_MANAGEMENT),
    ("org.update_member", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("org.add_member", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("org.remove_member", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("repo.add_member", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("repo.update_member", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("role", ActivityClass.USER_ACCESS_MANAGEMENT),
    ("git.", ActivityClass.FILE_HOSTING_ACTIVITY),
)
_KEPT = (  # fields that detections ask for, as GitHub names them; none can hold a secret
    "visibility previous_visibility permission old_permission new_permission old_repo_permission "
    "new_repo_permission operation_type programmatic_access_type integration name slug repository_selection "
    "team user invitee branch old_name key read_only title fingerprint environment_name ecosystem "
    "oauth_application_name role hook_id transport_protocol_name visibility_policy event trigger_id "
    "workflow_run_id conclusion head_branch is_hosted_runner runner_group_name external_identity_nameid reason "
    "request_method route rate_limit_remaining forced enforcement_level admin_enforced ruleset_name "
    "ruleset_enforcement number token_scopes user_programmatic_access_name public_repo "
).split()


def live(connection: Connection) -> LiveLog:
    """Reads the log of the connection. Raises ConfigError; nothing is asked of the network yet."""
    from wardship.sources._saas_live import GitHubLog

    return GitHubLog(connection)


def claims(record: dict[str, Any]) -> bool:
    """An event has an action, a time and an owner or an actor; an alert its own fields."""
    if _alert_kind(record):
        return True
    action = record.get("action")
    if not isinstance(action, str) or not any(name in record for name in _TIMES):
        return False
    return any(name in record for name in ("org", "business", "repo", "_document_id", "actor_location")) or (
        isinstance(record.get("actor"), str) and "." in action
    )


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One event, or an alert as it stands. Raises DataError for an event without an action or a time."""
    kind = _alert_kind(record)
    if kind:
        yield _alert(kind, record)
        return
    action = text(record, "action")
    if action is None:
        raise DataError("github: an event without an action")
    organisation = text(record, "org") or next(iter(texts(record, "org")), None)
    repository = _repository(record)
    owner = organisation or (repository.partition("/")[0] if repository else None) or text(record, "business")
    actor = _actor(record, owner.lower() if owner else None, drift)
    target, target_kind = _target(record, repository)
    agent = text(record, "user_agent", "actor_user_agent")
    code = number(record, "status_code")
    yield Activity(
        time=instant(record, *_TIMES),
        uid=identifier(record, "_document_id"),
        class_uid=next((found for start, found in _CLASSES if action.startswith(start)), ActivityClass.API_ACTIVITY),
        **actor,
        **_credential(record),
        session=text(record, "request_id"),
        service="github",
        operation=action,
        mutating=_mutating(action, record),
        interactive=None,
        resource_type=target_kind,
        resource_id=target,
        resource_name=target,
        account=owner.lower() if owner else None,
        src_ip=text(record, "actor_ip"),
        user_agent=agent,
        outcome=_outcome(action, code),
        outcome_code=str(code) if code else None,
        detail=compact(_detail(record, repository)),
    )


# ------------------------------------------------------------------ who


def _actor(record: dict[str, Any], owner: str | None, drift: Drift) -> dict[str, Any]:
    login = text(record, "actor", "actor.login") or text(record, "data.actor")
    said = _access(record)
    if said and said not in _ACCESS:
        drift.unknown_value("github.programmatic_access_type", said)
    if login is None:
        return {}
    if not _LOGIN.fullmatch(login) or owner is None:
        return {"actor_name": login}
    kind = ActorKind.USER
    if login.endswith("[bot]") or flag(record, "actor_is_bot") or _ACCESS.get(said, (None, False))[1]:
        kind = ActorKind.APPLICATION
    elif login.lower() in ("github", "github-system", "ghost", "web-flow"):
        kind = ActorKind.PROVIDER_SERVICE
    elif login.lower().startswith("deploy_key"):
        kind = ActorKind.UNKNOWN
    return {
        "actor_authority": f"github:{owner}",
        "actor_id": login.lower(),
        "actor_name": login,
        "actor_kind": kind,
        "on_behalf_of": text(record, "external_identity_username"),
    }


def _access(record: dict[str, Any]) -> str:
    """How a program signed in, in one spelling: "fine-grained personal access token"; "": GitHub does not say."""
    return (text(record, "programmatic_access_type") or "").lower().replace("_", " ")


def _credential(record: dict[str, Any]) -> dict[str, Any]:
    """The id of the token as the inventory has it ("pat/12345"), else GitHub's hash of it ("sha256:...")."""
    said = _access(record)
    type_ = _ACCESS.get(said, (None, False))[0]
    token, hashed = text(record, "token_id"), text(record, "hashed_token")
    fingerprint = text(record, "key_fingerprint", "public_key_fingerprint")
    ident = None
    if said.startswith("fine-grained") and token:
        ident = f"pat/{token}"
    elif token or hashed:
        ident = token or f"sha256:{hashed}"
    elif fingerprint:
        ident, type_ = fingerprint, CredentialType.SSH_KEY
    if ident and type_ is None:
        type_ = CredentialType.TOKEN
    return {"credential_id": ident, "credential_type": type_.value if type_ else None}


# ------------------------------------------------------------------ what


def _repository(record: dict[str, Any]) -> str | None:
    found = text(record, "repo", "repository", "data.repo") or next(iter(texts(record, "repo")), None)
    return found.lower() if found and "/" in found else None


def _target(record: dict[str, Any], repository: str | None) -> tuple[str | None, str | None]:
    """What was acted upon and its kind: the repository, else the team, the person, the App, the organisation."""
    if repository:
        return repository, "repository"
    for name, kind in (("team", "team"), ("user", "user"), ("integration", "app"), ("name", "name")):
        if found := text(record, name):
            return found, kind
    found = text(record, "org", "business")
    return (found.lower(), "organisation") if found else (None, None)


def _mutating(action: str, record: dict[str, Any]) -> bool | None:
    if action in _READS or text(record, "operation_type") in ("access", "authentication"):
        return False
    if action.startswith("api."):
        method = (text(record, "request_method") or "").upper()
        return None if not method else method not in ("GET", "HEAD", "OPTIONS")
    return not action.endswith((".view", ".login", ".failed_login"))


def _outcome(action: str, code: int | None) -> Outcome:
    """A status where the event is of a request; else the log holds what was done, and failures say so in their name."""
    if code:
        return Outcome.FAILURE if code >= 400 else Outcome.SUCCESS
    return Outcome.FAILURE if _FAILED.search(action) or "failed_login" in action else Outcome.SUCCESS


def _detail(record: dict[str, Any], repository: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {name: _small_value(record[name]) for name in _KEPT if name in record}
    told |= {
        "country": text(record, "actor_location.country_code"),
        "repository": repository,
        "public": True if text(record, "visibility") == "public" else None,
        "hook_host": host_of(text(record, "config.url", "hook_url", "config_url")),
        "hook_insecure": text(record, "config.insecure_ssl") == "1" or None,
        "events": texts(record, "events"),
        "permissions": sorted(f"{name}:{level}" for name, level in child(record, "permissions").items())[:20],
        "permissions_added": sorted(child(record, "permissions_added") or texts(record, "permissions_added"))[:20],
        "scopes": texts(record, "oauth_scopes") or texts(record, "scopes"),
        "repositories_added": texts(record, "repositories_added_names") or texts(record, "repositories_added"),
        "bypass_actors": [
            found for one in children(record, "ruleset_bypass_actors") if (found := text(one, "actor_type"))
        ],
        "overridden": texts(record, "overridden_codes"),
    }
    return told


def _small_value(value: Any) -> Any:
    """A text, cut, or a number or flag as it is; lists and objects have fields of their own."""
    if isinstance(value, str):
        return words_of(value[:200])
    return value if isinstance(value, bool | int) and abs(value) < 2**63 else None


# ------------------------------------------------------------------ alerts


def _alert_kind(record: dict[str, Any]) -> str | None:
    if "secret_type" in record and "state" in record:
        return "secret_scanning"
    if "dependabotUpdate" in record or "securityVulnerability" in record or "security_vulnerability" in record:
        return "dependabot"
    return None


def _alert(kind: str, record: dict[str, Any]) -> Activity:
    """An alert as it stands: its last change is the event, by whom it was resolved or dismissed."""
    url = text(record, "html_url", "repository.url", "repository.html_url") or ""
    found = re.search(r"https?://[^/]{1,255}/([A-Za-z0-9_-]{1,100}/[A-Za-z0-9_.-]{1,100})(?:/|$)", url)
    repository = found[1].lower() if found else None
    owner = repository.partition("/")[0] if repository else None
    by = text(record, "resolved_by.login", "dismisser.login", "dismissed_by.login")
    login = by.lower() if by and owner and _LOGIN.fullmatch(by) else None
    state = (text(record, "state") or "").lower()
    return Activity(
        time=instant(
            record, "resolved_at", "dismissedAt", "dismissed_at", "fixedAt", "updated_at", "createdAt", "created_at"
        ),
        uid=f"{kind}/{repository}/{number(record, 'number')}/{state}" if number(record, "number") else None,
        class_uid=ActivityClass.ENTITY_MANAGEMENT,
        actor_authority=f"github:{owner}" if login else None,
        actor_id=login,
        actor_name=by,
        actor_kind=ActorKind.USER if by else ActorKind.UNKNOWN,
        service="github",
        operation=kind,
        resource_type="repository",
        resource_id=repository,
        resource_name=repository,
        account=owner,
        outcome=Outcome.UNKNOWN,
        detail=compact(
            {
                "state": state,
                "number": number(record, "number"),
                "secret_type": text(record, "secret_type"),
                "resolution": text(record, "resolution", "dismissReason", "dismissed_reason"),
                "push_protection_bypassed": flag(record, "push_protection_bypassed"),
                "severity": text(record, "securityVulnerability.severity", "security_vulnerability.severity"),
                "advisory": text(record, "securityAdvisory.ghsaId", "security_advisory.ghsa_id"),
                "package": text(record, "securityVulnerability.package.name", "dependency.package.name"),
                "publicly_leaked": at(record, "publicly_leaked") is True or None,
            }
        ),
    )
