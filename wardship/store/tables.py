"""Every table of the state database, once. What a column means is said in `wardship.model`; those of a connector's
records stand in `columns`, those of audit logs in `telemetry_tables`, those of detections in `alert_tables`.

Four shapes recur:
- a *current* table (`identity`, `credential`, ...) holds the newest version of each row, plus presence;
- its `*_version` table is append-only: what was true from `valid_from`, as known since `recorded_at`;
- its `stage_*` table holds what a scan has read and not yet published;
- the rest are registers: scans, leases, jobs, findings, the audit log.

JSON columns hold canonical JSON text, so that hashes, SQLite and PostgreSQL agree. Instants are UTC.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from wardship.store import alert_tables, telemetry_tables  # noqa: F401 - their tables belong to the same schema
from wardship.store.append_only import make_append_only
from wardship.store.columns import FAMILIES, BigId, Instant
from wardship.store.schema import metadata


def _current(family: str) -> Table:
    return Table(
        f"{family}_current",
        metadata,
        Column("uid", Text, primary_key=True),
        *FAMILIES[family](),
        Column("content_hash", Text, nullable=False),  # of the family's columns that do not fade
        Column("scope_key", Text, nullable=False),  # the scope that reads it, and alone may miss it
        Column("scan_seq", BigInteger, nullable=False),  # newest scan that saw it
        Column("presence", Text, nullable=False),
        Column("misses", Integer, nullable=False),  # complete readings in a row without it
        Column("first_seen_at", Instant, nullable=False),
        Column("last_seen_at", Instant, nullable=False),
        Column("unconfirmed_since", Instant),
        Index(f"ix_{family}_current_scope", "scope_key", "uid"),  # without scan_seq: an unchanged row moves no index
    )


def _version(family: str) -> Table:
    return Table(
        f"{family}_version",
        metadata,
        Column("id", BigId, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False),
        *FAMILIES[family](),
        Column("content_hash", Text, nullable=False),
        Column("presence", Text, nullable=False),
        Column("change", Text, nullable=False),  # appeared, changed, unconfirmed, gone, returned
        Column("valid_from", Instant, nullable=False),  # when it became true, as far as is known: the scan's start
        Column("recorded_at", Instant, nullable=False),  # when we wrote it down
        Column("scan_id", Text),
        Index(f"ix_{family}_version_uid", "uid", "valid_from", "recorded_at"),
        Index(f"ix_{family}_version_recorded", "recorded_at"),
    )


def _stage(family: str) -> Table:
    return Table(
        f"stage_{family}",
        metadata,
        Column("reading", BigInteger, primary_key=True, autoincrement=False),  # scan_scope.id
        Column("uid", Text, primary_key=True),  # read twice: the last one stands
        *FAMILIES[family](),
        Column("content_hash", Text, nullable=False),
    )


CURRENT = {family: _current(family) for family in FAMILIES}
VERSION = {family: _version(family) for family in FAMILIES}
STAGE = {family: _stage(family) for family in FAMILIES}

Index("ix_identity_current_native", CURRENT["identity"].c.authority, CURRENT["identity"].c.native_id)
Index("ix_identity_current_name", CURRENT["identity"].c.name)
Index("ix_credential_current_holder", CURRENT["credential"].c.holder_uid)
Index("ix_credential_current_public_id", CURRENT["credential"].c.public_id)
Index("ix_grant_current_holder", CURRENT["grant"].c.holder_uid)
Index("ix_owner_current_holder", CURRENT["owner"].c.holder_uid)
Index("ix_exposure_current_fingerprint", CURRENT["exposure"].c.fingerprint)
Index("ix_dependency_current_target", CURRENT["dependency"].c.target_uid)
Index("ix_person_current_email", CURRENT["person"].c.email)

# ---------------------------------------------------------------- usage: volatile, one row a source

_USAGE = [
    ("subject_uid", Text, False),
    ("source", Text, False),
    ("subject_family", Text, False),
    ("state", Text, False),
    ("last_used_at", Instant, True),
    ("since", Instant, True),
    ("detail", Text, True),
]
usage = Table(
    "usage",
    metadata,
    *[
        Column(name, type_, nullable=null, primary_key=name in ("subject_uid", "source"))
        for name, type_, null in _USAGE
    ],
    Column("scan_seq", BigInteger, nullable=False),
    Column("read_at", Instant, nullable=False),
)
stage_usage = Table(
    "stage_usage",
    metadata,
    Column("reading", BigInteger, primary_key=True, autoincrement=False),
    *[
        Column(name, type_, nullable=null, primary_key=name in ("subject_uid", "source"))
        for name, type_, null in _USAGE
    ],
)
sighting = Table(  # rows that another scope than their own reads too (ADR 0002)
    "sighting",
    metadata,
    Column("family", Text, primary_key=True),
    Column("uid", Text, primary_key=True),
    Column("scope_key", Text, primary_key=True),
    Column("scan_seq", BigInteger, nullable=False),  # newest scan in which that scope saw it
)

# ---------------------------------------------------------------- identity resolution

resolution = Table(
    "resolution",
    metadata,
    Column("uid", Text, primary_key=True),  # of an identity row
    Column("identity_uid", Text, nullable=False),  # of the row that represents the merged identity
    Column("evidence", Text),  # the alias that joins it, as JSON [authority, native_id]; NULL = it stands alone
    Index("ix_resolution_identity_uid", "identity_uid"),
)
merge_decision = Table(  # people's words over the aliases: "split" undoes a merge
    "merge_decision",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("left_uid", Text, nullable=False),
    Column("right_uid", Text, nullable=False),
    Column("decision", Text, nullable=False),  # split, or rejoin (which ends a split)
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
)

# ---------------------------------------------------------------- connections, scans, coverage

connection = Table(
    "connection",
    metadata,
    Column("name", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("settings", Text, nullable=False),  # JSON; secrets as references
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)
scan = Table(
    "scan",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),  # monotonic, from our database: never a clock
    Column("connection", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("status", Text, nullable=False),  # running, done, incomplete, failed
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("clock_skew_s", Float),
)
scan_scope = Table(  # one reading of one scope
    "scan_scope",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("scan_id", Text, nullable=False),
    Column("scope_key", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),  # ScopeStatus
    Column("phase", Text, nullable=False),  # reading, publishing, settling, published, discarded
    Column("checkpoint", Text),  # the token after the last staged page
    Column("restarts", Integer, nullable=False, default=0),
    Column("pages", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False, default=0),  # records of a thing that was read already
    Column("expected_total", Integer),
    Column("api_calls", Integer, nullable=False),
    Column("throttles", Integer, nullable=False),
    Column("problems", Text, nullable=False),  # JSON list of Problem
    Column("published", Text, nullable=False),  # JSON {family: {change: rows}}; what is published leaves the stage
    Column("settled", Text, nullable=False, default="{}"),  # JSON {family: last uid settled}: the marker of presence
    Column("held", Text),  # why missing marks wait for a person; NULL = they do not
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("scan_id", "scope_key"),
    Index("ix_scan_scope_scope", "scope_key", "scan_id"),
)
scope = Table(  # the newest word on each scope, over all scans
    "scope",
    metadata,
    Column("key", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("items", Integer, nullable=False),  # of the newest COMPLETE reading; 0 = none yet
    Column("finished_at", Instant),
    Column("complete_at", Instant),
    Column("complete_seq", BigInteger),
    Column("problems", Text, nullable=False),
    Column("held", Text),
)
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("scan_id", Text, nullable=False),
    Column("scope_key", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of the raw item: the same bad row is one row
    Column("item", Text, nullable=False),  # redacted raw item as JSON text
    Column("reason", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("replayed_at", Instant),
    UniqueConstraint("scope_key", "digest"),
)
drift = Table(
    "drift",
    metadata,
    Column("connector", Text, primary_key=True),
    Column("place", Text, primary_key=True),
    Column("what", Text, primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
)
snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Text, primary_key=True),  # hash of the rows
    Column("seq", BigInteger, nullable=False),
    Column("scan_seq", BigInteger, nullable=False),
    Column("facts_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("rows", Text, nullable=False),  # JSON {table: [rows, sha256]}
)

# ---------------------------------------------------------------- findings


def _finding() -> list[Column[Any]]:
    return [
        Column("rule", Text, nullable=False),
        Column("rule_version", Text, nullable=False),
        Column("subject_uid", Text, nullable=False),
        Column("subject_family", Text, nullable=False),
        Column("identity_uid", Text),
        Column("severity", Text, nullable=False),
        Column("confidence", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("facts", Text, nullable=False),
        Column("due_on", Date),
        Column("reason", Text),  # why it closed or reopened
    ]


finding = Table(
    "finding_current",
    metadata,
    Column("uid", Text, primary_key=True),
    *_finding(),
    Column("content_hash", Text, nullable=False),
    Column("snapshot_id", Text, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),  # of the present opening
    Column("closed_at", Instant),
    Column("reopenings", Integer, nullable=False),
    Index("ix_finding_current_identity_uid", "identity_uid"),
    Index("ix_finding_current_rule", "rule", "state"),
)
finding_version = Table(
    "finding_version",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("uid", Text, nullable=False),
    *_finding(),
    Column("content_hash", Text, nullable=False),
    Column("snapshot_id", Text, nullable=False),
    Column("change", Text, nullable=False),  # opened, changed, closed, reopened
    Column("valid_from", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_finding_version_uid", "uid", "valid_from", "recorded_at"),
    Index("ix_finding_version_recorded", "recorded_at"),
)

# ---------------------------------------------------------------- secrets: people's words, checks, and blocking

secret_link = Table(  # a person's word: this secret was replaced by that entry of a secrets manager or a federation
    "secret_link",
    metadata,
    Column("secret_uid", Text, primary_key=True),
    Column("credential_uid", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("linked_at", Instant, nullable=False),
)
secret_check = Table(  # "is it still active?", asked of a system of ours by one harmless call (ADR 0019)
    "secret_check",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("secret_uid", Text, nullable=False),
    Column("authority", Text, nullable=False),  # the system that was asked
    Column("call", Text, nullable=False),  # "sts:GetCallerIdentity"
    Column("validity", Text, nullable=False),  # active, inactive, unknown
    Column("actor", Text, nullable=False),
    Column("checked_at", Instant, nullable=False),
    Index("ix_secret_check_secret", "secret_uid", "checked_at"),
)
guard_run = Table(  # one run of a hook or a CI check: the denominator of "secrets blocked" (ADR 0020)
    "guard_run",
    metadata,
    Column("id", Text, primary_key=True),  # given by the run: collecting twice counts once
    Column("repository", Text, nullable=False),
    Column("stage", Text, nullable=False),  # pre_commit, pre_push, post_commit, ci
    Column("commit_id", Text),
    Column("run_at", Instant, nullable=False),
    Column("commits", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("found", Integer, nullable=False),
    Column("blocked", Integer, nullable=False),
    Column("baselined", Integer, nullable=False),
    Column("bypassed", Boolean, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("version", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Index("ix_guard_run_repository", "repository", "run_at"),
)

# ---------------------------------------------------------------- audit log (ADR 0003)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # 0, 1, 2, ...: no gaps
    Column("body", Text, nullable=False),  # canonical JSON
    Column("leaf", LargeBinary, nullable=False),  # SHA-256(0x00 || body)
    Column("prev", LargeBinary, nullable=False),  # SHA-256 chain over the leaves before
)
audit_frontier = Table(  # the O(log n) right edge of the tree; one row
    "audit_frontier",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("nodes", Text, nullable=False),  # JSON list of hex
    Column("chain", LargeBinary, nullable=False),
)
audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),  # origin\nsize\nroot\n
    Column("ed25519", LargeBinary, nullable=False),
    Column("ecdsa", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),  # of the pair of public keys that verifies it
    Column("created_at", Instant, nullable=False),
)
meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

# ---------------------------------------------------------------- jobs and leases

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),  # "scope:aws|...", "writer", "job:..."
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),  # fencing token: grows with every taking
    Column("expires_at", Instant, nullable=False),
)
job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, unique=True),  # idempotency key: asking twice makes one job; NULL = none given
    Column("kind", Text, nullable=False),
    Column("args", Text, nullable=False),
    Column("state", Text, nullable=False),  # due, running, done, failed, cancelled
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),  # fencing token: grows with every claim
    Column("leased_until", Instant),
    Column("holder", Text),
    Column("error", Text),  # redacted
    Column("schedule", Text),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Index("ix_job_due", "state", "due_at"),
)
schedule = Table(
    "schedule",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("args", Text, nullable=False),
    Column("every_s", Integer, nullable=False),
    Column("jitter_s", Integer, nullable=False),  # up to so many seconds are added to every interval
    Column("next_at", Instant, nullable=False),
    Column("enabled", Boolean, nullable=False),
)

# ---------------------------------------------------------------- rotation saga (ADR 0008)

rotation = Table(
    "rotation",
    metadata,
    Column("op_id", Text, primary_key=True),  # UUIDv7: the idempotency key everywhere
    Column("connection", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("open_target", Text, unique=True),  # JSON [connection, target] while open, NULL when terminal: one open each
    Column("plan", Text, nullable=False),  # JSON of lifecycle.plan.RotationPlan
    Column("plan_hash", Text, nullable=False),
    Column("approval", Text),  # JSON: who, when, until when, of which hash
    Column("wanted", Text),  # "undo": a person or a deadline asked for the way back; NULL = forward
    Column("reason", Text),  # why it waits, was blocked or turns back
    # what the saga has seen and done; ids only
    Column("baseline", Text, nullable=False),  # JSON list of credential ids live before the first create
    Column("foreign_ids", Text, nullable=False),  # JSON list of ids that are not ours: reported, never touched
    Column("old_id", Text),
    Column("new_id", Text),
    Column("attempts", Integer, nullable=False),  # creates announced
    Column("attempt", Integer),  # which of them made new_id: its label in the store
    Column("settle_from", Instant),  # the newest change that the system may not show yet
    Column("successes", Integer, nullable=False),  # logins with the new one in a row
    Column("minted_at", Instant),
    Column("promoted_at", Instant),
    Column("reverted_at", Instant),  # when the label was moved back
    Column("confirmed_at", Instant),  # the owner's word that the one to stop is out of use
    Column("disabled_at", Instant),
    # who works on it
    Column("token", BigInteger, nullable=False),  # fencing
    Column("leased_until", Instant),
    Column("holder", Text),
    Column("due_at", Instant, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("ix_rotation_due", "due_at"),
)

# ---------------------------------------------------------------- what may only grow

APPEND_ONLY = ("audit", "audit_checkpoint", *(name for name in metadata.tables if name.endswith("_version")))
for _name in APPEND_ONLY:
    make_append_only(metadata.tables[_name])
