"""What a route of a simulated system is given, and what it may give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx


class Refuse(Exception):
    """The system refuses: HTTP status, the vendor's code, its sentence."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route gives back when a plain JSON body with status 200 will not do. `body` None: no body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as a route sees it. `path` holds the values of the template's {names}."""

    method: str
    template: str
    url: httpx.URL
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any  # JSON value, form as a dict, or None
    client: str  # whom the token belongs to; "" on public routes
    now: datetime
    page_cap: int | None = None  # the system gives at most so many rows a page, whatever is asked for

    @property
    def base(self) -> str:
        """Scheme, host and port under which the caller reached us: links must lead back to there."""
        return f"{self.url.scheme}://{self.url.netloc.decode()}"
