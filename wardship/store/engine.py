"""Engines that answer checked queries about tables kept as Parquet: DuckDB embedded, PostgreSQL, Spark Connect, and
ClickHouse in `wardship.store.clickhouse`.

An engine has `dialect` and `query(sql, parameters)`, and sees tables under their names: the fact tables of one
snapshot, or any `Table`s it is given, such as the activities of the telemetry manifest; it is a context manager. The
SQL is a `FactQuery`'s, in the engine's dialect. The check there is the first wall; the second is here: DuckDB may open
the files it was given and nothing else, PostgreSQL reads temporary tables in a read-only session. Spark is the user's
cluster and has the user's walls.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import sqlalchemy as sa

from wardship.model.errors import ConfigError, Unavailable
from wardship.model.facts import FACTS, Snapshot
from wardship.sdk.i18n import _
from wardship.store.work_folder import work_folder

if TYPE_CHECKING:
    import duckdb
    import psycopg
    from pyspark.sql.connect.session import SparkSession

Row = tuple[Any, ...]

TIMEOUT_S = 300.0
_CHUNK = 5_000
_POSTGRES_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}
_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that an engine shows: `columns` with DuckDB's types, and the Parquet files that hold its rows. No file:
    an empty table. A file may have more columns, in any order.

    `select`: instead of files, a SELECT in the engine's own dialect over what that engine has already; not in DuckDB.
    """

    name: str
    columns: Mapping[str, str]
    files: Sequence[Path] = ()
    select: str | None = None


Tables = Snapshot | Sequence[Table]


def tables_of(shown: Tables) -> Sequence[Table]:
    """A snapshot's fact tables; other tables as they are."""
    if isinstance(shown, Snapshot):
        return [Table(name=name, columns=columns, files=(shown.file(name),)) for name, columns in FACTS.items()]
    return shown


class Engine(Protocol):
    """Answers queries about the tables it was opened with."""

    dialect: str

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        """The rows, in no order. Instants are naive UTC. Raises Unavailable when the engine cannot answer."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Hindered(Unavailable):
    """The machine failed, not the question: a file that cannot be read, a full disk. Asked again it may answer."""


class DuckDbEngine(AbstractContextManager["DuckDbEngine"]):
    """DuckDB in this process, over Parquet files. `timeout_s` bounds one query.

    `spill`: a folder in which a query larger than `memory_limit` may put what it cannot hold, in one of its own that
    goes with the process. None: such a query fails, and nothing of the tables is written anywhere.
    """

    dialect = "duckdb"

    def __init__(
        self, shown: Tables, *, memory_limit: str = "1GB", timeout_s: float = TIMEOUT_S, spill: Path | None = None
    ) -> None:
        import duckdb

        self._timeout_s = timeout_s
        self._error = duckdb.Error
        self._hindered = (duckdb.IOException, duckdb.OutOfMemoryException)
        with contextlib.ExitStack() as held:
            folder = held.enter_context(work_folder(spill)) if spill is not None else ""
            self._db: duckdb.DuckDBPyConnection = held.enter_context(
                duckdb.connect(
                    config={
                        "memory_limit": memory_limit,
                        "threads": "2",
                        "temp_directory": str(folder),
                        "autoinstall_known_extensions": "false",
                        "autoload_known_extensions": "false",
                    }
                )
            )
            self._files: list[Path] = []
            for table in tables_of(shown):
                self._files += table.files
                self._db.execute(f'CREATE VIEW "{table.name}" AS {duckdb_select(table)}')
            self._db.execute(f"SET allowed_paths = [{', '.join(literal(str(one)) for one in self._files)}]")
            self._db.execute("SET enable_external_access = false")
            self._db.execute("SET lock_configuration = true")
            self._held = held.pop_all()

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
            read, memory = self._hindered
            # What memory could not hold found no room on the disk; without these words, the question asks too much.
            full = isinstance(error, memory) and "failed to offload" in str(error)
            said = _("DuckDB: %(error)s") % {"error": first_line(error)}
            # A file that is gone is looked for as a folder, and that is forbidden.
            if full or isinstance(error, read) or not all(one.exists() for one in self._files):
                advice = _("see that the disk of the workspace can be read and has room; then run this again")
                raise Hindered(said, system="duckdb", operation="query", advice=advice) from None
            raise Unavailable(said, system="duckdb", operation="query") from None
        finally:
            watch.cancel()
            cursor.close()

    def __exit__(self, *_: object) -> None:
        self._held.close()


class PostgresEngine(AbstractContextManager["PostgresEngine"]):
    """PostgreSQL at `url`: the tables are loaded into temporary ones of one connection. For facts, not for events.

    PostgreSQL holds no NUL character and reads no half surrogate in JSON: they become U+FFFD there, and only there.
    """

    dialect = "postgres"

    def __init__(self, shown: Tables, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        import psycopg

        self._error = psycopg.Error
        plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            self._db: psycopg.Connection[Row] = psycopg.connect(plain, autocommit=True)
            for table in tables_of(shown):
                self._load(table)
            self._db.execute(f"SET statement_timeout = {int(timeout_s * 1000)}")
            self._db.execute("SET default_transaction_read_only = on")
        except psycopg.Error as error:
            raise Unavailable(
                _("PostgreSQL: %(error)s") % {"error": first_line(error)}, system="postgresql", operation="load"
            ) from None

    def _load(self, table: Table) -> None:
        typed = ", ".join(f'"{name}" {_POSTGRES_TYPES.get(kind, kind)}' for name, kind in table.columns.items())
        self._db.execute(f'CREATE TEMPORARY TABLE "{table.name}" ({typed})')
        with self._db.cursor() as cursor, cursor.copy(f'COPY "{table.name}" FROM STDIN') as copy:
            for path in table.files:
                for row in read_table(path, tuple(table.columns)):
                    copy.write_row([_holdable(value) if isinstance(value, str) else value for value in row])
        self._db.execute(f'ANALYZE "{table.name}"')

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        try:
            with self._db.transaction(), self._db.cursor(name="facts") as cursor:
                cursor.execute(sql, dict(parameters))
                while rows := cursor.fetchmany(_CHUNK):
                    yield from rows
        except self._error as error:
            raise Unavailable(
                _("PostgreSQL: %(error)s") % {"error": first_line(error)}, system="postgresql", operation="query"
            ) from None

    def __exit__(self, *_: object) -> None:
        self._db.close()


class SparkEngine(AbstractContextManager["SparkEngine"]):
    """A Spark cluster over Spark Connect (`sc://host:port`). The workers must see the files under the same paths."""

    dialect = "spark"

    def __init__(self, shown: Tables, url: str) -> None:
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError:
            raise ConfigError(_("Spark's client is not installed"), advice=_("pip install 'wardship[spark]'")) from None
        self._error = PySparkException
        try:
            self._spark: SparkSession = SparkSession.builder.remote(url).create()
            self._spark.conf.set("spark.sql.session.timeZone", "UTC")
            for table in tables_of(shown):
                self._show(table)
        except PySparkException as error:
            raise Unavailable(
                _("Spark: %(error)s") % {"error": first_line(error)},
                system="spark",
                operation="load",
                advice=_("see that it runs at telemetry.url, and has the files under the same paths, or those tables"),
            ) from None

    def _show(self, table: Table) -> None:
        paths = [str(path) for path in table.files]
        if table.select is not None:
            frame = self._spark.sql(table.select).select(*table.columns)
        elif paths:
            frame = self._spark.read.parquet(*paths).select(*table.columns)
        else:
            frame = self._spark.sql(_empty(table, "STRING")).limit(0)
        frame.createOrReplaceTempView(table.name)

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        try:
            for row in self._spark.sql(sql, args=dict(parameters)).toLocalIterator():
                yield tuple(row)
        except self._error as error:
            raise Unavailable(
                _("Spark: %(error)s") % {"error": first_line(error)}, system="spark", operation="query"
            ) from None

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._spark.stop()


def in_dialect(sql: str, dialect: str) -> str:
    """SQL of ours in DuckDB's dialect as another engine writes it: spark, clickhouse, trino, snowflake, bigquery.

    Their regular expressions replace every match as they stand, and have no word for it.
    """
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, read="duckdb")
    if dialect not in ("duckdb", "postgres"):
        for found in tree.find_all(exp.RegexpReplace):
            found.set("modifiers", None)
    return tree.sql(dialect=dialect)


def read_table(path: Path, columns: Sequence[str] = ()) -> Iterator[Row]:
    """Every row of one Parquet file: `columns` of it, else all as they stand there."""
    import duckdb

    wanted = ", ".join(f'"{name}"' for name in columns) or "*"
    with duckdb.connect() as db:
        found = db.execute(f"SELECT {wanted} FROM read_parquet(?)", [str(path)])  # noqa: S608 - our names
        while rows := found.fetchmany(_CHUNK):
            yield from rows


def duckdb_select(table: Table) -> str:
    """The SELECT, in DuckDB's dialect, that gives the rows of `table`. Raises ConfigError for one that is elsewhere."""
    if table.select is not None:
        raise ConfigError(
            _("DuckDB has no tables of its own"), advice=_("set telemetry.engine to the engine that has them")
        )
    if not table.files:
        return f"{_empty(table, 'VARCHAR')} LIMIT 0"
    names = ", ".join(f'"{name}"' for name in table.columns)
    listed = ", ".join(literal(str(path)) for path in table.files)
    return f"SELECT {names} FROM read_parquet([{listed}], union_by_name = true)"  # noqa: S608 - our names


def _empty(table: Table, text: str) -> str:
    """One row of typed NULLs; `text` is the dialect's word for VARCHAR."""
    typed = (f"CAST(NULL AS {text if kind == 'VARCHAR' else kind}) AS {name}" for name, kind in table.columns.items())
    return f"SELECT {', '.join(typed)}"


def literal(value: str) -> str:
    """A text as DuckDB's SQL writes it: for paths, which cannot be parameters everywhere."""
    return "'" + value.replace("'", "''") + "'"


def _holdable(text: str) -> str:
    return _ESCAPE.sub("�", text.replace("\0", "�"))


def first_line(error: BaseException) -> str:
    """What an engine's error says, without its traces."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
