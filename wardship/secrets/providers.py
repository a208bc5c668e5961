"""The provider tier: formats that say themselves what they are, from the table `providers.toml`.

Also the services whose keys have no form of their own: a random text beside the service's name and a word such as key.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wardship.model.access import CredentialType
from wardship.secrets.checks import CHECKS, made_up, stands_for_a_value
from wardship.secrets.features import entropy

TABLE = Path(__file__).with_name("providers.toml")
UNLIKELY = 0.3  # the form fits, but the value is made up: documentation, tests
_SERVICE_SURE = 0.8
_CHECKED, _UNCHECKED = 0.99, 0.55  # the format's checksum agrees, or does not: never issued, or mistyped

_TOKEN = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9][A-Za-z0-9_\-+/.~%]{13,1500}={0,2}(?![A-Za-z0-9])")
_KEY_WORD = re.compile(r"key|secret|token|access|private|auth|pat\b|api|pass|credential|bearer|id\b|sid\b")
_GAP = re.compile(r"""[\w\-. ]{0,40}["'`\])>]{0,3}[ \t]{0,4}(?:[\w.\-]{0,20}(?:=>?|:=?|,|\())?[ \t]{0,4}["'`]?\Z""")
_DIRECT = re.compile(r"""["']?[ \t]{0,3}(?:=|:|[ \t])[ \t]{0,3}["']?\Z""")
_PUBLIC = ("AAAA", "sha1-", "sha256", "sha512", "SHA256")  # public keys and digests
_WORDY = re.compile(r"[A-Za-z]+(?:[_\-./][A-Za-z]+)*\Z|[A-Z0-9]+(?:_[A-Z0-9]+)+\Z|[a-z0-9]+(?:[._\-/][a-z0-9]+){2,}\Z")
_NAME_PART = re.compile(r"(?i)^[a-z_\-.]*?(?:key|secret|token|access|private|auth)[_\-.]+")
_BESIDE = (
    r"(?i:key|secret|token|access|private|auth|pat|api)[\w.\- ]{0,24}[\"'\])]{0,2}[ =:(,\"'\-]{1,4}"
    r"[A-Za-z_+/.\-]{0,12}[0-9][A-Za-z0-9_+/.\-]{8}"
)
_NEAR = 48
_LEAST_TOKEN = 14
_CLEAR_NAME = 6  # shorter names are words too


@dataclass(frozen=True, kw_only=True, eq=False)
class Format:
    """One format; the fields are those of the table."""

    id: str
    provider: str
    type: CredentialType
    regex: str
    anchors: tuple[str, ...]
    search: str | None = None
    confidence: float = 0.95
    public: bool = False
    notice: bool = False
    digits: bool = False
    entropy: float = 0.0
    context: str | None = None
    check: str | None = None
    revoke: str | None = None

    @cached_property
    def expression(self) -> re.Pattern[str]:
        if "(?P<v>" in self.regex:
            return re.compile(self.regex)
        return re.compile(rf"(?<![A-Za-z0-9_])(?P<v>{self.regex})(?![A-Za-z0-9_])")

    @property
    def any_case(self) -> bool:
        """Whether upper and lower case of the anchors do not matter."""
        return "(?i" in self.regex or "(?i" in (self.context or "")

    @property
    def prefilter(self) -> str:
        anchors = "|".join(re.escape(anchor) for anchor in self.anchors)
        return self.search or (f"(?i:{anchors})" if self.any_case else anchors)

    def judge(self, value: str) -> float:
        """The confidence in a value of this form, 0 for none."""
        if self.digits and not any(c.isdigit() for c in value):
            return 0.0
        if self.entropy and entropy(Counter(value), len(value)) < self.entropy:
            return UNLIKELY / 2
        if stands_for_a_value(value) or made_up(value) > 0.5:
            return UNLIKELY
        if self.check:
            return _CHECKED if CHECKS[self.check](value) else _UNCHECKED
        return self.confidence


@dataclass(frozen=True, slots=True)
class Match:
    detector: str
    type: CredentialType
    confidence: float
    begin: int
    end: int
    public: bool = False


class Providers:
    def __init__(self, *, notices: bool) -> None:
        table = tomllib.loads(TABLE.read_text("utf-8"))
        self.formats = [_format(row) for row in table["format"]]
        self.services: list[str] = table["services"]
        self._active = [one for one in self.formats if notices or not one.notice]
        self._anchored = [(anchor, one) for one in self._active if not one.any_case for anchor in one.anchors]
        self._folded = [(anchor.lower(), one) for one in self._active if one.any_case for anchor in one.anchors]

    @property
    def prefilters(self) -> list[str]:
        return [_BESIDE, *(one.prefilter for one in self._active)]

    def matches(self, piece: str) -> Iterator[Match]:
        folded = piece.lower()
        possible = [one for anchor, one in self._anchored if anchor in piece]
        possible += [one for anchor, one in self._folded if anchor in folded]
        for one in dict.fromkeys(possible):
            if one.context and not re.search(one.context, piece):
                continue
            for found in one.expression.finditer(piece):
                if confidence := one.judge(found["v"]):
                    yield Match(one.id, one.type, confidence, found.start("v"), found.end("v"), one.public)
        yield from self._beside_services(piece)

    def _beside_services(self, piece: str) -> Iterator[Match]:
        tokens = [token for token in _TOKEN.finditer(piece) if _random(token[0])]
        if not tokens:
            return
        folded = piece.lower()
        for service in self.services:
            at = folded.find(service)
            while at >= 0:
                after = at + len(service)
                if at == 0 or not folded[at - 1].isalpha():
                    for token in tokens:
                        match = _beside(service, folded, after, token)
                        if match:
                            yield match
                at = folded.find(service, after)


def _beside(service: str, folded: str, after: int, token: re.Match[str]) -> Match | None:
    begin, end = token.span()
    if begin < after:  # the name is part of the token: "coda-token-123e..."
        part = _NAME_PART.match(token[0][max(0, after - begin) :])
        if part is None or after <= begin:
            return None
        begin = after + part.end()
        if end - begin < _LEAST_TOKEN:
            return None
    gap = folded[after:begin]
    if len(gap) > _NEAR or not _GAP.match(gap):
        return None
    if not _KEY_WORD.search(gap) and not (len(service) >= _CLEAR_NAME and _DIRECT.match(gap)):
        return None
    value = token.string[begin:end]
    if not _random(value) or value.startswith(_PUBLIC):
        return None
    sure = UNLIKELY if made_up(value) > 0.45 or stands_for_a_value(value) else _SERVICE_SURE
    return Match(f"service.{service}", CredentialType.API_KEY, sure, begin, end)


def _random(value: str) -> bool:
    """Long enough and unlike words, names and versions."""
    digits = sum(c.isdigit() for c in value)
    return digits >= 2 and len(value) - digits >= 2 and not _WORDY.match(value)


def _format(row: dict[str, Any]) -> Format:
    return Format(**{**row, "anchors": tuple(row["anchors"]), "type": CredentialType(row["type"])})
