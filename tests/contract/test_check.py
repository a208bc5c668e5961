"""The contract check itself must bite: each probe is a mistake that a connector or simulator could make."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.check import Contract, Violation
from tests.contract.fixtures import description

GITHUB_KEY = {
    "id": 1,
    "key": "ssh-ed25519 AAAA",
    "url": "https://api.github.com/repos/o/r/keys/1",
    "title": "deploy",
    "verified": True,
    "created_at": "2024-01-01T00:00:00Z",
    "read_only": False,
    "added_by": "alice",
    "last_used": None,
    "enabled": True,
}
PRINCIPAL = {
    "id": "1",
    "appId": "a",
    "accountEnabled": True,
    "passwordCredentials": [
        {"keyId": "00000000-0000-4000-8000-000000000001", "endDateTime": "2027-01-01T00:00:00Z"},
    ],
}
SEEDS: Mapping[str, Any] = {
    "/repos/o/r/keys": [GITHUB_KEY],
    "/v1.0/servicePrincipals": {"value": [PRINCIPAL], "@odata.context": "x"},
    "/v1.0/servicePrincipals/1": PRINCIPAL,
    "/v1.0/servicePrincipals/1/owners": {
        "value": [{"@odata.type": "#microsoft.graph.user", "id": "u", "displayName": "Ada", "accountEnabled": True}]
    },
    "/v1.0/servicePrincipals/microsoft.graph.agentIdentity": {
        "value": [{"id": "g", "agentIdentityBlueprintId": "b", "owners": []}]
    },
    "/services/data/v62.0/query": {"totalSize": 0, "done": True, "records": []},
}


def answer(request: httpx.Request) -> httpx.Response:
    if request.method in ("PATCH", "DELETE") or request.url.path.endswith("removePassword"):
        return httpx.Response(204)
    body = SEEDS.get(request.url.path)
    return httpx.Response(404) if body is None else httpx.Response(200, json=body)


Client = Callable[[str], httpx.Client]


class Probe:
    """A client of one vendor through the check, with a credential."""

    def __init__(self, *names: str, host: str, answers: Callable[[httpx.Request], httpx.Response] = answer) -> None:
        self.contract = Contract([description(name) for name in names])
        self.client = httpx.Client(
            transport=self.contract.transport(httpx.MockTransport(answers)),
            base_url=f"https://{host}",
            headers={"authorization": "Bearer x"},
        )

    def blames(self) -> str:
        with pytest.raises(Violation) as caught:
            self.contract.check()
        return str(caught.value)


@pytest.fixture
def github(shared: Path) -> Probe:
    return Probe("github", host="api.github.com")


@pytest.fixture
def graph(shared: Path) -> Probe:
    return Probe("graph", "graph-beta", host="graph.microsoft.com")


def test_a_described_call_and_a_described_read_pass(github: Probe) -> None:
    found = github.client.get("/repos/o/r/keys", params={"per_page": 100}).json()
    assert found[0]["last_used"] is None
    github.contract.expect("GET /repos/{owner}/{repo}/keys")
    github.contract.check()


def test_reading_a_field_that_the_vendor_does_not_describe_fails(github: Probe) -> None:
    github.client.get("/repos/o/r/keys").json()[0].get("last_used_at")
    assert "reads field 'last_used_at'" in github.blames()


@pytest.mark.parametrize(
    "read",
    [
        lambda row: row.get("nope"),
        lambda row: "nope" in row,
        lambda row: row.pop("nope", None),
        lambda row: row["nope"] if row.get("nope") else None,
    ],
    ids=["get", "in", "pop", "item"],
)
def test_every_way_of_reading_is_seen(github: Probe, read: Callable[[Any], object]) -> None:
    read(github.client.get("/repos/o/r/keys").json()[0])
    assert "'nope'" in github.blames()


def test_what_was_read_may_be_stored_as_plain_data(github: Probe) -> None:
    row = github.client.get("/repos/o/r/keys").json()[0]
    assert type(copy.deepcopy(row)) is dict
    assert pickle.loads(pickle.dumps(row)) == GITHUB_KEY
    assert json.loads(json.dumps(row)) == GITHUB_KEY
    github.contract.check()


@pytest.mark.parametrize(
    ("ask", "blame"),
    [
        (lambda c: c.get("/repos/o/r/deploy-keys"), "unknown path"),
        (lambda c: c.patch("/repos/o/r/keys", json={}), "method PATCH is not described"),
        (lambda c: c.get("/repos/o/r/keys", params={"perpage": 5}), "unknown query parameter 'perpage'"),
        (lambda c: c.get("/repos/o/r/keys", params={"per_page": "abc"}), "query parameter 'per_page'"),
        (lambda c: c.post("/repos/o/r/keys", json={"title": "x"}), '"key" is a required property'),
        (lambda c: c.post("/repos/o/r/keys", json={"key": "k", "readonly": True}), "'readonly' was unexpected"),
        (lambda c: c.post("/repos/o/r/keys", json={"key": 7}), 'is not of type "string"'),
        (lambda c: c.post("/repos/o/r/keys"), "the body is missing"),
        (lambda c: c.post("/repos/o/r/keys", content=b"{", headers={"content-type": "application/json"}), "not JSON"),
        (lambda c: c.post("/repos/o/r/keys", data={"key": "k"}), "content type"),
        (lambda c: c.request("GET", "/repos/o/r/keys", json={"a": 1}), "takes no body"),
        (lambda c: c.get("https://elsewhere.example/repos/o/r/keys"), "is not described"),
    ],
)
def test_a_wrong_request_to_github_is_refused(github: Probe, ask: Callable[[Any], httpx.Response], blame: str) -> None:
    assert ask(github.client).status_code == 422  # it never reaches the simulator
    assert blame in github.blames()


def test_a_missing_credential_is_refused(github: Probe) -> None:
    del github.client.headers["authorization"]
    github.client.get("/orgs/o/installations")
    assert "no credential header" in github.blames()


def test_an_invented_field_in_a_seed_is_refused(shared: Path) -> None:
    probe = Probe(
        "github",
        host="api.github.com",
        answers=lambda _request: httpx.Response(200, json=[{**GITHUB_KEY, "lastUsed": "x"}]),
    )
    probe.client.get("/repos/o/r/keys")
    assert "'lastUsed' was unexpected" in probe.blames()


@pytest.mark.parametrize(
    ("response", "blame"),
    [
        (httpx.Response(200, json=[{**GITHUB_KEY, "id": "one"}]), 'is not of type "integer"'),
        (httpx.Response(200, json={"keys": []}), 'is not of type "array"'),
        (httpx.Response(200, content=b"<html>"), "not JSON"),
        (httpx.Response(302, json=[]), "status 302, which is not described"),
    ],
)
def test_a_wrong_answer_of_a_simulator_is_refused(shared: Path, response: httpx.Response, blame: str) -> None:
    probe = Probe("github", host="api.github.com", answers=lambda _request: response)
    probe.client.get("/repos/o/r/keys")
    assert blame in probe.blames()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_refusal_that_any_system_may_give_passes(shared: Path, status: int) -> None:
    probe = Probe("github", host="api.github.com", answers=lambda _request: httpx.Response(status, json={}))
    assert probe.client.get("/repos/o/r/keys").status_code == status
    probe.contract.check()


def test_good_odata_passes(graph: Probe) -> None:
    found = graph.client.get(
        "/v1.0/servicePrincipals",
        params={
            "$select": "id,appId,passwordCredentials",
            "$filter": "servicePrincipalType eq 'Application' and tags/any(t: t eq 'kind eq 3')",
            "$top": "100",
        },
    ).json()
    assert found["value"][0]["passwordCredentials"][0]["endDateTime"]
    assert found.get("@odata.nextLink") is None
    graph.client.patch("/v1.0/servicePrincipals/1", json={"accountEnabled": False})
    agents = graph.client.get("/v1.0/servicePrincipals/microsoft.graph.agentIdentity").json()["value"]
    assert agents[0]["agentIdentityBlueprintId"] == "b"
    graph.contract.check()


@pytest.mark.parametrize(
    ("ask", "blame"),
    [
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$select": "id,lastSignIn"}), "'$select'"),
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$filter": "kind eq 'x'"}), "unknown property 'kind'"),
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$filter": "a/any(t: t eq 'x')"}), "unknown property 'a'"),
        (
            lambda c: c.get("/v1.0/servicePrincipals", params={"$filter": "startswith(nom,'x')"}),
            "unknown property 'nom'",
        ),
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$expand": "owner"}), "'$expand'"),
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$orderby": "age desc"}), "'$orderby'"),
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$selct": "id"}), "unknown query parameter"),
        (lambda c: c.get("/v1.0/servicePrincipals", params={"$top": "5000"}), "'$top'"),
        (
            lambda c: c.get("/v1.0/servicePrincipals", headers={"ConsistencyLevel": "strong"}),
            "'consistencylevel'",
        ),
        (lambda c: c.post("/v1.0/applications/1/removePassword", json={}), '"keyId" is a required property'),
        (lambda c: c.patch("/v1.0/servicePrincipals/1", json={"enabled": False}), "'enabled' was unexpected"),
        (lambda c: c.patch("/v1.0/servicePrincipals/1", json={"accountEnabled": "no"}), "accountEnabled"),
        (lambda c: c.get("/beta/servicePrincipals"), "unknown path"),
    ],
)
def test_a_wrong_request_to_graph_is_refused(graph: Probe, ask: Callable[[Any], httpx.Response], blame: str) -> None:
    assert ask(graph.client).status_code == 422
    assert blame in graph.blames()


def test_reading_an_undescribed_nested_field_fails(graph: Probe) -> None:
    graph.client.get("/v1.0/servicePrincipals").json()["value"][0]["passwordCredentials"][0].get("lastUsed")
    assert "reads field 'lastUsed' at .value[].passwordCredentials[]" in graph.blames()


def test_an_object_is_read_as_the_type_that_it_names(graph: Probe) -> None:
    owner = graph.client.get("/v1.0/servicePrincipals/1/owners").json()["value"][0]
    assert owner["displayName"] == "Ada"
    graph.contract.check()
    owner.get("shoeSize")
    assert "'shoeSize'" in graph.blames()


def test_reading_what_no_select_asked_for_fails(graph: Probe) -> None:
    for fields in ("id,appId", "id,displayName"):
        row = graph.client.get("/v1.0/servicePrincipals", params={"$select": fields}).json()["value"][0]
        row.get("appId"), row.get("displayName")
    graph.contract.check()
    row.get("notes")
    assert "reads ['notes'], which no $select" in graph.blames()


def test_salesforce_queries_are_read(shared: Path) -> None:
    probe = Probe("salesforce", host="example.my.salesforce.com")
    path = "/services/data/v62.0/query"
    probe.client.get(path, params={"q": "SELECT Id, AppName, LastUsedDate, UseCount FROM OauthToken"})
    probe.contract.check()
    probe.client.get(path, params={"q": "SELECT Id, LastUsed FROM OauthToken"})
    assert "no field 'LastUsed'" in probe.blames()


def test_a_declared_operation_must_be_called_and_exist(github: Probe) -> None:
    github.contract.expect("GET /repos/{owner}/{repo}/keys", "GET /repos/{owner}/keyring")
    blames = github.blames()
    assert "GET /repos/{owner}/{repo}/keys was declared and never called" in blames
    assert "GET /repos/{owner}/keyring: declared and is not in the description" in blames


def test_an_undescribed_host_passes_only_by_name(shared: Path) -> None:
    held = Contract([description("graph")], undescribed=["login.microsoftonline.com"])
    client = httpx.Client(transport=held.transport(httpx.MockTransport(lambda _request: httpx.Response(200))))
    assert client.post("https://login.microsoftonline.com/t/oauth2/v2.0/token").status_code == 200
    held.check()


class _Simulated:
    @staticmethod
    def handle(request: httpx.Request) -> httpx.Response:
        return answer(request)


def test_the_loopback_front_end_checks_too(shared: Path) -> None:
    held = Contract([description("graph")])
    with held.serve(_Simulated()) as url, httpx.Client(base_url=url, headers={"authorization": "Bearer x"}) as client:
        assert client.get("/v1.0/servicePrincipals").json()["value"][0]["id"] == "1"
        held.check()
        assert client.get("/v1.0/servicePrincipals", params={"$selct": "id"}).status_code == 422
    with pytest.raises(Violation):
        held.check()


def test_the_fixture_fails_a_test_whose_connector_swallowed_the_refusal(
    shared: Path, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest("pytest_plugins = ['tests.contract.fixtures']")
    pytester.makepyfile(
        """
        import httpx

        def test_swallows(contract):
            held = contract("github")
            client = httpx.Client(transport=held.transport(httpx.MockTransport(lambda r: httpx.Response(200, json=[]))))
            client.get("https://api.github.com/nowhere")

        def test_is_good(contract):
            held = contract("github")
            client = httpx.Client(transport=held.transport(httpx.MockTransport(lambda r: httpx.Response(200, json=[]))))
            client.get("https://api.github.com/repos/o/r/keys", headers={"authorization": "Bearer x"})
        """
    )
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*unknown path /nowhere*", "contract github: 1 operations called and held to it"])


def test_without_the_descriptions_the_summary_says_what_was_not_checked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.contract import fixtures

    monkeypatch.setattr(fixtures, "CONTRACTS", tmp_path / "absent")
    pytester.makeconftest("pytest_plugins = ['tests.contract.fixtures']")
    pytester.makepyfile("def test_runs(contract):\n    assert contract('github').wire('simulator') == 'simulator'")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["contract not checked: 1 tests of github*"])
