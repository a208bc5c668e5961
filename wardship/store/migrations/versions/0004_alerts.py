"""Detections: what was judged, signals, alerts, and what people declared."""

from __future__ import annotations

from alembic import op

from wardship.store.migrations.build import create

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    create("detection_batch", "batch bigint key, judged_at instant")
    create(
        "signal",
        """
    uid text key, detection text, version text, aspect text, subject text, authority text, actor_id text,
    actor_name text null, identity_uid text null, credential_id text null, fold text, first_at instant,
    last_at instant, events bigint, hits int, severity text, confidence text, chance float, reasons text,
    evidence text, facts text, expected_by text null, alert_uid text null, recorded_at instant, changed_at instant
    """,
    )
    op.create_index("ix_signal_subject", "signal", ["subject", "last_at"])
    op.create_index("ix_signal_alert", "signal", ["alert_uid"])
    create(
        "alert",
        """
    uid text key, subject text, authority text, actor_id text, actor_name text null, identity_uid text null,
    state text, severity text, score int, criticality text null, title text, detections text, signals int,
    events bigint, first_at instant, last_at instant, baseline text null, opened_at instant, changed_at instant,
    until_at instant null, reason text null, decided_by text null
    """,
    )
    op.create_index("ix_alert_state", "alert", ["state", "subject"])
    create(
        "expectation",
        """
    uid text key, alert_uid text, detection text, subject text, fold text, until_at instant, reason text,
    said_by text, recorded_at instant, ended_at instant null
    """,
    )
    op.create_index("ix_expectation_subject", "expectation", ["subject"])
    create(
        "change_window",
        """
    uid text key, start_at instant, end_at instant, scope text, reason text, said_by text, recorded_at instant,
    removed_at instant null
    """,
    )
    create(
        "provisioner",
        "uid text key, subject text, tool text, until_at instant, said_by text, recorded_at instant,"
        " removed_at instant null",
    )
