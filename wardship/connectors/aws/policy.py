"""Reads IAM policy documents: what each statement says, and how much it can do. Pure: no network, no clock.

A statement is judged alone, as it is written. Whether another statement denies it, a boundary or an
organisation's policy cuts it, or a condition can ever be met is left to analysis: the deny is kept as a grant
of its own, the boundary as an attribute, the condition as text. What single actions amount to stands in
`wardship/data/aws_actions.toml`; an action in no list is judged by its verb.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from wardship.model.access import Tier
from wardship.model.errors import DataError

MAX_EXPRESSION_CHARS = 512
MAX_STATEMENTS = 1000

# The verbs that only look. Source: the "Read" and "List" access levels of the Service Authorization Reference.
_READ_VERBS = (
    "batchcheck", "batchdescribe", "batchget", "check", "count", "describe", "detect", "discover", "download",
    "estimate", "filter", "find", "get", "head", "is", "list", "lookup", "poll", "preview", "query", "read", "retrieve",
    "scan", "search", "select", "simulate", "test", "validate", "verify", "view",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement, normalised. `actions` are the patterns as written, sorted; with `inverted` they are what is left
    out (NotAction). `resources` likewise; empty means that the document names none."""

    sid: str | None
    effect: str  # "allow" or "deny"
    actions: tuple[str, ...]
    inverted: bool
    resources: tuple[str, ...]
    resources_inverted: bool
    condition: str | None  # canonical JSON text
    principal: Any = None  # as written: a trust policy's

    @property
    def permission(self) -> str:
        """The statement's own expression, shortened with a count and a hash when it is long."""
        return ("NotAction " if self.inverted else "") + shorten(self.actions)

    @property
    def resource(self) -> str | None:
        """What it applies to; None when it is every resource."""
        if not self.resources or (self.any_resource and not self.resources_inverted):
            return None
        return ("NotResource " if self.resources_inverted else "") + shorten(self.resources)

    @property
    def any_resource(self) -> bool:
        """Whether it reaches every resource of its services: `*`, nothing named, or everything but some."""
        return not self.resources or self.resources_inverted or "*" in self.resources

    @property
    def tier(self) -> Tier:
        """How much an allow can do; UNKNOWN for a deny, which gives nothing."""
        return _tier(self) if self.effect == "allow" else Tier.UNKNOWN


def shorten(parts: Sequence[str]) -> str:
    """`parts` joined by commas; beyond 512 characters the first ones, then how many and the hash of all."""
    text = ",".join(parts)
    if len(text) <= MAX_EXPRESSION_CHARS:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    head = text[: MAX_EXPRESSION_CHARS - 64].rpartition(",")[0] or text[: MAX_EXPRESSION_CHARS - 64]
    return f"{head},... ({len(parts)} in all, sha256 {digest})"


def canonical(value: Any) -> str:
    """JSON text that is the same for the same meaning: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def read_document(document: Any) -> tuple[Statement, ...]:
    """The statements of a policy: a mapping, JSON text, or JSON text in percent encoding (as IAM's API gives it).

    Raises DataError for what is no policy document.
    """
    if isinstance(document, str):
        text = unquote(document) if document.lstrip().startswith("%7B") else document
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError("a policy document that is not JSON") from error
    if not isinstance(document, Mapping):
        raise DataError("a policy document that is not an object")
    statements = document.get("Statement", ())
    if isinstance(statements, Mapping):
        statements = (statements,)
    if not isinstance(statements, Sequence) or isinstance(statements, str):
        raise DataError("a policy whose Statement is neither an object nor a list")
    if len(statements) > MAX_STATEMENTS:
        raise DataError(f"a policy of {len(statements)} statements (limit {MAX_STATEMENTS})")
    return tuple(_statement(one) for one in statements)


def _statement(raw: Any) -> Statement:
    if not isinstance(raw, Mapping):
        raise DataError("a policy statement that is not an object")
    effect = str(raw.get("Effect", "")).lower()
    if effect not in ("allow", "deny"):
        raise DataError("a policy statement that neither allows nor denies")
    inverted = "NotAction" in raw
    actions = _texts(raw.get("NotAction") if inverted else raw.get("Action"), "Action")
    if not actions:
        raise DataError("a policy statement without an action")
    not_resource = "NotResource" in raw
    condition = raw.get("Condition") or None
    if condition is not None and not isinstance(condition, Mapping):
        raise DataError("a policy statement whose Condition is not an object")
    return Statement(
        sid=str(raw["Sid"]) if raw.get("Sid") else None,
        effect=effect,
        actions=actions,
        inverted=inverted,
        resources=_texts(raw.get("NotResource") if not_resource else raw.get("Resource"), "Resource"),
        resources_inverted=not_resource,
        condition=None if condition is None else canonical(condition),
        principal=raw.get("Principal", "*" if "NotPrincipal" in raw else None),
    )


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        return tuple(sorted(set(value)))
    raise DataError(f"a policy statement whose {where} is neither a text nor a list of texts")


# ------------------------------------------------------------------ what actions amount to


@cache
def facts() -> Mapping[str, frozenset[str]]:
    """The lists of `aws_actions.toml`: class -> actions in lower case."""
    text = (files("wardship") / "data" / "aws_actions.toml").read_text(encoding="utf-8")
    return {name: frozenset(map(str.lower, table["actions"])) for name, table in tomllib.loads(text).items()}


@cache
def _known() -> Mapping[str, tuple[str, ...]]:
    """Every listed action by its service: patterns nearly always name one, so few need to be looked at."""
    found: dict[str, set[str]] = {}
    for actions in facts().values():
        for action in actions:
            found.setdefault(action.partition(":")[0], set()).add(action)
    return {service: tuple(sorted(actions)) for service, actions in found.items()}


@lru_cache(maxsize=65536)
def matches(pattern: str) -> frozenset[str]:
    """The listed actions that an action pattern of a policy names. `*` and `?` as IAM has them; case does not count."""
    pattern = pattern.lower()
    service = pattern.partition(":")[0]
    if "*" not in pattern and "?" not in pattern:
        return frozenset((pattern,)) & frozenset(_known().get(service, ()))
    wild = "*" in service or "?" in service
    candidates: Iterable[str] = (a for group in _known().values() for a in group) if wild else _known().get(service, ())
    return frozenset(action for action in candidates if glob(pattern, action))


def glob(pattern: str, text: str) -> bool:
    """Whether `text` matches `pattern` (`*` any run, `?` one character).

    Two pointers, not a regular expression: a hostile pattern of a hundred stars costs |pattern| x |text| at most.
    """
    at = expected = mark = 0
    star = -1  # where the last `*` stood, to return to with a longer run
    while at < len(text):
        if expected < len(pattern) and pattern[expected] != "*" and pattern[expected] in ("?", text[at]):
            at, expected = at + 1, expected + 1
        elif expected < len(pattern) and pattern[expected] == "*":
            star, mark = expected, at
            expected += 1
        elif star >= 0:
            mark += 1
            at, expected = mark, star + 1
        else:
            return False
    return all(rest == "*" for rest in pattern[expected:])


def listed_actions(statement: Statement) -> frozenset[str]:
    """The listed actions that the statement names; for NotAction all the others."""
    named = frozenset().union(*map(matches, statement.actions))
    if not statement.inverted:
        return named
    return frozenset(action for group in _known().values() for action in group) - named


@lru_cache(maxsize=65536)
def only_reads(pattern: str) -> bool:
    """Whether everything that the pattern can match looks and changes nothing, by its verb."""
    pattern = pattern.lower()
    if pattern in facts()["data"] or (pattern in facts()["credentials"] and pattern not in facts()["exposure"]):
        return True
    name = re.split(r"[*?]", pattern.partition(":")[2], maxsplit=1)[0]
    return name.startswith(_READ_VERBS)


def _tier(statement: Statement) -> Tier:
    listed = listed_actions(statement)
    strong = listed & (facts()["escalation"] | facts()["takeover"])
    if _own_user_only(statement):
        strong = frozenset()
    elif not _reaches_many(statement):
        strong -= facts()["narrowed"]
    if strong:
        return Tier.CONTROL_PLANE
    if statement.inverted or not all(map(only_reads, statement.actions)) or listed & facts()["narrowed"]:
        return Tier.WRITE
    if listed & (facts()["data"] | facts()["credentials"]):
        return Tier.SENSITIVE_READ
    return Tier.READ


def _own_user_only(statement: Statement) -> bool:
    """Managing one's own keys and password (`user/${aws:username}`) makes nobody stronger."""
    return (
        bool(statement.resources)
        and not statement.resources_inverted
        and all("${aws:username}" in resource.lower() for resource in statement.resources)
    )


def _reaches_many(statement: Statement) -> bool:
    """Whether the resource leaves open whom it names: `*`, `arn:aws:iam::*:role/*`, `.../instance/*`."""
    return statement.any_resource or any(one.endswith((":*", "/*")) for one in statement.resources)


def risk_flags(document: Any) -> Mapping[str, bool]:
    """Four questions about a whole document, resources and conditions left aside (as other scanners ask them):

    privesc (escalation, delegation or takeover is allowed), credentials_exposure, data_access, resource_exposure.
    A deny of every resource without a condition takes its actions away. Raises DataError as `read_document`.
    """
    allowed: set[str] = set()
    denied: set[str] = set()
    for statement in read_document(document):
        if statement.effect == "allow":
            allowed |= listed_actions(statement)
        elif statement.any_resource and not statement.resources_inverted and statement.condition is None:
            denied |= listed_actions(statement)
    left = allowed - denied
    lists = facts()
    return {
        "privesc": bool(left & (lists["escalation"] | lists["delegation"] | lists["takeover"])),
        "credentials_exposure": bool(left & lists["credentials"]),
        "data_access": bool(left & lists["data"]),
        "resource_exposure": bool(left & lists["exposure"]),
    }


# ------------------------------------------------------------------ who a trust policy lets in


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """One principal of a trust policy: kind is "AWS", "Service", "Federated", "CanonicalUser" or a new word."""

    kind: str
    name: str
    statement: Statement


def trusted_principals(document: Any) -> Iterator[Trusted]:
    """Everybody whom the trust policy names, per statement. Raises DataError as `read_document`."""
    for statement in read_document(document):
        principal = statement.principal
        if principal is None:
            continue
        if isinstance(principal, str):
            principal = {"AWS": principal}
        if not isinstance(principal, Mapping):
            raise DataError("a trust policy whose Principal is neither a text nor an object")
        for kind, names in principal.items():
            for name in _texts(names, "Principal"):
                yield Trusted(kind=str(kind), name=name, statement=statement)
