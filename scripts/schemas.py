"""Writes docs/schema/outputs.schema.json: the rows of every list, from the columns that write them. A test holds it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wardship.services import doctor, explain, inventory, listings, quarantine, rules
from wardship.services.formats import Column

TARGET = Path(__file__).resolve().parents[1] / "docs" / "schema" / "outputs.schema.json"
LISTS: dict[str, Sequence[Column]] = {
    "identities": inventory.COLUMNS,
    "findings": listings.FINDING_COLUMNS,
    "coverage": listings.COVERAGE_COLUMNS,
    "changes": listings.CHANGE_COLUMNS,
    "explanation": explain.COLUMNS,
    "doctor": doctor.COLUMNS,
    "quarantine": quarantine.COLUMNS,
    "rules": rules.COLUMNS,
    **{thing: listings.fact_columns(thing) for thing in listings.EXPORTED_FACTS},
}
TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "integer": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "instant": {"type": ["string", "null"], "format": "date-time"},
    "date": {"type": ["string", "null"], "format": "date"},
    "json": {},
}


def schema() -> dict[str, Any]:
    """One definition a list; `--output json` gives an array of its rows. null means "not known"."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rows of Wardship's lists",
        "$defs": {
            name: {
                "type": "object",
                "properties": {column.name: TYPES[column.type] for column in columns},
                "required": [column.name for column in columns],
                "additionalProperties": False,
            }
            for name, columns in LISTS.items()
        },
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
    sys.exit(0)
