"""One object of Microsoft Graph: `sdk.fields`, and the type that it may name."""

from __future__ import annotations

from wardship.sdk import fields
from wardship.sdk.fields import clean

__all__ = ["Fields", "clean"]


class Fields(fields.Fields):
    __slots__ = ()

    def odata_type(self) -> str | None:
        value = self.raw.get("@odata.type")
        return value if isinstance(value, str) else None
