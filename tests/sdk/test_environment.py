"""The environment that a name speaks of: said in whole words, and left unsaid where two words disagree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.sdk.environment import environment_of

ENVIRONMENTS = {"production", "staging", "test", "development"}


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("production", "production"),
        ("PROD", "production"),
        ("prod-api", "production"),
        ("acme/shop/environments/Live", "production"),
        ("DB_PASSWORD_PRD", "production"),
        ("prod2", "production"),
        ("produccion", "production"),
        ("pre", "staging"),
        ("pre-production-eu", None),  # two words: staging and production
        ("preprod", "staging"),
        ("uat.payments", "staging"),
        ("qa", "staging"),
        ("ci_token", "test"),
        ("sandbox 3", "test"),
        ("pruebas", "test"),
        ("local.env", "development"),
        ("desarrollo", "development"),
        ("dev dev", "development"),  # the same one twice
    ],
)
def test_a_word_of_the_name_says_the_environment(name: str, environment: str | None) -> None:
    assert environment_of(name) == environment


@pytest.mark.parametrize("name", [None, "", "product", "reproduce", "latest", "device", "circle", "delivery", "---"])
def test_part_of_a_word_says_nothing(name: str | None) -> None:
    assert environment_of(name) is None


@pytest.mark.parametrize("name", ["prod-to-dev-sync", "test/production", "staging.dev"])
def test_two_environments_in_one_name_say_nothing(name: str) -> None:
    assert environment_of(name) is None


@given(st.text(max_size=60))
def test_any_text_names_one_of_four_or_none_and_case_never_matters(name: str) -> None:
    found = environment_of(name)
    assert found is None or found in ENVIRONMENTS
    if name.isascii():
        assert environment_of(name.upper()) == found
