"""Where things of an organisation stand: the authorities of its systems and the forms of its names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wardship.sdk.fields import Fields

PUBLIC_HOST = "github.com"
REPOSITORY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")  # of a secret or variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """One organisation. `host` is the one that people know ("github.com"), `issuer` signs its workflows' tokens."""

    organisation: str  # the login, in lower case
    host: str
    issuer: str

    @property
    def authority(self) -> str:
        return self.of_repository(self.organisation)

    def of_repository(self, name: str) -> str:
        """The authority of a repository ("acme/shop"), as of the organisation ("acme")."""
        return f"github:{name}" if self.host == PUBLIC_HOST else f"github:{self.host}/{name}"

    def place(self, item: Fields) -> str:
        """ "acme/shop", or the organisation where the item names no repository. Raises DataError."""
        if item.raw.get("repository") is None:
            return self.organisation
        return item.matching("repository", REPOSITORY).lower()
