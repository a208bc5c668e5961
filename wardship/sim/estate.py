"""How the identities of a made-up estate live: their habits, very unequal volumes, and the accidents of real life.

Nightly jobs, services, office hours, pipelines, month ends, seasons; releases that change a program's name, networks
that are renumbered, a job that fails for hours, storms of a provisioning tool, identities that are born on the way. The
same seed gives the same events. `wardship.sim.abuse` puts abuse among them; nothing here knows how it would be found.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome

ACCOUNTS = ("111111111111", "222222222222", "333333333333")
TENANT = "11111111-2222-4333-8444-555555555555"
_DAY_S = 86_400


Call = tuple[str, str, bool]
"""(service, operation, whether it changes something)."""


class Habit(StrEnum):
    """When an identity works."""

    SERVICE = "service"  # day and night
    NIGHTLY = "nightly"  # at one hour, every day
    OFFICE = "office"  # by hand or with people, on working days
    PIPELINE = "pipeline"  # in bursts, on working days
    MONTHLY = "monthly"  # the first days of a month
    SEASONAL = "seasonal"  # one month in three
    RARE = "rare"  # a few days in all


_SHARES = {
    Habit.SERVICE: 22,
    Habit.NIGHTLY: 26,
    Habit.OFFICE: 18,
    Habit.PIPELINE: 14,
    Habit.MONTHLY: 8,
    Habit.SEASONAL: 4,
    Habit.RARE: 8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Where events come from: a /24, its autonomous system and country, as the declared networks of a workspace."""

    prefix: str  # "192.0.2."
    asn: int
    country: str

    def row(self) -> dict[str, object]:
        """Its line in a file of declared networks."""
        return {"network": f"{self.prefix}0/24", "name": f"{self.prefix}0/24", "country": self.country, "asn": self.asn}


@dataclass(slots=True, kw_only=True)
class Actor:
    """One identity of the estate, and how it lives."""

    number: int
    cloud: str  # "aws", "entra", "github"
    authority: str
    actor_id: str
    name: str
    kind: ActorKind
    account: str
    source: str
    habit: Habit
    credential_id: str | None
    credential_type: str | None
    networks: list[Network]
    agent: str
    actions: list[Call]
    weights: list[int]
    per_day: int  # events on a day on which it works
    hour: int  # UTC, of its job or of the middle of its day
    born: date | None = None  # first day of its life; None: before the first day
    provisioner: bool = False
    criticality: str | None = None
    ended: date | None = None  # its credential is disabled from this day on
    leaked: bool = False


# ------------------------------------------------------------------ identities

_AWS_ACTIONS = (
    ("s3.amazonaws.com", "GetObject", False, 40), ("s3.amazonaws.com", "PutObject", True, 20),
    ("s3.amazonaws.com", "ListObjects", False, 12), ("sqs.amazonaws.com", "ReceiveMessage", False, 30),
    ("sqs.amazonaws.com", "SendMessage", True, 20), ("dynamodb.amazonaws.com", "GetItem", False, 30),
    ("dynamodb.amazonaws.com", "PutItem", True, 15), ("kms.amazonaws.com", "Decrypt", False, 20),
    ("sts.amazonaws.com", "AssumeRole", False, 10), ("ec2.amazonaws.com", "DescribeInstances", False, 10),
    ("logs.amazonaws.com", "PutLogEvents", True, 25), ("lambda.amazonaws.com", "Invoke", True, 15),
    ("cloudwatch.amazonaws.com", "PutMetricData", True, 15), ("ecr.amazonaws.com", "BatchGetImage", False, 8),
    ("secretsmanager.amazonaws.com", "GetSecretValue", False, 5), ("ssm.amazonaws.com", "GetParameter", False, 6),
)  # fmt: skip
_ENTRA_ACTIONS = (
    ("Microsoft Graph", "Sign-in activity", False, 60), ("Azure Key Vault", "Sign-in activity", False, 12),
    ("Windows Azure Service Management API", "Sign-in activity", False, 20),
    ("Office 365 Exchange Online", "Sign-in activity", False, 15),
    ("Office 365 SharePoint Online", "Sign-in activity", False, 15),
)  # fmt: skip
_GITHUB_ACTIONS = (
    ("github", "git.clone", False, 60), ("github", "git.push", True, 25), ("github", "git.fetch", False, 60),
    ("github", "workflows.completed_workflow_run", True, 40), ("github", "pull_request.create", True, 10),
)  # fmt: skip
_AGENTS = {
    "aws": (
        "Boto3/1.34.{} md/Botocore ua/2.0 os/linux lang/python", "aws-sdk-java/2.25.{} Linux/5.10",
        "aws-sdk-go-v2/1.27.{} os/linux", "aws-cli/2.15.{} Python/3.11 Linux/6.1",
    ),
    "entra": ("python-requests/2.31.{}", "azsdk-net-Identity/1.11.{}", "okhttp/4.12.{}"),
    "github": ("git/2.43.{}", "GitHubActions/2.31{}"),
}  # fmt: skip
_TOOL = "APN/1.0 HashiCorp/1.0 Terraform/1.7.{} (+https://www.terraform.io)"


def actors(
    identities: int, *, networks: list[Network], first_day: date, days: int, volume: float, rng: random.Random
) -> list[Actor]:
    """So many identities. `volume` 1.0: about 6 events a day and identity on average."""
    habits = rng.choices(list(_SHARES), list(_SHARES.values()), k=identities)
    return [
        _actor(number, habit, networks=networks, life=(first_day, days), volume=volume, rng=rng)
        for number, habit in enumerate(habits)
    ]


def _actor(
    number: int, habit: Habit, *, networks: list[Network], life: tuple[date, int], volume: float, rng: random.Random
) -> Actor:
    cloud = rng.choices(("aws", "entra", "github"), (70, 20, 10))[0]
    account = rng.choice(ACCOUNTS) if cloud == "aws" else TENANT if cloud == "entra" else "acme"
    catalogue = {"aws": _AWS_ACTIONS, "entra": _ENTRA_ACTIONS, "github": _GITHUB_ACTIONS}[cloud]
    chosen = rng.sample(catalogue, k=min(len(catalogue), rng.choice((1, 2, 2, 3, 3, 4, 5))))
    role = cloud == "aws" and rng.random() < 0.5
    provisioner = cloud == "aws" and habit is Habit.PIPELINE and rng.random() < 0.1
    # very unequal: a few make most of the events
    busy = 2.0 if habit in (Habit.SERVICE, Habit.PIPELINE) else 1.0
    per_day = max(1, min(400, int(rng.paretovariate(1.0) * busy * volume)))
    young = rng.random() < 0.06
    return Actor(
        number=number,
        cloud=cloud,
        authority=f"entra:{TENANT}:appid" if cloud == "entra" else f"{cloud}:{account}",
        actor_id=_id_of(cloud, number, role=role),
        name=f"{habit}-{number}",
        kind=ActorKind.ROLE
        if role
        else {"aws": ActorKind.USER, "entra": ActorKind.APPLICATION, "github": ActorKind.USER}[cloud],
        account=account,
        source={"aws": "aws.cloudtrail", "entra": "entra.signin", "github": "github.audit"}[cloud],
        habit=habit,
        credential_id=f"{'ASIA' if role else 'AKIA'}{number:016d}" if cloud == "aws" else f"key-{number:08d}-{cloud}",
        credential_type={"aws": "access_key", "entra": "client_secret", "github": "token"}[cloud],
        networks=rng.sample(networks, k=1 if rng.random() < 0.7 else 2),
        agent=_TOOL if provisioner else rng.choice(_AGENTS[cloud]),
        actions=[(service, operation, mutating) for service, operation, mutating, _weight in chosen],
        weights=[weight for *_rest, weight in chosen],
        per_day=per_day,
        hour=rng.randrange(24) if habit is Habit.NIGHTLY else rng.randrange(8, 15),
        born=life[0] + timedelta(days=rng.randrange(life[1])) if young else None,
        provisioner=provisioner,
        criticality=rng.choices((None, "low", "medium", "high", "critical"), (40, 20, 20, 15, 5))[0],
    )


def _id_of(cloud: str, number: int, *, role: bool) -> str:
    if cloud == "aws":
        return f"{'AROA' if role else 'AIDA'}{number:017d}"
    return f"{number:08d}-0000-4000-8000-000000000000" if cloud == "entra" else f"bot-{number}"


# ------------------------------------------------------------------ ordinary days


def _works(actor: Actor, day: date, rng: random.Random) -> bool:
    match actor.habit:
        case Habit.SERVICE | Habit.NIGHTLY:
            return rng.random() < 0.99
        case Habit.OFFICE | Habit.PIPELINE:
            return day.weekday() < 5 and rng.random() < 0.92
        case Habit.MONTHLY:
            return day.day <= 3
        case Habit.SEASONAL:
            return day.month % 3 == actor.number % 3
        case _:
            return (day.toordinal() + actor.number * 7) % 29 == 0


def ordinary(actor: Actor, day: date, rng: random.Random) -> Iterator[Activity]:
    """What the identity does on `day` by itself."""
    if not _works(actor, day, rng) or (actor.ended is not None and day >= actor.ended):
        return
    count = max(1, int(rng.gauss(actor.per_day, actor.per_day * 0.2)))
    if day.day >= 29 and actor.number % 4 == 0:
        count *= 2  # a month's end
    failing = rng.random() < 0.002  # a job that fails for hours: nobody's abuse
    storm = actor.provisioner and rng.random() < 0.1
    release = actor.number * 31 % 40 + (day.toordinal() + actor.number) // 45  # a new version now and then
    agent = actor.agent.format(release)
    networks = actor.networks
    if (day.toordinal() // 60 + actor.number) % 17 == 0:  # its provider renumbers: another /24 of the same system
        networks = [
            Network(
                prefix=f"10.{int(one.prefix.split('.')[1])}.{200 + actor.number % 50}.",
                asn=one.asn,
                country=one.country,
            )
            for one in networks
        ]
    for _turn in range(count):
        network = networks[0] if rng.random() < 0.9 else rng.choice(networks)
        call = rng.choices(actor.actions, actor.weights)[0]
        failed = rng.random() < (0.95 if failing else 0.01)
        yield event(actor, _at(actor, day, rng), call, network, rng, agent=agent, failed=failed)
    if storm:
        start = _at(actor, day, rng)
        for turn in range(rng.randrange(40, 160)):
            call = (*rng.choice(_STORM), True)
            yield event(actor, start + timedelta(seconds=turn), call, networks[0], rng, agent=agent)


_STORM = (
    ("iam.amazonaws.com", "CreateRole"), ("iam.amazonaws.com", "AttachRolePolicy"),
    ("iam.amazonaws.com", "PutRolePolicy"), ("iam.amazonaws.com", "CreatePolicy"),
    ("ec2.amazonaws.com", "AuthorizeSecurityGroupIngress"), ("s3.amazonaws.com", "CreateBucket"),
    ("s3.amazonaws.com", "PutBucketPolicy"), ("lambda.amazonaws.com", "CreateFunction20150331"),
)  # fmt: skip


def _at(actor: Actor, day: date, rng: random.Random) -> datetime:
    match actor.habit:
        case Habit.SERVICE:
            second = rng.randrange(_DAY_S)
        case Habit.NIGHTLY | Habit.MONTHLY | Habit.SEASONAL | Habit.RARE:
            second = actor.hour * 3_600 + rng.randrange(3_600)
        case _:
            second = int(min(max(rng.gauss(actor.hour * 3_600, 2.2 * 3_600), 6 * 3_600), 20 * 3_600))
    return datetime.combine(day, time(), UTC) + timedelta(seconds=second, microseconds=rng.randrange(1_000_000))


def event(
    actor: Actor,
    at: datetime,
    call: Call,
    network: Network,
    rng: random.Random,
    *,
    agent: str,
    failed: bool = False,
    code: str = "AccessDenied",
    interactive: bool | None = None,
    resource: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> Activity:
    """One event of this identity."""
    service, operation, mutating = call
    signs_in = operation == "Sign-in activity"
    return Activity(
        uid=f"{rng.getrandbits(96):024x}",
        time=at,
        service=service,
        operation=operation,
        class_uid=ActivityClass.AUTHENTICATION if signs_in else ActivityClass.API_ACTIVITY,
        actor_authority=actor.authority,
        actor_id=actor.actor_id,
        actor_name=actor.name,
        actor_kind=actor.kind,
        session=f"{actor.name}-{at:%Y%m%d}" if actor.kind is ActorKind.ROLE else None,
        credential_id=actor.credential_id,
        credential_type=actor.credential_type,
        mutating=mutating,
        interactive=interactive,
        resource_id=resource,
        account=actor.account,
        region="eu-west-1" if actor.cloud == "aws" else None,
        src_ip=f"{network.prefix}{rng.randrange(1, 255)}",
        user_agent=agent,
        outcome=Outcome.FAILURE if failed else Outcome.SUCCESS,
        outcome_code=code if failed else None,
        detail=detail or {},
    )
