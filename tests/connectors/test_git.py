"""What a user relies on: every secret of the history, told by path, once; and nothing that no reference holds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.connectors.git_reading import (
    ENGINES,
    ROOT,
    by_path,
    children_find_the_engines,
    exposures,
    reading,
    token,
    with_settings,
)
from wardship.connectors.git import MANIFEST, connect, import_files, read_value
from wardship.connectors.git.reader import GitConnector
from wardship.model.access import Credential, CredentialType
from wardship.model.errors import ConfigError, DataError, UnexpectedResponse
from wardship.model.exposure import Dependency, DetectorTier, Exposure, Place
from wardship.model.identity import System
from wardship.model.scan import Scope
from wardship.sdk.testing import read_scope
from wardship.sim.git import Repository, connection

__all__ = ["children_find_the_engines"]
Clock = Callable[[], datetime]
ANA, LI = ("Ana", "ana@acme.example"), ("Li", "li@acme.example")


def day(number: int) -> datetime:
    return datetime(2026, 1, number, 12, 0, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "shop", origin="https://github.com/Acme/Shop.git")


def test_a_secret_is_told_by_its_history(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"README": "hello\n"}, at=day(1))
    first = shop.commit({"deploy/.env.production": f"A=1\nKEY={token('a')}\n"}, author=LI, at=day(2))
    moved = shop.commit({"deploy/.env.production": f"\n\nKEY={token('a')}\n"}, author=ANA, at=day(3))
    gone = shop.remove("deploy/.env.production", at=day(4))
    found = exposures(reading(shop.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert len(found) == 1
    one = found[0]
    assert (one.authority, one.location) == ("git:github.com/acme/shop", "deploy/.env.production")
    assert (one.introduced_by, one.introduced_at) == ("li@acme.example", day(2))
    assert (one.revision, one.line) == (moved, 3), "as it stood last"
    assert (one.in_head, one.removed_at, one.occurrences) == (False, day(4), 2)
    assert (one.place, one.environment, one.name) == (Place.DOTENV, "production", "KEY")
    assert one.attributes["introduced_in"] == first
    assert one.attributes["removed_in"] == gone


def test_one_secret_at_two_paths_is_two_exposures_with_one_fingerprint(
    shop: Repository, tmp_path: Path, clock: Clock
) -> None:
    shop.commit({"a.txt": token("a"), "b.txt": f"{token('a')}\n{token('b')}\n{token('a')}\n"})
    found = exposures(reading(shop.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert sorted((one.location, one.occurrences) for one in found) == [("a.txt", 1), ("b.txt", 1), ("b.txt", 2)]
    assert all(one.in_head for one in found)
    assert len({one.fingerprint for one in found}) == 2
    assert all(one.removed_at is None for one in found)


def test_a_secret_that_came_back_is_in_head_again(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": token("a")}, at=day(1))
    shop.commit({"a.txt": "clean"}, at=day(2))
    back = shop.commit({"a.txt": token("a")}, at=day(3))
    (one,) = exposures(reading(shop.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert (one.in_head, one.removed_at, one.introduced_at, one.revision) == (True, None, day(1), back)


def test_branches_tags_and_merges_are_read(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": "a"})
    side = shop.commit({"side.txt": token("s")}, branch="side")
    shop.commit({"evil.txt": token("m"), "side.txt": token("s")}, merge=side)  # only the merge itself has it
    tagged = shop.commit({"tagged.txt": token("t")}, branch="gone")
    shop.git("update-ref", "refs/tags/v1", tagged)
    shop.git("update-ref", "-d", "refs/heads/gone")
    found = by_path(reading(shop.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert set(found) == {"side.txt", "evil.txt", "tagged.txt"}
    assert found["side.txt"].introduced_at == shop_date(shop, side)
    assert found["tagged.txt"].in_head is False
    assert found["tagged.txt"].removed_at is None, "nothing took it away: another reference holds it"


def shop_date(shop: Repository, commit: str) -> datetime:
    return datetime.fromtimestamp(int(shop.git("log", "-1", "--format=%at", commit)), UTC)


def test_the_path_takes_part_in_what_a_file_means(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    """The same bytes under another name are another question, also when the first name was scanned before."""
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    shop.commit({"blind.txt": token("a")})
    assert exposures(reading(there)) == []
    shop.commit({"seen.txt": token("a")}, removed=["blind.txt"])
    assert [one.location for one in exposures(reading(there))] == ["seen.txt"]


def test_settings_choose_branches_paths_and_sizes(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"src/a.py": token("a"), "vendor/b.py": token("b"), "big.bin": "x" * 200_000 + token("c")})
    shop.commit({"src/release.py": token("r")}, branch="release/1")
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")

    def paths(**settings: str) -> set[str]:
        return set(by_path(reading(with_settings(there, settings))))

    assert paths(max_blob_mb="0.1") == {"src/a.py", "vendor/b.py", "src/release.py"}
    assert paths() == {"src/a.py", "vendor/b.py", "src/release.py", "big.bin"}, "a larger limit reads what was left"
    assert paths(exclude="vendor/*") == {"src/a.py", "src/release.py", "big.bin"}
    assert paths(include="*.py", exclude="vendor/*") == {"src/a.py", "src/release.py"}
    assert paths(branches="main") == {"src/a.py", "vendor/b.py", "big.bin"}
    assert paths(branches="release/*", include="src/*") == {"src/a.py", "src/release.py"}


def test_what_is_too_large_is_counted_and_said(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    shop.commit({"big.bin": "x" * 200_000 + token("c")})
    there = replace(shop.connection("c", clock=clock, cache=tmp_path / "cache"), progress=said.append)
    read = reading(with_settings(there, {"max_blob_mb": "0.1"}))
    assert read.complete
    (system,) = (record for record in read.records if isinstance(record, System))
    assert system.attributes["files_too_large"] == 1
    assert any("1 files above the size limit" in text for text in said)


def test_of_a_list_of_secrets_the_first_thousand_are_told_and_that_is_said(
    shop: Repository, tmp_path: Path, clock: Clock
) -> None:
    said: list[str] = []
    shop.commit({"list.txt": "".join(f"tok_{n:08}\n" for n in range(1_001))})
    there = replace(shop.connection("c", clock=clock, cache=tmp_path / "cache"), progress=said.append)
    for _scan in range(2):
        said.clear()
        assert len(exposures(reading(there))) == 1_000
        assert any("only the first 1,000" in text for text in said)


def test_a_path_longer_than_any_system_allows_is_left_out_and_said_each_time(
    shop: Repository, tmp_path: Path, clock: Clock
) -> None:
    shop.commit({"/".join(["d" * 200] * 21): token("a"), "b.txt": token("b")})
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    for _scan in range(2):
        read = reading(there)
        assert set(by_path(read)) == {"b.txt"}
        assert [problem.reason for problem in read.problems] == ["too_large"]
        assert not read.complete


# ------------------------------------------------------------------ state


def test_a_second_scan_reads_new_blobs_only(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    shop.commit({f"{n}.txt": f"{n}" for n in range(30)} | {"key": token("a")})
    first = reading(there)
    assert reading(there, engine="renamed").said() == first.said(), "this engine would have told another detector"
    shop.commit({"0.txt": token("b")})
    told = {path: one.detector for path, one in by_path(reading(there, engine="renamed")).items()}
    assert told == {"0.txt": "test.renamed", "key": "test.token"}


def test_another_engine_reads_everything_again(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": token("a")})
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    assert len(exposures(reading(there))) == 1
    shop.commit({"blind.txt": token("b")})
    assert len(exposures(reading(there, engine="tokens_two"))) == 1


def test_what_no_reference_holds_any_more_is_not_told(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": "a"})
    base = shop.tip()
    shop.commit({"pushed.txt": token("a")})
    shop.commit({"side.txt": token("b")}, branch="side")
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    assert set(by_path(reading(there))) == {"pushed.txt", "side.txt"}
    shop.git("update-ref", "refs/heads/main", str(base))  # a force push
    shop.git("update-ref", "-d", "refs/heads/side")
    assert by_path(reading(there)) == {}
    shop.commit({"pushed.txt": token("a"), "other.txt": token("c")})
    assert set(by_path(reading(there))) == {"pushed.txt", "other.txt"}, "what was known before is found again"


def test_no_value_is_written_anywhere(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": token("a")})
    read = reading(shop.connection("c", clock=clock, cache=tmp_path / "cache"))
    assert len(exposures(read)) == 1
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file() and "objects" not in file.parts:
            assert b"aaaaaaaaaaaa" not in file.read_bytes(), file
    assert "aaaaaaaaaaaa" not in repr((read.items, read.records))


def test_a_damaged_cache_is_made_anew(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": token("a")})
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    whole = reading(there).said()
    (state,) = (tmp_path / "cache").rglob("blobs.db")
    state.write_bytes(b"this was a database" * 1000)
    assert reading(there).said() == whole


def test_a_killed_scan_goes_on_where_it_was(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    """kill -9 in the middle: what was searched is not searched again, and nothing is missing in the end."""
    for part in range(4):
        shop.commit({f"{part}/{n}.txt": f"{part} {n} {token(chr(97 + part)) if n == 0 else ''}" for n in range(300)})
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    program = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from wardship.sim.git import Repository; from wardship.connectors.git.reader import GitConnector\n"
        "c = Repository.opened(Path(sys.argv[1])).connection('c', clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),"
        " cache=Path(sys.argv[2]))\n"
        f"g = GitConnector(c, engine='{ENGINES}:slow'); [s] = g.scopes(); list(g.fetch(s, None))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(shop.folder), str(tmp_path / "cache")], cwd=ROOT)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and searched(tmp_path) < 200:
        time.sleep(0.1)
    child.kill()
    child.wait()
    before = searched(tmp_path)
    assert 200 <= before < 1200, "it was in the middle"
    resumed = reading(there)
    fresh = reading(shop.connection("c", clock=clock, cache=tmp_path / "other"))
    assert resumed.said() == fresh.said()
    assert len(exposures(resumed)) == 4


def searched(folder: Path) -> int:
    """How many pairs the state holds; the scan that writes it may be running."""
    import sqlite3

    for file in (folder / "cache").rglob("blobs.db"):
        opened = contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True))
        with opened as db, contextlib.suppress(sqlite3.OperationalError):  # before its tables are made
            return int(db.execute("select count(*) from scanned").fetchone()[0])
    return 0


def test_the_locks_of_a_killed_git_are_in_nobodys_way(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": token("a")})
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    reading(there)
    (mirror,) = (tmp_path / "cache").rglob("mirror.git")
    for name in ("packed-refs.lock", "HEAD.lock", "refs/heads/main.lock", "objects/info/commit-graph.lock"):
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).touch()
    shop.commit({"b.txt": token("b")})
    shop.git("symbolic-ref", "HEAD", "refs/heads/other")
    read = reading(there)
    assert set(by_path(read)) == {"a.txt", "b.txt"}
    assert read.complete


def test_pages_go_on_and_begin_again_when_the_repository_changed(
    shop: Repository, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardship.connectors.git.reader.PAGE", 2)
    shop.commit({f"{n}.txt": token("a") for n in range(7)})
    connector = GitConnector(shop.connection("c", clock=clock, cache=tmp_path / "cache"), engine=f"{ENGINES}:tokens")
    (scope,) = connector.scopes()
    pages = list(connector.fetch(scope, None))
    assert [len(page.items) for page in pages] == [2, 2, 2, 2]
    rest = [item for page in connector.fetch(scope, pages[1].next_token) for item in page.items]
    assert rest == [item for page in pages[2:] for item in page.items]
    shop.commit({"new.txt": "x"})
    with pytest.raises(UnexpectedResponse) as refused:
        list(connector.fetch(scope, pages[1].next_token))
    assert refused.value.operation == "token"


# ------------------------------------------------------------------ which repository


def test_a_clone_and_its_origin_are_one_system(tmp_path: Path, clock: Clock) -> None:
    for origin in (
        "https://github.com/Acme/Shop.git",
        "https://somebody@github.com/acme/shop",
        "git@github.com:acme/shop.git",
        "ssh://git@github.com/acme/shop.git/",
    ):
        folder = tmp_path / str(abs(hash(origin)))
        made = Repository(folder, origin=origin)
        (scope,) = connect(made.connection("c", clock=clock)).scopes()
        assert scope.authority == "git:github.com/acme/shop"
    (scope,) = connect(Repository(tmp_path / "My Shop").connection("c", clock=clock)).scopes()
    assert scope.authority.startswith("git:file/my-shop-")


@pytest.mark.parametrize(
    "named",
    [
        "http://github.com/acme/shop.git",
        "ext::sh -c touch% /tmp/x",
        "https://user:password@github.com/acme/shop",
        "https://-oProxyCommand=x/acme",
        "ssh://-oProxyCommand=x/acme",
        "git://github.com/acme/shop",
        "--upload-pack=touch x",
        "/there/is/nothing/here",
        "@/there/is/no/list",
        "ftp://x/y",
        "https://github.com/",
    ],
)
def test_what_is_no_repository_is_refused_before_git_is_asked(named: str, tmp_path: Path, clock: Clock) -> None:
    there = with_settings(Repository(tmp_path / "r").connection("c", clock=clock), {"repositories": named})
    with pytest.raises(ConfigError) as refused:
        list(connect(there).scopes())
    assert refused.value.advice or "address" in refused.value.message
    assert "password" not in refused.value.message.replace("a password", "")


def test_a_list_in_a_file_and_a_folder_inside_a_working_tree(tmp_path: Path, clock: Clock) -> None:
    one, two = Repository(tmp_path / "one"), Repository(tmp_path / "two")
    tree = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    (tree / "deep" / "er").mkdir(parents=True)
    listed = tmp_path / "list.txt"
    listed.write_text(f"# ours\n{one.folder}\n{two.folder}, {tree / 'deep' / 'er'}\n")
    there = with_settings(one.connection("c", clock=clock), {"repositories": f"@{listed}"})
    names = [scope.authority.rsplit("/", 1)[1].rsplit("-", 1)[0] for scope in connect(there).scopes()]
    assert names == ["one", "two", "tree"]


def test_bundles_are_read_offline(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    shop.commit({"a.txt": token("a")})
    bundle = tmp_path / "shop.bundle"
    shop.git("bundle", "create", "--quiet", str(bundle), "--all")
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    imported = import_files([bundle], there)
    scopes = list(imported.scopes())
    assert [scope.authority.startswith("git:file/shop.bundle-") for scope in scopes] == [True]
    read = read_scope(imported, scopes[0])
    assert read.complete
    assert any(isinstance(record, System) for record in read.records)
    odd = Repository(tmp_path / "acme, inc\n#2")
    assert [
        scope.authority.startswith("git:file/acme-inc-2-") for scope in import_files([odd.folder], there).scopes()
    ] == [True], "a path is no list"
    (tmp_path / "no.bundle").write_text("PK")
    with pytest.raises(ConfigError):
        list(import_files([tmp_path / "no.bundle"], there).scopes())


def test_an_empty_repository_is_a_system_without_secrets(tmp_path: Path, clock: Clock) -> None:
    read = reading(Repository(tmp_path / "r").connection("c", clock=clock, cache=tmp_path / "cache"))
    assert read.complete
    assert [type(record) for record in read.records] == [System]


def test_one_unreadable_repository_does_not_stop_the_others(tmp_path: Path, clock: Clock) -> None:
    good, bad = Repository(tmp_path / "good"), Repository(tmp_path / "bad")
    good.commit({"a.txt": token("a")})
    bad.commit({"a.txt": "text"})
    for file in (bad.folder / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"broken")
    connector = GitConnector(
        connection([bad, good], "c", clock=clock, cache=tmp_path / "cache"), engine=f"{ENGINES}:tokens"
    )
    first, second = (read_scope(connector, scope) for scope in connector.scopes())
    assert first.error is not None
    assert first.error.advice
    assert not first.complete
    assert second.complete
    assert len(exposures(second)) == 1


def test_check_says_for_each_repository_whether_it_can_be_read(tmp_path: Path, clock: Clock) -> None:
    good = Repository(tmp_path / "good")
    there = with_settings(
        good.connection("c", clock=clock, cache=tmp_path / "cache"),
        {"repositories": f"{good.folder}\nhttps://127.0.0.1/acme/shop"},
    )
    results = connect(there).check()
    assert [result.allowed for result in results] == [True, False]
    assert "127.0.0.1" in results[1].detail


# ------------------------------------------------------------------ what else a repository tells


def test_pipelines_of_the_newest_state_name_whom_they_act_as(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    role = "arn:aws:iam::111122223333:role/deploy"
    step = "jobs:\n  go:\n    steps:\n      - uses: aws-actions/configure-aws-credentials@v4\n        with:\n"
    shop.commit({".github/workflows/old.yml": f"{step}          role-to-assume: {role}-old\n"})
    shop.commit(
        {".github/workflows/new.yml": f"{step}          role-to-assume: {role}\n"},
        removed=[".github/workflows/old.yml"],
    )
    read = reading(shop.connection("c", clock=clock, cache=tmp_path / "cache"))
    (found,) = (record for record in read.records if isinstance(record, Dependency))
    assert found.target == ("identity", "aws:111122223333", role)
    assert (found.consumer, found.evidence) == ("acme/shop .github/workflows/new.yml", "line 6")


def test_the_value_can_be_read_again_for_a_check(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    value = "AKIA" + "Q3EGRXLWVJ4ZT7UM"
    shop.commit({"keys.txt": f"first line\naws_access_key_id = {value}\n"})
    shop.remove("keys.txt")
    connector = connect(there)
    (scope,) = connector.scopes()
    (found,) = (record for record in read_scope(connector, scope).records if isinstance(record, Exposure))
    columns = asdict(found)
    again = read_value(there, columns)
    assert again is not None
    assert again.reveal() == value
    assert read_value(replace(there, cache=None), columns) == again, "also without a mirror at hand"
    assert read_value(there, {**columns, "fingerprint": "0" * 32}) is None
    assert read_value(there, {**columns, "location": "other.txt"}) is None
    assert read_value(there, {**columns, "revision": "--output=x"}) is None
    assert read_value(there, {**columns, "authority": "git:elsewhere/x"}) is None


def test_certificates_of_the_newest_state_are_credentials(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    pem = certificate()
    shop.commit({"tls/server.pem": pem, "README": "x"})
    read = reading(shop.connection("c", clock=clock, cache=tmp_path / "cache"))
    (found,) = (record for record in read.records if isinstance(record, Credential))
    assert found.stored_in == "tls/server.pem"
    assert found.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert found.public_id == found.fingerprint
    assert len(found.public_id or "") == 64


def certificate() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2026, 1, 1), datetime(2027, 1, 1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_private_key_in_a_binary_file_is_an_exposure(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(forms.Encoding.DER, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    shop.commit({"tls/server.key": der})
    (found,) = exposures(reading(shop.connection("c", clock=clock, cache=tmp_path / "cache")))
    assert (found.detector, found.tier, found.credential_type) == (
        "private_key", DetectorTier.PROVIDER, CredentialType.CERTIFICATE,
    )  # fmt: skip
    assert (found.public_id or "").startswith("SHA256:")
    assert found.fingerprint


@pytest.mark.parametrize(
    "bent", [{"confidence": 1.5}, {"detector": "a b"}, {"tier": "sure"}, {"fingerprint": "x"}, {"in_head": "no"}]
)
def test_a_bent_secret_is_refused_with_a_reason(
    shop: Repository, tmp_path: Path, clock: Clock, bent: dict[str, object]
) -> None:
    """Raw items are kept, and replayed later: what comes back may be of another version, or have been changed."""
    shop.commit({"a.txt": token("a")})
    there = shop.connection("c", clock=clock, cache=tmp_path / "cache")
    items = [item for item in reading(there).items if item["is"] == "exposure"]
    connector = connect(there)
    (scope,) = connector.scopes()
    assert len(list(connector.parse(scope, items[0]))) == 1
    with pytest.raises(DataError):
        list(connector.parse(scope, {**items[0], **bent}))


def test_a_shallow_clone_is_never_complete(shop: Repository, tmp_path: Path, clock: Clock) -> None:
    """Its older history is not there: nothing may be called gone for that."""
    shop.commit({"a.txt": token("a")})
    shop.commit({"a.txt": "clean"})
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{shop.folder}", str(shallow)], check=True)
    there = with_settings(shop.connection("c", clock=clock, cache=tmp_path / "cache"), {"repositories": str(shallow)})
    read = reading(there)
    assert exposures(read) == []
    assert [problem.reason for problem in read.problems] == ["shallow"]
    subprocess.run(["git", "-C", str(shallow), "fetch", "-q", "--unshallow"], check=True)
    read = reading(there)
    assert read.complete
    assert [one.location for one in exposures(read)] == ["a.txt"]


def test_one_token_goes_to_one_host_only(tmp_path: Path, clock: Clock) -> None:
    there = with_settings(
        Repository(tmp_path / "r").connection("c", clock=clock),
        {"token": "env:X", "repositories": "https://one.example/a/b, https://two.example/a/b"},
    )
    with pytest.raises(ConfigError, match=r"one\.example, two\.example"):
        list(connect(there).scopes())


@pytest.mark.parametrize("name", ["private_network", "keep_mirror"])
def test_a_setting_that_is_neither_true_nor_false_is_refused(tmp_path: Path, clock: Clock, name: str) -> None:
    there = Repository(tmp_path / "r").connection("c", clock=clock)
    with pytest.raises(ConfigError, match=f"{name} must be true or false"):
        connect(with_settings(there, {name: "perhaps"}))


def test_every_setting_that_is_no_number_is_refused(tmp_path: Path, clock: Clock) -> None:
    there = Repository(tmp_path / "r").connection("c", clock=clock)
    for name in ("workers", "max_blob_mb"):
        with pytest.raises(ConfigError):
            connect(with_settings(there, {name: "many"}))
    with pytest.raises(ConfigError):
        list(
            connect(replace(there, pepper=None)).fetch(
                Scope(connector="git", authority=next(iter(connect(there).scopes())).authority, kind="git.history"),
                None,
            )
        )
    assert MANIFEST.name == "git"
