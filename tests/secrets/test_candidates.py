"""Where a name that speaks of secrets is given a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.secrets.candidates import candidates


def values(text: str) -> set[tuple[str, str]]:
    return {(one.name, text[one.begin : one.end]) for one in candidates(text)}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('password = "a b"', "password", "a b"),
        ("password: 'it\\'s'", "password", "it\\'s"),
        ('"db.password" : "v1"', "db.password", "v1"),
        ("const apiKey: string = 'v1'", "apiKey", "v1"),
        ('var token string = "v1"', "token", "v1"),
        ('let KEY: &str = "v1";', "KEY", "v1"),
        ('AccessKeyId: aws.String("v1"),', "AccessKeyId", "v1"),
        ('password = new Value("v1")', "password", "v1"),
        ("$config['secret'] = 'v1';", "secret", "v1"),
        (":token => 'v1'", "token", "v1"),
        ("SECRET_KEY ?= v1xyz", "SECRET_KEY", "v1xyz"),
        ('SetAuthToken("v1")', "SetAuthToken", "v1"),
        ("client.login('bob', 'v1')", "client.login", "v1"),
        ("<password>v1 x</password>", "password", "v1 x"),
        ('<property name="db.password" value="v1"/>', "db.password", "v1"),
        ('{"key": "password", "value": "v1"}', "password", "v1"),
        ("https://h/?token=v1&x=2", "token", "v1"),
        ("postgres://u:v1@h/db", "url", "v1"),
        ("curl --user bob:v1 h", "user", "v1"),
        ('{\\"access_token\\": \\"v1\\"}', "access_token", "v1"),
        ("--db-password v1secret", "--db-password", "v1secret"),
        ('password "v1"', "password", "v1"),
        ('TOKEN = """v1"""', "TOKEN", "v1"),
    ],
)
def test_a_value_is_read_with_its_name(text: str, name: str, value: str) -> None:
    assert (name, value) in values(text)


@pytest.mark.parametrize(
    "text", ["the monkeyboard", "author: Jane Roe", "compass = 'north'", "keyboard: 'qwerty'", "tokenize('x')"]
)
def test_words_that_only_contain_such_a_word_name_nothing(text: str) -> None:
    assert values(text) == set()


@given(st.text(max_size=300))
def test_positions_are_within_the_text(text: str) -> None:
    for one in candidates(text):
        assert 0 <= one.begin <= one.end <= len(text)
        assert 0 <= one.before <= one.begin
