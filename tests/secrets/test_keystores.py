"""Key material in files: the same public facts as ssh-keygen, openssl and keytool tell, and no private one."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import program
from wardship.secrets.keystores import MAX_BYTES, MAX_MATERIALS, Material, key_material

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
START = datetime(2026, 1, 2, tzinfo=UTC)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@cache
def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.acme.example")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ec_key().public_key())
        .serial_number(0xABCDEF)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=90))
        .sign(ec_key(), hashes.SHA256())
    )


def private(key: Key, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, protection)


def ssh_line(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def only(data: bytes, path: str = "") -> Material:
    (found,) = key_material(data, path)
    return found


def ssh_keygen_says(file: Path) -> tuple[str, str]:
    """The bits and the fingerprint that the real program prints."""
    command = [program("ssh-keygen", "openssh-client"), "-lf", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return printed.split()[0], printed.split()[1]


def locked_openssh(key: Key, folder: Path) -> bytes:
    """The key behind a passphrase, as the real program writes it."""
    ssh_keygen = program("ssh-keygen", "openssh-client")
    file = folder / "locked"
    file.touch(mode=0o600)
    file.write_bytes(private(key, PrivateFormat.OpenSSH))
    subprocess.run([ssh_keygen, "-p", "-P", "", "-N", "a-pass", "-f", str(file)], capture_output=True, check=True)
    return file.read_bytes()


@pytest.mark.parametrize("make", [rsa_key, ec_key, ed_key])
def test_a_key_in_each_form_has_the_id_that_ssh_keygen_prints(make, tmp_path: Path) -> None:
    key = make()
    (tmp_path / "key.pub").write_bytes(ssh_line(key))
    bits, expected = ssh_keygen_says(tmp_path / "key.pub")
    public_pem = key.public_key().public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    forms = [
        (private(key), "private_key", "PEM"),
        (private(key, PrivateFormat.OpenSSH), "private_key", "OPENSSH"),
        (locked_openssh(key, tmp_path), "private_key", "OPENSSH"),
        (der, "private_key", "DER"),
        (public_pem, "public_key", "PEM"),
        (ssh_line(key) + b" me@host\n", "public_key", "OPENSSH"),
    ]
    if make is not ed_key:
        forms.append((private(key, PrivateFormat.TraditionalOpenSSL), "private_key", "PEM"))
    for data, kind, form in forms:
        found = only(data, "id.pub")
        assert (found.kind, found.format, found.public_id, str(found.bits)) == (kind, form, expected, bits)
        assert (found.value is not None) == (kind == "private_key")


def test_an_encrypted_openssh_key_is_told_from_a_plain_one(tmp_path: Path) -> None:
    assert only(private(ed_key(), PrivateFormat.OpenSSH)).encrypted is False
    assert only(locked_openssh(ed_key(), tmp_path)).encrypted is True


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_told_from_a_plain_one(form: PrivateFormat) -> None:
    assert only(private(ec_key(), form)).encrypted is False
    assert only(private(ec_key(), form, b"a-pass")).encrypted is True


def test_what_the_file_says_is_the_key_again() -> None:
    der = rsa_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for data in (private(rsa_key()), der, private(rsa_key(), PrivateFormat.TraditionalOpenSSL)):
        value = only(data).value
        assert value is not None
        again = serialization.load_pem_private_key(value.reveal().encode(), None)
        assert isinstance(again, rsa.RSAPrivateKey)
        assert again.private_numbers() == rsa_key().private_numbers()


def test_keys_are_found_in_the_midst_of_a_text() -> None:
    pem = private(ed_key())
    indented = b"# config\nkey: |\n" + b"".join(b"    " + line + b"\n" for line in pem.split(b"\n"))
    escaped = b'{"other": 1,\n "private_key": "' + pem.replace(b"\n", b"\\n") + b'"}'
    quoted = b"".join(b'  "' + line + b'\\n" \\\r\n' for line in pem.split(b"\n"))
    plain = only(pem)
    for data, line in ((indented, 3), (escaped, 2), (quoted, 1)):
        found = only(data)
        assert (found.public_id, found.line) == (plain.public_id, line)


def test_a_certificate_tells_its_thumbprint_names_and_validity() -> None:
    pem = b"bag attributes\n" + certificate().public_bytes(Encoding.PEM)
    for data, form, line in ((pem, "PEM", 2), (certificate().public_bytes(Encoding.DER), "DER", None)):
        assert only(data) == Material(
            kind="certificate",
            format=form,
            public_id=only(private(ec_key())).public_id,
            thumbprint_sha256=certificate().fingerprint(hashes.SHA256()).hex().upper(),
            subject="CN=shop.acme.example",
            issuer="CN=shop.acme.example",
            serial="ABCDEF",
            not_before=START,
            not_after=START + timedelta(days=90),
            algorithm="EC",
            bits=256,
            line=line,
        )


def store(password: bytes) -> bytes:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"shop", ec_key(), certificate(), None, protection)


def test_a_pkcs12_store_is_opened_with_the_empty_password_only() -> None:
    opened = key_material(store(b""))
    assert [(one.kind, one.format, one.encrypted) for one in opened] == [
        ("keystore", "PKCS12", False),
        ("private_key", "PKCS12", False),
        ("certificate", "PKCS12", False),
    ]
    assert opened[1].public_id == only(private(ec_key())).public_id
    for password in (b"changeit", b"password"):
        closed = only(store(password))
        assert (closed.kind, closed.encrypted, closed.value) == ("keystore", True, None)


def test_a_pkcs12_store_that_asks_for_years_of_work_is_not_opened() -> None:
    data = store(b"")
    for count in (2048, 20_000, 1):  # the iteration counts that writers use
        old = (
            b"\x02"
            + (count.bit_length() // 8 + 1).to_bytes(1, "big")
            + count.to_bytes(count.bit_length() // 8 + 1, "big")
        )
        if data.endswith(old):
            break
    else:
        pytest.fail("the writer uses another count")
    grown = data[: -len(old)] + b"\x02\x04\x7f\xff\xff\xff"
    extra = len(grown) - len(data)
    # The store and its MacData grow by as many bytes.
    mac = grown.rindex(b"\x30\x31\x30\x0d") - 2
    assert grown[mac] == 0x30
    grown = grown[: mac + 1] + bytes([grown[mac + 1] + extra]) + grown[mac + 2 :]
    grown = b"\x30\x82" + (len(grown) - 4).to_bytes(2, "big") + grown[4:]
    started = time.process_time()
    found = only(grown)
    assert (found.kind, found.format, found.encrypted) == ("keystore", "PKCS12", True)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("kind", ["JKS", "JCEKS", "PKCS12"])
def test_a_java_keystore_tells_the_certificates_of_its_keys(kind: str, tmp_path: Path) -> None:
    keytool = program("keytool", "openjdk-17-jre-headless")
    file, password = tmp_path / "store", "changeit"
    common = ["-keystore", str(file), "-storetype", kind, "-storepass", password, "-noprompt"]
    names = [
        "-dname",
        "CN=java.acme.example",
        "-keyalg",
        "RSA",
        "-keysize",
        "2048",
        "-alias",
        "web",
        "-keypass",
        password,
    ]
    subprocess.run([keytool, "-genkeypair", *names, *common], capture_output=True, check=True)
    (tmp_path / "trusted.pem").write_bytes(certificate().public_bytes(Encoding.PEM))
    subprocess.run(
        [keytool, "-importcert", "-alias", "ca", "-file", str(tmp_path / "trusted.pem"), *common],
        capture_output=True,
        check=True,
    )
    found = key_material(file.read_bytes(), "store")
    assert (found[0].kind, found[0].encrypted) == ("keystore", True)
    if kind == "PKCS12":
        assert len(found) == 1
        return
    key = next(one for one in found if one.kind == "private_key")
    assert (key.encrypted, key.subject, key.algorithm, key.bits) == (True, "CN=java.acme.example", "RSA", 2048)
    listed = subprocess.run([keytool, "-list", "-v", *common], capture_output=True, text=True, check=True).stdout
    thumbprints = {line.split("SHA256: ")[1].replace(":", "") for line in listed.splitlines() if "SHA256: " in line}
    assert {one.thumbprint_sha256 for one in found if one.kind == "certificate"} == thumbprints
    assert len(thumbprints) == 2


def test_a_damaged_java_keystore_tells_what_stands_before_the_damage() -> None:
    der = certificate().public_bytes(Encoding.DER)
    entry = b"\0\0\0\x02" + b"\0\x02ca" + bytes(8) + b"\0\x05X.509" + len(der).to_bytes(4, "big") + der
    data = b"\xfe\xed\xfe\xed" + b"\0\0\0\x02" + b"\xff\xff\xff\xff" + entry + entry[:40]
    assert [(one.kind, one.encrypted) for one in key_material(data)] == [("keystore", False), ("certificate", False)]


@pytest.mark.parametrize("cipher", ["none", "aes256-cbc"])
def test_a_putty_key(cipher: str) -> None:
    blob = ssh_line(ed_key()).split()[1]
    text = (
        f"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: {cipher}\r\nComment: me\r\nPublic-Lines: 2\r\n"
        f"{blob[:64].decode()}\r\n{blob[64:].decode()}\r\nPrivate-Lines: 1\r\n"
        f"{base64.b64encode(bytes(32)).decode()}\r\n"
    )
    found = only(text.encode())
    assert (found.kind, found.format, found.encrypted) == ("private_key", "PPK", cipher != "none")
    assert (found.public_id, found.algorithm, found.bits) == (only(private(ed_key())).public_id, "ED25519", 256)


def test_no_private_part_is_shown() -> None:
    for data in (private(rsa_key()), store(b""), private(ed_key(), PrivateFormat.OpenSSH)):
        assert "BEGIN" not in repr(key_material(data))
        assert any("Secret(***)" in repr(one) for one in key_material(data))


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----", bytes(5000)]
)
def test_other_files_hold_nothing(data: bytes) -> None:
    assert key_material(data) == []


@cache
def samples() -> list[bytes]:
    return [
        private(rsa_key()),
        private(ed_key(), PrivateFormat.OpenSSH),
        certificate().public_bytes(Encoding.DER),
        certificate().public_bytes(Encoding.PEM),
        ec_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        store(b""),
        store(b"x"),
        ssh_line(rsa_key()),
        b"\xfe\xed\xfe\xed" + bytes([0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1]) + bytes(60),
    ]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_nothing(data: st.DataObject) -> None:
    sample = bytearray(data.draw(st.sampled_from(samples())))
    for _ in range(data.draw(st.integers(0, 5))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(sample)))
    for path in ("", "x.pub"):
        key_material(bytes(sample), path)
        key_material(bytes(sample[:cut]), path)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"0\x82", b"\xfe\xed\xfe\xed\0\0\0\x02", b"PuTTY-User-Key-File-2:", b"0\x03\x02\x01"]),
    st.binary(),
)
def test_any_bytes_raise_nothing(start: bytes, rest: bytes) -> None:
    key_material(start + rest, "authorized_keys")


def sequence(content: bytes) -> bytes:
    return b"\x30\x83" + len(content).to_bytes(3, "big") + content


def integer(content: bytes) -> bytes:
    return b"\x02\x83" + len(content).to_bytes(3, "big") + content


def costly_dsa() -> bytes:
    """A DSA key of 16,000 bytes whose public half would be a power of that size."""
    p, x = b"\x01" + os.urandom(5000) + b"\x01", b"\x01" + os.urandom(4990)
    parameters = sequence(integer(p) + integer(p[:100]) + integer(b"\x02"))
    algorithm = sequence(b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01" + parameters)
    inner = integer(x)
    return sequence(b"\x02\x01\x00" + algorithm + b"\x04\x83" + len(inner).to_bytes(3, "big") + inner)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"-----BEGIN CERTIFICATE-----" * 200_000,
        lambda: b"-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----" * 100_000,
        lambda: certificate().public_bytes(Encoding.PEM) * 5_000,
        lambda: b"\xfe\xed\xfe\xed\0\0\0\x02\xff\xff\xff\xff" + bytes(6_000_000),
        lambda: (
            b"\xfe\xed\xfe\xed\0\0\0\x02\xff\xff\xff\xff\0\0\0\x01\0\0" + bytes(12) + b"\xff" * 4 + bytes(5_000_000)
        ),
        lambda: sequence(
            b"\x02\x01\x03" + sequence(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" + b"\x04\x00" * 900_000)
        ),
        lambda: b"ssh-rsa " * 900_000,
        lambda: b"ssh-rsa AAAA" + b"A" * 7_000_000,
        lambda: b"PuTTY-User-Key-File-2:" + b"Public-Lines: 99999\n" * 300_000,
        costly_dsa,
        lambda: bytes(MAX_BYTES + 1),
    ],
)
def test_no_file_takes_long(make) -> None:
    data = make()
    started = time.process_time()
    assert len(key_material(data, "x.pub")) <= MAX_MATERIALS
    assert time.process_time() - started < 8.0
