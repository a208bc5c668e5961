"""The customer's value in OpenBao or Vault (KV version 2), with labels that move in one atomic call.

One KV entry holds everything of one credential:

    {"credential_id": ..., "value": ..., "op_id": ..., "previous": {...}, "pending": {"<op id>": {...}}}

The top level is CURRENT: what consumers read. A label move writes the whole entry with check-and-set (`cas` = the
version that was read), so it happens entirely or not at all, and somebody else's write in between is never lost:
the entry is then read again and the move made on what is there. Fields that are not ours are kept.

KV keeps old versions of the entry: `max_versions` of the mount says for how long old values can be read.
Which value moves when is left to the rotation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from wardship.model.errors import (
    AuthenticationFailed,
    Conflict,
    MissingScope,
    RateLimited,
    StateError,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.secret import Secret
from wardship.sdk.acting import StoredValue
from wardship.sdk.i18n import _

_FIELDS = ("credential_id", "value", "op_id")
_TRIES = 8  # writers that come between; each loses to one who won
_TIMEOUT_S = 5.0

Entry = dict[str, Any]


class OpenBaoStore:
    """A `SecretStore` at `mount`/`path` of one server. `client` carries the base URL and the network policy."""

    def __init__(self, client: httpx.Client, token: Secret, *, mount: str, path: str) -> None:
        self._client = client
        self._token = token
        self._url = f"/v1/{mount}/data/{path}"
        self._name = f"{mount}/{path}"

    def put_pending(self, op_id: str, value: Secret, credential_id: str) -> None:
        new = {"credential_id": credential_id, "value": value.reveal(), "op_id": op_id}
        self._change(lambda entry: {**entry, "pending": {**_pending(entry), op_id: new}})

    def pending(self, op_id: str) -> StoredValue | None:
        return _stored(_pending(self._read()[0]).get(op_id))

    def promote(self, op_id: str) -> None:
        def move(entry: Entry) -> Entry | None:
            pending = _pending(entry)
            if op_id not in pending:
                if entry.get("op_id") == op_id:
                    return None
                raise StateError(_("%(place)s holds nothing pending of %(op)s") % {"place": self._name, "op": op_id})
            new = pending.pop(op_id)
            return {**entry, **_label(new), "previous": _label(entry), "pending": pending}

        self._change(move)

    def revert(self, op_id: str) -> None:
        def move(entry: Entry) -> Entry | None:
            if entry.get("op_id") != op_id:
                return None
            previous = entry.get("previous")
            if not isinstance(previous, dict):
                raise StateError(_("%(place)s holds no previous value") % {"place": self._name})
            kept = {name: value for name, value in entry.items() if name != "previous"}
            return {**kept, **_label(previous), "pending": {**_pending(entry), op_id: _label(entry)}}

        self._change(move)

    def current(self) -> StoredValue | None:
        return _stored(self._read()[0])

    def drop_pending(self, op_id: str) -> None:
        def drop(entry: Entry) -> Entry | None:
            pending = _pending(entry)
            if pending.pop(op_id, None) is None:
                return None
            return {**entry, "pending": pending}

        self._change(drop)

    def _change(self, move: Callable[[Entry], Entry | None]) -> None:
        """Applies `move` to what is there, atomically. None from `move`: it is done already."""
        for _try in range(_TRIES):
            entry, version = self._read()
            new = move(entry)
            if new is None:
                return
            answer = self._send("POST", {"options": {"cas": version}, "data": new})
            if answer.is_success:
                return
            # KV answers 400 both for a lost race and for a bad request; only the version tells which.
            if self._read()[1] == version:
                raise UnexpectedResponse(_("%(place)s refused the write") % {"place": self._name}, system="openbao")
        raise Conflict(_("%(place)s is written by somebody else all the time") % {"place": self._name})

    def _read(self) -> tuple[Entry, int]:
        """The entry and its version; empty and 0 where there is none, or where its newest version was deleted."""
        answer = self._send("GET")
        try:
            body = answer.json()
            if answer.status_code == httpx.codes.NOT_FOUND and not body.get("errors"):
                return {}, int(((body.get("data") or {}).get("metadata") or {}).get("version", 0))
            return dict(body["data"]["data"]), int(body["data"]["metadata"]["version"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UnexpectedResponse(
                _("%(place)s is not an entry of KV version 2") % {"place": self._name}, system="openbao"
            ) from None

    def _send(self, method: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        headers = {"X-Vault-Token": self._token.reveal()}
        try:
            answer = self._client.request(method, self._url, json=body, headers=headers, timeout=_TIMEOUT_S)
        except httpx.TransportError as error:
            raise Unavailable(
                _("the secret store did not answer: %(kind)s") % {"kind": type(error).__name__}, system="openbao"
            ) from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise AuthenticationFailed(_("the secret store refused the token"), system="openbao")
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise MissingScope(
                _("the secret store does not allow this at %(place)s") % {"place": self._name},
                scope=f"read, create, update on {self._name}",
                system="openbao",
            )
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(_("the secret store asks to slow down"), system="openbao")
        if answer.is_server_error:
            raise Unavailable(
                _("the secret store answered %(status)d") % {"status": answer.status_code}, system="openbao"
            )
        return answer


def _pending(entry: Entry) -> Entry:
    pending = entry.get("pending")
    return dict(pending) if isinstance(pending, dict) else {}


def _label(entry: Mapping[str, Any]) -> Entry:
    return {name: entry.get(name) for name in _FIELDS}


def _stored(entry: Any) -> StoredValue | None:
    """None too for an entry without our fields: what cannot be told from a credential id is nothing to rotate."""
    if not isinstance(entry, dict) or not entry.get("credential_id") or not entry.get("value"):
        return None
    return StoredValue(
        credential_id=str(entry["credential_id"]), value=Secret(str(entry["value"])), op_id=entry.get("op_id") or None
    )
