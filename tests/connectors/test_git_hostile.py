"""Repositories that attack whoever reads them: nothing runs, nothing escapes, one bad thing costs itself only."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from tests.connectors.git_reading import (
    ROOT,
    by_path,
    children_find_the_engines,
    exposures,
    reading,
    token,
    with_settings,
)
from wardship.connectors.git import mirror
from wardship.connectors.git.process import Git
from wardship.connectors.git.repository import repositories
from wardship.model.errors import NotVisible
from wardship.model.secret import Secret
from wardship.sdk.netguard import AddressRefused
from wardship.sim.git import Repository

__all__ = ["children_find_the_engines"]
Clock = Callable[[], datetime]


@pytest.fixture
def evil(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "evil")
    made.commit({"a.txt": token("a"), ".gitattributes": "* diff=x filter=x merge=x\n"})
    return made


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A program that every attack tries to run. It leaves a mark."""
    program = tmp_path / "canary.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    return program


def test_the_canary_sings_without_the_quarantine(evil: Repository, canary: Path, tmp_path: Path) -> None:
    """The attack is real: git with the repository's own configuration runs it."""
    evil.git("config", "diff.x.textconv", str(canary))
    evil.git("show", "HEAD")
    assert not (tmp_path / "ran").exists(), "a bare repository without attributes"
    (evil.folder / "info").mkdir(exist_ok=True)
    (evil.folder / "info" / "attributes").write_text("* diff=x\n")
    evil.git("show", "HEAD")
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("again", [False, True], ids=["first scan", "second scan"])
def test_nothing_that_a_repository_configures_is_run(
    evil: Repository, canary: Path, tmp_path: Path, clock: Clock, again: bool
) -> None:
    there = evil.connection("c", clock=clock, cache=tmp_path / "cache")
    if again:
        reading(there)
        evil.commit({"b.txt": token("b")})
    run = str(canary)
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "core.askPass",
        "core.alternateRefsCommand", "core.hooksPath", "diff.external", "diff.x.command", "diff.x.textconv",
        "filter.x.clean", "filter.x.smudge", "filter.x.process", "merge.x.driver", "credential.helper",
        "gpg.program", "uploadpack.packObjectsHook", "remote.origin.uploadpack", "remote.origin.vcs", "alias.log",
        "sequence.editor", "trailer.x.command", "interactive.diffFilter", "uploadarchive.x", "init.templateDir",
    ):  # fmt: skip
        evil.git("config", key, run)
    evil.git("config", "protocol.ext.allow", "always")
    evil.git("config", "remote.origin.url", f"ext::{run}")
    (evil.folder / "info").mkdir(exist_ok=True)
    (evil.folder / "info" / "attributes").write_text("* diff=x filter=x merge=x\n")
    hooks = evil.folder / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "post-merge", "pre-auto-gc", "reference-transaction", "post-update", "update"):
        (hooks / hook).write_text(canary.read_text())
        (hooks / hook).chmod(0o755)
    found = by_path(reading(there))
    assert "a.txt" in found
    assert ("b.txt" in found) is again
    assert not (tmp_path / "ran").exists()


def test_the_users_own_configuration_takes_no_part(
    evil: Repository, canary: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[core]\n\thooksPath = {tmp_path}/hooks\n[uploadpack]\n\tpackObjectsHook = {canary}\n[url "ext::{canary} "]\n'
        f"\tinsteadOf = {evil.folder}\n[protocol]\n\tallow = always\n"
    )
    (tmp_path / "hooks").mkdir()
    for hook in ("reference-transaction", "post-checkout"):
        (tmp_path / "hooks" / hook).write_text(canary.read_text())
        (tmp_path / "hooks" / hook).chmod(0o755)
    for name, value in {
        "HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"), "GIT_SSH_COMMAND": str(canary),
        "GIT_EXTERNAL_DIFF": str(canary), "GIT_PAGER": str(canary), "GIT_ASKPASS": str(canary),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(tmp_path), "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": str(canary),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert "a.txt" in by_path(reading(evil.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert not (tmp_path / "ran").exists()


def test_a_partial_clone_fetches_nothing_by_its_own_programs(
    evil: Repository, canary: Path, tmp_path: Path, clock: Clock
) -> None:
    """Its missing objects would be asked for with the programs that its configuration names."""
    blob = evil.git("rev-parse", "HEAD:a.txt").strip()
    for pack in (evil.folder / "objects" / "pack").glob("*.pack"):
        packed = pack.read_bytes()
        pack.unlink()
        pack.with_suffix(".idx").unlink()
        evil.git("unpack-objects", "-q", given=packed)
    (evil.folder / "objects" / blob[:2] / blob[2:]).unlink()
    evil.git("config", "core.repositoryFormatVersion", "1")
    hidden = tmp_path / "hidden.config"
    hidden.write_text(
        f'[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\tpromisor = true\n\turl = {evil.folder}\n'
        f"\tuploadpack = {canary}\n"
    )
    there = evil.connection("c", clock=clock, cache=tmp_path / "cache")
    evil.git("config", "include.path", str(hidden))
    assert not reading(there).complete
    assert not (tmp_path / "ran").exists(), "also where an include hides it"
    evil.git("config", "extensions.partialClone", "origin")
    read = reading(there)
    assert isinstance(read.error, NotVisible)
    assert not (tmp_path / "ran").exists()


def test_objects_of_another_repository_are_not_borrowed(evil: Repository, tmp_path: Path, clock: Clock) -> None:
    other = Repository(tmp_path / "other")
    secret = other.commit({"private.txt": token("p")})
    alternates = evil.folder / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{other.folder}/objects\n")
    (evil.folder / "refs" / "heads" / "stolen").write_text(f"{secret}\n")
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"))
    assert isinstance(read.error, NotVisible)
    assert "alternates" in read.error.message
    assert "repack" in read.error.advice


def test_python_does_not_take_files_of_the_repository_for_its_own(
    evil: Repository, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("json.py", "mmap.py", "wardship.py", "re.py", "sitecustomize.py"):
        (tree / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tree)
    assert "a.txt" in by_path(reading(evil.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------ names


def test_names_are_data(evil: Repository, tmp_path: Path, clock: Clock, canary: Path) -> None:
    """Paths and branches that look like options, climb, break lines or hold control characters."""
    names = [
        b"--upload-pack=touch x",
        b"-rf",
        b"we\nird",
        b"esc\x1b[2J",
        b"\xff\xfe.txt",
        b":100644 x",
        b"a\\b",
        b"..x",
    ]
    entries = b"".join(
        b"100644 blob %s\t%s\0" % (blob(evil, token(chr(98 + n))).encode(), name) for n, name in enumerate(names)
    )
    inner = evil.git("mktree", "-z", given=entries).strip()
    climbing = raw_tree(evil, [(b"40000", b"..", inner), (b"40000", b".git", inner)])
    outer = raw_tree(evil, [(b"40000", b"..", climbing), (b"120000", b"link", blob(evil, "/etc/passwd"))])
    commit_tree(evil, outer, "--branch")
    evil.git("update-ref", "refs/heads/-c", "refs/heads/--branch")
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"))
    found = {one.location for one in exposures(read)}
    assert "../../--upload-pack=touch x" in found
    assert "../.git/we\nird" in found
    assert "../../\\xff\\xfe.txt" in found
    assert len(found) == 1 + 2 * len(names)
    assert read.complete
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "x").exists()


def test_submodules_and_links_are_not_followed(evil: Repository, tmp_path: Path, clock: Clock, canary: Path) -> None:
    head = evil.tip()
    assert head is not None
    modules = f'[submodule "x"]\n\tpath = x\n\turl = --upload-pack={canary}\n\tupdate = !{canary}\n'
    top = raw_tree(
        evil,
        [(b"100644", b".gitmodules", blob(evil, modules)), (b"120000", b"link", blob(evil, token("l"))),
         (b"160000", b"x", head)],
    )  # fmt: skip
    commit_tree(evil, top, "sub")
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"))
    assert set(by_path(read)) == {"a.txt"}
    assert read.complete
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------ size


def test_a_tree_without_end_costs_its_own_commit(
    evil: Repository, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten folders ten deep that are one another: 10^10 paths of a few hundred bytes."""
    monkeypatch.setattr("wardship.connectors.git.history.MAX_LISTING", 300 << 20)  # the same, sooner
    evil.commit({"before.txt": token("b")})
    tree = raw_tree(evil, [(b"100644", b"f", blob(evil, token("z")))])
    for _level in range(10):
        tree = raw_tree(evil, [(b"40000", b"d%d" % n, tree) for n in range(10)])
    commit_tree(evil, tree, "bomb")
    evil.git("update-ref", "refs/heads/later", commit_tree(evil, evil.git("rev-parse", "main^{tree}").strip(), "later"))
    evil.commit({"after.txt": token("c")})
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"))
    assert read.error is None
    assert {"a.txt", "before.txt", "after.txt"} <= set(by_path(read))
    assert not read.complete, "what was left out keeps the reading from saying that anything is gone"
    assert [problem.reason for problem in read.problems] == ["too_large"]


def test_a_bomb_of_a_blob_is_never_unpacked(evil: Repository, tmp_path: Path) -> None:
    """Half a gigabyte of zeros in half a megabyte: its size is asked first, and git passes it on in pieces."""
    loose_blob(evil, 512 << 20, "bomb.bin")
    program = (
        "import sys, resource; from pathlib import Path; from datetime import datetime, UTC\n"
        "from wardship.sim.git import Repository; from tests.connectors.git_reading import by_path, reading\n"
        "c = Repository.opened(Path(sys.argv[1])).connection('c', clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),"
        " cache=Path(sys.argv[2]))\n"
        "print(*by_path(reading(c)), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n"
    )
    command = [sys.executable, "-c", program, str(evil.folder), str(tmp_path / "cache")]
    path, peak_mb = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert path == "a.txt"
    assert int(peak_mb) < 300, "no process held it"


def test_a_newest_state_without_end_leaves_unknown_what_was_not_listed(
    evil: Repository, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardship.connectors.git.history.MAX_LISTING", 300 << 20)
    monkeypatch.setitem(Git.start.__kwdefaults__ or {}, "file_limit", 1 << 20)
    tree = raw_tree(evil, [(b"100644", b"f", blob(evil, "x"))])
    for _level in range(8):
        tree = raw_tree(evil, [(b"40000", b"d%d" % n, tree) for n in range(10)])
    commit_tree(evil, tree, "main2")
    evil.git("symbolic-ref", "HEAD", "refs/heads/main2")
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"))
    assert not read.complete
    assert by_path(read)["a.txt"].in_head is None


def test_one_long_line_is_searched_in_bounded_memory(evil: Repository, tmp_path: Path, clock: Clock) -> None:
    evil.commit({"long.txt": b"x" * (100 << 20) + b"=" + token("y").encode()})
    there = evil.connection("c", clock=clock, cache=tmp_path / "cache")
    assert set(by_path(reading(there))) == {"a.txt"}, "above the limit"
    assert set(by_path(reading(with_settings(there, {"max_blob_mb": "200"})))) == {"a.txt", "long.txt"}


def test_one_blob_at_very_many_paths_is_not_searched_at_each(evil: Repository, tmp_path: Path, clock: Clock) -> None:
    big = blob(evil, "x" * (9 << 20) + token("q"))
    tree = raw_tree(evil, [(b"100644", b"%04d" % n, big) for n in range(500)])
    commit_tree(evil, tree, "copies")
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"))
    assert set(by_path(read)) == {"a.txt"}
    assert [problem.reason for problem in read.problems] == ["unreadable"]


# ------------------------------------------------------------------ the children


@pytest.mark.parametrize("word", ["DIE", "HANG", "EAT"])
def test_a_file_that_kills_its_reader_costs_that_file(
    evil: Repository, tmp_path: Path, clock: Clock, word: str
) -> None:
    evil.commit({f"{n:03}.txt": f"{n} {token('k') if n % 50 == 0 else ''}" for n in range(400)})
    evil.commit({"200a.txt": word, "200b.txt": word})
    there = evil.connection("c", clock=clock, cache=tmp_path / "cache")
    read = reading(there, engine="fragile", blob_s=1.5)
    assert len(exposures(read)) == 9
    assert [problem.reason for problem in read.problems] == ["unreadable"]
    assert "2 files" in read.problems[0].detail
    again = reading(there, engine="fragile", blob_s=1.5)
    assert not again.complete, "it stays incomplete until they can be read"
    assert again.said() == read.said()


def test_when_too_many_readers_have_died_the_rest_is_not_read_and_said(
    evil: Repository, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardship.connectors.git.pool.MAX_DEATHS", 2)
    monkeypatch.setattr("wardship.connectors.git.pool.BATCH", 1)
    evil.commit({f"b{n}.txt": f"DIE {n}" for n in range(8)} | {f"c{n}.txt": f"{n} {token('k')}" for n in range(5)})
    there = evil.connection("c", clock=clock, cache=tmp_path / "cache")
    read = reading(there, engine="fragile")
    assert set(by_path(read)) == {"a.txt"}
    assert "13 files" in read.problems[0].detail
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    read = reading(there, engine="fragile")
    assert len(exposures(read)) == 6, "the next scan tries again"
    assert "8 files" in read.problems[0].detail


def test_the_reader_of_hostile_files_has_no_network_no_programs_and_no_files(
    evil: Repository, tmp_path: Path, clock: Clock
) -> None:
    evil.commit({"probe.txt": "PROBE"})
    read = reading(evil.connection("c", clock=clock, cache=tmp_path / "cache"), engine="fragile")
    outcomes = {one.detector: one.name for one in exposures(read) if one.detector.startswith("probe.")}
    assert outcomes == {
        "probe.connect": "refused",
        "probe.run": "refused",
        "probe.kill": "refused",
        "probe.write": "OSError27",  # EFBIG
    }


# ------------------------------------------------------------------ the way there


def test_the_token_is_in_no_argument_file_or_address(tmp_path: Path) -> None:
    """git asks our helper, which answers from the environment, and for the repository's own host only."""
    (one,) = repositories("https://git.example.org/acme/shop.git")
    git = Git(folder=tmp_path / "cache")
    online = mirror._online(  # the part that needs no network
        git, replace(one, host="8.8.8.8"), Secret("t0ken" + "-value"), "reader", allow_private=False
    )
    online = replace(online, extra=[(k, v) for k, v in online.extra if k.startswith("credential")])
    online = replace(online, extra=[(k.replace("8.8.8.8", "git.example.org"), v) for k, v in online.extra])
    for host, expected in (("git.example.org", "password=t0ken-value"), ("evil.example.org", None)):
        told = subprocess.run(
            ["git", "credential", "fill"], input=f"protocol=https\nhost={host}\n\n", env=online.environment(),
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert (expected in told.stdout) if expected else "t0ken" not in told.stdout
    assert "t0ken" not in repr(online)
    assert all(b"t0ken" not in file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert not any("t0ken" in value for _key, value in online.extra)


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.8", "[::1]", "localhost"])
def test_addresses_of_the_inner_network_are_refused(host: str, tmp_path: Path, clock: Clock) -> None:
    there = with_settings(
        Repository(tmp_path / "r").connection("c", clock=clock, cache=tmp_path / "cache"),
        {"repositories": f"https://{host}/acme/shop.git"},
    )
    from wardship.connectors.git import connect

    connector = connect(there)
    (scope,) = connector.scopes()
    with pytest.raises(AddressRefused):
        next(connector.fetch(scope, None))


def test_a_redirect_or_another_protocol_is_not_followed(tmp_path: Path) -> None:
    git = Git(folder=tmp_path / "cache")
    git.prepare()
    for address in ("ext::touch ran", "http://127.0.0.1/x", "git://127.0.0.1/x", str(tmp_path)):
        done = subprocess.run(
            ["git", "ls-remote", "--", address], env=git.environment(), capture_output=True, text=True, check=False,
            cwd=tmp_path,
        )  # fmt: skip
        assert "not allowed" in done.stderr, done.stderr
    assert not (tmp_path / "ran").exists()


# ------------------------------------------------------------------ making what git itself would not


def blob(made: Repository, text: str) -> str:
    return made.git("hash-object", "-w", "--stdin", given=text.encode()).strip()


def raw_tree(made: Repository, entries: list[tuple[bytes, bytes, str]]) -> str:
    """A tree that git would refuse to make: any names."""
    content = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(held) for mode, name, held in sorted(entries))
    return made.git("hash-object", "-w", "--literally", "-t", "tree", "--stdin", given=content).strip()


def commit_tree(made: Repository, tree: str, branch: str) -> str:
    text = f"tree {tree}\nauthor A <a@x> 1767225600 +0000\ncommitter A <a@x> 1767225600 +0000\n\n{branch}\n"
    made_id = made.git("hash-object", "-w", "--literally", "-t", "commit", "--stdin", given=text.encode()).strip()
    file = made.folder / "refs" / "heads" / branch
    file.write_text(f"{made_id}\n")
    return made_id


def loose_blob(made: Repository, size: int, path: str) -> None:
    """A blob of `size` zeros on a branch of its own, written without ever holding it."""
    import hashlib

    pack, header = zlib.compressobj(9), b"blob %d\0" % size
    digest, packed, block = hashlib.sha1(header), pack.compress(header), bytes(1 << 20)
    for _ in range(size >> 20):
        digest.update(block)
        packed += pack.compress(block)
    name = digest.hexdigest()
    file = made.folder / "objects" / name[:2] / name[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(packed + pack.flush())
    commit_tree(made, raw_tree(made, [(b"100644", path.encode(), name)]), "bomb")
