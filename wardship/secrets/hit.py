"""One secret found in a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.model.secret import Secret

_MAX_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Where and what. `start` and `end` are byte offsets of the value in the scanned data; `line` and `column` 1-based.

    `confidence` is calibrated: of the hits with 0.9, nine in ten are secrets on labelled data (docs/verified.md).
    `public_id` is what may be shown of it: an AWS key id, the SHA256 of a key pair, a thumbprint; None: nothing.
    """

    detector: str
    tier: DetectorTier
    confidence: float
    type: CredentialType
    start: int
    end: int
    line: int
    column: int
    value: Secret
    name: str | None = None  # the variable, key or element that holds it
    public_id: str | None = None

    def told(self, fingerprint: str | None) -> dict[str, Any]:
        """Everything but the value, as JSON: what leaves a reader, and `finding.Found` takes back.

        `fingerprint` None: the value is too short for one.
        """
        return {
            "detector": self.detector,
            "tier": self.tier.value,
            "confidence": self.confidence,
            "type": self.type.value,
            "line": self.line,
            "column": self.column,
            "fingerprint": fingerprint,
            "public_id": self.public_id,
            "name": self.name[:_MAX_NAME] if self.name else None,
        }
