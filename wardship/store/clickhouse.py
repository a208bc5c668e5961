"""ClickHouse as an engine of `wardship.store.engine`: in this process (chdb), or a server by URL.

In this process it reads the same Parquet files as DuckDB. A server reads them where it finds them under the same
paths (its `user_files`), or has the tables already (`telemetry.tables`). Answers come as JSON lines with their types.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from wardship.model.errors import ConfigError, Unavailable
from wardship.sdk.i18n import _
from wardship.store.engine import TIMEOUT_S, Row, Table, Tables, first_line, tables_of

if TYPE_CHECKING:
    from chdb.session import Session

_FORMAT = "JSONCompactEachRowWithNamesAndTypes"
_TYPES = {
    "VARCHAR": "String", "INTEGER": "Int32", "BIGINT": "Int64", "DOUBLE": "Float64", "BOOLEAN": "Bool",
    "DATE": "Date32", "TIMESTAMP": "DateTime64(6, 'UTC')",
}  # fmt: skip
_SETTINGS = {
    "join_use_nulls": "1",  # a row without a partner has NULLs, as SQL says, not zeros and empty texts
    "output_format_json_quote_64bit_integers": "0",
    "session_timezone": "'UTC'",
}

Ask = Callable[[str, Mapping[str, str]], Iterable[str]]
"""Takes SQL and parameters as text, gives chunks of the answer."""


class ClickHouseEngine(AbstractContextManager["ClickHouseEngine"]):
    """ClickHouse over Parquet files. `url` None: its engine in this process (one at a time, as chdb has it).

    The columns of a file are declared, so that all are nullable: ClickHouse guesses otherwise, and a column without a
    NULL in it could not hold one after an outer join.
    """

    dialect = "clickhouse"

    def __init__(self, shown: Tables, url: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._local: Session | None = None
        self._ask = self._open_local() if url is None else _over_http(url, timeout_s)
        self._tables = ", ".join(f'"{table.name}" AS ({_select(table)})' for table in tables_of(shown))

    def _open_local(self) -> Ask:
        try:
            from chdb.session import Session
        except ImportError:
            raise ConfigError(
                _("ClickHouse's engine is not installed"), advice=_("pip install 'wardship[clickhouse]'")
            ) from None
        session = self._local = Session()  # type: ignore[no-untyped-call]  # chdb types no constructor

        def ask(sql: str, parameters: Mapping[str, str]) -> Iterator[str]:
            header = None
            for chunk in session.send_query(sql, _FORMAT, params=dict(parameters)):
                names, kinds, rows = str(chunk.data()).split("\n", 2)  # each chunk has them again
                yield rows if header == (names, kinds) else f"{names}\n{kinds}\n{rows}"
                header = (names, kinds)

        return ask

    def _answer(self, sql: str, parameters: Mapping[str, str]) -> Iterator[str]:
        try:
            yield from self._ask(sql, parameters)
        except RuntimeError as error:  # chdb has no class of its own
            raise Unavailable(
                _("ClickHouse: %(error)s") % {"error": first_line(error)}, system="clickhouse", operation="query"
            ) from None

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        """The rows, in no order. Instants are naive UTC. Raises Unavailable when the engine cannot answer."""
        chunks = self._answer(self._framed(sql), {name: _text(value) for name, value in parameters.items()})
        lines = _lines(chunks)
        next(lines, None)  # the names
        kinds = next(lines, None)
        if kinds is None:
            return
        read = [_reader(kind) for kind in json.loads(kinds)]
        for line in lines:
            yield tuple(
                None if value is None else reader(value) for reader, value in zip(read, json.loads(line), strict=True)
            )

    def _framed(self, sql: str) -> str:
        """The tables stand before each question: nothing of ours is kept in a server."""
        settings = ", ".join(f"{name} = {value}" for name, value in _SETTINGS.items())
        own = sql.lstrip()
        rest = f", {own[5:]}" if own[:5].upper() == "WITH " else f" {own}"
        return f"WITH {self._tables}{rest} SETTINGS {settings}"

    def __exit__(self, *_: object) -> None:
        if self._local is not None:
            self._local.close()  # type: ignore[no-untyped-call]  # chdb types no method


def _over_http(url: str, timeout_s: float) -> Ask:
    """A server's HTTP interface. A user and password in the URL are sent as its headers, never in a query."""
    import httpx

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            _("ClickHouse's URL is not http(s)://host:port"), advice=_("for example http://127.0.0.1:8123")
        )
    headers = {"X-ClickHouse-User": parts.username, "X-ClickHouse-Key": parts.password}
    client = httpx.Client(
        base_url=f"{parts.scheme}://{parts.hostname}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}",
        headers={name: unquote(value) for name, value in headers.items() if value},
        timeout=timeout_s,
    )

    def ask(sql: str, parameters: Mapping[str, str]) -> Iterator[str]:
        query = {"default_format": _FORMAT, "readonly": "2", "wait_end_of_query": "1"}
        query |= {f"param_{name}": value for name, value in parameters.items()}
        try:
            with client.stream("POST", "/", params=query, content=sql.encode()) as answer:
                if answer.status_code != httpx.codes.OK:
                    said = answer.read().decode("utf-8", "replace")
                    raise RuntimeError(said or f"HTTP {answer.status_code}")
                yield from answer.iter_text()
        except httpx.HTTPError as error:
            raise RuntimeError(str(error) or type(error).__name__) from None

    return ask


def _select(table: Table) -> str:
    if table.select is not None:
        columns = ", ".join(f'"{name}"' for name in table.columns)
        return f"SELECT {columns} FROM ({table.select})"  # noqa: S608 - the operator's own SQL
    if not table.files:
        typed = (f'CAST(NULL AS Nullable({_TYPES[kind]})) AS "{name}"' for name, kind in table.columns.items())
        return f"SELECT {', '.join(typed)} WHERE 0"
    structure = ", ".join(f"`{name}` Nullable({_TYPES[kind]})" for name, kind in table.columns.items())
    files = ", ".join(_literal(str(path)) for path in table.files)
    return f"SELECT * FROM file([{files}], 'Parquet', {_literal(structure)})"  # noqa: S608 - our paths, quoted


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from filter(None, whole)
    if rest:
        yield rest


def _reader(kind: str) -> Callable[[Any], Any]:
    """How a JSON value of the ClickHouse type `kind` is read."""
    plain = kind.removeprefix("Nullable(")
    if plain.startswith("DateTime"):
        return datetime.fromisoformat
    if plain.startswith("Date"):
        return date.fromisoformat
    return lambda value: value


def _text(value: Any) -> str:
    """A parameter as ClickHouse reads it."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    return str(int(value)) if isinstance(value, bool) else str(value)


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
