"""One answer of Vault's: `sdk.fields`, and the forms in which Go writes times, lengths of time and lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wardship.model.errors import DataError
from wardship.sdk import fields
from wardship.sdk.connector import Drift
from wardship.sdk.fields import clean

_FRACTION = re.compile(r"\.(\d{6})\d+")  # Go writes nanoseconds
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_MANY = 100  # names, addresses and claims kept of one list


class Fields(fields.Fields):
    """One object. An optional field of the wrong shape counts as drift and reads as not known."""

    __slots__ = ()

    def __init__(self, raw: Any, where: str, drift: Drift) -> None:
        """Raises DataError for what is no object."""
        if not isinstance(raw, dict):
            raise DataError(f"{where}: no object")
        super().__init__(raw, where, drift)

    def key(self, name: str) -> str:
        """Text that must be there and can stand in a key. Raises DataError."""
        value = self.raw.get(name)
        if not isinstance(value, str) or not value or clean(value) != value:
            raise DataError(f"{self._where}: {name} is missing or no usable text")
        return value

    def seconds(self, name: str) -> int | None:
        """A length of time in seconds; Vault writes it as a number, or as Go does ("1h30m")."""
        value = self.raw.get(name)
        if isinstance(value, str) and value:
            if value.isdecimal() and len(value) < 19:
                return int(value)
            parts = _DURATION.findall(value[:64])
            if "".join(number + unit for number, unit in parts) == value:
                return int(sum(float(number) * _UNIT_S[unit] for number, unit in parts))
        return self.integer(name) if value != "" else None

    def instant(self, name: str) -> datetime | None:
        """An instant, from RFC 3339 or Unix seconds; None when absent, unreadable (drift) or Go's zero, the year 1."""
        value = self.raw.get(name)
        try:
            if isinstance(value, str) and value:
                at = datetime.fromisoformat(_FRACTION.sub(r".\1", value[:64]))
                if at.tzinfo is not None:
                    return at.astimezone(UTC) if at.year > 1 else None
            elif isinstance(value, int) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC) if value > 0 else None
        except (ValueError, OverflowError, OSError):
            pass
        if value not in (None, ""):
            self._drift.unexpected_shape(f"{self._where}.{name}", "not an instant")
        return None

    def without_end(self, name: str) -> bool | None:
        """True: Vault says that it never ends, with null or with Go's zero, the year 1. False: it ends, at
        `instant(name)`. None: it says nothing that can be read."""
        if self.instant(name) is not None:
            return False
        value = self.raw.get(name, "")
        return True if value is None or str(value).startswith("0001-01-01T00:00:00") else None

    def texts(self, name: str) -> list[str]:
        """The texts of a list (or the one text that stands for it), the first hundred."""
        value = self.raw.get(name)
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            self._odd(name, value)
            return []
        found = [clean(entry) for entry in value[:_MANY] if isinstance(entry, str)]
        if len(found) != len(value[:_MANY]):
            self._drift.unexpected_shape(f"{self._where}.{name}", "list with odd entries")
        return [entry for entry in found if entry]

    def tags(self, name: str) -> dict[str, str]:
        """The free words that people wrote on it: metadata, custom_metadata."""
        value = self.raw.get(name)
        if not isinstance(value, dict):
            self._odd(name, value)
            return {}
        return {
            clean(key): clean(word)
            for key, word in sorted(value.items(), key=lambda pair: str(pair[0]))[:_MANY]
            if isinstance(key, str) and isinstance(word, str) and key
        }


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of them: neither None nor empty. False and 0 say something and stay."""
    return {name: value for name, value in attributes.items() if value not in (None, "", [], {})}
