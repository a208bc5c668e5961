"""CloudTrail events as activities, in DuckDB's SQL: what `aws_cloudtrail.parse` does, for millions of records.

Made of the same tables as `parse` (`_aws_calls`), and held equal to it row by row by a test. It decides the common
shapes alone: calls of users, roles, services and other accounts with plain parameters. Whatever is rarer, longer or odd
is not readable here and goes to `parse`.
"""

from __future__ import annotations

from collections.abc import Iterable

from wardship.model.activity import FIELDS, MAX_DETAIL_CHARS, ActivityClass
from wardship.model.identity import MAX_ID_CHARS
from wardship.sources._aws_calls import (
    BY_HAND,
    CLASSES,
    CONSOLE_AGENTS,
    DATA_STORES,
    DETAILS,
    PARAMETERS,
    RESOURCES,
    S3,
)

_LONGEST = 3_000  # bytes of all texts of a record; `parse` cuts longer ones
_SEPARATOR = "chr(31)"  # between the texts that are looked at together; one that holds it itself may look odd
_TOP = (
    "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "errorCode", "errorMessage",
    "eventID", "readOnly", "eventType", "managementEvent", "recipientAccountId", "vpcEndpointId",
    "sessionCredentialFromConsole",
)  # fmt: skip
_HOLDERS = ("CloudTrailEvent", "eventJson", "eventData", "detail", "insightDetails")  # what holds another event
_IDENTITY = ("type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy", "credentialId")


def _struct(names: Iterable[str], *more: str) -> str:
    return f"STRUCT({', '.join([*(f'{name} VARCHAR' for name in names), *more])})"


RAW = {
    **dict.fromkeys((*_TOP, *_HOLDERS), "VARCHAR"),
    "userIdentity": _struct(
        _IDENTITY,
        "onBehalfOf " + _struct(("userId",)),
        "sessionContext "
        + _struct(
            ("sourceIdentity",),
            "sessionIssuer " + _struct(("userName",)),
            "attributes " + _struct(("mfaAuthenticated",)),
            "webIdFederationData " + _struct(("federatedProvider", "attributes")),
        ),
    ),
    "requestParameters": _struct(PARAMETERS),
    "resources": "STRUCT(ARN VARCHAR, type VARCHAR)[]",
}
"""Columns of `raw`. A value that is no text, number or flag stands in its JSON form, which `_ODD` finds."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _among(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(_quoted(value) for value in sorted(values))})"


def _starts(column: str, beginnings: Iterable[str]) -> str:
    return "(" + " OR ".join(f"starts_with({column}, {_quoted(one)})" for one in beginnings) + ")"


# ------------------------------------------------------------------ one text a column, NULL for ""

_SAID = {name: f"nullif({name}, '')" for name in _TOP} | {
    **{f"ui_{name}": f"nullif(userIdentity.{name}, '')" for name in _IDENTITY},
    "ui_person": "nullif(userIdentity.onBehalfOf.userId, '')",
    "ui_source": "nullif(userIdentity.sessionContext.sourceIdentity, '')",
    "ui_issuer": "nullif(userIdentity.sessionContext.sessionIssuer.userName, '')",
    "ui_mfa": "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "ui_provider": "nullif(userIdentity.sessionContext.webIdFederationData.federatedProvider, '')",
    **{f"rp_{name}": f"nullif(requestParameters.{name}, '')" for name in PARAMETERS},
    "arn_1": "nullif(resources[1].ARN, '')",
    "arn_2": "nullif(resources[2].ARN, '')",
    "arn_3": "nullif(resources[3].ARN, '')",
    "arn_type": "nullif(CASE WHEN nullif(resources[1].ARN, '') IS NOT NULL THEN resources[1].type"
    " WHEN nullif(resources[2].ARN, '') IS NOT NULL THEN resources[2].type ELSE resources[3].type END, '')",
}

# ------------------------------------------------------------------ who

_PRINCIPAL_KINDS = "CASE ui_principalId[:4] WHEN 'AROA' THEN 'role' WHEN 'AIDA' THEN 'user' END"
_ACCOUNT = "coalesce(ui_accountId, recipientAccountId)"
_HEAD = "nullif(split_part(ui_principalId, ':', 1), '')"
_TAIL = (
    "CASE WHEN contains(ui_principalId, ':')"
    " THEN nullif(substr(ui_principalId, instr(ui_principalId, ':') + 1), '') END"
)

_ACTOR = {
    "actor_authority": f"'aws:' || {_ACCOUNT}",
    "actor_id": f"CASE WHEN ui_type = 'AWSService' THEN 'service:' || ui_invokedBy ELSE {_HEAD} END",
    "actor_name": "CASE ui_type WHEN 'IAMUser' THEN ui_userName WHEN 'AssumedRole' THEN ui_issuer"
    f" WHEN 'AWSService' THEN ui_invokedBy ELSE coalesce(ui_userName, {_HEAD}) END",
    "actor_kind": "CASE ui_type WHEN 'IAMUser' THEN 'user' WHEN 'AssumedRole' THEN 'role'"
    f" WHEN 'AWSService' THEN 'provider_service' ELSE {_PRINCIPAL_KINDS} END",
    "session": f"CASE WHEN ui_type IN ('AssumedRole', 'AWSAccount') THEN {_TAIL} END",
}
_ACTOR_READABLE = f"""
    CASE ui_type
        WHEN 'IAMUser' THEN ui_userName IS NOT NULL AND {_HEAD} IS NOT NULL
        WHEN 'AssumedRole' THEN ui_issuer IS NOT NULL AND {_HEAD} IS NOT NULL AND {_TAIL} IS NOT NULL
        WHEN 'AWSService' THEN ui_invokedBy IS NOT NULL
        WHEN 'AWSAccount' THEN {_PRINCIPAL_KINDS} IS NOT NULL AND ui_accountId <> 'ANONYMOUS_PRINCIPAL'
        ELSE FALSE
    END
"""

# ------------------------------------------------------------------ what


def _class() -> str:
    cases = [f"WHEN eventSource = 'signin.amazonaws.com' THEN {ActivityClass.AUTHENTICATION:d}"]
    cases += [
        f"WHEN eventSource = {_quoted(service)} AND {_among('eventName', operations)} THEN {found:d}"
        for service, operations, found in CLASSES
    ]
    cases.append(
        f"WHEN managementEvent = 'false' AND {_among('eventSource', DATA_STORES)}"
        f" THEN {ActivityClass.DATASTORE_ACTIVITY:d}"
    )
    return f"CASE {' '.join(cases)} ELSE {ActivityClass.API_ACTIVITY:d} END"


def _resource() -> dict[str, str]:
    partition = (
        "CASE WHEN starts_with(awsRegion, 'cn-') THEN 'arn:aws-cn:s3:::'"
        " WHEN starts_with(awsRegion, 'us-gov-') THEN 'arn:aws-us-gov:s3:::' ELSE 'arn:aws:s3:::' END"
    )
    bucket = f"WHEN eventSource = '{S3}' AND rp_bucketName IS NOT NULL THEN"
    kinds, names = [], []
    for service, rules in RESOURCES.items():
        present = [f"WHEN rp_{name} IS NOT NULL THEN {_quoted(kind)}" for name, kind in rules]
        kinds.append(f"WHEN {_quoted(service)} THEN CASE {' '.join(present)} END")
        names.append(f"WHEN {_quoted(service)} THEN coalesce({', '.join(f'rp_{name}' for name, _ in rules)})")
    of_bucket = "CASE WHEN rp_key IS NULL THEN 'AWS::S3::Bucket' ELSE 'AWS::S3::Object' END"
    named = f"CASE eventSource {' '.join(names)} END"
    return {
        "resource_type": f"CASE WHEN arn IS NOT NULL THEN arn_type {bucket} {of_bucket}"
        f" ELSE CASE eventSource {' '.join(kinds)} END END",
        "resource_id": f"CASE WHEN arn IS NOT NULL THEN arn {bucket}"
        f" {partition} || rp_bucketName || CASE WHEN rp_key IS NULL THEN '' ELSE '/' || rp_key END ELSE {named} END",
        "resource_name": f"CASE WHEN arn IS NOT NULL THEN NULL {bucket} coalesce(rp_key, rp_bucketName)"
        f" ELSE {named} END",
    }


def _detail() -> str:
    """A JSON object of what is not NULL."""
    parts = {
        "event_type": "CASE WHEN eventType <> 'AwsApiCall' THEN eventType END",
        "invoked_by": "ui_invokedBy",
        "federated_provider": "ui_provider",
        "vpc_endpoint": "vpcEndpointId",
        "caller_account": "CASE WHEN ui_accountId <> recipientAccountId THEN ui_accountId END",
        **{name: f"rp_{parameter}" for name, parameter in DETAILS},
    }
    texts = [
        f"""CASE WHEN {said} IS NOT NULL THEN '"{name}":' || to_json({said}) END""" for name, said in parts.items()
    ]
    mfa = """CASE WHEN ui_mfa = 'true' THEN '"mfa":true' END"""
    return f"'{{' || concat_ws(',', {', '.join([mfa, *texts])}) || '}}'"


_COLUMNS = {
    "uid": "eventID",
    "time": "moment",
    "service": "coalesce(eventSource, '')",
    "operation": "eventName",
    "class_uid": f"CAST({_class()} AS INTEGER)",
    **_ACTOR,
    "on_behalf_of": "coalesce(ui_source, ui_person)",
    "credential_id": "coalesce(ui_accessKeyId, ui_credentialId)",
    "credential_type": "CASE WHEN starts_with(ui_accessKeyId, 'AKIA') THEN 'access_key'"
    " WHEN starts_with(ui_accessKeyId, 'ASIA') OR (ui_accessKeyId IS NULL AND ui_credentialId IS NOT NULL)"
    " THEN 'token' END",
    "mutating": "CASE readOnly WHEN 'true' THEN FALSE WHEN 'false' THEN TRUE END",
    "interactive": "CASE WHEN sessionCredentialFromConsole = 'true'"
    " OR eventType IN ('AwsConsoleSignIn', 'AwsConsoleAction')"
    f" OR {_starts('userAgent', CONSOLE_AGENTS)} THEN TRUE END",
    **_resource(),
    "account": "coalesce(recipientAccountId, ui_accountId)",
    "region": "awsRegion",
    "src_ip": "sourceIPAddress",
    "user_agent": "userAgent",
    "outcome": "CASE WHEN errorCode IS NULL AND errorMessage IS NULL THEN 'success' ELSE 'failure' END",
    "outcome_code": "errorCode",
    "detail": "detail",
}
_TEXTS = ", ".join(name for name in _SAID if name not in ("eventTime", "ui_mfa"))
_ODD = f"""
    contains(texts, {_SEPARATOR} || '{{') OR contains(texts, {_SEPARATOR} || '[') OR contains(texts, chr(0))
    OR strlen(texts) > {_LONGEST} OR contains(texts, '?') OR regexp_matches(texts, '://[^\\s\\x1f]*[@#]')
"""
"""A text is really a list or an object, holds a NUL or an address with more than its place (`without_queries`), or all
are too long together: in one pass over all."""
_READABLE = f"""
    moment >= TIMESTAMP '2000-01-01' AND eventID IS NOT NULL AND eventName IS NOT NULL AND {_ACCOUNT} IS NOT NULL
    AND NOT {_among("eventName", BY_HAND)}
    AND NOT held AND (arn IS NOT NULL OR NOT listed) AND {_ACTOR_READABLE}
    AND strlen(ui_principalId) <= {MAX_ID_CHARS} IS NOT FALSE
    AND strlen(detail) <= {MAX_DETAIL_CHARS} AND NOT ({_ODD})
"""

PROJECTION = f"""
WITH said AS (
    SELECT position, {", ".join(f"{said} AS {name}" for name, said in _SAID.items())},
        CASE WHEN length(eventTime) = 20 THEN try_strptime(eventTime, '%Y-%m-%dT%H:%M:%SZ') END AS moment,
        coalesce({", ".join(_HOLDERS)}) IS NOT NULL
            OR coalesce(userIdentity.sessionContext.webIdFederationData.attributes, '{{}}') <> '{{}}' AS held,
        coalesce(len(resources), 0) > 0 AS listed
    FROM raw
), one AS (
    SELECT *, coalesce(arn_1, arn_2, arn_3) AS arn, {_detail()} AS detail,
        {_SEPARATOR} || concat_ws({_SEPARATOR}, {_TEXTS}) AS texts
    FROM said
)
SELECT position, {", ".join(f"{_COLUMNS[name]} AS {name}" for name in FIELDS)},
    coalesce({_READABLE}, FALSE) AS readable
FROM one
"""  # noqa: S608 - of our own words
"""SELECT over `raw`: position, the columns of FIELDS, and `readable`."""
