"""Stands between botocore and the simulated AWS: who signed a call, which fault is due, whether the answer is AWS's.

botocore itself checks every request against AWS's own description before it gets here; this module checks every
answer against the same description, so that the simulation cannot drift from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from wardship.sim.aws.world import Asked, AwsWorld, Row
from wardship.sim.faults import Fault, Wrong

_ACTION_SERVICE = {"sso-admin": "sso"}


class NotAws(AssertionError):
    """The simulation answered with something that AWS does not describe: a mistake in this package."""


class Refused(Exception):
    """An error answer of AWS: its code, its HTTP status, its message."""

    def __init__(self, code: str, status: int = 400, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.message = message or code


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the call: `arn` as GetCallerIdentity tells it, `key_id` the key or the session's key."""

    account: str
    arn: str
    key_id: str
    session: str | None = None  # the name of the role session


Handler = Callable[[AwsWorld, Row, Caller, Mapping[str, Any], str], Mapping[str, Any]]
HANDLERS: dict[tuple[str, str], Handler] = {}


def answers(service: str, operation: str) -> Callable[[Handler], Handler]:
    """Declares who answers an operation: (world, state, caller, parameters, region) -> the answer."""

    def register(handler: Handler) -> Handler:
        HANDLERS[service, operation] = handler
        return handler

    return register


def hook(world: AwsWorld, session: Any) -> None:
    """Answers every client that the session makes."""
    import wardship.sim.aws.iam
    import wardship.sim.aws.services  # noqa: F401 - both declare their answers

    def remember(params: Any, context: Row, **_: Any) -> None:
        context["simulated_params"] = dict(params)

    def answer(model: Any, params: Row, request_signer: Any, context: Row, **_: Any) -> tuple[Any, Row]:
        return _answer(world, model, params, request_signer, context)

    session.register("before-parameter-build", remember)
    session.register("before-call", answer)


def _answer(world: AwsWorld, model: Any, request: Row, signer: Any, context: Row) -> tuple[Any, Row]:
    service = model.service_model.service_name
    operation = model.name
    region = context["client_region"]
    action = f"{_ACTION_SERVICE.get(service, service)}:{operation}"
    fault = world.faults.next("POST", action, "")
    try:
        _instead(fault, request["url"])
        with world.changing() as state:
            caller = _authenticate(world, state, request, signer, asked=(service, operation, region))
            world.calls.append(Asked(caller.account, action, region))
            _authorise(world, caller, action)
            handler = HANDLERS.get((service, operation), _not_simulated)
            parsed = dict(handler(world, state, caller, context["simulated_params"], region))
        conform(parsed, model.output_shape, f"{service}.{operation}")
        _spoil(world, fault, request["url"])
    except Refused as refused:
        error = {"Error": {"Code": refused.code, "Message": refused.message}, **_meta(refused.status)}
        return SimpleNamespace(status_code=refused.status, headers={}), error
    return SimpleNamespace(status_code=200, headers={}), {**parsed, **_meta(200)}


def _authorise(world: AwsWorld, caller: Caller, action: str) -> None:
    if {(action, None), (action, caller.account)} & world.denied:
        raise Refused("AccessDenied", 403)


def _not_simulated(_world: AwsWorld, _state: Row, _caller: Caller, _params: Mapping[str, Any], _region: str) -> Row:
    raise Refused("NotImplemented", 501)


def _meta(status: int) -> Row:
    return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RequestId": "simulated"}}


_REFUSALS = {
    Wrong.THROTTLE: ("ThrottlingException", 400),
    Wrong.UNAVAILABLE: ("ServiceUnavailable", 503),
    Wrong.FORBIDDEN: ("AccessDenied", 403),
    Wrong.UNAUTHORIZED: ("ExpiredToken", 403),
    Wrong.EXPIRED_PAGE: ("InvalidMarker", 400),
}


def _instead(fault: Fault | None, url: str) -> None:
    """What goes wrong before the call reaches anybody."""
    from botocore.exceptions import EndpointConnectionError

    if fault is None:
        return
    if fault.wrong is Wrong.UNREACHABLE:
        raise EndpointConnectionError(endpoint_url=url, error="simulated")
    if fault.wrong in _REFUSALS:
        code, status = _REFUSALS[fault.wrong]
        raise Refused(fault.code or code, fault.status or status)


def _spoil(world: AwsWorld, fault: Fault | None, url: str) -> None:
    """What goes wrong with the answer to a call that was carried out."""
    from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
    from botocore.parsers import ResponseParserError

    if fault is None:
        return
    if fault.wrong is Wrong.LOST:
        raise ReadTimeoutError(endpoint_url=url, error="simulated")
    if fault.wrong is Wrong.CUT:
        raise ConnectionClosedError(endpoint_url=url)
    if fault.wrong is Wrong.GARBAGE:
        raise ResponseParserError("simulated")
    wait = getattr(world.clock, "sleep", None)
    if fault.wrong is Wrong.SLOW and wait is not None:
        wait(fault.seconds)


def _authenticate(world: AwsWorld, state: Row, request: Row, signer: Any, *, asked: tuple[str, str, str]) -> Caller:
    """Signs the request as the client would, and again with the secret that AWS knows: the two must agree.

    Raises Refused as AWS does: unknown, deleted or inactive key, or a wrong secret.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import create_request_object
    from botocore.credentials import Credentials

    service, operation, region = asked
    signed = create_request_object(request)
    signer.sign(operation, signed)
    header = str(signed.headers.get("Authorization", ""))
    credential = header.partition("Credential=")[2].partition(",")[0]
    key_id, _, scope = credential.partition("/")
    key = state["keys"].get(key_id) or state["sessions"].get(key_id)
    if key is None or ("history" in key and not world.lets_in(key)):
        raise Refused("InvalidClientTokenId", 403)
    if "ends" in key and world.clock() >= datetime.fromisoformat(key["ends"]):
        raise Refused("ExpiredToken", 403)
    _date, signed_region, signed_service, _ = scope.split("/")
    auth = SigV4Auth(Credentials(key_id, key["secret"]), signed_service, signed_region)
    claimed = header.partition("Signature=")[2]
    del signed.headers["Authorization"]
    expected = auth.signature(auth.string_to_sign(signed, auth.canonical_request(signed)), signed)
    if claimed != expected:
        raise Refused("SignatureDoesNotMatch", 403)
    if "history" in key:
        key["last_used"] = [world.now(), service, region if service != "iam" else "us-east-1"]
    return Caller(key["arn"].split(":")[4], key["arn"], key_id, key.get("session"))


# ------------------------------------------------------------------ answers are AWS's own shapes

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "timestamp": (datetime,),
    "blob": (bytes,),
    "map": (Mapping,),
    "list": (list, tuple),
    "structure": (Mapping,),
}


def conform(value: Any, shape: Any, where: str) -> None:
    """Raises NotAws where an answer is not what AWS describes: an unknown field, a wrong type, a word that is
    none of an enumeration, a required field that is missing."""
    if shape is None:
        if value:
            raise NotAws(f"{where}: AWS describes no answer")
        return
    expected: Any = _TYPES[shape.type_name]
    if not isinstance(value, expected):
        raise NotAws(f"{where}: {type(value).__name__} where AWS describes {shape.type_name}")
    if shape.type_name == "structure":
        for name, member in value.items():
            if name not in shape.members:
                raise NotAws(f"{where}.{name}: AWS describes no such field")
            conform(member, shape.members[name], f"{where}.{name}")
        missing = [name for name in shape.required_members if name not in value]
        if missing:
            raise NotAws(f"{where}: {missing[0]} is required")
    elif shape.type_name == "list":
        for member in value:
            conform(member, shape.member, f"{where}[]")
    elif shape.type_name == "map":
        for member in value.values():
            conform(member, shape.value, f"{where}{{}}")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        raise NotAws(f"{where}: {value!r} is none of AWS's words")
