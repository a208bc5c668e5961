"""One vendor's API description (OpenAPI 3.0 or 3.1), made strict: what may be asked, answered and read.

Descriptions leave objects open; here every object is closed, since a field that the vendor does not describe is a
mistake of ours. Each named schema exists twice: `closed` where it stands for a whole value, `open` where it is a part
of allOf, anyOf or oneOf and the whole is closed around it (unevaluatedProperties). OData's derived types are followed:
an object that names its type in `@odata.type` is held against that type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

METHODS = ("get", "put", "post", "delete", "patch")
_DROPPED = frozenset(
    ("example", "examples", "discriminator", "xml", "externalDocs", "deprecated", "description", "title", "default")
)
_FORMATS = frozenset(("date-time", "uuid", "date"))
_PARTS = ("allOf", "anyOf", "oneOf")
_NO_SECURITY = {  # credentials are asked for elsewhere, or are in the body; not marked as public in the descriptions
    "/meta",
    "/credentials/revoke",
    "/services/oauth2/token",
    "/services/oauth2/revoke",
    "/PasswordVault/API/auth/{method}/Logon",
    "/sys/health",
    "/heartbeat",
    "/health",
}
_CREDENTIAL_HEADERS = frozenset(
    (
        "authorization",
        "x-api-key",
        "private-token",
        "dd-api-key",
        "x-auth-key",
        "x-vault-token",
        "x-auth-user-service-key",
    )
)
Schema = Any


class Operation:
    """One method of one path."""

    def __init__(self, description: Description, method: str, path: str, shared: Mapping[str, Any], raw: Any) -> None:
        self.description, self.method, self.path, self.raw = description, method.upper(), path, raw
        self.parameters: dict[tuple[str, str], Any] = {}
        for parameter in [*shared.get("parameters", []), *raw.get("parameters", [])]:
            found = description.deref(parameter)
            name = found["name"].lower() if found["in"] == "header" else found["name"]
            self.parameters[(found["in"], name)] = found
        self.names = re.findall(r"\{([^}]+)\}", path)
        pattern, self.literal = "", 0
        for part in re.split(r"(\{[^}]+\})", path.rstrip("/")):
            if part[:1] == "{":
                raw_path = self.parameters.get(("path", part[1:-1]), {}).get("x-ms-skip-url-encoding") or "+" in part
                pattern += "(.+?)" if raw_path else "([^/]+?)"
            else:
                pattern += re.escape(part)
                self.literal += len(part)
        self.pattern = re.compile(pattern + "/?")
        self._validators: dict[Any, jsonschema_rs.Validator] = {}

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def public(self) -> bool:
        return self.raw.get("security") == [] or self.path in _NO_SECURITY

    def response(self, status: int) -> Any:
        """The described answer of this status, or None."""
        answers = self.raw.get("responses", {})
        found = answers.get(str(status)) or answers.get(f"{status // 100}XX") or answers.get("default")
        return self.description.deref(found) if found else None

    def response_schema(self, status: int) -> Schema | None:
        """The schema of its JSON body; None: none is described, or the answer has no JSON body."""
        for kind, media in ((self.response(status) or {}).get("content") or {}).items():
            if "json" in kind:
                return media.get("schema", {})
        return None

    def errors(self, key: Any, schema: Schema, value: Any, *, closed: bool = True, writing: bool = False) -> list[str]:
        """At most three sentences on what is wrong with `value`."""
        if (key, closed, writing) not in self._validators:
            self._validators[(key, closed, writing)] = self.description.validator(
                schema, closed=closed, writing=writing
            )
        found = self._validators[(key, closed, writing)].iter_errors(value)
        return [f"{_where(error.instance_path)}{error.message[:200]}" for error, _ in zip(found, range(3))]  # noqa: B905 - the range is the cap


def _where(path: Iterable[Any]) -> str:
    text = "/".join(str(part) for part in path)
    return f"{text}: " if text else ""


class Description:
    """A whole file. `base` is the path part of its server ("/api/v4"), `host` matches its server's name."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.spec: Any = json.loads(path.read_text())
        self.schemas: Mapping[str, Any] = self.spec.get("components", {}).get("schemas", {})
        server = urlsplit((self.spec.get("servers") or [{"url": ""}])[0]["url"])
        self.base = server.path.rstrip("/")
        host = "".join("[^/]+" if p[:1] == "{" else re.escape(p) for p in re.split(r"(\{\w+\})", server.hostname or ""))
        self.host = re.compile(host or ".*")
        self.credential_headers = _CREDENTIAL_HEADERS | {
            scheme["name"].lower()
            for scheme in self.spec.get("components", {}).get("securitySchemes", {}).values()
            if scheme.get("type") == "apiKey" and scheme.get("in") == "header"
        }
        self.operations = [
            Operation(self, method, template, item, raw)
            for template, item in self.spec["paths"].items()
            for method, raw in item.items()
            if method in METHODS
        ]
        self.operations.sort(key=lambda op: (-op.literal, len(op.names)))
        self.types = {s["x-odata-type"]: name for name, s in self.schemas.items() if "x-odata-type" in s}
        self.soql: Mapping[str, list[str]] = self.spec["info"].get("x-soql-objects", {})
        self._objects: dict[str, bool] = {}
        self._branches: dict[int, tuple[Schema, jsonschema_rs.Validator]] = {}

    def find(self, method: str, path: str) -> tuple[Operation | None, str]:
        """(the operation, "") or (None, why not). The template with the most literal text wins."""
        if self.base and path.startswith(self.base + "/"):
            path = path[len(self.base) :]
        other: Operation | None = None
        fitting: Operation | None = None
        for operation in self.operations:
            if operation.pattern.fullmatch(path):
                if operation.method == method:
                    # Vault tells a list from a read of the same path by the slash at its end.
                    if operation.path.endswith("/") == path.endswith("/"):
                        return operation, ""
                    fitting = fitting or operation
                other = other or operation
        if fitting is not None:
            return fitting, ""
        return None, f"method {method} is not described for {other.path}" if other else f"unknown path {path}"

    def path_values(self, operation: Operation, path: str) -> dict[str, str]:
        if self.base and path.startswith(self.base + "/"):
            path = path[len(self.base) :]
        found = operation.pattern.fullmatch(path)
        return dict(zip(operation.names, found.groups(), strict=True)) if found else {}

    def deref(self, node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            target: Any = self.spec
            for part in node["$ref"][2:].split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    # -------------------------------------------------------------- JSON Schema

    def validator(self, schema: Schema, *, closed: bool, writing: bool) -> jsonschema_rs.Validator:
        """A validator of values of `schema`. `writing`: fields that only the vendor writes are not required."""
        converted = self._whole(schema, writing) if closed else self._part(schema, writing)
        registry = self._writing if writing else self._reading
        return jsonschema_rs.Draft202012Validator(converted, registry=registry, validate_formats=True)

    @cached_property
    def _reading(self) -> jsonschema_rs.Registry:
        return self._registry(writing=False)

    @cached_property
    def _writing(self) -> jsonschema_rs.Registry:
        return self._registry(writing=True)

    def _registry(self, *, writing: bool) -> jsonschema_rs.Registry:
        definitions = {}
        for name, schema in self.schemas.items():
            definitions[f"{name}.open"] = self._part(schema, writing)
            base = schema.get("x-odata-type") == "microsoft.graph.directoryObject"
            whole = self._whole(schema, writing)
            definitions[f"{name}.closed"] = self._by_type(whole, writing) if base else whole
        definitions["any.closed"] = self._by_type({"type": "object"}, writing)
        return jsonschema_rs.Registry([(self._uri(writing), {"$defs": definitions})])

    def _uri(self, writing: bool) -> str:
        return f"urn:{self.name}:{'writing' if writing else 'reading'}"

    def _ref(self, ref: str, kind: str, writing: bool) -> Schema:
        if not ref.startswith("#/components/schemas/"):
            return self._whole(self.deref({"$ref": ref}), writing)
        name = ref.rsplit("/", 1)[1].replace("~1", "/").replace("~0", "~")
        return {"$ref": f"{self._uri(writing)}#/$defs/{name.replace('~', '~0').replace('/', '~1')}.{kind}"}

    def _by_type(self, otherwise: Schema, writing: bool) -> Schema:
        """An object that names its OData type is held against that type, any other against `otherwise`."""
        choices = otherwise
        for odata_type, name in self.types.items():
            if odata_type != "microsoft.graph.directoryObject":
                choices = {
                    "if": {"properties": {"@odata.type": {"const": f"#{odata_type}"}}, "required": ["@odata.type"]},
                    "then": self._ref(f"#/components/schemas/{name}", "closed", writing),
                    "else": choices,
                }
        return choices

    def _whole(self, schema: Schema, writing: bool) -> Schema:
        """`schema` where it stands for a whole value: closed unless it says that it is open, or says nothing."""
        if not isinstance(schema, dict):
            return schema
        if set(schema) == {"$ref"}:
            return self._ref(schema["$ref"], "closed", writing)
        if schema == {"type": "object"} and self.types:
            return {"$ref": f"{self._uri(writing)}#/$defs/any.closed"}
        out = self._part(schema, writing)
        if self._is_object(schema) and isinstance(out, dict) and "unevaluatedProperties" not in out:
            if "anyOf" in out and "properties" not in out and schema.get("nullable"):
                return {**out, "unevaluatedProperties": False}
            out["unevaluatedProperties"] = False
        return out

    def _is_object(self, schema: Schema, seen: frozenset[str] = frozenset()) -> bool:
        """Whether it names properties and nowhere invites others."""
        names, invites, todo, seen_refs = False, False, [schema], set(seen)
        while todo:
            node = todo.pop()
            if not isinstance(node, dict):
                continue
            if "$ref" in node:
                if node["$ref"] in seen_refs:
                    continue
                seen_refs.add(node["$ref"])
                todo.append(self.deref(node))
            names = names or bool(node.get("properties"))
            invites = invites or node.get("additionalProperties") not in (None, False)
            bare_object = node.get("type") == "object" and not node.get("properties")
            invites = invites or (bare_object and not any(part in node for part in _PARTS) and node is not schema)
            todo += [part for key in _PARTS for part in node.get(key, [])]
        return names and not invites

    def _part(self, schema: Schema, writing: bool) -> Schema:
        """`schema` as JSON Schema 2020-12, open at its own level; what lies inside its properties is whole again."""
        if isinstance(schema, list):
            return [self._part(node, writing) for node in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self._ref(schema["$ref"], "open", writing)
        out: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _DROPPED or key.startswith("x-") or key in ("nullable", "readOnly", "writeOnly"):
                continue
            if key in ("properties", "patternProperties"):
                out[key] = {name: self._whole(sub, writing) for name, sub in value.items()}
            elif key in ("items", "additionalProperties", "not"):
                out[key] = self._whole(value, writing)
            elif key in ("allOf", "anyOf", "oneOf"):
                # Parts are open, so more than one may fit where exactly one was meant.
                out["anyOf" if key == "oneOf" else key] = [self._part(sub, writing) for sub in value]
            elif key == "format":
                if value in _FORMATS:
                    out[key] = value
            elif key == "pattern":
                if _readable(value):
                    out[key] = value
            elif key in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
                continue
            else:
                out[key] = value
        if writing and isinstance(out.get("required"), list):
            theirs = {n for n, s in schema.get("properties", {}).items() if isinstance(s, dict) and s.get("readOnly")}
            out["required"] = [name for name in out["required"] if name not in theirs]
        return _nullable(out) if schema.get("nullable") else out

    # -------------------------------------------------------------- what may be read

    def fields(self, schemas: Iterable[Schema], value: Mapping[str, Any]) -> dict[str, list[Schema]] | None:
        """The fields that `value` may have, each with its possible schemas; None: it is open.

        Of alternatives only those that fit `value` count, all of them if none fits.
        """
        own_type = self.types.get(str(value.get("@odata.type", "")).removeprefix("#"))
        todo = [self.schemas[own_type]] if own_type else list(schemas)
        known: dict[str, list[Schema]] = {}
        names, seen = False, set()
        while todo:
            node = self.deref(todo.pop())
            if not isinstance(node, dict) or id(node) in seen:
                continue
            seen.add(id(node))
            todo += node.get("allOf", [])
            for key in ("anyOf", "oneOf"):
                branches = node.get(key, [])
                todo += [branch for branch in branches if self._fits(branch, value)] or branches
            for name, sub in node.get("properties", {}).items():
                names = True
                known.setdefault(name, []).append(sub)
            for name in value:
                for pattern, sub in node.get("patternProperties", {}).items():
                    if re.search(pattern, name):
                        known.setdefault(name, []).append(sub)
            if node.get("additionalProperties") not in (None, False):
                return None
        return known if names else None

    def elements(self, schemas: Iterable[Schema]) -> list[Schema]:
        """The possible schemas of a list's elements."""
        out, todo = [], list(schemas)
        while todo:
            node = self.deref(todo.pop())
            if isinstance(node, dict):
                todo += [part for key in _PARTS for part in node.get(key, [])]
                if "items" in node:
                    out.append(node["items"])
        return out

    def _fits(self, branch: Schema, value: Any) -> bool:
        if id(branch) not in self._branches:
            self._branches[id(branch)] = (branch, self.validator(branch, closed=False, writing=False))
        return self._branches[id(branch)][1].is_valid(value)


def _readable(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern})
    except (jsonschema_rs.ValidationError, ValueError):
        return False  # the vendor's own dialect of regular expressions
    return True


def _nullable(out: dict[str, Any]) -> dict[str, Any]:
    if isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
        if "enum" in out and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
        return out
    return {"anyOf": [out, {"type": "null"}]}
