"""The audit logs of the demo organisation: a year of what its identities do, as the vendors write it.

CloudTrail files, Entra ID sign-ins and GitHub's audit log, made from the same plan and the same simulated accounts as
everything else, so that keys and ids are those of the inventory. Ordinary work ends where the plan says that something
was last used; the stories of the last days come on top:

- AcmeIntegrator: sporadic calls inside the old pattern, and two of yesterday from a network never seen;
- the key from git history: a job every night; and the account that three systems share from two sites;
- a key that slept for most of a year and awakes at three in the morning;
- an application that was disabled and is still tried by a pipeline;
- the release that runs with the token of somebody who left;
- a storm of a provisioning tool that looks terrible and is fine.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from wardship.sim import plan as plans
from wardship.sim.aws import AwsWorld
from wardship.sim.code_world import login_of
from wardship.sim.entra import EntraTenant
from wardship.sim.plan import ACCOUNTS, TENANT, Plan
from wardship.sim.plan_code import ORGANISATION, CodePlan

HISTORY, LATEST = "logs", "logs-latest"
"""Folders: the year, and what has arrived since yesterday."""
SOURCES: Mapping[str, str] = {"aws": "aws.cloudtrail", "entra": "entra.signin", "github": "github.audit"}
"""Folder of each kind of log -> the source that reads it."""

_REGION = "eu-west-1"
_LATEST_DAYS = 2.0
_SAMPLE = 8  # of the largest organisation every eighth job is logged, each as often as it runs
_OFFICE, _SITE, _CLOUD = "192.0.2.{}", "198.51.100.{}", "203.0.113.{}"
_STRANGER = "198.18.7.{}"
_CALLS = (
    ("s3.amazonaws.com", "GetObject", True), ("s3.amazonaws.com", "PutObject", False),
    ("sqs.amazonaws.com", "ReceiveMessage", True), ("sqs.amazonaws.com", "SendMessage", False),
    ("dynamodb.amazonaws.com", "GetItem", True), ("dynamodb.amazonaws.com", "PutItem", False),
    ("secretsmanager.amazonaws.com", "GetSecretValue", True), ("ec2.amazonaws.com", "DescribeInstances", True),
)  # fmt: skip
_AGENTS = (
    "Boto3/1.40.12 md/Botocore#1.40.12 ua/2.1 os/linux lang/python#3.12",
    "aws-sdk-java/2.31.9 Linux/5.10 OpenJDK_64-Bit_Server_VM/17.0.13",
    "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24",
)
_TERRAFORM = "APN/1.0 HashiCorp/1.0 Terraform/1.12.2 (+https://www.terraform.io) terraform-provider-aws/6.4.0"
_STORM = (
    ("iam.amazonaws.com", "CreateRole"), ("iam.amazonaws.com", "AttachRolePolicy"),
    ("iam.amazonaws.com", "PutRolePolicy"), ("iam.amazonaws.com", "TagRole"),
    ("lambda.amazonaws.com", "CreateFunction20150331"), ("lambda.amazonaws.com", "UpdateFunctionCode20150331v2"),
    ("s3.amazonaws.com", "CreateBucket"), ("s3.amazonaws.com", "PutBucketPolicy"),
    ("ec2.amazonaws.com", "CreateSecurityGroup"), ("ec2.amazonaws.com", "AuthorizeSecurityGroupIngress"),
    ("ecs.amazonaws.com", "UpdateService"), ("cloudwatch.amazonaws.com", "PutMetricAlarm"),
)  # fmt: skip

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Actor:
    """Who acts in an AWS account, as CloudTrail names it."""

    account: str
    name: str
    unique_id: str
    key_id: str
    role: bool = False

    def identity(self, at: datetime) -> Record:
        if not self.role:
            return {
                "type": "IAMUser", "principalId": self.unique_id,
                "arn": f"arn:aws:iam::{self.account}:user/{self.name}",
                "accountId": self.account, "accessKeyId": self.key_id, "userName": self.name,
            }  # fmt: skip
        issuer = {
            "type": "Role", "principalId": self.unique_id, "arn": f"arn:aws:iam::{self.account}:role/{self.name}",
            "accountId": self.account, "userName": self.name,
        }  # fmt: skip
        made = {"creationDate": f"{at:%Y-%m-%dT%H}:00:00Z", "mfaAuthenticated": "false"}
        return {
            "type": "AssumedRole", "principalId": f"{self.unique_id}:{self.name}",
            "arn": f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{self.name}", "accountId": self.account,
            "accessKeyId": self.key_id, "sessionContext": {"sessionIssuer": issuer, "attributes": made},
        }  # fmt: skip


def write(
    plan: Plan, code: CodePlan, world: AwsWorld, tenant: EntraTenant, *, clock: Callable[[], datetime], folder: Path
) -> None:
    """Writes the logs below `folder`/HISTORY and `folder`/LATEST, a folder for each kind of log."""
    draw = random.Random(f"logs {len(plan.users)}")  # noqa: S311 - a made-up organisation
    now = clock().replace(microsecond=0)
    latest = now - timedelta(days=_LATEST_DAYS)
    events: dict[str, list[tuple[datetime, Record]]] = {
        "aws": [*_aws(plan, world, now, draw)],
        "entra": [*_entra(plan, tenant, now, draw)],
        "github": [*_github(code, now, draw)],
    }
    for kind, made in events.items():
        made.sort(key=lambda pair: pair[0])
        for place, chosen in (
            (HISTORY, [pair for pair in made if pair[0] < latest]),
            (LATEST, [pair for pair in made if pair[0] >= latest]),
        ):
            target = folder / place / kind
            target.mkdir(parents=True, exist_ok=True)
            _save(kind, chosen, target)


def _save(kind: str, events: Sequence[tuple[datetime, Record]], folder: Path) -> None:
    if kind != "aws":
        with (folder / f"{kind}.jsonl").open("wb") as out:
            out.writelines(orjson.dumps(record) + b"\n" for _at, record in events)
        return
    months: dict[str, list[Record]] = {}
    for at, record in events:
        months.setdefault(f"{at:%Y-%m}", []).append(record)
    for month, records in months.items():
        with gzip.open(folder / f"cloudtrail-{month}.json.gz", "wb", compresslevel=1) as out:
            out.write(orjson.dumps({"Records": records}))


def _times(
    now: datetime, first_days: float, last_days: float, every_days: float, draw: random.Random
) -> Iterator[datetime]:
    """One instant about every `every_days` days, from `first_days` ago to `last_days` ago, the last one exactly; none
    that is older than a year, for which nobody keeps logs."""
    ago = min(first_days, 365.0)
    if last_days > ago:
        return
    last = now - timedelta(days=last_days)
    while ago > last_days + every_days:  # a job has its hour, and some minutes to be late
        day = now - timedelta(days=ago)
        yield day.replace(hour=last.hour, minute=draw.randrange(60), second=draw.randrange(60))
        ago -= every_days
    yield last


# ---------------------------------------------------------------- AWS


def _aws(plan: Plan, world: AwsWorld, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    sample = _SAMPLE if len(plan.users) > 1_000 else 1
    with world.reading() as state:
        keys: dict[str, list[str]] = {}
        for key_id, key in state["keys"].items():
            keys.setdefault(key["arn"], []).append(key_id)
        accounts = {number: state["accounts"][number] for number in ACCOUNTS.values()}
        users = {(number, name): user["id"] for number, of in accounts.items() for name, user in of["users"].items()}
        roles = {(number, name): role["id"] for number, of in accounts.items() for name, role in of["roles"].items()}
    for number, user in enumerate(plan.users):
        account = ACCOUNTS[user.account]
        ids = keys.get(f"arn:aws:iam::{account}:user/{user.name}", [])
        for key_id, key in zip(ids, user.keys, strict=False):
            if key.last_used_days is not None:
                actor = _Actor(account, user.name, users[account, user.name], key_id)
                if story := _STORIES.get(user.name):
                    yield from story(actor, now, draw)
                    continue
                if number % sample == 0:
                    life = key.age_days, key.last_used_days
                    yield from _work(actor, number // sample, now, life=life, draw=draw)
    for number, role in enumerate(plan.roles):
        if role.last_used_days is None:
            continue
        account = ACCOUNTS[role.account]
        actor = _Actor(account, role.name, roles[account, role.name], f"ASIASIM{number:013d}", role=True)
        if number % sample == 0:
            life = role.created_days, role.last_used_days
            yield from _work(actor, number // sample, now, life=life, draw=draw)
        if role.name == "deploy-production":
            yield from _storm(actor, now, draw)


def _work(
    actor: _Actor, number: int, now: datetime, *, life: tuple[float, float], draw: random.Random
) -> Iterator[tuple[datetime, Record]]:
    """A job of its own: some every day, most every week, from one place with one program."""
    first, last = life
    every = (1.0, 7.0, 7.0, 3.0)[number % 4]
    calls = [_CALLS[number % len(_CALLS)], _CALLS[(number + 3) % len(_CALLS)]]
    network, agent = (_OFFICE, _SITE, _CLOUD)[number % 3], _AGENTS[number % 3]
    for at in _times(now, first, last, every, draw):
        for turn, call in enumerate(calls):
            yield _call(actor, at - timedelta(seconds=2 - turn), call, network=network, agent=agent, draw=draw)


def _call(
    actor: _Actor, at: datetime, call: tuple[str, str, bool], *, network: str, agent: str, draw: random.Random
) -> tuple[datetime, Record]:
    service, operation, reads = call
    resource = {"bucketName": f"acme-{actor.name}"} if service == "s3.amazonaws.com" else None
    of_data = operation in ("GetObject", "PutObject", "GetItem", "PutItem")
    return at, {
        "eventVersion": "1.11", "userIdentity": actor.identity(at), "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": service, "eventName": operation, "awsRegion": _REGION,
        "sourceIPAddress": network.format(draw.randrange(1, 255)), "userAgent": agent,
        "requestParameters": resource, "responseElements": None, "requestID": f"{draw.getrandbits(64):016x}",
        "eventID": _uuid(draw), "readOnly": reads, "eventType": "AwsApiCall",
        "managementEvent": not of_data, "recipientAccountId": actor.account,
        "eventCategory": "Data" if of_data else "Management",
    }  # fmt: skip


def _uuid(draw: random.Random) -> str:
    text = f"{draw.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _nightly(actor: _Actor, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    for at in _times(now, 365, 1, 1, draw):
        night = at.replace(hour=2, minute=10, second=0)
        for turn, call in enumerate(_CALLS[:2]):
            yield _call(actor, night + timedelta(seconds=turn), call, network=_SITE, agent=_AGENTS[0], draw=draw)


def _shared(actor: _Actor, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    for at in _times(now, 340, 0.5, 1, draw):
        for turn, network in enumerate((_OFFICE, _SITE, _SITE)):
            yield _call(
                actor, at + timedelta(minutes=turn), _CALLS[turn], network=network, agent=_AGENTS[turn], draw=draw
            )


def _sleeper(actor: _Actor, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    for at in _times(now, 360, 300, 2, draw):
        yield _call(actor, at, _CALLS[0], network=_SITE, agent=_AGENTS[1], draw=draw)
    awake = (now - timedelta(days=1)).replace(hour=3, minute=4, second=11)
    looks = ("sts.amazonaws.com", "GetCallerIdentity", True), ("s3.amazonaws.com", "ListBuckets", True)
    for turn, call in enumerate((*looks, *[_CALLS[0]] * 6)):
        at = awake + timedelta(seconds=20 * turn)
        yield _call(actor, at, call, network=_STRANGER, agent="aws-cli/2.27.0 md/awscrt#0.26.1", draw=draw)


def _storm(actor: _Actor, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    """What the provisioning tool has done every other week for a year, and did yesterday."""
    for at in _times(now, 360, 1.2, 14, draw):
        for turn in range(60):
            service, operation = _STORM[turn % len(_STORM)]
            yield _call(
                actor,
                at + timedelta(seconds=turn),
                (service, operation, False),
                network=_CLOUD,
                agent=_TERRAFORM,
                draw=draw,
            )


_STORIES: Mapping[str, Callable[[_Actor, datetime, random.Random], Iterator[tuple[datetime, Record]]]] = {
    "svc-nightly-export": _nightly,
    "svc-mainframe-bridge": _shared,
    "svc-archive-restore": _sleeper,
}


# ---------------------------------------------------------------- Entra ID


def _entra(plan: Plan, tenant: EntraTenant, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    sample = _SAMPLE if len(plan.apps) > 1_000 else 1
    known = {row["displayName"]: row for row in tenant.sps.visible()}
    for number, app in enumerate(plan.apps):
        row = known.get(app.name)
        if row is None or app.kind == "microsoft":
            continue
        if app.name == plans.SWITCHED_OFF:
            for at in _times(now, 300, 0.3, 1, draw):
                failed = now - at < timedelta(days=40)
                yield _sign_in(row, at, _CLOUD, draw, error=7000112 if failed else 0)
        elif app.name.startswith("AcmeIntegrator"):
            for at in _times(now, 360, 6, 12, draw):
                yield _sign_in(row, at, _SITE, draw)
            for hours in (20, 19):
                yield _sign_in(row, now - timedelta(hours=hours), _STRANGER, draw)
        elif app.sign_in_days is not None and number % sample == 0:
            place = number // sample
            every = (1.0, 7.0, 7.0, 4.0)[place % 4]
            for at in _times(now, app.created_days, app.sign_in_days, every, draw):
                yield _sign_in(row, at, (_OFFICE, _SITE, _CLOUD)[place % 3], draw, managed=app.kind == "managed")


def _sign_in(
    row: Record, at: datetime, network: str, draw: random.Random, *, managed: bool = False, error: int = 0
) -> tuple[datetime, Record]:
    return at, {
        "id": _uuid(draw), "createdDateTime": f"{at:%Y-%m-%dT%H:%M:%SZ}", "tenantId": TENANT,
        "appId": row["appId"], "appDisplayName": row["displayName"], "servicePrincipalId": row["id"],
        "servicePrincipalName": row["displayName"], "ipAddress": network.format(draw.randrange(1, 255)),
        "resourceDisplayName": "Microsoft Graph", "resourceId": "00000003-0000-0000-c000-000000000000",
        "signInEventTypes": ["managedIdentity" if managed else "servicePrincipal"], "isInteractive": False,
        "clientCredentialType": "none" if managed else "clientSecret",
        "status": {"errorCode": error, "failureReason": "Application is disabled" if error else "Other."},
    }  # fmt: skip


# ---------------------------------------------------------------- GitHub


def _github(code: CodePlan, now: datetime, draw: random.Random) -> Iterator[tuple[datetime, Record]]:
    for number, pat in enumerate(code.pats):
        for at in _times(now, pat.age_days, pat.last_used_days or 1, (1.0, 7.0)[number % 2], draw):
            release = pat.name == "release"
            kind = "Personal access token (classic)" if pat.classic else "Fine-grained personal access token"
            yield at, {
                "@timestamp": int(at.timestamp() * 1000), "_document_id": f"{draw.getrandbits(120):030x}",
                "action": "git.push" if release else "git.fetch", "actor": login_of(pat.owner), "org": ORGANISATION,
                "repo": f"{ORGANISATION}/{'release-tools' if release else 'claims-api'}",
                "actor_ip": (_CLOUD if release else _OFFICE).format(draw.randrange(1, 255)),
                "programmatic_access_type": kind,
                "user_agent": "git/2.49.0", "transport_protocol_name": "http",
            }  # fmt: skip
