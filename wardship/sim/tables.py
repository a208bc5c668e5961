"""Rows of a simulated system, and the lag after which others see what was written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]


class Table:
    """Rows by key. A reader sees each row as it was `lag_s` seconds ago; who writes sees the newest.

    Rows go in and come out as copies: nobody changes the state but through here.
    """

    def __init__(self, name: str, *, key: str, clock: Callable[[], datetime], lag_s: Callable[[], float]) -> None:
        self.name, self.key = name, key
        self._clock, self._lag_s = clock, lag_s
        self._versions: dict[str, list[tuple[datetime | None, Row | None]]] = {}  # None = since ever; None = deleted

    def seed(self, row: Row) -> None:
        """Puts a row in that has always been there."""
        self._versions[str(row[self.key])] = [(None, copy.deepcopy(row))]

    def put(self, row: Row) -> Row:
        """Writes a row now, new or instead of the old."""
        self._versions.setdefault(str(row[self.key]), []).append((self._clock(), copy.deepcopy(row)))
        return copy.deepcopy(row)

    def update(self, key: str, changes: Mapping[str, Any]) -> Row:
        """Sets fields of the newest version. Raises KeyError when it is gone."""
        row = self.current(key)
        if row is None:
            raise KeyError(key)
        return self.put({**row, **changes})

    def remove(self, key: str) -> None:
        self._versions.setdefault(key, []).append((self._clock(), None))

    def current(self, key: str) -> Row | None:
        """The newest version, whatever the lag; None: gone or never there."""
        versions = self._versions.get(key)
        return copy.deepcopy(versions[-1][1]) if versions else None

    def visible_one(self, key: str) -> Row | None:
        """The row as readers see it now."""
        return copy.deepcopy(self._seen(self._versions.get(key, [])))

    def visible(self) -> list[Row]:
        """All rows as readers see them now, in the order in which they first came."""
        seen = (self._seen(versions) for versions in self._versions.values())
        return [copy.deepcopy(row) for row in seen if row is not None]

    def _seen(self, versions: list[tuple[datetime | None, Row | None]]) -> Row | None:
        horizon = self._clock() - timedelta(seconds=self._lag_s())
        for at, row in reversed(versions):
            if at is None or at <= horizon:
                return row
        return None

    def __len__(self) -> int:
        return len(self.visible())
