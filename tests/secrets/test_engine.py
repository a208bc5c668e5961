"""What the engine finds, what it leaves alone, and that no value leaves it."""

from __future__ import annotations

import base64
import hashlib
import pickle
import random
import string
import traceback
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.secrets import Engine, Hit, load_engine
from wardship.secrets.providers import UNLIKELY


def noise(length: int, alphabet: str = string.ascii_letters + string.digits, seed: int = 7) -> str:
    """A text that looks random and is the same in every run; made here so that no sample stands in a file."""
    return "".join(random.Random(seed).choices(alphabet, k=length))


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase
LOWER = string.ascii_lowercase + string.digits
KEY_ID = "AKIA" + noise(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
IMAGE = base64.b64encode(random.Random(1).randbytes(600)).decode()
AWS_SECRET = noise(40, string.ascii_letters + string.digits + "+/", 3)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine()


def found(engine: Engine, text: str, path: str = "") -> list[tuple[str, str]]:
    return [(hit.detector, hit.value.reveal()) for hit in engine.scan(text.encode(), path=path)]


@pytest.mark.parametrize(
    ("detector", "value"),
    [
        ("slack.webhook", f"https://hooks.slack.com/services/T{noise(9, UPPER)}/B{noise(9, UPPER)}/{noise(24)}"),
        ("stripe.key", "sk_live_" + noise(24)),
        ("google.api_key", "AIza" + noise(35)),
        ("gitlab.token", "glpat-" + noise(20)),
        ("digitalocean.token", "dop_v1_" + noise(64, HEX)),
        ("sendgrid.key", "SG." + noise(22) + "." + noise(43, seed=8)),
        ("crypt.hash", "$2b$12$" + noise(53)),
        ("aws.access_key", KEY_ID),
    ],
)  # fmt: skip
def test_a_format_is_found_wherever_it_stands(engine: Engine, detector: str, value: str) -> None:
    for text in (value, f"see {value}, please", f'{{"x": "{value}"}}', f"<a>{value}</a>", f"x={value}\r\n"):
        assert (detector, value) in found(engine, text)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("DB_PASSWORD={}", ".env", noise(14)),
        ('  "client_secret": "{}",', "config.json", noise(32)),
        ("    password: {}", "deploy/values.yaml", noise(12)),
        ('api_key = "{}"', "src/a.py", noise(32, HEX)),
        ("<Password>{}</Password>", "server.xml", noise(12)),
        ('<add key="ApiToken" value="{}" />', "web.config", noise(24)),
        ('body = "{{\\"access_token\\":\\"{}\\"}}"', "a.js", noise(40)),
        ('  "Apitoken": "{{\\"name\\":\\"x\\",\\"sig\\":\\"{}\\"}}"', "a.json", noise(32, LOWER)),
        ("mysql://shop:{}@db.internal/shop", "a.py", noise(12)),
        ("curl -u admin:{} https://intranet/", "run.sh", noise(14)),
        ("CREATE USER 'app' IDENTIFIED BY '{}';", "init.sql", noise(12)),
        ("export API_TOKEN={} && ./run", "run.sh", noise(32, HEX)),
        ("openssl rsa -passin pass:{} -in k.pem", "Makefile", noise(10)),
        ("machine example.com login bob password {}", ".netrc", noise(9)),
        ("db.internal:5432:shop:app:{}", ".pgpass", noise(12)),
    ],
)  # fmt: skip
def test_a_named_value_is_found_in_every_syntax(engine: Engine, text: str, path: str, value: str) -> None:
    assert value in [hit for _, hit in found(engine, text.format(value), path)]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('password = "YOUR_PASSWORD_HERE"', "a.py"),
        ('api_key: "xxxxxxxxxxxxxxxxxxxxxxxx"', "a.yml"),
        ("API_KEY=${API_KEY}", "run.sh"),
        ('token: "{{ vault_token }}"', "playbook.yml"),
        ('secret: "<secret>"', "values.yaml"),
        ("DB_PASSWORD=changeme", ".env.example"),
        ('password = os.environ["DB_PASSWORD"]', "a.py"),
        ("config.Token = values[EnvToken]", "a.go"),
        ("token = self.request.token", "a.py"),
        ("def encrypt(public_key: str, secret_value: str) -> str:", "a.py"),
        (f'"integrity": "sha512-{base64.b64encode(bytes(range(64))).decode()}"', "package-lock.json"),
        (f'"key": "ssh-rsa AAAAB3NzaC1yc2E{noise(300)}"', "keys.json"),
        ("The password must have eight characters", "README.md"),
        ("monkeys = 'b4d9f1e2a7c3d8e5'", "a.py"),
        ("PassedToService: ec2.amazonaws.com", "policy.yml"),
        ('<input type="password" name="password" id="password1">', "a.html"),
        ("ghp_" + "x" * 36, "a.md"),
        ("AKIAIOSFODNN7" + "EXAMPLE", "README.md"),  # the one in Amazon's documentation
        (f'background: url("data:image/png;base64,{IMAGE}")', "a.css"),
        ("https://user:password@example.com/", "README.md"),
    ],
)  # fmt: skip
def test_what_is_no_secret_is_left_alone(engine: Engine, text: str, path: str) -> None:
    assert found(engine, text, path) == []


def test_made_up_values_have_little_confidence_instead_of_none() -> None:
    [hit] = load_engine(least=0).scan(b"key: sk_live_" + b"1234567890" * 3, path="a.md")
    assert hit.confidence == UNLIKELY


def test_a_checksum_tells_issued_from_typed() -> None:
    engine = load_engine(least=0)
    [typed] = engine.scan(b"ghp_" + noise(36).encode())
    assert typed.confidence < 0.6
    issued = "ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ" + "0mLq17"  # its last six are the CRC-32 of the rest
    [hit] = engine.scan(issued.encode())
    assert hit.confidence > 0.95


def test_the_secret_of_an_aws_pair_names_its_key(engine: Engine) -> None:
    text = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {AWS_SECRET}\n"
    key, secret = engine.scan(text.encode(), path=".aws/credentials")
    assert (key.detector, key.public_id) == ("aws.access_key", KEY_ID)
    assert (secret.detector, secret.public_id) == ("aws.secret_key", KEY_ID)
    alone = (
        f"aws_access_key_id = {KEY_ID}\n{'#' * 10}\n{'x' * 3}\n" + "\n" * 20 + f"aws_secret_access_key = {AWS_SECRET}\n"
    )
    assert engine.scan(alone.encode())[-1].public_id is None


def private_key() -> tuple[str, str]:
    """(PEM, what `ssh-keygen -l` prints of it)"""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes_raw()
    wire = b"\0\0\0\x0bssh-ed25519" + len(public).to_bytes(4, "big") + public  # RFC 8709, section 4
    return pem.decode(), "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")


def test_a_private_key_is_found_however_it_is_written(engine: Engine) -> None:
    pem, public_id = private_key()
    lines = pem.strip().splitlines()
    ways = [
        pem,
        "key: |\n" + "".join(f"    {line}\n" for line in lines),
        '{"private_key": "' + "\\n".join(lines) + '\\n"}',
        " +\n".join(f'    "{line}\\n"' for line in lines),
        "tls.key: " + base64.b64encode(pem.encode()).decode(),
    ]
    hits = [engine.scan(way.encode(), path="a") for way in ways]
    assert [[hit.detector for hit in each] for each in hits] == [["private_key"]] * len(ways)
    assert {each[0].public_id for each in hits} == {public_id}
    assert hits[0][0].type is CredentialType.SSH_KEY


def test_a_certificate_and_an_empty_block_are_no_secrets(engine: Engine) -> None:
    body = base64.b64encode(random.Random(2).randbytes(300)).decode()
    assert found(engine, f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n") == []
    assert found(engine, "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n") == []


def test_key_material_is_all_that_counts_in_a_binary(engine: Engine) -> None:
    pem, _ = private_key()
    data = b"\0\1\2password = '" + noise(20).encode() + b"'\n" + pem.encode() + b"\0"
    assert [hit.detector for hit in engine.scan(data)] == ["private_key"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_texts_are_read_and_offsets_are_those_of_the_file(engine: Engine, encoding: str) -> None:
    value = noise(14)
    mark = "\ufeff".encode(encoding)
    data = mark + f"# ünïcode 𝄞\r\nDB_PASSWORD={value}\r\n".encode(encoding)
    [hit] = engine.scan(data, path=".env")
    assert data[hit.start : hit.end].decode(encoding) == value
    assert (hit.line, hit.column) == (2, 13)


def test_a_very_long_line_is_searched_to_its_end(engine: Engine) -> None:
    filler = "var a=1;" * 100_000
    text = f'{filler}api_key="{noise(32, HEX)}";{filler}{KEY_ID}'
    assert [hit for _, hit in found(engine, text, "bundle.min.js")] == [noise(32, HEX), KEY_ID]


def test_hits_do_not_overlap_and_stand_in_order(engine: Engine) -> None:
    text = f'API_TOKEN="glpat-{noise(20)}" password="{noise(12)}"\nx={KEY_ID}\n' * 3
    hits = engine.scan(text.encode(), path="a.sh")
    assert len(hits) == 9
    assert all(one.end <= two.start for one, two in pairwise(hits))


def test_a_credential_file_vouches_for_its_words(engine: Engine) -> None:
    text = '{"password": "' + "summer" + '"}'
    assert found(engine, text, ".vscode/sftp.json") == [("generic.password", "summer")]
    assert found(engine, text, "src/form.json") == []


def test_notices_are_given_when_asked_for() -> None:
    text = b'{"id": "8c0ad3a1-49f8-4b52-9a0e-1f2b7c6d5e4f", "url": "https://shop.firebaseio.com/x"}'
    assert load_engine().scan(text, path="a.json") == []
    hits = load_engine(notices=True).scan(text, path="a.json")
    assert [hit.detector for hit in hits] == ["notice.uuid", "notice.firebase_domain"]


def test_tier_and_name_are_told(engine: Engine) -> None:
    [hit] = engine.scan(f'DB_PASSWORD = "{noise(16)}"'.encode(), path="settings.py")
    assert (hit.tier, hit.name, hit.type) == (DetectorTier.GENERIC, "DB_PASSWORD", CredentialType.PASSWORD)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('API_TOKEN = "{}"', "API_TOKEN"),
        ("export GITLAB_TOKEN={}", "GITLAB_TOKEN"),
        ('  "deploy_key": "{}",', "deploy_key"),
        ("<Token>{}</Token>", "Token"),
        ("see {} here", None),
        ("https://oauth2:{}@gitlab.com/acme/shop.git", None),
        ('other_key = "x"; call("{}")', None),
    ],
)
def test_a_value_with_a_format_is_told_with_the_name_it_was_given(engine: Engine, text: str, name: str | None) -> None:
    value = "glpat-" + noise(20)
    [hit] = engine.scan(text.format(value).encode(), path="settings.py")
    assert (hit.detector, hit.value.reveal(), hit.name) == ("gitlab.token", value, name)


def test_the_version_changes_with_what_may_change_the_answer() -> None:
    assert load_engine().version == load_engine().version
    assert len({load_engine().version, load_engine(notices=True).version, load_engine(least=0).version}) == 3


def test_no_value_leaves_by_printing_pickling_or_failing(engine: Engine) -> None:
    value = noise(20)
    [hit] = engine.scan(f"DB_PASSWORD={value}".encode(), path=".env")
    with pytest.raises(TypeError) as refused:
        pickle.dumps(hit)
    shown = [
        repr(hit),
        str(hit),
        f"{hit}",
        "".join(traceback.format_exception(refused.value)),
        repr([hit]),
        str({1: hit}),
    ]
    assert not [text for text in shown if value in text]
    assert isinstance(hit, Hit)


def test_an_engine_starts_quickly_the_second_time(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = load_engine(), load_engine()
    assert first.version == second.version
    value = noise(20)
    assert found(first, f"DB_PASSWORD={value}", ".env") == found(second, f"DB_PASSWORD={value}", ".env") != []
