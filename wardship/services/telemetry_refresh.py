"""After new events: judged against what was usual before them, then merged into it, then the facts.

The order is the point. A detection that asks "for the first time?" must ask a state that does not hold the events it is
about. So batches are taken in the order of their publication, in steps of one day where a log of many days was
imported: what happened on its tenth day is compared with the nine before.

Killed anywhere, the next refresh goes on: what was judged is on record and is merged first, and a file beside the facts
says that they are older than what is known of use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from wardship.sdk.i18n import _
from wardship.services import detect, evaluate, usage
from wardship.services.detect import Judged
from wardship.store import telemetry
from wardship.store.db import Database
from wardship.store.state import Generation
from wardship.store.workspace import Workspace

MOST_STEPS = 400
"""A backlog of more days is judged in larger steps."""
_OWED = ".owed"  # in the folder of the facts: they are to be written anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh did. `state` is the last batch that counts in the state of use; `old` are new events of days that
    are too long ago for an alert; `unasked` say which rules could not be asked when the facts were written."""

    judged: Judged = field(default_factory=Judged)
    old: int = 0
    state: int = 0
    facts: bool = False  # whether the facts were written anew
    unasked: Sequence[str] = ()


def refresh(
    ws: Workspace, *, actor: str, wait_s: float = 0.0, progress: Callable[[str], None] | None = None, facts: bool = True
) -> Refreshed:
    """Judges the batches that are new, counts them into the state of use and, if any came since, writes the facts.

    Raises Conflict when another process is at it for `wait_s` seconds: what was imported is kept, and judged then.
    """
    judged, old = Judged(), 0
    with detect.alone(ws.db, wait_s=wait_s) as lease:
        state = usage.refresh(ws, until=detect.last_judged(ws.db)).batch  # of a run that was killed in between
        todo = steps(ws.db, detect.unjudged(ws.db))
        detections, judged.problems = detect.workspace_detections(ws) if todo else ([], [])
        policy = evaluate.workspace_policy(ws)
        if todo:
            (ws.facts / _OWED).touch()
            old = _old(ws.db, todo[0][0], ws.db.clock() - timedelta(days=policy.alert_days))
        for number, batches in enumerate(todo, 1):
            if progress is not None:
                progress(_("judging events, %(n)d of %(all)d") % {"n": number, "all": len(todo)})
            judged.add(detect.judge(ws, batches, actor=actor, lease=lease, detections=detections, policy=policy))
            state = usage.refresh(ws, until=batches[-1]).batch
    since, unasked = _owed_since(ws) if facts else None, []
    if since is not None:
        unasked = evaluate.again(ws, actor=actor).problems
        if _owed_since(ws) == since:
            (ws.facts / _OWED).unlink(missing_ok=True)
    return Refreshed(judged=judged, old=old, state=state, facts=since is not None, unasked=unasked)


def _owed_since(ws: Workspace) -> int | None:
    """When it was last said that the facts are to be written anew; None: they need not."""
    with contextlib.suppress(FileNotFoundError):
        return (ws.facts / _OWED).stat().st_mtime_ns
    return None


def _old(db: Database, first: int, since: datetime) -> int:
    """Events of the batches from `first` on whose day was over before `since`."""
    files = telemetry.live_files(db, until=since, batches_after=first - 1)
    return sum(one.rows for one in files if one.last_at < since and min(one.batches) >= first)


def learn(ws: Workspace, *, actor: str, wait_s: float = 0.0) -> int:
    """Takes what was imported as what is usual: counts it into the state of use, and asks no detection about it.

    For the first logs of a long time, of which nobody wants alerts. Returns the number of batches. Raises Conflict.
    """
    with detect.alone(ws.db, wait_s=wait_s):
        batches = detect.unjudged(ws.db)
        if batches:
            (ws.facts / _OWED).touch()
        detect.skip(ws.db, batches, actor=actor)
        usage.refresh(ws, until=detect.last_judged(ws.db))  # what was published meanwhile is to be judged
    return len(batches)


def rebuild(ws: Workspace) -> Generation:
    """Counts again, from the beginning, what was judged and is still there. What was not judged waits: a detection that
    asks "for the first time?" must not find the answer in the state. Raises Conflict."""
    with detect.alone(ws.db):
        return usage.rebuild(ws, until=detect.last_judged(ws.db))


def steps(db: Database, batches: Sequence[int]) -> list[list[int]]:
    """The batches in their order, in runs of batches that begin on the same day."""
    if not batches:
        return []
    first: dict[int, date] = {}
    for one in telemetry.live_files(db, batches_after=batches[0] - 1):
        for batch in one.batches:
            first[batch] = min(first.get(batch, one.day), one.day)
    found: list[list[int]] = []
    for batch in batches:
        if found and first.get(batch) in (None, first.get(found[-1][-1])):
            found[-1].append(batch)
        else:
            found.append([batch])
    while len(found) > MOST_STEPS:
        found = [[*pair[0], *(pair[1] if len(pair) > 1 else [])] for pair in _pairs(found)]
    return found


def _pairs(runs: Sequence[list[int]]) -> list[Sequence[list[int]]]:
    return [runs[place : place + 2] for place in range(0, len(runs), 2)]
