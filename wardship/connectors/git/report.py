"""From what is known of the blobs to records: one exposure for each secret at each path, told by its history."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wardship.connectors.git.pool import shown
from wardship.connectors.git.state import Change, Found
from wardship.model.access import Credential, CredentialType
from wardship.model.errors import DataError
from wardship.model.exposure import Dependency, Exposure
from wardship.model.identity import System
from wardship.sdk.connector import Drift, Record
from wardship.sdk.fields import Fields
from wardship.secrets import finding
from wardship.secrets.places import environment_of_path, place_of

MAX_LOCATION_BYTES = 800  # of a path as location; a longer one is shortened in the middle and keeps a digest
_Key = tuple[str, str]


@dataclass(slots=True)
class Totals:
    """What was left out although it is reachable, for Coverage."""

    large: int = 0
    died: int = 0
    missing: int = 0
    copies: int = 0
    long: int = 0  # the path
    cut: int = 0  # had more secrets than are told


def exposures(
    paths: Iterable[tuple[bytes, list[Change], list[Found]]],
    order: Mapping[str, int],
    head: Mapping[bytes, str],
    totals: Totals,
    *,
    whole: bool,
) -> Iterator[dict[str, Any]]:
    """The raw items of all paths: "exposure", "certificate" and "reference", in the order of the paths.

    `order` numbers the reachable commits, oldest first; `head` are the blobs of the newest state. Only what a
    reachable commit put at its path counts. `whole` False: a path that is not in `head` may be there all the same.
    """
    for path, all_changes, found in paths:
        changes = sorted((c for c in all_changes if c.commit in order), key=lambda c: order[c.commit])
        here = {change.new for change in changes if change.new} | ({head[path]} if path in head else set())
        told = [one for one in found if one.blob in here]
        for one in told:
            if one.kind in ("skipped", "cut"):
                reason = str(one.body.get("reason"))
                if reason in totals.__slots__:
                    setattr(totals, reason, getattr(totals, reason) + 1)
        yield from _exposures(path, changes, [one for one in told if one.kind == "hit"], head.get(path), whole=whole)
        for one in told:
            if one.blob == head.get(path) and one.kind in ("certificate", "ci"):
                yield {
                    "is": "certificate" if one.kind == "certificate" else "reference",
                    "path": shown(path),
                    **one.body,
                }


def _exposures(
    path: bytes, changes: Sequence[Change], hits: Sequence[Found], head: str | None, *, whole: bool
) -> Iterator[dict[str, Any]]:
    groups: dict[_Key, list[Found]] = defaultdict(list)
    for hit in hits:
        groups[str(hit.body["detector"]), str(hit.body["fingerprint"] or f"line {hit.body['line']}")].append(hit)
    for _key, group in sorted(groups.items()):
        blobs = {hit.blob for hit in group}
        written = [change for change in changes if change.new in blobs]
        if not written:
            continue
        newest, first = written[-1], written[0]
        removed = [change for change in changes if change.new not in blobs and blobs & set(change.old)]
        in_head = head in blobs if head is not None or whole else None
        gone = removed[-1] if removed and in_head is False else None
        best = min(
            (hit for hit in group if hit.blob == newest.new), key=lambda hit: (hit.body["line"], hit.body["column"])
        )
        yield {
            "is": "exposure",
            "path": shown(path),
            **best.body,
            "revision": newest.commit,
            "occurrences": len(group),
            "in_head": in_head,
            "introduced_by": first.author or None,
            "introduced_at": first.at,
            "introduced_in": first.commit,
            "removed_at": gone.at if gone else None,
            "removed_in": gone.commit if gone else None,
        }


# ------------------------------------------------------------------ one item


def records(authority: str, item: Any, drift: Drift) -> Iterator[Record]:
    """The records of one raw item. Raises DataError."""
    if not isinstance(item, dict):
        raise DataError("an item that is no object")
    match item.get("is"):
        case "system":
            yield System(
                authority=authority,
                kind="git_repository",
                name=_text(item, "name"),
                attributes={
                    "head": _maybe(item, "head"),
                    "default_branch": _maybe(item, "branch"),
                    "commits": _number(item, "commits"),
                    "references": _number(item, "references"),
                    "last_commit_at": _iso(_instant(item, "last_commit_at")),
                    "files_too_large": _number(item, "large"),
                },
            )
        case "exposure":
            yield _exposure(authority, item, finding.Found.of(Fields(item, "exposure", drift)))
        case "certificate":
            yield _certificate(authority, item)
        case "reference":
            yield from _dependency(authority, item)
        case _:
            raise DataError("an item of no known kind")


def location_of(path: str) -> str:
    """A path as the location of an exposure."""
    raw = path.encode("utf-8", "surrogatepass")
    if len(raw) <= MAX_LOCATION_BYTES:
        return path
    half = MAX_LOCATION_BYTES // 2 - 16
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return f"{raw[:half].decode('utf-8', 'ignore')}...{digest}...{raw[-half:].decode('utf-8', 'ignore')}"


def _exposure(authority: str, item: Mapping[str, Any], found: finding.Found) -> Exposure:
    path = _text(item, "path")
    in_head = item.get("in_head")
    if not isinstance(in_head, bool | None):
        raise DataError("an exposure without a state")
    return Exposure(
        authority=authority,
        location=location_of(path),
        **found.columns(),
        place=place_of(path),
        revision=_text(item, "revision"),
        occurrences=_number(item, "occurrences"),
        in_head=in_head,
        environment=environment_of_path(path),
        introduced_by=_maybe(item, "introduced_by"),
        introduced_at=_instant(item, "introduced_at"),
        removed_at=_instant(item, "removed_at"),
        attributes={
            "column": _number(item, "column"),
            "introduced_in": _text(item, "introduced_in"),
            "removed_in": _maybe(item, "removed_in"),
        },
    )


def _certificate(authority: str, item: Mapping[str, Any]) -> Credential:
    thumbprint, path = _text(item, "thumbprint"), _text(item, "path")
    return Credential(
        authority=authority,
        native_id=f"{location_of(path)}#{thumbprint}",
        type=CredentialType.CERTIFICATE,
        name=_maybe(item, "subject"),
        public_id=thumbprint,
        fingerprint=thumbprint,
        created_at=_instant(item, "not_before"),
        expires_at=_instant(item, "not_after"),
        stored_in=path,
        attributes={
            "issuer": _maybe(item, "issuer"),
            "serial": _maybe(item, "serial"),
            "algorithm": _maybe(item, "algorithm"),
            "key": _maybe(item, "key"),
        },
    )


def _dependency(authority: str, item: Mapping[str, Any]) -> Iterator[Dependency]:
    """Who deploys as whom, where the file names the identity by its exact id."""
    kind, name, tenant = _text(item, "kind"), _maybe(item, "name"), _maybe(item, "tenant")
    target: tuple[str, str, str] | None = None
    if kind == "aws_role" and name and name.startswith("arn:") and name.count(":") >= 5:
        target = ("identity", f"aws:{name.split(':')[4]}", name)
    elif kind == "azure_client" and name and tenant:
        target = ("identity", f"entra:{tenant.lower()}:appid", name.lower())
    elif kind == "gcp_service_account" and name:
        target = ("identity", "gcp", name)
    if target is None:
        return
    line = _number(item, "line")
    path = _text(item, "path")
    yield Dependency(
        authority=authority,
        consumer=f"{authority.removeprefix('git:').partition('/')[2]} {path}",
        consumer_kind="workflow",
        target=target,
        source="git.workflow",
        environment=_maybe(item, "environment"),
        evidence=f"line {line}",
        attributes={"job": _maybe(item, "job"), "line": line},
    )


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{key} is no text")
    return value


def _maybe(item: Mapping[str, Any], key: str) -> str | None:
    value = item.get(key)
    if value is None or isinstance(value, str):
        return value or None
    raise DataError(f"{key} is no text")


def _number(item: Mapping[str, Any], key: str) -> int:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise DataError(f"{key} is no count")
    return value


def _instant(item: Mapping[str, Any], key: str) -> datetime | None:
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{key} is no instant")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        raise DataError(f"{key} is beyond all calendars") from None


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
