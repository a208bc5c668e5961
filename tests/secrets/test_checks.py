"""What a value tells of itself."""

from __future__ import annotations

import base64
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.secrets.checks import crc32_base62, decoded_password, made_up, stands_for_a_value


@pytest.mark.parametrize(
    "value", ["1234567890" * 3, "abcdef1234567890abcdef1234567890", "a" * 20, "qwertyuiop1234", "0987654321fedcba"]
)
def test_what_counts_repeats_or_follows_the_keyboard_is_made_up(value: str) -> None:
    assert made_up(value) > 0.5


@given(st.integers())
def test_what_is_random_is_not_made_up(seed: int) -> None:
    value = "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=40))
    assert made_up(value) < 0.4


@pytest.mark.parametrize(
    "value", ["xxxxxxxx", "YOUR_API_KEY", "<your-token>", "change-me", "abc...", "AKIAEXAMPLEEXAMPLE11"]
)
def test_texts_that_stand_for_a_value(value: str) -> None:
    assert stands_for_a_value(value)


def test_a_random_value_stands_for_itself() -> None:
    assert not stands_for_a_value("".join(random.Random(3).choices(string.ascii_letters + string.digits, k=32)))


def test_the_checksum_is_of_the_part_after_the_prefix() -> None:
    assert crc32_base62("ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ" + "0mLq17")
    assert not crc32_base62("ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkK" + "0mLq17")


@given(
    user=st.text("abcXYZ_.-", min_size=1, max_size=20),
    password=st.text(string.ascii_letters + "!:%", min_size=4, max_size=40),
)
def test_the_password_of_basic_credentials_is_read(user: str, password: str) -> None:
    assert decoded_password(base64.b64encode(f"{user}:{password}".encode()).decode()) == password


@given(st.text(max_size=60))
def test_what_is_no_basic_credential_gives_none_or_a_printable_password(text: str) -> None:
    password = decoded_password(text)
    assert password is None or password.isprintable()
