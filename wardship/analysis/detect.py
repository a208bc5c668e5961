"""From hits to signals to a score: pure arithmetic, so that every figure of an alert can be made again by hand.

Folding: equal hits (`Hit.key`) that are no further apart than DAY are one signal. The order in which hits come does
not matter.

Score of signals, 0 to 100:

    chance of a signal   = weight / 100, x dampen_percent / 100 for a provisioning tool or in an announced change,
                           x days watched / days a baseline needs, while a detection that needs one has too little
    chance of an aspect  = 1 - (1 - best) x product over the others of (1 - chance / 4)
    chance together      = 1 - product over the aspects of (1 - chance of the aspect)      (noisy or)
    score                = 100 x the most of that in any 24 hours x factor of the criticality, at most 100

Within an aspect signals see much the same thing (a new country is a new network too), so only the best counts whole.
More signals never lower the score. Docs: docs/alerts.md and docs/adr/0033-signals-and-alerts.md.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from wardship.model.alert import DAY, MAX_REFERENCES, ChangeWindow, Expectation, Hit, Scored, Signal, signal_uid
from wardship.model.finding import Severity

CRITICALITY_FACTOR: Mapping[str | None, float] = {"critical": 1.5, "high": 1.25, "medium": 1.0, "low": 0.75}
"""What the declared criticality makes of a score; 1 where none is declared."""
SAME_ASPECT = 4
"""Further signals of an aspect count one part in so many."""
_STEPS = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)


def weigh(hit: Hit, *, days_watched: int | None, days_needed: int, percent: int, excuses: Sequence[str]) -> Hit:
    """The hit with its chance lowered for what is known of the actor, each time with the reason.

    `days_watched` None: the detection needs no baseline. `excuses`: a provisioning tool, an announced change; `percent`
    is what remains with any of them.
    """
    chance, reasons = hit.chance, list(hit.reasons)
    if days_watched is not None and days_watched < days_needed:
        chance *= days_watched / days_needed
        reasons.append(f"young_baseline:{days_watched}")
    if excuses:
        chance *= percent / 100
        reasons += excuses
    return replace(hit, chance=chance, reasons=tuple(reasons))


def change_excuses(hit: Hit, windows: Iterable[ChangeWindow]) -> list[str]:
    """The announced changes that the hit lies in, as reasons."""
    return sorted({f"change_window:{one.reason}" for one in windows if one.covers(hit)})


def expectation_of(hit: Hit, expectations: Iterable[Expectation]) -> str | None:
    """The expectation that covers the hit; of several the one that lasts longest."""
    fitting = [one for one in expectations if _expects(one, hit)]
    return max(fitting, key=lambda one: (one.until_at, one.uid)).uid if fitting else None


def _expects(one: Expectation, hit: Hit) -> bool:
    return (
        one.detection == hit.detection
        and one.subject == hit.subject
        and hit.last_at <= one.until_at
        and _matches(one.fold, hit.fold)
    )


def _matches(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, in which * stands for any text, also none. Linear: no pattern takes long."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    last = rest.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in rest:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def fold(known: Iterable[Signal], hits: Iterable[Hit]) -> tuple[list[Signal], list[str]]:
    """Hits folded into the signals that are known: (new and changed signals, uids of known ones that another absorbed).

    A signal that stands in an alert takes equal hits whatever the time between; the caller leaves out of `known` what
    is closed.
    """
    groups: dict[tuple[object, ...], list[Signal]] = {}
    for one in known:
        groups.setdefault(one.key, []).append(one)
    old = {one.uid: one for group in groups.values() for one in group}
    touched: set[tuple[object, ...]] = set()
    for hit in hits:
        groups.setdefault(hit.key, []).append(_signal(hit))
        touched.add(hit.key)
    changed: list[Signal] = []
    absorbed: set[str] = set()
    for key in touched:
        for part in _near(groups[key]):
            if len(part) == 1 and part[0].uid in old:
                continue
            base = next((one for one in part if one.uid in old), part[0])
            merged = _merged(part, base)
            absorbed |= {one.uid for one in part if one.uid in old} - {merged.uid}
            changed.append(merged)
    return sorted(changed, key=lambda one: one.uid), sorted(absorbed)


def _signal(hit: Hit) -> Signal:
    values = {one.name: getattr(hit, one.name) for one in fields(Hit)}
    return Signal(**values, uid=signal_uid(hit))


def _near(signals: list[Signal]) -> Iterable[list[Signal]]:
    """Signals of one key in runs without a gap longer than DAY; what stands in the same alert is one run."""
    part: list[Signal] = []
    end = None
    for one in sorted(signals, key=lambda each: (each.first_at, each.last_at, each.uid)):
        in_alert = part and any(each.alert_uid for each in part)
        if end is not None and one.first_at - end > DAY and not in_alert:
            yield part
            part, end = [], None
        part.append(one)
        end = one.last_at if end is None else max(end, one.last_at)
    if part:
        yield part


def _merged(part: Sequence[Signal], base: Signal) -> Signal:
    strongest = max(part, key=lambda one: (one.chance, one.last_at, one.uid))
    newest = max(part, key=lambda one: (one.last_at, one.uid))
    return replace(
        strongest,
        uid=base.uid,
        alert_uid=next((one.alert_uid for one in part if one.alert_uid), None),
        identity_uid=newest.identity_uid or strongest.identity_uid,
        actor_name=newest.actor_name or strongest.actor_name,
        first_at=min(one.first_at for one in part),
        last_at=newest.last_at,
        events=sum(one.events for one in part),
        hits=sum(one.hits for one in part),
        evidence=tuple(references(one for each in part for one in each.evidence)),
    )


def references(given: Iterable[str]) -> list[str]:
    """The first MAX_REFERENCES of these `input#position`, in the order of reading, each once."""
    return sorted(set(given), key=_place)[:MAX_REFERENCES]


def _place(reference: str) -> tuple[int, int, str]:
    first, _sign, second = reference.partition("#")
    return (
        int(first) if first.isdecimal() else 0,
        int(second) if second.isdecimal() else 0,
        reference,
    )


def score(signals: Sequence[Hit], *, criticality: str | None, steps: Mapping[str, int]) -> Scored:
    """What these signals of one identity say together. `steps`: lowest score of each severity."""
    best, start = _best_day(signals)
    points = min(100, math.floor(100 * best * CRITICALITY_FACTOR.get(criticality, 1.0) + 1e-6))
    severity = next((one for one in _STEPS if points >= steps[one]), None)
    counted = [
        one
        for one in signals
        if start is not None and start.last_at <= one.last_at and one.first_at <= start.last_at + DAY
    ]
    ordered = sorted(counted, key=lambda one: (-one.chance, one.detection, one.fold))
    return Scored(score=points, severity=severity, counted=tuple(one.uid for one in ordered if isinstance(one, Signal)))


def _best_day(signals: Sequence[Hit]) -> tuple[float, Hit | None]:
    """The highest chance in any DAY, and the signal with whose end that day begins.

    A day can be moved until it begins with the end of one of its signals and still holds all of them: only those are
    looked at, in time n log n.
    """
    entering = sorted(signals, key=lambda one: one.first_at)
    inside = _Together()
    best, start, place = 0.0, None, 0
    for leaving in sorted(signals, key=lambda one: one.last_at):
        while place < len(entering) and entering[place].first_at <= leaving.last_at + DAY:
            inside.add(entering[place])
            place += 1
        chance = inside.chance()
        if chance > best:
            best, start = chance, leaving
        inside.remove(leaving)
    return best, start


class _Together:
    """The chance of a set of signals that grows and shrinks."""

    def __init__(self) -> None:
        self._aspects: dict[str, list[float]] = {}

    def add(self, one: Hit) -> None:
        insort(self._aspects.setdefault(one.aspect, []), one.chance)

    def remove(self, one: Hit) -> None:
        chances = self._aspects[one.aspect]
        del chances[bisect_left(chances, one.chance)]

    def chance(self) -> float:
        nothing = 1.0
        for chances in self._aspects.values():
            if chances:
                nothing *= 1 - chances[-1]
                for other in reversed(chances[-_MOST_OF_AN_ASPECT:-1]):
                    nothing *= 1 - other / SAME_ASPECT
        return 1 - nothing


_MOST_OF_AN_ASPECT = 50
"""Of an aspect so many signals count: fifty quarters say all that there is to say."""
