"""What of GitHub's objects is kept: never the address of a webhook, for it holds secrets."""

from __future__ import annotations

from typing import Any

import pytest

from wardship.connectors.github.keep import only, webhook


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/services/T0/B0/canary",
        "https://me:canary@hooks.example/x",
        "https://hooks.example:8443/x?token=canary#canary",
        "https://hooks.example/\x00canary",
    ],
)
def test_of_the_address_of_a_webhook_only_the_host_is_kept(url: str) -> None:
    kept = webhook({"id": 1, "active": True, "config": {"url": url, "secret": "********", "insecure_ssl": "0"}})
    assert "canary" not in repr(kept)
    assert (kept["host"], kept["has_secret"], kept["insecure_ssl"]) == ("hooks.example", True, False)


@pytest.mark.parametrize("raw", [None, 7, [], {}, {"config": 7}, {"config": {"url": "https://[canary"}}])
def test_a_bent_webhook_is_passed_on_without_its_address(raw: Any) -> None:
    assert "canary" not in repr(webhook(raw))


@pytest.mark.parametrize(("config", "has_secret"), [({"secret": "****"}, True), ({}, False), (None, None)])
def test_a_webhook_whose_configuration_is_not_shown_may_have_a_secret(config: Any, has_secret: bool | None) -> None:
    assert webhook({"id": 1, "config": config}).get("has_secret") is has_secret


def test_only_what_is_understood_is_kept_and_what_is_no_object_is_passed_on() -> None:
    assert only({"name": "A", "value": "canary", "id": 1}, ("name", "id", "absent")) == {"name": "A", "id": 1}
    assert only(["name"], ("name",)) == ["name"]
