"""A week of a made-up estate as activities, among them odd ones, where the workers of a cluster may read them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.activities import activity_table, write_activities
from wardship.sim.abuse import estate
from wardship.store.engine import Table


def events(folder: Path) -> Table:
    """Two files below `folder`, as the table `activity`."""
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    made = estate(seed=3, identities=60, days=7, first_day=date(2026, 9, 28), abused=18)
    rows = [
        {
            **{name: getattr(one, name) for name in type(one).__slots__ if name != "detail"},
            "time": one.time.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "class_uid": int(one.class_uid),
            "actor_kind": one.actor_kind.value,
            "outcome": one.outcome.value,
            "source": "aws.cloudtrail",
            "src_network": str(one.src_ip).rpartition(".")[0],
            "src_country": "ES",
        }
        for day in made.all_days()
        for one in made.events(day)
    ]
    odd = [
        {
            "time": "2026-10-01T00:00:00",
            "actor_authority": None,
            "actor_id": None,
            "actor_name": "Íñigo 'x\\y",
            "operation": "A",
        },
        {
            "time": "2026-10-01T00:00:00",
            "actor_authority": None,
            "actor_id": None,
            "actor_name": None,
            "outcome": "unknown",
        },
        {
            "time": "2026-10-01T23:59:59.999999",
            "session": "i-0abc123 job 77",
            "user_agent": "[curl/8.1 (x)]",
            "mutating": None,
        },
        {
            "time": "2026-12-31T23:00:00",
            "resource_id": "arn:aws:s3:::bucket/key/1",
            "credential_id": "ASIA0000000000000000",
        },
    ]
    half = len(rows) // 2
    return activity_table(
        write_activities(folder / "one.parquet", rows[:half]),
        write_activities(folder / "two.parquet", [*rows[half:], *odd]),
    )
