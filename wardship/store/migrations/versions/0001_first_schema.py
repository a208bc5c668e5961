"""The first schema: every table of Wardship 0.1.

What the columns mean is said in `wardship.store.tables`; how they are written, in `build.py`.
"""

from __future__ import annotations

from alembic import op

from wardship.store.migrations.build import append_only, create

revision = "0001"
down_revision = None


def upgrade() -> None:
    create(
        "system_current",
        """
    uid text key, authority text, kind text, name text null, environment text null, parent text null,
    attributes text, content_hash text, scope_key text, scan_seq bigint, presence text, misses int,
    first_seen_at instant, last_seen_at instant, unconfirmed_since instant null
    """,
    )
    op.create_index("ix_system_current_scope", "system_current", ["scope_key", "uid"])
    create(
        "identity_current",
        """
    uid text key, authority text, native_id text, kind text, subtype text null, name text null, standing text,
    enabled bool null, created_at instant null, environment text null, purpose text null,
    business_process text null, criticality text null, supplier text null, rank int, aliases text, attributes text,
    content_hash text, scope_key text, scan_seq bigint, presence text, misses int, first_seen_at instant,
    last_seen_at instant, unconfirmed_since instant null
    """,
    )
    op.create_index("ix_identity_current_name", "identity_current", ["name"])
    op.create_index("ix_identity_current_native", "identity_current", ["authority", "native_id"])
    op.create_index("ix_identity_current_scope", "identity_current", ["scope_key", "uid"])
    create(
        "credential_current",
        """
    uid text key, authority text, native_id text, type text, holder_uid text null, name text null,
    public_id text null, fingerprint text null, enabled bool null, created_at instant null, expires_at instant null,
    no_expiry bool null, last_rotated_at instant null, next_rotation_at instant null, stored_in text null,
    revocation text null, attributes text, content_hash text, scope_key text, scan_seq bigint, presence text,
    misses int, first_seen_at instant, last_seen_at instant,
    unconfirmed_since instant null
    """,
    )
    op.create_index("ix_credential_current_holder", "credential_current", ["holder_uid"])
    op.create_index("ix_credential_current_public_id", "credential_current", ["public_id"])
    op.create_index("ix_credential_current_scope", "credential_current", ["scope_key", "uid"])
    create(
        "grant_current",
        """
    uid text key, authority text, holder_uid text, permission text, resource text null, effect text,
    condition text null, via text null, tier text, tenant_wide bool null, granted_by text null,
    granted_by_id text null, granted_at instant null, attributes text, content_hash text, scope_key text,
    scan_seq bigint, presence text, misses int, first_seen_at instant, last_seen_at instant,
    unconfirmed_since instant null
    """,
    )
    op.create_index("ix_grant_current_holder", "grant_current", ["holder_uid"])
    op.create_index("ix_grant_current_scope", "grant_current", ["scope_key", "uid"])
    create(
        "owner_current",
        """
    uid text key, authority text, holder_uid text, claim text, role text, source text, person_key text null,
    state text, confidence float, evidence text null, attested_at instant null, expires_on date null,
    content_hash text, scope_key text, scan_seq bigint, presence text, misses int, first_seen_at instant,
    last_seen_at instant, unconfirmed_since instant null
    """,
    )
    op.create_index("ix_owner_current_holder", "owner_current", ["holder_uid"])
    op.create_index("ix_owner_current_scope", "owner_current", ["scope_key", "uid"])
    create(
        "person_current",
        """
    uid text key, authority text, native_id text, name text null, email text null, kind text, active bool null,
    aliases text, attributes text, content_hash text, scope_key text, scan_seq bigint, presence text, misses int,
    first_seen_at instant, last_seen_at instant, unconfirmed_since instant null
    """,
    )
    op.create_index("ix_person_current_email", "person_current", ["email"])
    op.create_index("ix_person_current_scope", "person_current", ["scope_key", "uid"])
    create(
        "supplier_current",
        """
    uid text key, authority text, native_id text, name text, matches text, sponsor text null,
    contract_end_on date null, attributes text, content_hash text, scope_key text, scan_seq bigint, presence text,
    misses int, first_seen_at instant, last_seen_at instant,
    unconfirmed_since instant null
    """,
    )
    op.create_index("ix_supplier_current_scope", "supplier_current", ["scope_key", "uid"])
    create(
        "system_version",
        """
    id number key, uid text, authority text, kind text, name text null, environment text null, parent text null,
    attributes text, content_hash text, presence text, change text, valid_from instant, recorded_at instant,
    scan_id text null
    """,
    )
    op.create_index("ix_system_version_recorded", "system_version", ["recorded_at"])
    op.create_index("ix_system_version_uid", "system_version", ["uid", "valid_from", "recorded_at"])
    create(
        "identity_version",
        """
    id number key, uid text, authority text, native_id text, kind text, subtype text null, name text null,
    standing text, enabled bool null, created_at instant null, environment text null, purpose text null,
    business_process text null, criticality text null, supplier text null, rank int, aliases text, attributes text,
    content_hash text, presence text, change text, valid_from instant, recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_identity_version_recorded", "identity_version", ["recorded_at"])
    op.create_index("ix_identity_version_uid", "identity_version", ["uid", "valid_from", "recorded_at"])
    create(
        "credential_version",
        """
    id number key, uid text, authority text, native_id text, type text, holder_uid text null, name text null,
    public_id text null, fingerprint text null, enabled bool null, created_at instant null, expires_at instant null,
    no_expiry bool null, last_rotated_at instant null, next_rotation_at instant null, stored_in text null,
    revocation text null, attributes text, content_hash text, presence text, change text, valid_from instant,
    recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_credential_version_recorded", "credential_version", ["recorded_at"])
    op.create_index("ix_credential_version_uid", "credential_version", ["uid", "valid_from", "recorded_at"])
    create(
        "grant_version",
        """
    id number key, uid text, authority text, holder_uid text, permission text, resource text null, effect text,
    condition text null, via text null, tier text, tenant_wide bool null, granted_by text null,
    granted_by_id text null, granted_at instant null, attributes text, content_hash text, presence text,
    change text, valid_from instant, recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_grant_version_recorded", "grant_version", ["recorded_at"])
    op.create_index("ix_grant_version_uid", "grant_version", ["uid", "valid_from", "recorded_at"])
    create(
        "owner_version",
        """
    id number key, uid text, authority text, holder_uid text, claim text, role text, source text,
    person_key text null, state text, confidence float, evidence text null, attested_at instant null,
    expires_on date null, content_hash text, presence text, change text, valid_from instant, recorded_at instant,
    scan_id text null
    """,
    )
    op.create_index("ix_owner_version_recorded", "owner_version", ["recorded_at"])
    op.create_index("ix_owner_version_uid", "owner_version", ["uid", "valid_from", "recorded_at"])
    create(
        "person_version",
        """
    id number key, uid text, authority text, native_id text, name text null, email text null, kind text,
    active bool null, aliases text, attributes text, content_hash text, presence text, change text,
    valid_from instant, recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_person_version_recorded", "person_version", ["recorded_at"])
    op.create_index("ix_person_version_uid", "person_version", ["uid", "valid_from", "recorded_at"])
    create(
        "supplier_version",
        """
    id number key, uid text, authority text, native_id text, name text, matches text, sponsor text null,
    contract_end_on date null, attributes text, content_hash text, presence text, change text, valid_from instant,
    recorded_at instant, scan_id text null
    """,
    )
    op.create_index("ix_supplier_version_recorded", "supplier_version", ["recorded_at"])
    op.create_index("ix_supplier_version_uid", "supplier_version", ["uid", "valid_from", "recorded_at"])
    create(
        "stage_system",
        """
    reading bigint key, uid text key, authority text, kind text, name text null, environment text null,
    parent text null, attributes text, content_hash text
    """,
    )
    create(
        "stage_identity",
        """
    reading bigint key, uid text key, authority text, native_id text, kind text, subtype text null, name text null,
    standing text, enabled bool null, created_at instant null, environment text null, purpose text null,
    business_process text null, criticality text null, supplier text null, rank int, aliases text, attributes text,
    content_hash text
    """,
    )
    create(
        "stage_credential",
        """
    reading bigint key, uid text key, authority text, native_id text, type text, holder_uid text null,
    name text null, public_id text null, fingerprint text null, enabled bool null, created_at instant null,
    expires_at instant null, no_expiry bool null, last_rotated_at instant null, next_rotation_at instant null,
    stored_in text null, revocation text null, attributes text, content_hash text
    """,
    )
    create(
        "stage_grant",
        """
    reading bigint key, uid text key, authority text, holder_uid text, permission text, resource text null,
    effect text, condition text null, via text null, tier text, tenant_wide bool null, granted_by text null,
    granted_by_id text null, granted_at instant null, attributes text, content_hash text
    """,
    )
    create(
        "stage_owner",
        """
    reading bigint key, uid text key, authority text, holder_uid text, claim text, role text, source text,
    person_key text null, state text, confidence float, evidence text null, attested_at instant null,
    expires_on date null, content_hash text
    """,
    )
    create(
        "stage_person",
        """
    reading bigint key, uid text key, authority text, native_id text, name text null, email text null, kind text,
    active bool null, aliases text, attributes text, content_hash text
    """,
    )
    create(
        "stage_supplier",
        """
    reading bigint key, uid text key, authority text, native_id text, name text, matches text, sponsor text null,
    contract_end_on date null, attributes text, content_hash text
    """,
    )
    create(
        "usage",
        """
    subject_uid text key, source text key, subject_family text, state text, last_used_at instant null,
    since instant null, detail text null, scan_seq bigint, read_at instant
    """,
    )
    create(
        "stage_usage",
        """
    reading bigint key, subject_uid text key, source text key, subject_family text, state text,
    last_used_at instant null, since instant null, detail text null
    """,
    )
    create(
        "sighting",
        """
    family text key, uid text key, scope_key text key, scan_seq bigint
    """,
    )
    create(
        "resolution",
        """
    uid text key, identity_uid text, evidence text null
    """,
    )
    op.create_index("ix_resolution_identity_uid", "resolution", ["identity_uid"])
    create(
        "merge_decision",
        """
    id number key, left_uid text, right_uid text, decision text, reason text, actor text, decided_at instant
    """,
    )
    create(
        "connection",
        """
    name text key, connector text, settings text, created_at instant, created_by text
    """,
    )
    create(
        "scan",
        """
    id text key, seq bigint, connection text, connector text, status text, started_at instant,
    finished_at instant null, clock_skew_s float null
    """,
        unique=[["seq"]],
    )
    create(
        "scan_scope",
        """
    id number key, scan_id text, scope_key text, connector text, authority text, region text, kind text,
    status text, phase text, checkpoint text null, restarts int, pages int, items int, quarantined int,
    duplicates int, expected_total int null, api_calls int, throttles int, problems text, published text,
    settled text, held text null, started_at instant, finished_at instant null
    """,
        unique=[["scan_id", "scope_key"]],
    )
    op.create_index("ix_scan_scope_scope", "scan_scope", ["scope_key", "scan_id"])
    create(
        "scope",
        """
    key text key, connector text, authority text, region text, kind text, status text, items int,
    finished_at instant null, complete_at instant null, complete_seq bigint null, problems text, held text null
    """,
    )
    create(
        "quarantine",
        """
    id number key, scan_id text, scope_key text, digest text, item text, reason text, times int, first_at instant,
    last_at instant, replayed_at instant null
    """,
        unique=[["scope_key", "digest"]],
    )
    create(
        "drift",
        """
    connector text key, place text key, what text key, times bigint, first_at instant, last_at instant
    """,
    )
    create(
        "snapshot",
        """
    id text key, seq bigint, scan_seq bigint, facts_version int, created_at instant, rows text
    """,
    )
    create(
        "finding_current",
        """
    uid text key, rule text, rule_version text, subject_uid text, subject_family text, identity_uid text null,
    severity text, confidence text, state text, facts text, due_on date null, reason text null, content_hash text,
    snapshot_id text, first_seen_at instant, last_seen_at instant, opened_at instant, closed_at instant null,
    reopenings int
    """,
    )
    op.create_index("ix_finding_current_identity_uid", "finding_current", ["identity_uid"])
    op.create_index("ix_finding_current_rule", "finding_current", ["rule", "state"])
    create(
        "finding_version",
        """
    id number key, uid text, rule text, rule_version text, subject_uid text, subject_family text,
    identity_uid text null, severity text, confidence text, state text, facts text, due_on date null,
    reason text null, content_hash text, snapshot_id text, change text, valid_from instant, recorded_at instant
    """,
    )
    op.create_index("ix_finding_version_recorded", "finding_version", ["recorded_at"])
    op.create_index("ix_finding_version_uid", "finding_version", ["uid", "valid_from", "recorded_at"])
    create(
        "audit",
        """
    seq bigint key, body text, leaf blob, prev blob
    """,
    )
    create(
        "audit_frontier",
        """
    id int key, size bigint, nodes text, chain blob
    """,
    )
    create(
        "audit_checkpoint",
        """
    size bigint key, note text, ed25519 blob, ecdsa blob, key_id text, created_at instant
    """,
    )
    create(
        "meta",
        """
    key text key, value text
    """,
    )
    create(
        "lease",
        """
    name text key, holder text, token bigint, expires_at instant
    """,
    )
    create(
        "job",
        """
    id text key, key text null, kind text, args text, state text, due_at instant, attempts int, max_attempts int,
    token bigint, leased_until instant null, holder text null, error text null, schedule text null,
    created_at instant, finished_at instant null
    """,
        unique=[["key"]],
    )
    op.create_index("ix_job_due", "job", ["state", "due_at"])
    create(
        "schedule",
        """
    name text key, kind text, args text, every_s int, jitter_s int, next_at instant, enabled bool
    """,
    )
    create(
        "rotation",
        """
    op_id text key, connection text, target text, state text, open_target text null, plan text, plan_hash text,
    approval text null, wanted text null, reason text null, baseline text, foreign_ids text, old_id text null,
    new_id text null, attempts int, attempt int null, settle_from instant null, successes int,
    minted_at instant null, promoted_at instant null, reverted_at instant null, confirmed_at instant null,
    disabled_at instant null, token bigint, leased_until instant null, holder text null, due_at instant, epoch int,
    created_at instant, updated_at instant
    """,
        unique=[["open_target"]],
    )
    op.create_index("ix_rotation_due", "rotation", ["due_at"])

    append_only(
        "audit",
        "audit_checkpoint",
        "system_version",
        "identity_version",
        "credential_version",
        "grant_version",
        "owner_version",
        "person_version",
        "supplier_version",
        "finding_version",
    )
