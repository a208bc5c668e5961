"""A list of accounts and its mapping in a temporary folder, for the suite that every connector must pass."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection

MAPPING = """\
wardship_mapping: 1
name: legacy-accounts
source: {format: csv, dates: ["dd/mm/yyyy"], time_zone: Europe/Madrid, empty: ["-"]}
system: {authority: "legacy:billing", kind: legacy_application, name: Billing (legacy), environment: production}
complete: true
identities:
  - id: Usuario
    kind: {value: directory_account}
    name: Descripción
    enabled: {column: Estado, values: {A: true, B: false}}
    created_at: Alta
owners:
  - {identity: Usuario, claim: Responsable}
usage:
  - {identity: Usuario, last_used_at: {column: Último acceso, never: [nunca]}}
grants:
  - {identity: Usuario, permission: {column: Perfiles, split: ","}}
"""
ROWS = 1_200  # more than two pages

_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


class Files:
    """Keeps the folder until the process ends. Files need no network."""

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="wardship-file-")
        _folders.append(folder)
        self.path = Path(folder.name) / "accounts.csv"
        self.mapping = Path(folder.name) / "accounts.yaml"
        self.mapping.write_text(MAPPING, "utf-8")
        header = "Usuario;Descripción;Estado;Alta;Responsable;Último acceso;Perfiles\r\n"
        self.path.write_text(header + "".join(map(_row, range(ROWS))), "utf-8-sig", newline="")

    def httpx_transport(self) -> Any:
        raise ConfigError("files speak no HTTP")

    def prepare_botocore(self, session: Any) -> None:
        raise ConfigError(f"files speak no {type(session).__name__}")


def _row(number: int) -> str:
    day = f"{number % 28 + 1:02}/{number % 12 + 1:02}/2025"
    used = ("nunca", "-", day)[number % 3]
    owner = f"persona{number % 7}@acme-iberica.example" if number % 5 else ""
    return f"SVC{number:05};Interfaz {number};{'AB'[number % 2]};{day};{owner};{used};lectura, carga\r\n"


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a freshly written file."""
    wire = Files()
    return Connection(
        name="legacy",
        connector="file",
        settings={"path": str(wire.path), "mapping": str(wire.mapping)},
        clock=clock,
        wire=wire,
        fingerprint=_fingerprint,
    )


def _fingerprint(value: Secret) -> str:
    return f"{len(value.reveal()):032x}"
