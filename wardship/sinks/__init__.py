"""Destinations: where values, notices and evidence go. One file a system; each leaves the deciding to others."""
