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
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.accuracy.secret_sets import load, rows_of
from tests.conftest import NOW, ROOT
from tests.e2e.canaries import LEAST, Canaries, command, isolated, told
from wardship.app import App
from wardship.secrets import load_engine
from wardship.services import connect, evaluate, scan
from wardship.sim import git
from wardship.sim.conversations import SlackExport

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
