"""Reading a server with few calls: namespaces, then in each of them every kind of thing, refused parts named.

Vault answers a list whole and has no pages, so pages are made here: names in sorted order, and a checkpoint is the last
name that was read. What one kind needs of another (mounts, policies, groups) is read again when it is missing, because
a resumed scan begins with an empty memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from wardship.connectors.vault.check import check
from wardship.connectors.vault.items import config_kept, database_item, engine_type, product_of
from wardship.connectors.vault.kv import Engine, Problems, read_entry, walk
from wardship.connectors.vault.manifest import MANIFEST
from wardship.connectors.vault.namespace import Namespace
from wardship.connectors.vault.parse import Parser
from wardship.connectors.vault.session import Session
from wardship.connectors.vault.setup import setup_guide
from wardship.model.errors import (
    ConfigError,
    MissingScope,
    NotVisible,
    SkippableError,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.scan import Problem, RawPage, Scope
from wardship.sdk.connector import (
    CallStats,
    Capability,
    CheckResult,
    Connection,
    DriftLog,
    Record,
    SetupGuide,
)
from wardship.sdk.i18n import _

PAGE = 200
MOST_NAMESPACES = 10_000
_KINDS = (
    "vault.server",
    "vault.policy",
    "vault.entity",
    "vault.approle",
    "vault.auth_role",
    "vault.token",
    "vault.database",
    "vault.pki",
    "vault.kv",
)
# type of auth method -> (folder of its list, folder of one role, whether its config names an issuer)
_METHODS: Mapping[str, tuple[str, str, bool]] = {
    "userpass": ("users", "users", False),
    "jwt": ("role", "role", True),
    "oidc": ("role", "role", True),
    "kubernetes": ("role", "role", True),
    "cert": ("certs", "certs", False),
    "aws": ("roles", "role", False),
    "token": ("roles", "roles", False),
}
Names = Sequence[tuple[str, ...]]
Read = tuple[Sequence[Any], Problems]


class VaultConnector:
    """Reads one server. One instance serves one scan, in one thread (calls of one page may go out together)."""

    manifest = MANIFEST

    def __init__(self, connection: Connection, *, page: int = PAGE, most_namespaces: int = MOST_NAMESPACES) -> None:
        self.stats = CallStats()
        self.drift = DriftLog()
        settings = connection.settings
        self._clock, self._page, self._most_namespaces = connection.clock, page, most_namespaces
        self._settings = settings
        self._session: Session | None = None
        self._connection = connection
        self._fingerprint = connection.fingerprint if connection.flag("fingerprints", default=False) else None
        self._metadata = connection.flag("kv_metadata", default=True)
        self._parser = Parser(self.drift)
        self._seal: Any = None
        self._read_of: dict[tuple[str, str], Any] = {}  # (authority, what) -> what was read, or the refusal
        self._namespace_problems: list[Problem] = []

    @property
    def clock_skew_s(self) -> float | None:
        """Vault's clock minus ours, in seconds; None before the first answer."""
        return self._session.http.clock_skew_s if self._session else None

    @property
    def _vault(self) -> Session:
        if self._session is None:
            self._session = Session(self._connection, self.stats)
        return self._session

    # -------------------------------------------------------------- what there is

    def scopes(self) -> Iterable[Scope]:
        root = self._authority()
        self._vault.read("auth/token/lookup-self", self._vault.namespace)
        top = self._vault.namespace
        found = [Scope(connector=MANIFEST.name, authority=_of(root, top), kind="vault.namespace")]
        for path in self._namespaces(top):
            authority = _of(root, path)
            self._namespace(root, path)
            found += [Scope(connector=MANIFEST.name, authority=authority, kind=kind) for kind in _KINDS]
        return found

    def _authority(self) -> str:
        """ "vault:" and the cluster's id: it outlives host names, load balancers and a restore from a snapshot."""
        self._seal = self._vault.public("sys/seal-status")
        seal = self._seal if isinstance(self._seal, dict) else {}
        if seal.get("sealed") is not False:
            raise Unavailable(
                _("the vault is sealed or not initialised"),
                system="Vault",
                operation="sys/seal-status",
                advice=_("unseal it (`vault operator unseal`), then run this again"),
            )
        cluster = seal.get("cluster_id")
        if not isinstance(cluster, str) or not re.fullmatch(r"[\w.-]{1,100}", cluster):
            raise UnexpectedResponse(
                _("the server does not tell its cluster's id"), system="Vault", operation="sys/seal-status"
            )
        return f"vault:{cluster}"

    def _namespaces(self, top: str) -> list[str]:
        """`top` and the namespaces below it, parents first; what was refused or is too much is kept for their scope."""
        found, at = [top], 0
        self._namespace_problems = []
        while at < len(found):
            if len(found) >= self._most_namespaces:
                detail = _("more than %(most)d namespaces: what lies below the last of them is not read")
                self._namespace_problems.append(
                    Problem(reason="budget", detail=detail % {"most": self._most_namespaces})
                )
                break
            path = found[at]
            at += 1
            try:
                children = self._vault.list("sys/namespaces", path)
            except MissingScope as refused:
                self._namespace_problems.append(Problem.of(refused, path or "/"))
                continue
            found += [f"{path}/{child.strip('/')}".strip("/") for child in children if child.strip("/")]
        return found

    def _namespace(self, root: str, path: str) -> Namespace:
        """What is known of a namespace; the same object every time."""
        authority, parent = _of(root, path), _of(root, path.rpartition("/")[0]) if path else None
        return self._parser.namespaces.setdefault(authority, Namespace(authority, path, parent, self.drift))

    def _of_scope(self, scope: Scope) -> Namespace:
        found = self._parser.namespaces.get(scope.authority)
        if found is None:
            list(self.scopes())
            found = self._parser.namespaces.get(scope.authority)
        if found is None:
            raise NotVisible(_("namespace %(name)r is gone") % {"name": scope.authority}, system="Vault")
        return found

    # -------------------------------------------------------------- reading

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        if scope.kind == "vault.namespace":
            self._authority_known()
            yield RawPage(items=(), problems=self._namespace_problems)
            return
        if scope.kind not in _KINDS:
            raise UnexpectedResponse(_("no scope of kind %(kind)r") % {"kind": scope.kind}, operation="fetch")
        namespace = self._of_scope(scope)
        pages: Iterator[RawPage] = getattr(self, "_fetch_" + scope.kind.removeprefix("vault."))(namespace, token)
        yield from pages

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return self._parser.parse(scope.authority, scope.kind, item)

    def _authority_known(self) -> None:
        if not self._parser.namespaces:
            list(self.scopes())

    def _fetch_server(self, ns: Namespace, _token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        audit: list[str] | None = None
        engines = self._tried(problems, "sys/mounts", self._mounts, ns) or {}
        self._tried(problems, "sys/auth", self._methods, ns)
        if not ns.path:  # audit devices belong to the whole server
            devices = self._tried(problems, "sys/audit", self._vault.read, "sys/audit", ns.path)
            if isinstance(devices, dict):
                audit = sorted(
                    str(device["type"]) for device in devices.values() if isinstance(device, dict) and "type" in device
                )
        item = {"seal": self._seal, "product": product_of(engines), "audit": audit}
        yield RawPage(items=[item], problems=problems.take(last=True))

    def _fetch_policy(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        policies = self._policies(ns)
        problems = Problems()
        for name, text in policies.items():
            if text is None:
                problems.add(MissingScope(name, scope=f"read on sys/policies/acl/{name}"), name)
        names = [(name,) for name, text in sorted(policies.items()) if text is not None]
        yield from self._pages(
            names, token, lambda key: ([{"name": key[0], "policy": policies[key[0]]}], Problems()), problems
        )

    def _fetch_entity(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        self._tried(problems, "identity/group/id", self._groups, ns)
        self._prepare(ns)
        ids = [(one,) for one in self._vault.list("identity/entity/id", ns.path)]

        def read(key: tuple[str, ...]) -> Read:
            return self._one(ns, f"identity/entity/id/{key[0]}", lambda found: {"entity": found})

        yield from self._pages(ids, token, read, problems)

    def _fetch_approle(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        self._prepare(ns)
        names = self._role_names(ns, problems, {"approle": ("role", "role", False)})
        yield from self._pages(names, token, lambda key: self._read_approle(ns, *key), problems)

    def _read_approle(self, ns: Namespace, mount: str, _kind: str, name: str) -> Read:
        path, problems = f"{mount}role/{name}", Problems()
        role = self._tried(problems, path, self._vault.read, path, ns.path, missing_ok=True)
        if role is None:
            return (), problems
        item: dict[str, Any] = {"mount": mount, "name": name, "role": role, "accessor": self._accessor(ns, mount)}
        found = self._tried(problems, path, self._vault.read, f"{path}/role-id", ns.path, missing_ok=True)
        item["role_id"] = found.get("role_id") if found is not None else None
        accessors = self._tried(problems, path, self._vault.list, f"{path}/secret-id", ns.path)
        if accessors is not None:
            item["secret_ids"] = [
                secret_id
                for accessor in accessors
                if (secret_id := self._tried(problems, path, self._secret_id, ns, path, accessor)) is not None
            ]
        return [item], problems

    def _secret_id(self, ns: Namespace, role: str, accessor: str) -> Any:
        """A secret-id's facts; None when it vanished meanwhile."""
        body = {"secret_id_accessor": accessor}
        return self._vault.post(f"{role}/secret-id-accessor/lookup", ns.path, body, missing_ok=True)

    def _fetch_auth_role(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        self._prepare(ns)
        names = self._role_names(ns, problems, _METHODS)
        configs: dict[str, Any] = {}
        for path, (kind, _accessor) in ns.methods.items():
            if kind in _METHODS and _METHODS[kind][2]:
                mount = f"auth/{path}"
                config = self._tried(problems, mount, self._config, ns, mount)
                configs[mount] = config
                if config is not None:
                    names.append((mount, kind, ""))  # the mount itself: whose tokens it takes

        def read(key: tuple[str, ...]) -> Read:
            mount, kind, name = key
            shared = {"mount": mount, "type": kind, "config": configs.get(mount)}
            if not name:
                return [shared], Problems()
            folder = _METHODS[kind][1]
            more = {**shared, "name": name, "folder": folder, "accessor": self._accessor(ns, mount)}
            return self._one(ns, f"{mount}{folder}/{name}", lambda found: {**more, "role": found})

        yield from self._pages(sorted(names), token, read, problems)

    def _config(self, ns: Namespace, mount: str) -> dict[str, Any] | None:
        found = self._vault.read(f"{mount}config", ns.path, missing_ok=True)
        return None if found is None else config_kept(found)

    def _fetch_token(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        self._prepare(ns)
        needs = "list, sudo on auth/token/accessors"
        accessors: list[tuple[str, ...]] = [
            (one,) for one in self._vault.list("auth/token/accessors", ns.path, needs=needs)
        ]
        problems = Problems()
        accessors = self._at_most("token_limit", accessors, problems, "auth/token/accessors")

        def read(key: tuple[str, ...]) -> Read:
            refused = Problems()
            found = self._tried(
                refused,
                key[0],
                self._vault.post,
                "auth/token/lookup-accessor",
                ns.path,
                {"accessor": key[0]},
                missing_ok=True,
            )
            if found is None:
                return (), refused  # it ended between the list and the look-up
            return [{"token": {name: value for name, value in found.items() if name != "id"}}], refused

        yield from self._pages(accessors, token, read, problems)

    def _fetch_database(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        names: list[tuple[str, ...]] = []
        for mount in self._engines_of(ns, "database"):
            for folder in ("config", "roles", "static-roles"):
                where = f"{mount}{folder}"
                found = self._tried(problems, where, self._vault.list, where, ns.path) or []
                names += [(mount, folder, name) for name in found]

        def read(key: tuple[str, ...]) -> Read:
            mount, folder, name = key
            return self._one(ns, f"{mount}{folder}/{name}", lambda found: database_item(mount, folder, name, found))

        yield from self._pages(sorted(names), token, read, problems)

    def _fetch_pki(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        names: list[tuple[str, ...]] = []
        for mount in self._engines_of(ns, "pki"):
            where = f"{mount}certs"
            found = self._tried(problems, where, self._vault.list, where, ns.path) or []
            serials: list[tuple[str, ...]] = [(mount, serial) for serial in found]
            names += self._at_most("pki_limit", serials, problems, mount)

        def read(key: tuple[str, ...]) -> Read:
            mount, serial = key
            return self._one(
                ns,
                f"{mount}cert/{serial}",
                lambda found: {
                    "mount": mount,
                    "serial": serial,
                    "certificate": found.get("certificate"),
                    "revocation_time": found.get("revocation_time"),
                },
            )

        yield from self._pages(sorted(names), token, read, problems)

    def _fetch_kv(self, ns: Namespace, token: str | None) -> Iterator[RawPage]:
        problems = Problems()
        mounts = self._engines_of(ns, "kv1", "kv2")
        at_mount, at_path = _token_of(token, 2) if token else ("", "")
        waiting: tuple[list[Any], str] | None = None  # one page behind, so that the last one can say that it is
        for mount in mounts:
            if mount < at_mount:
                continue
            engine = Engine(mount, 2 if ns.engines[mount] == "kv2" else 1, ns.path)
            paths = walk(self._vault, engine, at_path if mount == at_mount else "", problems)
            while chunk := list(islice(paths, self._page)):
                if waiting is not None:
                    yield RawPage(items=waiting[0], next_token=waiting[1], problems=problems.take(last=False))
                waiting = (self._read_entries(engine, chunk, problems), json.dumps([mount, chunk[-1]]))
        yield RawPage(items=waiting[0] if waiting else (), problems=problems.take(last=True))

    def _read_entries(self, engine: Engine, paths: Sequence[str], problems: Problems) -> list[Any]:
        if not self._metadata and self._fingerprint is None:
            return [{"mount": engine.mount, "version": engine.version, "path": path} for path in paths]

        def read(path: str) -> tuple[dict[str, Any] | None, Problems]:
            return read_entry(self._vault, engine, path, metadata=self._metadata, fingerprint=self._fingerprint)

        items, now = [], self._clock().isoformat()
        for item, refused in self._vault.http.map(read, paths):
            problems.join(refused)
            if item is not None:
                items.append({**item, "read_at": now})
        return items

    # -------------------------------------------------------------- pages

    def _pages(
        self, names: Names, token: str | None, read: Callable[[tuple[str, ...]], Read], problems: Problems
    ) -> Iterator[RawPage]:
        """`read` of each of the sorted `names` after `token`, a page at a time, several at once."""
        after = tuple(_token_of(token, len(names[0]))) if token and names else ()
        left = [name for name in names if not after or name > after]
        for start in range(0, max(len(left), 1), self._page):
            chunk = left[start : start + self._page]
            items: list[Any] = []
            for found, refused in self._vault.http.map(read, chunk):
                items += found
                problems.join(refused)
            last = start + self._page >= len(left)
            following = None if last else json.dumps(chunk[-1])
            yield RawPage(items=items, next_token=following, problems=problems.take(last=last))

    def _one(self, ns: Namespace, path: str, item_of: Callable[[Any], Any]) -> Read:
        """One object by its path; nothing when it vanished since it was listed."""
        problems = Problems()
        found = self._tried(problems, path, self._vault.read, path, ns.path, missing_ok=True)
        return ([] if found is None else [item_of(found)]), problems

    @staticmethod
    def _tried(problems: Problems, subject: str, read: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """What `read` gives; None where it was refused, which is then among the problems."""
        try:
            return read(*given, **more)
        except (MissingScope, NotVisible) as refused:
            problems.add(refused, subject)
            return None

    def _at_most(
        self, setting: str, names: list[tuple[str, ...]], problems: Problems, subject: str
    ) -> list[tuple[str, ...]]:
        limit = _number(self._settings, setting)
        if len(names) > limit:
            detail = _("%(left)s of %(all)s were not read (setting %(setting)s)") % {
                "left": len(names) - limit,
                "all": len(names),
                "setting": setting,
            }
            problems.left_out(detail, subject)
        return names[:limit]

    # -------------------------------------------------------------- what kinds need of one another

    def _once(self, ns: Namespace, what: str, read: Callable[[], Any]) -> Any:
        """What `read` gave the first time; its refusal the same one every time."""
        key = (ns.authority, what)
        if key not in self._read_of:
            try:
                self._read_of[key] = read()
            except SkippableError as refused:
                self._read_of[key] = refused
        found = self._read_of[key]
        if isinstance(found, SkippableError):
            raise found
        return found

    def _mounts(self, ns: Namespace) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            found = self._vault.read("sys/mounts", ns.path)
            engines = {path: mount for path, mount in found.items() if isinstance(mount, dict) and path.endswith("/")}
            ns.engines.update({path: engine_type(mount) for path, mount in engines.items()})
            return engines

        return dict(self._once(ns, "mounts", read))

    def _methods(self, ns: Namespace) -> dict[str, tuple[str, str | None]]:
        def read() -> dict[str, tuple[str, str | None]]:
            found = self._vault.read("sys/auth", ns.path)
            for path, method in found.items():
                if isinstance(method, dict) and path.endswith("/"):
                    accessor = method.get("accessor")
                    kind = str(method.get("type")).removeprefix("ns_")  # "ns_token" is `token` in a child namespace
                    ns.methods[path] = (kind, accessor if isinstance(accessor, str) else None)
            return ns.methods

        return dict(self._once(ns, "methods", read))

    def _policies(self, ns: Namespace) -> dict[str, str | None]:
        def read() -> dict[str, str | None]:
            names = [name for name in self._vault.list("sys/policies/acl", ns.path) if name != "root"]

            def text(name: str) -> str | None:
                try:
                    found = self._vault.read(f"sys/policies/acl/{name}", ns.path, missing_ok=True)
                except MissingScope:
                    return None
                said = found.get("policy") if found is not None else ""
                return said if isinstance(said, str) else None

            ns.policies = dict(zip(names, self._vault.http.map(text, names), strict=True))
            return ns.policies

        return dict(self._once(ns, "policies", read))

    def _groups(self, ns: Namespace) -> dict[str, tuple[str, list[str]]]:
        def read() -> dict[str, tuple[str, list[str]]]:
            ids = self._vault.list("identity/group/id", ns.path)
            answers = self._vault.http.map(
                lambda one: self._vault.read(f"identity/group/id/{one}", ns.path, missing_ok=True), ids
            )
            for one, found in zip(ids, answers, strict=True):
                if found is not None:
                    policies = found.get("policies")
                    names = [name for name in policies if isinstance(name, str)] if isinstance(policies, list) else []
                    ns.groups[one] = (str(found.get("name") or one)[:200], names)
            return ns.groups

        return dict(self._once(ns, "groups", read))

    def _prepare(self, ns: Namespace) -> None:
        """Mounts and policies, so that rights can be told; where they are refused, their own scopes say so."""
        for read in (self._mounts, self._methods, self._policies):
            try:
                read(ns)
            except SkippableError:
                continue

    def _accessor(self, ns: Namespace, mount: str) -> str | None:
        return ns.methods.get(mount.removeprefix("auth/"), ("", None))[1]

    def _role_names(
        self, ns: Namespace, problems: Problems, methods: Mapping[str, tuple[str, str, bool]]
    ) -> list[tuple[str, ...]]:
        """(mount, type, name) of every role of the mounted `methods`. Raises where the mounts cannot be told."""
        names: list[tuple[str, ...]] = []
        for path, (kind, _accessor) in sorted(self._methods(ns).items()):
            if kind in methods:
                mount = f"auth/{path}"
                where = f"{mount}{methods[kind][0]}"
                found = self._tried(problems, where, self._vault.list, where, ns.path) or []
                names += [(mount, kind, name) for name in found]
        return sorted(names)

    def _engines_of(self, ns: Namespace, *kinds: str) -> list[str]:
        """The mounts of these types. Raises MissingScope where the mounts cannot be told."""
        self._mounts(ns)
        return sorted(mount for mount, kind in ns.engines.items() if kind in kinds)

    # -------------------------------------------------------------- single questions

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        if family not in ("identity", "credential"):
            return None  # grants and owners have no address of their own
        try:
            ns = self._of_scope(scope)
            if scope.kind == "vault.kv":
                return self._still_stored(ns, native_id)
            if scope.kind == "vault.token":
                body = {"accessor": native_id.rpartition("/")[2]}
                return self._vault.post("auth/token/lookup-accessor", ns.path, body, missing_ok=True) is not None
            if scope.kind == "vault.approle" and family == "credential":
                role, _slash, accessor = native_id.rpartition("/secret-id/")
                return self._secret_id(ns, role, accessor) is not None
            # A password or a trust lasts as long as the user or role that it is of.
            path = re.sub("/(?:password|trust)$", "", native_id) if family == "credential" else native_id
            return self._vault.read(path, ns.path, missing_ok=True) is not None
        except SkippableError:
            return None

    def _still_stored(self, ns: Namespace, native_id: str) -> bool | None:
        """Whether an entry is there. One key of it (behind a #) is known to be gone only with the whole entry: nothing
        but reading the value would tell."""
        there = self._entry_exists(ns, native_id)
        marks = [at for at, sign in enumerate(native_id) if sign == "#"]
        if there is False and any(self._entry_exists(ns, native_id[:at]) is not False for at in marks):
            return None
        return there

    def _entry_exists(self, ns: Namespace, native_id: str) -> bool | None:
        self._mounts(ns)
        mount = max((m for m in ns.engines if native_id.startswith(m)), key=len, default=None)
        if mount is None:
            return None
        path = native_id.removeprefix(mount)
        if ns.engines[mount] == "kv2":
            return self._vault.read(f"{mount}metadata/{path}", ns.path, missing_ok=True) is not None
        folder, _slash, name = path.rpartition("/")
        return name in self._vault.list(mount + folder, ns.path)  # reading it would hand out its value

    def check(self) -> Sequence[CheckResult]:
        ns = self._namespace(self._authority(), self._vault.namespace)
        self._prepare(ns)
        return check(self._vault, ns)

    def setup(self, capability: Capability) -> SetupGuide:
        return setup_guide(capability)


def _of(root: str, namespace: str) -> str:
    return f"{root}/{namespace}" if namespace else root


def _number(settings: Mapping[str, str], name: str) -> int:
    default = next(setting.default for setting in MANIFEST.settings if setting.name == name)
    said = settings.get(name) or default or ""
    if not said.isdecimal() or len(said) > 12:
        raise ConfigError(
            _("setting %(name)s is %(value)r") % {"name": name, "value": said[:20]}, advice=_("say a whole number")
        )
    return int(said)


def _token_of(token: str, parts: int) -> list[str]:
    try:
        found = json.loads(token)
    except ValueError:
        found = None
    if (
        not isinstance(found, list)
        or not all(isinstance(part, str) for part in found)
        or len(found) != (parts or len(found))
    ):
        raise UnexpectedResponse(_("an unreadable checkpoint"), system="Vault", operation="token")
    return found
