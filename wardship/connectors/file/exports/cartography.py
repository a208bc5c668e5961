"""cartography's graph, as Neo4j writes it out: APOC's JSON lines or CSV, or the JSON of `MATCH (n) RETURN n`.

Labels and properties as of cartography's schema pages (2026-11), not checked against a graph of a real organisation.
Only labels of the table below are read; of each node only the properties that are named there leave the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardship.connectors.file.exports._items import (
    IAM_ARN,
    SERVICE_ACCOUNT,
    flag,
    guid,
    instant,
    json_rows,
    key_of,
    known,
    opened,
)
from wardship.connectors.file.formats import Format, Row, SourceOptions, open_rows
from wardship.model.access import Credential, CredentialType, Usage, UseState
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Standing
from wardship.model.scan import Scope
from wardship.sdk.connector import Connection, DriftLog, Record
from wardship.sdk.fields import Fields
from wardship.sdk.i18n import N_

NAME = "cartography"
TITLE = N_("cartography graph (Neo4j: APOC JSON or CSV, JSON of a query)")

_MAX_HELD = 1_000_000  # of the keys and their holders that relations join
_LABEL = re.compile(
    rb"AWSUser|AWSRole|AccountAccessKey|EntraServicePrincipal|EntraApplication|GCPServiceAccount"
    rb"|KubernetesServiceAccount|EntraTenant|AWSAccount"
)


def recognise(path: Path, head: bytes) -> bool:
    del path
    return _form(head) is not None and bool(_LABEL.search(head) or b"lastupdated" in head)


def scopes(path: Path, connection: Connection) -> Iterable[Scope]:
    """Authorities are told by the nodes; where Entra's do not, by the one tenant that the graph holds."""
    del path
    return [Scope(connector="file", authority=f"cartography:{connection.name}", kind="cartography.node")]


def rows(path: Path, scope: Scope) -> Iterator[object]:
    """Nodes as they come; an access key when the relation to its user comes, or at the end without one."""
    del scope
    tenants: set[str] = set()
    for found in _things(path):
        if isinstance(found, _Node) and "EntraTenant" in found.labels and isinstance(found.properties.get("id"), str):
            tenants.add(found.properties["id"])
    tenant = tenants.pop() if len(tenants) == 1 else None
    users: dict[str, str] = {}
    keys: dict[str, dict[str, Any]] = {}
    for found in _things(path):
        if isinstance(found, Row):
            yield {"where": found.where, "problem": found.problem}
        elif isinstance(found, _Relation):
            if found.type == "AWS_ACCESS_KEY" and found.start in users and found.end in keys:
                yield {"label": "AccountAccessKey", "node": {**keys.pop(found.end), "user_arn": users[found.start]}}
        else:
            label = next((label for label in found.labels if label in _KINDS), None)
            if label is None:
                continue
            kept = {name: value for name, value in found.properties.items() if name in _KINDS[label].properties}
            if label == "AccountAccessKey" and len(keys) < _MAX_HELD:
                keys[found.id] = kept
                continue
            if label == "AWSUser" and isinstance(kept.get("arn"), str) and len(users) < _MAX_HELD:
                users[found.id] = kept["arn"]
            yield {"label": label, "tenant": tenant, "node": kept}
    yield from ({"label": "AccountAccessKey", "node": kept} for kept in keys.values())


def parse(scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
    del scope, connection
    node = opened(item, "node", "cartography")
    kind = _KINDS.get(str(item.get("label")))
    if kind is None:
        raise DataError("a node of another label")
    return list(kind.records(node, item.get("tenant")))


# ------------------------------------------------------------------ the file


@dataclass(frozen=True, slots=True)
class _Node:
    id: str
    labels: tuple[str, ...]
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Relation:
    type: str
    start: str
    end: str


def _form(head: bytes) -> Format | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    line = start.partition(b"\n")[0]
    if start.startswith(b"{") and b'"type"' in line and b'"labels"' in line and b'"properties"' in line:
        return Format.JSONL
    if start.startswith(b"[") and b'"labels"' in head and b'"properties"' in head:
        return Format.JSON
    if b"_labels" in line and b"_id" in line:
        return Format.CSV
    return None


def _things(path: Path) -> Iterator[_Node | _Relation | Row]:
    with path.open("rb") as stream:
        form = _form(stream.read(65_536))
    if form is Format.JSON:
        source = json_rows(path)
    else:
        source = open_rows(path, SourceOptions(format=form or Format.JSONL, encoding="utf-8"))
    for row in source:
        if row.problem is not None:
            yield row
        else:
            yield from _of_csv(row) if form is Format.CSV else _of_json(row)


def _of_json(row: Row) -> Iterator[_Node | _Relation]:
    """APOC's object, or one column of a query's row for each node."""
    told = row.cells
    if told.get("type") == "relationship":
        ends = [_mapping(told.get(side)).get("id") for side in ("start", "end")]
        yield _Relation(str(told.get("label")), str(ends[0]), str(ends[1]))
        return
    candidates = itertools.chain([told], (value for value in told.values() if isinstance(value, dict)))
    for one in candidates:
        labels, properties = one.get("labels"), one.get("properties")
        if isinstance(labels, list) and isinstance(properties, dict):
            ident = next((one[name] for name in ("id", "elementId", "identity") if name in one), "")
            yield _Node(str(ident), tuple(label for label in labels if isinstance(label, str)), properties)
            return


def _of_csv(row: Row) -> Iterator[_Node | _Relation]:
    cells = row.cells
    if cells.get("_type"):
        yield _Relation(str(cells["_type"]), str(cells.get("_start")), str(cells.get("_end")))
    elif labels := str(cells.get("_labels") or ""):
        filled = {name: value for name, value in cells.items() if value != "" and not name.startswith("_")}
        yield _Node(str(cells.get("_id")), tuple(filter(None, labels.split(":"))), filled)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# ------------------------------------------------------------------ one node


def _iam(node: Fields, _tenant: Any) -> Iterator[Record]:
    arn = key_of(node, "arn")
    found = IAM_ARN.fullmatch(arn)
    if not found:
        raise DataError("arn is no ARN of a user or a role")
    user = found[2] == "user"
    unique = node.text("userid" if user else "roleid")
    yield Identity(
        authority=f"aws:{found[1]}",
        native_id=arn,
        kind=IdentityKind.UNKNOWN if user else IdentityKind.WORKLOAD_ROLE,  # a user may be a person's
        subtype=found[2],
        name=node.text("name") or arn.rpartition("/")[2],
        standing=Standing.PROVIDER_MANAGED if "/aws-service-role/" in arn else Standing.UNKNOWN,
        created_at=instant(node, "createdate", "createdate_dt"),
        aliases=((f"aws:{found[1]}", unique),) if unique else (),
    )


def _access_key(node: Fields, _tenant: Any) -> Iterator[Record]:
    """AWS itself tells keys by slots, a graph by their ids: with `public_id` both are known for the same key."""
    ident = key_of(node, "accesskeyid", "id")
    arn = node.text("user_arn")
    found = IAM_ARN.fullmatch(arn or "")
    if not found or arn is None:
        raise DataError("an access key whose user the file does not tell")
    authority = f"aws:{found[1]}"
    status = node.text("status")
    made_at = instant(node, "createdate_dt", "createdate")
    yield Credential(
        authority=authority,
        native_id=f"{arn}/{ident}",
        type=CredentialType.ACCESS_KEY,
        identity=(authority, arn),
        name="access key",
        public_id=ident,
        enabled={"Active": True, "Inactive": False}.get(status or ""),
        created_at=made_at,
        last_rotated_at=made_at,
        no_expiry=True,
        revocation="deactivate, then delete the key",
    )
    used_at = instant(node, "lastuseddate_dt", "lastuseddate")
    detail = ", ".join(text for name in ("lastusedservice", "lastusedregion") if (text := node.text(name)))
    yield Usage(
        subject=("credential", authority, f"{arn}/{ident}"),
        source="cartography.lastuseddate",
        state=UseState.USED if used_at else UseState.UNKNOWN,
        last_used_at=used_at,
        detail=detail or None,
    )


def _entra(node: Fields, tenant: Any) -> Iterator[Record]:
    told = Fields({"tenant": node.raw.get("tenant_id") or tenant}, "cartography", DriftLog())
    authority = f"entra:{guid(told, 'tenant')}"
    app_id = node.text("app_id")
    raw_type = node.text("service_principal_type")
    principal = "service_principal_type" in node.raw or "account_enabled" in node.raw
    yield Identity(
        authority=authority,
        native_id=guid(node, "id"),
        kind=IdentityKind.MANAGED_IDENTITY if raw_type == "ManagedIdentity" else IdentityKind.OAUTH_APP,
        subtype=f"servicePrincipal/{raw_type or 'unknown'}" if principal else "application",
        name=node.text("display_name"),
        enabled=flag(node, "account_enabled"),
        created_at=instant(node, "created_date_time"),
        aliases=((f"{authority}:appid", app_id.lower()),) if app_id else (),
        rank=0 if principal else 1,
        attributes=known({"app_id": app_id}),
    )


def _google(node: Fields, _tenant: Any) -> Iterator[Record]:
    email = key_of(node, "email").lower()
    found = SERVICE_ACCOUNT.fullmatch(email)
    project = node.text("project_id") or (found[1] if found else None)
    if not project:
        raise DataError("a service account without a project")
    unique, disabled = node.text("id"), flag(node, "disabled")
    yield Identity(
        authority=f"gcp:{project}",
        native_id=email,
        kind=IdentityKind.API_CLIENT,
        subtype="service account",
        name=node.text("display_name") or email.partition("@")[0],
        enabled=None if disabled is None else not disabled,
        # Google's audit log names it by its e-mail alone (docs/adr/0030).
        aliases=(*((("gcp:service-account", unique),) if unique and unique.isdecimal() else ()), ("gcp:email", email)),
    )


def _kubernetes(node: Fields, _tenant: Any) -> Iterator[Record]:
    cluster = key_of(node, "cluster_name", "cluster_id")
    space, name = key_of(node, "namespace"), key_of(node, "name")
    yield Identity(
        authority=f"kubernetes:{cluster}",
        native_id=f"system:serviceaccount:{space}:{name}",
        kind=IdentityKind.KUBERNETES_SERVICE_ACCOUNT,
        subtype="ServiceAccount",
        name=f"{space}/{name}",
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    records: Callable[[Fields, Any], Iterator[Record]]
    properties: frozenset[str]


def _kind(records: Callable[[Fields, Any], Iterator[Record]], properties: str) -> _Kind:
    return _Kind(records, frozenset(properties.split()))


_ENTRA = "id app_id display_name created_date_time tenant_id"
_KINDS: Mapping[str, _Kind] = {
    "AWSUser": _kind(_iam, "arn userid name createdate createdate_dt"),
    "AWSRole": _kind(_iam, "arn roleid name createdate createdate_dt"),
    "AccountAccessKey": _kind(
        _access_key,
        "id accesskeyid status createdate createdate_dt lastuseddate lastuseddate_dt lastusedservice lastusedregion",
    ),
    "EntraServicePrincipal": _kind(_entra, f"{_ENTRA} account_enabled service_principal_type"),
    "EntraApplication": _kind(_entra, _ENTRA),
    "GCPServiceAccount": _kind(_google, "id email display_name disabled project_id"),
    "KubernetesServiceAccount": _kind(_kubernetes, "id name namespace cluster_name cluster_id"),
}
