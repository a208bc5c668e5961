"""The interface of a connector: how one system is read, and how it is changed.

A connector module has these names, and nothing else is called:

    MANIFEST: Manifest                                   what it is, needs and cannot see
    connect(connection) -> Connector                     read
    act(connection) -> Actor                             change; absent where the system allows no change
    import_files(paths, connection) -> FileImport        the vendor's own export formats, offline; []: only to parse
    still_active(connection, detector, value, public_id) -> bool | None
                                                         one harmless call with a found secret; may be absent
    calls(connection, stats)                             the vendor's API as a source of telemetry may ask it, for
                                                         `live` of the sources that name this connector; may be absent
    read_value(connection, exposure) -> Secret | None    the value at the place of an exposure; absent but in readers of
                                                         files and code

`Connector` reads in three steps: `scopes()` says what there is to read, `fetch(scope, token)` yields raw pages
(network), `parse(scope, item)` turns one raw object into records (no network). A connector reports; it never judges.

`Actor` is the acting protocol (ADR 0008). Its verbs are idempotent and never sequenced
here: the saga does that. What a system lacks is declared in `Manifest.unavailable` and the verb raises NotVisible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from wardship.model.access import Credential, Grant, Usage
from wardship.model.errors import ConfigError
from wardship.model.exposure import Dependency, Exposure
from wardship.model.identity import Identity, Person, Supplier, System
from wardship.model.owner import Owner
from wardship.model.scan import RawPage, Scope
from wardship.model.secret import Secret
from wardship.sdk.i18n import _

Record = System | Identity | Credential | Grant | Usage | Owner | Person | Supplier | Exposure | Dependency


class Capability(StrEnum):
    """What a connector can do, each with its own least permissions."""

    DISCOVER = "discover"
    USAGE = "usage"
    IMPORT = "import"
    ROTATE = "rotate"
    DISABLE = "disable"
    DELETE = "delete"


class Evidence(StrEnum):
    """What the connector was proved against (ADR 0004)."""

    REAL_PRODUCT = "tested against the real product"
    EMULATOR = "tested against an emulator"
    VENDOR_CONTRACT = "held against the vendor's published description"
    HANDWRITTEN_CONTRACT = "held against a description written from documentation"
    DOCUMENTATION = "written from documentation, not checked by a machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One permission of the vendor's, and what is lost without it."""

    name: str  # "iam:GetAccountAuthorizationDetails", "Application.Read.All"
    why: str  # an English message id (gettext)
    optional: bool = False  # True: discovery works without it and says what is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a connection. A secret one holds a reference (`env:`, `file:`), never a value."""

    name: str
    help: str  # an English message id
    required: bool = False
    secret: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSpot:
    """What this system cannot tell, printed in every report (rule 10 of judgement)."""

    id: str  # "entra.sign_in_without_p1"
    text: str  # an English message id, one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A connector in declarations; its docs page and `connect check` and `connect setup` are made from it."""

    name: str  # "aws": the module's name and the `connector` of its scopes
    title: str  # "Amazon Web Services"
    systems: Sequence[str]  # kinds of System it yields: ("aws_account",)
    permissions: Mapping[Capability, Sequence[Permission]]  # a capability that is not here does not exist
    settings: Sequence[Setting] = ()
    blind_spots: Sequence[BlindSpot] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)  # field or verb -> why the system lacks it
    evidence: Evidence
    contracts: Sequence[str] = ()  # descriptions it is held against: ("graph", "graph-beta")
    imports: Sequence[str] = ()  # file forms that `wardship import` takes, each a message id
    links: Sequence[str] = ()
    extra: str | None = None  # optional dependency group it needs: "aws"


_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


def _no_secret(name: str) -> Secret:
    raise ConfigError(
        _("this connection has no secret %(name)r") % {"name": name},
        advice=_("set it as a reference, for example env:NAME or file:/path"),
    )


def _silent(_message: str) -> None:
    """The progress of nobody watching."""


def _no_fingerprint(_value: Secret) -> str:
    raise ConfigError(
        _("this connection has no fingerprint key"), advice=_("open it in a workspace: each has a key of its own")
    )


class Wire(Protocol):
    """What stands in for the network: a simulated system (or a recording). The real network needs none."""

    def httpx_transport(self) -> Any:
        """An `httpx.BaseTransport`."""

    def prepare_botocore(self, session: Any) -> None:
        """Hooks into a botocore session so that its clients are answered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One configured access to systems: what `connect add` stored, with its secrets as references."""

    name: str
    connector: str
    settings: Mapping[str, str] = field(default_factory=dict)
    secret: Callable[[str], Secret] = field(default=_no_secret, repr=False)
    clock: Callable[[], datetime]
    wire: Wire | None = None
    fingerprint: Callable[[Secret], str] = field(default=_no_fingerprint, repr=False)
    """The keyed fingerprint of a secret, 32 hex digits: the same value gives the same one wherever it was found."""
    pepper: Callable[[], Secret] | None = field(default=None, repr=False)
    """The key of `fingerprint`, for a sandboxed child that makes fingerprints itself."""
    cache: Path | None = None
    """A folder of its own that the connector may fill and anybody may delete. None: no cache.

    Never with secrets, but for a copy of the system itself that the manifest speaks of: the mirrors of `git`.
    """
    progress: Callable[[str], None] = field(default=_silent, repr=False)

    def flag(self, name: str, *, default: bool) -> bool:
        """The setting `name` as true or false; `default` where it is not set. Raises ConfigError for other words."""
        said = (self.settings.get(name) or "").strip().lower()
        if said and said not in _FLAGS:
            raise ConfigError(
                _("%(name)s must be true or false") % {"name": name}, advice=_("leave it out for the default")
            )
        return _FLAGS[said] if said else default


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One line of `connect check`: what this credential allows."""

    permission: str
    capability: Capability
    allowed: bool | None  # None: could not be tested without changing something
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupGuide:
    """The least-privilege access for `capability`, in three ways, and how to remove it again."""

    capability: Capability
    terraform: str
    cli: str
    portal: Sequence[str]  # steps, each a message id
    remove: str  # the CLI steps that undo it


def nothing_to_grant(capability: Capability, guides: Iterable[Capability]) -> ConfigError:
    """What `setup` raises for a capability without a guide; `guides`: those that have one."""
    return ConfigError(
        _("nothing has to be granted for %(capability)r") % {"capability": capability.value},
        advice=_("there is a guide for: %(names)s") % {"names": ", ".join(sorted(one.value for one in guides))},
    )


@dataclass(slots=True)
class CallStats:
    """What reading has cost so far; ingest takes the difference around each scope."""

    api_calls: int = 0
    throttles: int = 0


class Connector(Protocol):
    """Reads one configured connection. One instance serves one scan, in one thread.

    One that knows the system's clock may have `clock_skew_s: float | None`, theirs minus ours (`sdk.http.Http` has it).
    """

    manifest: Manifest
    stats: CallStats
    drift: DriftLog

    def scopes(self) -> Iterable[Scope]:
        """Everything there is to read, in reading order; cheap. Raises AuthenticationFailed, ConfigError."""

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """Pages of one scope, from `token` (a former `RawPage.next_token`) or from the beginning.

        Raises MissingScope or NotVisible when the scope cannot be read at all, RetryableError after its own
        retries ran out, ExpiredToken is an UnexpectedResponse with operation "token": the scope restarts.
        """

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        """The records of one raw item. Raises DataError: that item is quarantined, the rest goes on."""

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        """A point read: True it exists, False the system says that it does not (404), None cannot tell."""

    def check(self) -> Sequence[CheckResult]:
        """What this credential allows; reads only."""

    def setup(self, capability: Capability) -> SetupGuide:
        """How to grant the least privilege for `capability`. Needs no credential."""


class FileImport(Protocol):
    """The vendor's own exports, read with the same `parse` as the live system."""

    manifest: Manifest
    drift: DriftLog

    def scopes(self) -> Iterable[Scope]: ...

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]: ...

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]: ...


class Drift(Protocol):
    """Counts what the vendor sends that we do not know yet (mechanism 7)."""

    def unknown_value(self, where: str, value: str) -> None: ...

    def unexpected_shape(self, where: str, got: str) -> None: ...


@dataclass(slots=True)
class DriftLog:
    """A `Drift` that keeps counts: (where, what) -> times. Values are shapes and enum words, never data."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def unknown_value(self, where: str, value: str) -> None:
        key = (where, f"value {value[:64]!r}")
        self.counts[key] = self.counts.get(key, 0) + 1

    def unexpected_shape(self, where: str, got: str) -> None:
        key = (where, f"shape {got[:64]}")
        self.counts[key] = self.counts.get(key, 0) + 1


# ------------------------------------------------------------------ the acting protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCredential:
    """A credential as the system lists it now. `op_id`: the operation that provably made it; None: not provable."""

    id: str
    enabled: bool | None
    created_at: datetime | None
    op_id: str | None = None


Deliver = Callable[[Secret, str], None]
"""Takes (value, credential id) and puts it into the customer's store as PENDING. It returns nothing."""


class Actor(Protocol):
    """Changes one target's credentials. `target` is the native id of the identity that holds them.

    Every verb may be called again with the same arguments and then changes nothing more. Deleting what is gone
    is success. The new value goes to `deliver` and nowhere else: it is not returned, kept or logged.
    """

    manifest: Manifest
    two_slots: bool  # two credentials can be valid at once: rotation without an outage
    max_credentials: int | None  # the system's own limit for one target; None = no limit known
    settle_s: float  # how long a change may take to be seen everywhere (eventual consistency), seconds

    def list_live(self, target: str) -> Sequence[LiveCredential]:
        """All credentials of the target, enabled or not."""

    def create(self, target: str, op_id: str, deliver: Deliver) -> str:
        """Makes a credential, hands its value to `deliver`, returns its id. Marked with op_id where the system can."""

    def find_created(self, target: str, op_id: str) -> str | None:
        """The id that operation `op_id` provably made, or None: not made, or its provenance is not visible yet."""

    def test(self, target: str, credential_id: str, value: Secret) -> bool:
        """One try to authenticate with it. False: refused. Raises RetryableError when nothing can be said."""

    def promote(self, target: str, credential_id: str) -> None:
        """Makes it the one in use at the system, where the system has such a notion; else does nothing."""

    def disable(self, target: str, credential_id: str) -> None:
        """Reversible stop. Raises NotVisible where the system has none (declared in the manifest)."""

    def enable(self, target: str, credential_id: str) -> None: ...

    def delete(self, target: str, credential_id: str) -> None: ...

    def last_used(self, target: str, credential_id: str) -> Usage:
        """What the system says about its use; state UNKNOWN where it says nothing."""
