"""What kind of place a file is, which environment it speaks of, and whether it is an example: from its path.

A path says what people call the file; the first bytes are asked where a name says too little (`deploy.yaml`).
What stands in the file is for the detectors, and whether an example may hold a secret for whoever judges.
"""

from __future__ import annotations

import re

from wardship.model.exposure import Place
from wardship.sdk.environment import environment_of

_MAX_PATH = 4096  # what Linux allows (PATH_MAX); of a longer one the end is looked at

# Words that make a file a pattern to copy: nothing runs with it.
_SAMPLE_WORDS = frozenset("example examples sample samples template templates tmpl tpl dist".split())
_EXAMPLE_FOLDERS = frozenset(
    "test tests testing testdata test_data spec specs __tests__ __mocks__ mocks fixture fixtures example examples"
    " sample samples demo demos doc docs documentation vendor third_party node_modules site-packages".split()
)

_DOTENV = re.compile(r"\.env(?:rc)?(?:[.\-_].+)?|(?:.+\.)?env(?:\.(?:local|prod|production|staging|dev|test))?")
_SHELL_HISTORY = re.compile(
    r"\.?(?:bash|zsh|sh|fish|ksh|python|psql|mysql|rediscli|irb|node_repl|sqlite)_history|\.histfile"
)
_CI_NAME = re.compile(
    r"(?:.*[.\-])?(?:gitlab-ci|bitbucket-pipelines|azure-pipelines|appveyor|cloudbuild|buildspec|wercker|codemagic)"
    r"(?:[.\-].+)?\.ya?ml|\.(?:travis|drone|cirrus|woodpecker)\.ya?ml|(?:.*[.\-_])?jenkinsfile(?:[.\-_].*)?|.+\.jenkins(?:file)?"
)
_CI_FOLDER = re.compile(
    r"(?:^|/)(?:\.github/(?:workflows|actions)|\.gitea/workflows|\.forgejo/workflows|\.circleci|\.buildkite|\.gitlab/ci"
    r"|\.gitlab-ci|\.woodpecker|\.teamcity|\.azure-pipelines|\.azuredevops)/"
)
_CONTAINER_NAME = re.compile(
    r"(?:docker-)?compose(?:[.\-_].+)?\.ya?ml|(?:.*[.\-_])?(?:docker|container)file(?:[.\-_].*)?|docker-stack.*\.ya?ml"
    r"|kustomization\.ya?ml|chart\.ya?ml|values(?:[.\-_].+)?\.ya?ml|devcontainer\.json"
)
_CONTAINER_FOLDERS = frozenset("k8s kubernetes kustomize manifests helm charts overlays".split())
_API_VERSION = re.compile(rb"^apiVersion:[ \t]*[\"']?[A-Za-z]", re.MULTILINE)
_KIND = re.compile(rb"^kind:[ \t]*[\"']?[A-Za-z]", re.MULTILINE)
_COMPOSE = re.compile(rb"^services:[ \t]*\r?$", re.MULTILINE)
_TRIGGER = re.compile(rb"^[\"']?on[\"']?:", re.MULTILINE)
_JOBS = re.compile(rb"^jobs:", re.MULTILINE)

_KEYSTORE_ENDINGS = frozenset(
    "pem key crt cer der p8 pk8 p12 pfx jks jceks keystore truststore bks ppk pub p7b asc gpg pgp kdbx".split()
)
_KEYSTORE_NAME = re.compile(r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?:[.\-_].+)?|authorized_keys2?|ssh_host_.+_key")
_KEYSTORE_HEADS = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce", b"PuTTY-User-Key-File-", b"-----BEGIN ")

_CONFIG_ENDINGS = frozenset(
    "yaml yml toml ini cfg conf config properties props json json5 jsonc xml tf tfvars tfstate hcl plist reg cnf"
    " nix pkrvars settings service desktop".split()
)
_CONFIG_NAME = re.compile(
    r"\.(?:npmrc|yarnrc|pypirc|netrc|pgpass|my\.cnf|dockercfg|s3cfg|boto|git-credentials|gitconfig|htpasswd|aws|curlrc|wgetrc)"
    r"|_netrc|credentials|kubeconfig|nginx\.conf|web\.config|config|sshd?_config|terraform\.rc|\.terraformrc|\.bowerrc"
)
_NOTES_ENDINGS = frozenset("md markdown mdx rst adoc asciidoc textile org ipynb tex wiki rmd qmd".split())
_NOTES_NAME = re.compile(r"(?:readme|changelog|changes|contributing|notes|todo|authors|news|install|history)(?:\.txt)?")
_CODE_ENDINGS = frozenset(
    "py pyi pyx rb rs go java kt kts scala groovy gradle clj cljs js jsx mjs cjs ts tsx mts vue svelte php phtml phps"
    " c h cc cpp cxx hpp hh cs fs fsx vb swift m mm dart lua pl pm r jl ex exs erl hrl hs ml mli sql sh bash zsh fish"
    " ps1 psm1 psd1 bat cmd awk sed tcl html htm css scss less sass erb ejs hbs jinja j2 tmpl sol proto graphql gql"
    " coffee nim zig v vhd asm s bicep robot feature cls trigger apex abap cob cbl f90 pas d cr elm".split()
)
_CODE_NAME = re.compile(
    r"(?:make|rake|gem|pip|vagrant|proc|brew|just|task|cap)file|\.?(?:bash|zsh)rc|\.(?:bash_|zsh)?profile"
)


def place_of(path: str, head: bytes = b"") -> Place:
    """The kind of place. `head` is the beginning of the file, a few kilobytes; without it the name alone decides.

    A pattern to copy (`.env.example`, `values.sample.yml`) is NOTES: nothing runs with it, and people read it.
    """
    spelled = path[-_MAX_PATH:].replace("\\", "/").lower()
    name = spelled.rsplit("/", 1)[-1]
    ending = name.rsplit(".", 1)[-1] if "." in name else ""
    words = set(re.split(r"[.\-_]", name))
    if _SHELL_HISTORY.fullmatch(name) or ending in _NOTES_ENDINGS or _NOTES_NAME.fullmatch(name):
        return Place.NOTES
    if _DOTENV.fullmatch(name):
        return Place.NOTES if words & _SAMPLE_WORDS else Place.DOTENV
    if _CI_FOLDER.search(spelled) or _CI_NAME.fullmatch(name):
        return Place.CI_FILE
    if _CONTAINER_NAME.fullmatch(name):
        return Place.NOTES if words & _SAMPLE_WORDS else Place.CONTAINER
    if ending in _KEYSTORE_ENDINGS or _KEYSTORE_NAME.fullmatch(name) or head.startswith(_KEYSTORE_HEADS):
        return Place.KEYSTORE
    if ending in ("yml", "yaml", "tpl") and _API_VERSION.search(head) and _KIND.search(head):
        return Place.CONTAINER
    if ending in ("yml", "yaml"):
        if name.startswith("action.") or (_TRIGGER.search(head) and _JOBS.search(head)):
            return Place.CI_FILE
        if _COMPOSE.search(head):
            return Place.CONTAINER
    if ending in ("yml", "yaml", "tpl") and not _CONTAINER_FOLDERS.isdisjoint(spelled.split("/")[:-1]):
        return Place.CONTAINER
    if ending in _CONFIG_ENDINGS or _CONFIG_NAME.fullmatch(name):
        return Place.NOTES if words & _SAMPLE_WORDS else Place.CONFIG
    if ending in _CODE_ENDINGS or _CODE_NAME.fullmatch(name) or head.startswith(b"#!"):
        return Place.CODE
    return Place.FILE


def environment_of_path(path: str) -> str | None:
    """The environment that the path names, normalised; None: it names none.

    The part nearest to the file counts: "test/helm/values-prod.yaml" is production. A part with two different words
    says nothing, and then nothing further out is asked: that would be a guess. A folder of tests
    ("tests/", "src/test/") is no test environment (`is_example` tells it).
    """
    parts = path[-_MAX_PATH:].replace("\\", "/").split("/")
    for inside, part in enumerate(reversed(parts)):
        is_test_folder = inside > 0 and part.lower() in _EXAMPLE_FOLDERS
        if not is_test_folder and _names_any(part):
            return environment_of(part)
    return None


def is_example(path: str) -> bool:
    """Whether the path is of tests, fixtures, examples, documentation, or other people's code: a fact, no judgement."""
    *folders, name = path[-_MAX_PATH:].replace("\\", "/").lower().split("/")
    if any(folder in _EXAMPLE_FOLDERS for folder in folders):
        return True
    words = re.split(r"[.\-_]", name)
    return bool(set(words) & _SAMPLE_WORDS or words[0] == "test" or words[-2:-1] in (["test"], ["spec"]))


def _names_any(part: str) -> bool:
    return any(environment_of(word) for word in re.split(r"[^A-Za-z]+", part))
