"""The provider tier: formats that say themselves what they are, from the table `providers.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wardship.model.access import CredentialType

TABLE = Path(__file__).with_name("providers.toml")


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format. `anchors`: texts of which one is in every match, upper and lower case as written."""

    id: str
    title: str
    regex: str
    anchors: tuple[str, ...]
    type: CredentialType
    confidence: float = 0.95
    public: bool = False

    @cached_property
    def expression(self) -> re.Pattern[str]:
        return re.compile(self.regex)


def load() -> list[Format]:
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        Format(**{**one, "anchors": tuple(one["anchors"]), "type": CredentialType(one["type"])})
        for one in table["format"]
    ]


def matches(formats: list[Format], piece: str) -> Iterator[tuple[Format, int, int]]:
    for one in formats:
        if any(anchor in piece for anchor in one.anchors):
            for found in one.expression.finditer(piece):
                yield one, found.start(1), found.end(1)
