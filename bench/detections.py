"""Detections on a made-up estate with labelled abuse (`wardship.sim.abuse`): what is found, what is raised for nothing.

The events of the first two thirds of the days are what is usual; each later day is published, judged and merged as in
life. An abuse is found when an alert of its identity overlaps it. An alert that overlaps no abuse is false. A day on
which an identity acts is an identity-day. The published seed is one that no author of a detection tunes on.

    python -m bench.detections --seed 20261122 --identities 5000 --days 90
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench import harness
from wardship.app import App
from wardship.ingest.telemetry import publish_activities
from wardship.model.activity import ActorKind
from wardship.model.identity import uid_of
from wardship.services import evaluate, telemetry_refresh
from wardship.sim.abuse import Abuse, Estate, Kind, estate
from wardship.store import alert_tables, tables

PUBLISHED_SEED = 20261122
FIRST_DAY = date(2026, 8, 3)
_BEFORE, _AFTER = timedelta(hours=1), timedelta(hours=2)


@dataclass(slots=True, kw_only=True)
class Result:
    """What one run found. `alerts` and `true_alerts` by detection: alerts in which it takes part."""

    found: Counter[Kind] = field(default_factory=Counter)
    missed: list[Abuse] = field(default_factory=list)
    all_of: Counter[Kind] = field(default_factory=Counter)
    alerts: int = 0
    false_alerts: int = 0
    identity_days: int = 0
    events: int = 0
    by_detection: Counter[str] = field(default_factory=Counter)
    true_by_detection: Counter[str] = field(default_factory=Counter)
    false_titles: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0

    @property
    def recall(self) -> float:
        return sum(self.found.values()) / max(sum(self.all_of.values()), 1)

    @property
    def false_per_thousand(self) -> float:
        return 1000 * self.false_alerts / max(self.identity_days, 1)

    def figures(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "identity_days": self.identity_days,
            "recall": round(self.recall, 3),
            "false_per_1000_identity_days": round(self.false_per_thousand, 2),
            "alerts": self.alerts,
            "false_alerts": self.false_alerts,
            "recall_by_kind": {kind.value: f"{self.found[kind]}/{self.all_of[kind]}" for kind in Kind},
            "precision_by_detection": {
                name: f"{self.true_by_detection[name]}/{count}" for name, count in self.by_detection.most_common()
            },
            "judging_cpu_s": round(self.cpu_s, 1),
        }


def live_through(made: Estate, folder: Path) -> Result:
    """Lives through the estate in a new workspace below `folder`, and counts."""
    result, days = Result(), made.all_days()
    learnt = days[: made.days * 2 // 3]
    with App.create(folder / "workspace") as app:
        ws = app.workspace
        (ws.path / "policy.yaml").write_text("alert_days: 3650\n")  # the estate lived at another time
        ws.settings = ws.settings.model_copy(update={"policy": Path("policy.yaml")})
        networks = [one.row() for one in made.networks]
        _inventory(app, made)
        for source in ("aws.cloudtrail", "entra.signin", "github.audit"):
            published = publish_activities(
                ws, source, (one for day in learnt for one in _of(made, day, source, networks))
            )
            result.events += published.events
        telemetry_refresh.learn(ws, actor="bench")
        evaluate.again(ws, actor="bench")
        for day in days[len(learnt) :]:
            active: set[str | None] = set()
            for source in ("aws.cloudtrail", "entra.signin", "github.audit"):
                rows = list(_of(made, day, source, networks))
                active |= {str(row["actor_id"]) for row in rows}
                result.events += publish_activities(ws, source, rows).events
            result.identity_days += len(active)
            began = time.process_time()
            telemetry_refresh.refresh(ws, actor="bench", facts=False)
            result.cpu_s += time.process_time() - began
        _count(app, made, result)
    return result


def _of(made: Estate, day: date, source: str, networks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of one day and source as rows, addresses already looked up."""
    known = {str(row["network"]).rsplit(".", 1)[0]: row for row in networks}
    cloud = {"aws.cloudtrail": "aws:", "entra.signin": "entra:", "github.audit": "github:"}[source]
    rows = []
    for one in made.events(day):
        if not str(one.actor_authority).startswith(cloud):
            continue
        prefix = str(one.src_ip).rsplit(".", 1)[0]
        place = known.get(prefix) or _strange(prefix)
        row = {name: getattr(one, name) for name in type(one).__slots__ if name != "detail"}
        rows.append(
            {
                **row, "detail": dict(one.detail), "class_uid": int(one.class_uid), "actor_kind": one.actor_kind.value,
                "outcome": one.outcome.value, "src_network": place["network"], "src_asn": place["asn"],
                "src_country": place["country"],
            }
        )  # fmt: skip
    return rows


def _strange(prefix: str) -> dict[str, Any]:
    if prefix.startswith("10."):  # renumbered: the same autonomous system
        high = int(prefix.split(".")[1])
        return {
            "network": f"{prefix}.0/24",
            "asn": 64_512 + high,
            "country": ("ES", "ES", "IE", "DE", "FR", "US")[high - 1],
        }
    return {
        "network": f"{prefix}.0/24",
        **({"asn": 65_001, "country": "KP"} if prefix.startswith("203") else {"asn": 65_002, "country": "NL"}),
    }


def _inventory(app: App, made: Estate) -> None:
    """The identities and credentials as a scan would have left them on the day before the last third."""
    now = datetime.combine(made.first_day, datetime.min.time(), UTC)
    kept = {
        "content_hash": "h", "scope_key": "made|up||x", "scan_seq": 1, "presence": "present", "misses": 0,
        "first_seen_at": now, "last_seen_at": now,
    }  # fmt: skip
    identities, credentials, resolutions, exposures = [], [], [], []
    for actor in made.actors:
        authority = actor.authority.removesuffix(":appid")
        uid = uid_of("identity", authority, actor.actor_id)
        identities.append(
            {
                **kept, "uid": uid, "authority": authority, "native_id": actor.actor_id, "name": actor.name,
                "kind": "workload_role" if actor.kind is ActorKind.ROLE else "access_key_holder", "standing": "own",
                "rank": 0, "aliases": json.dumps([[actor.authority, actor.actor_id]]), "attributes": "{}",
                "criticality": actor.criticality, "created_at": now - timedelta(days=400),
            }
        )  # fmt: skip
        resolutions.append({"uid": uid, "identity_uid": uid, "evidence": None})
        if actor.kind is not ActorKind.ROLE:
            credentials.append(
                {
                    **kept, "uid": uid_of("credential", authority, str(actor.credential_id)), "authority": authority,
                    "native_id": str(actor.credential_id), "type": actor.credential_type, "holder_uid": uid,
                    "public_id": actor.credential_id, "enabled": actor.ended is None, "attributes": "{}",
                    "created_at": now - timedelta(days=400),
                }
            )  # fmt: skip
        if actor.leaked:
            exposures.append(
                {
                    **kept, "uid": uid_of("exposure", "git:x", actor.actor_id), "authority": "git:x",
                    "location": f"{actor.name}.env", "detector": "aws.access_key", "tier": "provider",
                    "confidence": 1.0, "place": "dotenv", "credential_type": "access_key", "occurrences": 1,
                    "public_id": actor.credential_id, "in_head": True, "attributes": "{}",
                }
            )  # fmt: skip
    with app.db.bookkeep() as conn:
        for table, rows in (
            (tables.CURRENT["identity"], identities), (tables.CURRENT["credential"], credentials),
            (tables.resolution, resolutions), (tables.CURRENT["exposure"], exposures),
        ):  # fmt: skip
            if rows:
                conn.execute(sa.insert(table), rows)


def _count(app: App, made: Estate, result: Result) -> None:
    with app.db.read() as conn:
        alerts = conn.execute(sa.select(alert_tables.alert)).all()
    hit: set[Abuse] = set()
    result.all_of.update(story.kind for story in made.abuse)
    stories: dict[str, list[Abuse]] = {}
    for story in made.abuse:
        stories.setdefault(story.actor_id, []).append(story)
    for alert in alerts:
        of = [
            story
            for story in stories.get(alert.actor_id, [])
            if alert.first_at <= story.end + _AFTER and alert.last_at >= story.start - _BEFORE
        ]
        hit.update(of)
        names = json.loads(alert.detections)
        result.alerts += 1
        result.by_detection.update(names)
        if of:
            result.true_by_detection.update(names)
        else:
            result.false_alerts += 1
            result.false_titles[alert.title] += 1
    result.found.update(story.kind for story in hit)
    result.missed = [story for story in made.abuse if story not in hit]


def run() -> None:
    """A small estate, or with `--large` the published one, which takes ten minutes."""
    size = ["--identities", "400", "--days", "60", "--abused", "36"]
    if harness.large():
        size = ["--seed", str(PUBLISHED_SEED), "--identities", "5000", "--days", "90", "--abused", "360"]
    main(size)


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--identities", type=int, default=1_000)
    options.add_argument("--days", type=int, default=90)
    options.add_argument("--abused", type=int, default=180)
    options.add_argument("--volume", type=float, default=1.0)
    told = options.parse_args(argv)
    made = estate(
        seed=told.seed, identities=told.identities, days=told.days, first_day=FIRST_DAY, abused=told.abused,
        volume=told.volume,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        result = live_through(made, Path(folder))
    print(json.dumps(result.figures(), indent=1))
    print("missed:", Counter(str(story.kind) for story in result.missed), file=sys.stderr)
    print("false:", result.false_titles.most_common(12), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
