"""What a CI job meets: ranges by the vendors' variables, shallow clones, and the ready pipelines run step by step."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tests.conftest import ROOT
from tests.e2e.guarded import LINE, OTHER, TOKEN, Repo

SARIF = json.loads((ROOT / "tests" / "schemas" / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
for _name in ("run", "toolComponent"):  # the published pattern of a language is no regular expression
    SARIF["definitions"][_name]["properties"]["language"].pop("pattern")
NONE = "0" * 40


@pytest.fixture
def far(tmp_path: Path) -> Repo:
    """The repository on the server: a clean main branch with an old secret, and a branch with a new one."""
    repo = Repo(tmp_path / "far", tmp_path / "home")
    repo.write("old.py", LINE)
    repo.commit("old")
    repo.write("a.py", "x = 1\n")
    repo.commit("base")
    repo.git("checkout", "-q", "-b", "feature")
    repo.write("new.py", f'token = "{OTHER}"\n')
    repo.commit("leak")
    repo.write("b.py", "y = 2\n")
    repo.commit("more")
    return repo


@pytest.fixture
def job(far: Repo, tmp_path: Path) -> Repo:
    """The full clone of a CI job, detached at the tip of the branch."""
    return clone(far, tmp_path)


def clone(far: Repo, tmp_path: Path, *options: str) -> Repo:
    far.git("clone", "-q", *options, f"file://{far.folder}", str(tmp_path / "job"))
    job = Repo(tmp_path / "job", tmp_path / "home", init=False)
    job.git("checkout", "-q", "--detach", "HEAD")
    return job


def id_of(repo: Repo, name: str) -> str:
    return repo.git("rev-parse", name).strip()


def check(job: Repo, *words: str, code: int | None = 0, **env: str) -> str:
    return job.wardship("hook", "run", "--stage", "ci", *words, code=code, **env)


def test_a_range_fails_the_job_and_names_the_commit(job: Repo) -> None:
    told = check(job, "--range", "origin/main..HEAD", code=1)
    assert f"new.py:1:10  commit {id_of(job, 'HEAD~1')[:10]}" in told
    assert "old.py" not in told
    record = json.loads((job.folder / "wardship-run.json").read_text())
    assert (record["stage"], record["commits"], record["blocked"]) == ("ci", 2, 1)
    assert record["commit_id"] == id_of(job, "HEAD")
    assert "No new secret in 0 commits" in check(job, "--range", "HEAD..origin/main")


@pytest.mark.parametrize("kind", ["pull", "push", "new branch", "forced", "merge group"])
def test_github(job: Repo, tmp_path: Path, kind: str) -> None:
    base, head = id_of(job, "origin/main"), id_of(job, "HEAD")
    events = {
        "pull": {"pull_request": {"base": {"sha": base}, "head": {"sha": head}}},
        "push": {"before": base, "after": head},
        "new branch": {"before": NONE, "repository": {"default_branch": "main"}},
        "forced": {"before": "1" * 40, "forced": True, "repository": {"default_branch": "main"}},
        "merge group": {"merge_group": {"base_sha": base, "head_sha": head}},
    }
    event = tmp_path / "event.json"
    event.write_text(json.dumps(events[kind]))
    told = check(job, code=1, GITHUB_ACTIONS="true", GITHUB_EVENT_PATH=str(event), GITHUB_SHA=head)
    assert "new.py:1:10" in told
    assert "New secrets, stopped: 1" in told


@pytest.mark.parametrize("kind", ["merge request", "push", "new branch"])
def test_gitlab(job: Repo, kind: str) -> None:
    base = id_of(job, "origin/main")
    variables = {
        "merge request": {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_BEFORE_SHA": NONE},
        "push": {"CI_COMMIT_BEFORE_SHA": base},
        "new branch": {"CI_COMMIT_BEFORE_SHA": NONE, "CI_DEFAULT_BRANCH": "main"},
    }
    told = check(job, code=1, GITLAB_CI="true", CI_COMMIT_SHA=id_of(job, "HEAD"), **variables[kind])
    assert "new.py:1:10" in told


@pytest.mark.parametrize("kind", ["change", "build"])
def test_jenkins(job: Repo, kind: str) -> None:
    variables = {
        "change": {"CHANGE_TARGET": "main"},
        "build": {"GIT_PREVIOUS_SUCCESSFUL_COMMIT": id_of(job, "origin/main")},
    }
    told = check(job, code=1, JENKINS_URL="https://ci", GIT_COMMIT=id_of(job, "HEAD"), **variables[kind])
    assert "new.py:1:10" in told


def test_outside_a_ci_system_the_range_must_be_named(job: Repo) -> None:
    assert "--range" in check(job, code=2)
    assert "A..B" in check(job, "--range", "HEAD", code=2)


@pytest.mark.parametrize("depth", ["1", "2"])
def test_a_shallow_clone_says_what_to_fetch(far: Repo, tmp_path: Path, depth: str) -> None:
    base = id_of(far, "main")
    job = clone(far, tmp_path, "--depth", depth)
    told = check(job, "--range", f"{base}..HEAD", code=3)
    assert "fetch-depth: 0" in told
    assert not job.runs(), "what was not checked is not counted"


def test_a_shallow_clone_that_is_deep_enough_does(far: Repo, tmp_path: Path) -> None:
    base = id_of(far, "main")
    job = clone(far, tmp_path, "--depth", "3")
    assert "new.py:1:10" in check(job, "--range", f"{base}..HEAD", code=1)


def test_a_clone_without_contents_is_incomplete(far: Repo, tmp_path: Path) -> None:
    far.git("config", "uploadpack.allowFilter", "true")
    far.git("checkout", "-q", "main")
    job = clone(far, tmp_path, "--filter=blob:none", "--no-checkout")
    told = check(job, "--range", "origin/main..origin/feature", code=3)
    assert "does not hold" in told


def test_the_sarif_log_is_valid_and_holds_no_value(job: Repo) -> None:
    job.write("new.py", f'\n\n    token = "{OTHER}"\n' + LINE)
    job.commit("moved, and one more")
    check(job, "--range", "origin/main..HEAD", "--sarif", "one.sarif", code=1)
    text = (job.folder / "one.sarif").read_text(encoding="utf-8")
    log = json.loads(text)
    jsonschema_rs.validate(SARIF, log)
    assert TOKEN not in text
    assert OTHER not in text
    results = log["runs"][0]["results"]
    assert [one["level"] for one in results] == ["error", "error"]
    for one in results:
        assert log["runs"][0]["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "new.py"
    assert len({json.dumps(one["partialFingerprints"]) for one in results}) == 2
    printed = check(job, "--range", "origin/main..HEAD", "--output", "sarif", code=1)
    assert json.loads(printed)["runs"][0]["results"] == results


def test_a_sarif_fingerprint_follows_a_line_that_moves(job: Repo) -> None:
    def fingerprints() -> list[object]:
        check(job, "--range", "origin/main..HEAD", "--sarif", "x.sarif", code=1)
        log = json.loads((job.folder / "x.sarif").read_text())
        return [one["partialFingerprints"] for one in log["runs"][0]["results"]]

    before = fingerprints()
    job.git("checkout", "-q", "-B", "again", "origin/main")
    job.write("new.py", f'# moved\n\ntoken =   "{OTHER}"\n')
    job.git("add", "new.py")
    job.git("commit", "-qm", "leak, elsewhere")
    assert fingerprints() == before


def test_json_holds_what_the_text_says(job: Repo) -> None:
    told = json.loads(check(job, "--range", "origin/main..HEAD", "--output", "json", code=1))
    (finding,) = told["findings"]
    assert (finding["path"], finding["line"], finding["state"]) == ("new.py", 1, "blocked")
    assert told["run"]["blocked"] == 1
    assert OTHER not in json.dumps(told)


# ------------------------------------------------------------------ the ready pipelines


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH: `python3 -m venv` makes one that holds this wardship; `gh` writes down what it is asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    venv = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 9
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >> {tmp_path}/pip\\n' > "$3/bin/pip"
printf '#!/bin/sh\\nexec {sys.executable} -P -m wardship "$@"\\n' > "$3/bin/wardship"
chmod +x "$3/bin/pip" "$3/bin/wardship"
"""
    for name, text in {"python3": venv, "gh": f'#!/bin/sh\necho "$@" > {tmp_path}/gh\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def in_shell(job: Repo, tools: Path, text: str, *, code: int = 0, **env: str) -> str:
    return job.run("bash", "-e", "-c", text, code=code, PATH=f"{tools}:{job.env['PATH']}", **env)


def test_the_github_workflow_runs(job: Repo, tools: Path, tmp_path: Path) -> None:
    told = job.wardship("hook", "ci", "github", "--write")
    file = job.folder / ".github/workflows/wardship.yml"
    assert str(file) in told
    flow = yaml.safe_load(file.read_text())
    assert flow["permissions"] == {"contents": "read"}
    steps = flow["jobs"]["wardship"]["steps"]
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)
    assert steps[0]["with"] == {"fetch-depth": 0, "persist-credentials": False}
    assert not any("${{" in step.get("run", "") for step in steps), "no expression is pasted into a script"
    event = tmp_path / "event.json"
    base, head = id_of(job, "origin/main"), id_of(job, "HEAD")
    event.write_text(json.dumps({"pull_request": {"base": {"sha": base}, "head": {"sha": head}}}))
    env = {
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_SHA": head,
        "GITHUB_REPOSITORY": "acme/shop",
        "COMMIT": head,
        "REF": "refs/heads/feature",
    }
    install, verify, upload = (step["run"] for step in steps if "run" in step)
    in_shell(job, tools, install, **env)
    assert "wardship==" in (tmp_path / "pip").read_text()
    assert "new.py:1:10" in in_shell(job, tools, verify, code=1, **env)
    in_shell(job, tools, upload, **env)
    assert "repos/acme/shop/code-scanning/sarifs" in (tmp_path / "gh").read_text()
    assert (job.folder / "sarif.b64").stat().st_size > 100
    assert (job.folder / steps[-1]["with"]["path"]).is_file()


def test_the_gitlab_job_runs(job: Repo, tools: Path, tmp_path: Path) -> None:
    flow = yaml.safe_load(job.wardship("hook", "ci", "gitlab"))["wardship-secrets"]
    assert flow["variables"]["GIT_DEPTH"] == "0"
    lines = [line.replace("/tmp/wardship", str(tmp_path / "venv")) for line in flow["before_script"] + flow["script"]]
    env = {"GITLAB_CI": "true", "CI_COMMIT_SHA": id_of(job, "HEAD"), "CI_COMMIT_BEFORE_SHA": id_of(job, "origin/main")}
    assert "new.py:1:10" in in_shell(job, tools, "\n".join(lines), code=1, **env)
    assert all((job.folder / name).is_file() for name in flow["artifacts"]["paths"])


def test_the_jenkins_stage_runs(job: Repo, tools: Path, tmp_path: Path) -> None:
    text = job.wardship("hook", "ci", "jenkins")
    assert text.count("{") == text.count("}")
    script = text.partition("sh '''")[2].partition("'''")[0]
    env = {"JENKINS_URL": "https://ci", "CHANGE_TARGET": "main", "WORKSPACE_TMP": str(tmp_path / "temp")}
    assert "new.py:1:10" in in_shell(job, tools, script, code=1, **env)
    kept = re.search(r"archiveArtifacts artifacts: '([^']+)'", text)
    assert kept
    assert all((job.folder / name).is_file() for name in kept[1].split(", "))


def test_another_pipeline_is_not_written_over(job: Repo) -> None:
    job.wardship("hook", "ci", "github", "--write")
    job.wardship("hook", "ci", "github", "--write")
    job.write(".github/workflows/wardship.yml", "mine: true\n")
    assert "differs" in job.wardship("hook", "ci", "github", "--write", code=2)


# ------------------------------------------------------------------ the pre-commit framework


def test_the_pre_commit_framework_takes_the_hooks(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop", tmp_path / "home")
    tool = str(Path(sys.executable).parent / "pre-commit")
    repo.run(tool, "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        hook["language"] = "system"
        hook["entry"] = f"{sys.executable} -P -m {hook['entry']}"
    repo.write(".pre-commit-config.yaml", yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]}))
    repo.run(tool, "install", "-t", "pre-commit", "-t", "pre-push", "-t", "post-commit")
    repo.commit("clean")
    assert [run["stage"] for run in repo.runs()] == ["pre_commit", "post_commit"]
    repo.write("config.py", LINE)
    assert "config.py:1:10" in repo.commit(code=1)
    repo.commit("past it", "--no-verify")
    assert repo.runs()[-1]["bypassed"] is True
    repo.git("init", "-q", "--bare", str(tmp_path / "far.git"))
    repo.git("remote", "add", "origin", str(tmp_path / "far.git"))
    assert "config.py:1:10" in repo.git("push", "origin", "main", code=1)
    assert TOKEN not in json.dumps(repo.runs())
