"""A record or more of every source, modules and declared logs, for what must hold of all of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, cast

from tests.sources import test_aws_cloudtrail as cloudtrail
from tests.sources import test_azure_activity as azure
from tests.sources import test_declared_logs as declared
from tests.sources import test_entra_audit as audit
from tests.sources import test_entra_signin as signin
from tests.sources import test_m365_audit as m365
from tests.sources import test_windows_security as windows
from tests.sources.examples import ALL
from wardship.sdk.log_mapping import MappedLog, shipped_log, shipped_names
from wardship.sdk.log_mapping.expressions import Condition
from wardship.sdk.log_mapping.paths import FieldPath

NOON = "2026-03-01T12:00:00Z"
CEF = "CEF:0|T|{product}|1.0|100|Signed in|5|duid=ann src=203.0.113.9 rt=Mar 01 2026 12:00:00 outcome=success"
TEXTS = {  # declared logs of lines; those of objects are made from what their mapping reads
    **{name: record for name, record in declared.RECORDS.items() if name in shipped_names()},
    "pingfederate.cef": {"message": CEF.format(product="PingFederate")},
}
MICROSOFT: dict[str, list[dict[str, Any]]] = {
    "entra.signin": [
        signin.service_principal(servicePrincipalCredentialKeyId=signin.KEY),
        signin.exported("NonInteractiveUserSignInLogs", userId=signin.USER, appId=signin.APP),
        signin.exported("UserRiskEvents", userId=signin.USER, riskEventType="x", keyIds=["a"]),
    ],
    "entra.audit": [
        audit.event(
            "Add service principal credentials", {"KeyDescription": ("[]", json.dumps([audit.key(audit.APP)]))}
        ),
        audit.event("Update application", {"FederatedIdentityCredentials": (None, '[{"Subject": "s"}]')}),
    ],
    "azure.activity": [azure.api(properties={"requestbody": "{}"}), {"message": json.dumps(azure.api()) * 2}],
    "graph.activity": [
        {
            "category": "MicrosoftGraphActivityLogs",
            "time": signin.AT,
            "properties": {"requestMethod": "GET", "requestUri": "https://g/v1.0/me", "appId": signin.APP},
        }
    ],
    "m365.audit": [
        m365.event("New-InboxRule", Parameters=m365.parameters(ForwardTo="a@b.c"), Actor=[{"ID": "x", "Type": 5}]),
        {"RecordType": 1, "CreationDate": "3/1/2026 9:05:00 PM", "AuditData": json.dumps(m365.event("Set-Mailbox"))},
        m365.event("Update user.", "AzureActiveDirectory", ModifiedProperties=[{"Name": "a", "NewValue": "[]"}]),
    ],
    "windows.security": [
        *windows.FORMS.values(),
        windows.samba("Authentication", eventId=4624, remoteAddress="ipv4:1.2.3.4:1", becameSid=windows.SID),
        windows.samba("dsdbChange", attributes={"servicePrincipalName": {"actions": [{"values": [{"value": "x"}]}]}}),
    ],
}
CSVLOG = [
    NOON.replace("T", " ").replace("Z", " UTC"),
    "app",
    "shop",
    "9",
    "203.0.113.9:5",
    "s",
    "1",
    "SELECT",
    "t",
    "v",
]
MORE: tuple[tuple[str, dict[str, Any]], ...] = (  # forms beside the usual one
    ("mariadb.audit", {"message": "20260301 10:00:00,db1,app,203.0.113.9,5,7,QUERY,shop,'select 1',0"}),
    ("mariadb.audit", {"message": "20260301 10:00:00,db1,app,203.0.113.9,5,7,WRITE,shop,orders,"}),
    ("postgresql.log", {"row": [*CSVLOG, "0", "ERROR", "42P01", "relation missing"]}),
    (
        "google.workspace",
        {
            "alertId": "a1",
            "createTime": NOON,
            "type": "Leaked password",
            "source": "Google identity",
            "data": {
                "@type": "type.googleapis.com/google.apps.alertcenter.type.AccountWarning",
                "email": "a@b.example",
            },
        },
    ),
    (
        "github.audit",
        {
            "secret_type": "x",
            "state": "resolved",
            "resolved_at": NOON,
            "number": 4,
            "resolved_by": {"login": "ann"},
            "html_url": "https://github.com/acme/shop/security/secret-scanning/4",
        },
    ),
    (
        "ocsf",
        {
            "class_uid": 6003,
            "category_uid": 6,
            "activity_id": 2,
            "time": 1772366400000,
            "status_id": 1,
            "metadata": {"uid": "u", "product": {"name": "Wardship"}},
            "api": {"operation": "Get"},
            "actor": {"user": {"uid": "x", "domain": "aws:1"}},
            "unmapped": {"detail": {"scopes": ["a"], "b": {"c": "d"}}},
        },
    ),
    (
        "aws.cloudtrail",
        {
            "eventType": "AwsCloudTrailInsight",
            "eventTime": NOON,
            "eventID": "i",
            "recipientAccountId": "1",
            "insightDetails": {
                "insightType": "ApiCallRateInsight",
                "eventSource": "iam.amazonaws.com",
                "state": "Start",
            },
        },
    ),
    (
        "aws.cloudtrail",
        cloudtrail.event(
            eventSource="s3.amazonaws.com",
            eventName="PutBucketPolicy",
            requestParameters={
                "bucketName": "b",
                "bucketPolicy": {"Statement": [{"Effect": "Allow", "Principal": "*"}]},
            },
        ),
    ),
    (
        "entra.signin",
        {
            "id": "1",
            "createdDateTime": NOON,
            "appId": signin.APP,
            "signInEventTypes": ["servicePrincipal"],
            "status": {"errorCode": 0, "failureReason": "Other."},
            "servicePrincipalId": signin.APP,
        },
    ),
    ("kubernetes.audit", {"message": json.dumps(ALL["kubernetes.audit"])}),
    ("kubernetes.audit", {**ALL["kubernetes.audit"], "objectRef": {}, "requestURI": "/healthz/etcd"}),
)


def samples() -> Iterator[tuple[str, dict[str, Any]]]:
    """(source, record) of each."""
    yield from ((name, record) for name, records in MICROSOFT.items() for record in records)
    yield from ALL.items()
    yield from (
        ("aws.cloudtrail", record) for record in (cloudtrail.EVENT, cloudtrail.event(userIdentity=cloudtrail.ROLE))
    )
    yield ("aws.cloudtrail", {"CloudTrailEvent": json.dumps(cloudtrail.EVENT)})
    yield from ((name, record) for name, record in declared.RECORDS.items() if name not in shipped_names())
    yield from MORE
    yield from ((name, TEXTS.get(name) or made(cast("MappedLog", shipped_log(name)), "x")) for name in shipped_names())


def made(log: MappedLog, value: str) -> dict[str, Any]:
    """A record that the mapping recognises, with `value` in every field that it reads."""
    record: dict[str, Any] = {}
    for fields in (log.common, *log.events):
        for expression in (*fields.columns.values(), *fields.detail.values()):
            for path in expression.every_path():
                put(record, path, value)
    for path in log.authority.every_path():
        put(record, path, "acme")
    for condition in log.match:
        if condition.empty:
            record.pop(condition.paths[0].text, None)
            continue
        put(record, condition.paths[0], _met(condition) or value)
    for path in log.common.columns["time"].every_path():
        put(record, path, NOON)
    return record


def _met(condition: Condition) -> str | None:
    """A word for which the condition holds; None: any does."""
    if condition.words is None:
        return None
    exact = [*condition.words.exact, *(pattern.strip("*") for pattern, _meaning in condition.words.alike)]
    return exact[0]


def put(record: dict[str, Any], path: FieldPath, value: str) -> None:
    """Puts `value` where the path leads, unless something stands in its way."""
    inner: Any = record
    keys = [step.key for step in path.steps]
    if None in keys:
        return  # an element of a list
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            return
    if not isinstance(inner.get(keys[-1]), dict):
        inner[keys[-1]] = value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value that holds no other."""
    if isinstance(value, dict | list) and value:
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(entry, (*path, key))
    else:
        yield path


def changed(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the record with `value` at the path."""
    if not path:
        return record
    found = copy.deepcopy(record)
    inner: Any = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found
