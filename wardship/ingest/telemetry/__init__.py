"""Audit logs: from files and live pages to published activities."""
