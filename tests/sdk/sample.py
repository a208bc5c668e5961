"""The smallest whole connector and its simulated system: what the suite, the client and the kit are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from wardship.model.access import Usage, UseState
from wardship.model.errors import AuthenticationFailed, DataError
from wardship.model.identity import Identity, IdentityKind
from wardship.model.scan import RawPage, Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import (
    BlindSpot,
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Deliver,
    DriftLog,
    Evidence,
    LiveCredential,
    Manifest,
    Permission,
    Record,
    SetupGuide,
)
from wardship.sdk.http import Http
from wardship.sdk.oauth import StaticHeader
from wardship.sdk.paging import Cursor
from wardship.sim.kit import Answer, Call, CursorPages, Refuse, Simulator

URL = "https://api.sample.example"
MANIFEST = Manifest(
    name="sample",
    title="Sample",
    systems=("sample_org",),
    permissions={
        Capability.DISCOVER: (Permission(name="robots.read", why="lists the robots"),),
        Capability.ROTATE: (Permission(name="robots.write", why="makes their keys"),),
    },
    blind_spots=(BlindSpot(id="sample.use", text="The system does not say when a key was used."),),
    evidence=Evidence.DOCUMENTATION,
)


class SampleConnector:
    manifest = MANIFEST

    def __init__(self, connection: Connection) -> None:
        self.stats, self.drift = CallStats(), DriftLog()
        self._http = Http.of(
            connection,
            URL,
            stats=self.stats,
            auth=StaticHeader("authorization", lambda: connection.secret("token"), "Bearer "),
        )

    def scopes(self) -> Iterator[Scope]:
        org = self._http.get_json("/me", needs="robots.read")["org"]
        yield Scope(connector="sample", authority=f"sample:{org}", kind="robot")

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        for page in self._http.follow("/robots", {"limit": 3}, paging=Cursor(), token=token, needs="robots.read"):
            yield RawPage(items=page.items, next_token=page.next_token)

    def parse(self, scope: Scope, item: Any) -> Iterator[Record]:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise DataError("a robot without an id")
        name = item.get("name")
        yield Identity(
            authority=scope.authority,
            native_id=item["id"],
            kind=IdentityKind.ROBOT,
            name=name if isinstance(name, str) else None,
        )

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        return self._http.get_json(f"/robots/{native_id}", missing_ok=True) is not None

    def check(self) -> Sequence[CheckResult]:
        return [
            CheckResult(permission=p.name, capability=c, allowed=None)
            for c, permissions in MANIFEST.permissions.items()
            for p in permissions
        ]

    def setup(self, capability: Capability) -> SetupGuide:
        names = " ".join(p.name for p in MANIFEST.permissions[capability])
        return SetupGuide(
            capability=capability,
            terraform=names,
            cli=f"sample grant {names}",
            portal=["Grant"],
            remove="sample revoke",
        )


class SampleActor:
    manifest = MANIFEST
    two_slots, max_credentials, settle_s = True, 2, 10.0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._http = self._client(connection.secret("token"))

    def _client(self, token: Secret) -> Http:
        return Http.of(
            self._connection, URL, stats=CallStats(), auth=StaticHeader("authorization", lambda: token, "Bearer ")
        )

    def list_live(self, target: str) -> list[LiveCredential]:
        keys = self._http.get_json(f"/robots/{target}/keys")
        return [LiveCredential(id=k["id"], enabled=k["enabled"], created_at=None, op_id=k["label"]) for k in keys]

    def create(self, target: str, op_id: str, deliver: Deliver) -> str:
        made = self._http.post_json(f"/robots/{target}/keys", {"label": op_id})
        deliver(Secret(made["value"]), made["id"])
        return str(made["id"])

    def find_created(self, target: str, op_id: str) -> str | None:
        return next((key.id for key in self.list_live(target) if key.op_id == op_id), None)

    def test(self, target: str, credential_id: str, value: Secret) -> bool:
        try:
            self._client(value).get_json("/me")
        except AuthenticationFailed:
            return False
        return True

    def promote(self, target: str, credential_id: str) -> None:
        """Sample has no such notion."""

    def disable(self, target: str, credential_id: str) -> None:
        self._http.patch_json(f"/robots/{target}/keys/{credential_id}", {"enabled": False})

    def enable(self, target: str, credential_id: str) -> None:
        self._http.patch_json(f"/robots/{target}/keys/{credential_id}", {"enabled": True})

    def delete(self, target: str, credential_id: str) -> None:
        self._http.delete(f"/robots/{target}/keys/{credential_id}")

    def last_used(self, target: str, credential_id: str) -> Usage:
        return Usage(subject=("credential", "sample:acme", credential_id), source="sample", state=UseState.UNKNOWN)


def connect(connection: Connection) -> SampleConnector:
    return SampleConnector(connection)


def act(connection: Connection) -> SampleActor:
    return SampleActor(connection)


# ------------------------------------------------------------------ its simulated system


def simulator(clock: Callable[[], datetime]) -> Simulator:
    """As a module of `wardship/sim/` would declare it."""
    sim = Simulator("sample", clock=clock, hosts=("api.sample.example",), lag_s=5.0)
    robots = sim.table("robots", rows=[{"id": f"r{n}", "name": f"Robot {n}"} for n in range(8)])
    keys = sim.table("keys")
    sim.grant("root", "robots.read", "robots.write")
    sim.list("/robots", robots, scope="robots.read", paging=CursorPages())
    sim.get("/robots/{id}", robots, scope="robots.read")
    sim.delete("/robots/{robot}/keys/{id}", keys, scope="robots.write")

    @sim.on("GET", "/me", scope=())
    def me(call: Call) -> Any:
        return {"org": "acme", "client": call.client}

    @sim.on("GET", "/robots/{id}/keys", scope="robots.read")
    def list_keys(call: Call) -> Any:
        return [row for row in keys.visible() if row["robot"] == call.path["id"]]

    @sim.on("POST", "/robots/{id}/keys", scope="robots.write")
    def make_key(call: Call) -> Any:
        row = {"id": f"k{len(sim.calls)}", "robot": call.path["id"], "enabled": True, "label": call.body["label"]}
        keys.put(row)
        sim.grant(f"value-of-{row['id']}", client=row["id"])
        return Answer(201, {**row, "value": f"value-of-{row['id']}"})

    @sim.on("PATCH", "/robots/{robot}/keys/{id}", scope="robots.write")
    def change_key(call: Call) -> Any:
        if keys.current(call.path["id"]) is None:
            raise Refuse(404)
        return keys.update(call.path["id"], call.body)

    def works(client: str) -> bool:
        key = keys.visible_one(client)
        return client == "client" or (key is not None and key["enabled"])

    sim.holder_works = works
    return sim


def simulated(clock: Callable[[], datetime]) -> Connection:
    return Connection(
        name="sample", connector="sample", secret=lambda _name: Secret("root"), clock=clock, wire=simulator(clock)
    )


def acting_target(connection: Connection) -> str:
    return "r1"
