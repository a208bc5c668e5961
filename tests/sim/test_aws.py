"""The simulated AWS itself: it must refuse what AWS refuses, and answer in AWS's shapes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.conftest import NOW
from wardship.sdk.clock import SimClock
from wardship.sim.aws import ACCOUNT, AwsWorld, small_world
from wardship.sim.aws.wire import HANDLERS, NotAws, conform


def client(world: AwsWorld, service: str, *, key_id: str | None = None, secret: str | None = None) -> Any:
    session = botocore.session.Session()
    world.prepare_botocore(session)
    if key_id is not None:
        session.set_credentials(key_id, secret or world.secret_of(key_id).reveal())
    return session.create_client(service, region_name="eu-west-1")


def refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def sim_clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def world(sim_clock: SimClock) -> AwsWorld:
    return small_world(sim_clock)


def test_a_wrong_secret_an_inactive_and_a_deleted_key_are_refused(world: AwsWorld, sim_clock: SimClock) -> None:
    key_id = world.account(ACCOUNT).key("idle")
    assert client(world, "sts", key_id=key_id).get_caller_identity()["Arn"].endswith(":user/idle")
    assert refused(client(world, "sts", key_id=key_id, secret="guess").get_caller_identity) == "SignatureDoesNotMatch"
    iam = client(world, "iam")
    iam.update_access_key(UserName="idle", AccessKeyId=key_id, Status="Inactive")
    assert world.works(key_id), "the change spreads for some seconds"
    sim_clock.sleep(5)
    assert refused(client(world, "sts", key_id=key_id).get_caller_identity) == "InvalidClientTokenId"
    iam.update_access_key(UserName="idle", AccessKeyId=key_id, Status="Active")
    sim_clock.sleep(5)
    assert world.works(key_id)
    iam.delete_access_key(UserName="idle", AccessKeyId=key_id)
    sim_clock.sleep(5)
    assert refused(client(world, "sts", key_id=key_id).get_caller_identity) == "InvalidClientTokenId"
    assert world.keys_of(f"arn:aws:iam::{ACCOUNT}:user/idle") == {}


def test_two_keys_are_the_most_and_inactive_ones_count(world: AwsWorld) -> None:
    iam = client(world, "iam")
    first = iam.create_access_key(UserName="idle")["AccessKey"]["AccessKeyId"]
    iam.create_access_key(UserName="idle")
    iam.update_access_key(UserName="idle", AccessKeyId=first, Status="Inactive")
    assert refused(iam.create_access_key, UserName="idle") == "LimitExceeded"


def test_last_use_follows_real_use(world: AwsWorld) -> None:
    iam = client(world, "iam")
    key_id = world.account(ACCOUNT).key("idle")
    assert "LastUsedDate" not in iam.get_access_key_last_used(AccessKeyId=key_id)["AccessKeyLastUsed"]
    client(world, "secretsmanager", key_id=key_id).list_secrets()
    used = iam.get_access_key_last_used(AccessKeyId=key_id)["AccessKeyLastUsed"]
    assert (used["LastUsedDate"], used["ServiceName"], used["Region"]) == (NOW, "secretsmanager", "eu-west-1")


def test_a_role_lets_in_whom_its_trust_names_with_the_external_id(world: AwsWorld, sim_clock: SimClock) -> None:
    sts = client(world, "sts")
    wardship = f"arn:aws:iam::{ACCOUNT}:role/wardship"
    made = sts.assume_role(RoleArn=wardship, RoleSessionName="test")["Credentials"]
    session = botocore.session.Session()
    world.prepare_botocore(session)
    session.set_credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    inside = session.create_client("sts", region_name="eu-west-1")
    assert inside.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/wardship/test"
    sim_clock.sleep(3601)
    assert refused(inside.get_caller_identity) == "ExpiredToken"
    supplier = f"arn:aws:iam::{ACCOUNT}:role/supplier"
    assert refused(sts.assume_role, RoleArn=supplier, RoleSessionName="test") == "AccessDenied"
    world.account(ACCOUNT).role(
        "guarded",
        trust={
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": ACCOUNT},
                    "Condition": {"StringEquals": {"sts:ExternalId": "right"}},
                }
            ]
        },
    )
    guarded = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/guarded", "RoleSessionName": "test"}
    assert refused(sts.assume_role, **guarded, ExternalId="wrong") == "AccessDenied"
    assert sts.assume_role(**guarded, ExternalId="right")["Credentials"]


def test_pages_are_followed_and_strange_tokens_refused(world: AwsWorld) -> None:
    iam = client(world, "iam")
    first = iam.get_account_authorization_details(Filter=["Role"])
    assert (len(first["RoleDetailList"]), first["IsTruncated"]) == (3, True)
    assert refused(iam.get_account_authorization_details, Marker="stranger") == "ValidationError"


def test_botocore_refuses_requests_that_aws_does_not_describe(world: AwsWorld) -> None:
    with pytest.raises(ParamValidationError):
        client(world, "iam").get_user(UserNaem="x")


def test_every_answer_has_an_operation_of_aws() -> None:
    session = botocore.session.Session()
    for service, operation in HANDLERS:
        assert operation in session.get_service_model(service).operation_names


@pytest.mark.parametrize(
    "answer",
    [
        {"User": {"UserName": "a"}},
        {"User": {}, "Extra": 1},
        {"User": {"Path": "/", "UserName": 7, "UserId": "A" * 16, "Arn": "a" * 20, "CreateDate": NOW}},
        {"User": "x"},
    ],
)
def test_an_answer_that_is_not_awss_is_caught(answer: Any) -> None:
    model = botocore.session.Session().get_service_model("iam").operation_model("GetUser")
    with pytest.raises(NotAws):
        conform(answer, model.output_shape, "iam.GetUser")


def test_an_answer_with_a_word_that_is_none_of_awss_is_caught() -> None:
    model = botocore.session.Session().get_service_model("iam").operation_model("GenerateCredentialReport")
    with pytest.raises(NotAws, match="none of AWS's words"):
        conform({"State": "SOON"}, model.output_shape, "iam.GenerateCredentialReport")


def _mint(path: Path) -> None:
    world = AwsWorld(clock=lambda: NOW, path=path)
    client(world, "iam").create_access_key(UserName="app")


def test_a_world_in_a_file_goes_on_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "aws.json"
    world = AwsWorld(clock=lambda: NOW, path=path)
    arn = world.account(ACCOUNT).user("app")
    client(world, "iam")  # its administrator is in the file from now on
    child = multiprocessing.get_context("fork").Process(target=_mint, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert len(world.keys_of(arn)) == 1
    assert not list(tmp_path.glob("*.new"))


def test_a_refused_change_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "aws.json"
    world = AwsWorld(clock=lambda: NOW, path=path)
    world.account(ACCOUNT).user("app")
    iam = client(world, "iam")
    before = path.read_bytes()
    assert refused(iam.create_access_key, UserName="nobody") == "NoSuchEntity"
    assert path.read_bytes() == before
