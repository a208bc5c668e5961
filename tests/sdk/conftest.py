"""What the tests of the client share."""

from __future__ import annotations

import pytest

from tests.sdk.answering import Waits


@pytest.fixture
def waits() -> Waits:
    return Waits()
