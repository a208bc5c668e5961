"""What is kept of an answer before anything else sees it: statements and connection strings may hold passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CONFIG_KEPT = ("bound_issuer", "oidc_discovery_url", "jwks_url", "issuer", "kubernetes_host")
_DATABASE_KEPT = (
    "username", "db_name", "plugin_name", "allowed_roles", "default_ttl", "max_ttl", "credential_type",
    "last_vault_rotation", "rotation_period", "rotation_schedule",
)  # fmt: skip
_HOST = re.compile(r"(?:@|//)([\w.-]{1,253}(?::\d{1,5})?)(?=[/?,)]|$)")


def config_kept(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a login method's configuration, whose tokens it takes."""
    return {name: found[name] for name in _CONFIG_KEPT if name in set(found)}


def database_item(mount: str, folder: str, name: str, found: Any) -> dict[str, Any]:
    """A connection or role of a database engine as an item for `parse`."""
    kept = {field: found[field] for field in _DATABASE_KEPT if field in set(found)}
    details = found.get("connection_details")
    host = None
    if isinstance(details, dict):
        kept["connection_details"] = {"username": details.get("username")}
        url = details.get("connection_url")
        at = _HOST.search(url[:2048]) if isinstance(url, str) else None
        host = at[1] if at else None
    return {"mount": mount, "folder": folder, "name": name, "found": kept, "host": host}


def engine_type(mount: Mapping[str, Any]) -> str:
    """A mount's type; a key/value engine with its version, of which the options speak only for version 2."""
    kind, options = str(mount.get("type")), mount.get("options")
    if kind not in ("kv", "generic"):
        return kind.removeprefix("ns_")
    return "kv2" if isinstance(options, dict) and options.get("version") == "2" else "kv1"


def product_of(engines: Mapping[str, Any]) -> str | None:
    """Built-in engines name their maker ("v2.7.2+builtin.bao", "v1.15.0+builtin.vault"); None: they do not."""
    versions = {str(mount.get("running_plugin_version")) for mount in engines.values() if isinstance(mount, Mapping)}
    if any(version.endswith(".bao") for version in versions):
        return "openbao"
    return "vault" if any(version.endswith(".vault") for version in versions) else None
