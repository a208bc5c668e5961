"""Run by Alembic: applies the migrations on the connection, and in the transaction, that `migrate` holds."""

from __future__ import annotations

from alembic import context

from wardship.store import schema, tables  # noqa: F401 - naming `tables` fills the schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
context.run_migrations()
