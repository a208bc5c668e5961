"""A repository on this machine is copied as it lies; what is unusual is cloned, and what lies is noticed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.connectors.git_reading import by_path, children_find_the_engines, exposures, reading, token
from wardship.connectors.git import mirror, snapshot
from wardship.model.errors import Unavailable
from wardship.sim.git import Repository

__all__ = ["children_find_the_engines"]
Clock = Callable[[], datetime]


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    """Two packs, loose objects, a tag, a branch and a name that needs care."""
    one = Repository(tmp_path / "r")
    one.commit({"a.txt": token("a"), "b/c.txt": token("b")})
    one.git("repack", "-q", "-d")
    one.commit({"a.txt": "nothing"})
    one.git("repack", "-q", "-d")
    one.git("pack-refs", "--all")
    one.commit({"d.txt": token("d")}, branch="feature/x")
    one.git("-c", "user.name=A", "-c", "user.email=a@acme.example", "tag", "-a", "-m", "tag", "v1", "main")
    loose = one.git("hash-object", "-w", "--stdin", given=token("l").encode()).strip()
    tree = one.git("mktree", given=f"100644 blob {loose}\tloose.txt\n".encode()).strip()
    commit = f"tree {tree}\nauthor A <a@x> 1767225600 +0000\ncommitter A <a@x> 1767225600 +0000\n\nloose\n"
    commit = one.git("hash-object", "-w", "-t", "commit", "--stdin", given=commit.encode()).strip()
    one.git("update-ref", "refs/heads/loose", commit)
    return one


def copies(made: Repository, folder: Path) -> bool:
    folder.mkdir()
    (folder / "objects" / "pack").mkdir(parents=True)
    return snapshot.copied(made.folder, folder, made.git("ls-remote", "--symref", str(made.folder)).encode())


def packs(made: Repository, ending: str = ".pack") -> list[Path]:
    found = sorted((made.folder / "objects" / "pack").glob(f"*{ending}"))
    for one in found:
        one.chmod(0o644)
    return found


def test_a_copy_tells_what_a_clone_tells(
    made: Repository, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = made.connection("c", clock=clock, cache=tmp_path / "copied")
    copied = reading(there)
    assert len(exposures(copied)) == 4
    assert copied.complete
    asked: list[Path] = []

    def refused(source: Path, _bare: Path, _told: bytes) -> bool:
        asked.append(source)
        return False

    monkeypatch.setattr(mirror.snapshot, "copied", refused)
    assert reading(made.connection("c", clock=clock, cache=tmp_path / "cloned")).said() == copied.said()
    assert asked == [made.folder], "this one was a clone"


def test_a_copy_is_used_and_holds_nothing_of_the_surroundings(made: Repository, tmp_path: Path) -> None:
    for name in ("hooks/post-checkout", "info/attributes", "objects/info/commit-graph", "objects/pack/x.keep"):
        (made.folder / name).parent.mkdir(exist_ok=True)
        (made.folder / name).write_text("#!/bin/sh\n")
    bare = tmp_path / "bare"
    assert copies(made, bare)
    files = [str(one.relative_to(bare)) for one in bare.rglob("*") if one.is_file()]
    usual = re.compile(r"packed-refs|objects/([0-9a-f]{2}/[0-9a-f]{38}|pack/pack-[0-9a-f]{40}\.(pack|idx))")
    assert [name for name in files if not usual.fullmatch(name)] == []
    assert all(not one.is_symlink() and one.stat().st_nlink == 1 for one in bare.rglob("*") if one.is_file())


def test_hard_links_are_copied_and_not_shared(made: Repository, tmp_path: Path) -> None:
    os.link(packs(made)[0], tmp_path / "elsewhere")
    assert copies(made, tmp_path / "bare")
    assert (tmp_path / "elsewhere").stat().st_nlink == 2


def linked(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def bend(made: Repository, what: str, elsewhere: Path) -> None:
    """Makes a repository unusual in one way."""
    objects = made.folder / "objects"
    pack, index, other = packs(made)[0], *packs(made, ".idx")[:2]
    match what:
        case "a linked pack":
            linked(pack, elsewhere)
        case "linked objects":
            linked(objects, elsewhere)
        case "a linked folder of packs":
            linked(objects / "pack", elsewhere)
        case "a pipe for a pack":
            pack.unlink()
            os.mkfifo(pack)
        case "a pack cut short":
            os.truncate(pack, pack.stat().st_size - 7)
        case "a pack without end":
            os.truncate(pack, 1 << 42)
        case "an index cut short":
            os.truncate(index, 900)
        case "an empty index":
            os.truncate(index, 0)
        case "the index of another pack":
            index.write_bytes(other.read_bytes())
        case "a promisor":
            pack.with_suffix(".promisor").touch()
        case "a pack by another name":
            pack.with_name("other.pack").touch()
        case "alternates":
            (objects / "info").mkdir(exist_ok=True)
            (objects / "info" / "alternates").symlink_to(elsewhere)
        case "another format":
            made.git("config", "core.repositoryFormatVersion", "1")
        case "a shallow clone":
            (made.folder / "shallow").touch()
        case "very many loose objects":
            (objects / "ab").mkdir(exist_ok=True)
            for number in range(snapshot.MAX_LOOSE + 1):
                (objects / "ab" / f"{number:038x}").touch()


@pytest.mark.parametrize(
    "what",
    ["a linked pack", "linked objects", "a linked folder of packs", "a pipe for a pack", "a pack cut short",
     "a pack without end", "an index cut short", "an empty index", "the index of another pack", "a promisor",
     "a pack by another name", "alternates", "another format", "a shallow clone", "very many loose objects"],
)  # fmt: skip
def test_what_is_unusual_is_not_copied(
    made: Repository, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MAX_LOOSE", 50)
    told = made.git("ls-remote", str(made.folder)).encode()
    bend(made, what, tmp_path / "elsewhere")
    bare = tmp_path / "bare"
    (bare / "objects" / "pack").mkdir(parents=True)
    assert not snapshot.copied(made.folder, bare, told)


@pytest.mark.parametrize(
    "line", [b"abc\trefs/heads/x", b"%040d\tx" % 1, b"%040d\trefs/a b" % 1, b"%040d\trefs/\x01" % 1, b""]
)
def test_references_that_no_git_would_tell_are_not_written(made: Repository, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "bare/objects/pack").mkdir(parents=True)
    assert not snapshot.copied(made.folder, tmp_path / "bare", line + b"\n")


def test_an_index_that_lies_is_noticed_and_the_mirror_made_anew(made: Repository, tmp_path: Path, clock: Clock) -> None:
    """It gives a file with a secret the contents of one without: every checksum in it fits, no id does."""
    made.git("repack", "-a", "-d", "-q")
    secret, harmless = (made.git("rev-parse", name).strip() for name in ("main~1:a.txt", "main:a.txt"))
    (index,) = packs(made, ".idx")
    honest = index.read_bytes()
    index.write_bytes(lying(honest, secret, harmless))
    assert made.git("cat-file", "-p", secret).strip() == "nothing", "git believes it"
    there = made.connection("c", clock=clock, cache=tmp_path / "cache")
    read = reading(there)
    assert [problem.reason for problem in read.problems] == ["unreadable"]
    assert {one.location for one in exposures(read)} == {"b/c.txt", "d.txt", "loose.txt"}
    assert not reading(there).complete, "it lies still"
    index.write_bytes(honest)
    whole = reading(there)
    assert whole.complete
    assert whole.said() == reading(made.connection("c", clock=clock, cache=tmp_path / "other")).said()
    assert "a.txt" in by_path(whole)


def test_an_index_that_hides_the_history_is_noticed_and_the_mirror_made_anew(
    made: Repository, tmp_path: Path, clock: Clock
) -> None:
    made.git("repack", "-a", "-d", "-q")
    commit, other = made.git("rev-parse", "main~1").strip(), made.git("rev-parse", "main:a.txt").strip()
    (index,) = packs(made, ".idx")
    honest = index.read_bytes()
    index.write_bytes(lying(honest, commit, other))
    there = made.connection("c", clock=clock, cache=tmp_path / "cache")
    assert isinstance(reading(there).error, Unavailable)
    index.write_bytes(honest)
    assert reading(there).complete


def lying(index: bytes, one: str, other: str) -> bytes:
    """An index, version 2, that says of `one` that it lies where `other` does."""
    count = int.from_bytes(index[8 + 255 * 4 : 8 + 256 * 4], "big")
    names = 8 + 256 * 4
    ids = [index[names + 20 * n : names + 20 * n + 20].hex() for n in range(count)]
    offsets = names + 24 * count
    at = {name: offsets + 4 * ids.index(name) for name in (one, other)}
    bent = bytearray(index[:-20])
    bent[at[one] : at[one] + 4] = index[at[other] : at[other] + 4]
    return bytes(bent) + hashlib.sha1(bent).digest()
