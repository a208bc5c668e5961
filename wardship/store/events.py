"""The engine that answers questions about events, as the settings choose it.

DuckDB reads the workspace's Parquet files in this process. Spark and ClickHouse read the same files where they can see
them, or tables that they have already: `telemetry.tables` names a file with one SELECT, in that engine's dialect, that
gives the columns of `wardship.model.activity`.
"""

from __future__ import annotations

from dataclasses import replace

from wardship.config import resolve_secret
from wardship.model.activity import ACTIVITY
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _
from wardship.store.engine import DuckDbEngine, Engine, SparkEngine, Table, Tables, tables_of
from wardship.store.workspace import Workspace


def open_engine(ws: Workspace, shown: Tables) -> Engine:
    """Opens the engine of `ws` over these tables; `activity` among them is replaced by what the engine has already,
    where the settings say so. Raises ConfigError for settings that do not fit together, Unavailable.
    """
    settings = ws.settings.telemetry
    tables = [_elsewhere(ws, table) if table.name == "activity" else table for table in tables_of(shown)]
    if settings.engine == "duckdb":
        return DuckDbEngine(tables, memory_limit=f"{settings.memory_mb}MB", spill=ws.tmp)
    url = None if settings.url is None else resolve_url(settings.url)
    if settings.engine == "clickhouse":
        from wardship.store.clickhouse import ClickHouseEngine

        return ClickHouseEngine(tables, url)
    if url is None:
        raise ConfigError(
            _("the engine %(name)s runs on a server of yours") % {"name": settings.engine},
            advice=_("say where it is: telemetry.url"),
        )
    return SparkEngine(tables, url)


def resolve_url(text: str) -> str:
    """The URL, or what a reference to one holds."""
    from wardship.config import is_reference

    return resolve_secret(text).reveal() if is_reference(text) else text


def _elsewhere(ws: Workspace, table: Table) -> Table:
    given = ws.settings.telemetry.tables
    if given is None:
        return table
    path = ws.path / given.expanduser()
    try:
        select = path.read_text(encoding="utf-8").strip().rstrip(";")
    except OSError as error:
        raise ConfigError(
            _("the file %(path)s of telemetry.tables cannot be read: %(reason)s")
            % {"path": path, "reason": error.strerror},
            advice=_("correct `telemetry.tables` in workspace.yaml"),
        ) from None
    return replace(table, columns=ACTIVITY, files=(), select=select)
