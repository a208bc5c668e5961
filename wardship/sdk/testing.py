"""The suite that every connector must pass, ours and a third party's; `tests/contract/test_every_connector.py` runs it.

    suite = Suite(connector_module("github"), simulated=wardship.sim.github.simulated)
    for check in suite.checks():
        check()                 # raises Unfit with one sentence that says what is wrong

`simulated(clock)` gives a `Connection` to a freshly made simulated system with a small organisation in it (`wire` set).
Where `connection.wire` has `faults` (as of `wardship.sim.kit`), faults are put in its way; where the simulator's module
names an `acting_target`, the acting verbs are tried on it. What cannot be tried raises `NotTried` with the reason.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from wardship.model.errors import (
    AuthenticationFailed,
    ConnectorError,
    DataError,
    NotVisible,
    UnexpectedResponse,
)
from wardship.model.identity import Identity
from wardship.model.scan import Problem, Scope
from wardship.model.secret import Secret
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Actor, Capability, Connection, Connector, Manifest, Record

Simulated = Callable[[Callable[[], datetime]], Connection]

_NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_FAR = 1_000_000  # "from now on" for a fault's `times`
_PASSING = ("throttle", "unavailable", "cut", "unreachable")  # one of these is retried: nothing may be missing
_LASTING = ("unavailable", "throttle", "unreachable", "forbidden", "unauthorized", "garbage", "expired_page")


class Unfit(AssertionError):
    """The connector does not do what every connector must."""


class NotTried(Exception):
    """A check that this simulator does not allow, with the reason."""


@dataclass(slots=True)
class ScopeRead:
    """What reading one scope gave. `complete`: every page came and nothing was reported as missing."""

    items: list[Any] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    error: ConnectorError | None = None

    @property
    def complete(self) -> bool:
        return self.error is None and not self.problems

    def said(self) -> list[str]:
        """The records as comparable text."""
        return sorted(repr(dataclasses.asdict(record)) for record in self.records)


def read_scope(connector: Connector, scope: Scope, token: str | None = None) -> ScopeRead:
    """Reads one scope as a scan would; a ConnectorError ends it and is kept, any other exception is raised."""
    out = ScopeRead()
    try:
        for page in connector.fetch(scope, token):
            out.items.extend(page.items)
            out.problems.extend(page.problems)
            out.tokens.append(page.next_token)
            for item in page.items:
                out.records.extend(connector.parse(scope, item))
    except ConnectorError as error:
        out.error = error
    return out


def read_all(connector: Connector) -> dict[Scope, ScopeRead]:
    """Every scope of a connection. Raises ConnectorError when not even the scopes can be told."""
    return {scope: read_scope(connector, scope) for scope in connector.scopes()}


class Suite:
    """The checks of one connector. `seed` and `size` steer the fuzzing; a failure names what it did.

    `simulated` None: the connector is proved on the real product alone; only what it says of itself is checked here.
    """

    def __init__(
        self,
        module: ModuleType,
        *,
        simulated: Simulated | None,
        acting_target: Callable[[Connection], str] | None = None,
        seed: int = 1,
        size: int = 200,
    ) -> None:
        self._module, self._simulated, self._acting_target = module, simulated, acting_target
        self._seed, self._size = seed, size
        self.manifest: Manifest = module.MANIFEST

    def checks(self) -> Sequence[Callable[[], None]]:
        """All checks, in the order in which a failure explains the most."""
        return (
            self.manifest_is_complete,
            self.setup_needs_no_credential_and_names_each_permission,
            self.discovery_is_repeatable,
            self.smaller_pages_give_the_same,
            self.reading_goes_on_from_every_page,
            self.passing_faults_lose_nothing,
            self.lasting_faults_are_never_completeness,
            self.parse_raises_data_errors_only,
            self.point_reads_tell_what_exists,
            self.check_answers_for_each_permission,
            self.acting_twice_changes_nothing_more,
        )

    # -------------------------------------------------------------- what it says of itself

    def manifest_is_complete(self) -> None:
        """Every capability names its permissions, every permission its reason, every setting its help."""
        manifest = self.manifest
        _require(manifest.name == self._module.__name__.rsplit(".", 1)[-1], "the manifest's name is not the module's")
        _require(bool(manifest.title and manifest.systems), "the manifest has no title or no systems")
        _require(Capability.DISCOVER in manifest.permissions, "the manifest declares no discovery")
        for capability, permissions in manifest.permissions.items():
            if capability is not Capability.IMPORT:
                _require(bool(permissions), f"{capability} needs no permission: not believable")
            for permission in permissions:
                _require(bool(permission.name and permission.why), f"{capability}: {permission.name!r} has no reason")
        for setting in manifest.settings:
            _require(bool(setting.name and setting.help), f"setting {setting.name!r} has no help")
            _require(not (setting.secret and setting.default), f"secret setting {setting.name!r} has a default")
        _require(bool(manifest.blind_spots), "no blind spot is declared: every API has some")
        for spot in manifest.blind_spots:
            _require(
                spot.id.startswith(f"{manifest.name}.") and bool(spot.text), f"blind spot {spot.id!r} is not named"
            )
        acts = {Capability.ROTATE, Capability.DISABLE, Capability.DELETE} & set(manifest.permissions)
        _require(not acts or hasattr(self._module, "act"), "it declares acting capabilities and has no act()")
        imports = Capability.IMPORT in manifest.permissions or bool(manifest.imports)
        _require(not imports or hasattr(self._module, "import_files"), "it declares imports and has no import_files()")

    def setup_needs_no_credential_and_names_each_permission(self) -> None:
        """`setup` works offline, in all three ways, says how to undo it, and forgets no permission."""
        name = self.manifest.name
        connection = Connection(
            name=name,
            connector=name,
            secret=_no_secret,
            clock=SimClock(_NOW),
            wire=_NoNetwork(),
            settings=self._settings(),
        )
        connector = self._module.connect(connection)
        for capability, permissions in self.manifest.permissions.items():
            if capability is Capability.IMPORT:
                continue
            guide = connector.setup(capability)
            _require(guide.capability is capability, f"setup({capability}) answers for {guide.capability}")
            for part in ("terraform", "cli", "portal", "remove"):
                _require(bool(getattr(guide, part)), f"setup({capability}) has no {part}")
            text = "\n".join((guide.terraform, guide.cli, *guide.portal)).casefold()
            for permission in permissions:
                word = permission.name.split(" on ")[
                    0
                ].casefold()  # "ADMIN OPTION on the roles" is said as ADMIN OPTION
                _require(word in text or permission.optional, f"setup({capability}) forgets {permission.name}")

    # -------------------------------------------------------------- reading

    def discovery_is_repeatable(self) -> None:
        """Two readings of the same system give the same scopes and the same records, and some."""
        first, second = self._read(), self._read()
        _require(list(first) == list(second), "two readings name different scopes")
        keys = [scope.key for scope in first]
        _require(len(keys) == len(set(keys)), "two scopes have the same key")
        for scope, got in first.items():
            _require(scope.connector == self.manifest.name, f"{scope.key} names another connector")
            _require(got.error is None, f"{scope.key}: {got.error}")
            _require(got.said() == second[scope].said(), f"{scope.key} gives different records the second time")
        _require(any(got.records for got in first.values()), "nothing at all was read")

    def smaller_pages_give_the_same(self) -> None:
        """Whoever reads the first page only, or stops at a page that is not full, is caught here."""
        whole = self._read()
        connection = self._connection()
        if not hasattr(connection.wire, "page_cap"):
            raise NotTried("the simulator has no page_cap")
        wire: Any = connection.wire
        wire.page_cap = 2
        for scope, part in read_all(self._connect(connection)).items():
            _require(part.error is None, f"{scope.key}: {part.error}")
            _require(part.said() == whole[scope].said(), f"{scope.key}: pages of two rows lose records")

    def reading_goes_on_from_every_page(self) -> None:
        """A scope taken up at any page token gives the rest, no more and no less."""
        connector = self._connect(self._connection())
        for scope, whole in read_all(connector).items():
            for number, token in enumerate(whole.tokens):
                if token is None:
                    continue
                before, after = _until(connector, scope, number), read_scope(connector, scope, token)
                _require(after.error is None, f"{scope.key}: going on from page {number + 1}: {after.error}")
                joined = sorted(before.said() + after.said())
                _require(joined == whole.said(), f"{scope.key}: pages 1-{number + 1} and the rest are not the whole")

    def passing_faults_lose_nothing(self) -> None:
        """One throttle, one server error, one cut answer: retried, and everything is there."""
        whole = self._read()
        for wrong in _PASSING:
            for nth in self._places():
                got, refused = self._read_with(wrong, nth=nth)
                what = f"one {wrong!r} at call {nth}"
                _require(refused is None, f"{what} ended the scan: {refused}")
                for scope, part in got.items():
                    _require(part.complete, f"{what}: {scope.key} is not complete: {part.error or part.problems}")
                    _require(part.said() == whole[scope].said(), f"{what}: {scope.key} lost or changed records")

    def lasting_faults_are_never_completeness(self) -> None:
        """Whatever is refused from some call on: a scope that calls itself complete has everything."""
        whole = self._read()
        for wrong in _LASTING:
            for nth in self._places():
                got, refused = self._read_with(wrong, nth=nth, times=_FAR)
                what = f"{wrong!r} from call {nth} on"
                if wrong == "unauthorized" and refused is not None:
                    _require(isinstance(refused, AuthenticationFailed), f"{what} raised {type(refused).__name__}")
                for scope, part in got.items():
                    if part.complete:
                        _require(
                            part.said() == whole[scope].said(), f"{what}: {scope.key} calls fewer records complete"
                        )
                    if wrong == "unauthorized" and part.error is not None:
                        fits = isinstance(part.error, AuthenticationFailed | UnexpectedResponse)
                        _require(fits, f"{what}: {scope.key} raised {type(part.error).__name__}")

    def parse_raises_data_errors_only(self) -> None:
        """Bent items give records or DataError: never another exception, never half a record."""
        connector = self._connect(self._connection())
        chance = random.Random(self._seed)  # noqa: S311 - repeatable, not secret
        for scope, got in read_all(connector).items():
            items = got.items[:20]
            for number in range(self._size if items else 0):
                bent = _bent(_plain(items[number % len(items)]), chance)
                try:
                    list(connector.parse(scope, bent))
                except DataError:
                    continue
                except Exception as error:
                    raise Unfit(
                        f"{scope.key}: parse raised {type(error).__name__}: {error} on {repr(bent)[:400]}"
                    ) from error

    def point_reads_tell_what_exists(self) -> None:
        """`confirm` never denies what is there, and never confirms what is not."""
        connector = self._connect(self._connection())
        for scope, got in read_all(connector).items():
            identities = [record for record in got.records if isinstance(record, Identity)]
            for identity in identities[:5]:
                there = connector.confirm(scope, "identity", identity.native_id)
                _require(there is not False, f"{scope.key}: confirm denies {identity.native_id}")
                gone = connector.confirm(scope, "identity", identity.native_id[:-1] + "~")
                _require(gone is not True, f"{scope.key}: confirm knows an id that does not exist")

    def check_answers_for_each_permission(self) -> None:
        """`connect check` has a line for each permission that discovery needs."""
        connector = self._connect(self._connection())
        answered = {(line.capability, line.permission) for line in connector.check()}
        for permission in self.manifest.permissions[Capability.DISCOVER]:
            _require((Capability.DISCOVER, permission.name) in answered, f"check() says nothing of {permission.name}")

    # -------------------------------------------------------------- acting

    def acting_twice_changes_nothing_more(self) -> None:
        """create, test, disable, enable, delete; each but create twice; the value goes to `deliver` only."""
        if not hasattr(self._module, "act"):
            raise NotTried("the connector does not act")
        if self._acting_target is None:
            raise NotTried("the simulator names no acting_target")
        connection = self._connection()
        target = self._acting_target(connection)
        actor: Actor = self._module.act(connection)
        before = _live(actor, target)
        delivered: list[tuple[Secret, str]] = []
        made = actor.create(target, "op-1", lambda value, credential: delivered.append((value, credential)))
        _require([credential for _, credential in delivered] == [made], "create did not deliver once, under its id")
        value = delivered[0][0]
        _require(
            value.reveal() not in repr((actor, vars(actor) if hasattr(actor, "__dict__") else "")), "it kept the value"
        )
        self._settle(connection, actor)
        _require(set(_live(actor, target)) == {*before, made}, "the new credential is not listed after settling")
        _require(actor.find_created(target, "op-1") in (made, None), "find_created names another credential")
        _require(actor.find_created(target, "op-0") is None, "find_created knows an operation that never was")
        _require(actor.test(target, made, value), "the new credential does not work")
        for verb, enabled in ((actor.disable, False), (actor.enable, True)):
            if verb.__name__ in self.manifest.unavailable:
                try:
                    verb(target, made)
                except NotVisible:
                    continue
                raise Unfit(f"{verb.__name__} is declared unavailable and does something")
            for _ in range(2):
                verb(target, made)
            self._settle(connection, actor)
            _require(_live(actor, target)[made] is enabled, f"after {verb.__name__} it is not so")
            _require(actor.test(target, made, value) is enabled, f"after {verb.__name__} test says otherwise")
        for verb in (actor.promote, actor.promote, actor.delete, actor.delete):
            verb(target, made)
        self._settle(connection, actor)
        _require(_live(actor, target) == before, "after delete something else changed")
        _require(not actor.test(target, made, value), "the deleted credential still works")

    # -------------------------------------------------------------- the ways there

    def _connection(self) -> Connection:
        if self._simulated is None:
            raise NotTried("no simulated system: it is tried on the real product")
        connection = self._simulated(SimClock(_NOW))
        _require(connection.wire is not None, "simulated() gives a connection without a wire")
        return connection

    def _settings(self) -> Mapping[str, str]:
        """Settings that are no secrets: the simulated connection's own, or words where there is none."""
        if self._simulated is not None:
            return self._connection().settings
        return {setting.name: setting.default or "x" for setting in self.manifest.settings if not setting.secret}

    def _connect(self, connection: Connection) -> Connector:
        connector: Connector = self._module.connect(connection)
        return connector

    def _read(self) -> dict[Scope, ScopeRead]:
        return read_all(self._connect(self._connection()))

    def _read_with(self, wrong: str, **when: Any) -> tuple[dict[Scope, ScopeRead], ConnectorError | None]:
        """Reads a fresh system with a fault in the way; the error that kept even the scopes from being told."""
        connection = self._connection()
        _faults(connection).add(wrong, **when)
        try:
            return read_all(self._connect(connection)), None
        except ConnectorError as error:
            return {}, error

    def _places(self) -> Iterator[int]:
        """Up to five calls of a clean reading, first and last among them: with eleven kinds, some fifty schedules."""
        connection = self._connection()
        _faults(connection)
        connector = self._connect(connection)
        read_all(connector)
        calls = max(connector.stats.api_calls, 1)
        return iter(sorted({1 + round(step * (calls - 1) / 4) for step in range(5)}))

    @staticmethod
    def _settle(connection: Connection, actor: Actor) -> None:
        sleep = getattr(connection.clock, "sleep", None)
        if sleep is not None:
            sleep(actor.settle_s + 1.0)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unfit(otherwise)


def _faults(connection: Connection) -> Any:
    faults = getattr(connection.wire, "faults", None)
    if faults is None:
        raise NotTried("the simulator schedules no faults")
    return faults


def _no_secret(name: str) -> Secret:
    raise Unfit(f"it asks for the secret {name!r} without need")


class _NoNetwork:
    def httpx_transport(self) -> Any:
        import httpx

        def refuse(request: httpx.Request) -> httpx.Response:
            raise Unfit(f"it calls {request.url.host} without need")

        return httpx.MockTransport(refuse)

    def prepare_botocore(self, session: Any) -> None:
        """Any call of this session fails for want of credentials."""


def _until(connector: Connector, scope: Scope, last: int) -> ScopeRead:
    """The pages 0 to `last` of a scope."""
    out = ScopeRead()
    for number, page in enumerate(connector.fetch(scope, None)):
        for item in page.items:
            out.records.extend(connector.parse(scope, item))
        if number == last:
            break
    return out


def _live(actor: Actor, target: str) -> dict[str, bool | None]:
    return {credential.id: credential.enabled for credential in actor.list_live(target)}


def _plain(value: Any) -> Any:
    """A copy in plain dicts and lists (what is checked may be tracked or frozen)."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


_ODD: Sequence[Any] = (
    None, True, 0, -1, 10**30, 1.5, float("nan"), "", "x", "\x00", "\ud800", "=1+1", "<script>", "2026-13-45T99:99:99Z",
    "2026-01-01T00:00:00", "A" * 100_000, [], {}, [None], [[]], {"": None}, [{}], {"id": []}, b"\xff",
)  # fmt: skip


def _bent(item: Any, chance: random.Random) -> Any:
    """`item` with one to three places replaced by something odd, removed, doubled or wrapped."""
    for _ in range(chance.randint(1, 3)):
        places = list(_places_of(item))
        if not places:
            return _plain(chance.choice(_ODD))
        holder, key = chance.choice(places)
        how = chance.random()
        if how < 0.6:
            holder[key] = _plain(chance.choice(_ODD))  # a copy: what is bent is bent again
        elif how < 0.8:
            del holder[key]
        elif how < 0.9:
            holder[key] = [holder[key], holder[key]]
        else:
            holder[key] = {"value": holder[key]}
    return item if chance.random() < 0.97 else _plain(chance.choice(_ODD))


def _places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    todo = [value]
    while todo:
        holder = todo.pop()
        if isinstance(holder, dict):
            keys: Sequence[Any] = list(holder)
        elif isinstance(holder, list):
            keys = range(len(holder))
        else:
            continue
        for key in keys:
            yield holder, key
            todo.append(holder[key])
