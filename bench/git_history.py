"""The whole history of a repository, searched for secrets: beside kingfisher, gitleaks, betterleaks and git itself.

The floor is git alone: `git cat-file --batch-all-objects --batch` to nowhere. The repository is made from package
sources at hand (Python's own library and the installed packages as files, then commit after commit of edits to some of
them), the same in every run on the same machine; WARDSHIP_BENCH_REPOSITORY takes another. AWS keys are planted in it,
and how many of them each engine reports is told beside what it cost. The others are asked for by path:
WARDSHIP_BENCH_KINGFISHER, WARDSHIP_BENCH_GITLEAKS, WARDSHIP_BENCH_BETTERLEAKS; all with validation off.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench import harness

SIZE_MB, LARGE_MB = 300, 1_500  # of unique blobs
FILES_A_COMMIT = 6
PLANTED_EVERY = 40  # commits
_SUFFIXES = (".py", ".pyi", ".json", ".md", ".txt", ".yml", ".yaml", ".toml", ".cfg", ".h", ".js", ".html", ".css")
_AUTHOR = b"Bench <bench@acme.example>"
_ENV = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def run() -> None:
    given = os.environ.get("WARDSHIP_BENCH_REPOSITORY")
    with tempfile.TemporaryDirectory(prefix="wardship-bench-git-") as folder:
        work = Path(folder)
        repository, planted = (Path(given), []) if given else build(work / "repo", _size_mb())
        _tell_size(repository)
        reports = work / "report.json"
        rounds: list[tuple[str, Callable[[], harness.Cost] | None]] = [
            ("git alone", lambda: _floor(repository)),
            ("Wardship, first scan", lambda: _ours(repository, work / "cache", fresh=True)),
            *((name, _other(name, repository, reports)) for name in ("kingfisher", "gitleaks", "betterleaks")),
            ("git alone, again", lambda: _floor(repository)),
        ]
        rows: list[list[object]] = []
        floor = 0.0
        for name, measure in rounds:
            if measure is None:
                rows.append([name, "not run", "", "", "", "", ""])
                continue
            reports.unlink(missing_ok=True)
            cost = measure()
            floor = floor or cost.cpu_s
            told = reports.read_text(errors="replace") if reports.exists() else cost.output
            seen = "" if name.startswith("git alone") else f"{sum(key in told for key in planted)}/{len(planted)}"
            rows.append(
                [name, cost.cpu_s, cost.cpu_s / floor, cost.wall_s, round(cost.peak_mb), _count(name, told), seen]
            )
        harness.table(["", "CPU s", "x git alone", "wall s", "peak MB", "findings", "planted"], rows)
        whole, part = _ours(repository, work / "cache", fresh=True), _ours(repository, work / "mirror", only="mirror")
        rest = whole.cpu_s - part.cpu_s
        print(f"of our first scan, CPU s: start and mirror {part.cpu_s:.2f}, search and report {rest:.2f}")
        if not given:
            _again(repository, work / "cache")


def _again(repository: Path, cache: Path) -> None:
    """The second scan: after nothing, and after one new commit in a hundred."""
    commits = int(_git(repository, "rev-list", "--count", "--all"))
    rows: list[list[object]] = []
    same = _ours(repository, cache, fresh=False)
    rows.append(["nothing new", 0, same.cpu_s, same.wall_s, round(same.peak_mb)])
    new = max(commits // 100, 1)
    _grow(repository, new)
    more = _ours(repository, cache, fresh=False)
    rows.append(["1 % new commits", new, more.cpu_s, more.wall_s, round(more.peak_mb)])
    harness.table(["Wardship, second scan", "commits", "CPU s", "wall s", "peak MB"], rows)
    whole = _ours(repository, cache.with_name("other"), fresh=True)
    if whole.figures["digest"] != more.figures["digest"]:
        raise ValueError("the second scan does not tell what a first one tells")
    print("the second scan tells exactly what a first one tells")


def _size_mb() -> int:
    return int(os.environ.get("WARDSHIP_BENCH_GIT_MB") or (LARGE_MB if harness.large() else SIZE_MB))


def _floor(repository: Path) -> harness.Cost:
    command = f"git -C '{repository}' cat-file --batch-all-objects --batch --buffer > /dev/null"
    return harness.process(["sh", "-c", command], env=_ENV)


def _ours(repository: Path, cache: Path, *, fresh: bool = True, only: str = "scan") -> harness.Cost:
    """One reading, or its first step `only`: "mirror"."""
    if fresh:
        shutil.rmtree(cache, ignore_errors=True)
    return harness.python("bench.git_history", only, str(repository), str(cache))


def _other(name: str, repository: Path, report: Path) -> Callable[[], harness.Cost] | None:
    program = os.environ.get(f"WARDSHIP_BENCH_{name.upper()}", "")
    if not program:
        return None
    place, out = str(repository), str(report)
    command = {
        "kingfisher": ["scan", place, "--git-history", "full", "--no-validate", "--no-update-check", "--confidence",
                       "low", "--format", "json", "--output", out],
        "gitleaks": ["git", "--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path", out, place],
        "betterleaks": ["git", "--silent", "--exit-code", "0", "--output", out, place],
    }[name]  # fmt: skip
    command = [program, *command]
    return lambda: harness.process(command, env=_ENV, allowed=(1, 200, 205))


def _count(name: str, told: str) -> object:
    """How many findings a report has; "-" for git alone."""
    if name.startswith("git alone"):
        return "-"
    if name.startswith("Wardship"):
        return json.loads(told.splitlines()[-1])["exposures"]
    try:
        data = json.loads(told)
    except ValueError:
        return "?"
    return len(data["findings"] if isinstance(data, dict) else data)


def _tell_size(repository: Path) -> None:
    kinds = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectsize)",
         "--unordered"],
        capture_output=True, text=True, check=True, env=_ENV,
    ).stdout  # fmt: skip
    sizes = [int(size) for kind, size in (line.split() for line in kinds.splitlines()) if kind == "blob"]
    commits = kinds.count("commit ")
    print(f"{commits:,} commits, {len(sizes):,} different blobs of {sum(sizes) / 1e6:,.0f} MB")


# ------------------------------------------------------------------ the repository


def build(folder: Path, size_mb: int) -> tuple[Path, list[str]]:
    """A bare repository with about `size_mb` MB of different blobs, and the ids of the keys planted in it."""
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    chance = random.Random(20261122)
    texts = _some(dict(_sources()), (size_mb << 20) // 4, chance)
    planted: list[str] = []
    _import(folder, _commits(texts, size_mb << 20, chance, planted))
    _git(folder, "repack", "-a", "-d", "-q", "--depth=50", "--window=10")
    return folder, planted


def _sources() -> Iterator[tuple[str, bytes]]:
    """Package sources of this machine, by path, none above 200 kB."""
    for name, root in (("stdlib", sysconfig.get_path("stdlib")), ("packages", sysconfig.get_path("purelib"))):
        for file in sorted(Path(root).rglob("*")):
            inside = file.relative_to(root)
            if name == "stdlib" and inside.parts[0] in ("site-packages", "dist-packages"):
                continue
            if file.suffix in _SUFFIXES and file.is_file() and 0 < file.stat().st_size < 200_000:
                yield f"{name}/{inside}", file.read_bytes()


def _some(texts: dict[str, bytes], size: int, chance: random.Random) -> dict[str, bytes]:
    """Files of about `size` bytes altogether: the rest of the history is made of their versions."""
    chosen: dict[str, bytes] = {}
    for path in chance.sample(list(texts), len(texts)):
        if size <= 0:
            break
        chosen[path] = texts[path]
        size -= len(texts[path])
    return chosen


def _commits(
    texts: dict[str, bytes], size: int, chance: random.Random, planted: list[str]
) -> Iterator[dict[str, bytes]]:
    """The files of each commit: first imports in portions, then edits until there are `size` bytes."""
    paths, written, number = list(texts), 0, 0
    for start in range(0, len(paths), 200):
        portion = {path: texts[path] for path in paths[start : start + 200]}
        written += sum(map(len, portion.values()))
        yield portion
    while written < size:
        number += 1
        changed = {path: _edited(texts[path], chance) for path in chance.sample(paths, FILES_A_COMMIT)}
        if number % PLANTED_EVERY == 0:
            key = "AKIA" + "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
            secret = "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=40))
            planted.append(key)
            changed[f"deploy/{number % 7}.env"] = f"aws_access_key_id={key}\naws_secret_access_key={secret}\n".encode()
        texts.update(changed)
        written += sum(map(len, changed.values()))
        yield changed


def _edited(text: bytes, chance: random.Random) -> bytes:
    """A few lines moved, doubled, dropped or renamed, as edits do."""
    lines = text.split(b"\n")
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                lines.insert(at, chance.choice(lines))
            case 1 if len(lines) > 3:
                lines.pop(at)
            case 2:
                lines[at] = lines[at].replace(b"self", b"this%d" % chance.randrange(1000))
            case _:
                lines.insert(at, b"# changed %d" % chance.randrange(10**9))
    return b"\n".join(lines)


def _import(folder: Path, commits: Iterator[dict[str, bytes]]) -> None:
    loader = subprocess.Popen(
        ["git", "-C", str(folder), "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE, env=_ENV
    )
    assert loader.stdin is not None
    out = loader.stdin
    at = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    tip = _git(folder, "for-each-ref", "--format=%(objectname)", "refs/heads/main").strip()
    for number, files in enumerate(commits):
        out.write(b"commit refs/heads/main\ncommitter %s %d +0000\ndata 4\nedit\n" % (_AUTHOR, at + number * 3600))
        if tip and number == 0:
            out.write(b"from %s\n" % tip.encode())
        for path, text in files.items():
            out.write(b'M 100644 inline "%s"\ndata %d\n%s\n' % (path.encode().replace(b'"', b'\\"'), len(text), text))
    out.close()
    if loader.wait():
        raise RuntimeError("git fast-import failed")


def _grow(folder: Path, commits: int) -> None:
    """As many more commits of edits."""
    chance = random.Random(1)
    texts = dict(_sources())

    def more() -> Iterator[dict[str, bytes]]:
        for _ in range(commits):
            yield {path: _edited(texts[path], chance) for path in chance.sample(list(texts), FILES_A_COMMIT)}

    _import(folder, more())


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=_ENV, capture_output=True, text=True, check=True)
    return done.stdout


# ------------------------------------------------------------------ ours, in a process of its own


def _scan(repository: str, cache: str) -> None:
    from functools import partial

    from wardship.connectors.git import connect
    from wardship.model.exposure import Exposure
    from wardship.sdk.connector import Connection
    from wardship.secrets import fingerprint
    from wardship.sim.git import PEPPER

    connection = Connection(
        name="bench",
        connector="git",
        settings={"repositories": repository, "workers": os.environ.get("WARDSHIP_BENCH_GIT_WORKERS", "2")},
        clock=lambda: datetime.now(UTC),
        fingerprint=partial(fingerprint, PEPPER),
        pepper=lambda: PEPPER,
        cache=Path(cache),
    )
    connector = connect(connection)
    (scope,) = connector.scopes()
    found, problems = [], []
    for page in connector.fetch(scope, None):
        problems.extend(page.problems)
        for item in page.items:
            found.extend(record for record in connector.parse(scope, item) if isinstance(record, Exposure))
    if problems:
        raise ValueError(f"the scan is not complete: {problems}")
    said = [(one.uid, one.revision, one.line, one.occurrences, one.in_head) for one in found]
    print(" ".join(one.public_id for one in found if one.public_id))
    print(json.dumps({"exposures": len(found), "digest": harness.digest(said)}))


def _mirror(repository: str, cache: str) -> None:
    from wardship.connectors.git import mirror
    from wardship.connectors.git.process import Git
    from wardship.connectors.git.repository import repositories

    (one,) = repositories(repository)
    mirror.update(Git(folder=Path(cache)), one, token=None, username="", allow_private=False)


if __name__ == "__main__":
    {"scan": _scan, "mirror": _mirror}[sys.argv[1]](sys.argv[2], sys.argv[3])
