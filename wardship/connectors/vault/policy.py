"""Policies: their text (HCL or JSON) as statements, and how much each of them can do.

Vault joins what all policies of a token say of a path; here every statement stays as it was written, with its globs
and templates, because that is what somebody has to change. The tier is the worst that any path it reaches gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wardship.model.access import Tier
from wardship.model.errors import DataError
from wardship.sdk.fields import clean

MAX_POLICY_CHARS = 1_000_000
_SEVERITY = (Tier.CONTROL_PLANE, Tier.WRITE, Tier.SENSITIVE_READ, Tier.READ, Tier.UNKNOWN)
_OLD_WORDS = {  # the `policy = "..."` form from before capabilities
    "deny": ("deny",),
    "read": ("list", "read"),
    "write": ("create", "delete", "list", "read", "update"),
    "sudo": ("create", "delete", "list", "read", "sudo", "update"),
}
_CONDITIONS = (
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
    "control_group",
    "expiration",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One `path` block. `condition`: canonical JSON of what narrows it, or None."""

    path: str
    capabilities: tuple[str, ...]
    condition: str | None

    @property
    def denies(self) -> bool:
        return "deny" in self.capabilities


def read_policy(text: str) -> list[Statement]:
    """The statements of a policy. Raises DataError when it cannot be read as HCL or JSON."""
    if len(text) > MAX_POLICY_CHARS:
        raise DataError(f"a policy of {len(text)} characters")
    try:
        blocks = _json_paths(json.loads(text)) if text.lstrip().startswith("{") else _hcl_paths(text)
        return [_statement(path, body) for path, body in blocks]
    except RecursionError:
        raise DataError("a policy nested too deep") from None
    except ValueError:  # json's own, and a number of more digits than Python takes
        raise DataError("a policy that is not JSON, or holds an improbable number") from None


def _statement(path: str, body: Mapping[str, Any]) -> Statement:
    given = body.get("capabilities")
    if given is None and "policy" in body:
        words: Sequence[Any] = _OLD_WORDS.get(str(body["policy"]), ())
    else:
        words = given if isinstance(given, list) else []
    if not all(isinstance(word, str) for word in words):
        raise DataError("a policy with capabilities that are no words")
    narrowed = {name: body[name] for name in _CONDITIONS if name in body}
    condition = json.dumps(narrowed, sort_keys=True, separators=(",", ":"), default=str) if narrowed else None
    capabilities = tuple(sorted({clean(word)[:32] for word in words}))
    return Statement(clean(path), capabilities, clean(condition) if condition else None)


def _json_paths(document: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = document.get("path") if isinstance(document, dict) else None
    for part in found if isinstance(found, list) else [found]:
        if part is None:
            continue
        if not isinstance(part, dict):
            raise DataError("a policy whose path is no object")
        for path, body in part.items():
            for one in body if isinstance(body, list) else [body]:
                if not isinstance(one, dict):
                    raise DataError("a policy whose path is no object")
                yield path, one


# ------------------------------------------------------------------ HCL, as far as policies use it

_TOKEN = re.compile(
    r'(?P<skip>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\\n]|\\.)*+")'
    r"|(?P<word>[A-Za-z_][\w.-]*)|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>[{}\[\],=:])"
    r"|<<-?(?P<mark>\w+)\n(?P<lines>.*?)\n[ \t]*(?P=mark)(?=\s|$)",
    re.DOTALL,
)


def _hcl_paths(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tokens = _Tokens(text)
    for name, labels, body in tokens.body(""):
        if name == "path" and isinstance(body, dict):
            if len(labels) != 1:
                raise DataError("a policy with a path block without a path")
            yield labels[0], body


class _Tokens:
    """Reads assignments and blocks; a string is ("string", text), everything else (kind, text)."""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text))
        self._at = 0

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise DataError(f"a policy that cannot be read at character {at}")
            at = found.end()
            if found["string"] is not None:
                yield "string", _unquoted(found["string"])
            elif found["mark"] is not None:
                yield "string", found["lines"]
            elif found["skip"] is None:
                kind = found.lastgroup or ""
                yield kind, found[kind]

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise DataError("a policy that ends in the middle")
        self._at += 1
        return self._tokens[self._at - 1]

    def _see(self) -> str:
        """The next sign; "" at the end and for anything that is no sign."""
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        return text if kind == "sign" else ""

    def body(self, end: str) -> list[tuple[str, list[str], Any]]:
        """(name, labels, value) up to the sign `end` ("" is the end of the text)."""
        found: list[tuple[str, list[str], Any]] = []
        while True:
            if self._see() == end and (end or self._at >= len(self._tokens)):
                self._at += bool(end)
                return found
            if self._see() == ",":
                self._at += 1
                continue
            kind, name = self._next()
            if kind not in ("word", "string"):
                raise DataError(f"a policy with {name[:20]!r} where a name belongs")
            labels: list[str] = []
            while self._at < len(self._tokens) and self._tokens[self._at][0] in ("string", "word"):
                labels.append(self._next()[1])
            if self._see() in ("=", ":"):
                self._at += 1
            found.append((name, labels, self._value()))

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "string":
            return text
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "word":
            return {"true": True, "false": False}.get(text, text)
        if text == "{":
            return {name: value for name, _labels, value in self.body("}")}
        if text == "[":
            values = []
            while self._see() != "]":
                if self._see() == ",":
                    self._at += 1
                    continue
                values.append(self._value())
            self._at += 1
            return values
        raise DataError(f"a policy with {text[:20]!r} where a value belongs")


def _unquoted(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), quoted[1:-1])


# ------------------------------------------------------------------ how much it can do

_CHANGE = frozenset(("create", "delete", "patch", "update"))
_READS = frozenset(("read",))
_SEES = frozenset(("list", "read", "recover", "scan", "subscribe"))
_ANY = _CHANGE | _SEES | {"sudo"}

Reach = tuple[str, frozenset[str], Tier]

# What the server itself offers, the same in every one. A pattern as in policies: + is one part, * at the end the rest.
_SERVER: Sequence[Reach] = (
    *((f"sys/{name}", _CHANGE, Tier.CONTROL_PLANE) for name in (
        "policies/*", "policy/*", "auth/*", "mounts/*", "remount*", "audit/*", "raw/*", "seal", "unseal", "step-down",
        "rekey*", "generate-root*", "namespaces/*", "plugins/*", "config/*", "replication/*", "storage/*", "rotate*",
        "mfa/*", "managed-keys/*", "sync/*", "control-group/*", "key*", "license*", "quotas/*", "managed*",
    )),
    ("sys/raw/*", _READS, Tier.CONTROL_PLANE),
    ("sys/storage/*", _READS, Tier.CONTROL_PLANE),  # a snapshot is the whole vault
    ("sys/leases/*", _CHANGE, Tier.WRITE),
    ("sys/revoke*", _CHANGE, Tier.WRITE),
    ("sys/*", _SEES, Tier.READ),
    ("auth/token/create", _CHANGE, Tier.WRITE),  # a child of itself, with no more than it has
    ("auth/token/create-orphan", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/token/create/+", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/token/roles/*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/token/revoke*", _CHANGE, Tier.WRITE),
    ("auth/token/renew*", _CHANGE, Tier.READ),
    ("auth/+/role/*", _CHANGE, Tier.CONTROL_PLANE),  # also a new secret-id: to become that role
    ("auth/+/roles/*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/+/users/*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/+/groups/*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/+/map/*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/+/certs/*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/+/config*", _CHANGE, Tier.CONTROL_PLANE),
    ("auth/*", _SEES, Tier.READ),
    ("identity/entity*", _CHANGE, Tier.CONTROL_PLANE),
    ("identity/group*", _CHANGE, Tier.CONTROL_PLANE),
    ("identity/alias*", _CHANGE, Tier.CONTROL_PLANE),
    ("identity/persona*", _CHANGE, Tier.CONTROL_PLANE),
    ("identity/oidc/*", _CHANGE, Tier.CONTROL_PLANE),
    ("identity/mfa/*", _CHANGE, Tier.CONTROL_PLANE),
    ("identity/*", _SEES, Tier.READ),
)  # fmt: skip

# What every token may do with itself, and nobody is harmed by.
_HARMLESS = (
    "auth/token/lookup*", "auth/token/renew-self", "auth/token/revoke-self", "cubbyhole/*", "identity/lookup/*",
    "sys/capabilities*", "sys/control-group/request", "sys/internal/*", "sys/leases/lookup*", "sys/leases/renew",
    "sys/renew*", "sys/tools/*", "sys/wrapping/*", "identity/oidc/provider/+/authorize", "sys/health", "sys/host-info",
)  # fmt: skip

# What an engine offers below its mount, by type. An engine that is not here: a read may be of a secret.
_ENGINE: Mapping[str, Sequence[Reach]] = {
    "kv1": (("*", _CHANGE, Tier.WRITE), ("*", _READS, Tier.SENSITIVE_READ), ("*", _SEES, Tier.READ)),
    "kv2": (
        ("data/*", _READS, Tier.SENSITIVE_READ),
        ("subkeys/*", _SEES, Tier.READ),
        ("metadata/*", _SEES, Tier.READ),
        ("*", _CHANGE, Tier.WRITE),
    ),
    "database": (
        ("creds/*", _READS, Tier.SENSITIVE_READ),
        ("static-creds/*", _READS, Tier.SENSITIVE_READ),
        ("config/*", _CHANGE, Tier.CONTROL_PLANE),
        ("roles/*", _CHANGE, Tier.CONTROL_PLANE),  # its statements run as the engine's own account
        ("static-roles/*", _CHANGE, Tier.CONTROL_PLANE),
        ("*", _CHANGE, Tier.WRITE),
        ("*", frozenset(("list",)), Tier.READ),
        ("config/*", _READS, Tier.READ),
        ("roles/*", _READS, Tier.READ),
        ("static-roles/*", _READS, Tier.READ),
    ),
    "pki": (
        ("root/*", _CHANGE, Tier.CONTROL_PLANE),
        ("issuer*", _CHANGE, Tier.CONTROL_PLANE),
        ("roles/*", _CHANGE, Tier.CONTROL_PLANE),
        ("config/*", _CHANGE, Tier.CONTROL_PLANE),
        ("sign-verbatim*", _CHANGE, Tier.CONTROL_PLANE),  # any name, whatever the roles allow
        ("sign-self-issued", _CHANGE, Tier.CONTROL_PLANE),
        ("*", _CHANGE, Tier.WRITE),
        ("*", _SEES, Tier.READ),
    ),
    "transit": (
        ("decrypt/*", _CHANGE, Tier.SENSITIVE_READ),
        ("export/*", _READS, Tier.SENSITIVE_READ),
        ("backup/*", _READS, Tier.SENSITIVE_READ),
        ("datakey/*", _CHANGE, Tier.SENSITIVE_READ),
        ("keys/*", _CHANGE, Tier.WRITE),
        ("restore*", _CHANGE, Tier.WRITE),
        ("encrypt/*", _CHANGE, Tier.READ),
        ("verify/*", _CHANGE, Tier.READ),
        ("*", _CHANGE, Tier.WRITE),
        ("*", _SEES, Tier.READ),
    ),
}
_OTHER: Sequence[Reach] = (
    ("config*", _READS, Tier.READ),
    ("roles/*", _READS, Tier.READ),
    ("config*", _CHANGE, Tier.CONTROL_PLANE),
    ("*", _CHANGE, Tier.WRITE),
    ("*", _READS, Tier.SENSITIVE_READ),
    ("*", frozenset(("list",)), Tier.READ),
)
_EVERYTHING = frozenset(("*", "+*", "+/*"))
_EVERY_VALUE = frozenset(("+/data/*",))


def tier_of(statement: Statement, engines: Mapping[str, str]) -> Tier:
    """The worst that the statement allows. `engines`: mount path ("secret/") -> type ("kv2"), of secret engines."""
    return _tier(statement.path, frozenset(statement.capabilities) & _ANY, tuple(sorted(engines.items())))


@lru_cache(maxsize=8_192)
def _tier(path: str, capabilities: frozenset[str], engines: tuple[tuple[str, str], ...]) -> Tier:
    pattern = re.sub(r"\{\{.*?\}\}", "+", path).strip("/") if "{{" in path else path
    if any(_covers(harmless, pattern) for harmless in _HARMLESS):
        return Tier.READ
    if "sudo" in capabilities and (capabilities & _CHANGE or pattern in _EVERYTHING):
        return Tier.CONTROL_PLANE
    found = set(_reached(_SERVER, "", pattern, capabilities))
    own = not pattern.startswith(("sys/", "auth/", "identity/", "cubbyhole/"))
    by_folder = re.match(r"\+/(?:data|metadata|destroy|delete|undelete|subkeys)/", pattern) is not None
    mounted = False
    for mount, kind in engines if own else ():
        if mount.startswith(("sys/", "identity/", "cubbyhole/")) or (by_folder and not kind.startswith("kv")):
            continue
        mounted = mounted or _meet(f"{mount}*", pattern)
        found.update(_reached(_ENGINE.get(kind, _OTHER), mount, pattern, capabilities))
    if own and not mounted:
        # A mount that is not there (yet), or whose list may not be read: judged as the engine that most of them are.
        known_folder = by_folder or re.match(r"[^*]*?/(?:data|metadata|destroy|delete|undelete|subkeys)/", pattern)
        below = re.sub(r"^.*?/(?=(?:data|metadata|destroy|delete|undelete|subkeys)/)", "", pattern)
        found.update(
            _reached(_ENGINE["kv2"], "", below, capabilities)
            if known_folder
            else _reached(_OTHER, "", pattern.partition("/")[2] or pattern, capabilities)
        )
    if not found and capabilities & _CHANGE:
        return Tier.WRITE if pattern.startswith(("sys/", "identity/")) else Tier.READ  # "auth/*/login" is open to all
    return next((tier for tier in _SEVERITY if tier in found), Tier.READ if capabilities else Tier.UNKNOWN)


def reaches_everything(statement: Statement) -> bool:
    """Whether it reaches every path, or every value of every key/value engine."""
    return statement.path in _EVERYTHING or statement.path in _EVERY_VALUE


def _reached(table: Sequence[Reach], mount: str, pattern: str, capabilities: frozenset[str]) -> Iterator[Tier]:
    """The tiers that `pattern` reaches, row after row: what a row covers wholly, later and wider rows do not judge."""
    left = capabilities
    for below, needs, tier in table:
        if needs & left and _meet(mount + below, pattern):
            yield tier
            if _covers(mount + below, pattern):
                left -= needs


def _covers(wide: str, narrow: str) -> bool:
    """Whether every path of `narrow` is one of `wide`."""
    return _walk(wide, narrow, both_ways=False)


def _meet(one: str, other: str) -> bool:
    """Whether some path belongs to both patterns."""
    return _walk(one, other, both_ways=True)


def _walk(one: str, other: str, *, both_ways: bool) -> bool:
    left, right = one.split("/"), other.split("/")
    for number in range(max(len(left), len(right))):
        a = left[number] if number < len(left) else None
        b = right[number] if number < len(right) else None
        if a is not None and a.endswith("*") and number == len(left) - 1:
            stem = a[:-1]
            if stem in ("", "+"):
                return b is not None or both_ways
            if b is None:
                return False
            if b.endswith("*") and number == len(right) - 1:
                return b.startswith(stem) or (both_ways and stem.startswith(b[:-1]))
            return b.startswith(stem) or (both_ways and b == "+")
        if b is not None and b.endswith("*") and number == len(right) - 1:
            return both_ways and a is not None and (a == "+" or b[:-1] in ("", "+") or a.startswith(b[:-1]))
        if a is None or b is None:
            return False
        if a not in (b, "+") and not (both_ways and b == "+"):
            return False
    return True
