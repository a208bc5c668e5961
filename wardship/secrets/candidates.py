"""Where a name that speaks of secrets is given a value, in any syntax: code, configuration, markup, commands, headers.

A candidate is only a place to judge (`features`, `scorer`): most are no secrets. Everything works on one piece of a
line, with bounded repeats, so no text can make it slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wardship.model.access import CredentialType
from wardship.secrets.checks import stands_for_a_value

WORDS = (
    r"pass(?:w(?:or)?d|phrase|code|wrd)?|pwd|psw|secret|token|apikey|key|auth|cred|nonce|salt|bearer|basic|ntlm"
    r"|identified|verifier|signature|sig|cookie|session|hash|login|license"
)
_WORD = re.compile(rf"(?i){WORDS}")
_SEARCHED = "(?i:pass|pwd|psw|secret|token|key|auth|cred|nonce|salt|verifier|signature|cookie|session|identified|hash)"
SEARCHES = (
    rf"{_SEARCHED}[^\n\"'`]{{0,40}}[\"'`\\)\]}} ]{{0,4}}[=:,(> ]{{1,4}}[^\n\"'`]{{0,30}}[\"'`][^\s\"'`]{{4}}",
    rf"{_SEARCHED}[\w.\-]{{0,24}}[\"'`\\)\]}}*]{{0,4}}[ \t]{{0,4}}(?:=|:|=>|%3D)[ \t]{{0,4}}[^\s\"'`,;(){{}}\[\]<>|&]{{4}}",
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
_ASSIGNS = frozenset(("=", ":=", "?=", "=>", ":", "+="))
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
    for url in _URL.finditer(text):
        yield Candidate("url", "url", url.start(3), url.end(3), url[1].lower(), before=url.start())
    for user in _USER.finditer(text):
        yield Candidate("user", "user", user.start(2), user.end(2), " ", before=user.start())
    done = -1
    for word in _WORD.finditer(text):
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
            yield from _arguments(text, name, begin, end + len(quote), separator, wrap)
        return
    if separator in (",", "("):
        return
    start = after.start("wrap")
    bare = (_BARE_TO_SPACE if separator == "=" and _line_start(text, begin) else _BARE).match(text, start)
    if bare:
        end = bare.end()
        while end > start and text[end - 1] in ",;":
            end -= 1
        if end > start:
            yield Candidate(name, form, start, end, separator, before=begin)


def _arguments(text: str, name: str, begin: int, at: int, separator: str, wrap: str) -> Iterator[Candidate]:
    for index in (1, 2):
        more = _MORE.match(text, at)
        if more is None:
            return
        end = _closing(text, more.end(), more["quote"])
        yield Candidate(name, "call", more.end(), end, separator, more["quote"], wrap, begin, index)
        at = end + len(more["quote"])


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


def worth_judging(one: Candidate, value: str) -> bool:
    """Cheap refusals before the features are computed: too short, prose, or the end of the text."""
    return 3 <= len(value) and value.count(" ") <= 4 and not value.isspace()


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


_KINDS = (
    (re.compile(r"(?i)pass|pwd|psw|identified|url|user|basic"), "password", CredentialType.PASSWORD),
    (re.compile(r"(?i)client.?secret|consumer.?secret|app.?secret"), "client_secret", CredentialType.CLIENT_SECRET),
    (re.compile(r"(?i)token|bearer|ntlm|session|cookie|verifier"), "token", CredentialType.TOKEN),
    (re.compile(r"(?i)api|key"), "api_key", CredentialType.API_KEY),
)


def kind_of(one: Candidate) -> tuple[str, CredentialType]:
    """What the name says it is."""
    for expression, kind, type_ in _KINDS:
        if expression.search(one.name):
            return kind, type_
    return "secret", CredentialType.UNKNOWN
