"""Role pairs on the real PostgreSQL server, for the tests of the connector and of rotation."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from wardship.model.secret import Secret
from wardship.sdk.connector import Connection


def connection_of(
    url: str, clock: Callable[[], datetime], *, user: str | None = None, password: str = ""
) -> Connection:
    """A Wardship connection to the server behind `url`, as its administrator or as `user`."""
    parsed = sa.make_url(url)
    return Connection(
        name="pg",
        connector="postgresql",
        settings={
            "host": parsed.host or "",
            "port": str(parsed.port),
            "user": user or parsed.username or "",
            "sslmode": "disable",
        },
        secret=lambda _name: Secret(password if user else str(parsed.password)),
        clock=clock,
    )


@dataclass
class Pair:
    """A group role and its two slots: the first in use, the second retired."""

    url: str
    group: str
    slots: tuple[str, str]
    password: str

    def works(self, id_: str, value: str) -> bool:
        parsed = sa.make_url(self.url)
        try:
            psycopg.connect(
                host=parsed.host, port=parsed.port, dbname="postgres", user=id_, password=value, sslmode="disable"
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as conn:
            return conn.execute(query, values).fetchall()

    def run(self, statement: sql.Composed | str) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute(statement)


@contextlib.contextmanager
def pair(url: str, name: str | None = None) -> Iterator[Pair]:
    name = name or f"app_{secrets.token_hex(6)}"
    made = Pair(url, name, (f"{name}_a", f"{name}_b"), secrets.token_hex(8))
    group, first, second = (sql.Identifier(each) for each in (name, *made.slots))
    made.run(sql.SQL("create role {} nologin").format(group))
    made.run(sql.SQL("create role {} login password {} in role {}").format(first, sql.Literal(made.password), group))
    made.run(sql.SQL("create role {} nologin valid until '-infinity' in role {}").format(second, group))
    try:
        yield made
    finally:
        made.run(sql.SQL("drop role {}, {}, {}").format(group, first, second))
