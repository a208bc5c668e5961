"""Takes secrets out of whatever leaves the program sideways: logs, quarantine, drift and bug reports.

Three ways of knowing a secret: the name of its key, the form that vendors give their tokens, and a run of characters
too random to be anything else, also inside base64, hex, percent and UTF-16 spelling. It masks too much rather than too
little; ids survive (UUIDs, account numbers, digests in hex). A short password in free text without a name beside it
cannot be known and is not: that is why secrets travel as `Secret`. Every pattern runs in linear time, sizes are capped.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote

from wardship.model.secret import Secret

MASK = "***"
MAX_CHARS = 16_384  # of one text; the rest is cut
MAX_DEPTH = 12
MAX_ITEMS = 500  # of one container; the rest is counted

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    "password passwd pwd passphrase secret secrets token tokens authorization cookie cookies assertion apikey "
    "credential credentials pin otp pepper signature sig dsn contrasena".split()
)
_SECRET_PAIRS = frozenset(
    (("api", "key"), ("private", "key"), ("access", "key"), ("secret", "key"), ("account", "key"), ("shared", "key"),
     ("master", "key"), ("encryption", "key"), ("connection", "string"), ("auth", "header"), ("x", "key"))
)  # fmt: skip
_ABOUT = frozenset(  # a name that ends so says something about the secret and is not the secret
    "id ids uid type types name names count counts at on date days age hash fingerprint thumbprint state status "
    "enabled length lifetime expires expiry expiration created used rotated rotation kind source max min limit limits "
    "policy url uri scope scopes usage version versions".split()
)
_EXCEPTIONS = frozenset(("secretid",))  # Vault's AppRole: an "id" that is the secret

_PREFIXES = (
    "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- glsa_ glc_ xoxa- xoxb- xoxp- xoxr- xoxs- xoxe. xoxe- "
    "xapp- sk-ant- sk-proj- sk-svcacct- sk-admin- sk_live_ sk_test_ rk_live_ rk_test_ whsec_ SG. AIza ya29. GOCSPX- "
    "hvs. hvb. hvr. dp.st. dp.pt. dp.sa. dp.ct. dp.scim. npm_ pypi- shpat_ shpss_ shpca_ sq0csp- sq0atp- EAAC key- "
    "dckr_pat_ ATATT3 ATBB ATCTT3 NRAK- NRII- lin_api_ ops_ dapi dop_v1_ doo_v1_ wsh_ wardship_ rubygems_ PMAK- figd_ "
    "pul- secret_ ntn_ tfp_ HRKU- FlyV1 sntrys_ v1.0- cfut_ r8_ hf_ gsk_ xai- pat-na1- AGE-SECRET-KEY-1"
)
_TOKEN_CHARS = r"[A-Za-z0-9_.~+/=-]"  # noqa: S105 - characters, not a token
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)", re.DOTALL
)
_VENDOR = re.compile(
    rf"(?<![A-Za-z0-9])(?:{'|'.join(re.escape(p) for p in _PREFIXES.split())}){_TOKEN_CHARS}{{10,2048}}+"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,8192}+(?:\.[A-Za-z0-9_-]{0,8192}+){0,4}"  # JWT, JWE
    r"|(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,37}"  # Entra client secret
    r"|(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![0-9a-f])"  # Twilio
    r"|https://hooks\.slack\.com/(?:services|workflows)/[\w/-]{8,200}+"
    r"|https://[\w.-]{1,100}\.webhook\.office\.com/[\w/@-]{8,400}+"
)
_SCHEME = re.compile(
    rf"(?i)\b(bearer|basic|negotiate|apikey|ssws|sharedaccesssignature)\s{{1,4}}{_TOKEN_CHARS}{{6,8192}}+"
)
_USERINFO = re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{1,20}://)[^\s/@:]{0,256}:[^\s/@]{1,256}@")
_NAMED = re.compile(
    r"(?i)((?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|account[_-]?key"
    r"|sharedaccesskey|private[_-]?key|authorization|assertion|signature|sig|cookie|credential)"
    r"[\w.-]{0,24}[\\\"']{0,4}\s{0,3}[:=]\s{0,3}(?:b?[\\\"']{1,4})?)(?!\*\*\*|\\)([^\s\"'&;,<>(){}\[\]]{3,4096}+)"
)
_RUN = re.compile(r"[A-Za-z0-9+/_-]{24,}+={0,2}")
_PERCENT_RUN = re.compile(r"[\w.~!$'()*+,;=:@/?&-]*+(?:%[0-9A-Fa-f]{2}[\w.~!$'()*+,;=:@/?&-]*+)+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LOGIN_IN_ADDRESS = re.compile(r"://[^\s/?#@\"'<>]{1,512}+@")
_REST = r"(?:[^\s\"'<>\\]|\\(?![\"']))*+"  # of an address, also where a text of JSON holds it
_AFTER_ADDRESS = re.compile(rf"(://[^\s?#\"'<>\\]*+)[?#]{_REST}")
_AFTER_PATH = re.compile(rf"\?[^\s\"'<>\\=?]*+={_REST}")


def redact(value: Any, *, key: str = "") -> Any:
    """`value` without secrets, as plain dicts, lists and scalars; `key` is the name under which it stands, if any."""
    return _redact(value, key, 0)


def _redact(value: Any, key: str, depth: int) -> Any:
    if isinstance(value, Secret):
        return MASK
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(key) and value not in ("", MASK):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= MAX_DEPTH:
        return "<deeper>"
    if isinstance(value, Mapping):
        out = {}
        for number, (name, inner) in enumerate(value.items()):
            if number >= MAX_ITEMS:
                out["..."] = f"{len(value) - MAX_ITEMS} more"
                break
            out[redact_text(str(name))] = _redact(inner, str(name), depth + 1)
        return out
    if isinstance(value, list | tuple | set | frozenset):
        items: Iterable[Any] = value
        kept = [_redact(inner, key, depth + 1) for _, inner in zip(range(MAX_ITEMS), items, strict=False)]
        return [*kept, f"{len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else kept
    return redact_text(repr(value))


def is_secret_name(name: str) -> bool:
    """Whether a value under this name is a secret: `clientSecret`, `X-Api-Key`; not `secret_id_count`, `tokenType`."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if not words:
        return False
    if "".join(words[-2:]) in _EXCEPTIONS:
        return True
    if words[-1] in _ABOUT:
        return False
    return any(word in _SECRET_WORDS for word in words) or any(
        pair in _SECRET_PAIRS for pair in itertools.pairwise(words)
    )


def redact_text(text: str) -> str:
    """`text` with every recognised secret replaced by `***`, cut at MAX_CHARS."""
    cut = f"... ({len(text) - MAX_CHARS} more characters)" if len(text) > MAX_CHARS else ""
    kept = text[:MAX_CHARS]
    if "\x00" in kept:  # UTF-16 read as something else; what is no secret is left readable
        kept = kept.replace("\x00", "")
    return _spelt_out(_plain(kept)) + cut


def without_queries(text: str) -> str:
    """`text` with every address in it cut down to its place: login, query and fragment carry tokens and signatures.

    Of a path alone ("/orders?key=...") what follows the question mark goes too. Cheap where there is none.
    """
    if "://" in text:
        text = _AFTER_ADDRESS.sub(r"\1", _LOGIN_IN_ADDRESS.sub("://", text))
    return _AFTER_PATH.sub("", text) if "?" in text else text


def mask_tokens(text: str) -> str:
    """`text` with the tokens masked that are known by their vendor's form: those that stand in a path, for instance."""
    return _VENDOR.sub(MASK, text)


def mask_told(text: str) -> str:
    """`text` with what is said to be a secret masked: by a name beside it, a scheme, or its vendor's form. What only
    looks random stays: names of programs do."""
    text = _PEM.sub(MASK, text)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _VENDOR.sub(MASK, text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    return _NAMED.sub(rf"\1{MASK}", text)


def _plain(text: str) -> str:
    return _RUN.sub(_masked_run, mask_told(text))


def _spelt_out(text: str) -> str:
    return _PERCENT_RUN.sub(_masked_percent, text) if "%" in text else text


def _masked_percent(found: re.Match[str]) -> str:
    plain = unquote(found[0])
    return found[0] if _plain(plain) == plain else MASK


def _masked_run(found: re.Match[str]) -> str:
    run = found[0]
    if _UUID.fullmatch(run):
        return run
    bare = run.replace("-", "").replace("_", "")
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", bare):
        return MASK if _hides_text(bare, bytes.fromhex if len(bare) % 2 == 0 else None) else run
    if _hides_text(run, _unbase64) or _is_random(run):
        return MASK
    return run


def _unbase64(run: str) -> bytes:
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(body[: len(body) // 4 * 4], validate=True)


def _hides_text(run: str, decode: Any) -> bool:
    """Whether the decoded bytes read as text: digests and keys do not, spelt-out tokens do."""
    if decode is None:
        return False
    try:
        inner = decode(run).replace(b"\x00", b"")
    except (ValueError, binascii.Error):
        return False
    return (
        len(inner) >= 10
        and all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in inner)
        and re.search(rb"[A-Za-z]", inner) is not None
    )


def _is_random(run: str) -> bool:
    """Long runs that change between upper case, lower case and digits more often than words and names do."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "o" for c in run]
    if len({kind for kind in kinds if kind != "o"}) < 3:
        return False
    changes = sum(1 for left, right in itertools.pairwise(kinds) if left != right)
    return changes >= len(run) // 4


def shape(value: Any) -> Any:
    """The types of a value and nothing of its content: {"id": "uuid", "tags": ["str"]}. For bug reports."""
    return _shape(value, 0)


# A name that a vendor chose; an e-mail address, a host or an id as a key is content.
_FIELD = re.compile(r"[A-Za-z]{0,40}@(?:odata|microsoft\.graph)\.[A-Za-z.]{1,40}|[A-Za-z_$][A-Za-z_$]{0,63}")
_FORMATS = (
    (_UUID, "uuid"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "instant"),
    (re.compile(r"https?://.{0,2048}"), "url"),
    (re.compile(r"-?\d{1,30}"), "digits"),
)


def _shape(value: Any, depth: int) -> Any:
    if value is None:
        return "null"
    if isinstance(value, str):
        return next((name for pattern, name in _FORMATS if len(value) < 2100 and pattern.fullmatch(value)), "str")
    if isinstance(value, Mapping):
        if depth >= MAX_DEPTH:
            return "object"
        fields: dict[str, Any] = {}
        for name, inner in list(value.items())[:100]:
            known = isinstance(name, str) and _FIELD.fullmatch(name) is not None and redact_text(name) == name
            fields[name if known else "<key>"] = _shape(inner, depth + 1)
        return fields
    if isinstance(value, list | tuple):
        if depth >= MAX_DEPTH:
            return "list"
        kinds: list[Any] = []
        for inner in value[:50]:
            kind = _shape(inner, depth + 1)
            if kind not in kinds:
                kinds.append(kind)
        return kinds
    return type(value).__name__
