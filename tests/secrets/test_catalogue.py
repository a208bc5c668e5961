"""Every detector has a name and an advice, in every language."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from wardship.model.exposure import DetectorTier
from wardship.sdk.i18n import use_language
from wardship.secrets import advice, detector_title, detectors, load_engine
from wardship.secrets.providers import Providers


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


def test_there_are_more_than_200_detectors_each_with_title_and_advice() -> None:
    all_ = detectors()
    assert len(all_) > 200
    assert len({one.id for one in all_}) == len(all_)
    for one in all_:
        assert one.title
        assert "%(" not in one.title
        assert one.advice.startswith(("Create", "Change", "Make", "No secret"))


def test_where_a_token_is_revoked_is_told() -> None:
    assert detector_title("github.token") == "GitHub token"
    assert "https://github.com/settings/tokens" in advice("github.token")
    assert advice("npm.token").endswith("then revoke the old one: npm's website, Access Tokens of your account")
    assert advice("pypi.token").endswith("then revoke the old one: PyPI's website, API tokens in the account settings")
    assert "No secret" in advice("notice.uuid")


def test_a_detector_of_another_version_is_called_by_its_id() -> None:
    assert detector_title("gone.detector") == "gone.detector"
    assert advice("gone.detector")


def test_what_the_engine_finds_is_in_the_catalogue() -> None:
    known = {one.id: one.tier for one in detectors()}
    token = hashlib.sha256(b"diffbot").hexdigest()[:32]
    named = f'password = "{token[:14]}Q"\nmachine a login b password {token[9:20]}\nDIFFBOT_TOKEN={token}\n'
    text = named.encode()
    for path in (".netrc", "a.py"):
        for hit in load_engine(least=0, notices=True).scan(text, path=path):
            assert known[hit.detector] is hit.tier
    assert known["generic.password"] is DetectorTier.GENERIC


def test_every_row_of_the_table_is_sound() -> None:
    table = Providers(notices=True)
    assert len(table.formats) > 150
    for one in table.formats:
        assert one.anchors, one.id
        assert 0 < one.confidence < 1
        assert "v" in one.expression.groupindex
    assert table.services == sorted(set(table.services))
