"""What `Hit.told` let out of a reader, taken back in `parse`: it may have been bent on the way.

item = hit.told(fingerprint(hit.value))      # in the reader: the value ends here
found = Found.of(item)                       # in `parse`: raises DataError for what is no such item
Exposure(..., **found.columns())
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from wardship.model.access import CredentialType
from wardship.model.errors import DataError
from wardship.model.exposure import DetectorTier
from wardship.sdk.fields import Fields

_DETECTOR = re.compile(r"[\w.:-]{1,128}")
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What `Hit.told` said. `line` is 1-based; None where the place has no lines."""

    detector: str
    tier: DetectorTier
    confidence: float
    credential_type: CredentialType
    fingerprint: str | None
    public_id: str | None
    line: int | None
    name: str | None

    @classmethod
    def of(cls, item: Fields) -> Found:
        """Raises DataError for anything that `Hit.told` does not write."""
        confidence = item.raw.get("confidence")
        if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
            raise DataError("a secret without a confidence within 0..1")
        return cls(
            detector=item.matching("detector", _DETECTOR),
            tier=_word(DetectorTier, item.text("tier")),
            confidence=float(confidence),
            credential_type=_word(CredentialType, item.text("type")),
            fingerprint=item.matching("fingerprint", _FINGERPRINT) if item.raw.get("fingerprint") else None,
            public_id=item.text("public_id"),
            line=item.integer("line"),
            name=item.text("name"),
        )

    def columns(self) -> Mapping[str, Any]:
        """The fields of `model.exposure.Exposure` that it fills."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _word(kind: type[_Word], text: str | None) -> _Word:
    try:
        return kind(text or "")
    except ValueError:
        raise DataError(f"{(text or 'nothing')[:40]!r} is no {kind.__name__}") from None
