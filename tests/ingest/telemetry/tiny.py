"""A small audit log for tests of the lake: {"id", "at", "who", "does", "ip", "twice"}; `id` may be missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from wardship.model.activity import Activity
from wardship.model.errors import DataError
from wardship.sdk.connector import Drift, Evidence
from wardship.sdk.source import SourceManifest
from wardship.store import engine, telemetry
from wardship.store.workspace import Workspace

START = datetime(2026, 11, 20, tzinfo=UTC)


class Tiny:
    """`knows` False: a version that cannot read records with a "new" field yet."""

    MANIFEST = SourceManifest(
        name="test.tiny", title="Tiny", forms=(), records=("Records",), evidence=Evidence.EMULATOR
    )

    def __init__(self, *, knows: bool = True) -> None:
        self.knows = knows

    def claims(self, record: dict[str, Any]) -> bool:
        return "does" in record

    def parse(self, record: dict[str, Any], drift: Drift) -> Iterable[Activity]:
        if record.get("new") and not self.knows:
            raise DataError("a field that is not known")
        if record["does"] == "nothing":
            return []
        one = Activity(
            uid=record.get("id"),
            time=datetime.fromisoformat(record["at"]),
            service="tiny",
            operation=record["does"],
            actor_authority="tiny:1",
            actor_id=record.get("who", "w"),
            src_ip=record.get("ip"),
            detail={"extra": record["extra"]} if "extra" in record else {},
        )
        return [one, one] if record.get("twice") else [one]


class TinyProjected(Tiny):
    """The same log, set-based."""

    RAW: ClassVar = {
        "id": "VARCHAR",
        "at": "VARCHAR",
        "who": "VARCHAR",
        "does": "VARCHAR",
        "ip": "VARCHAR",
        "new": "BOOLEAN",
    }
    PROJECTION = """
        SELECT id AS uid, TRY_CAST("at" AS TIMESTAMP) AS time, 6003 AS class_uid, 'tiny:1' AS actor_authority,
            coalesce(who, 'w') AS actor_id, NULL AS actor_name, 'unknown' AS actor_kind, NULL AS session,
            NULL AS on_behalf_of, NULL AS credential_id, NULL AS credential_type, 'tiny' AS service,
            "does" AS operation, NULL AS mutating, NULL AS interactive, NULL AS resource_type, NULL AS resource_id,
            NULL AS resource_name, NULL AS account, NULL AS region, ip AS src_ip, NULL AS user_agent,
            'unknown' AS outcome, NULL AS outcome_code, '{}' AS detail, position,
            "does" <> 'nothing' AND "new" IS NULL AS readable
        FROM raw
    """


def record(number: int, **more: Any) -> dict[str, Any]:
    at = START + timedelta(minutes=number * 19 % 2_880)
    return {
        "id": f"e{number}",
        "at": at.isoformat(),
        "who": f"w{number % 5}",
        "does": "read",
        "ip": "192.0.2.7",
        **more,
    }


def write(path: Path, records: Sequence[Any]) -> Path:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return path


def rows(ws: Workspace, columns: str = "uid") -> list[tuple[Any, ...]]:
    """What is published, in order."""
    with engine.DuckDbEngine([telemetry.activity_table(ws.db, ws.activity)]) as asked:
        return sorted(asked.query(f"SELECT {columns} FROM activity", {}), key=repr)


def uids(ws: Workspace) -> list[str]:
    return sorted(uid for (uid,) in rows(ws))
