"""The audit log of a Kubernetes API server: who asked for which verb on which object, with which token.

One raw record is an Event of audit.k8s.io, from the log file, a webhook, CloudWatch (EKS) or a shipper that wrapped it.
The server writes one a stage; only the last counts, ResponseComplete or Panic: the others are skipped. A request that
was not let in (401) has no user name.

The log does not say which cluster it is of. A service account with its uid is exact without that (`kubernetes:uid`);
an AWS principal that EKS let in by its ARN; anybody else by name under `kubernetes:<cluster>` where the shipper says
the cluster, else as the importer does (docs/adr/0030).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from wardship.model.access import CredentialType
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import BlindSpot, Drift, Evidence
from wardship.sdk.fields import clean
from wardship.sdk.i18n import N_
from wardship.sdk.redact import MASK, is_secret_name, redact_text
from wardship.sdk.source import KEPT_BY_ITS_OWNER, UNNAMED, LogPart, SourceManifest
from wardship.sources._kubernetes_objects import privileges
from wardship.sources._record import at, child, compact, identifier, instant, number, text, texts, words_of

BY_UID = "kubernetes:uid"

MANIFEST = SourceManifest(
    name="kubernetes.audit",
    title="Kubernetes audit log",
    forms=(
        N_("the API server's audit log as JSON lines, or an EventList as a webhook gets it"),
        N_("EKS control plane logs of CloudWatch: exports, subscriptions, rows of Logs Insights"),
        N_("the same events inside the envelope of a log shipper, with the cluster's name"),
    ),
    records=("items", "logEvents", "events"),
    retention_days=KEPT_BY_ITS_OWNER,
    logs_reads=None,
    parts=(
        # an audit policy leaves out verbs, resources and accounts, one by one: no event tells which
        LogPart(name="reads", events="NOT mutating", shown=False),
        LogPart(name="writes", events="mutating", shown=False),
    ),
    blind_spots=(
        BlindSpot(
            id="kubernetes.audit_policy",
            text=N_(
                "What is logged, and whether with bodies, is the audit policy's choice; EKS and GKE fix their own."
            ),
        ),
        BlindSpot(
            id="kubernetes.cluster_not_in_event",
            text=N_(
                "An audit event does not name its cluster; import each cluster's log with the shipper's cluster field,"
                " or say --authority kubernetes:NAME."
            ),
        ),
        BlindSpot(
            id="kubernetes.unauthenticated_without_name",
            text=N_("A refused sign-in (401) has no user name: only its address and user agent tell who tried."),
        ),
    ),
    evidence=Evidence.VENDOR_CONTRACT,
    contracts=("kubernetes",),
    links=(
        "https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/",
        "https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/",
        "https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html",
    ),
)

_READS = frozenset({"get", "list", "watch", "head", "options"})
_LAST_STAGES = ("ResponseComplete", "Panic")
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9.-]{1,63}:[a-z0-9.-]{1,253}")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):(role|user)/[\w+=,.@/-]{1,600}")
_CLUSTER = ("cluster", "cluster_name", "clusterName", "kubernetes.cluster", "orchestrator.cluster.name", "eks_cluster")
_TOKENS = "authentication.kubernetes.io/credential-id"
_MAX_WORDS = 8  # of a command
_DECODER = json.JSONDecoder()
_POD = "authentication.kubernetes.io/pod-name"


def claims(record: dict[str, Any]) -> bool:
    """An Event of audit.k8s.io, whatever is wrapped around it."""
    try:
        return _event(record) is not None
    except DataError:
        return True  # it says that it is one, and parse says what is wrong with it


def parse(record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
    """One request, told at its last stage; none of the stages before.

    Raises DataError for one that cannot be read, that says neither verb nor address, or has no time.
    """
    event = _event(record)
    if event is None:
        return
    stage = text(event, "stage")
    if stage is not None and stage not in _LAST_STAGES:
        if stage not in ("RequestReceived", "ResponseStarted"):
            drift.unknown_value("kubernetes.stage", stage)
        return
    verb = text(event, "verb", "attributes.http.method")
    uri = _address(event.get("requestURI"))
    if verb is None and uri is None:
        raise DataError("kubernetes: an audit event without a verb and an address")
    target = child(event, "objectRef") or child(event, "attributes.objectRef")
    resource, sub = text(target, "resource"), text(target, "subresource")
    what = f"{resource}/{sub}" if resource and sub else resource
    code = number(event, "responseStatus.code")
    cluster = next((found for name in _CLUSTER if (found := text(record, name))), None)
    user = child(event, "user")
    key = _extra(user, "accessKeyId")  # EKS tells the AWS key that signed the token
    token = _extra(user, _TOKENS)
    ident = identifier(event, "auditID")
    space, name = text(target, "namespace"), text(target, "name")
    yield Activity(
        time=instant(
            {"envelope": record, **event},
            *("requestReceivedTimestamp", "stageTimestamp", "timestamp", "envelope.time", "envelope.p_event_time"),
        ),
        uid=f"{ident}/{stage}" if ident and stage else ident,
        class_uid=_class(resource, code),
        **_actor(user, cluster),
        session=_extra(user, "sessionName") or _extra(user, _POD),
        on_behalf_of=text(event, "impersonatedUser.username"),
        credential_id=key or (token or "").removeprefix("JTI=") or None,
        credential_type=CredentialType.ACCESS_KEY.value if key else CredentialType.TOKEN.value if token else None,
        service=text(target, "apiGroup") or "kubernetes",
        operation=f"{verb or 'request'} {what}" if what else (verb or "request"),
        mutating=_mutating(verb, resource),
        resource_type=what,
        resource_id=_id(target) or (uri.path[:2_000] or None if uri else None),
        resource_name=name,
        account=cluster,
        src_ip=next(iter(texts(event, "sourceIPs")), None),
        user_agent=text(event, "userAgent"),
        outcome=_outcome(code, stage, child(event, "annotations")),
        outcome_code=text(event, "responseStatus.reason") or (str(code) if code else None),
        detail=compact(
            {
                "verb": verb,
                "namespace": space,
                "subresource": sub,
                "groups": texts(user, "groups")[:10],
                "impersonates": text(event, "impersonatedUser.username"),
                "all_namespaces": True if what == "secrets" and verb in ("list", "watch") and not space else None,
                "command": _command(event, uri) if sub in ("exec", "attach") else None,
                "decision": child(event, "annotations").get("authorization.k8s.io/decision"),
                "reason": _text_of(child(event, "annotations").get("authorization.k8s.io/reason")),
                "node": _extra(user, "authentication.kubernetes.io/node-name"),
                **privileges(resource or "", event.get("requestObject") or _patched(event)),
            }
        ),
    )


# ------------------------------------------------------------------ shapes


def _event(record: dict[str, Any]) -> dict[str, Any] | None:
    """The Event in a record, whoever wrapped it; None: it is none. Raises DataError for one that cannot be read."""
    if _is_event(record):
        return record
    for name in ("event", "audit", "kubernetes_audit", "log", "message", "@message", "jsonPayload"):
        inner = record.get(name)
        if inner is None and name == "log":  # AKS: a diagnostic log of Azure holds the event as text
            inner = at(record, "properties.log")
        if isinstance(inner, str) and "audit.k8s.io/" in inner:
            try:
                inner, _end = _DECODER.raw_decode(inner, max(inner.find("{"), 0))  # CloudWatch puts the time before it
            except (ValueError, RecursionError):
                raise DataError("kubernetes: an audit event that is no JSON") from None
        if isinstance(inner, dict) and _is_event(inner):
            return inner
    return None


def _is_event(value: dict[str, Any]) -> bool:
    version = value.get("apiVersion")
    if isinstance(version, str) and version.startswith("audit.k8s.io/"):
        return value.get("kind") in ("Event", None)
    # A copy that lost its version. The cluster's own Events have an involvedObject, and no verb.
    return ("verb" in value or "requestURI" in value) and ("objectRef" in value or "auditID" in value)


def _patched(event: dict[str, Any]) -> Any:
    """What the object became, where the log holds answers and the request was a patch."""
    return event.get("responseObject") if event.get("verb") == "patch" else None


def _address(uri: Any) -> SplitResult | None:
    """The address that was asked for; None: there is none that can be read."""
    try:
        return urlsplit(clean(uri)) if isinstance(uri, str) and uri else None
    except ValueError:
        return None


def _id(target: dict[str, Any]) -> str | None:
    """ "rbac.authorization.k8s.io/clusterrolebindings/name", "secrets/namespace/name"."""
    if not text(target, "resource"):
        return None
    names = ("apiGroup", "resource", "namespace", "name", "subresource")
    return "/".join(found for name in names if (found := text(target, name)))[:2_000]


# ------------------------------------------------------------------ who


def _actor(user: dict[str, Any], cluster: str | None) -> dict[str, Any]:
    name, uid = identifier(user, "username"), identifier(user, "uid")
    if name is None:
        return {}
    if name == "system:anonymous":
        return {"actor_name": name, "actor_kind": ActorKind.ANONYMOUS}
    arn = _ARN.fullmatch(_extra(user, "canonicalArn") or "")
    if arn:
        kind = ActorKind.ROLE if arn[2] == "role" else ActorKind.USER
        return {"actor_authority": f"aws:{arn[1]}", "actor_id": arn[0], "actor_name": name, "actor_kind": kind}
    place = f"kubernetes:{cluster}" if cluster else f"kubernetes{UNNAMED}"
    if _SERVICE_ACCOUNT.fullmatch(name):
        exact = uid is not None and _GUID.fullmatch(uid.lower())
        authority, ident = (BY_UID, uid.lower()) if exact and uid else (place, name)
        kind = ActorKind.WORKLOAD
    else:
        authority, ident = place, name
        kind = ActorKind.USER
        if name.startswith("system:node:"):
            kind = ActorKind.MACHINE
        elif name.startswith(("system:", "eks:", "aks:", "gke-")):
            kind = ActorKind.PROVIDER_SERVICE
    return {"actor_authority": authority, "actor_id": ident, "actor_name": name, "actor_kind": kind}


def _extra(user: dict[str, Any], name: str) -> str | None:
    """A value of `user.extra`, where each is a list of texts."""
    value = child(user, "extra").get(name)
    found = value[0] if isinstance(value, list) and value else value
    return _text_of(found)


def _text_of(value: Any) -> str | None:
    return text({"value": value}, "value")


# ------------------------------------------------------------------ what


def _mutating(verb: str | None, resource: str | None) -> bool | None:
    """A review is created to ask who somebody is, or what they may do; nothing stays of it."""
    if verb is None:
        return None
    return verb.lower() not in _READS and not (resource or "").endswith("reviews")


def _class(resource: str | None, code: int | None) -> ActivityClass:
    if code == 401 or resource in ("tokenreviews", "tokenrequests"):
        return ActivityClass.AUTHENTICATION
    if resource in ("rolebindings", "clusterrolebindings", "roles", "clusterroles"):
        return ActivityClass.USER_ACCESS_MANAGEMENT
    return ActivityClass.API_ACTIVITY


def _outcome(code: int | None, stage: str | None, notes: dict[str, Any]) -> Outcome:
    if stage == "Panic" or notes.get("authorization.k8s.io/decision") == "forbid":
        return Outcome.FAILURE
    if code is None:
        return Outcome.UNKNOWN
    return Outcome.FAILURE if code >= 400 else Outcome.SUCCESS


def _command(event: dict[str, Any], uri: SplitResult | None) -> list[str]:
    """The first words of what was run in a container, each cut: they tell a shell or a copied token. Secrets that are
    recognised are masked, and so is what follows an option named like one ("--password ...")."""
    asked = texts(event, "requestObject.command", limit=_MAX_WORDS)
    if not asked and uri:
        try:
            pairs = parse_qsl(uri.query, max_num_fields=100)
        except ValueError:  # more of them than anybody's command has
            return []
        asked = [found for name, value in pairs if name == "command" and (found := words_of(value))][:_MAX_WORDS]
    told: list[str] = []
    for word in asked:
        hidden = bool(told) and told[-1].startswith("-") and is_secret_name(told[-1])
        told.append(MASK if hidden else redact_text(word)[:120])
    return told
