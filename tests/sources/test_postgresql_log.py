"""PostgreSQL's log: a real server's lines, and the three forms that it writes."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from wardship.ingest.telemetry.records import Records
from wardship.model.activity import Activity, ActivityClass, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources.postgresql_log import claims, parse


def log_file() -> Path:
    servers = os.environ.get("WARDSHIP_SERVERS") or Path(__file__).parents[2] / ".servers"
    return Path(servers) / "postgres" / "log"


def told(line: str | dict[str, Any]) -> list[Activity]:
    return list(parse({"message": line} if isinstance(line, str) else line, DriftLog()))


def test_a_real_server_tells_who_came_who_was_refused_and_what_ran(postgres_url: str) -> None:
    seen = log_file().stat().st_size
    role = f"log_{secrets.token_hex(4)}"
    with psycopg.connect(
        postgres_url, options="-c log_disconnections=on -c log_statement=all", autocommit=True
    ) as conn:
        name = sql.Identifier(role)
        conn.execute(sql.SQL("create role {} login password {}").format(name, secrets.token_hex(8)))
        conn.execute(sql.SQL("drop role {}").format(name))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres_url, user=role)
    with log_file().open(encoding="utf-8", errors="replace") as log:
        log.seek(seen)
        lines = log.read().splitlines()
    found = [activity for line in lines for activity in told(line)]
    by_operation = {one.operation: one for one in found if one.actor_id in ("wardship_root", role, None)}

    came = by_operation["connection authorized"]
    assert (came.actor_authority, came.actor_id) == ("postgresql:?", "wardship_root")
    assert came.class_uid is ActivityClass.AUTHENTICATION
    assert came.outcome is Outcome.SUCCESS
    assert came.resource_id == "postgres"
    left = by_operation["disconnection"]
    assert left.src_ip == "127.0.0.1"
    refused = next(one for one in found if one.actor_id == role)
    assert (refused.operation, refused.outcome) == ("authentication failed", Outcome.FAILURE)
    assert by_operation["CREATE ROLE"].class_uid is ActivityClass.ACCOUNT_CHANGE
    assert by_operation["CREATE ROLE"].mutating is True
    assert "password '" not in " ".join(str(one) for one in found)


CSV = (
    '2026-03-01 10:00:00.123 CET,"app","shop",20460,"203.0.113.9:16790",5ff202ad.4fec,{line},"{tag}",'
    '2026-03-01 09:59:00 CET,3/15493200,0,{severity},{state},{message},,,,,,,,,"worker","client backend"'
)


@pytest.mark.parametrize(
    ("tag", "severity", "state", "message", "operation", "outcome"),
    [
        (
            "authentication",
            "LOG",
            "00000",
            '"connection authorized: user=app database=shop"',
            "connection authorized",
            "success",
        ),
        ("startup", "FATAL", "28000", '"role ""app"" does not exist"', "authentication failed", "failure"),
        ("SELECT", "LOG", "00000", '"duration: 0.1 ms  statement: select secret from t"', "SELECT", "success"),
        ("SELECT", "ERROR", "42501", '"permission denied for table t"', "SELECT", "failure"),
        (
            "idle",
            "LOG",
            "00000",
            '"disconnection: session time: 0:00:33.289 user=app database=shop"',
            "disconnection",
            "success",
        ),
        (
            "SELECT",
            "LOG",
            "00000",
            '"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,""select 1"",<none>"',
            "SELECT",
            "success",
        ),
        ("GRANT", "LOG", "00000", '"statement: grant all on t to bob"', "GRANT", "success"),
    ],
)
def test_csv_lines(tag: str, severity: str, state: str, message: str, *, operation: str, outcome: str) -> None:
    line = CSV.format(tag=tag, severity=severity, state=state, message=message, line=7)
    (found,) = told(line)
    assert (found.operation, found.outcome.value) == (operation, outcome)
    assert (found.actor_id, found.src_ip, found.user_agent) == ("app", "203.0.113.9", "worker")
    assert found.time.isoformat() == "2026-03-01T09:00:00.123000+00:00"
    assert found.uid == "5ff202ad.4fec/7"
    assert found.outcome_code == (state if outcome == "failure" else None)
    assert "secret" not in str(found)


def test_a_csvlog_file_has_no_header_and_statements_of_several_lines(tmp_path: Path) -> None:
    message = '"statement: select 1,\n  2; -- one, ""two"""'
    lines = [CSV.format(tag="idle", severity="LOG", state="00000", message=message, line=n) for n in (1, 2)]
    file = tmp_path / "postgresql-2026-03-01.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    records = list(Records(file, file.name, ()))
    assert len(records) == 2
    for record in records:
        assert isinstance(record, dict)
        assert claims(record)
        (found,) = told(record)
        assert (found.operation, found.actor_id, found.src_ip) == ("SELECT", "app", "203.0.113.9")


def test_json_lines() -> None:
    entry = {
        "timestamp": "2026-03-01 10:00:00.123 UTC", "user": "app", "dbname": "shop", "pid": 9,
        "remote_host": "10.0.0.5",
        "remote_port": 5000, "session_id": "a.b", "line_num": 3, "error_severity": "FATAL", "state_code": "28P01",
        "message": 'password authentication failed for user "app"', "application_name": "psql",
    }  # fmt: skip
    (found,) = told(json.loads(json.dumps(entry)))
    assert claims(entry)
    assert (found.actor_id, found.src_ip, found.outcome, found.outcome_code) == (
        "app", "10.0.0.5", Outcome.FAILURE, "28P01",
    )  # fmt: skip
    assert found.credential_type == "password"


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-03-01 10:00:00 UTC:203.0.113.9(5432):app@shop:[123]:",  # of Amazon RDS
        "2026-03-01 10:00:00.000 UTC [123] app@shop 203.0.113.9(5432) ",
    ],
)
def test_the_prefix_of_an_operator(prefix: str) -> None:
    (found,) = told(f"{prefix}LOG:  statement: /* report */ update t set a = 1")
    assert (found.actor_id, found.resource_id, found.src_ip) == ("app", "shop", "203.0.113.9")
    assert (found.operation, found.mutating) == ("UPDATE", True)


def test_a_refusal_by_the_rules_of_the_server_has_the_address() -> None:
    (found,) = told(
        "2026-03-01 10:00:00 UTC [1] FATAL:  no pg_hba.conf entry for host"
        ' "198.51.100.7", user "intruder", database "shop", no encryption'
    )
    assert (found.actor_id, found.src_ip, found.outcome) == ("intruder", "198.51.100.7", Outcome.FAILURE)


@pytest.mark.parametrize(
    "line",
    [
        "2026-03-01 10:00:00 UTC [1] LOG:  checkpoint starting: time",
        "2026-03-01 10:00:00 UTC [1] HINT:  Consider this.",
        "2026-03-01 10:00:00 UTC [1] STATEMENT:  select 1",
        "2026-03-01 10:00:00 UTC [1] LOG:  connection received: host=10.0.0.1 port=5",
        "\tfrom a_table where it = 'goes on'",
    ],
)
def test_what_is_about_nobody_is_skipped(line: str) -> None:
    assert told(line) == []


@pytest.mark.parametrize("line", ["", "hello", "2026-99-01 10:00:00 UTC [1] LOG:  connection authorized: user=a"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(DataError):
        told(line)
