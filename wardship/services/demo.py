"""The audit logs of the demo organisation: a year that only teaches what is usual, and what came since yesterday."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardship.services import telemetry, telemetry_refresh
from wardship.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLog:
    """One folder of log files. `old`: nobody wants alerts about them any more."""

    source: str
    folder: Path
    old: bool


def load_logs(ws: Workspace, logs: Sequence[DemoLog], *, actor: str, tell: Callable[[str], None]) -> tuple[int, int]:
    """Imports the logs; `tell` hears which is being read. Returns the events of the old ones and of the new ones, which
    wait to be judged."""
    old = sum(_load(ws, one, actor, tell) for one in logs if one.old)
    telemetry_refresh.learn(ws, actor=actor)
    return old, sum(_load(ws, one, actor, tell) for one in logs if not one.old)


def _load(ws: Workspace, log: DemoLog, actor: str, tell: Callable[[str], None]) -> int:
    tell(log.source)
    return telemetry.load(ws, [log.folder], log.source, actor=actor).events
