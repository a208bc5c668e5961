"""One secret written in different places has one fingerprint; two secrets, or two workspaces, never share one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import textwrap
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.model.secret import Secret
from wardship.secrets import fingerprint, normalise

PEPPER, OTHER = Secret("ab" * 32), Secret("cd" * 32)
VALUE = "hunter2-" + "x7Q" * 6
DASHES = "-" * 5
BODY = base64.b64encode(hashlib.sha512(b"not a key").digest() * 4).decode()


def of(value: str, pepper: Secret = PEPPER) -> str:
    return fingerprint(pepper, Secret(value))


def pem(body: str, label: str = "EC PRIVATE " + "KEY") -> str:
    return f"{DASHES}BEGIN {label}{DASHES}\n{body}\n{DASHES}END {label}{DASHES}\n"


def test_it_is_the_hmac_that_the_decision_says() -> None:
    """Written out again here: whoever changes the form breaks every join with what was stored before."""
    expected = hmac.new(bytes.fromhex("ab" * 32), b"secret\0" + VALUE.encode(), hashlib.sha256).hexdigest()[:32]
    assert of(VALUE) == expected


def test_another_workspace_sees_another_fingerprint() -> None:
    assert of(VALUE) != of(VALUE, OTHER)


@pytest.mark.parametrize("written", [f'"{VALUE}"', f"'{VALUE}'", f"`{VALUE}`", f"  {VALUE}\n", f'" {VALUE} "'])
def test_quotes_and_white_space_around_it_are_not_part_of_it(written: str) -> None:
    assert of(written) == of(VALUE)


@pytest.mark.parametrize("other", [VALUE.upper(), VALUE + "x", VALUE[:-1], f"'{VALUE}", f"{VALUE[:4]} {VALUE[4:]}"])
def test_what_is_another_value_stays_another(other: str) -> None:
    assert of(other) != of(VALUE)


def test_an_accent_is_one_however_it_was_typed() -> None:
    word = "contraseña-de-Íñigo"
    assert unicodedata.normalize("NFD", word) != word
    assert of(unicodedata.normalize("NFD", word)) == of(word)


def test_a_key_is_one_however_its_lines_are_wrapped() -> None:
    key = pem("\n".join(textwrap.wrap(BODY, 64)))
    same = {
        "one line": pem(BODY),
        "narrow": pem("\n".join(textwrap.wrap(BODY, 48))),
        "Windows": key.replace("\n", "\r\n"),
        "in JSON": key.replace("\n", "\\n"),
        "in YAML": textwrap.indent(key, "    "),
        "quoted": f'"{key}"',
        "with words around it": f"Bag Attributes: x\n{key}\ntrailer",
        "in base64, as in a Kubernetes secret": base64.b64encode(key.encode()).decode(),
        "in base64, wrapped": "\n".join(textwrap.wrap(base64.b64encode(key.encode()).decode(), 76)),
    }
    assert {name: of(text) for name, text in same.items()} == dict.fromkeys(same, of(key))


def test_a_key_of_another_label_or_body_is_another() -> None:
    assert len({of(pem(BODY)), of(pem(BODY, "RSA PRIVATE " + "KEY")), of(pem(BODY[::-1]))}) == 3


@pytest.mark.parametrize(
    "broken", ["LS0tLS1CRUdJTi", "LS0tLS1CRUdJTiA!", "LS0tLS1CRUdJTiD/////", f"{DASHES}BEGIN X{DASHES}"]
)
def test_what_only_begins_like_a_key_is_taken_as_it_is(broken: str) -> None:
    assert normalise(broken) == broken


@given(st.text(alphabet=st.characters(), max_size=80))
def test_any_text_has_one_and_the_value_is_not_in_it(text: str) -> None:
    """Half characters too: JSON may escape one."""
    found = of(text)
    assert len(found) == 32
    assert int(found, 16) >= 0
    assert found == of(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="\"'`-"), min_size=1))
def test_normalising_again_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
