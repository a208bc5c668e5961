"""What an outsider can check with sh and openssl alone, and that falsified exports do not pass."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.store import tampering
from wardship.model.errors import ConfigError, StateError
from wardship.store import audit_export, checkpoint, tables
from wardship.store.audit_export import SCRIPT
from wardship.store.checkpoint import Note
from wardship.store.db import Database
from wardship.store.keys import SigningKeys
from wardship.store.merkle import verify_consistency

FALSIFICATIONS = int(os.environ.get("WARDSHIP_FALSIFICATIONS", "45"))


def check(folder: Path, *options: str | Path, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    """Runs the script with nothing but the base system in PATH."""
    command = ["sh", str(script), str(folder), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    (tmp_path / "keys").mkdir()
    return SigningKeys.create(tmp_path / "keys")


def write(db: Database, keys: SigningKeys, count: int, start: int = 0) -> None:
    with db.write("tester") as writing:
        for n in range(start, start + count):
            writing.audit("thing.done", f"thing:{n}", {"percent": "%s \\n", "text": "ñ"})
    checkpoint.take(db, keys)


def flip(path: Path, at: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 21])
def test_the_script_agrees_for_every_shape_of_tree(
    count: int, tmp_path: Path, clock: Callable[[], datetime], keys: SigningKeys
) -> None:
    db = sqlite(tmp_path / "state.db", clock)
    write(db, keys, count)
    folder = tmp_path / "export"
    assert audit_export.export(db, keys.public, folder, range(count)) == count
    db.close()
    done = check(folder, "--keys", tmp_path / "keys", script=folder / "verify_audit.sh")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "OK"), done.stderr
    assert f"Ed25519 and ECDSA P-256 are good for {count} entries" in done.stdout
    for n in range(count):
        assert check(folder, "--entry", str(n)).returncode == 0


def sqlite(path: Path, clock: Callable[[], datetime]) -> Database:
    db = Database(f"sqlite:///{path}", clock=clock)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    return db


def test_an_export_of_either_database_is_checked_whole_and_by_entry(
    database: Database, keys: SigningKeys, tmp_path: Path
) -> None:
    write(database, keys, 9)
    audit_export.export(database, keys.public, tmp_path / "first")
    write(database, keys, 4)
    folder = tmp_path / "second"
    assert audit_export.export(database, keys.public, folder, [0, 12]) == 13
    assert check(folder, "--since", tmp_path / "first" / "checkpoint.note").returncode == 0
    assert "more entries" in check(tmp_path / "first", "--since", folder / "checkpoint.note").stderr
    (folder / "audit.jsonl").unlink()  # a single entry is shown without the others
    assert check(folder, "--entry", "12").returncode == 0
    assert check(folder).returncode == 1


def test_the_consistency_proof_shows_that_the_log_only_grew(
    database: Database, keys: SigningKeys, tmp_path: Path
) -> None:
    write(database, keys, 7)
    write(database, keys, 6)
    audit_export.export(database, keys.public, tmp_path / "export")
    sizes, *hashes = (tmp_path / "export" / "consistency.proof").read_text().splitlines()
    assert sizes == "7 13"
    with database.read() as conn:
        old, new = (Note.parse(stored.note) for stored in checkpoint.checkpoints(conn))
    verify_consistency(7, old.root, 13, new.root, [bytes.fromhex(line) for line in hashes])


def test_falsified_files_are_refused(database: Database, keys: SigningKeys, tmp_path: Path) -> None:
    write(database, keys, 6)
    audit_export.export(database, keys.public, tmp_path / "genuine", [2])

    def fails(change: Callable[[Path], object], *options: str) -> str:
        folder = tmp_path / "falsified"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "genuine", folder)
        change(folder)
        done = check(folder, *options)
        assert done.returncode == 1, done.stdout
        assert "OK" not in done.stdout.splitlines()
        return done.stderr

    entries = "audit.jsonl"
    assert "ROOT" in fails(lambda f: replace(f / entries, "thing:3", "thing:4"))
    assert "ROOT" in fails(lambda f: swap_lines(f / entries))
    assert "5 entries" in fails(lambda f: cut_line(f / entries))
    assert "7 entries" in fails(lambda f: (f / entries).write_text((f / entries).read_text() + "{}\n"))
    assert "bytes that no entry has" in fails(lambda f: replace(f / entries, "thing:3", "thing:3\x00"))
    assert "bytes that no entry has" in fails(lambda f: replace(f / entries, "}\n", "}\r\n"))
    assert "ECDSA" in fails(lambda f: replace(f / "checkpoint.note", "\n6\n", "\n5\n"))
    assert "not a checkpoint" in fails(lambda f: (f / "checkpoint.note").write_text("x\n6\n"))
    assert "not a checkpoint" in fails(lambda f: replace(f / "checkpoint.note", "\n6\n", "\n$(reboot)\n"))
    assert "Ed25519" in fails(lambda f: flip(f / "checkpoint.ed25519.sig"))
    assert "ECDSA" in fails(lambda f: flip(f / "checkpoint.ecdsa.sig", 20))
    assert "missing" in fails(lambda f: (f / "checkpoint.note").unlink())
    assert "INCLUSION" in fails(lambda f: replace(f / "inclusion" / "2.json", "thing:2", "thing:1"), "--entry", "2")
    assert "INCLUSION" in fails(lambda f: flip(f / "inclusion" / "2.proof"), "--entry", "2")
    assert "too short" in fails(lambda f: cut_line(f / "inclusion" / "2.proof"), "--entry", "2")
    assert "no entry 6" in fails(lambda _folder: None, "--entry", "6")
    assert "missing" in fails(lambda _folder: None, "--entry", "3")


def replace(path: Path, old: str, new: str) -> None:
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode(), 1))


def swap_lines(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]
    path.write_text("".join(lines))


def cut_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def falsify_and_check(count: int, tmp_path: Path, clock: Callable[[], datetime], keys: SigningKeys) -> None:
    """Falsifies a database `count` times, exports it and lets the script judge, with the genuine keys in hand."""
    db = sqlite(tmp_path / "genuine.db", clock)
    write(db, keys, 8)
    write(db, keys, 8, start=8)  # no two entries alike: exchanging those would change nothing
    audit_export.export(db, keys.public, tmp_path / "known")
    db.close()
    assert check(tmp_path / "known", "--keys", tmp_path / "keys").returncode == 0
    chance = random.Random(20261123)
    for n in range(count):
        change = tampering.CHANGES[n % len(tampering.CHANGES)]
        for old in tmp_path.glob("falsified*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        shutil.copyfile(tmp_path / "genuine.db", tmp_path / "falsified.db")
        done = tampering.falsify(str(tmp_path / "falsified.db"), change, chance)
        falsified = Database(f"sqlite:///{tmp_path}/falsified.db", clock=clock)
        try:
            audit_export.export(falsified, keys.public, tmp_path / "falsified")
        except StateError:
            continue  # nothing signed is left to export: noticed too
        finally:
            falsified.close()
        note = tmp_path / "known" / "checkpoint.note"
        verdict = check(tmp_path / "falsified", "--keys", tmp_path / "keys", "--since", note)
        assert verdict.returncode == 1, f"{done}: {verdict.stdout}"


def test_falsified_databases_do_not_pass_openssl(
    tmp_path: Path, clock: Callable[[], datetime], keys: SigningKeys
) -> None:
    falsify_and_check(FALSIFICATIONS, tmp_path, clock, keys)


@pytest.mark.chaos
def test_a_thousand_falsified_databases_do_not_pass_openssl(
    tmp_path: Path, clock: Callable[[], datetime], keys: SigningKeys
) -> None:
    falsify_and_check(1000, tmp_path, clock, keys)


def test_an_export_overwrites_nothing_and_needs_a_checkpoint(
    database: Database, keys: SigningKeys, tmp_path: Path
) -> None:
    with database.write("tester") as writing:
        writing.audit("thing.done", "thing:0")
    with pytest.raises(StateError, match="no checkpoint"):
        audit_export.export(database, keys.public, tmp_path / "export")
    checkpoint.take(database, keys)
    with pytest.raises(StateError, match="entry 1 is not in the signed log of 1"):
        audit_export.export(database, keys.public, tmp_path / "export", [1])
    audit_export.export(database, keys.public, tmp_path / "export")
    with pytest.raises(ConfigError, match="exists"):
        audit_export.export(database, keys.public, tmp_path / "export")


def test_a_proof_over_a_long_log_reads_only_hashes(database: Database) -> None:
    with database.write("tester") as writing:
        for n in range(2500):
            writing.audit("thing.done", f"thing:{n}")
    with database.read() as conn:
        leaves = list(conn.scalars(sa.select(tables.audit.c.leaf).order_by(tables.audit.c.seq)))
        from wardship.store.merkle import inclusion_proof, root_of, verify_inclusion

        proof = inclusion_proof(1234, 2500, audit_export.stored_ranges(conn))
    verify_inclusion(leaves[1234], 1234, 2500, proof, root_of(leaves))


def test_wrong_usage_of_the_script_is_told(tmp_path: Path) -> None:
    for arguments in ([], ["--entry"], ["x", "y"], ["x", "--what"], ["x", "--entry", "1a"]):
        done = subprocess.run(["sh", str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, "verify_audit.sh FOLDER" in done.stderr) == (2, True)
    assert check(tmp_path).returncode == 1
