"""The simulator kit: a system in memory whose state really changes, declared in a page.

    def graph(clock) -> Simulator:
        sim = Simulator("graph", clock=clock, hosts=("graph.microsoft.com",), words=GRAPH_WORDS)
        apps = sim.table("applications", key="id", rows=[...])
        sim.list("/v1.0/applications", apps, scope="Application.Read.All", paging=ODataPages())
        sim.get("/v1.0/applications/{id}", apps, scope="Application.Read.All")

        @sim.on("POST", "/v1.0/applications/{id}/addPassword", scope="Application.ReadWrite.All")
        def add_password(call: Call) -> Any: ...

A vendor's module in `wardship/sim/` is such declarations. Two front ends serve it: `httpx_transport()` in this process,
and `serve()` on a loopback port. Faults are scheduled on `sim.faults`, tokens and their scopes are `sim.tokens`, every
call is in `sim.calls`, and writes are seen by readers only after `lag_s` seconds of the given clock.
Everything a vendor's module needs is imported from here.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from wardship.model.errors import ConfigError
from wardship.sdk.clock import SimClock
from wardship.sim.exchange import Answer, Call, Refuse
from wardship.sim.faults import Fault, Faults, Wrong
from wardship.sim.pages import CursorPages, LinkPages, ODataPages, Pages, WholeList
from wardship.sim.tables import Row, Table

__all__ = [
    "Answer",
    "Call",
    "CursorPages",
    "Fault",
    "LinkPages",
    "ODataPages",
    "Pages",
    "Refuse",
    "Row",
    "SimClock",
    "Simulator",
    "Table",
    "WholeList",
    "Words",
    "Wrong",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One line of the call log."""

    method: str
    path: str
    template: str | None  # None: no such route
    query: Mapping[str, str]
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantee:
    """Who holds a token and what it allows, until when (None: for ever)."""

    client: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a vendor words an error: `body` makes it of (status, code, message); `codes` are its usual codes."""

    body: Callable[[int, str, str], Any] = lambda _status, code, message: {"error": {"code": code, "message": message}}
    codes: Mapping[int, str] = field(default_factory=dict)
    token_header: str = "authorization"  # noqa: S105 - a header's name
    token_prefix: str = "Bearer "  # noqa: S105 - not a token


Handler = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    template: str
    pattern: re.Pattern[str]
    literal: int
    scopes: frozenset[str] | None  # any one of them; empty: any valid token; None: public
    handler: Handler


class Simulator:
    """A simulated system. It is a `sdk.connector.Wire`. `hosts` are the names it answers to in this process."""

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime],
        hosts: Sequence[str],
        words: Words = Words(),
        lag_s: float = 0.0,
    ) -> None:
        self.name, self.clock, self.hosts, self.words, self.lag_s = name, clock, tuple(hosts), words, lag_s
        self.tables: dict[str, Table] = {}
        self.tokens: dict[str, Grantee] = {}
        self.calls: list[Logged] = []
        self.faults = Faults()
        self.page_cap: int | None = None  # smaller pages than asked for, as every system may give
        self.holder_works: Callable[[str], bool] = lambda _client: True  # whether this client's tokens are good now
        self._routes: list[_Route] = []
        self._lock = threading.RLock()

    # -------------------------------------------------------------- declarations

    def table(self, name: str, *, key: str = "id", rows: Iterable[Row] = ()) -> Table:
        """A table of rows by their `key`; what is written later is seen after the lag."""
        made = Table(name, key=key, clock=self.clock, lag_s=lambda: self.lag_s)
        for row in rows:
            made.seed(row)
        self.tables[name] = made
        return made

    def grant(self, token: str, *scopes: str, client: str = "client", life_s: float | None = None) -> None:
        """Lets `token` in with these scopes, for `life_s` seconds (None: for ever)."""
        ends = None if life_s is None else self.clock() + timedelta(seconds=life_s)
        self.tokens[token] = Grantee(client=client, scopes=frozenset(scopes), expires_at=ends)

    def on(
        self, method: str, template: str, *, scope: str | Sequence[str] | None = (), public: bool = False
    ) -> Callable[[Handler], Handler]:
        """Declares the route of the decorated function. It returns JSON, an `Answer`, or raises `Refuse`.

        `scope`: the scope, or any one of several, that the token needs; `public`: no token is asked for.
        A {name} of the template is one part of the path, a {*name} any number of them, also none.
        """
        needed = None if public else frozenset((scope,) if isinstance(scope, str) else scope or ())
        parts = re.split(r"(\{\*?\w+\})", template)
        pattern = "".join(_part(p) for p in parts)
        literal = sum(len(p) for p in parts if p[:1] != "{")

        def declare(handler: Handler) -> Handler:
            self._routes.append(_Route(method.upper(), template, re.compile(pattern), literal, needed, handler))
            self._routes.sort(key=lambda route: -route.literal)
            return handler

        return declare

    def list(
        self,
        template: str,
        source: Table | Callable[[Call], Iterable[Row]],
        *,
        scope: str | Sequence[str] | None = (),
        paging: Pages | None = None,
        public: bool = False,
    ) -> None:
        """GET of a list: a table, or a function that gives the rows for a call."""
        pages = paging or WholeList()

        def answer(call: Call) -> Any:
            rows = source.visible() if isinstance(source, Table) else list(source(call))
            fault = self.faults.shaping()
            return pages.answer(call, [] if fault == "empty" else rows, short=fault == "short")

        self.on("GET", template, scope=scope, public=public)(answer)

    def get(
        self, template: str, table: Table, *, scope: str | Sequence[str] | None = (), paging: Pages | None = None
    ) -> None:
        """GET of one row; the last {name} of the template is its key."""
        pages = paging or WholeList()

        def answer(call: Call) -> Any:
            return pages.one(call, _present(table.visible_one(_key(call))))

        self.on("GET", template, scope=scope)(answer)

    def patch(self, template: str, table: Table, *, scope: str | Sequence[str] | None = (), status: int = 204) -> None:
        """PATCH that sets the given fields of one row; 204 without a body unless `status` says otherwise."""

        def answer(call: Call) -> Any:
            _present(table.current(_key(call)))
            row = table.update(_key(call), call.body or {})
            return Answer(status, None if status == 204 else row)

        self.on("PATCH", template, scope=scope)(answer)

    def delete(self, template: str, table: Table, *, scope: str | Sequence[str] | None = (), status: int = 204) -> None:
        """DELETE of one row; 404 when it is gone."""

        def answer(call: Call) -> Any:
            _present(table.current(_key(call)))
            table.remove(_key(call))
            return Answer(status)

        self.on("DELETE", template, scope=scope)(answer)

    # -------------------------------------------------------------- answering

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answers one request: fault, route, token, handler, log. Raises httpx's errors where a fault says so."""
        with self._lock:
            path = unquote(request.url.path)
            route, values = self._find(request.method, path)
            fault = self.faults.next(request.method, path, request.url.query.decode())
            answer = self.faults.instead(fault, self, request) or self._answer(request, route, values)
            response = self._response(answer)
            self.calls.append(
                Logged(
                    method=request.method,
                    path=path,
                    template=route.template if route else None,
                    query=dict(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
                    status=response.status_code,
                )
            )
        return self.faults.spoil(fault, response, self)

    def refusal(self, status: int, code: str = "", message: str = "") -> Answer:
        """An error in the vendor's words."""
        word = code or self.words.codes.get(status, f"Error{status}")
        return Answer(status, self.words.body(status, word, message or f"simulated {word}"))

    def _find(self, method: str, path: str) -> tuple[_Route | None, Mapping[str, str]]:
        for route in self._routes:
            if route.method == method and (found := route.pattern.fullmatch(path)):
                return route, found.groupdict()
        return None, {}

    def _answer(self, request: httpx.Request, route: _Route | None, values: Mapping[str, str]) -> Answer:
        if route is None:
            return self.refusal(404, message="no such resource")
        client = ""
        if route.scopes is not None:
            holder = self._holder(request)
            if holder is None:
                return self.refusal(401)
            if route.scopes and not route.scopes & holder.scopes:
                return self.refusal(403)
            client = holder.client
        try:
            made = route.handler(
                Call(
                    method=request.method,
                    template=route.template,
                    url=request.url,
                    path=values,
                    query=dict(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
                    headers=request.headers,
                    body=_body(request),
                    client=client,
                    now=self.clock(),
                    page_cap=self.page_cap,
                )
            )
        except Refuse as refused:
            return self.refusal(refused.status, refused.code, refused.message)
        return made if isinstance(made, Answer) else Answer(200, made)

    def _holder(self, request: httpx.Request) -> Grantee | None:
        given = request.headers.get(self.words.token_header, "")
        holder = self.tokens.get(given.removeprefix(self.words.token_prefix))
        if holder is None or (holder.expires_at is not None and holder.expires_at <= self.clock()):
            return None
        return holder if self.holder_works(holder.client) else None

    def _response(self, answer: Answer) -> httpx.Response:
        headers = {"date": self.clock().strftime("%a, %d %b %Y %H:%M:%S GMT"), **answer.headers}
        if answer.body is None:
            return httpx.Response(answer.status, headers=headers)
        return httpx.Response(answer.status, headers=headers, json=answer.body)

    # -------------------------------------------------------------- front ends

    def httpx_transport(self) -> httpx.BaseTransport:
        """This simulator as httpx's network, for the hosts it answers to; any other host cannot be reached."""

        def send(request: httpx.Request) -> httpx.Response:
            if request.url.host not in self.hosts:
                raise httpx.ConnectError(f"{request.url.host} is not simulated")
            request.read()
            return self.handle(request)

        return httpx.MockTransport(send)

    def prepare_botocore(self, session: Any) -> None:
        raise ConfigError(f"the simulator of {self.name} does not speak to botocore ({type(session).__name__})")

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """This simulator on a free loopback port; yields its base URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _part(part: str) -> str:
    if part[:2] == "{*":
        return f"(?P<{part[2:-1]}>.*)"
    return f"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else re.escape(part)


def _key(call: Call) -> str:
    return list(call.path.values())[-1]


def _present(row: Row | None) -> Row:
    if row is None:
        raise Refuse(404)
    return row


def _body(request: httpx.Request) -> Any:
    if not request.content:
        return None
    if "form" in request.headers.get("content-type", ""):
        return dict(parse_qsl(request.content.decode()))
    try:
        return json.loads(request.content)
    except ValueError:
        raise Refuse(400, message="the body is not JSON") from None


def _handler_of(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            url = f"http://{self.headers.get('host', 'localhost')}{self.path}"
            request = httpx.Request(
                self.command, url, headers=list(self.headers.items()), content=self.rfile.read(length)
            )
            try:
                response = simulator.handle(request)
                content = response.read()
            except httpx.TransportError:
                self.close_connection = True  # a fault: the connection breaks, and the client sees just that
                return
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "date"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the server's own names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's own name
            """The call log is `Simulator.calls`."""

    return Handler
