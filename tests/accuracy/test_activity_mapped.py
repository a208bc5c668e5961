"""How well declared logs, and our sources of Vault and databases, read events of others.

Labelled events (elastic-events): parsed, and agreement with what another product made of the same record. Rows as a
SIEM stores them (sentinel-samples): the share that is read. Where a stream stays below 0.98 or 0.90, floors.toml says
`why`.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.accuracy.activity_sets import Score, hold, labelled_lines, members, raw_record, score
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.log_mapping import shipped_log, shipped_names
from wardship.sdk.registry import source, source_names
from wardship.sdk.source import Source

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))["activity"]

STREAMS = {
    "1password.audit_events": "1password.audit_events",
    "1password.item_usages": "1password.item_usages",
    "1password.signin_attempts": "1password.signin_attempts",
    "atlassian_bitbucket.audit": "atlassian.audit",
    "atlassian_confluence.audit": "atlassian.audit",
    "atlassian_jira.audit": "atlassian.audit",
    "auth0.logs": "auth0.logs",
    "aws.guardduty": "aws.guardduty",
    "aws.s3access": "aws.s3access",
    "aws.securityhub_findings": "aws.securityhub",
    "box_events.events": "box.events",
    "cisco_duo.admin": "cisco_duo.admin",
    "cisco_duo.auth": "cisco_duo.auth",
    "cisco_duo.telephony": "cisco_duo.telephony",
    "cloudflare.audit": "cloudflare.audit",
    "cyberark_pta.events": "cyberark.pta",
    "cyberarkpas.audit": "cyberark.pas",
    "forgerock.am_access": "forgerock.audit",
    "forgerock.am_activity": "forgerock.audit",
    "forgerock.am_authentication": "forgerock.audit",
    "forgerock.am_config": "forgerock.audit",
    "forgerock.idm_access": "forgerock.audit",
    "forgerock.idm_authentication": "forgerock.audit",
    "forgerock.idm_config": "forgerock.audit",
    "forgerock.idm_sync": "forgerock.audit",
    "hashicorp_vault.audit": "vault.audit",
    "hashicorp_vault.log": "vault.log",
    "keycloak.log": "keycloak.log",
    "lastpass.event_report": "lastpass.events",
    "mattermost.audit": "mattermost.audit",
    "mongodb.log": "mongodb.log",
    "mysql_enterprise.audit": "mariadb.audit",
    "ping_one.audit": "pingone.audit",
    "postgresql.log": "postgresql.log",
    "snyk.audit": "snyk.audit",
    "system.auth": "linux.auth",
    "thycotic_ss.logs": "thycotic.secret_server",
    "tines.audit_logs": "tines.audit",
    "zoom.webhook": "zoom.webhook",
}
ROWS = {  # file of sentinel-samples -> source
    "BoxEvents_CL.json": "box.log_analytics",
    "Confluence_Audit_CL.json": "atlassian.cloud_audit",
    "OracleDatabaseAudit.json": "oracle.audit",
    "PingFederate.json": "pingfederate.log_analytics",
    "Snowflake_CL.json": "snowflake.query_history",
}
NO_LOGS = {
    "AADUSerInfo.csv": "a list of users, not a log: it belongs to the inventory",
    "cisco_duo.summary": "counts of an account, without a time",
    "lastpass.detailed_shared_folder": "a list of folders, without a time",
    "tines.time_saved": "a figure a day, of nobody",
}
WHY = [stream for stream, floor in FLOORS.items() if "why" in floor]
TOLD = {"as_of": datetime(2023, 12, 31, tzinfo=UTC)}
"""What an importer says: when the samples were written (their labels have the year 2023)."""

ZONES = {"keycloak.log": ZoneInfo("Etc/GMT+5")}
"""And where, for the log whose lines name no zone: the label's own."""


@pytest.fixture(scope="module")
def events(shared: Path) -> dict[str, bytes]:
    return members(shared / "data" / "elastic-events" / "events.tar.zst")


def reader(stream: str) -> Source:
    name = STREAMS[stream]
    if name in shipped_names():
        return shipped_log(name).told(**TOLD, zone=ZONES.get(stream))
    return source(name)


def measured(events: dict[str, bytes], stream: str) -> Score:
    content = next(body for name, body in events.items() if name.endswith(f"{stream}.jsonl"))
    return score(reader(stream).parse, labelled_lines(content))


@pytest.mark.parametrize("stream", STREAMS)
def test_labelled_events_are_read_as_others_read_them(events: dict[str, bytes], stream: str) -> None:
    found, floor = measured(events, stream), FLOORS[stream]
    print(stream, found)
    hold(found, floor)
    if stream not in WHY:
        assert floor["parsed"] >= 0.98
        assert floor["agreement"] >= 0.90


@pytest.mark.parametrize("stream", WHY)
def test_where_less_is_read_nothing_is_unreadable(events: dict[str, bytes], stream: str) -> None:
    """What is not parsed there was understood and skipped: the quarantine stays empty."""
    content = next(body for name, body in events.items() if name.endswith(f"{stream}.jsonl"))
    unreadable = [miss for miss in score(reader(stream).parse, labelled_lines(content)).misses if miss[1] == "parse"]
    assert {miss[2] for miss in unreadable} <= {"skipped"}


def test_the_published_table_says_what_was_measured() -> None:
    """Of several streams of one log: all events, and the lowest shares."""
    page = (Path(__file__).parents[2] / "docs" / "log-mapping.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| [^|]+ \| (.*) \|$", page, re.MULTILINE))
    floors: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    for stream, name in STREAMS.items():
        floors[name].append(FLOORS[stream])
    assert len(rows) > len(set(STREAMS.values()))
    for name, row in rows.items():
        agreed = [floor["agreement"] for floor in floors[name] if "agreement" in floor]
        told = [
            str(sum(floor["records"] for floor in floors[name])) if floors[name] else "",
            f"{min(floor['parsed'] for floor in floors[name]):.2f}" if floors[name] else "",
            f"{min(agreed):.2f}" if agreed else "",
        ]
        assert [cell.strip() for cell in row.split("|")] == told, name


def test_all_of_vaults_calls_are_read_once(events: dict[str, bytes]) -> None:
    content = next(body for name, body in events.items() if name.endswith("hashicorp_vault.audit.jsonl"))
    calls = {json.loads(raw)["request"]["id"] for _id, raw, _label in labelled_lines(content)}
    read = [
        str(activity.uid)
        for _id, raw, _label in labelled_lines(content)
        for activity in source("vault.audit").parse(json.loads(raw), DriftLog())
    ]
    assert sorted(read) == sorted(calls)


@pytest.mark.parametrize("file", ROWS)
def test_rows_of_a_siem_are_read(shared: Path, file: str) -> None:
    rows = list(_rows(shared, file))
    read = sum(1 for row in rows if _reads(source(ROWS[file]), row))
    print(f"{file}: {read} of {len(rows)} rows")
    assert read == len(rows) > 0


@pytest.mark.parametrize("name", NO_LOGS)
def test_what_is_no_log_is_taken_for_none(shared: Path, events: dict[str, bytes], name: str) -> None:
    """Recognised by nobody, an import says that it does not know such a file."""
    if name.endswith(".csv"):
        (archive,) = (shared / "data" / "sentinel-samples").glob("*.tar.zst")
        content = next(body for path, body in members(archive).items() if path.endswith(name)).decode("utf-8-sig")
        records: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(content)))
    else:
        content_of = next(body for path, body in events.items() if path.endswith(f"{name}.jsonl"))
        records = [raw_record(raw) for _id, raw, _label in labelled_lines(content_of)]
    assert records
    assert [log for log in source_names() if any(source(log).claims(record) for record in records)] == []


def _rows(shared: Path, file: str) -> Iterable[dict[str, Any]]:
    (archive,) = (shared / "data" / "sentinel-samples").glob("*.tar.zst")
    content = next(body for name, body in members(archive).items() if name.endswith(file)).decode("utf-8-sig")
    try:
        read = json.loads(content)
    except ValueError:
        read = [json.loads(line) for line in content.splitlines() if line.strip()]
    return read if isinstance(read, list) else [read]


def _reads(log: Source, row: dict[str, Any]) -> bool:
    try:
        return bool(list(log.parse(row, DriftLog())))
    except DataError:
        return False
