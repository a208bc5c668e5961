"""CloudTrail: who acted, with what, on what, and that the fast way says the same."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cloudtrail_files import records as made_up
from tests.sources.cloudtrail_projection import differences, projected
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import aws_cloudtrail
from wardship.sources._aws_calls import BY_HAND

ACCOUNT = "111122223333"
EVENT: dict[str, Any] = {
    "eventVersion": "1.11",
    "userIdentity": {
        "type": "IAMUser",
        "principalId": "AIDAEXAMPLE",
        "arn": f"arn:aws:iam::{ACCOUNT}:user/path/alice",
        "accountId": ACCOUNT,
        "accessKeyId": "AKIAEXAMPLE",
        "userName": "alice",
    },
    "eventTime": "2026-06-01T10:00:00Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "ListBuckets",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "aws-cli/2.27",
    "requestParameters": None,
    "responseElements": None,
    "eventID": "e1",
    "readOnly": True,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": ACCOUNT,
}
ISSUER = {
    "type": "Role",
    "principalId": "AROAEXAMPLE",
    "arn": f"arn:aws:iam::{ACCOUNT}:role/app/worker",
    "accountId": ACCOUNT,
    "userName": "worker",
}
ROLE: dict[str, Any] = {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLE:i-0abc",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-0abc",
    "accountId": ACCOUNT,
    "accessKeyId": "ASIAEXAMPLE",
    "sessionContext": {"sessionIssuer": ISSUER, "attributes": {"mfaAuthenticated": "false"}},
}


def read(record: dict[str, Any]) -> Activity:
    [activity] = aws_cloudtrail.parse(record, DriftLog())
    return activity


def event(**changes: Any) -> dict[str, Any]:
    return {**EVENT, **changes}


def by(identity: dict[str, Any], **changes: Any) -> Activity:
    return read(event(userIdentity=identity, **changes))


# ------------------------------------------------------------------ who acted


def test_a_user_is_known_by_the_id_that_the_inventory_declares() -> None:
    one = read(EVENT)
    assert (one.actor_authority, one.actor_id, one.actor_name) == (f"aws:{ACCOUNT}", "AIDAEXAMPLE", "alice")
    assert (one.actor_kind, one.credential_id, one.credential_type) == (ActorKind.USER, "AKIAEXAMPLE", "access_key")
    assert (one.service, one.operation, one.region) == ("s3.amazonaws.com", "ListBuckets", "eu-west-1")
    assert (one.time, one.uid) == (datetime(2026, 6, 1, 10, tzinfo=UTC), "e1")
    assert (one.mutating, one.outcome, one.interactive) == (False, Outcome.SUCCESS, None)


def test_a_role_session_is_the_role_and_says_its_session() -> None:
    one = by(ROLE)
    assert (one.actor_id, one.actor_name, one.session) == ("AROAEXAMPLE", "worker", "i-0abc")
    assert (one.actor_kind, one.credential_type, one.on_behalf_of) == (ActorKind.ROLE, "token", None)
    person = {**ROLE, "sessionContext": {**ROLE["sessionContext"], "sourceIdentity": "ana"}}
    assert by(person).on_behalf_of == "ana"


@pytest.mark.parametrize(
    ("identity", "authority", "actor_id", "kind"),
    [
        ({"type": "Root", "principalId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT},
         f"aws:{ACCOUNT}", f"arn:aws:iam::{ACCOUNT}:root", ActorKind.ROOT),
        ({"type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT, "userName": "alias"},
         f"aws:{ACCOUNT}", f"arn:aws:iam::{ACCOUNT}:root", ActorKind.ROOT),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"},
         f"aws:{ACCOUNT}", "service:ec2.amazonaws.com", ActorKind.PROVIDER_SERVICE),
        ({"accountId": ACCOUNT, "invokedBy": "kms.amazonaws.com"},
         f"aws:{ACCOUNT}", "service:kms.amazonaws.com", ActorKind.PROVIDER_SERVICE),
        ({"type": "AWSAccount", "principalId": "AROAOTHER:job", "accountId": "999988887777"},
         "aws:999988887777", "AROAOTHER", ActorKind.ROLE),
        ({"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"},
         None, None, ActorKind.ANONYMOUS),
        ({"type": "FederatedUser", "principalId": f"{ACCOUNT}:bob", "accountId": ACCOUNT,
          "sessionContext": {"sessionIssuer": {"type": "IAMUser", "principalId": "AIDAX", "userName": "broker"}}},
         f"aws:{ACCOUNT}", "AIDAX", ActorKind.USER),
        ({"type": "WebIdentityUser", "principalId": "oidc:aud:repo:acme/app", "userName": "repo:acme/app:ref:main"},
         f"aws:{ACCOUNT}", "repo:acme/app:ref:main", ActorKind.WORKLOAD),
        ({"type": "SAMLUser", "principalId": "q1:ana@acme.example", "userName": "ana@acme.example"},
         f"aws:{ACCOUNT}", "q1", ActorKind.USER),
        ({"type": "IdentityCenterUser", "accountId": ACCOUNT, "credentialId": "c-1", "onBehalfOf":
          {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"}},
         "aws-identitystore:d-1", "u-1", ActorKind.USER),
        ({"type": "Directory", "userName": "DOMAIN/eva", "principalId": "S-1-5"},
         f"aws:{ACCOUNT}", "S-1-5", ActorKind.USER),
        ({"type": "Unknown"}, None, None, ActorKind.UNKNOWN),
        ({}, None, None, ActorKind.UNKNOWN),
    ],
)  # fmt: skip
def test_every_kind_of_identity(
    identity: dict[str, Any], authority: str | None, actor_id: str | None, kind: ActorKind
) -> None:
    one = by(identity)
    assert (one.actor_authority, one.actor_id, one.actor_kind) == (authority, actor_id, kind)


def test_a_federated_session_belongs_to_the_user_who_opened_it() -> None:
    issuer = {"type": "IAMUser", "principalId": "AIDAX", "userName": "broker"}
    one = by({"type": "FederatedUser", "principalId": f"{ACCOUNT}:bob", "accountId": ACCOUNT,
              "sessionContext": {"sessionIssuer": issuer}})  # fmt: skip
    assert (one.actor_name, one.session) == ("broker", "bob")


def test_an_unknown_kind_of_identity_is_counted() -> None:
    drift = DriftLog()
    list(aws_cloudtrail.parse(event(userIdentity={"type": "Martian", "accountId": ACCOUNT}), drift))
    assert ("cloudtrail.userIdentity.type", "value 'Martian'") in drift.counts


# ------------------------------------------------------------------ how it ended, and from where


@pytest.mark.parametrize(
    ("changes", "outcome", "code"),
    [
        ({"errorCode": "AccessDenied", "errorMessage": "no"}, Outcome.FAILURE, "AccessDenied"),
        ({"errorMessage": "Failed authentication"}, Outcome.FAILURE, None),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}, Outcome.FAILURE, "Failure"),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Success"}}, Outcome.SUCCESS, None),
        (
            {"eventName": "PasswordUpdated", "responseElements": {"PasswordUpdated": "Failure"}},
            Outcome.FAILURE,
            "Failure",
        ),
        ({"eventName": "CheckMfa", "responseElements": {"CheckMfa": "Failure"}}, Outcome.FAILURE, "Failure"),
    ],
)
def test_outcomes(changes: dict[str, Any], outcome: Outcome, code: str | None) -> None:
    one = read(event(**changes))
    assert (one.outcome, one.outcome_code) == (outcome, code)


def test_a_console_sign_in_is_a_persons_password() -> None:
    identity = {name: value for name, value in EVENT["userIdentity"].items() if name != "accessKeyId"}
    one = by(identity, eventName="ConsoleLogin", eventSource="signin.amazonaws.com", eventType="AwsConsoleSignIn",
             responseElements={"ConsoleLogin": "Success"}, additionalEventData={"MFAUsed": "No"})  # fmt: skip
    assert (one.class_uid, one.interactive, one.credential_type) == (
        ActivityClass.AUTHENTICATION, True, "console_password",
    )  # fmt: skip
    assert one.detail == {"event_type": "AwsConsoleSignIn", "mfa": False, "result": "Success"}


@pytest.mark.parametrize(
    "changes",
    [
        {"sessionCredentialFromConsole": "true"},
        {"userAgent": "signin.amazonaws.com"},
        {"userAgent": "console.ec2.amazonaws.com"},
        {"userAgent": "Mozilla/5.0 (X11)"},
    ],
)
def test_the_console_is_interactive_and_nothing_is_ever_said_not_to_be(changes: dict[str, Any]) -> None:
    assert read(event(**changes)).interactive is True
    assert read(EVENT).interactive is None


# ------------------------------------------------------------------ what was acted upon


@pytest.mark.parametrize(
    ("changes", "kind", "resource"),
    [
        ({"requestParameters": {"bucketName": "b", "key": "a/b.txt"}}, "AWS::S3::Object", "arn:aws:s3:::b/a/b.txt"),
        ({"requestParameters": {"bucketName": "b"}, "awsRegion": "cn-north-1"}, "AWS::S3::Bucket", "arn:aws-cn:s3:::b"),
        ({"eventSource": "secretsmanager.amazonaws.com", "requestParameters": {"secretId": "db"}},
         "AWS::SecretsManager::Secret", "db"),
        ({"eventSource": "iam.amazonaws.com", "requestParameters": {"userName": "u", "roleName": "r"}},
         "AWS::IAM::Role", "r"),
        ({"resources": [{"ARNPrefix": "x"}, {"ARN": "arn:aws:kms:1", "type": "AWS::KMS::Key"}]},
         "AWS::KMS::Key", "arn:aws:kms:1"),
        ({"requestParameters": "bucketName"}, None, None),
    ],
)  # fmt: skip
def test_resources(changes: dict[str, Any], kind: str | None, resource: str | None) -> None:
    one = read(event(**changes))
    assert (one.resource_type, one.resource_id) == (kind, resource)


# ------------------------------------------------------------------ detail


def detail(operation: str, parameters: Any, **changes: Any) -> dict[str, Any]:
    return dict(read(event(eventName=operation, requestParameters=parameters, **changes)).detail)


ANYBODY = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}}, {"Effect": "Deny", "Principal": "none"}]}


def only(condition: Any) -> dict[str, Any]:
    """A policy that allows anybody whom the condition lets through."""
    return {"Statement": {"Effect": "Allow", "Principal": "*", "Condition": condition}}


@pytest.mark.parametrize(
    ("operation", "parameters", "shared", "public"),
    [
        ("ModifySnapshotAttribute", {"createVolumePermission": {"add": {"items": [{"userId": "999988887777"}]}}},
         ["999988887777"], None),
        ("ModifySnapshotAttribute", {"createVolumePermission": {"remove": {"items": [{"group": "all"}]}}}, None, None),
        ("ModifyImageAttribute", {"launchPermission": {"add": {"items": [{"group": "all"}]}}}, ["all"], True),
        ("ModifyDBSnapshotAttribute", {"attributeName": "restore", "valuesToAdd": ["all"]}, ["all"], True),
        ("PutBucketPolicy", {"bucketPolicy": ANYBODY}, ["*"], True),
        ("PutKeyPolicy", {"policy": json.dumps(ANYBODY)}, ["*"], True),
        ("PutBucketPolicy", {"bucketPolicy": only({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2"}})}, None, None),
        ("PutBucketPolicy", {"bucketPolicy": only({"StringLike": {"aws:SourceVpc": "*"}})}, ["*"], True),
        ("PutBucketPolicy", {"bucketPolicy": only({"Bool": {"aws:SecureTransport": "true"}})}, ["*"], True),
        ("PutBucketPolicy", {"bucketPolicy": only({"StringEquals": "aws:SourceVpc"})}, ["*"], True),
        ("PutBucketAcl", {"x-amz-acl": ["public-read"]}, ["public-read"], True),
        ("UpdateAssumeRolePolicy", {"policyDocument": json.dumps({"Statement":
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}}})},
         ["arn:aws:iam::999988887777:root"], None),
        ("PutBucketAcl", {"x-amz-acl": ["private"]}, None, None),
        ("PutBucketAcl", {"AccessControlPolicy": {"Owner": {"ID": "me"}, "AccessControlList": {"Grant": [
            {"Grantee": {"ID": "me"}}, {"Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"}}]}}},
         ["AllUsers"], True),
        ("AddPermission20150331v2", {"principal": "s3.amazonaws.com"}, None, None),
        ("PutKeyPolicy", {"policy": {"Statement": {"Effect": "Allow", "Principal":
            {"AWS": "999988887777", "Service": "s3.amazonaws.com"}}}}, ["999988887777"], None),
        ("AddPermission20150331v2", {"principal": "*"}, ["*"], True),
        ("AuthorizeSecurityGroupIngress", {"ipPermissions": {"items": [{"ipRanges": {"items":
            [{"cidrIp": "0.0.0.0/0"}]}}]}}, ["0.0.0.0/0"], True),
        ("PutBucketPolicy", {"bucketPolicy": "{broken"}, None, None),
        ("CreateElasticsearchDomain", {"accessPolicies": json.dumps(ANYBODY)}, ["*"], True),
        ("CreateDomain", {"accessPolicies": only({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})}, None, None),
        ("CreateDomain", {"accessPolicies": only({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}})}, ["*"], True),
    ],
)  # fmt: skip
def test_whom_a_change_lets_in(operation: str, parameters: Any, shared: list[str] | None, public: bool | None) -> None:
    found = detail(operation, parameters)
    assert (found.get("shared_with"), found.get("public")) == (shared, public)
    assert operation in BY_HAND


def test_trust_in_services_of_the_provider_alone_is_told_apart() -> None:
    service, both = {"Service": "ec2.amazonaws.com"}, {"Service": "ec2.amazonaws.com", "AWS": "999988887777"}
    told = [
        detail("UpdateAssumeRolePolicy", {"policyDocument": {"Statement": {"Effect": "Allow", "Principal": one}}})
        for one in (service, both)
    ]
    assert [one.get("only_services") for one in told] == [True, None]


@pytest.mark.parametrize(
    ("filters", "everything"),
    [
        ([{"key": "tag-key", "values": ["!nobody-has-this"]}], True),
        ([{"key": "name", "values": ["shop/"]}], None),
        ([{"key": "name", "values": ["shop/", "!shop/test"]}], None),
        (None, None),
        ("odd", None),
    ],
)
def test_a_batch_of_secrets_that_only_leaves_out_is_told(filters: Any, everything: bool | None) -> None:
    assert detail("BatchGetSecretValue", {"filters": filters}).get("everything") is everything


def test_a_new_key_is_known_by_its_id_and_nothing_secret_is_kept() -> None:
    made = {"accessKey": {"userName": "bob", "accessKeyId": "AKIANEW", "secretAccessKey": "hidden"}}
    found = detail("CreateAccessKey", {"userName": "bob"}, responseElements=made)
    assert found == {"user": "bob", "new_key": "AKIANEW"}


def test_parameters_are_never_kept_whole() -> None:
    hidden = "s3cr3t-" + "v4lue"
    one = read(event(eventSource="rds.amazonaws.com", eventName="ModifyDBInstance", errorMessage=hidden,
                     requestParameters={"masterUserPassword": hidden, "dBInstanceIdentifier": "db", "userData": hidden},
                     responseElements={"token": hidden}))  # fmt: skip
    assert hidden not in repr(one)
    assert one.resource_id == "db"


# ------------------------------------------------------------------ the forms that it comes in


def test_every_envelope_gives_the_same_event() -> None:
    lower = {name.lower(): value for name, value in EVENT.items()} | {"eventtime": "2026-06-01 10:00:00.000"}
    forms: list[dict[str, Any]] = [
        {"EventId": "e1", "EventName": "ListBuckets", "CloudTrailEvent": json.dumps(EVENT)},
        {"version": "0", "detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": EVENT},
        {"eventData": EVENT},
        {"eventJson": json.dumps(EVENT)},
        {**EVENT, "p_log_type": "AWS.CloudTrail", "p_event_time": "2026-06-01 10:00:00"},
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in EVENT.items()},  # CSV
        lower,
    ]
    for form in forms:
        assert aws_cloudtrail.claims(form), form
        assert read(form) == read(EVENT)


def test_an_insight_is_nobodys_act() -> None:
    one = read({"eventVersion": "1.07", "eventTime": "2026-06-01T10:00:00Z", "eventType": "AwsCloudTrailInsight",
                "eventID": "i", "insightDetails": {"insightType": "ApiCallRateInsight", "eventName": "RunInstances",
                "eventSource": "ec2.amazonaws.com", "state": "Start"}})  # fmt: skip
    assert (one.operation, one.actor_id, one.detail) == (
        "ApiCallRateInsight", None, {"about": "RunInstances", "state": "Start"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"eventName": "x"},
        {**EVENT, "eventTime": "yesterday"},
        {**EVENT, "eventName": ""},
        {**EVENT, "eventTime": "1999-01-01T00:00:00Z"},
        {"CloudTrailEvent": "{broken"},
    ],
)
def test_what_cannot_be_placed_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        read(record)


def test_other_logs_are_not_claimed() -> None:
    assert not aws_cloudtrail.claims({"eventSource": "acme", "eventName": "x", "awsRegion": "y"})
    assert not aws_cloudtrail.claims({"CloudTrailEvent": "{broken"})
    assert not aws_cloudtrail.claims({"detail": {"a": 1}})


# ------------------------------------------------------------------ the fast way


def test_the_fast_way_reads_nearly_all_of_a_realistic_log(tmp_path: Path) -> None:
    records = list(made_up(3_000, 11))
    rows = projected(tmp_path, records)
    assert differences(rows, records) == []
    assert sum(row["readable"] for row in rows) > 0.98 * len(records)


_HOSTILE = st.sampled_from(
    [None, "", "x", "{", "[1]", "a\x00b", "é\u2028", 0, 7, -1, 1.5, True, False, [], {}, {"a": 1},
     ["b"], "x" * 1_001, " a ", "https://a:b@h/p?x=1#y", "a?b=c", "a?b", "(+https://h/p) c#d", "https://h/p#x"]
)  # fmt: skip
_CHANGES = st.tuples(
    st.sampled_from(
        """
        eventTime eventSource eventName awsRegion sourceIPAddress userAgent errorCode errorMessage requestParameters
        eventID readOnly resources eventType managementEvent recipientAccountId userIdentity vpcEndpointId eventData
        sessionCredentialFromConsole detail userIdentity.type userIdentity.principalId userIdentity.arn
        userIdentity.accountId userIdentity.accessKeyId userIdentity.userName userIdentity.invokedBy
        userIdentity.sessionContext userIdentity.sessionContext.sourceIdentity userIdentity.onBehalfOf
        userIdentity.sessionContext.sessionIssuer userIdentity.sessionContext.sessionIssuer.userName
        userIdentity.sessionContext.attributes.mfaAuthenticated userIdentity.sessionContext.webIdFederationData
        userIdentity.credentialId requestParameters.bucketName requestParameters.key requestParameters.roleArn
        requestParameters.userName requestParameters.secretId requestParameters.name
        """.split()
    ),
    _HOSTILE
    | st.sampled_from(
        ["IAMUser", "AssumedRole", "AWSAccount", "AWSService", "Root", "iam.amazonaws.com", "CreateUser",
         "ConsoleLogin", "AROAX:s", "AIDAX", ":s", "AROA:", "AKIA1", "ASIA1", "true", "false", "2026-06-01T10:00:00Z",
         "2026-06-01 10:00:00", "2026-13-01T10:00:00Z", "1999-06-01T10:00:00Z", "2026-06-01T24:00:00Z",
         "2026-06-01T10:00:00+02:00", "Mozilla/5.0", "cn-north-1", [{"ARN": "arn:x", "type": "T"}], [{"ARN": {}}, 7],
         [{"type": "T"}, {"ARN": "arn:y"}], {"federatedProvider": "p", "attributes": {"p:sub": "s"}}]
    ),
)  # fmt: skip


def _changed(record: dict[str, Any], changes: list[tuple[str, Any]]) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(record))
    for path, value in changes:
        *parents, last = path.split(".")
        place: Any = changed
        for name in parents:
            place = place.setdefault(name, {}) if isinstance(place.get(name, {}), dict) else {}
        place[last] = copy.deepcopy(value)  # the same {} put into itself would be a circle
    return changed


def _bases() -> Iterator[dict[str, Any]]:
    yield EVENT
    yield event(userIdentity=ROLE, eventSource="iam.amazonaws.com", eventName="CreateUser",
                requestParameters={"userName": "u", "policyArn": "p"})  # fmt: skip
    yield event(
        userIdentity={"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, requestParameters={"roleArn": "r"}
    )
    yield event(userIdentity={"type": "AWSAccount", "principalId": "AROAOTHER:job", "accountId": "999988887777"},
                managementEvent=False, requestParameters={"bucketName": "b", "key": "k"})  # fmt: skip


BASES = tuple(_bases())


@settings(max_examples=25, deadline=None)
@given(
    cases=st.lists(st.tuples(st.integers(0, len(BASES) - 1), st.lists(_CHANGES, max_size=4)), min_size=40, max_size=60),
)
def test_the_fast_way_says_what_parse_says(
    tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[int, list[tuple[str, Any]]]]
) -> None:
    records = [_changed(BASES[base], changes) for base, changes in cases]
    rows = projected(tmp_path_factory.mktemp("rows"), records)
    assert differences(rows, records) == []


@pytest.mark.chaos
def test_the_fast_way_says_what_parse_says_many_times(tmp_path: Path) -> None:
    rng = random.Random(4)
    paths = [
        "eventTime",
        "eventName",
        "userIdentity.type",
        "userIdentity.principalId",
        "requestParameters.key",
        "resources",
    ]
    values = [
        None,
        "",
        "{",
        "[",
        "\\",
        "AROA1:x:y",
        "AROA1",
        "IAMUser",
        1.0,
        1e22,
        1e-7,
        -0.0,
        10**19,
        "\x00",
        {"ARN": 1},
    ]
    records = [
        _changed(rng.choice(BASES), [(rng.choice(paths), rng.choice(values)) for _ in range(rng.randint(0, 5))])
        for _ in range(50_000)
    ]
    assert differences(projected(tmp_path, records), records) == []
