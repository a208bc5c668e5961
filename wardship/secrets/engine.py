"""The engine: a cheap search over all bytes, then a careful look at the few places that answer."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.model.secret import Secret
from wardship.secrets import providers
from wardship.secrets.candidates import Candidate, candidates
from wardship.secrets.hit import Hit
from wardship.secrets.prefilter import prefilter
from wardship.secrets.text import Text

_KEYED = r"(?i:pass|pwd|secret|token|key|auth|cred|nonce|login|verifier)"


class Engine(Protocol):
    """Scans texts. One instance may be used for any number of texts, in one thread."""

    version: str
    """Changes when the same bytes could give another answer: what was scanned by another version is scanned again."""

    def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
        """The secrets in `data`, by position; at most one hit for the same bytes. `path` tells the kind of file.

        Never raises for what the bytes are. Binary files give nothing but key material.
        """


@dataclass(frozen=True, slots=True)
class _Found:
    detector: str
    tier: DetectorTier
    confidence: float
    type: CredentialType
    begin: int
    end: int
    name: str | None = None
    public: bool = False


class _Scanner:
    def __init__(self) -> None:
        self._formats = providers.load()
        anchors = sorted({re.escape(anchor) for one in self._formats for anchor in one.anchors})
        self._prefilter = prefilter(["|".join(anchors), _KEYED])
        self.version = hashlib.sha256(providers.TABLE.read_bytes()).hexdigest()[:16]

    def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
        text = Text.of(data)
        found: list[_Found] = []
        if not text.binary:
            for begin, end in self._prefilter.lines(text):
                found += self._piece(text.data[begin:end].decode("latin-1"), begin)
        return [_hit(text, one) for one in _best(found)]

    def _piece(self, piece: str, offset: int) -> list[_Found]:
        found = [
            _Found(
                one.id, DetectorTier.PROVIDER, one.confidence, one.type, offset + begin, offset + end, None, one.public
            )
            for one, begin, end in providers.matches(self._formats, piece)
        ]
        for one in candidates(piece):
            confidence = _guess(one, piece[one.begin : one.end])
            if confidence > 0.5:
                found.append(
                    _Found(
                        "generic.secret",
                        DetectorTier.GENERIC,
                        confidence,
                        CredentialType.UNKNOWN,
                        offset + one.begin,
                        offset + one.end,
                        one.name,
                    )
                )
        return found


def _guess(one: Candidate, value: str) -> float:
    if not one.quote or one.form not in ("assign", "element", "pair") or len(value) < 8 or " " in value:
        return 0.0
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return 0.8 if entropy > 3.2 and any(c.isdigit() for c in value) and re.fullmatch(r"[\w+/=.\-]+", value) else 0.0


def _best(found: list[_Found]) -> list[_Found]:
    """By position; of those that overlap, the surest, the provider's word first."""
    chosen: list[_Found] = []
    taken: set[int] = set()
    for one in sorted(
        found, key=lambda f: (f.tier is DetectorTier.GENERIC, -f.confidence, f.begin - f.end, f.begin, f.detector)
    ):
        if taken.isdisjoint(range(one.begin, one.end)):
            taken.update(range(one.begin, one.end))
            chosen.append(one)
    return sorted(chosen, key=lambda f: f.begin)


def _hit(text: Text, one: _Found) -> Hit:
    value = text.value(one.begin, one.end)
    start, end, line, column = text.span(one.begin, one.end)
    return Hit(
        detector=one.detector, tier=one.tier, confidence=one.confidence, type=one.type, start=start, end=end, line=line, column=column,
        value=Secret(value), name=one.name, public_id=value if one.public else None,
    )  # fmt: skip


def load_engine() -> Engine:
    """The engine with all detectors."""
    return _Scanner()
