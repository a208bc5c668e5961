"""Where a name that speaks of secrets is given a value, in any syntax: code, configuration, markup, commands, headers.

A candidate is only a place to judge (`features`, `scorer`): most are no secrets. Everything works on one piece of a
line, with bounded repeats, so no text can make it slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wardship.model.access import CredentialType
from wardship.secrets.checks import decoded_password, stands_for_a_value

WORDS = (
    r"(?<!com)(?<!by)pass(?!ed|ing|iv|eng|age|port|es\b|thr)(?:w(?:or)?d|phrase|code|wrd)?|pwd|psw|secret(?!ar)|token(?!iz)|apikey"
    r"|(?<!mon)(?<!tur)key(?!board|word|note|frame|press|down|up\b|stroke|pad)|auth(?!or(?!i)|en(?!t))|(?<!in)(?<!sa)cred(?!it|o)"
    r"|nonce|salt|bearer|basic|ntlm|identified|verifier|cookie|session|hash|login|license"
)
_WORD = re.compile(WORDS)  # in the folded text: several times faster than a search without regard to case
_SEARCHED = "(?i:pass|pwd|psw|secret|token|key|auth|cred|nonce|salt|verifier|cookie|session|identified|hash)"
SEARCHES = (
    rf"{_SEARCHED}[^\n\"'`]{{0,40}}[\"'`\\)\]}} ]{{0,4}}[=:,(> ]{{1,4}}[^\n\"'`]{{0,30}}[\"'`](?:[^\s\"'`]{{4}}|\{{)",
    (
        rf"{_SEARCHED}[\w.\-]{{0,24}}[\"'`\\)\]}}*]{{0,4}}[ \t]{{0,4}}(?:=|:|=>|%3D)[ \t]{{0,4}}"
        r"[^\s\"'`,;(){}\[\]<>|&]{4}"
    ),
    rf"{_SEARCHED}[\w.\-]{{0,24}}>[^<\n]{{3}}",
    r"(?i:bearer|basic|ntlm|token)[ :]{1,3}[A-Za-z0-9+/=._\-]{6}",
    r"(?i:login [^\s]{1,80} password)[ \t]{1,8}[^\s]{3}",
    r"(?i:-[\w\-]{0,20}(?:pass|pwd|secret|token|key))[\w\-]{0,12}[ \t]{1,4}[^\s\-]{4}",
    r"://[^\s:/@\"'<>]{0,100}:[^\s/@\"'<>]{1,200}@",
    r"[ \t](?:-u|--user|--proxy-user)[ =]{0,2}[\"']?[\w.@+\-]{1,80}:[^\s\"']",
)
"""What every candidate's line matches, for the prefilter."""

_LEFT = re.compile(r"[\w.\-$@]{0,64}\Z")
_RIGHT = re.compile(r"[\w\-.]{0,48}")
_AFTER = re.compile(
    r"""(?P<close>(?:\\{0,4}["'`]|[\])}*?!])*)
        (?P<type>(?::[ ]?|[ ])&?[\w.\[\]<>?*]{1,30}[ ]{0,4}(?==[^=>]))?
        [ \t]{0,12}
        (?P<sep>=>|:=|\?=|\+=|={1,3}|!={1,2}|::?|->|<-|\(|,|>|(?<=[ \t])|%3[dD])
        [ \t]{0,12}
        (?P<wrap>(?:(?:new[ ])?[\w.:]{1,40}!?[(\[][ ]{0,2}){0,2})
        (?P<prefix>[bBuUrRfFL@$]{0,2})
        (?P<quote>\\{0,4}(?:\"{3}|'{3}|["'`]))?""",
    re.VERBOSE,
)
_BARE = re.compile(r"[^\s\"'`<>,;(){}\[\]|&\\]{1,400}")
_BARE_TO_SPACE = re.compile(r"[^\s\"'`]{1,400}")
_ELEMENT = re.compile(r"[^<>\n]{1,400}(?=</)")
_URL = re.compile(
    r"(?i)\b([a-z][a-z0-9+.\-]{1,30}):\\{0,2}/\\{0,2}/([^\s:/@\"'<>]{0,100}):([^\s/@\"'<>]{1,200})@(?=[\w\[$%{<.-])"
)
_USER = re.compile(r"(?:^|\s)(?:-u|--user|--proxy-user)[ =]?[\"']?([\w.@+\-]{1,80}):([^\s\"']{1,200})")
_PAIR = re.compile(
    r"(?i)\\{0,2}[\"']?\s{0,4}[,;]?\s{0,8}\\{0,2}[\"']?(?:value|content|default|text)\\{0,2}[\"']?\s{0,4}[=:]\s{0,4}(?P<quote>\\{0,2}[\"'])"
)
_MORE = re.compile(r"\s{0,4},\s{0,4}[bBuUrRfFL@$]{0,2}(?P<quote>\\{0,2}[\"'`])")
_INNER = re.compile(r"""(?P<quote>\\{0,3}["'])\s{0,4}:\s{0,4}(?P=quote)(?P<v>[A-Za-z0-9_\-+/=.]{16,400})(?P=quote)""")
_ASSIGNS = frozenset(("=", ":=", "?=", "=>", ":", "+="))
_EXPRESSION = re.compile(
    r"[A-Za-z_$&*!][\w$]*(?:(?:\.|->|::)[A-Za-z_$][\w$]*)*[.(:=+\-*?]*\Z|[\d.]+\Z"
)  # a name, a member, a number
_NO_SECRET = (  # armour, public keys, names of resources, digests
    "-----BEGIN", "ssh-", "ecdsa-", "AAAAB3Nz", "arn:", "md5:", "sha1:", "sha256:", "sha512:", "sha1-", "sha256-",
    "sha384-", "sha512-", "SHA256:",
)  # fmt: skip
_REFERENCE = re.compile(  # the value is elsewhere: ${X}, $X, {{ x }}, <x>, %X%, an address
    r"\$\{[^}]*\}\Z|\$\(?[A-Za-z_][\w.:]*\)?\Z|\{\{.*\}\}\Z|<[^<>]+>\Z|%\(?\w+\)?[s%]\Z|\(\(.*\)\)\Z|\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\Z"
)
_PATTERN = re.compile(
    r"\(\?[:=!<i]|\]\{\d|\[\^|\\[wdsb][+*{]|\]\+|\.\*|A-Z|a-z0-9|^\w{1,12}[\-_.]\Z"
)  # a regular expression, a prefix alone
_ABOUT_NAME = re.compile(  # a name that says something about the secret, or of one that is meant to be seen
    r"(?i)(?:name|arn|path|file|type|count|size|length|version|format|prefix|label|title|status|message)s?\Z"
    r"|csrf|xsrf|authenticity|public"
)
_DIGEST_NAME = re.compile(r"(?i)hash|checksum|digest|integrity|fingerprint|etag")
_LEAST_BUT_PASSWORDS = 5
_PASS_NAME = re.compile(r"(?i)pass|pwd|secret")
_DIGIT = re.compile(r"\d")
_LONG_NAME = 10  # names of this length hardly have digits
_LITERAL_LOGIN = re.compile(r"(?![$%{<(\[:*])[^\s${}<>]{3,}\Z")
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """`text[begin:end]` is the value. `form` says how it stands there: "assign", "call", "pair", "element", "url"..."""

    name: str
    form: str
    begin: int
    end: int
    separator: str = ""
    quote: str = ""
    wrap: str = ""
    before: int = 0  # where the name begins
    index: int = 0  # which argument of a call


def candidates(text: str) -> Iterator[Candidate]:
    """All places in a piece, in no order; places may overlap."""
    if "@" in text:
        for url in _URL.finditer(text):
            yield Candidate("url", "url", url.start(3), url.end(3), url[1].lower(), before=url.start())
    if "-u" in text:
        for user in _USER.finditer(text):
            yield Candidate("user", "user", user.start(2), user.end(2), " ", before=user.start())
    done = -1
    for word in _WORD.finditer(text.lower()):
        if word.start() < done:
            continue
        left = _LEFT.search(text, max(0, word.start() - 64), word.start())
        begin = left.start() if left else word.start()
        right = _RIGHT.match(text, word.end())
        done = right.end() if right else word.end()
        name_end = done
        while name_end > word.end() and text[name_end - 1] in ".-":
            name_end -= 1
        done = name_end
        yield from _values(text, begin, name_end)


def _values(text: str, begin: int, name_end: int) -> Iterator[Candidate]:
    name = text[begin:name_end]
    after = _AFTER.match(text, name_end)
    if after is None:
        return
    separator, quote = after["sep"], after["quote"] or ""
    wrap = after["wrap"]
    if after["close"] and (pair := _PAIR.match(text, name_end)):
        end = _closing(text, pair.end(), pair["quote"])
        yield Candidate(name, "pair", pair.end(), end, ":", pair["quote"], before=begin)
        return
    if separator == ">":
        element = _ELEMENT.match(text, after.end("sep"))
        if begin and text[begin - 1] == "<" and element:
            yield Candidate(name, "element", element.start(), element.end(), ">", before=begin)
        return
    form = (
        "call" if separator == "(" else "assign" if separator in _ASSIGNS else "list" if separator == "," else "compare"
    )
    if separator == "":
        form = "space"
        if not quote and not _directive(text, begin):
            return
    if quote:
        end = _closing(text, after.end(), quote)
        if end > after.end():
            yield Candidate(name, form, after.end(), end, separator, quote, wrap, begin)
        if form == "call" or wrap:
            yield from _arguments(text, Candidate(name, "call", begin, end + len(quote), separator, "", wrap, begin))
        if text[after.end() : after.end() + 1] == "{":
            yield from _nested(text, name, after.end(), end)
        return
    if separator in (",", "("):
        return
    start = after.start("wrap")
    bare = (_BARE_TO_SPACE if separator == "=" and _line_start(text, begin) else _BARE).match(text, start)
    if bare:
        end = bare.end()
        while end > start and text[end - 1] in ",;":
            end -= 1
        if end > start and text[end : end + 1] not in ("(", ")", "["):
            yield Candidate(name, form, start, end, separator, before=begin)


def _arguments(text: str, first: Candidate) -> Iterator[Candidate]:
    """The second and third string of a call whose first one ends at `first.end`."""
    at = first.end
    for index in (1, 2):
        more = _MORE.match(text, at)
        if more is None:
            return
        end = _closing(text, more.end(), more["quote"])
        yield replace(first, begin=more.end(), end=end, quote=more["quote"], index=index)
        at = end + len(more["quote"])


def _nested(text: str, name: str, begin: int, end: int) -> Iterator[Candidate]:
    """The values of an object that stands as text in the value: a header that carries JSON."""
    for value in _INNER.finditer(text, begin, end):
        yield Candidate(name, "assign", value.start("v"), value.end("v"), ":", value["quote"], before=begin)


def _closing(text: str, at: int, quote: str) -> int:
    """Where the string that begins at `at` ends: at its quote, unescaped, or at the end of the piece."""
    limit = min(len(text), at + _LONGEST)
    end = at
    while True:
        end = text.find(quote, end, limit)
        if end < 0:
            return limit
        escapes = 0
        while end - escapes > at and text[end - escapes - 1] == "\\":
            escapes += 1
        if escapes % 2 == 0 or quote[0] == "\\":
            return end
        end += 1


def _line_start(text: str, begin: int) -> bool:
    head = text[max(0, begin - 24) : begin].strip(" \t-#/*$>\"'")
    return head in ("", "export", "set", "ENV", "ARG", "env", "SET", "-e")


def _directive(text: str, begin: int) -> bool:
    """A word and its value side by side: an option of a command, or a line of a configuration."""
    head = text[max(0, begin - 200) : begin].rstrip(" \t")
    return not head or head[-1] == "-" or " login " in head or head.endswith((":", "=", '"', "'"))


def worth_judging(one: Candidate, value: str, kind: str) -> bool:
    """Cheap refusals before the features are computed: what is never a secret, whatever the rest says."""
    if len(value) < 3 or value.count(" ") > 4 or value.isspace() or value.startswith(_NO_SECRET):
        return False
    if len(value) < _LEAST_BUT_PASSWORDS and not _PASS_NAME.search(one.name) and one.form != "url":
        return False
    if _REFERENCE.match(value) or _PATTERN.search(value) or _ABOUT_NAME.search(one.name):
        return False
    if one.name.lower().endswith("login") and one.form != "call":
        return False
    if _DIGEST_NAME.search(one.name) and not _PASS_NAME.search(one.name):
        return False
    if one.quote or one.form in ("url", "user", "element", "pair"):
        return True
    if one.form == "space" or (len(value) >= _LONG_NAME and _DIGIT.search(value) and "." not in value):
        return True
    return not (kind == "code" and _EXPRESSION.match(value))


def is_literal(one: Candidate, value: str) -> bool:
    """Whether a value in a credential file is one: named for a secret, no reference, no stand-in."""
    named = re.search(r"(?i)(?:pass(?:w(?:or)?d|phrase)?|pwd|secret|token|key|auth|key_base)\Z", one.name)
    return (
        bool(named)
        and one.form in ("assign", "element", "pair", "url", "space")
        and len(value) >= 4
        and " " not in value
        and (
            not re.search(r"^[$<{%!*]|\$\{|\{\{|^(?:true|false|null|none|yes|no)\Z", value, re.IGNORECASE)
            and not stands_for_a_value(value)
        )
    )


_STAND_INS = frozenset(
    "pass passwd password pw pwd p4ss secret user username name foo bar baz test token xxx changeme example login host "
    "port pass1 pass2 password1 password2 mypassword mypass somepassword my_password guest none null default".split()
)


def is_login(one: Candidate, value: str) -> bool:
    """Whether it is the password of a login that stands complete in the text: an address, Basic credentials."""
    password: str | None = value
    if one.name.lower().endswith("basic"):
        password = decoded_password(value)
    elif one.form != "url":
        return False
    if password is None or password.lower() in _STAND_INS or stands_for_a_value(password):
        return False
    return bool(_LITERAL_LOGIN.match(password))


_KINDS = (
    (re.compile(r"(?i)pass|pwd|psw|identified|url|user|basic"), "password", CredentialType.PASSWORD),
    (re.compile(r"(?i)client.?secret|consumer.?secret|app.?secret"), "client_secret", CredentialType.CLIENT_SECRET),
    (re.compile(r"(?i)token|bearer|ntlm|session|cookie|verifier"), "token", CredentialType.TOKEN),
    (re.compile(r"(?i)api|key"), "api_key", CredentialType.API_KEY),
)


_OTHER_KIND = ("secret", CredentialType.UNKNOWN)


def kind_of(one: Candidate) -> tuple[str, CredentialType]:
    """What the name says it is."""
    for expression, kind, type_ in _KINDS:
        if expression.search(one.name):
            return kind, type_
    return _OTHER_KIND


def kinds() -> list[tuple[str, CredentialType]]:
    """Every answer of `kind_of`."""
    return [*((kind, type_) for _expression, kind, type_ in _KINDS), _OTHER_KIND]
