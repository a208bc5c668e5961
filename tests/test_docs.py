"""The documentation says what the program does: generated pages are current, links and named files exist."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from wardship.sdk import registry
from wardship.sdk.detection import load_detections
from wardship.sdk.log_mapping import shipped_names
from wardship.sdk.rule import load_rules

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _script(name: str):  # type: ignore[no-untyped-def]  # a module, loaded from a file that is no package
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_every_connector_and_log_is_current() -> None:
    for path, text in _script("pages").pages().items():
        assert path.exists(), f"{path.name} is missing: python scripts/pages.py"
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: python scripts/pages.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)  # in code, a regular expression looks alike
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_make_target_that_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z0-9-]+)", page.read_text(encoding="utf-8")))
        assert named <= targets, f"{page.relative_to(ROOT)} names {named - targets}"


def test_the_readme_counts_right() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    declared = len(shipped_names())
    assert f"by {len(load_rules())} rules" in text
    assert f"reads {len(registry.source_names()) - declared} kinds of **audit logs**" in text
    assert f"and {declared} more by declared mappings" in text
    assert f"{len(load_detections())} detections" in text


def test_every_direct_dependency_has_its_line_of_why() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [
        *project["project"]["dependencies"],
        *(one for name, extra in project["project"]["optional-dependencies"].items() if name != "all" for one in extra),
        *project["dependency-groups"]["dev"],
    ]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for requirement in named:
        package = re.split(r"[\[>=<]", requirement)[0]
        assert package in page or package.startswith("types-"), f"docs/dependencies.md does not say why {package}"


def _shown_commands() -> list[str]:
    """Every `wardship ...` line of an indented or fenced block in the pages that people write."""
    written = [
        page for page in PAGES if page.parent.name not in {"rules", "connectors", "adr"} and page.name != "cli.md"
    ]
    texts = [
        re.sub(r" \\\n\s*", " ", page.read_text(encoding="utf-8")) for page in written
    ]  # a line may go on in the next
    lines = [line.strip() for text in texts for line in text.splitlines()]
    commands = [re.sub(r"^(\$ |\.venv/bin/)+", "", line).split("  #")[0].strip() for line in lines]
    return sorted({command for command in commands if re.match(r"wardship [a-z-]", command) and "`" not in command})


@pytest.mark.parametrize("command", _shown_commands())
def test_every_command_that_the_docs_show_exists_with_its_options(command: str) -> None:
    from wardship.cli.main import main

    words = shlex.split(command)[1:]
    with pytest.raises(SystemExit) as left:
        sys.exit(main([*words, "--help"]))
    assert left.value.code == 0


def test_no_page_names_a_path_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/root/|/home/\w", page.read_text(encoding="utf-8")), page.name


def test_the_readme_shows_the_programs_own_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wardship", "--language", "en", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("\n```")[0]
    assert shown.split() == done.stdout.replace("python -m wardship", "wardship").split()
