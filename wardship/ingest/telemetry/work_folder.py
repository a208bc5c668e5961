"""A folder for one import's temporary files, which goes with the process: killed, the next one clears it away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "telemetry-"


@contextlib.contextmanager
def work_folder(tmp: Path) -> Iterator[Path]:
    """A new folder in `tmp`, private to this user. Folders of processes that are no more are removed first."""
    tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
    _clear(tmp)
    folder = tmp / f"{_PREFIX}{uuid.uuid4().hex[:16]}"
    folder.mkdir(mode=0o700)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _clear(tmp: Path) -> None:
    for folder in tmp.glob(f"{_PREFIX}*"):
        try:
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # just being made, or just being removed
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
