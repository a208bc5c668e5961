"""The simulated organisation itself: it pages, counts, hides, refuses and forgets as GitHub does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import NOW
from wardship.sdk.clock import SimClock
from wardship.sim.github import READER, GitHubOrganisation
from wardship.sim.github_small import made_up, populate_small

API = "https://api.github.com"


@pytest.fixture
def acme() -> GitHubOrganisation:
    made = GitHubOrganisation(clock=SimClock(NOW))
    made.grant("t", *READER.split())
    return made


def ask(acme: GitHubOrganisation, path: str, token: str = "t", **params: Any) -> httpx.Response:
    with httpx.Client(transport=acme.httpx_transport(), headers={"authorization": f"Bearer {token}"}) as client:
        return client.get(path if "://" in path else API + path, params=params or None)


def test_lists_have_pages_that_together_are_everything(acme: GitHubOrganisation) -> None:
    made_up(65, acme)
    seen: list[str] = []
    url: str | None = "/orgs/acme/repos"
    while url:
        page = ask(acme, url)
        seen += [row["full_name"] for row in page.json()]
        url = page.links.get("next", {}).get("url")
    assert len(set(seen)) == len(seen) == 65
    assert len(ask(acme, "/orgs/acme/repos", per_page=100).json()) == 65
    assert ask(acme, "/orgs/acme/repos", per_page=101).status_code == 400


def test_a_list_in_a_field_counts_itself_and_variables_come_thirty_at_a_time(acme: GitHubOrganisation) -> None:
    shop = acme.add_repository("shop")
    for number in range(35):
        acme.add_variable(f"V_{number}", "x", repository=shop)
    body = ask(acme, "/repos/acme/shop/actions/variables", per_page=30).json()
    assert (body["total_count"], len(body["variables"])) == (35, 30)
    assert ask(acme, "/repos/acme/shop/actions/variables", per_page=31).status_code == 400


def test_names_of_repositories_know_no_case(acme: GitHubOrganisation) -> None:
    acme.add_deploy_key(acme.add_repository("Shop"), "ci")
    assert len(ask(acme, "/repos/ACME/shop/keys").json()) == 1


def test_what_is_gone_is_gone(acme: GitHubOrganisation) -> None:
    shop = acme.add_repository("shop")
    key = acme.add_deploy_key(shop, "ci")
    acme.add_member("mruiz")
    acme.remove_deploy_key(shop, key)
    acme.remove_member("mruiz")
    assert ask(acme, "/repos/acme/shop/keys").json() == []
    assert ask(acme, "/orgs/acme/members/mruiz").status_code == 404


def test_an_alert_shows_its_secret_unless_it_is_asked_not_to(acme: GitHubOrganisation) -> None:
    populate_small(acme)
    assert "secret" in ask(acme, "/orgs/acme/secret-scanning/alerts").json()[0]
    assert "secret" not in ask(acme, "/orgs/acme/secret-scanning/alerts", hide_secret="true").json()[0]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/orgs/other/repos", 404), ("/repos/acme/none/keys", 404), ("/apps/none", 404), ("/nowhere", 404)],
)
def test_what_is_not_there_is_not_found(acme: GitHubOrganisation, path: str, status: int) -> None:
    assert ask(acme, path).status_code == status


def test_a_token_opens_what_it_was_granted_and_no_more(acme: GitHubOrganisation) -> None:
    acme.grant("narrow", "members:read")
    assert ask(acme, "/orgs/acme/members", token="narrow").status_code == 200
    assert ask(acme, "/orgs/acme/repos", token="narrow").status_code == 403
    assert ask(acme, "/orgs/acme/repos", token="none").status_code == 401


def test_the_same_script_makes_the_same_organisation() -> None:
    made = [GitHubOrganisation(clock=SimClock(NOW)) for _ in range(2)]
    for one in made:
        populate_small(one)
    assert made[0].lists == made[1].lists
