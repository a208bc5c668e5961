"""Every record, ours or another library's, is one redacted JSON line; nothing is shown before `setup`."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from wardship.sdk import log


@pytest.fixture
def untouched_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_all_logging_ends_as_redacted_json_lines(untouched_root: None) -> None:
    stream = io.StringIO()
    log.setup(logging.INFO, stream=stream)
    log.logger("wardship.x").info("scan.done", rows=3, password="hunter2")
    logging.getLogger("somebody.else").warning("Authorization: Bearer %s\nsecond line", "abcdefghijklmnop")
    logging.getLogger("httpx").info("HTTP Request: GET https://x/?token=abcdef")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["scan.done", "Authorization: *** ***\nsecond line"]
    assert lines[0]["rows"] == 3
    assert lines[0]["password"] == "***"
    assert lines[0]["logger"] == "wardship.x"
    assert lines[0]["timestamp"].endswith("Z")


def test_a_traceback_shows_no_local_variables(untouched_root: None) -> None:
    stream = io.StringIO()
    log.setup(stream=stream)
    local = "canary-in-a-local"
    try:
        _ = {}[len(local)]
    except KeyError:
        log.logger("wardship.x").exception("failed")
    assert "KeyError" in stream.getvalue()
    assert "canary" not in stream.getvalue().replace('local = "canary-in-a-local"', "")


def test_nothing_under_warning_is_shown_before_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    log.logger("wardship.quiet").info("hidden")
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""
