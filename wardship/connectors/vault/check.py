"""`connect check`: what the token may do at one real path of each kind, asked in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wardship.connectors.vault.manifest import MANIFEST
from wardship.connectors.vault.namespace import Namespace
from wardship.connectors.vault.session import Session
from wardship.sdk.connector import Capability, CheckResult
from wardship.sdk.i18n import _

_LIST, _READ, _UPDATE = frozenset(("list",)), frozenset(("read",)), frozenset(("update",))
_SEE = _LIST | _READ
Probe = tuple[str, frozenset[str]]


def check(vault: Session, ns: Namespace) -> Sequence[CheckResult]:
    """A line for each permission of discovery. `ns`: its mounts are known, as far as they may be read."""
    permissions = MANIFEST.permissions[Capability.DISCOVER]
    probes = _probes(ns)
    paths = sorted({path for needs in probes for path, _capabilities in needs})
    held: Mapping[str, Any] = vault.post("sys/capabilities-self", ns.path, {"paths": paths})
    return [_line(permission.name, needs, held) for permission, needs in zip(permissions, probes, strict=True)]


def _line(permission: str, needs: Sequence[Probe], held: Mapping[str, Any]) -> CheckResult:
    lacking = [
        f"{', '.join(sorted(wanted))} on {path}" for path, wanted in needs if not _enough(held.get(path), wanted)
    ]
    return CheckResult(
        permission=permission,
        capability=Capability.DISCOVER,
        allowed=not lacking if needs else None,
        detail="; ".join(lacking[:5]) if needs else _("nothing of this kind is mounted"),
    )


def _enough(given: Any, wanted: frozenset[str]) -> bool:
    return isinstance(given, list) and ("root" in given or wanted <= {word for word in given if isinstance(word, str)})


def _probes(ns: Namespace) -> Sequence[list[Probe]]:
    """The real paths that stand for each permission, in the manifest's order."""

    def engines(*kinds: str) -> list[str]:
        return sorted(mount for mount, kind in ns.engines.items() if kind in kinds)

    def methods(*kinds: str) -> list[str]:
        return sorted(f"auth/{path}" for path, (kind, _accessor) in ns.methods.items() if kind in kinds)

    roles = [(f"{mount}role/any", _SEE) for mount in methods("approle", "kubernetes", "jwt", "oidc")]
    secret_ids = [
        probe
        for mount in methods("approle")
        for probe in ((f"{mount}role/any/secret-id", _LIST), (f"{mount}role/any/secret-id-accessor/lookup", _UPDATE))
    ]
    users = [(f"{mount}users/any", _SEE) for mount in methods("userpass")]
    users += [(f"{mount}certs/any", _SEE) for mount in methods("cert")]
    users += [(f"{mount}config", _READ) for mount in methods("jwt", "oidc", "kubernetes")]
    databases = [
        (f"{mount}{folder}/any", _SEE)
        for mount in engines("database")
        for folder in ("config", "roles", "static-roles")
    ]
    issued = [
        probe for mount in engines("pki") for probe in ((f"{mount}certs/any", _LIST), (f"{mount}cert/any", _READ))
    ]
    entries = [(f"{mount}metadata/any", _SEE) for mount in engines("kv2")]
    entries += [(f"{mount}any", _LIST) for mount in engines("kv1")]
    values = [(f"{mount}data/any", _READ) for mount in engines("kv2")]
    values += [(f"{mount}any", _READ) for mount in engines("kv1")]
    return (
        [("sys/mounts", _READ)],
        [("sys/auth", _READ)],
        [("sys/policies/acl/any", _SEE)],
        roles,
        secret_ids,
        [("auth/token/accessors/", _LIST | {"sudo"})],
        [("auth/token/lookup-accessor", _UPDATE)],
        [("identity/entity/id/any", _SEE)],
        [("identity/group/id/any", _SEE)],
        entries,
        [*users, ("auth/token/roles/any", _SEE)],
        databases,
        issued,
        [] if ns.path else [("sys/audit", _READ | {"sudo"})],
        [("sys/namespaces/any", _LIST)],
        values,
    )
