"""Makes CloudTrail files as S3 holds them: `AWSLogs/<account>/CloudTrail/<region>/yyyy/mm/dd/*.json.gz`.

Shapes and sizes are those of real records (about 1.2 KB each); who calls, what and from where is skewed: few roles make
most of the calls. The same seed gives the same bytes. Used by the benchmark of the import only.

    python -m bench.cloudtrail_files FOLDER EVENTS [SEED]
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ACCOUNTS = ("111122223333", "444455556666", "777788889999")
REGIONS = ("eu-west-1", "us-east-1", "eu-central-1")
AGENTS = (
    "aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.24.1 md/GOARCH#amd64 md/GOOS#linux api/s3#1.79.2 m/E,e",
    "Boto3/1.40.2 md/Botocore#1.40.2 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.12.4 md/pyimpl#CPython",
    "aws-cli/2.27.41 md/awscrt#0.26.1 ua/2.1 os/linux#5.15.0 md/arch#x86_64 lang/python#3.13.4 md/command#s3.ls",
    "APN/1.0 HashiCorp/1.0 Terraform/1.12.2 (+https://www.terraform.io) terraform-provider-aws/6.2.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
)  # fmt: skip
PER_FILE = 3_000
START = datetime(2026, 6, 1, tzinfo=UTC)

# operation, service, reads only, relative frequency
CALLS = (
    ("AssumeRole", "sts", True, 20), ("GetObject", "s3", True, 22), ("PutObject", "s3", False, 9),
    ("Decrypt", "kms", True, 14), ("DescribeInstances", "ec2", True, 8), ("GetSecretValue", "secretsmanager", True, 5),
    ("GetCallerIdentity", "sts", True, 3), ("ListBuckets", "s3", True, 2), ("Invoke", "lambda", False, 6),
    ("CreateLogStream", "logs", False, 4), ("DescribeLogGroups", "logs", True, 2), ("GetRole", "iam", True, 2),
    ("ConsoleLogin", "signin", False, 0.3), ("CreateAccessKey", "iam", False, 0.05),
    ("AttachRolePolicy", "iam", False, 0.1), ("RunInstances", "ec2", False, 0.4), ("PutBucketPolicy", "s3", False, 0.1),
)  # fmt: skip


def records(events: int, seed: int) -> Iterator[dict[str, Any]]:
    """`events` records over thirty days, in the order of time."""
    rng = random.Random(seed)
    roles = max(20, events // 600)
    weights = [1 / (rank + 1) for rank in range(roles)]
    actors = rng.choices(range(roles), weights, k=events)
    calls = rng.choices(CALLS, [call[3] for call in CALLS], k=events)
    step = timedelta(days=30) / events
    for number, (actor, call) in enumerate(zip(actors, calls, strict=True)):
        yield record(rng, START + number * step, actor, call[:3])


def record(rng: random.Random, at: datetime, actor: int, call: tuple[str, str, bool]) -> dict[str, Any]:
    """One record: every twentieth actor is a user with a key of its own, the others are sessions of roles."""
    operation, service, reads = call
    account, region = ACCOUNTS[actor % 3], REGIONS[actor % 7 % 3]
    when = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    parameters, resources = _parameters(rng, operation, account, region)
    failed = rng.random() < 0.02
    found: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(rng, actor, account, when),
        "eventTime": when,
        "eventSource": f"{service}.amazonaws.com",
        "eventName": operation,
        "awsRegion": region,
        "sourceIPAddress": f"10.{actor % 200}.{actor // 200 % 250}.{rng.randint(1, 9)}",
        "userAgent": AGENTS[actor % len(AGENTS)],
    }
    if failed:
        found["errorCode"] = "AccessDenied"
        found["errorMessage"] = f"User is not authorized to perform: {service}:{operation} because no policy allows it"
    found |= {
        "requestParameters": parameters,
        "responseElements": None if reads or failed else {"x-amz-request-id": _hex(rng, 16)},
        "requestID": _uuid(rng),
        "eventID": _uuid(rng),
        "readOnly": reads,
    }
    if service == "s3":
        found["additionalEventData"] = {
            "SignatureVersion": "SigV4",
            "CipherSuite": "TLS_AES_128_GCM_SHA256",
            "bytesTransferredIn": 0,
            "AuthenticationMethod": "AuthHeader",
            "x-amz-id-2": _hex(rng, 76),
            "bytesTransferredOut": rng.randint(0, 90_000),
        }
    if resources:
        found["resources"] = resources
    found |= {
        "eventType": "AwsConsoleSignIn" if operation == "ConsoleLogin" else "AwsApiCall",
        "managementEvent": operation not in ("GetObject", "PutObject", "Invoke"),
        "recipientAccountId": account,
        "eventCategory": "Data" if operation in ("GetObject", "PutObject", "Invoke") else "Management",
    }
    if service == "kms":
        found["tlsDetails"] = {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"{service}.{region}.amazonaws.com",
        }
    return found


def _identity(rng: random.Random, actor: int, account: str, when: str) -> dict[str, Any]:
    if actor % 20 == 7:
        return {
            "type": "IAMUser",
            "principalId": f"AIDA{actor:017d}",
            "arn": f"arn:aws:iam::{account}:user/robots/robot-{actor}",
            "accountId": account,
            "accessKeyId": f"AKIA{actor:016d}",
            "userName": f"robot-{actor}",
        }
    session = f"i-{actor:017x}" if actor % 3 else f"worker-{rng.randint(1, 5)}"
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{actor:017d}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/service-{actor}/{session}",
        "accountId": account,
        "accessKeyId": f"ASIA{rng.randint(0, 10**16):016d}",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROA{actor:017d}",
                "arn": f"arn:aws:iam::{account}:role/service-{actor}",
                "accountId": account,
                "userName": f"service-{actor}",
            },
            "attributes": {"creationDate": when, "mfaAuthenticated": "false"},
            "ec2RoleDelivery": "2.0",
        },
    }


def _parameters(rng: random.Random, operation: str, account: str, region: str) -> tuple[Any, list[dict[str, Any]]]:
    if operation in ("GetObject", "PutObject"):
        bucket = f"data-{min(int(rng.paretovariate(1)), 400)}"
        key = f"raw/2026/06/{rng.randint(1, 30):02d}/part-{rng.randint(0, 9999):05d}.parquet"
        return {"bucketName": bucket, "Host": f"{bucket}.s3.{region}.amazonaws.com", "key": key}, [
            {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{bucket}/{key}"},
            {"accountId": account, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"},
        ]
    if operation == "AssumeRole":
        arn = f"arn:aws:iam::{account}:role/service-{int(rng.paretovariate(1)) % 500}"
        return {"roleArn": arn, "roleSessionName": f"worker-{rng.randint(1, 5)}", "durationSeconds": 3600}, [
            {"accountId": account, "type": "AWS::IAM::Role", "ARN": arn}
        ]
    if operation == "Decrypt":
        arn = f"arn:aws:kms:{region}:{account}:key/{rng.randint(0, 30):08d}-1111-2222-3333-444455556666"
        return {
            "encryptionContext": {"aws:s3:arn": "arn:aws:s3:::data-1"},
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }, [{"accountId": account, "type": "AWS::KMS::Key", "ARN": arn}]
    named = {
        "GetSecretValue": {"secretId": f"prod/service-{rng.randint(0, 60)}/database"},
        "DescribeInstances": {"instancesSet": {}, "filterSet": {}, "maxResults": 500},
        "Invoke": {"functionName": f"arn:aws:lambda:{region}:{account}:function:job-{rng.randint(0, 80)}"},
        "CreateLogStream": {"logGroupName": f"/ecs/service-{rng.randint(0, 90)}", "logStreamName": _hex(rng, 32)},
        "GetRole": {"roleName": f"service-{rng.randint(0, 90)}"},
        "CreateAccessKey": {"userName": f"robot-{rng.randint(0, 90)}"},
        "AttachRolePolicy": {"roleName": "service-1", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        "RunInstances": {"instancesSet": {"items": [{"imageId": "ami-0abcdef", "minCount": 1, "maxCount": 1}]}},
        "PutBucketPolicy": {"bucketName": "data-1", "bucketPolicy": {"Statement": [{"Effect": "Allow"}]}},
    }  # fmt: skip
    return named.get(operation), []


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _uuid(rng: random.Random) -> str:
    text = _hex(rng, 32)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def write(folder: Path, events: int, seed: int = 1) -> list[Path]:
    """Writes the files, compressed as CloudTrail does (one document a file); [] is never returned."""
    files: list[Path] = []
    batch: list[str] = []
    every = records(events, seed)
    for number, one in enumerate(every, 1):
        batch.append(json.dumps(one, separators=(",", ":")))
        if len(batch) == PER_FILE or number == events:
            day = one["eventTime"][:10].replace("-", "/")
            path = folder / "AWSLogs/111122223333/CloudTrail/eu-west-1" / day / f"{len(files):06d}.json.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            document = '{"Records":[' + ",".join(batch) + "]}"
            path.write_bytes(gzip.compress(document.encode(), compresslevel=6, mtime=0))
            files.append(path)
            batch.clear()
    return files


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
