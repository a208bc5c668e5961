"""Which addresses are refused, that a name is resolved once, and that TLS still verifies the name."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wardship.sdk.netguard import AddressRefused, GuardedTransport, check_host, checked_addresses, refusal

REFUSED = {
    "loopback": "127.0.0.1",
    "loopback, another": "127.8.9.10",
    "unspecified": "0.0.0.0",
    "private 10": "10.1.2.3",
    "private 172": "172.16.0.1",
    "private 192": "192.168.1.1",
    "metadata": "169.254.169.254",
    "shared 100.64": "100.64.0.1",
    "v6 loopback": "::1",
    "v6 unspecified": "::",
    "unique local": "fc00::1",
    "v6 link-local": "fe80::1",
    "v4-mapped": "::ffff:127.0.0.1",
    "6to4": "2002:7f00:1::",
    "NAT64": "64:ff9b::7f00:1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "broadcast": "255.255.255.255",
    "multicast": "224.0.0.1",
    "v6 multicast": "ff02::1",
    "reserved": "240.0.0.1",
    "documentation": "192.0.2.1",
    "v4-compatible": "::127.0.0.1",
    "v4-translated": "::ffff:0:127.0.0.1",
    "NAT64 local": "64:ff9b:1::7f00:1",
    "container credentials": "169.254.170.2",
    "Azure wire server": "168.63.129.16",
    "Alibaba metadata": "100.100.100.200",
    "AWS metadata v6": "fd00:ec2::254",
    "scoped": "fe80::1%eth0",
    "site-local": "fec0::1",
    "discard": "100::1",
    "6to4 relay": "192.88.99.1",
}
PUBLIC = ["8.8.8.8", "20.190.128.1", "2606:4700:4700::1111", "2a01:111:f402::1"]


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_an_address_inside_is_refused(text: str) -> None:
    assert refusal(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_passes(text: str) -> None:
    assert refusal(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize("text", ["127.0.0.1", "10.0.0.1", "::1", "fc00::1"])
def test_a_system_in_the_own_network_may_be_allowed(text: str) -> None:
    assert refusal(ipaddress.ip_address(text), allow_private=True) is None


@pytest.mark.parametrize(
    "text", ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "224.0.0.1", "0.0.0.0", "2002:7f00:1::", "fe80::1"]
)
def test_allowing_the_own_network_never_allows_metadata_or_disguises(text: str) -> None:
    assert refusal(ipaddress.ip_address(text), allow_private=True) is not None


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "localhost", "LOCALHOST.", "a.localhost", "[::1]", "",
     "127.0.0.1.", "1.2.3.0400", "017700000001"],
)  # fmt: skip
def test_a_spelling_of_this_machine_is_refused_before_any_resolver_sees_it(host: str) -> None:
    asked: list[str] = []
    with pytest.raises(AddressRefused):
        checked_addresses(host, 443, resolver=lambda name, _port: asked.append(name) or ["8.8.8.8"])
    assert asked == []


def test_a_plain_name_passes() -> None:
    check_host("graph.microsoft.com")
    assert checked_addresses("graph.microsoft.com", 443, resolver=lambda _n, _p: PUBLIC) == PUBLIC


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
        checked_addresses("mixed.example", 443, resolver=lambda _n, _p: ["8.8.8.8", "127.0.0.1"])


def test_an_unreadable_answer_of_the_resolver_is_refused() -> None:
    with pytest.raises(AddressRefused, match="unreadable"):
        checked_addresses("odd.example", 443, resolver=lambda _n, _p: ["not-an-address"])


class Rebinding:
    """A name server that answers with a public address first and with loopback afterwards."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        return [self.answers[min(self.asked, len(self.answers)) - 1]]


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(self.headers["host"]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def serve(context: ssl.SSLContext | None = None) -> tuple[HTTPServer, threading.Thread]:
    server = HTTPServer(("127.0.0.1", 0), Hello)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    return server, thread


@pytest.fixture
def plain() -> Iterator[int]:
    server, thread = serve()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_connection_goes_to_the_address_that_was_checked(plain: int) -> None:
    resolver = Rebinding("127.0.0.1", "10.9.9.9")
    with httpx.Client(transport=GuardedTransport(allow_private=True, resolver=resolver)) as client:
        assert client.get(f"http://inside.example:{plain}/").text == f"inside.example:{plain}"
    assert resolver.asked == 1  # one look-up for one connection: there is no second answer to be fooled by


def test_a_name_that_rebinds_to_loopback_is_refused_at_the_connection(plain: int) -> None:
    resolver = Rebinding("127.0.0.1")
    with httpx.Client(transport=GuardedTransport(resolver=resolver)) as client, pytest.raises(AddressRefused):
        client.get(f"http://rebinds.example:{plain}/")


def test_only_listed_hosts_are_reached(plain: int) -> None:
    guarded = GuardedTransport(allow_private=True, allow_hosts=["Allowed.example"], resolver=Rebinding("127.0.0.1"))
    with httpx.Client(transport=guarded) as client:
        assert client.get(f"http://allowed.example:{plain}/").status_code == 200
        with pytest.raises(AddressRefused, match="not on the list"):
            client.get(f"http://other.example:{plain}/")


def test_a_name_that_does_not_resolve_is_a_connection_error() -> None:
    def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError("no such host")

    with httpx.Client(transport=GuardedTransport(resolver=nowhere)) as client, pytest.raises(httpx.ConnectError):
        client.get("https://nowhere.example/")


def test_the_next_address_is_tried_when_the_first_is_dead(plain: int) -> None:
    guarded = GuardedTransport(allow_private=True, resolver=lambda _h, _p: ["127.0.0.2", "127.0.0.1"])
    with httpx.Client(transport=guarded) as client:
        assert client.get(f"http://two.example:{plain}/").status_code == 200


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A server whose certificate names system.example, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system.example")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("system.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server, thread = serve(theirs)
    yield server.server_address[1], ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    server.shutdown()
    server.server_close()
    thread.join()


def test_tls_verifies_the_name_and_not_the_pinned_address(tls: tuple[int, ssl.SSLContext]) -> None:
    port, trusting = tls
    guarded = GuardedTransport(allow_private=True, resolver=Rebinding("127.0.0.1"), ssl_context=trusting)
    with httpx.Client(transport=guarded) as client:
        assert client.get(f"https://system.example:{port}/").text == f"system.example:{port}"
        with pytest.raises(httpx.ConnectError):
            client.get(f"https://impostor.example:{port}/")


@pytest.mark.parametrize(
    ("host", "step"),
    [
        ("127.0.0.1", "set private_network=true"),
        ("localhost", "set private_network=true"),
        ("10.0.0.1", "set private_network=true"),
        ("169.254.169.254", "check the URL"),  # no setting allows it: the advice must not lead there
    ],
)
def test_a_refusal_names_a_step_that_helps(host: str, step: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_host(host)
    assert step in caught.value.advice
