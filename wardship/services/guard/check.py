"""One check: the secrets in new contents, and whether each blocks.

A secret blocks when the content that stood there before did not hold the same value: then it is new. What was there
before is told, never blocked (unless `strict`), so that a hook can be put into any old repository today. Values are
compared here in memory, and leave in no form.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.sdk.i18n import _
from wardship.services.guard import baseline as accepted
from wardship.services.guard.baseline import Baseline
from wardship.services.guard.change import Change
from wardship.services.guard.git import Blobs, TooLarge

if TYPE_CHECKING:  # the engine is loaded where there is something to look at
    from wardship.secrets.engine import Engine
    from wardship.secrets.hit import Hit

MAX_BYTES = 20 * 1024 * 1024
MIN_CONFIDENCE = 0.5


class State(StrEnum):
    """BLOCKED: new, and nobody accepted it. PRESENT: it was there before. ACCEPTED: by the baseline or a comment."""

    BLOCKED = "blocked"
    PRESENT = "present"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One secret in one place. `line` and `column` count from 1; `commit` None: not committed yet.

    `place` says where without saying what (`baseline`); `note` why an acceptance does or does not count.
    """

    path: bytes
    line: int
    column: int
    detector: str
    tier: DetectorTier
    type: CredentialType
    confidence: float
    name: str | None
    public_id: str | None
    place: str
    fingerprint: str
    state: State
    commit: str | None = None
    note: str = ""
    until: date | None = None

    @property
    def shown_path(self) -> str:
        """The path as text; bytes that are not UTF-8 as \\xNN."""
        return shown(self.path)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was looked at and found, the blocking ones first. `unread`: paths that could not be looked into, and why."""

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    commits: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)
    missing: int = 0  # contents that this clone does not have

    def count(self, state: State) -> int:
        return sum(1 for finding in self.findings if finding.state is state)


def check(
    changes: Iterable[Change],
    blobs: Blobs,
    engine: Engine,
    *,
    baseline: Baseline,
    today: date,
    strict: bool = False,
    min_confidence: float = MIN_CONFIDENCE,
) -> Outcome:
    """Looks at every change once. The same secret in the same place of several commits is one finding."""
    outcome = Outcome()
    best: dict[tuple[str, int], Finding] = {}
    paths: set[bytes] = set()
    clean: set[tuple[str, bytes]] = set()
    for change in changes:
        paths.add(change.path)
        if (change.blob, change.path) in clean:
            continue
        data = _content(change, blobs, outcome)
        if data is None:
            continue
        found = list(_look(change, data, blobs, engine, min_confidence))
        if not found and change.blob:
            clean.add((change.blob, change.path))
        seen: dict[str, int] = {}
        for finding, is_new, span in found:
            nth = seen[finding.fingerprint] = seen.get(finding.fingerprint, -1) + 1
            judged = _judge(finding, data, span, is_new=is_new or strict, baseline=baseline, today=today)
            known = best.get((finding.fingerprint, nth))
            if known is None or (known.state is State.PRESENT and judged.state is not State.PRESENT):
                best[finding.fingerprint, nth] = judged
    outcome.files = len(paths)
    outcome.findings = sorted(best.values(), key=lambda one: (list(State).index(one.state), one.path, one.line))
    return outcome


def shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _content(change: Change, blobs: Blobs, outcome: Outcome) -> bytes | None:
    content = blobs.read(change.blob) if change.file is None else _file(change.file)
    if isinstance(content, TooLarge):
        text = _("larger than %(n)d MB") % {"n": MAX_BYTES >> 20}
        outcome.unread.append((shown(change.path), text))
        return None
    if content is None:
        outcome.missing += 1
    return content


def _file(path: Path) -> bytes | TooLarge | None:
    """A file of the working tree as git would commit it; a link is its target, and is not followed."""
    if path.is_symlink():
        return os.fsencode(path.readlink())
    if not path.is_file():
        return None
    size = path.stat().st_size
    return TooLarge(size) if size > MAX_BYTES else path.read_bytes()


def _look(
    change: Change, data: bytes, blobs: Blobs, engine: Engine, min_confidence: float
) -> Iterator[tuple[Finding, bool, tuple[int, int]]]:
    """(finding, whether its value is new, its bytes) of each hit, in their order."""
    hits = _hits(engine, data, change.path, min_confidence)
    if not hits:
        return
    before: set[bytes] = set()
    for name in change.before:
        old = blobs.read(name)
        if isinstance(old, bytes):
            before |= {_digest(old, hit) for hit in _hits(engine, old, change.path, 0.0)}
    places = accepted.places(change.path, data, [(hit.start, hit.end) for hit in hits])
    for hit, place in zip(hits, places, strict=True):
        finding = Finding(
            path=change.path,
            line=hit.line,
            column=hit.column,
            detector=hit.detector,
            tier=hit.tier,
            type=hit.type,
            confidence=hit.confidence,
            name=hit.name,
            public_id=hit.public_id,
            place=place,
            fingerprint=accepted.fingerprint(place, data[hit.start : hit.end]),
            state=State.PRESENT,
            commit=change.commit,
        )
        yield finding, _digest(data, hit) not in before, (hit.start, hit.end)


def _hits(engine: Engine, data: bytes, path: bytes, min_confidence: float) -> list[Hit]:
    return [hit for hit in engine.scan(data, path=shown(path)) if hit.confidence >= min_confidence]


def _digest(data: bytes, hit: Hit) -> bytes:
    return hashlib.sha256(data[hit.start : hit.end]).digest()


def _judge(
    finding: Finding, data: bytes, span: tuple[int, int], *, is_new: bool, baseline: Baseline, today: date
) -> Finding:
    allowed = accepted.allowance(data, *span, today)
    if allowed and allowed.problem is None:
        return replace(finding, state=State.ACCEPTED, note=allowed.reason, until=allowed.expires)
    entry = baseline.find(finding.fingerprint)
    if entry and entry.holds(today):
        return replace(finding, state=State.ACCEPTED, note=entry.reason, until=entry.expires)
    note = allowed.problem or "" if allowed else ""
    if entry:
        note = _("the baseline accepted it until %(date)s") % {"date": entry.expires}
    # What was accepted for a time blocks again when the time is over, though it was there before.
    blocks = is_new or entry is not None or bool(allowed and allowed.problem)
    return replace(finding, state=State.BLOCKED if blocks else State.PRESENT, note=note)
