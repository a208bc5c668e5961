"""The result of one SELECT: of a SQLite file, or of a PostgreSQL database in a read-only transaction.

The statement stands in the mapping, and a mapping may come from somebody else: sqlglot must see one query that
changes nothing and calls no function of the server's administration; the database is told to refuse the rest.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardship.connectors.file.formats.delimited import header_of
from wardship.connectors.file.formats.row import (
    MAX_COLUMNS,
    MAX_ROW_CHARS,
    Row,
    SourceOptions,
    require_file,
    unreadable,
)
from wardship.model.errors import AuthenticationFailed, ConfigError, NotVisible, Unavailable
from wardship.sdk.i18n import _

if TYPE_CHECKING:
    from wardship.model.secret import Secret

_FETCH = 500
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, 33})  # 33: SQLITE_RECURSIVE
_REFUSED_FUNCTIONS = (
    "pg_", "lo_", "dblink", "set_config", "setval", "nextval", "query_to_xml", "table_to_xml", "cursor_to_xml",
    "database_to_xml", "schema_to_xml", "load_extension", "readfile", "writefile", "fts3_tokenizer", "txid_", "xpath",
)  # fmt: skip


def check_query(query: str, dialect: str) -> str | None:
    """What is wrong with the statement as a query that only reads; None: nothing."""
    import sqlglot
    from sqlglot import exp

    try:
        statements = [one for one in sqlglot.parse(query, read=dialect) if one is not None]
    except (sqlglot.errors.SqlglotError, RecursionError):
        return _("not readable as SQL")
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return _("it must be one SELECT")
    changing = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock, exp.Set, exp.Pragma)
    for node in statements[0].walk():
        if isinstance(node, changing) and not isinstance(node, exp.Query):
            return _("it must be one SELECT that changes nothing")
        if isinstance(node, exp.Func):
            name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
            if name.startswith(_REFUSED_FUNCTIONS):
                return _("the function %(name)s is not allowed") % {"name": name}
    return None


def sqlite_rows(path: Path, options: SourceOptions) -> Iterator[Row]:
    """Opens the file for reading only, refuses everything but reading, and stops a query that takes too long."""
    require_file(path)
    query = _checked(options, "sqlite")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as broken:
        raise unreadable(path, broken, _("check that it is a SQLite file")) from None
    with contextlib.closing(connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        deadline = time.monotonic() + options.timeout_s
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA query_only = ON")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 * MAX_ROW_CHARS)
            connection.set_authorizer(_authorise)
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            cursor = connection.execute(query)
            yield from _fetched(cursor, [column[0] for column in cursor.description])
        except sqlite3.Error as broken:
            raise unreadable(path, broken, _("check the query of the mapping")) from None


def _authorise(action: int, first: str | None, second: str | None, *_rest: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower().startswith(_REFUSED_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    del first
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def postgresql_rows(url: Secret | None, options: SourceOptions) -> Iterator[Row]:
    """A cursor on the server, so that memory holds one batch. Raises AuthenticationFailed, Unavailable, NotVisible."""
    query = _checked(options, "postgres")
    if url is None:
        raise ConfigError(
            _("a mapping of format postgresql needs the setting url"),
            advice=_("give it as a reference: url=env:NAME or url=file:/path"),
        )
    try:
        import psycopg
    except ImportError:
        raise ConfigError(
            _("reading PostgreSQL needs an optional part"),
            advice=_("install the optional part: pip install 'wardship[postgres]'"),
        ) from None
    settings = f"-c default_transaction_read_only=on -c statement_timeout={options.timeout_s * 1000}"
    try:
        with psycopg.connect(
            url.reveal(), options=settings, connect_timeout=10, application_name="wardship"
        ) as connection:
            connection.read_only = True
            with connection.cursor(name="wardship") as cursor:
                cursor.itersize = _FETCH
                cursor.execute(query.encode())
                yield from _fetched(cursor, [column.name for column in cursor.description or ()])
    except psycopg.OperationalError as failed:
        if failed.sqlstate and failed.sqlstate.startswith("57"):
            raise NotVisible(
                _("the query was stopped after %(n)d seconds") % {"n": options.timeout_s},
                advice=_("narrow it, or raise timeout_s in the mapping"),
            ) from None
        if failed.sqlstate and failed.sqlstate.startswith("28"):
            raise AuthenticationFailed(_("the database refused the credential"), system="file") from None
        raise Unavailable(_("the database does not answer"), system="file") from None
    except psycopg.Error as failed:
        raise NotVisible(
            _("the database refused the query (%(state)s)") % {"state": failed.sqlstate or type(failed).__name__},
            advice=_("check the query of the mapping"),
        ) from None


def _checked(options: SourceOptions, dialect: str) -> str:
    query = (options.query or "").strip().rstrip(";")
    wrong = check_query(query, dialect)
    if wrong:
        raise ConfigError(_("the query of the mapping: %(what)s") % {"what": wrong}, advice=_("write one SELECT"))
    return query


def _fetched(cursor: Any, names: Sequence[str]) -> Iterator[Row]:
    header = header_of(names)
    if len(header) > MAX_COLUMNS:
        raise NotVisible(_("over %(n)d columns") % {"n": MAX_COLUMNS}, advice=_("name the columns that are needed"))
    number = 0
    while batch := cursor.fetchmany(_FETCH):
        for values in batch:
            number += 1
            texts = [_text(value) for value in values]
            if sum(map(len, texts)) > MAX_ROW_CHARS:
                yield Row(where=f"record {number}", problem=f"a row of over {MAX_ROW_CHARS} characters")
            else:
                yield Row(where=f"record {number}", cells=dict(zip(header, texts, strict=True)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
