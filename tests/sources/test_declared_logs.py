"""Shipped declared logs: what an API gateway's log tells, who acts, what is not kept."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.odd import ODD
from wardship.model.activity import Activity, ActorKind
from wardship.model.errors import DataError
from wardship.sdk.connector import DriftLog
from wardship.sdk.log_mapping import MappedLog, shipped_names
from wardship.sdk.registry import source, source_names
from wardship.sdk.told import told

NOON = "2026-03-01T12:00:00Z"
CEF = "CEF:0|{vendor}|{product}|1.0|100|{name}|5|suser=ann suid=7 src=203.0.113.9 rt=Mar 01 2026 12:00:00 {more}"
RECORDS: dict[str, dict[str, Any]] = {
    "http.access": {
        "message": '203.0.113.9 - ann [01/Mar/2026:12:00:00 +0000] "POST /orders?key=abc HTTP/1.1" 403 12 "-" "curl/8"'
    },
    "aws.apigateway": {
        "requestId": "r-1", "accountId": "111111111111", "requestTimeEpoch": 1772366400000, "httpMethod": "GET",
        "resourcePath": "/orders", "status": "200", "ip": "203.0.113.9", "caller": "AIDA1", "apiKeyId": "key7",
        "userAgent": "curl/8",
    },
    "kong.access": {
        "started_at": 1772366400000, "client_ip": "203.0.113.9", "consumer": {"id": "c-1", "username": "billing"},
        "authenticated_entity": {"id": "key7"}, "service": {"name": "orders"}, "response": {"status": 200},
        "request": {"method": "DELETE", "uri": "/orders/1?apikey=abc", "headers": {"user-agent": "curl/8"}},
    },
    "envoy.access": {
        "start_time": NOON, "method": "GET", "path": "/orders?x=1", "response_code": 503, "upstream_cluster": "orders",
        "downstream_remote_address": "203.0.113.9:50000", "user_agent": "curl/8", "authority": "orders.shop",
        "downstream_peer_uri_san": "spiffe://cluster.local/ns/shop/sa/web", "response_flags": "UF",
    },
    "azure.apim": {
        "time": NOON, "callerIpAddress": "203.0.113.9", "location": "West Europe", "correlationId": "c-1",
        "properties": {"method": "PUT", "url": "https://api.shop/orders?subscription-key=abc", "responseCode": 200,
                       "apiId": "orders", "apimSubscriptionId": "sub-7", "userId": "u-1"},
    },
    "zoom.webhook": {"zoom": {"event": "user.signed_in", "event_ts": 1772366400000,
                              "payload": {"account_id": "a", "object": {"id": "u", "email": "ann@example.org"}}}},
    "auth0.logs": {"data": {"log_id": "1", "type": "seccft", "date": NOON, "client_id": "app-1", "ip": "203.0.113.9"}},
    "keycloak.log": {
        "message": "2026-03-01 12:00:00,000 DEBUG [org.keycloak.events] (t-1) type=CLIENT_LOGIN, realmId=shop,"
        " clientId=robot, userId=null, ipAddress=203.0.113.9"
    },
    "linux.auth": {
        "message": "2026-03-01T12:00:00+00:00 web1 sshd[7]: Accepted publickey for deploy from 203.0.113.9 port 22"
        " ssh2: ED25519 SHA256:abcdef"
    },
    "cyberark.pta": {"message": CEF.format(vendor="CyberArk", product="PTA", name="Suspicious", more="act=x")},
    "thycotic.secret_server": {
        "message": CEF.format(vendor="T", product="Secret Server", name="SECRET - VIEW", more="fileId=9")
    },
    "mongodb.audit": {"atype": "authenticate", "ts": {"$date": NOON}, "remote": {"ip": "203.0.113.9"},
                      "param": {"user": "app", "db": "admin"}, "result": 18},
    "aws.s3access": {
        "message": "owner1 shop [01/Mar/2026:12:00:00 +0000] 203.0.113.9 arn:aws:iam::111111111111:user/app R1"
        ' REST.GET.OBJECT a/b "GET /shop/a/b HTTP/1.1" 200 - 1 1 1 1 "-" "S3Console" - h= SigV4 c AuthHeader s3 TLSv1.2'
    },
    "oracle.audit": {
        "SyslogMessage": "Oracle Audit[1]: LENGTH : '370' ACTION :[6] 'select secret' DATABASE USER:[3] 'APP'"
        " PRIVILEGE :[4] 'NONE' CLIENT USER:[6] 'oracle' CLIENT TERMINAL:[0] '' STATUS:[1] '0' DBID:[9] '352043601'",
        "EventTime": NOON,
    },
    "vault.audit": {
        "type": "response", "time": NOON, "auth": {"entity_id": "e", "accessor": "a", "policies": ["p"],
                                                   "policy_results": {"granting_policies": [{"name": "p"}]}},
        "request": {"id": "r", "operation": "read", "path": "secret/data/x", "remote_address": "203.0.113.9",
                    "namespace": {"id": "n", "path": "t/"}, "headers": {"user-agent": ["curl"]}},
        "response": {"data": {"error": "hmac"}},
    },
    "postgresql.log": {
        "timestamp": "2026-03-01 12:00:00 UTC", "user": "app", "dbname": "shop", "pid": 9, "remote_host": "203.0.113.9",
        "error_severity": "LOG", "state_code": "00000", "message": "connection authorized: user=app database=shop",
    },
    "mariadb.audit": {
        "timestamp": "2026-03-01 12:00:00", "class": "general", "event": "status", "connection_id": 5,
        "account": {"user": "app", "host": "h"}, "login": {"ip": "203.0.113.9"},
        "general_data": {"sql_command": "drop_user", "status": 0},
    },
    "ocsf": {
        "class_uid": 6003, "category_uid": 6, "activity_id": 2, "time": 1772366400000, "status_id": 1,
        "metadata": {"uid": "u", "product": {"name": "CloudTrail"}},
        "cloud": {"provider": "AWS", "region": "eu-west-1"},
        "actor": {"user": {"uid": "AROA1:s", "type": "AssumedRole", "account": {"uid": "111111111111"},
                           "credential_uid": "ASIA1"}, "session": {"uid": "x"}},
        "api": {"operation": "GetObject", "service": {"name": "s3.amazonaws.com"}},
        "src_endpoint": {"ip": "203.0.113.9"}, "resources": [{"uid": "arn:x"}], "http_request": {"user_agent": "cli"},
    },
}  # fmt: skip
NAMES = sorted(RECORDS)


def parse(name: str, record: dict[str, Any]) -> list[Activity]:
    return list(told(source(name), as_of=datetime(2026, 3, 2, tzinfo=UTC)).parse(record, DriftLog()))


def one(name: str) -> Activity:
    (found,) = parse(name, RECORDS[name])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_is_claimed_dated_and_placed(name: str) -> None:
    assert source(name).claims(RECORDS[name])
    found = one(name)
    assert found.time == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.src_ip in ("203.0.113.9", None)
    assert found.src_ip or name in ("oracle.audit", "zoom.webhook")
    assert (found.actor_id is None) == (found.actor_authority is None)


@pytest.mark.parametrize(
    ("name", "actor", "credential", "operation", "mutating", "outcome"),
    [
        ("http.access", "ann", None, "POST", True, "failure"),
        ("aws.apigateway", "AIDA1", "key7", "GET", False, "success"),
        ("kong.access", "c-1", "key7", "DELETE", True, "success"),
        ("envoy.access", "spiffe://cluster.local/ns/shop/sa/web", None, "GET", False, "failure"),
        ("azure.apim", "sub-7", "sub-7", "PUT", True, "success"),
    ],
)
def test_api_gateways_tell_the_consumer_and_its_key(
    *, name: str, actor: str, credential: str | None, operation: str, mutating: bool, outcome: str
) -> None:
    found = one(name)
    assert (found.actor_id, found.credential_id, found.operation) == (actor, credential, operation)
    assert (found.mutating, found.outcome.value) == (mutating, outcome)
    assert "abc" not in str(found)  # what follows the question mark may be a key


def test_clients_that_act_by_themselves_are_applications() -> None:
    assert (one("auth0.logs").actor_id, one("auth0.logs").actor_kind) == ("app-1", ActorKind.APPLICATION)
    assert (one("keycloak.log").actor_id, one("keycloak.log").actor_kind) == ("robot", ActorKind.APPLICATION)
    assert one("envoy.access").actor_kind is ActorKind.WORKLOAD


def test_what_a_person_does_at_a_dashboard_is_the_persons_and_named_by_the_endpoint() -> None:
    asked = {"auth": {"user": {"user_id": "auth0|7", "email": "ann@example.org"}}}
    said = {"log_id": "1", "type": "sapi", "date": NOON, "client_id": "dashboard", "description": "Create a role"}
    (person,) = parse("auth0.logs", {"data": {**said, "details": {"request": asked}}})
    (robot,) = parse("auth0.logs", {"data": said})
    (refused,) = parse("auth0.logs", {"data": {**said, "details": {"request": asked, "response": {"statusCode": 403}}}})
    assert (person.actor_id, person.actor_kind, person.resource_type) == ("auth0|7", ActorKind.USER, "Create a role")
    assert (robot.actor_id, robot.actor_kind) == ("dashboard", ActorKind.APPLICATION)
    assert [one.outcome.value for one in (person, robot, refused)] == ["success", "success", "failure"]


def test_keys_of_administrators_interfaces_are_told_from_others() -> None:
    made = {"action": "integration_create", "isotimestamp": NOON, "timestamp": 1772366400, "username": "ann"}
    (duo,) = parse("cisco_duo.admin", {**made, "description": json.dumps({"raw_type": "adminapi"})})
    token = {"operation_name": "AuthenticationTokenCreation", "tenant_id": "8", "created_at": NOON, "user_id": "7"}
    tines = [parse("tines.audit", {**token, "inputs": {"inputs": {"isServiceToken": one}}})[0] for one in (True, False)]
    assert duo.resource_type == "adminapi"
    assert [one.resource_type for one in tines] == ["tenant token", "personal token"]


def test_a_sign_in_that_passed_without_a_second_factor_says_so() -> None:
    said = {"txid": "1", "timestamp": 1772366400, "event_type": "authentication", "result": "success"}
    (found,) = parse("cisco_duo.auth", {**said, "user": {"name": "ann"}, "reason": "bypass_user"})
    assert (found.outcome.value, found.detail["mfa"]) == ("success", "off")


def test_the_login_history_of_snowflake_is_not_taken_for_anothers() -> None:
    login = {"EVENT_TYPE": "LOGIN", "EVENT_TIMESTAMP": NOON, "EVENT_ID": "1", "USER_NAME": "ANN", "IS_SUCCESS": "NO"}
    assert [name for name in source_names() if source(name).claims(login)] == ["snowflake.query_history"]
    (found,) = parse("snowflake.query_history", login)
    assert (found.operation, found.outcome.value) == ("LOGIN", "failure")


def test_a_security_lake_event_of_aws_has_the_connectors_ids() -> None:
    found = one("ocsf")
    assert (found.actor_authority, found.actor_id, found.session) == ("aws:111111111111", "AROA1", "s")
    assert (found.credential_id, found.actor_kind, found.mutating) == ("ASIA1", ActorKind.ROLE, False)


def test_no_source_of_ours_claims_anothers_record() -> None:
    """What `--source auto` goes by."""
    for name, record in RECORDS.items():
        claiming = [other for other in NAMES if source(other).claims(record)]
        assert claiming == [name]


def test_a_session_of_a_role_is_the_roles_use() -> None:
    arn = "arn:aws:iam::111111111111:user/app"
    assert (one("aws.s3access").actor_authority, one("aws.s3access").actor_id) == ("aws:111111111111", arn)
    line = RECORDS["aws.s3access"]["message"].replace(arn, "arn:aws:sts::111111111111:assumed-role/deploy/build-7")
    (found,) = parse("aws.s3access", {"message": line})
    assert (found.actor_id, found.session) == ("arn:aws:iam::111111111111:role/deploy", "build-7")
    assert (found.actor_kind, found.resource_id) == (ActorKind.ROLE, "shop/a/b")


def test_a_ssh_key_is_told_by_its_fingerprint() -> None:
    found = one("linux.auth")
    assert (found.actor_authority, found.actor_id) == ("linux:web1", "deploy")
    assert (found.credential_id, found.credential_type) == ("SHA256:abcdef", "ssh_key")


def test_the_text_of_a_statement_is_not_kept() -> None:
    found = one("oracle.audit")
    assert found.operation == "select"
    assert "secret" not in str(found)


@pytest.mark.parametrize("name", shipped_names())
@settings(max_examples=5, deadline=None)
@given(record=st.dictionaries(st.text(max_size=9), ODD, max_size=5))
def test_records_of_something_else_are_refused_or_skipped(name: str, record: dict[str, Any]) -> None:
    log = cast("MappedLog", source(name))
    if not log.claims(record):
        with suppress(DataError):
            assert list(log.parse(record, DriftLog())) == []  # at most an empty page
