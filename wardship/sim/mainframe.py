"""The mainframe of the demo organisation: a list of technical accounts that somebody exports, and its mapping.

It stands for every system without a connector. In the stories two programs share one password, kept as MD5.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from wardship.sdk.connector import Connection
from wardship.sim.staff import Employee

_LIST, _MAPPING = "mainframe-accounts.csv", "mainframe.yaml"
_PROGRAMS = "CICSLIQ CICSPOL BATCHSIN BATCHREC FTPBANK PRTDOC IMSCONS RACFSYNC".split()

MAPPING = """\
wardship_mapping: 1
name: mainframe-accounts
title: Technical accounts of the mainframe
source:
  format: csv
  dates: ["dd/mm/yyyy"]
  time_zone: Europe/Madrid
system:
  authority: "racf:acme"
  kind: mainframe
  name: Mainframe
  environment: production
complete: true
identities:
  - id: Cuenta
    kind: {value: directory_account}
    name: Cuenta
    purpose: Uso
    enabled: {column: Estado, values: {Alta: true, Baja: false}}
    created_at: Alta
    criticality: {column: Criticidad, values: {Alta: high, Media: medium, Baja: low}}
owners:
  - {identity: Cuenta, claim: {column: Responsable, lower: true}}
credentials:
  - id: {template: "{Cuenta}/password"}
    type: {value: password}
    identity: Cuenta
    secret: Clave
    enabled: {column: Estado, values: {Alta: true, Baja: false}}
    last_rotated_at: Cambio
    attributes: {hash: Algoritmo}
usage:
  - {identity: Cuenta, last_used_at: {column: Acceso, never: [nunca]}}
"""


def connection(staff: Sequence[Employee], clock: Callable[[], datetime], folder: Path, *, stories: bool) -> Connection:
    """Writes the list and its mapping into `folder` and gives a connection that reads them."""
    draw = random.Random("acme-iberica-mainframe")  # noqa: S311 - a made-up organisation, not a key
    living = [person for person in staff if person.active]

    def day(ago: float) -> str:
        return (clock() - timedelta(days=ago)).strftime("%d/%m/%Y")

    with (folder / _LIST).open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, delimiter=";")
        rows.writerow("Cuenta Uso Estado Alta Criticidad Responsable Cambio Acceso Algoritmo Clave".split())
        shared = f"{draw.getrandbits(64):016x}"
        for number, program in enumerate(_PROGRAMS):
            own = f"{draw.getrandbits(64):016x}"
            twin = stories and number in (2, 3)
            rows.writerow(
                [
                    program,
                    f"proceso {program.lower()}",
                    "Alta",
                    day(2_000 + number * 40),
                    "Media",
                    living[number + 30].email,
                    day(15 + number if not stories else 300 + number * 50),
                    day(number % 3),
                    "MD5" if stories and number % 4 == 2 else "bcrypt",
                    shared if twin else own,
                ]
            )
    (folder / _MAPPING).write_text(MAPPING, encoding="utf-8")
    return Connection(
        name="mainframe",
        connector="file",
        settings={"path": str(folder / _LIST), "mapping": str(folder / _MAPPING)},
        clock=clock,
    )
