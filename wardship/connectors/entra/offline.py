"""Reading a tenant from files: answers of Microsoft Graph that somebody saved, one collection a file.

What a file holds is recognised by its content, not by its name: the `@odata.context` where it is kept, else the fields
of the first objects. The items are put together as the live reader does, and go through the same `parse`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wardship.connectors.entra.consents import Consents, read_audit
from wardship.connectors.entra.fields import Fields
from wardship.connectors.entra.manifest import MANIFEST
from wardship.connectors.entra.parse import Parser
from wardship.connectors.entra.reader import role_index, scrub
from wardship.connectors.entra.session import tenant_of
from wardship.model.errors import ConfigError, DataError
from wardship.model.scan import Problem, RawPage, Scope
from wardship.sdk.bounds import json_depth
from wardship.sdk.connector import Connection, DriftLog, Record
from wardship.sdk.i18n import _

MAX_BYTES = 1024 * 1024 * 1024
MAX_DEPTH = 64
_PAGE = 5_000

# collection -> fields that together occur in it only
_SIGNS: dict[str, frozenset[str]] = {
    "directoryAudits": frozenset({"activityDisplayName", "targetResources"}),
    "appCredentialSignInActivities": frozenset({"keyId", "signInActivity"}),
    "servicePrincipalSignInActivities": frozenset({"appId", "lastSignInActivity"}),
    "oauth2PermissionGrants": frozenset({"clientId", "consentType"}),
    "appRoleAssignments": frozenset({"appRoleId", "principalId"}),
    "roleAssignments": frozenset({"roleDefinitionId", "principalId"}),
    "roleDefinitions": frozenset({"rolePermissions"}),
    "organization": frozenset({"verifiedDomains"}),
    "users": frozenset({"userPrincipalName"}),
    "servicePrincipals": frozenset({"servicePrincipalType"}),
    "applications": frozenset({"appId", "signInAudience"}),
}
_CONTEXT = re.compile(r"\$metadata#([\w/('){}.-]+)")


class GraphFiles:
    """The files of one import. Raises ConfigError for a file that cannot be read as a whole."""

    manifest = MANIFEST

    def __init__(self, paths: Sequence[Path], connection: Connection) -> None:
        self.drift = DriftLog()
        self._collections: dict[str, list[Any]] = {}
        self._resource_memory: dict[str, Any] | None = None
        self._consent_memory: Consents | None = None
        for path in paths:
            name, items = _load(path)
            self._collections.setdefault(name, []).extend(scrub(item) for item in items)
        given = connection.settings.get("tenant_id")
        self._parser = Parser(tenant_of(connection) if given else self._tenant() if paths else "", self.drift)

    def scopes(self) -> Iterable[Scope]:
        kinds = dict.fromkeys(_KIND_OF[name] for name in self._collections if name in _KIND_OF)
        return [Scope(connector=MANIFEST.name, authority=self._parser.authority, kind=kind) for kind in kinds]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        items = self._items(scope.kind)
        start = int(token) if token else 0
        # What a file leaves out nobody knows: an import never completes a scope, so it never makes anything go away.
        partial = Problem(
            reason="not_visible", detail="an import shows what its files hold, which may not be everything"
        )
        for begin in range(start, max(len(items), 1), _PAGE):
            end = begin + _PAGE
            last = end >= len(items)
            yield RawPage(
                items=items[begin:end], next_token=None if last else str(end), problems=(partial,) if last else ()
            )

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        if self._parser.authority != scope.authority:  # a replay, without files that name the tenant
            self._parser = Parser(scope.authority.removeprefix("entra:"), self.drift)
        return self._parser.parse(scope.kind, item)

    def _tenant(self) -> str:
        """The tenant that the files themselves name: their organization."""
        for organization in self._collections.get("organization", ()):
            if isinstance(organization, dict) and isinstance(organization.get("id"), str):
                return str(organization["id"]).lower()
        raise ConfigError(
            _("the files do not say which tenant they are from"),
            advice=_("set tenant_id on the connection, or import the answer of /v1.0/organization with them"),
        )

    def _items(self, kind: str) -> list[Any]:
        found = {name: self._collections.get(name, []) for name, of in _KIND_OF.items() if of == kind}
        items = [item for collection in found.values() for item in collection]
        if kind == "entra.tenant":
            return [{"organization": item} for item in items]
        if kind == "entra.service_principal":
            return [{"servicePrincipal": item} for item in items]
        if kind == "entra.user":
            return [{"user": item} for item in items]
        if kind == "entra.directory_role":
            roles = _by_id(self._collections.get("roleDefinitions", ()))
            holders = _by_id(self._collections.get("servicePrincipals", ()))
            return [
                {"assignment": item, "role": roles.get(str(item.get("roleDefinitionId")))}
                for item in items
                if not isinstance(item, dict) or not holders or item.get("principalId") in holders
            ]
        if kind == "entra.sign_in_activity":
            index = {
                sp["appId"]: sp.get("id")
                for sp in self._collections.get("servicePrincipals", ())
                if isinstance(sp, dict) and isinstance(sp.get("appId"), str)
            }
            return [
                {"activity": item, "servicePrincipalId": index.get(item.get("appId"))}
                if isinstance(item, dict)
                else item
                for item in items
            ]
        if kind in ("entra.app_role_assignment", "entra.delegated_consent"):
            return [self._grant(kind, item) for item in items]
        return items

    def _grant(self, kind: str, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        resource = self._resources().get(str(item.get("resourceId")))
        consents = self._consents()
        shown = resource and {"appId": resource["appId"], "displayName": resource["displayName"]}
        if kind == "entra.delegated_consent":
            client, who = str(item.get("clientId")), str(item.get("consentType"))
            words = str(item.get("scope") or "").split()
            given = {word: about for word in words if (about := consents.about(client, who, word))}
            return {"grant": item, "resource": shown, "consents": given}
        role = resource["roles"].get(str(item.get("appRoleId"))) if resource else None
        consent = consents.about(str(item.get("principalId")), "Role", role) if role else None
        return {"assignment": item, "resource": shown, "role": role, "consent": consent}

    def _resources(self) -> dict[str, Any]:
        if self._resource_memory is None:
            self._resource_memory = dict(
                entry for sp in self._collections.get("servicePrincipals", ()) if (entry := role_index(sp))
            )
        return self._resource_memory

    def _consents(self) -> Consents:
        if self._consent_memory is None:
            self._consent_memory = Consents()
            for event in self._collections.get("directoryAudits", ()):
                if isinstance(event, dict):
                    try:
                        self._consent_memory.add(read_audit(Fields(event, "directoryAudit", self.drift)))
                    except DataError as unreadable:
                        self.drift.unexpected_shape("directoryAudit", unreadable.message)
        return self._consent_memory


_KIND_OF = {
    "organization": "entra.tenant",
    "servicePrincipals": "entra.service_principal",
    "applications": "entra.application",
    "appRoleAssignments": "entra.app_role_assignment",
    "directoryAudits": "entra.consent_audit",
    "oauth2PermissionGrants": "entra.delegated_consent",
    "roleAssignments": "entra.directory_role",
    "servicePrincipalSignInActivities": "entra.sign_in_activity",
    "appCredentialSignInActivities": "entra.credential_activity",
    "users": "entra.user",
}


def _by_id(items: Iterable[Any]) -> dict[str, Any]:
    return {item["id"]: item for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)}


def _load(path: Path) -> tuple[str, list[Any]]:
    """(collection, items) of one file. Raises ConfigError."""
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as failed:
        raise ConfigError(
            _("%(path)s: %(what)s") % {"path": path, "what": failed.strerror},
            advice=_("check the path and its permissions"),
        ) from None
    if size > MAX_BYTES:
        raise ConfigError(
            _("%(path)s: %(size)s bytes, the limit is %(max_bytes)s")
            % {"path": path, "size": size, "max_bytes": MAX_BYTES},
            advice=_("split the file"),
        )
    if json_depth(raw, MAX_DEPTH) > MAX_DEPTH:
        raise ConfigError(
            _("%(path)s: nested deeper than %(max_depth)s") % {"path": path, "max_depth": MAX_DEPTH},
            advice=_("this is no answer of Microsoft Graph"),
        )
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # PowerShell writes either
    try:
        body = json.loads(raw.decode(encoding))
    except UnicodeDecodeError:
        raise ConfigError(
            _("%(path)s: neither UTF-8 nor UTF-16") % {"path": path}, advice=_("save the answer again as UTF-8")
        ) from None
    except (ValueError, RecursionError) as broken:
        what = _("no JSON")
        if isinstance(broken, json.JSONDecodeError):
            what = _("no JSON at line %(line)d") % {"line": broken.lineno}
        raise ConfigError(
            _("%(path)s: %(what)s") % {"path": path, "what": what},
            advice=_("the file may be cut off; save the answer again"),
        ) from None
    items = body.get("value") if isinstance(body, dict) and "value" in body else body
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, list):
        raise ConfigError(
            _("%(path)s: neither a list nor an object with `value`") % {"path": path},
            advice=_("save the answer as Graph gave it"),
        )
    context = body.get("@odata.context") if isinstance(body, dict) else None
    name = _recognised(context if isinstance(context, str) else "", items)
    if name is None:
        raise ConfigError(
            _("%(path)s: not recognised as a collection of Microsoft Graph") % {"path": path},
            advice=_("known collections: %(names)s") % {"names": ", ".join(sorted(_SIGNS))},
        )
    return name, items


def _recognised(context: str, items: Sequence[Any]) -> str | None:
    found = _CONTEXT.search(context)
    last = found[1].split("(")[0].rsplit("/", 1)[-1] if found else ""
    if last in _SIGNS:
        return last
    fields: set[str] = set()
    for item in items[:50]:
        if isinstance(item, dict):
            fields |= item.keys()
    return next((name for name, signs in _SIGNS.items() if signs <= fields), None)
