"""The one HTTP client of all connectors: it retries, slows down, pages, keeps deadlines and refuses what is hostile.

A connector makes one `Http` per origin and calls `get_json`, `follow`, `map` and the writing verbs. What comes back is
the vendor's JSON or one of our errors, never an httpx exception:

    401                        AuthenticationFailed, after one try with a fresh token
    403                        MissingScope, with the vendor's code and the permission that the call names
    404                        NotVisible, or None where the caller says that absence is an answer
    429                        waited for, then RateLimited; also a 403 that says when to come back
    5xx, cut, silent           retried where repeating is harmless, then Unavailable
    not JSON, too big, too deep, a redirect or link to another origin     UnexpectedResponse

What it leaves to others: addresses that must not be reached (`netguard`), tokens (`oauth`), page styles (`paging`),
the pace (`pace`). Instants come from `clock`, durations from `monotonic`.
"""

from __future__ import annotations

import contextlib
import itertools
import json as jsonlib
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectorError,
    LimitReached,
    MissingScope,
    NotVisible,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.secret import Secret
from wardship.sdk import netguard
from wardship.sdk.bounds import DEFAULT_LIMITS, BoundedTransport, Limits, strict_json
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.i18n import N_, _
from wardship.sdk.log import logger
from wardship.sdk.oauth import Auth
from wardship.sdk.pace import Gate, TokenBucket, full_jitter_s, http_date, retry_after_s
from wardship.sdk.paging import Answer, BodyLink, Page, Paging, Params

T = TypeVar("T")
R = TypeVar("R")

_log = logger("wardship.http")
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_RETRY_STATUS = frozenset({408, 500, 502, 503, 504})
_CODE = re.compile(r"[A-Za-z0-9_.:/ -]{1,80}")
_EPOCH_S = re.compile(r"[0-9]{1,11}")  # an instant in seconds since 1970, in UTC
_MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one run may cost. None = no limit of that kind."""

    max_calls: int | None = 200_000
    deadline_s: float | None = None  # of the whole run, from the making of the client
    per_call_s: float = 30.0
    attempts: int = 6  # tries of one call, the first one included
    longest_wait_s: float = 300.0  # a Retry-After beyond this is reported (RateLimited), not slept through
    concurrency: int = 16  # the most calls in flight that `map` reaches


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error answer in the few words that may be shown: status, the vendor's own code, what was asked."""

    status: int
    code: str  # "" where the answer has none
    operation: str  # "GET /v1.0/applications"
    needs: str  # the permission that the caller said this call needs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    method: str
    url: httpx.URL
    operation: str
    params: Params | None
    content: Callable[[], tuple[bytes, str] | None]  # made anew for each try: a form may hold secrets
    headers: Mapping[str, str]
    idempotent: bool
    needs: str
    from_token: bool


@dataclass(frozen=True, slots=True)
class _Lost:
    """A try without a usable answer. `reached`: the system may have acted on it. `limit_s`: how long we waited."""

    why: str
    reached: bool
    limit_s: float = 0.0


class Http:
    """A client of one origin. Thread-safe; made once a connection, closed by `close` or `with`.

    `transport` stands in for the network (a simulator); without it the guarded one is used, which refuses private
    addresses unless `allow_private`. `classify` may turn a refusal into a better error than the table above
    (a licence that is missing is NotVisible, not MissingScope); None leaves the table's.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Callable[[], datetime],
        stats: CallStats,
        auth: Auth | None = None,
        transport: httpx.BaseTransport | None = None,
        system: str = "",
        budget: Budget = Budget(),
        limits: Limits = DEFAULT_LIMITS,
        bucket: TokenBucket | None = None,
        headers: Mapping[str, str] | None = None,
        classify: Callable[[Refusal], ConnectorError | None] | None = None,
        allow_private: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        base = web_address(base_url)
        if base is None:
            raise ConfigError(
                _("the base URL must be http(s)://host without a user name"), advice=_("check the URL setting")
            )
        self._base = base
        if self._base.scheme == "http" and transport is None and not allow_private:
            raise ConfigError(_("plain http is refused: a credential would travel in clear"), advice=_("use https"))
        self.auth = auth
        self.stats = stats
        self.clock_skew_s: float | None = None  # the system's clock minus ours, from its Date header; None: not seen
        self._system = system or self._base.host
        self._clock, self._sleep, self._random, self._monotonic = clock, sleep, random, monotonic
        self._budget, self._limits, self._bucket, self._classify = budget, limits, bucket, classify
        self._gate = Gate(most=budget.concurrency)
        self._lock = threading.Lock()
        self._calls = 0
        self._met: bool | None = None  # whether the system was ever connected to; None: not tried to the end yet
        self._run_deadline = _after(monotonic(), budget.deadline_s)
        self._scope_deadline: float | None = None
        inner = transport if transport is not None else netguard.transport(allow_private=allow_private)
        self._client = httpx.Client(
            transport=BoundedTransport(inner, limits, monotonic=monotonic),
            headers={"user-agent": "wardship", "accept": "application/json", **(headers or {})},
            follow_redirects=False,
            trust_env=False,
        )
        self._client.headers["accept-encoding"] = "gzip"

    @classmethod
    def of(cls, connection: Connection, base_url: str, *, stats: CallStats, **more: Any) -> Http:
        """The client of a configured connection: its clock, and its wire where a simulator stands in.

        A simulated system whose clock can be moved (`sdk.clock.SimClock`) is waited for on that clock.
        """
        if connection.wire is not None:
            more.setdefault("transport", connection.wire.httpx_transport())
            if isinstance(connection.clock, SimClock):
                more.setdefault("sleep", connection.clock.sleep)
                more.setdefault("monotonic", connection.clock.monotonic)
        return cls(base_url, clock=connection.clock, stats=stats, **more)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -------------------------------------------------------------- one call

    def get_json(self, path: str, params: Params | None = None, *, needs: str = "", missing_ok: bool = False) -> Any:
        """The JSON of a GET; None for a 404 when `missing_ok`."""
        return self._json_or_none(self.request("GET", path, params=params, needs=needs, missing_ok=missing_ok))

    def post_json(self, path: str, body: Any = None, *, needs: str = "", idempotent: bool = False) -> Any:
        """The JSON of a POST, None for an empty answer. `idempotent`: the system makes repeating harmless."""
        return self._json_or_none(self.request("POST", path, json=body, needs=needs, idempotent=idempotent))

    def patch_json(self, path: str, body: Any, *, needs: str = "", idempotent: bool = True) -> Any:
        """The JSON of a PATCH that sets values (repeating it is harmless unless the caller says otherwise)."""
        return self._json_or_none(self.request("PATCH", path, json=body, needs=needs, idempotent=idempotent))

    def delete(self, path: str, params: Params | None = None, *, needs: str = "") -> bool:
        """Deletes; False when it was gone already, which is success."""
        return self.request("DELETE", path, params=params, needs=needs, missing_ok=True).status_code != 404

    def json(self, response: httpx.Response) -> Any:
        """What `response.json()` gives, within the limits on size, depth and numbers. Raises UnexpectedResponse."""
        return strict_json(response, self._limits, system=self._system)

    def _json_or_none(self, response: httpx.Response) -> Any:
        return None if response.status_code == 404 or not response.content else self.json(response)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, str | Secret] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        needs: str = "",
        missing_ok: bool = False,
        from_token: bool = False,
    ) -> httpx.Response:
        """One call with all its tries; the answer is 2xx, or 404 when `missing_ok`.

        `path` is below the base URL or a whole URL of the same origin. `needs` names the vendor's permission for the
        message when it is refused. `from_token`: a refusal means that the page token has expired.
        """
        url = self._url(path)
        call = _Call(
            method=method.upper(),
            url=url,
            operation=f"{method.upper()} {url.path}",
            params=params,
            content=_content(json, form),
            headers=headers or {},
            idempotent=method.upper() in _IDEMPOTENT if idempotent is None else idempotent,
            needs=needs,
            from_token=from_token,
        )
        response = self._tries(call)
        if response.is_success or (missing_ok and response.status_code == 404):
            return response
        raise self._error(call, response)

    # -------------------------------------------------------------- many calls

    def follow(
        self,
        path: str,
        params: Params | None = None,
        *,
        paging: Paging = BodyLink(),  # noqa: B008 - frozen
        token: str | None = None,
        needs: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        """The pages of a list, from `token` (a former `Page.next_token`) or from the beginning.

        Raises UnexpectedResponse with operation "token" when the system no longer takes the token, when a link
        leads to another origin, or when a page names itself as the next one.
        """
        while True:
            if token is None:
                response = self.request("GET", path, params=params, needs=needs, headers=headers)
            else:
                more = paging.token_params(token)
                where, asked = (token, None) if more is None else (path, {**(params or {}), **more})
                response = self.request("GET", where, params=asked, needs=needs, headers=headers, from_token=True)
            page = paging.page(Answer(body=self.json(response), response=response, token=token))
            if page.next_token is not None and page.next_token == token:
                raise UnexpectedResponse(_("a page names itself as the next"), system=self._system, operation="token")
            yield page
            if page.next_token is None:
                return
            token = page.next_token

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`fn` of each item, in order, several at a time; never more than twice the concurrency ahead of the reader.

        An exception of `fn` is raised at its item's place and ends the rest. How many calls are in flight adapts to
        what the system bears (`pace.Gate`).
        """
        waiting: deque[Future[R]] = deque()
        source = iter(items)
        pool = ThreadPoolExecutor(self._budget.concurrency, thread_name_prefix="wardship-http")
        try:
            for item in itertools.islice(source, 2 * self._budget.concurrency):
                waiting.append(pool.submit(fn, item))
            while waiting:
                yield waiting.popleft().result()
                for item in itertools.islice(source, 1):
                    waiting.append(pool.submit(fn, item))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    @contextlib.contextmanager
    def scope(self, deadline_s: float | None) -> Iterator[None]:
        """Within it, calls end at `deadline_s` seconds from now (LimitReached), whatever the run's own deadline."""
        before, self._scope_deadline = self._scope_deadline, _after(self._monotonic(), deadline_s)
        try:
            yield
        finally:
            self._scope_deadline = before

    # -------------------------------------------------------------- how one call is made

    def _url(self, path: str) -> httpx.URL:
        try:
            url = self._base.join(path) if "://" in path else httpx.URL(str(self._base).rstrip("/") + path)
        except httpx.InvalidURL:
            raise UnexpectedResponse(_("an unreadable URL"), system=self._system, operation="link") from None
        if netguard.origin(url) != netguard.origin(self._base) or url.userinfo:
            raise UnexpectedResponse(
                _("a link to another origin was not followed"), system=self._system, operation="token"
            )
        return url

    def _tries(self, call: _Call) -> httpx.Response:
        """Tries until there is an answer that repeating would not change.

        Where a call could not connect in all its tries and none ever did, there is no way to the system (no network, a
        wrong name), and each later call tries once: the other scopes of a scan need not wait for it again.
        """
        fresh_token_tried = False
        for attempt in itertools.count():
            outcome, epoch = self._once(call, attempt)
            last = attempt + 1 >= (1 if self._met is False else self._budget.attempts)
            if not isinstance(outcome, _Lost) or outcome.reached:
                self._met = True
            elif last and self._met is None:
                self._met = False
            if isinstance(outcome, _Lost):
                if last or (outcome.reached and not call.idempotent):
                    what = _(outcome.why) % {"limit": outcome.limit_s}
                    host = call.url.netloc.decode("ascii", "replace")
                    advice = _("look whether %(host)s is right and answers from here") % {"host": host}
                    raise Unavailable(what, system=self._system, operation=call.operation, advice=advice)
                self._wait(call, full_jitter_s(attempt, self._random))
            elif outcome.status_code == 401 and self.auth is not None and not fresh_token_tried:
                fresh_token_tried = True
                if not self.auth.refused():
                    return outcome
            elif _throttled(outcome):
                self._gate.throttled(epoch)
                self._wait_as_told(call, outcome, attempt, last=last)
            elif outcome.status_code in _RETRY_STATUS and call.idempotent and not last:
                self._wait_as_told(call, outcome, attempt, last=False)
            else:
                if outcome.is_success:
                    self._gate.succeeded()
                return outcome
        raise AssertionError("itertools.count ended")

    def _once(self, call: _Call, attempt: int) -> tuple[httpx.Response | _Lost, int]:
        self._spend(call)
        if self._bucket is not None and (wait_s := self._bucket.take()) > 0.0:
            self._wait(call, wait_s)
        with self._gate.entered() as epoch:
            began = self._monotonic()
            outcome = self._send(call, min(self._budget.per_call_s, self._remaining(call)))
            took_ms = round((self._monotonic() - began) * 1000)
        status: int | None = None
        if isinstance(outcome, httpx.Response):
            status = outcome.status_code
            self._note_skew(outcome)
        with self._lock:
            self.stats.throttles += isinstance(outcome, httpx.Response) and _throttled(outcome)
        _log.debug(
            "http.call",
            system=self._system,
            operation=call.operation,
            status=status,
            lost=outcome.why if isinstance(outcome, _Lost) else None,
            attempt=attempt,
            ms=took_ms,
        )
        return outcome, epoch

    def _send(self, call: _Call, timeout_s: float) -> httpx.Response | _Lost:
        """One try on the wire. Errors of httpx end here, so that no later traceback holds its frames."""
        url = call.url
        for _hop in range(_MAX_REDIRECTS + 1):
            content = call.content()
            request = self._client.build_request(
                call.method,
                url,
                params=dict(call.params) if call.params is not None and url is call.url else None,
                content=content[0] if content else None,
                # As UTF-8: the name of a Vault namespace travels in a header, and may be "región".
                headers=httpx.Headers(
                    {**call.headers, **({"content-type": content[1]} if content else {})}, encoding="utf-8"
                ),
                timeout=timeout_s,
                extensions={"wardship_deadline": self._monotonic() + timeout_s},
            )
            if self.auth is not None:
                self.auth.apply(request)
            try:
                response = self._client.send(request)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
                return _Lost(N_("could not connect"), reached=False)
            except httpx.TimeoutException:
                return _Lost(N_("no whole answer within %(limit).0f s"), reached=True, limit_s=timeout_s)
            except (httpx.TransportError, httpx.StreamError):
                return _Lost(N_("the answer was cut off"), reached=True)
            if not response.has_redirect_location:
                return response
            url = self._redirected(call, url, response)
        raise UnexpectedResponse(_("too many redirects"), system=self._system, operation=call.operation)

    def _redirected(self, call: _Call, url: httpx.URL, response: httpx.Response) -> httpx.URL:
        try:
            target = url.join(response.headers["location"])
        except httpx.InvalidURL:
            target = httpx.URL("")
        if call.method not in ("GET", "HEAD") or netguard.origin(target) != netguard.origin(self._base):
            raise UnexpectedResponse(_("a redirect was not followed"), system=self._system, operation=call.operation)
        return target

    # -------------------------------------------------------------- limits and waits

    def _spend(self, call: _Call) -> None:
        with self._lock:
            if self._budget.max_calls is not None and self._calls >= self._budget.max_calls:
                raise LimitReached(
                    _("the budget of %(calls)s calls is spent") % {"calls": self._calls},
                    limit="budget",
                    system=self._system,
                    operation=call.operation,
                )
            self._calls += 1
            self.stats.api_calls += 1

    def _remaining(self, call: _Call) -> float:
        """Seconds until the nearest deadline (infinite without one). Raises LimitReached when it has passed."""
        ends = [end for end in (self._run_deadline, self._scope_deadline) if end is not None]
        left = min(ends) - self._monotonic() if ends else float("inf")
        if left <= 0.0:
            raise self._deadline(call)
        return left

    def _deadline(self, call: _Call) -> LimitReached:
        return LimitReached(
            _("the deadline of this part has passed"),
            limit="deadline",
            system=self._system,
            operation=call.operation,
            advice=_("what was read is kept and the scope is partial; scan again to go on"),
        )

    def _wait(self, call: _Call, seconds: float) -> None:
        if seconds >= self._remaining(call):
            raise self._deadline(call)
        self._sleep(seconds)

    def _wait_as_told(self, call: _Call, response: httpx.Response, attempt: int, *, last: bool) -> None:
        now = http_date(response.headers.get("date")) or self._clock()
        told = _told_wait_s(response, now)
        if last or (told or 0.0) > self._budget.longest_wait_s:
            raise self._error(call, response, told)
        # Jitter on top of the system's own figure, so that all its clients do not come back in the same instant.
        self._wait(call, (told or 0.0) + full_jitter_s(attempt if told is None else 0, self._random))

    def _note_skew(self, response: httpx.Response) -> None:
        theirs = http_date(response.headers.get("date"))
        if theirs is not None:
            self.clock_skew_s = (theirs - self._clock()).total_seconds()

    # -------------------------------------------------------------- refusals

    def _error(self, call: _Call, response: httpx.Response, told_s: float | None = None) -> ConnectorError:
        status = response.status_code
        refusal = Refusal(status=status, code=_vendor_code(response), operation=call.operation, needs=call.needs)
        if self._classify is not None and (special := self._classify(refusal)) is not None:
            special.system = special.system or self._system
            special.operation = special.operation or call.operation
            return special
        where = {"system": self._system, "operation": call.operation}
        what = f"{call.operation}: HTTP {status}" + (f" ({refusal.code})" if refusal.code else "")
        if call.from_token and status in (400, 404, 410):
            return UnexpectedResponse(
                _("%(what)s: the page token is no longer valid") % {"what": what},
                system=self._system,
                operation="token",
            )
        if _throttled(response):
            return RateLimited(what, retry_after_s=told_s, **where)
        if status == 401:
            return AuthenticationFailed(what, **where, advice=_("check the credential of this connection"))
        if status == 403:
            return MissingScope(what, scope=call.needs or refusal.code or "unknown", **where)
        if status == 404:
            return NotVisible(what, **where)
        if status in _RETRY_STATUS or status >= 500:
            return Unavailable(what, **where)
        return UnexpectedResponse(what, **where)


def web_address(text: str) -> httpx.URL | None:
    """The address of a server as people set it, http(s)://host with or without a port and a path; None for anything
    else: what cannot be read, and what has a user name, a query or a fragment."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return None
    plain = not (url.userinfo or url.query or url.fragment)
    return url if url.scheme in ("https", "http") and url.host and plain else None


def _throttled(response: httpx.Response) -> bool:
    """Whether the system asks us to slow down; GitHub says so with 403 and a time."""
    if response.status_code != 403:
        return response.status_code == 429
    return "retry-after" in response.headers or _rate(response, "remaining") == "0"


def _rate(response: httpx.Response, name: str) -> str:
    """What the system says of its rate limit, "" where nothing: `x-ratelimit-...`, with one more hyphen at Okta."""
    return str(response.headers.get(f"x-ratelimit-{name}") or response.headers.get(f"x-rate-limit-{name}") or "")


def _told_wait_s(response: httpx.Response, now: datetime) -> float | None:
    """Seconds until the system wants to be asked again; None where it does not say."""
    told = retry_after_s(response.headers.get("retry-after"), now=now)
    resets = _rate(response, "reset")
    if told is None and _rate(response, "remaining") == "0" and _EPOCH_S.fullmatch(resets):
        told = max(0.0, float(resets) - now.timestamp())
    return told


def _after(now: float, seconds: float | None) -> float | None:
    return None if seconds is None else now + seconds


def _content(json: Any, form: Mapping[str, str | Secret] | None) -> Callable[[], tuple[bytes, str] | None]:
    if form is not None:
        return lambda: (_form_bytes(form), "application/x-www-form-urlencoded")
    if json is not None:
        return lambda: (jsonlib.dumps(json, ensure_ascii=False, allow_nan=False).encode(), "application/json")
    return lambda: None


def _form_bytes(form: Mapping[str, str | Secret]) -> bytes:
    plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in form.items()}
    return str(httpx.QueryParams(plain)).encode()


def _vendor_code(response: httpx.Response) -> str:
    """The vendor's short error code ("Authorization_RequestDenied"), never its free text; "" where there is none, or
    where it only repeats the status, as GitHub's does."""
    try:
        body = jsonlib.loads(response.content)
    except (ValueError, RecursionError):
        return ""
    if isinstance(body, dict) and isinstance(body.get("errors"), list) and body["errors"]:
        body = body["errors"][0]
    inner = body.get("error") if isinstance(body, dict) else None
    for holder in (inner, body):
        if isinstance(holder, dict):
            for name in ("code", "errorCode", "error_code", "type", "status"):
                said = holder.get(name)
                if isinstance(said, str) and _CODE.fullmatch(said) and said != str(response.status_code):
                    return said
    return inner if isinstance(inner, str) and _CODE.fullmatch(inner) else ""
