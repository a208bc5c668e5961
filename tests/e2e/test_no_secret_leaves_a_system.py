"""Nothing that a system keeps secret stands anywhere after everything ran: workspace, temporary files, home, terminal.

Left out by rule, and named below: the made-up systems themselves, which stand for a customer's own (the repositories,
the export of the chat and the list of the mainframe, in the demo's folder tmp/), and the mirrors of repositories in
cache/, which are copies of them by design (docs/adr/0022). Everything else must be free of every value.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOW
from tests.e2e.canaries import Canaries, command, isolated, killed_when, told
from wardship.app import App, demo_connections, demo_hook_runs
from wardship.model.errors import ConfigError
from wardship.sdk import i18n
from wardship.sdk.connector import Connection
from wardship.sdk.rule import load_rules
from wardship.services import evaluate, explain, findings, leaks, overview, scan
from wardship.services.guard import report
from wardship.sim import code_world, conversations, plan
from wardship.sim.aws import AwsWorld
from wardship.sim.entra import EntraTenant
from wardship.sim.github import GitHubOrganisation
from wardship.sim.plan_code import code_plan
from wardship.sim.vault import VaultServer

SIZE = "s"
NO_SECRET = ("username",)  # fields of vault entries that name an account
EXPORTS = ("identities", "systems", "credentials", "grants", "owners", "parts", "exposures", "secrets")
EXPORTS += ("dependencies", "findings", "coverage")
FORMATS = ("json", "jsonl", "csv", "parquet", "xlsx")


def _strings(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (text for key, inner in value.items() for text in _strings(inner, str(key)))
    elif isinstance(value, list | tuple):
        yield from (text for inner in value for text in _strings(inner, name))
    elif isinstance(value, str) and name not in NO_SECRET:
        yield value


def planted(connections: list[Connection], folder: Path) -> dict[str, str]:
    """Every value that the made-up systems keep secret, and what it is."""
    found: dict[str, str] = {}
    for connection in connections:
        system = getattr(connection.wire, "world", connection.wire)  # the wire of one key leads to its world
        if isinstance(system, EntraTenant):
            rows = [row for table in (system.apps, system.sps) for row in table.visible()]
            found |= {value: "Entra client secret" for row in rows for value in row["_secrets"].values()}
        if isinstance(system, AwsWorld):
            with system.reading() as state:
                found |= {key["secret"]: "AWS secret access key" for key in state["keys"].values()}
                found |= {one["secret"]: "AWS session secret" for one in state["sessions"].values()}
        if isinstance(system, VaultServer):
            for space in system.spaces.values():
                found |= dict.fromkeys(_strings(space.values), "Vault entry")
        if isinstance(system, GitHubOrganisation):
            found[connection.secret("private_key").reveal()] = "key of a GitHub App"
        if isinstance(system, EntraTenant | VaultServer | GitHubOrganisation):
            found |= dict.fromkeys(system.tokens, f"{connection.connector} access token")
    found |= _of_code()
    return found | _of_mainframe(folder)


def _of_mainframe(folder: Path) -> dict[str, str]:
    lines = (folder / "mainframe-accounts.csv").read_text("utf-8").splitlines()[1:]
    return {line.rpartition(";")[2]: "mainframe password" for line in lines}


def _of_code() -> dict[str, str]:
    """The values in the demo's repositories: the same in every run."""
    made = plan.plan(SIZE, plan.LIVED_IN)
    written = code_plan(SIZE, made.staff, plan.JOBS, plan.ACCOUNTS, stories=True)
    values = code_world.plant(written, None, {}).values
    return {value: f"planted {name}" for name, value in values.items()}


@dataclass(slots=True)
class Ran:
    """What is left of everything that was run: the folder of it all, what was printed, and what to look for."""

    root: Path
    values: dict[str, str]
    printed: dict[str, bytes]

    @property
    def workspace(self) -> Path:
        return self.root / "ws"

    @property
    def made_up(self) -> list[Path]:
        """What stands for the customer's own: left out by rule."""
        own = [self.workspace / "tmp" / name for name in ("repositories", "slack", "mainframe-accounts.csv")]
        return [*own, self.root / "chat", *self.workspace.glob("cache/*/*/mirror.git")]

    def command(self, *words: str) -> int:
        """Runs a command line in this process and keeps what it printed."""
        code, printed = command(*words, "--workspace", str(self.workspace))
        self.printed[f"wardship {' '.join(words)}"[:200]] = printed
        return code


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """The demo, read and used from one end to the other, with everything that a process may write under one folder."""
    root = tmp_path_factory.mktemp("everything")
    with pytest.MonkeyPatch.context() as patch, isolated(patch, root):
        yield _run_everything(root)


def _run_everything(root: Path) -> Ran:
    with App.create(root / "ws", clock=lambda: NOW) as app:
        connections = [*demo_connections(app, SIZE), _conversation(app, root / "chat")]
        left = Ran(root=root, values=planted(connections, app.workspace.tmp), printed={})
        left.values[CHAT_TOKEN] = left.values[CHAT_PASSWORD] = "chat"
        report.collect(app.workspace, [demo_hook_runs(app)], app.actor)
        for connection in connections:
            outcome = scan.read(app.workspace, connection, app.actor, judge=False)
            assert outcome.error is None, outcome
        evaluate.again(app.workspace, actor=app.actor)
        left.values |= _bend(connections, app.workspace.tmp)
        for connection in connections:  # again, with items that nobody can understand
            left.printed[f"again {connection.name}"] = repr(
                scan.read(app.workspace, connection, app.actor, judge=False)
            ).encode()
        evaluate.again(app.workspace, actor=app.actor)
        left.values |= planted(connections, app.workspace.tmp)
        left.printed["checks"] = _ask_whether_they_work(app, connections)
    _commands(left)
    return left


# ---------------------------------------------------------------- what is planted beside the demo

CHAT_TOKEN = "ghp_" + "Zq7Rk2Wm9Xc4Vb1Nt8Ls3Jh6Gd5Fp0Ya2TeU"[:36]
CHAT_PASSWORD = "Tr0ub4dor" + "&3-of-eva"


def _conversation(app: App, folder: Path) -> Connection:
    export = conversations.SlackExport(folder, packed=False)
    at = NOW - timedelta(days=40)
    export.message("ops", "ana@acme-iberica.example", at, f"use {CHAT_TOKEN}")
    export.message("ops", "eva@acme-iberica.example", at, f"psql postgres://app:{CHAT_PASSWORD}@db.acme.example/app")
    export.message("ops", "eva@acme-iberica.example", at, f"password: {CHAT_PASSWORD}", edited="no object")
    return replace(
        conversations.connection(export.write(), "chat", app.clock),
        fingerprint=app.workspace.fingerprint,
        pepper=app.workspace.pepper,
    )


def _bend(connections: list[Connection], folder: Path) -> dict[str, str]:
    """Breaks one item of every system so that it lands in quarantine, each with a secret in it."""
    made = {
        "entra": "Qp8" + "8Q~" + "uN3x.Wv_7rTzL2mKc9Yb4Hs6Jd1Fa0EgPiQ",
        "github": "AKqS7" + "vN2bXw9ZtR4mLc8Yd3Hf6Jk1Pg5Us0",
        "vault": "kV5" + "nR8wZq2Tx7Lm4Yc9Bs3Hd6Jf1",
        "racf": "4f9d" + "1c7ab03e88d2",
        "chat": "Hu7" + "nW2kQx9Rv4Tz8Lm",
    }
    for connection in connections:
        system = connection.wire
        if isinstance(system, EntraTenant):
            row = next(row for row in system.apps.visible() if row["displayName"] != "Wardship")
            kept = [{"keyId": 5, "secretText": made["entra"], "hint": made["entra"][:3]}]
            system.change(system.apps, {**row, "passwordCredentials": kept, "id": row["id"]})
        if isinstance(system, GitHubOrganisation):
            rows = system.rows(f"/repos/{system.login}/claims-legacy/actions/variables")
            rows.append({"name": None, "value": made["github"], "created_at": "never", "updated_at": 5})
        if isinstance(system, VaultServer):
            system.add_kv("bent/entry", {"password": made["vault"]}, updated=NOW)
            system.spaces[""].objects["secret/metadata/bent/entry"]["versions"] = "bent"
    with (folder / "mainframe-accounts.csv").open("a", encoding="utf-8") as out:
        out.write(f"BENT1;uso;Alta;32/13/2020;Media;x@acme.example;99/99/9999;ayer;MD5;{made['racf']}\n")
        out.write(f"BENT2;uso;Quizás;{made['racf']}\n")
        out.write(f'BENT3;"uso;Alta;01/01/2020;Media;x;01/01/2020;nunca;MD5;{made["racf"]}\n')
    slack = next(Path(one.settings["path"]) for one in connections if one.name == "chat")
    day = slack / "ops" / "2026-10-14.json"
    bent = [{"type": "message", "user": 5, "ts": {"no": 1}, "text": f"DB_PASSWORD={made['chat']}"}, made["chat"]]
    day.write_text(json.dumps(bent), "utf-8")
    (slack / "ops" / "2026-10-15.json").write_text(f'[{{"type": "message", "text": "password={made["chat"]}', "utf-8")
    return {value: f"bent item of {name}" for name, value in made.items()}


def _ask_whether_they_work(app: App, connections: list[Connection]) -> bytes:
    """`secrets check` of everything that can be asked about, at the made-up systems."""
    answers = []
    with app.facts() as facts:
        uids = [row["uid"] for row in facts.rows("SELECT uid FROM secret ORDER BY uid")]
        for uid in uids:
            try:
                asking = leaks.plan_check(facts, uid, connections)
            except ConfigError as refused:
                answers.append(repr(refused.message))
                continue
            answers.append(repr(asking))
            answers.append(repr(leaks.check(app.db, app.actor, asking, connections)))
    assert any("active=True" in line for line in answers), "\n".join(answers)
    return "\n".join(answers).encode()


def _commands(left: Ran) -> None:
    """Every command that shows something, in both languages and all formats; and some that fail."""
    out = left.root / "out"
    out.mkdir()
    for language in ("en", "es"):
        for words in (
            ["findings", "--output", "json"],
            ["secrets", "list", "--all", "--confidence", "0"],
            ["quarantine", "list"],
            ["quarantine", "list", "--output", "jsonl"],
            ["coverage", "--all"],
            ["changes", "--output", "jsonl"],
            ["doctor", "--report"],
            ["inventory", "--all"],
            ["hook", "report"],
            ["audit", "log", "--output", "jsonl"],
            ["explain", "nobody of this name"],
            ["scan", "no-such-connection"],
            ["mapping", "check", *_mapped(left)],
            ["mapping", "new", _mapped(left)[1], "--yes"],
        ):
            left.command(*words, "--language", language)
    for what in EXPORTS:
        for form in FORMATS:
            assert left.command("export", what, "--out", str(out / f"{what}.{form}")) == 0, what
    left.command("quarantine", "replay")
    left.command("audit", "verify")
    left.command("audit", "export", str(out / "audit"))
    with App.open(left.workspace, clock=lambda: NOW) as app, app.facts() as facts:
        stories: list[str] = []
        rule_of = {rule.id: rule for rule in load_rules()}.get
        page = findings.page(app.db, limit=1_000)
        wanted = [row.uid for row in page]
        wanted += [row["uid"] for row in facts.rows("SELECT uid FROM secret UNION ALL SELECT uid FROM exposure")]
        wanted += [row["uid"] for row in facts.rows("SELECT uid FROM identity ORDER BY uid LIMIT 15")]
        for language in ("en", "es"):
            i18n.use_language(language)
            stories += [repr(explain.explain(app.db, facts, uid, rule_of=rule_of, now=NOW)) for uid in wanted]
            overview.write(app.workspace, facts).rename(out / f"overview.{language}.html")
        i18n.use_language(None)
        assert len(page) > 50
    left.printed["stories"] = "\n".join(stories).encode()


def _mapped(left: Ran) -> list[str]:
    tmp = left.workspace / "tmp"
    return [str(tmp / "mainframe.yaml"), str(tmp / "mainframe-accounts.csv")]


# ---------------------------------------------------------------- the proof


def test_nothing_that_was_left_behind_holds_a_value(ran: Ran) -> None:
    search = Canaries(ran.values)
    assert len(search.values) > 150
    found = search.in_folders([ran.root], but=ran.made_up)
    assert not found, told(found)
    assert search.bytes_read > 5_000_000  # it did look at something


def test_nothing_that_was_printed_holds_a_value(ran: Ran) -> None:
    found = Canaries(ran.values).in_texts(ran.printed)
    assert not found, told(found)
    assert any(b"Traceback" in text for text in ran.printed.values())  # errors were shown as a developer sees them


def test_the_bent_items_were_kept_for_later(ran: Ran) -> None:
    """Else the search above would not have looked at a quarantine."""
    told_of = ran.printed["wardship quarantine list --output jsonl --language en"]
    kept = {json.loads(line)["connection"] for line in told_of.splitlines() if line.startswith(b"{")}
    assert kept >= {"mainframe", "github", "chat"}


def test_a_demo_that_is_killed_leaves_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "ours"
    root.mkdir()
    with isolated(monkeypatch, root):
        words = [sys.executable, "-P", "-m", "wardship", "demo", "--size", SIZE, "--workspace", str(root / "ws")]
        printed = killed_when(words, root / "ws", "cache/git/*/blobs.db-wal")
    left = Ran(root=root, values={**_of_code(), **_of_mainframe(root / "ws" / "tmp")}, printed={"demo": printed})
    search = Canaries(left.values)
    found = search.in_folders([root], but=[*left.made_up, *root.glob("ws/cache/*/*/fresh.git")])
    found += search.in_texts(left.printed)
    assert not found, told(found)
    assert any(root.glob("ws/state.db-wal"))  # it was in the middle of something
