"""State in SQLite or PostgreSQL, and fact snapshots in Parquet. No rule, threshold or workflow lives in a query."""
