"""Workspaces with a telemetry lake and detections of two lines each, for tests of what judges events."""

from __future__ import annotations

from pathlib import Path

from wardship.config import Settings
from wardship.sdk.detection import Detection, load_detection
from wardship.store.db import Database
from wardship.store.workspace import Workspace

_DETECTION = """
id: {id}
version: 1
title: "Somebody did {id}"
severity: medium
weight: {weight}
aspect: {aspect}
dampened: {dampened}
attack: [T1078]
owasp_nhi: ["NHI1:2025"]
sentence: "%(actor_id)s did {id} in %(fold)s"
rationale: "It is asked in tests."
what_to_do: [{{text: "Ask the owner.", reversible: true}}]
limits: ["It sees little."]
needs: {{mature_baseline: {mature}}}
query: >-
  SELECT e.authority, e.actor_id, max(e.identity_uid) AS identity_uid, max(e.credential_id) AS credential_id,
  {fold} AS fold, min(e.time) AS first_at, max(e.time) AS last_at, count(*) AS events,
  string_agg(e.ref, ' ') AS evidence FROM event AS e WHERE {where} GROUP BY e.authority, e.actor_id, {fold}
fires: [{{why: "it does", facts: {{event: [{{}}]}}}}]
passes: [{{why: "nothing happened", facts: {{}}}}]
"""


def detection(
    folder: Path,
    name: str,
    where: str,
    *,
    weight: int = 40,
    aspect: str = "action",
    fold: str = "e.service",
    mature: bool = False,
    dampened: bool = True,
) -> Detection:
    """A detection that hits each event of which `where` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(
        _DETECTION.format(
            id=name,
            weight=weight,
            aspect=aspect,
            where=where,
            fold=fold,
            mature=str(mature).lower(),
            dampened=str(dampened).lower(),
        )
    )
    return load_detection(path)


def workspace(folder: Path, db: Database) -> Workspace:
    """A workspace around a database that is there already."""
    for name in ("tmp", "facts", "activity", "keys"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Workspace(folder, Settings(), db)
