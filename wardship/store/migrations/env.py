"""Run by Alembic: applies the migrations on the connection, and in the transaction, that `migrate` holds."""

from __future__ import annotations

from alembic import context

from wardship.store import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
