"""Whoever switches a check off says why, beside it; and no test is left out or expected to fail without a word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [path for folder in ("wardship", "tests", "bench", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))]

NOQA = re.compile(r"#\s*(?:ruff: )?noqa\b(?P<rest>[^\n]*)")
IGNORED = re.compile(r"#\s*type: ignore(?P<codes>\[[a-z, -]+\])?(?P<rest>[^\n]*)")
LEFT_OUT = re.compile(r"mark\.(?:skip|skipif|xfail)\b(?!\([^\n]*reason=)|\bpytest\.(?:skip|xfail)\(\s*\)")


def unexplained(text: str) -> list[str]:
    """The lines of a module that switch something off and do not say why."""
    found = []
    for line in text.splitlines():
        if (noqa := NOQA.search(line)) and not re.match(r": [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)* +[-#] *\S", noqa["rest"]):
            found.append(line.strip())
        if (ignored := IGNORED.search(line)) and not (ignored["codes"] and re.match(r" +# *\S", ignored["rest"])):
            found.append(line.strip())
        if LEFT_OUT.search(line):
            found.append(line.strip())
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_switched_off_says_why(path: Path) -> None:
    if path != Path(__file__):
        assert unexplained(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x = 1  # noqa", False),
        ("x = 1  # noqa: S608", False),
        ("x = 1  # noqa: S608 - our names", True),
        ("# ruff: noqa: S608 - our names", True),
        ("x = y  # type: ignore", False),
        ("x = y  # type: ignore[arg-type]", False),
        ("x = y  # type: ignore[arg-type]  # made up", True),
        ("@pytest.mark.xfail", False),
        ("@pytest.mark.skipif(ROOT, reason='no bash')", True),
        ("    pytest.skip()", False),
    ],
)
def test_the_check_itself_sees_them(line: str, told: bool) -> None:
    assert (unexplained(line) == []) is told
