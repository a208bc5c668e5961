"""Accounts of Windows and of Active Directory as logs name them: by a SID, by a name and its domain, or by both."""

from __future__ import annotations

import re

from wardship.model.activity import ActorKind
from wardship.sdk.source import UNNAMED
from wardship.sources import _microsoft as ms

NOBODY = frozenset({"S-1-0-0"})
_OWN_SID = re.compile(r"S-1-5-21(?:-\d{1,10}){1,8}")
_SID = re.compile(r"S-1(?:-\d{1,15}){1,15}")
_ANONYMOUS = "S-1-5-7"


def account(
    sid: str | None, name: str | None, domain: str | None, computer: str | None
) -> tuple[str | None, str | None, str | None, ActorKind]:
    """(authority, id, name, kind) of an account as the log names it."""
    sid = sid.strip("{}%") if sid else None
    sid = sid if sid and _SID.fullmatch(sid) and sid not in NOBODY else None
    plain, _at, realm = (name or "").partition("@")
    domain = domain or realm or None
    shown = f"{domain}\\{plain}" if domain and plain else plain or None
    kind = ActorKind.USER if shown or sid else ActorKind.UNKNOWN
    if plain.endswith("$") or (sid and not _OWN_SID.fullmatch(sid)):
        kind = ActorKind.ANONYMOUS if sid == _ANONYMOUS else ActorKind.MACHINE
    if plain.upper() == "ANONYMOUS LOGON":
        kind = ActorKind.ANONYMOUS
    if sid and _OWN_SID.fullmatch(sid):
        return "ad:sid", sid, shown, kind
    if sid:
        return f"windows:{computer.lower()[:200]}" if computer else f"windows{UNNAMED}", sid, shown, kind
    if plain and ms.actor_id(plain):
        return f"ad:name:{(domain or '').lower()[:200]}", plain.lower(), shown, kind
    return None, None, shown, kind
