"""Is this workspace in order? Each check says what was looked at, whether it is well, and what to do when it is not."""

from __future__ import annotations

import json
import platform
import shutil
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wardship import __version__
from wardship.model.errors import Error
from wardship.sdk import registry
from wardship.sdk.i18n import N_, _, format_instant, format_number
from wardship.sdk.redact import redact
from wardship.services.formats import Column
from wardship.store import facts, scans, tables
from wardship.store.workspace import Workspace

COLUMNS = (
    Column(name="check", label=N_("Check")),
    Column(name="ok", label=N_("In order"), type="boolean"),
    Column(name="detail", label=N_("What was found")),
    Column(name="advice", label=N_("Next")),
)
_LEAST_FREE_BYTES = 500 * 1024 * 1024
_MOST_SKEW_S = 60.0
_STALE_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `ok` None: nothing can be said about it."""

    check: str
    ok: bool | None
    detail: str
    advice: str | None = None

    def row(self) -> dict[str, Any]:
        return asdict(self)


def examine(ws: Workspace, plugins: Sequence[str] = ()) -> list[Check]:
    """Looks at everything; what goes wrong in one check does not stop the others."""
    return [
        _schema(ws),
        *_keys(ws),
        _disk(ws),
        _snapshot(ws),
        *_scans(ws),
        _quarantine(ws),
        _drift(ws),
        *_connectors(plugins),
    ]


def _schema(ws: Workspace) -> Check:
    """An opened workspace is up to date already; here it is said which database it is."""
    kind = "SQLite" if ws.db.is_sqlite else "PostgreSQL"
    return Check(check=_("database"), ok=True, detail=_("%(kind)s, schema up to date") % {"kind": kind})


def _keys(ws: Workspace) -> list[Check]:
    found = []
    for path in (ws.path, ws.keys, *sorted(ws.keys.iterdir())):
        if path.suffixes[-2:] == [".pub", ".pem"]:
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            found.append(
                Check(
                    check=_("rights"),
                    ok=False,
                    detail=_("%(path)s can be read by others (mode %(mode)o)") % {"path": path.name, "mode": mode},
                    advice=f"chmod go-rwx {path}",
                )
            )
    return found or [Check(check=_("rights"), ok=True, detail=_("folder and keys are readable by their owner only"))]


def _disk(ws: Workspace) -> Check:
    free = shutil.disk_usage(ws.path).free
    return Check(
        check=_("disk"),
        ok=free >= _LEAST_FREE_BYTES,
        detail=_("%(n)s MB free") % {"n": format_number(free // (1024 * 1024))},
        advice=None if free >= _LEAST_FREE_BYTES else _("make room: a full disk stops scans and changes"),
    )


def _snapshot(ws: Workspace) -> Check:
    name = _("facts")
    newest = facts.latest_snapshot(ws.db, ws.facts)
    if newest is None:
        return Check(check=name, ok=None, detail=_("nothing has been scanned yet"), advice="wardship scan")
    try:
        facts.verify_snapshot(newest)
    except Error as error:
        return Check(check=name, ok=False, detail=error.message, advice=error.advice or "wardship scan")
    return Check(check=name, ok=True, detail=_("snapshot %(id)s is what was written") % {"id": newest.id[:16]})


def _scans(ws: Workspace) -> list[Check]:
    table = tables.scan
    newest = sa.select(sa.func.max(table.c.seq)).group_by(table.c.connection)
    with ws.db.read() as conn:
        rows = conn.execute(sa.select(table).where(table.c.seq.in_(newest)).order_by(table.c.seq)).all()
    found = []
    for row in {scans.source(row.connection): row for row in rows}.values():  # of many imports the newest
        age = ws.db.clock() - row.started_at
        ok = row.status == "done" and age.days < _STALE_DAYS
        skew = row.clock_skew_s
        detail = _("%(name)s: %(status)s, begun %(when)s") % {
            "name": scans.source(row.connection),
            "status": row.status,
            "when": format_instant(row.started_at),
        }
        advice = None
        if age.days >= _STALE_DAYS:
            advice = _("scan again: it is %(n)d days old") % {"n": age.days}
        elif row.status != "done":
            advice = _("see what is missing with `wardship coverage --unread`")
        if skew is not None and abs(skew) > _MOST_SKEW_S:
            ok = False
            detail += "; " + _("its clock differs from ours by %(n)d s") % {"n": round(skew)}
            advice = _("set this machine's clock")
        found.append(Check(check=_("newest scan"), ok=ok, detail=detail, advice=advice))
    return found


def _quarantine(ws: Workspace) -> Check:
    table = tables.quarantine
    with ws.db.read() as conn:
        n = conn.scalar(sa.select(sa.func.count()).where(table.c.replayed_at.is_(None))) or 0
    return Check(
        check=_("quarantine"),
        ok=n == 0,
        detail=_("%(n)d records could not be read") % {"n": n},
        advice="wardship quarantine list" if n else None,
    )


def _drift(ws: Workspace) -> Check:
    with ws.db.read() as conn:
        n = conn.scalar(sa.select(sa.func.count()).select_from(tables.drift)) or 0
    return Check(
        check=_("unexpected answers"),
        ok=None if n else True,
        detail=_("%(n)d values or shapes that this version does not know") % {"n": n},
        advice=_("send them with `wardship doctor --report`") if n else None,
    )


def _connectors(plugins: Sequence[str]) -> list[Check]:
    found = []
    for name in registry.connector_names(plugins):
        try:
            registry.manifest(name, plugins)
        except (Error, ImportError, AttributeError) as error:
            found.append(
                Check(
                    check=_("connector"),
                    ok=False,
                    detail=_("%(name)s cannot be loaded (%(kind)s)") % {"name": name, "kind": type(error).__name__},
                )
            )
    return found or [Check(check=_("connectors"), ok=True, detail=", ".join(registry.connector_names(plugins)))]


def report(ws: Workspace, checks: Sequence[Check]) -> Path:
    """Writes the checks and the shapes that were not expected into `exports/`, redacted; returns the file.

    It holds versions, words of vendors' vocabularies and counts: no names, ids or values of the customer's.
    """
    with ws.db.read() as conn:
        drift = [
            {"connector": row.connector, "place": row.place, "what": redact(row.what), "times": row.times}
            for row in conn.execute(sa.select(tables.drift).order_by(tables.drift.c.connector, tables.drift.c.place))
        ]
        reasons = [
            {"reason": redact(row.reason), "rows": row.n}
            for row in conn.execute(
                sa.select(tables.quarantine.c.reason, sa.func.count().label("n")).group_by(tables.quarantine.c.reason)
            )
        ]
    told = {
        "wardship": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "database": "sqlite" if ws.db.is_sqlite else "postgresql",
        "checks": [{"check": check.check, "ok": check.ok} for check in checks],
        "drift": drift,
        "quarantine": reasons,
    }
    target = ws.exports / "doctor-report.json"
    target.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    target.chmod(0o600)
    return target
