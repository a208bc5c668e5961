"""What the git connector is, needs, and cannot see."""

from __future__ import annotations

from wardship.sdk.connector import BlindSpot, Capability, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_

READ = N_("read the repository")
MAX_BLOB_MB = 10

MANIFEST = Manifest(
    name="git",
    title="Git repositories",
    systems=("git_repository",),
    permissions={
        Capability.DISCOVER: (
            Permission(
                name=READ, why=N_("copies it into Wardship's own cache and searches every version of every file")
            ),
        ),
        Capability.IMPORT: (),
    },
    settings=(
        Setting(
            name="repositories",
            help=N_("folders and https or ssh addresses, separated by commas or lines; or @FILE that lists them"),
            default=".",
        ),
        Setting(
            name="token",
            help=N_("reference to a token that may read the https repositories, which are then of one host"),
            secret=True,
        ),
        Setting(name="username", help=N_("user name that goes with the token"), default="x-access-token"),
        Setting(name="branches", help=N_("branches to read, as patterns (main, release/*); empty: every reference")),
        Setting(name="include", help=N_("only paths that match one of these patterns (src/*, *.env)")),
        Setting(name="exclude", help=N_("no paths that match one of these patterns (vendor/*)")),
        Setting(
            name="max_blob_mb", help=N_("files above this size are counted and not read"), default=str(MAX_BLOB_MB)
        ),
        Setting(name="workers", help=N_("processes that search at the same time; empty: as many as there are CPUs")),
        Setting(
            name="keep_mirror",
            help=N_("false: the copy of each repository is deleted after every reading, and made again for the next"),
            default="true",
        ),
        Setting(name="private_network", help=N_("true: the addresses may lie in your own network"), default="false"),
    ),
    blind_spots=(
        BlindSpot(
            id="git.what_was_pushed",
            text=N_("A repository shows what was committed and pushed; working copies and other forks are not seen."),
        ),
        BlindSpot(
            id="git.unreachable",
            text=N_(
                "Commits that no branch, tag or other reference holds any more are not read,"
                " although a server may still hand them out to whoever knows their id."
            ),
        ),
        BlindSpot(
            id="git.not_read",
            text=N_(
                "Commit messages, submodules, files of Git LFS, links and files above the size limit are not searched."
            ),
        ),
        BlindSpot(
            id="git.authors",
            text=N_("Author and date of a commit are what its author wrote; git proves neither."),
        ),
        BlindSpot(
            id="git.name_by_origin",
            text=N_("A local clone is taken for the repository that its own `origin` names."),
        ),
    ),
    unavailable={"act": N_("a repository is changed by its committers; history is rewritten by people")},
    evidence=Evidence.REAL_PRODUCT,
    imports=(N_("git bundles (`git bundle create FILE --all`) and folders that hold a repository"),),
    links=("https://git-scm.com/docs/git-bundle",),
)
