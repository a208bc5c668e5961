"""Exposures, dependencies, and what people and checks say of secrets."""

from __future__ import annotations

from alembic import op

from wardship.store.migrations.build import append_only, create

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create(
        "exposure_current",
        """
    uid text key, authority text, location text, detector text, tier text, confidence float, place text,
    fingerprint text null, credential_type text, public_id text null, line int null, revision text null,
    occurrences int, in_head bool null, public bool null, environment text null, name text null,
    introduced_by text null, introduced_at instant null, removed_at instant null, attributes text,
    content_hash text, scope_key text, scan_seq bigint, presence text, misses int, first_seen_at instant,
    last_seen_at instant, unconfirmed_since instant null
    """,
    )
    op.create_index("ix_exposure_current_fingerprint", "exposure_current", ["fingerprint"])
    op.create_index("ix_exposure_current_scope", "exposure_current", ["scope_key", "uid"])
    create(
        "exposure_version",
        """
    id number key, uid text, authority text, location text, detector text, tier text, confidence float, place text,
    fingerprint text null, credential_type text, public_id text null, line int null, revision text null,
    occurrences int, in_head bool null, public bool null, environment text null, name text null,
    introduced_by text null, introduced_at instant null, removed_at instant null, attributes text,
    content_hash text, presence text, change text, valid_from instant, recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_exposure_version_recorded", "exposure_version", ["recorded_at"])
    op.create_index("ix_exposure_version_uid", "exposure_version", ["uid", "valid_from", "recorded_at"])
    create(
        "stage_exposure",
        """
    reading bigint key, uid text key, authority text, location text, detector text, tier text, confidence float,
    place text, fingerprint text null, credential_type text, public_id text null, line int null, revision text null,
    occurrences int, in_head bool null, public bool null, environment text null, name text null,
    introduced_by text null, introduced_at instant null, removed_at instant null, attributes text, content_hash text
    """,
    )
    create(
        "dependency_current",
        """
    uid text key, authority text, consumer text, consumer_kind text, target_family text, target_authority text,
    target_native_id text, target_uid text, source text, confidence text, environment text null, evidence text null,
    attributes text, content_hash text, scope_key text, scan_seq bigint, presence text, misses int,
    first_seen_at instant, last_seen_at instant, unconfirmed_since instant null
    """,
    )
    op.create_index("ix_dependency_current_scope", "dependency_current", ["scope_key", "uid"])
    op.create_index("ix_dependency_current_target", "dependency_current", ["target_uid"])
    create(
        "dependency_version",
        """
    id number key, uid text, authority text, consumer text, consumer_kind text, target_family text,
    target_authority text, target_native_id text, target_uid text, source text, confidence text,
    environment text null, evidence text null, attributes text, content_hash text, presence text, change text,
    valid_from instant, recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_dependency_version_recorded", "dependency_version", ["recorded_at"])
    op.create_index("ix_dependency_version_uid", "dependency_version", ["uid", "valid_from", "recorded_at"])
    create(
        "stage_dependency",
        """
    reading bigint key, uid text key, authority text, consumer text, consumer_kind text, target_family text,
    target_authority text, target_native_id text, target_uid text, source text, confidence text,
    environment text null, evidence text null, attributes text, content_hash text
    """,
    )
    create(
        "secret_link",
        """
    secret_uid text key, credential_uid text, reason text, actor text, linked_at instant
    """,
    )
    create(
        "secret_check",
        """
    id number key, secret_uid text, authority text, call text, validity text, actor text, checked_at instant
    """,
    )
    op.create_index("ix_secret_check_secret", "secret_check", ["secret_uid", "checked_at"])
    create(
        "guard_run",
        """
    id text key, repository text, stage text, commit_id text null, run_at instant, commits int, files int,
    found int, blocked int, baselined int, bypassed bool, seconds float, version text, received_at instant
    """,
    )
    op.create_index("ix_guard_run_repository", "guard_run", ["repository", "run_at"])

    append_only("exposure_version", "dependency_version")
