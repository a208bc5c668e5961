from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.sources.examples import KEY_ID, ROBOT, gcp
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.sdk.connector import DriftLog
from wardship.sources import gcp_audit


def parse(record: dict[str, Any]) -> Activity:
    (activity,) = gcp_audit.parse(record, DriftLog())
    return activity


def test_an_impersonated_service_account_is_the_actor_and_tells_for_whom_and_with_which_key() -> None:
    told = parse(gcp())
    assert (told.actor_authority, told.actor_id, told.actor_kind) == ("gcp:email", ROBOT, ActorKind.SERVICE_ACCOUNT)
    assert told.on_behalf_of == "ana@acme.example"
    assert (told.credential_id, told.credential_type) == (KEY_ID, "access_key")
    assert (told.account, told.mutating, told.outcome) == ("acme-prod", True, Outcome.SUCCESS)
    assert told.class_uid is ActivityClass.USER_ACCESS_MANAGEMENT


def test_a_binding_to_everybody_is_public_and_one_that_was_taken_away_is_not() -> None:
    assert parse(gcp()).detail["public"] is True
    gone = {"action": "REMOVE", "role": "roles/viewer", "member": "allUsers"}
    told = parse(gcp(serviceData={"policyDelta": {"bindingDeltas": [gone]}})).detail
    assert "public" not in told
    assert told["bindings_removed"] == [gone]


@pytest.mark.parametrize(
    ("payload", "outcome", "code"),
    [
        ({"status": {"code": 7}}, Outcome.FAILURE, "PERMISSION_DENIED"),
        ({"status": {"code": 99}}, Outcome.FAILURE, "99"),
        (
            {"status": None, "authorizationInfo": [{"permission": "a.b.c", "granted": False}]},
            Outcome.FAILURE,
            "PERMISSION_DENIED",
        ),
        ({"status": {}}, Outcome.SUCCESS, None),
    ],
)
def test_outcomes(payload: dict[str, Any], outcome: Outcome, code: str | None) -> None:
    told = parse(gcp(**payload))
    assert (told.outcome, told.outcome_code) == (outcome, code)


@pytest.mark.parametrize(
    ("who", "authority", "kind"),
    [
        ({"principalEmail": "Ana@acme.example"}, "gcp:email", ActorKind.USER),
        (
            {"principalEmail": "service-1@gcp-sa-pubsub.iam.gserviceaccount.com"},
            "gcp:email",
            ActorKind.PROVIDER_SERVICE,
        ),
        ({"principalEmail": "1-compute@developer.gserviceaccount.com"}, "gcp:email", ActorKind.SERVICE_ACCOUNT),
        (
            {
                "principalSubject": "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/repo"
            },
            "gcp:principal",
            ActorKind.WORKLOAD,
        ),
        ({"principalEmail": "system:anonymous"}, None, ActorKind.ANONYMOUS),
        ({}, None, ActorKind.UNKNOWN),
    ],
)
def test_who_acted(who: dict[str, Any], authority: str | None, kind: ActorKind) -> None:
    told = parse(gcp(authenticationInfo=who))
    assert (told.actor_authority, told.actor_kind) == (authority, kind)


@pytest.mark.parametrize(("asked", "told"), [(False, False), (True, True), (None, None)])
def test_whether_a_network_writes_flow_logs_is_told(asked: bool | None, told: bool | None) -> None:
    request = {} if asked is None else {"enableFlowLogs": asked}
    found = parse(gcp(methodName="v1.compute.subnetworks.patch", request=request))
    assert found.detail.get("flow_logs") is told


def test_a_user_of_a_cluster_belongs_to_that_cluster() -> None:
    record = gcp(
        serviceName="k8s.io",
        methodName="io.k8s.authorization.rbac.v1.clusterrolebindings.create",
        authenticationInfo={"principalEmail": "system:serviceaccount:ci:deployer"},
        request={
            "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "User", "name": "eve"}],
        },
    )
    record["resource"] = {"type": "k8s_cluster", "labels": {"project_id": "acme-prod", "cluster_name": "blue"}}
    told = parse(record)
    assert (told.actor_authority, told.actor_kind) == ("kubernetes:blue", ActorKind.WORKLOAD)
    assert (told.detail["role"], told.detail["subjects"]) == ("cluster-admin", ["User:eve"])


def test_a_new_key_is_named_and_its_private_part_is_not_kept() -> None:
    secret = "MII" + "x" * 40
    record = gcp(
        serviceName="iam.googleapis.com",
        methodName="google.iam.admin.v1.CreateServiceAccountKey",
        response={"name": f"projects/acme-prod/serviceAccounts/{ROBOT}/keys/{KEY_ID}", "private_key_data": secret},
    )
    told = parse(record)
    assert (told.detail["created_key"], told.detail["key_of"]) == (KEY_ID, ROBOT)
    assert secret not in repr(told)


def test_rows_of_bigquery_read_as_entries_do() -> None:
    entry = copy.deepcopy(gcp())
    payload = entry.pop("protoPayload")
    payload["servicedata_v1_iam"] = payload.pop("serviceData")
    row = {**entry, "protopayload_auditlog": {**payload, "requestJson": '{"member": "user:eve@x.example"}'}}
    assert gcp_audit.claims(row)
    told = parse(row)
    assert told.detail["public"] is True
    assert told.detail["member"] == "user:eve@x.example"
    assert told.uid == parse(gcp()).uid


def test_another_log_of_the_same_sink_is_skipped() -> None:
    other = {
        "logName": "projects/acme-prod/logs/stdout",
        "jsonPayload": {"message": "hello"},
        "timestamp": "2026-03-02T08:00:00Z",
    }
    assert not gcp_audit.claims(other)
    assert list(gcp_audit.parse(other, DriftLog())) == []
