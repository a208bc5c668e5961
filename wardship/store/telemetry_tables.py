"""The registers of telemetry: what was imported, which Parquet files are live, and what is known to be complete.

The events themselves are Parquet files in the workspace (`activity/<source>/<day>/...`). A file counts only while
`telemetry_file` lists it: an engine is handed that list, never a folder. What an event's columns mean is said in
`wardship.model.activity`, how the registers change in `wardship.store.telemetry`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Table, Text, UniqueConstraint

from wardship.store.columns import BigId, Instant
from wardship.store.schema import metadata

telemetry_input = Table(  # a file that was imported, or one reading of a live stream
    "telemetry_input",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),  # path as given, or connection/stream: to be shown
    Column("digest", Text, nullable=False),  # SHA-256 of the file's bytes; of a live reading its own id
    Column("size_bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # reading, done, broken (could not be read to its end)
    Column("position", BigInteger, nullable=False),  # records whose outcome is published: where reading goes on
    Column("events", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),  # events that were there already
    Column("skipped", BigInteger, nullable=False),  # records that are no event of interest
    Column("quarantined", BigInteger, nullable=False),
    Column("replayed", BigInteger, nullable=False),  # of the quarantined, those read since
    Column("first_at", Instant),  # of its events
    Column("last_at", Instant),
    Column("problem", Text),  # why it is broken
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    UniqueConstraint("source", "digest"),
)
telemetry_batch = Table(  # events published in one transaction; the column `batch` of each of them
    "telemetry_batch",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3, ... in the order of publication
    Column("input", BigInteger),  # telemetry_input.id of the first input in it
    Column("events", BigInteger, nullable=False),
    Column("added_at", Instant, nullable=False),
)
telemetry_file = Table(
    "telemetry_file",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("path", Text, nullable=False, unique=True),  # relative to the workspace's `activity` folder
    Column("source", Text, nullable=False),
    Column("day", Date, nullable=False),  # UTC day of every event in it
    Column("rows", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the file
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("batches", Text, nullable=False),  # JSON list of telemetry_batch.id, ascending: whose events it holds
    Column("compacted", Boolean, nullable=False),  # sorted by identity, and the only file of its day when written
    Column("added_at", Instant, nullable=False),
    Column("removed_at", Instant),  # replaced by compaction or past retention; the file itself goes later
    Index("ix_telemetry_file_source", "source", "day"),
)
telemetry_quarantine = Table(  # files of records that could not be read; the file holds them, with input and reason
    "telemetry_quarantine",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("path", Text, nullable=False, unique=True),  # relative to the workspace's `activity` folder
    Column("source", Text, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("added_at", Instant, nullable=False),
)
telemetry_window = Table(  # what is known to be complete: a live reading, or the word of whoever imported
    "telemetry_window",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("authority", Text, nullable=False),  # whose events: "aws:123456789012"
    Column("stream", Text, nullable=False),  # a region, a category; "" = all of the source
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("complete", Boolean, nullable=False),  # False: it was tried and refused
    Column("problem", Text),  # why: the licence or permission that is missing
    Column("said_by", Text, nullable=False),  # sync, or the actor who declared it
    Column("recorded_at", Instant, nullable=False),
    Index("ix_telemetry_window_source", "source", "authority"),
)
telemetry_cursor = Table(  # how far a live stream was read
    "telemetry_cursor",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("until_at", Instant, nullable=False),
)
