"""The list of periodic jobs, and the handlers that every workspace has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from wardship.jobs import queue
from wardship.jobs.schedule import Periodic
from wardship.jobs.worker import Handler, JobContext
from wardship.sdk.log import logger
from wardship.services import audit, telemetry
from wardship.store import facts
from wardship.store.workspace import Workspace

_log = logger("wardship.jobs")

PERIODIC = (
    Periodic(name="audit.checkpoint", kind="audit.checkpoint", every_s=600, jitter_s=60),
    Periodic(name="jobs.prune", kind="jobs.prune", every_s=86_400, jitter_s=3_600, args={"older_than_days": 30}),
    Periodic(name="facts.prune", kind="facts.prune", every_s=86_400, jitter_s=3_600),
    Periodic(name="telemetry.compact", kind="telemetry.compact", every_s=86_400, jitter_s=3_600),
    Periodic(name="telemetry.judge", kind="telemetry.judge", every_s=300, jitter_s=30),
)


def handlers(ws: Workspace) -> dict[str, Handler]:
    """kind -> handler of the jobs of this file, for `ws`. Others are added where things are wired together."""

    def sign(_args: Mapping[str, Any], context: JobContext) -> None:
        context.check()
        audit.checkpoint(ws)

    def prune(args: Mapping[str, Any], context: JobContext) -> None:
        queue.prune(context.db, timedelta(days=int(args["older_than_days"])))

    def retain(_args: Mapping[str, Any], context: JobContext) -> None:
        context.check()
        facts.remove_old_snapshots(context.db, ws.facts, keep=ws.settings.facts.keep_snapshots)

    def compact(_args: Mapping[str, Any], context: JobContext) -> None:
        telemetry.compact(ws, actor="worker", check=context.check)

    def judge(_args: Mapping[str, Any], context: JobContext) -> None:
        from wardship.services import telemetry_refresh  # heavy, and every command comes by here

        context.check()
        refreshed = telemetry_refresh.refresh(ws, actor="worker")
        for problem in refreshed.judged.problems:
            _log.warning("telemetry.detection_not_asked", problem=problem)
        for problem in refreshed.unasked:
            _log.warning("rules.not_asked", problem=problem)

    return {
        "audit.checkpoint": sign,
        "jobs.prune": prune,
        "facts.prune": retain,
        "telemetry.compact": compact,
        "telemetry.judge": judge,
    }
