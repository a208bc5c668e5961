"""The simulated tenant itself: it pages, cuts, refuses and forgets as Graph does, and is quick to fill."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import NOW
from wardship.sdk.clock import SimClock
from wardship.sim.entra import READER_ROLES, EntraTenant
from wardship.sim.entra_small import made_up, populate_small

GRAPH = "https://graph.microsoft.com"


@pytest.fixture
def sim() -> EntraTenant:
    tenant = EntraTenant(clock=SimClock(NOW))
    tenant.grant("t", *READER_ROLES.split())
    return tenant


def ask(sim: EntraTenant, path: str, **params: Any) -> httpx.Response:
    with httpx.Client(transport=sim.httpx_transport(), headers={"authorization": "Bearer t"}) as client:
        return client.get(path if "://" in path else GRAPH + path, params=params or None)


def test_a_list_is_cut_into_pages_that_together_are_everything(sim: EntraTenant) -> None:
    made_up(25, sim)
    seen: list[str] = []
    path, params = "/v1.0/applications", {"$select": "id", "$top": 10}
    pages = 0
    while path:
        body = ask(sim, path, **params).json()
        seen += [row["id"] for row in body["value"]]
        path, params, pages = body.get("@odata.nextLink", ""), {}, pages + 1
    assert pages == 3
    assert len(set(seen)) == len(seen) == 25


def test_an_expanded_relationship_is_cut_at_twenty_without_a_word(sim: EntraTenant) -> None:
    people = [sim.add_user(f"P{n}", f"p{n}@x.example") for n in range(30)]
    app = sim.add_application("a", owners=people)
    [row] = ask(sim, "/v1.0/applications", **{"$expand": "owners"}).json()["value"]
    assert len(row["owners"]) == 20
    assert len(ask(sim, f"/v1.0/applications/{app.id}/owners").json()["value"]) == 30


@pytest.mark.parametrize(
    ("text", "names"),
    [("id in ('{a}','{b}')", {"A", "B"}), ("displayName eq 'A' or displayName eq 'C'", {"A", "C"})],
)
def test_filters_with_or_and_in(sim: EntraTenant, text: str, names: set[str]) -> None:
    a, b, _c = (sim.add_user(name, f"{name}@x.example") for name in "ABC")
    found = ask(sim, "/v1.0/users", **{"$filter": text.format(a=a, b=b)}).json()["value"]
    assert {row["displayName"] for row in found} == names


def test_a_filter_that_is_not_understood_is_refused(sim: EntraTenant) -> None:
    sim.add_user("A", "a@x.example")
    refused = ask(sim, "/v1.0/users", **{"$filter": "startswith(displayName,'a') or x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "Request_UnsupportedQuery")


def test_nothing_private_is_shown(sim: EntraTenant) -> None:
    populate_small(sim)
    for path in ("/v1.0/applications", "/v1.0/servicePrincipals"):
        text = ask(sim, path).text
        assert "sim~" not in text
        assert '"_' not in text


def test_a_token_carries_what_was_granted_in_the_tenant_and_ends(sim: EntraTenant) -> None:
    connection = sim.connection(roles="Application.Read.All")
    form = {
        "grant_type": "client_credentials",
        "client_id": connection.settings["client_id"],
        "client_secret": connection.secret("client_secret").reveal(),
    }
    url = f"https://login.microsoftonline.com/{sim.tenant_id}/oauth2/v2.0/token"
    with httpx.Client(transport=sim.httpx_transport()) as client:
        token = client.post(url, data=form).json()["access_token"]
        assert client.post(url, data={**form, "client_secret": "x"}).status_code == 401
        assert client.post(url.replace(sim.tenant_id, "other"), data=form).status_code == 400
        headers = {"authorization": f"Bearer {token}"}
        assert client.get(f"{GRAPH}/v1.0/applications", headers=headers).status_code == 200
        assert client.get(f"{GRAPH}/v1.0/users", headers=headers).status_code == 403
        assert isinstance(sim.clock, SimClock)
        sim.clock.sleep(3601)
        assert client.get(f"{GRAPH}/v1.0/applications", headers=headers).status_code == 401


def test_the_log_forgets_after_its_days(sim: EntraTenant) -> None:
    sp = sim.add_service_principal("s")
    maria = sim.add_user("M", "m@x.example")
    sim.consent(sp, "Mail.Read", by=maria, at=NOW - timedelta(days=31))
    sim.consent(sp, "User.Read", by=maria, at=NOW - timedelta(days=29))
    assert len(ask(sim, "/v1.0/auditLogs/directoryAudits").json()["value"]) == 1


def test_the_same_script_gives_the_same_tenant() -> None:
    first, second = (EntraTenant(clock=SimClock(NOW)) for _ in range(2))
    assert populate_small(first) == populate_small(second)
    assert first.apps.visible() == second.apps.visible()


def test_thirty_thousand_identities_are_made_and_listed_in_seconds(sim: EntraTenant) -> None:
    began = time.process_time()
    made_up(15_000, sim)
    made_s = time.process_time() - began
    began = time.process_time()
    path, params, rows = "/v1.0/servicePrincipals", {"$select": "id,appId", "$top": 999}, 0
    while path:
        body = ask(sim, path, **params).json()
        rows, path, params = rows + len(body["value"]), body.get("@odata.nextLink", ""), {}
    assert rows == 15_000
    assert made_s < 30
    assert time.process_time() - began < 30
