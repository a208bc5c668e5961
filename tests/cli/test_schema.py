"""The published schema of every list is that of the program, and real rows obey it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from tests.cli.conftest import Command

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "outputs.schema.json"
COMMANDS = {
    "identities": ("export", "identities"),
    "findings": ("export", "findings"),
    "coverage": ("coverage",),
    "changes": ("changes", "--since", "1d"),
    "explanation": ("explain", "AcmeIntegrator SaaS"),
    "doctor": ("doctor",),
    "quarantine": ("quarantine", "list"),
    "rules": ("rules", "list"),
    "systems": ("export", "systems"),
    "credentials": ("export", "credentials"),
    "grants": ("export", "grants"),
    "owners": ("export", "owners"),
    "parts": ("export", "parts"),
}


def test_the_schema_is_up_to_date() -> None:
    root = SCHEMA.parents[2]
    code = "import json, schemas; print(json.dumps(schemas.schema(), indent=1))"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=root / "scripts", capture_output=True, text=True, check=True
    )
    assert SCHEMA.read_text(encoding="utf-8") == made.stdout, "run: python scripts/schemas.py"


@pytest.mark.parametrize("thing", COMMANDS)
def test_rows_obey_the_schema(run: Command, demo: Path, thing: str) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    rows = json.loads(run(*COMMANDS[thing], "-w", demo, "-o", "json").out)
    jsonschema_rs.validate({**schema, "type": "array", "items": {"$ref": f"#/$defs/{thing}"}}, rows)
