"""Checkpoints: what is signed, and the copies that tell when a database comes back older."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardship.model.errors import ConfigError, Unavailable, VerificationFailed
from wardship.store import checkpoint
from wardship.store.checkpoint import Note
from wardship.store.db import Database
from wardship.store.keys import SigningKeys


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys.create(tmp_path)


def write(db: Database, count: int = 1) -> None:
    with db.write("tester") as writing:
        for n in range(count):
            writing.audit("thing.done", f"thing:{n}")


def test_a_checkpoint_signs_size_and_root_and_only_when_the_log_grew(database: Database, keys: SigningKeys) -> None:
    assert checkpoint.take(database, keys) is None
    write(database, 3)
    made = checkpoint.take(database, keys)
    assert made is not None
    note = Note.parse(made.note)
    assert (note.size, made.key_id) == (3, keys.public.key_id)
    assert note.origin.startswith("wardship.audit/")
    keys.public.verify(made.note.encode(), made.ed25519, made.ecdsa)
    assert checkpoint.take(database, keys) is None
    write(database)
    second = checkpoint.take(database, keys)
    assert second is not None
    assert Note.parse(second.note).origin == note.origin
    with database.read() as conn:
        assert checkpoint.checkpoints(conn) == [made, second]


ROOT_TEXT = "A" * 43 + "="  # 32 zero bytes
NO_NOTES = [
    "",
    "o\n1\n",
    "o\n01\n" + ROOT_TEXT + "\n",
    "o\n-1\n" + ROOT_TEXT + "\n",
    "o\nx\n" + ROOT_TEXT + "\n",
    "o\n1\nAAAA\n",
    "o\n1\n" + ROOT_TEXT,
    "o\n1\n" + ROOT_TEXT + "\nmore\n",
    "o\n1\n" + "é" * 43 + "=\n",
]


@pytest.mark.parametrize("text", NO_NOTES)
def test_a_text_that_no_note_has_is_refused(text: str) -> None:
    with pytest.raises(VerificationFailed):
        Note.parse(text)


def test_a_note_has_one_text() -> None:
    note = Note(origin="wardship.audit/x", size=7, root=bytes(range(32)))
    assert note.text() == "wardship.audit/x\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert Note.parse(note.text()) == note


def test_every_checkpoint_reaches_every_copy_also_later(database: Database, keys: SigningKeys, tmp_path: Path) -> None:
    here, there = tmp_path / "here.jsonl", tmp_path / "mount" / "there.jsonl"
    write(database)
    checkpoint.take(database, keys, [here])
    write(database)
    with pytest.raises(Unavailable, match=r"there\.jsonl"):  # its folder is not mounted
        checkpoint.take(database, keys, [there, here])
    assert [c.size for c in checkpoint.read_copy(here)] == [1, 2]
    (tmp_path / "mount").mkdir()
    assert checkpoint.take(database, keys, [there, here]) is None
    assert checkpoint.read_copy(there) == checkpoint.read_copy(here)


def test_an_older_database_is_not_signed_over(database: Database, keys: SigningKeys, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    write(database)
    checkpoint.take(database, keys, [copy])
    other = tmp_path / "of-the-future.jsonl"
    (tmp_path / "k2").mkdir()
    line = copy.read_text()
    other.write_text(line + line.replace("\\n1\\n", "\\n9\\n"))
    write(database)
    with pytest.raises(VerificationFailed, match="copied checkpoint of 9 entries") as caught:
        checkpoint.take(database, keys, [other])
    assert "backup" in caught.value.advice


def test_a_copy_that_somebody_changed_is_said_to_be_and_a_cut_last_line_is_not(
    database: Database, keys: SigningKeys, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.jsonl"
    write(database)
    checkpoint.take(database, keys, [copy])
    good = copy.read_text()
    copy.write_text(good + good[:40])  # the machine went down while it was written
    assert [c.size for c in checkpoint.read_copy(copy)] == [1]
    for bad in ("{}\n", "[]\n", "x\n", good.replace("note", "nota"), "\n"):
        copy.write_text(good + bad)
        with pytest.raises(VerificationFailed, match="line 2"):
            checkpoint.read_copy(copy)
    assert checkpoint.read_copy(tmp_path / "none.jsonl") == []
    with pytest.raises(ConfigError):
        checkpoint.read_copy(tmp_path)
