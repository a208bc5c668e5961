"""A register of suppliers in a temporary file, for the suite that every connector must pass."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError
from wardship.sdk.connector import Connection

ROWS = """\
name;tenant ids;account ids;domains;internal sponsor;contract end
AcmeIntegrator;0f9d5a7e-3a44-4b52-9e43-5d5b2ad41c77;;acmeintegrator.example;lucia.garcia@acme-iberica.example;22/02/2026
Mensajería Norte;;111122223333 444455556666;norte.example, mn.example;;2027-12-31
"""

_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


class RegisterFile:
    """Keeps the file until the process ends. A register needs no network."""

    def __init__(self, text: str) -> None:
        folder = tempfile.TemporaryDirectory(prefix="wardship-suppliers-")
        _folders.append(folder)
        self.path = Path(folder.name) / "suppliers.csv"
        self.path.write_text(text, "utf-8")

    def httpx_transport(self) -> Any:
        raise ConfigError("a register of suppliers speaks no HTTP")

    def prepare_botocore(self, session: Any) -> None:
        raise ConfigError(f"a register of suppliers speaks no {type(session).__name__}")


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a freshly written register with two suppliers."""
    wire = RegisterFile(ROWS)
    return Connection(
        name="suppliers", connector="suppliers", settings={"path": str(wire.path)}, clock=clock, wire=wire
    )
