"""A workspace is one folder: how it is made, found, opened, and what is said when it is not what it should be."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from wardship.model.errors import ConfigError, VerificationFailed
from wardship.model.secret import Secret
from wardship.store import migrations
from wardship.store.migrations import SchemaState
from wardship.store.workspace import Workspace, find_workspace

Clock = Callable[[], datetime]


def note(ws: Workspace) -> None:
    with ws.db.write("tester") as writing:
        writing.audit("thing.done", "thing:1")


def test_a_new_workspace_is_one_private_folder_and_opens_again(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "client"
    with Workspace.create(path, clock=clock) as made:
        print_ = made.fingerprint(Secret("value"))
        assert migrations.schema_state(made.db) is SchemaState.CURRENT
    assert path.stat().st_mode & 0o777 == 0o700
    private = ["keys/pepper", "keys/audit-ed25519.pem", "keys/audit-ecdsa-p256.pem", "state.db"]
    assert {(path / name).stat().st_mode & 0o777 for name in private} == {0o600}
    with Workspace.open(path, clock=clock) as opened:
        assert opened.fingerprint(Secret("value")) == print_
        assert [folder.is_dir() for folder in (opened.facts, opened.exports, opened.tmp, opened.keys)] == [True] * 4


def test_closing_signs_what_was_written_and_an_error_is_not_covered(tmp_path: Path, clock: Clock) -> None:
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        note(ws)
    copy = (tmp_path / "w" / "checkpoints.jsonl").read_text()
    assert copy.count("\n") == 1
    with contextlib.suppress(ZeroDivisionError), Workspace.open(tmp_path / "w", clock=clock) as ws:
        note(ws)
        raise ZeroDivisionError
    assert (tmp_path / "w" / "checkpoints.jsonl").read_text() == copy
    with Workspace.open(tmp_path / "w", clock=clock) as ws:
        note(ws)
    assert (tmp_path / "w" / "checkpoints.jsonl").read_text().count("\n") == 2


def test_a_database_restored_from_an_old_backup_is_noticed(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "w"
    Workspace.create(path, clock=clock).close()
    backup = (path / "state.db").read_bytes()
    with Workspace.open(path, clock=clock) as ws:
        note(ws)
    for side in path.glob("state.db*"):
        side.unlink()
    (path / "state.db").write_bytes(backup)
    ws = Workspace.open(path, clock=clock)
    note(ws)
    note(ws)
    with pytest.raises(VerificationFailed, match="does not continue"):
        ws.close()


def test_fingerprints_are_keyed_and_one_value_has_one(tmp_path: Path, clock: Clock) -> None:
    with Workspace.create(tmp_path / "a", clock=clock) as a, Workspace.create(tmp_path / "b", clock=clock) as b:
        one = a.fingerprint(Secret("s3cret"))
        assert len(one) == 32
        assert int(one, 16) >= 0
        assert one == a.fingerprint(Secret(" s3cret\n"))
        assert one != a.fingerprint(Secret("s3cret2"))
        assert one != b.fingerprint(Secret("s3cret"))
        assert a.fingerprint(Secret("\u00e9")) == a.fingerprint(Secret("e\u0301"))


def test_a_fingerprint_is_hmac_sha256_cut_to_128_bits(tmp_path: Path, clock: Clock) -> None:
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        (ws.keys / "pepper").write_text("0b" * 32)
        # HMAC-SHA256 with 32 bytes 0x0b over "secret" 0x00 "value": made with `openssl dgst -mac HMAC`
        import hmac

        wanted = hmac.digest(b"\x0b" * 32, b"secret\x00value", "sha256").hex()[:32]
        assert ws.fingerprint(Secret("value")) == wanted


def test_the_fingerprint_key_is_refused_when_others_can_read_it(tmp_path: Path, clock: Clock) -> None:
    with Workspace.create(tmp_path / "w", clock=clock) as ws:
        (ws.keys / "pepper").chmod(0o644)
        with pytest.raises(ConfigError, match="can be read by others"):
            ws.fingerprint(Secret("a"))


def test_what_is_wrong_with_a_folder_is_said_with_the_next_step(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="no workspace") as caught:
        Workspace.open(tmp_path / "none", clock=clock)
    assert "wardship init" in caught.value.advice
    Workspace.create(tmp_path / "w", clock=clock).close()
    with pytest.raises(ConfigError, match=r"a workspace in .* already"):
        Workspace.create(tmp_path / "w", clock=clock)
    with Workspace.open(tmp_path / "w", clock=clock) as ws, ws.db.bookkeep() as conn:
        conn.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(ConfigError, match="newer Wardship"):
        Workspace.open(tmp_path / "w", clock=clock)
    for side in (tmp_path / "w").glob("state.db*"):
        side.unlink()
    with pytest.raises(ConfigError, match=r"state\.db is missing"):
        Workspace.open(tmp_path / "w", clock=clock)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        Workspace.create(tmp_path / "file" / "w", clock=clock)


def test_git_takes_nothing_of_a_workspace_but_its_rules(tmp_path: Path, clock: Clock) -> None:
    """`wardship scan git` makes one inside the repository, and its keys must never be committed with `git add .`."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    Workspace.create(tmp_path / "w", clock=clock).close()
    (tmp_path / "w" / "rules").mkdir(exist_ok=True)
    (tmp_path / "w" / "rules" / "mine.yaml").write_text("id: mine\n")
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    listed = subprocess.run(["git", "-C", str(tmp_path), "ls-files"], check=True, capture_output=True, text=True)
    assert listed.stdout.split() == ["w/rules/mine.yaml"]
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("not to be hidden\n")
    Workspace.create(tmp_path / "used", clock=clock).close()
    assert not (tmp_path / "used" / ".gitignore").exists()


def test_a_creation_that_was_cut_short_is_completed(tmp_path: Path, clock: Clock) -> None:
    """Without workspace.yaml it is no workspace yet; keys that exist already are kept."""
    path = tmp_path / "w"
    Workspace.create(path, clock=clock).close()
    pepper = (path / "keys" / "pepper").read_bytes()
    (path / "workspace.yaml").unlink()
    with Workspace.create(path, clock=clock):
        assert (path / "keys" / "pepper").read_bytes() == pepper


def test_a_workspace_on_postgresql_keeps_only_a_reference(
    postgres_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_DATABASE", "postgresql://nobody:hunter2@127.0.0.1:1/nowhere")
    with pytest.raises(ConfigError, match="holds a password"):
        Workspace.create(tmp_path / "a", "postgresql://nobody:hunter2@127.0.0.1:1/nowhere", clock=clock)
    from wardship.model.errors import Unavailable

    with pytest.raises(Unavailable):
        Workspace.create(tmp_path / "b", "env:THE_DATABASE", clock=clock)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert found == []


def test_either_database_serves_a_workspace(
    database_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_DATABASE", database_url)
    with Workspace.create(tmp_path / "w", "env:THE_DATABASE", clock=clock) as ws:
        note(ws)
    with Workspace.open(tmp_path / "w", clock=clock) as ws:
        assert ws.checkpoint() is None
    assert database_url not in (tmp_path / "w" / "workspace.yaml").read_text()


def test_the_workspace_is_found_where_people_expect_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "deep" / "er").mkdir(parents=True)
    (project / "workspace.yaml").touch()
    env = {"HOME": str(tmp_path / "home")}
    home = tmp_path / "home" / ".local" / "share" / "wardship"
    assert find_workspace(Path("given"), environ={"WARDSHIP_WORKSPACE": "/x"}, cwd=project) == Path("given")
    assert find_workspace(environ={"WARDSHIP_WORKSPACE": "/x"}, cwd=project) == Path("/x")
    assert find_workspace(environ=env, cwd=project / "deep" / "er") == project
    assert find_workspace(environ=env, cwd=tmp_path) == home
    assert find_workspace(environ={**env, "XDG_DATA_HOME": "/data"}, cwd=tmp_path) == Path("/data/wardship")
    (tmp_path / "wardship-workspace").mkdir()
    (tmp_path / "wardship-workspace" / "workspace.yaml").touch()
    assert find_workspace(environ=env, cwd=tmp_path) == tmp_path / "wardship-workspace"
