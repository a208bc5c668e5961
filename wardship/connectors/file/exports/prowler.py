"""prowler's findings (OCSF JSON, CSV): the principals that they are about, never its verdicts.

Both forms were written after the samples that prowler publishes (examples/output, 2025-02), whose ids are blanked
out; no report of a real account was at hand. A finding is prowler's judgement at its time; here it only proves that
an identity was there, and stays readable as an attribute (`prowler`: check -> status). Wardship's own rules judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardship.connectors.file.exports._items import IAM_ARN, SERVICE_ACCOUNT, json_rows, known, opened, short
from wardship.connectors.file.formats import Format, Row, SourceOptions, open_rows
from wardship.model.errors import DataError
from wardship.model.identity import Identity, IdentityKind, Standing, System
from wardship.model.scan import Scope
from wardship.sdk.connector import Connection, Record
from wardship.sdk.i18n import N_

NAME = "prowler"
TITLE = N_("prowler findings (OCSF JSON, CSV)")

_MAX_PRINCIPALS = 500_000
_MAX_CHECKS = 200  # of one principal that are kept
_COLUMNS = (b"FINDING_UID", b"CHECK_ID", b"RESOURCE_UID", b"PROVIDER", b"STATUS")


def recognise(path: Path, head: bytes) -> bool:
    del path
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return b'"event_code"' in head and b'"Prowler"' in head
    return all(column in start.partition(b"\n")[0] for column in _COLUMNS)


def scopes(path: Path, connection: Connection) -> Iterable[Scope]:
    return [Scope(connector="file", authority=f"prowler:{connection.name}", kind=f"prowler.{_form(path).value}")]


def rows(path: Path, scope: Scope) -> Iterator[object]:
    """Accounts first, then each principal once with all that was found about it: findings repeat principals."""
    csv = scope.kind.endswith(".csv")
    accounts: dict[tuple[str, str], str | None] = {}
    principals: dict[tuple[str, str], dict[str, Any]] = {}
    source = open_rows(path, SourceOptions(format=Format.CSV, delimiter=";")) if csv else json_rows(path)
    for row in source:
        if row.problem is not None:
            yield {"where": row.where, "problem": row.problem}
            continue
        for finding in _of_csv(row) if csv else _of_ocsf(row):
            account = (finding["provider"], finding["account"])
            if account not in accounts and len(accounts) < _MAX_PRINCIPALS:
                accounts[account] = finding["account_name"]
            key = (finding["account"], finding["uid"])
            if not _is_principal(finding["uid"]) or (key not in principals and len(principals) >= _MAX_PRINCIPALS):
                continue
            one = principals.setdefault(key, {**finding, "checks": {}})
            if len(one["checks"]) < _MAX_CHECKS and finding["check"] and finding["status"]:
                one["checks"][finding["check"]] = finding["status"]
    for (provider, ident), name in accounts.items():
        yield {"account": {"provider": provider, "account": ident, "name": name}}
    yield from ({"principal": one} for one in principals.values())


def parse(scope: Scope, item: Any, connection: Connection) -> Iterable[Record]:
    del scope, connection
    if isinstance(item, dict) and "account" in item:
        told = opened(item, "account", "prowler")
        provider, ident = told.text("provider"), told.text("account")
        if provider == "aws" and ident and ident.isdecimal() and len(ident) == 12:
            return [System(authority=f"aws:{ident}", kind="aws_account", name=told.text("name"))]
        if provider == "gcp" and ident:
            return [System(authority=f"gcp:{ident}", kind="gcp_project", name=told.text("name"))]
        return []
    told = opened(item, "principal", "prowler")
    uid = told.text("uid") or ""
    checks = told.raw.get("checks")
    attributes = known({"prowler": checks if isinstance(checks, dict) else None, "region": told.text("region")})
    if arn := IAM_ARN.fullmatch(uid):
        user = arn[2] == "user"
        return [
            Identity(
                authority=f"aws:{arn[1]}",
                native_id=uid,
                kind=IdentityKind.UNKNOWN if user else IdentityKind.WORKLOAD_ROLE,  # a user may be a person's
                subtype=arn[2],
                name=uid.rpartition("/")[2],
                standing=Standing.PROVIDER_MANAGED if "/aws-service-role/" in uid else Standing.UNKNOWN,
                attributes=attributes,
            )
        ]
    if found := SERVICE_ACCOUNT.fullmatch(uid):
        return [
            Identity(
                authority=f"gcp:{found[1] or told.text('account') or 'unknown'}",
                native_id=uid,
                kind=IdentityKind.API_CLIENT,
                subtype="service account",
                name=uid.partition("@")[0],
                attributes=attributes,
            )
        ]
    raise DataError("a resource that is no principal")


def _form(path: Path) -> Format:
    with path.open("rb") as stream:
        return Format.JSON if stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[") else Format.CSV


def _is_principal(uid: str) -> bool:
    return bool(IAM_ARN.fullmatch(uid) or SERVICE_ACCOUNT.fullmatch(uid))


def _of_csv(row: Row) -> Iterator[dict[str, Any]]:
    cells = row.cells
    names = ("PROVIDER", "ACCOUNT_UID", "ACCOUNT_NAME", "REGION", "CHECK_ID", "STATUS")
    for uid in dict.fromkeys((cells.get("RESOURCE_UID"), cells.get("RESOURCE_NAME"))):
        if isinstance(uid, str) and uid:
            yield _finding(uid, [cells.get(name) for name in names])


def _of_ocsf(row: Row) -> Iterator[dict[str, Any]]:
    cloud = _mapping(row.cells.get("cloud"))
    account = _mapping(cloud.get("account"))
    check = _mapping(row.cells.get("metadata")).get("event_code")
    resources = row.cells.get("resources")
    for resource in resources if isinstance(resources, list) else ():
        told = _mapping(resource)
        where = [cloud.get("provider"), account.get("uid"), account.get("name"), told.get("region")]
        for uid in dict.fromkeys((short(told.get("uid"), 1000), short(told.get("name"), 1000))):
            if uid:
                yield _finding(uid, [*where, check, row.cells.get("status_code")])


def _finding(uid: str, told: Sequence[object]) -> dict[str, Any]:
    """`told`: provider, account, its name, region, check, status."""
    provider, account, name, region, check, status = (short(value, 200) for value in told)
    return {
        "provider": (provider or "").lower(),
        "account": account or "",
        "account_name": name,
        "uid": uid.lower() if uid.lower().endswith(".gserviceaccount.com") else uid,
        "region": region,
        "check": check,
        "status": status,
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
