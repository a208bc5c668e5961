"""Reading an organisation: what is asked for, in which order, and what is remembered between scopes.

What GitHub lists for the organisation is read by its own pages. What it lists only for each repository (deploy keys,
webhooks, secrets, environments, workflow files) is read repository by repository, several at a time, in the order of
their names (`repositories.walk`); the checkpoint of such a scope is the name of the last repository that was read, so
that a repository which appears or goes in between shifts nothing.

What one scope remembers for the next (names of secrets, environments, who is named) is read again where it is missing,
because a resumed scan starts with an empty memory. What must not be kept (values of variables, the last letters of
tokens, addresses of webhooks) is taken out here, before anything is staged or quarantined.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from wardship.connectors.github import keep, questions, repositories, workflows
from wardship.connectors.github.manifest import MANIFEST
from wardship.connectors.github.parse import Parser
from wardship.connectors.github.place import NAME
from wardship.connectors.github.repositories import Part, Repository
from wardship.connectors.github.session import Session
from wardship.connectors.github.setup import setup_guide
from wardship.connectors.github.usage import OrganisationSecret, Secrets
from wardship.model.errors import NotVisible, SkippableError, UnexpectedResponse
from wardship.model.scan import Problem, RawPage, Scope
from wardship.sdk.connector import (
    CallStats,
    Capability,
    CheckResult,
    Connection,
    Drift,
    DriftLog,
    Record,
    SetupGuide,
)
from wardship.sdk.i18n import _
from wardship.sdk.paging import HeaderLink, Page
from wardship.secrets import Engine, load_engine

PAGE = 100
VARIABLES_PAGE = 30  # GitHub's own limit for variables

_STORE_NEEDS = {
    "actions": "organization_secrets:read",
    "dependabot": "organization_dependabot_secrets:read",
    "codespaces": "organization_codespaces_secrets:read",
}
_ALL = {"type": "all", "sort": "full_name"}
# What names people; "github.member" comes after them and tells who of these has left.
_NAMING = (
    "github.personal_access_token",
    "github.personal_access_token_request",
    "github.sign_on_credential",
    "github.deploy_key",
)
_OPEN = {"state": "open", "hide_secret": "true"}  # without the latter GitHub sends what it found


class GitHubConnector:
    """Reads one organisation. One instance serves one scan, in one thread (calls of one page may go out together)."""

    manifest = MANIFEST

    def __init__(self, connection: Connection) -> None:
        self.stats = CallStats()
        self.drift: Drift = DriftLog()
        self._session = Session(connection, self.stats)
        self._api = self._session.api
        self._org = f"/orgs/{self._session.organisation}"
        self._fingerprint = connection.fingerprint
        self._chosen = repositories.Selection(connection.settings)
        self._parser = Parser(self._session.where, self.drift)
        self._engine: Engine | None = None
        self._one_at_a_time = threading.Lock()  # an engine works in one thread, repositories are read in several
        self._kinds: dict[str, Callable[[str | None], Iterator[RawPage]]] = {
            "github.organisation": self._organisation,
            "github.repository": self._repository,
            "github.app_installation": self._installation,
            "github.personal_access_token": self._token,
            "github.personal_access_token_request": self._token_request,
            "github.sign_on_credential": self._sign_on,
            "github.runner": self._runner,
            "github.organisation_secret": self._organisation_secret,
            "github.organisation_variable": self._organisation_variable,
            "github.organisation_webhook": self._organisation_webhook,
            "github.deploy_key": lambda token: self._each(token, self._keys_of),
            "github.repository_secret": lambda token: self._each(token, self._secrets_of),
            "github.environment": lambda token: self._each(token, self._environments_of),
            "github.repository_variable": lambda token: self._each(token, self._variables_of),
            "github.repository_webhook": lambda token: self._each(token, self._hooks_of),
            "github.secret_alert": self._alert,
            "github.member": self._member,
        }
        if connection.flag("read_workflows", default=True):
            self._kinds["github.workflow"] = lambda token: self._each(token, self._workflows_of)
        self._listed: list[Any] | None = None
        self._shared: list[Any] | SkippableError | None = None  # Actions secrets of the organisation, and their readers
        self._names: dict[str, frozenset[str]] = {}  # repository -> names of its secrets
        self._environments: dict[str, dict[str, frozenset[str] | None]] = {}  # repository -> environment -> names
        self._named: set[str] = set()  # logins that something named as its owner or maker
        self._read_whole: set[str] = set()

    @property
    def clock_skew_s(self) -> float | None:
        """GitHub's clock minus ours, in seconds; None before the first answer."""
        return self._api.clock_skew_s

    def scopes(self) -> Iterable[Scope]:
        authority = self._session.where.authority
        return [Scope(connector=MANIFEST.name, authority=authority, kind=kind) for kind in self._kinds]

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        if scope.kind not in self._kinds:
            raise UnexpectedResponse(_("no scope of kind %(kind)r") % {"kind": scope.kind}, operation="fetch")
        try:
            yield from self._kinds[scope.kind](token)
        except SkippableError:
            self._read_whole.add(scope.kind)  # there is nothing more to know of it in this run
            raise
        if token is None:
            self._read_whole.add(scope.kind)

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        return self._parser.parse(scope.kind, item)

    # -------------------------------------------------------------- the organisation and its repositories

    def _organisation(self, _token: str | None) -> Iterator[RawPage]:
        found = self._api.get_json(self._org, needs="metadata:read")
        yield RawPage(items=[keep.only(found, keep.ORGANISATION)])

    def _repository(self, _token: str | None) -> Iterator[RawPage]:
        listed = self._list_repositories()
        items = []
        for raw in listed:
            repository = repositories.repository_of(raw)
            if repository is None or self._chosen(repository):
                items.append(raw)
        yield RawPage(items=items, problems=self._not_walked(len(listed) - len(items)))

    def _list_repositories(self) -> list[Any]:
        """All repositories as GitHub lists them, cut to what is needed; asked for once a run."""
        if self._listed is None:
            self._listed = [
                keep.only(raw, keep.REPOSITORY)
                for page in self._pages(f"{self._org}/repos", None, needs="metadata:read", query=_ALL)
                for raw in page.items
            ]
        return self._listed

    def _each(self, token: str | None, read: Callable[[Repository], Part]) -> Iterator[RawPage]:
        listed = [found for raw in self._list_repositories() if (found := repositories.repository_of(raw))]
        chosen = sorted(filter(self._chosen, listed), key=lambda repository: repository.name)
        for page in repositories.walk(self._api, chosen, token, read):
            missing = self._not_walked(len(listed) - len(chosen)) if page.next_token is None else []
            yield RawPage(items=page.items, next_token=page.next_token, problems=[*page.problems, *missing])

    def _not_walked(self, left_out: int) -> list[Problem]:
        found = [repositories.left_out(left_out)] if left_out else []
        return [
            *found,
            *([repositories.selected_only(self._session.organisation)] if self._session.selected else []),
        ]

    # -------------------------------------------------------------- Apps and tokens

    def _installation(self, token: str | None) -> Iterator[RawPage]:
        needs = "organization_administration:read"
        for page in self._pages(f"{self._org}/installations", token, needs=needs, items="installations"):
            slugs = sorted(set(_texts(page.items, "app_slug")))
            apps = dict(zip(slugs, self._api.map(self._app, slugs), strict=True))
            items = [
                {"installation": keep.only(raw, keep.INSTALLATION), "app": apps.get(str(raw.get("app_slug")))}
                if isinstance(raw, dict)
                else raw
                for raw in page.items
            ]
            yield RawPage(items=items, next_token=page.next_token, expected_total=_total(page))

    def _app(self, slug: str) -> Any:
        """What GitHub shows everybody of an App; None for a private one."""
        return keep.only(self._api.get_json(f"/apps/{quote(slug, safe='')}", missing_ok=True), keep.APP)

    def _token(self, token: str | None) -> Iterator[RawPage]:
        path, needs = f"{self._org}/personal-access-tokens", "organization_personal_access_tokens:read"

        def reached(raw: Any) -> list[str] | None:
            if not isinstance(raw, dict) or raw.get("repository_selection") in ("all", "none"):
                return None
            if not isinstance(raw.get("id"), int):
                return None  # the parser says so
            found = self._all(f"{path}/{raw['id']}/repositories", needs=needs)
            return _texts(found, "full_name")

        for page in self._pages(path, token, needs=needs):
            items: list[Any] = []
            for raw, names in zip(page.items, self._api.map(reached, page.items), strict=True):
                self._note(raw.get("owner") if isinstance(raw, dict) else None)
                items.append(
                    {"token": keep.only(raw, keep.TOKEN)} | ({"repositories": names} if names is not None else {})
                )
            yield RawPage(items=items, next_token=page.next_token)

    def _token_request(self, token: str | None) -> Iterator[RawPage]:
        needs = "organization_personal_access_token_requests:read"
        for page in self._pages(f"{self._org}/personal-access-token-requests", token, needs=needs):
            for raw in page.items:
                self._note(raw.get("owner") if isinstance(raw, dict) else None)
            yield RawPage(items=[keep.only(raw, keep.TOKEN_REQUEST) for raw in page.items], next_token=page.next_token)

    def _sign_on(self, token: str | None) -> Iterator[RawPage]:
        needs = "organization_administration:read"
        for page in self._pages(f"{self._org}/credential-authorizations", token, needs=needs):
            for raw in page.items:
                self._note(raw)
            yield RawPage(items=[keep.only(raw, keep.SIGN_ON) for raw in page.items], next_token=page.next_token)

    def _runner(self, token: str | None) -> Iterator[RawPage]:
        needs = "organization_self_hosted_runners:read"
        for page in self._pages(f"{self._org}/actions/runners", token, needs=needs, items="runners"):
            items = [keep.only(raw, keep.RUNNER) for raw in page.items]
            yield RawPage(items=items, next_token=page.next_token, expected_total=_total(page))

    def _keys_of(self, repository: Repository) -> Part:
        found = self._all(f"{repository.path}/keys", needs="administration:read")
        self._named |= {login.lower() for login in _texts(found, "added_by")}
        return [{"repository": repository.name, "key": keep.only(raw, keep.KEY)} for raw in found], []

    # -------------------------------------------------------------- webhooks

    def _organisation_webhook(self, token: str | None) -> Iterator[RawPage]:
        for page in self._pages(f"{self._org}/hooks", token, needs="organization_hooks:read"):
            yield RawPage(items=[keep.webhook(raw) for raw in page.items], next_token=page.next_token)

    def _hooks_of(self, repository: Repository) -> Part:
        found = self._all(f"{repository.path}/hooks", needs="repository_hooks:read")
        return [{**keep.webhook(raw), "repository": repository.name} for raw in found], []

    # -------------------------------------------------------------- secrets

    def _organisation_secret(self, _token: str | None) -> Iterator[RawPage]:
        items: list[Any] = []
        refused: list[tuple[str, SkippableError]] = []
        for store, needs in _STORE_NEEDS.items():
            try:
                found = (
                    self._shared_secrets()
                    if store == "actions"
                    else [
                        {"store": store, "secret": keep.only(raw, keep.SHARED)}
                        for raw in self._all(f"{self._org}/{store}/secrets", needs=needs, items="secrets")
                    ]
                )
            except SkippableError as error:
                refused.append((store, error))
            else:
                items += found
        if len(refused) == len(_STORE_NEEDS):
            raise refused[0][1]
        yield RawPage(items=items, problems=[Problem.of(error, store) for store, error in refused])

    def _shared_secrets(self) -> list[Any]:
        """The organisation's Actions secrets, each with the repositories that may read it where they are selected.

        Asked for once a run. Raises SkippableError, the same one every time.
        """
        if self._shared is None:
            try:
                self._shared = self._read_shared()
            except SkippableError as refused:
                self._shared = refused
        if isinstance(self._shared, SkippableError):
            raise self._shared
        return self._shared

    def _read_shared(self) -> list[Any]:
        path, needs = f"{self._org}/actions/secrets", _STORE_NEEDS["actions"]

        def readers(raw: Any) -> list[str] | None:
            name = raw.get("name") if isinstance(raw, dict) else None
            if not isinstance(name, str) or not NAME.fullmatch(name) or raw.get("visibility") != "selected":
                return None
            found = self._all(f"{path}/{name}/repositories", needs=needs, items="repositories")
            return _texts(found, "full_name")

        listed = self._all(path, needs=needs, items="secrets")
        return [
            {"store": "actions", "secret": keep.only(raw, keep.SHARED), "repositories": names}
            for raw, names in zip(listed, self._api.map(readers, listed), strict=True)
        ]

    def _secrets_of(self, repository: Repository) -> Part:
        found = self._all(f"{repository.path}/actions/secrets", needs="secrets:read", items="secrets")
        self._names[repository.name] = _names_of(found)
        return [{"repository": repository.name, "secret": keep.only(raw, keep.SECRET)} for raw in found], []

    def _environments_of(self, repository: Repository) -> Part:
        items: list[Any] = []
        problems: list[Problem] = []
        known: dict[str, frozenset[str] | None] = {}
        for raw in self._all(f"{repository.path}/environments", needs="actions:read", items="environments"):
            item = {"repository": repository.name, "environment": keep.only(raw, keep.ENVIRONMENT)}
            name = raw.get("name") if isinstance(raw, dict) else None
            if isinstance(name, str) and (path := _environment_path(repository, name)):
                try:
                    found = self._all(f"{path}/secrets", needs="environments:read", items="secrets")
                    item["secrets"] = [keep.only(secret, keep.SECRET) for secret in found]
                    known[name.lower()] = _names_of(found)
                except SkippableError as refused:
                    problems.append(Problem.of(refused, f"{repository.name} {name}"))
                    known[name.lower()] = None
            items.append(item)
        self._environments[repository.name] = known
        return items, problems

    # -------------------------------------------------------------- variables

    def _organisation_variable(self, token: str | None) -> Iterator[RawPage]:
        needs = "organization_actions_variables:read"
        pages = self._pages(
            f"{self._org}/actions/variables", token, needs=needs, items="variables", per_page=VARIABLES_PAGE
        )
        for page in pages:
            items = [self._judged(raw, keep.SHARED) for raw in page.items]
            yield RawPage(items=items, next_token=page.next_token, expected_total=_total(page))

    def _variables_of(self, repository: Repository) -> Part:
        here = {"repository": repository.name}

        def variables(path: str, needs: str) -> list[Any]:
            return self._all(f"{path}/variables", needs=needs, items="variables", per_page=VARIABLES_PAGE)

        found = variables(f"{repository.path}/actions", "actions_variables:read")
        items = [{**self._judged(raw), **here} for raw in found]
        problems: list[Problem] = []
        if repository.name not in self._environments:
            try:
                self._environments_of(repository)
            except SkippableError as refused:
                problems.append(Problem.of(refused, repository.name, needs="actions:read"))
        for name in self._environments.get(repository.name, ()):
            path = _environment_path(repository, name)
            try:
                found = variables(path, "environments:read") if path else []
            except SkippableError as refused:
                problems.append(Problem.of(refused, f"{repository.name} {name}"))
                continue
            items += [{**self._judged(raw), **here, "environment": name} for raw in found]
        return items, problems

    def _judged(self, raw: Any, names: Sequence[str] = keep.SECRET) -> dict[str, Any]:
        """A variable without its value: what the engine found in it instead, as fingerprints."""
        name, value = (raw.get("name"), raw.get("value")) if isinstance(raw, dict) else (None, None)
        hits: dict[tuple[str, str], dict[str, Any]] = {}
        if isinstance(name, str) and isinstance(value, str) and value:
            with self._one_at_a_time:
                self._engine = self._engine or load_engine()
                found = self._engine.scan(f"{name}={value}\n".encode("utf-8", "replace"), path=".env")
            for hit in found:
                mark = self._fingerprint(hit.value)
                hits[hit.detector, mark] = hit.told(mark)
        return {"variable": keep.only(raw, names), "hits": list(hits.values())}

    # -------------------------------------------------------------- workflows

    def _workflows_of(self, repository: Repository) -> Part:
        def secrets() -> tuple[Secrets, list[Problem]]:
            return self._secrets_for(repository)

        return workflows.read(self._api, repository, secrets, self._session.where)

    def _secrets_for(self, repository: Repository) -> tuple[Secrets, list[Problem]]:
        """The names that this repository's workflows may meet, and what could not be read of them."""
        problems: list[Problem] = []

        def unless_refused(read: Callable[[], Any]) -> Any:
            try:
                return read()
            except SkippableError as refused:
                problems.append(Problem.of(refused, repository.name))
                return None

        if repository.name not in self._names:
            unless_refused(lambda: self._secrets_of(repository))
        if repository.name not in self._environments:
            unless_refused(lambda: self._environments_of(repository))
        shared = unless_refused(self._shared_secrets)
        environments = self._environments.get(repository.name)
        readable = {name: names for name, names in (environments or {}).items() if names is not None}
        if environments is not None and len(readable) < len(environments):
            environments = None
            problems.append(
                Problem(
                    reason="missing_permission",
                    detail=_("secrets of an environment could not be read: which one a job gets is not known"),
                    permission="environments:read",
                    subject=repository.name,
                )
            )
        return (
            Secrets(
                repository=repository.name,
                private=repository.private,
                of_organisation=None if shared is None else _organisation_secrets(shared),
                of_repository=self._names.get(repository.name),
                of_environments=None if environments is None else readable,
            ),
            problems,
        )

    # -------------------------------------------------------------- alerts and people

    def _alert(self, token: str | None) -> Iterator[RawPage]:
        path, needs = f"{self._org}/secret-scanning/alerts", "secret_scanning_alerts:read"
        pages = self._pages(path, token, needs=needs, query=_OPEN)
        for page in pages:
            items = [keep.only(raw, keep.ALERT) for raw in page.items]
            for item in items:
                if isinstance(item, dict) and isinstance(item.get("repository"), dict):
                    item["repository"] = keep.only(item["repository"], ("full_name", "private"))
            yield RawPage(items=items, next_token=page.next_token)

    def _member(self, _token: str | None) -> Iterator[RawPage]:
        """Members, outside collaborators, and those who are named somewhere and are neither any more."""
        unseen = {login for login in self._named if not login.endswith("[bot]")}
        items: list[Any] = []
        for path, outside in ((f"{self._org}/members", False), (f"{self._org}/outside_collaborators", True)):
            for page in self._pages(path, None, needs="members:read"):
                items += [{"user": keep.only(raw, keep.USER), "outside": outside} for raw in page.items]
                unseen -= {login.lower() for login in _texts(page.items, "login")}
        items += [{"gone": login} for login in self._gone(unseen)]
        unread = sorted(kind for kind in _NAMING if kind not in self._read_whole)
        problems = [
            Problem(
                reason="incomplete",
                detail=_("who left is only known where this was read in the same run: %(kinds)s")
                % {"kinds": ", ".join(unread)},
            )
        ]
        yield RawPage(items=items, problems=problems if unread else ())

    def _gone(self, unseen: Iterable[str]) -> list[str]:
        """Those of `unseen` whom GitHub, asked for exactly this login, does not know: a list may be short."""

        def absent(login: str) -> bool:
            path = f"{self._org}/members/{quote(login, safe='')}"
            return self._api.request("GET", path, needs="members:read", missing_ok=True).status_code == 404

        asked = sorted(unseen)
        return [login for login, gone in zip(asked, self._api.map(absent, asked), strict=True) if gone]

    def _note(self, person: Any) -> None:
        login = person.get("login") if isinstance(person, dict) else None
        if isinstance(login, str):
            self._named.add(login.lower())

    # -------------------------------------------------------------- shared

    def _pages(
        self,
        path: str,
        token: str | None,
        *,
        needs: str,
        items: str | None = None,
        per_page: int = PAGE,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        asked = {"per_page": per_page, **(query or {})}
        return self._api.follow(path, asked, paging=HeaderLink(items=items), token=token, needs=needs)

    def _all(self, path: str, *, needs: str, items: str | None = None, per_page: int = PAGE) -> list[Any]:
        """A whole list. Raises NotVisible when GitHub shows fewer than it counts."""
        found: list[Any] = []
        total = None
        for page in self._pages(path, None, needs=needs, items=items, per_page=per_page):
            found += page.items
            total = _total(page)
        if total is not None and len(found) < total:
            raise NotVisible(
                _("%(path)s: %(seen)d of %(total)d were shown") % {"path": path, "seen": len(found), "total": total}
            )
        return found

    # -------------------------------------------------------------- single questions

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        return questions.confirm(self._api, self._org, scope.kind, family, native_id)

    def check(self) -> Sequence[CheckResult]:
        try:
            some = next((r for raw in self._list_repositories() if (r := repositories.repository_of(raw))), None)
        except SkippableError:
            some = None  # the line of metadata:read says so
        return questions.check(self._api, self._org, some)

    def setup(self, capability: Capability) -> SetupGuide:
        return setup_guide(capability, organisation=self._session.organisation, web_url=self._session.web_url)


def _total(page: Page) -> int | None:
    total = page.body.get("total_count") if isinstance(page.body, dict) else None
    return total if isinstance(total, int) else None


def _texts(found: Iterable[Any], name: str) -> list[str]:
    """This field of each object that has it as text."""
    return [raw[name] for raw in found if isinstance(raw, dict) and isinstance(raw.get(name), str)]


def _names_of(found: Iterable[Any]) -> frozenset[str]:
    return frozenset(name.upper() for name in _texts(found, "name"))


def _environment_path(repository: Repository, name: str) -> str | None:
    """The address of an environment; None for a name that no address can hold."""
    return None if name in (".", "..", "") else f"{repository.path}/environments/{quote(name, safe='')}"


def _organisation_secrets(shared: Iterable[Mapping[str, Any]]) -> dict[str, OrganisationSecret]:
    found: dict[str, OrganisationSecret] = {}
    for item in shared:
        secret, readers = item["secret"], item["repositories"]
        if isinstance(secret, dict) and isinstance(secret.get("name"), str):
            found[secret["name"].upper()] = OrganisationSecret(
                visibility=str(secret.get("visibility")),
                repositories=None if readers is None else frozenset(str(name).lower() for name in readers),
            )
    return found
