"""One normalised event of an audit log: who did what with which credential, to what, from where, and how it ended.

Names and classes are OCSF's (https://schema.ocsf.io, 1.9). This file is the contract between the sources (which make
activities), the telemetry store (which keeps them as Parquet, one column a field), and everything that asks: usage,
baselines, detections, hunts. Types are DuckDB's; instants are UTC `TIMESTAMP`s; NULL means not known.

Who acted is (authority, id) in the inventory's own vocabulary: `identity.native_id` of the connector that reads that
system, or one of the aliases it declares. A name is kept to be shown, never to be joined by.

Nothing in an activity may be a secret: request bodies are not kept, only the few fields that a source puts in `detail`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from wardship.model.errors import DataError
from wardship.model.identity import MAX_ID_CHARS

MAX_DETAIL_CHARS = 1_000
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before it no log that we read existed: an earlier time is a damaged one."""


class ActivityClass(IntEnum):
    """OCSF class_uid. What fits nothing else and went through an API is API_ACTIVITY."""

    ACCOUNT_CHANGE = 3001
    AUTHENTICATION = 3002
    AUTHORIZE_SESSION = 3003
    ENTITY_MANAGEMENT = 3004
    USER_ACCESS_MANAGEMENT = 3005
    GROUP_MANAGEMENT = 3006
    HTTP_ACTIVITY = 4002
    WEB_RESOURCES_ACTIVITY = 6001
    APPLICATION_LIFECYCLE = 6002
    API_ACTIVITY = 6003
    DATASTORE_ACTIVITY = 6005
    FILE_HOSTING_ACTIVITY = 6006


class ActorKind(StrEnum):
    """What the log says that acted. USER is an account of a person or one used like that; the log seldom knows."""

    USER = "user"
    ROOT = "root"
    ROLE = "role"
    APPLICATION = "application"
    SERVICE_ACCOUNT = "service_account"
    MANAGED_IDENTITY = "managed_identity"
    WORKLOAD = "workload"  # federated, or a Kubernetes service account
    PROVIDER_SERVICE = "provider_service"  # the provider's own: ec2.amazonaws.com, Microsoft's
    MACHINE = "machine"  # a computer account
    ANONYMOUS = "anonymous"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


ACTIVITY: Mapping[str, str] = {
    "uid": "VARCHAR",  # the source's own id of the event; unique within the source
    "time": "TIMESTAMP",
    "source": "VARCHAR",  # name of the source: "aws.cloudtrail"
    "class_uid": "INTEGER",  # ActivityClass
    "actor_authority": "VARCHAR",  # who issued actor_id: "aws:123456789012", "entra:<tenant>:appid"
    "actor_id": "VARCHAR",
    "actor_name": "VARCHAR",  # as the log says it
    "actor_kind": "VARCHAR",  # ActorKind
    "session": "VARCHAR",  # name or id of the session: a role session, a token's session
    "on_behalf_of": "VARCHAR",  # for whom the actor acted: a delegating user, the source identity of a role session
    "credential_id": "VARCHAR",  # public id of the credential used: AKIA..., a key id, an accessor, a thumbprint
    "credential_type": "VARCHAR",  # CredentialType, where the log tells
    "service": "VARCHAR",  # "s3.amazonaws.com", "Microsoft.KeyVault"
    "operation": "VARCHAR",  # the vendor's own word: "PutObject", "Add service principal credentials."
    "mutating": "BOOLEAN",  # it changes something; NULL: not told
    "interactive": "BOOLEAN",  # a person at a browser or console; NULL: not told
    "resource_type": "VARCHAR",
    "resource_id": "VARCHAR",  # what was acted upon: ARN, path, object id; for an object store the bucket and key
    "resource_name": "VARCHAR",
    "account": "VARCHAR",  # account, tenant, subscription, project, organisation that the event belongs to
    "region": "VARCHAR",
    "src_ip": "VARCHAR",  # canonical text of a valid address; NULL: none, or no valid one
    "src_network": "VARCHAR",  # its /24 or /48, or the declared network that holds it
    "src_asn": "INTEGER",
    "src_country": "VARCHAR",  # ISO 3166 two letters
    "user_agent": "VARCHAR",
    "outcome": "VARCHAR",  # Outcome
    "outcome_code": "VARCHAR",  # the vendor's: "AccessDenied", "50126"
    "detail": "VARCHAR",  # JSON object of the few fields that detections ask of this source
    "input": "BIGINT",  # where the raw record stands: telemetry_input.id
    "position": "BIGINT",  # and its number in that input, from 0
    "batch": "BIGINT",  # telemetry_batch.id: what was published together
}
"""Columns of the table `activity`, in this order. The last three and src_network, src_asn, src_country are ingest's."""

STAMPED = ("source", "src_network", "src_asn", "src_country", "input", "position", "batch")
"""Columns that ingest fills; a source fills the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a source makes of a raw record: the columns of ACTIVITY that are not STAMPED, named as they are.

    `uid` None: the log has no id of its own; ingest makes one of the record's content. `src_ip` is what the log says;
    ingest keeps it only when it is a valid address. Raises DataError for a time without zone or outside what a log
    can hold (before 2000), and for an actor id without authority.
    """

    time: datetime
    service: str
    operation: str
    class_uid: ActivityClass = ActivityClass.API_ACTIVITY
    uid: str | None = None
    actor_authority: str | None = None
    actor_id: str | None = None
    actor_name: str | None = None
    actor_kind: ActorKind = ActorKind.UNKNOWN
    session: str | None = None
    on_behalf_of: str | None = None
    credential_id: str | None = None
    credential_type: str | None = None
    mutating: bool | None = None
    interactive: bool | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    account: str | None = None
    region: str | None = None
    src_ip: str | None = None
    user_agent: str | None = None
    outcome: Outcome = Outcome.UNKNOWN
    outcome_code: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise DataError("the event's time has no time zone")
        if self.time < EARLIEST:
            raise DataError(f"the event's time is before {EARLIEST.year}")
        if (self.actor_id is None) != (self.actor_authority is None):
            raise DataError("an actor has an id and an authority, or neither")
        if self.actor_id is not None and len(self.actor_id) > MAX_ID_CHARS:
            raise DataError(f"an actor's id of {len(self.actor_id)} characters")
        if not self.operation:
            raise DataError("an event without an operation")


FIELDS = tuple(one.name for one in fields(Activity))


def small(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without what is None, "" or empty, texts cut to MAX_DETAIL_CHARS: what `detail` may hold."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or value in ("", [], {}):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            continue
        kept[name] = value[:MAX_DETAIL_CHARS] if isinstance(value, str) else value
    return kept
