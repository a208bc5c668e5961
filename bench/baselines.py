"""The state of use: adding a day beside counting everything again, whether history costs anything, and scoring a day.

Made-up events by seed: identities of very different size (a few make most of the events), each with its hours, rhythm,
actions, networks and credentials. Peer in the same run: the rebuild, which is the only way where nothing is kept; both
must end with the same tables, or there is no figure. Floor of the day: DuckDB counting the day's rows.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import harness

IDENTITIES, EVENTS_A_DAY = 5_000, 30_000
FIRST = date(2026, 1, 5)
SEED = 7

_DAY = """
WITH identity AS (
    SELECT i, 545 * power(i + 1, -0.6) * {scale} AS rate, hash(i, {seed}) AS h FROM range({identities}) AS t(i)
), chosen AS (
    SELECT i, h, CAST(floor(rate * (0.6 + 0.8 * random()) + random()) AS INTEGER) AS n FROM identity
    WHERE CASE WHEN h % 10 < 5 THEN TRUE WHEN h % 10 < 8 THEN isodow(DATE '{day}') < 6
        WHEN h % 10 < 9 THEN isodow(DATE '{day}') = 1 + h % 5 ELSE random() < 0.2 END
), one AS (
    SELECT i, h, random() AS r1, random() AS r2, random() AS r3, random() AS r4, unnest(range(n)) AS k FROM chosen
)
SELECT md5(i || '/' || k || '/{day}') AS uid,
    DATE '{day}' + to_seconds(CAST(
        CASE WHEN h % 3 = 0 THEN r1 * 86399 ELSE ((h // 8) % 14 + r1 * 9) * 3600 END AS BIGINT)) AS time,
    'aws.cloudtrail' AS source, 6003 AS class_uid, 'aws:111111111111' AS actor_authority, 'AIDA' || i AS actor_id,
    'svc-' || i AS actor_name, CASE WHEN h % 2 = 0 THEN 'role' ELSE 'user' END AS actor_kind,
    CASE WHEN h % 2 = 0 THEN 'job-' || CAST(floor(r1 * 1e6) AS INTEGER) END AS session, NULL AS on_behalf_of,
    CASE WHEN h % 2 = 1 THEN 'AKIA' || i END AS credential_id, 'access_key' AS credential_type,
    'service' || (hash(h % 60, floor(r2 * r2 * 9), 1) % 40) || '.amazonaws.com' AS service,
    'Operation' || (hash(h % 60, floor(r2 * r2 * 9), 2) % 60) AS operation, r2 > 0.8 AS mutating, FALSE AS interactive,
    'AWS::S3::Object' AS resource_type,
    'arn:aws:s3:::bucket-' || (hash(i, floor(r3 * 3)) % 900) || '/key/' || CAST(floor(r1 * 1e6) AS INTEGER)
        AS resource_id,
    NULL AS resource_name, '111111111111' AS account, 'eu-west-1' AS region, '10.1.1.1' AS src_ip,
    '10.' || (h % 200) || '.' || CAST(floor(r4 * r4 * 2.5) AS INTEGER) || '.0/24' AS src_network,
    CAST(64500 + h % 20 AS INTEGER) AS src_asn, 'ES' AS src_country,
    CASE WHEN r3 < 0.8 THEN 'Boto3/1.' || (h % 30) || ' Python/3.11' ELSE 'aws-cli/2.' || (h % 20) END AS user_agent,
    CASE WHEN r4 > 0.985 THEN 'failure' ELSE 'success' END AS outcome, NULL AS outcome_code, '{{}}' AS detail,
    1 AS input, k AS position, {batch} AS batch
FROM one
"""


def run() -> None:
    days = (90, 360)
    with tempfile.TemporaryDirectory() as folder:
        rows: list[list[object]] = []
        for count in days:
            harness.python("bench.baselines", "make", f"{folder}/{count}", str(count))
            built = harness.python("bench.baselines", "rebuild", f"{folder}/{count}")
            harness.python("bench.baselines", "days", f"{folder}/{count}", str(count), "1")  # not measured
            added = harness.python("bench.baselines", "days", f"{folder}/{count}", str(count + 1), "8")
            again = harness.python("bench.baselines", "rebuild", f"{folder}/{count}")
            if added.figures["digest"] != again.figures["digest"]:
                raise ValueError("adding days and counting everything again disagree")
            scored = harness.python("bench.baselines", "score", f"{folder}/{count}", str(count + 8))
            figures = [added.figures[name] for name in ("events", "cpu_s", "worst_cpu_s")]
            rows.append(
                [f"{count} days", built.figures["events"], again.figures["cpu_s"], *figures,
                 again.figures["cpu_s"] / added.figures["cpu_s"], scored.figures["actors"],
                 scored.figures["baseline_cpu_s"], scored.figures["cpu_s"], round(again.peak_mb), round(added.peak_mb)]
            )  # fmt: skip
        harness.table(
            ["history", "events", "rebuild CPU s", "a day's events", "a day CPU s", "worst day", "rebuild / day",
             "scored", "baselines CPU s", "scores CPU s", "rebuild MB", "day MB"],
            rows,
        )  # fmt: skip


# ------------------------------------------------------------------ in a process of its own


def _make(folder: str, days: str, scale: float = 1.0) -> dict[str, Any]:
    from wardship.store.workspace import Workspace

    path = Path(folder)
    path.mkdir(parents=True)
    Workspace.create(path / "ws", clock=_clock).close()
    return {"events": sum(_publish(path / "ws", FIRST + timedelta(days=day), scale) for day in range(int(days)))}


def _publish(path: Path, day: date, scale: float = 1.0) -> int:
    """One day's events as one batch."""
    import duckdb

    from wardship.store import telemetry
    from wardship.store.workspace import Workspace

    with Workspace.open(path, clock=_clock) as ws:
        batch = telemetry.next_batch(ws.db)
        name = telemetry.new_path("aws.cloudtrail", day)
        target = ws.path / "activity" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as db:
            db.execute("SET threads = 1")  # random() is the same in every run only then
            db.execute(f"SELECT setseed({(hash((SEED, day.toordinal())) % 1000) / 1000})")
            sql = _DAY.format(identities=IDENTITIES, seed=SEED, day=day, batch=batch, scale=scale)
            db.execute(
                f"COPY (SELECT * FROM ({sql}) ORDER BY actor_id) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
            )
            rows, first, last = db.execute(f"SELECT count(*), min(time), max(time) FROM '{target}'").fetchone() or ()
        data = target.read_bytes()
        made = telemetry.NewFile(
            path=name, source="aws.cloudtrail", day=day, rows=rows, size_bytes=len(data),
            digest=hashlib.sha256(data).hexdigest(), first_at=first.replace(tzinfo=UTC),
            last_at=last.replace(tzinfo=UTC), batches=[batch],
        )  # fmt: skip
        publication = telemetry.Publication(
            source="aws.cloudtrail", batch=batch, files=[made], steps=[], seen=frozenset()
        )
        telemetry.publish(ws.db, "bench", publication)
    return int(rows)


def _clock() -> datetime:
    return datetime(2027, 6, 1, tzinfo=UTC)


def _rebuild(folder: str) -> dict[str, Any]:
    from wardship.services import usage
    from wardship.store.workspace import Workspace

    with Workspace.open(Path(folder) / "ws", clock=_clock) as ws:
        began = time.process_time()
        made = usage.rebuild(ws)
        return {"cpu_s": time.process_time() - began, "digest": _digest(made), "events": _events(made)}


def _days(folder: str, first: str, count: str) -> dict[str, Any]:
    from wardship.services import usage
    from wardship.store.workspace import Workspace

    spent, events = [], []
    made = None
    for day in range(int(first), int(first) + int(count)):
        events.append(_publish(Path(folder) / "ws", FIRST + timedelta(days=day)))
        with Workspace.open(Path(folder) / "ws", clock=_clock) as ws:
            began = time.process_time()
            made = usage.refresh(ws)
            spent.append(time.process_time() - began)
    assert made is not None
    mean = sum(spent) / len(spent)
    return {
        "cpu_s": mean,
        "worst_cpu_s": max(spent),
        "digest": _digest(made),
        "events": round(sum(events) / len(events)),
    }


def _events(state: Any) -> int:
    from wardship.store.engine import DuckDbEngine

    with DuckDbEngine([state.table("log_day")]) as engine:
        return int(next(engine.query("SELECT sum(events) FROM log_day", {}))[0])


def _digest(state: Any) -> str:
    """Of every table with each key once: folding changes the files and not what they say."""
    from wardship.analysis import baseline
    from wardship.model.baseline import STATE
    from wardship.store.engine import DuckDbEngine

    with DuckDbEngine(state.tables(), memory_limit="4GB") as engine:
        found = [
            next(
                engine.query(
                    f"SELECT count(*), sum(hash(t)) FROM ({baseline.merge(name, f'SELECT * FROM {name}')}) AS t", {}
                )
            )
            for name in STATE
        ]
    return json.dumps([[int(count), str(total)] for count, total in found])


def _score(folder: str, day: str) -> dict[str, Any]:
    """What is usual for every actor, and how the newest day compares with it."""
    from wardship.analysis import baseline
    from wardship.model.activity import ACTIVITY
    from wardship.model.baseline import SCORE
    from wardship.services import usage
    from wardship.store import state
    from wardship.store.engine import Table, read_table
    from wardship.store.workspace import Workspace

    scored = FIRST + timedelta(days=int(day))
    with Workspace.open(Path(folder) / "ws", clock=_clock) as ws, tempfile.TemporaryDirectory() as made:
        files = sorted((ws.activity / "aws.cloudtrail" / scored.isoformat()).glob("*.parquet"))
        events = Table(name="event", columns=ACTIVITY, files=files)
        as_of = datetime(scored.year, scored.month, scored.day, tzinfo=UTC)
        began = time.process_time()
        tables = usage.baselines(ws, usage.current(ws), as_of, Path(made))
        between = time.process_time()
        (scores,) = state.derive([events, *tables], {"actor_score": (SCORE, baseline.score())}, Path(made))
        spent = time.process_time() - between
        actors = sum(1 for _row in read_table(scores.files[0], ["actor_id"]))
    return {"baseline_cpu_s": between - began, "cpu_s": spent, "actors": actors}


if __name__ == "__main__":
    steps = {"make": _make, "rebuild": _rebuild, "days": _days, "score": _score}
    print(json.dumps(steps[sys.argv[1]](*sys.argv[2:])))
