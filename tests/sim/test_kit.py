"""The simulator kit: state, paging, tokens, faults, lag and both front ends, tried on a small invented system."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from wardship.model.errors import ConfigError
from wardship.sim.kit import (
    Answer,
    Call,
    CursorPages,
    LinkPages,
    ODataPages,
    Refuse,
    SimClock,
    Simulator,
    Words,
    Wrong,
)

HOST = "https://sim.example"
ROWS = [{"id": f"a{n}", "name": f"App {n}", "on": n % 2 == 0, "_inner": n, "by": {"id": n % 3}} for n in range(10)]


@pytest.fixture
def sim_clock() -> SimClock:
    return SimClock(datetime(2026, 11, 22, 8, 0, tzinfo=UTC))


@pytest.fixture
def sim(sim_clock: SimClock) -> Simulator:
    words = Words(codes={401: "InvalidAuthenticationToken", 403: "Authorization_RequestDenied", 429: "TooManyRequests"})
    made = Simulator("sim", clock=sim_clock, hosts=("sim.example",), words=words)
    apps = made.table("apps", rows=ROWS)
    made.list(
        "/odata/apps", apps, scope="read", paging=ODataPages(size=4, expand={"owners": lambda row: [{"of": row["id"]}]})
    )
    made.get("/odata/apps/{id}", apps, scope="read", paging=ODataPages())
    made.patch("/odata/apps/{id}", apps, scope="write")
    made.delete("/odata/apps/{id}", apps, scope="write")
    made.list("/linked", apps, scope="read", paging=LinkPages(size=4))
    made.list("/cursored", apps, scope="read", paging=CursorPages(size=4, more="has_more"))
    made.list("/whole", lambda call: [{"who": call.client}], public=False)

    @made.on("POST", "/odata/apps", scope=("write", "admin"))
    def create(call: Call) -> Any:
        if "name" not in call.body:
            raise Refuse(400, "BadRequest", "name is missing")
        return Answer(201, apps.put({"id": "new", **call.body}))

    made.grant("reader", "read", client="ada")
    made.grant("writer", "read", "write", life_s=3600.0)
    return made


def client(sim: Simulator, token: str = "writer") -> httpx.Client:
    return httpx.Client(
        transport=sim.httpx_transport(), base_url=HOST, headers={"authorization": f"Bearer {token}"} if token else {}
    )


def _odata(http: httpx.Client, path: str) -> list[Any]:
    rows, url = [], path
    while url:
        body = http.get(url).json()
        rows += body["value"]
        url = body.get("@odata.nextLink", "")
    return rows


def _linked(http: httpx.Client, path: str) -> list[Any]:
    rows, url = [], path
    while url:
        answer = http.get(url)
        rows += answer.json()
        url = answer.links.get("next", {}).get("url", "")
    return rows


def _cursored(http: httpx.Client, path: str) -> list[Any]:
    body = http.get(path).json()
    rows = body["items"]
    while body["has_more"]:
        body = http.get(path, params={"cursor": body["next_cursor"]}).json()
        rows += body["items"]
    return rows


@pytest.mark.parametrize(("read", "path"), [(_odata, "/odata/apps"), (_linked, "/linked"), (_cursored, "/cursored")])
@pytest.mark.parametrize("cap", [None, 1, 3])
def test_every_style_hands_out_every_row_once(
    sim: Simulator, read: Callable[[httpx.Client, str], list[Any]], path: str, cap: int | None
) -> None:
    sim.page_cap = cap
    assert [row["id"] for row in read(client(sim), path)] == [f"a{n}" for n in range(10)]
    assert len(sim.calls) == {None: 3, 1: 10, 3: 4}[cap]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("$filter=name eq 'App 3'", ["a3"]),
        ("$filter=on eq true and by/id eq 0", None),
        ("$filter=startswith(name,'App 1')", ["a1"]),
        ("$filter=name ne 'App 3'", [f"a{n}" for n in range(10) if n != 3]),
        ("$filter=name eq 'a and b''s'", []),
        ("$top=2", [f"a{n}" for n in range(10)]),
    ],
)
def test_odata_options_are_understood(sim: Simulator, query: str, ids: list[str] | None) -> None:
    found = [row["id"] for row in _odata(client(sim), f"/odata/apps?{query}")]
    assert found == (ids if ids is not None else [])  # by/id eq 0 compares with a number as text: none


def test_odata_selects_expands_counts_and_hides_what_is_ours(sim: Simulator) -> None:
    http = client(sim)
    body = http.get("/odata/apps", params={"$select": "id", "$expand": "owners($select=id)", "$count": "true"}).json()
    assert body["value"][0] == {"id": "a0", "owners": [{"of": "a0"}]}
    assert body["@odata.count"] == 10
    assert "_inner" not in http.get("/odata/apps/a1").json()


@pytest.mark.parametrize(
    "query",
    ["$filter=contains(name,'x')", "$filter=name gt 3", "$expand=nothing", "$top=0", "$top=x", "$skiptoken=%25"],
)
def test_what_is_not_understood_is_refused_and_not_ignored(sim: Simulator, query: str) -> None:
    assert client(sim).get(f"/odata/apps?{query}").status_code == 400


def test_state_really_changes(sim: Simulator) -> None:
    http = client(sim)
    assert http.patch("/odata/apps/a1", json={"name": "New"}).status_code == 204
    assert http.get("/odata/apps/a1").json()["name"] == "New"
    assert http.delete("/odata/apps/a2").status_code == 204
    assert http.delete("/odata/apps/a2").status_code == 404
    assert http.get("/odata/apps/a2").status_code == 404
    assert http.post("/odata/apps", json={"name": "Born"}).status_code == 201
    assert [row["id"] for row in _odata(http, "/odata/apps")][-1] == "new"
    assert http.post("/odata/apps", json={}).json()["error"]["code"] == "BadRequest"


def test_rows_are_copies(sim: Simulator) -> None:
    sim.tables["apps"].visible()[0]["name"] = "changed outside"
    row = sim.tables["apps"].current("a0")
    assert row is not None
    row["by"]["id"] = "changed outside"
    assert sim.tables["apps"].current("a0") == ROWS[0]


def test_tokens_and_scopes_decide_in_the_vendors_words(sim: Simulator, sim_clock: SimClock) -> None:
    assert client(sim, "").get("/odata/apps").json()["error"]["code"] == "InvalidAuthenticationToken"
    assert client(sim, "wrong").get("/odata/apps").status_code == 401
    refused = client(sim, "reader").patch("/odata/apps/a1", json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert client(sim, "reader").get("/whole").json() == [{"who": "ada"}]
    assert client(sim).get("/odata/apps").status_code == 200
    sim_clock.sleep(3600.0)
    assert client(sim).get("/odata/apps").status_code == 401
    assert client(sim, "reader").get("/odata/apps").status_code == 200


def test_a_holder_may_stop_working(sim: Simulator) -> None:
    sim.holder_works = lambda holder: holder != "ada"
    assert client(sim, "reader").get("/whole").status_code == 401


def test_others_see_a_write_after_the_lag(sim: Simulator, sim_clock: SimClock) -> None:
    sim.lag_s = 10.0
    http = client(sim)
    http.patch("/odata/apps/a1", json={"name": "New"})
    http.delete("/odata/apps/a2")
    assert http.get("/odata/apps/a1").json()["name"] == "App 1"
    assert http.get("/odata/apps/a2").status_code == 200
    assert http.delete("/odata/apps/a2").status_code == 404  # who writes meets the newest state
    sim_clock.sleep(10.0)
    assert http.get("/odata/apps/a1").json()["name"] == "New"
    assert http.get("/odata/apps/a2").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (Wrong.THROTTLE, 429),
        (Wrong.UNAVAILABLE, 503),
        (Wrong.FORBIDDEN, 403),
        (Wrong.UNAUTHORIZED, 401),
        (Wrong.EXPIRED_PAGE, 400),
    ],
)
def test_a_fault_comes_at_its_call_and_no_other(sim: Simulator, wrong: Wrong, status: int) -> None:
    sim.faults.add(wrong, "GET /odata", nth=2, times=2, retry_after="9")
    http = client(sim)
    http.get("/linked")
    answers = [http.get("/odata/apps") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, status, status, 200]
    assert answers[1].headers["retry-after"] == "9"
    assert [call.status for call in sim.calls] == [200, 200, status, status, 200]
    assert len(sim.faults.happened) == 2


def test_faults_on_the_wire(sim: Simulator, sim_clock: SimClock) -> None:
    http = client(sim)
    for wrong, error in (
        (Wrong.UNREACHABLE, httpx.ConnectError),
        (Wrong.LOST, httpx.ReadTimeout),
        (Wrong.CUT, httpx.RemoteProtocolError),
    ):
        sim.faults.clear()
        sim.faults.add(wrong)
        with pytest.raises(error):
            http.get("/odata/apps")
    sim.faults.clear()
    sim.faults.add(Wrong.GARBAGE)
    with pytest.raises(ValueError, match="Expecting"):
        http.get("/odata/apps").json()
    sim.faults.add(Wrong.SLOW, seconds=45.0)
    before = sim_clock()
    assert http.get("/odata/apps").status_code == 200
    assert (sim_clock() - before).total_seconds() == 45.0


def test_an_answer_that_is_lost_was_acted_upon(sim: Simulator) -> None:
    sim.faults.add(Wrong.LOST, "POST")
    with pytest.raises(httpx.ReadTimeout):
        client(sim).post("/odata/apps", json={"name": "Born"})
    assert sim.tables["apps"].current("new") is not None


@pytest.mark.parametrize("path", ["/odata/apps", "/linked", "/cursored"])
def test_a_system_may_lie_about_its_lists(sim: Simulator, path: str) -> None:
    read = {"/odata/apps": _odata, "/linked": _linked, "/cursored": _cursored}[path]
    sim.faults.add(Wrong.EMPTY)
    assert read(client(sim), path) == []
    sim.faults.clear()
    sim.faults.add(Wrong.SHORT)
    assert len(read(client(sim), path)) == 2  # half of the first page, and no way on


def test_an_unknown_path_and_an_unknown_host_are_not_answered(sim: Simulator) -> None:
    http = client(sim)
    assert http.get("/nowhere").status_code == 404
    assert sim.calls[-1].template is None
    with pytest.raises(httpx.ConnectError):
        http.get("https://elsewhere.example/odata/apps")


def test_the_template_with_the_most_literal_text_wins(sim: Simulator) -> None:
    @sim.on("GET", "/odata/apps/special", scope="read")
    def special(call: Call) -> Any:
        return {"path": dict(call.path)}

    assert client(sim).get("/odata/apps/special").json() == {"path": {}}
    assert client(sim).get("/odata/apps/a1").json()["id"] == "a1"


def test_the_loopback_front_end_is_the_same_system(sim: Simulator) -> None:
    with sim.serve() as url, httpx.Client(base_url=url, headers={"authorization": "Bearer writer"}) as http:
        assert [row["id"] for row in _odata(http, "/odata/apps")] == [f"a{n}" for n in range(10)]
        assert http.patch("/odata/apps/a1", json={"name": "New"}).status_code == 204
        assert http.get("/odata/apps/a1").json()["name"] == "New"
        sim.faults.add(Wrong.CUT)
        with pytest.raises(httpx.RemoteProtocolError):
            http.get("/odata/apps")
    assert client(sim).get("/odata/apps/a1").json()["name"] == "New"


def test_an_unreadable_body_is_refused(sim: Simulator) -> None:
    answer = client(sim).post("/odata/apps", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_botocore_is_not_its_language(sim: Simulator) -> None:
    with pytest.raises(ConfigError):
        sim.prepare_botocore(object())
