"""Audit logs full of secrets and of hostile names: no secret stands anywhere afterwards, and no name does anything.

Every place of a record of every source holds, once, an address with a login, tokens and signatures; records that cannot
be read hold more. The logs themselves are the customer's own and are left out of the search.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.e2e.canaries import Canaries, command, isolated, told
from tests.sources.samples import changed, leaves, samples
from wardship.cli.kit import INCOMPLETE, USAGE

IN_ADDRESS = {name: f"{name}Zq7Rk2Wm9Xc4Vb1Nt8Ls3Jh6" for name in ("login", "query", "signed", "fragment")}
ADDRESS = (
    f"https://ann:{IN_ADDRESS['login']}@h.example/p?access_token={IN_ADDRESS['query']}"
    f"&X-Amz-Signature={IN_ADDRESS['signed']}#id_token={IN_ADDRESS['fragment']}"
)
PASTED = "ghp_" + "Vb7Kq2Wm9Xc4Zr1Nt8Ls3Jh6Gd5Fp0Ya2TeU"[:36]
TYPED = "Tr0ub4dor" + "-of-the-agent"
UNREAD = "Hn4" + "wQ8xZt2Lm7Yc5Bs3"
ENGINE = "Ck9" + "uB3nVr6Xe1Wq7Tz4"
VALUES = {
    **{value: f"{name} of an address" for name, value in IN_ADDRESS.items()},
    PASTED: "token that was typed as a name",
    TYPED: "password in a user agent",
    UNREAD: "password in what cannot be read",
    ENGINE: "password of an engine",
}
HOSTILE = (
    "=cmd|'/C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "\tx", "\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe", "a\r\nb: c",
    "<script>alert(1)</script>", "'; DROP TABLE activity; --", "{{7*7}}", "${jndi:ldap://x/a}", "\u0000null", "\ufeff",
)  # fmt: skip
EXPORTS = ("alerts", "signals", "activity", "use-verdicts", "used-permissions", "log-coverage", "unmatched-actors")
HUNT = "acts_and_is_not_in_the_inventory"


@dataclass(slots=True)
class Ran:
    root: Path
    printed: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def command(self, *words: str, note: str = "") -> str:
        """Runs a command and keeps what it printed and how it ended; the name under which that is kept."""
        code, printed = command(*words, "--workspace", str(self.root / "ws"))
        name = " ".join((*words, note))[:200].strip()
        self.printed[name], self.codes[name] = printed, code
        return name


def _logs(folder: Path) -> None:
    """A file of each source: its records as they are, then each place of each bent once."""
    by_source: dict[str, list[dict[str, Any]]] = {}
    for name, record in samples():
        by_source.setdefault(name, []).append(record)
    folder.mkdir()
    for name, records in by_source.items():
        bent = [changed(record, path, ADDRESS) for record in records for path in leaves(record)]
        lines = [json.dumps(one, default=str) for one in (*records, *records, *bent)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")


def _cloudtrail(folder: Path) -> None:
    """What makes alerts: root does things, called as nobody should be called, with tokens where none belong."""
    now = datetime.now(UTC)
    records = [
        {
            "eventVersion": "1.08", "eventTime": (now - timedelta(minutes=9 * n)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": "iam.amazonaws.com", "eventName": operation, "awsRegion": "us-east-1",
            "sourceIPAddress": "198.51.100.7", "eventID": f"e-{n}", "eventType": "AwsApiCall", "readOnly": False,
            "userAgent": f"deploy.sh --password={TYPED} {PASTED}", "recipientAccountId": "123456789012",
            "userIdentity": {
                "type": "AssumedRole", "principalId": f"AROAEXAMPLE:{name}", "accountId": "123456789012",
                "arn": f"arn:aws:sts::123456789012:assumed-role/ops/{name}", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
                "sessionContext": {"sessionIssuer": {"type": "Role", "principalId": "AROAEXAMPLE", "userName": name}},
            },
            "requestParameters": {"userName": name, "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            "responseElements": {"accessKey": {"secretAccessKey": UNREAD}},
        }
        for n, (name, operation) in enumerate(
            (name, operation) for name in (*HOSTILE, PASTED) for operation in ("AttachUserPolicy", "CreateAccessKey")
        )
    ]  # fmt: skip
    unread = [{**records[0], "eventTime": f"password={UNREAD}", "extra": {"token": UNREAD}} for _ in range(2)]
    (folder / "trail.json").write_text(json.dumps({"Records": [*records, *unread]}), "utf-8")
    cut = json.dumps({"eventVersion": "1", "eventSource": "x", "eventName": "y", "secret": UNREAD})
    (folder / "cut.jsonl").write_text(json.dumps(records[0]) + "\n" + cut[:-4] + "\n", "utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    root = tmp_path_factory.mktemp("telemetry")
    with pytest.MonkeyPatch.context() as patch, isolated(patch, root):
        left = Ran(root)
        _logs(root / "logs")
        _cloudtrail(root / "logs")
        _run(left, patch)
        yield left


def _run(left: Ran, patch: pytest.MonkeyPatch) -> None:
    logs, out = str(left.root / "logs"), left.root / "out"
    out.mkdir()
    left.command("init")
    left.command("telemetry", "import", "auto", logs, "--dry-run")
    left.command("telemetry", "import", "auto", logs)
    left.command("telemetry", "import", "aws.cloudtrail", logs + "/cut.jsonl")
    for words in (
        ("telemetry", "status", "--files"),
        ("telemetry", "coverage"),
        ("telemetry", "reconcile"),
        ("telemetry", "replay"),
        ("telemetry", "compact"),
        ("unused", "--verdict", "all"),
        ("usage", "ops"),
        ("usage", "iam:CreateAccessKey"),
        ("usage", "AROAEXAMPLE"),
        ("baseline", "show", "AROAEXAMPLE"),
        ("lookup", "ASIAIOSFODNN7EXAMPLE"),
        ("alerts", "list"),
        ("alerts", "list", "--output", "jsonl"),
        ("hunt", "list"),
        ("doctor", "--report"),
        ("audit", "log", "--output", "jsonl"),
        ("sigma", "export", str(out / "sigma")),
    ):
        left.command(*words)
    for line in left.printed["alerts list --output jsonl"].splitlines():
        if line.startswith(b"{"):
            left.command("alerts", "show", json.loads(line)["uid"])
            break
    for what in EXPORTS:
        for form in ("jsonl", "csv", "parquet", "xlsx"):
            left.command("export", what, "--out", str(out / f"{what}.{form}"))
    patch.setenv("ENGINE_URL", f"http://wardship:{ENGINE}@127.0.0.1:9")
    patch.setenv("WARDSHIP_TELEMETRY__URL", "env:ENGINE_URL")
    for engine in ("clickhouse", "spark"):  # neither is there
        patch.setenv("WARDSHIP_TELEMETRY__ENGINE", engine)
        for words in (("hunt", "run", HUNT, "--since", "30d"), ("baseline", "rebuild"), ("doctor", "--report")):
            left.command(*words, note=engine)


def test_nothing_that_was_left_behind_or_printed_holds_a_secret(ran: Ran) -> None:
    search = Canaries(VALUES)
    found = search.in_folders([ran.root], but=[ran.root / "logs"])
    found += search.in_texts(ran.printed)
    assert not found, told(found)
    assert search.bytes_read > 1_000_000


def test_it_was_read_judged_and_exported(ran: Ran) -> None:
    """Else the search would not have looked at anything."""
    assert b"could not be read" in ran.printed[f"telemetry import auto {ran.root / 'logs'}"[:200]]
    rows = [json.loads(line) for line in (ran.root / "out" / "activity.jsonl").read_text("utf-8").splitlines()]
    assert len({row["source"] for row in rows}) > 30
    assert any("***" in str(row["user_agent"]) for row in rows)
    assert (ran.root / "out" / "signals.jsonl").stat().st_size
    for engine, said in (("clickhouse", b"ClickHouse"), ("spark", b"Spark")):
        name = f"hunt run {HUNT} --since 30d {engine}"
        assert ran.codes[name] in (INCOMPLETE, USAGE), name
        assert said in ran.printed[name], name


def test_no_name_moves_the_cursor_or_is_a_formula(ran: Ran) -> None:
    for name, text in ran.printed.items():
        if "json" not in name:
            assert not [mark for mark in ("\x1b", "\x07", "\u202e") if mark.encode() in text], name
    for path in sorted((ran.root / "out").glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert not [cell for cell in cells if cell[:1] in "=+@\t\r" and cell[:1]], path.name
    for path in sorted((ran.root / "out").glob("*.xlsx")):
        sheet = openpyxl.load_workbook(path).worksheets[0]
        assert not [cell.value for row in sheet.iter_rows() for cell in row if cell.data_type == "f"], path.name
