"""A made-up estate that works for months, and among its events some abuse whose place is known.

Identities have habits (nightly jobs, services, office hours, pipelines, month ends, seasons), very unequal volumes, and
the accidents of real life: releases that change a program's name, networks that move, a job that fails for hours, roles
made by a provisioning tool, new keys after a rotation. Into that, `Abuse` of known kinds is put on known days. The same
seed gives the same events; what a detection is worth is measured on a seed that its author has not seen.

Nothing here knows how detections work. It makes `Activity` and plain records; it reads and writes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from wardship.model.activity import Activity, ActorKind
from wardship.sim.estate import Actor, Call, Habit, Network, actors, event, ordinary


class Kind(StrEnum):
    """Kinds of abuse. Each is one short story of an identity."""

    NEW_COUNTRY = "new_country"
    OFF_HOURS = "off_hours"
    VOLUME = "volume"
    PERSISTENCE = "persistence"
    SECRET_READ = "secret_read"  # noqa: S105 - a kind of abuse
    EXFILTRATION = "exfiltration"
    DEFENCE_EVASION = "defence_evasion"
    DISCOVERY = "discovery"
    PRIVILEGE = "privilege"
    DORMANT_AWAKES = "dormant_awakes"
    USE_AFTER_END = "use_after_end"
    FAILED_LOGINS = "failed_logins"
    LEAKED_KEY = "leaked_key"
    BY_HAND = "by_hand"
    TWO_PLACES = "two_places"
    APP_CREDENTIAL = "app_credential"
    CONSENT = "consent"
    UNKNOWN_CONSUMER = "unknown_consumer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abuse:
    """The label: this identity was abused in this way, from `start` to `end`."""

    kind: Kind
    authority: str
    actor_id: str
    start: datetime
    end: datetime


@dataclass(slots=True)
class Estate:
    """Identities, and the abuse among them. `events(day)` gives the events of one day, in no order."""

    seed: int
    first_day: date
    days: int
    actors: list[Actor] = field(default_factory=list)
    abuse: list[Abuse] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    _stories: dict[date, list[tuple[Abuse, Actor]]] = field(default_factory=dict)

    def events(self, day: date) -> Iterator[Activity]:
        """Everything that happens on `day`, in UTC."""
        number = (day - self.first_day).days
        for actor in self.actors:
            rng = random.Random(f"{self.seed} {actor.number} {number}")  # noqa: S311 - a made-up estate
            if actor.born is None or actor.born <= day:
                yield from ordinary(actor, day, rng)
        for story, actor in self._stories.get(day, ()):
            rng = random.Random(f"{self.seed} {story.kind} {actor.number} {number}")  # noqa: S311 - as above
            yield from _abuse(story, actor, rng)

    def all_days(self) -> list[date]:
        """Every day of the estate, the first first."""
        return [self.first_day + timedelta(days=number) for number in range(self.days)]


def estate(*, seed: int, identities: int, days: int, first_day: date, abused: int, volume: float = 1.0) -> Estate:
    """An estate of `identities`, of which `abused` are abused in the last third of the days, kinds in turn."""
    rng = random.Random(seed)  # noqa: S311 - a made-up estate
    made = Estate(seed=seed, first_day=first_day, days=days)
    made.networks = [
        Network(prefix=f"10.{high}.{low}.", asn=64_512 + high, country=country)
        for high, country in enumerate(("ES", "ES", "IE", "DE", "FR", "US"), 1)
        for low in range(8)
    ]
    made.actors = actors(identities, networks=made.networks, first_day=first_day, days=days, volume=volume, rng=rng)
    _place_abuse(made, abused, rng)
    return made


# ------------------------------------------------------------------ abuse

_AWS_ONLY = frozenset({
    Kind.PERSISTENCE, Kind.SECRET_READ, Kind.EXFILTRATION, Kind.DEFENCE_EVASION, Kind.DISCOVERY, Kind.PRIVILEGE,
    Kind.LEAKED_KEY, Kind.BY_HAND,
})  # fmt: skip
_ENTRA_ONLY = frozenset({Kind.APP_CREDENTIAL, Kind.CONSENT})
_STEADY = (Habit.SERVICE, Habit.NIGHTLY, Habit.OFFICE, Habit.PIPELINE)


def _place_abuse(made: Estate, abused: int, rng: random.Random) -> None:
    kinds = [kind for _turn in range(abused // len(Kind) + 1) for kind in Kind][:abused]
    free = list(made.actors)
    rng.shuffle(free)
    late = made.days * 2 // 3
    for kind in kinds:
        actor = next((one for one in free if _suits(one, kind)), None)
        if actor is None:  # an estate too small for one of each
            continue
        free.remove(actor)
        day = made.first_day + timedelta(days=rng.randrange(late, made.days))
        if kind is Kind.DORMANT_AWAKES:
            actor.ended = made.first_day + timedelta(days=max(made.days // 20, 1))
        elif kind is Kind.USE_AFTER_END:
            actor.ended = day - timedelta(days=2)
        actor.leaked = kind is Kind.LEAKED_KEY
        hour = (actor.hour + 12) % 24 if kind is Kind.OFF_HOURS else actor.hour
        start = datetime.combine(day, time(hour, rng.randrange(60)), UTC)
        story = Abuse(
            kind=kind, authority=actor.authority, actor_id=actor.actor_id, start=start, end=start + timedelta(hours=4)
        )
        made.abuse.append(story)
        made._stories.setdefault(day, []).append((story, actor))


def _suits(actor: Actor, kind: Kind) -> bool:
    if actor.born is not None or actor.provisioner:
        return False
    if (kind in _AWS_ONLY and actor.cloud != "aws") or (kind in _ENTRA_ONLY and actor.cloud != "entra"):
        return False
    if kind is Kind.LEAKED_KEY:
        return actor.kind is ActorKind.USER and actor.habit in _STEADY
    if kind in (Kind.OFF_HOURS, Kind.BY_HAND):
        return actor.habit in (Habit.OFFICE, Habit.NIGHTLY) and actor.cloud == "aws"
    return actor.habit in _STEADY


_CALLS: dict[Kind, tuple[Call, ...]] = {
    Kind.PERSISTENCE: (
        ("iam.amazonaws.com", "CreateUser", True), ("iam.amazonaws.com", "CreateAccessKey", True),
        ("iam.amazonaws.com", "CreateLoginProfile", True),
    ),
    Kind.SECRET_READ: (
        ("secretsmanager.amazonaws.com", "ListSecrets", False),
        *[("secretsmanager.amazonaws.com", "GetSecretValue", False)] * 30,
    ),
    Kind.EXFILTRATION: (
        ("ec2.amazonaws.com", "CreateSnapshot", True), ("ec2.amazonaws.com", "ModifySnapshotAttribute", True),
    ),
    Kind.DEFENCE_EVASION: (
        ("cloudtrail.amazonaws.com", "StopLogging", True), ("guardduty.amazonaws.com", "DeleteDetector", True),
    ),
    Kind.DISCOVERY: tuple(
        (service, operation, False)
        for service, operation in (
            ("iam.amazonaws.com", "ListUsers"), ("iam.amazonaws.com", "ListRoles"),
            ("iam.amazonaws.com", "ListAccessKeys"), ("iam.amazonaws.com", "GetAccountAuthorizationDetails"),
            ("s3.amazonaws.com", "ListBuckets"), ("ec2.amazonaws.com", "DescribeInstances"),
            ("ec2.amazonaws.com", "DescribeSnapshots"), ("rds.amazonaws.com", "DescribeDBInstances"),
            ("lambda.amazonaws.com", "ListFunctions20150331"), ("secretsmanager.amazonaws.com", "ListSecrets"),
            ("organizations.amazonaws.com", "ListAccounts"), ("sts.amazonaws.com", "GetCallerIdentity"),
            ("iam.amazonaws.com", "ListAttachedUserPolicies"), ("ec2.amazonaws.com", "DescribeSecurityGroups"),
            ("kms.amazonaws.com", "ListKeys"),
        )
    ) * 2,
    Kind.PRIVILEGE: (("iam.amazonaws.com", "AttachUserPolicy", True), ("iam.amazonaws.com", "PutUserPolicy", True)),
    Kind.BY_HAND: (
        ("sts.amazonaws.com", "GetCallerIdentity", False), ("s3.amazonaws.com", "ListBuckets", False),
        ("ec2.amazonaws.com", "DescribeInstances", False), ("iam.amazonaws.com", "GetUser", False),
    ) * 3,
}  # fmt: skip
_DETAIL: dict[str, dict[str, object]] = {
    "AttachUserPolicy": {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess", "userName": "svc-backup"},
    "CreateUser": {"userName": "svc-backup"},
    "CreateAccessKey": {"userName": "svc-backup"},
    "CreateLoginProfile": {"userName": "svc-backup"},
}
_STRANGER = Network(prefix="203.0.113.", asn=65_001, country="KP")
_HOSTER = Network(prefix="198.51.100.", asn=65_002, country="NL")
_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Calls one after the other, from one place with one program."""

    calls: Sequence[Call]
    network: Network
    agent: str | None = None  # None: the identity's own
    gap_s: int = 40
    failed: bool = False
    code: str = "AccessDenied"
    interactive: bool | None = None


def _abuse(story: Abuse, actor: Actor, rng: random.Random) -> Iterator[Activity]:
    if story.kind in _ENTRA_ONLY:
        yield _on_app(story, actor, rng)
        return
    for part in _parts(story.kind, actor):
        for turn, call in enumerate(part.calls):
            at = story.start + timedelta(seconds=turn * part.gap_s + rng.randrange(max(part.gap_s // 2, 1)))
            secret = f"arn:aws:secretsmanager:eu-west-1:{actor.account}:secret:app-{turn}"
            yield event(
                actor, at, call, part.network, rng, agent=part.agent or actor.agent.format(9), failed=part.failed,
                code=part.code, interactive=part.interactive, detail=_DETAIL.get(call[1]),
                resource=secret if call[1] == "GetSecretValue" else None,
            )  # fmt: skip


def _parts(kind: Kind, actor: Actor) -> list[_Part]:
    usual, own = actor.networks[0], actor.actions
    match kind:
        case Kind.NEW_COUNTRY:
            return [_Part(calls=own * 4, network=_STRANGER)]
        case Kind.OFF_HOURS:
            return [_Part(calls=own * 20, network=usual)]
        case Kind.VOLUME:
            return [_Part(calls=own * max(200, actor.per_day * 12 // len(own)), network=usual, gap_s=2)]
        case Kind.DORMANT_AWAKES:
            return [_Part(calls=own * 6, network=usual)]
        case Kind.USE_AFTER_END:
            return [_Part(calls=own * 6, network=usual, failed=True, code="InvalidClientTokenId")]
        case Kind.FAILED_LOGINS:
            return [_Part(calls=own[:1] * 120, network=_HOSTER, gap_s=5, failed=True, code="InvalidCredentials")]
        case Kind.LEAKED_KEY:
            calls = [("sts.amazonaws.com", "GetCallerIdentity", False), *own]
            return [_Part(calls=calls, network=_HOSTER, agent="python-requests/2.32.0")]
        case Kind.BY_HAND:
            return [_Part(calls=_CALLS[kind], network=_HOSTER, agent=_BROWSER, gap_s=90, interactive=True)]
        case Kind.TWO_PLACES:
            return [_Part(calls=own * 6, network=place, gap_s=300) for place in (usual, _HOSTER)]
        case Kind.UNKNOWN_CONSUMER:
            return [_Part(calls=own * 8, network=_HOSTER, agent="curl/8.5.0")]
        case _:
            return [_Part(calls=_CALLS[kind], network=usual)]


def _on_app(story: Abuse, actor: Actor, rng: random.Random) -> Activity:
    """What a stranger with an administrator's session does to an application: the application is the one abused."""
    if story.kind is Kind.CONSENT:
        operation = "Consent to application"
        scopes = "Mail.ReadWrite Files.ReadWrite.All Directory.ReadWrite.All"
        detail: dict[str, object] = {"scopes": scopes, "tenant_wide": True}
    else:
        operation = "Add service principal credentials"
        detail = {"key_id": f"{rng.getrandbits(64):016x}", "credential_type": "client_secret"}
    call = ("Core Directory", operation, True)
    return event(
        actor, story.start, call, actor.networks[0], rng, agent="Mozilla/5.0", resource=actor.actor_id, detail=detail
    )
