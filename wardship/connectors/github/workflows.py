"""Reading the workflow files of one repository: one listing, one call a file, and two more where a job may ask for a
token of its own. The text of a file stays here; what goes on is which secret and which identity it uses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from wardship.connectors.github import usage
from wardship.connectors.github.place import Where
from wardship.connectors.github.repositories import Part, Repository
from wardship.model.errors import SkippableError
from wardship.model.scan import Problem
from wardship.sdk.ci_files import oidc_subjects, workflow_references
from wardship.sdk.http import Http
from wardship.sdk.i18n import _

FOLDER = ".github/workflows"
MAX_FILES = 200  # of one repository
MAX_BYTES = 1024 * 1024  # of one file; GitHub sends no larger one this way
_NEEDS = "contents:read"

SecretsOf = Callable[[], tuple[usage.Secrets, list[Problem]]]


def read(http: Http, repository: Repository, secrets_of: SecretsOf, where: Where) -> Part:
    """The workflows of `repository` that use something. `secrets_of` is asked only where a file names a secret."""
    items: list[Any] = []
    problems: list[Problem] = []
    listing = http.get_json(f"{repository.path}/contents/{FOLDER}", needs=_NEEDS, missing_ok=True)
    paths = _paths(listing)
    if len(paths) > MAX_FILES:
        detail = _("more than %(most)d workflow files") % {"most": MAX_FILES}
        problems.append(Problem(reason="budget", detail=detail, subject=repository.name))
    secrets: usage.Secrets | None = None
    asked: dict[str, Any] | None = None
    for path in paths[:MAX_FILES]:
        text = _text(http.get_json(f"{repository.path}/contents/{quote(path)}", needs=_NEEDS, missing_ok=True))
        if text is None:
            detail = _("%(path)s could not be read") % {"path": path}
            problems.append(Problem(reason="not_visible", detail=detail, subject=repository.name))
            continue
        references = workflow_references(text, path=path)
        if secrets is None and any(reference.kind == "secret" and reference.name for reference in references):
            secrets, unread = secrets_of()
            problems += unread
        known = secrets or usage.Secrets(
            repository=repository.name, private=True, of_organisation=None, of_repository=None
        )
        item: dict[str, Any] = {
            "repository": repository.name,
            "path": path,
            "uses": list(usage.uses(references, known, where)),
        }
        if usage.may_ask_token(references):
            if asked is None:
                asked = _token_facts(http, repository, problems)
            item |= {"may_ask_token": True, **_subjects(text, repository, asked)}
        if item["uses"] or "may_ask_token" in item:
            items.append(item)
    return items, problems


def _paths(listing: Any) -> list[str]:
    """The paths of the workflow files in a listing, which is none where the folder is a file or absent."""
    return sorted(
        entry["path"]
        for entry in (listing if isinstance(listing, list) else ())
        if isinstance(entry, dict)
        and entry.get("type") == "file"
        and isinstance(entry.get("path"), str)
        and entry["path"].startswith(f"{FOLDER}/")
        and entry["path"].endswith((".yml", ".yaml"))
        and ".." not in entry["path"].split("/")
    )


def _text(found: Any) -> str | None:
    """The text of a file as the contents API sends it; None where it is gone, too large or no text."""
    if not isinstance(found, dict) or found.get("encoding") != "base64" or not isinstance(found.get("content"), str):
        return None
    if len(found["content"]) > 2 * MAX_BYTES:
        return None
    try:
        return base64.b64decode(found["content"]).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


def _token_facts(http: Http, repository: Repository, problems: list[Problem]) -> dict[str, Any]:
    """What the repository says about its workflows' tokens: the form of their subject, and their default rights."""
    facts: dict[str, Any] = {}
    for name in ("oidc/customization/sub", "permissions/workflow"):
        try:
            found = http.get_json(f"{repository.path}/actions/{name}", needs="actions:read")
        except SkippableError as refused:
            problems.append(Problem.of(refused, repository.name, needs="actions:read"))
        else:
            facts |= {name: found} if isinstance(found, dict) else {}
    return facts


def _subjects(text: str, repository: Repository, facts: dict[str, Any]) -> dict[str, Any]:
    """The subjects that the file's jobs can present, unless the repository gives its subjects a form of its own."""
    found: dict[str, Any] = {"subjects": []}
    form = facts.get("oidc/customization/sub")
    if form is not None:
        prefix = form.get("sub_claim_prefix")  # a stable one with ids, where the repository opted in
        usual = f"repo:{repository.full_name}"
        if form.get("use_default") is True:
            found["subjects"] = [
                (prefix if isinstance(prefix, str) and prefix else usual) + subject.removeprefix(usual)
                for subject in oidc_subjects(text, repository=repository.full_name)
            ]
        else:
            found["subject_template"] = form.get("include_claim_keys")
    rights = facts.get("permissions/workflow")
    if rights is not None:
        found["default_token_permissions"] = rights.get("default_workflow_permissions")
    return found
