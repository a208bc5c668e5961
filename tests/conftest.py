"""Fixtures that every test may use: a clock, databases of every kind we claim, and real servers.

Where CI=true a server that does not start, or a program that is missing, is a failure; elsewhere a skip that says why.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

from tests.servers.samba import Samba
from wardship.store import tables
from wardship.store.db import Database

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
pytest_plugins = ["pytester", "tests.contract.fixtures"]
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def server(name: str) -> str:
    """Starts tests/servers/NAME.sh (or finds it running) and returns the last line it prints: its URL."""
    script = ROOT / "tests" / "servers" / f"{name}.sh"
    done = subprocess.run(["bash", str(script), "start"], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        _missing(f"{name} did not start: {reason}")
    return done.stdout.strip().splitlines()[-1]


def program(name: str, package: str) -> str:
    """The path of a program of the Debian package `package`, which `scripts/setup.sh test` installs."""
    path = shutil.which(name)
    if path is None:
        _missing(f"{name} is not installed: apt-get install {package}")
    return str(path)


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of contracts and labelled data beside the project; absent in a user's clone."""
    if not SHARED.is_dir():
        pytest.skip("not checked: ../shared (contracts and labelled data) is not present")
    return SHARED


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return server("postgres")


@pytest.fixture(scope="session")
def openbao_url() -> str:
    return server("openbao")


@pytest.fixture(scope="session")
def moto_url() -> str:
    return server("moto")


@pytest.fixture(scope="session")
def ministack_url() -> str:
    return server("ministack")


@pytest.fixture(scope="session")
def spark_url() -> str:
    return server("spark")


@pytest.fixture(scope="session")
def samba() -> Samba:
    """A domain controller; only root can have one, in CI too."""
    if os.geteuid():
        pytest.skip("a Samba domain controller needs root")
    return Samba(Path(server("samba")))


@pytest.fixture
def clock() -> Callable[[], datetime]:
    return lambda: NOW


ENGINES = ("sqlite", "postgresql")


@contextlib.contextmanager
def _new_postgresql(base: str, template: str) -> Iterator[str]:
    """The URL of a new database made from `template`, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(sa.make_url(base).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql(f'create database "{name}" template "{template}"')
    yield sa.make_url(base).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as conn:
        conn.exec_driver_sql(f'drop database if exists "{name}" with (force)')
    admin.dispose()


def _create_tables(url: str) -> None:
    db = Database(url, clock=lambda: NOW)
    with db.bookkeep() as conn:
        tables.metadata.create_all(conn)
    db.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied: quicker than making 40 tables for each test."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    _create_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_template(postgres_url: str) -> Iterator[str]:
    """The name of a PostgreSQL database with all tables, to be used as a template."""
    with _new_postgresql(postgres_url, "template0") as url:
        _create_tables(url)
        yield str(sa.make_url(url).database)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind; PostgreSQL ones are dropped afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
        return
    with _new_postgresql(request.getfixturevalue("postgres_url"), "template0") as url:
        yield url


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[Database]:
    """A state database with all tables, on SQLite and on PostgreSQL."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "state.db")
            url = f"sqlite:///{tmp_path}/state.db"
        else:
            template = request.getfixturevalue("postgresql_template")
            url = stack.enter_context(_new_postgresql(request.getfixturevalue("postgres_url"), template))
        db = Database(url, clock=clock)
        stack.callback(db.close)
        yield db
