"""Small engines for tests of the git connector; the child processes find them by name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.model.secret import Secret
from wardship.secrets import Hit

_TOKEN = re.compile(rb"(?:\b(\w{1,40})=)?tok_([A-Za-z0-9]{8,64})")


class Tokens:
    """Finds tok_XXXXXXXX. In a file whose name holds "blind" it finds nothing: the path takes part."""

    version = "tokens-1"

    def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
        if "blind" in path:
            return []
        return [
            Hit(
                detector="test.token",
                tier=DetectorTier.PROVIDER,
                confidence=0.9,
                type=CredentialType.TOKEN,
                start=found.start(2),
                end=found.end(2),
                line=data.count(b"\n", 0, found.start()) + 1,
                column=found.start(2) - data.rfind(b"\n", 0, found.start(2)),
                value=Secret(found[2].decode()),
                name=found[1].decode() if found[1] else None,
            )
            for found in _TOKEN.finditer(data)
        ]


class Fragile(Tokens):
    """Dies of the word DIE, hangs at HANG, eats memory at EAT, and tries what a sandbox must not allow at PROBE."""

    version = "fragile-1"

    def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
        if b"DIE" in data:
            os._exit(7)
        if b"HANG" in data:
            time.sleep(3600)
        if b"EAT" in data:
            sum(len(held) for held in [bytearray(1 << 28) for _ in range(64)])
        hits = super().scan(data, path=path)
        return [*hits, *self._probed()] if b"PROBE" in data else hits

    def _probed(self) -> list[Hit]:
        return [_told(number + 1, name, attempt) for number, (name, attempt) in enumerate(ATTEMPTS.items())]


def _connect() -> None:
    import socket

    socket.create_connection(("127.0.0.1", 9), timeout=1)


def _run() -> None:
    import subprocess

    subprocess.run(["true"], check=True)


def _write() -> None:
    Path("written").write_text("x")


ATTEMPTS: dict[str, Callable[[], None]] = {
    "connect": _connect,
    "run": _run,
    "write": _write,
    "kill": lambda: os.kill(os.getppid(), 0),
}


def _told(line: int, name: str, attempt: Callable[[], None]) -> Hit:
    """The outcome of an attempt as a hit: its name says what happened."""
    try:
        attempt()
    except PermissionError:
        outcome = "refused"
    except OSError as error:
        outcome = type(error).__name__ + str(error.errno)
    else:
        outcome = "allowed"
    return Hit(
        detector=f"probe.{name}", tier=DetectorTier.GENERIC, confidence=0.5, type=CredentialType.UNKNOWN, start=0,
        end=1, line=line, column=1, value=Secret(f"{name} {outcome}"), name=outcome,
    )  # fmt: skip


def tokens() -> Tokens:
    return Tokens()


def tokens_two() -> Tokens:
    """The same engine in a newer version."""
    engine = Tokens()
    engine.version = "tokens-2"
    return engine


def renamed() -> Tokens:
    """The same version, which reads what is new: it tells a detector by another name."""

    class Renamed(Tokens):
        def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
            return [replace(hit, detector="test.renamed") for hit in super().scan(data, path=path)]

    return Renamed()


def fragile() -> Fragile:
    return Fragile()


def slow() -> Tokens:
    """Takes its time, so that a test can kill the scan in the middle."""

    class Slow(Tokens):
        version = "tokens-1"

        def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
            time.sleep(0.01)
            return super().scan(data, path=path)

    return Slow()
