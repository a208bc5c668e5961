"""The wide fact tables that rules, indicators and reports read: one immutable snapshot holds them all.

This file is the contract between the store (which writes them) and every rule (which may name only these
columns). Types are DuckDB's. Instants are UTC `TIMESTAMP`s; NULL means not known. Merged identities
(docs/adr/0012) stand as one row in `identity`; `identity_part` has each system's own row.
How each column is derived is said in `wardship.store.facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FACTS_VERSION = 3

USE_REASONS = (
    "used_in_time",
    "not_used_in_time",
    "too_new",
    "period_not_seen",
    "credential_not_named",
    "id_not_exact",
    "data_events_off",
    "part_not_read",
    "part_not_told",
    "reads_not_logged",
    "log_has_holes",
    "watched_too_short",
    "read_too_long_ago",
    "log_refused",
    "no_log",
)
"""Why a use verdict is what it is (docs/use-verdicts.md)."""

_USE = {
    "use_state": "VARCHAR",  # used | never | unknown: the best of all sources
    "last_used_at": "TIMESTAMP",
    "use_since": "TIMESTAMP",  # start of what the sources can see
    "use_source": "VARCHAR",  # comma-joined sources that gave an answer; NULL = none was read
    "use_read_at": "TIMESTAMP",  # when the oldest of these answers was read: nothing is known of use after it
}

FACTS: Mapping[str, Mapping[str, str]] = {
    "system": {
        "authority": "VARCHAR",
        "kind": "VARCHAR",
        "name": "VARCHAR",
        "environment": "VARCHAR",
        "parent": "VARCHAR",
        "attributes": "VARCHAR",  # JSON text
    },
    "identity": {
        "uid": "VARCHAR",  # of the representing row
        "authority": "VARCHAR",
        "native_id": "VARCHAR",
        "kind": "VARCHAR",
        "subtype": "VARCHAR",
        "name": "VARCHAR",
        "environment": "VARCHAR",
        "purpose": "VARCHAR",
        "business_process": "VARCHAR",
        "criticality": "VARCHAR",  # declared, else NULL
        "standing": "VARCHAR",
        "enabled": "BOOLEAN",
        "presence": "VARCHAR",
        "created_at": "TIMESTAMP",
        "first_seen_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
        **_USE,
        "supplier_uid": "VARCHAR",  # matched in the suppliers register by exact id
        "supplier_name": "VARCHAR",  # its name; or what the system says, when the register has no match
        "supplier_contract_end_on": "DATE",
        "owner_state": "VARCHAR",  # attested | suggested | lapsed | unresolved | none
        "owner_name": "VARCHAR",
        "owner_active": "BOOLEAN",  # False: every resolved owner has left; NULL: not known
        "owner_claims": "INTEGER",
        "owner_expires_on": "DATE",
        "credentials": "INTEGER",  # present credentials
        "enabled_credentials": "INTEGER",  # of them, those not known to be disabled
        "static_credentials": "INTEGER",  # of them, not known to be disabled: keys, secrets, passwords, tokens
        "grants": "INTEGER",  # present ones that allow
        "worst_tier": "VARCHAR",  # control_plane > write > sensitive_read > read > unknown; NULL = no grant
        "tenant_wide": "BOOLEAN",  # any grant reaches the whole tenant
        "parts": "INTEGER",  # rows merged into this one
        "attributes": "VARCHAR",  # JSON text
    },
    "identity_part": {
        "uid": "VARCHAR",
        "identity_uid": "VARCHAR",
        "authority": "VARCHAR",
        "native_id": "VARCHAR",
        "kind": "VARCHAR",
        "name": "VARCHAR",
        "presence": "VARCHAR",
        "evidence": "VARCHAR",  # which alias joins it
    },
    "identity_alias": {  # every exact id of an identity: what an audit log may call it
        "authority": "VARCHAR",
        "native_id": "VARCHAR",
        "identity_uid": "VARCHAR",
    },
    "credential": {
        "uid": "VARCHAR",
        "identity_uid": "VARCHAR",  # of the representing row; NULL = nobody holds it by itself
        "identity_name": "VARCHAR",
        "identity_kind": "VARCHAR",
        "identity_standing": "VARCHAR",
        "identity_criticality": "VARCHAR",
        "identity_enabled": "BOOLEAN",
        "authority": "VARCHAR",
        "native_id": "VARCHAR",
        "type": "VARCHAR",
        "name": "VARCHAR",
        "public_id": "VARCHAR",
        "fingerprint": "VARCHAR",
        "enabled": "BOOLEAN",
        "presence": "VARCHAR",
        "created_at": "TIMESTAMP",
        "expires_at": "TIMESTAMP",
        "no_expiry": "BOOLEAN",
        "last_rotated_at": "TIMESTAMP",
        "next_rotation_at": "TIMESTAMP",
        "stored_in": "VARCHAR",
        "revocation": "VARCHAR",
        "environment": "VARCHAR",  # its own, else that of its identity, else of its system
        "secret_uid": "VARCHAR",  # of the secret with its fingerprint; NULL = no fingerprint
        "first_seen_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
        **_USE,
        "attributes": "VARCHAR",
    },
    "grant_fact": {  # `grant` is a reserved word in every dialect
        "uid": "VARCHAR",
        "identity_uid": "VARCHAR",
        "identity_name": "VARCHAR",
        "identity_kind": "VARCHAR",
        "identity_standing": "VARCHAR",
        "identity_criticality": "VARCHAR",
        "authority": "VARCHAR",
        "permission": "VARCHAR",
        "resource": "VARCHAR",
        "effect": "VARCHAR",
        "condition": "VARCHAR",
        "via": "VARCHAR",
        "tier": "VARCHAR",
        "tenant_wide": "BOOLEAN",
        "granted_by": "VARCHAR",
        "granted_at": "TIMESTAMP",
        "presence": "VARCHAR",
        "attributes": "VARCHAR",
    },
    "owner": {
        "uid": "VARCHAR",
        "identity_uid": "VARCHAR",
        "claim": "VARCHAR",
        "role": "VARCHAR",
        "source": "VARCHAR",
        "state": "VARCHAR",
        "confidence": "DOUBLE",
        "person_uid": "VARCHAR",  # NULL: the claim resolves to nobody known
        "person_name": "VARCHAR",
        "person_active": "BOOLEAN",
        "expires_on": "DATE",
    },
    "exposure": {
        "uid": "VARCHAR",
        "authority": "VARCHAR",
        "location": "VARCHAR",
        "detector": "VARCHAR",
        "tier": "VARCHAR",  # provider | generic
        "confidence": "DOUBLE",
        "place": "VARCHAR",
        "fingerprint": "VARCHAR",
        "secret_uid": "VARCHAR",  # NULL: no fingerprint
        "credential_type": "VARCHAR",
        "public_id": "VARCHAR",
        "line": "INTEGER",
        "revision": "VARCHAR",
        "occurrences": "INTEGER",
        "in_head": "BOOLEAN",  # NULL: the place has no history
        "public": "BOOLEAN",
        "environment": "VARCHAR",  # of the place, else of its system
        "name": "VARCHAR",
        "introduced_by": "VARCHAR",
        "introduced_at": "TIMESTAMP",
        "removed_at": "TIMESTAMP",
        "credential_uid": "VARCHAR",  # of the credential it is, by exact public id or fingerprint; NULL = unknown
        "credential_live": "BOOLEAN",  # that credential is there and not known to be disabled; NULL: not joined
        "joined_by": "VARCHAR",  # public_id | fingerprint
        "identity_uid": "VARCHAR",
        "identity_name": "VARCHAR",
        "identity_criticality": "VARCHAR",
        "validity": "VARCHAR",  # active | inactive | unknown: of the newest check, else of the joined credential
        "presence": "VARCHAR",
        "first_seen_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
        "attributes": "VARCHAR",
    },
    "secret": {  # one value, wherever it was seen: by fingerprint
        "uid": "VARCHAR",
        "fingerprint": "VARCHAR",
        "name": "VARCHAR",  # of the surest copy: a variable, an entry
        "type": "VARCHAR",
        "detector": "VARCHAR",
        "tier": "VARCHAR",  # provider if any copy is
        "confidence": "DOUBLE",  # of the surest exposure
        "exposures": "INTEGER",  # present places where it should not be
        "head_exposures": "INTEGER",  # of them, those still in the newest state (or without a history)
        "consumer_exposures": "INTEGER",  # of those, places that something runs with
        "systems": "INTEGER",  # systems that hold a copy
        "public_exposures": "INTEGER",
        "vault_copies": "INTEGER",  # present entries of secrets managers
        "ci_copies": "INTEGER",  # present entries of CI systems
        "identities": "INTEGER",  # identities with a present credential of this fingerprint
        "environments": "INTEGER",  # different known environments among all copies
        "environment_names": "VARCHAR",  # comma-joined
        "credential_uid": "VARCHAR",  # of the credential it is, where known
        "identity_uid": "VARCHAR",
        "identity_name": "VARCHAR",
        "validity": "VARCHAR",  # active | inactive | unknown
        "checked_at": "TIMESTAMP",
        "replaced_by": "VARCHAR",  # uid of the credential that a person linked
        "vaulted_at": "TIMESTAMP",  # when it was first known in a secrets manager, or linked
        # the steps after a leak and of a migration: TRUE, FALSE, or NULL where nobody can tell
        "validated": "BOOLEAN",
        "rotated": "BOOLEAN",
        "vaulted": "BOOLEAN",
        "consumers_moved": "BOOLEAN",
        "source_removed": "BOOLEAN",
        "history_purged": "BOOLEAN",
        "stage": "VARCHAR",  # found | vaulted | moved | removed | purged: the last step of an unbroken row
        "presence": "VARCHAR",
        "first_seen_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
    },
    "dependency": {
        "uid": "VARCHAR",
        "authority": "VARCHAR",
        "consumer": "VARCHAR",
        "consumer_kind": "VARCHAR",
        "target_family": "VARCHAR",
        "target_authority": "VARCHAR",
        "target_native_id": "VARCHAR",
        "identity_uid": "VARCHAR",  # of the representing row; NULL: the target is not in the inventory
        "credential_uid": "VARCHAR",
        "source": "VARCHAR",
        "confidence": "VARCHAR",  # confirmed | inferred
        "environment": "VARCHAR",
        "evidence": "VARCHAR",
        "presence": "VARCHAR",
        "first_seen_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
        "attributes": "VARCHAR",
    },
    "guard_run": {
        "uid": "VARCHAR",
        "repository": "VARCHAR",
        "stage": "VARCHAR",  # pre_commit | pre_push | post_commit | ci
        "commit_id": "VARCHAR",
        "run_at": "TIMESTAMP",
        "commits": "INTEGER",
        "files": "INTEGER",
        "found": "INTEGER",
        "blocked": "INTEGER",
        "baselined": "INTEGER",
        "bypassed": "BOOLEAN",
    },
    "use_verdict": {  # of identities and credentials: may they be called unused?
        "subject_uid": "VARCHAR",
        "family": "VARCHAR",  # identity | credential
        "identity_uid": "VARCHAR",
        "name": "VARCHAR",
        "authority": "VARCHAR",
        "verdict": "VARCHAR",  # used | unused | unobserved | insufficient
        "reason": "VARCHAR",  # USE_REASONS
        "last_used_at": "TIMESTAMP",
        "needed_from_on": "DATE",  # start of the time that must have been watched
        "known_since": "TIMESTAMP",  # use is known from here ...
        "known_until_at": "TIMESTAMP",  # ... to here
        "needed_days": "INTEGER",
        "covered_days": "INTEGER",  # of the needed ones, with a log that would show every use
        "missing": "VARCHAR",  # parts of logs of which needed days are not known: what to import, or to declare
        "period": "VARCHAR",  # the business period that makes the needed time longer than the policy's days
        "granularity": "VARCHAR",  # event: a log of events; last use: only the provider's own last date
        "use_source": "VARCHAR",
    },
    "used_permission": {
        "identity_uid": "VARCHAR",
        "credential_uid": "VARCHAR",  # NULL: the log does not name it, or it is not in the inventory
        "source": "VARCHAR",
        "service": "VARCHAR",
        "operation": "VARCHAR",  # the vendor's word
        "events": "BIGINT",
        "failures": "BIGINT",
        "first_seen_at": "TIMESTAMP",
        "last_used_at": "TIMESTAMP",  # the last that did not fail; NULL: all failed
        "last_tried_at": "TIMESTAMP",
    },
    "log_coverage": {  # what the audit logs of each system cover
        "authority": "VARCHAR",
        "source": "VARCHAR",
        "first_on": "DATE",
        "last_on": "DATE",
        "covered_days": "INTEGER",
        "hole_days": "INTEGER",  # days between the first and the last of which nothing is known
        "longest_hole_days": "INTEGER",
        "reads": "BOOLEAN",  # reads are in it
        "data_events": "BOOLEAN",  # AWS: events of data inside a service are in it; NULL: not a question here
        "parts": "VARCHAR",  # the parts of it that were ever seen or read completely, comma-joined
        "missing_parts": "VARCHAR",  # those that never were
        "problem": "VARCHAR",  # why it could not be read: the missing licence or permission
    },
    "unmatched_actor": {  # in the logs, not in the inventory
        "authority": "VARCHAR",
        "actor_id": "VARCHAR",
        "actor_name": "VARCHAR",
        "actor_kind": "VARCHAR",
        "sources": "VARCHAR",
        "events": "BIGINT",
        "failures": "BIGINT",
        "active_days": "INTEGER",
        "first_at": "TIMESTAMP",
        "last_at": "TIMESTAMP",
    },
    "coverage": {
        "scope": "VARCHAR",
        "connector": "VARCHAR",
        "authority": "VARCHAR",
        "region": "VARCHAR",
        "kind": "VARCHAR",
        "status": "VARCHAR",  # of the newest finished reading
        "items": "INTEGER",
        "finished_at": "TIMESTAMP",
        "complete_at": "TIMESTAMP",  # of the newest COMPLETE reading; NULL = never
        "missing_permission": "VARCHAR",
        "reason": "VARCHAR",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One written snapshot. `id` is the SHA-256 over its rows: the same facts have the same id everywhere.

    `folder` holds one Parquet file a fact table; `tables` gives (rows, SHA-256 of the rows) of each. `as_of` is
    the instant it was written for.
    """

    id: str
    folder: Path
    as_of: datetime
    scan_seq: int
    facts_version: int
    tables: Mapping[str, tuple[int, str]]

    def file(self, table: str) -> Path:
        """The Parquet file of one fact table."""
        return self.folder / f"{table}.parquet"
