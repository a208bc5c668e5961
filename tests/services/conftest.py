"""One small demo organisation, read once by the real connectors; a test that changes it takes a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NOW
from wardship.app import App
from wardship.sdk.i18n import use_language


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never opened for writing after it was made: copy it, or read it through `demo`."""
    from wardship.app import demo_connections
    from wardship.services import evaluate, scan

    folder = tmp_path_factory.mktemp("services") / "acme"
    with App.create(folder, clock=lambda: NOW) as app:
        for connection in demo_connections(app, "s"):
            assert scan.read(app.workspace, connection, app.actor, judge=False).error is None
        evaluate.again(app.workspace, actor=app.actor)
    return folder


@pytest.fixture(scope="session")
def demo(demo_folder: Path) -> Iterator[App]:
    """The demo, to be read."""
    with App.open(demo_folder, clock=lambda: NOW) as app:
        yield app


@pytest.fixture
def own_demo(demo_folder: Path, tmp_path: Path) -> Iterator[App]:
    """A copy of the demo that a test may change."""
    shutil.copytree(demo_folder, tmp_path / "acme")
    with App.open(tmp_path / "acme", clock=lambda: NOW) as app:
        yield app
