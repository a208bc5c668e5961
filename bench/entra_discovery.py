"""Reading a simulated Entra ID tenant: requests and CPU for an identity, and how both grow.

Each identity is an application with its service principal, an owner, a client secret, a consent or a permission, and a
sign-in. The tenant answers in the same process, so its time is taken out: CPU is the connector's alone, without any
database. Floor in the same run: `json.loads` of every answer once.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from bench import harness
from wardship.connectors.entra import connect
from wardship.sdk.connector import Wire
from wardship.sim.entra import EntraTenant

SIZES, LARGE_SIZES = (1_000, 4_000, 16_000), (4_000, 16_000, 64_000)
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def run() -> None:
    sizes = LARGE_SIZES if harness.large() else SIZES
    costs = [harness.python("bench.entra_discovery", str(size)) for size in sizes]
    told = [cost.figures for cost in costs]
    rows: list[list[object]] = [
        [
            size,
            one["records"],
            one["calls"],
            f"{one['calls'] / size:.4f}",
            one["cpu_s"],
            f"{1000 * one['cpu_s'] / size:.3f}",
            one["parse_s"],
            one["cpu_s"] / one["parse_s"],
            round(cost.peak_mb),
        ]
        for size, one, cost in zip(sizes, told, costs, strict=True)
    ]
    calls = harness.exponent(sizes, [one["calls"] for one in told])
    cpu = harness.exponent(sizes, [one["cpu_s"] for one in told])
    rows.append(["exponent", "", f"{calls:.2f}", "", cpu, "", "", "", ""])
    harness.table(
        ["identities", "records", "calls", "calls each", "CPU s", "CPU ms each", "floor s", "x floor", "peak MB"], rows
    )


class Metered(httpx.BaseTransport):
    """Passes requests on to the simulator; counts them, its CPU seconds, and those of parsing its answers once."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner, self._lock = inner, threading.Lock()
        self.requests, self.simulator_s, self.parse_s = 0, 0.0, 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        began = time.thread_time()
        response = self._inner.handle_request(request)
        body = response.read()
        answered = time.thread_time()
        json.loads(body)
        parsed = time.thread_time()
        with self._lock:
            self.requests += 1
            self.simulator_s += answered - began
            self.parse_s += parsed - answered
        return response


class MeteredWire:
    """The simulator's wire with a meter on it."""

    def __init__(self, wire: Wire) -> None:
        self.meter = Metered(wire.httpx_transport())

    def httpx_transport(self) -> httpx.BaseTransport:
        return self.meter

    def prepare_botocore(self, _session: Any) -> None:
        raise AssertionError("Entra ID is not asked through botocore")


def tenant_of(size: int) -> EntraTenant:
    """A tenant with `size` applications and one person for every fifty."""
    tenant = EntraTenant(clock=lambda: NOW)
    people = [tenant.add_user(f"Person {n}", f"person.{n}@acme.example") for n in range(size // 50 + 1)]
    for n in range(size):
        owner = people[n % len(people)]
        app = tenant.add_application(f"service-{n}", owners=[owner])
        tenant.add_secret(app.id, start=NOW - timedelta(days=n % 700), end=NOW + timedelta(days=30 + n % 700))
        if n % 2:
            tenant.consent(app.sp, "Mail.Read Files.Read.All")
        else:
            tenant.grant_app_role(app.sp, "Mail.Read Sites.Read.All")
        tenant.signed_in(app.sp, NOW - timedelta(days=n % 200))
    return tenant


def _read(size: int) -> dict[str, Any]:
    connection = tenant_of(size).connection()
    assert connection.wire is not None
    wire = MeteredWire(connection.wire)
    seen: Counter[str] = Counter()
    gc.collect()
    gc.freeze()  # the tenant is no garbage of the connector's to look through
    began = time.process_time()
    connector = connect(replace(connection, wire=wire))
    for scope in connector.scopes():
        for page in connector.fetch(scope, None):
            for item in page.items:
                for record in connector.parse(scope, item):
                    seen[type(record).__name__] += 1
    meter = wire.meter
    spent = time.process_time() - began - meter.simulator_s - meter.parse_s
    if seen["Identity"] < 2 * size or seen["Credential"] < size:
        raise ValueError(f"of {size} applications only this was read: {seen}")
    return {"cpu_s": spent, "parse_s": meter.parse_s, "calls": meter.requests, "records": seen.total()}


if __name__ == "__main__":
    print(json.dumps(_read(int(sys.argv[1]))))
