"""What a path says: the kind of place, the environment, and whether it is an example."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.model.exposure import Place
from wardship.secrets.places import environment_of_path, is_example, place_of

KUBERNETES = b"# shop\napiVersion: apps/v1\nkind: Deployment\n"
WORKFLOW = b"name: x\non:\n  push:\njobs:\n  a:\n"


@pytest.mark.parametrize(
    ("paths", "place"),
    [
        (".env app/.env.production .envrc deploy/prod.env .env.local .ENV", Place.DOTENV),
        (".env.example app/.env.sample .env.template .env.dist example.env", Place.NOTES),
        (
            "docker-compose.yml compose.prod.yaml docker-compose.override.yml Dockerfile api/Dockerfile.dev",
            Place.CONTAINER,
        ),
        ("app.dockerfile Containerfile k8s/web.yaml charts/shop/values.yaml values-prod.yaml", Place.CONTAINER),
        ("charts/shop/templates/deployment.yaml deploy/k8s/overlays/staging/patch.yml", Place.CONTAINER),
        (
            ".github/workflows/ci.yml .gitlab-ci.yml ci/build.gitlab-ci.yml Jenkinsfile ci/Jenkinsfile.release",
            Place.CI_FILE,
        ),
        ("azure-pipelines.yml .circleci/config.yml bitbucket-pipelines.yml .travis.yml action.yml", Place.CI_FILE),
        (
            "config/default.json main.tf prod.tfvars a.tfstate application.properties appsettings.json web.config",
            Place.CONFIG,
        ),
        (".npmrc .aws/credentials .kube/config settings.toml config/database.yml .netrc pom.xml", Place.CONFIG),
        (
            "server.pem tls.key a.p12 store.jks id_rsa .ssh/id_ed25519 cert.crt key.ppk .ssh/authorized_keys",
            Place.KEYSTORE,
        ),
        (".bash_history .zsh_history README.md notebook.ipynb docs/x.rst README notes.txt", Place.NOTES),
        ("src/app.py Main.java lib/x.ts deploy.sh Makefile .bashrc query.sql build.gradle", Place.CODE),
        ("data.bin LICENSE dump.csv app.log a.txt", Place.FILE),
    ],
)
def test_the_path_tells_the_place(paths: str, place: Place) -> None:
    assert {path: place_of(path) for path in paths.split()} == dict.fromkeys(paths.split(), place)
    windows = [path.replace("/", "\\") for path in paths.split()]
    assert {place_of(path) for path in windows} == {place}


@pytest.mark.parametrize(
    ("path", "head", "place"),
    [
        ("deploy/web.yaml", KUBERNETES, Place.CONTAINER),
        ("deploy/web.yaml", KUBERNETES.replace(b"\n", b"\r\n"), Place.CONTAINER),
        ("deploy/web.yaml", b"kind: of\n", Place.CONFIG),
        ("stack.yml", b"version: '3'\nservices:\n  web:\n", Place.CONTAINER),
        ("templates/ci.yml", WORKFLOW, Place.CI_FILE),
        ("bin/run", b"#!/bin/sh\n", Place.CODE),
        ("secret.txt", b"-----BEGIN " + b"PRIVATE KEY-----\n", Place.KEYSTORE),
        ("store", b"\xfe\xed\xfe\xed\0\0\0\2", Place.KEYSTORE),
    ],
)
def test_the_first_bytes_tell_where_the_name_does_not(path: str, head: bytes, place: Place) -> None:
    assert place_of(path, head) is place


@pytest.mark.parametrize(
    ("path", "environment"),
    [
        (".env.production", "production"),
        ("config/prod/db.yml", "production"),
        ("k8s/overlays/staging/patch.yaml", "staging"),
        ("config/dev/values-prod.yaml", "production"),  # the nearest part counts
        ("prod/migrate-dev-to-staging.sh", None),  # two words: the folder further out would be a guess
        ("src/test/resources/app.properties", None),  # tests are no environment
        ("environments/test.tfvars", "test"),
        ("C:\\config\\production\\web.config", "production"),
        ("products/app.py", None),
        ("", None),
    ],
)
def test_the_environment_of_a_path(path: str, environment: str | None) -> None:
    assert environment_of_path(path) == environment


def test_examples() -> None:
    examples = "tests/a.py src/test/x.java docs/x.md a/fixtures/b.json vendor/x.go web/node_modules/y/z.js"
    examples += " .env.example app.test.ts test_app.py x.spec.js config.sample.yml"
    others = "src/app.py contest/x.py .env latest.py attest.go src/tester.py"
    assert [path for path in examples.split() if not is_example(path)] == []
    assert [path for path in others.split() if is_example(path)] == []


@given(st.text(max_size=200), st.binary(max_size=500))
def test_any_path_has_a_place(path: str, head: bytes) -> None:
    assert place_of(path, head) in Place
    environment_of_path(path)
    is_example(path)


@pytest.mark.parametrize(
    "path", ["a." * 50_000, ".env." * 50_000, "k8s/" * 50_000, "jenkinsfile-" * 20_000, "a/" * 50_000]
)
@pytest.mark.parametrize("head", [b"on:\n" * 2_000, b"kind:\napiVersion:\n" * 1_000])
def test_no_path_takes_long(path: str, head: bytes) -> None:
    started = time.process_time()
    for ending in ("", ".yml"):
        place_of(path + ending, head)
        environment_of_path(path + ending)
        is_example(path + ending)
    assert time.process_time() - started < 4.0
