"""What a migration is written in: `create` makes a table, `append_only` guards it.

A column is written as its name, its type of `_TYPES`, then `key` where it belongs to the primary key, and `null` where
it may be NULL. Frozen as the migrations that use it are: it may learn words, never change their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from wardship.store.append_only import append_only_ddl

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(),
    "int": sa.Integer(),
    "bigint": sa.BigInteger(),
    "number": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),  # counted up by the database
    "float": sa.Float(),
    "bool": sa.Boolean(),
    "blob": sa.LargeBinary(),
    "date": sa.Date(),
    "instant": sa.DateTime(timezone=True),
}


def create(table: str, columns: str, unique: Sequence[Sequence[str]] = ()) -> None:
    """A table of the columns written in `columns`, with unique constraints over `unique`."""
    made: list[sa.schema.SchemaItem] = []
    keys: list[str] = []
    for column in columns.split(","):
        name, kind, *marks = column.split()
        if "key" in marks:
            keys.append(name)
        counted = kind == "number" and "key" in marks
        made.append(sa.Column(name, _TYPES[kind], nullable="null" in marks, autoincrement=counted))
    made.append(sa.PrimaryKeyConstraint(*keys, name=f"pk_{table}"))
    made.extend(sa.UniqueConstraint(*names, name=f"uq_{table}_{'_'.join(names)}") for names in unique)
    op.create_table(table, *made)


def append_only(*names: str) -> None:
    """From now on no row of these tables can be changed or deleted."""
    for name in names:
        for statement in append_only_ddl(name, op.get_bind().dialect.name):
            op.get_bind().exec_driver_sql(statement)
