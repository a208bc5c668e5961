"""What a candidate looks like, as numbers: its value, its name, how it stands in the text, what kind of file it is.

The order of `FEATURES` is the order of the vector; the weights were trained for it (`scorer`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath

from wardship.secrets.candidates import Candidate
from wardship.secrets.checks import decoded_password

_CODE = frozenset(
    "py pyi js jsx ts tsx mjs go java kt kts rb rs c h cc cpp hpp cs php swift scala groovy gradle pl lua ex exs erl "
    "clj m".split()
)
_DATA = frozenset("json yml yaml xml tfstate tfvars jsonl har plist".split())
_SETTINGS = frozenset(
    "env ini cfg conf properties toml config tf hcl rc sample example dist local production test".split()
)
_PROSE = frozenset("md rst txt adoc html htm erb ipynb tex org".split())
_LOCKS = frozenset("package-lock.json npm-shrinkwrap.json pnpm-lock.yaml go.sum".split())  # digests of what is fetched
_SHELL = frozenset("sh bash zsh ps1 bat cmd dockerfile makefile mk".split())
_TEST = re.compile(
    r"(?i)(?:^|[/_.\-])(?:tests?|specs?|fixtures?|mocks?|examples?|samples?|docs?|demo|testdata)(?:[/_.\-]|$)"
)

_PLACEHOLDER = re.compile(
    r"(?i)example|sample|dummy|fake|placeholder|change.?me|your|insert|replace|redacted|removed|hidden|masked|x{3,}|\*{3,}|\.{3}"
    r"|<[^>]*>|test|foo|bar\b|default|none|null|undefined|true|false|here|todo|secret|token|passw|value|string|invalid|wrong|bad|some|my"
)
_STRICT_PLACEHOLDER = re.compile(
    r"(?i)^(?:x+|\*+|\.+|-+|_+|0+|#+|\?+)$|change.?me|your[_\- ]|placeholder|redacted|example|<[^>]+>|\.\.\.$|xxxx"
    r"|\*\*\*|dummy|insert.?|replace.?(?:me|with)"
)
_TEMPLATE = re.compile(r"\$\{|\$\(|\{\{|\}\}|<%|%>|#\{|\$[A-Za-z_]|^%[a-z(]|\{[a-z_.]*\}|\(\(|\[\[|^@")
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z_]*\Z")
_DOTTED = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|->|::)[A-Za-z_$][\w$]*)+(?:\(.*)?\Z")
_CALL = re.compile(r"[\w.$]+[(\[]")
_UPPER_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
_SNAKE = re.compile(r"[a-z]+(?:[_\-][a-z0-9]+)+\Z")
_CAMEL = re.compile(r"[a-z]+(?:[A-Z][a-z]+)+\Z|(?:[A-Z][a-z]+){2,}\Z")
_LETTERS = re.compile(r"[A-Za-z]{4,}")
_HEX = re.compile(r"(?i)[0-9a-f]{8,}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{12,}={0,2}\Z")
_NUMBER = re.compile(r"[\d.,:\-+]+\Z")
_PATH = re.compile(
    r"(?:\.{0,2}/|~/|[A-Z]:\\|file:)|\.(?:json|pem|key|txt|ya?ml|py|js|go|java|rb|html?|xml|crt|conf)\Z|(?:/[\w.\-]+){2,}"
)
_URL = re.compile(r"(?i)[a-z][a-z0-9+.\-]*://|\bwww\.|\w\.(?:com|org|net|io)\b")
UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_RUN = "0123456789abcdefghijklmnopqrstuvwxyz"
_KEYBOARD = ("qwerty", "asdfgh", "zxcvbn", "qwertz", "123456", "654321", "abcdef", "fedcba")

_NAMES: dict[str, re.Pattern[str]] = {
    "pass": re.compile(r"(?i)pass|pwd|psw"),
    "secret": re.compile(r"(?i)secret"),
    "token": re.compile(r"(?i)token"),
    "key": re.compile(r"(?i)key"),
    "api": re.compile(r"(?i)api"),
    "auth": re.compile(r"(?i)auth"),
    "cred": re.compile(r"(?i)cred"),
    "nonce": re.compile(r"(?i)nonce|salt"),
    "hash": re.compile(r"(?i)hash|checksum|digest|sha\d|md5|integrity|fingerprint|commit|etag"),
    "public": re.compile(r"(?i)pub"),
    "id": re.compile(r"(?i)(?:_id|Id|ID|\.id|-id)\b|^id"),
    "scheme": re.compile(r"(?i)bearer|basic|ntlm"),
    "about": re.compile(
        r"(?i)name|type|url|uri|path|file|dir|len|size|count|expir|valid|field|label|title|prefix|suffix|policy|endpoint"
        r"|method|version|class|format|text|help|message|error|scope|host|port|ttl|param|header|attr|column|role|user"
        r"|author|word_|reset|config"
    ),
    "crypto": re.compile(
        r"(?i)private|signing|encrypt|master|access|client|consumer|refresh|admin|root|db|database|aws"
    ),
}
_KEYWORD_END = re.compile(r"(?i)(?:pass(?:w(?:or)?d|phrase)?|pwd|secret|token|key|auth|nonce|credentials?|value)\d*\Z")
_FORMS = ("assign", "call", "pair", "element", "url", "user", "space", "list", "compare")
_ENVIRONMENT_READ = re.compile(r"(?i)getenv|environ|env\b|ENV\[|config\.get|lookup|vault|fetch|find|get")


@dataclass(frozen=True, slots=True)
class Place:
    """What the path says of a file."""

    name: str
    kind: str  # "code", "data", "settings", "prose", "shell", "lock" or ""
    test: bool

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, path: str) -> Place:
        name = PurePosixPath(path.replace("\\", "/")).name.lower()
        ending = name.rpartition(".")[2] if "." in name else name
        kinds = {"code": _CODE, "data": _DATA, "settings": _SETTINGS, "prose": _PROSE, "shell": _SHELL}
        kind = next((kind for kind, endings in kinds.items() if ending in endings), "")
        if name.startswith(".env"):
            kind = "settings"
        if name in _LOCKS or ending == "lock":
            kind = "lock"
        return cls(name, kind, bool(_TEST.search(path)))


def features(one: Candidate, text: str, place: Place, rarity: Callable[[str], float]) -> list[float]:
    """The vector of a candidate in its piece; `rarity` says how unlike words a text is (`scorer`)."""
    value = text[one.begin : one.end]
    core = decoded_password(value) if place_is_basic(one) else value
    core = core or value
    length = len(core)
    counts = Counter(core)
    digits = sum(map(str.isdigit, core))
    upper = sum(map(str.isupper, core))
    lower = sum(map(str.islower, core))
    letters = upper + lower
    kinds = "".join("d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "s" for c in core[:64])
    after = text[one.end + len(one.quote) : one.end + len(one.quote) + 3]
    line_head = text[max(0, one.before - 160) : one.before].lstrip()
    name = one.name
    bare = not one.quote
    folded = core.lower()
    words = [rarity(word) for word in _LETTERS.findall(core)[:8]]
    vector = [
        math.log2(length + 1),
        entropy(counts, length),
        len(counts) / max(1, length),
        digits / max(1, length),
        upper / max(1, length),
        lower / max(1, length),
        (length - digits - letters) / max(1, length),
        sum(a != b for a, b in pairwise(kinds)) / max(1, len(kinds)),
        rarity(core),
        max(words, default=0.0),
        min(words, default=0.0),
        len(_PLACEHOLDER.findall(core)),
        float(bool(_STRICT_PLACEHOLDER.search(core))),
        float(bool(_TEMPLATE.search(core))),
        float(bool(_IDENTIFIER.match(core))),
        float(bool(_DOTTED.match(core))),
        float(bool(_CALL.search(core))),
        float(bool(_UPPER_NAME.match(core))),
        float(bool(_SNAKE.match(core))),
        float(bool(_CAMEL.match(core))),
        float(bool(_HEX.match(core))) + (length in (32, 40, 64, 128) and bool(_HEX.match(core))),
        float(bool(_BASE64.match(core)) and digits > 0 and upper > 0 and lower > 0),
        float(bool(_NUMBER.match(core))),
        float(bool(_PATH.search(core))),
        float(bool(_URL.search(core))),
        float(bool(UUID.search(core))),
        longest_run(folded) / max(1, length),
        max(counts.values(), default=0) / max(1, length),
        float(any(row in folded for row in _KEYBOARD)),
        core.count(" "),
        float(folded in name.lower() or name.lower() in folded),
        float(core[:1] in "/<$%{[(&*#:"),
        float(place_is_basic(one) and core is not value),
        min(64, len(name)),
        *_of_name(name),
        *(float(one.form == form) for form in _FORMS),
        float(one.separator == "="),
        float(one.separator == ":"),
        float(bool(one.wrap)),
        float(bool(_ENVIRONMENT_READ.search(one.wrap))),
        float(bare),
        float(bare and place.kind == "code"),
        float("\\" in one.quote),
        float(one.quote == "`"),
        one.index,
        *(float(place.kind == kind) for kind in ("code", "data", "settings", "prose", "shell")),
        float(place.test),
        float(after[:1] in "([.+" and after != ""),
        float(line_head.startswith(("#", "//", "*", "--", ";", "<!--"))),
        math.log2(len(text) + 1),
        one.before == len(text) - len(text.lstrip()),
    ]
    return [float(each) for each in vector]


@lru_cache(maxsize=4096)
def _of_name(name: str) -> tuple[float, ...]:
    return (
        *(float(bool(pattern.search(name))) for pattern in _NAMES.values()),
        float(bool(_KEYWORD_END.search(name))),
        float(bool(_UPPER_NAME.match(name)) or name.isupper()),
        float("." in name),
    )


def place_is_basic(one: Candidate) -> bool:
    return one.name.lower().endswith(("basic", "auth"))


def entropy(counts: Counter[str], length: int) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / length * math.log2(n / length) for n in counts.values()) if length else 0.0


def longest_run(folded: str) -> int:
    """The longest stretch that counts up or down or repeats: "1234", "dcba", "aaaa"."""
    best = here = 1
    step = 0
    for one, two in pairwise(folded):
        delta = ord(two) - ord(one) if one.isalnum() and two.isalnum() else 99
        if delta in (-1, 0, 1) and (here == 1 or delta == step):
            here, step = here + 1, delta
        else:
            here, step = (2, delta) if delta in (-1, 0, 1) else (1, 0)
        best = max(best, here)
    return best
