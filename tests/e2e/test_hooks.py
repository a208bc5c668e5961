"""What a developer meets: real commits and pushes by the real git, stopped or let through."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.guarded import LINE, OTHER, TOKEN, Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A new repository without a commit, guarded."""
    made = Repo(tmp_path / "shop", tmp_path / "home")
    made.wardship("hook", "install")
    return made


@pytest.fixture
def old(tmp_path: Path) -> Repo:
    """A guarded repository with a history that holds a secret already."""
    made = Repo(tmp_path / "shop", tmp_path / "home")
    made.write("config.py", f"# settings\n{LINE}port = 80\n")
    made.commit("before the hooks")
    made.wardship("hook", "install")
    return made


def test_the_very_first_commit_is_stopped_and_says_where_why_and_what_next(repo: Repo) -> None:
    repo.write("app/config.py", "# settings\n" + LINE)
    told = repo.commit(code=1)
    assert "app/config.py:2:10" in told
    assert "github" in told
    for words in ("New secrets, stopped: 1", "Why it matters", "What to do", "hook baseline add"):
        assert words in told
    assert TOKEN not in told
    assert repo.git("rev-parse", "--verify", "-q", "HEAD", code=1) == ""


def test_the_words_are_spanish_for_who_asks_for_it(repo: Repo) -> None:
    repo.write("config.py", LINE)
    repo.git("add", "-A")
    told = repo.wardship("hook", "run", "--language", "es", code=1)
    assert "config.py:1:10" in told
    assert TOKEN not in told


def test_nothing_is_said_when_there_is_nothing_to_say(repo: Repo) -> None:
    repo.write("app.py", "import os\ntoken = os.environ['TOKEN']\n")
    repo.git("add", "-A")
    assert repo.wardship("hook", "run") == ""
    repo.commit()


def test_the_value_is_nowhere_in_the_repository_but_where_the_developer_put_it(repo: Repo) -> None:
    repo.write("config.py", LINE)
    repo.commit(code=1)
    forms = [TOKEN.encode(), base64.b64encode(TOKEN.encode()), TOKEN.encode().hex().encode()]
    kept = [file for file in (repo.folder / ".git" / "wardship").rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        assert not any(form in file.read_bytes() for form in forms)


def test_what_was_there_before_is_told_and_does_not_block(old: Repo) -> None:
    old.write("config.py", f"# settings\n{LINE}port = 8080\n")
    assert "There before, so not blocking: 1" in old.commit()
    old.write("config.py", f"# settings, moved down\n\n\n    {LINE}port = 8080\n")
    old.commit("the same value in another line")
    old.git("mv", "config.py", "settings.py")
    old.write("settings.py", f"# settings, moved down\n\n\n    {LINE}port = 8081\n")
    old.commit("renamed and changed")
    old.write("settings.py", f"# settings\n\n\n    {LINE}port = 8082\n")
    old.git("add", "-A")
    assert "New secrets, stopped: 1" in old.wardship("hook", "run", "--strict", code=1)


def test_another_value_in_an_old_line_blocks(old: Repo) -> None:
    old.write("config.py", f'# settings\ntoken = "{OTHER}"\nport = 80\n')
    told = old.commit(code=1)
    assert "config.py:2:10" in told


def test_the_index_counts_not_the_working_tree(repo: Repo) -> None:
    file = repo.write("config.py", "port = 80\n")
    repo.git("add", "-A")
    file.write_text("port = 80\n" + LINE)
    repo.git("commit", "-m", "only what was staged")
    repo.git("commit", "-a", "-m", "all of it", code=1)
    repo.git("add", "config.py")
    file.write_text("port = 80\n")
    repo.git("commit", "-m", "staged with the secret, taken out of the file only", code=1)
    repo.write("other.py", LINE)
    repo.git("add", "other.py")
    repo.git("commit", "-m", "one path", "--", "config.py", code=1)  # nothing to commit there: git itself says so
    file.write_text(LINE)
    assert "config.py:1:10" in repo.git("commit", "-m", "one path", "--", "config.py", code=1)


@pytest.mark.parametrize(
    "name", ["a b.py", 'quo"te.py', "new\nline.py", "tab\t.py", "ünï.py", b"latin\xe9.py", "-dash.py", "deep/er/x.py"]
)
def test_odd_file_names(repo: Repo, name: str | bytes) -> None:
    repo.write(os.fsdecode(name), LINE)
    told = repo.commit(code=1)
    assert ":1:10" in told
    assert "New secrets, stopped: 1" in told


def test_what_is_no_text_or_no_file(repo: Repo, tmp_path: Path) -> None:
    repo.write("picture.png", b"\x89PNG\0\0" + bytes(range(256)) * 100)
    repo.write("empty", "")
    (repo.folder / "link").symlink_to("picture.png")
    part = Repo(tmp_path / "part", tmp_path / "home")
    part.write("inner.py", LINE)
    part.commit()
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(part.folder), "part")
    repo.commit("binary, empty, link, submodule")
    (repo.folder / "picture.png").unlink()
    repo.commit("deleted")


def test_the_target_of_a_link_is_text_that_is_committed(repo: Repo) -> None:
    (repo.folder / "link").symlink_to(f"https://x?token={TOKEN}")
    assert "link:1:" in repo.commit(code=1)


def test_a_huge_file_is_said_not_to_be_looked_into(repo: Repo) -> None:
    repo.write("dump.sql", b"x" * (21 << 20) + LINE.encode())
    assert "dump.sql was not looked into: larger than 20 MB" in repo.commit()


def test_a_commit_past_its_check_is_noticed(repo: Repo) -> None:
    repo.write("config.py", LINE)
    told = repo.commit("no time", "--no-verify")
    assert "New secrets, committed: 1" in told
    assert "past its check" in told
    assert TOKEN not in told
    (run,) = repo.runs()
    assert (run["stage"], run["bypassed"], run["commits"], run["found"], run["blocked"]) == (
        "post_commit",
        True,
        1,
        1,
        0,
    )
    assert run["commit_id"] == repo.head()


def test_a_checked_commit_is_counted_once(repo: Repo) -> None:
    repo.write("a.py", "x = 1\n")
    assert repo.commit().count("wardship") == 0
    before, after = repo.runs()
    assert (before["stage"], before["commits"], before["files"]) == ("pre_commit", 0, 1)
    assert (after["stage"], after["commits"], after["bypassed"]) == ("post_commit", 1, False)
    repo.git("commit", "--amend", "-m", "other words")
    assert [run["bypassed"] for run in repo.runs()] == [False] * 4


def test_a_commit_that_git_carries_over_is_no_bypass(old: Repo) -> None:
    old.git("checkout", "-q", "-b", "side")
    old.write("side.py", "y = 2\n")
    old.commit("side")
    old.git("checkout", "-q", "main")
    old.write("main.py", "z = 3\n")
    old.commit("main")
    old.git("cherry-pick", "side")
    old.git("checkout", "-q", "side")
    old.git("rebase", "-q", "main")
    old.git("revert", "--no-edit", "HEAD")
    assert not any(run["bypassed"] for run in old.runs())


def test_who_tries_a_blocked_commit_again_has_blocked_one(repo: Repo) -> None:
    repo.write("config.py", LINE)
    for _try in range(3):
        repo.commit(code=1)
    assert len({run["id"] for run in repo.runs()}) == 1


def test_concluding_a_merge_does_not_block_what_the_other_side_had(old: Repo) -> None:
    old.git("checkout", "-q", "-b", "side")
    old.write("theirs.py", f'token = "{OTHER}"\n')
    old.write("both.py", "side\n")
    old.commit("side", "--no-verify")
    old.git("checkout", "-q", "main")
    old.write("both.py", "main\n")
    old.commit("main")
    old.git("merge", "side", code=1)
    old.write("both.py", "main and side\n")
    old.commit("merge")
    old.git("checkout", "-q", "-b", "evil", "HEAD~1")
    old.git("merge", "side", code=1)
    old.write("both.py", LINE.replace("a1B2", "e5F6"))
    assert "both.py:1:10" in old.commit("a merge that brings its own", code=1)


def test_a_push_is_stopped_also_when_the_secret_was_taken_out_again(old: Repo, tmp_path: Path) -> None:
    far = Repo(tmp_path / "far.git", tmp_path / "home", init=False)
    old.git("clone", "-q", "--bare", ".", str(far.folder))
    old.git("remote", "add", "origin", str(far.folder))
    old.git("fetch", "-q", "origin")
    old.write("side.py", f'token = "{OTHER}"\n')
    old.commit("leak", "--no-verify")
    leak = old.head()
    old.write("side.py", "nothing\n")
    old.commit("taken out")
    told = old.git("push", "origin", "main", "HEAD:refs/heads/new", code=1)
    assert f"side.py:1:10  commit {leak[:10]}" in told
    assert "New secrets, stopped: 1" in told
    assert OTHER not in told
    push = old.runs()[-1]
    assert (push["stage"], push["commits"], push["blocked"]) == ("pre_push", 2, 1)


def test_a_push_of_nothing_new_of_a_tag_and_of_a_deletion(old: Repo, tmp_path: Path) -> None:
    old.git("clone", "-q", "--bare", ".", str(tmp_path / "far.git"))
    old.git("remote", "add", "origin", str(tmp_path / "far.git"))
    old.git("fetch", "-q", "origin")
    old.git("tag", "-a", "v1", "-m", "v1")
    old.git("push", "-q", "origin", "main:refs/heads/copy", "v1")
    old.git("push", "-q", "origin", ":refs/heads/copy")
    old.write("fine.py", "x = 1\n")
    old.commit()
    old.git("push", "-q", "origin", "main")
    assert (old.runs()[-1]["stage"], old.runs()[-1]["commits"]) == ("pre_push", 1)


# ------------------------------------------------------------------ installing


def test_a_hook_that_is_there_runs_first_and_comes_back(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop", tmp_path / "home")
    theirs = repo.write(
        ".git/hooks/pre-commit", "#!/bin/sh\necho formatted > made.txt; git add made.txt; exit $REFUSE\n"
    )
    theirs.chmod(0o755)
    told = repo.wardship("hook", "install", "--dry-run")
    assert "pre-commit.before-wardship" in told
    assert not (repo.folder / ".git/hooks/pre-push").exists()
    repo.wardship("hook", "install")
    assert "nothing to do" in repo.wardship("hook", "install")
    repo.write("a.py", "x = 1\n")
    repo.git("add", "-A")
    repo.git("commit", "-m", "refused", code=1, REFUSE="3")
    repo.git("commit", "-m", "formatted", REFUSE="0")
    assert "made.txt" in repo.git("show", "--stat")
    assert not any(run["bypassed"] for run in repo.runs()), "what the other hook changed was checked"
    repo.wardship("hook", "uninstall")
    assert theirs.read_text().startswith("#!/bin/sh\necho formatted")
    assert sorted(file.name for file in theirs.parent.iterdir() if not file.name.endswith(".sample")) == ["pre-commit"]
    assert "nothing to do" in repo.wardship("hook", "uninstall")


def test_a_pre_push_hook_that_is_there_gets_its_lines(old: Repo, tmp_path: Path) -> None:
    old.wardship("hook", "uninstall")
    old.write(".git/hooks/pre-push", f"#!/bin/sh\ncat > {tmp_path}/lines; echo $1 >> {tmp_path}/lines\n").chmod(0o755)
    old.wardship("hook", "install")
    old.git("init", "-q", "--bare", str(tmp_path / "far.git"))
    old.git("remote", "add", "origin", str(tmp_path / "far.git"))
    told = old.git("push", "origin", "main", code=1)
    assert "config.py:2:10" in told, "the other side has nothing yet: what was there before is new to it"
    assert (tmp_path / "lines").read_text().splitlines()[-1] == "origin"
    assert "refs/heads/main" in (tmp_path / "lines").read_text()


def test_the_folder_where_git_looks(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop", tmp_path / "home")
    repo.git("config", "core.hooksPath", "tools/hooks")
    repo.wardship("hook", "install", "--stages", "pre-push")
    assert sorted(file.name for file in (repo.folder / "tools/hooks").iterdir()) == ["pre-push"]
    told = repo.wardship("hook", "status", "--output", "json")
    assert '"missing": "pre-commit, post-commit"' in told


def test_a_worktree_is_guarded_and_shares_the_records(old: Repo, tmp_path: Path) -> None:
    old.git("worktree", "add", "-q", str(tmp_path / "tree"))
    tree = Repo(tmp_path / "tree", tmp_path / "home", init=False)
    assert "nothing to do" in tree.wardship("hook", "install")
    tree.write("x.py", f'token = "{OTHER}"\n')
    tree.commit(code=1)
    assert [run["blocked"] for run in old.runs()] == [1]


def test_one_folder_for_all_repositories_passes_their_own_hooks_on(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop", tmp_path / "home")
    repo.wardship("hook", "install", "--global")
    assert "nothing to do" in repo.wardship("hook", "install", "--global")
    other = Repo(tmp_path / "other", tmp_path / "home")
    for name in ("pre-commit", "commit-msg"):
        other.write(f".git/hooks/{name}", f"#!/bin/sh\necho {name} >> {tmp_path}/called\n").chmod(0o755)
    other.write("config.py", LINE)
    other.commit(code=1)
    other.write("config.py", "port = 80\n")
    other.commit()
    assert (tmp_path / "called").read_text().split() == ["pre-commit", "pre-commit", "commit-msg"]
    assert [run["stage"] for run in other.runs()] == ["pre_commit", "pre_commit", "post_commit"]
    assert '"everywhere": true' in other.wardship("hook", "status", "--output", "json")
    repo.wardship("hook", "uninstall", "--global")
    assert repo.git("config", "--global", "core.hooksPath", code=1) == ""
    other.write("config.py", LINE)
    other.commit("nobody looks any more")


def test_a_folder_that_the_user_had_before_keeps_its_hooks(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop", tmp_path / "home")
    theirs = tmp_path / "mine"
    theirs.mkdir()
    (theirs / "pre-commit").write_text(f"#!/bin/sh\necho mine >> {tmp_path}/called\n")
    (theirs / "pre-commit").chmod(0o755)
    repo.git("config", "--global", "core.hooksPath", str(theirs))
    repo.wardship("hook", "install", "--global")
    names = {file.name for file in theirs.iterdir()}
    assert names == {"pre-commit", "pre-commit.before-wardship", "pre-push", "post-commit"}
    repo.write("config.py", LINE)
    repo.commit(code=1)
    repo.wardship("hook", "uninstall", "--global")
    assert [file.name for file in theirs.iterdir()] == ["pre-commit"]
    assert repo.git("config", "--global", "core.hooksPath").strip() == str(theirs)
    repo.commit()
    assert (tmp_path / "called").read_text().split() == ["mine", "mine"]


def test_ctrl_c_ends_the_check_and_counts_nothing(old: Repo) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "wardship", "hook", "run", "--stage", "pre-push"],
        cwd=old.folder,
        env=old.env,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"\n" * 200_000)  # more than a pipe holds: this returns when the check has begun to read
    process.stdin.flush()
    while process.poll() is None:  # one that comes between two reads waits for the next, as it does for a person
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    assert process.returncode == 130
    told = process.stderr.read()
    assert b"Traceback" not in told
    assert b"counts as not made" in told
    assert old.runs() == []


def test_a_folder_without_a_repository_is_said_to_be_none(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "plain", tmp_path / "home", init=False)
    repo.folder.mkdir()
    told = repo.wardship("hook", "install", code=2)
    assert "not a git repository" in told


# ------------------------------------------------------------------ a hostile repository


def test_no_program_of_the_repository_is_run(repo: Repo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = repo.write("evil.sh", f'#!/bin/sh\necho "$0 $@" >> {ran}\ncat\n')
    program.chmod(0o755)
    for name in ("click", "wardship", "yaml", "logging", "sitecustomize"):
        repo.write(f"{name}.py", f"open({str(ran)!r}, 'a').write('{name}')\n")
    repo.write(".gitattributes", "* diff=evil\n")
    repo.write("config.py", "port = 80\n")
    repo.git("add", "-A")
    for key, value in {
        "core.fsmonitor": program,
        "diff.evil.textconv": program,
        "diff.evil.command": program,
        "diff.external": program,
        "core.pager": program,
        "core.sshCommand": program,
        "gpg.program": program,
    }.items():
        repo.git("config", key, str(value))
    repo.wardship("hook", "run")
    repo.wardship("hook", "run", "--stage", "post-commit")
    repo.wardship("hook", "status")
    assert not ran.exists(), ran.read_text()


def test_the_hook_imports_no_module_of_the_repository(repo: Repo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in ("click", "wardship", "yaml", "json", "sitecustomize"):
        repo.write(f"{name}.py", f"open({str(ran)!r}, 'a').write('{name}')\n")
    repo.commit()
    assert [run["stage"] for run in repo.runs()] == ["pre_commit", "post_commit"]
    assert not ran.exists(), ran.read_text()


def test_a_partial_clone_fetches_nothing(repo: Repo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    repo.write("a.py", "x = 1\n")
    repo.commit()
    blob = repo.git("rev-parse", "HEAD:a.py").strip()
    repo.git("config", "extensions.partialClone", "origin")
    repo.git("config", "core.repositoryFormatVersion", "1")
    repo.git("config", "remote.origin.url", "x:y")
    repo.git("config", "remote.origin.promisor", "true")
    repo.git("config", "core.sshCommand", f"touch {ran};")
    (repo.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    told = repo.wardship("hook", "run", "--stage", "ci", "--range", "HEAD..HEAD")
    assert "No new secret" in told
    lines = f"r {repo.head()} r {'0' * 40}\n".encode()
    assert "does not hold" in repo.wardship("hook", "run", "--stage", "pre-push", given=lines, code=3)
    assert not ran.exists()


def test_who_reads_no_further_is_stopped_all_the_same(repo: Repo) -> None:
    """`git commit | head -1`: the words of the check have nowhere to go, its verdict has."""
    repo.write("config.py", LINE)
    repo.git("add", "-A")
    repo.run("bash", "-c", "set -o pipefail; git commit -m change 2>&1 | true", code=1)
    repo.git("rev-parse", "--verify", "-q", "HEAD", code=1)


@pytest.mark.parametrize("first", [True, False])
def test_what_went_past_is_taken_back_by_the_command_that_is_told(repo: Repo, first: bool) -> None:
    if not first:
        repo.write("app.py", "port = 80\n")
        repo.commit()
    repo.write("config.py", LINE)
    told = repo.commit("past the check", "--no-verify")
    command = re.search(r"`git ([^`]+)` takes it back", told)
    assert command, told
    repo.git(*command[1].split())
    assert repo.git("status", "--porcelain") == "A  config.py\n", "the work is kept"
    assert "past the check" not in repo.git("log", "--oneline", code=128 if first else 0)
