"""A simulated organisation on GitHub: people, repositories, Apps, tokens, keys, secrets, workflows.

    acme = GitHubOrganisation(clock=clock, login="acme")
    acme.add_member("mruiz")
    shop = acme.add_repository("shop")
    acme.add_secret("DEPLOY_TOKEN", repository=shop, environment="production", updated_at=...)
    acme.add_workflow(shop, "deploy.yml", "on: push ...")
    acme.add_deploy_key(shop, "ci", added_by="mruiz", read_only=False)
    connection = acme.connection()

State really changes: a key that is removed is gone, a member who left is no member any more. Wardship signs in as a
GitHub App whose key the simulator checks; what its token may read are the permissions given to `connection`. Ids count
up in the order of making, so the same script gives the same organisation. Everybody's routes are in `github_routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from wardship.model.secret import Secret
from wardship.sdk.connector import Connection
from wardship.secrets import fingerprint
from wardship.sim import github_shapes as shapes
from wardship.sim.github_routes import declare_routes
from wardship.sim.github_shapes import z
from wardship.sim.github_small import populate_small
from wardship.sim.kit import Simulator, Words
from wardship.sim.tables import Row

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

READER = (
    "metadata:read organization_administration:read administration:read organization_personal_access_tokens:read "
    "organization_personal_access_token_requests:read organization_secrets:read "
    "organization_dependabot_secrets:read organization_codespaces_secrets:read secrets:read environments:read "
    "actions:read organization_actions_variables:read actions_variables:read organization_hooks:read "
    "repository_hooks:read organization_self_hosted_runners:read contents:read secret_scanning_alerts:read members:read"
)
APP_ID, INSTALLATION_ID = 4711, 815
_PEPPER = "00" * 32
_WORDS = Words(
    body=lambda status, code, message: {
        "message": message or code,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    },
    codes={401: "Bad credentials", 403: "Resource not accessible by integration", 404: "Not Found"},
)


class GitHubOrganisation(Simulator):
    """One organisation. `sign_on` False: no SAML single sign-on, so nothing is told of classic tokens.

    `prefix` is the path of the API on an Enterprise Server ("/api/v3"), whose name `host` then is.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        login: str = "acme",
        sign_on: bool = True,
        host: str = "api.github.com",
        prefix: str = "",
    ) -> None:
        super().__init__("github", clock=clock, hosts=(host,), words=_WORDS)
        self.login, self.sign_on, self.prefix = login, sign_on, prefix
        self.api_url = f"https://{host}{prefix}"
        self.selection = "all"  # whether Wardship's App is installed on "all" repositories or on "selected" ones
        self.permissions: frozenset[str] = frozenset()  # of Wardship's App
        self.lists: dict[str, list[Row]] = {}  # path of the API, in lower case -> the rows of that list
        self.files: dict[str, dict[str, str]] = {}  # repository in lower case -> path -> text
        self.subjects: dict[str, Row] = {}  # repository in lower case -> form of its workflows' subjects
        self.apps: dict[str, Row] = {}
        self.organisation: Row = {
            "login": login,
            "id": 1,
            "name": login.capitalize(),
            "plan": {"name": "enterprise" if sign_on else "team"},
            "two_factor_requirement_enabled": True,
            "default_repository_permission": "read",
            "members_can_create_public_repositories": False,
        }
        self._made = 1000
        self._people: dict[str, Row] = {}
        declare_routes(self)

    # -------------------------------------------------------------- people

    def add_member(self, login: str, **fields: Any) -> str:
        """A member; `fields` are GitHub's own ("name", "email")."""
        self.rows("/orgs/{org}/members").append(self.person(login, **fields))
        return login

    def add_outside_collaborator(self, login: str) -> str:
        self.rows("/orgs/{org}/outside_collaborators").append(self.person(login))
        return login

    def remove_member(self, login: str) -> None:
        """The person leaves; tokens and keys that they made stay where they are, as at GitHub."""
        rows = self.rows("/orgs/{org}/members")
        rows[:] = [row for row in rows if row["login"] != login]

    # -------------------------------------------------------------- repositories

    def add_repository(
        self,
        name: str,
        *,
        private: bool = True,
        archived: bool = False,
        pushed_at: datetime | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> str:
        """A repository; returns its full name. `properties` are the organisation's custom properties of it."""
        full_name = f"{self.login}/{name}"
        owner = shapes.user(self.login, 1, kind="Organization")
        row = shapes.repository(
            full_name,
            self._next(),
            owner,
            private=private,
            visibility="private" if private else "public",
            archived=archived,
            default_branch="main",
            pushed_at=z(pushed_at or self.clock() - timedelta(days=3)),
            **({"custom_properties": dict(properties)} if properties else {}),
        )
        self.rows("/orgs/{org}/repos").append(row)
        return full_name

    def repository(self, full_name: str) -> Row | None:
        wanted = full_name.lower()
        return next((row for row in self.rows("/orgs/{org}/repos") if row["full_name"].lower() == wanted), None)

    def add_environment(
        self,
        repository: str,
        name: str,
        *,
        reviewers: Sequence[str] = (),
        protected_branches: bool = False,
    ) -> None:
        """A deployment environment; jobs in it wait for one of `reviewers`, where there are any."""
        made = self._next()
        rules: list[Row] = []
        if reviewers:
            asked = [{"type": "User", "reviewer": self.person(login)} for login in reviewers]
            rules.append({"id": made, "node_id": f"G_{made}", "type": "required_reviewers", "reviewers": asked})
        policy = {"protected_branches": True, "custom_branch_policies": False} if protected_branches else None
        url = f"{shapes.API}/repos/{repository}/environments/{name}"
        self.rows(f"/repos/{repository}/environments").append(
            {
                "id": made,
                "node_id": f"E_{made}",
                "name": name,
                "url": url,
                "html_url": url,
                "created_at": self._ago(400),
                "updated_at": self._ago(300),
                "protection_rules": rules,
                "deployment_branch_policy": policy,
            }
        )

    def add_workflow(self, repository: str, name: str, text: str) -> None:
        """A file in .github/workflows on the default branch."""
        self.files.setdefault(repository.lower(), {})[f".github/workflows/{name}"] = text

    def set_subject_template(self, repository: str, claims: Sequence[str]) -> None:
        """The repository gives the subjects of its workflows' tokens another form."""
        self.subjects[repository.lower()] = {"use_default": False, "include_claim_keys": list(claims)}

    # -------------------------------------------------------------- Apps and tokens

    def add_installation(
        self,
        slug: str,
        permissions: Mapping[str, str],
        *,
        owner: str | None = None,
        name: str | None = None,
        repositories: str = "all",
        public: bool = True,
        site: str = "https://apps.example",
        suspended_at: datetime | None = None,
        created_at: datetime | None = None,
        events: Sequence[str] = (),
    ) -> int:
        """An installed App, made by `owner` (None: this organisation); a private one is shown to nobody else."""
        number, maker = self._next(), owner or self.login
        at = z(created_at or self.clock() - timedelta(days=300))
        if public:
            made_by = shapes.user(maker, self._next(), kind="Organization")
            self.apps[slug] = shapes.app(
                slug, number + 5000, made_by, name=name or slug, site=site, permissions=permissions, at=str(at)
            )
        self.rows("/orgs/{org}/installations").append(
            {
                "id": number,
                "account": shapes.user(self.login, 1, kind="Organization"),
                "app_id": number + 5000,
                "app_slug": slug,
                "target_id": 1,
                "target_type": "Organization",
                "repository_selection": repositories,
                "permissions": dict(permissions),
                "events": list(events),
                "single_file_name": None,
                "access_tokens_url": f"{shapes.API}/app/installations/{number}/access_tokens",
                "repositories_url": f"{shapes.API}/installation/repositories",
                "html_url": f"https://github.com/organizations/{self.login}/settings/installations/{number}",
                "created_at": at,
                "updated_at": at,
                "suspended_at": z(suspended_at),
                "suspended_by": self.person("octoadmin") if suspended_at else None,
            }
        )
        return number

    def add_pat(
        self,
        name: str,
        owner: str,
        permissions: Mapping[str, Mapping[str, str]],
        *,
        repositories: str | Sequence[str] = "all",
        expires_at: datetime | None = None,
        last_used_at: datetime | None = None,
        granted_at: datetime | None = None,
    ) -> int:
        """A fine-grained token that was let in; returns its token id. `repositories`: "all", "none" or full names.

        `permissions` as GitHub's: {"repository": {"contents": "write"}, "organization": {"members": "read"}}.
        """
        row = self._pat(name, owner, permissions, expires_at)
        if not isinstance(repositories, str):
            row["repository_selection"] = "subset"
        elif repositories != "all":
            row["repository_selection"] = repositories
        row["token_last_used_at"] = z(last_used_at)
        row["access_granted_at"] = z(granted_at or self.clock() - timedelta(days=200))
        base = "/orgs/{org}/personal-access-tokens"
        self.rows(base).append(row)
        if not isinstance(repositories, str):
            self.rows(f"{base}/{row['id']}/repositories").extend(
                found for name in repositories if (found := self.repository(name))
            )
        return int(row["token_id"])

    def request_pat(
        self,
        name: str,
        owner: str,
        permissions: Mapping[str, Mapping[str, str]],
        *,
        reason: str | None = None,
        expires_at: datetime | None = None,
    ) -> int:
        """A fine-grained token that waits for approval; returns the id of the request."""
        row = self._pat(name, owner, permissions, expires_at)
        row |= {"reason": reason, "created_at": self._ago(2)}
        self.rows("/orgs/{org}/personal-access-token-requests").append(row)
        return int(row["id"])

    def _pat(
        self, name: str, owner: str, permissions: Mapping[str, Mapping[str, str]], expires_at: datetime | None
    ) -> Row:
        number = self._next()
        base = f"{shapes.API}/organizations/1/personal-access-tokens/{number}"
        return {
            "id": number,
            "owner": self.person(owner),
            "repository_selection": "all",
            "repositories_url": f"{base}/repositories",
            "permissions": {category: dict(words) for category, words in permissions.items()},
            "token_id": number + 90_000,
            "token_name": name,
            "token_expired": expires_at is not None and expires_at <= self.clock(),
            "token_expires_at": z(expires_at),
            "token_last_used_at": None,
        }

    def authorise(
        self,
        login: str,
        *,
        kind: str = "personal access token",
        scopes: Sequence[str] = (),
        note: str | None = None,
        fingerprint: str | None = None,
        expires_at: datetime | None = None,
        last_used_at: datetime | None = None,
    ) -> int:
        """A person's classic token or key that single sign-on lets in; returns the id of the authorisation."""
        number = self._next()
        row: Row = {
            "login": login,
            "credential_id": number,
            "credential_type": kind,
            "credential_authorized_at": self._ago(150),
            "credential_accessed_at": z(last_used_at),
            "authorized_credential_id": number + 70_000,
        }
        if kind == "SSH key":
            row |= {"fingerprint": fingerprint, "authorized_credential_title": note}
        else:
            row |= {
                "token_last_eight": f"{number:08d}",
                "scopes": list(scopes),
                "authorized_credential_note": note,
                "authorized_credential_expires_at": z(expires_at),
            }
        self.rows("/orgs/{org}/credential-authorizations").append(row)
        return number

    # -------------------------------------------------------------- keys, webhooks, runners

    def add_deploy_key(
        self,
        repository: str,
        title: str,
        *,
        key: str | None = None,
        read_only: bool = True,
        added_by: str | None = None,
        created_at: datetime | None = None,
        last_used_at: datetime | None = None,
    ) -> int:
        """A deploy key; `key` is the line of its public half (None: one is made up)."""
        number = self._next()
        self.rows(f"/repos/{repository}/keys").append(
            {
                "id": number,
                "key": key or shapes.public_key(f"{repository} {title}"),
                "url": f"{shapes.API}/repos/{repository}/keys/{number}",
                "title": title,
                "verified": True,
                "created_at": z(created_at or self.clock() - timedelta(days=500)),
                "read_only": read_only,
                "added_by": added_by,
                "last_used": z(last_used_at),
                "enabled": True,
            }
        )
        return number

    def remove_deploy_key(self, repository: str, number: int) -> None:
        rows = self.rows(f"/repos/{repository}/keys")
        rows[:] = [row for row in rows if row["id"] != number]

    def add_webhook(
        self,
        url: str,
        *,
        repository: str | None = None,
        secret: bool = True,
        insecure_ssl: bool = False,
        active: bool = True,
        events: Sequence[str] = ("push",),
    ) -> int:
        """A webhook of the organisation, or of a repository. GitHub shows a secret as stars."""
        number = self._next()
        base = f"/repos/{repository}/hooks" if repository else "/orgs/{org}/hooks"
        config = {"url": url, "content_type": "json", "insecure_ssl": "1" if insecure_ssl else "0"}
        row = shapes.webhook(
            number,
            base.replace("{org}", self.login),
            config | ({"secret": "********"} if secret else {}),
            kind="Repository" if repository else "Organization",
            active=active,
            events=list(events),
            at=str(self._ago(250)),
        )
        self.rows(base).append(row)
        return number

    def add_runner(self, name: str, *, os: str = "linux", labels: Sequence[str] = (), ephemeral: bool = False) -> int:
        """A self-hosted runner of the organisation."""
        number = self._next()
        given = [{"id": self._next(), "name": label, "type": "custom"} for label in ("self-hosted", *labels)]
        row = {"id": number, "name": name, "os": os, "status": "online", "busy": False, "ephemeral": ephemeral}
        self.rows("/orgs/{org}/actions/runners").append(row | {"labels": given, "version": "2.323.0"})
        return number

    # -------------------------------------------------------------- secrets and variables

    def add_secret(
        self,
        name: str,
        *,
        repository: str | None = None,
        environment: str | None = None,
        store: str = "actions",
        visibility: str = "private",
        repositories: Iterable[str] = (),
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """A secret of the organisation, of a repository, or of an environment. Nobody can read its value.

        `visibility` of the organisation's: "all", "private" or "selected", then with `repositories`.
        """
        made = created_at or (updated_at or self.clock()) - timedelta(days=30)
        row: Row = {"name": name.upper(), "created_at": z(made), "updated_at": z(updated_at or made)}
        if repository is None:
            base = f"/orgs/{{org}}/{store}/secrets"
            row["visibility"] = visibility
            if visibility == "selected":
                url = f"{shapes.API}/orgs/{self.login}/{store}/secrets/{name.upper()}/repositories"
                row["selected_repositories_url"] = url
                self.rows(f"{base}/{name}/repositories").extend(
                    found for full_name in repositories if (found := self.repository(full_name))
                )
        elif environment is None:
            base = f"/repos/{repository}/{store}/secrets"
        else:
            base = f"/repos/{repository}/environments/{environment}/secrets"
        self.rows(base).append(row)

    def add_variable(
        self,
        name: str,
        value: str,
        *,
        repository: str | None = None,
        environment: str | None = None,
        visibility: str = "private",
    ) -> None:
        """A variable, which everybody who may write workflows can read."""
        row: Row = {"name": name.upper(), "value": value, "created_at": self._ago(100), "updated_at": self._ago(90)}
        if repository is None:
            self.rows("/orgs/{org}/actions/variables").append(row | {"visibility": visibility})
        elif environment is None:
            self.rows(f"/repos/{repository}/actions/variables").append(row)
        else:
            self.rows(f"/repos/{repository}/environments/{environment}/variables").append(row)

    def add_alert(
        self,
        repository: str,
        secret_type: str,
        path: str,
        *,
        line: int = 1,
        validity: str = "unknown",
        publicly_leaked: bool = False,
    ) -> int:
        """An open alert of secret scanning; the secret itself is shown unless it is asked to be hidden."""
        number, found = self._next(), self.repository(repository)
        assert found is not None  # noqa: S101 - a mistake of the script's author
        commit = f"{number:040x}"
        place = {"path": path, "start_line": line, "end_line": line, "start_column": 1, "end_column": 40}
        links = {"blob_sha": commit, "blob_url": shapes.API, "commit_sha": commit, "commit_url": shapes.API}
        self.rows("/orgs/{org}/secret-scanning/alerts").append(
            {
                "number": number,
                "created_at": self._ago(20),
                "state": "open",
                "secret_type": secret_type,
                "secret_type_display_name": secret_type,
                "secret": f"simulated {secret_type} {number}",
                "repository": shapes.simple_repository(found),
                "validity": validity,
                "publicly_leaked": publicly_leaked,
                "push_protection_bypassed": False,
                "multi_repo": False,
                "first_location_detected": {**place, **links},
            }
        )
        return number

    # -------------------------------------------------------------- how Wardship gets in

    def connection(self, *, permissions: str = READER, name: str = "github", **settings: str) -> Connection:
        """A connection that signs in as Wardship's App, which was granted `permissions`."""
        from cryptography.hazmat.primitives import serialization

        self.permissions = frozenset(permissions.split())
        pem = app_key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        usual = {
            "organisation": self.login,
            "app_id": str(APP_ID),
            "installation_id": str(INSTALLATION_ID),
            "private_key": "sim:",
            "api_url": self.api_url,
        }
        return Connection(
            name=name,
            connector="github",
            settings={**usual, **settings},
            secret=lambda _setting: Secret(pem.decode()),
            clock=self.clock,
            wire=self,
            fingerprint=lambda value: fingerprint(Secret(_PEPPER), value),
        )

    # -------------------------------------------------------------- inside

    def rows(self, path: str) -> list[Row]:
        """The rows of the list at `path` of the API, to be changed in place; {org} is this organisation."""
        return self.lists.setdefault(path.replace("{org}", self.login).lower(), [])

    def person(self, login: str, **fields: Any) -> Row:
        """The person of that login, the same one every time."""
        if login not in self._people:
            self._people[login] = shapes.user(login, self._next(), **fields)
        return self._people[login]

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _ago(self, days: int) -> str | None:
        return z(self.clock() - timedelta(days=days))


@cache
def app_key() -> RSAPrivateKey:
    """The private key of Wardship's App: a new one in each process."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def simulated(clock: Callable[[], datetime]) -> Connection:
    """A connection to a freshly made organisation with one of everything."""
    organisation = GitHubOrganisation(clock=clock)
    populate_small(organisation)
    return organisation.connection()
