"""Answers of real providers, written down by others: does each object become a record of the right family and kind?

What an object is stands in `CLAIMED`, from the vendors' documentation and not from our parsers; an object counts as
right when every record that it should become is there, with its own id. What nobody here claims to read is in `APART`
(with the reason) or in a file of which nothing is claimed; both are counted and printed. Floors are in floors.toml.

The texts are Python literals of cartography's tests turned into JSON. Undone is only that, and said by each helper:
Graph's names (`accountEnabled` for `account_enabled`), GitHub's lists put at their addresses, and for what GitHub's
GraphQL tells under other names than its REST pages (people, some repositories) the names. Those have a line of their
own in the table.
"""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import zstandard

from wardship.connectors import aws, entra, file, github
from wardship.model.access import Credential, Grant
from wardship.model.errors import DataError, SkippableError
from wardship.model.identity import Identity, Person, System
from wardship.model.scan import Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import Connection, Record

FLOORS = tomllib.loads(Path(__file__).with_name("floors.toml").read_text(encoding="utf-8"))["connector_fixtures"]
# ours -> prefixes of the files
PROVIDERS = {"aws": ("aws",), "entra": ("microsoft",), "github": ("github",), "trivy": ("trivy",)}
ORG, REPOSITORY = "simpsoncorp", "simpsoncorp/sample_repo"
TENANT = "02b2b7cc-fb03-4324-bf6b-eb207b39c479"

Found = tuple[str, str, str]  # (family, kind, id in lower case)
Files = Mapping[str, Mapping[str, Any]]  # file without ".json" -> variable -> answer


@dataclass(frozen=True, slots=True)
class Claim:
    """Objects of one variable, and the records that each of them is: (family, kind, how the id is made of it)."""

    provider: str
    file: str
    variable: str
    what: str
    records: Sequence[tuple[str, str, Callable[[Mapping[str, Any]], str]]]
    objects: Callable[[Any], Iterable[Mapping[str, Any]]] = lambda answer: answer
    form: str = "as it comes"


def by(name: str, form: str = "{}") -> Callable[[Mapping[str, Any]], str]:
    return lambda raw: form.format(raw[name])


def of_node(name: str, form: str = "{}") -> Callable[[Mapping[str, Any]], str]:
    return lambda raw: form.format(raw["node"][name])


def alone(answer: Any) -> list[Any]:
    return [answer]


def inner(name: str) -> Callable[[Any], list[Any]]:
    return lambda answer: [one for entry in answer for one in entry[name]]


def flat(answer: Mapping[str, Any]) -> list[Any]:
    return [one for entries in answer.values() for one in entries]


# "An IAM user can represent a person or an application": which of them is not said by these answers, for the
# credential report (password, keys) is not among them. So a user's kind has to be unknown here, and not a guess.
USER = [("identity", "unknown user", by("Arn"))]
ROLE = [("identity", "workload_role role", by("Arn"))]
# "Service roles that IAM Identity Center creates and maintains": AWS's own, in its reserved path.
SSO_ROLE = [("identity", "workload_role identity center role", by("Arn"))]
ACCOUNT = [("system", "aws_account", by("Id", "aws:{}"))]
PERSON = [("person", "person", by("UserId"))]

EVENTS, CENTER, EKS = "aws__cloudtrail_management_events", "aws__identitycenter", "kubernetes__eks"
ACTIONS, TOKENS, PEOPLE = "github__actions", "github__personal_access_tokens", "github__users"
ROLES = "microsoft__entra__directory_roles"
RENAMED = "GraphQL, names of REST"


def secrets_in(place: str) -> list[tuple[str, str, Callable[[Mapping[str, Any]], str]]]:
    return [("credential", "ci_secret", by("name", f"actions-secret:{place}/{{}}"))]


GITHUB_PERSON = [("person", "person", of_node("login"))]
GITHUB_REPOSITORY = [("system", "github_repository", by("nameWithOwner", "github:{}"))]

# trivy's reports list packages here and no secret: what is left to tell is the image, an artifact of a registry.
IMAGE = [("system", "container_image", by("ArtifactName", "image:{}"))]
REPORTS = [
    ("sample", "TRIVY_SAMPLE"),
    ("sample", "TRIVY_MIXED_IDENTIFIERS_SAMPLE"),
    ("gitlab_sample", "TRIVY_GITLAB_SAMPLE"),
    ("gitlab_sample", "TRIVY_GITLAB_MULTIARCH_MANIFEST_LIST"),
    ("gitlab_sample", "TRIVY_GITLAB_MULTIARCH_CHILD_AMD64"),
    ("gitlab_sample", "TRIVY_GITLAB_MULTIARCH_CHILD_ARM64"),
    ("gitlab_sample", "TRIVY_GITLAB_MULTI_REPO_DIGESTS"),
]

CLAIMED = [
    *(
        Claim("aws", EVENTS, f"INTEGRATION_TEST_{name}_IAM_USERS", "IAM user", USER)
        for name in ("BASIC", "AGGREGATION")
    ),
    Claim("aws", EVENTS, "INTEGRATION_TEST_CROSS_ACCOUNT_IAM_USERS", "IAM user", USER),
    Claim("aws", EKS, "MOCK_AWS_USERS", "IAM user", USER),
    Claim("aws", EVENTS, "INTEGRATION_TEST_BASIC_IAM_ROLES", "IAM role", ROLE),
    Claim("aws", EVENTS, "INTEGRATION_TEST_AGGREGATION_IAM_ROLES", "IAM role", ROLE),
    Claim("aws", EVENTS, "INTEGRATION_TEST_CROSS_ACCOUNT_IAM_ROLES", "IAM role", ROLE),
    Claim("aws", EVENTS, "GITHUB_ACTIONS_IAM_ROLES", "IAM role", ROLE),
    Claim("aws", EVENTS, "GITHUB_ACTIONS_AGGREGATION_IAM_ROLES", "IAM role", ROLE),
    Claim("aws", EKS, "MOCK_AWS_ROLES", "IAM role", ROLE),
    Claim("aws", "aws__iam__instance_profiles", "INSTANCE_PROFILES", "IAM role", ROLE, inner("Roles")),
    Claim("aws", CENTER, "MOCK_AWS_ROLE_US_EAST_1", "role of a permission set", SSO_ROLE, alone),
    Claim("aws", CENTER, "MOCK_AWS_ROLE_US_WEST_2", "role of a permission set", SSO_ROLE, alone),
    Claim("aws", CENTER, "MULTI_ACCOUNT_TEST_ROLES", "role of a permission set", SSO_ROLE),
    Claim(
        "aws",
        CENTER,
        "LIST_PERMISSION_SETS",
        "permission set",
        [("identity", "workload_role permission set", by("PermissionSetArn"))],
    ),
    Claim(
        "aws",
        CENTER,
        "MULTI_ACCOUNT_USER_ASSIGNMENTS",
        "account assignment",
        [("grant", "sso:AccountAssignment", by("AccountId", "aws:{}"))],
    ),
    Claim("aws", CENTER, "LIST_USERS", "Identity Center user", PERSON),
    Claim("aws", EVENTS, "TEST_SSO_USERS", "Identity Center user", PERSON),
    Claim("aws", CENTER, "LIST_GROUPS", "Identity Center group", [("person", "team", by("GroupId"))]),
    Claim("aws", "aws__organizations", "TEST_ORGANIZATION_ACCOUNTS", "account", ACCOUNT),
    Claim(
        "entra",
        "microsoft__entra__users",
        "MOCK_ENTRA_TENANT",
        "tenant",
        [("system", "entra_tenant", by("id", "entra:{}"))],
        alone,
    ),
    Claim("entra", "microsoft__entra__users", "MOCK_ENTRA_USERS", "user", [("person", "person", by("id"))]),
    Claim(
        "entra",
        ROLES,
        "MOCK_ROLE_ASSIGNMENTS",
        "directory role of an application",
        [("grant", "directory role", by("principal_id"))],
        lambda answer: [one for one in answer if one["id"].endswith("-sp")],
    ),
    Claim("github", ACTIONS, "GET_ORG_SECRETS", "Actions secret", secrets_in(ORG)),
    Claim("github", ACTIONS, "GET_REPO_SECRETS", "Actions secret", secrets_in(REPOSITORY)),
    *(
        Claim(
            "github",
            ACTIONS,
            f"GET_ENV_SECRETS_{name}",
            "environment secret",
            secrets_in(f"{REPOSITORY}/environments/{name}"),
        )
        for name in ("PRODUCTION", "STAGING")
    ),
    Claim(
        "github",
        ACTIONS,
        "GET_REPO_ENVIRONMENTS",
        "environment",
        [("system", "github_environment", by("name", f"github:{REPOSITORY}/environments/{{}}"))],
    ),
    Claim(
        "github",
        TOKENS,
        "FINE_GRAINED_PERSONAL_ACCESS_TOKENS",
        "fine-grained token",
        [
            ("identity", "personal_access_token fine_grained_token", by("token_id", "pat/{}")),
            ("credential", "token", by("token_id", "pat/{}")),
        ],
    ),
    Claim(
        "github",
        TOKENS,
        "SAML_CREDENTIAL_AUTHORIZATIONS",
        "classic token let in by SAML",
        [
            ("identity", "personal_access_token classic_token", by("credential_id", "sign-on/{}")),
            ("credential", "token", by("credential_id", "sign-on/{}")),
        ],
        lambda answer: [one for one in answer if one["credential_type"] == "personal access token"],
    ),
    Claim(
        "github",
        TOKENS,
        "SAML_CREDENTIAL_AUTHORIZATIONS",
        "SSH key let in by SAML",
        [
            ("identity", "access_key_holder user_ssh_key", by("credential_id", "sign-on/{}")),
            ("credential", "ssh_key", by("credential_id", "sign-on/{}")),
        ],
        lambda answer: [one for one in answer if one["credential_type"] == "SSH key"],
    ),
    Claim(
        "github",
        TOKENS,
        "FINE_GRAINED_PAT_REPOSITORIES",
        "repository",
        [("system", "github_repository", by("full_name", "github:{}"))],
        flat,
    ),
    Claim(
        "github",
        PEOPLE,
        "GITHUB_ORG_DATA",
        "organisation",
        [("system", "github_organisation", by("login", "github:{}"))],
        alone,
        RENAMED,
    ),
    Claim("github", PEOPLE, "GITHUB_USER_DATA", "member", GITHUB_PERSON, lambda answer: answer[0], RENAMED),
    Claim("github", "github__dockerfiles", "TEST_REPOS", "repository", GITHUB_REPOSITORY, form=RENAMED),
    Claim("github", "github__repos", "GET_REPOS_CIRCLECI_PROVENANCE", "repository", GITHUB_REPOSITORY, form=RENAMED),
    *(
        Claim("trivy", f"trivy__trivy_{name}", variable, "report of an image", IMAGE, alone)
        for name, variable in REPORTS
    ),
]

# In the files above, what no record is claimed of, and why. The rest of these files is in CLAIMED.
APART = {
    EVENTS: {
        "_CLOUDTRAIL_EVENTS": "trail events: not read (last use comes from RoleLastUsed and the credential report)",
    },
    CENTER: {
        "LIST_INSTANCES": "only its id is used, to ask for the rest",
        "MULTI_ACCOUNT_TEST_ACCOUNTS": "not an answer: numbers of accounts",
    },
    "aws__organizations": {
        "TEST_ORGANIZATION": "the organisation itself is the parent's name of its accounts, no system of its own",
        "TEST_ORGANIZATION_ROOTS": "roots and units order accounts; not read",
        "TEST_ORGANIZATIONAL_UNITS": "roots and units order accounts; not read",
        "TEST_ACCOUNTS": "not an answer: names of the other variables",
        "TEST_ACCOUNTS_FOR_PARENT": "the same accounts again, by the unit that they are in: a call that is not made",
    },
    "aws__iam__group_policies": {"": "a map by group that cartography makes, not an answer of IAM"},
    "aws__iam__mfa_devices": {"": "not listed: whether a user has MFA stands in the credential report"},
    ROLES: {
        "MOCK_ROLE_DEFINITIONS": "read for the names and strength of grants; no record of its own",
        "MOCK_ROLE_ASSIGNMENTS": "two of three: the role of a person and of a group is no grant of an identity",
    },
    "microsoft__entra__groups": {"": "groups are read as owners only, and no owner list of an application is here"},
    "microsoft__entra__ou": {"": "administrative units order users; not read"},
    ACTIONS: {
        **dict.fromkeys(
            ("_VARIABLES", "_VARIABLES_PRODUCTION", "_VARIABLES_STAGING"),
            "read; a variable is a record only where a secret is found in its value",
        ),
        "GET_REPO_WORKFLOWS": "a list of names; what is read are the files, and none is here",
    },
    PEOPLE: {
        "GITHUB_USER_DATA_AT_TIMESTAMP_2": "the same three people at another time",
        "GITHUB_ENTERPRISE_OWNER_DATA": "owners of the enterprise above the organisation: not read",
    },
    "github__dockerfiles": {"": "search results and contents of files: not read by this connector"},
    "github__repos": {"DEPENDENCY_GRAPH_WITH_MULTIPLE_ECOSYSTEMS": "packages that code depends on: not read"},
    "github__teams": {"": "teams are not read"},
}


@pytest.fixture(scope="module")
def files(shared: Path) -> Files:
    archive = shared / "data" / "connector-fixtures" / "fixtures.tar.zst"
    with archive.open("rb") as packed:
        plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    found: dict[str, Mapping[str, Any]] = {}
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        for entry in tar:
            if entry.isfile() and entry.name.endswith(".json"):
                body = tar.extractfile(entry)
                assert body is not None
                found[Path(entry.name).stem] = json.load(body)
    return found


@pytest.fixture(scope="module")
def records(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, frozenset[Found]]:
    """What each connector makes of its provider's answers."""
    read = {"aws": read_aws(files), "entra": read_entra(files), "github": read_github(files)}
    read["trivy"] = read_trivy(files, tmp_path_factory.mktemp("reports"))
    return {provider: frozenset(map(told, found)) for provider, found in read.items()}


def told(record: Record) -> Found:
    match record:
        case Identity():
            return "identity", f"{record.kind.value} {record.subtype}", record.native_id.lower()
        case Credential():
            return "credential", record.type.value, record.native_id.lower()
        case System():
            return "system", record.kind, record.authority.lower()
        case Person():
            return "person", record.kind, record.native_id.lower()
        case Grant(via="directory role"):
            return "grant", record.via, record.identity[1].lower()
        case Grant():
            return "grant", record.permission, (record.resource or "").lower()
    return type(record).__name__.lower(), "", ""


# ------------------------------------------------------------------ how the answers get to the connectors


def connection(name: str, **more: Any) -> Connection:
    return Connection(name="x", connector=name, clock=lambda: datetime(2026, 11, 22, tzinfo=UTC), **more)


def read_aws(files: Files) -> Iterator[Record]:
    """Each list at the scope that its call belongs to. Dates stay the text that AWS's own command line prints."""
    parser = aws.import_files([], connection("aws"))
    kinds = {
        "IAM user": "iam.user",
        "IAM role": "iam.role",
        "role of a permission set": "iam.role",
        "Identity Center user": "identitystore.user",
        "Identity Center group": "identitystore.group",
        "account": "organizations.account",
    }
    for claim in CLAIMED:
        if claim.provider == "aws" and claim.what in kinds:
            for raw in claim.objects(files[claim.file][claim.variable]):
                yield from parsed(parser, "aws", account_of(raw), kinds[claim.what], raw)
    # ListAccountAssignments names who: cartography kept it as UserId.
    assignments = [
        {**{name: one[name] for name in one if name != "UserId"}, "PrincipalType": "USER", "PrincipalId": one["UserId"]}
        for one in files[CENTER]["MULTI_ACCOUNT_USER_ASSIGNMENTS"]
    ]
    for one in files[CENTER]["LIST_PERMISSION_SETS"]:
        given = [entry for entry in assignments if entry["PermissionSetArn"] == one["PermissionSetArn"]]
        item = {"PermissionSet": one, "Assignments": given}
        yield from parsed(parser, "aws", "aws:123456789012", "sso.permission_set", item)


def account_of(raw: Mapping[str, Any]) -> str:
    return f"aws:{raw['Arn'].split(':')[4]}" if "Arn" in raw else "aws:123456789012"


def read_entra(files: Files) -> Iterator[Record]:
    parser = entra.import_files([], connection("entra"))
    people = files["microsoft__entra__users"]
    definitions = {one["id"]: graph(one) for one in files[ROLES]["MOCK_ROLE_DEFINITIONS"]}
    items = [("entra.tenant", {"organization": graph(people["MOCK_ENTRA_TENANT"])})]
    items += [("entra.user", {"user": graph(user)}) for user in people["MOCK_ENTRA_USERS"]]
    items += [
        ("entra.directory_role", {"assignment": graph(one), "role": definitions[one["role_definition_id"]]})
        for one in files[ROLES]["MOCK_ROLE_ASSIGNMENTS"]
        if one["principal_id"] == files[ROLES]["TEST_SP_ID"]  # the reader leaves people and groups out
    ]
    for kind, item in items:
        yield from parsed(parser, "entra", f"entra:{TENANT}", kind, item)


def graph(value: Any) -> Any:
    """An object of Microsoft's Python library as Graph sends it: `odata_type` is "@odata.type", the rest camelCase."""
    if isinstance(value, list):
        return [graph(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = dict(value.get("additional_data") or {})
    for name, entry in value.items():
        if name == "odata_type":
            found["@odata.type"] = entry
        elif name not in ("$type", "additional_data"):
            first, *words = name.split("_")
            found[first + "".join(word.title() for word in words)] = graph(entry)
    return found


class Saved:
    """GitHub, as far as it is written down: the pages by address. Whatever is not there is not found."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self._pages = pages

    def httpx_transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def prepare_botocore(self, session: Any) -> None:
        raise AssertionError("saved pages of an HTTP API are not read with botocore")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        page = self._pages.get(urlsplit(str(request.url)).path)
        return httpx.Response(404, json={"message": "Not Found"}) if page is None else httpx.Response(200, json=page)


def counted(name: str, found: Sequence[Any]) -> dict[str, Any]:
    """A list as the pages of Actions wrap it; cartography keeps the list alone."""
    return {"total_count": len(found), name: found}


def read_github(files: Files) -> Iterator[Record]:
    """The whole reader, asking the saved pages; then the repositories of two more organisations, by their names."""
    actions, tokens, people = files[ACTIONS], files[TOKENS], files[PEOPLE]
    repositories = flat(tokens["FINE_GRAINED_PAT_REPOSITORIES"])
    members = [entry["node"] for entry in people["GITHUB_USER_DATA"][0]]
    org, repo = f"/orgs/{ORG}", f"/repos/{REPOSITORY}"
    pages: dict[str, Any] = {
        org: people["GITHUB_ORG_DATA"],
        f"{org}/repos": repositories,
        f"{org}/members": members,
        f"{org}/outside_collaborators": [],
        f"{org}/personal-access-tokens": tokens["FINE_GRAINED_PERSONAL_ACCESS_TOKENS"],
        f"{org}/credential-authorizations": tokens["SAML_CREDENTIAL_AUTHORIZATIONS"],
        f"{org}/actions/secrets": counted("secrets", actions["GET_ORG_SECRETS"]),
        f"{org}/actions/variables": counted("variables", actions["GET_ORG_VARIABLES"]),
        f"{repo}/actions/secrets": counted("secrets", actions["GET_REPO_SECRETS"]),
        f"{repo}/actions/variables": counted("variables", actions["GET_REPO_VARIABLES"]),
        f"{repo}/environments": counted("environments", actions["GET_REPO_ENVIRONMENTS"]),
    }
    for token, reached in tokens["FINE_GRAINED_PAT_REPOSITORIES"].items():
        pages[f"{org}/personal-access-tokens/{token}/repositories"] = reached
    for name in ("production", "staging"):
        for what in ("secrets", "variables"):
            found = actions[f"GET_ENV_{what}_{name}".upper()]
            pages[f"{repo}/environments/{name}/{what}"] = counted(what, found)
    yield from whole_scan(ORG, pages)
    described = {"isPrivate": "private", "isArchived": "archived", "isDisabled": "disabled", "isFork": "fork"}
    for raw in [*files["github__dockerfiles"]["TEST_REPOS"], *files["github__repos"]["GET_REPOS_CIRCLECI_PROVENANCE"]]:
        renamed = {described[name]: raw[name] for name in described if name in raw}
        listed = [{"full_name": raw["nameWithOwner"], **renamed}]
        owner = raw["owner"]["login"]
        yield from whole_scan(owner, {f"/orgs/{owner}/repos": listed}, kinds=("github.repository",))


def whole_scan(organisation: str, pages: Mapping[str, Any], kinds: Sequence[str] = ()) -> Iterator[Record]:
    reader = github.connect(
        connection(
            "github",
            settings={"organisation": organisation, "token": "env:T"},
            secret=lambda _name: Secret("x"),
            fingerprint=lambda _value: "0" * 32,
            wire=Saved(pages),
        )
    )
    yield from everything(reader, "github", kinds)


def read_trivy(files: Files, folder: Path) -> Iterator[Record]:
    """Each report as the file that trivy writes, recognised by what is in it."""
    for name, variable in REPORTS:
        path = folder / f"{variable}.json"
        path.write_text(json.dumps(files[f"trivy__trivy_{name}"][variable]), encoding="utf-8")
        yield from everything(file.import_files([path], connection("file")), "file")


def everything(reader: Any, connector: str, kinds: Sequence[str] = ()) -> Iterator[Record]:
    """What a reader makes of all that it lists; of nothing where it is refused, which the count then shows."""
    for scope in reader.scopes():
        if kinds and scope.kind not in kinds:
            continue
        try:
            for page in reader.fetch(scope, None):
                for item in page.items:
                    yield from parsed(reader, connector, scope.authority, scope.kind, item)
        except SkippableError:
            continue


def parsed(parser: Any, connector: str, authority: str, kind: str, item: Any) -> list[Record]:
    """The records of one item; none where the parser refuses it (a scan would quarantine it)."""
    try:
        return list(parser.parse(Scope(connector=connector, authority=authority, kind=kind), item))
    except DataError as refused:
        print(f"{connector} {kind}: refused: {refused.message}")
        return []


# ------------------------------------------------------------------ what came of it


def size(answer: Any) -> int:
    """Objects of an answer: of a list or of a map of lists its entries, else one; a text is none."""
    if isinstance(answer, list):
        return len(answer)
    if isinstance(answer, dict):
        lists = [value for value in answer.values() if isinstance(value, list)]
        return sum(map(len, lists)) if lists and len(lists) == len(answer) else 1
    return 0


def test_objects_become_records_of_the_right_kind(
    files: Files, records: Mapping[str, frozenset[Found]], capsys: pytest.CaptureFixture[str]
) -> None:
    lines: dict[tuple[str, str, str], list[int]] = {}
    wrong: list[str] = []
    for claim in CLAIMED:
        line = lines.setdefault((claim.provider, claim.what, claim.form), [0, 0])
        for raw in claim.objects(files[claim.file][claim.variable]):
            expected = {(family, kind, ident(raw).lower()) for family, kind, ident in claim.records}
            right = expected <= records[claim.provider]
            line[0] += right
            line[1] += 1
            if not right:
                wrong.append(f"{claim.file} {claim.variable}: {expected - records[claim.provider]}")
    totals = {
        provider: [sum(line[i] for key, line in lines.items() if key[0] == provider) for i in (0, 1)]
        for provider in PROVIDERS
    }
    with capsys.disabled():
        print("\nanswers of real providers: right of all, by kind of object")
        for (provider, what, form), (right, count) in lines.items():
            print(f"  {provider:8}{what:36}{right:4} of {count:3}   {form}")
        for provider, (right, count) in totals.items():
            print(f"  {provider:8}{'all that is claimed':36}{right:4} of {count:3}   {right / count:.3f}")
        right, count = (sum(total[i] for total in totals.values()) for i in (0, 1))
        print(f"  {'overall':44}{right:4} of {count:3}   {right / count:.3f}")
        print(*(f"  not right: {text}" for text in wrong), sep="\n")
    for provider, (right, count) in totals.items():
        assert count >= FLOORS[f"{provider}_objects"], "objects disappeared from the table"
        assert right / count >= FLOORS[provider], wrong


def test_what_is_not_claimed_is_counted(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Each variable of a file with claimed objects is in the table or has a reason; other files are listed."""
    claimed = {(claim.file, claim.variable) for claim in CLAIMED}
    named = {claim.file for claim in CLAIMED} - {EKS} | set(APART)
    unexplained: list[str] = []
    with capsys.disabled():
        for provider, prefixes in PROVIDERS.items():
            print(f"\nnot claimed of {provider}:")
            elsewhere = []
            for name, variables in sorted(files.items()):
                if name.partition("__")[0] not in prefixes:
                    continue
                left = {variable: size(answer) for variable, answer in variables.items() if size(answer)}
                left = {variable: n for variable, n in left.items() if (name, variable) not in claimed}
                if name not in named:
                    elsewhere.append(f"{name.partition('__')[2]} {sum(left.values())}")
                    continue
                for variable, count in left.items():
                    reason = reason_of(name, variable)
                    print(f"  {count:4}  {name} {variable}: {reason}")
                    unexplained += [f"{name} {variable}"] if reason is None else []
            print(f"  other parts of {provider}, objects: {', '.join(elsewhere) or 'none'}")
    assert unexplained == []


def reason_of(name: str, variable: str) -> str | None:
    reasons = APART.get(name, {})
    return next((text for end, text in reasons.items() if end and variable.endswith(end)), reasons.get(""))


def test_no_right_of_people_or_groups_is_taken_for_one_of_an_application(
    files: Files, records: Mapping[str, frozenset[Found]]
) -> None:
    assert len([one for one in records["entra"] if one[0] == "grant"]) == 1
    people = {one["principal_id"] for one in files[ROLES]["MOCK_ROLE_ASSIGNMENTS"]} - {files[ROLES]["TEST_SP_ID"]}
    assert not people & {one[2] for one in records["entra"] if one[0] == "grant"}
