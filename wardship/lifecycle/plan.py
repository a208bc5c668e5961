"""What a rotation will do, exactly, and who allowed it. A plan is bound by its hash: any change voids the approval.

The figures are seconds. They are refused where they could cut a consumer off; the saga (`rotation.py`) obeys them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from wardship.model.errors import ApprovalNeeded, ConfigError
from wardship.sdk.i18n import _

MAX_APPROVAL_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """One rotation of one target. Raises ConfigError for figures that could break a consumer."""

    connection: str
    target: str  # native id of the identity that holds the credentials
    store: str  # reference of the place in the customer's store
    requester: str
    ttl_s: int  # how long a consumer may keep the value it fetched
    grace_s: int  # from promotion until the old one may be disabled
    soak_s: int  # from disabling until the old one may be deleted
    use_lag_s: int = 0  # how late the system tells of a use
    successes: int = 3  # logins in a row that prove the new one (eventual consistency: one proves nothing)
    spacing_s: int = 5  # between two tries
    test_deadline_s: int = 300  # without that proof until then: the way back
    provenance_wait_s: int = 1800  # how late the system tells who made a credential
    max_attempts: int = 5  # creates whose answer was lost

    def __post_init__(self) -> None:
        if self.ttl_s < 0 or self.use_lag_s < 0 or self.soak_s <= 0:
            raise ConfigError(_("times of a rotation are not negative, and soak is longer than nothing"))
        if self.grace_s < self.ttl_s + self.use_lag_s:
            raise ConfigError(
                _(
                    "a grace of %(grace)d s is shorter than what consumers keep (%(ttl)d s)"
                    " and the system's delay in telling of use (%(lag)d s)"
                )
                % {"grace": self.grace_s, "ttl": self.ttl_s, "lag": self.use_lag_s},
                advice=_("lengthen grace_s: a consumer would still hold the old value when it stops"),
            )
        if self.successes < 1 or self.spacing_s < 1 or self.max_attempts < 1:
            raise ConfigError(_("a rotation needs at least one success, one second between tries and one attempt"))
        if self.test_deadline_s <= self.successes * self.spacing_s:
            raise ConfigError(
                _("%(n)d tries do not fit into %(seconds)d s") % {"n": self.successes, "seconds": self.test_deadline_s}
            )

    def to_json(self) -> str:
        """Canonical JSON: the text that is hashed and approved."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> RotationPlan:
        return cls(**json.loads(text))

    @property
    def hash(self) -> str:
        return hash_of(self.to_json())

    @property
    def ttl(self) -> timedelta:
        return timedelta(seconds=self.ttl_s)

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.grace_s)

    @property
    def soak(self) -> timedelta:
        return timedelta(seconds=self.soak_s)


def hash_of(plan_json: str) -> str:
    """SHA-256 of a plan's text, in hex."""
    return hashlib.sha256(plan_json.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A second person's word on exactly one plan."""

    approver: str
    plan_hash: str
    approved_at: datetime
    expires_at: datetime

    def to_json(self) -> str:
        return json.dumps(
            {
                "approver": self.approver,
                "plan_hash": self.plan_hash,
                "approved_at": self.approved_at.isoformat(),
                "expires_at": self.expires_at.isoformat(),
            },
            sort_keys=True,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Approval:
        raw = json.loads(text)
        return cls(
            approver=raw["approver"],
            plan_hash=raw["plan_hash"],
            approved_at=datetime.fromisoformat(raw["approved_at"]),
            expires_at=datetime.fromisoformat(raw["expires_at"]),
        )


def check_approved(
    plan_json: str, plan_hash: str, approval_json: str | None, *, begins: bool, as_of: datetime
) -> RotationPlan:
    """The plan, if it is the one that somebody else approved. Raises ApprovalNeeded.

    `begins` True: nothing was done yet, so the approval must not have expired. Afterwards only the hash binds:
    a rotation that stops half-way because a date passed would be the outage it is there to prevent.
    """
    if hash_of(plan_json) != plan_hash:
        raise ApprovalNeeded(
            _("the plan was changed after it was made"), advice=_("make a new plan and have it approved")
        )
    if approval_json is None:
        raise ApprovalNeeded(_("nobody approved this plan"), advice=_("ask a second person to approve it"))
    approval = Approval.from_json(approval_json)
    plan = RotationPlan.from_json(plan_json)
    if approval.plan_hash != plan_hash:
        raise ApprovalNeeded(_("the approval is of another plan"), advice=_("ask for an approval of this one"))
    if approval.approver == plan.requester:
        raise ApprovalNeeded(_("who asks for a rotation does not approve it"), advice=_("ask a second person"))
    if approval.expires_at - approval.approved_at > MAX_APPROVAL_AGE:
        raise ApprovalNeeded(_("an approval holds for 24 hours at most"), advice=_("ask for a shorter one"))
    if begins and not approval.approved_at <= as_of < approval.expires_at:
        raise ApprovalNeeded(_("the approval has expired"), advice=_("ask for a new one"))
    return plan
