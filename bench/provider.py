"""A simulated provider for benchmarks: as many identities as asked for, each with two credentials and five grants.

It makes its objects as they are asked for, so that what a scan's memory grows by is the scan's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from wardship.model.access import Credential, CredentialType, Grant, Tier
from wardship.model.identity import Identity, IdentityKind, Standing, System
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

AUTHORITY = "bench:1"
ROWS_EACH = 8  # identity, two credentials, five grants
_PAGE = 1_000
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_TIERS = (Tier.READ, Tier.READ, Tier.SENSITIVE_READ, Tier.WRITE, Tier.CONTROL_PLANE)


class Provider:
    """Reads `identities` made-up identities, in pages of 1,000."""

    manifest = Manifest(
        name="bench", title="Benchmark", systems=("bench_account",), permissions={}, evidence=Evidence.DOCUMENTATION
    )

    def __init__(self, identities: int) -> None:
        self._identities = identities
        self.stats = CallStats()
        self.drift = DriftLog()
        _checked: Connector = self  # the type checker holds it to the interface

    def scopes(self) -> Sequence[Scope]:
        return [Scope(connector="bench", authority=AUTHORITY, kind="accounts")]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        for start in range(int(token or 0), self._identities, _PAGE):
            self.stats.api_calls += 1
            end = min(start + _PAGE, self._identities)
            yield RawPage(
                items=list(range(start, end)),
                next_token=None if end == self._identities else str(end),
                expected_total=self._identities,
            )

    def parse(self, scope: Scope, item: Any) -> Iterator[Record]:
        native_id = f"service-{item:07d}"
        key = (AUTHORITY, native_id)
        made = _EPOCH + timedelta(hours=item % 9_000)
        if item == 0:
            yield System(authority=AUTHORITY, kind="bench_account")
        yield Identity(
            authority=AUTHORITY,
            native_id=native_id,
            kind=IdentityKind.ACCESS_KEY_HOLDER,
            subtype="user",
            name=f"svc-{item}",
            standing=Standing.OWN,
            enabled=True,
            created_at=made,
            environment="production",
            attributes={"path": "/service/", "tags": {"team": f"team-{item % 40}"}},
        )
        for number in range(2):
            yield Credential(
                authority=AUTHORITY,
                native_id=f"{native_id}/{number}",
                type=CredentialType.ACCESS_KEY,
                identity=key,
                name=f"key {number}",
                enabled=True,
                created_at=made,
            )
        for number, tier in enumerate(_TIERS):
            yield Grant(authority=AUTHORITY, identity=key, permission=f"store:Action{number}", resource="*", tier=tier)

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        return None

    def check(self) -> Sequence[CheckResult]:
        return ()

    def setup(self, capability: Capability) -> SetupGuide:
        return SetupGuide(capability=capability, terraform="", cli="", portal=(), remove="")
