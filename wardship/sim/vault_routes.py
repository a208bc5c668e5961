"""The calls that the simulated vault answers: those of a reader, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wardship.sim.kit import Answer, Call, Refuse

if TYPE_CHECKING:
    from wardship.sim.vault import Space, VaultServer

TOKEN_HEADER = "x-vault-token"  # noqa: S105 - a header's name


def declare_routes(vault: VaultServer) -> None:
    """Gives `vault` all its routes."""
    _sys(vault)
    _auth(vault)
    _engines(vault)


def _sys(vault: VaultServer) -> None:
    @vault.on("GET", "/v1/sys/seal-status", public=True)
    def seal_status(_call: Call) -> Any:
        return {
            "type": "shamir",
            "initialized": True,
            "sealed": False,
            "version": vault.version,
            "cluster_name": f"cluster-{vault.cluster[:8]}",
            "cluster_id": vault.cluster,
            "storage_type": "raft",
        }

    @vault.on("GET", "/v1/sys/mounts", scope="sys")
    def mounts(call: Call) -> Any:
        return {"data": _space(vault, call).mounts}

    @vault.on("GET", "/v1/sys/auth", scope="sys")
    def methods(call: Call) -> Any:
        return {"data": _space(vault, call).methods}

    @vault.on("GET", "/v1/sys/audit", scope="audit")
    def audit(_call: Call) -> Any:
        return {"data": {"file/": {"type": "file", "path": "file/"}} if vault.audited else {}}

    @vault.on("GET", "/v1/sys/namespaces/", scope="namespaces")
    def namespaces(call: Call) -> Any:
        inside = f"{space.name}/" if (space := _space(vault, call)).name else ""
        below = {name[len(inside) :] for name in vault.spaces if name.startswith(inside) and name != space.name}
        return _keys({f"{name}/" for name in below if "/" not in name})

    @vault.on("POST", "/v1/sys/capabilities-self")
    def capabilities(call: Call) -> Any:
        held = vault.tokens[call.headers[TOKEN_HEADER]].scopes
        held_all = ["list", "read", "sudo", "update"]
        answer = {path: held_all if _right(path) in held else ["deny"] for path in call.body["paths"]}
        return {**answer, "data": answer}

    @vault.on("GET", "/v1/sys/policies/acl/{*name}", scope="policies")
    def policies(call: Call) -> Any:
        return _object(vault, call, f"sys/policies/acl/{call.path['name']}")


def _auth(vault: VaultServer) -> None:
    @vault.on("GET", "/v1/auth/token/lookup-self")
    def lookup_self(call: Call) -> Any:
        return {"data": {"display_name": call.client, "policies": ["wardship"], "type": "service"}}

    @vault.on("GET", "/v1/auth/token/accessors/", scope="tokens")
    def accessors(call: Call) -> Any:
        return _keys(_space(vault, call).tokens)

    @vault.on("POST", "/v1/auth/token/lookup-accessor", scope="tokens")
    def lookup_accessor(call: Call) -> Any:
        found = _space(vault, call).tokens.get(call.body["accessor"])
        if found is None:
            return Answer(400, {"errors": ["1 error occurred:\n\t* invalid accessor\n\n"]})
        return {"data": found}

    @vault.on("GET", "/v1/auth/{method}/role/{role}/secret-id/", scope="secret-ids")
    def secret_ids(call: Call) -> Any:
        return _keys(_space(vault, call).secret_ids.get(_role(call), {}))

    @vault.on("POST", "/v1/auth/{method}/role/{role}/secret-id-accessor/lookup", scope="secret-ids")
    def secret_id(call: Call) -> Any:
        found = _space(vault, call).secret_ids.get(_role(call), {}).get(call.body["secret_id_accessor"])
        if found is None:
            raise Refuse(404)
        return {"data": found}

    @vault.on("GET", "/v1/auth/{*path}", scope="auth")
    def auth(call: Call) -> Any:
        return _object(vault, call, f"auth/{call.path['path']}")

    @vault.on("GET", "/v1/identity/{*path}", scope="identity")
    def identity(call: Call) -> Any:
        return _object(vault, call, f"identity/{call.path['path']}")


def _engines(vault: VaultServer) -> None:
    @vault.on("GET", "/v1/{mount}/metadata/{*path}", scope="kv")
    def metadata(call: Call) -> Any:
        return _object(vault, call, f"{call.path['mount']}/metadata/{call.path['path']}")

    @vault.on("GET", "/v1/{mount}/data/{*path}", scope="values")
    def data(call: Call) -> Any:
        found = _space(vault, call).values.get(f"{call.path['mount']}/{call.path['path']}")
        if found is None:
            raise Refuse(404)
        return {"data": {"data": found, "metadata": {"version": 1}}}

    @vault.on("GET", "/v1/{mount}/{*path}", scope="engines")
    def engine(call: Call) -> Any:
        space, path = _space(vault, call), f"{call.path['mount']}/{call.path['path']}"
        mount = space.mounts.get(f"{call.path['mount']}/", {})
        if mount.get("type") == "kv":  # version 1: the path itself is the entry
            if "list" in call.query:
                return _below(space.values, path)
            if path in space.values and "values" in vault.tokens[call.headers[TOKEN_HEADER]].scopes:
                return {"data": space.values[path]}
            raise Refuse(403 if path in space.values else 404)
        if mount.get("type") == "pki" and call.path["path"] == "certs/":
            path = f"{call.path['mount']}/cert/"
        return _object(vault, call, path)


def _space(vault: VaultServer, call: Call) -> Space:
    name = call.headers.get("x-vault-namespace", "").strip("/")
    if name not in vault.spaces:
        raise Refuse(404)
    return vault.spaces[name]


def _object(vault: VaultServer, call: Call, path: str) -> Any:
    space = _space(vault, call)
    if "list" in call.query:
        return _below(space.objects, path)
    if path not in space.objects:
        raise Refuse(404)
    return {"data": space.objects[path]}


def _keys(names: Any) -> Any:
    """The answer of a list; Vault answers 404 for an empty one."""
    if not names:
        raise Refuse(404)
    return {"data": {"keys": sorted(names)}}


def _below(objects: Mapping[str, Any], folder: str) -> Any:
    rest = [path[len(folder) :] for path in objects if path.startswith(folder) and not path.endswith("/role-id")]
    return _keys({f"{name.split('/')[0]}/" if "/" in name else name for name in rest})


def _role(call: Call) -> str:
    return f"auth/{call.path['method']}/role/{call.path['role']}"


_RIGHT_OF = (
    ("sys/audit", "audit"),
    ("sys/namespaces", "namespaces"),
    ("sys/policies", "policies"),
    ("sys/", "sys"),
    ("auth/token/roles", "auth"),
    ("auth/token/", "tokens"),
    ("identity/", "identity"),
)


def _right(path: str) -> str:
    for start, right in _RIGHT_OF:
        if path.startswith(start):
            return right
    if path.startswith("auth/"):
        return "secret-ids" if "/secret-id" in path else "auth"
    return next((right for part, right in (("/metadata/", "kv"), ("/data/", "values")) if part in path), "engines")
