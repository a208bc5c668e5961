"""The environments of containers: compose, Kubernetes, Kustomize, Helm; and hostile files."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.sdk.manifests import MAX_ENTRIES, Entry, environment_entries


def short(entries: list[Entry]) -> list[tuple[str | None, str | None, str, str | None, str | None, int]]:
    return [
        (one.workload, one.name, one.source, one.value.reveal() if one.value else None, one.reference, one.line)
        for one in entries
    ]


COMPOSE = """\
x-common: &common
  LOG_LEVEL: info
services:
  web:
    image: shop
    container_name: shop-web
    env_file: [.env, {path: secrets/.env.production, required: false}]
    environment:
      <<: *common
      DB_PASSWORD: "pa$$word"
      API_KEY: ${API_KEY}
      FALLBACK: ${FALLBACK:-changed-me}
      URL: postgres://shop:${DB_PASS}@${DB_HOST}/shop
      FROM_HOST:
      EMPTY: ""
    secrets:
      - db_password
      - {source: tls_key, target: key.pem}
  worker:
    env_file: worker.env
    environment:
      - TOKEN=abc=def
      - PASSED_ON
secrets:
  db_password: {file: ./db_password.txt}
"""


def test_compose() -> None:
    found = environment_entries(COMPOSE, path="compose.yaml")
    assert short(found) == [
        ("web", None, "env_file", None, ".env", 7),
        ("web", None, "env_file", None, "secrets/.env.production", 7),
        ("web", "LOG_LEVEL", "literal", "info", None, 2),
        ("web", "DB_PASSWORD", "literal", "pa$word", None, 10),
        ("web", "API_KEY", "variable", None, "API_KEY", 11),
        ("web", "FALLBACK", "variable", "changed-me", "FALLBACK", 12),
        ("web", "URL", "variable", None, "DB_PASS", 13),
        ("web", "URL", "variable", None, "DB_HOST", 13),
        ("web", "FROM_HOST", "variable", None, "FROM_HOST", 14),
        ("web", "EMPTY", "literal", None, None, 15),  # empty: there is nothing to reveal
        ("web", None, "secretKeyRef", None, "db_password", 17),
        ("web", None, "secretKeyRef", None, "tls_key", 18),
        ("worker", None, "env_file", None, "worker.env", 20),
        ("worker", "TOKEN", "literal", "abc=def", None, 22),
        ("worker", "PASSED_ON", "variable", None, "PASSED_ON", 23),
    ]
    assert [one.container for one in found if one.name in ("API_KEY", "TOKEN")] == ["shop-web", "worker"]


KUBERNETES = f"""\
apiVersion: v1
kind: Secret
metadata: {{name: db, namespace: prod}}
data:
  password: {base64.b64encode(b"of-the-database").decode()}
  keystore: {base64.b64encode(bytes([0xFE, 0xED, 0xFE, 0xED])).decode()}
stringData:
  user: shop
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  template:
    spec:
      imagePullSecrets: [{{name: registry}}]
      initContainers:
        - name: migrate
          envFrom:
            - secretRef: {{name: db}}
            - configMapRef: {{name: settings}}
      containers:
        - name: web
          env:
            - name: TOKEN
              value: literal-token
            - name: PASSWORD
              valueFrom: {{secretKeyRef: {{name: db, key: password}}}}
            - name: REGION
              valueFrom: {{configMapKeyRef: {{name: settings, key: region}}}}
            - name: NODE
              valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}
            - name: URL
              value: https://$(USER_NAME)@x
      volumes:
        - secret: {{secretName: tls}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec: {{jobTemplate: {{spec: {{template: {{spec: {{containers: [{{name: job, env: [{{name: A, value: b}}]}}]}}}}}}}}}}
---
apiVersion: v1
kind: List
items:
  - {{apiVersion: v1, kind: Pod, metadata: {{name: o}}, spec: {{containers: [{{env: [{{name: P, value: q}}]}}]}}}}
  - {{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings}}, data: {{region: west}}}}
"""


def test_kubernetes() -> None:
    found = environment_entries(KUBERNETES, path="k8s/all.yaml")
    assert short(found) == [
        ("Secret/db", "password", "literal", "of-the-database", None, 5),
        ("Secret/db", "keystore", "literal", "/u3+7Q==", None, 6),  # not text: as it stands
        ("Secret/db", "user", "literal", "shop", None, 8),
        ("Deployment/shop", None, "secretKeyRef", None, "db", 20),
        ("Deployment/shop", None, "configMapKeyRef", None, "settings", 21),
        ("Deployment/shop", "TOKEN", "literal", "literal-token", None, 25),
        ("Deployment/shop", "PASSWORD", "secretKeyRef", None, "db/password", 27),
        ("Deployment/shop", "REGION", "configMapKeyRef", None, "settings/region", 29),
        ("Deployment/shop", "NODE", "variable", None, "spec.nodeName", 31),
        ("Deployment/shop", "URL", "variable", None, "USER_NAME", 33),
        ("Deployment/shop", None, "secretKeyRef", None, "tls", 36),
        ("Deployment/shop", None, "secretKeyRef", None, "registry", 16),
        ("CronJob/nightly", "A", "literal", "b", None, 41),
        ("Pod/o", "P", "literal", "q", None, 46),
        ("ConfigMap/settings", "region", "literal", "west", None, 47),
    ]
    assert {one.namespace for one in found if one.workload == "Secret/db"} == {"prod"}
    assert [one.container for one in found if one.name in ("password", "TOKEN", "A")] == [None, "web", "job"]


def test_kustomize() -> None:
    text = """\
kind: Kustomization
secretGenerator:
  - name: db
    literals: [password=in-the-clear]
    envs: [.env.secret]
"""
    assert short(environment_entries(text)) == [
        ("Secret/db", "password", "literal", "in-the-clear", None, 4),
        ("Secret/db", None, "env_file", None, ".env.secret", 5),
    ]


HELM = """\
{{- if .Values.enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "shop.name" . }}
  {{- with .Values.labels }}
  labels: {{ toYaml . | nindent 4 }}
  {{- end }}
spec:
  template:
    spec:
      containers:
        - name: {{ .Chart.Name }}
          env:
            {{- range .Values.extra }}
            {{- end }}
            - name: TOKEN
              value: "literal-token"
            - name: URL
              value: "https://{{ .Values.host }}/x"
            - name: PASSWORD
              valueFrom:
                secretKeyRef:
                  name: {{ .Release.Name }}-db
                  key: password
            - name: KEY
              valueFrom:
                secretKeyRef: {name: fixed, key: key}
{{- end }}
"""


def test_a_helm_template_is_read_around_its_expressions() -> None:
    found = environment_entries(HELM, path="templates/deployment.yaml")
    assert short(found) == [
        ("Deployment", "TOKEN", "literal", "literal-token", None, 17),
        ("Deployment", "URL", "variable", None, None, 19),
        ("Deployment", "PASSWORD", "secretKeyRef", None, None, 21),
        ("Deployment", "KEY", "secretKeyRef", None, "fixed/key", 26),
    ]


BROKEN = """\
kind: Deployment
 broken: [
            - name: TOKEN
              value: "literal-token"
            - name: PASSWORD
              valueFrom:
                secretKeyRef:
                  name: db
                  key: password
      - OTHER=${FROM_HOST}
"""


def test_a_broken_file_is_read_by_line() -> None:
    assert short(environment_entries(BROKEN, path="deploy.yaml")) == [
        (None, "TOKEN", "literal", "literal-token", None, 3),
        (None, "PASSWORD", "secretKeyRef", None, "db/password", 5),
        (None, "OTHER", "variable", None, "FROM_HOST", 10),
    ]
    assert environment_entries(BROKEN, path="notes.md") == []


def test_one_broken_document_does_not_hide_the_next() -> None:
    text = "a: [\n---\napiVersion: v1\nkind: Secret\nstringData: {k: v}\n"
    assert short(environment_entries(text)) == [("Secret", "k", "literal", "v", None, 5)]


def test_no_value_is_shown() -> None:
    shown = repr(environment_entries(KUBERNETES)) + repr(environment_entries(COMPOSE))
    assert not [
        word for word in ("of-the-database", "literal-token", "pa$word", "abc=def", "changed-me") if word in shown
    ]


@pytest.mark.parametrize(
    "text", ["", "a: b\n", "- 1\n", "services: [web]\n", "kind: Secret\napiVersion: v1\ndata: x\n"]
)
def test_other_yaml_has_no_entries(text: str) -> None:
    assert environment_entries(text) == []


_WORDS = (
    "apiVersion: kind: Secret List items: data: spec: template: containers: env: - name: value: valueFrom: & * <<: "
    "secretKeyRef: services: environment: env_file: { } [ ] {{ }} --- ${A:-b} $$ $(B) &a *a secrets: v1 Pod"
)
_PIECES = st.sampled_from([*_WORDS.split(), "\n", "\n  ", "\n    ", " ", "\x00", "\ue000", "é", ": ", "- "])


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=60).map("".join))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for entry in environment_entries(text):
        assert entry.line >= 1
        assert entry.source != "literal" or entry.value is not None
        assert "\ue000" not in f"{entry.workload}{entry.container}{entry.name}{entry.reference}{entry.namespace}"


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {environment: {X: '" + "${A:-" * 150_000 + "'}}}",
        "{{" * 400_000,
        "{{ }}" * 150_000,
        "{{ }}\n" * 150_000,
        "- name: x\n" * 100_000 + "[",
        "[" * 500_000,
        "kind: List\napiVersion: v1\nitems: " + "[{kind: List, apiVersion: v1, items: " * 10_000,
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a]\n" for n in range(20_000)),
        "kind: Secret\napiVersion: v1\ndata:\n" + "".join(f"  k{n}: YQ==\n" for n in range(30_000)),
        "- A=" + " " * 500_000,
        " " * 500_000 + "- name: x",
    ],
    ids=lambda text: text[:24].replace("\n", " "),
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    assert len(environment_entries(text)) <= MAX_ENTRIES
    assert time.process_time() - started < 8.0
