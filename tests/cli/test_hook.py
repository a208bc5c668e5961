"""hook: the commands around the check. The check itself, by real commits: tests/e2e/test_hooks.py."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.e2e.guarded import LINE, TOKEN

SOON = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
LATE = (datetime.now(UTC) + timedelta(days=300)).date().isoformat()
NEVER = (datetime.now(UTC) + timedelta(days=3_000)).date().isoformat()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one staged secret, and this process in it."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.email", "dana@example.org")
    git(folder, "config", "user.name", "Dana")
    git(folder, "remote", "add", "origin", "https://dana@GitHub.com/Acme/Shop.git")
    (folder / "config.py").write_text("# settings\n" + LINE)
    git(folder, "add", "-A")
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def accept(run: Command, place: str = "config.py:2", *, reason: str = "opens nothing", expires: str = LATE) -> int:
    return run("hook", "baseline", "add", place, "--reason", reason, "--expires", expires).code


def test_what_is_accepted_does_not_block_once_it_is_staged(run: Command, shop: Path) -> None:
    assert run("hook", "run").code == 1
    assert accept(run) == 0
    text = (shop / ".wardship-baseline.yaml").read_text()
    assert TOKEN not in text
    assert "dana@example.org" in text
    assert run("hook", "run").code == 1, "an entry that is not staged would not be there in CI"
    git(shop, "add", ".wardship-baseline.yaml")
    passed = run("hook", "run")
    assert passed.code == 0
    assert "Accepted by the baseline or a comment: 1" in passed.err
    (shop / "config.py").write_text("\n\n# settings\n" + LINE)
    git(shop, "add", "-A")
    assert run("hook", "run").code == 0, "the line moved"
    (shop / "config.py").write_text(LINE.replace("a1B2", "z9Y8"))
    git(shop, "add", "-A")
    assert run("hook", "run").code == 1, "another value in its place"


def test_an_entry_that_has_ended_blocks_again_also_where_it_was_there_before(run: Command, shop: Path) -> None:
    assert accept(run) == 0
    file = shop / ".wardship-baseline.yaml"
    file.write_text(file.read_text().replace(LATE, "2020-02-02").replace("added_on: 20", "added_on: 2020-01-01 #"))
    git(shop, "add", "-A")
    git(shop, "commit", "-qm", "was accepted")
    (shop / "config.py").write_text("# other settings\n" + LINE)
    git(shop, "add", "-A")
    ran = run("hook", "run")
    assert ran.code == 1
    assert "the baseline accepted it until 2020-02-02" in ran.out
    assert "ended on 2020-02-02" in ran.err


def test_an_end_that_is_near_is_told(run: Command, shop: Path) -> None:
    assert accept(run, expires=SOON) == 0
    git(shop, "add", "-A")
    assert f"ends on {SOON}, in 20 days" in run("hook", "run").err
    (row,) = json.loads(run("hook", "baseline", "list", "-o", "json").out)
    assert (row["path"], row["days_left"], row["reason"]) == ("config.py", 20, "opens nothing")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"reason": "x"}, "reason says nothing"),
        ({"expires": NEVER}, "365"),
        ({"expires": "2020-01-01"}, "365"),
        ({"expires": "soon"}, "YYYY-MM-DD"),
        ({"place": "config.py:1"}, "no secret is found"),
        ({"place": "nowhere.py:1"}, "not a file"),
        ({"place": "../beside.py:1"}, "outside the repository"),
        ({"reason": f"made up: {TOKEN}"}, "holds what looks like a secret"),
    ],
)
def test_an_entry_without_reason_end_or_secret_is_refused(
    run: Command, shop: Path, words: dict[str, str], told: str
) -> None:
    (shop.parent / "beside.py").write_text(LINE)
    place, reason, expires = words.get("place", "config.py:2"), words.get("reason", "a b"), words.get("expires", LATE)
    ran = run("hook", "baseline", "add", place, "--reason", reason, "--expires", expires)
    assert ran.code == 2
    assert told in ran.err
    assert not (shop / ".wardship-baseline.yaml").exists()


def test_pruning_removes_what_is_no_longer_needed(run: Command, shop: Path) -> None:
    (shop / "gone.py").write_text(LINE)
    assert accept(run) == 0
    assert accept(run, "gone.py") == 0
    assert "still needed" in run("hook", "baseline", "prune").out
    (shop / "gone.py").unlink()
    assert "gone.py" in run("hook", "baseline", "prune", "--dry-run").out
    assert len(json.loads(run("hook", "baseline", "list", "-o", "json").out)) == 2
    run("hook", "baseline", "prune")
    assert [row["path"] for row in json.loads(run("hook", "baseline", "list", "-o", "json").out)] == ["config.py"]


def test_a_wrong_baseline_stops_the_check_and_says_where(run: Command, shop: Path) -> None:
    (shop / ".wardship-baseline.yaml").write_text("version: 1\nentries:\n  - path: x\n")
    git(shop, "add", "-A")
    ran = run("hook", "run")
    assert ran.code == 2
    assert ".wardship-baseline.yaml, line 3" in ran.err


def test_a_comment_with_an_end_and_a_reason_allows(run: Command, shop: Path) -> None:
    (shop / "config.py").write_text(f"# wardship: allow until {LATE} because it opens nothing\n" + LINE)
    git(shop, "add", "-A")
    assert run("hook", "run").code == 0
    (shop / "config.py").write_text("# wardship: allow\n" + LINE)
    git(shop, "add", "-A")
    ran = run("hook", "run")
    assert ran.code == 1
    assert "until YYYY-MM-DD because" in ran.out


def test_named_files_are_checked_whole(run: Command, shop: Path) -> None:
    ran = run("hook", "run", "--files", "config.py")
    assert ran.code == 1
    assert "config.py:2:10" in ran.out
    assert run("hook", "run", "--files", ".").code == 2
    assert not (shop / ".git" / "wardship").exists(), "nothing of a commit was checked: nothing is counted"


def test_nothing_but_the_check_is_imported(shop: Path) -> None:
    import sys

    code = (
        "import sys\nfrom wardship.cli.main import main\nmain(['hook', 'run'])\n"
        "heavy = ('sqlalchemy', 'duckdb', 'pydantic', 'babel', 'httpx', 'sqlglot', 'cryptography', 'wardship.app')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_records_are_collected_and_reported(run: Command, shop: Path, tmp_path: Path) -> None:
    assert run("hook", "run").code == 1
    (shop / "config.py").write_text("# settings\n")
    git(shop, "add", "-A")
    assert run("hook", "run").code == 0
    workspace = tmp_path / "w"
    assert run("init", "-w", workspace).code == 0
    assert "2 runs added, 0 were known" in run("hook", "collect", shop, "-w", workspace).out
    assert "0 runs added, 2 were known" in run("hook", "collect", shop, "-w", workspace).out
    told = run("hook", "report", "-w", workspace)
    assert told.code == 0
    assert "Secrets blocked" in told.out
    assert "1 of 1 found" in told.out
    (row,) = json.loads(run("hook", "report", "-w", workspace, "-o", "json").out)
    assert (row["repository"], row["stage"], row["runs"]) == ("git:github.com/acme/shop", "pre_commit", 2)
    (shop / "runs.jsonl").write_text("nonsense\n")
    ran = run("hook", "collect", shop / "runs.jsonl", "-w", workspace)
    assert ran.code == 3
    assert "1 lines could not be read" in ran.out


def test_a_record_names_no_person_and_no_value(run: Command, shop: Path) -> None:
    run("hook", "run")
    text = (shop / ".git" / "wardship" / "runs.jsonl").read_text()
    assert "dana" not in text.lower()
    assert TOKEN not in text


@pytest.mark.parametrize(
    "words",
    [
        ("--range", "HEAD..HEAD"),
        ("config.py",),
        ("--files",),
        ("--files", "--stage", "ci", "--range", "HEAD..HEAD", "config.py"),
        ("--stage", "ci", "config.py"),
    ],
)
def test_what_a_stage_would_not_look_at_is_refused(run: Command, shop: Path, words: tuple[str, ...]) -> None:
    ran = run("hook", "run", *words)
    assert ran.code == 2, "silence would read as: looked at, and nothing found"
    assert "--files" in ran.err


@pytest.mark.parametrize("option", ["--sarif", "--record"])
def test_a_file_that_cannot_be_written_is_named(run: Command, shop: Path, option: str) -> None:
    ran = run("hook", "run", option, shop / "nowhere" / "file")
    assert ran.code == 2
    assert "nowhere/file: No such file or directory" in ran.err
    assert "Next: " in ran.err


def test_where_no_record_can_be_left_the_findings_are_told(run: Command, shop: Path) -> None:
    (shop / ".git" / "wardship").write_text("in the way")  # stands for a folder that may only be read, also for root
    ran = run("hook", "run")
    assert ran.code == 1
    assert "New secrets, stopped: 1" in ran.out
    assert "not on record here" in ran.err


def test_a_path_is_shown_on_one_line(run: Command, shop: Path) -> None:
    (shop / "two\nlines\x1b[2J.py").write_text(LINE)
    ran = run("hook", "baseline", "add", "two\nlines\x1b[2J.py", "--reason", "opens nothing", "--expires", LATE)
    assert ran.code == 0
    assert ran.out.endswith("in two lines[2J.py\n")


def test_unknown_stages_are_refused(run: Command, shop: Path) -> None:
    assert run("hook", "install", "--stages", "pre-receive").code == 2
    assert run("hook", "install", "--global", shop).code == 2
    assert sorted(file.name for file in (shop / ".git/hooks").iterdir() if file.suffix != ".sample") == []
