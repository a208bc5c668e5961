"""Reading one object of a vendor's JSON without trusting it: the id must be usable, the rest may be absent or odd."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from wardship.model.errors import DataError
from wardship.model.identity import MAX_TEXT_CHARS
from wardship.sdk.connector import Drift

_ID = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._~-]{0,255}")  # goes into URLs: nothing that could lead elsewhere
_MAX_NUMBER = 2**63


def clean(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogates, at most MAX_TEXT_CHARS."""
    kept = text[:MAX_TEXT_CHARS].replace("\x00", "")
    return kept if kept.isascii() else kept.encode("utf-8", "replace").decode()


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those that have a value: what is None was not told."""
    return {name: value for name, value in attributes.items() if value is not None}


class Fields:
    """One object. An optional field of the wrong shape counts as drift and reads as not known."""

    __slots__ = ("_drift", "_where", "raw")

    def __init__(self, raw: dict[str, Any], where: str, drift: Drift) -> None:
        self.raw, self._where, self._drift = raw, where, drift

    def _odd(self, name: str, value: Any) -> None:
        if value is not None:
            self._drift.unexpected_shape(f"{self._where}.{name}", type(value).__name__)

    def id(self, name: str = "id") -> str:
        """An id that can be trusted in a key and in a URL. Raises DataError."""
        value = self.raw.get(name)
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise DataError(f"{self._where}: {name} is missing or no id")
        return value

    def number(self, name: str = "id") -> str:
        """A numeric id, as text. Raises DataError."""
        value = self.raw.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX_NUMBER:
            raise DataError(f"{self._where}: {name} is missing or no number")
        return str(value)

    def matching(self, name: str, form: re.Pattern[str]) -> str:
        """A text that has this form as a whole. Raises DataError."""
        value = self.raw.get(name)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise DataError(f"{self._where}: {name} is missing or not of its form")
        return value

    def text(self, name: str) -> str | None:
        """Text without what databases refuse; None when it is absent or empty."""
        value = self.raw.get(name)
        if isinstance(value, str):
            return clean(value) or None
        self._odd(name, value)
        return None

    def flag(self, name: str) -> bool | None:
        value = self.raw.get(name)
        if isinstance(value, bool):
            return value
        self._odd(name, value)
        return None

    def integer(self, name: str) -> int | None:
        value = self.raw.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER:
            return value
        self._odd(name, value)
        return None

    def instant(self, name: str) -> datetime | None:
        """An instant; None when absent, unreadable (drift) or the year 1, as some vendors write "never"."""
        value = self.raw.get(name)
        if isinstance(value, str):
            try:
                at = datetime.fromisoformat(value)
            except ValueError:
                self._drift.unexpected_shape(f"{self._where}.{name}", "not a date")
                return None
            if at.tzinfo is None:
                self._drift.unexpected_shape(f"{self._where}.{name}", "a date without a zone")
                return None
            return at if at.year > 1 else None
        self._odd(name, value)
        return None

    def texts(self, name: str) -> list[str]:
        value = self.raw.get(name)
        if not isinstance(value, list):
            self._odd(name, value)
            return []
        found = [clean(entry) for entry in value if isinstance(entry, str)]
        if len(found) != len(value):
            self._drift.unexpected_shape(f"{self._where}.{name}", "list with odd entries")
        return [entry for entry in found if entry]

    def words(self, name: str) -> dict[str, str]:
        """An object of texts ("contents": "read"); entries of another shape count as drift and are left out."""
        value = self.raw.get(name)
        if not isinstance(value, dict):
            self._odd(name, value)
            return {}
        found = {clean(k): clean(v) for k, v in value.items() if isinstance(k, str) and isinstance(v, str)}
        if len(found) != len(value):
            self._drift.unexpected_shape(f"{self._where}.{name}", "object with odd entries")
        return {key: word for key, word in found.items() if key and word}

    def unknown(self, name: str, value: str) -> None:
        """Counts a word that is not known yet."""
        self._drift.unknown_value(f"{self._where}.{name}", value)

    def child(self, name: str) -> Self | None:
        value = self.raw.get(name)
        if isinstance(value, dict):
            return type(self)(value, f"{self._where}.{name}", self._drift)
        self._odd(name, value)
        return None

    def need(self, name: str) -> Self:
        """An object that must be there. Raises DataError."""
        found = self.child(name)
        if found is None:
            raise DataError(f"{self._where}: {name} is missing")
        return found

    def objects(self, name: str) -> list[Self]:
        """The objects of a list that matters as a whole. Raises DataError: half a list of credentials is a lie."""
        value = self.raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise DataError(f"{self._where}: {name} is no list of objects")
        return [type(self)(entry, f"{self._where}.{name}", self._drift) for entry in value]
