"""Holds what a connector asks, what a simulator answers and what the connector reads against the vendors' descriptions.

    contract = Contract([Description(path), ...])
    transport = contract.transport(simulator.httpx_transport())  # asked, checked, answered, checked, read
    ...
    contract.check()  # raises Violation with everything that was wrong

A violation is remembered even where the connector swallows the refusal. Not seen: fields read after the tracked dict
was copied into a plain one, bodies that are not JSON, and the values inside OData filters.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from tests.contract.description import Description, Operation, Schema

_FAULTS = frozenset((401, 403, 404, 408, 410, 429))  # any system may refuse so, described or not; and any 5xx


class Violation(AssertionError):
    """What was asked, answered or read is not what the vendor describes."""


class Contract:
    """Some descriptions, what was called, what was wrong. `undescribed`: hosts let through unchecked."""

    def __init__(self, descriptions: Sequence[Description], *, undescribed: Sequence[str] = ()) -> None:
        self.descriptions, self.undescribed = descriptions, frozenset(undescribed)
        self.violations: list[str] = []
        self.called: dict[tuple[str, str], int] = {}  # (description, operation) -> times
        self._expected: set[str] = set()
        self._selected: dict[str, set[str] | None] = {}  # operation -> fields asked for; None: once without $select
        self._read: dict[str, set[str]] = {}  # operation -> top-level fields of items that were read
        self._lock = threading.Lock()

    # -------------------------------------------------------------- verdict

    def expect(self, *operations: str) -> None:
        """Each "METHOD /template" must exist and be called before `check`."""
        known = {repr(op) for description in self.descriptions for op in description.operations}
        for operation in operations:
            if operation not in known:
                self.blame(operation, "declared", "and is not in the description")
        self._expected |= set(operations)

    def check(self) -> None:
        """Raises Violation if anything was wrong, or an expected operation was never called."""
        called = {operation for _, operation in self.called}
        found = list(dict.fromkeys(self.violations))
        found += [f"{operation} was declared and never called" for operation in sorted(self._expected - called)]
        for operation, read in sorted(self._read.items()):
            selected = self._selected.get(operation)
            if selected is not None and (missing := {name for name in read - selected if name[:1] != "@"}):
                found.append(f"{operation}: reads {sorted(missing)}, which no $select or $expand asked for")
        if found:
            raise Violation("\n".join(found))

    def blame(self, operation: object, where: str, what: str) -> str:
        sentence = f"{operation}: {where} {what}"
        with self._lock:
            self.violations.append(sentence)
        return sentence

    # -------------------------------------------------------------- requests

    def operation(self, request: httpx.Request, *, any_host: bool = False) -> Operation | str:
        """The described operation of a request, or why there is none."""
        path = unquote(request.url.path)
        reasons = []
        for description in self.descriptions:
            if any_host or description.host.fullmatch(request.url.host):
                found, why = description.find(request.method, path)
                if found is not None:
                    return found
                reasons.append(why)
        described = [why for why in reasons if why.startswith("method")]
        return (described or reasons or [f"host {request.url.host} is not described"])[0]

    def check_request(self, operation: Operation, request: httpx.Request) -> list[str]:
        """What is wrong with the request."""
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.url.query.decode(), keep_blank_values=True):
            query.setdefault(name, []).append(value)
        wrong = _unknown_parameters(operation, query)
        values = operation.description.path_values(operation, unquote(request.url.path))
        for (place, name), parameter in operation.parameters.items():
            given: list[str] | None = None
            if place == "query":
                given = query.get(name)
            elif place == "path":
                given = [values[name]] if name in values else None
            elif place == "header":
                given = [request.headers[name]] if name in request.headers else None
            if given is not None:
                wrong += _parameter_errors(operation, place, name, parameter, given)
            elif parameter.get("required") and place in ("query", "header"):
                wrong.append(f"required {place} parameter {name!r} is missing")
        if operation.description.soql and operation.path.endswith("/query"):
            wrong += _soql_errors(operation.description.soql, query.get("q", [""])[0])
        if not operation.public and not operation.description.credential_headers & set(request.headers):
            wrong.append("no credential header")
        wrong += _body_errors(operation, request)
        self._note_selected(operation, query)
        return wrong

    def _note_selected(self, operation: Operation, query: Mapping[str, Sequence[str]]) -> None:
        """Page links repeat the selection or hide it; only what was asked for openly counts as "everything"."""
        if "$skiptoken" in query and "$select" not in query:
            return
        text = ",".join([*query.get("$select", []), re.sub(r"\([^()]*\)", "", ",".join(query.get("$expand", [])))])
        asked = {name.strip() for name in text.split(",") if name.strip()} if "$select" in query else None
        with self._lock:
            before = self._selected.get(repr(operation), set())
            self._selected[repr(operation)] = None if before is None or asked is None else before | asked

    # -------------------------------------------------------------- answers

    def check_answer(self, operation: Operation, response: httpx.Response) -> list[str]:
        """What is wrong with a simulated answer: status, a body where none belongs, a field unknown or ill-typed."""
        status = response.status_code
        described = operation.response(status)
        if described is None or (status >= 400 and operation.response_schema(status) is None):
            allowed = status in _FAULTS or status >= 500 or described is not None
            return [] if allowed else [f"answers with status {status}, which is not described"]
        if status == 204 and response.content:
            return ["answers 204 with a body"]
        schema = operation.response_schema(status)
        if schema is None:
            return []
        try:
            value = json.loads(response.content)
        except ValueError:
            return ["answers with something that is not JSON"]
        return [f"answers {text}" for text in operation.errors(("answer", status), schema, value)]

    # -------------------------------------------------------------- front ends

    def transport(self, inner: httpx.BaseTransport) -> httpx.BaseTransport:
        """`inner`, checked on the way in and on the way out; `response.json()` gives dicts that know who reads what."""
        return _CheckedTransport(self, inner)

    def wire(self, simulator: Any) -> Any:
        """`simulator` (a `Wire`) with its HTTP checked."""
        return _CheckedWire(self, simulator)

    @contextlib.contextmanager
    def serve(self, simulator: Any) -> Iterator[str]:
        """`simulator`, checked, on a loopback port. Requests and answers are checked, reads cannot be."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _loopback(self, simulator))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def exchange(
        self, request: httpx.Request, answer: Callable[[httpx.Request], httpx.Response], *, any_host: bool = False
    ) -> httpx.Response:
        """One request through all checks. A wrong request is answered with 422 and never reaches the simulator."""
        if request.url.host in self.undescribed:
            return answer(request)
        request.read()
        operation = self.operation(request, any_host=any_host)
        if isinstance(operation, str):
            return _refused([self.blame(request.method, request.url.path, operation)])
        with self._lock:
            key = (operation.description.name, repr(operation))
            self.called[key] = self.called.get(key, 0) + 1
        if wrong := self.check_request(operation, request):
            return _refused([self.blame(operation, "asked:", text) for text in wrong])
        response = answer(request)
        if not response.is_stream_consumed or response.extensions.get("fault"):
            return response  # cut or garbled on purpose
        for text in self.check_answer(operation, response):
            self.blame(operation, "simulator", text)
        return _TrackedResponse(self, operation, response)

    def note_read(self, operation: Operation, where: str, name: str) -> None:
        """`where` is "" at the top of an answer, "[]" in an item of a bare list, ".value[]" in an item of OData's."""
        item = where == ".value[]" or (where == "" and operation.path.endswith("}"))
        if item and ("query", "$select") in operation.parameters:
            with self._lock:
                self._read.setdefault(repr(operation), set()).add(name)


# ------------------------------------------------------------------ request checks


def _unknown_parameters(operation: Operation, query: Mapping[str, Sequence[str]]) -> list[str]:
    known = {name for place, name in operation.parameters if place == "query"}
    deep = {
        name for (place, name), p in operation.parameters.items() if place == "query" and p.get("style") == "deepObject"
    }
    return [
        f"unknown query parameter {name!r} (known: {sorted(known)[:12]})"
        for name in query
        if name not in known and name.split("[", 1)[0] not in deep
    ]


def _parameter_errors(
    operation: Operation, place: str, name: str, parameter: Mapping[str, Any], given: Sequence[str]
) -> list[str]:
    schema = parameter.get("schema", {})
    value = _typed(operation.description.deref(schema), given, parameter, operation.description)
    wrong = [
        f"{place} parameter {name!r}: {text}" for text in operation.errors((place, name), schema, value, closed=False)
    ]
    if "x-odata-identifiers" in parameter:
        wrong += _odata_errors(name, given[0], frozenset(parameter["x-odata-identifiers"]))
    return wrong


def _typed(schema: Mapping[str, Any], given: Sequence[str], parameter: Mapping[str, Any], of: Description) -> Any:
    """Text as the type that the schema means; text that is no such thing stays text and fails the schema."""

    def one(text: str, kind: Any) -> Any:
        kinds = kind if isinstance(kind, list) else [kind]
        if "integer" in kinds and re.fullmatch(r"-?\d+", text):
            return int(text)
        if "number" in kinds and re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text)
        if "boolean" in kinds and text in ("true", "false"):
            return text == "true"
        return text

    if schema.get("type") == "array":
        explode = parameter.get("explode", parameter.get("in") == "query")
        parts = list(given) if explode else given[0].split(",")
        return [one(part, of.deref(schema.get("items", {})).get("type")) for part in parts]
    return one(given[0], schema.get("type"))


_LITERAL = re.compile(r"'(?:[^']|'')*'")
_LAMBDA = re.compile(r"/(?:any|all)\s*\(\s*(\w+)\s*:")
_IDENTIFIER = re.compile(r"(?<![\w'/$.:@])([A-Za-z_]\w*)(?!\w)(?!\s*\()(?=\s+(?:eq|ne|gt|ge|lt|le|in|has)\b|\s*[/,)])")
_ODATA_WORDS = frozenset(("and", "or", "not", "true", "false", "null", "eq", "ne", "gt", "ge", "lt", "le", "in", "has"))


def _odata_errors(option: str, text: str, known: frozenset[str]) -> list[str]:
    bare = _LITERAL.sub("''", text)
    own = set(_LAMBDA.findall(bare))
    used = {name for name in _IDENTIFIER.findall(bare) if name not in _ODATA_WORDS and name not in own}
    return [f"{option} uses unknown property {name!r}" for name in sorted(used - known)]


def _soql_errors(objects: Mapping[str, Sequence[str]], text: str) -> list[str]:
    found = re.match(r"\s*select\s+(.+?)\s+from\s+(\w+)", text, re.IGNORECASE | re.DOTALL)
    if not found or found[2] not in objects:
        return [f"SOQL names no known object: {text[:60]!r}"]
    fields = [name.strip() for name in found[1].split(",")]
    return [
        f"SOQL object {found[2]} has no field {name!r}"
        for name in fields
        if "." not in name and "(" not in name and name not in objects[found[2]]
    ]


def _body_errors(operation: Operation, request: httpx.Request) -> list[str]:
    described = operation.description.deref(operation.raw.get("requestBody") or {})
    if not request.content:
        return ["the body is missing"] if described.get("required") else []
    if not described:
        return ["this operation takes no body"]
    kind = request.headers.get("content-type", "").split(";")[0]
    media = described["content"].get(kind)
    if media is None:
        return [f"content type {kind!r} is not accepted (accepted: {list(described['content'])})"]
    if "json" in kind:
        try:
            value = json.loads(request.content)
        except ValueError:
            return ["the body is not JSON"]
    elif "form" in kind:
        value = dict(parse_qsl(request.content.decode()))
    else:
        return []
    return [f"body: {text}" for text in operation.errors(("body", kind), media.get("schema", {}), value, writing=True)]


def _refused(why: Sequence[str]) -> httpx.Response:
    return httpx.Response(422, json={"error": {"code": "ContractViolation", "message": "; ".join(why)}})


# ------------------------------------------------------------------ field-read tracing


class _TrackedResponse(httpx.Response):
    """The simulator's answer, whose `json()` gives tracked dicts."""

    def __init__(self, contract: Contract, operation: Operation, response: httpx.Response) -> None:
        super().__init__(response.status_code, headers=response.headers, content=response.content)
        self._contract, self._operation = contract, operation

    def json(self, **how: Any) -> Any:
        schema = self._operation.response_schema(self.status_code)
        value = super().json(**how)
        return value if schema is None else _tracked(self._contract, self._operation, value, [schema], "")


def _tracked(contract: Contract, operation: Operation, value: Any, schemas: list[Schema], where: str) -> Any:
    if isinstance(value, dict):
        return TrackedDict(contract, operation, value, schemas, where)
    if isinstance(value, list):
        inner = operation.description.elements(schemas)
        return [_tracked(contract, operation, item, inner, f"{where}[]") for item in value]
    return value


class TrackedDict(dict[str, Any]):
    """A vendor's object that complains when somebody reads a field which the description does not know."""

    def __init__(
        self, contract: Contract, operation: Operation, value: Mapping[str, Any], schemas: list[Schema], where: str
    ) -> None:
        known = operation.description.fields(schemas, value)
        super().__init__(
            {
                name: _tracked(contract, operation, inner, (known or {}).get(name, []), f"{where}.{name}")
                for name, inner in value.items()
            }
        )
        self._contract, self._operation, self._known, self._where = contract, operation, known, where

    def _reads(self, name: Any) -> None:
        if self._known is not None and name not in self._known and not str(name).startswith("@odata."):
            self._contract.blame(
                self._operation, "connector", f"reads field {name!r} at {self._where or 'the top'}: not described"
            )
        self._contract.note_read(self._operation, self._where, str(name))

    def __getitem__(self, name: str) -> Any:
        self._reads(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._reads(name)
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._reads(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        self._reads(name)
        return super().pop(name, *default)

    def __reduce__(self) -> Any:  # copies and pickles are plain: whoever stores a page stores data
        return (dict, (dict(self),))


# ------------------------------------------------------------------ front ends


class _CheckedTransport(httpx.BaseTransport):
    def __init__(self, contract: Contract, inner: httpx.BaseTransport) -> None:
        self._contract, self._inner = contract, inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._contract.exchange(request, self._inner.handle_request)

    def close(self) -> None:
        self._inner.close()


class _CheckedWire:
    def __init__(self, contract: Contract, simulator: Any) -> None:
        self._contract, self._simulator = contract, simulator

    def httpx_transport(self) -> httpx.BaseTransport:
        return self._contract.transport(self._simulator.httpx_transport())

    def prepare_botocore(self, session: Any) -> None:
        self._simulator.prepare_botocore(session)


def _loopback(contract: Contract, simulator: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"http://{self.headers['host']}{self.path}"
            request = httpx.Request(self.command, url, headers=list(self.headers.items()), content=content)
            try:
                response = contract.exchange(request, simulator.handle, any_host=True)
                body = response.read()
            except httpx.TransportError:
                self.close_connection = True
                return
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "date"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the server's own names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's own name
            """What happened is in the contract."""

    return Handler
