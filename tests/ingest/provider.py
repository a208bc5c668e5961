"""A simulated provider for the tests of ingest: accounts whose objects really change, pages, faults, point reads.

It is deliberately no plugin of the project: what is tested here is what ingest makes of any connector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardship.model.access import Credential, CredentialType, Grant, Tier, Usage, UseState
from wardship.model.errors import DataError, UnexpectedResponse
from wardship.model.identity import Identity, IdentityKind, Person, Standing, System
from wardship.model.owner import Owner
from wardship.model.scan import RawPage, Scope
from wardship.sdk.connector import (
    CallStats,
    Capability,
    CheckResult,
    Connector,
    DriftLog,
    Evidence,
    Manifest,
    Record,
    SetupGuide,
)

MANIFEST = Manifest(
    name="sim", title="Simulated", systems=("sim_account",), permissions={}, evidence=Evidence.DOCUMENTATION
)


def thing(name: str, **extra: Any) -> dict[str, Any]:
    """A raw object of the provider: an account with as many keys, grants and owners as `extra` says."""
    return {"id": name, "name": name.title(), **extra}


@dataclass
class Provider:
    """The system itself. `objects` maps scope key -> id -> raw object; `faults` what goes wrong for a scope."""

    page_size: int = 3
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)
    faults: dict[str, Callable[[int], Exception | str | None]] = field(default_factory=dict)
    totals: bool = False
    point_reads: bool = True
    expire_once: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def scope(self, account: str, kind: str = "accounts") -> Scope:
        scope = Scope(connector="sim", authority=f"sim:{account}", kind=kind)
        if scope not in self.scopes:
            self.scopes.append(scope)
            self.objects[scope.key] = {}
        return scope

    def put(self, scope: Scope, *objects: dict[str, Any]) -> None:
        for item in objects:
            self.objects[scope.key][item["id"]] = item

    def connector(self) -> SimConnector:
        made = SimConnector(self)
        _checked: Connector = made  # the type checker holds the simulation to the interface
        return made


class SimConnector:
    """Reads a `Provider`. A fault is called with the page's number (from 0) and answers an exception to raise, or
    "cut" (no more pages, no error), "empty" (an empty last page), "lose" (this page's items are left out)."""

    manifest = MANIFEST

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.stats = CallStats()
        self.drift = DriftLog()

    def scopes(self) -> Sequence[Scope]:
        return list(self.provider.scopes)

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        provider = self.provider
        items = list(provider.objects[scope.key].values())
        size = provider.page_size
        total = len(items) if provider.totals else None
        number = int(token or 0)
        if token and scope.key in provider.expire_once:
            provider.expire_once.discard(scope.key)
            raise UnexpectedResponse("the page token has expired", operation="token")
        fault = provider.faults.get(scope.key, lambda _page: None)
        while True:
            self.stats.api_calls += 1
            wrong = fault(number)
            if isinstance(wrong, Exception):
                raise wrong
            if wrong == "cut":
                return
            if wrong == "empty":
                yield RawPage(items=[], expected_total=total)
                return
            page = [] if wrong == "lose" else items[number * size : (number + 1) * size]
            number += 1
            last = number * size >= len(items) or wrong == "short"
            yield RawPage(items=page, next_token=None if last else str(number), expected_total=total)
            if last:
                return

    def parse(self, scope: Scope, item: Any) -> Iterator[Record]:
        if item.get("malformed"):
            raise DataError(f"{item['id']} is malformed")
        authority = scope.authority
        key = (authority, item["id"])
        yield System(authority=authority, kind="sim_account")
        yield Identity(
            authority=authority,
            native_id=item["id"],
            kind=IdentityKind.OAUTH_APP,
            name=item["name"],
            standing=Standing.OWN,
            enabled=item.get("enabled", True),
            aliases=tuple(map(tuple, item.get("aliases", ()))),
            rank=item.get("rank", 0),
            attributes=item.get("attributes", {}),
        )
        for number in range(item.get("keys", 1)):
            yield Credential(
                authority=authority, native_id=f"{item['id']}/{number}", type=CredentialType.API_KEY, identity=key
            )
        for permission in item.get("grants", ("read",)):
            yield Grant(authority=authority, identity=key, permission=permission, tier=Tier.READ)
        for owner in item.get("owners", ()):
            yield Owner(authority=authority, identity=key, claim=owner, source="sim.tag", person=("sim:people", owner))
            yield Person(authority="sim:people", native_id=owner, email=f"{owner}@example.org")
        if "used" in item:
            yield Usage(subject=("identity", *key), source="sim", state=UseState.USED, last_used_at=item["used"])

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        self.provider.asked.append((scope.key, family, native_id))
        if not self.provider.point_reads or family not in ("identity", "credential"):
            return None
        objects = self.provider.objects[scope.key]
        name, _slash, number = native_id.partition("/")
        return name in objects and (not number or int(number) < objects[name].get("keys", 1))

    def check(self) -> Sequence[CheckResult]:
        return ()

    def setup(self, capability: Capability) -> SetupGuide:
        return SetupGuide(capability=capability, terraform="", cli="", portal=(), remove="")
