"""What CI files name: GitHub Actions, GitLab CI, Jenkins; and what hostile files do to it (nothing)."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.sdk.ci_files import MAX_REFERENCES, Reference, oidc_subjects, workflow_references, workflow_triggers

WORKFLOW = ".github/workflows/deploy.yml"
TENANT = "0a1b2c3d-0000-4000-8000-00000000000a"
CLIENT = "0A1B2C3D-0000-4000-8000-00000000000B"

DEPLOY = f"""\
name: deploy
on:
  push:
    branches: [main, "release/**"]
    tags: [v1]
  pull_request:
env:
  REGION: eu-west-1
  TOKEN: ${{{{ secrets.global_token }}}}
permissions:
  contents: read
  id-token: write
jobs:
  build:
    runs-on: ubuntu-latest
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@v5
        with:
          token: ${{{{ secrets.GITHUB_TOKEN }}}}
      # - run: echo ${{{{ secrets.COMMENTED_OUT }}}}
      - run: |
          # the runner fills this in as well
          npm publish --token ${{{{ secrets.NPM_TOKEN }}}}
          cat secrets.txt   # not an expression
        if: vars.PUBLISH == 'yes'
  aws:
    environment:
      name: production
      url: https://shop.example
    steps:
      - uses: aws-actions/configure-aws-credentials@v5
        with:
          role-to-assume: arn:aws:iam::123456789012:role/ci/deploy
          aws-region: eu-west-1
      - uses: aws-actions/configure-aws-credentials@v5
        with:
          role-to-assume: ${{{{ vars.AWS_ROLE }}}}
      - uses: aws-actions/configure-aws-credentials@v5
        with:
          aws-access-key-id: ${{{{ secrets.AWS_KEY_ID }}}}
          aws-secret-access-key: ${{{{ secrets['AWS_SECRET'] }}}}
  azure:
    environment: ${{{{ inputs.target }}}}
    steps:
      - uses: Azure/login@v2
        with:
          client-id: {CLIENT}
          tenant-id: {TENANT}
      - uses: google-github-actions/auth@v3
        with:
          workload_identity_provider: projects/1/locations/global/workloadIdentityPools/p/providers/github
          service_account: deployer@acme-prod.iam.gserviceaccount.com
      - uses: hashicorp/vault-action@v3
        with:
          url: https://vault.acme.example
          secrets: |
            secret/data/ci/npm token | NPM ;
            secret/data/ci/${{{{ inputs.app }}}} key
  call:
    uses: acme/shared/.github/workflows/release.yml@v1
    secrets: inherit
  odd:
    steps:
      - run: echo ${{{{ secrets[format('{{0}}_KEY', inputs.app)] }}}} ${{{{ toJSON(secrets) }}}}
"""


def short(references: list[Reference]) -> list[tuple[str, str | None, str | None, int]]:
    return [(one.kind, one.name, one.job, one.line) for one in references]


def line_of(text: str, words: str) -> int:
    return text[: text.index(words)].count("\n") + 1


def test_a_github_workflow_names_its_secrets_and_cloud_identities() -> None:
    found = workflow_references(DEPLOY, path=WORKFLOW)

    def at(words: str) -> int:
        return line_of(DEPLOY, words)

    assert short(found) == [
        ("secret", "GLOBAL_TOKEN", None, at("global_token")),
        *[("oidc", None, job, at("id-token: write")) for job in ("aws", "azure", "call", "odd")],
        ("secret", "NPM_TOKEN", "build", at("npm publish")),
        ("variable", "PUBLISH", "build", at("vars.PUBLISH")),
        ("aws_role", "arn:aws:iam::123456789012:role/ci/deploy", "aws", at("role/ci/deploy")),
        ("variable", "AWS_ROLE", "aws", at("vars.AWS_ROLE")),
        ("aws_role", None, "aws", at("vars.AWS_ROLE")),
        ("secret", "AWS_KEY_ID", "aws", at("AWS_KEY_ID")),
        ("secret", "AWS_SECRET", "aws", at("AWS_SECRET")),
        ("azure_client", CLIENT.lower(), "azure", at("client-id")),
        ("oidc", "projects/1/locations/global/workloadIdentityPools/p/providers/github", "azure", at("workload_id")),
        ("gcp_service_account", "deployer@acme-prod.iam.gserviceaccount.com", "azure", at("service_account")),
        ("vault_path", "secret/data/ci/npm", "azure", at("secret/data/ci/npm")),
        ("vault_path", None, "azure", at("secret/data/ci/$")),
        ("secret", None, "call", at("secrets: inherit")),
        ("secret", None, "odd", at("secrets[format")),
    ]
    by_name = {one.name: one for one in found if one.name}
    assert by_name["AWS_KEY_ID"].key == "aws-access-key-id"
    assert by_name["AWS_KEY_ID"].via == "aws-actions/configure-aws-credentials"
    assert by_name["AWS_KEY_ID"].environment == "production"
    assert by_name[CLIENT.lower()].tenant == TENANT
    assert by_name[CLIENT.lower()].environment == "${{ inputs.target }}"  # not known, and not none
    assert by_name["secret/data/ci/npm"].key == "NPM"
    assert by_name["NPM_TOKEN"].environment is None


def test_the_subjects_of_a_workflow_are_its_environments_and_else_its_refs() -> None:
    assert oidc_subjects(DEPLOY, repository="acme/shop") == [
        "repo:acme/shop:environment:production",
        "repo:acme/shop:pull_request",
        "repo:acme/shop:ref:refs/heads/main",
        "repo:acme/shop:ref:refs/tags/v1",
    ]


def test_without_id_token_no_subject() -> None:
    text = "on: pull_request\npermissions: read-all\njobs: {a: {environment: production, steps: []}}\n"
    assert oidc_subjects(text, repository="acme/shop") == []
    assert oidc_subjects(text.replace("read-all", "write-all"), repository="acme/shop") == [
        "repo:acme/shop:environment:production"
    ]


def test_an_environment_with_a_colon_cannot_forge_a_subject() -> None:
    text = "on: push\npermissions: {id-token: write}\njobs: {a: {environment: 'x:ref:refs/heads/main'}}\n"
    assert oidc_subjects(text, repository="a/b") == ["repo:a/b:environment:x%3Aref%3Arefs/heads/main"]


def test_what_only_others_call_has_no_subjects_of_its_own() -> None:
    text = "on: workflow_call\npermissions: {id-token: write}\njobs: {a: {environment: production}}\n"
    assert oidc_subjects(text, repository="a/b") == []
    assert oidc_subjects(text.replace("workflow_call", "[workflow_call, push]"), repository="a@1/b@2") == [
        "repo:a@1/b@2:environment:production"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on: pull_request_target\njobs: {}\n", {"pull_request_target"}),
        ("on: [push, workflow_dispatch]\n", {"push", "workflow_dispatch"}),
        ("on:\n  push:\n  schedule: [{cron: '0 0 * * *'}]\n", {"push", "schedule"}),
        ("jobs: {}\n", set()),
        ("on: [push\n", set()),
    ],
)
def test_triggers(text: str, expected: set[str]) -> None:
    assert workflow_triggers(text) == expected


def test_an_aliased_step_belongs_to_both_jobs() -> None:
    text = """\
jobs:
  a:
    steps: &steps
      - run: deploy ${{ secrets.DEPLOY_KEY }}
  b:
    steps: *steps
"""
    assert short(workflow_references(text, path=WORKFLOW)) == [
        ("secret", "DEPLOY_KEY", "a", 4),
        ("secret", "DEPLOY_KEY", "b", 4),
    ]


def test_a_composite_action_is_read() -> None:
    text = """\
runs:
  using: composite
  steps:
    - uses: aws-actions/configure-aws-credentials@v5
      with:
        role-to-assume: deployer
"""
    assert short(workflow_references(text, path="action.yml")) == [("aws_role", "deployer", None, 6)]


def test_strings_and_other_contexts_are_no_secrets() -> None:
    text = """\
jobs:
  a:
    steps:
      - run: ${{ format('secrets.NOT_ONE {0}', github.secrets.NOR_THIS) }} ${{ my.vars.X }} ${{ 'it''s secrets.Y' }}
"""
    assert workflow_references(text, path=WORKFLOW) == []


def test_a_part_of_an_arn_is_not_guessed() -> None:
    text = """\
jobs:
  a:
    steps:
      - run: assume arn:aws:iam::123456789012:role/deploy-${{ inputs.stage }}
      - run: assume arn:aws:iam::123456789012:role/deploy-$STAGE
"""
    assert workflow_references(text, path=WORKFLOW) == []


def test_a_broken_workflow_is_read_by_line() -> None:
    text = """\
jobs:
  a:
   steps:
  - run: [ ${{ secrets.NPM_TOKEN }}
      # ${{ secrets.OLD }}
      role-to-assume: arn:aws:iam::123456789012:role/deploy
      client-id: 0a1b2c3d-0000-4000-8000-00000000000b
"""
    assert short(workflow_references(text, path=WORKFLOW)) == [
        ("secret", "NPM_TOKEN", None, 4),
        ("aws_role", "arn:aws:iam::123456789012:role/deploy", None, 6),
        ("azure_client", "0a1b2c3d-0000-4000-8000-00000000000b", None, 7),
    ]


GITLAB = """\
stages: [build, deploy]
variables:
  APP_NAME: shop
  IMAGE_TAG: "$REGISTRY_USER/shop"
default:
  image: node:22
.base: &base
  before_script:
    - export LOCAL_COPY=$SHARED_TOKEN
    - echo $LOCAL_COPY $CI_JOB_TOKEN $APP_NAME $HOME
deploy:
  <<: *base
  stage: deploy
  environment: {name: production, url: https://shop.example}
  id_tokens:
    AWS_TOKEN: {aud: https://sts.amazonaws.com}
    VAULT_ID_TOKEN:
      aud: [https://vault.acme.example, https://other.acme.example]
  secrets:
    DB_PASSWORD:
      vault: production/db/password@ops
    API_KEY:
      vault:
        engine: {name: kv-v1, path: legacy}
        path: shop/api
        field: key
    AZURE_ONE:
      azure_key_vault: {name: shop-key}
  script:
    - aws sts assume-role-with-web-identity --role-arn arn:aws:iam::123456789012:role/gitlab
    - curl -H "PRIVATE-TOKEN: ${DEPLOY_TOKEN}" https://x.example?p=$DB_PASSWORD
    - !reference [.base, script]
"""


def test_a_gitlab_pipeline_names_variables_tokens_and_vault_paths() -> None:
    found = workflow_references(GITLAB, path="ci/.gitlab-ci.yml")

    def at(words: str) -> int:
        return line_of(GITLAB, words)

    assert set(short(found)) == {
        ("variable", "REGISTRY_USER", None, at("REGISTRY_USER")),
        ("variable", "SHARED_TOKEN", ".base", at("SHARED_TOKEN")),
        ("variable", "SHARED_TOKEN", "deploy", at("SHARED_TOKEN")),  # merged in
        ("oidc", "https://sts.amazonaws.com", "deploy", at("AWS_TOKEN")),
        ("oidc", "https://vault.acme.example", "deploy", at("VAULT_ID_TOKEN")),
        ("oidc", "https://other.acme.example", "deploy", at("VAULT_ID_TOKEN")),
        ("vault_path", "ops/data/production/db", "deploy", at("DB_PASSWORD:")),
        ("vault_path", "legacy/shop/api", "deploy", at("API_KEY:")),
        ("secret", "shop-key", "deploy", at("AZURE_ONE")),
        ("aws_role", "arn:aws:iam::123456789012:role/gitlab", "deploy", at("role/gitlab")),
        ("variable", "DEPLOY_TOKEN", "deploy", at("DEPLOY_TOKEN")),
    }
    assert {one.environment for one in found if one.job == "deploy"} == {"production"}


JENKINS = """\
// credentials('commented-out')
pipeline {
  environment {
    NPM = credentials('npm-token')   /* credentials("old") */
    URL = 'https://x.example/ // no comment'
    OTHER = credentials("${params.ID}")
    THIRD = credentials(params.ID)
  }
  stages {
    stage('Deploy') {
      steps {
        withCredentials([usernamePassword(credentialsId: 'deploy-user', usernameVariable: 'U')]) {
          sh 'deploy'
        }
        sshagent(credentials: ['host-a', "host-b"]) { sh 'ssh x' }
        sshagent(['host-c']) { sh 'ssh x' }
        withAWS(role: 'arn:aws:iam::123456789012:role/jenkins') { sh 'x' }
        withVault(vaultSecrets: [[path: 'secret/shop', engineVersion: 2]]) { sh 'x' }
      }
    }
  }
}
"""


def test_a_jenkinsfile_names_credential_ids_and_the_stage() -> None:
    assert short(workflow_references(JENKINS, path="ci/Jenkinsfile.release")) == [
        ("secret", "npm-token", None, 4),
        ("secret", None, None, 6),
        ("secret", None, None, 7),
        ("secret", "deploy-user", "Deploy", 12),
        ("secret", "host-a", "Deploy", 15),
        ("secret", "host-b", "Deploy", 15),
        ("secret", "host-c", "Deploy", 16),
        ("aws_role", "arn:aws:iam::123456789012:role/jenkins", "Deploy", 17),
        ("vault_path", "secret/shop", "Deploy", 18),
    ]


def test_a_list_of_credentials_over_several_lines() -> None:
    text = "node {\n  sshagent(credentials: [\n    'one',\n    'two',\n  ]) { }\n  credentialsId:\n   'three'\n}\n"
    assert [(one.name, one.line) for one in workflow_references(text, path="Jenkinsfile")] == [
        ("one", 2),
        ("two", 4),
        ("three", 6),
    ]


def test_without_a_path_the_text_tells_the_system() -> None:
    assert short(workflow_references(JENKINS)) == short(workflow_references(JENKINS, path="Jenkinsfile"))
    assert short(workflow_references(GITLAB)) == short(workflow_references(GITLAB, path=".gitlab-ci.yml"))
    assert short(workflow_references(DEPLOY)) == short(workflow_references(DEPLOY, path=WORKFLOW))


_WORDS = (
    '${{ }} secrets . [ ] \' jobs: &a *a <<: - : with: | --- $X_Y { " """ /* vault environment: '
    "credentials( stage( path:"
)
_PIECES = st.sampled_from(
    [
        *_WORDS.split(),
        "\n",
        " ",
        "\t",
        "\x00",
        "\u2028",
        "é",
        "\n  a:",
        "\n    steps:",
        "\n      - run: ",
        "id-token: write",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    text=st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=60).map("".join),
    path=st.sampled_from(["", WORKFLOW, ".gitlab-ci.yml", "Jenkinsfile", "action.yml"]),
)
def test_any_text_is_read_without_an_error(text: str, path: str) -> None:
    found = workflow_references(text, path=path)
    lines = text.count("\n") + text.count("\r") + text.count("\u2028") + text.count("\u2029") + text.count("\x85") + 1
    assert all(1 <= one.line <= lines for one in found)
    assert all(first.line <= second.line for first, second in pairwise(found))
    oidc_subjects(text, repository="a/b")
    workflow_triggers(text)


def test_what_follows_a_broken_document_is_still_read() -> None:
    text = "a: [\n---\njobs:\n  b:\n    steps:\n      - run: ${{ secrets.LATER }}\n"
    assert short(workflow_references(text, path=WORKFLOW)) == [("secret", "LATER", "b", 6)]


@pytest.mark.parametrize(
    "text",
    [
        "${{ " * 200_000,
        "jobs:\n  a:\n    steps:\n" + "      - run: ${{ secrets.A }} " + "${{ secrets" * 50_000,
        "[" * 300_000,
        "---\n" * 200_000,
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a]\n" for n in range(20_000)),
        "'" * 300_001,
        '"""' * 100_001,
        "credentials " * 100_000,
        "arn:aws:iam::123456789012:role/" * 30_000 + "$",
        "x" * 500_000 + "@gserviceaccount.com",
        "x@" * 200_000 + "gserviceaccount.co",
        "stage('a')\n" * 50_000,
        "$" * 300_000 + "{AAA",
        "$AAA=" * 100_000,
        "job:\n  script: |\n    " + "$AAA " * 200_000,
        "jobs:\n  a:\n    run: |\n      " + "${{ secrets.A }} " * 60_000,
        "jobs:\n  a:\n    run: ${{ " + "secrets.A " * 90_000 + "}}",
    ],
    ids=lambda text: text[:12].replace("\n", " "),
)
@pytest.mark.parametrize("path", [WORKFLOW, ".gitlab-ci.yml", "Jenkinsfile"])
def test_no_text_takes_long(text: str, path: str) -> None:
    started = time.process_time()
    assert len(workflow_references(text, path=path)) <= MAX_REFERENCES
    assert time.process_time() - started < 8.0
