"""What Wardship itself knows of Microsoft's names: tiers of permissions and roles, own tenants, clouds.

The tables are in wardship/data/entra_*.toml, each with its source and date. Everything else about a tenant (which app
role an id is, which roles exist) is asked of the tenant at scan time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from importlib.resources import files
from typing import Any

from wardship.model.access import Tier
from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

_WRITE_VERBS = (
    "ReadWrite",
    "ReadUpdate",
    "Write",
    "Create",
    "Update",
    "Delete",
    "Manage",
    "Send",
    "FullControl",
    "Remove",
    "Import",
    "Upload",
    "Initiate",
    "Join",
    "Access",
    "Migrat",
    "Archive",
    "Start",
    "Invite",
    "Submit",
    "Enable",
    "Activate",
    "Edit",
    "Report",
    "Command",
    "Ingest",
    "Sign",
    "ReadApprove",
)
_READ_VERBS = ("Read", "Export", "Evaluate", "Compute", "Process", "Receive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Where one of Microsoft's clouds answers. `office` None: it has no audit log of Microsoft 365 that we know of."""

    graph: str
    login: str
    management: str
    office: str | None = None


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("wardship").joinpath(f"data/entra_{name}.toml").read_text("utf-8"))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns))


@cache
def _permission_patterns() -> list[tuple[Tier, re.Pattern[str], bool]]:
    return [
        (tier, _any_of(part["patterns"]), part.get("except_writes", False))
        for tier in (Tier.CONTROL_PLANE, Tier.WRITE, Tier.SENSITIVE_READ, Tier.READ)
        for part in (_table("permissions")[tier.value],)
    ]


@cache
def permission_tier(name: str) -> Tier:
    """How much the permission called `name` can do, whichever of Microsoft's APIs it belongs to.

    The table decides first, then the verb (second part of "Thing.Verb.Constraint"). UNKNOWN where neither does.
    """
    verb = name.split(".")[1] if "." in name else ""
    writes = verb.startswith(_WRITE_VERBS)
    for tier, pattern, except_writes in _permission_patterns():
        if pattern.match(name) and not (except_writes and writes):
            return tier
    if writes:
        return Tier.WRITE
    return Tier.READ if verb.startswith(_READ_VERBS) else Tier.UNKNOWN


@cache
def _role_table() -> dict[str, Tier]:
    table = _table("roles")
    return {
        template: tier
        for tier in (Tier.READ, Tier.SENSITIVE_READ, Tier.CONTROL_PLANE)
        for template in table[tier.value]
    }


@cache
def _control_actions() -> re.Pattern[str]:
    return _any_of(_table("roles")["actions"]["control_plane"])


def role_tier(template_id: str | None, actions: Iterable[str]) -> Tier:
    """How much a directory role can do: by its template where we know it, else by the actions it holds."""
    known = _role_table().get((template_id or "").lower())
    if known is not None:
        return known
    held = list(actions)
    if any(_control_actions().match(action) for action in held):
        return Tier.CONTROL_PLANE
    if not held:
        return Tier.UNKNOWN
    return Tier.READ if all(action.endswith("/read") for action in held) else Tier.WRITE


def is_microsoft(tenant_id: str) -> bool:
    """Whether this tenant is one of Microsoft's own, whose service principals it runs itself."""
    return tenant_id.lower() in _table("tenants")["microsoft"]


def resource_name(app_id: str) -> str:
    """A name of the resource that stays the same: ours for the well-known ones, else the application id."""
    name: str = _table("tenants")["resource"].get(app_id.lower(), app_id)
    return name


def cloud(name: str) -> Cloud:
    """The hosts of the cloud called `name`. Raises ConfigError for a name we do not know."""
    clouds = _table("tenants")["cloud"]
    if name not in clouds:
        raise ConfigError(
            _("no cloud is called %(name)r") % {"name": name},
            advice=_("known clouds: %(names)s") % {"names": ", ".join(sorted(clouds))},
        )
    return Cloud(**clouds[name])
