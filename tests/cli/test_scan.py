"""scan and import: ambient credentials against an emulator, offline files, bad files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Command
from wardship.app import App
from wardship.store import leases, tables


@pytest.fixture
def aws_environment(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_DEFAULT_REGION": "eu-south-2",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("aws_environment")
def test_scan_aws_needs_no_preparation_and_says_first_what_it_will_call(run: Command) -> None:
    ran = run("scan", "aws", "-w", "w")
    assert ran.code in (0, 3)
    assert ran.err.index("iam:GetAccountAuthorizationDetails") < ran.err.index("Reading aws")
    assert "Found: aws:123456789012" in ran.err
    for word in ("Coverage", "Ownership", "Findings", "Overview", "Next"):
        assert word in ran.out
    assert Path("w/exports/overview.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads(run("coverage", "-w", "w", "-o", "json").out)


def test_nothing_to_scan_names_the_next_step(run: Command) -> None:
    assert run("init", "-w", "w").code == 0
    ran = run("scan", "-w", "w")
    assert ran.code == 2
    assert "wardship connect add" in ran.err


def test_why_a_system_was_not_read_is_said_even_when_quiet(run: Command, tmp_path: Path) -> None:
    """Exit code 3 alone would leave a scheduled run without a reason."""
    assert run("init", "-w", "w").code == 0
    assert run("connect", "add", "git", "code", f"repositories={tmp_path / 'nowhere'}", "-w", "w").code == 0
    ran = run("scan", "code", "-q", "-w", "w")
    assert ran.code == 3
    assert "no git repository in" in ran.err
    assert "Next:" in ran.err
    assert "Reading code" not in ran.err


def test_a_scan_beside_another_says_so_and_what_to_do(run: Command, tmp_path: Path) -> None:
    """Both share one unfinished scan; the other process holds its only area."""
    register = tmp_path / "suppliers.csv"
    register.write_text("supplier id,name\n1,Contoso\n", encoding="utf-8")
    assert run("init", "-w", "w").code == 0
    assert run("connect", "add", "suppliers", "register", f"path={register}", "-w", "w").code == 0
    assert run("scan", "register", "-w", "w").code == 0
    with App.open(Path("w")) as app, app.db.bookkeep() as conn:
        (area,) = conn.scalars(sa.select(tables.scan_scope.c.scope_key))
        conn.execute(sa.update(tables.scan).values(status="running", finished_at=None))
        conn.execute(sa.update(tables.scan_scope).values(status="running", phase="reading"))
        assert leases.take(conn, f"scope:{area}", "elsewhere/1/x", app.clock(), timedelta(hours=1))
    ran = run("scan", "register", "-w", "w")
    assert "0 of 1 (0%) areas read completely" in ran.err
    for told in (ran, run("scan", "register", "-w", "w", "-q")):
        assert told.code == 3
        assert "areas that another scan is reading, left to it: 1" in told.err
        assert "Next: let it end" in told.err


def details(tmp_path: Path) -> Path:
    file = tmp_path / "details.json"
    user = {
        "Path": "/", "UserName": "svc\u202e-evil", "UserId": "AIDAEXAMPLE", "CreateDate": "2020-01-01T00:00:00+00:00",
        "Arn": "arn:aws:iam::123456789012:user/svc", "GroupList": [], "AttachedManagedPolicies": [],
    }  # fmt: skip
    told = {"UserDetailList": [user], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


def test_an_export_is_imported_offline_and_hostile_names_are_shown_safely(run: Command, tmp_path: Path) -> None:
    ran = run("import", "aws", details(tmp_path), "-w", "w")
    assert ran.code in (0, 3), ran.err
    shown = run("inventory", "-w", "w")
    assert "svc-evil" in shown.out
    assert "\u202e" not in shown.out
    assert json.loads(run("inventory", "-w", "w", "-o", "json").out)[0]["name"] == "svc\u202e-evil"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.json", b'{"UserDetailList": [{"Path": "/"'),
        ("utf16.json", '{"UserDetailList": []}'.encode("utf-16")),
        ("binary.json", bytes(range(256))),
        ("empty.json", b""),
        ("other.json", b'{"something": "else"}'),
        ("deep.json", b"[" * 100_000),
    ],
)
def test_a_bad_file_is_a_clear_error_and_changes_nothing(
    run: Command, tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    ran = run("import", "aws", file, "-w", "w")
    assert ran.code in (2, 3)
    assert "Traceback" not in ran.err
    assert "unforeseen" not in ran.err
    assert json.loads(run("inventory", "-w", "w", "-o", "json").out) == []


def test_a_file_that_is_not_there_says_what_is_read(run: Command) -> None:
    ran = run("import", "aws", "no.json", "-w", "w")
    assert ran.code == 2
    assert "get-account-authorization-details" in ran.err


@pytest.fixture
def own_rule(run: Command, tmp_path: Path) -> Path:
    """A rule of the workspace `ws` that finds nothing yet."""
    run("init", "-w", tmp_path / "ws")
    run("rules", "new", "own", "--subject", "system", "-w", tmp_path / "ws")
    return tmp_path / "ws" / "rules" / "own.yaml"


@pytest.fixture
def register(tmp_path: Path) -> Path:
    path = tmp_path / "suppliers.csv"
    path.write_text("supplier id,name\n1,Contoso\n", encoding="utf-8")
    return path


def test_a_rule_that_cannot_be_asked_is_named_and_the_rest_is_told(
    run: Command, own_rule: Path, register: Path, tmp_path: Path
) -> None:
    text = own_rule.read_text("utf-8").replace("s.name", "CAST(s.authority AS INTEGER) AS name")
    own_rule.write_text(text.replace("s.kind = 'aws_account'", "1 = 1").replace("1 = 0", "1 = 1"), encoding="utf-8")
    connected = run("connect", "add", "suppliers", "register", f"path={register}", "-w", tmp_path / "ws")
    assert connected.code == 0, connected.err
    for words in (("import", "suppliers", register), ("scan", "register")):
        ran = run(*words, "-w", tmp_path / "ws")
        assert ran.code == 3
        assert "Findings " in ran.out, "what the other rules found is told"
        assert "own: DuckDB: Conversion Error" in ran.err
        assert "wardship rules test" in ran.err
    log = tmp_path / "trail.json"
    event = {
        "eventVersion": "1.08",
        "eventID": "e1",
        "eventTime": "2026-03-01T10:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/a", "accountId": "123456789012"},
        "recipientAccountId": "123456789012",
    }
    log.write_text(json.dumps({"Records": [event]}), encoding="utf-8")
    ran = run("telemetry", "import", "aws.cloudtrail", log, "-w", tmp_path / "ws")
    assert "own: DuckDB: Conversion Error" in ran.err


def test_why_an_import_read_nothing_is_said(run: Command, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ran = run("import", "git", tmp_path / "folder", "-w", tmp_path / "ws")
    assert ran.code == 3
    assert "there is no git repository in" in ran.err
    assert "Next: give a folder" in ran.err


def test_a_rule_that_cannot_be_read_is_told_before_the_work(
    run: Command, own_rule: Path, register: Path, tmp_path: Path
) -> None:
    own_rule.write_text("id: [", encoding="utf-8")
    ran = run("import", "suppliers", register, "-w", tmp_path / "ws")
    assert ran.code == 2
    assert "own.yaml, line " in ran.err
    assert json.loads(run("coverage", "-w", tmp_path / "ws", "-o", "json").out) == [], "nothing was read yet"
