"""The one place where things are wired together: a workspace, the clock, the connectors and their credentials.

Faces (the CLI) open an `App` and hand it to services. Connections get their own secrets here and no other's.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from wardship.config import resolve_secret
from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk import i18n, registry
from wardship.sdk.connector import Connection
from wardship.sdk.i18n import _
from wardship.services import connect
from wardship.services.reading import Facts
from wardship.services.rule_folders import rule_folders
from wardship.store import facts
from wardship.store.db import Database
from wardship.store.workspace import SETTINGS_FILE, Workspace, find_workspace

if TYPE_CHECKING:
    from wardship.jobs.worker import Worker
    from wardship.services.demo import DemoLog

Clock = Callable[[], datetime]
Progress = Callable[[str], None]


def wall_clock() -> datetime:
    """Now, in UTC: the only reading of the wall clock; everything else is given a clock."""
    return datetime.now(UTC)  # noqa: TID251 - here the clock is made


def _silent(_message: str) -> None:
    """The progress of nobody watching."""


class App:
    """An open workspace with everything that is needed to work in it. A context manager."""

    def __init__(self, workspace: Workspace, clock: Clock, progress: Progress = _silent) -> None:
        self.workspace = workspace
        self.clock = clock
        self.progress = progress
        self.actor = f"cli:{_user()}"
        if workspace.settings.language and not os.environ.get("WARDSHIP_LANGUAGE"):
            i18n.prefer_language(workspace.settings.language)

    @classmethod
    def open(cls, folder: Path | None, *, clock: Clock = wall_clock, progress: Progress = _silent) -> Self:
        """Opens the workspace in `folder`, or the one that is found (`store.workspace.find_workspace`)."""
        return cls(Workspace.open(find_workspace(folder), clock=clock), clock, progress)

    @classmethod
    def create(
        cls,
        folder: Path | None,
        *,
        database_url: str | None = None,
        clock: Clock = wall_clock,
        progress: Progress = _silent,
    ) -> Self:
        """Makes a new workspace in `folder` (default: wardship-workspace, here) and opens it."""
        return cls(Workspace.create(new_folder(folder), database_url, clock=clock), clock, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.workspace.__exit__(kind, error, trace)

    @property
    def db(self) -> Database:
        return self.workspace.db

    @property
    def plugins(self) -> tuple[str, ...]:
        return self.workspace.settings.plugins

    def facts(self) -> Facts:
        """The newest snapshot, open for reading; empty before the first scan."""
        snapshot = facts.latest_snapshot(self.db, self.workspace.facts)
        return Facts(snapshot, rule_folders=rule_folders(self.workspace))

    def connection(self, stored: connect.StoredConnection) -> Connection:
        """The stored connection, ready for its connector: with its own secrets and no other's."""
        return _connection(self, stored.name, stored.connector, stored.settings)

    def ambient(self, connector: str, settings: Mapping[str, str] | None = None) -> Connection:
        """A connection that uses the credentials of this machine's environment; it is not stored."""
        registry.manifest(connector, self.plugins)  # raises for an unknown connector
        return _connection(self, connector, connector, settings or {})


def has_workspace(folder: Path | None) -> bool:
    """Whether `App.open` would find one."""
    return (find_workspace(folder) / SETTINGS_FILE).is_file()


def new_folder(folder: Path | None) -> Path:
    """Where a new workspace goes: as asked, else WARDSHIP_WORKSPACE, else wardship-workspace in this folder."""
    return folder or Path(os.environ.get("WARDSHIP_WORKSPACE") or "wardship-workspace")


def ambient_connection(connector: str, settings: Mapping[str, str], *, clock: Clock = wall_clock) -> Connection:
    """A connection without a workspace: for `connect setup`, which needs none."""
    return Connection(
        name=connector, connector=connector, settings=dict(settings), secret=partial(_secret, {}), clock=clock
    )


def demo_connections(app: App, size: str, *, clean: bool = False) -> Sequence[Connection]:
    """Connections to the made-up organisation: simulated systems that answer as the real ones would.

    `clean`: its twin with good habits and no stories.
    """
    from wardship.sim import organisation, plan

    habits = plan.CLEAN if clean else plan.LIVED_IN
    found = organisation.connections(size, app.clock, app.workspace.tmp, habits=habits)
    return [replace(one, **_of_workspace(app, one.name)) for one in found]


def demo_hook_runs(app: App) -> Path:
    """What the hooks of the made-up organisation left to be collected; `demo_connections` writes it."""
    return app.workspace.tmp / "hook-runs.jsonl"


def demo_logs(app: App) -> Sequence[DemoLog]:
    """The audit logs of the made-up organisation, which `demo_connections` wrote."""
    from wardship.services.demo import DemoLog
    from wardship.sim.demo_logs import HISTORY, LATEST, SOURCES

    return [
        DemoLog(source=source, folder=app.workspace.tmp / place / kind, old=place == HISTORY)
        for place in (HISTORY, LATEST)
        for kind, source in SOURCES.items()
    ]


def worker(app: App) -> Worker:
    """The background worker with every kind of job that there is."""
    from wardship.jobs import periodic, schedule  # its jobs are heavy, and only the worker does them
    from wardship.jobs.worker import Worker

    schedule.put(app.db, periodic.PERIODIC)
    settings = app.workspace.settings.worker
    return Worker(app.db, periodic.handlers(app.workspace), lease_s=settings.lease_s, poll_s=settings.poll_s)


def _connection(app: App, name: str, connector: str, settings: Mapping[str, str]) -> Connection:
    secrets = {setting.name for setting in registry.connectable(connector, app.plugins).settings if setting.secret}
    return Connection(
        name=name,
        connector=connector,
        settings=dict(settings),
        secret=partial(_secret, {key: value for key, value in settings.items() if key in secrets}),
        clock=app.clock,
        **_of_workspace(app, name),
    )


def _of_workspace(app: App, name: str) -> dict[str, Any]:
    """What a workspace lends a connection: who watches, the fingerprint key, and a folder for its cache."""
    return {
        "progress": app.progress,
        "fingerprint": app.workspace.fingerprint,
        "pepper": app.workspace.pepper,
        "cache": app.workspace.cache / name,
    }


def _secret(references: Mapping[str, str], name: str) -> Secret:
    if name not in references:
        raise ConfigError(
            _("this connection has no secret %(name)s") % {"name": name},
            advice=_("give it as a reference: %(name)s=env:NAME or %(name)s=file:/path") % {"name": name},
        )
    return resolve_secret(references[name])


def _user() -> str:
    """Who runs this, for the audit log; the numeric id where the machine knows no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
