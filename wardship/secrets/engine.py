"""The engine: a cheap search over all bytes, then a careful look at the few places that answer."""

from __future__ import annotations

from typing import Protocol

from wardship.secrets.hit import Hit


class Engine(Protocol):
    """Scans texts. One instance may be used for any number of texts, in one thread."""

    version: str
    """Changes when the same bytes could give another answer: what was scanned by another version is scanned again."""

    def scan(self, data: bytes, *, path: str = "") -> list[Hit]:
        """The secrets in `data`, by position; at most one hit for the same bytes. `path` tells the kind of file.

        Never raises for what the bytes are. Binary files give nothing but key material.
        """


def load_engine() -> Engine:
    """The engine with all detectors."""
    raise NotImplementedError  # the detectors come with the next commit
