"""The acting protocol for access keys of IAM users. The order of the verbs is the saga's affair.

AWS mints the key and shows it once, without a client token. So provenance comes from the name of the session that
minted it: each `create` acts as `role_arn` in a session called `wardship-<operation>`, and CloudTrail tells, some
minutes later, which key that session made (ADR 0008).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wardship.connectors.aws import fields
from wardship.connectors.aws.manifest import MANIFEST, settings_of
from wardship.connectors.aws.session import GLOBAL_REGION, Api, Gone
from wardship.model.access import Usage, UseState
from wardship.model.errors import AuthenticationFailed, ConfigError, Conflict, DataError, MissingScope, Unavailable
from wardship.model.secret import Secret
from wardship.sdk.acting import mark_of
from wardship.sdk.connector import CallStats, Connection, Deliver, LiveCredential
from wardship.sdk.i18n import _

_MAX_EVENTS = 200


class AccessKeyActor:
    """`Actor` for access keys (see wardship.sdk.connector). A target is the ARN of an IAM user."""

    manifest = MANIFEST
    two_slots = True
    max_credentials: int | None = 2  # inactive keys count
    settle_s = 15.0  # 3 to 15 s seen until a change works everywhere

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settings = settings_of(connection)
        self.stats = CallStats()
        self._opened: dict[str, Api] = {}

    def list_live(self, target: str) -> Sequence[LiveCredential]:
        found: list[LiveCredential] = []
        params = {"UserName": _user_name(target)}
        while True:
            answer = self._api(target).call("iam", "ListAccessKeys", params)
            found.extend(map(_live, answer.get("AccessKeyMetadata", ())))
            if not answer.get("IsTruncated"):
                return found
            params = {**params, "Marker": answer["Marker"]}

    def create(self, target: str, op_id: str, deliver: Deliver) -> str:
        """Mints a key once for an operation. Raises Conflict when this operation provably made one before (its value
        was shown once: remove it and begin a new operation) or the user has two; Unavailable when the answer was
        lost: then only `find_created` can tell."""
        made = self.find_created(target, op_id)
        if made is not None:
            raise Conflict(
                _("operation %(op_id)s has already made the key %(made)s of %(target)s")
                % {"op_id": op_id, "made": made, "target": target},
                advice=_("delete that key and begin a new operation: its value was shown once"),
            )
        api = self._acting(target, op_id)
        answer = api.call("iam", "CreateAccessKey", {"UserName": _user_name(target)}, repeatable=False)["AccessKey"]
        key_id = str(answer["AccessKeyId"])
        deliver(Secret(answer["SecretAccessKey"]), key_id)
        return key_id

    def find_created(self, target: str, op_id: str) -> str | None:
        """The trail's events of the session of `op_id`. Events come up to 15 minutes late: None is no proof."""
        api, mark, token = self._api(target), mark_of(op_id), None
        for _page in range(_MAX_EVENTS):
            params: dict[str, Any] = {"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": mark}]}
            params |= {"NextToken": token} if token else {}
            answer = api.call("cloudtrail", "LookupEvents", params, region=GLOBAL_REGION)
            for event in answer.get("Events", ()):
                made = _made_by(event, mark, _user_name(target))
                if made is not None:
                    return made
            token = answer.get("NextToken")
            if not token:
                break
        return None

    def test(self, target: str, credential_id: str, value: Secret) -> bool:
        """GetCallerIdentity with the key: it needs no permission, and says whose key it is."""
        try:
            answer = self._api(target).with_key(credential_id, value).call("sts", "GetCallerIdentity")
        except (AuthenticationFailed, MissingScope):
            return False
        return answer.get("Arn") == target

    def promote(self, target: str, credential_id: str) -> None:
        """IAM has no notion of a current key."""

    def disable(self, target: str, credential_id: str) -> None:
        """A key that is gone is stopped already."""
        try:
            self._set(target, credential_id, "Inactive")
        except Gone:
            return

    def enable(self, target: str, credential_id: str) -> None:
        """Raises Conflict when the key is gone: nothing brings it back."""
        try:
            self._set(target, credential_id, "Active")
        except Gone:
            raise Conflict(
                _("the key %(credential_id)s of %(target)s no longer exists")
                % {"credential_id": credential_id, "target": target}
            ) from None

    def _set(self, target: str, credential_id: str, status: str) -> None:
        params = {"UserName": _user_name(target), "AccessKeyId": credential_id, "Status": status}
        self._api(target).call("iam", "UpdateAccessKey", params)

    def delete(self, target: str, credential_id: str) -> None:
        params = {"UserName": _user_name(target), "AccessKeyId": credential_id}
        try:
            self._api(target).call("iam", "DeleteAccessKey", params)
        except Gone:
            return

    def last_used(self, target: str, credential_id: str) -> Usage:
        """Up to four hours late, and no more precise than some minutes (IAM's own words)."""
        try:
            answer = self._api(target).call("iam", "GetAccessKeyLastUsed", {"AccessKeyId": credential_id})
        except (Gone, MissingScope):
            answer = {}
        found = answer.get("AccessKeyLastUsed")
        subject, source = ("credential", _authority(target), credential_id), "aws.access_key_last_used"
        if not isinstance(found, Mapping):
            return Usage(subject=subject, source=source, state=UseState.UNKNOWN)
        used_at = fields.instant(found, "LastUsedDate")
        if used_at is None:
            return Usage(subject=subject, source=source, state=UseState.NEVER)
        where = (str(found.get(name) or "N/A") for name in ("ServiceName", "Region"))
        detail = ", ".join(part for part in where if part != "N/A") or None
        return Usage(subject=subject, source=source, state=UseState.USED, last_used_at=used_at, detail=detail)

    def _base(self) -> Api:
        if "" not in self._opened:
            self._opened[""] = Api(self._connection, self.stats)
        return self._opened[""]

    def _api(self, target: str) -> Api:
        """Calls in the account of the target, as its acting role where one is set."""
        role = self._role(target)
        if role is None:
            return self._base()
        if role not in self._opened:
            self._opened[role] = self._base().assume(role, "wardship-act")
        return self._opened[role]

    def _acting(self, target: str, op_id: str) -> Api:
        role = self._role(target)
        if role is None:
            raise ConfigError(
                _("a key is minted only as a role: the name of its session is what proves whose key it is"),
                advice=_(
                    "set role_arn (or member_role) of the connection; `wardship connect setup aws` prints the role"
                ),
            )
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", mark_of(op_id), re.ASCII):
            raise ConfigError(_("operation id %(op_id)r cannot name a session") % {"op_id": op_id})
        return self._base().assume(role, mark_of(op_id))

    def _role(self, target: str) -> str | None:
        account = _authority(target).removeprefix("aws:")
        if self._settings.member_role:
            return f"arn:{target.split(':')[1]}:iam::{account}:role/{self._settings.member_role}"
        role = self._settings.role_arn
        if role and role.split(":")[4] != account:
            raise ConfigError(
                _("role_arn is in another account than %(target)s") % {"target": target},
                advice=_("set member_role to act in other accounts"),
            )
        return role


def _live(key: Any) -> LiveCredential:
    key = fields.mapping(key, "an access key")
    return LiveCredential(
        id=fields.required(key, "AccessKeyId"),
        enabled={"Active": True, "Inactive": False}.get(str(key.get("Status"))),
        created_at=fields.instant(key, "CreateDate"),
    )


def _user_name(target: str) -> str:
    """The name in a user's ARN. Raises ConfigError for another kind of target."""
    parts = target.split(":")
    if len(parts) != 6 or not parts[5].startswith("user/") or not parts[4]:
        raise ConfigError(_("%(target)r is no ARN of an IAM user") % {"target": target})
    return parts[5].rpartition("/")[2]


def _authority(target: str) -> str:
    _user_name(target)
    return f"aws:{target.split(':')[4]}"


def _made_by(event: Any, mark: str, user_name: str) -> str | None:
    """The key that a CreateAccessKey event of exactly this session made for this user.

    Raises Unavailable for an event that cannot be read: it could be the proof.
    """
    event = fields.mapping(event, "an event")
    if event.get("EventName") != "CreateAccessKey":
        return None
    try:
        record = fields.mapping(json.loads(str(event.get("CloudTrailEvent"))), "an event")
        if record.get("errorCode"):
            return None
        who = fields.mapping(record.get("userIdentity"), "userIdentity")
        asked = fields.mapping(record.get("requestParameters"), "requestParameters")
        made = fields.mapping(fields.mapping(record.get("responseElements"), "an answer").get("accessKey"), "a key")
        ours = str(who.get("arn", "")).rpartition("/")[2] == mark and asked.get("userName") == user_name
        return fields.required(made, "accessKeyId") if ours else None
    except (ValueError, DataError, RecursionError) as error:
        raise Unavailable(_("an event of the trail cannot be read"), system="aws", operation="cloudtrail") from error
