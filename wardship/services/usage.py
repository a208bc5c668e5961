"""Who uses what, when and from where: the state of use kept up to date with new events, and questions to it.

The state is everything that is remembered of use (`wardship.model.baseline`); it is small, and asked instead of the
events. What it means for an identity of the inventory is found by exact ids (`identity_alias`), never by names.
"""

from __future__ import annotations

from wardship.analysis import baseline
from wardship.store import state
from wardship.store.state import Generation
from wardship.store.workspace import Workspace

_MAKING = state.Making(delta=lambda table, where: baseline.delta(table, where=where), merge=baseline.merge)


def refresh(workspace: Workspace, *, until: int | None = None) -> Generation:
    """Counts the events that are not in the state yet, up to batch `until` (None: all). Raises Conflict when another
    process is at it."""
    return _advance(workspace, afresh=False, until=until)


def rebuild(workspace: Workspace) -> Generation:
    """Counts every event that is still there from the beginning; what was only remembered is forgotten."""
    return _advance(workspace, afresh=True, until=None)


def _advance(workspace: Workspace, *, afresh: bool, until: int | None) -> Generation:
    return state.advance(
        workspace.db,
        workspace.activity,
        workspace.activity / "state",
        _MAKING,
        afresh=afresh,
        until=until,
        memory_mb=workspace.settings.telemetry.memory_mb,
        spill=workspace.tmp,
    )
