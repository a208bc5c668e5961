"""Telemetry sources: one file a kind of audit log. What a source module holds is said in `wardship.sdk.source`."""
