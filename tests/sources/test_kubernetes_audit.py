from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sources.examples import kubernetes
from wardship.model.activity import Activity, ActivityClass, ActorKind, Outcome
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sources import kubernetes_audit


def parse(record: dict[str, Any]) -> Activity:
    (activity,) = kubernetes_audit.parse(record, DriftLog())
    return activity


def test_a_service_account_is_known_by_its_uid_and_its_token_by_its_id() -> None:
    told = parse(kubernetes())
    assert (told.actor_authority, told.actor_id) == ("kubernetes:uid", "aaaaaaaa-2222-3333-4444-555555555555")
    assert (told.actor_name, told.actor_kind) == ("system:serviceaccount:ci:deployer", ActorKind.WORKLOAD)
    assert (told.credential_id, told.credential_type) == ("77777777-2222-3333-4444-555555555555", "token")


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted"])
def test_only_the_last_stage_counts(stage: str) -> None:
    assert list(kubernetes_audit.parse(kubernetes(stage=stage), DriftLog())) == []


def test_a_panic_is_a_failure_and_an_unknown_stage_is_drift() -> None:
    assert parse(kubernetes(stage="Panic")).outcome is Outcome.FAILURE
    drift = DriftLog()
    assert list(kubernetes_audit.parse(kubernetes(stage="Dreaming"), drift)) == []
    assert drift.counts


def test_a_refused_sign_in_has_no_user_name() -> None:
    told = parse(kubernetes("get", "pods", user={}, responseStatus={"code": 401}))
    assert (told.actor_id, told.actor_name, told.class_uid) == (None, None, ActivityClass.AUTHENTICATION)
    assert (told.outcome, told.src_ip) == (Outcome.FAILURE, "203.0.113.9")


def test_a_patch_that_lets_pods_see_the_node_is_told_although_it_names_no_container() -> None:
    patch = {"spec": {"template": {"spec": {"hostPID": True}}}}
    told = parse(kubernetes("patch", "deployments", requestObject=patch, responseObject=None))
    assert told.detail["host_pid"] is True


def test_a_binding_to_cluster_admin_tells_to_whom() -> None:
    body = {
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "ci", "name": "x"}],
    }
    told = parse(kubernetes(requestObject=body))
    assert (told.detail["role"], told.detail["subjects"]) == ("cluster-admin", ["ServiceAccount:ci/x"])


def test_values_of_secrets_are_never_kept() -> None:
    body = {"type": "Opaque", "data": {"password": "czNjcjN0"}, "stringData": {"p": "s3cr3t-value"}}
    told = parse(kubernetes(resource="secrets", requestObject=body, responseObject=body))
    assert told.detail["secret_type"] == "Opaque"
    assert "czNjcjN0" not in repr(told)
    assert "s3cr3t-value" not in repr(told)


def test_a_list_of_all_secrets_is_told_apart_from_one_of_a_namespace() -> None:
    everywhere = parse(kubernetes("list", "secrets", objectRef={"resource": "secrets"}))
    one = parse(kubernetes("list", "secrets", objectRef={"resource": "secrets", "namespace": "ci"}))
    assert (everywhere.detail.get("all_namespaces"), one.detail.get("all_namespaces")) == (True, None)
    assert everywhere.mutating is False


def test_a_command_in_a_pod_is_told_by_its_first_words() -> None:
    target = {"resource": "pods", "subresource": "exec", "namespace": "ci", "name": "web"}
    told = parse(kubernetes(objectRef=target, requestURI="/api/v1/x/exec?command=sh&command=-c&stdin=true"))
    assert (told.operation, told.detail["command"]) == ("create pods/exec", ["sh", "-c"])


def test_whom_an_actor_impersonates_is_for_whom_it_acts() -> None:
    told = parse(kubernetes(impersonatedUser={"username": "system:admin"}))
    assert (told.on_behalf_of, told.detail["impersonates"]) == ("system:admin", "system:admin")


def test_the_aws_principal_behind_a_user_of_eks_is_the_actor() -> None:
    arn = "arn:aws:iam::123456789012:role/deployer"
    user = {
        "username": "kubernetes-admin",
        "extra": {"canonicalArn": [arn], "accessKeyId": ["AKIA1"], "sessionName": ["ci"]},
    }
    told = parse(kubernetes(user=user))
    assert (told.actor_authority, told.actor_id, told.actor_kind) == ("aws:123456789012", arn, ActorKind.ROLE)
    assert (told.credential_id, told.session) == ("AKIA1", "ci")


def test_the_shippers_cluster_keeps_users_of_two_clusters_apart() -> None:
    event = kubernetes(user={"username": "ana"})
    assert parse(event).actor_authority == "kubernetes:?"
    wrapped = {"cluster": "blue", "message": f"2026-03-02T08:15:30Z {json.dumps(event)}"}
    assert kubernetes_audit.claims(wrapped)
    told = parse(wrapped)
    assert (told.actor_authority, told.account) == ("kubernetes:blue", "blue")


def test_an_event_cut_in_the_middle_is_quarantined_and_other_text_is_not_ours() -> None:
    with pytest.raises(DataError, match="no JSON"):
        parse({"message": '{"apiVersion":"audit.k8s.io/v1","kind":"Ev'})
    assert not kubernetes_audit.claims({"message": "I1122 starting"})
    assert not kubernetes_audit.claims({"kind": "Event", "apiVersion": "v1", "involvedObject": {}})
