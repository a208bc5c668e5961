"""Feeds blobs to sandboxed children and takes back what they found; one bad blob costs that blob and nothing else."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from wardship.connectors.git.child import BATCH_BITS, COUNTER
from wardship.connectors.git.process import Git, end
from wardship.model.errors import Unavailable
from wardship.model.secret import Secret
from wardship.sdk.i18n import _

BLOB_S = 60.0  # that one blob may take
START_S = 120.0
BATCH = 256
MAX_DEATHS = 100  # of one scan; what is left then is not read, and said so
BATCH_CHARS = 24_000  # of a batch as JSON: what a child has ahead fits into its pipe, so we never wait for it
_AHEAD = 2  # batches that a child has at once: it never waits for us

Pair = tuple[str, bytes]  # blob and path
Item = tuple[str, bytes, int]  # blob, path, and under how many paths the blob is asked for
Finding = tuple[str, bytes, str, dict[str, Any]]  # blob, path, kind, body
Record = Callable[[Sequence[Pair], Sequence[Finding]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What every child is told."""

    git: Git
    engine: str  # "module:function" that makes the engine
    pepper: Secret
    max_blob: int  # bytes
    blob_s: float = BLOB_S


@dataclass(slots=True)
class Pool:
    """Up to `workers` children. A context manager; all of them end with it."""

    order: Order
    workers: int
    version: str = ""  # of the engine, once a child runs
    deaths: int = 0
    _children: list[_Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._children.append(_Child(self.order))
        self.version = self._children[0].version
        return self

    def __exit__(self, *_error: object) -> None:
        for child in self._children:
            child.stop()
        self._children.clear()

    def scan(self, items: Iterable[Item], record: Record) -> None:
        """Reads (blob, path, copies); hands every batch that is done to `record` (pairs read, what they gave)."""
        batches = _batched(items)
        again: deque[list[Item]] = deque()
        with selectors.DefaultSelector() as ready:
            for child in self._children:
                ready.register(child.output, selectors.EVENT_READ, child)
            while True:
                if self.deaths >= MAX_DEATHS:
                    for left in (*again, *batches):
                        record([], [_died(item) for item in left])
                    again.clear()
                for child in self._children:
                    while len(child.queue) < _AHEAD and (batch := again.popleft() if again else next(batches, None)):
                        child.give(batch)
                if len(self._children) < self.workers and all(len(c.queue) >= _AHEAD for c in self._children):
                    child = _Child(self.order)
                    self._children.append(child)
                    ready.register(child.output, selectors.EVENT_READ, child)
                    continue
                busy = [child for child in self._children if child.queue]
                if not busy:
                    return
                for key, _events in ready.select(timeout=1.0):
                    key.data.take(record)
                for child in busy:
                    if child.queue and (child.over or child.stuck(self.order.blob_s)):
                        ready.unregister(child.output)
                        self._children.remove(child)
                        again.extend(self._buried(child, record))
                        replacement = _Child(self.order)
                        self._children.append(replacement)
                        ready.register(replacement.output, selectors.EVENT_READ, replacement)

    def value(self, blob: str, path: str, fingerprint: str) -> Secret | None:
        """The value with this fingerprint in a blob."""
        told = self._children[0].ask({"blob": blob, "path": path, "fingerprint": fingerprint})
        value = told.get("value")
        return Secret(value) if isinstance(value, str) else None

    def _buried(self, child: _Child, record: Record) -> Iterator[list[Item]]:
        """What a dead child leaves to be read, without the blob that it died of."""
        child.kill()
        child.take(record)  # what it said before
        self.deaths += 1
        waiting = list(child.queue)
        index = child.index() if waiting else 0
        child.stop()
        if not waiting:
            return
        first, *rest = waiting
        record([], [_died(first.pop(index))])
        if first:
            yield first
        yield from rest


class _Child:
    """One running child and the batches that it has not answered yet."""

    def __init__(self, order: Order) -> None:
        shared = os.memfd_create("counter")
        os.ftruncate(shared, COUNTER.size)
        self._counter = mmap.mmap(shared, COUNTER.size)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "wardship.connectors.git.child", str(shared)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[shared],
            start_new_session=True,
            cwd=order.git.folder,  # never a folder whose files Python might take for its own
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ},
        )
        os.close(shared)
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - for the types
        self._input, self.output = self._process.stdin, self._process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.queue: deque[list[Item]] = deque()
        self.over = False
        self._buffer = b""
        self._answered = 0
        self._seen, self._since = -1, time.monotonic()
        told = self.ask(
            {
                "engine": order.engine,
                "pepper": order.pepper.reveal(),
                "mirror": str(order.git.mirror),
                "environment": order.git.environment(),
                "max_blob": order.max_blob,
            }
        )
        self.version = str(told["engine"])

    def give(self, batch: list[Item]) -> None:
        if not self.queue:
            self._since = time.monotonic()
        self.queue.append(batch)
        self._write([[blob, shown(path), copies] for blob, path, copies in batch])

    def take(self, record: Record) -> None:
        """Hands over the answers that have come."""
        for line in self._lines():
            batch = self.queue.popleft()
            self._answered += 1
            self._since = time.monotonic()
            found = [(batch[index][0], batch[index][1], kind, body) for index, kind, body in json.loads(line)]
            record([(blob, path) for blob, path, _copies in batch], found)

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """One question and its answer. Raises Unavailable: it ended or is silent."""
        self._write(message)
        until = time.monotonic() + START_S
        with selectors.DefaultSelector() as ready:
            ready.register(self.output, selectors.EVENT_READ)
            while time.monotonic() < until and not self.over:
                ready.select(timeout=1.0)
                for line in self._lines():
                    return dict(json.loads(line))
        self.stop()
        raise Unavailable(
            _("the process that searches files does not start"),
            system="git",
            operation="scan",
            advice=_("it needs 3 GB of address space and leave to start processes; see `ulimit -a`, then scan again"),
        )

    def index(self) -> int:
        """Where in its first batch the child was."""
        seen = COUNTER.unpack_from(self._counter, 0)[0]
        batch, index = seen >> BATCH_BITS, seen & ((1 << BATCH_BITS) - 1)
        return min(index, len(self.queue[0]) - 1) if batch == self._answered else 0

    def stuck(self, seconds: float) -> bool:
        """Whether it has been at the same blob for too long."""
        seen = COUNTER.unpack_from(self._counter, 0)[0]
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return time.monotonic() - self._since > seconds

    def kill(self) -> None:
        end(self._process)

    def stop(self) -> None:
        end(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
        self._counter.close()

    def _write(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is over, which its output tells
            self._input.write(json.dumps(message).encode("ascii") + b"\n")
            self._input.flush()

    def _lines(self) -> Iterator[bytes]:
        with contextlib.suppress(BlockingIOError):
            while block := os.read(self.output, 1 << 20):
                self._buffer += block
            self.over = True
        *lines, self._buffer = self._buffer.split(b"\n")
        yield from lines


def shown(path: bytes) -> str:
    """A path as text: what is no UTF-8 becomes visible escapes."""
    return path.decode("utf-8", "backslashreplace")


def _died(item: Item) -> Finding:
    blob, path, _copies = item
    return blob, path, "skipped", {"reason": "died"}


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        length = len(json.dumps(shown(item[1]))) + len(item[0]) + 32
        if batch and (len(batch) >= BATCH or size + length > BATCH_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
