"""Small readers of AWS answers: a field of the right type or a DataError, an instant, tags and what they declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wardship.model.errors import DataError
from wardship.model.identity import MAX_TEXT_CHARS
from wardship.model.owner import Owner, OwnerRole
from wardship.sdk.connector import DriftLog

# Tag keys (letters and digits only, lower case) that name somebody, and how far they can be believed as such.
_OWNER_TAGS: Mapping[str, tuple[OwnerRole, float]] = {
    "owner": (OwnerRole.TECHNICAL, 0.6),
    "owneremail": (OwnerRole.TECHNICAL, 0.7),
    "technicalowner": (OwnerRole.TECHNICAL, 0.7),
    "techowner": (OwnerRole.TECHNICAL, 0.7),
    "maintainer": (OwnerRole.TECHNICAL, 0.5),
    "team": (OwnerRole.TECHNICAL, 0.5),
    "squad": (OwnerRole.TECHNICAL, 0.5),
    "contact": (OwnerRole.TECHNICAL, 0.4),
    "contactemail": (OwnerRole.TECHNICAL, 0.5),
    "email": (OwnerRole.TECHNICAL, 0.4),
    "createdby": (OwnerRole.TECHNICAL, 0.2),
    "businessowner": (OwnerRole.BUSINESS, 0.7),
    "productowner": (OwnerRole.BUSINESS, 0.6),
}
_DECLARING_TAGS: Mapping[str, str] = {
    "environment": "environment",
    "env": "environment",
    "stage": "environment",
    "purpose": "purpose",
    "description": "purpose",
    "businessprocess": "business_process",
    "process": "business_process",
    "criticality": "criticality",
    "businesscriticality": "criticality",
    "application": "application",
    "app": "application",
    "applicationname": "application",
    "service": "application",
    "project": "application",
}
_CRITICALITIES = ("critical", "high", "medium", "low")


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """`value` as an object. Raises DataError."""
    if not isinstance(value, Mapping):
        raise DataError(f"{what} is not an object")
    return value


def entries(item: Mapping[str, Any], name: str) -> Sequence[Any]:
    """The list `item[name]`, empty when absent. Raises DataError when it is something else."""
    found = item.get(name)
    if found is None:
        return ()
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise DataError(f"{name} is not a list")
    return found


def required(item: Mapping[str, Any], name: str) -> str:
    """The text `item[name]`. Raises DataError when it is absent, empty or no text."""
    found = item.get(name)
    if not isinstance(found, str) or not found:
        raise DataError(f"{name} is missing or is no text")
    return found


def optional(item: Mapping[str, Any], name: str) -> str | None:
    """The text `item[name]` cut to 4,096 characters; None when absent. Raises DataError when it is no text."""
    found = item.get(name)
    if found is None or found == "":
        return None
    if not isinstance(found, str):
        raise DataError(f"{name} is no text")
    return found[:MAX_TEXT_CHARS]


def truth(item: Mapping[str, Any], name: str) -> bool | None:
    """The flag `item[name]`; None when it is absent or no flag."""
    found = item.get(name)
    return found if isinstance(found, bool) else None


def instant(item: Mapping[str, Any], name: str) -> datetime | None:
    """The instant `item[name]` in UTC: botocore's datetime, or ISO 8601 text of an export; None when absent.

    Raises DataError for anything else, and for an instant without a time zone.
    """
    found = item.get(name)
    if found is None or found == "":
        return None
    if isinstance(found, str):
        found = parse_instant(found, name)
    if not isinstance(found, datetime):
        raise DataError(f"{name} is no instant")
    if found.tzinfo is None:
        raise DataError(f"{name} has no time zone")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise DataError(f"{name} is out of range") from error


def parse_instant(text: str, name: str) -> datetime:
    """ISO 8601 text as an aware instant. Raises DataError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"{name} is no ISO 8601 instant") from error
    if found.tzinfo is None:
        raise DataError(f"{name} has no time zone")
    return found


def tags(item: Mapping[str, Any], name: str = "Tags") -> Mapping[str, str]:
    """Tags as a mapping, from AWS's list of Key and Value or from a plain object. Raises DataError."""
    found = item.get(name)
    if isinstance(found, Mapping):
        return {str(key): str(value) for key, value in found.items()}
    pairs = [mapping(entry, "a tag") for entry in entries(item, name)]
    return {required(pair, "Key"): str(pair.get("Value") or "") for pair in pairs}


def _plain(key: str) -> str:
    return "".join(character for character in key.lower() if character.isalnum())


def owner_hints(authority: str, identity: tuple[str, str], found: Mapping[str, str]) -> Iterable[Owner]:
    """Whom the tags name. A hint, to be resolved to a living person or team by others."""
    for key, value in sorted(found.items()):
        claim = value.strip()[:MAX_TEXT_CHARS]
        known = _OWNER_TAGS.get(_plain(key))
        if known is None or not claim:
            continue
        role, confidence = known
        yield Owner(
            authority=authority,
            identity=identity,
            claim=claim,
            source=f"aws.tag:{_plain(key)}",
            role=role,
            confidence=confidence,
            evidence=f"tag {key[:128]}",
        )


def declared(found: Mapping[str, str], drift: DriftLog) -> dict[str, str]:
    """What the tags declare: environment, purpose, business_process, criticality, application.

    A criticality that is none of ours is counted as drift and left out: its rank would be a guess.
    """
    result: dict[str, str] = {}
    for key, value in sorted(found.items()):
        meaning = _DECLARING_TAGS.get(_plain(key))
        text = value.strip()[:MAX_TEXT_CHARS]
        if meaning is None or not text or meaning in result:
            continue
        if meaning == "criticality":
            text = text.lower()
            if text not in _CRITICALITIES:
                drift.unknown_value("tag criticality", text)
                continue
        result[meaning] = text.lower() if meaning == "environment" else text
    return result
