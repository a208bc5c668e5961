"""The engine: a cheap search over all bytes, then a careful look at the few places that answer (ADR 0021)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.model.secret import Secret
from wardship.secrets import candidates, checks, features, files, keys, providers, scorer
from wardship.secrets import prefilter as prefilters
from wardship.secrets.hit import Hit
from wardship.secrets.text import Text

DEFAULT_LEAST = 0.5
_FILE_SURE = 0.9  # a literal in a file that is there to hold credentials (docs/verified.md)
_LOGIN_SURE = 0.75  # user and password in an address or a header
_KEY_SURE = 0.97
_PAIR_LINES = 8  # an AWS key id and its secret stand together
_NAMED, _FORMED, _KEY = 1, 2, 4  # the groups of the prefilter, as it tells them
_NAMELESS = ("url", "user")  # forms of a candidate whose name we made up
_MAX_KNOWN = 32 << 20  # bytes of lines whose judgement is remembered
_KNOWN_COST = 300  # bytes that remembering one costs beside the line
_CODE = (candidates, checks, features, files, keys, prefilters, providers, scorer)


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
    public_id: str | None = None


class Scanner:
    """The engine with its detectors loaded; `load_engine` makes it."""

    def __init__(self, *, least: float, notices: bool, weights: Path, fast: bool) -> None:
        self._least = least
        self._providers = providers.Providers(notices=notices)
        self._scorer = scorer.load(weights)
        self._prefilter = prefilters.prefilter(
            candidates.SEARCHES, self._providers.prefilters, keys.SEARCHES, fast=fast
        )
        self.version = _version(weights, f"{least} {notices}")
        self._known: dict[tuple[bytes, int, str, bool, bool], tuple[_Found, ...]] = {}
        self._room = _MAX_KNOWN

    def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
        text = Text.of(data)
        if text.binary:
            found = list(_keys(text)) if any(one.encode() in text.data for one in keys.SEARCHES) else []
        else:
            found = self._known_files(text, path)
            place, certain = features.Place.of(path), files.holds_credentials(path)
            any_key = False
            for begin, end, which in self._prefilter.pieces(text):
                any_key = any_key or which & _KEY != 0
                for one in self._judged(text.data[begin:end], which, place, certain):
                    found.append(replace(one, begin=begin + one.begin, end=begin + one.end))
            if any_key:
                found += _keys(text)
        if not found:
            return []
        chosen = _best(one for one in found if one.confidence >= self._least)
        return [_hit(text, one) for one in _with_pairs(text, chosen)]

    def _known_files(self, text: Text, path: str) -> list[_Found]:
        """What a file that is there to hold credentials says by its form."""
        found = []
        for detector, type_, begin, end in files.known(text.data, path):
            sure = providers.UNLIKELY if checks.stands_for_a_value(text.value(begin, end)) else _FILE_SURE
            found.append(_Found(detector, DetectorTier.PROVIDER, sure, type_, begin, end))
        return found

    def _judged(self, piece: bytes, which: int, place: features.Place, certain: bool) -> tuple[_Found, ...]:
        """What a piece gives, by positions in it. Versions of a file share most lines, which are judged once."""
        key = piece, which, place.kind, place.test, certain
        judged = self._known.get(key)
        if judged is None:
            line = piece.decode("latin-1")
            named = self._named(line, place, certain) if which & _NAMED else ()
            judged = (*named, *(self._formed(line) if which & _FORMED else ()))
            self._room -= len(piece) + _KNOWN_COST
            if self._room < 0:
                self._known.clear()
                self._room = _MAX_KNOWN
            self._known[key] = judged
        return judged

    def _formed(self, piece: str) -> Iterator[_Found]:
        """What a format of the provider table says, and the name that the value is given, where one is in sight."""
        matches = list(self._providers.matches(piece))
        places = list(candidates.candidates(piece)) if matches else []
        for match in matches:
            place = next((one for one in places if one.begin <= match.begin < one.end), None)
            yield _Found(
                detector=match.detector,
                tier=DetectorTier.PROVIDER,
                confidence=match.confidence,
                type=match.type,
                begin=match.begin,
                end=match.end,
                name=place.name if place and place.form not in _NAMELESS else None,
                public=match.public,
            )

    def _named(self, piece: str, place: features.Place, certain: bool) -> Iterator[_Found]:
        """What name, value and place say together. `certain`: the file is there to hold credentials."""
        rarity = self._scorer.trigrams.rarity
        for one in candidates.candidates(piece):
            value = piece[one.begin : one.end]
            if not candidates.worth_judging(one, value, place.kind):
                continue
            confidence = 0.0
            if certain and candidates.is_literal(one, value):
                confidence = _FILE_SURE
            elif candidates.is_login(one, value):
                confidence = _LOGIN_SURE
            if rarity(value) > scorer.WORDS or any(c.isdigit() for c in value):
                vector = features.features(one, piece, place, rarity)
                confidence = max(confidence, self._scorer.probability(vector, least=self._least))
            if confidence > providers.UNLIKELY and checks.stands_for_a_value(value):
                confidence = providers.UNLIKELY
            if confidence >= self._least:
                kind, type_ = candidates.kind_of(one)
                yield _Found(f"generic.{kind}", DetectorTier.GENERIC, confidence, type_, one.begin, one.end, one.name)


def _keys(text: Text) -> Iterator[_Found]:
    for begin, end in keys.private_keys(text.data):
        yield _Found("private_key", DetectorTier.PROVIDER, _KEY_SURE, CredentialType.SSH_KEY, begin, end)


def _best(found: Iterable[_Found]) -> list[_Found]:
    """By position. Of those that overlap the provider's word comes first, then the surest, then the longest."""
    chosen: list[_Found] = []
    taken: set[int] = set()

    def rank(one: _Found) -> tuple[bool, bool, float, int, int, str]:
        notice = one.detector.startswith("notice.")
        return notice, one.tier is DetectorTier.GENERIC, -one.confidence, one.begin - one.end, one.begin, one.detector

    for one in sorted(found, key=rank):
        span = range(one.begin, one.end)
        if taken.isdisjoint(span):
            taken.update(span)
            chosen.append(one)
    return sorted(chosen, key=lambda one: one.begin)


def _with_pairs(text: Text, found: list[_Found]) -> list[_Found]:
    """An AWS secret learns the id of the key it stands beside: the id is public and names the key in the inventory."""
    ids = [one for one in found if one.detector == "aws.access_key"]
    if not ids:
        return found
    paired = []
    for one in found:
        near = min(ids, key=lambda key: abs(key.begin - one.begin))
        between = text.data[min(near.begin, one.begin) : max(near.begin, one.begin)]
        if one.detector == "aws.secret_key" and between.count(b"\n") <= _PAIR_LINES:
            paired.append(replace(one, public_id=text.value(near.begin, near.end)))
        else:
            paired.append(one)
    return paired


def _hit(text: Text, one: _Found) -> Hit:
    value = Secret(text.value(one.begin, one.end))
    start, end, line, column = text.span(one.begin, one.end)
    public = one.public_id or (value.reveal() if one.public else None)
    if one.detector == "private_key":
        public = keys.public_id(value)
    return Hit(
        detector=one.detector,
        tier=one.tier,
        confidence=one.confidence,
        type=one.type,
        start=start,
        end=end,
        line=line,
        column=column,
        value=value,
        name=one.name,
        public_id=public,
    )


def _version(weights: Path, settings: str) -> str:
    parts = [settings.encode(), providers.TABLE.read_bytes(), weights.read_bytes(), Path(__file__).read_bytes()]
    parts += [Path(str(module.__file__)).read_bytes() for module in _CODE]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def load_engine(
    *, least: float = DEFAULT_LEAST, notices: bool = False, weights: Path = scorer.WEIGHTS, fast: bool = True
) -> Engine:
    """The engine with all detectors.

    `least`: hits of less confidence are left out; 0 gives all. `notices`: also what is no secret and worth a remark
    (detectors "notice.*" and public keys). `fast` False: without hyperscan, the same answers.
    """
    return Scanner(least=least, notices=notices, weights=weights, fast=fast)
