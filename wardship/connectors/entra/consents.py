"""Who consented, and when: found in the audit log, for grants themselves do not say.

The log keeps 30 days with a Premium licence and 7 without; an older consent has no known giver unless an archive of
the log is imported. What an event changed is written in it as text of the vendor's own making, read here and
nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wardship.connectors.entra.fields import Fields

CONSENT = "Consent to application"
DELEGATED = "Add delegated permission grant"
APP_ROLE = "Add app role assignment to service principal"
ACTIVITIES = (CONSENT, DELEGATED, APP_ROLE)

_ENTRY = re.compile(
    r"ClientId: (?P<client>[0-9a-fA-F-]{36}).{0,400}?ConsentType: (?P<type>\w{1,40}), Scope: (?P<scope>[^,\]]{0,8000})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One act of consent: to which client, for whom, which words, by whom, when."""

    client: str
    consent_type: str  # "AllPrincipals", "Principal", or "Role" for an application permission
    words: tuple[str, ...]
    by: str | None
    by_id: str | None
    at: datetime


def read_audit(event: Fields) -> list[Consent]:
    """The consents that one audit event tells of; [] for a failed try or another activity. Raises DataError."""
    event.id()
    activity, at = event.text("activityDisplayName"), event.instant("activityDateTime")
    if activity not in ACTIVITIES or at is None or event.text("result") not in ("success", None):
        return []
    who = event.child("initiatedBy")
    user, app = (who.child("user"), who.child("app")) if who else (None, None)
    by = (user.text("userPrincipalName") if user else None) or (app.text("displayName") if app else None)
    by_id = user.text("id") if user else None
    changed = {
        name: prop.text("newValue") or ""
        for target in event.objects("targetResources")
        for prop in target.objects("modifiedProperties")
        if (name := prop.text("displayName"))
    }

    def consent(client: str, kind: str, words: Iterable[str]) -> Consent:
        return Consent(client=client.lower(), consent_type=kind, words=tuple(words), by=by, by_id=by_id, at=at)

    if activity == CONSENT:
        return [
            consent(entry["client"], entry["type"], entry["scope"].split())
            for entry in _ENTRY.finditer(changed.get("ConsentAction.Permissions", "").rpartition("=>")[2])
        ]
    client = _unquoted(changed.get("ServicePrincipal.ObjectID", ""))
    if not client:
        return []
    if activity == APP_ROLE:
        return [consent(client, "Role", [_unquoted(changed.get("AppRole.Value", ""))])]
    kind = _unquoted(changed.get("DelegatedPermissionGrant.ConsentType", ""))
    return [consent(client, kind, _unquoted(changed.get("DelegatedPermissionGrant.Scope", "")).split())]


def _unquoted(text: str) -> str:
    """The audit log writes values as JSON text: `"\\"AllPrincipals\\""`."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


@dataclass(slots=True)
class Consents:
    """All acts of consent that were read; the newest one about a word is the one that counts."""

    _newest: dict[tuple[str, str, str], Consent] = field(default_factory=dict)

    def add(self, consents: Iterable[Consent]) -> None:
        for consent in consents:
            for word in consent.words:
                key = (consent.client, consent.consent_type, word)
                if key not in self._newest or self._newest[key].at < consent.at:
                    self._newest[key] = consent

    def people(self) -> Mapping[str, str | None]:
        """Directory id -> user name of everybody who consented."""
        return {consent.by_id: consent.by for consent in self._newest.values() if consent.by_id}

    def about(self, client: str, consent_type: str, word: str) -> dict[str, str | None] | None:
        """Who gave it and when, as `parse` reads it; None: the log does not say."""
        found = self._newest.get((client.lower(), consent_type, word))
        return {"by": found.by, "by_id": found.by_id, "at": found.at.isoformat()} if found else None
