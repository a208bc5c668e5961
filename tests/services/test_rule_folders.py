"""Own rules lie in folders that the settings name, and a judgement says at which commit they stood."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.model.errors import ConfigError
from wardship.sdk.rule import BUILT_IN, load_rules
from wardship.services.rule_folders import commit_of, commit_of_rule, rule_folders, rule_of
from wardship.store.workspace import Workspace


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@acme.example", "-c", "init.defaultBranch=main", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "our-rules"
    (folder / "rules").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "rules" / "note").write_text("x")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_commit_is_the_one_that_git_names(repository: Path) -> None:
    assert commit_of(repository / "rules") == git(repository, "rev-parse", "HEAD")


def test_it_is_found_in_packed_references_and_without_a_branch(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "pack-refs", "--all")
    assert commit_of(repository) == head
    git(repository, "checkout", "-q", "--detach")
    assert commit_of(repository) == head


def test_it_is_found_in_a_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    git(tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "second")
    assert commit_of(tmp_path / "tree" / "rules") == git(tmp_path / "tree", "rev-parse", "HEAD")
    assert commit_of(tmp_path / "tree") != commit_of(repository)


@pytest.mark.parametrize(
    "head", ["", "ref: refs/heads/none", "ref: ../../../etc/passwd", "ref: refs/../../x", "nonsense"]
)
def test_a_folder_that_tells_no_commit_has_none(repository: Path, head: str) -> None:
    (repository / ".git" / "HEAD").write_text(head)
    assert commit_of(repository) is None


def test_our_own_rules_name_no_commit(tmp_path: Path) -> None:
    assert commit_of_rule(load_rules(only=["owner_left"])[0]) is None
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    (copied / "owner_left.yaml").write_text((BUILT_IN / "owner_left.yaml").read_text("utf-8"), encoding="utf-8")
    assert commit_of_rule(load_rules(copied)[0]) is None, "no repository is around it"


def test_the_default_folder_need_not_exist_and_a_named_one_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create(tmp_path / "ws", clock=lambda: NOW).close()
    with Workspace.open(tmp_path / "ws", clock=lambda: NOW) as ws:
        assert rule_folders(ws) == []
        (ws.path / "rules").mkdir()
        assert rule_folders(ws) == [ws.path / "rules"]
    monkeypatch.setenv("WARDSHIP_RULES", '["rules", "../nowhere"]')
    with (
        Workspace.open(tmp_path / "ws", clock=lambda: NOW) as ws,
        pytest.raises(ConfigError, match=r"no folder .*nowhere"),
    ):
        rule_folders(ws)


def test_a_rule_is_found_by_its_id_and_no_other_file_is_read(tmp_path: Path) -> None:
    Workspace.create(tmp_path / "ws", clock=lambda: NOW).close()
    with Workspace.open(tmp_path / "ws", clock=lambda: NOW) as ws:
        (ws.path / "rules").mkdir()
        text = (BUILT_IN / "owner_left.yaml").read_text("utf-8")
        (ws.path / "rules" / "ours.yaml").write_text(text.replace("id: owner_left", "id: ours"), encoding="utf-8")
        (ws.path / "rules" / "broken.yaml").write_text("id: [", encoding="utf-8")
        assert [getattr(rule_of(ws, name), "id", None) for name in ("owner_left", "ours", "nobody")] == [
            "owner_left",
            "ours",
            None,
        ]
        with pytest.raises(ConfigError, match=r"broken\.yaml"):
            rule_of(ws, "broken")
