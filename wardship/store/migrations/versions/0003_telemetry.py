"""Telemetry: what was imported, the live files, and what is known to be complete."""

from __future__ import annotations

from alembic import op

from wardship.store.migrations.build import create

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create(
        "telemetry_input",
        """
    id number key, source text, name text, digest text, size_bytes bigint, state text, position bigint, events bigint,
    duplicates bigint, skipped bigint, quarantined bigint, replayed bigint, first_at instant null,
    last_at instant null, problem text null, started_at instant, finished_at instant null
    """,
        unique=[("source", "digest")],
    )
    create("telemetry_batch", "id bigint key, input bigint null, events bigint, added_at instant")
    create(
        "telemetry_file",
        """
    id number key, path text, source text, day date, rows bigint, size_bytes bigint, digest text, first_at instant,
    last_at instant, batches text, compacted bool, added_at instant, removed_at instant null
    """,
        unique=[("path",)],
    )
    op.create_index("ix_telemetry_file_source", "telemetry_file", ["source", "day"])
    create(
        "telemetry_quarantine",
        "id number key, path text, source text, records bigint, added_at instant",
        unique=[("path",)],
    )
    create(
        "telemetry_window",
        """
    id number key, source text, authority text, stream text, start_at instant, end_at instant, complete bool,
    problem text null, said_by text, recorded_at instant
    """,
    )
    op.create_index("ix_telemetry_window_source", "telemetry_window", ["source", "authority"])
    create("telemetry_cursor", "connection text key, source text key, stream text key, until_at instant")
