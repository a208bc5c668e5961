"""HashiCorp Vault's and OpenBao's audit log: each call once, by its response.

An audit device writes two entries for a call, a request and a response of one id. The response tells how it ended, and
of a login who it turned out to be, so it is the one that counts. A request that was refused at the door is told by its
own entry too, with the same `uid`: ingest keeps one of the two, and neither says more than the other.

Tokens and accessors come as an HMAC unless the device is told otherwise (`hmac_accessor=false`). With it off, the ids
here are those of the connector; without, a token keeps its pseudonym, good for its own history and nothing else. The
entity of a token is in the clear, and is what joins the log to the inventory. Vault's name of the cluster is not in
the log: the importer says it (`vault:` and the cluster's id).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.i18n import N_
from wardship.sdk.source import KEPT_BY_ITS_OWNER, UNNAMED, SourceManifest
from wardship.sources._record import MAX_LIST, at, child, compact, identifier, instant, text, texts

MANIFEST = SourceManifest(
    name="vault.audit",
    title="HashiCorp Vault and OpenBao audit",
    forms=(N_("JSON lines of an audit device (file, socket or syslog)"),),
    connector="vault",
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=True,
    blind_spots=(
        BlindSpot(
            id="vault.audit_hmac",
            text=N_("Accessors of tokens are hidden by an HMAC unless the audit device has hmac_accessor=false."),
        ),
        BlindSpot(
            id="vault.audit_unanswered",
            text=N_("A call whose response was never written, because the server died, is not counted."),
        ),
        BlindSpot(
            id="vault.audit_failed_login",
            text=N_("A login that fails does not say who tried: role ids and names are hidden by an HMAC."),
        ),
    ),
    evidence=Evidence.REAL_PRODUCT,
    links=("https://developer.hashicorp.com/vault/docs/audit", "https://openbao.org/docs/audit/"),
)

_OPERATIONS = frozenset(
    ("create", "read", "update", "patch", "delete", "list", "scan", "help", "header", "alias-lookahead", "resolve-role",
     "revoke", "renew", "rollback")
)  # fmt: skip
_READS = frozenset(("read", "list", "scan", "help", "header", "alias-lookahead", "resolve-role"))
_PEOPLE = frozenset(("userpass", "ldap", "oidc", "github", "okta", "radius", "saml"))
_WORKLOADS = frozenset(("kubernetes", "aws", "azure", "gcp", "jwt", "alicloud", "oci", "cf"))
_REASONS = (  # what Vault says, without what it says it of
    "permission denied", "invalid token", "bad token", "namespace not authorized", "invalid role or secret ID",
    "invalid username or password", "lease not found", "unsupported path", "unsupported operation",
    "missing client token", "request forbidden", "quota exceeded", "wrapping token is not valid", "token is expired",
    "service account unauthorized", "refused by the engine",
)  # fmt: skip


def claims(record: dict[str, Any]) -> bool:
    """An entry has its type, and a request with a path and an operation."""
    request = record.get("request")
    return record.get("type") in ("request", "response") and isinstance(request, dict) and "path" in request


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """The call that a response ends, or that was refused; none of a request that went on."""
    if not claims(record):
        raise DataError("not an entry of a Vault audit device")
    refused = _error(record)
    failed = refused is not None
    if record["type"] == "request" and not failed:
        return ()
    operation = text(record, "request.operation")
    if operation is None:
        raise DataError("an entry without an operation")
    if operation not in _OPERATIONS:
        drift.unknown_value("vault.operation", operation)
    path = text(record, "request.path") or ""
    login = _is_login(record, path)
    accessor = identifier(record, "auth.accessor", "request.client_token_accessor")
    nobody = login and failed  # a token that came along with it is not who tried
    authority, actor = (None, None) if nobody else _actor(record, accessor)
    mount = text(record, "request.mount_type")
    return (
        Activity(
            uid=identifier(record, "request.id"),
            time=instant(record, "time"),
            service=f"vault/{mount}" if mount else "vault",
            operation=operation,
            class_uid=_class_of(path, login=login),
            actor_authority=authority if actor else None,
            actor_id=actor,
            actor_name=None if nobody else text(record, "auth.display_name"),
            actor_kind=_kind(record, mount if login else None),
            session=accessor if login and not failed else None,
            credential_id=None if login else accessor,
            credential_type=None if login else CredentialType.TOKEN.value,
            mutating=not login and operation not in _READS,
            interactive=True if login and mount in _PEOPLE else None,
            resource_type=mount,
            resource_id=_full_path(record, path),
            resource_name=text(record, "request.mount_point"),
            account=_namespace(record) or None,
            src_ip=text(record, "request.remote_address"),
            user_agent=_plain(texts(record, "request.headers.user-agent")),
            outcome=Outcome.FAILURE if failed else Outcome.SUCCESS,
            outcome_code=_reason(refused) if refused is not None else None,
            detail=compact(
                {
                    "action": "login" if login else None,
                    "policies": texts(record, "auth.policies"),
                    "role": text(record, "auth.metadata.role_name", "auth.metadata.role"),
                    "token_type": text(record, "auth.token_type"),
                    "wrapped": "true" if text(record, "response.wrap_info.accessor") else None,
                    "granting": [found for one in _granting(record) if (found := text(one, "name"))][:MAX_LIST],
                }
            ),
        ),
    )


def _is_login(record: dict[str, Any], path: str) -> bool:
    parts = path.split("/")
    if parts[0] != "auth" or len(parts) < 3:
        return False
    return "login" in parts[2:] or (text(record, "request.mount_type") == "oidc" and parts[-1] == "callback")


def _actor(record: dict[str, Any], accessor: str | None) -> tuple[str, str | None]:
    """(authority, native id) as the connector names them: the entity, or the token that has none.

    Their ids end in the id of their namespace, except in the root namespace, whose tokens reach into every other.
    """
    entity = identifier(record, "auth.entity_id")
    if entity and not entity.startswith("hmac-"):
        kept, native_id = entity, f"identity/entity/id/{entity}"
    elif accessor:
        kept, native_id = accessor, f"auth/token/accessor/{accessor}"
    else:
        return f"vault{UNNAMED}", None
    namespace = _namespace(record)
    ours = namespace and kept.rpartition(".")[2] == text(record, "request.namespace.id")
    return f"vault{UNNAMED}/{namespace}" if ours else f"vault{UNNAMED}", native_id


def _namespace(record: dict[str, Any]) -> str:
    return (text(record, "request.namespace.path") or "").strip("/")


def _full_path(record: dict[str, Any], path: str) -> str:
    namespace = _namespace(record)
    return f"{namespace}/{path}" if namespace else path


def _kind(record: dict[str, Any], login: str | None) -> ActorKind:
    """Of a login its method tells, of a root token its policy; of other tokens the log does not know."""
    if login in _PEOPLE:
        return ActorKind.USER
    if login in _WORKLOADS:
        return ActorKind.WORKLOAD
    if login in ("approle", "cert"):
        return ActorKind.APPLICATION
    return ActorKind.ROOT if "root" in texts(record, "auth.policies") else ActorKind.UNKNOWN


def _class_of(path: str, *, login: bool) -> ActivityClass:
    if login:
        return ActivityClass.AUTHENTICATION
    if path.startswith(("sys/policy", "sys/policies")):
        return ActivityClass.USER_ACCESS_MANAGEMENT
    if path.startswith("identity/group"):
        return ActivityClass.GROUP_MANAGEMENT
    parts = path.split("/")
    if path.startswith("identity/entity") or (parts[0] == "auth" and {"role", "roles", "users"} & set(parts[2:])):
        return ActivityClass.ACCOUNT_CHANGE
    return ActivityClass.API_ACTIVITY


def _granting(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = at(child(record, "auth.policy_results"), "granting_policies")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _plain(values: list[str]) -> str | None:
    """Headers are hidden unless the device is told otherwise."""
    return next((one for one in values if not one.startswith("hmac-")), None)


def _error(record: dict[str, Any]) -> str | None:
    """What the entry says went wrong: at the door in the clear; of an engine's own answer, hidden by the HMAC."""
    refused = record.get("error")
    if isinstance(refused, str) and refused:
        return refused
    answer = child(record, "response.data")
    return "refused by the engine" if set(answer) == {"error"} else None


def _reason(said: str) -> str:
    """Which of Vault's errors it was. The rest of the text, which may name anything, is left out."""
    low = said.casefold()
    return next((reason for reason in _REASONS if reason.casefold() in low), "error")
