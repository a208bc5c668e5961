"""Whole files of Microsoft's logs: each is known for what it is without being told, and all of its records are read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.sources import test_azure_activity as azure
from tests.sources import test_entra_audit as audit
from tests.sources import test_entra_signin as signin
from tests.sources import test_m365_audit as m365
from tests.sources import test_windows_security as windows
from wardship.ingest.telemetry.importer import claimed_by
from wardship.ingest.telemetry.records import NoRecord, Records
from wardship.sdk.connector import DriftLog
from wardship.sdk.registry import source, source_names


def table(*rows: dict[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


SEARCHED = {
    "RecordType": "ExchangeAdmin",
    "CreationDate": "3/1/2026 9:05:00 PM",
    "UserIds": "ana@example.com",
    "Operations": "New-InboxRule",
    "AuditData": json.dumps(m365.event("New-InboxRule")),
}
PORTAL = {
    "Date (UTC)": "2026-03-01T10:11:12Z",
    "Request ID": "r1",
    "User ID": signin.USER,
    "Username": "ana@example.com",
    "Application ID ": signin.APP,
    "Sign-in error code": "0",
}
FILES = {
    "PT1H.json": ("entra.signin", "\n".join(json.dumps(signin.service_principal()) for _line in range(3)), 3),
    "export.json": ("entra.signin", json.dumps({"records": [signin.service_principal()] * 2}), 2),
    "InteractiveSignIns.csv": ("entra.signin", table(PORTAL, PORTAL), 2),
    "directoryAudits.json": ("entra.audit", json.dumps({"value": [audit.event("Add user", {})["properties"]] * 2}), 2),
    "activity.json": ("azure.activity", json.dumps({"value": [azure.api(), azure.api()]}), 2),
    "search.csv": ("m365.audit", table(SEARCHED), 1),
    "search.json": ("m365.audit", json.dumps([SEARCHED, SEARCHED]), 2),
    "Security.xml": (
        "windows.security",
        f"<?xml version='1.0'?><Events>{windows.xml(4624, **windows.LOGON)}{windows.xml(1102)}</Events>",
        2,
    ),
    "evtx.jsonl": ("windows.security", json.dumps(windows.evtx(4624, **windows.LOGON)), 1),
    "samba.log": (
        "windows.security",
        json.dumps(windows.samba("Authentication", eventId=4624, status="NT_STATUS_OK", becameSid=windows.SID)),
        1,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_and_read(name: str, tmp_path: Path) -> None:
    of, text, events = FILES[name]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    known = claimed_by(file, name, [source(one) for one in source_names()])
    assert known is not None
    assert known.MANIFEST.name == of
    records = list(Records(file, name, known.MANIFEST.records))
    found = [one for raw in records if not isinstance(raw, NoRecord) for one in known.parse(raw, DriftLog())]
    assert len(found) == events
    assert all(one.actor_id or one.operation == "1102" for one in found)


def test_the_logs_own_xml_reads_as_its_text_does(tmp_path: Path) -> None:
    file = tmp_path / "Security.xml"
    text = windows.xml(4624, **windows.LOGON)
    file.write_text(f"<Events>{text}</Events>", encoding="utf-8")
    (raw,) = Records(file, file.name)
    assert not isinstance(raw, NoRecord)
    assert windows.read(raw) == windows.read({"message": text})
