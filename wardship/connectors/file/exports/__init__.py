"""Exports of other tools that are read without a mapping: each module is a `wardship.connectors.file.export.Export`."""
