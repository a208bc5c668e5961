"""What single statements amount to, and the lists of actions behind it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.connectors.aws.policy import (
    facts,
    glob,
    only_reads,
    read_document,
    risk_flags,
    shorten,
    trusted_principals,
)
from wardship.model.access import Tier
from wardship.model.errors import DataError


def statement(action: Any = "s3:GetObject", resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def tier(**of: Any) -> Tier:
    (found,) = read_document({"Statement": statement(**of)})
    return found.tier


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ({"action": "*"}, Tier.CONTROL_PLANE),
        ({"action": "iam:*", "resource": "arn:aws:iam::1:role/app"}, Tier.CONTROL_PLANE),
        ({"action": "iam:CreateAccessKey"}, Tier.CONTROL_PLANE),
        ({"action": "IAM:createaccesskey"}, Tier.CONTROL_PLANE),
        ({"action": "iam:Create*"}, Tier.CONTROL_PLANE),
        ({"action": "iam:CreateAccessKey", "resource": "arn:aws:iam::*:user/${aws:username}"}, Tier.WRITE),
        ({"action": "iam:PassRole"}, Tier.CONTROL_PLANE),
        ({"action": "iam:PassRole", "resource": "arn:aws:iam::1:role/app"}, Tier.WRITE),
        ({"action": "sts:AssumeRole", "resource": "arn:aws:iam::1:role/app"}, Tier.WRITE),
        ({"action": "sts:AssumeRole", "resource": "arn:aws:iam::*:role/*"}, Tier.CONTROL_PLANE),
        ({"action": "s3:PutObject"}, Tier.WRITE),
        ({"action": ["s3:GetObject", "s3:PutObject"]}, Tier.WRITE),
        ({"action": "s3:*"}, Tier.WRITE),
        ({"action": "s3:G*"}, Tier.WRITE),
        ({"action": "s3:Get*"}, Tier.SENSITIVE_READ),
        ({"action": "s3:GetObject", "resource": "arn:aws:s3:::one/*"}, Tier.SENSITIVE_READ),
        ({"action": "secretsmanager:GetSecretValue"}, Tier.SENSITIVE_READ),
        ({"action": "kms:Decrypt"}, Tier.SENSITIVE_READ),
        ({"action": "sqs:ReceiveMessage"}, Tier.SENSITIVE_READ),
        ({"action": "ec2:Describe*"}, Tier.READ),
        ({"action": "s3:ListBucket"}, Tier.READ),
        ({"action": "*", "effect": "Deny"}, Tier.UNKNOWN),
    ],
)
def test_a_statement_is_as_strong_as_the_strongest_thing_it_allows(of: dict[str, Any], expected: Tier) -> None:
    assert tier(**of) is expected


def test_not_action_allows_everything_else() -> None:
    (most,) = read_document({"Statement": {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}})
    assert most.tier is Tier.CONTROL_PLANE
    assert most.permission == "NotAction s3:*"
    (without_iam,) = read_document(
        {"Statement": {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "arn:aws:s3:::a"}}
    )
    assert without_iam.tier is Tier.CONTROL_PLANE, "sso, sts and roles anywhere are still in it"


def test_a_resource_that_is_everything_is_none() -> None:
    assert read_document({"Statement": statement(resource=["arn:aws:s3:::a", "*"])})[0].resource is None
    inverted = {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::a"}
    (found,) = read_document({"Statement": inverted})
    assert found.resource == "NotResource arn:aws:s3:::a"
    assert found.any_resource


def test_a_condition_is_kept_as_canonical_text() -> None:
    first = read_document({"Statement": statement(Condition={"B": {"y": "1"}, "A": {"x": ["2"]}})})
    second = read_document({"Statement": statement(Condition={"A": {"x": ["2"]}, "B": {"y": "1"}})})
    assert first[0].condition == second[0].condition == '{"A":{"x":["2"]},"B":{"y":"1"}}'


def test_documents_come_as_objects_json_and_percent_encoding() -> None:
    document = {"Statement": statement()}
    text = json.dumps(document)
    assert read_document(document) == read_document(text) == read_document(quote(text))


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, [], "", "not json", "{", "[" * 100_000, {"Statement": "x"}, {"Statement": [None]},
        {"Statement": {"Effect": "Maybe", "Action": "*"}}, {"Statement": {"Effect": "Allow"}},
        {"Statement": {"Effect": "Allow", "Action": [1]}}, {"Statement": {"Effect": "Allow", "Action": {"a": 1}}},
        {"Statement": [statement()] * 5000}, {"Statement": statement(Condition="x")},
    ],
)  # fmt: skip
def test_what_is_no_policy_is_a_data_error(bad: Any) -> None:
    with pytest.raises(DataError):
        read_document(bad)


def test_long_expressions_are_cut_and_still_tell_each_other_apart() -> None:
    many = tuple(f"service{n}:Action{n}" for n in range(500))
    assert len(shorten(many)) <= 512
    assert "500 in all" in shorten(many)
    assert shorten(many) != shorten((*many[:-1], "service499:Other"))


@settings(max_examples=200)
@given(pattern=st.text("ab*?", max_size=12), text=st.text("ab", max_size=12))
def test_glob_agrees_with_the_textbook(pattern: str, text: str) -> None:
    def textbook(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return textbook(p[1:], t) or (bool(t) and textbook(p, t[1:]))
        return bool(t) and p[0] in ("?", t[0]) and textbook(p[1:], t[1:])

    assert glob(pattern, text) is textbook(pattern, text)


def test_a_hostile_pattern_costs_nothing() -> None:
    assert not glob("a*" * 500 + "b", "a" * 60)


@settings(max_examples=50)
@given(st.lists(st.sampled_from(sorted(facts()["escalation"] | facts()["data"])), min_size=1, max_size=5))
def test_more_actions_never_make_a_statement_weaker(actions: list[str]) -> None:
    order = list(Tier)
    assert order.index(tier(action=actions)) <= min(order.index(tier(action=one)) for one in actions)


def test_a_plain_deny_takes_away_and_a_conditional_one_does_not() -> None:
    allow = statement("iam:*")
    assert not risk_flags({"Statement": [allow, statement("iam:*", effect="Deny")]})["privesc"]
    conditional = statement("iam:*", effect="Deny", Condition={"Bool": {"aws:MultiFactorAuthPresent": "false"}})
    assert risk_flags({"Statement": [allow, conditional]})["privesc"]


def test_principals_of_a_trust_policy() -> None:
    document = {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": ["1", "2"], "Service": "ec2.amazonaws.com"},
            },
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"},
        ]
    }
    assert [(one.kind, one.name) for one in trusted_principals(document)] == [
        ("AWS", "1"),
        ("AWS", "2"),
        ("Service", "ec2.amazonaws.com"),
        ("AWS", "*"),
    ]


def test_verbs_that_only_look() -> None:
    assert only_reads("ec2:DescribeInstances")
    assert not only_reads("ec2:D*")
    assert not only_reads("ec2:TerminateInstances")


def test_every_listed_action_is_written_as_aws_writes_it() -> None:
    for actions in facts().values():
        for action in actions:
            service, _, name = action.partition(":")
            assert service, action
            assert name.isalnum(), action
