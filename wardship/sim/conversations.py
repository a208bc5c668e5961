"""A small Slack export in a temporary folder, for the suite that every connector must pass, and for demonstrations."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection

TEAM = "T0ACMEIBER"
_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


class SlackExport:
    """Writes a workspace export, message by message.

    folder/NAME.zip, or the folder itself when `packed` is False. Days are those of UTC.
    """

    def __init__(self, folder: Path, *, team: str = TEAM, packed: bool = True) -> None:
        self._folder, self._team, self._packed = folder, team, packed
        self._days: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._people: dict[str, str] = {}
        self._stamps: set[str] = set()

    def message(
        self, channel: str, author: str, at: datetime, text: str, *, thread: str | None = None, **more: Any
    ) -> str:
        """Adds one; `author` is an e-mail address. Returns its id (`ts`), which `thread` of a reply may be."""
        person = self._people.setdefault(author, f"U{len(self._people) + 1:08}")
        stamp = next(s for n in range(1, 10**6) if (s := f"{int(at.timestamp())}.{n:06}") not in self._stamps)
        self._stamps.add(stamp)
        entry: dict[str, Any] = {"type": "message", "user": person, "text": text, "ts": stamp, "team": self._team}
        if thread is not None:
            entry["thread_ts"] = thread
        self._days.setdefault((channel, f"{at.astimezone(UTC):%Y-%m-%d}"), []).append({**entry, **more})
        return stamp

    def write(self) -> Path:
        """Where the export is."""
        channels = sorted({channel for channel, _day in self._days})
        files: dict[str, Any] = {
            "channels.json": [{"id": f"C{n:08}", "name": name} for n, name in enumerate(channels)],
            "users.json": [
                {"id": ident, "team_id": self._team, "name": email.partition("@")[0], "profile": {"email": email}}
                for email, ident in self._people.items()
            ],
        }
        for (channel, day), entries in self._days.items():
            files[f"{channel}/{day}.json"] = sorted(entries, key=lambda entry: str(entry["ts"]))
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._packed:
            for name, content in files.items():
                path = self._folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(content, indent=1), "utf-8")
            return self._folder
        path = self._folder / "slack-export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(zipfile.ZipInfo(name), json.dumps(content, indent=1), zipfile.ZIP_DEFLATED)
        return path


def connection(path: Path, name: str, clock: Callable[[], datetime]) -> Connection:
    """A connection to the export at `path`, with fingerprints that are no secret's."""
    return Connection(
        name=name,
        connector="conversations",
        settings={"path": str(path)},
        clock=clock,
        wire=_Files(),
        fingerprint=_fingerprint,
    )


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a freshly written export with secrets in it."""
    folder = tempfile.TemporaryDirectory(prefix="wardship-conversations-")
    _folders.append(folder)
    export = SlackExport(Path(folder.name))
    at = datetime(2026, 3, 4, 9, 14, tzinfo=UTC)
    token = "ghp_" + "Zq7Rk2Wm9Xc4Vb1Nt8Ls3Jh6Gd5Fp0Ya2TeU"[:36]
    root = export.message("ops", "ana@acme-iberica.example", at, "the deploy job is red again, who has a token?")
    export.message("ops", "luis@acme-iberica.example", at + timedelta(minutes=3), f"use {token}", thread=root)
    export.message("ops", "ana@acme-iberica.example", at + timedelta(days=1), f"`{token}` works", thread=root)
    for number in range(1_200):  # more than two pages
        login = f"postgres://svc{number}:" + f"Wq{number:04}Rt{(number * 7919) % 9973:04}Zm"
        address = f"{login}@db{number}.acme-iberica.example/app"
        export.message(f"prod-{number % 3}", "eva@acme-iberica.example", at + timedelta(minutes=number), address)
    return connection(export.write(), "slack", clock)


class _Files:
    """Files need no network."""

    def httpx_transport(self) -> Any:
        raise ConfigError("files speak no HTTP")

    def prepare_botocore(self, session: Any) -> None:
        raise ConfigError(f"files speak no {type(session).__name__}")


def _fingerprint(value: Secret) -> str:
    import hashlib

    return hashlib.sha256(value.reveal().encode()).hexdigest()[:32]
