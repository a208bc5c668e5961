"""No secret in a log, whatever its type and spelling; ids stay readable; hostile text costs linear time."""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import string
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from wardship.model.secret import Secret
from wardship.sdk import log
from wardship.sdk.redact import MASK, MAX_CHARS, is_secret_name, redact, redact_text, shape, without_queries

_chance = random.Random(7)


def _text(size: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_chance.choice(alphabet) for _ in range(size))


HEX = "0123456789abcdef"
B64 = string.ascii_letters + string.digits + "+/"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"RS256","typ":"JWT"}', b'{"sub":"canary","exp":1790000000}', _text(64).encode())
)
CANARIES: dict[str, str] = {
    "github classic": "ghp_" + _text(36),
    "github fine-grained": "github_pat_" + _text(22) + "_" + _text(59),
    "github app": "ghs_" + _text(36),
    "gitlab": "glpat-" + _text(20),
    "slack bot": "xoxb-" + _text(12, string.digits) + "-" + _text(24),
    "slack app": "xapp-1-" + _text(40),
    "slack webhook": "https://hooks.slack.com/services/T" + _text(8) + "/B" + _text(8) + "/" + _text(24),
    "stripe live": "sk_live_" + _text(24),
    "stripe restricted": "rk_live_" + _text(24),
    "stripe webhook": "whsec_" + _text(32),
    "sendgrid": "SG." + _text(22) + "." + _text(43),
    "twilio key": "SK" + _text(32, HEX),
    "google api key": "AIza" + _text(35),
    "google oauth token": "ya29." + _text(60),
    "google client secret": "GOCSPX-" + _text(28),
    "aws secret key": _text(40, B64[:-2]) ,
    "aws session token": _text(200, B64),
    "entra client secret": _text(3) + "8Q~" + _text(34),
    "azure storage key": _text(86, B64) + "==",
    "vault service token": "hvs." + _text(90),
    "vault batch token": "hvb." + _text(140),
    "doppler": "dp.st.prd." + _text(40),
    "npm": "npm_" + _text(36),
    "pypi": "pypi-" + _text(80),
    "docker": "dckr_pat_" + _text(27),
    "openai": "sk-proj-" + _text(48),
    "anthropic": "sk-ant-api03-" + _text(80),
    "datadog app key in context": "DD_APPLICATION_SECRET=" + _text(40, HEX),
    "cloudflare": _text(40),
    "atlassian": "ATATT3" + _text(60),
    "databricks": "dapi" + _text(32, HEX),
    "digitalocean": "dop_v1_" + _text(64, HEX),
    "shopify": "shpat_" + _text(32, HEX),
    "1password": "ops_" + _text(80),
    "huggingface": "hf_" + _text(34),
    "linear": "lin_api_" + _text(40),
    "jwt": JWT,
    "bearer": "Bearer " + _text(30),
    "basic": "Basic " + base64.b64encode(b"user:" + _text(20).encode()).decode(),
    "private key": "-----BEGIN PRIVATE KEY-----\n" + _text(64, B64) + "\n-----END PRIVATE KEY-----",
    "ssh key": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + _text(70, B64) + "\n-----END OPENSSH PRIVATE KEY-----",
    "url userinfo": "postgresql://app:" + _text(16) + "@db.example.com/x",
    "password in text": "password=" + _text(14),
    "wardship": "wsh_" + _text(40),
}  # fmt: skip


def _core(canary: str) -> str:
    """The part of a canary that must not be found: its longest random run."""
    for cut in ("\n", "://app:", "=", " ", "_", "-", ".", "/"):
        if cut in canary:
            canary = max(canary.replace("@db.example.com/x", "").split(cut), key=len)
    return canary


def _forms(canary: str) -> Iterator[tuple[str, str]]:
    raw = canary.encode()
    yield "raw", canary
    yield "base64", base64.b64encode(raw).decode()
    yield "base64url", base64.urlsafe_b64encode(raw).decode()
    yield "hex", raw.hex()
    yield "url", quote(canary, safe="")
    yield "utf-16", canary.encode("utf-16-le").decode("latin-1")
    yield "utf-16 hex", canary.encode("utf-16-le").hex()


def _fail(with_text: str) -> None:
    raise ValueError(f"could not use {with_text}")


@pytest.fixture
def logged() -> Iterator[tuple[io.StringIO, logging.Logger]]:
    """A logger with the program's formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.formatter())
    target = logging.getLogger("wardship.canary")
    target.addHandler(handler)
    target.setLevel(logging.DEBUG)
    yield stream, target
    target.removeHandler(handler)


def test_there_are_at_least_forty_types() -> None:
    assert len(CANARIES) >= 40


@pytest.mark.parametrize("kind", CANARIES)
def test_no_canary_reaches_the_log(kind: str, logged: tuple[io.StringIO, logging.Logger]) -> None:
    stream, foreign = logged
    ours = log.logger("wardship.canary")
    for form, spelt in _forms(CANARIES[kind]):
        stream.seek(0)
        stream.truncate()
        ours.info("event", detail=spelt, inner={"list": [f"see {spelt} here"]}, client_secret=spelt)
        ours.info(f"event with {spelt} in its name")
        foreign.warning("GET https://x.example/?q=%s failed", spelt)
        try:
            _fail(spelt)
        except ValueError:
            ours.exception("failed")
        text = stream.getvalue()
        assert text.count("\n") == 4
        for line in text.splitlines():
            said = json.dumps(json.loads(line), ensure_ascii=False)
            for _, other in _forms(_core(CANARIES[kind])):
                assert other not in said, (form, said[:600])


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:role/service-role/AWSServiceRoleForSupport",
        "0b9a1d4e-4e4f-4a5b-8f53-5f2c4a5d6e7f",
        "d41d8cd98f00b204e9800998ecf8427e",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "AKIAIOSFODNN7EXAMPLE",
        "GET /v1.0/servicePrincipals/microsoft.graph.agentIdentity",
        "https://graph.microsoft.com/v1.0/applications?$select=id,appId",
        "the page token is no longer valid",
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
        "Application.ReadWrite.OwnedBy",
        "id_7xk2mfq3zv5c6b4n8p9r",
        "2026-11-22T08:00:00.123456+00:00",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name", ["password", "clientSecret", "X-Api-Key", "secretText", "secret_id", "AWS_SECRET_ACCESS_KEY",
             "access_token", "Authorization", "connectionString", "refreshToken", "privateKeyPem", "set-cookie"]
)  # fmt: skip
def test_a_value_under_a_secret_name_is_masked(name: str) -> None:
    assert is_secret_name(name)
    assert redact({name: "x"}) == {name: MASK}
    assert redact({name: ["x", {"y": 1}]}) == {name: MASK}


@pytest.mark.parametrize(
    "name", ["id", "token_type", "secretCount", "passwordLastUsedAt", "keyId", "credential_id", "expires_at", "",
             "monkey", "tokenization", "password_policy"]
)  # fmt: skip
def test_a_value_about_a_secret_stays(name: str) -> None:
    assert redact({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("quote", ['"', '\\"', '\\\\\\"'])
def test_a_name_is_seen_in_json_that_stands_in_json(quote: str) -> None:
    text = f"{{{quote}password{quote}: {quote}hunterSeven{quote}}}"
    assert "hunterSeven" not in redact(text)
    assert redact(redact(text)) == redact(text)


def test_structures_come_out_plain_and_capped() -> None:
    deep: Any = "end"
    for _ in range(100):
        deep = [deep]
    assert "<deeper>" in json.dumps(redact(deep))
    assert redact(list(range(2000)))[-1] == "1500 more"
    assert redact({f"k{n}": n for n in range(2000)})["..."] == "1500 more"
    assert len(redact_text("word " * 100_000)) < MAX_CHARS + 100
    assert redact({"a": Secret("x"), "b": b"\x00", "c": None, "d": True, "e": 1.5}) == {
        "a": MASK, "b": "<1 bytes>", "c": None, "d": True, "e": 1.5,
    }  # fmt: skip
    loop: list[Any] = []
    loop.append(loop)
    assert "<deeper>" in json.dumps(redact(loop))


@pytest.mark.parametrize(
    "unit",
    ["eyJ", "ghp_", "a", "A1b", "-----BEGIN PRIVATE KEY-----", "password=", "://", "a://b:", "%41", "Bearer ",
     "=", "token", "0Q~", "a.", "https://hooks.slack.com/services/", "x:y@"],
)  # fmt: skip
def test_hostile_text_costs_linear_time(unit: str) -> None:
    from wardship.sdk import redact as module

    def cost(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            module._spelt_out(module._plain(text))
            best = min(best, time.process_time() - began)
        return best

    small, large = cost(20_000), cost(160_000)
    assert large < 0.05 or large / max(small, 1e-4) < 24  # eight times the text: eight times the work, not sixty-four


def test_a_shape_holds_no_content() -> None:
    item = {
        "id": "0b9a1d4e-4e4f-4a5b-8f53-5f2c4a5d6e7f",
        "displayName": "Payroll",
        "createdDateTime": "2026-01-01T00:00:00Z",
        "tags": ["a", "b", 1, None],
        "owners": {"ada@example.com": {"age": 3}, "7f3e": 1},
        "n": 1.5,
        "on": True,
    }
    made = shape(item)
    assert made == {
        "id": "uuid",
        "displayName": "str",
        "createdDateTime": "instant",
        "tags": ["str", "int", "null"],
        "owners": {"<key>": "int"},
        "n": "float",
        "on": "bool",
    }
    assert "Payroll" not in json.dumps(made)
    assert "ada" not in json.dumps(made)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://ann:pw@h.example/a?x=1&sig=abc#t=2 then more", "https://h.example/a then more"),
        ("https://h.example/hook?abc", "https://h.example/hook"),
        ("GET /orders?key=abc HTTP/1.1", "GET /orders HTTP/1.1"),
        ('{"url": "https://h/a?b=c\\u0026d=e", "n": 1}', '{"url": "https://h/a", "n": 1}'),
        ('{\\"url\\": \\"https://h/a?b=c\\"}', '{\\"url\\": \\"https://h/a\\"}'),
        ("APN/1.0 (+https://www.terraform.io) aws/6.4", "APN/1.0 (+https://www.terraform.io) aws/6.4"),
        ("md/Botocore#1.40.12 who? a=b", "md/Botocore#1.40.12 who? a=b"),
        ("//iam.googleapis.com/serviceAccounts/ci@x.iam", "//iam.googleapis.com/serviceAccounts/ci@x.iam"),
    ],
)
def test_of_an_address_only_its_place_stays(text: str, kept: str) -> None:
    assert without_queries(text) == kept


@pytest.mark.parametrize("unit", ["?", "://", "?://", "://?=", "\\", "?=\\", "a@"])
def test_hostile_addresses_cost_little(unit: str) -> None:
    started = time.process_time()
    without_queries(unit * (4_096 // len(unit)))  # no text of a record is longer
    assert time.process_time() - started < 0.2
