"""A folder for temporary files that goes with the process: killed, the next one clears it away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_PREFIX, _LOCK = "telemetry-", ".lock"


@contextlib.contextmanager
def work_folder(tmp: Path) -> Iterator[Path]:
    """A new folder in `tmp`, private to this user. Folders of processes that are no more are removed first.

    The lock beside it says that its process lives; it is made before the folder and removed after it.
    """
    tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
    _clear(tmp)
    folder = tmp / f"{_PREFIX}{uuid.uuid4().hex[:16]}"
    lock = folder.with_suffix(_LOCK)
    handle = _locked(lock)
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(lock)
        os.close(handle)


def _locked(lock: Path) -> int:
    """A new file, locked. Who clears away may have been quicker, and taken it for one that was left: then another."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)


def _clear(tmp: Path) -> None:
    for lock in tmp.glob(f"{_PREFIX}*{_LOCK}"):
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another process clears it just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            if os.fstat(handle).st_nlink:  # else another was quicker, and the name may be somebody's again
                _remove(lock)
        finally:
            os.close(handle)


def _remove(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
