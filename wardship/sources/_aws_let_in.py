"""Whom a call lets in, as CloudTrail's parameters and the policies in them say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wardship.sdk.fields import clean
from wardship.sdk.redact import without_queries

ANYBODY = {"*", "all", "0.0.0.0/0", "::/0", "AllUsers", "AuthenticatedUsers", "public-read", "public-read-write",
            "authenticated-read"}  # fmt: skip
_DOCUMENTS = (
    "assumeRolePolicyDocument",
    "policyDocument",
    "bucketPolicy",
    "policy",
    "resourcePolicy",
    "policyText",
    "Policy",
    "accessPolicies",
)
_GRANTEES = ("userId", "group", "URI", "ID", "organizationArn")
_MOST_NODES = 2_000


def text_of(value: Any) -> str | None:
    """What stands in the place of one text, addresses in it without their queries; a number or a flag as JSON writes
    it; None for "", for what is no text, and for a number of thousands of digits."""
    if isinstance(value, str):
        return without_queries(clean(value)) or None
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 10_000):
        return json.dumps(value)
    return None


def within(value: Any, *path: str) -> Any:
    """What stands at the path; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def let_in(parameters: Mapping[str, Any]) -> set[str]:
    """Accounts and principals that a change lets in; "*" and the like stand for anybody."""
    found: set[str] = set()
    for name in ("principal", "valuesToAdd", "organizationId"):
        found |= texts_of(parameters.get(name))
    found |= texts_of(parameters.get("x-amz-acl")) & ANYBODY  # the other words let nobody else in
    for document in [*(parameters.get(name) for name in _DOCUMENTS), within(parameters.get("attributes"), "Policy")]:
        found |= _principals(document)
    for name in ("createVolumePermission", "launchPermission"):
        found |= collected(within(parameters.get(name), "add"), _GRANTEES)
    grants = parameters.get("AccessControlPolicy")
    found |= collected(grants, _GRANTEES) - texts_of(within(grants, "Owner", "ID"))
    return {one.rpartition("/global/")[2][:200] for one in found}  # a group of S3's is a URL


def texts_of(value: Any) -> set[str]:
    return {text for one in (value if isinstance(value, list) else [value]) if (text := text_of(one))}


def _principals(document: Any) -> set[str]:
    """The principals of a policy's statements that allow; "*" only where no condition keeps it to known ones."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError):
            return set()
    statements = within(document, "Statement")
    found: set[str] = set()
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
            continue
        principal = statement.get("Principal")
        values = list(principal.values()) if isinstance(principal, dict) else [principal]
        named = {one for value in values for one in texts_of(value)}
        found |= named - {"*"} if _bounded(statement.get("Condition")) else named
    return found


_BOUNDS = {"aws:principalorgid", "aws:principalaccount", "aws:principalarn", "aws:sourceaccount", "aws:sourcearn",
           "aws:sourcevpc", "aws:sourcevpce", "aws:sourceip"}  # fmt: skip
_EQUAL = {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"}


def _bounded(condition: Any) -> bool:
    """Whether a statement's condition lets in only a named organisation, account, principal or network of its own, as
    S3 tells public policies from others. Conditions are joined by "and": one that binds is enough."""
    return isinstance(condition, dict) and any(
        str(key).lower() in _BOUNDS and not texts_of(value) & ANYBODY
        for operator in _EQUAL & condition.keys()
        if isinstance(condition[operator], dict)
        for key, value in condition[operator].items()
    )


def collected(value: Any, names: Sequence[str]) -> set[str]:
    """The texts under `names` wherever they stand below `value`."""
    found: set[str] = set()
    waiting, seen = [value], 0
    while waiting and seen < _MOST_NODES:
        one = waiting.pop()
        seen += 1
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            found |= {text for name in names if (text := text_of(one.get(name)))}
            waiting += [inner for inner in one.values() if isinstance(inner, dict | list)]
    return found
