"""A workspace: one folder (or one folder and one PostgreSQL database), one client, one set of keys, one audit log.

    workspace.yaml      the settings
    state.db            the state, where no PostgreSQL is named
    facts/              fact snapshots (Parquet)
    activity/           events of audit logs (Parquet), and the records of them that could not be read
    keys/               signing keys of the audit log, and the fingerprint key; readable by the owner only
    checkpoints.jsonl   copies of the signed checkpoints: they tell when the database comes back older
    exports/  tmp/      what people asked for; what may be deleted at any time
    cache/              what connectors keep to read less the next time; may be deleted. It holds no secret but in the
                        mirrors of git repositories, which hold what those hold (setting keep_mirror)

Copying the folder copies the workspace; deleting it leaves nothing behind. The settings are those of `wardship.config`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from wardship.config import Settings, is_reference, load_settings, parse_settings, resolve_secret
from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.i18n import _
from wardship.store import checkpoint, keys, migrations
from wardship.store.db import Database

SETTINGS_FILE = "workspace.yaml"
_FOLDERS = ("facts", "exports", "tmp", "cache")
_DEFAULT_NAME = "wardship-workspace"

_NEW_SETTINGS = """\
# Settings of this Wardship workspace: `wardship doctor` shows them with their effect, docs/settings.md explains them.
# Secrets are never written here: name where they are (env:NAME, file:/path).
"""
# A scan of the repository that one stands in makes its workspace there: `git add .` must not take keys along.
_GITIGNORE = """\
# Keys, state and copies are no part of a repository; your own rules may be.
*
!/rules/
!/rules/**
"""


class Workspace:
    """An open workspace. Use `create` or `open`; close it with `close` or `with`."""

    def __init__(self, path: Path, settings: Settings, db: Database) -> None:
        self.path = path
        self.settings = settings
        self.db = db
        self._pepper: Secret | None = None

    @classmethod
    def create(cls, path: Path, database_url: str | None = None, *, clock: Callable[[], datetime]) -> Self:
        """Makes the folder with keys and an empty, current database, and opens it.

        `database_url`: a reference to a PostgreSQL URL (or one without a password); None = SQLite in the folder. Raises
        ConfigError when there is a workspace already.
        """
        path = path.expanduser().absolute()
        if (path / SETTINGS_FILE).exists():
            raise ConfigError(
                _("there is a workspace in %(path)s already") % {"path": path},
                advice=_("use it as it is, or choose another folder with --workspace"),
            )
        text = _NEW_SETTINGS + (f"database_url: {_quoted(database_url)}\n" if database_url else "")
        settings = parse_settings(text, path / SETTINGS_FILE)  # before anything is written: it may hold a password
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not any(path.iterdir()):  # in a folder that is in use it would hide what is the user's
                (path / ".gitignore").write_text(_GITIGNORE, encoding="utf-8")
            for name in _FOLDERS:
                (path / name).mkdir(exist_ok=True, mode=0o700)
            (path / "keys").mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                _("the folder %(path)s cannot be made: %(reason)s") % {"path": path, "reason": error.strerror},
                advice=_("choose a folder that you may write, with --workspace"),
            ) from None
        # A run that was killed may have left keys: they are kept, they may have signed something.
        if not (path / "keys" / "pepper").exists():
            keys.create_pepper(path / "keys" / "pepper")
        keys.SigningKeys.ensure(path / "keys")
        db = _database(path, settings, clock)
        try:
            migrations.migrate(db)
        except BaseException:
            db.close()
            raise
        partial = path / "tmp" / SETTINGS_FILE
        partial.write_text(text, encoding="utf-8")
        partial.replace(path / SETTINGS_FILE)  # last: a folder with this file is a whole workspace
        return cls(path, settings, db)

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], datetime]) -> Self:
        """Opens the workspace in `path`, bringing an older database up to date.

        Raises ConfigError: no workspace there, settings wrong, database made by a newer Wardship.
        """
        path = path.expanduser().absolute()
        if not (path / SETTINGS_FILE).is_file():
            raise ConfigError(
                _("there is no workspace in %(path)s") % {"path": path},
                advice=_("make one with `wardship init`, or name another with --workspace or WARDSHIP_WORKSPACE"),
            )
        settings = load_settings(path / SETTINGS_FILE)
        db = _database(path, settings, clock, existing=True)
        try:
            migrations.bring_up_to_date(db)
        except BaseException:
            db.close()
            raise
        return cls(path, settings, db)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.db.close()  # what went wrong is told, not covered by a second error

    @property
    def facts(self) -> Path:
        return self.path / "facts"

    @property
    def activity(self) -> Path:
        return self.path / "activity"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def checkpoint_copies(self) -> tuple[Path, ...]:
        """Where checkpoints are copied to: the folder, for databases that come back older, and where the settings say
        (a relative path is in the folder)."""
        elsewhere = self.settings.audit.checkpoint_copy
        own = self.path / "checkpoints.jsonl"
        return (own, self.path / elsewhere.expanduser()) if elsewhere else (own,)

    def pepper(self) -> Secret:
        """The key of the fingerprints, as hex text. Raises ConfigError: missing, damaged, or readable by others."""
        if self._pepper is None:
            self._pepper = Secret(keys.load_pepper(self.keys / "pepper").hex())
        return self._pepper

    def fingerprint(self, value: Secret) -> str:
        """The keyed fingerprint of a secret (`wardship.secrets.fingerprint`), its own in each workspace."""
        from wardship.secrets import fingerprint  # with it comes the engine, which most commands do without

        return fingerprint(self.pepper(), value)

    def checkpoint(self) -> checkpoint.Checkpoint | None:
        """Signs the audit log as it is now (`store.checkpoint.take`); None when nothing was added."""
        return checkpoint.take(self.db, keys.SigningKeys.load(self.keys), self.checkpoint_copies)

    def close(self) -> None:
        """Signs what was written since it was opened, and closes the database."""
        try:
            if self.db.audited:
                self.checkpoint()
        finally:
            self.db.close()


def find_workspace(
    explicit: Path | None = None, *, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Path:
    """The folder to use, first found: `explicit`, WARDSHIP_WORKSPACE, the current folder or one above it that is a
    workspace or holds `wardship-workspace`, the user's data folder (~/.local/share/wardship).

    The last is returned also when no workspace is there yet: `open` then says what to do.
    """
    env = os.environ if environ is None else environ
    if explicit:
        return explicit
    if env.get("WARDSHIP_WORKSPACE"):
        return Path(env["WARDSHIP_WORKSPACE"])
    here = (cwd or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        for candidate in (folder, folder / _DEFAULT_NAME):
            if (candidate / SETTINGS_FILE).is_file():
                return candidate
    data = env.get("XDG_DATA_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".local" / "share")
    return Path(data) / "wardship"


def _database(path: Path, settings: Settings, clock: Callable[[], datetime], *, existing: bool = False) -> Database:
    url = settings.database_url
    if url is None:
        file = path / "state.db"
        if existing and not file.exists():
            raise ConfigError(
                _("the database %(path)s is missing") % {"path": file},
                advice=_("restore it from a backup; an empty one in its place would hide what was known"),
            )
        file.touch(mode=0o600)  # SQLite gives its side files the same mode
        return Database(f"sqlite:///{file}", clock=clock)
    return Database(resolve_secret(url).reveal() if is_reference(url) else url, clock=clock)


def _quoted(text: str) -> str:
    """A YAML single-quoted scalar."""
    return "'" + text.replace("'", "''") + "'"
