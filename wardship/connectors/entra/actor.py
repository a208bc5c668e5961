"""Changing client secrets of applications: add, prove, remove.

An application may have several secrets that are all valid, so a rotation needs no outage: add the new one, move the
consumers, remove the old one. A secret is named `wardship-<operation>` when it is made, which proves at once who made
it. The directory is many replicas: what was written may be missing from the next read for a minute (`settle_s`), so
"not there" is never taken for "not made" before that, and removing what is not there yet is not repeated blindly.

One secret cannot be disabled. The way back after a removal is a new secret, never the old value, which is why removal
waits for the grace period of the saga.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from wardship.connectors.entra.fields import Fields
from wardship.connectors.entra.manifest import MANIFEST
from wardship.connectors.entra.parse import Parser
from wardship.connectors.entra.session import Session
from wardship.model.access import Usage, UseState
from wardship.model.errors import AuthenticationFailed, DataError, NotVisible, SkippableError, UnexpectedResponse
from wardship.model.secret import Secret
from wardship.sdk.acting import mark_of
from wardship.sdk.connector import CallStats, Connection, Deliver, DriftLog, LiveCredential
from wardship.sdk.i18n import _

_NEEDS = "Application.ReadWrite.OwnedBy"
_LIFE_DAYS = 180  # a secret of ours ends by itself if nobody comes back to it


class EntraActor:
    """Rotates the client secrets of one tenant's applications. A target is an application's object id."""

    manifest = MANIFEST
    two_slots = True
    max_credentials: int | None = None  # the limit is on the size of the object, not a number
    settle_s = 120.0

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        self._clock = connection.clock
        self._session = Session(connection, self.stats)
        self._graph = self._session.graph
        self._drift = DriftLog()
        self._parser = Parser(self._session.tenant, self._drift)

    def list_live(self, target: str) -> Sequence[LiveCredential]:
        now = self._clock()
        live = []
        for entry in self._secrets(target):
            ends = entry.instant("endDateTime")
            if ends is not None and ends <= now:
                continue  # it is listed for ever, and opens nothing any more
            name = entry.text("displayName") or ""
            live.append(
                LiveCredential(
                    id=f"{target}/{entry.id('keyId')}",
                    enabled=True,
                    created_at=entry.instant("startDateTime"),
                    op_id=name.removeprefix(mark_of("")) if name.startswith(mark_of("")) else None,
                )
            )
        return live

    def create(self, target: str, op_id: str, deliver: Deliver) -> str:
        """A secret that this operation made already is removed first: its value was shown once and is lost."""
        made = self.find_created(target, op_id)
        if made is not None:
            self.delete(target, made)
        ends = (self._clock() + timedelta(days=_LIFE_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"passwordCredential": {"displayName": mark_of(op_id), "endDateTime": ends}}
        answer = self._graph.post_json(f"/v1.0/applications/{_ident(target)}/addPassword", body, needs=_NEEDS)
        value = answer["secretText"] if isinstance(answer, dict) and "secretText" in answer else None
        if not isinstance(value, str) or not value:
            raise UnexpectedResponse(_("addPassword gave no secret"), system="Microsoft Graph", operation="addPassword")
        credential_id = f"{target}/{Fields(answer, 'passwordCredential', self._drift).id('keyId')}"
        deliver(Secret(value), credential_id)
        return credential_id

    def find_created(self, target: str, op_id: str) -> str | None:
        found = [one for one in self.list_live(target) if one.op_id == op_id]
        return found[-1].id if found else None

    def test(self, target: str, credential_id: str, value: Secret) -> bool:
        """Asks for a token with it. Just after its making a refusal may be the directory's lag: try again."""
        _key_id(target, credential_id)
        params = {"$select": "id,appId"}
        application = self._graph.get_json(f"/v1.0/applications/{_ident(target)}", params, needs="Application.Read.All")
        app_id = Fields(application, "application", self._drift).id("appId")
        form = self._session.token_form(app_id, {"client_secret": value})
        try:
            self._session.login.request("POST", self._session.token_path, form=form, idempotent=True)
        except AuthenticationFailed:
            return False
        return True

    def promote(self, target: str, credential_id: str) -> None:
        """Both secrets are valid; which one is in use is the store's business."""

    def disable(self, target: str, credential_id: str) -> None:
        raise NotVisible(
            _("%(credential_id)s: one client secret of %(target)s cannot be disabled")
            % {"credential_id": credential_id, "target": target},
            system="Microsoft Graph",
            operation="disable",
            advice=_("wait for the grace period and remove it; or stop the whole application"),
        )

    def enable(self, target: str, credential_id: str) -> None:
        raise NotVisible(
            _("%(credential_id)s: a client secret of %(target)s that was removed cannot come back")
            % {"credential_id": credential_id, "target": target},
            system="Microsoft Graph",
            operation="enable",
            advice=_("make a new one"),
        )

    def delete(self, target: str, credential_id: str) -> None:
        key_id = _key_id(target, credential_id)
        if all(entry.id("keyId") != key_id for entry in self._secrets(target)):
            return
        path = f"/v1.0/applications/{_ident(target)}/removePassword"
        try:
            self._graph.request("POST", path, json={"keyId": key_id}, idempotent=True, needs=_NEEDS, missing_ok=True)
        except NotVisible:
            return  # a replica still listed what is gone; whether it is, the saga's last look after the lag proves

    def last_used(self, target: str, credential_id: str) -> Usage:
        key_id = _key_id(target, credential_id)
        unknown = Usage(
            subject=("credential", self._parser.authority, credential_id),
            source="graph.appCredentialSignInActivities",
            state=UseState.UNKNOWN,
        )
        params = {"$filter": f"keyId eq '{key_id}'"}
        path = "/beta/reports/appCredentialSignInActivities"
        try:
            pages = self._graph.follow(path, params, needs="AuditLog.Read.All")
            records = [
                r for page in pages for i in page.items for r in self._parser.parse("entra.credential_activity", i)
            ]
        except (SkippableError, DataError):
            return unknown
        used = [r for r in records if isinstance(r, Usage) and r.subject == unknown.subject and r.last_used_at]
        return max(used, key=lambda usage: usage.last_used_at or self._clock()) if used else unknown

    def _secrets(self, target: str) -> list[Fields]:
        params = {"$select": "id,passwordCredentials"}
        application: Any = self._graph.get_json(
            f"/v1.0/applications/{_ident(target)}", params, needs="Application.Read.All"
        )
        return Fields(application, "application", self._drift).objects("passwordCredentials")


def _ident(target: str) -> str:
    return Fields({"id": target}, "target", DriftLog()).id()


def _key_id(target: str, credential_id: str) -> str:
    """The keyId within `credential_id`. Raises DataError when it belongs to another target."""
    holder, _slash, key_id = credential_id.partition("/")
    if holder != target:
        raise DataError(
            _("credential %(credential_id)r does not belong to %(target)r")
            % {"credential_id": credential_id, "target": target}
        )
    return Fields({"keyId": key_id}, "credential", DriftLog()).id("keyId")
