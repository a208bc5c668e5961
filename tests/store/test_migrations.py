"""What the migrations make is what tables.py says, on both databases; and they can be killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from wardship.model.errors import ConfigError
from wardship.store import audit_verify, migrations, tables
from wardship.store.append_only import unguarded
from wardship.store.db import Database
from wardship.store.migrations import HEAD, REVISIONS, SchemaState


@pytest.fixture
def empty(database_url: str, clock: Callable[[], datetime]) -> Database:
    return Database(database_url, clock=clock)


def test_the_migrations_make_the_tables_of_this_version(empty: Database) -> None:
    assert migrations.migrate(empty) is None
    with empty.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        assert unguarded(conn, tables.APPEND_ONLY) == []
    empty.close()


def test_both_ways_of_making_a_database_give_the_same_one(
    empty: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also what the comparison above does not look at: indexes' columns, keys, nullability."""
    migrations.migrate(empty)
    with empty.read() as conn:
        migrated = described(conn)
    with empty.bookkeep() as conn:
        tables.metadata.drop_all(conn)
        tables.metadata.create_all(conn)
        assert described(conn) == migrated
    empty.close()


def described(conn: Connection) -> dict[str, object]:
    found = sa.inspect(conn)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((i["name"], tuple(i["column_names"]), i["unique"]) for i in found.get_indexes(name)),
            sorted(tuple(u["column_names"]) for u in found.get_unique_constraints(name)),
        )
        for name in tables.metadata.tables
    }


def test_the_list_of_revisions_is_that_of_the_files() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER))
    script = ScriptDirectory.from_config(config)
    assert [revision.revision for revision in script.walk_revisions()][::-1] == list(REVISIONS)
    assert script.get_current_head() == HEAD


def test_migrating_is_an_entry_and_doing_it_twice_changes_nothing(empty: Database) -> None:
    migrations.migrate(empty)
    assert migrations.migrate(empty) == HEAD
    assert migrations.schema_state(empty) is SchemaState.CURRENT
    with empty.read() as conn:
        bodies = list(conn.scalars(sa.select(tables.audit.c.body)))
    assert len(bodies) == 1
    assert '"action":"schema.migrated"' in bodies[0]
    assert audit_verify.verify(empty, []).ok
    empty.close()


def test_what_is_found_in_a_database_is_recognised(empty: Database) -> None:
    assert migrations.schema_state(empty) is SchemaState.EMPTY
    with pytest.raises(ConfigError, match="empty"):
        migrations.bring_up_to_date(empty)
    with empty.bookkeep() as conn:
        conn.exec_driver_sql("create table customers (id integer)")
    assert migrations.schema_state(empty) is SchemaState.FOREIGN
    with pytest.raises(ConfigError, match="not Wardship's"):
        migrations.migrate(empty)
    with empty.bookkeep() as conn:
        conn.exec_driver_sql("drop table customers")
    migrations.migrate(empty)
    with empty.bookkeep() as conn:
        conn.exec_driver_sql("update alembic_version set version_num = '9999'")
    assert migrations.schema_state(empty) is SchemaState.NEWER
    with pytest.raises(ConfigError, match="newer Wardship") as caught:
        migrations.bring_up_to_date(empty)
    assert "update Wardship" in caught.value.advice
    empty.close()


class Killed(BaseException):
    """Stands for the process ending here: nothing catches it."""


def test_a_migration_that_dies_at_any_statement_leaves_an_empty_database(empty: Database) -> None:
    """The connection is dropped without commit, as the kernel does for a killed process."""
    statements = 0

    def run_until(limit: int) -> None:
        nonlocal statements
        statements = 0

        def count(*_: object) -> None:
            nonlocal statements
            statements += 1
            if statements == limit:
                raise Killed

        sa.event.listen(empty._writer, "before_cursor_execute", count)
        try:
            migrations.migrate(empty)
        finally:
            sa.event.remove(empty._writer, "before_cursor_execute", count)

    for limit in (2, 5, 20, 60, 90):
        with pytest.raises(Killed):
            run_until(limit)
        empty.close()
        assert migrations.schema_state(empty) is SchemaState.EMPTY
    run_until(0)
    assert statements > 90
    assert migrations.schema_state(empty) is SchemaState.CURRENT
    assert audit_verify.verify(empty, []).ok
    empty.close()


def test_two_processes_may_migrate_at_once(empty: Database, clock: Callable[[], datetime]) -> None:
    second = Database(empty.url, clock=clock)
    failed: list[BaseException] = []

    def run(db: Database) -> None:
        try:
            migrations.migrate(db)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(db,)) for db in (empty, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert migrations.schema_state(empty) is SchemaState.CURRENT
    assert audit_verify.verify(empty, []).ok
    empty.close()
    second.close()
