"""What a CI file depends on: the secrets, variables, cloud identities and vault paths that a pipeline names.

GitHub Actions (workflows and composite actions), GitLab CI and Jenkinsfiles. Only what the text says is reported: an
expression whose result only a run knows gives a reference without a name. YAML that cannot be read as a tree is read
line by line; then no job is known. What a reference leads to is for the caller to find out (ADR 0026).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from wardship.sdk.yaml_tree import MISSING, Document, Node, documents

Kind = Literal["secret", "variable", "aws_role", "azure_client", "gcp_service_account", "vault_path", "oidc"]

MAX_CHARS = 4 * 1024 * 1024  # no pipeline is larger; the rest is not read
MAX_REFERENCES = 10_000  # of one file; so many are an attack, not a pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One thing that a pipeline names. Ids and names only, never a value.

    kind: "secret" and "variable" of the CI system (a GitLab variable may be either: "variable"); for Jenkins the id of
    a credential. "vault_path" is the path as the vault's API spells it. "oidc": the job may ask for an identity token.
    name: None where the file does not say which: an expression, `secrets: inherit`, all of them at once. GitHub's
    names are in upper case, as its API gives them. For "oidc" the audience; None: the default one.
    """

    kind: Kind
    name: str | None
    line: int  # 1-based
    job: str | None = None  # the job's id; for Jenkins the stage
    environment: str | None = None  # of the job, as written: an expression stays an expression
    tenant: str | None = None  # the Entra tenant of an azure_client
    via: str | None = None  # the action or keyword that takes it: "aws-actions/configure-aws-credentials", "run"
    key: str | None = None  # the input or variable that receives it: "aws-access-key-id", "NPM_TOKEN"


def workflow_references(text: str, *, path: str = "") -> list[Reference]:
    """What the CI file `text` names, by line. `path` tells the system; without it the text does.

    Never raises for what the text is. The token that GitHub makes for each run (GITHUB_TOKEN) is no stored secret and
    is left out.
    """
    text = text[:MAX_CHARS]
    if _is_jenkins(path, text):
        found: Iterable[Reference] = _jenkins(text)
    else:
        found = _of_yaml(text, path)
    unique: dict[Reference, None] = {}
    for reference in found:
        unique.setdefault(reference)
        if len(unique) >= MAX_REFERENCES:
            break
    return sorted(unique, key=lambda reference: reference.line)


def oidc_subjects(text: str, *, repository: str, path: str = "") -> list[str]:
    """The subjects of the identity tokens that a GitHub workflow can present to a cloud, sorted.

    For jobs with `id-token: write`, in GitHub's default form: a job with an environment presents that, any other the
    pull request or the branch or tag that was pushed. Literal names only: a pattern ("release/**"), an expression, a
    push to any branch or an event of another kind adds nothing. `repository` as its subjects spell it: "acme/shop", or
    with the immutable ids that repositories made since July 2026 have there, "acme@12/shop@34" (docs.github.com,
    "OIDC token claims"). A template of its own that an organisation set is not in the file.
    """
    found = set()
    for document in documents(text[:MAX_CHARS]):
        root = document.root or MISSING
        if not _is_github(path, root) or _triggers(root) == {"workflow_call"}:
            continue  # what only others call presents the subjects of its callers
        for job in _github_jobs(root):
            if not job.may_ask_token:
                continue
            if job.environment is not None:
                if "${{" not in job.environment:
                    found.add(f"repo:{repository}:environment:{job.environment.replace(':', '%3A')}")
                continue
            if "pull_request" in _triggers(root):
                found.add(f"repo:{repository}:pull_request")
            push = root.get("on", "push")
            for what, refs in (("branches", "heads"), ("tags", "tags")):
                found.update(
                    f"repo:{repository}:ref:refs/{refs}/{name}"
                    for name in _texts(push.get(what))
                    if not set(name) & set("*?+[]!$")
                )
    return sorted(found)


def workflow_triggers(text: str) -> frozenset[str]:
    """The events that start a GitHub workflow: "push", "pull_request_target". Empty where the file cannot be read."""
    return frozenset().union(*(_triggers(document.root or MISSING) for document in documents(text[:MAX_CHARS])))


# --- what is the same everywhere ---------------------------------------------------------------------------------

_ROLE = re.compile(r"\barn:aws[a-z-]{0,16}:iam::\d{12}:role/[\w+=,.@/-]{1,600}+(?![$%{])")
_SERVICE_ACCOUNT = re.compile(r"(?<![\w.}%-])[\w-]{5,63}@[a-z0-9.-]{0,80}?gserviceaccount\.com\b")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CLIENT_KEYS = ("arm_client_id", "azure_client_id", "client-id", "servicePrincipalId")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What a reference says about where it stands."""

    job: str | None = None
    environment: str | None = None
    via: str | None = None
    tenant: str | None = None

    def reference(self, kind: Kind, name: str | None, line: int, key: str | None = None) -> Reference:
        tenant = self.tenant if kind == "azure_client" else None
        return Reference(
            kind=kind,
            name=name,
            line=line,
            job=self.job,
            environment=self.environment,
            tenant=tenant,
            via=self.via,
            key=key,
        )


class _Lines:
    """Tells the line of a place in `text`, which is looked through once however many places are asked for."""

    def __init__(self, text: str, first: int) -> None:
        self._text, self._first = text, first

    @cached_property
    def _ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self._text)]

    def at(self, position: int) -> int:
        return self._first + bisect_left(self._ends, position)


def _identities(text: str, line: int, key: str | None, around: _Around) -> Iterator[Reference]:
    """The cloud identities that `text` names in full, wherever it stands: an input, a variable, a script."""
    lines = _Lines(text, line)
    if "arn:" in text:
        for match in _ROLE.finditer(text):
            yield around.reference("aws_role", match[0].rstrip(".,"), lines.at(match.start()), key)
    if "gserviceaccount" in text:
        for match in _SERVICE_ACCOUNT.finditer(text):
            yield around.reference("gcp_service_account", match[0], lines.at(match.start()), key)
    if key is not None and key.lower() in _CLIENT_KEYS and _UUID.fullmatch(text.strip()):
        yield around.reference("azure_client", text.strip().lower(), line, key)


def _of_yaml(text: str, path: str) -> Iterator[Reference]:
    for document in documents(text):
        if document.root is None:
            yield from _by_line(document)
        elif _is_github(path, document.root):
            yield from _github(document.root)
        else:
            yield from _gitlab(document.root)


def _by_line(document: Document) -> Iterator[Reference]:
    around = _Around()
    for number, line in enumerate(document.text.split("\n"), document.line):
        if line.lstrip().startswith("#"):
            continue
        key, colon, value = line.strip().removeprefix("- ").partition(":")
        key = key.strip("\"' ")
        name = key if colon and re.fullmatch(r"[\w.-]{1,200}", key) else None
        for expression, _ in _expressions(line):
            yield from _named(expression, number, name, around)
        yield from _identities(value.strip().strip("\"'") if name else line, number, name, around)


def _is_github(path: str, root: Node) -> bool:
    spelled = path.replace("\\", "/").lower()
    if ".github/" in spelled or spelled.rsplit("/", 1)[-1] in ("action.yml", "action.yaml"):
        return True
    return ".gitlab" not in spelled and bool(root.get("jobs") or root.get("runs"))


def _texts(node: Node) -> list[str]:
    """A word, or a list of words."""
    return [found.text for found in (node, *node.items) if found.text]


# --- GitHub Actions ----------------------------------------------------------------------------------------------

# A string, or the use of a context: secrets.X, secrets['X'], secrets[...], all of `secrets`.
_CONTEXT = re.compile(
    r"'(?:[^']|'')*+'?"
    r"|(?<![\w.-])(?P<context>secrets|vars)\b(?:\s*+(?:\.\s*+(?P<name>[A-Za-z_][\w-]*+)|\[\s*+'(?P<quoted>[^']*+)'\s*+\]))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    id: str
    node: Node
    environment: str | None
    may_ask_token: Node  # where it says so; MISSING: it may not


def _triggers(root: Node) -> frozenset[str]:
    on = root.get("on")
    return frozenset([*_texts(on), *(key.text for key, _ in on.pairs if key.text)])


def _github_jobs(root: Node) -> Iterator[_Job]:
    for key, node in root.get("jobs").pairs:
        declared = node.get("environment")
        # A job's permissions replace the workflow's. What no one mentions is not granted: docs.github.com,
        # "Workflow syntax", permissions.
        permissions = node.get("permissions") or root.get("permissions")
        granted = permissions if permissions.text == "write-all" else permissions.get("id-token")
        yield _Job(
            id=key.text or "",
            node=node,
            environment=(declared.text or declared.get("name").text) or None,
            may_ask_token=granted if granted.text in ("write", "write-all") else MISSING,
        )


def _github(root: Node) -> Iterator[Reference]:
    for key, node in root.pairs:
        if key.text != "jobs":
            yield from _github_values(node, _Around(via=key.text), key.text)
    for step in root.get("runs", "steps").items:
        yield from _github_action(step, None)
    for job in _github_jobs(root):
        around = _Around(job=job.id, environment=job.environment, via=_action(job.node))
        if job.may_ask_token:
            yield around.reference("oidc", None, job.may_ask_token.line, "id-token")
        inherited = job.node.get("secrets")
        if inherited.text == "inherit":
            yield around.reference("secret", None, inherited.line, "secrets")
        for key, node in job.node.pairs:
            if key.text != "steps":
                yield from _github_values(node, around, key.text)
        for step in job.node.get("steps").items:
            yield from _github_values(step, _step(step, job), None)
            yield from _github_action(step, job)


def _action(node: Node) -> str | None:
    """The action or workflow that a step or a job uses, without its version."""
    uses = node.get("uses").text
    return uses.partition("@")[0].strip() if uses else None


def _step(step: Node, job: _Job | None) -> _Around:
    tenant = step.get("with", "tenant-id").text
    return _Around(
        job=job.id if job else None,
        environment=job.environment if job else None,
        via=_action(step) or ("run" if step.get("run") else None),
        tenant=tenant.strip().lower() if tenant and _UUID.fullmatch(tenant.strip()) else None,
    )


def _github_values(node: Node, around: _Around, key: str | None) -> Iterator[Reference]:
    for inner, scalar in node.scalars():
        text = scalar.source if scalar.source is not None else scalar.text or ""
        holder = inner or key
        if holder == "if" and "${{" not in text:
            yield from _named(text, scalar.line, holder, around)
        lines = _Lines(text, scalar.line)
        for expression, start in _expressions(text):
            yield from _named(expression, lines.at(start), holder, around)
        yield from _identities(text, scalar.line, holder, around)


def _expressions(text: str) -> Iterator[tuple[str, int]]:
    """What stands in ${{ ... }}, and where it begins."""
    start = text.find("${{")
    while start >= 0 and (end := text.find("}}", start)) >= 0:
        yield text[start + 3 : end], start
        start = text.find("${{", end)


def _named(expression: str, line: int, key: str | None, around: _Around) -> Iterator[Reference]:
    """The secrets and variables of one expression."""
    lines = _Lines(expression, line)
    for match in _CONTEXT.finditer(expression):
        if match["context"] is None:
            continue  # a string
        name = (match["name"] or match["quoted"] or "").upper() or None
        if name != "GITHUB_TOKEN":
            kind: Kind = "secret" if match["context"].lower() == "secrets" else "variable"
            yield around.reference(kind, name, lines.at(match.start()), key)


def _github_action(step: Node, job: _Job | None) -> Iterator[Reference]:
    """What the inputs of well-known actions name, where their text alone does not tell."""
    around, given = _step(step, job), step.get("with")
    match (around.via or "").lower():
        case "aws-actions/configure-aws-credentials":
            yield from _input(given, "role-to-assume", "aws_role", around, _ROLE)
        case "azure/login":
            yield from _input(given, "client-id", "azure_client", around, _UUID)
        case "google-github-actions/auth":
            yield from _input(given, "service_account", "gcp_service_account", around, _SERVICE_ACCOUNT)
            provider = given.get("workload_identity_provider")
            if provider.text:  # the audience of the token is the provider, unless the file names another
                audience = given.get("audience").text or provider.text
                yield around.reference("oidc", _literal(audience), provider.line, "workload_identity_provider")
        case "hashicorp/vault-action":
            wanted = given.get("secrets")
            text = wanted.source if wanted.source is not None else wanted.text or ""
            lines, start = _Lines(text, wanted.line), 0
            for part in re.split(r"([;\n])", text):
                words = part.split()
                if words and words[0] not in (";", "|", "|-", ">", ">-"):
                    key = words[-1] if len(words) > 2 and words[-2] == "|" else None
                    yield around.reference("vault_path", _literal(words[0].strip("\"'")), lines.at(start), key)
                start += len(part)
        case _:
            return


def _input(given: Node, name: str, kind: Kind, around: _Around, seen: re.Pattern[str]) -> Iterator[Reference]:
    """An input whose text names no identity in full (`seen` would have): a short name, or an expression."""
    node = given.get(name)
    if node.text and not seen.search(node.text):
        yield around.reference(kind, _literal(node.text.strip()), node.line, name)


def _literal(text: str) -> str | None:
    return None if "${{" in text else text


# --- GitLab CI ---------------------------------------------------------------------------------------------------

# Top-level words that are no jobs: docs.gitlab.com, "CI/CD YAML syntax reference", global keywords.
_NO_JOB = frozenset(
    "after_script before_script cache default image include services spec stages variables workflow".split()
)
_SCRIPTS = ("before_script", "script", "after_script", "image", "services", "variables", "trigger", "hooks")
_VARIABLE = re.compile(r"(?<![\\$])\$(?:\{([A-Z][A-Z0-9_]{2,})[}:]|([A-Z][A-Z0-9_]{2,})\b)")
_ASSIGNED = re.compile(r"\b([A-Z][A-Z0-9_]{2,})=|\b(?:read(?: -\w+)*|for|unset) ([A-Z][A-Z0-9_]{2,})\b")
# What the runner or the shell sets by itself.
_GIVEN = re.compile(
    r"(?:CI|GITLAB|CHAT|TRIGGER|FF|RUNNER|DOCKER)_\w+|HOME|PATH|PWD|USER|SHELL|TMPDIR|RANDOM|HOSTNAME|LANG|OLDPWD|GITLAB_CI"
)


def _gitlab(root: Node) -> Iterator[Reference]:
    defined = {key.text or "" for key, _ in root.get("variables").pairs}
    yield from _gitlab_job(root, _Around(), defined, keys=_NO_JOB - {"default"})
    yield from _gitlab_job(root.get("default"), _Around(), defined)
    for key, job in root.pairs:
        if key.text and key.text not in _NO_JOB and job.pairs:
            declared = job.get("environment")
            environment = (declared.text or declared.get("name").text) or None
            yield from _gitlab_job(job, _Around(job=key.text, environment=environment), defined)


def _gitlab_job(
    job: Node, around: _Around, defined: set[str], keys: frozenset[str] | None = None
) -> Iterator[Reference]:
    """One job, or of the file's own level the words `keys`."""
    own = set(defined)
    for holder in ("variables", "id_tokens", "secrets"):
        own.update(key.text or "" for key, _ in job.get(holder).pairs)
    for key, node in job.pairs:
        if keys is not None and key.text not in keys:
            continue
        within = replace(around, via=key.text)
        values = [
            (inner or key.text, scalar, scalar.source if scalar.source is not None else scalar.text or "")
            for inner, scalar in node.scalars()
        ]
        for holder_name, scalar, text in values:
            yield from _identities(text, scalar.line, holder_name, within)
        if key.text in _SCRIPTS:
            for _, _, text in values:
                own.update(match[1] or match[2] for match in _ASSIGNED.finditer(text))
            for holder_name, scalar, text in values:
                lines = _Lines(text, scalar.line)
                for match in _VARIABLE.finditer(text):
                    name = match[1] or match[2]
                    if name not in own and not _GIVEN.fullmatch(name):
                        yield within.reference("variable", name, lines.at(match.start()), holder_name)
    for key, token in job.get("id_tokens").pairs:
        for audience in _texts(token.get("aud")):
            yield replace(around, via="id_tokens").reference("oidc", audience, key.line, key.text)
    for key, secret in job.get("secrets").pairs:
        yield from _gitlab_secret(key, secret, around)


def _gitlab_secret(key: Node, secret: Node, around: _Around) -> Iterator[Reference]:
    """One entry of `secrets:`. Forms: docs.gitlab.com, "CI/CD YAML syntax reference", secrets."""
    vault = secret.get("vault")
    if vault:
        yield replace(around, via="vault").reference("vault_path", _vault_path(vault), key.line, key.text)
    for store in ("azure_key_vault", "gcp_secret_manager", "aws_secrets_manager"):
        kept = secret.get(store)
        if kept:
            kept_as = kept.text or kept.get("name").text or kept.get("secret_id").text
            yield replace(around, via=store).reference("secret", kept_as or None, key.line, key.text)


def _vault_path(vault: Node) -> str | None:
    """In one word "production/db/password@ops" (path/field@mount, engine kv-v2), or engine and path apart."""
    if vault.text:
        place, _, mount = vault.text.partition("@")
        return f"{mount or 'kv-v2'}/data/{place.rpartition('/')[0]}"
    engine, path = vault.get("engine"), vault.get("path").text
    mounted = engine.get("path").text
    if not mounted or not path:
        return None
    return f"{mounted}/data/{path}" if engine.get("name").text == "kv-v2" else f"{mounted}/{path}"


# --- Jenkins -----------------------------------------------------------------------------------------------------

_GROOVY = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^'\\]|\\.|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'(?:[^'\\\n]|\\.)*+'?"
    r"|(?P<comment>//[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z))",
    re.DOTALL,
)
_STRING = r"(?:'([^'\\\n]{1,300})'|\"([^\"\\\n]{1,300})\")"
_CREDENTIAL = re.compile(
    rf"\b(credentialsId|credentials|withAWS|sshagent)\s*+[:=(]\s*+(?:credentials\s*+:\s*+)?(?:\[\s*+)?(?={_STRING})?"
)
_MORE = re.compile(rf"\s*+,\s*+{_STRING}")
_STAGE = re.compile(rf"\bstage\s*+\(\s*+{_STRING}")
_VAULT_PATH = re.compile(rf"\bpath\s*+:\s*+{_STRING}")


def _is_jenkins(path: str, text: str) -> bool:
    name = path.replace("\\", "/").rsplit("/", 1)[-1].lower()
    if name:
        return "jenkinsfile" in name or name.endswith((".groovy", ".jenkins"))
    return re.search(r"^\s*+(?:pipeline|node)\s*+(?:\([^)\n]*+\)\s*+)?\{", text, re.MULTILINE) is not None


def _jenkins(text: str) -> Iterator[Reference]:
    code = _GROOVY.sub(lambda match: re.sub(r"[^\n]", " ", match[0]) if match["comment"] else match[0], text)
    lines = _Lines(code, 1)
    stages = list(_STAGE.finditer(code))
    stage_starts = [match.start() for match in stages]

    def at(position: int, via: str | None = None) -> tuple[_Around, int]:
        passed = bisect_right(stage_starts, position)
        stage = _groovy(stages[passed - 1]) if passed else None
        return _Around(job=stage, via=via), lines.at(position)

    for match in _CREDENTIAL.finditer(code):
        word, quoted = match[1], match[2] or match[3]
        if quoted is None and word in ("withAWS", "sshagent"):
            continue  # its `credentials:` stands elsewhere and is a match of its own
        around, line = at(match.start(), word)
        yield around.reference("secret", _groovy(match, 2), line, word)
        if quoted and "[" in match[0]:
            more = _MORE.match(code, match.end() + len(quoted) + 2)
            while more:
                yield around.reference("secret", _groovy(more), at(more.end())[1], word)
                more = _MORE.match(code, more.end())
    for match in _VAULT_PATH.finditer(code) if "vault" in code.lower() else ():
        around, line = at(match.start(), "vault")
        yield around.reference("vault_path", _groovy(match), line, "path")
    start = 0
    for number, text_line in enumerate(code.split("\n"), 1):
        yield from _identities(text_line, number, None, at(start)[0])
        start += len(text_line) + 1


def _groovy(match: re.Match[str], group: int = 1) -> str | None:
    """The literal in `group` (single quotes) or the next one (double quotes); None: an expression."""
    double = match[group + 1]
    return match[group] or (double if double and "$" not in double else None)
