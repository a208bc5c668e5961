"""The registers of detections: which batches were judged, signals, alerts, and what people declared about them.

What they mean is said in `wardship.model.alert`; `wardship.services.detect` writes signals and alerts,
`wardship.services.alerts` what people say.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from wardship.store.columns import Instant
from wardship.store.schema import metadata

detection_batch = Table(  # one row: the newest batch that every detection was asked about, as about all before it
    "detection_batch",
    metadata,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),  # telemetry_batch.id
    Column("judged_at", Instant, nullable=False),
)
signal = Table(
    "signal",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("detection", Text, nullable=False),
    Column("version", Text, nullable=False),  # digest of the detection
    Column("aspect", Text, nullable=False),
    Column("subject", Text, nullable=False),  # the identity's uid, else authority and actor id
    Column("authority", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text),
    Column("identity_uid", Text),
    Column("credential_id", Text),
    Column("fold", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("hits", Integer, nullable=False),
    Column("severity", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("chance", Float, nullable=False),
    Column("reasons", Text, nullable=False),  # JSON list: what lowered the chance
    Column("evidence", Text, nullable=False),  # JSON list of input#position
    Column("facts", Text, nullable=False),  # JSON
    Column("expected_by", Text),  # expectation.uid
    Column("alert_uid", Text),
    Column("recorded_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Index("ix_signal_subject", "subject", "last_at"),
    Index("ix_signal_alert", "alert_uid"),
)
alert = Table(
    "alert",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text),
    Column("identity_uid", Text),
    Column("state", Text, nullable=False),  # open, expected, closed
    Column("severity", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("criticality", Text),  # of the identity when it was scored
    Column("title", Text, nullable=False),  # id of the strongest detection
    Column("detections", Text, nullable=False),  # JSON list, strongest first
    Column("signals", Integer, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("baseline", Text),  # JSON: the actor's row of actor_baseline before the first signal; NULL = none
    Column("opened_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("until_at", Instant),  # of what is expected
    Column("reason", Text),  # why it was closed or is expected
    Column("decided_by", Text),
    Index("ix_alert_state", "state", "subject"),
)
expectation = Table(  # somebody's word; it ends
    "expectation",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("alert_uid", Text, nullable=False),  # where it was said
    Column("detection", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("fold", Text, nullable=False),  # * stands for any text
    Column("until_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("said_by", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("ended_at", Instant),  # taken back before its end
    Index("ix_expectation_subject", "subject"),
)
change_window = Table(  # a change that was announced
    "change_window",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("scope", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("said_by", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("removed_at", Instant),
)
provisioner = Table(  # somebody's word that an identity sets up much at once; what is recognised is not kept
    "provisioner",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("subject", Text, nullable=False),  # an identity's uid, or authority and actor id
    Column("tool", Text, nullable=False),
    Column("until_at", Instant, nullable=False),
    Column("said_by", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("removed_at", Instant),
)
