"""After a scan: the fact snapshot is written, every rule judges it, and the same is judged again unchanged.

Peer in the same run: one rule (credential_overdue_rotation) as a loop in Python over rows of the database, which is
what a rule is without facts. Both must find the same credentials for the same reasons. Our side of that comparison
asks the snapshot that is already there; what writing it costs stands in the first table. A process that asks one rule
also loads DuckDB and the whole catalogue: at small sizes that is most of it, so "asking only" stands beside it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import harness

SIZES, LARGE_SIZES = (5_000, 20_000, 80_000), (20_000, 80_000, 320_000)
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RULE = "credential_overdue_rotation"
PAIRS = 3
STATIC = {"access_key", "client_secret", "api_key", "token", "ssh_key", "password"}

_KEPT = """'h' AS content_hash, 'bench|bench:1||accounts' AS scope_key, 1 AS scan_seq, 'present' AS presence,
    0 AS misses, '2026-11-20 00:00:00.000000' AS first_seen_at, '2026-11-20 00:00:00.000000' AS last_seen_at"""
_FILL = f"""
CREATE TEMP TABLE n AS
WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < :size) SELECT n FROM c;
CREATE TEMP TABLE k(k);
INSERT INTO k VALUES (0), (1), (2), (3), (4);

INSERT INTO identity_current (uid, authority, native_id, kind, name, standing, enabled, created_at, criticality, rank,
    aliases, attributes, content_hash, scope_key, scan_seq, presence, misses, first_seen_at, last_seen_at)
SELECT printf('id_%020d', n), 'bench:1', printf('service-%07d', n), 'access_key_holder', printf('svc-%d', n),
    iif(n % 20 = 0, 'provider_managed', 'own'), n % 25 <> 0,
    datetime('2026-11-01', -(n % 1500) || ' days') || '.000000',
    CASE n % 6 WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'medium' WHEN 3 THEN 'low' END, 0,
    '[]', printf('{{"tags":{{"team":"team-%d"}}}}', n % 40), {_KEPT}
FROM n;

INSERT INTO resolution (uid, identity_uid) SELECT printf('id_%020d', n), printf('id_%020d', n) FROM n;

INSERT INTO credential_current (uid, authority, native_id, type, holder_uid, name, enabled, created_at, last_rotated_at,
    attributes, content_hash, scope_key, scan_seq, presence, misses, first_seen_at, last_seen_at)
SELECT printf('cr_%019d%d', n, k), 'bench:1', printf('service-%07d/%d', n, k), iif(k = 1, 'certificate', 'access_key'),
    printf('id_%020d', n), printf('key %d', k), (n + k) % 8 <> 0,
    datetime('2026-11-01', -((n * 7 + k) % 800) || ' days') || '.000000',
    iif(n % 3 = 0, datetime('2026-11-01', -((n * 7 + k) % 200) || ' days') || '.000000', NULL), '{{}}', {_KEPT}
FROM n CROSS JOIN k WHERE k < 2;

INSERT INTO grant_current (uid, authority, holder_uid, permission, resource, effect, tier, tenant_wide, attributes,
    content_hash, scope_key, scan_seq, presence, misses, first_seen_at, last_seen_at)
SELECT printf('gr_%019d%d', n, k), 'bench:1', printf('id_%020d', n), printf('store:Action%d', k), '*', 'allow',
    CASE WHEN k = 4 AND n % 15 = 0 THEN 'control_plane' WHEN k = 3 THEN 'write' ELSE 'read' END, FALSE, '{{}}', {_KEPT}
FROM n CROSS JOIN k;

INSERT INTO usage (subject_uid, source, subject_family, state, last_used_at, since, scan_seq, read_at)
SELECT printf('cr_%019d%d', n, k), 'bench.report', 'credential', iif(n % 5 = 0, 'never', 'used'),
    iif(n % 5 = 0, NULL, datetime('2026-11-20', -(n % 120) || ' days') || '.000000'), '2025-01-01 00:00:00.000000', 1,
    '2026-11-20 00:00:00.000000'
FROM n CROSS JOIN k WHERE k < 2;

INSERT INTO person_current (uid, authority, native_id, name, email, kind, active, aliases, attributes, content_hash,
    scope_key, scan_seq, presence, misses, first_seen_at, last_seen_at)
SELECT printf('pe_%020d', n), 'bench:1', printf('person-%d', n), printf('Person %d', n),
    printf('person.%d@acme.example', n), 'person', n % 12 <> 0, '[]', '{{}}', {_KEPT}
FROM n WHERE n < :size / 50;

INSERT INTO owner_current (uid, authority, holder_uid, claim, role, source, state, confidence, content_hash, scope_key,
    scan_seq, presence, misses, first_seen_at, last_seen_at)
SELECT printf('ow_%020d', n), 'bench:1', printf('id_%020d', n), printf('person.%d@acme.example', n % (:size / 50)),
    'technical', 'bench.tag', 'suggested', 0.5, {_KEPT}
FROM n WHERE n % 4 <> 0;
"""


def run() -> None:
    sizes = LARGE_SIZES if harness.large() else SIZES
    with tempfile.TemporaryDirectory() as folder:
        costs = []
        for size in sizes:
            _fill(Path(folder) / str(size), size)
            costs.append(harness.python("bench.facts_and_rules", "judge", f"{folder}/{size}"))
        _stages(sizes, costs)
        print(
            f"\none rule of {costs[0].figures['rules']}, whole processes, {PAIRS} interleaved pairs, the same findings:"
        )
        _compare(sizes, folder)


def _compare(sizes: Sequence[int], folder: str) -> None:
    rows: list[list[object]] = []
    spent: dict[str, list[float]] = {"rule": [], "loop": []}
    for size in sizes:

        def ours(path: str = f"{folder}/{size}") -> harness.Cost:
            return harness.python("bench.facts_and_rules", "rule", path)

        def theirs(path: str = f"{folder}/{size}") -> harness.Cost:
            return harness.python("bench.facts_and_rules", "loop", path)

        middle, least, most = harness.ratio(ours, theirs, PAIRS, answer=lambda cost: cost.figures["digest"])
        sql, loop = ours(), theirs()
        spent["rule"].append(sql.figures["cpu_s"])
        spent["loop"].append(loop.figures["cpu_s"])
        rows.append(
            [size, int(sql.figures["digest"].partition(":")[0]), sql.cpu_s, loop.cpu_s,
             f"{middle:.2f} ({least:.2f} to {most:.2f})", sql.figures["cpu_s"], loop.figures["cpu_s"],
             round(sql.peak_mb), round(loop.peak_mb)]
        )  # fmt: skip
    growth = [harness.exponent(sizes, spent[side]) for side in ("rule", "loop")]
    rows.append(["exponent", "", "", "", "", *growth, "", ""])
    header = ["identities", "findings", "SQL CPU s", "loop CPU s", "loop / SQL", "asking only: SQL", "loop", "SQL MB"]
    harness.table([*header, "loop MB"], rows)


def _stages(sizes: Sequence[int], costs: Sequence[harness.Cost]) -> None:
    told = [cost.figures for cost in costs]
    stages = ("snapshot", "judge", "again")
    rows: list[list[object]] = [
        [size, one["rows"], one["findings"], *(one[stage] for stage in stages), cost.wall_s, round(cost.peak_mb)]
        for size, one, cost in zip(sizes, told, costs, strict=True)
    ]
    grows = [harness.exponent(sizes, [one[stage] for one in told]) for stage in stages]
    rows.append(["exponent", "", "", *grows, "", ""])
    header = [
        "identities",
        "fact rows",
        "findings",
        "snapshot CPU s",
        "judge CPU s",
        "again CPU s",
        "wall s",
        "peak MB",
    ]
    harness.table(header, rows)


def _fill(path: Path, size: int) -> None:
    """A workspace as a published scan would leave it: nine rows for each identity, every twelfth owner gone."""
    from wardship.store.workspace import Workspace

    Workspace.create(path, clock=lambda: NOW).close()
    db = sqlite3.connect(path / "state.db")
    with db:
        for statement in filter(str.strip, _FILL.split(";\n")):
            db.execute(statement, {"size": size} if ":size" in statement else {})
    db.close()


# ------------------------------------------------------------------ in a process of its own


def _judge(path: Path) -> dict[str, Any]:
    from wardship.services import evaluate
    from wardship.store.engine import DuckDbEngine
    from wardship.store.facts import write_snapshot
    from wardship.store.workspace import Workspace

    took: dict[str, Any] = {}
    with Workspace.open(path, clock=lambda: NOW) as ws:
        began = time.process_time()
        snapshot = write_snapshot(ws.db, ws.facts, as_of=NOW, scan_seq=1)
        took["snapshot"] = time.process_time() - began
        took["rows"] = sum(rows for rows, _hash in snapshot.tables.values())
        for name, as_of in (("judge", NOW), ("again", NOW + timedelta(hours=1))):
            began = time.process_time()
            rules = evaluate.workspace_rules(ws)
            policy = evaluate.workspace_policy(ws)
            with DuckDbEngine(snapshot) as engine:
                done = evaluate.judge(ws.db, snapshot, rules, policy, as_of=as_of, actor="bench", engine=engine)
            took[name] = time.process_time() - began
            took.setdefault("findings", done.opened)
        if done.opened or done.closed or done.changed:
            raise ValueError(f"judging the same facts again changed something: {done}")
    return {**took, "rules": done.rules}


def _rule(path: Path) -> dict[str, Any]:
    """One rule asked of the newest snapshot."""
    from wardship.model.policy import Policy
    from wardship.sdk.rule import load_rules
    from wardship.store.engine import DuckDbEngine
    from wardship.store.facts import latest_snapshot
    from wardship.store.workspace import Workspace

    with Workspace.open(path, clock=lambda: NOW) as ws:
        began = time.process_time()
        query = next(rule for rule in load_rules() if rule.id == RULE).compiled
        snapshot = latest_snapshot(ws.db, ws.facts)
        assert snapshot is not None
        wanted = [query.columns.index(name) for name in ("subject_uid", "identity_uid", "age_days", "severity")]
        with DuckDbEngine(snapshot) as engine:
            rows = engine.query(query.sql(), query.arguments(Policy().parameters(NOW)))
            digest = harness.digest(tuple(row[place] for place in wanted) for row in rows)
        return {"cpu_s": time.process_time() - began, "digest": digest}


def _loop(path: Path) -> dict[str, Any]:
    """The same rule without facts: SQLAlchemy rows, one after another. It merges no identities: there are none here."""
    import sqlalchemy as sa

    from wardship.model.policy import Policy
    from wardship.store import tables
    from wardship.store.workspace import Workspace

    identity, credential, policy = tables.CURRENT["identity"], tables.CURRENT["credential"], Policy()
    found = []
    with Workspace.open(path, clock=lambda: NOW) as ws, ws.db.read() as conn:
        began = time.process_time()
        holders = {
            row.uid: row
            for row in conn.execute(
                sa.select(identity.c.uid, identity.c.standing, identity.c.enabled, identity.c.criticality)
            )
        }
        for row in conn.execute(sa.select(credential)):
            holder = holders.get(row.holder_uid)
            since = row.last_rotated_at or row.created_at
            if (
                row.type not in STATIC
                or row.presence == "gone"
                or row.enabled is False
                or since is None
                or (row.expires_at is not None and row.expires_at <= NOW)
                or (holder is not None and (holder.standing == "provider_managed" or holder.enabled is False))
            ):
                continue
            criticality = holder.criticality if holder is not None else None
            age = (NOW.date() - since.date()).days
            if age > policy.max_age_days.get(criticality or "", policy.max_age_undeclared_days):
                worse = age > policy.hard_max_age_days or criticality == "critical"
                found.append((row.uid, row.holder_uid, age, "high" if worse else "medium"))
        return {"cpu_s": time.process_time() - began, "digest": harness.digest(found)}


if __name__ == "__main__":
    print(json.dumps({"judge": _judge, "rule": _rule, "loop": _loop}[sys.argv[1]](Path(sys.argv[2]))))
