"""Engines that answer checked queries about one fact snapshot: DuckDB embedded, PostgreSQL, Spark Connect.

An engine has `dialect` and `query(sql, parameters)`, and sees the fact tables of one snapshot under their names; it is
a context manager. The SQL is a `FactQuery`'s, in the engine's dialect. The check there is the first wall; the second
is here: DuckDB may open the snapshot's own files and nothing else, PostgreSQL reads temporary tables in a read-only
session. Spark is the user's cluster and has the user's walls.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from wardship.model.errors import ConfigError, Unavailable
from wardship.model.facts import FACTS, Snapshot
from wardship.sdk.i18n import _

if TYPE_CHECKING:
    import duckdb
    import psycopg
    from pyspark.sql.connect.session import SparkSession

Row = tuple[Any, ...]

TIMEOUT_S = 300.0
_CHUNK = 5_000
_POSTGRES_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}
_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})")


class Engine(Protocol):
    """Answers queries about one snapshot."""

    dialect: str

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        """The rows, in no order. Instants are naive UTC. Raises Unavailable when the engine cannot answer."""


class DuckDbEngine(AbstractContextManager["DuckDbEngine"]):
    """DuckDB in this process, over the snapshot's Parquet files. `timeout_s` bounds one query."""

    dialect = "duckdb"

    def __init__(self, snapshot: Snapshot, *, memory_limit: str = "1GB", timeout_s: float = TIMEOUT_S) -> None:
        import duckdb

        self._timeout_s = timeout_s
        self._error = duckdb.Error
        self._db: duckdb.DuckDBPyConnection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "threads": "2",
                "temp_directory": "",  # nothing of the facts is written anywhere
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        files = {table: str(snapshot.file(table)) for table in FACTS}
        for table, path in files.items():
            self._db.execute(f'CREATE VIEW "{table}" AS SELECT * FROM read_parquet({_literal(path)})')  # noqa: S608 - our names
        self._db.execute(f"SET allowed_paths = [{', '.join(map(_literal, files.values()))}]")
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        cursor = self._db.cursor()
        watch = threading.Timer(self._timeout_s, cursor.interrupt)
        watch.daemon = True
        watch.start()
        try:
            cursor.execute(sql, dict(parameters) or None)
            while rows := cursor.fetchmany(_CHUNK):
                yield from rows
        except self._error as error:
            raise Unavailable(
                _("DuckDB: %(error)s") % {"error": _first_line(error)}, system="duckdb", operation="query"
            ) from None
        finally:
            watch.cancel()
            cursor.close()

    def __exit__(self, *_: object) -> None:
        self._db.close()


class PostgresEngine(AbstractContextManager["PostgresEngine"]):
    """PostgreSQL at `url`: the snapshot's facts are loaded into temporary tables of one connection.

    PostgreSQL holds no NUL character and reads no half surrogate in JSON: they become U+FFFD there, and only there.
    """

    dialect = "postgres"

    def __init__(self, snapshot: Snapshot, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        import psycopg

        self._error = psycopg.Error
        plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            self._db: psycopg.Connection[Row] = psycopg.connect(plain, autocommit=True)
            for table, columns in FACTS.items():
                self._load(table, columns, snapshot.file(table))
            self._db.execute(f"SET statement_timeout = {int(timeout_s * 1000)}")
            self._db.execute("SET default_transaction_read_only = on")
        except psycopg.Error as error:
            raise Unavailable(
                _("PostgreSQL: %(error)s") % {"error": _first_line(error)}, system="postgresql", operation="load"
            ) from None

    def _load(self, table: str, columns: Mapping[str, str], path: Path) -> None:
        typed = ", ".join(f'"{name}" {_POSTGRES_TYPES.get(kind, kind)}' for name, kind in columns.items())
        self._db.execute(f'CREATE TEMPORARY TABLE "{table}" ({typed})')
        with self._db.cursor() as cursor, cursor.copy(f'COPY "{table}" FROM STDIN') as copy:
            for row in read_table(path):
                copy.write_row([_holdable(value) if isinstance(value, str) else value for value in row])
        self._db.execute(f'ANALYZE "{table}"')

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        try:
            with self._db.transaction(), self._db.cursor(name="facts") as cursor:
                cursor.execute(sql, dict(parameters))
                while rows := cursor.fetchmany(_CHUNK):
                    yield from rows
        except self._error as error:
            raise Unavailable(
                _("PostgreSQL: %(error)s") % {"error": _first_line(error)}, system="postgresql", operation="query"
            ) from None

    def __exit__(self, *_: object) -> None:
        self._db.close()


class SparkEngine(AbstractContextManager["SparkEngine"]):
    """A Spark cluster over Spark Connect (`sc://host:port`). The workers must see the snapshot's folder."""

    dialect = "spark"

    def __init__(self, snapshot: Snapshot, url: str) -> None:
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError:
            raise ConfigError(_("Spark's client is not installed"), advice=_("pip install 'wardship[spark]'")) from None
        self._error = PySparkException
        self._spark: SparkSession = SparkSession.builder.remote(url).create()
        self._spark.conf.set("spark.sql.session.timeZone", "UTC")
        for table in FACTS:
            self._spark.read.parquet(str(snapshot.file(table))).createOrReplaceTempView(table)

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        try:
            for row in self._spark.sql(sql, args=dict(parameters)).toLocalIterator():
                yield tuple(row)
        except self._error as error:
            raise Unavailable(
                _("Spark: %(error)s") % {"error": _first_line(error)}, system="spark", operation="query"
            ) from None

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._spark.stop()


def read_table(path: Path) -> Iterator[Row]:
    """Every row of one fact file, as it stands there."""
    import duckdb

    with duckdb.connect() as db:
        found = db.execute("SELECT * FROM read_parquet(?)", [str(path)])
        while rows := found.fetchmany(_CHUNK):
            yield from rows


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _holdable(text: str) -> str:
    return _ESCAPE.sub("�", text.replace("\0", "�"))


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
