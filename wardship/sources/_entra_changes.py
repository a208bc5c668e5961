"""What a change in a Microsoft directory was about, in the few words that detections ask for.

The directory's own audit log and the unified audit log of Microsoft 365 tell of the same changes with the same names
of properties and the same values, which are JSON text or a writing of their own; both are read here.

Words in `detail`: `scopes` (delegated) and `roles` (application permissions) that were granted, `consent_type`,
`tenant_wide`, `admin_consent`; `key_ids` and `key_types` that were added, `removed_key_ids`; `federation` (subjects
trusted from now on) and `federation_issuers`; `role`, `role_id` (a directory role); `target_app`, `target_sp`,
`target_user`; `enabled`; `mfa`, `mfa_methods`; `user_consent`; `reply_hosts`, `multi_tenant` (of an application);
`changed` (names of what changed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wardship.model.activity import ActivityClass
from wardship.sources._microsoft import MAX_ITEMS, flag_of, guid, json_of, json_text, objects_of, text_of, words

_KEY = re.compile(r"KeyIdentifier=([0-9a-fA-F-]{36}),KeyType=(\w{1,40})")
_GRANTED = re.compile(r"ConsentType: (\w{1,40}), Scope: ([^,\]]{0,8000})")
_USER_ACCESS = re.compile(r"role|consent|permission grant|owner|app role assignment", re.IGNORECASE)
_GROUP = re.compile(r"group|member", re.IGNORECASE)
_ACCOUNT = re.compile(r"user|password|credential|strong auth|mfa|security info", re.IGNORECASE)
_NO_CHANGES = frozenset({"included updated properties", "targetid.usertype", "targetid.serviceprincipalnames"})


@dataclass(frozen=True, slots=True)
class Change:
    """One property before and after, each as the log has it: JSON text, text, or None."""

    name: str
    old: Any
    new: Any


def class_of(operation: str) -> ActivityClass:
    """The OCSF class of a change in a directory, by the vendor's words for it."""
    if _USER_ACCESS.search(operation):
        return ActivityClass.USER_ACCESS_MANAGEMENT
    if "service principal" in operation.lower() or "application" in operation.lower():
        return ActivityClass.ENTITY_MANAGEMENT
    if _GROUP.search(operation):
        return ActivityClass.GROUP_MANAGEMENT
    return ActivityClass.ACCOUNT_CHANGE if _ACCOUNT.search(operation) else ActivityClass.ENTITY_MANAGEMENT


def detail_of(changes: Iterable[Change]) -> dict[str, Any]:
    """What these changes say, in the words above; values of other properties stay out: they may hold anything."""
    found: dict[str, Any] = {}
    names: list[str] = []
    for change in list(changes)[:200]:
        folded = change.name.lower()
        if folded == "included updated properties":
            names += [part.strip() for part in (plain(change.new) or "").split(",")]
        elif folded not in _NO_CHANGES:
            names.append(change.name)
        found.update(_said(folded, change))
    scopes = found.get("scopes")
    if isinstance(scopes, list) and found.get("consent_type") is None and not scopes:
        found.pop("scopes")
    return {**found, "changed": words(names)}


def _said(name: str, change: Change) -> Mapping[str, Any]:
    new, old = plain(change.new), plain(change.old)
    match name:
        case "keydescription" | "keycredentials" | "passwordcredentials":
            return _keys(change)
        case "federatedidentitycredentials":
            return _federations(change)
        case "consentcontext.onbehalfofall":
            return {"tenant_wide": flag_of(new)}
        case "consentcontext.isadminconsent":
            return {"admin_consent": flag_of(new)}
        case "consentaction.permissions":
            return _consented(new or "")
        case "delegatedpermissiongrant.scope":
            return {"scopes": words((new or old or "").split())}
        case "delegatedpermissiongrant.consenttype":
            kind = new or old
            return {"consent_type": kind, "tenant_wide": kind == "AllPrincipals" if kind else None}
        case "approle.value":
            return {"roles": words([new or old])}
        case "role.displayname":
            return {"role": new or old}
        case "role.templateid" | "role.objectid":
            return {"role_id": guid(new or old)}
        case "serviceprincipal.objectid":
            return {"target_sp": guid(new or old)}
        case "serviceprincipal.appid" | "appid":
            return {"target_app": guid(new or old)}
        case "user.upn":
            return {"target_user": new or old}
        case "accountenabled":
            return {"enabled": flag_of(new)}
        case "strongauthenticationrequirement":
            return {"mfa": "required" if text_of(new) not in (None, "[]") else "off"}
        case "strongauthenticationmethod":
            return {"mfa_methods": len(_objects(change.new))}
        case "appaddress":
            return {"reply_hosts": words(_host(one.get("Address")) for one in _objects(change.new))}
        case "availabletoothertenants":
            return {"multi_tenant": flag_of(new)}
        case "permissiongrantpolicyidsassignedtodefaultuserrole":
            return {"user_consent": words(_items(change.new))}
        case _:
            return {}


def plain(value: Any) -> str | None:
    """The text of a property: of its JSON text, and of a list of one."""
    read = json_of(value) if isinstance(value, str) else value
    if read is None:
        return text_of(value)
    while isinstance(read, list) and len(read) == 1:
        read = read[0]
    if isinstance(read, bool):
        return str(read).lower()
    if isinstance(read, list | dict):
        return text_of(json_text(read)[:10_000])
    return text_of(read)


def _items(value: Any) -> list[Any]:
    read = json_of(value) if isinstance(value, str) else value
    return read if isinstance(read, list) else [read]


def _host(address: Any) -> str | None:
    """The host of a reply address, where a consenting user's token goes."""
    try:
        return urlsplit(text_of(address) or "").netloc or None
    except ValueError:
        return None


def _whole(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _keys(change: Change) -> dict[str, Any]:
    before = {key.lower(): kind for key, kind in _KEY.findall(_whole(change.old))}
    after = {key.lower(): kind for key, kind in _KEY.findall(_whole(change.new))}
    added = [key for key in after if key not in before]
    return {
        "key_ids": words(added),
        "key_types": words(after[key] for key in added),
        "removed_key_ids": words(key for key in before if key not in after),
    }


def _federations(change: Change) -> dict[str, Any]:
    """Whom an application trusts from now on. Each trust is an object, or the JSON text of one."""
    before = {json_text(one) for one in _objects(change.old)}
    fresh = [one for one in _objects(change.new) if json_text(one) not in before]
    return {
        "federation": words(one.get("Subject", one.get("subject")) for one in fresh),
        "federation_issuers": words(one.get("Issuer", one.get("issuer")) for one in fresh),
    }


def _objects(value: Any) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for item in _items(value)[:MAX_ITEMS]:
        found += objects_of(item)
    return found


def _consented(text: str) -> dict[str, Any]:
    """`[] => [[Id: ..., ConsentType: AllPrincipals, Scope: a b, ...]]`: what stands after the arrow was granted."""
    entries = _GRANTED.findall(text.rpartition("=>")[2])
    if not entries:
        return {}
    kinds = {kind for kind, _scope in entries}
    return {
        "scopes": words(scope for _kind, part in entries for scope in part.split()),
        "consent_type": "AllPrincipals" if "AllPrincipals" in kinds else min(kinds),
        **({"tenant_wide": True} if "AllPrincipals" in kinds else {}),
    }
