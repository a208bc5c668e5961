"""The environments of containers in compose and Kubernetes files: what is set literally, what is taken from where.

Also the keys of Kubernetes Secret and ConfigMap objects and of Kustomize's generators. Helm templates are read with
each {{ ... }} taken for an unknown word; what even then is no YAML is read line by line, without its workload.
Whether a literal is a secret is for others to judge; a literal in a `Secret` object is one by definition.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from wardship.model.secret import Secret
from wardship.sdk.yaml_tree import MISSING, Document, Node, documents

Source = Literal["literal", "env_file", "secretKeyRef", "configMapKeyRef", "variable"]

MAX_CHARS = 4 * 1024 * 1024
MAX_ENTRIES = 20_000  # of one file


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One variable of one container, or one key of an object that holds values (`container` is None then).

    name: None where a whole source is taken (`env_file`, `envFrom`, a mounted secret).
    value: the literal; for a "variable" its default in the file. None: the value is elsewhere, or a template's.
    source: "secretKeyRef" and "configMapKeyRef" also for a whole object and for the `secrets:` of compose; "variable"
    for what the host, the cluster or a template fills in.
    reference: "NAME/KEY" or "NAME" of the object, the path of the env file, the variable's name. None: a literal, or
    only the template knows.
    """

    workload: str | None  # "Deployment/shop"; in compose the service
    container: str | None
    name: str | None
    value: Secret | None
    source: Source
    reference: str | None
    line: int  # 1-based
    namespace: str | None = None  # of a Kubernetes object, where the file says it


def environment_entries(text: str, *, path: str = "") -> list[Entry]:
    """The entries of all documents in `text`, in their order. Never raises for what the text is.

    What is no YAML is read by line only where `path` names it so (or nothing names it): the lines of any other text
    look like entries by chance.
    """
    return list(islice(_entries(_without_templates(text[:MAX_CHARS]), path), MAX_ENTRIES))


def _entries(text: str, path: str) -> Iterator[Entry]:
    for document in documents(text):
        root = document.root
        if root is None:
            if not path or path.lower().endswith((".yml", ".yaml", ".tpl")):
                yield from _by_line(document)
        elif root.get("kind") and (root.get("apiVersion") or root.get("kind").text == "Kustomization"):
            yield from _kubernetes(root)
        elif root.get("secretGenerator") or root.get("configMapGenerator"):
            yield from _kustomize(root, None)
        elif root.get("services").pairs:
            yield from _compose(root)


# --- Helm --------------------------------------------------------------------------------------------------------

_TEMPLATE = "\ue000"  # stands for {{ ... }}: a private-use character that YAML takes for a letter
_ONLY_TEMPLATE = re.compile(rf"^[ \t]*+{_TEMPLATE}[ \t]*+$", re.MULTILINE)


def _without_templates(text: str) -> str:
    """`text` with each {{ ... }} as one letter, and none where it has a line of its own (a condition, a block)."""
    text = text.replace(_TEMPLATE, " ")
    if "{{" not in text:
        return text
    parts, end = [], 0
    while (start := text.find("{{", end)) >= 0 and (close := text.find("}}", start)) >= 0:
        parts += [text[end:start], _TEMPLATE, "\n" * text.count("\n", start, close)]
        end = close + 2
    return _ONLY_TEMPLATE.sub("", "".join([*parts, text[end:]]))


def _known(text: str | None) -> str | None:
    return text if text and _TEMPLATE not in text else None


# --- compose -----------------------------------------------------------------------------------------------------

# $$ is a plain $; ${NAME}, ${NAME:-default}, $NAME: docs.docker.com, "Interpolation".
_INTERPOLATION = re.compile(r"\$\$|\$\{([A-Za-z_]\w{0,200})(?::?([-+?])([^}$]{0,500}))?\}|\$([A-Za-z_]\w{0,200})")


def _compose(root: Node) -> Iterator[Entry]:
    for key, service in root.get("services").pairs:
        container = _known(service.get("container_name").text) or _known(key.text)
        within = _Within(workload=_known(key.text), container=container)
        for file in _several(service.get("env_file")):
            where = file.text or file.get("path").text
            if where:
                yield within.entry(None, "env_file", file.line, reference=_known(where))
        environment = service.get("environment")
        for name, value in environment.pairs:
            if name.text:
                given = None if value.is_null else value.text
                yield from _compose_variable(within, name.text, given, name.line)
        for item in environment.items:
            if item.text:
                name_text, sign, value_text = item.text.partition("=")
                yield from _compose_variable(within, name_text, value_text if sign else None, item.line)
        for secret in _several(service.get("secrets")):
            used = secret.text or secret.get("source").text
            if used:
                yield within.entry(None, "secretKeyRef", secret.line, reference=_known(used))


def _compose_variable(within: _Within, name: str, value: str | None, line: int) -> Iterator[Entry]:
    if value is None:  # without a value it comes from where compose runs
        yield within.entry(name, "variable", line, reference=_known(name))
        return
    found = [match for match in _INTERPOLATION.finditer(value) if match[1] or match[4]]
    for match in found:
        default = match[3] if match[2] == "-" and match[0] == value else None
        yield within.entry(name, "variable", line, value=default, reference=match[1] or match[4])
    if not found:
        yield within.literal(name, value.replace("$$", "$"), line)


# --- Kubernetes --------------------------------------------------------------------------------------------------

_POD_SPECS = (
    ("spec", "template", "spec"),  # Deployment, StatefulSet, DaemonSet, ReplicaSet, Job
    ("spec", "jobTemplate", "spec", "template", "spec"),  # CronJob
    ("template", "spec"),  # PodTemplate
)
_EXPANSION = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]{0,200})\)")  # $(NAME), an earlier variable of the container


def _kubernetes(root: Node) -> Iterator[Entry]:
    kind, metadata = root.get("kind").text or "", root.get("metadata")
    name = _known(metadata.get("name").text)
    within = _Within(workload=f"{kind}/{name}" if name else kind, namespace=_known(metadata.get("namespace").text))
    if kind.endswith("List"):
        for item in root.get("items").items:
            if not item.get("items"):  # no list in a list
                yield from _kubernetes(item)
    elif kind in ("Secret", "ConfigMap"):
        for holder in ("data", "stringData"):
            encoded = kind == "Secret" and holder == "data"
            for key, value in root.get(holder).pairs:
                if value.text is not None:
                    yield within.literal(key.text, _decoded(value.text) if encoded else value.text, key.line)
    elif kind == "Kustomization":
        yield from _kustomize(root, within.namespace)
    elif kind == "Pod":
        yield from _pod(root.get("spec"), within)
    else:
        for keys in _POD_SPECS:
            yield from _pod(root.get(*keys), within)


def _pod(spec: Node, pod: _Within) -> Iterator[Entry]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group).items:
            within = _Within(
                workload=pod.workload, namespace=pod.namespace, container=_known(container.get("name").text)
            )
            for taken in container.get("envFrom").items:
                yield from _whole(within, taken.get("secretRef", "name"), "secretKeyRef")
                yield from _whole(within, taken.get("configMapRef", "name"), "configMapKeyRef")
            for variable in container.get("env").items:
                yield from _kubernetes_variable(within, variable)
    for volume in spec.get("volumes").items:
        yield from _whole(pod, volume.get("secret", "secretName"), "secretKeyRef")
        for source in volume.get("projected", "sources").items:
            yield from _whole(pod, source.get("secret", "name"), "secretKeyRef")
    for pull in spec.get("imagePullSecrets").items:
        yield from _whole(pod, pull.get("name"), "secretKeyRef")


def _whole(within: _Within, name: Node, source: Source) -> Iterator[Entry]:
    if name.text:
        yield within.entry(None, source, name.line, reference=_known(name.text))


def _kubernetes_variable(within: _Within, variable: Node) -> Iterator[Entry]:
    name, value, taken = variable.get("name").text, variable.get("value"), variable.get("valueFrom")
    if value.text is not None:
        used = [match[1] for match in _EXPANSION.finditer(value.text) if match[1]]
        for reference in used:
            yield within.entry(name, "variable", variable.line, reference=reference)
        if not used:
            yield within.literal(name, value.text, variable.line)
    kinds: tuple[Source, ...] = ("secretKeyRef", "configMapKeyRef")
    for source in kinds:
        object_name, key = taken.get(source, "name").text, taken.get(source, "key").text
        if object_name:
            reference_text = _known(f"{object_name}/{key}" if key else object_name)
            yield within.entry(name, source, variable.line, reference=reference_text)
    field = taken.get("fieldRef", "fieldPath").text or taken.get("resourceFieldRef", "resource").text
    if field:
        yield within.entry(name, "variable", variable.line, reference=_known(field))


def _kustomize(root: Node, namespace: str | None) -> Iterator[Entry]:
    for kind in ("Secret", "ConfigMap"):
        for generator in root.get(f"{kind[0].lower()}{kind[1:]}Generator").items:
            name = generator.get("name").text
            within = _Within(workload=f"{kind}/{name}" if name else kind, namespace=namespace)
            for item in generator.get("literals").items:
                key, sign, value = (item.text or "").partition("=")
                if sign:
                    yield within.literal(key, value, item.line)
            for file in (*generator.get("envs").items, generator.get("env")):
                if file.text:
                    yield within.entry(None, "env_file", file.line, reference=_known(file.text))


def _decoded(text: str) -> str:
    """The value of a key under `data`; as it stands if it is not base64 of text (a keystore, a mistake)."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return text


# --- line by line ------------------------------------------------------------------------------------------------

_NAME_LINE = re.compile(r"\s*+-\s++name:\s*+[\"']?([A-Za-z_][\w.-]*+)[\"']?\s*+(?:#.*)?")
_VALUE_LINE = re.compile(r"\s*+value:\s*+(\S.*)")
_FROM_LINE = re.compile(r"\s*+(secretKeyRef|configMapKeyRef):\s*+")
_PART_LINE = re.compile(r"\s*+(name|key):\s*+[\"']?([\w.-]++)[\"']?\s*+")
_LIST_LINE = re.compile(r"\s*+-\s++[\"']?([A-Za-z_]\w*+)=(.+)")


def _by_line(document: Document) -> Iterator[Entry]:
    """`- name: X` with the `value:` or the reference that follows it, and `- X=value`."""
    within = _Within()
    name, name_line, source, parts = "", 0, "", dict[str, str]()
    for number, line in enumerate(document.text.split("\n"), document.line):
        if match := _NAME_LINE.fullmatch(line):
            name, name_line, source, parts = match[1], number, "", {}
        elif name and (match := _VALUE_LINE.fullmatch(line)):
            yield within.literal(name, match[1].strip().strip("\"'"), name_line)
            name = ""
        elif name and (match := _FROM_LINE.fullmatch(line)):
            source = match[1]
        elif name and source and (match := _PART_LINE.fullmatch(line)):
            parts[match[1]] = match[2]
            if len(parts) == 2:
                kind: Source = "secretKeyRef" if source == "secretKeyRef" else "configMapKeyRef"
                yield within.entry(name, kind, name_line, reference=f"{parts['name']}/{parts['key']}")
                name = ""
        elif match := _LIST_LINE.fullmatch(line):
            yield from _compose_variable(within, match[1], match[2].strip().strip("\"'"), number)


# --- what is the same everywhere ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Within:
    """Where entries stand."""

    workload: str | None = None
    container: str | None = None
    namespace: str | None = None

    def literal(self, name: str | None, value: str, line: int) -> Entry:
        """A value as it stands, unless a template takes part in it."""
        if _TEMPLATE in value:
            return self.entry(name, "variable", line)
        return self.entry(name, "literal", line, value=value)

    def entry(
        self, name: str | None, source: Source, line: int, *, value: str | None = None, reference: str | None = None
    ) -> Entry:
        return Entry(
            workload=self.workload,
            container=self.container,
            name=_known(name),
            value=None if value is None else Secret(value),
            source=source,
            reference=reference,
            line=line,
            namespace=self.namespace,
        )


def _several(node: Node) -> tuple[Node, ...]:
    """One thing, or a list of things."""
    return node.items or ((node,) if node is not MISSING else ())
