"""Real and planted secrets in code, chats and lists go in; what comes out is searched for every one of them.

The labelled sets of ../shared/data/secrets hold real forms of secrets. Their values are looked for in everything that
three connectors and the exports leave behind. Which values count (`sets`):

- CredData: what its labels mark as the value of a true record;
- the provider samples: every word of a positive sample that looks like a token, and that no negative sample holds;
- all sets: whatever the engine itself took for a secret, for this it handled.

Left out are values that Wardship may or must tell, and that would be found without any leak: those under 8 characters;
one word of letters only; a part of a path, of a variable's name or of Wardship's own texts; and public ids, such as an
AWS access key's, a host or a bucket.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.accuracy.secret_sets import load, rows_of
from tests.conftest import NOW, ROOT
from tests.e2e.canaries import LEAST, Canaries, command, isolated, killed_when, told
from tests.e2e.guarded import Repo
from wardship.app import App
from wardship.connectors.git.reader import GitConnector
from wardship.model.errors import Error
from wardship.model.secret import Secret
from wardship.sdk import registry
from wardship.sdk.connector import Connection
from wardship.secrets import load_engine
from wardship.services import connect, evaluate, scan
from wardship.sim import conversations as sim_conversations
from wardship.sim import git
from wardship.sim.conversations import SlackExport
from wardship.sim.github import GitHubOrganisation
from wardship.sim.vault import VaultServer

PUBLIC = frozenset(("AWS Client ID", "Firebase Domain", "AWS S3 Bucket"))
COMMITS = 12
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{16,}")
EXPORTS = (
    ("exposures", "json"),
    ("exposures", "xlsx"),
    ("exposures", "parquet"),
    ("secrets", "csv"),
    ("credentials", "jsonl"),
    ("findings", "parquet"),
    ("identities", "csv"),
    ("coverage", "json"),
)
MAPPING = """\
wardship_mapping: 1
name: gateway-keys
source: {format: csv}
system: {authority: "gateway:acme", kind: gateway, name: Gateway, environment: production}
complete: true
identities:
  - {id: account, kind: {value: directory_account}, name: account}
credentials:
  - {id: {template: "{account}/key"}, type: {value: api_key}, identity: account, secret: key, created_at: since}
"""


@dataclass(frozen=True, slots=True)
class Sets:
    """Files (path and content) with secrets, and the values to look for: what each is."""

    files: list[tuple[str, bytes]]
    values: Mapping[str, str]
    skipped: int


@pytest.fixture(scope="module")
def sets(shared: Path) -> Sets:
    archive = shared / "data" / "secrets" / "secrets.tar.zst"
    rows, read = rows_of(archive), load(archive)
    files = [(f"set/{n}/{one.path}", one.content) for n, one in enumerate([*read.creddata, *read.samples])]
    files += [(f"leaky/{path}", content) for path, content, _risks in read.leaky]
    values = dict(_labelled(rows))
    engine = load_engine()
    may_be_told = [path for path, _content in files]
    for path, content in files:
        for hit in engine.scan(content, path=path):
            may_be_told += [hit.name or "", hit.public_id or ""]
            if hit.confidence >= 0.5:
                values.setdefault(hit.value.reveal(), f"found as {hit.detector}")
    may_be_told += _own_texts()
    long = [value for value in values if len(value) >= LEAST and not re.fullmatch("[A-Za-z]+", value)]
    elsewhere = "\n".join(may_be_told).encode("utf-8", "surrogatepass")
    ordinary = {leak.what for leak in Canaries({one: one for one in long}).in_bytes(elsewhere, "")}
    kept = {value: values[value] for value in long if value not in ordinary}
    return Sets(files, kept, len(values) - len(kept))


def _labelled(rows: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    negatives = "\n".join(text for some in rows.values() for row in some for text in row.get("negatives", ()))
    for name, some in rows.items():
        for row in some:
            if row.get("truth") == "T" and row["value_start"] is not None and row["category"] not in PUBLIC:
                end = row["value_end"] if len(row["lines"]) == 1 else None
                yield "\n".join(row["lines"])[row["value_start"] : end], f"{name} {row['id']}"
            for text in row.get("positives", ()):
                for word in _TOKEN.findall(text):
                    if re.search("[0-9]", word) and re.search("[A-Za-z]", word) and word not in negatives:
                        yield word, f"{name} {row['rule']}"


def _own_texts() -> list[str]:
    kinds = (".py", ".yaml", ".toml", ".po", ".sql", ".j2")
    return [path.read_text("utf-8") for path in sorted((ROOT / "wardship").rglob("*")) if path.suffix in kinds]


def _write(sets: Sets, folder: Path) -> None:
    """The sets as a repository of several commits, as .env files in it, as a chat, and as a list with a mapping."""
    repository = git.Repository(folder / "code", origin="https://github.com/acme/code.git")
    lines = [value for value in sets.values if "\n" not in value and "\r" not in value]
    env = [(f"env/{n}/.env", f"PORT=80\nSERVICE_PASSWORD={value}\n".encode()) for n, value in enumerate(lines[::4])]
    everything = [*sets.files, *env]
    for number in range(COMMITS):
        repository.commit(dict(everything[number::COMMITS]))
    repository.remove(*(path for path, _content in everything[::3]))
    chat = SlackExport(folder / "slack")
    for number, (_path, content) in enumerate(sets.files):
        chat.message(f"team-{number % 7}", f"u{number % 9}@acme.example", NOW, content.decode("utf-8", "replace"))
    chat.write()
    with (folder / "gateway.csv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["account", "key", "since", "remark"])
        for number, value in enumerate(lines):
            table.writerow([f"svc-{number}", value, "2026-01-02" if number % 5 else "soon", f"old key {value}"])
        for value in lines[:50]:
            out.write(f'"svc,{value},2026-01-02\n')  # a quote that never ends
    (folder / "gateway.yaml").write_text(MAPPING, "utf-8")


def test_no_value_of_the_labelled_sets_is_told(
    sets: Sets, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(sets.values) >= 1_500
    customer, root = tmp_path / "customer", tmp_path / "ours"
    root.mkdir()
    _write(sets, customer)
    server = database_url.startswith("postgresql")
    monkeypatch.setenv("WARDSHIP_TEST_DB", database_url)
    settings = {
        "code": ("git", {"repositories": str(customer / "code"), "keep_mirror": "false"}),
        "slack": ("conversations", {"path": str(customer / "slack" / "slack-export.zip")}),
        "gateway": ("file", {"path": str(customer / "gateway.csv"), "mapping": str(customer / "gateway.yaml")}),
    }
    with isolated(monkeypatch, root):
        reference = "env:WARDSHIP_TEST_DB" if server else None
        with App.create(root / "ws", database_url=reference, clock=lambda: NOW) as app:
            for name, (connector, chosen) in settings.items():
                stored = connect.add(app.db, app.actor, name, connector, chosen)
                outcome = scan.read(app.workspace, app.connection(stored), app.actor, judge=False)
                assert outcome.error is None, outcome
            evaluate.again(app.workspace, actor=app.actor)
            with app.facts() as facts:
                assert facts.one("SELECT count(*) AS n FROM exposure")["n"] > 1_000
        printed = {"the database": _dump(database_url)} if server else {}
        for words in (
            *(["export", what, "--out", str(root / f"{what}.{form}")] for what, form in EXPORTS),
            ["secrets", "list", "--all", "--confidence", "0"],
            ["quarantine", "list", "--output", "jsonl"],
            ["findings", "--output", "json"],
            ["doctor", "--report"],
            ["audit", "export", str(root / "audit")],
        ):
            printed[" ".join(words)] = command(*words, "--workspace", str(root / "ws"))[1]
    search = Canaries(sets.values)
    there = {leak.what for leak in search.in_folders([customer])}  # the search does find them where they are
    assert len(there) > 0.95 * len(set(sets.values.values()))
    found = search.in_texts(printed) + search.in_folders([root])
    assert not found, f"{len(found)} leaks\n{told(found[:40])}"
    print(f"{len(sets.values)} values looked for, {sets.skipped} left out, in {search.bytes_read} bytes")


def _dump(url: str) -> bytes:
    """Every cell of every table."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as conn:
        rows = [row for table in metadata.sorted_tables for row in conn.execute(sa.select(table))]
    engine.dispose()
    assert len(rows) > 1_000
    return "\n".join(str(cell) for row in rows for cell in row if cell is not None).encode("utf-8", "surrogatepass")


# ---------------------------------------------------------------- mirrors, kills, hooks, errors

TOKEN = "ghp_" + "q7Rk2Wm9Xc4Vb1Nt8Ls3Jh6Gd5Fp0Ya2TeU8"[:36]
PASSWORD = "correct" + "-Horse7!" + "battery-Staple"
PLANTED = {TOKEN: "token", PASSWORD: "password"}


def _planted(folder: Path, *, commits: int = 3) -> git.Repository:
    repository = git.Repository(folder, origin="https://github.com/acme/planted.git")
    repository.commit({"a/.env": f"GITHUB_TOKEN={TOKEN}\n", "b.yml": f"db:\n  password: {PASSWORD}\n"})
    for number in range(commits):
        repository.commit(
            {f"{number}/{n}.env": f"N={n}\nDB_PASSWORD={PASSWORD}\nTOKEN='{TOKEN}' # {number}\n" for n in range(40)}
        )
    return repository


def _connected(root: Path, repository: git.Repository, **settings: str) -> None:
    with App.create(root / "ws", clock=lambda: NOW) as app:
        connect.add(app.db, app.actor, "code", "git", {"repositories": str(repository.folder), **settings})


def _folders(root: Path) -> set[str]:
    return {path.name for path in root.glob("ws/cache/code/*/*") if path.is_dir()}


def test_a_mirror_is_kept_or_not_as_set_and_goes_with_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = _planted(tmp_path / "customer")
    exposures = []
    for keep in ("true", "false"):
        root = tmp_path / keep
        root.mkdir()
        with monkeypatch.context() as patch, isolated(patch, root):
            _connected(root, repository, keep_mirror=keep)
            where = ("--workspace", str(root / "ws"))
            printed = [command(*words, *where) for words in (["scan", "code"], ["scan", "code"])]
            assert [code for code, _text in printed] == [0, 0], printed
            printed.append(command("export", "exposures", "--output", "csv", *where))
            exposures.append(printed[-1][1].count(b"\n"))
            kept = _folders(root)
            found = Canaries(PLANTED).in_folders([root], but=root.glob("ws/cache/code/*/mirror.git"))
            assert not found, told(found)
            assert Canaries(PLANTED).in_texts({"printed": repr(printed)}) == []
            assert command("connect", "remove", "code", *where)[0] == 0
            assert _folders(root) == set()
            assert kept == ({"mirror.git"} if keep == "true" else set())
            assert not (root / "ws" / "cache" / "code").exists()
    assert exposures[0] == exposures[1] > 100


@pytest.mark.parametrize("sign", ["cache/code/*/fresh.git", "cache/code/*/blobs.db", "cache/code/*/blobs.db-wal"])
def test_a_killed_scan_leaves_no_value_but_in_the_mirror(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = _planted(tmp_path / "customer", commits=30)
    root = tmp_path / "ours"
    root.mkdir()
    with isolated(monkeypatch, root):
        _connected(root, repository, keep_mirror="false")
        words = [sys.executable, "-P", "-m", "wardship", "scan", "code", "--workspace", str(root / "ws")]
        killed = killed_when(words, root / "ws", sign)
        mirrors = [path for name in ("mirror.git", "fresh.git") for path in root.glob(f"ws/cache/code/*/{name}")]
        found = Canaries(PLANTED).in_folders([root], but=mirrors) + Canaries(PLANTED).in_texts({"printed": killed})
        assert not found, told(found)
        code, printed = command("scan", "code", "--workspace", str(root / "ws"))
        assert code == 0, printed
        assert _folders(root) == set()  # also what the killed one had left
        assert Canaries(PLANTED).in_folders([root]) == []


def test_the_hooks_tell_no_value(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop", tmp_path / "home")
    (tmp_path / "tmp").mkdir()
    repo.env |= {"TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "home"), "WARDSHIP_DEBUG": "1"}
    repo.write("old.env", f"DB_PASSWORD={PASSWORD}\n")
    repo.commit("before the hooks")
    printed = [repo.wardship("hook", "install")]
    repo.write("config.py", f'token = "{TOKEN}"\n')
    printed.append(repo.commit(code=1))
    commands = (
        ["run"],
        ["run", "--output", "json"],
        ["run", "--output", "sarif"],
        ["run", "--strict", "--language", "es"],
        ["run", "--sarif", str(tmp_path / "out.sarif"), "--record", str(tmp_path / "run.json")],
        ["run", "--files", "config.py", "old.env"],
        ["run", "--files", "no-such-file"],
        ["run", "--stage", "ci", "--range", "no..where"],
        ["baseline", "add", "--all", "--reason", "test data", "--until", "2026-12-01"],
        ["baseline", "list"],
        ["baseline", "list", "--output", "json"],
        ["status"],
    )
    printed += [repo.wardship("hook", *words, code=None) for words in commands]
    printed.append(repo.git("commit", "-m", "past the check", "--no-verify"))
    later = (["init"], ["hook", "collect", str(repo.folder)], ["hook", "report", "--output", "json"])
    printed += [repo.wardship(*words, "--workspace", str(tmp_path / "ws"), code=None) for words in later]
    search = Canaries(PLANTED)
    own = [path for path in repo.folder.iterdir() if path.name != ".git" and not path.name.startswith(".wardship")]
    of_git = [path for path in (repo.folder / ".git").iterdir() if path.name not in ("wardship", "hooks")]
    found = search.in_folders([tmp_path], but=[*own, *of_git]) + search.in_texts(
        {str(n): text for n, text in enumerate(printed)}
    )
    assert not found, told(found)
    assert (tmp_path / "out.sarif").stat().st_size > 500
    assert any("config.py:1:10" in text for text in printed)


def _refuse(value: Secret) -> str:
    raise RuntimeError(f"no fingerprint for {value}")


def _readers(folder: Path) -> Iterator[Connection]:
    """Connections whose every value meets an error inside Wardship."""
    yield _planted(folder / "git").connection("git", cache=folder / "cache")
    chat = SlackExport(folder / "slack")
    chat.message("ops", "ana@acme.example", NOW, f"the token is {TOKEN}, password: {PASSWORD}")
    yield sim_conversations.connection(chat.write(), "slack", lambda: NOW)
    (folder / "keys.csv").write_text(f"account,key,since\nsvc,{TOKEN},2026-01-01\n", "utf-8")
    (folder / "keys.yaml").write_text(MAPPING, "utf-8")
    settings = {"path": str(folder / "keys.csv"), "mapping": str(folder / "keys.yaml")}
    yield Connection(name="file", connector="file", settings=settings, clock=lambda: NOW)
    vault = VaultServer(clock=lambda: NOW)
    vault.add_kv("shop/db", {"password": PASSWORD}, updated=NOW)
    yield vault.connection(fingerprints=True)
    acme = GitHubOrganisation(clock=lambda: NOW)
    shop = acme.add_repository("shop")
    acme.add_variable("API_TOKEN", TOKEN, repository=shop)
    yield acme.connection()


def test_an_error_in_the_middle_tells_no_value(tmp_path: Path) -> None:
    """Neither its text nor its traceback. Local variables may hold values: no traceback of ours shows them."""
    search, traces = Canaries(PLANTED), {}
    for connection in _readers(tmp_path):
        reader = registry.connector_module(connection.connector).connect(replace(connection, fingerprint=_refuse))
        for scope in reader.scopes():
            name = f"{connection.connector} {scope.kind}"
            try:
                traces[name] = repr([page.items for page in reader.fetch(scope, None)])
            except (RuntimeError, Error) as error:  # the one that was planted, or what it became
                traces[name] = "".join(traceback.format_exception(error))
    struck = {name.partition(" ")[0] for name, trace in traces.items() if "no fingerprint for ***" in trace}
    assert struck == {"conversations", "file", "vault", "github"}
    assert search.in_texts(traces) == []


def test_a_child_that_fails_says_nothing_of_what_it_read(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD, "utf-8")
    repository = _planted(tmp_path / "customer", commits=0)
    words = "from tests.e2e.test_no_secret_leaves_code import loud_scan; loud_scan()"
    where = f"{tmp_path}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-c", words, str(repository.folder), str(tmp_path / "cache")],
        env=os.environ | {"PYTHONPATH": where, "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert b"could not be searched" in done.stdout
    found = Canaries(PLANTED).in_texts({"out": done.stdout, "err": done.stderr})
    found += Canaries(PLANTED).in_folders([tmp_path / "cache"], but=(tmp_path / "cache").glob("*/mirror.git"))
    assert not found, told(found)


LOUD = """\
import sys


class Loud:
    version = "loud"

    def scan(self, data, *, path=""):
        print(data, file=sys.stderr)
        raise ValueError(data)


def engine():
    return Loud()
"""


def loud_scan() -> None:
    """Reads sys.argv[1] with an engine that shouts what it sees, and prints what the scan says."""
    connection = git.Repository.opened(Path(sys.argv[1])).connection("c", cache=Path(sys.argv[2]))
    reader = GitConnector(connection, engine="loud:engine")
    for scope in reader.scopes():
        for page in reader.fetch(scope, None):
            print(page.items, page.problems)


@pytest.mark.parametrize(
    "text",
    [
        f"svc-1,{PASSWORD},2026-01-02\nsvc-2,{TOKEN},2026-01-02\n",  # a header was forgotten
        f'account,key,since\n"svc-1,{PASSWORD},2026-01-02\nsvc-2,{TOKEN}\n',  # a quote that never ends; a short row
        f"account,key,since\nsvc-1,{PASSWORD},someday\nsvc-2,a,b,{TOKEN}\n",  # a bad date; a cell too many
    ],
)
def test_a_list_in_disorder_tells_no_value(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, mapping, path = tmp_path / "ours", tmp_path / "keys.yaml", tmp_path / "keys.csv"
    root.mkdir()
    mapping.write_text(MAPPING, "utf-8")
    path.write_text(text, "utf-8")
    commands = (
        ["init"],
        ["mapping", "new", str(path), "--yes", "--out", str(root / "proposed.yaml")],
        ["mapping", "new", str(path), "--yes"],
        ["mapping", "check", str(mapping), str(path)],
        ["import", "file", str(path), f"mapping={mapping}"],
        ["quarantine", "list", "--output", "jsonl"],
        ["coverage", "--output", "jsonl"],
        ["doctor", "--report"],
    )
    with isolated(monkeypatch, root):
        printed = {" ".join(words): command(*words, "--workspace", str(root / "ws"))[1] for words in commands}
    found = Canaries(PLANTED).in_folders([root]) + Canaries(PLANTED).in_texts(printed)
    assert not found, told(found)
